//! Replay: one production session performed again, against the target.
//!
//! States: *idle* (no connection), *opening*, *open*, *done*. A connection is opened when the client's was established, or at
//! the first request; it is opened again, at a request's boundary, when the target has closed it, reset it, or answered too
//! late. What is sent when is decided here, by the gate that [`crate::exchange`] put on each unit:
//!
//! - the target must have answered all that the origin had answered when the client went on, and
//! - the client's think time must have passed since; somewhat less of it while the session is behind production, to catch up, and
//!   nothing where it has fallen behind by more than a bound.

use crate::books::Books;
use crate::config::{Pacing, Speed};
use crate::exchange::outbox::{Farewell, Gate, Unit};
use crate::exchange::passage::Passage;
use crate::exchange::target::Connection;
use crate::exchange::{Exchanges, Rooms};
use crate::frame::Endpoint;
use crate::ledger::{NotReplayed, Reconnect};
use crate::limits::Limits;
use crate::local::{Locals, Refusal};
use crate::stack::{ConnectionId, Phase, Stack};
use crate::time::Time;
use core::time::Duration;

/// Pause after a failed attempt to connect.
const BACKOFF: Duration = Duration::from_secs(1);

/// A target that accepts and closes at once may do so for ever; an idle connection that it closes just when a request comes
/// is no reason to give the request up.
const FRUITLESS_MAX: u32 = 2;

/// How a session is to be replayed.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// The real client.
    pub client: Endpoint,
    /// The server under test.
    pub target: Endpoint,
    /// When requests are released.
    pub pacing: Pacing,
    /// How fast captured time passes.
    pub speed: Speed,
}

/// What a replay works with.
pub struct Means<'a, O> {
    /// The time.
    pub now: Time,
    /// The TCP stack.
    pub stack: &'a mut Stack<O>,
    /// The local addresses.
    pub locals: &'a mut Locals,
    /// The accounts.
    pub books: &'a mut Books,
    /// Rooms that sessions have given back.
    pub rooms: &'a mut Rooms,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle { not_before: Time },
    Opening { id: ConnectionId, since: Time },
    Open { id: ConnectionId, opened_at: Time, spent: bool, said_farewell: bool },
    Done,
}

/// What one look at the connection has come to.
enum Look {
    /// Something changed; look again.
    Again,
    /// Nothing to do before the target says more, or this time.
    Wait(Option<Time>),
}

/// One session's replay.
#[derive(Debug)]
pub struct Replay {
    manner: Manner,
    state: State,
    /// Why the next connection is not the first.
    reconnect: Option<Reconnect>,
    /// The client's connection was established: open ours, though there is no request yet.
    is_wanted: bool,
    /// Connections in a row that the target closed before a byte was sent.
    fruitless: u32,
    last_sent_at: Time,
    /// Segments that the stack has sent again on the connection.
    retransmits: u64,
    wake_at: Option<Time>,
}

impl Replay {
    /// A replay that has not begun.
    pub fn new(manner: Manner, now: Time) -> Self {
        let state = State::Idle { not_before: now };
        Self {
            manner,
            state,
            reconnect: None,
            is_wanted: false,
            fruitless: 0,
            last_sent_at: now,
            retransmits: 0,
            wake_at: None,
        }
    }

    /// The client's connection is established.
    pub fn want(&mut self) {
        self.is_wanted = true;
    }

    /// Whether nothing more will be sent or received.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// When [`Replay::advance`] has something to do though nothing arrived.
    pub fn wake_at(&self) -> Option<Time> {
        self.wake_at
    }

    /// Whether a connection is established.
    pub fn is_connected(&self) -> bool {
        matches!(self.state, State::Open { .. })
    }

    /// The server that it goes to.
    pub fn target(&self) -> Endpoint {
        self.manner.target
    }

    /// The connection in use.
    pub fn connection(&self) -> Option<ConnectionId> {
        match self.state {
            State::Opening { id, .. } | State::Open { id, .. } => Some(id),
            State::Idle { .. } | State::Done => None,
        }
    }

    /// Does everything that can be done now.
    pub fn advance<O: Copy>(&mut self, owner: O, exchanges: &mut Exchanges, means: &mut Means<'_, O>) {
        loop {
            let look = match self.state {
                State::Idle { not_before } => self.idle(not_before, owner, exchanges, means),
                State::Opening { id, since } => self.opening(id, since, exchanges, means),
                State::Open { .. } => self.open(exchanges, means),
                State::Done => Look::Wait(None),
            };
            if let Look::Wait(until) = look {
                self.wake_at = until;
                return;
            }
        }
    }

