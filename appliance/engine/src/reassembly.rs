//! Reassembly: the segments of one session, as the mirror shows them, become two ordered byte streams.
//!
//! A stream counts its bytes from the first after the SYN; a FIN takes one place behind the last byte. Segments in order are
//! handed on without a copy; others are held until the bytes below them have come. Three things hold a segment back:
//!
//! - *order*: a hole below it in its own stream;
//! - *causality*: it acknowledges bytes of the other side that the mirror has not shown yet. The two directions of a mirror
//!   can overtake each other, and an answer handed on before its request would be taken for part of the one before;
//! - nothing else: a segment that is both in order and explained is handed on at once.
//!
//! What the other side acknowledges was sent. So a hole below an acknowledgement is a loss of the mirror, and is given up
//! ([`Piece::Gap`]) after a grace for directions out of order; a hole without one may yet be filled by a retransmission, and
//! is given up after a longer time, or when the bytes held above it reach their bound. Who has reset the connection sends
//! nothing again, so that its holes have the grace alone.

mod stream;

use crate::flow::Side;
use crate::limits::{Budget, Limits};
use crate::time::Time;
use stream::{Stream, Tail, Terms};

/// Farthest a sequence number may lie ahead: the largest window (RFC 7323, section 2.3).
const WINDOW_MAX: i64 = 1 << 30;

/// How far beyond what was seen of a stream a reset may lie: a window that the mirror lost.
const RESET_SLACK: i64 = 1 << 18;

/// A segment lies in another session on the same flow if it is farther than `FAR` from everything seen of one direction, and
/// farther than `NEAR` from the other: an outage of a mirror that loses as much of one session both ways leaves nothing of it to go on with.
const FAR: i64 = 1 << 24;
const NEAR: i64 = 1 << 18;

/// What is handed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// The next bytes.
    Bytes(&'a [u8]),
    /// So many bytes were sent, but not seen.
    Gap(u64),
    /// The side has closed; no byte follows.
    Fin,
}

/// A piece of one side's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery<'a> {
    /// Whose stream.
    pub side: Side,
    /// What.
    pub piece: Piece<'a>,
    /// When the segment that brought it was captured.
    pub captured_at: Time,
    /// Nothing was ever seen of this side: the mirror has one direction.
    pub one_way: bool,
}

/// A segment as reassembly sees it.
#[derive(Clone, Copy, Debug)]
pub struct Content<'a> {
    /// Who sent it.
    pub side: Side,
    /// Sequence number of the first payload byte (after a SYN: one more than the SYN's).
    pub seq: u32,
    /// The acknowledgement number, if it has one.
    pub ack: Option<u32>,
    /// The bytes.
    pub payload: &'a [u8],
    /// Whether that is a lone byte behind a long silence, as probes carry one, of no meaning, in the place of the last byte or of a
    /// FIN (RFC 9293, section 3.8.4): it counts as lost in a place that its side was seen to be beyond, and where the mirror has
    /// lost what it acknowledges, and a FIN perhaps with that.
    pub may_probe: bool,
    /// Bytes behind them that the capture cut off.
    pub missing: u32,
    /// Whether a FIN follows them.
    pub fin: bool,
    /// When it was captured.
    pub captured_at: Time,
}

/// What a segment brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Something new, handed on.
    InOrder,
    /// Something new, held back.
    Early,
    /// Nothing new.
    Duplicate,
}

/// The two streams of one session.
#[derive(Debug, Default)]
pub struct Streams {
    client: Stream,
    origin: Stream,
}

impl Streams {
    fn look_at(&self, side: Side) -> &Stream {
        match side {
            Side::Client => &self.client,
            Side::Origin => &self.origin,
        }
    }

    fn of(&mut self, side: Side) -> &mut Stream {
        match side {
            Side::Client => &mut self.client,
            Side::Origin => &mut self.origin,
        }
    }

    fn pair(&mut self, side: Side) -> (&mut Stream, &mut Stream) {
        match side {
            Side::Client => (&mut self.client, &mut self.origin),
            Side::Origin => (&mut self.origin, &mut self.client),
        }
    }

