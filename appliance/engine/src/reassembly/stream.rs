//! One side's stream: what of it was handed on, what is held back, what is known to be missing, and for how long it waits.

use super::{Delivery, FAR, NEAR, Piece};
use crate::flow::Side;
use crate::limits::Limits;
use crate::time::Time;
use std::collections::BTreeMap;

/// Holes after which a direction that never showed a byte is taken for one that the mirror does not have.
const ONE_WAY_HOLES: u32 = 2;

/// A piece held back.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) bytes: Vec<u8>,
    pub(super) tail: Tail,
    pub(super) terms: Terms,
}

/// On what terms a piece is handed on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// How far the other stream must have been handed on before this may be.
    pub(super) after: u64,
    /// What the other stream had lost before, where the piece means nothing if that has lost more by then.
    pub(super) unless_lost: Option<u64>,
    pub(super) captured_at: Time,
}

impl Terms {
    pub(super) fn is_void(&self, lost: u64) -> bool {
        self.unless_lost.is_some_and(|before| before != lost)
    }
}

impl Held {
    /// What it takes of the bounds: its bytes, and its place in the map.
    fn cost(&self) -> usize {
        self.bytes.len() + size_of::<(u64, Self)>()
    }

    pub(super) fn span(&self) -> u64 {
        self.bytes.len() as u64 + self.tail.span()
    }

    /// The same, with lost bytes in the place of those it has.
    pub(super) fn unread(self) -> Self {
        let tail = Tail { missing: self.tail.missing + self.bytes.len() as u64, ..self.tail };
        Self { bytes: Vec::new(), tail, ..self }
    }
}

/// What follows the bytes of a segment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tail {
    /// Bytes that the capture cut off: lost, and known to be.
    pub(super) missing: u64,
    pub(super) fin: bool,
}

impl Tail {
    /// The tail without its first `known` places.
    pub(super) fn behind(self, known: u64) -> Self {
        Self { missing: self.missing.saturating_sub(known), fin: self.fin && known < self.span() }
    }

    pub(super) fn span(self) -> u64 {
        self.missing + u64::from(self.fin)
    }
}

/// The stream.
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// Sequence number of offset 0, once known.
    pub(super) base: Option<u32>,
    /// Whether that is a guess: one before the first byte that was shown.
    pub(super) is_base_guessed: bool,
    /// Handed on up to here.
    pub(super) next: u64,
    /// Acknowledged by the other side up to here.
    pub(super) acked: u64,
    pub(super) held: BTreeMap<u64, Held>,
    pub(super) held_bytes: usize,
    /// When that was captured.
    pub(super) acked_at: Time,
    /// When the present hole was first known to be one.
    pub(super) proven_at: Time,
    /// Since when something held or acknowledged waits for bytes that are missing, and where.
    pub(super) stalled_since: Option<Time>,
    pub(super) stalled_at: u64,
    /// Whether its beginning was seen.
    pub(super) begun: bool,
    /// Whether anything was ever seen.
    pub(super) seen: bool,
    /// Its FIN was handed on: nothing follows it.
    pub(super) closed: bool,
    /// Its side has reset the connection: nothing of it is sent again.
    aborted: bool,
    pub(super) holes: u32,
    /// Up to where its side was seen to have sent, by its own numbers.
    pub(super) used: u64,
    /// Bytes, and the place of a FIN, that were given up.
    pub(super) lost: u64,
}

impl Stream {
    pub(super) fn offset_of(&self, seq: u32) -> Option<i64> {
        let near = self.base?.wrapping_add(self.next as u32);
        Some(self.next as i64 + i64::from(seq.wrapping_sub(near) as i32))
    }

    /// Counts its bytes from so many before the first that they are counted from.
    pub(super) fn begin_earlier(&mut self, earlier: u64) {
        self.base = self.base.map(|base| base.wrapping_sub(earlier as u32));
        self.held =
            core::mem::take(&mut self.held).into_iter().map(|(offset, held)| (offset + earlier, held)).collect();
        for known in [&mut self.acked, &mut self.used].into_iter().filter(|known| **known > 0) {
            *known += earlier;
        }
    }

    /// Up to where anything is known to have been sent.
    pub(super) fn end(&self) -> u64 {
        self.held.last_key_value().map_or(self.next, |(offset, held)| offset + held.span()).max(self.acked)
    }

    /// Whether `seq` lies so near to what comes next that it is not off, however small the slack may be.
    pub(super) fn is_near_next(&self, seq: u32) -> bool {
        self.offset_of(seq).is_none_or(|offset| offset.abs_diff(self.next as i64) <= NEAR as u64)
    }

    /// Whether `seq` lies farther than `slack` from everything seen of the stream; not before anything is known of it.
    pub(super) fn is_off(&self, seq: u32, slack: i64) -> bool {
        let lies_off = |offset| offset < self.next as i64 - slack || offset > self.end() as i64 + slack;
        self.offset_of(seq).is_some_and(lies_off)
    }

    /// Whether the stream itself lies far from where an acknowledgement has put it, of which nothing was seen: that one was forged,
    /// or of another session.
    pub(super) fn is_misplaced(&self, seq: u32) -> bool {
        let is_told_of = !self.seen && self.next == 0 && self.acked == 0 && self.held.is_empty();
        is_told_of && self.is_off(seq, FAR)
    }

    /// Learns that it was sent up to `offset`.
    pub(super) fn note_sent(&mut self, now: Time, offset: u64, captured_at: Time) {
        if offset <= self.acked {
            return;
        }
        if self.acked <= self.next {
            self.proven_at = now;
        }
        (self.acked, self.acked_at) = (offset, captured_at);
    }

