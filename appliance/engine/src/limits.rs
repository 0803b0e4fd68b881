//! Every bound of the engine, with its reason, in one place. What happens at a bound is counted in the ledger.

use core::time::Duration;

/// The bounds of one engine.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Sessions held at once, each replay of one counted. A session beyond it is not opened
    /// (`frames.ignored.session_limit`).
    pub sessions: usize,
    /// Bytes that one stream may hold beyond a hole, or beyond what it acknowledges of the other; past it the hole is given up
    /// as lost. A mirror that reorders by more than the window of a fast connection is a broken mirror: Linux lets a window
    /// grow to 6 MiB, and where each direction has its own mirror NIC, an answer may well come before its request.
    pub stream_ahead_bytes: usize,
    /// Bytes held beyond holes in all streams together.
    pub ahead_bytes: usize,
    /// How long a hole below the other side's acknowledgement may stay: the two directions of a mirror can overtake each
    /// other by its queueing delay.
    pub gap_grace: Duration,
    /// How long any hole may stay: past a client's second retransmission time-out.
    pub hole_timeout: Duration,
    /// Request bytes that a session may have waiting for the target; further requests are dropped (`limit`). An upload comes
    /// at the speed of production's link, and goes at the target's.
    pub outbox_bytes: usize,
    /// The same where all sessions together have half of what they may: a few slow targets leave room for the others.
    pub outbox_fair_bytes: usize,
    /// Request bytes waiting in all sessions together.
    pub outboxes_bytes: usize,
    /// A request is held until it is whole, so that one with a hole is never sent, unless it is longer than this.
    pub request_held_bytes: usize,
    /// Exchanges of one session without an outcome, or behind one without; from the first beyond it on, nothing more of the
    /// session is replayed (`limit`).
    pub exchanges: usize,
    /// How long a request that is not whole is held at most, from its head on: an upload that takes longer loads a server
    /// while it lasts. Longer than a hole may stay, so that one with a hole is known as such before it is sent.
    pub request_held: Duration,
    /// Head of a message (HTTP: start line and fields).
    pub head_bytes: usize,
    /// Body of a response kept for the comparison; beyond it, length and hash are compared.
    pub body_bytes: usize,
    /// Bytes of a request kept for its record, where records carry contents: what a person reads of a finding.
    pub request_kept_bytes: usize,
    /// Response bytes kept in all sessions together, and those of requests that are kept for their records.
    pub bodies_bytes: usize,
    /// Receive and send buffer of a replay's socket, each: of the one size for which the program's
    /// allocator has pages that come back.
    pub socket_bytes: usize,
    /// Connections that keep their sockets though nothing is under way, those that were used last: with 9 KiB of memory each
    /// for short messages, and 33 KiB at most. To give one a socket again costs some two microseconds.
    pub awake_connections: usize,
    /// How long a connection to a target may take to open: four SYNs, of which three may be lost.
    pub connect_timeout: Duration,
    /// How long the target may take to answer, counted from the later of our last request byte and the origin's answer.
    pub answer_timeout: Duration,
    /// Silence after which an answer without a framer that is shorter than the origin's counts as ended.
    pub quiet: Duration,
    /// How long a target may go on, without a framer, when it has said as much as the origin, but other bytes, and does not
    /// fall quiet: what takes longer is a stream, and no answer.
    pub streaming: Duration,
    /// How long after a session's first bytes its protocol may stay unknown before it is replayed turn by turn.
    pub opening_timeout: Duration,
    /// How far behind production a session may fall before think times are shortened to catch up.
    pub lag: Duration,
    /// By how much each pause of a client may be shortened while its session is behind production at all, unless a quarter of it is
    /// more: else what the box itself is late (a block of the mirror's ring, a wake-up) would add up from one request to the next.
    pub haste: Duration,
    /// Silence of both sides after which a session is forgotten.
    pub idle_timeout: Duration,
    /// How long a session may stay half-open or half-closed on the mirror without a frame.
    pub closing_timeout: Duration,
    /// How long an address and port rest after use: the target may hold the 4-tuple in TIME-WAIT.
    pub port_rest: Duration,
    /// Addresses claimed on the targets' link. Of a larger pool the first are used: they carry a million new connections
    /// a second. A further client on the link is not replayed from its own address (`limit`).
    pub addresses: usize,
    /// Fragments of IP packets held for reassembly, in bytes.
    pub fragment_bytes: usize,
    /// How long an incomplete IP packet is held (RFC 791 suggests 15 s).
    pub fragment_timeout: Duration,
    /// Frames waiting to be sent on the target NIC.
    pub transmit_frames: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 200_000,
            stream_ahead_bytes: 8 << 20,
            ahead_bytes: 64 << 20,
            gap_grace: Duration::from_millis(200),
            hole_timeout: Duration::from_secs(3),
            outbox_bytes: 128 << 20,
            outbox_fair_bytes: 8 << 20,
            outboxes_bytes: 512 << 20,
            request_held_bytes: 2 << 20,
            request_held: Duration::from_secs(5),
            exchanges: 4_096,
            head_bytes: 64 << 10,
            body_bytes: 256 << 10,
            request_kept_bytes: 64 << 10,
            bodies_bytes: 512 << 20,
            socket_bytes: 16 << 10,
            awake_connections: 1_024,
            connect_timeout: Duration::from_secs(8),
            answer_timeout: Duration::from_secs(30),
            quiet: Duration::from_millis(200),
            streaming: Duration::from_secs(1),
            opening_timeout: Duration::from_secs(1),
            lag: Duration::from_millis(250),
            haste: Duration::from_millis(2),
            idle_timeout: Duration::from_secs(7_200),
            closing_timeout: Duration::from_secs(60),
            port_rest: Duration::from_secs(60),
            addresses: 65_536,
            fragment_bytes: 4 << 20,
            fragment_timeout: Duration::from_secs(15),
            transmit_frames: 256,
        }
    }
}