    /// Ends the replay at once; what is under way must already have its outcome.
    pub fn stop<O: Copy>(&mut self, means: &mut Means<'_, O>) {
        if let Some(id) = self.connection() {
            means.stack.reset(id);
            means.stack.release(means.now, id);
        }
        self.state = State::Done;
        self.wake_at = None;
    }

    fn idle<O: Copy>(
        &mut self,
        not_before: Time,
        owner: O,
        exchanges: &mut Exchanges,
        means: &mut Means<'_, O>,
    ) -> Look {
        let has_unit = exchanges.outbox.next_unit().is_some();
        if !has_unit && (exchanges.outbox.is_closed() || exchanges.is_barred()) {
            if exchanges.outbox.is_closed() {
                self.state = State::Done;
            }
            return Look::Wait(None);
        }
        if !has_unit && !self.is_wanted {
            return Look::Wait(None);
        }
        if means.now < not_before {
            return Look::Wait(Some(not_before));
        }
        self.connect(owner, exchanges, means)
    }

    fn connect<O: Copy>(&mut self, owner: O, exchanges: &mut Exchanges, means: &mut Means<'_, O>) -> Look {
        let Manner { client, target, .. } = self.manner;
        let local = match means.locals.take(means.now, client, target) {
            Ok(local) => local,
            Err(Refusal::Wait(until)) => {
                // What the session shows meanwhile is no reason to search again.
                self.state = State::Idle { not_before: until };
                return Look::Wait(Some(until));
            }
            Err(Refusal::For(cause)) => {
                self.is_wanted = false;
                self.give_up_waiting(cause, exchanges, means);
                return Look::Again;
            }
        };
        self.is_wanted = false;
        let counts = &mut means.books.ledger.target;
        counts.connections_opened += 1;
        if let Some(cause) = self.reconnect {
            counts.reconnects.count(cause);
        }
        let id = means.stack.connect(local, target, means.books.limits.answer_timeout, owner);
        self.state = State::Opening { id, since: means.now };
        Look::Again
    }

    fn opening<O: Copy>(
        &mut self,
        id: ConnectionId,
        since: Time,
        exchanges: &mut Exchanges,
        means: &mut Means<'_, O>,
    ) -> Look {
        let deadline = since + means.books.limits.connect_timeout;
        match means.stack.phase(id) {
            Phase::Opening if means.now < deadline => return Look::Wait(Some(deadline)),
            Phase::Opening => self.give_up_opening(id, NotReplayed::TargetUnreachable, exchanges, means),
            Phase::Refused | Phase::Reset | Phase::Gone => {
                self.give_up_opening(id, NotReplayed::TargetRefused, exchanges, means);
            }
            Phase::Open | Phase::PeerClosed => {
                exchanges.connected(means.stack.ends(id).0, means.now);
                self.retransmits = means.stack.retransmits(id);
                self.state = State::Open { id, opened_at: means.now, spent: false, said_farewell: false };
            }
        }
        Look::Again
    }

    fn give_up_opening<O: Copy>(
        &mut self,
        id: ConnectionId,
        cause: NotReplayed,
        exchanges: &mut Exchanges,
        means: &mut Means<'_, O>,
    ) {
        means.stack.reset(id);
        means.stack.release(means.now, id);
        self.reconnect = Some(Reconnect::TargetRefused);
        self.give_up_waiting(cause, exchanges, means);
    }

    /// Gives up what waits for a connection. Without a framer what follows makes no sense without it.
    fn give_up_waiting<O: Copy>(&mut self, cause: NotReplayed, exchanges: &mut Exchanges, means: &mut Means<'_, O>) {
        self.state = State::Idle { not_before: means.now + BACKOFF };
        exchanges.drop_waiting(cause, means.books);
        if !exchanges.may_be_framed() {
            exchanges.bar(cause, means.books);
        }
    }

