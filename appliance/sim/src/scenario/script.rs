//! The target of a scenario.

use super::notation::{Act, Event, Frame, Scenario};
use crate::host::{Buffers, Host};
use crate::packet::flag;
use core::time::Duration;
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::State;
use std::collections::{BTreeMap, VecDeque};
use tapcopy_engine::Time;

/// The port on which the target listens.
pub const PORT: u16 = 9_000;

/// Silence after which a turn of the client counts as complete.
const TURN: Duration = Duration::from_millis(5);

/// The target's machine and application.
pub struct Actor {
    host: Host,
    listening: Option<SocketHandle>,
    refusals: usize,
    greeting: Vec<u8>,
    pushes: Option<(Duration, Vec<u8>)>,
    is_deaf: bool,
    /// `None`: it plays the origin.
    acts: Option<VecDeque<Act>>,
    turns: Vec<Turn>,
    waits_until: Time,
    connections: Vec<Connection>,
}

/// What a client said in one run, and what the origin answered.
#[derive(Clone, Debug, Default)]
struct Turn {
    asked: Vec<u8>,
    answered: Vec<u8>,
    used: usize,
}

struct Connection {
    handle: SocketHandle,
    read: Vec<u8>,
    /// Bytes of `read` that are answered.
    answered: usize,
    heard_at: Time,
    says: Vec<u8>,
    pushes_at: Option<Time>,
    then: Option<Act>,
    over: bool,
}

impl Actor {
    /// The target of a scenario.
    pub fn new(host: Host, scenario: &Scenario) -> Self {
        Self {
            host,
            listening: None,
            refusals: scenario.refusals,
            greeting: scenario.greeting.clone(),
            pushes: scenario.pushes.clone(),
            is_deaf: scenario.is_deaf,
            acts: (!scenario.acts.is_empty()).then(|| scenario.acts.iter().cloned().collect()),
            turns: turns(scenario),
            waits_until: Time::ZERO,
            connections: Vec::new(),
        }
    }

    /// The machine itself.
    pub fn host(&mut self) -> &mut Host {
        &mut self.host
    }

    /// What was read on each connection.
    pub fn read(&self) -> Vec<Vec<u8>> {
        self.connections.iter().map(|connection| connection.read.clone()).collect()
    }

    /// A SYN arrives.
    pub fn knock(&mut self) {
        if self.refusals > 0 {
            self.refusals -= 1;
        } else if self.listening.is_none() {
            self.listening = Some(self.host.listen(PORT, Buffers::default()));
        }
    }

    /// Lets stack and application work.
    pub fn poll(&mut self, now: Time) {
        self.host.poll(now);
        self.accept(now);
        for number in 0..self.connections.len() {
            if !self.is_deaf {
                self.hear(number, now);
            }
            self.act(number, now);
            self.push(number, now);
            self.speak(number);
        }
        self.host.poll(now);
    }

    /// When it wants to be polled.
    pub fn poll_at(&mut self, now: Time) -> Option<Time> {
        let turns = self
            .connections
            .iter()
            .filter(|connection| connection.is_asked())
            .map(|connection| connection.heard_at + TURN);
        let waits = core::iter::once(self.waits_until).filter(|_| self.connections.iter().any(Connection::is_asked));
        let pushes = self.connections.iter().filter_map(|connection| connection.pushes_at);
        let timers = turns.chain(waits).chain(pushes).filter(|at| *at > now).collect::<Vec<_>>();
        timers.into_iter().chain(self.host.poll_at(now)).min()
    }

    fn accept(&mut self, now: Time) {
        let Some(handle) = self.listening.filter(|handle| self.host.socket(*handle).state() != State::Listen) else {
            return;
        };
        self.listening = None;
        let says = self.greeting.clone();
        let read = Vec::new();
        let connection =
            Connection { handle, read, answered: 0, heard_at: now, says, pushes_at: None, then: None, over: false };
        self.connections.push(connection);
    }

    fn hear(&mut self, number: usize, now: Time) {
        let connection = &mut self.connections[number];
        let socket = self.host.socket(connection.handle);
        while socket.can_recv() {
            let read = &mut connection.read;
            let result = socket.recv(|bytes| {
                read.extend_from_slice(bytes);
                (bytes.len(), ())
            });
            connection.heard_at = now;
            if result.is_err() {
                break;
            }
        }
        let heard_all = socket.state() == State::CloseWait && socket.recv_queue() == 0;
        let script_goes_on = self.acts.as_ref().is_some_and(|acts| !acts.is_empty());
        let answers_more = connection.is_asked() && (connection.heard_at + TURN > now || script_goes_on);
        if heard_all && !answers_more && self.pushes.is_none() && connection.says.is_empty() {
            socket.close();
        }
    }

    fn act(&mut self, number: usize, now: Time) {
        match &self.acts {
            None => self.play_origin(number),
            Some(_) => self.follow_script(number, now),
        }
    }

    fn play_origin(&mut self, number: usize) {
        let connection = &mut self.connections[number];
        let unanswered = &connection.read[connection.answered..];
        let known = self.turns.iter_mut().filter(|turn| !turn.asked.is_empty() && unanswered.starts_with(&turn.asked));
        // The same words may be asked twice and answered differently: each turn is played once before any is played again.
        if let Some(turn) = known.min_by_key(|turn| (turn.used, usize::MAX - turn.asked.len())) {
            turn.used += 1;
            connection.answered += turn.asked.len();
            connection.says.extend_from_slice(&turn.answered);
        }
    }