impl Limits {
    /// A client's pause in a session that is behind production.
    pub fn hastened(&self, think: Duration) -> Duration {
        think.saturating_sub(self.haste.max(think / 4))
    }

    /// The bounds of one of so many shards: what is bounded in all sessions together is bounded in all shards together.
    pub fn of_one(self, shards: u16) -> Self {
        let shards = usize::from(shards);
        Self {
            sessions: self.sessions / shards,
            ahead_bytes: self.ahead_bytes / shards,
            outboxes_bytes: self.outboxes_bytes / shards,
            bodies_bytes: self.bodies_bytes / shards,
            ..self
        }
    }
}

/// What all sessions of an engine together may hold of one resource, in bytes.
///
/// It is not a reservation: a session takes what it must and looks afterwards whether the bound is passed, so one session's
/// single segment or message is the most by which it can be.
#[derive(Debug)]
pub struct Budget {
    used: usize,
    bound: usize,
}

impl Budget {
    /// A budget of `bound` bytes.
    pub fn new(bound: usize) -> Self {
        Self { used: 0, bound }
    }

    /// A holder that held `before` bytes now holds `after`.
    pub fn exchange(&mut self, before: usize, after: usize) {
        debug_assert!(self.used >= before, "a holder gives back what it never took");
        self.used = self.used.saturating_sub(before) + after;
    }

    /// Whether the bound is reached.
    pub fn is_over(&self) -> bool {
        self.used >= self.bound
    }

    /// Whether half of the bound is reached.
    pub fn is_half_used(&self) -> bool {
        self.used >= self.bound / 2
    }

    /// Bytes in use.
    pub fn used(&self) -> usize {
        self.used
    }
}

/// Bytes of all buffers that wait to be used again: as many as all sessions of a busy box need at a time.
pub const SPARE_BYTES: usize = 8 << 20;

/// Bytes of such a buffer at most: what is in it is counted, and what is not must not be much more. Most answers are shorter.
pub const SPARE_BUFFER_BYTES: usize = 16 << 10;

/// Rooms of each kind for requests under way that wait to be used again: 4 MiB at most.
pub const SPARE_ROOMS: usize = 1_024;

/// Framers of one protocol that wait to be used again: one that is given back knows nothing, and is small.
pub const SPARE_FRAMERS: usize = 1_024;

/// Replays of one session, all copies for all targets counted: each of them cuts every frame of the session anew, and holds
/// the origin's answers for itself.
pub const REPLAYS_MAX: usize = 1_000;

