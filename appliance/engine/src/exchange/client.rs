//! The client's side of the exchanges: what it says, cut into requests or turns, on its way to the outbox.

use super::answer::Answer;
use super::outbox::{Farewell, Gate, Think};
use super::topic::Topic;
use super::{Alignment, Exchange, Exchanges, Framing, Moment, Stage, Step};
use crate::books::Books;
use crate::config::Protocol;
use crate::flow::Side;
use crate::ledger::{Incomparable, NotReplayed};
use crate::protocol::{AtClose, Boundary, Expect, Framer, Part};
use crate::time::Time;

impl Exchanges {
    /// The connection was established.
    pub fn opened(&mut self, moment: Moment) {
        self.client_last_at = moment.captured_at;
    }

    /// The client's next bytes: the content of one segment.
    pub fn client_bytes(&mut self, bytes: &[u8], moment: Moment, books: &mut Books) {
        self.rouse(books);
        match &mut self.framing {
            Framing::Undecided(..) if self.requests == Step::Out => self.pick_up(bytes, moment, books),
            Framing::Undecided(..) => self.find_protocol(Side::Client, bytes, moment, books),
            Framing::Framed(framer) if self.requests == Step::Out => {
                if let Some(offset) = framer.resume(bytes) {
                    self.requests = Step::In;
                    self.cut_requests(&bytes[offset..], moment, books);
                }
            }
            Framing::Framed(_) if self.requests == Step::Tail => self.take_request_bytes(bytes, moment, books),
            Framing::Framed(_) | Framing::Resting => self.cut_requests(bytes, moment, books),
            Framing::Turns => self.take_turn(bytes, moment, books),
        }
    }

    /// Cuts requests out of bytes that are in step.
    fn cut_requests(&mut self, mut bytes: &[u8], moment: Moment, books: &mut Books) {
        while !bytes.is_empty() {
            if !self.request_open {
                if let Some(taken) = self.pass_idle(bytes).or_else(|| self.take_aside(bytes, moment, books)) {
                    bytes = &bytes[taken..];
                    continue;
                }
                self.begin_request(moment, books);
            }
            let Framing::Framed(framer) = &mut self.framing else { return };
            let is_interleaved = framer.is_interleaved();
            let Ok(step) = framer.request(bytes) else {
                self.refuse_unread(books);
                self.requests = Step::Tail;
                if let Some(exchange) = self.last_mut() {
                    exchange.alignment = Alignment::Lost;
                }
                self.outbox.stream(moment.now);
                return self.take_request_bytes(bytes, moment, books);
            };
            let (taken, rest) = bytes.split_at(step.consumed);
            let (is_head, boundary) = (matches!(step.part, Part::Head(_)), step.boundary);
            let decision = match (step.part, &self.selection) {
                (Part::Head(head), Some(selection)) => Some(selection.decide(head)),
                _ => None,
            };
            let topic = match step.part {
                Part::Head(head) => Topic::of_head(self.definition, &self.rules, self.identity, head, books),
                _ => None,
            };
            let said = match step.part {
                Part::Head(said) | Part::Body(said) if is_interleaved => Some(said.to_vec()),
                _ => None,
            };
            let is_body = matches!(step.part, Part::Body(_));
            let expect = (is_head || boundary != Boundary::Inside).then(|| framer.expect());
            self.take_request_bytes(taken, moment, books);
            if let (Some(said), Some(exchange)) = (&said, self.last_mut()) {
                exchange.keep_request(said, books);
            }
            if let Some(expect) = expect {
                self.set_expect(expect);
                self.head_at.get_or_insert(moment.now);
            }
            self.set_topic(topic);
            if is_body && let Some(exchange) = self.last_mut() {
                exchange.topic.push(said.as_deref().unwrap_or(taken));
            }
            if is_head && is_interleaved && !self.dropping {
                // What the client says next may depend on the answer.
                self.outbox.stream(moment.now);
            }
            if let Some(decision) = decision {
                self.follow(decision, books);
            }
            if boundary != Boundary::Inside {
                self.finish_request(books);
            }
            if let Some(cause) = unreadable(boundary) {
                self.give_up_reading(cause, books);
                return if rest.is_empty() {
                } else {
                    self.client_bytes(rest, moment, books)
                };
            }
            bytes = rest;
        }
    }

