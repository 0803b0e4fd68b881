//! The ledger: what was received, what became of it, and why the rest is missing.
//!
//! Every cause is a variant of a reason type, documented once; a [`Tally`] counts one type's reasons. The laws, which hold
//! between any two inputs of the engine:
//!
//! - `frames.received = frames.decoded + sum(frames.ignored)`
//! - `sessions.opened = sessions.live + sum(sessions.ended)`
//! - `requests.captured = requests.replayed + sum(requests.not_replayed) + those not yet released`
//! - `requests.replayed = requests.answered + sum(requests.not_answered) + those not yet answered`
//! - `requests.in_progress` = those not yet released + those not yet answered
//! - `requests.answered = verdicts.match + verdicts.differ + sum(verdicts.incomparable)`

use core::marker::PhantomData;
use core::ops::AddAssign;
use core::time::Duration;
use hdrhistogram::Histogram;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

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
        /// It came after the order to finish.
        Finishing = "finishing",
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
        /// The target did not switch protocols where the origin did.
        TargetNotUpgraded = "target_not_upgraded",
        /// Every address and port of the pool is in use or at rest.
        PoolExhausted = "pool_exhausted",
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
        /// The target did not answer within the time limit.
        TargetTimeout = "target_timeout",
        /// The target closed before its answer was whole.
        TargetClosed = "target_closed",
        /// The target reset before its answer was whole.
        TargetReset = "target_reset",
        /// The target's bytes are not an answer of the protocol.
        TargetGarbled = "target_garbled",
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
            NotReplayed::TargetNotUpgraded => Self::TargetGarbled,
            NotReplayed::PoolExhausted => Self::PoolExhausted,
            NotReplayed::Stopped => Self::Stopped,
            NotReplayed::Shutdown => Self::Shutdown,
            NotReplayed::Midstream | NotReplayed::NotSampled | NotReplayed::Fault => Self::Fault,
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
        /// Without a framer, it is not certain which bytes answer which turn.
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

/// Counts by reason.
#[derive(Clone, Debug)]
pub struct Tally<R> {
    counts: Vec<u64>,
    reason: PhantomData<R>,
}

impl<R: Reason> Default for Tally<R> {
    fn default() -> Self {
        Self { counts: vec![0; R::ALL.len()], reason: PhantomData }
    }
}

impl<R: Reason> Tally<R> {
    /// Counts one.
    pub fn count(&mut self, reason: R) {
        self.counts[reason.index()] += 1;
    }

    /// The count of one reason.
    pub fn of(&self, reason: R) -> u64 {
        self.counts[reason.index()]
    }

    /// The sum of all reasons.
    pub fn sum(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Every reason with its count, zero included.
    pub fn iter(&self) -> impl Iterator<Item = (R, u64)> + '_ {
        R::ALL.iter().copied().zip(self.counts.iter().copied())
    }
}

impl<R: Reason> AddAssign<&Self> for Tally<R> {
    fn add_assign(&mut self, rhs: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&rhs.counts) {
            *mine += theirs;
        }
    }
}

/// A map of the reasons that occurred.
impl<R: Reason> Serialize for Tally<R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (reason, count) in self.iter().filter(|(_, count)| *count > 0) {
            map.serialize_entry(reason.word(), &count)?;
        }
        map.end()
    }
}

/// Frames of the mirror.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Frames {
    /// Frames handed to the engine.
    pub received: u64,
    /// Segments of a session of a service.
    pub decoded: u64,
    /// The others, by cause.
    pub ignored: Tally<Ignored>,
    /// Frames that the kernel's ring had no room for; filled in by the driver.
    pub dropped_kernel: u64,
    /// Frames that the NIC or its driver dropped; filled in by the driver.
    pub dropped_nic: u64,
    /// Frames whose TCP payload the capture had cut off.
    pub truncated: u64,
    /// Decoded frames with payload.
    pub with_content: u64,
}

/// TCP sessions of the services.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Sessions {
    /// Sessions begun.
    pub opened: u64,
    /// Sessions that have not ended.
    pub live: u64,
    /// Sessions ended, by cause.
    pub ended: Tally<Ended>,
    /// Sessions that were already open when first seen.
    pub midstream: u64,
    /// Holes in streams that the mirror never filled.
    pub gaps: u64,
    /// Bytes lost in them.
    pub gap_bytes: u64,
    /// Segments whose bytes had all been seen.
    pub segments_duplicate: u64,
    /// Segments that came before the bytes below them.
    pub segments_early: u64,
}

/// Requests; without a framer, turns.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Requests {
    /// Requests whose first byte was seen.
    pub captured: u64,
    /// Requests whose first byte was sent to the target.
    pub replayed: u64,
    /// Requests with a whole answer of the target and a verdict.
    pub answered: u64,
    /// Requests without an outcome.
    pub in_progress: u64,
    /// Requests never sent, by cause.
    pub not_replayed: Tally<NotReplayed>,
    /// Requests sent without an answer, by cause.
    pub not_answered: Tally<NotAnswered>,
}

/// Verdicts of the comparison.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Verdicts {
    /// Answers that agree.
    #[serde(rename = "match")]
    pub matched: u64,
    /// Answers that differ.
    pub differ: u64,
    /// Answers that cannot be held against each other, by cause.
    pub incomparable: Tally<Incomparable>,
}

/// The target side.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Target {
    /// Frames sent.
    pub frames_sent: u64,
    /// Of these, with content.
    pub frames_sent_with_content: u64,
    /// Frames received that were meant for the box.
    pub frames_received: u64,
    /// Frames received that were not, or made no sense.
    pub frames_ignored: u64,
    /// Packets given up because their next hop did not answer.
    pub packets_unresolved: u64,
    /// Connections begun.
    pub connections_opened: u64,
    /// Of these, beyond a session's first, by cause.
    pub reconnects: Tally<Reconnect>,
    /// Segments sent again.
    pub retransmits: u64,
}