/// The bounds of one comparison of two answers ([`crate::compare`]): what lies beyond them is compared by bytes.
pub mod comparison {
    /// Differences told of one pair of answers: a page with a token in each of its scripts has some dozens, and behind them comes
    /// what matters.
    pub const DIFFERENCES_MAX: usize = 64;
    /// Of these, elements of arrays that differ in the same place.
    pub const ELEMENTS_MAX: usize = 3;
    /// Differences left out for that, after which no more are looked for.
    pub const LEFT_OUT_MAX: usize = 4_096;
    /// Bytes shown of each value that differs.
    pub const EXCERPT_BYTES: usize = 120;
    /// Bytes that a content may have without its coding: eight times of what is kept of it, as text is compressed.
    pub const DECODED_BYTES: usize = 2 << 20;
    /// Depth of a JSON document: the reader and the comparison call themselves for each level.
    pub const JSON_DEPTH: usize = 128;
    /// Values in a JSON document, of 24 bytes of memory each.
    pub const JSON_NODES: usize = 100_000;
    /// Pairs of elements looked at in two arrays whose order says nothing.
    pub const UNORDERED_PAIRS: usize = 1 << 16;
    /// Pairs of lines looked at to find which lines of two texts are the same.
    pub const LINE_PAIRS: usize = 1 << 20;
}

/// The bounds of what is learned about endpoints ([`crate::findings`]).
pub mod findings {
    /// Endpoints of all services: with four histograms of some 14 KiB each, 30 MiB. What is beyond them is one for each service.
    pub const ENDPOINTS_MAX: usize = 512;
    /// Fields of one endpoint that are told apart.
    pub const FIELDS_MAX: usize = 128;
    /// Names that a place of a path may have had before it is taken to hold values.
    pub const CHILDREN_MAX: usize = 40;
    /// The same in a place of a key, as in Redis: most parts of keys are values.
    pub const KEY_CHILDREN_MAX: usize = 8;
    /// Names remembered to count that, in all places together.
    pub const CHILDREN_SEEN_MAX: usize = 16_384;
    /// Bytes of an endpoint's name.
    pub const NAME_BYTES: usize = 200;
    /// Answers of the origin that are remembered.
    pub const ANSWERS_MAX: usize = 4_096;
    /// Bytes of all of them.
    pub const ANSWERS_BYTES_MAX: usize = 16 << 20;
    /// Bytes of one: longer ones would drive the others out, and only their beginning is remembered.
    pub const ANSWER_BYTES_MAX: usize = 64 << 10;
    /// The same of one that is remembered for its endpoint, which has up to three: 24 MiB in all.
    pub const NEIGHBOUR_BYTES_MAX: usize = 16 << 10;
    /// Bytes of a request's body that tell it from others; the length does, too.
    pub const REQUEST_BYTES: u64 = 4_096;
    /// Differences of one field that wait until it is known whether the origin has changed there, too: as many as a target shows
    /// that is a second late, and is wrong in a hundredth of three thousand answers. Later ones drive earlier ones out.
    pub const WAITING_MAX: usize = 32;
    /// Differences of one field that wait for what undoes them, of clients that change one thing at once: all requests for it while a
    /// target is two seconds late, at thirty a second. Later ones drive earlier ones out.
    pub const SWAPS_MAX: usize = 64;
    /// Services that the ledger tells apart, over all changes of the settings; the others are `other`.
    pub const SERVICES_MAX: usize = 1_024;
}

/// The bounds of an examination of a mirror ([`crate::doctor`]).
pub mod examination {
    /// Flows looked at, of some 500 bytes each; further ones are counted only.
    pub const FLOWS_MAX: usize = 65_536;
    /// Holes remembered of one direction of a flow. A window of segments with more is a broken mirror; the oldest hole is
    /// given up.
    pub const HOLES_MAX: usize = 32;
    /// Segments remembered to find their copies: at a million segments a second, those of the last 16 ms.
    pub const RECENT_SEGMENTS: usize = 1 << 14;
    /// Services told, those with the most bytes.
    pub const SERVICES_TOLD: usize = 32;
    /// Addresses told, those with the most bytes.
    pub const TALKERS_TOLD: usize = 10;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_is_behind_keeps_most_of_a_pause() {
        let hastened = |millis| Limits::default().hastened(Duration::from_millis(millis));
        assert_eq!([1, 2, 8, 200].map(hastened), [0, 0, 6, 150].map(Duration::from_millis));
    }
}
