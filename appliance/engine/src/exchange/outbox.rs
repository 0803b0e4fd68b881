//! The outbox: request bytes on their way to the target, cut into units, each with the condition of its release.
//!
//! A unit is one request or turn. Its bytes stay until the target has begun to answer it, so that a request which a closing
//! connection swallowed can be sent again on the next; only units longer than what is held whole are given up as they go.

use crate::books::Spare;
use crate::limits::Budget;
use crate::time::Time;
use core::time::Duration;
use std::borrow::Cow;
use std::collections::VecDeque;

/// The client's pauses before something that it did, in production's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Think {
    /// Since the origin spoke last: kept after the target's answer.
    pub since_answer: Option<Duration>,
    /// Since the client itself spoke last, or connected, if that was later: kept after what the replay sent last.
    pub since_client: Option<Duration>,
}

/// When something may be released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gate {
    /// Every exchange below this number must be settled on the target's side.
    pub after: u64,
    /// Of interleaved answers: as many exchanges, whichever, must be settled on the target's side.
    pub answered: u64,
    /// The client's think time.
    pub think: Think,
    /// When the box saw it, in the replay's clock: how far behind production the replay is.
    pub seen_at: Time,
}

impl Gate {
    /// Whether it waits for answers.
    fn waits(&self) -> bool {
        self.after > 0 || self.answered > 0
    }
}

/// One request or turn, or an aside of the client.
#[derive(Debug)]
pub struct Unit {
    /// Number of its exchange; an aside has none.
    pub exchange: Option<u64>,
    /// The exchange that the client gives up with this aside.
    pub cancels: Option<u64>,
    /// When it may be released.
    pub gate: Gate,
    /// Where it begins in the stream of all bytes that ever were in the outbox.
    pub start: u64,
    /// Where it ends, once all of it is there.
    pub end: Option<u64>,
    /// Whether it may be sent before all of it is there.
    pub streamed: bool,
    /// Whether it ends within what the protocol sends in one piece, and the next unit goes on there.
    joined: bool,
    /// It is not decided yet whether, or in which words, it is sent.
    withheld: bool,
    /// When it could have been sent as far as the client's side is concerned, in the replay's clock.
    pub ready_at: Time,
}

impl Unit {
    /// Whether its first byte may be sent, as far as the client's side is concerned.
    pub fn is_sendable(&self) -> bool {
        !self.withheld && (self.streamed || self.end.is_some())
    }
}

/// How the client's stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// The client closed.
    Fin,
    /// The connection was reset.
    Reset,
}

/// Bytes, units and the end.
#[derive(Debug, Default)]
pub struct Outbox {
    bytes: VecDeque<u8>,
    /// Position of the first byte held.
    base: u64,
    /// Position up to which bytes were sent on the present connection.
    sent: u64,
    units: VecDeque<Unit>,
    /// Units at the front that were sent whole.
    sent_units: usize,
    /// Whether the unit that was sent last is joined to the next one.
    joined: bool,
    /// Asides that go in front of the next unit that waits for answers.
    ahead: VecDeque<u8>,
    farewell: Option<Box<(Farewell, Gate)>>,
}

impl Outbox {
    /// Nothing is in it.
    pub const fn new() -> Self {
        Self {
            bytes: VecDeque::new(),
            base: 0,
            sent: 0,
            units: VecDeque::new(),
            sent_units: 0,
            joined: false,
            ahead: VecDeque::new(),
            farewell: None,
        }
    }

    fn end(&self) -> u64 {
        self.base + self.bytes.len() as u64
    }

    /// Begins a unit; an aside has no exchange.
    pub fn begin(&mut self, exchange: Option<u64>, gate: Gate, streamed: bool) {
        if self.units.is_empty() {
            // Most sessions never have two at a time.
            self.units.reserve_exact(1);
        }
        self.units.push_back(Unit {
            exchange,
            cancels: None,
            gate,
            start: self.end(),
            end: None,
            streamed,
            joined: false,
            withheld: false,
            ready_at: gate.seen_at,
        });
    }

