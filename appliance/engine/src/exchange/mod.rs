//! Exchanges: the two streams of a session become requests (without a framer: turns) and the answers to them.
//!
//! One [`Exchanges`] follows one replay of one session. From the mirror it takes the client's bytes, which it cuts into units
//! of the [`outbox`], and the origin's, which it keeps for the comparison; from the replay it takes the target's bytes. Every
//! exchange ends with exactly one outcome, given by one function, `conclude`.
//!
//! The order in which answers belong to requests is the order of the streams. That holds as long as the streams were seen
//! from their beginning without a hole outside of a message's content. Afterwards (midstream pick-up, a gap) the exchanges
//! are *unproven*: a hidden request may have shifted them by one, so that only `Match` counts; the proof is two answers in
//! a row that match and differ from one another.

pub mod answer;
mod beyond;
mod client;
mod contents;
mod ground;
mod obey;
mod opening;
mod origin;
pub mod outbox;
mod outcome;
pub mod passage;
mod proof;
mod rest;
mod score;
mod shown;
pub mod target;
mod topic;

use crate::books::Books;
use crate::compare::Rules;
use crate::config::{Protocol, Service};
use crate::frame::Endpoint;
use crate::ledger::NotReplayed;
use crate::message::{Contents, Outcome};
use crate::protocol::{Definition, Expect, Framer};
use crate::selection::Selection;
use crate::time::Time;
use answer::{Answer, Progress};
use core::time::Duration;
use ground::Ground;
use opening::Opening;
use outbox::Outbox;
use proof::Doubt;
use rest::Room;
pub use rest::Rooms;
use score::Score;
use std::collections::VecDeque;
use std::sync::Arc;
use topic::Topic;

/// Whose exchanges they are.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    /// Number of the session.
    pub session: u64,
    /// Index of the service.
    pub service: usize,
    /// Number of its account.
    pub account: usize,
    /// Index of the target among the service's.
    pub target: u16,
    /// Number of the copy among those for this target.
    pub copy: u16,
    /// The real client.
    pub client: Endpoint,
    /// The production server.
    pub origin: Endpoint,
}

/// When something was captured, and when the box saw it.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// In production's clock.
    pub captured_at: Time,
    /// In the replay's clock.
    pub now: Time,
}

/// How far an exchange has come on the target's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing sent.
    Waiting,
    /// Its first bytes are sent; when the last of them.
    Sending(Time),
    /// All of it is sent, at this time.
    Sent(Time),
    /// The target's answer is whole, and waits for the origin's.
    Answered,
    /// It has its outcome.
    Done,
}

/// How certain it is which bytes answer a turn; or, with a framer, which are the content of the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Alignment {
    /// As many as the origin's, and so were all before; with a framer, if it could read the request.
    #[default]
    Aligned,
    /// It is not.
    Lost,
}

struct Exchange {
    stage: Stage,
    expect: Expect,
    /// Whether its answer is cut by a framer.
    is_framed: bool,
    request_bytes: u64,
    captured_at: Time,
    request_last_at: Time,
    /// When the request was sent whole, for the latency.
    sent_at: Option<Time>,
    /// When the box saw the end of the origin's answer, in the replay's clock.
    origin_done_at: Option<Time>,
    /// When the target had, without a framer, said as much as the origin, but other bytes.
    target_enough_at: Option<Time>,
    /// Whether its first bytes were ever sent.
    replayed: bool,
    /// Whether it was sent a second time already.
    retried: bool,
    alignment: Alignment,
    topic: Topic,
    /// The box had to send segments again while it was under way.
    stalled: bool,
    /// Its outcome, known before the end of the request.
    deferred: Option<Outcome>,
    /// The first bytes of the request, where records carry contents.
    request: Vec<u8>,
    contents: Option<Box<Contents>>,
    origin: Answer,
    target: Answer,
}

impl Exchange {
    fn is_target_done(&self) -> bool {
        matches!(self.stage, Stage::Answered | Stage::Done)
    }

