//! The origin's side of the exchanges: what it says, cut into the answers that the comparison wants.

use super::answer::Progress;
use super::client::unreadable;
use super::{Exchange, Exchanges, Framing, Moment, Stage, Step};
use crate::books::Books;
use crate::flow::Side;
use crate::ledger::{Incomparable, NotReplayed};
use crate::protocol::{AtClose, Boundary, Part};
use crate::time::Time;

impl Exchanges {
    /// The origin's next bytes.
    pub fn origin_bytes(&mut self, bytes: &[u8], moment: Moment, books: &mut Books) {
        self.origin_last_at = self.origin_last_at.max(Some(moment.captured_at));
        self.rouse(books);
        match &self.framing {
            Framing::Undecided(_) if self.requests == Step::Out => self.greeting.origin += bytes.len() as u64,
            Framing::Undecided(_) => self.find_protocol(Side::Origin, bytes, moment, books),
            Framing::Framed(_) | Framing::Resting => self.cut_answers(bytes, moment, books),
            Framing::Turns => self.take_origin_turn(bytes, moment, books),
        }
    }

    fn take_origin_turn(&mut self, bytes: &[u8], moment: Moment, books: &mut Books) {
        if self.request_open {
            self.finish_request(books);
        }
        if self.is_beyond() {
            return;
        }
        let turn = self.last_turn();
        let exchange = self.queue.back_mut().filter(|_| turn.is_some());
        let is_played = exchange.as_ref().is_none_or(|exchange| exchange.may_be_played());
        if let Some(score) = self.score.as_mut().filter(|_| is_played) {
            score.write(turn, bytes.iter().copied());
        }
        match exchange {
            Some(exchange) => {
                exchange.origin.touch(moment.captured_at, bytes.len());
                exchange.origin.push_body(bytes, books);
            }
            None => self.greeting.origin += bytes.len() as u64,
        }
    }

    /// The last exchange, if it is a turn.
    fn last_turn(&self) -> Option<u64> {
        self.next_id().checked_sub(1).filter(|id| *id >= self.turns_from)
    }

    /// The client goes on: the origin's answer to the turn before is whole.
    pub(super) fn finish_origin_turn(&mut self, now: Time) {
        let turn = self.last_turn();
        let due = |exchange: &&mut Exchange| turn.is_some() && !exchange.origin.is_final();
        if let Some(exchange) = self.queue.back_mut().filter(due) {
            exchange.origin.progress = Progress::Whole;
            exchange.origin_done_at = Some(now);
        }
        self.origin_at = self.next_id();
        self.forget_settled();
    }

    /// Cuts answers out of the origin's bytes.
    fn cut_answers(&mut self, mut bytes: &[u8], moment: Moment, books: &mut Books) {
        let mut is_behind_end = false;
        while (is_behind_end || !bytes.is_empty()) && self.answers == Step::In {
            let id = self.answered_by(bytes);
            let is_last = self.begun.checked_sub(1) == Some(id);
            let Framing::Framed(framer) = &mut self.framing else { return };
            let due = id.checked_sub(self.front).and_then(|index| self.queue.get_mut(index as usize));
            let Some(exchange) = due else {
                if self.is_beyond() && !self.is_interleaved() {
                    return;
                }
                let Some(consumed) = self.take_unasked(bytes, moment, books) else { return };
                bytes = &bytes[consumed..];
                continue;
            };
            let Ok(step) = framer.answer(exchange.expect, bytes) else {
                return self.lose_garbled_answers(moment, books);
            };
            if step.is_idle() {
                return;
            }
            if step.part == Part::Aside {
                let (aside, rest) = bytes.split_at(step.consumed);
                self.write_unasked(aside);
                bytes = rest;
                continue;
            }
            exchange.origin.touch(moment.captured_at, step.consumed);
            if let Some(score) = self.score.as_mut().filter(|_| exchange.may_be_played()) {
                score.write(Some(id), bytes[..step.consumed].iter().copied());
            }
            match step.part {
                Part::Framing | Part::Aside => {}
                Part::Head(head) => {
                    exchange.origin.push_head(head, books);
                    if self.request_open && is_last {
                        self.outbox.stream(moment.now);
                    }
                }
                Part::Body(body) => exchange.origin.push_body(body, books),
            }
            let boundary = step.boundary;
            bytes = &bytes[step.consumed..];
            is_behind_end = boundary != Boundary::Inside;
            if is_behind_end {
                self.finish_answer(id, moment.now);
            }
            if boundary == Boundary::Tunnel || unreadable(boundary).is_some() {
                self.leave_protocol(id, boundary, books);
                return if bytes.is_empty() {
                } else {
                    self.take_origin_turn(bytes, moment, books)
                };
            }
        }
    }

