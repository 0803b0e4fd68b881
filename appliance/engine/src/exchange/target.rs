//! The target's side of the exchanges: what the replay sends and gets.

use super::answer::Progress;
use super::{Exchange, Exchanges, Framing, Stage};
use crate::books::Books;
use crate::frame::Endpoint;
use crate::ledger::{Incomparable, NotReplayed};
use crate::message::Outcome;
use crate::protocol::{AtClose, Boundary, Framer, Part};
use crate::time::Time;
use core::time::Duration;

/// Answers that a target may be busy with at once on one connection: it gives them one after the other.
const ANSWERS_UNDER_WAY: u64 = 4;

/// What the target's bytes mean for the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// It can be used on.
    Usable,
    /// No further request may be sent on it.
    Spent,
}

impl Exchanges {
    /// A connection to the target is established; `local` is our end of it.
    pub fn connected(&mut self, local: Endpoint, now: Time) {
        self.local = Some(local);
        self.target_framer = None;
        if !self.greeting.early.is_empty() {
            self.greeting.early.clear();
        }
        self.ground.renew();
        self.connected_at = now;
        self.target_tunnel = false;
        self.has_left = false;
        self.cut = None;
        self.sent_on_connection = 0;
        self.answered_on_connection = 0;
        if let Some(score) = &mut self.score {
            score.reconnect();
        }
    }

    /// Sends bytes of the next unit through `write`, which says how many it took. Whether anything came of it.
    pub fn send(&mut self, now: Time, books: &mut Books, mut write: impl FnMut(&[u8]) -> usize) -> bool {
        let next = self.outbox.next_unit().map(|unit| (unit.exchange, unit.cancels, unit.ready_at));
        let Some((id, cancels, ready_at)) = next else {
            return false;
        };
        let before = self.sent_on_connection;
        let sent = &mut self.sent_on_connection;
        let whole = self.outbox.send(&mut books.outboxes, |bytes| {
            let taken = write(bytes);
            *sent += taken as u64;
            taken
        });
        let moved = self.sent_on_connection > before;
        match (id, cancels) {
            (Some(id), _) if moved || whole => self.note_sending(id, whole, now, now.since(ready_at), books),
            (None, Some(cancelled)) if whole => self.abort(cancelled, books),
            _ => {}
        }
        moved || whole
    }

    /// Sends what goes ahead of the next unit, as [`Exchanges::send`]; `None` where there is nothing.
    pub fn send_ahead(&mut self, books: &mut Books, write: impl FnOnce(&[u8]) -> usize) -> Option<bool> {
        let before = self.outbox.has_ahead().then_some(self.sent_on_connection)?;
        let sent = &mut self.sent_on_connection;
        self.outbox.send_ahead(&mut books.outboxes, |bytes| {
            let taken = write(bytes);
            *sent += taken as u64;
            taken
        });
        Some(self.sent_on_connection > before)
    }

    fn note_sending(&mut self, id: u64, whole: bool, now: Time, lag: Duration, books: &mut Books) {
        if id >= self.turns_from_now() {
            self.turn_sent = Some(id);
        }
        let account = self.identity.account;
        let Some(exchange) = self.get_mut(id) else { return };
        if matches!(exchange.stage, Stage::Waiting | Stage::Sending(_)) {
            exchange.stage = if whole { Stage::Sent(now) } else { Stage::Sending(now) };
            exchange.sent_at = whole.then_some(now);
        }
        if !exchange.replayed {
            exchange.replayed = true;
            books.ledger.count(account, |requests, _| requests.replayed += 1);
            books.ledger.backlog.note(lag, books.limits.lag);
        }
        self.ground.step_on(id);
        if whole {
            self.advance_target();
            self.outbox.forget_below(self.target_at, &mut books.outboxes);
        }
    }

    /// The box has sent segments again: what is under way is not waited for on the target's account alone.
    pub fn note_stall(&mut self) {
        for id in self.target_at..self.next_id() {
            if let Some(exchange) = self.get_mut(id).filter(|exchange| exchange.is_under_way()) {
                exchange.stalled = true;
            }
        }
    }

    /// Why the connection cannot take another request, where the one before was given up within.
    pub fn cut(&self) -> Option<NotReplayed> {
        self.cut
    }