    fn open<O: Copy>(&mut self, exchanges: &mut Exchanges, means: &mut Means<'_, O>) -> Look {
        let State::Open { id, said_farewell, .. } = self.state else { return Look::Again };
        let retransmits = means.stack.retransmits(id);
        if core::mem::replace(&mut self.retransmits, retransmits) < retransmits {
            exchanges.note_stall();
        }
        self.receive(id, exchanges, means);
        match means.stack.phase(id) {
            Phase::Opening | Phase::Open => {}
            // Whether the client or the target broke an answer off shows in what the origin does.
            Phase::PeerClosed | Phase::Gone if said_farewell && exchanges.awaits_both() => return Look::Wait(None),
            Phase::PeerClosed => return self.lose(Reconnect::TargetClosed, exchanges, means),
            Phase::Refused | Phase::Reset => return self.lose(Reconnect::TargetReset, exchanges, means),
            Phase::Gone if said_farewell => return self.lose(Reconnect::TargetClosed, exchanges, means),
            Phase::Gone => return self.lose(Reconnect::TargetTimeout, exchanges, means),
        }
        let overdue = exchanges.answer_deadline(means.books);
        if overdue.is_some_and(|at| at <= means.now) {
            exchanges.answer_overdue(means.books);
            return self.cut_off(Reconnect::TargetTimeout, NotReplayed::TargetTimeout, exchanges, means);
        }
        if let Some(cause) = exchanges.cut() {
            // What was sent before the request that was cut can still be answered.
            return match exchanges.awaits_target() {
                true => Look::Wait(overdue),
                false => self.cut_off(Reconnect::RequestCut, cause, exchanges, means),
            };
        }
        match self.send(id, exchanges, means) {
            Look::Again => Look::Again,
            Look::Wait(until) => Look::Wait([until, overdue].into_iter().flatten().min()),
        }
    }

    fn receive<O: Copy>(&mut self, id: ConnectionId, exchanges: &mut Exchanges, means: &mut Means<'_, O>) {
        let State::Open { spent, .. } = &mut self.state else { return };
        let (now, books) = (means.now, &mut *means.books);
        *spent |= exchanges.take_early(books) == Connection::Spent;
        means.stack.receive(id, |bytes| {
            *spent |= exchanges.target_bytes(bytes, now, books) == Connection::Spent;
        });
    }

    /// The connection has ended on the target's side.
    fn lose<O: Copy>(&mut self, why: Reconnect, exchanges: &mut Exchanges, means: &mut Means<'_, O>) -> Look {
        let State::Open { id, .. } = self.state else { return Look::Again };
        let cause = match why {
            Reconnect::TargetClosed => NotReplayed::TargetClosed,
            Reconnect::TargetReset => NotReplayed::TargetReset,
            _ => NotReplayed::TargetTimeout,
        };
        means.stack.close(id);
        means.stack.release(means.now, id);
        self.leave(why, means.now);
        exchanges.disconnected(means.now, cause, means.books);
        self.fruitless = if exchanges.sent_on_connection() == 0 { self.fruitless + 1 } else { 0 };
        if self.fruitless >= FRUITLESS_MAX {
            self.fruitless = 0;
            self.state = State::Idle { not_before: means.now + BACKOFF };
            exchanges.drop_waiting(cause, means.books);
        }
        Look::Again
    }

    /// Ends the connection from our side, so that the next request gets a new one.
    fn cut_off<O: Copy>(
        &mut self,
        why: Reconnect,
        cause: NotReplayed,
        exchanges: &mut Exchanges,
        means: &mut Means<'_, O>,
    ) -> Look {
        let State::Open { id, .. } = self.state else { return Look::Again };
        means.stack.reset(id);
        means.stack.release(means.now, id);
        self.leave(why, means.now);
        exchanges.cut_off(means.now, cause, means.books);
        Look::Again
    }

    fn leave(&mut self, why: Reconnect, now: Time) {
        self.reconnect = Some(why);
        self.state = State::Idle { not_before: now };
    }

    fn send<O: Copy>(&mut self, id: ConnectionId, exchanges: &mut Exchanges, means: &mut Means<'_, O>) -> Look {
        let State::Open { spent, said_farewell, .. } = self.state else { return Look::Again };
        if spent {
            return self.end_spent(exchanges, means);
        }
        if let Some(moved) = exchanges.send_ahead(means.books, |bytes| means.stack.send(id, bytes)) {
            return if moved { Look::Again } else { Look::Wait(None) };
        }
        if let Some(gate) = exchanges.outbox.next_unit().map(|unit| unit.gate) {
            return self.send_unit(id, &gate, exchanges, means);
        }
        match exchanges.outbox.farewell() {
            Some((Farewell::Fin, _)) if said_farewell => self.await_last_answers(id, exchanges, means),
            Some((farewell, gate)) => self.say_farewell(id, farewell, &gate, exchanges, means),
            None => Look::Wait(exchanges.settle_turns(means.now, means.books)),
        }
    }

