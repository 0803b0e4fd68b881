//! The life of one production session, as far as a mirror shows it: from SYN or midstream pick-up to FIN, RST or silence.
//!
//! States: *opening* (a SYN was seen), *open*, *ended*. A session ends when both sides have closed and everything before
//! has been handed on, when one side resets it, or when nothing is seen of it for too long. What it tells its owner is a
//! [`Happening`] each, in the causal order that reassembly establishes.

use crate::flow::Side;
use crate::frame::Segment;
use crate::ledger::Ended;
use crate::limits::{Budget, Limits};
use crate::reassembly::{Arrival, Content, Delivery, Piece, Streams};
use crate::time::Time;
use core::time::Duration;

/// How long after an established session's last segment its own SYN may still turn up on a mirror.
const SYN_ECHO: Duration = Duration::from_secs(10);

/// How long a session must have been silent before a segment that lies elsewhere begins another, whose SYN the mirror lost:
/// what comes sooner is of an earlier one on the same flow, shown late.
pub const STRAY_SILENCE: Duration = Duration::from_secs(1);

/// Most that a client sends before it has the origin's answer to its SYN, the SYN included (RFC 7413).
const SYN_DATA_MAX: u32 = 1 << 16;

/// What a session has to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening<'a> {
    /// The connection is established.
    Open,
    /// The session ends, and nothing of the origin was ever seen.
    OneWay,
    /// A piece of a stream.
    Stream(Delivery<'a>),
    /// A side has reset the connection, at this capture time.
    Reset(Side, Time),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Opening,
    Open,
    Ended(Ended),
}

/// The sides that have closed.
#[derive(Clone, Copy, Debug, Default)]
struct Closed {
    client: bool,
    origin: bool,
}

/// A side has reset the connection.
#[derive(Clone, Copy, Debug)]
struct Reset {
    side: Side,
    seq: u32,
    captured_at: Time,
}

/// One production session.
#[derive(Debug)]
pub struct Session {
    state: State,
    streams: Streams,
    client_isn: Option<u32>,
    /// The same of the session before it on the same flow.
    earlier_isn: Option<u32>,
    closed: Closed,
    /// A reset that waits until what was sent before it has been handed on; it stays known afterwards.
    reset: Option<Reset>,
    last_seen: Time,
}

/// What a session shares with the others.
#[derive(Debug)]
pub struct Shared<'a> {
    /// The bounds.
    pub limits: &'a Limits,
    /// Bytes held back in all sessions.
    pub ahead: &'a mut Budget,
    /// How long the session had been silent before.
    pub silence: Duration,
}

impl Session {
    /// The session that `segment` of `sender` begins, or into which it falls. `None` where it can begin none: it carries
    /// neither a client's SYN, nor an origin's SYN-ACK, nor content. `earlier_isn` is the [`Session::client_isn`] of the one that
    /// it replaces. A lone byte is no content: it may be an old one, of a keep-alive probe (RFC 9293, section 3.8.4).
    pub fn begin(now: Time, sender: Side, segment: &Segment<'_>, earlier_isn: Option<u32>) -> Option<Self> {
        let syn = segment.flags.syn();
        let begins = syn && segment.flags.ack() == (sender == Side::Origin);
        let falls_into = !syn && !segment.flags.rst() && segment.payload.len() + segment.missing as usize > 1;
        (begins || falls_into).then(|| Self {
            state: if begins { State::Opening } else { State::Open },
            streams: Streams::default(),
            client_isn: None,
            earlier_isn,
            closed: Closed::default(),
            reset: None,
            last_seen: now,
        })
    }