    /// Says that `side`'s first byte has the sequence number `seq`, unless that is known already.
    pub fn begin(&mut self, side: Side, seq: u32) {
        self.begin_earlier(side, seq);
        let stream = self.of(side);
        stream.base.get_or_insert(seq);
        stream.is_base_guessed = false;
        stream.seen = true;
        stream.begun = true;
    }

    /// Counts `side`'s bytes from `first` on, if they are counted from a later place by a guess. Whether that was one.
    #[cold]
    fn begin_earlier(&mut self, side: Side, first: u32) -> bool {
        let (stream, other) = self.pair(side);
        if !stream.is_base_guessed || stream.next > 0 {
            return false;
        }
        let Some(offset) = stream.offset_of(first).filter(|offset| (-NEAR..=0).contains(offset)) else { return false };
        let earlier = offset.unsigned_abs();
        stream.begin_earlier(earlier);
        let explained = other.held.values_mut().map(|held| &mut held.terms.after).filter(|after| **after > 0);
        explained.for_each(|after| *after += earlier);
        true
    }

    /// Whether a side has said nothing.
    pub fn is_untouched(&self, side: Side) -> bool {
        let stream = self.look_at(side);
        stream.next == 0 && stream.held.is_empty()
    }

    /// Whether anything of the origin was ever seen.
    pub fn shows_origin(&self) -> bool {
        self.origin.seen
    }

    /// The sequence number that `side`'s bytes are counted from, once something tells it.
    pub fn first(&self, side: Side) -> Option<u32> {
        self.look_at(side).base
    }

    /// Whether a segment of `side` with these numbers lies in another session on the same flow: one is far from its stream, and the
    /// other not near.
    pub fn is_elsewhere(&self, side: Side, seq: u32, ack: u32) -> bool {
        let (own, other) = match side {
            Side::Client => (&self.client, &self.origin),
            Side::Origin => (&self.origin, &self.client),
        };
        // Nearly all are near: what was sent last need not be looked for.
        if own.is_near_next(seq) {
            return false;
        }
        own.is_off(seq, FAR) && other.is_off(ack, NEAR) || own.is_off(seq, NEAR) && other.is_off(ack, FAR)
    }

    /// Whether a segment of `side` lies far from what is known of its stream.
    pub fn is_far(&self, side: Side, seq: u32) -> bool {
        self.look_at(side).is_off(seq, FAR)
    }

    /// Whether a reset with the sequence number `seq` can be `side`'s own: a late one of an earlier session on the same
    /// flow, or a forged one, lies elsewhere (RFC 5961, section 3.2, but for the mirror's losses).
    pub fn may_reset(&self, side: Side, seq: u32) -> bool {
        let stream = self.look_at(side);
        stream.offset_of(seq).is_none_or(|offset| offset >= -1 && offset <= stream.end() as i64 + RESET_SLACK)
    }

    /// Whether `seq` is of a byte of `side` that lies behind everything handed on, and not before `first`.
    pub fn goes_on(&self, side: Side, seq: u32, first: u32) -> bool {
        let stream = self.look_at(side);
        let lies_behind = |offset| offset >= stream.next as i64 && seq.wrapping_sub(first) as i32 >= 0;
        stream.offset_of(seq).is_some_and(lies_behind)
    }

    /// Learns that `side` has reset the connection.
    pub fn abort(&mut self, now: Time, side: Side) {
        self.of(side).abort(now);
    }