    /// Whether the origin's answer, cut by a framer, has begun without its whole head being there.
    fn is_within_head(&self) -> bool {
        let begun = self.stage != Stage::Done && self.origin.progress == Progress::Begun;
        self.is_framed && begun && self.origin.head.is_empty()
    }

    /// Whether a rehearsal's target may ever answer it.
    fn may_be_played(&self) -> bool {
        self.stage != Stage::Done || self.replayed
    }

    /// Whether no answer to it will come, and all of it is sent.
    fn is_sent_silent(&self) -> bool {
        self.expect.silent && matches!(self.stage, Stage::Sent(_))
    }

    /// How far apart the ends of both answers are, in the replay's clock.
    fn apart(&self) -> Duration {
        let (origin, target) = (self.origin_done_at.unwrap_or(self.target.last_at), self.target.last_at);
        origin.since(target).max(target.since(origin))
    }

    fn is_under_way(&self) -> bool {
        matches!(self.stage, Stage::Sending(_) | Stage::Sent(_))
    }
}

/// How the streams are cut.
enum Framing {
    /// Not known yet; with what was said, where that does not tell.
    Undecided(Option<Box<Opening>>),
    /// By a protocol's framer.
    Framed(Box<dyn Framer>),
    /// The same, and nothing has to be known but where the next message begins: here.
    Resting,
    /// By turns.
    Turns,
}

/// Bytes of a server that speaks before the first turn.
#[derive(Default)]
struct Greeting {
    origin: u64,
    target: u64,
    target_last_at: Time,
    /// What the target said before the protocol was known.
    early: Vec<u8>,
}

impl Greeting {
    const fn new() -> Self {
        Self { origin: 0, target: 0, target_last_at: Time::ZERO, early: Vec::new() }
    }

    fn is_blank(&self) -> bool {
        let Self { origin, target, target_last_at, early } = self;
        (*origin, *target, *target_last_at) == (0, 0, Time::ZERO) && early.is_empty()
    }
}

/// What the mirror's side of the streams still allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Every byte has its place.
    In,
    /// Until the next request boundary, bytes have none.
    Out,
    /// All that follows belongs to the present request, which cannot be cut.
    Tail,
}

/// The exchanges of one replay of one session.
pub struct Exchanges {
    identity: Identity,
    protocol: Protocol,
    /// What the comparison goes by.
    rules: Arc<Rules>,
    /// What cuts the streams, or cut them before they became turns.
    definition: Option<&'static Definition>,
    framing: Framing,
    queue: Room<VecDeque<Exchange>>,
    /// Number of the exchange at the queue's front.
    front: u64,
    /// The exchange whose answer the origin gives next.
    origin_at: u64,
    /// Exchanges begun so far.
    begun: u64,
    /// The request that is coming in beyond the bound on exchanges: it has its outcome, and no place in the queue.
    beyond: Option<Box<Exchange>>,
    /// The first exchange that is not done on the target's side.
    target_at: u64,
    /// Exchanges to which the origin says no more, and those that are done on the target's side.
    origin_done: u64,
    target_done: u64,
    /// First exchange that is a turn.
    turns_from: u64,
    /// The target let a turn's time limit pass and has said nothing since.
    target_silent: bool,
    /// Bytes that the target has said more than the origin in all turns so far, or less.
    surplus: i64,
    /// The turn that was sent last.
    turn_sent: Option<u64>,
    requests: Step,
    answers: Step,
    /// A request has begun and is not whole.
    request_open: bool,
    /// An aside of the client has begun and is not whole.
    aside_open: bool,
    /// When the box saw the head of the last request, in the replay's clock.
    head_at: Option<Time>,
    /// The rest of the present request goes nowhere.
    dropping: bool,
    /// Nothing is replayed any more, or never was.
    barred: Option<NotReplayed>,
    /// Where it is not proven which answer belongs to which request.
    doubt: Option<Box<Doubt>>,
    /// Whether turns and answers lie alongside each other.
    aligned: bool,
    /// The mirror shows nothing of the origin.
    pub one_way: bool,
    /// The origin has closed: it answers nothing any more.
    origin_closed: bool,
    /// A request was given up after its first bytes were sent, and why: the connection cannot be used for another.
    cut: Option<NotReplayed>,
    greeting: Room<Greeting>,
    origin_last_at: Option<Time>,
    client_last_at: Time,
    /// When `target_at` last moved.
    pub target_moved_at: Time,
    target_framer: Option<Box<dyn Framer>>,
    target_tunnel: bool,
    /// The client's close was passed on, on the present connection.
    has_left: bool,
    sent_on_connection: u64,
    answered_on_connection: u64,
    connected_at: Time,
    /// The box's own end of the present connection, or of the last.
    local: Option<Endpoint>,
    ground: Ground,
    selection: Option<Arc<Selection>>,
    score: Option<Box<Score>>,
    /// Request bytes waiting for the target.
    pub outbox: Room<Outbox>,
}

