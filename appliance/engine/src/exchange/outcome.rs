//! Outcomes: every exchange gets exactly one, from [`Exchanges::conclude`] or, after a fault, from [`Exchanges::write_off`];
//! with it go a record and its counts.

use super::answer::{Answer, Progress};
use super::{Alignment, Exchange, Exchanges, Identity, Stage};
use crate::books::Books;
use crate::compare::{Comparison, Terms, compare};
use crate::findings::{EndpointId, Observation, Place};
use crate::ledger::{Incomparable, NotReplayed};
use crate::message::{Difference, Latency, Outcome, Record, Verdict};
use crate::time::Time;

impl Exchanges {
    /// Gives answered exchanges whose origin will say no more their verdict.
    pub fn judge(&mut self, books: &mut Books) {
        for id in self.front..self.target_at {
            let Some(exchange) = self.get(id) else { continue };
            if exchange.stage != Stage::Answered || !exchange.origin.is_final() {
                continue;
            }
            // The target may have closed behind its answer, or the origin may have said more when the target was done.
            if !exchange.is_framed {
                let as_long = exchange.target.wire_bytes == exchange.origin.wire_bytes;
                self.align(id, as_long);
            }
            let Some(exchange) = self.get(id) else { continue };
            let verdict = match exchange.origin.progress {
                Progress::Broken(cause) => Verdict::Incomparable(cause),
                // It spoke before the whole request said that nothing answers it; the target was not listened to.
                _ if exchange.expect.silent && exchange.origin.wire_bytes > 0 => {
                    Verdict::Incomparable(Incomparable::OriginGarbled)
                }
                _ if exchange.expect.handshake => Verdict::Incomparable(Incomparable::Handshake),
                _ if exchange.expect.volatile => Verdict::Incomparable(Incomparable::Volatile),
                _ => self.compare(exchange),
            };
            let verdict = self.prove(id, verdict);
            self.observe(id, &verdict, books);
            self.conclude(id, Outcome::Answered(verdict), books);
        }
    }

    fn compare(&self, exchange: &Exchange) -> Verdict {
        let (origin, target) = (exchange.origin.message(), exchange.target.message());
        match (compare(&origin, &target, &self.terms(exchange)), exchange.alignment) {
            (Comparison::Equal, _) => Verdict::Match,
            (Comparison::Unknown, _) => Verdict::Incomparable(Incomparable::Limit),
            (Comparison::Unequal(differences), Alignment::Lost) => without_content(differences),
            (Comparison::Unequal(differences), _) => Verdict::Differ(differences),
        }
    }

    /// What the answers to a request are compared by.
    fn terms(&self, exchange: &Exchange) -> Terms<'_> {
        let reader = self.definition.and_then(|definition| definition.reader).filter(|_| exchange.is_framed);
        let reader = reader.map(|reader| (reader, exchange.expect.kind));
        Terms { rules: &self.rules, scope: exchange.topic.scope, reader }
    }

    /// Lets the findings learn from a comparison.
    fn observe(&self, id: u64, verdict: &Verdict, books: &mut Books) {
        let Some(exchange) = self.get(id) else { return };
        if exchange.origin.progress == Progress::Broken(Incomparable::OriginIncomplete)
            && !exchange.origin.head.is_empty()
        {
            return books.findings.observe_broken_origin(exchange.topic.endpoint, self.place(id, exchange));
        }
        let differences = match verdict {
            Verdict::Match => &[][..],
            Verdict::Differ(differences) => differences,
            Verdict::Incomparable(_) => return,
        };
        books.findings.observe(&Observation {
            endpoint: exchange.topic.endpoint,
            request: exchange.topic.request(),
            differences,
            origin: exchange.origin.message(),
            terms: self.terms(exchange),
            apart: exchange.apart(),
            place: self.place(id, exchange),
        });
    }

    /// Lets the findings learn from an answer that is not whole, or never came.
    fn observe_lost(&self, id: u64, outcome: &Outcome, books: &mut Books) {
        let is_broken = |exchange: &&Exchange| matches!(exchange.origin.progress, Progress::Broken(_));
        let Some(exchange) = self.get(id).filter(|exchange| !is_broken(exchange)) else { return };
        let Some((field, kind)) = outcome.lost(!exchange.target.head.is_empty()) else { return };
        books.findings.observe_unanswered(exchange.topic.endpoint, field, kind, self.place(id, exchange));
    }

    fn place(&self, id: u64, exchange: &Exchange) -> Place {
        Place { session: self.identity.session, exchange: id, captured_at: exchange.captured_at }
    }

    /// Gives an exchange its one outcome.
    pub(super) fn conclude(&mut self, id: u64, outcome: Outcome, books: &mut Books) {
        self.observe_lost(id, &outcome, books);
        let (identity, local) = (self.identity, self.local);
        let is_open = self.request_open && id + 1 == self.begun;
        let Some(exchange) = self.get_mut(id).filter(|exchange| exchange.stage != Stage::Done) else { return };
        let was_done = exchange.is_target_done();
        exchange.stage = Stage::Done;
        match exchange.is_kept(identity.session, id, &outcome, books) {
            true => exchange.keep(local, books),
            false => exchange.discard(books),
        }
        match is_open {
            true => exchange.deferred = Some(outcome),
            false => settle(id, identity, exchange, outcome, books),
        }
        self.target_done += u64::from(!was_done);
        self.advance_target();
        self.outbox.forget_below(self.target_at, &mut books.outboxes);
        self.forget_settled();
    }

    /// Records the outcome of the request that has just ended, if it got one before its end.
    pub(super) fn record_deferred(&mut self, books: &mut Books) {
        let (identity, id) = (self.identity, self.begun - 1);
        if let Some(exchange) = self.last_mut()
            && let Some(outcome) = exchange.deferred.take()
        {
            settle(id, identity, exchange, outcome, books);
            self.beyond = None;
            self.forget_settled();
        }
    }

    /// Gives every exchange without an outcome that of a fault of the box.
    pub fn write_off(mut self, books: &mut Books) {
        let has_none = |exchange: &Exchange| exchange.stage != Stage::Done || exchange.deferred.is_some();
        let beyond = self.beyond.as_deref_mut().map(|exchange| (self.begun - 1, exchange));
        let all = (self.front..).zip(self.queue.iter_mut()).chain(beyond);
        for (id, exchange) in all.filter(|(_, exchange)| has_none(exchange)) {
            let cause = NotReplayed::Fault;
            let outcome =
                if exchange.replayed { Outcome::NotAnswered(cause.into()) } else { Outcome::NotReplayed(cause) };
            exchange.discard(books);
            settle(id, self.identity, exchange, outcome, books);
        }
        books.outboxes.exchange(self.outbox.len(), 0);
    }
}