    /// Whether `segment`, captured after so much silence, begins another session on the same flow: a SYN that is not this
    /// session's own sent again, or an answer to such a one (the mirror may show the directions out of order), or what a
    /// client says far from this session's streams, or what a side says behind its reset: that one was forged, and both sides went
    /// on, so that what follows is picked up as of a session whose beginning was not seen. The same number can only come back after the handshake where a capture is
    /// replayed in rounds, or where nothing came after it: an origin that missed the client's acknowledgement sends its SYN-ACK
    /// again for a minute, after ever longer pauses.
    pub fn is_replaced_by(&self, sender: Side, segment: &Segment<'_>, silence: Duration) -> bool {
        if silence < STRAY_SILENCE && self.is_opening_of_earlier(sender, segment) {
            return false;
        }
        if self.outlives_reset(sender, segment) || self.is_accepted_after_all(sender, segment) {
            return true;
        }
        if self.is_elsewhere(sender, segment) {
            return sender == Side::Client && !segment.payload.is_empty() && silence >= STRAY_SILENCE;
        }
        let Some((client_isn, slack)) = opened_isn(sender, segment) else { return false };
        let is_same = match self.client_isn {
            Some(isn) => client_isn.wrapping_sub(isn) <= slack,
            None => self.is_opened_by(client_isn),
        };
        let is_untouched = |side| self.streams.is_untouched(side);
        // What the client has said meanwhile may have been lost on its way to the origin, as its acknowledgement was.
        let is_untold = is_untouched(Side::Origin) && (sender == Side::Origin || is_untouched(Side::Client));
        let is_within_handshake = self.state == State::Opening || is_untold;
        let is_own = is_same && (is_within_handshake || silence < SYN_ECHO);
        !is_own
    }

    /// Whether the session was reset by `sender`, who goes on all the same.
    fn outlives_reset(&self, sender: Side, segment: &Segment<'_>) -> bool {
        let is_ended = matches!(self.state, State::Ended(Ended::ClientReset | Ended::OriginReset));
        let is_content = !segment.payload.is_empty() && !segment.flags.syn() && !segment.flags.rst();
        let goes_on = |reset: Reset| reset.side == sender && self.streams.goes_on(sender, segment.seq, reset.seq);
        is_ended && is_content && self.reset.is_some_and(goes_on)
    }

    /// Whether an origin that seemed to refuse the connection accepts it: the refusal was forged, or the client has asked again with
    /// the same number, as Windows does. One that had accepted it before would be shown a second time.
    fn is_accepted_after_all(&self, sender: Side, segment: &Segment<'_>) -> bool {
        let is_refused = self.state == State::Ended(Ended::OriginReset) && self.streams.first(Side::Origin).is_none();
        let accepts = |(isn, slack): (u32, u32)| self.client_isn.is_some_and(|own| isn.wrapping_sub(own) <= slack);
        is_refused && sender == Side::Origin && opened_isn(sender, segment).is_some_and(accepts)
    }

    /// Whether a session that was picked up shortly after its beginning can have begun so.
    fn is_opened_by(&self, client_isn: u32) -> bool {
        let first = client_isn.wrapping_add(1);
        self.streams.first(Side::Client).is_some_and(|seen| seen.wrapping_sub(first) <= SYN_DATA_MAX)
    }

    /// Takes a segment of another session ([`Session::is_stray`]), or one behind the end of this.
    pub fn pass_over(&self, segment: &Segment<'_>) -> Arrival {
        let says_nothing = self.ended().is_some() && segment.payload.is_empty();
        if says_nothing { Arrival::InOrder } else { Arrival::Duplicate }
    }