    /// The exchange to whose answer the next of these bytes belong; none has this number where they belong to none.
    fn answered_by(&self, bytes: &[u8]) -> u64 {
        match &self.framing {
            Framing::Framed(framer) if framer.is_interleaved() => {
                let id = framer.whose(bytes).and_then(|kind| self.find(kind));
                id.filter(|id| self.get(*id).is_some_and(|exchange| exchange.origin_done_at.is_none()))
                    .unwrap_or(u64::MAX)
            }
            _ => self.origin_at,
        }
    }

    /// Takes bytes that answer nothing; how many, or `None` where they are none of this protocol's, and are passed over.
    fn take_unasked(&mut self, bytes: &[u8], moment: Moment, books: &mut Books) -> Option<usize> {
        let Framing::Framed(framer) = &mut self.framing else { return None };
        let Ok(step) = framer.unasked(bytes) else {
            if framer.is_interleaved() {
                self.lose_garbled_answers(moment, books);
            }
            return None;
        };
        let consumed = Some(step).filter(|step| !step.is_idle())?.consumed;
        self.write_unasked(&bytes[..consumed]);
        Some(consumed)
    }

    fn write_unasked(&mut self, bytes: &[u8]) {
        if let Some(score) = &mut self.score {
            score.write(None, bytes.iter().copied());
        }
    }

    /// The answer to exchange `id` was the last thing that the framer can cut.
    fn leave_protocol(&mut self, id: u64, boundary: Boundary, books: &mut Books) {
        if let Some(cause) = unreadable(boundary) {
            return self.give_up_reading(cause, books);
        }
        self.become_turns();
        let is_past_target = id < self.target_at;
        if is_past_target && !self.target_tunnel {
            self.bar(NotReplayed::TargetNotUpgraded, books);
        } else if !is_past_target && self.get(id).is_some_and(|exchange| exchange.stage == Stage::Done) {
            // The target was never asked to switch; what it was asked before is still awaited.
            self.barred.get_or_insert(NotReplayed::TargetNotUpgraded);
        }
    }

    pub(super) fn finish_answer(&mut self, id: u64, now: Time) {
        if let Some(exchange) = self.get_mut(id) {
            let was_done = exchange.origin_done_at.replace(now).is_some();
            if !exchange.origin.is_final() {
                exchange.origin.progress = Progress::Whole;
            }
            self.origin_done += u64::from(!was_done);
        }
        self.origin_at += u64::from(self.origin_at == id);
        self.pass_silent();
        self.forget_settled();
    }

    /// Passes over whole requests that nothing answers, and those that were answered out of turn.
    pub(super) fn pass_silent(&mut self) {
        let end = self.next_id() - u64::from(self.request_open && !self.is_beyond());
        while self.origin_at < end && self.answers == Step::In {
            let id = self.origin_at;
            let passes = |exchange: &&mut Exchange| exchange.expect.silent || exchange.origin_done_at.is_some();
            let Some(exchange) = self.get_mut(id).filter(passes) else { return };
            if !exchange.origin.is_final() {
                exchange.origin.progress = Progress::Whole;
            }
            self.origin_at += 1;
        }
        self.forget_settled();
    }

    /// The answers are in step again, from exchange `id` on: before it, the client had all it waited for.
    pub(super) fn restart_answers(&mut self, id: u64) {
        self.answers = Step::In;
        self.origin_at = id;
        if let Framing::Framed(framer) = &mut self.framing {
            framer.restart_answers();
        }
        self.forget_settled();
    }

    /// The origin's answers cannot be told apart until the client's next request.
    pub(super) fn lose_answers(&mut self, cause: Incomparable, now: Time) {
        self.stand_in();
        self.break_origin(cause, now);
        self.answers = Step::Out;
        self.doubt_from_next();
    }

    /// The origin's bytes make no sense. What it says next builds on them where answers are interleaved: when the client went on
    /// because of which answer is known no more.
    fn lose_garbled_answers(&mut self, moment: Moment, books: &mut Books) {
        self.lose_answers(Incomparable::OriginGarbled, moment.now);
        if self.is_interleaved() {
            self.bar(NotReplayed::OriginGarbled, books);
        }
    }

    /// Completes a rehearsal's score for the answers that are lost.
    fn stand_in(&mut self) {
        let Some(score) = &mut self.score else { return };
        let Framing::Framed(framer) = &self.framing else { return };
        let stand_in = framer.stand_in();
        for (id, exchange) in (self.front..).zip(self.queue.iter()) {
            match exchange.origin.progress {
                Progress::Awaited if exchange.expect.silent => {}
                Progress::Awaited | Progress::Begun if stand_in.is_empty() => score.break_off(),
                Progress::Awaited if exchange.may_be_played() => score.write(Some(id), stand_in.iter().copied()),
                Progress::Begun if exchange.is_within_head() => score.replace(id, stand_in),
                Progress::Begun => score.break_off(),
                _ => {}
            }
        }
    }