    /// Passes over bytes that say nothing; how many, if there are any.
    fn pass_idle(&self, bytes: &[u8]) -> Option<usize> {
        let Framing::Framed(framer) = &self.framing else { return None };
        Some(framer.idle_len(bytes)).filter(|len| *len > 0)
    }

    /// Takes bytes that begin no request; how many.
    fn take_aside(&mut self, bytes: &[u8], moment: Moment, books: &mut Books) -> Option<usize> {
        let Framing::Framed(framer) = &mut self.framing else { return None };
        let step = framer.aside(bytes)?;
        let (consumed, ends) = (step.consumed, step.boundary != Boundary::Inside);
        let (continues_request, overtakes) = (matches!(step.part, Part::Head(_)), step.part == Part::Aside);
        let continued = match step.part {
            Part::Head(said) | Part::Body(said) if !said.is_empty() => Some(said.to_vec()),
            _ => None,
        };
        let continued = continued.and_then(|said| Some((framer.continued()?, said)));
        let cancelled = framer.cancelled().filter(|_| ends).and_then(|kind| self.find(kind));
        if self.outbox.len() + consumed > books.outbox_bound() || books.outboxes.is_over() {
            self.bar(NotReplayed::Limit, books);
        }
        if !self.is_barred() {
            let gate = self.gate(self.origin_at, moment);
            if !core::mem::replace(&mut self.aside_open, true) {
                self.outbox.begin(None, Gate { after: 0, answered: 0, ..gate }, false);
            }
            if continues_request {
                self.outbox.hold(gate);
            }
            self.outbox.push(&bytes[..consumed], moment.now, books.limits.request_held_bytes, &mut books.outboxes);
        }
        self.client_last_at = self.client_last_at.max(moment.captured_at);
        if let Some((kind, said)) = continued
            && let Some(exchange) = self.find(kind).and_then(|id| self.get_mut(id))
        {
            exchange.topic.push(&said);
            exchange.keep_request(&said, books);
        }
        if let Some(id) = cancelled {
            self.cancel(id, moment);
        }
        if ends {
            self.finish_aside();
        }
        if ends && overtakes && !self.is_barred() {
            self.outbox.overtake();
        }
        Some(consumed)
    }

    fn finish_aside(&mut self) {
        if core::mem::take(&mut self.aside_open) && !self.is_barred() {
            let is_joined = self.is_joined();
            self.outbox.finish(is_joined);
        }
    }

    /// Whether the client goes on, after what it said last, within what its protocol sends in one piece.
    fn is_joined(&self) -> bool {
        let is_cut = |framer: &dyn Framer| framer.is_interleaved() && framer.request_at_close() == AtClose::Cut;
        matches!(&self.framing, Framing::Framed(framer) if is_cut(framer.as_ref()))
    }

    /// The client gives up exchange `id`.
    fn cancel(&mut self, id: u64, moment: Moment) {
        if self.aside_open {
            self.outbox.cancel(id);
        }
        if let Some(exchange) = self.get_mut(id) {
            exchange.origin.break_off(Incomparable::OriginIncomplete);
        }
        self.finish_answer(id, moment.now);
    }

    /// The exchange begun last, unless it is forgotten already.
    pub(super) fn last_mut(&mut self) -> Option<&mut Exchange> {
        let id = self.begun.checked_sub(1)?;
        if self.beyond.is_some() { self.beyond.as_deref_mut() } else { self.get_mut(id) }
    }

    fn set_expect(&mut self, expect: Expect) {
        let Some(exchange) = self.last_mut() else { return };
        exchange.expect = expect;
        if let Some(outcome) = exchange.deferred.clone() {
            self.note_unsent(self.begun - 1, &outcome);
        }
    }

    /// From here on neither side can be read, for `cause`: nothing more is replayed.
    pub(super) fn give_up_reading(&mut self, cause: NotReplayed, books: &mut Books) {
        self.become_turns();
        self.bar(cause, books);
    }

    pub(super) fn become_turns(&mut self) {
        self.framing = Framing::Turns;
        self.turns_from = self.next_id();
    }

    fn take_turn(&mut self, bytes: &[u8], moment: Moment, books: &mut Books) {
        if !self.request_open {
            self.finish_origin_turn(moment.now);
            self.begin_request(moment, books);
        }
        self.take_request_bytes(bytes, moment, books);
    }