    /// The target's next bytes.
    pub fn target_bytes(&mut self, mut bytes: &[u8], now: Time, books: &mut Books) -> Connection {
        if matches!(self.framing, Framing::Undecided(_)) {
            return self.keep_early(bytes, now, books);
        }
        let (mut connection, mut is_behind_end) = (Connection::Usable, false);
        while is_behind_end || !bytes.is_empty() {
            if self.target_speaks_turns() {
                self.take_target_turn(bytes, now, books);
                return connection;
            }
            let Some(step) = self.target_step(bytes, now, books) else { return Connection::Spent };
            let (consumed, boundary) = step;
            bytes = &bytes[consumed..];
            is_behind_end = boundary != Boundary::Inside;
            match boundary {
                Boundary::Last | Boundary::Encrypted | Boundary::Compressed => connection = Connection::Spent,
                Boundary::Tunnel => self.target_tunnel = true,
                Boundary::Inside if consumed == 0 => return connection,
                Boundary::Inside | Boundary::End => {}
            }
        }
        connection
    }

    /// Keeps what the target says while the protocol is not known. One that has so much to say unasked is no known one.
    fn keep_early(&mut self, bytes: &[u8], now: Time, books: &mut Books) -> Connection {
        self.greeting.early.extend_from_slice(bytes);
        self.greeting.target_last_at = now;
        if self.greeting.early.len() > books.limits.head_bytes {
            self.decide(None, books);
        }
        Connection::Usable
    }

    /// Takes what the target said before the protocol was known, once it is.
    pub fn take_early(&mut self, books: &mut Books) -> Connection {
        if self.greeting.early.is_empty() || matches!(self.framing, Framing::Undecided(_)) {
            return Connection::Usable;
        }
        let early = core::mem::take(&mut self.greeting.early);
        self.target_bytes(&early, self.greeting.target_last_at, books)
    }

    /// After an answer that switched protocols the target's bytes are turns, whether or not the origin's already are.
    fn target_speaks_turns(&self) -> bool {
        let first_turn_reached = matches!(self.framing, Framing::Turns) && self.target_at >= self.turns_from;
        self.target_tunnel || first_turn_reached
    }

    /// What cuts the target's answers on the present connection.
    pub(super) fn target_framer(&mut self, books: &mut Books) -> Option<&mut Box<dyn Framer>> {
        if self.target_framer.is_none() {
            self.target_framer = books.framers.take(self.definition?, &books.limits);
        }
        self.target_framer.as_mut()
    }

    /// One step of what the target says; `None` where it makes no sense here.
    fn target_step(&mut self, bytes: &[u8], now: Time, books: &mut Books) -> Option<(usize, Boundary)> {
        let id = self.answered_at_target(bytes, books);
        let is_due = self.get(id).is_some_and(Exchange::is_under_way);
        let framer = self.target_framer(books)?;
        if !is_due {
            // Bytes that are none of an answer's end nothing.
            return bytes.is_empty().then_some((0, Boundary::Inside)).or_else(|| {
                let step = framer.unasked(bytes).ok().filter(|step| !step.is_idle())?;
                Some((step.consumed, Boundary::Inside))
            });
        }
        let index = (id - self.front) as usize;
        let (Some(exchange), Some(framer)) = (self.queue.get_mut(index), &mut self.target_framer) else { return None };
        let Ok(step) = framer.answer(exchange.expect, bytes) else {
            self.lose_garbled(id, books);
            return None;
        };
        if step.is_idle() || step.part == Part::Aside {
            return Some((step.consumed, Boundary::Inside));
        }
        exchange.target.touch(now - books.waited, step.consumed);
        match step.part {
            Part::Framing | Part::Aside => {}
            Part::Head(head) => exchange.target.push_head(head, books),
            Part::Body(body) => exchange.target.push_body(body, books),
        }
        let (consumed, boundary) = (step.consumed, step.boundary);
        self.outbox.forget_below(id + 1, &mut books.outboxes);
        if boundary != Boundary::Inside {
            self.finish_target(id, now);
            self.check_upgrade(id, boundary, books);
        }
        Some((consumed, boundary))
    }