    /// Learns that its side sends nothing again.
    pub(super) fn abort(&mut self, now: Time) {
        if self.acked <= self.next {
            self.proven_at = now;
        }
        self.aborted = true;
    }

    pub(super) fn is_one_way(&self) -> bool {
        !self.seen && self.holes >= ONE_WAY_HOLES
    }

    /// The end of the hole at `next`: the first byte held, or what is acknowledged, whichever comes first.
    pub(super) fn hole_end(&self) -> Option<u64> {
        let held = self.held.first_key_value().map(|(offset, _)| *offset);
        let acked = (self.acked > self.next).then_some(self.acked);
        match (held, acked) {
            (Some(held), Some(acked)) => Some(held.min(acked)),
            (one, other) => one.or(other),
        }
        .filter(|end| *end > self.next)
    }

    /// Holds what is not yet held of `bytes` at `offset`. Where segments overlap, the bytes that came first are kept, as
    /// most receivers do.
    pub(super) fn hold(&mut self, mut offset: u64, mut bytes: &[u8], tail: Tail, terms: Terms) {
        let end = offset + bytes.len() as u64;
        if let Some((start, below)) = self.held.range(..offset).next_back() {
            let covered = (start + below.span()).clamp(offset, end);
            bytes = &bytes[(covered - offset) as usize..];
            offset = covered;
        }
        while offset < end {
            let above = self.held.range(offset..end).next().map(|(start, held)| (*start, *start + held.span()));
            let (start, resume) = above.unwrap_or((end, end));
            let run = (start - offset) as usize;
            if run > 0 {
                self.insert(offset, Held { bytes: bytes[..run].to_vec(), tail: Tail::default(), terms });
            }
            let resume = resume.min(end);
            bytes = &bytes[(resume - offset) as usize..];
            offset = resume;
        }
        if tail.span() > 0 && !self.held.contains_key(&end) {
            self.insert(end, Held { bytes: Vec::new(), tail, terms });
        }
    }

    fn insert(&mut self, offset: u64, held: Held) {
        self.held_bytes += held.cost();
        self.held.insert(offset, held);
    }

    /// Lets the first held piece go without what it acknowledges, which counts as lost. Whether there was one.
    pub(super) fn release_first(&mut self) -> bool {
        let Some(mut first) = self.held.first_entry() else { return false };
        let terms = &mut first.get_mut().terms;
        terms.after = 0;
        terms.unless_lost = terms.unless_lost.map(|_| u64::MAX);
        true
    }

    /// The FIN is handed on: what is held or acknowledged beyond it was never of this stream.
    fn close(&mut self) {
        self.closed = true;
        self.held.clear();
        self.held_bytes = 0;
        self.acked = self.acked.min(self.next);
    }

    /// Whether it waits for nothing, and did not.
    pub(super) fn is_calm(&self) -> bool {
        self.stalled_since.is_none() && self.acked <= self.next && self.held.is_empty()
    }

    /// Notes since when the stream, handed on up to `next`, has been waiting.
    pub(super) fn note_stall(&mut self, now: Time) {
        let waits = self.acked > self.next || !self.held.is_empty();
        let goes_on = self.stalled_since.is_some() && self.stalled_at == self.next;
        if !(waits && goes_on) {
            self.stalled_since = waits.then_some(now);
        }
        self.stalled_at = self.next;
    }

    /// Until when it may wait.
    pub(super) fn patience(&self, limits: &Limits) -> Option<Time> {
        let since = self.stalled_since?;
        Some(match (self.acked > self.next || self.aborted) && self.hole_end().is_some() {
            true => since.max(self.proven_at) + limits.gap_grace,
            false => since + limits.hole_timeout,
        })
    }

    /// Up to where the other stream must be handed on, beyond `other_next`, before the first held piece may be; `None` where it
    /// waits for nothing else.
    pub(super) fn explained_by(&self, other_next: u64) -> Option<u64> {
        let (_, first) = self.held.first_key_value()?;
        (first.terms.after > other_next).then_some(first.terms.after)
    }

    /// Whether the first held piece waits for bytes of its own stream alone.
    pub(super) fn waits_for_own(&self, other_next: u64) -> bool {
        self.held
            .first_key_value()
            .is_some_and(|(offset, first)| *offset > self.next && first.terms.after <= other_next)
    }

    /// Takes the first held piece if it is in order and explained.
    pub(super) fn take_ready(&mut self, other_next: u64) -> Option<(u64, Held)> {
        let first = self.held.first_entry()?;
        if *first.key() > self.next || first.get().terms.after > other_next {
            return None;
        }
        let (offset, held) = first.remove_entry();
        self.held_bytes -= held.cost();
        Some((offset, held))
    }
    /// Hands on what follows.
    pub(super) fn hand_on(
        &mut self,
        side: Side,
        bytes: &[u8],
        tail: Tail,
        captured_at: Time,
        sink: &mut impl FnMut(Delivery<'_>),
    ) {
        if !bytes.is_empty() {
            self.next += bytes.len() as u64;
            sink(Delivery { side, piece: Piece::Bytes(bytes), captured_at, one_way: false });
        }
        if tail.missing > 0 {
            self.next += tail.missing;
            sink(Delivery { side, piece: Piece::Gap(tail.missing), captured_at, one_way: false });
        }
        if tail.fin {
            self.next += 1;
            self.close();
            sink(Delivery { side, piece: Piece::Fin, captured_at, one_way: false });
        }
    }
}
