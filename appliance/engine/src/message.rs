//! The engine's whole vocabulary: what goes in, what comes out.

pub use crate::compare::{Difference, Kind};

use crate::config::Config;
use crate::ledger::{Incomparable, NotAnswered, NotReplayed};
use crate::time::Time;
use core::net::SocketAddr;
use core::time::Duration;
use std::sync::Arc;

/// The framing in which a captured frame's bytes begin (LINKTYPE of a capture file).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkType {
    /// Ethernet II or 802.3 (LINKTYPE 1).
    Ethernet,
    /// An IPv4 or IPv6 packet without a link header (LINKTYPE 101, 12, 14, 228, 229).
    RawIp,
    /// BSD loopback: the address family as four bytes of either order (LINKTYPE 0, 108).
    BsdLoopback,
    /// Linux cooked capture (LINKTYPE 113).
    LinuxSll,
    /// Linux cooked capture, version 2 (LINKTYPE 276).
    LinuxSll2,
}

/// One frame that the mirror showed.
#[derive(Clone, Copy, Debug)]
pub struct MirrorFrame<'a> {
    /// When the frame was captured. Only differences between frames count: the clock may be another than `now`'s, and
    /// may run at another speed (a capture replayed faster).
    pub captured_at: Time,
    /// How the bytes begin.
    pub link: LinkType,
    /// The frame's length on the wire; more than `bytes.len()` where the capture cut it off.
    pub wire_len: u32,
    /// The captured bytes.
    pub bytes: &'a [u8],
}

/// What the engine is told.
#[derive(Debug)]
pub enum Input<'a> {
    /// A frame from a mirror NIC or a capture.
    Mirror(MirrorFrame<'a>),
    /// An Ethernet frame that arrived at the target NIC.
    Target {
        /// When it arrived, in the clock of the engine; what it waited since then is not the target's time.
        arrived_at: Time,
        /// The frame.
        bytes: &'a [u8],
    },
    /// An order.
    Command(Command),
    /// The time that [`crate::Engine::poll_timeout`] named has come.
    Tick,
}

/// Orders to the engine.
#[derive(Debug)]
pub enum Command {
    /// Stop replaying (the kill switch): open replays are reset; capture and its counters go on.
    StopReplay,
    /// Replay the sessions that open from now on.
    StartReplay,
    /// Whether the box is overloaded: sessions that open meanwhile are not replayed, so that those which are open suffer no loss.
    Overload(bool),
    /// Exchange the settings. Sessions that are open keep the service they were opened with.
    Configure(Box<Config>),
    /// The capture is at its end and is played again: no frame of the present sessions follows, whatever their addresses.
    NewRound,
    /// No further mirror frame follows: end what is idle now, and what is in flight when answered or after `limit`.
    Finish {
        /// The longest that an exchange in flight is waited for.
        limit: Duration,
    },
}

/// What the engine has to say.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "a record is moved once; a box would be an allocation for every exchange")]
pub enum Output<'a> {
    /// An Ethernet frame to send on the target NIC (there is no other).
    Transmit(&'a [u8]),
    /// An exchange has got its outcome.
    Record(Record),
}

/// What became of one exchange.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Number of the session in this engine, from 1, in the order of opening.
    pub session: u64,
    /// Number of the exchange in its session, from 0.
    pub exchange: u64,
    /// Index into the services of the configuration under which the session was opened.
    pub service: usize,
    /// Index into the service's targets.
    pub target: u16,
    /// Number of the copy, from 0, of those that this target gets of the session.
    pub copy: u16,
    /// The real client.
    pub client: SocketAddr,
    /// The production server.
    pub origin: SocketAddr,
    /// When the request's first byte was captured.
    pub captured_at: Time,
    /// Length of the request in bytes.
    pub request_bytes: u64,
    /// Name of the endpoint, where the request tells it.
    pub endpoint: Option<Arc<str>>,
    /// The box had to send segments of it again, so that the target's latency is not the target's alone.
    pub stalled: bool,
    /// The one outcome.
    pub outcome: Outcome,
    /// Last request byte to first response byte, and to last: of production.
    pub origin_latency: Option<Latency>,
    /// The same of the server under test.
    pub target_latency: Option<Latency>,
    /// What was said, where [`Config::contents`] asks for it.
    pub contents: Option<Box<Contents>>,
}

/// What was said in an exchange, as far as the bounds let it be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// The first bytes of the request, as the client sent them.
    pub request: Vec<u8>,
    /// Production's answer.
    pub origin: Said,
    /// The answer of the server under test.
    pub target: Said,
    /// When the request's last byte was captured.
    pub request_last_at: Time,
    /// When the target had been sent all of it, in the replay's clock.
    pub sent_at: Option<Time>,
    /// The box's own end of the connection to the target.
    pub local: Option<SocketAddr>,
}

/// One answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Head of the message; empty without a framer.
    pub head: Vec<u8>,
    /// The first bytes of its content, without the framing.
    pub body: Vec<u8>,
    /// Length of the whole content.
    pub body_len: u64,
}

/// Times from a request's last byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// To the response's first byte.
    pub first_byte: Duration,
    /// To the response's last byte.
    pub last_byte: Duration,
}

/// The outcome of an exchange; exactly one each.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The server under test answered.
    Answered(Verdict),
    /// It was sent, but no whole answer came.
    NotAnswered(NotAnswered),
    /// It was never sent.
    NotReplayed(NotReplayed),
}

impl Outcome {
    /// What the target's answer lacks where it is not whole or never came, as a difference would say it. A connection that the
    /// target closes without a byte may just have been idle for too long.
    pub fn lost(&self, has_head: bool) -> Option<(&'static str, Kind)> {
        use NotAnswered::{TargetClosed, TargetGarbled, TargetReset, TargetTimeout};
        match self {
            Self::NotAnswered(TargetClosed | TargetReset | TargetTimeout) if has_head => Some(("body", Kind::Length)),
            Self::NotAnswered(TargetGarbled) => Some(("answer", Kind::Type)),
            Self::NotAnswered(TargetTimeout) => Some(("answer", Kind::Missing)),
            _ => None,
        }
    }
}

/// What the comparison of the two answers says.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// The answers agree.
    Match,
    /// The answers differ, in these places: at least one, and at most as many as
    /// [`crate::limits::comparison::DIFFERENCES_MAX`].
    Differ(Vec<Difference>),
    /// They cannot be held against each other.
    Incomparable(Incomparable),
}