    /// Has room for bytes from now on, if it had none.
    pub fn take_room(&mut self, spare: &mut Spare) {
        if self.bytes.capacity() == 0 {
            self.bytes = spare.take().into();
        }
    }

    /// Adds bytes to the last unit, from where on it is streamed if it is longer than `held`.
    pub fn push(&mut self, bytes: &[u8], now: Time, held: usize, budget: &mut Budget) {
        budget.exchange(0, bytes.len());
        self.bytes.extend(bytes);
        let end = self.end();
        if let Some(unit) = self.units.back_mut().filter(|unit| !unit.streamed) {
            unit.ready_at = now;
            unit.streamed = end - unit.start > held as u64;
        }
    }

    /// The last unit may be sent though it is not whole.
    pub fn stream(&mut self, now: Time) {
        if let Some(unit) = self.units.back_mut().filter(|unit| !unit.streamed) {
            unit.streamed = true;
            unit.ready_at = now;
        }
    }

    /// The last unit is not sent before it is [approved](Outbox::approve).
    pub fn withhold(&mut self) {
        if let Some(unit) = self.units.back_mut() {
            unit.withheld = true;
        }
    }

    /// Whether the last unit still is to be approved.
    pub fn is_withheld(&self) -> bool {
        self.units.back().is_some_and(|unit| unit.withheld)
    }

    /// The last unit may be sent: as it is, or with `words` in place of its bytes so far.
    pub fn approve(&mut self, words: Option<&[u8]>, budget: &mut Budget) {
        let Some(unit) = self.units.back_mut().filter(|unit| unit.withheld) else { return };
        unit.withheld = false;
        if let Some(words) = words {
            let before = self.bytes.len();
            self.bytes.truncate((unit.start - self.base) as usize);
            self.bytes.extend(words);
            budget.exchange(before, self.bytes.len());
        }
    }

    /// Bytes that would be held with `words` in place of the last unit's bytes so far.
    pub fn len_approved(&self, words: &[u8]) -> usize {
        let before = self.units.back().map_or(self.bytes.len(), |unit| (unit.start - self.base) as usize);
        before + words.len() + self.ahead.len()
    }

    /// Whether the last unit is held until it is whole.
    pub fn is_holding(&self) -> bool {
        self.units.back().is_some_and(|unit| unit.end.is_none() && !unit.streamed)
    }

    /// Since when the next unit could be sent, were it not for the target; `None` where it cannot be, or is being sent.
    pub fn ready_since(&self) -> Option<Time> {
        let unit = self.next_unit().filter(|unit| unit.is_sendable())?;
        (self.sent <= unit.start).then_some(unit.ready_at)
    }

    /// The last unit is whole; `joined`: as [`Unit::joined`].
    pub fn finish(&mut self, joined: bool) {
        let end = self.end();
        if let Some(unit) = self.units.back_mut() {
            unit.end.get_or_insert(end);
            unit.joined = joined;
        }
    }

    /// The last unit, a whole aside, goes ahead of what waits for answers.
    pub fn overtake(&mut self) {
        let Some(index) = self.units.len().checked_sub(1).filter(|index| *index > self.sent_units) else { return };
        let is_joined = self.units[index - 1].joined;
        if is_joined || !self.units.range(self.sent_units..index).rev().any(|unit| unit.gate.waits()) {
            return;
        }
        if let Some(unit) = self.units.pop_back() {
            self.ahead.extend(self.bytes.drain((unit.start - self.base) as usize..));
        }
    }

    /// Whether asides that overtake are to be sent before the next unit.
    pub fn has_ahead(&self) -> bool {
        let waits = self.next_unit().is_none_or(|unit| unit.gate.waits());
        !self.ahead.is_empty() && waits && !self.joined && !self.is_within_unit()
    }

    /// Hands the asides that overtake to `write`, as [`Outbox::send`].
    pub fn send_ahead(&mut self, budget: &mut Budget, write: impl FnOnce(&[u8]) -> usize) {
        let taken = write(self.ahead.make_contiguous());
        self.ahead.drain(..taken);
        budget.exchange(taken, 0);
    }

