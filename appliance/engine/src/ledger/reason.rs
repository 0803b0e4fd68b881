//! The causes: why something is missing. Each is documented once, here, with the sentence that the operator reads.

/// A type whose values are the causes of one kind of loss.
pub trait Reason: Copy + 'static {
    /// Every cause.
    const ALL: &'static [Self];

    /// Position in [`Reason::ALL`].
    fn index(self) -> usize;

    /// The cause as one snake_case word, as it stands in the ledger's JSON.
    fn word(self) -> &'static str;

    /// One sentence for a person.
    fn sentence(self) -> &'static str;
}

macro_rules! reasons {
    ($(#[doc = $about:literal])* $name:ident { $(#[doc = $doc:literal] $variant:ident = $word:literal,)* }) => {
        $(#[doc = $about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name { $(#[doc = $doc] $variant,)* }

        impl Reason for $name {
            const ALL: &'static [Self] = &[$(Self::$variant,)*];

            fn index(self) -> usize {
                self as usize
            }

            fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            fn sentence(self) -> &'static str {
                match self { $(Self::$variant => $doc.trim_ascii_start(),)* }
            }
        }
    };
}

reasons! {
    /// Why a mirrored frame was not used.
    Ignored {
        /// The frame is shorter than its link header.
        ShortFrame = "short_frame",
        /// Neither IPv4 nor IPv6.
        NotIp = "not_ip",
        /// An IP header that contradicts itself.
        BadIp = "bad_ip",
        /// IP, but not TCP.
        NotTcp = "not_tcp",
        /// A TCP header that contradicts itself.
        BadTcp = "bad_tcp",
        /// A piece of an IP packet whose other pieces are awaited, or never came.
        Fragment = "fragment",
        /// The capture cut the frame off before the end of its TCP header.
        Truncated = "truncated",
        /// Tunnels nested deeper than the decoder follows.
        NestedTooDeep = "nested_too_deep",
        /// No service has this address and port.
        NoService = "no_service",
        /// The box's own replay seen on the mirror.
        OwnFrame = "own_frame",
        /// The server of a session is a server under test: the target is never an origin.
        TargetAsOrigin = "target_as_origin",
        /// A segment of a session that is not known and cannot be picked up: a bare ACK, FIN or RST.
        NoSession = "no_session",
        /// A new session beyond the bound on sessions.
        SessionLimit = "session_limit",
        /// A segment that no session of this shard explains: its client is another shard's, or another box's.
        OtherShare = "other_share",
        /// It came after the order to finish.
        Finishing = "finishing",
    }
}

reasons! {
    /// Why a frame that was to be recorded was not.
    Unrecorded {
        /// The disk was too slow, and what waits for it has a bound.
        QueueFull = "queue_full",
        /// The disk had no room; recording goes on when it has.
        DiskFull = "disk_full",
        /// The disk refused the write.
        WriteFailed = "write_failed",
        /// The interface has another link type than when the recording began.
        LinkType = "link_type",
    }
}

reasons! {
    /// Why a session ended.
    Ended {
        /// Both sides closed.
        Closed = "closed",
        /// The client reset it.
        ClientReset = "client_reset",
        /// The origin reset it, or refused it.
        OriginReset = "origin_reset",
        /// Nothing was seen of it for too long.
        Idle = "idle",
        /// It was closing, and the rest of the closing was never seen.
        ClosingTimeout = "closing_timeout",
        /// The client opened a new session from the same address and port.
        Reused = "reused",
        /// The capture ended before it, and is played again from its beginning.
        CaptureEnd = "capture_end",
        /// The box was told to finish.
        Shutdown = "shutdown",
        /// A fault of the box in this session; the others go on.
        Fault = "fault",
    }
}

reasons! {
    /// Why a captured request was never sent.
    NotReplayed {
        /// The mirror lost a part of the request.
        MirrorGap = "mirror_gap",
        /// The session was already open when it was first seen, and its protocol has no request boundary to start from.
        Midstream = "midstream",
        /// The client ended the session before the request was whole.
        ClientIncomplete = "client_incomplete",
        /// A bound of the box: too many bytes or exchanges wait for the target.
        Limit = "limit",
        /// The target refused the connection.
        TargetRefused = "target_refused",
        /// The target did not answer the attempt to connect.
        TargetUnreachable = "target_unreachable",
        /// The target answered an earlier request of the session too late.
        TargetTimeout = "target_timeout",
        /// The target closed, and what is left cannot be sent on another connection.
        TargetClosed = "target_closed",
        /// The target reset, and what is left cannot be sent on another connection.
        TargetReset = "target_reset",
        /// The settings leave this client out.
        NotSampled = "not_sampled",
        /// The service's filters leave it out; or it is no HTTP/1 request, and nothing that filters or rewriting can be applied to.
        Filtered = "filtered",
        /// The session began when the service's cap on sessions was reached.
        RateCapped = "rate_capped",
        /// The session began while the box did not keep up with its mirror; give it more cores, or sample.
        Overloaded = "overloaded",
        /// The session is encrypted by TLS, which only its own peers can speak; mirror the traffic behind the terminator.
        TlsEncrypted = "tls_encrypted",
        /// Client and origin compress what they say in a way that the box does not read; switch it off in the client.
        Compressed = "compressed",
        /// The origin said what is not of the protocol, and what follows on the connection builds on it.
        OriginGarbled = "origin_garbled",
        /// The target did not ask for it as the origin did: a password, or what follows one that only the target wants.
        NotAsked = "not_asked",
        /// The target did not switch protocols where the origin did.
        TargetNotUpgraded = "target_not_upgraded",
        /// Every address and port that the session may come from is in use or at rest.
        PoolExhausted = "pool_exhausted",
        /// Somebody else on the targets' link has the address that the session would come from, or the emulated gateway's.
        AddressConflict = "address_conflict",
        /// The client's own address cannot be used: the target's answers to it would not find the box.
        NoWayBack = "no_way_back",
        /// Replay was stopped.
        Stopped = "stopped",
        /// The box was told to finish before its turn came.
        Shutdown = "shutdown",
        /// A fault of the box in this session.
        Fault = "fault",
    }
}

reasons! {
    /// Why a replayed request has no answer.
    NotAnswered {
        /// The session became encrypted before the answer.
        TlsEncrypted = "tls_encrypted",
        /// The target did not answer within the time limit.
        TargetTimeout = "target_timeout",
        /// The target closed before its answer was whole.
        TargetClosed = "target_closed",
        /// The target reset before its answer was whole.
        TargetReset = "target_reset",
        /// The target's bytes are not an answer of the protocol.
        TargetGarbled = "target_garbled",
        /// The origin's bytes are not of the protocol, and the replay ended there.
        OriginGarbled = "origin_garbled",
        /// The client went away in production before the answer, and so did the replay.
        ClientAborted = "client_aborted",
        /// The mirror lost a part of the request after its first bytes were sent.
        MirrorGap = "mirror_gap",
        /// The client ended the session before the request was whole, after its first bytes were sent.
        ClientIncomplete = "client_incomplete",
        /// A bound of the box was reached after the first bytes were sent.
        Limit = "limit",
        /// The target closed or reset, and refused the connection on which the request was to be sent again.
        TargetRefused = "target_refused",
        /// The target closed or reset, and did not answer the attempt to connect again.
        TargetUnreachable = "target_unreachable",
        /// The target closed or reset, and the pool had no address and port left to connect again.
        PoolExhausted = "pool_exhausted",
        /// Somebody else on the targets' link has claimed the address that the session came from.
        AddressConflict = "address_conflict",
        /// Replay was stopped.
        Stopped = "stopped",
        /// The box was told to finish before the answer came.
        Shutdown = "shutdown",
        /// A fault of the box in this session.
        Fault = "fault",
    }
}

/// The cause for a request whose first bytes had already been sent when the rest was given up.
impl From<NotReplayed> for NotAnswered {
    fn from(cause: NotReplayed) -> Self {
        match cause {
            NotReplayed::MirrorGap => Self::MirrorGap,
            NotReplayed::ClientIncomplete => Self::ClientIncomplete,
            NotReplayed::Limit => Self::Limit,
            NotReplayed::TargetRefused => Self::TargetRefused,
            NotReplayed::TargetUnreachable => Self::TargetUnreachable,
            NotReplayed::TargetTimeout => Self::TargetTimeout,
            NotReplayed::TargetClosed => Self::TargetClosed,
            NotReplayed::TargetReset => Self::TargetReset,
            NotReplayed::OriginGarbled => Self::OriginGarbled,
            NotReplayed::TargetNotUpgraded => Self::TargetGarbled,
            NotReplayed::TlsEncrypted => Self::TlsEncrypted,
            NotReplayed::PoolExhausted => Self::PoolExhausted,
            NotReplayed::AddressConflict => Self::AddressConflict,
            NotReplayed::Stopped => Self::Stopped,
            NotReplayed::Shutdown => Self::Shutdown,
            NotReplayed::Midstream
            | NotReplayed::NotSampled
            | NotReplayed::Filtered
            | NotReplayed::RateCapped
            | NotReplayed::Overloaded
            | NotReplayed::NotAsked
            | NotReplayed::Compressed
            | NotReplayed::NoWayBack
            | NotReplayed::Fault => Self::Fault,
        }
    }
}

reasons! {
    /// Why two answers cannot be held against each other.
    Incomparable {
        /// The mirror lost a part of the origin's answer, or of what went before it.
        MirrorGap = "mirror_gap",
        /// The mirror shows only the clients' direction.
        OneWay = "one_way",
        /// The origin's answer was not whole when the session ended.
        OriginIncomplete = "origin_incomplete",
        /// The origin's bytes are not an answer of the protocol.
        OriginGarbled = "origin_garbled",
        /// It belongs to the handshake of the connection, which no two servers answer alike (a nonce, a server's version).
        Handshake = "handshake",
        /// The request asks for what no two servers answer alike: their own state, the time, chance, or an order of theirs.
        Volatile = "volatile",
        /// Without a framer, or to a request that could not be read, it is not certain which bytes are the answer.
        Unaligned = "unaligned",
        /// After a gap or a midstream pick-up, it is not certain yet which answer belongs to which request.
        Unproven = "unproven",
        /// A bound of the box kept the answers from being held.
        Limit = "limit",
    }
}

reasons! {
    /// Why a session opened a further connection to its target.
    Reconnect {
        /// The target had closed the one before.
        TargetClosed = "target_closed",
        /// The target had reset the one before.
        TargetReset = "target_reset",
        /// The target had refused, or not answered, the attempt before.
        TargetRefused = "target_refused",
        /// The answer on the one before came too late.
        TargetTimeout = "target_timeout",
        /// A request that was being sent had to be given up.
        RequestCut = "request_cut",
    }
}
