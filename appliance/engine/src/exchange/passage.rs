//! Gates: whether what waits behind one may go, as far as the target's answers are concerned.
//!
//! With a framer that is plain. Without one, here is where the answer to a turn is found to be whole: it is the origin's very
//! bytes, or has fallen quiet, or its time is up. Every wait has an end: what never falls quiet is a stream.

use super::outbox::Gate;
use super::{Alignment, Exchanges, Framing, Stage};
use crate::books::Books;
use crate::ledger::NotReplayed;
use crate::time::Time;

/// Whether a gate lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// As far as the exchanges are concerned, now.
    Open,
    /// Not before the target says more, or this time has come.
    Shut(Option<Time>),
}

impl Exchanges {
    /// Whether what waits behind `gate` may go. Without a framer, this is where a turn's answer is found to be whole.
    pub fn passage(&mut self, gate: &Gate, now: Time, books: &mut Books) -> Passage {
        let turns_from = self.turns_from_now();
        if self.target_at < gate.after.min(turns_from) || self.target_done < gate.answered {
            return Passage::Shut(None);
        }
        match gate.after.checked_sub(1).filter(|turn| *turn >= turns_from) {
            Some(turn) => self.turn_passage(turn, gate.seen_at, now, books),
            None if turns_from < u64::MAX => self.greeting_passage(gate.seen_at, now, books),
            None => self.handshake_passage(now, books),
        }
    }

    /// A framer knows when the greeting is whole. Nothing overtakes a handshake.
    fn handshake_passage(&mut self, now: Time, books: &mut Books) -> Passage {
        if self.is_within_handshake() {
            return Passage::Shut(None);
        }
        let until = self.connected_at + books.limits.answer_timeout;
        let is_awaited = self.target_framer(books).is_some_and(|framer| framer.awaits_greeting());
        if is_awaited && now < until { Passage::Shut(Some(until)) } else { Passage::Open }
    }

    fn is_within_handshake(&self) -> bool {
        let next = self.outbox.next_unit().and_then(|unit| unit.exchange).unwrap_or(self.target_at);
        (self.target_at..next).any(|id| self.get(id).is_some_and(|exchange| exchange.expect.handshake))
    }

    /// Whether what is next depends on how the target answers what went before, so that it cannot be sent at once.
    pub fn is_handshaking(&mut self, books: &mut Books) -> bool {
        let next = self.outbox.next_unit().and_then(|unit| self.get(unit.exchange?)).map(|exchange| exchange.expect);
        next.is_some_and(|expect| expect.handshake || expect.asked)
            || self.is_within_handshake()
            || self.target_framer(books).is_some_and(|framer| framer.awaits_greeting())
    }

    /// A greeting of another length than the origin's is over when it falls quiet, or turns out to be a stream; which bytes
    /// answer which turn is no longer certain then.
    fn greeting_passage(&mut self, seen_at: Time, now: Time, books: &Books) -> Passage {
        let Greeted { origin, target, last_at } = self.greeted();
        if target == origin || self.turn_sent.is_some() {
            return Passage::Open;
        }
        let since = self.target_moved_at.max(seen_at);
        let until = match target {
            0 => last_at + books.limits.answer_timeout,
            _ if target < origin => (last_at + books.limits.quiet).min(since + books.limits.answer_timeout),
            _ => (last_at + books.limits.quiet).min(since + books.limits.streaming),
        };
        if now < until {
            return Passage::Shut(Some(until));
        }
        self.aligned = false;
        self.surplus += target as i64 - origin as i64;
        Passage::Open
    }

    fn greeted(&self) -> Greeted {
        let last_at = self.greeting.target_last_at.max(self.target_moved_at);
        Greeted { origin: self.greeting.origin, target: self.greeting.target, last_at }
    }

    /// Ends the answer to turn `id`: it begins as the origin's and is as long, or has fallen quiet, or its time is up. The
    /// client went on at `seen_at`.
    fn turn_passage(&mut self, id: u64, seen_at: Time, now: Time, books: &mut Books) -> Passage {
        let (limits, silent, aligned, surplus) = (books.limits, self.target_silent, self.aligned, self.surplus);
        let Some(exchange) = self.get_mut(id).filter(|exchange| !exchange.is_target_done()) else {
            return Passage::Open;
        };
        let (have, want) = (exchange.target.wire_bytes, exchange.origin.wire_bytes);
        let Stage::Sent(sent_at) = exchange.stage else { return Passage::Shut(None) };
        // Bytes that differ may be late ones of the turn before, with more to follow.
        let is_certain = have == want && exchange.target.body == exchange.origin.body;
        let is_quiet = now >= exchange.target.last_at + limits.quiet;
        // What the origin pushed after this turn, the target may have pushed before it.
        let is_paid = have == 0 && want > 0 && surplus >= want as i64;
        if !is_certain {
            let too_late = sent_at.max(exchange.origin_done_at.unwrap_or(sent_at)) + limits.answer_timeout;
            let time_up = match have {
                // A turn cut too early is answered with a later one only: it need not be waited for in full each time.
                0 if silent || is_paid => sent_at + limits.quiet,
                0 => too_late,
                // A stream that never falls quiet would hold up for ever what can no longer be told apart anyway.
                _ if !aligned => sent_at.max(seen_at + limits.lag),
                _ if have < want => too_late,
                _ => too_late.min(*exchange.target_enough_at.get_or_insert(now) + limits.streaming),
            };
            let until = if have > 0 { time_up.min(exchange.target.last_at + limits.quiet) } else { time_up };
            if now < until {
                return Passage::Shut(Some(until));
            }
        }
        // Only the client's own close lets a turn pass that the origin may not have answered to the end.
        if have > 0 && !exchange.origin.is_final() {
            return Passage::Open;
        }
        // The answer was there when its last byte came, though only now is it known to be whole.
        let whole_at = if have > 0 { exchange.target.last_at } else { now };
        self.align(id, have == want && (is_certain || is_quiet));
        self.surplus += have as i64 - want as i64;
        match have {
            0 if want > 0 && !is_paid => {
                self.target_silent = true;
                self.lose(id, NotReplayed::TargetTimeout, books);
            }
            _ => self.finish_target(id, whole_at),
        }
        self.target_moved_at = whole_at;
        Passage::Open
    }

    /// Notes whether turn `id` and its answer lie alongside each other; once they do not, no later ones do.
    pub(super) fn align(&mut self, id: u64, as_long: bool) {
        self.aligned &= as_long;
        let alignment = if self.aligned { Alignment::Aligned } else { Alignment::Lost };
        if let Some(exchange) = self.get_mut(id) {
            exchange.alignment = alignment;
        }
    }

    /// Without a framer: ends the answer to the last turn sent where the origin has ended its own, and nothing follows that would
    /// ask for it. Returns when to look again.
    pub fn settle_turns(&mut self, now: Time, books: &mut Books) -> Option<Time> {
        let last = self.turn_sent.filter(|id| *id >= self.turns_from_now())?;
        let exchange = self.get(last).filter(|exchange| exchange.origin.is_final())?;
        let seen_at = exchange.origin_done_at.unwrap_or(now);
        match self.turn_passage(last, seen_at, now, books) {
            Passage::Shut(until) => until,
            Passage::Open => None,
        }
    }

    pub(super) fn turns_from_now(&self) -> u64 {
        if matches!(self.framing, Framing::Turns) { self.turns_from } else { u64::MAX }
    }
}

struct Greeted {
    origin: u64,
    target: u64,
    last_at: Time,
}