    fn break_origin(&mut self, cause: Incomparable, now: Time) {
        if self.queue.is_empty() {
            return;
        }
        for exchange in self.queue.iter_mut() {
            exchange.origin.break_off(cause);
            exchange.origin_done_at.get_or_insert(now);
        }
    }

    /// Bytes of the origin were lost by the mirror; `one_way`: it shows none of them ever.
    pub fn origin_gap(&mut self, len: u64, one_way: bool, moment: Moment, books: &mut Books) {
        let cause = if one_way { Incomparable::OneWay } else { Incomparable::MirrorGap };
        self.origin_last_at = self.origin_last_at.max(Some(moment.captured_at));
        self.rouse(books);
        match self.framing {
            Framing::Undecided(..) => self.greeting.origin += len,
            Framing::Turns => self.miss_origin_turn(len, cause, moment, books),
            Framing::Framed(_) if self.answers == Step::In => self.miss_answer(len, cause, moment, books),
            Framing::Framed(_) | Framing::Resting => {}
        }
    }

    fn miss_origin_turn(&mut self, len: u64, cause: Incomparable, moment: Moment, books: &mut Books) {
        if self.request_open {
            self.finish_request(books);
        }
        if self.is_beyond() {
            return;
        }
        let turn = self.last_turn();
        if let Some(score) = &mut self.score {
            score.fill(turn, len);
        }
        match self.queue.back_mut().filter(|_| turn.is_some()) {
            Some(exchange) => {
                exchange.origin.touch(moment.captured_at, len as usize);
                exchange.origin.break_off(cause);
                exchange.origin_done_at = Some(moment.now);
            }
            None => self.greeting.origin += len,
        }
    }

    /// A hole within content of known length breaks one answer; any other, all that are due.
    fn miss_answer(&mut self, len: u64, cause: Incomparable, moment: Moment, books: &mut Books) {
        let id = self.answered_by(&[]);
        let index = id.saturating_sub(self.front) as usize;
        let Framing::Framed(framer) = &mut self.framing else { return };
        let in_step = self.queue.get_mut(index).filter(|exchange| framer.answer_gap(exchange.expect, len));
        let Some(exchange) = in_step else {
            self.lose_answers(cause, moment.now);
            if self.is_interleaved() {
                self.bar(NotReplayed::MirrorGap, books);
            }
            return;
        };
        exchange.origin.break_off(cause);
        if let Some(score) = self.score.as_mut().filter(|_| exchange.may_be_played()) {
            score.fill(Some(id), len);
        }
        if framer.answer(exchange.expect, &[]).is_ok_and(|step| step.boundary != Boundary::Inside) {
            self.finish_answer(id, moment.now);
        }
    }

    /// The origin closed.
    pub fn origin_fin(&mut self, now: Time, books: &mut Books) {
        self.end_opening(books);
        if let Framing::Framed(framer) = &mut self.framing
            && self.answers == Step::In
            && !self.origin_closed
        {
            let index = self.origin_at.saturating_sub(self.front) as usize;
            let expect = self.queue.get(index).map(|exchange| exchange.expect);
            if expect.is_some_and(|expect| framer.answer_at_close(expect) == AtClose::Ends) {
                self.finish_answer(self.origin_at, now);
            }
        }
        self.origin_gone(now);
    }

    /// The origin says nothing more; what it had begun to say by a framer's measure stays incomplete.
    pub(super) fn origin_gone(&mut self, now: Time) {
        if self.origin_closed {
            return;
        }
        let may_be_whole = !self.request_open && !self.one_way;
        if matches!(self.framing, Framing::Turns) && may_be_whole && self.last_turn().is_some() {
            self.finish_origin_turn(now);
        }
        let cause = if self.one_way { Incomparable::OneWay } else { Incomparable::OriginIncomplete };
        self.break_origin(cause, now);
        if let Some(score) = &mut self.score {
            score.end();
        }
        self.origin_closed = true;
        self.origin_at = self.next_id();
        self.forget_settled();
    }

    /// The first exchange to which the origin has not given its whole answer.
    pub(super) fn answered_by_origin(&self) -> u64 {
        let answered = |exchange: &Exchange| exchange.origin.wire_bytes > 0 || exchange.origin.is_final();
        match self.framing {
            Framing::Turns if self.is_beyond() || self.queue.back().is_some_and(answered) => self.next_id(),
            Framing::Turns => self.next_id().saturating_sub(1),
            _ => self.origin_at,
        }
    }
}