    fn begin_request(&mut self, moment: Moment, books: &mut Books) {
        let id = self.next_id();
        self.finish_aside();
        let turns = matches!(self.framing, Framing::Turns);
        if self.answers == Step::Out && !self.origin_closed {
            self.restart_answers(id);
        }
        let gate = self.gate(if turns { id } else { self.origin_at }, moment);
        let exchange = self.new_exchange(moment);
        books.ledger.count(self.identity.account, |requests, _| {
            requests.captured += 1;
            requests.turns += u64::from(turns);
            requests.in_progress += 1;
        });
        self.request_open = true;
        self.head_at = None;
        self.begun += 1;
        if !self.find_place(exchange, books) {
            return;
        }
        if self.origin_closed {
            self.origin_at = id + 1;
        }
        match self.barred.or_else(|| self.reached_bound(books)) {
            Some(cause) => {
                self.dropping = true;
                self.lose(id, cause, books);
            }
            None => {
                self.outbox.begin(Some(id), gate, turns);
                if self.selection.is_some() && !turns {
                    self.outbox.withhold();
                }
            }
        }
    }

    fn new_exchange(&self, moment: Moment) -> Exchange {
        let mut origin = Answer::default();
        if self.origin_closed {
            origin.break_off(Incomparable::OriginIncomplete);
        }
        Exchange {
            stage: Stage::Waiting,
            expect: Default::default(),
            is_framed: !matches!(self.framing, Framing::Turns),
            request_bytes: 0,
            captured_at: moment.captured_at,
            request_last_at: moment.captured_at,
            sent_at: None,
            origin_done_at: self.origin_closed.then_some(moment.now),
            target_enough_at: None,
            replayed: false,
            retried: false,
            alignment: Alignment::default(),
            topic: Topic::default(),
            stalled: false,
            deferred: None,
            request: Vec::new(),
            contents: None,
            origin,
            target: Answer::default(),
        }
    }

    /// Where no more request bytes may be held; neither turns nor interleaved answers bear a hole.
    fn reached_bound(&mut self, books: &Books) -> Option<NotReplayed> {
        let reached = books.outboxes.is_over();
        if reached && self.is_one_piece() {
            self.barred = Some(NotReplayed::Limit);
        }
        reached.then_some(NotReplayed::Limit)
    }

    /// The condition of what the client does at `moment`. Where the client did something since the origin spoke last, its
    /// pause since both is kept.
    fn gate(&self, after: u64, moment: Moment) -> Gate {
        let at = moment.captured_at;
        let since_answer = self.origin_last_at.map(|answered_at| at.since(answered_at));
        let since_client = at.since(self.client_last_at);
        let spoke_since = self.origin_last_at.is_none_or(|answered_at| answered_at < self.client_last_at);
        let think = Think { since_answer, since_client: spoke_since.then_some(since_client) };
        let answered = if self.is_interleaved() { self.origin_done } else { 0 };
        Gate { after, answered, think, seen_at: moment.now }
    }

    fn take_request_bytes(&mut self, bytes: &[u8], moment: Moment, books: &mut Books) {
        self.client_last_at = self.client_last_at.max(moment.captured_at);
        // Where requests are interleaved, what they say is kept, and not how.
        let is_kept = !self.is_interleaved();
        if let Some(exchange) = self.last_mut() {
            exchange.request_bytes += bytes.len() as u64;
            exchange.request_last_at = exchange.request_last_at.max(moment.captured_at);
            if is_kept {
                exchange.keep_request(bytes, books);
            }
        }
        if self.dropping {
            return;
        }
        if self.outbox.len() + bytes.len() > books.outbox_bound() || books.outboxes.is_over() {
            return self.drop_request(NotReplayed::Limit, books);
        }
        self.outbox.take_room(&mut books.spare);
        self.outbox.push(bytes, moment.now, books.limits.request_held_bytes, &mut books.outboxes);
    }

    /// Lets a request go that is held until it is whole, and has been for too long.
    pub fn stream_in_time(&mut self, now: Time, books: &Books) {
        if self.held_until(books).is_some_and(|until| until <= now) {
            self.outbox.stream(now);
        }
    }

    /// When [`Exchanges::stream_in_time`] has something to do.
    pub fn held_until(&self, books: &Books) -> Option<Time> {
        let is_held = self.request_open && !self.dropping && self.outbox.is_holding();
        self.head_at.filter(|_| is_held).map(|at| at + books.limits.request_held)
    }