    fn follow_script(&mut self, number: usize, now: Time) {
        let Some(acts) = &mut self.acts else { return };
        let connection = &mut self.connections[number];
        if connection.over || !connection.is_asked() || now < (connection.heard_at + TURN).max(self.waits_until) {
            return;
        }
        while let Some(act) = acts.pop_front() {
            match act {
                Act::Wait(time) => {
                    self.waits_until = now + time;
                    return;
                }
                Act::Reply(bytes) => {
                    connection.says.extend_from_slice(&bytes);
                    connection.answered = connection.read.len();
                }
                end @ (Act::Close | Act::Reset) => {
                    connection.then = Some(end);
                    connection.answered = connection.read.len();
                    return;
                }
            }
            if !matches!(acts.front(), Some(Act::Close | Act::Reset)) {
                return;
            }
        }
    }

    fn push(&mut self, number: usize, now: Time) {
        let (Some((period, bytes)), connection) = (&self.pushes, &mut self.connections[number]) else { return };
        if connection.over || !self.host.socket(connection.handle).may_send() {
            connection.pushes_at = None;
        } else if connection.pushes_at.is_none_or(|at| at <= now) {
            if connection.pushes_at.is_some() {
                connection.says.extend_from_slice(bytes);
            }
            connection.pushes_at = Some(now + *period);
        }
    }

    fn speak(&mut self, number: usize) {
        let connection = &mut self.connections[number];
        let socket = self.host.socket(connection.handle);
        if socket.may_send() {
            let sent = socket.send_slice(&connection.says).unwrap_or(0);
            connection.says.drain(..sent);
        }
        if connection.says.is_empty() {
            match connection.then.take() {
                Some(Act::Reset) => socket.abort(),
                Some(_) => socket.close(),
                None => return,
            }
            connection.over = true;
        }
    }
}

impl Connection {
    fn is_asked(&self) -> bool {
        !self.over && self.answered < self.read.len()
    }
}

/// Production's dialogue as turns: frames that the mirror lost count too, bytes sent again or in another order do not.
fn turns(scenario: &Scenario) -> Vec<Turn> {
    let mut dialogues: BTreeMap<(u8, u8), Vec<Dialogue>> = BTreeMap::new();
    let frames = scenario
        .events
        .iter()
        .filter_map(|(_, event)| if let Event::Frame(frame) = event { Some(frame) } else { None });
    for frame in frames {
        let of_pair = dialogues.entry((frame.client, frame.origin)).or_default();
        let opens = frame.from_client && frame.flags & flag::SYN != 0;
        if of_pair.is_empty() || opens && of_pair.last().is_some_and(|last| last.opened_at != Some(frame.seq)) {
            of_pair.push(Dialogue { opened_at: opens.then_some(frame.seq), ..Dialogue::default() });
        }
        of_pair.last_mut().expect("one was pushed").add(frame);
    }
    dialogues.values().flatten().flat_map(Dialogue::turns).collect()
}

/// Both streams of one connection, and where the turns change.
#[derive(Default)]
struct Dialogue {
    opened_at: Option<u32>,
    client: Stream,
    origin: Stream,
    /// Ends of both streams at the beginning of each turn.
    begins: Vec<(usize, usize)>,
}

#[derive(Default)]
struct Stream {
    first: Option<u32>,
    bytes: Vec<u8>,
}

impl Stream {
    /// Puts a frame's bytes in their place; true if the stream has grown.
    fn add(&mut self, frame: &Frame) -> bool {
        let seq = frame.seq.wrapping_add(u32::from(frame.flags & flag::SYN != 0));
        let offset = seq.wrapping_sub(*self.first.get_or_insert(seq)) as usize;
        let end = offset + frame.payload.len();
        // A probe below the first byte of a stream picked up midstream is no data.
        let grows = end > self.bytes.len() && !frame.payload.is_empty() && end < 1 << 24;
        if grows {
            let old = self.bytes.len();
            self.bytes.resize(end, 0);
            let known = old.clamp(offset, end) - offset;
            self.bytes[offset + known..end].copy_from_slice(&frame.payload[known..]);
        } else if let Some(place) = self.bytes.get_mut(offset..end).filter(|place| place.iter().all(|byte| *byte == 0))
        {
            place.copy_from_slice(&frame.payload);
        }
        grows
    }
}

impl Dialogue {
    fn add(&mut self, frame: &Frame) {
        let before = (self.client.bytes.len(), self.origin.bytes.len());
        if !frame.from_client {
            self.origin.add(frame);
        } else if self.client.add(frame) && self.begins.last().is_none_or(|(_, origin)| *origin < before.1) {
            self.begins.push(before);
        }
    }

    fn turns(&self) -> Vec<Turn> {
        let ends = self.begins.iter().skip(1).copied().chain([(self.client.bytes.len(), self.origin.bytes.len())]);
        let turn = |(from, to): (&(usize, usize), (usize, usize))| Turn {
            asked: self.client.bytes[from.0..to.0].to_vec(),
            answered: self.origin.bytes[from.1..to.1].to_vec(),
            used: 0,
        };
        self.begins.iter().zip(ends).map(turn).collect()
    }
}