    /// The target has said that it will close: what is under way is still awaited, the rest goes elsewhere.
    fn end_spent<O: Copy>(&mut self, exchanges: &mut Exchanges, means: &mut Means<'_, O>) -> Look {
        if exchanges.awaits_target() && !exchanges.outbox.is_within_unit() {
            return Look::Wait(None);
        }
        let State::Open { id, .. } = self.state else { return Look::Again };
        if means.stack.unacknowledged(id) > 0 {
            // What the target has not taken must not arrive behind what goes elsewhere.
            means.stack.reset(id);
        }
        self.lose(Reconnect::TargetClosed, exchanges, means)
    }

    fn send_unit<O: Copy>(
        &mut self,
        id: ConnectionId,
        gate: &Gate,
        exchanges: &mut Exchanges,
        means: &mut Means<'_, O>,
    ) -> Look {
        let is_sendable = exchanges.outbox.next_unit().is_some_and(Unit::is_sendable);
        if !exchanges.outbox.is_within_unit() {
            let is_immediate = self.manner.pacing == Pacing::Immediate
                && exchanges.may_be_framed()
                && !exchanges.is_handshaking(means.books);
            if !is_immediate && let Some(wait) = self.is_held(gate, exchanges, means) {
                return wait;
            }
            if !is_sendable {
                return Look::Wait(None);
            }
            if !exchanges.admit(means.books) {
                return Look::Again;
            }
        }
        if !exchanges.send(means.now, means.books, |bytes| means.stack.send(id, bytes)) {
            return Look::Wait(None);
        }
        self.last_sent_at = means.now;
        Look::Again
    }

    /// Whether a gate is shut, and what to wait for.
    fn is_held<O>(&self, gate: &Gate, exchanges: &mut Exchanges, means: &mut Means<'_, O>) -> Option<Look> {
        if let Passage::Shut(until) = exchanges.passage(gate, means.now, means.books) {
            return Some(Look::Wait(until));
        }
        let at = self.release_at(gate, exchanges, &means.books.limits);
        (means.now < at).then_some(Look::Wait(Some(at)))
    }

    /// What lies behind a gate was shown before it is asked for, so that a pause which is not over yet is one of a session that is
    /// behind.
    fn release_at(&self, gate: &Gate, exchanges: &Exchanges, limits: &Limits) -> Time {
        let State::Open { opened_at, .. } = self.state else { return Time::ZERO };
        let scale = |think: Duration| match (self.manner.pacing, self.manner.speed) {
            (Pacing::Immediate, _) | (_, Speed::Max) => Duration::ZERO,
            (Pacing::Turns, Speed::Times(times)) => limits.hastened(think.div_f64(times)),
        };
        let (answered_at, sent_at) = (exchanges.target_moved_at, self.last_sent_at.max(opened_at));
        let after_answer = gate.think.since_answer.map_or(Time::ZERO, |think| answered_at + scale(think));
        let after_client = gate.think.since_client.map_or(Time::ZERO, |think| sent_at + scale(think));
        after_answer.max(after_client).min(answered_at.max(gate.seen_at + limits.lag))
    }

    fn say_farewell<O: Copy>(
        &mut self,
        id: ConnectionId,
        farewell: Farewell,
        gate: &Gate,
        exchanges: &mut Exchanges,
        means: &mut Means<'_, O>,
    ) -> Look {
        if let Some(wait) = self.is_held(gate, exchanges, means) {
            return wait;
        }
        let overdue = gate.seen_at.max(self.last_sent_at) + means.books.limits.answer_timeout;
        match farewell {
            // A reset would overtake what is not acknowledged yet.
            Farewell::Reset if means.stack.unacknowledged(id) > 0 && means.now < overdue => {
                return Look::Wait(Some(overdue));
            }
            Farewell::Reset => {
                exchanges.aborted(means.books);
                self.stop(means);
            }
            Farewell::Fin => {
                means.stack.close(id);
                exchanges.left();
                if let State::Open { said_farewell, .. } = &mut self.state {
                    *said_farewell = true;
                }
            }
        }
        Look::Again
    }

    fn await_last_answers<O: Copy>(
        &mut self,
        id: ConnectionId,
        exchanges: &mut Exchanges,
        means: &mut Means<'_, O>,
    ) -> Look {
        let until = exchanges.settle_turns(means.now, means.books);
        if exchanges.awaits_target() {
            return Look::Wait(until);
        }
        means.stack.release(means.now, id);
        self.state = State::Done;
        Look::Again
    }
}