    /// Takes a segment, and hands on what has become ready. `budget` is of the bytes held in all sessions.
    pub fn handle(
        &mut self,
        now: Time,
        content: &Content<'_>,
        limits: &Limits,
        budget: &mut Budget,
        sink: &mut impl FnMut(Delivery<'_>),
    ) -> Arrival {
        let held = self.held_bytes();
        let after = self.note_ack(now, content);
        let arrival = self.place(content, after, sink);
        if held == 0 && self.client.is_calm() && self.origin.is_calm() {
            return arrival;
        }
        self.settle(now, sink);
        budget.exchange(held, self.held_bytes());
        self.relieve(now, limits, budget, sink);
        arrival
    }

    /// Learns what the segment acknowledges; returns how far the other stream must be handed on before it.
    fn note_ack(&mut self, now: Time, content: &Content<'_>) -> u64 {
        let Some(ack) = content.ack else { return 0 };
        if self.look_at(content.side.other()).is_base_guessed {
            let is_told = self.begin_earlier(content.side.other(), ack);
            self.of(content.side.other()).is_base_guessed = !is_told;
        }
        let other = self.of(content.side.other());
        other.base.get_or_insert(ack);
        let offset = other.offset_of(ack).unwrap_or(0);
        let beyond = offset - other.next as i64;
        if offset < 0 || beyond > WINDOW_MAX || other.closed && beyond > 0 {
            return 0;
        }
        other.note_sent(now, offset as u64, content.captured_at);
        offset as u64
    }

    fn place(&mut self, content: &Content<'_>, after: u64, sink: &mut impl FnMut(Delivery<'_>)) -> Arrival {
        if self.look_at(content.side).is_base_guessed && !content.payload.is_empty() && !content.may_probe {
            // Before it, too, is at least a byte.
            self.begin_earlier(content.side, content.seq.wrapping_sub(1));
        }
        let (stream, other) = self.pair(content.side);
        let tail = Tail { missing: content.missing.into(), fin: content.fin };
        if stream.base.is_none() || stream.is_misplaced(content.seq) {
            if content.payload.is_empty() && tail.span() == 0 {
                // What it acknowledges says nothing of its own stream, and the other side will tell where that begins.
                return Arrival::InOrder;
            }
            // Of a session whose beginning was seen on the other side, this side's is missing: at least a byte of it.
            stream.is_base_guessed = other.begun;
            stream.base = Some(content.seq.wrapping_sub(u32::from(other.begun)));
        }
        let Some(offset) = stream.offset_of(content.seq) else { return Arrival::Duplicate };
        let end = offset + content.payload.len() as i64 + tail.span() as i64;
        if end <= stream.next as i64 || offset - stream.next as i64 > WINDOW_MAX || stream.closed {
            return if end == offset { Arrival::InOrder } else { Arrival::Duplicate };
        }
        stream.seen = true;
        let is_probe = content.may_probe && end as u64 <= stream.used;
        // What lies far ahead has the numbers of an earlier connection, if it says nothing.
        if offset - stream.next as i64 <= FAR {
            stream.used = stream.used.max(end as u64);
        }
        let (payload, tail) = match is_probe {
            true => (&[][..], Tail { missing: tail.missing + content.payload.len() as u64, ..tail }),
            false => (content.payload, tail),
        };
        let known = (stream.next as i64 - offset).max(0) as u64;
        let bytes = payload.get(known as usize..).unwrap_or_default();
        let tail = tail.behind(known.saturating_sub(payload.len() as u64));
        let offset = (offset + known as i64) as u64;
        if offset <= stream.next && stream.held.is_empty() && after <= other.next {
            stream.hand_on(content.side, bytes, tail, content.captured_at, sink);
            return Arrival::InOrder;
        }
        let arrival = if offset <= stream.next && after <= other.next { Arrival::InOrder } else { Arrival::Early };
        let unless_lost = content.may_probe.then_some(other.lost).filter(|_| after > other.next);
        stream.hold(offset, bytes, tail, Terms { after, unless_lost, captured_at: content.captured_at });
        arrival
    }