    /// What overtakes is not sent any more.
    pub fn drop_ahead(&mut self, budget: &mut Budget) {
        budget.exchange(core::mem::take(&mut self.ahead).len(), 0);
    }

    /// The last unit waits for this.
    pub fn hold(&mut self, gate: Gate) {
        if let Some(unit) = self.units.back_mut() {
            unit.gate = gate;
        }
    }

    /// The last unit, an aside, gives up this exchange.
    pub fn cancel(&mut self, exchange: u64) {
        if let Some(unit) = self.units.back_mut() {
            unit.cancels = Some(exchange);
        }
    }

    /// The first bytes of the last unit, at most `len`, as long as they are held.
    pub fn last_start(&self, len: usize) -> Option<Cow<'_, [u8]>> {
        let from = self.units.back()?.start.checked_sub(self.base)? as usize;
        let (front, back) = self.bytes.as_slices();
        Some(match from.checked_sub(front.len()) {
            Some(from) => Cow::Borrowed(&back[from..back.len().min(from + len)]),
            None if back.is_empty() || front.len() - from >= len => {
                Cow::Borrowed(&front[from..front.len().min(from + len)])
            }
            None => self.bytes.range(from..).take(len).copied().collect(),
        })
    }

    /// Takes the last unit, which is not whole, out. Whether bytes of it were sent already.
    pub fn cancel_last(&mut self, budget: &mut Budget) -> bool {
        let Some(unit) = self.units.pop_back() else { return false };
        let was_sent = self.sent > unit.start;
        self.sent_units = self.sent_units.min(self.units.len());
        let keep = unit.start.saturating_sub(self.base) as usize;
        budget.exchange(self.bytes.len(), keep.min(self.bytes.len()));
        self.bytes.truncate(keep);
        self.sent = self.sent.min(self.end());
        was_sent
    }

    /// The client says nothing more; one that has closed may still reset.
    pub fn close(&mut self, farewell: Farewell, gate: Gate) {
        let before = self.farewell.as_deref().map(|(before, _)| *before);
        let is_news = before.is_none_or(|before| before == Farewell::Fin && farewell == Farewell::Reset);
        if is_news {
            self.farewell = Some(Box::new((farewell, gate)));
        }
    }

    /// The next unit to send.
    pub fn next_unit(&self) -> Option<&Unit> {
        self.units.get(self.sent_units)
    }

    /// The next unit, of which nothing was sent on this connection, has `name` in the place of its bytes from `at` on.
    pub fn rename_next(&mut self, at: usize, name: [u8; 4]) {
        let Some(start) = self.next_unit().and_then(|unit| unit.start.checked_sub(self.base)) else { return };
        let end = (start as usize + at + name.len()).min(self.bytes.len());
        for (byte, named) in self.bytes.range_mut((start as usize + at).min(end)..end).zip(name) {
            *byte = named;
        }
    }

    /// How the stream ends, once every unit was sent.
    pub fn farewell(&self) -> Option<(Farewell, Gate)> {
        self.farewell.as_deref().copied().filter(|_| self.next_unit().is_none())
    }

    /// Whether the stream's end is known.
    pub fn is_closed(&self) -> bool {
        self.farewell.is_some()
    }

    /// Whether a unit was begun on the connection and is not sent whole.
    pub fn is_within_unit(&self) -> bool {
        self.next_unit().is_some_and(|unit| self.sent > unit.start)
    }

    /// Hands the bytes of the next unit that may be sent now to `write`, which says how many it took; then whether the
    /// unit is sent whole.
    pub fn send(&mut self, budget: &mut Budget, mut write: impl FnMut(&[u8]) -> usize) -> bool {
        let Some(unit) = self.units.get(self.sent_units) else { return false };
        let limit = unit.end.unwrap_or(self.end());
        let streamed = unit.streamed;
        while self.sent < limit {
            let skip = (self.sent - self.base) as usize;
            let (front, back) = self.bytes.as_slices();
            let run = if skip < front.len() { &front[skip..] } else { &back[skip - front.len()..] };
            let run = &run[..run.len().min((limit - self.sent) as usize)];
            let taken = write(run);
            self.sent += taken as u64;
            if taken < run.len() {
                break;
            }
        }
        let whole = unit.end == Some(self.sent);
        self.joined = whole && unit.joined;
        let is_aside = unit.exchange.is_none();
        match whole {
            // Nothing is kept for an aside: what it belongs to cannot be sent again.
            true if is_aside => drop(self.units.remove(self.sent_units)),
            _ => self.sent_units += usize::from(whole),
        }
        if streamed || (whole && is_aside) {
            self.release_to(self.sent, budget);
        }
        whole
    }

    /// Forgets the units of exchanges below `exchange`: the target has begun to answer them, or never will.
    pub fn forget_below(&mut self, exchange: u64, budget: &mut Budget) {
        while self.sent_units > 0 && self.units.front().is_some_and(|unit| unit.exchange.is_none_or(|id| id < exchange))
        {
            self.units.pop_front();
            self.sent_units -= 1;
        }
        let keep = self.units.front().map_or(self.sent, |unit| unit.start.min(self.sent));
        self.release_to(keep, budget);
    }

    fn release_to(&mut self, position: u64, budget: &mut Budget) {
        let count = position.saturating_sub(self.base) as usize;
        budget.exchange(self.bytes.len(), self.bytes.len() - count);
        self.bytes.drain(..count);
        self.base += count as u64;
        if self.bytes.is_empty() && self.bytes.capacity() > 4096 {
            self.bytes = VecDeque::new();
        }
    }

    /// The connection is gone: goes back to the first unit from `exchange` on, where its bytes are still held. Returns
    /// the exchange at which sending goes on, or `None` where nothing can be sent again.
    pub fn rewind(&mut self, exchange: u64) -> Option<u64> {
        let index = self.units.iter().position(|unit| unit.exchange >= Some(exchange) && unit.start >= self.base)?;
        self.sent_units = self.sent_units.min(index);
        self.sent = self.sent.min(self.units[index].start);
        self.units[index].exchange
    }

    /// Takes the first unsent unit out, with its bytes. Its exchange, and whether it was whole.
    pub fn drop_next(&mut self, budget: &mut Budget) -> Option<(Option<u64>, bool)> {
        let unit = self.units.remove(self.sent_units)?;
        let end = unit.end.unwrap_or(self.end());
        let (from, to) = ((unit.start.max(self.base) - self.base) as usize, (end - self.base) as usize);
        budget.exchange(self.bytes.len(), self.bytes.len() - (to - from));
        self.bytes.drain(from..to);
        let cut = (to - from) as u64;
        for later in self.units.iter_mut().skip(self.sent_units) {
            later.start -= cut;
            later.end = later.end.map(|end| end - cut);
        }
        self.sent = self.sent.min(self.base + from as u64);
        Some((unit.exchange, unit.end.is_some()))
    }

    /// Unsent bytes that may be sent as far as the client's side is concerned.
    pub fn ready_bytes(&self) -> u64 {
        let is_held = |unit: &&Unit| !unit.is_sendable();
        let end = self.units.back().filter(is_held).map_or(self.end(), |unit| unit.start);
        end.saturating_sub(self.sent) + self.ahead.len() as u64
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.units.is_empty() && self.len() == 0
    }

    /// Units that it has room for.
    pub fn units_room(&self) -> usize {
        self.units.capacity()
    }

    /// Gives back the room of bytes, of which there are none. Whether it then is like a new one.
    pub fn rest(&mut self, spare: &mut Spare) -> bool {
        self.ahead = VecDeque::new();
        spare.give(core::mem::take(&mut self.bytes).into());
        let is_blank = self.farewell.is_none() && !self.joined && self.sent == self.base;
        if is_blank {
            // No unit is left that would know its place.
            (self.base, self.sent) = (0, 0);
        }
        is_blank
    }

    /// Bytes held.
    pub fn len(&self) -> usize {
        self.bytes.len() + self.ahead.len()
    }
}