    /// The exchange to whose answer the target's next bytes belong; none has this number where they belong to none.
    fn answered_at_target(&mut self, bytes: &[u8], books: &mut Books) -> u64 {
        let whose = match self.target_framer(books) {
            Some(framer) if framer.is_interleaved() => framer.whose(bytes),
            _ => return self.target_at,
        };
        whose.and_then(|kind| self.find(kind)).unwrap_or(u64::MAX)
    }

    /// Where the origin switched protocols and the target does not, what follows cannot be replayed.
    fn check_upgrade(&mut self, id: u64, boundary: Boundary, books: &mut Books) {
        let origin_switched = matches!(self.framing, Framing::Turns) && id + 1 == self.turns_from;
        if origin_switched && boundary != Boundary::Tunnel {
            self.bar(NotReplayed::TargetNotUpgraded, books);
        }
    }

    fn lose_garbled(&mut self, id: u64, books: &mut Books) {
        self.conclude(id, Outcome::NotAnswered(crate::ledger::NotAnswered::TargetGarbled), books);
    }

    pub(super) fn finish_target(&mut self, id: u64, now: Time) {
        if let Some(exchange) = self.get_mut(id) {
            exchange.target.progress = Progress::Whole;
            exchange.stage = Stage::Answered;
        }
        self.target_done += 1;
        self.answered_on_connection += 1;
        self.advance_target();
        self.target_moved_at = now;
    }

    fn take_target_turn(&mut self, bytes: &[u8], now: Time, books: &mut Books) {
        self.target_silent = false;
        let sent = self.turn_sent;
        match sent.and_then(|id| self.get_mut(id)).filter(|exchange| exchange.is_under_way()) {
            Some(exchange) => {
                exchange.target.touch(now - books.waited, bytes.len());
                exchange.target.push_body(bytes, books);
            }
            None if sent.is_none() => {
                self.greeting.target += bytes.len() as u64;
                self.greeting.target_last_at = now;
            }
            None => {
                self.aligned = false;
                self.surplus += bytes.len() as i64;
            }
        }
    }

    /// When the answer that is due, by a framer, is too late; and without one, the target's taking of a turn. It is not late
    /// while the origin has not answered either.
    pub fn answer_deadline(&self, books: &Books) -> Option<Time> {
        let last = if self.is_interleaved() { self.next_id() } else { self.target_at + 1 };
        let turns_from = self.turns_from_now();
        let since =
            (self.target_at..last).filter_map(|id| Some((id, self.get(id)?))).find_map(|(id, exchange)| match exchange
                .stage
            {
                Stage::Sent(at) if id < turns_from => exchange.origin_done_at.map(|done_at| at.max(done_at)),
                Stage::Sending(at) => exchange.origin_done_at.map(|done_at| at.max(done_at)),
                _ => None,
            });
        Some(since?.max(self.target_moved_at) + books.limits.answer_timeout)
    }

    /// Requests that wait for the target alone, whatever the mirror has yet to show; and the bytes of the origin's answers to
    /// the first of them: the others are not under way yet.
    pub fn owed_by_target(&self) -> (u64, u64) {
        let to = if self.outbox.ready_bytes() > 0 { self.next_id() } else { self.origin_at };
        let first = self.target_at..to.min(self.target_at + ANSWERS_UNDER_WAY);
        let answer_bytes = first.filter_map(|id| self.get(id)).map(|exchange| exchange.origin.wire_bytes).sum();
        (to.saturating_sub(self.target_at), answer_bytes)
    }

    /// Whether a request is under way.
    pub fn awaits_target(&self) -> bool {
        (self.target_at..self.next_id()).any(|id| self.get(id).is_some_and(Exchange::is_under_way))
    }

    /// The client's close was passed on.
    pub fn left(&mut self) {
        self.has_left = true;
    }

    /// Whether the client left before either server's answer was whole.
    fn is_forsaken(&self, id: u64) -> bool {
        let is_broken =
            |exchange: &Exchange| exchange.origin.progress == Progress::Broken(Incomparable::OriginIncomplete);
        self.has_left && self.get(id).is_some_and(is_broken)
    }