/// The verdict where it is not certain which bytes are the answers' content: what their heads differ in is.
fn without_content(mut differences: Vec<Difference>) -> Verdict {
    differences.retain(|difference| !difference.field.starts_with("body"));
    match differences.is_empty() {
        true => Verdict::Incomparable(Incomparable::Unaligned),
        false => Verdict::Differ(differences),
    }
}

fn record(id: u64, identity: Identity, exchange: &mut Exchange, outcome: Outcome, books: &mut Books) -> Record {
    let latency = |answer: &Answer, from: Option<Time>| {
        let whole = answer.progress == Progress::Whole;
        let (first, from) = (answer.first_at.filter(|_| whole)?, from?);
        Some(Latency { first_byte: first.since(from), last_byte: answer.last_at.since(from) })
    };
    Record {
        session: identity.session,
        exchange: id,
        service: identity.service,
        target: identity.target,
        copy: identity.copy,
        client: identity.client.into(),
        origin: identity.origin.into(),
        captured_at: exchange.captured_at,
        request_bytes: exchange.request_bytes,
        origin_latency: latency(&exchange.origin, Some(exchange.request_last_at)),
        target_latency: latency(&exchange.target, exchange.sent_at),
        contents: exchange.take_contents(books),
        endpoint: books.findings.name(exchange.topic.endpoint),
        stalled: exchange.stalled,
        outcome,
    }
}

/// Hands on the record of an exchange that has its outcome, and counts it.
fn settle(id: u64, identity: Identity, exchange: &mut Exchange, outcome: Outcome, books: &mut Books) {
    let record = record(id, identity, exchange, outcome, books);
    count(&record, identity.account, books);
    match record.outcome {
        Outcome::Answered(_) => measure(&record, identity.account, exchange.topic.endpoint, books),
        _ if exchange.expect.may_change() => books.findings.note_loss(identity.account, exchange.captured_at),
        _ => {}
    }
    books.records.push_back(record);
}

fn count(record: &Record, account: usize, books: &mut Books) {
    books.ledger.count(account, |requests, verdicts| {
        requests.in_progress -= 1;
        match &record.outcome {
            Outcome::NotReplayed(cause) => requests.not_replayed.count(*cause),
            Outcome::NotAnswered(cause) => requests.not_answered.count(*cause),
            Outcome::Answered(verdict) => {
                requests.answered += 1;
                match verdict {
                    Verdict::Match => verdicts.matched += 1,
                    Verdict::Differ(_) => verdicts.differ += 1,
                    Verdict::Incomparable(cause) => verdicts.incomparable.count(*cause),
                }
            }
        }
    });
}

/// What was sent again by the box says nothing of the target's time.
fn measure(record: &Record, account: usize, endpoint: EndpointId, books: &mut Books) {
    let (origin, target) = (record.origin_latency, record.target_latency.filter(|_| !record.stalled));
    let total = &mut books.ledger.latency_us;
    total.stalled += u64::from(record.stalled);
    origin.iter().for_each(|latency| total.origin.record(latency.last_byte));
    target.iter().for_each(|latency| total.target.record(latency.last_byte));
    books.findings.measure(account, endpoint, record.captured_at, |timing| {
        timing.stalled += u64::from(record.stalled);
        if let Some(latency) = origin {
            timing.origin_first.record(latency.first_byte);
            timing.origin_last.record(latency.last_byte);
        }
        if let Some(latency) = target {
            timing.target_first.record(latency.first_byte);
            timing.target_last.record(latency.last_byte);
        }
    });
}