impl Exchanges {
    /// No exchange yet. `midstream`: the session was already open when first seen.
    pub fn new(
        identity: Identity,
        service: &Service,
        midstream: bool,
        now: Time,
        captured_at: Time,
        books: &Books,
    ) -> Self {
        let protocol = service.protocol;
        let (definition, barred) = match protocol {
            Protocol::Known(Definition { framer: None, .. }) => (None, Some(NotReplayed::TlsEncrypted)),
            Protocol::Known(definition) if definition.resumable || !midstream => (Some(definition), None),
            Protocol::Known(_) | Protocol::Raw => (None, midstream.then_some(NotReplayed::Midstream)),
            Protocol::Auto => (None, None),
        };
        let framing = match protocol {
            Protocol::Auto => Framing::Undecided(None),
            Protocol::Known(_) | Protocol::Raw => framed(definition, books),
        };
        Self {
            identity,
            protocol,
            rules: service.rules.clone(),
            definition,
            framing,
            queue: Room::default(),
            front: 0,
            origin_at: 0,
            begun: 0,
            beyond: None,
            target_at: 0,
            origin_done: 0,
            target_done: 0,
            turns_from: 0,
            target_silent: false,
            surplus: 0,
            turn_sent: None,
            requests: if midstream { Step::Out } else { Step::In },
            answers: if midstream { Step::Out } else { Step::In },
            request_open: false,
            aside_open: false,
            head_at: None,
            dropping: false,
            barred,
            doubt: midstream.then(Box::default),
            aligned: true,
            one_way: false,
            origin_closed: false,
            cut: None,
            greeting: Room::default(),
            origin_last_at: None,
            client_last_at: captured_at,
            target_moved_at: now,
            target_framer: None,
            target_tunnel: false,
            has_left: false,
            sent_on_connection: 0,
            answered_on_connection: 0,
            connected_at: now,
            local: None,
            ground: Ground::default(),
            selection: None,
            score: None,
            outbox: Room::default(),
        }
    }

    fn next_id(&self) -> u64 {
        self.front + self.queue.len() as u64
    }

    fn get(&self, id: u64) -> Option<&Exchange> {
        self.queue.get(usize::try_from(id.checked_sub(self.front)?).ok()?)
    }

    fn get_mut(&mut self, id: u64) -> Option<&mut Exchange> {
        self.queue.get_mut(usize::try_from(id.checked_sub(self.front)?).ok()?)
    }

    /// Gives back what is held of requests that nobody will ask for again.
    pub fn give_back(&mut self, books: &mut Books) {
        books.outboxes.exchange(self.outbox.len(), 0);
    }

    /// Body bytes kept of one answer, at most.
    pub fn largest_body(&self) -> usize {
        let answers = self.queue.iter().flat_map(|exchange| [&exchange.origin, &exchange.target]);
        answers.map(|answer| answer.body.len()).max().unwrap_or(0)
    }