/// Times of one side: from a request's last byte to its answer's last, in microseconds.
#[derive(Clone, Debug)]
pub struct Latencies {
    micros: Histogram<u64>,
}

impl Default for Latencies {
    fn default() -> Self {
        let micros = Histogram::new_with_bounds(1, 3_600_000_000, 3).expect("constant bounds are valid");
        Self { micros }
    }
}

impl Latencies {
    /// Adds one time.
    pub fn record(&mut self, latency: Duration) {
        self.micros.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
    }

    /// The time that `quantile` (0 to 1) of the answers did not exceed, in microseconds.
    pub fn quantile_us(&self, quantile: f64) -> u64 {
        self.micros.value_at_quantile(quantile)
    }

    /// Times recorded.
    pub fn len(&self) -> u64 {
        self.micros.len()
    }

    /// Whether none was recorded.
    pub fn is_empty(&self) -> bool {
        self.micros.is_empty()
    }
}

impl Serialize for Latencies {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, quantile) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)] {
            map.serialize_entry(name, &self.quantile_us(quantile))?;
        }
        map.end()
    }
}

/// Latencies side by side.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LatencyUs {
    /// Production's.
    pub origin: Latencies,
    /// The server under test's.
    pub target: Latencies,
}

/// All of it: what `--summary` writes and `GET /api/v1/ledger` shows.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Ledger {
    /// Frames of the mirror.
    pub frames: Frames,
    /// TCP sessions.
    pub sessions: Sessions,
    /// Requests or turns.
    pub requests: Requests,
    /// Verdicts on the answers.
    pub verdicts: Verdicts,
    /// Endpoints and fields whose differences the noise rule keeps; none before it is learned.
    pub findings: u64,
    /// The target side.
    pub target: Target,
    /// Latencies of the answered requests.
    pub latency_us: LatencyUs,
}

impl Ledger {
    /// The first law that does not hold, as a sentence.
    pub fn broken_law(&self) -> Option<String> {
        let laws = [
            (
                "frames.received = decoded + ignored",
                self.frames.received,
                self.frames.decoded + self.frames.ignored.sum(),
            ),
            ("sessions.opened = live + ended", self.sessions.opened, self.sessions.live + self.sessions.ended.sum()),
            (
                "requests.captured = not_replayed + answered + not_answered + in_progress",
                self.requests.captured,
                self.requests.not_replayed.sum()
                    + self.requests.answered
                    + self.requests.not_answered.sum()
                    + self.requests.in_progress,
            ),
            (
                "requests.answered = match + differ + incomparable",
                self.requests.answered,
                self.verdicts.matched + self.verdicts.differ + self.verdicts.incomparable.sum(),
            ),
        ];
        let unequal = laws.iter().find(|(_, left, right)| left != right);
        let excess = self.requests.replayed < self.requests.answered + self.requests.not_answered.sum()
            || self.requests.captured < self.requests.replayed + self.requests.not_replayed.sum();
        match unequal {
            Some((law, left, right)) => Some(format!("{law} does not hold: {left} against {right}")),
            None if excess => Some("more requests have an outcome than were captured or replayed".to_owned()),
            None => None,
        }
    }
}

/// The ledgers of several shards add up to the box's.
impl AddAssign<&Self> for Ledger {
    fn add_assign(&mut self, rhs: &Self) {
        self.frames.received += rhs.frames.received;
        self.frames.decoded += rhs.frames.decoded;
        self.frames.ignored += &rhs.frames.ignored;
        self.frames.dropped_kernel += rhs.frames.dropped_kernel;
        self.frames.dropped_nic += rhs.frames.dropped_nic;
        self.frames.truncated += rhs.frames.truncated;
        self.frames.with_content += rhs.frames.with_content;
        self.sessions.opened += rhs.sessions.opened;
        self.sessions.live += rhs.sessions.live;
        self.sessions.ended += &rhs.sessions.ended;
        self.sessions.midstream += rhs.sessions.midstream;
        self.sessions.gaps += rhs.sessions.gaps;
        self.sessions.gap_bytes += rhs.sessions.gap_bytes;
        self.sessions.segments_duplicate += rhs.sessions.segments_duplicate;
        self.sessions.segments_early += rhs.sessions.segments_early;
        self.requests.captured += rhs.requests.captured;
        self.requests.replayed += rhs.requests.replayed;
        self.requests.answered += rhs.requests.answered;
        self.requests.in_progress += rhs.requests.in_progress;
        self.requests.not_replayed += &rhs.requests.not_replayed;
        self.requests.not_answered += &rhs.requests.not_answered;
        self.verdicts.matched += rhs.verdicts.matched;
        self.verdicts.differ += rhs.verdicts.differ;
        self.verdicts.incomparable += &rhs.verdicts.incomparable;
        self.findings += rhs.findings;
        self.target.frames_sent += rhs.target.frames_sent;
        self.target.frames_sent_with_content += rhs.target.frames_sent_with_content;
        self.target.frames_received += rhs.target.frames_received;
        self.target.frames_ignored += rhs.target.frames_ignored;
        self.target.packets_unresolved += rhs.target.packets_unresolved;
        self.target.connections_opened += rhs.target.connections_opened;
        self.target.reconnects += &rhs.target.reconnects;
        self.target.retransmits += rhs.target.retransmits;
        self.latency_us.origin.micros.add(&rhs.latency_us.origin.micros).expect("same bounds");
        self.latency_us.target.micros.add(&rhs.latency_us.target.micros).expect("same bounds");
    }
}