    /// Whether a request is under way that the origin may still answer.
    pub fn awaits_both(&self) -> bool {
        let is_awaited = |exchange: &Exchange| exchange.is_under_way() && !exchange.origin.is_final();
        (self.target_at..self.next_id()).any(|id| self.get(id).is_some_and(is_awaited))
    }

    /// The target has ended the connection, for `cause`. A request that it swallowed without a byte of answer, though it had
    /// answered others before, is sent again on the next one, once, if it may be.
    pub fn disconnected(&mut self, now: Time, cause: NotReplayed, books: &mut Books) {
        let reused = self.answered_on_connection > 0;
        self.lose_connection(now, cause, reused, books);
    }

    /// The box has ended the connection, for `cause`.
    pub fn cut_off(&mut self, now: Time, cause: NotReplayed, books: &mut Books) {
        self.lose_connection(now, cause, false, books);
        self.cut = None;
    }

    fn lose_connection(&mut self, now: Time, cause: NotReplayed, reused: bool, books: &mut Books) {
        self.end_at_close(now, cause);
        self.ground.lose(cause);
        let under_way: Vec<u64> =
            (self.target_at..self.next_id()).filter(|id| self.get(*id).is_some_and(Exchange::is_under_way)).collect();
        for (index, id) in under_way.iter().enumerate() {
            let rest = &under_way[index..];
            let again = reused && rest.iter().all(|id| self.may_retry(*id));
            if again && self.outbox.rewind(*id) == Some(*id) {
                return self.send_again(rest);
            }
            match self.is_forsaken(*id) {
                true => self.abort(*id, books),
                false => self.lose(*id, cause, books),
            }
        }
        self.drop_begun(cause, books);
        if self.is_one_piece() {
            self.bar(cause, books);
        }
    }

    /// Drops a unit that was begun on a connection which is gone: its rest must not begin the next one.
    fn drop_begun(&mut self, cause: NotReplayed, books: &mut Books) {
        if self.outbox.is_within_unit() {
            self.drop_next(cause, books);
        }
    }

    /// Ends an answer whose end is the close of the connection.
    fn end_at_close(&mut self, now: Time, cause: NotReplayed) {
        let id = self.target_at;
        if cause == NotReplayed::TargetClosed && id >= self.turns_from_now() {
            return self.end_turn_at_close(id, now);
        }
        let expect = self.get(id).filter(|exchange| exchange.is_under_way()).map(|exchange| exchange.expect);
        if let (Some(expect), Some(framer), NotReplayed::TargetClosed) = (expect, &self.target_framer, cause)
            && !self.target_tunnel
            && framer.answer_at_close(expect) == AtClose::Ends
        {
            self.finish_target(id, now);
        }
    }

    fn end_turn_at_close(&mut self, id: u64, now: Time) {
        let is_answered = |exchange: &Exchange| exchange.is_under_way() && exchange.target.wire_bytes > 0;
        if self.get(id).is_some_and(is_answered) {
            self.finish_target(id, now);
        }
    }

    fn may_retry(&self, id: u64) -> bool {
        self.get(id).is_some_and(|exchange| {
            let expect = exchange.expect;
            let stands_alone = expect.retryable && !expect.bound && !expect.binds;
            stands_alone && !exchange.retried && exchange.target.progress == Progress::Awaited
        })
    }

    fn send_again(&mut self, ids: &[u64]) {
        for id in ids {
            if let Some(exchange) = self.get_mut(*id) {
                exchange.retried = true;
                exchange.stage = Stage::Waiting;
            }
        }
    }

    /// The answer that is due has not come in time.
    pub fn answer_overdue(&mut self, books: &mut Books) {
        self.lose_under_way(NotReplayed::TargetTimeout, books);
    }

    /// The client has given up exchange `id`, and so does the replay.
    fn abort(&mut self, id: u64, books: &mut Books) {
        if self.get(id).is_some_and(Exchange::is_under_way) {
            self.conclude(id, Outcome::NotAnswered(crate::ledger::NotAnswered::ClientAborted), books);
        }
    }

    /// What is under way will not be answered: the replay has gone away, as the client did.
    pub fn aborted(&mut self, books: &mut Books) {
        (self.target_at..self.next_id()).for_each(|id| self.abort(id, books));
    }
}