    /// Exchanges held.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether every exchange has its outcome.
    pub fn is_settled(&self) -> bool {
        self.queue.is_empty() && self.beyond.is_none()
    }

    /// From here on nothing is replayed, for `cause`: what waits is never sent, what is under way has no answer.
    pub fn bar(&mut self, cause: NotReplayed, books: &mut Books) {
        self.barred.get_or_insert(cause);
        self.drop_waiting(cause, books);
        self.lose_under_way(cause, books);
    }

    /// Whether nothing is replayed any more.
    pub fn is_barred(&self) -> bool {
        self.barred.is_some()
    }

    /// Drops every unit that is not sent whole; the rest of a request that is still coming in is dropped with it.
    pub fn drop_waiting(&mut self, cause: NotReplayed, books: &mut Books) {
        while self.drop_next(cause, books) {}
        self.outbox.drop_ahead(&mut books.outboxes);
    }

    /// Drops the next unit; whether there was one.
    fn drop_next(&mut self, cause: NotReplayed, books: &mut Books) -> bool {
        let Some((id, whole)) = self.outbox.drop_next(&mut books.outboxes) else { return false };
        match id {
            Some(id) => {
                self.dropping |= !whole;
                if self.get(id).is_some_and(|exchange| !exchange.is_target_done()) {
                    self.lose(id, cause, books);
                }
            }
            // What follows builds on it.
            None => {
                self.barred.get_or_insert(cause);
            }
        }
        true
    }

    fn lose_under_way(&mut self, cause: NotReplayed, books: &mut Books) {
        for id in self.target_at..self.next_id() {
            if self.get(id).is_some_and(Exchange::is_under_way) {
                self.lose(id, cause, books);
            }
        }
    }

    /// Gives up an exchange: never sent, or, where it was sent, never answered.
    fn lose(&mut self, id: u64, cause: NotReplayed, books: &mut Books) {
        let Some(exchange) = self.get(id) else { return };
        let outcome = if exchange.replayed { Outcome::NotAnswered(cause.into()) } else { Outcome::NotReplayed(cause) };
        self.note_unsent(id, &outcome);
        self.conclude(id, outcome, books);
    }

    /// Forgets the exchanges at the front that have their outcome, and whose answer the origin has given.
    fn forget_settled(&mut self) {
        let is_settled = |exchange: &Exchange| exchange.stage == Stage::Done && exchange.deferred.is_none();
        while self.front < self.origin_at && self.queue.front().is_some_and(is_settled) {
            self.queue.pop_front();
            self.front += 1;
        }
    }

    /// Whether nothing may be left out of what is sent on a connection.
    fn is_one_piece(&self) -> bool {
        matches!(self.framing, Framing::Turns) || self.is_interleaved()
    }

    fn is_interleaved(&self) -> bool {
        matches!(&self.framing, Framing::Framed(framer) if framer.is_interleaved())
    }

    /// The exchange of interleaved ones that its framer knows by `kind`. The last ones are the most likely.
    fn find(&self, kind: u64) -> Option<u64> {
        let index = self.queue.iter().rposition(|exchange| exchange.expect.kind == kind)?;
        Some(self.front + index as u64)
    }

    /// Moves on to the first exchange that is not done on the target's side.
    fn advance_target(&mut self) {
        while self.target_at < self.next_id() {
            match self.get_mut(self.target_at) {
                Some(exchange) if exchange.is_sent_silent() => {
                    exchange.target.progress = Progress::Whole;
                    exchange.stage = Stage::Answered;
                }
                Some(exchange) if !exchange.is_target_done() => return,
                _ => {}
            }
            self.target_at += 1;
        }
    }
}

fn framed(definition: Option<&Definition>, books: &Books) -> Framing {
    let new = definition.and_then(|definition| definition.framer);
    new.map_or(Framing::Turns, |new| Framing::Framed(new(books.limits.head_bytes)))
}