    /// Takes a segment of this session.
    pub fn handle(
        &mut self,
        now: Time,
        captured_at: Time,
        sender: Side,
        segment: &Segment<'_>,
        shared: &mut Shared<'_>,
        sink: &mut impl FnMut(Happening<'_>),
    ) -> Arrival {
        if let State::Ended(_) = self.state {
            return self.pass_over(segment);
        }
        // One with another session's numbers says nothing of this one, nor does what it acknowledges.
        let resets = segment.flags.rst();
        if resets && !self.streams.may_reset(sender, segment.seq) {
            return Arrival::InOrder;
        }
        self.last_seen = now;
        let seq = self.note_syn(sender, segment);
        if self.state == State::Opening && is_established_by(sender, segment) {
            self.state = State::Open;
            sink(Happening::Open);
        }
        let ack = segment.flags.ack().then_some(segment.ack);
        // What a reset carries is a reason in words (RFC 9293, section 3.5.3), not a part of the stream.
        let (payload, missing, fin) = match resets {
            true => (&[][..], 0, false),
            false => (segment.payload, segment.missing, segment.flags.fin()),
        };
        let may_probe = payload.len() == 1 && shared.silence >= STRAY_SILENCE;
        let content = Content { side: sender, seq, ack, payload, may_probe, missing, fin, captured_at };
        let mut noting = noting(&mut self.closed, sink);
        let arrival = self.streams.handle(now, &content, shared.limits, shared.ahead, &mut noting);
        drop(noting);
        if self.reset.is_none() && resets {
            self.reset = Some(Reset { side: sender, seq: segment.seq, captured_at });
            self.streams.abort(now, sender);
        }
        self.conclude(sink);
        arrival
    }

    /// Whether a segment, captured after so much silence, belongs to another session on the same flow: it lies elsewhere, or an
    /// origin acknowledges what the client cannot have sent yet.
    pub fn is_stray(&self, sender: Side, segment: &Segment<'_>, silence: Duration) -> bool {
        let too_much = |isn| segment.ack.wrapping_sub(isn) > SYN_DATA_MAX;
        let foreign = match segment.flags.ack() {
            true => self.client_isn.is_some_and(too_much),
            // What resets a SYN acknowledges it (RFC 9293, section 3.5.2).
            false => self.streams.first(Side::Origin).is_none(),
        };
        let opening = self.state == State::Opening && sender == Side::Origin;
        opening && foreign
            || self.is_left_over(sender, segment, silence)
            || self.is_elsewhere(sender, segment)
            || self.is_opening_of_earlier(sender, segment)
    }

    /// Whether a client's last words in the session before come behind its SYN: they would place the origin's stream, of
    /// which nothing has been seen. With content they may also be of a session after this one, whose beginning the mirror lost,
    /// unless they come at once.
    fn is_left_over(&self, sender: Side, segment: &Segment<'_>, silence: Duration) -> bool {
        let is_plain = !segment.flags.syn();
        let is_earlier = segment.payload.is_empty() || silence < STRAY_SILENCE;
        let is_awaited = self.state == State::Opening && self.streams.first(Side::Origin).is_none();
        sender == Side::Client && is_plain && is_earlier && is_awaited && self.streams.is_far(sender, segment.seq)
    }

    /// Whether it is the SYN of the session before this one on the same flow, or the answer to it: its direction is shown late.
    fn is_opening_of_earlier(&self, sender: Side, segment: &Segment<'_>) -> bool {
        let opened = opened_isn(sender, segment).zip(self.earlier_isn);
        opened.is_some_and(|((isn, slack), earlier)| isn.wrapping_sub(earlier) <= slack)
    }

    /// The client's first sequence number, if its SYN or the answer to it was seen.
    pub fn client_isn(&self) -> Option<u32> {
        self.client_isn
    }

    fn is_elsewhere(&self, sender: Side, segment: &Segment<'_>) -> bool {
        let numbered = segment.flags.ack() && !segment.flags.syn() && !segment.flags.rst();
        numbered && self.streams.is_elsewhere(sender, segment.seq, segment.ack)
    }

    /// Learns where the streams begin; returns the sequence number of the first payload byte.
    fn note_syn(&mut self, sender: Side, segment: &Segment<'_>) -> u32 {
        if !segment.flags.syn() {
            return segment.seq;
        }
        match sender {
            Side::Client => self.client_isn.get_or_insert(segment.seq),
            Side::Origin => self.client_isn.get_or_insert(segment.ack.wrapping_sub(1)),
        };
        let first = segment.seq.wrapping_add(1);
        self.streams.begin(sender, first);
        first
    }

    /// Ends the session where everything that was sent has been handed on.
    fn conclude(&mut self, sink: &mut impl FnMut(Happening<'_>)) {
        if self.streams.is_stalled() {
            return;
        }
        if let Some(Reset { side, captured_at, .. }) = self.reset {
            self.note_one_way(sink);
            sink(Happening::Reset(side, captured_at));
            self.state = State::Ended(if side == Side::Client { Ended::ClientReset } else { Ended::OriginReset });
        } else if self.closed.client && self.closed.origin {
            self.state = State::Ended(Ended::Closed);
        }
    }

    fn note_one_way(&self, sink: &mut impl FnMut(Happening<'_>)) {
        if !self.streams.shows_origin() {
            sink(Happening::OneWay);
        }
    }

    /// When [`Session::handle_timeout`] has something to do.
    pub fn deadline(&self, limits: &Limits) -> Option<Time> {
        match self.state {
            State::Ended(_) => None,
            _ => Some(self.silent_until(limits).min(self.streams.deadline(limits).unwrap_or(Time::MAX))),
        }
    }

    fn is_closing(&self) -> bool {
        self.state == State::Opening || self.closed.client || self.closed.origin || self.reset.is_some()
    }

    fn silent_until(&self, limits: &Limits) -> Time {
        self.last_seen + if self.is_closing() { limits.closing_timeout } else { limits.idle_timeout }
    }

    /// Gives up holes whose time has come, and the session when nothing has been seen of it for too long.
    pub fn handle_timeout(&mut self, now: Time, shared: &mut Shared<'_>, sink: &mut impl FnMut(Happening<'_>)) {
        if let State::Ended(_) = self.state {
            return;
        }
        self.streams.expire(now, shared.limits, shared.ahead, &mut noting(&mut self.closed, sink));
        self.conclude(sink);
        if self.silent_until(shared.limits) <= now {
            self.end(now, if self.is_closing() { Ended::ClosingTimeout } else { Ended::Idle }, shared, sink);
        }
    }

    /// Ends the session for a cause of the box's own: what is held is handed on, with its gaps.
    pub fn end(&mut self, now: Time, cause: Ended, shared: &mut Shared<'_>, sink: &mut impl FnMut(Happening<'_>)) {
        if let State::Ended(_) = self.state {
            return;
        }
        self.streams.finish(now, shared.ahead, &mut noting(&mut self.closed, sink));
        self.conclude(sink);
        if self.ended().is_none() {
            self.note_one_way(sink);
            self.state = State::Ended(cause);
        }
    }

    /// Whether it is established and has not ended.
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// The cause of its end, once it has ended.
    pub fn ended(&self) -> Option<Ended> {
        match self.state {
            State::Ended(cause) => Some(cause),
            _ => None,
        }
    }

    /// When something was last seen of it.
    pub fn seen_at(&self) -> Time {
        self.last_seen
    }

    /// Whether something waits for bytes that are missing.
    pub fn is_stalled(&self) -> bool {
        self.streams.is_stalled()
    }

    /// Bytes held back.
    pub fn held_bytes(&self) -> usize {
        self.streams.held_bytes()
    }
}

/// The client's first sequence number that a SYN or the answer to it tells, and by how much more the answer may tell: it may
/// acknowledge data on the SYN with it (RFC 7413).
fn opened_isn(sender: Side, segment: &Segment<'_>) -> Option<(u32, u32)> {
    match (sender, segment.flags.ack()) {
        _ if !segment.flags.syn() => None,
        (Side::Client, false) => Some((segment.seq, 0)),
        (Side::Origin, true) => Some((segment.ack.wrapping_sub(1), SYN_DATA_MAX)),
        _ => None,
    }
}

/// A handshake is complete with the client's first segment after its SYN.
fn is_established_by(sender: Side, segment: &Segment<'_>) -> bool {
    sender == Side::Client && !segment.flags.syn() && !segment.flags.rst()
}

/// Passes deliveries on, noting which side closes.
fn noting<'s>(closed: &'s mut Closed, sink: &'s mut impl FnMut(Happening<'_>)) -> impl FnMut(Delivery<'_>) + 's {
    move |delivery| {
        if delivery.piece == Piece::Fin {
            match delivery.side {
                Side::Client => closed.client = true,
                Side::Origin => closed.origin = true,
            }
        }
        sink(Happening::Stream(delivery));
    }
}