    /// Hands on, in turn, whatever of the two streams is ready; then notes since when each waits.
    fn settle(&mut self, now: Time, sink: &mut impl FnMut(Delivery<'_>)) {
        while self.drain(Side::Client, sink) | self.drain(Side::Origin, sink) {}
        self.client.note_stall(now);
        self.origin.note_stall(now);
    }

    fn drain(&mut self, side: Side, sink: &mut impl FnMut(Delivery<'_>)) -> bool {
        let (stream, other) = self.pair(side);
        let mut moved = false;
        while let Some((offset, held)) = stream.take_ready(other.next) {
            let held = if held.terms.is_void(other.lost) { held.unread() } else { held };
            let known = (stream.next - offset).min(held.span());
            let bytes = held.bytes.get(known as usize..).unwrap_or_default();
            let tail = held.tail.behind(known.saturating_sub(held.bytes.len() as u64));
            stream.hand_on(side, bytes, tail, held.terms.captured_at, sink);
            moved = true;
        }
        moved
    }

    /// Gives holes up at once where a bound is passed, or where the mirror does not show the direction at all.
    fn relieve(&mut self, now: Time, limits: &Limits, budget: &mut Budget, sink: &mut impl FnMut(Delivery<'_>)) {
        loop {
            let held = self.held_bytes();
            let over = self.largest_held() > limits.stream_ahead_bytes || (held > 0 && budget.is_over());
            let moved = self.give_up(now, |stream| over || stream.is_one_way(), |_| over, sink);
            budget.exchange(held, self.held_bytes());
            if !moved {
                return;
            }
        }
    }

    fn largest_held(&self) -> usize {
        self.client.held_bytes.max(self.origin.held_bytes)
    }

    /// When [`Streams::expire`] has something to do.
    pub fn deadline(&self, limits: &Limits) -> Option<Time> {
        let origin = self.origin.patience(limits).filter(|_| !self.is_behind_clients_hole());
        [self.client.patience(limits), origin].into_iter().flatten().min()
    }

    /// Whether the client said something, behind a hole of its own, before it had got what is next of the origin: that comes first,
    /// or nobody could tell which requests the origin's lost bytes answered.
    fn is_behind_clients_hole(&self) -> bool {
        self.client.waits_for_own(self.origin.next)
    }

    /// Gives up the holes whose time has come.
    pub fn expire(&mut self, now: Time, limits: &Limits, budget: &mut Budget, sink: &mut impl FnMut(Delivery<'_>)) {
        let held = self.held_bytes();
        let due = |stream: &Stream| stream.patience(limits).is_some_and(|until| until <= now);
        while self.give_up(now, due, due, sink) {}
        budget.exchange(held, self.held_bytes());
    }

    /// Gives up every hole, in turn: nothing more will come.
    pub fn finish(&mut self, now: Time, budget: &mut Budget, sink: &mut impl FnMut(Delivery<'_>)) {
        let held = self.held_bytes();
        while self.give_up(now, |_| true, |_| true, sink) {}
        budget.exchange(held, self.held_bytes());
    }

    /// Gives up one hole of a stream for which `hole_due` says so; where there is none, the causality of one held segment
    /// (two sides that acknowledge what neither has sent can only be a forgery, and must not hold memory for ever).
    fn give_up(
        &mut self,
        now: Time,
        hole_due: impl Fn(&Stream) -> bool,
        causality_due: impl Fn(&Stream) -> bool,
        sink: &mut impl FnMut(Delivery<'_>),
    ) -> bool {
        for side in [Side::Client, Side::Origin] {
            let (stream, other) = self.pair(side);
            let Some(hole_end) = stream.hole_end().filter(|_| hole_due(stream)) else { continue };
            if side == Side::Origin && other.waits_for_own(stream.next) {
                return false;
            }
            // What the other side said when it had got a part of the lost bytes lies between that part and the rest.
            let end = other.explained_by(stream.next).map_or(hole_end, |part| part.min(hole_end));
            let captured_at = stream.held.first_key_value().map_or(stream.acked_at, |(_, held)| held.terms.captured_at);
            let lost = end - stream.next;
            let one_way = !stream.seen;
            stream.next = end;
            stream.stalled_at = end;
            stream.holes += u32::from(end == hole_end);
            stream.lost += lost;
            sink(Delivery { side, piece: Piece::Gap(lost), captured_at, one_way });
            self.settle(now, sink);
            return true;
        }
        for side in [Side::Client, Side::Origin] {
            let stream = self.of(side);
            if causality_due(stream) && stream.release_first() {
                self.settle(now, sink);
                return true;
            }
        }
        false
    }

    /// Whether something is held, or known to be missing.
    pub fn is_stalled(&self) -> bool {
        self.client.stalled_since.is_some() || self.origin.stalled_since.is_some()
    }

    /// Bytes held back, with what it takes to hold them.
    pub fn held_bytes(&self) -> usize {
        self.client.held_bytes + self.origin.held_bytes
    }
}