    pub(super) fn finish_request(&mut self, books: &mut Books) {
        if !self.request_open {
            return;
        }
        if !self.dropping {
            let is_joined = self.is_joined();
            self.outbox.finish(is_joined);
            self.note_whole(books);
        }
        self.dropping = false;
        self.request_open = false;
        self.record_deferred(books);
        self.pass_silent();
    }

    /// Drops the present request, which is not whole.
    pub(super) fn drop_request(&mut self, cause: NotReplayed, books: &mut Books) {
        if !self.request_open || self.dropping {
            return;
        }
        self.dropping = true;
        if let Framing::Framed(framer) = &self.framing
            && self.requests == Step::In
        {
            self.set_expect(framer.expect());
        }
        if self.outbox.cancel_last(&mut books.outboxes) {
            self.cut = Some(cause);
        }
        if self.is_one_piece() {
            self.barred.get_or_insert(cause);
        }
        self.lose(self.next_id() - 1, cause, books);
    }

    /// Request bytes were lost by the mirror.
    pub fn client_gap(&mut self, len: u64, moment: Moment, books: &mut Books) {
        self.drop_request(NotReplayed::MirrorGap, books);
        if core::mem::take(&mut self.aside_open) {
            self.bar(NotReplayed::MirrorGap, books);
        }
        match &mut self.framing {
            Framing::Undecided(opening) => {
                self.greeting.origin += opening.take().map_or(0, |opening| opening.server_len());
            }
            Framing::Turns => {
                self.barred.get_or_insert(NotReplayed::MirrorGap);
                return;
            }
            Framing::Resting => {}
            Framing::Framed(framer) => {
                let in_step = self.requests == Step::In && self.request_open && framer.request_gap(len);
                if in_step {
                    if framer.request(&[]).is_ok_and(|step| step.boundary != Boundary::Inside) {
                        self.finish_request(books);
                    }
                    return;
                }
            }
        }
        self.finish_request(books);
        self.requests = Step::Out;
        self.lose_answers(Incomparable::MirrorGap, moment.now);
        if self.definition.is_some_and(|definition| !definition.resumable) {
            self.become_turns();
            self.barred.get_or_insert(NotReplayed::MirrorGap);
        }
    }

    /// The client closed.
    pub fn client_fin(&mut self, moment: Moment, books: &mut Books) {
        let turn_open = self.close_request(books);
        let after = match self.framing {
            Framing::Turns if !turn_open || self.is_beyond() => self.next_id(),
            Framing::Turns => self.next_id().saturating_sub(1),
            _ => self.origin_at,
        };
        let gate = self.gate(after, moment);
        self.outbox.close(Farewell::Fin, gate);
    }

    /// The client's stream ends; whether it ends within a turn.
    fn close_request(&mut self, books: &mut Books) -> bool {
        self.end_opening(books);
        self.finish_aside();
        let open = self.request_open;
        if let Framing::Framed(framer) = &self.framing
            && open
            && self.requests == Step::In
            && framer.request_at_close() == AtClose::Cut
        {
            self.drop_request(NotReplayed::ClientIncomplete, books);
        }
        if open {
            self.finish_request(books);
        }
        open
    }

    /// One side reset the connection.
    pub fn reset(&mut self, side: Side, moment: Moment, books: &mut Books) {
        self.close_request(books);
        let after = match side {
            Side::Client => self.answered_by_origin(),
            Side::Origin => self.next_id(),
        };
        let gate = self.gate(after, moment);
        self.origin_gone(moment.now);
        self.outbox.close(Farewell::Reset, gate);
    }

    /// Nothing more will be seen of the session.
    pub fn end(&mut self, moment: Moment, books: &mut Books) {
        self.close_request(books);
        self.origin_gone(moment.now);
        let gate = Gate { think: Think::default(), ..self.gate(self.next_id(), moment) };
        self.outbox.close(Farewell::Fin, gate);
    }

    /// Whether the protocol has a framer, or may still turn out to have one.
    pub fn may_be_framed(&self) -> bool {
        self.protocol != Protocol::Raw && !matches!(self.framing, Framing::Turns)
    }
}

/// Why what follows cannot be read, if so.
pub(super) fn unreadable(boundary: Boundary) -> Option<NotReplayed> {
    match boundary {
        Boundary::Encrypted => Some(NotReplayed::TlsEncrypted),
        Boundary::Compressed => Some(NotReplayed::Compressed),
        Boundary::Inside | Boundary::End | Boundary::Last | Boundary::Tunnel => None,
    }
}
