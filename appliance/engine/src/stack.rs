//! The test-side TCP stack: smoltcp behind a small face, so that another could take its place.
//!
//! smoltcp walks every socket of a `SocketSet` for each packet. So there is one `Interface` for all (IP medium, any
//! address), one set with one socket for each connection, and an own table by 4-tuple that finds the connection of a packet.
//!
//! A connection is *held* by its owner until [`Stack::release`]; after that the stack sees it to its end by itself (FIN,
//! lingering) and forgets it. What happens to a held connection is told by [`Stack::poll_event`].

mod connection;
mod device;
mod sleep;
#[cfg(test)]
mod tests;
mod window;

pub use device::Outline;

use crate::flow::Index;
use crate::frame::Endpoint;
use crate::limits::Limits;
use crate::time::Time;
use crate::timers::{Alarm, Timers};
use connection::Connection;
use core::time::Duration;
use device::{ACKNOWLEDGEMENT, OnePacket, add};
use sleep::{Awake, Live, Peer};
use slotmap::{SlotMap, new_key_type};
use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::socket::tcp::{self, State};
use smoltcp::wire::{HardwareAddress, IpAddress};
use std::collections::VecDeque;
use window::Window;

new_key_type! {
    /// A connection.
    pub struct ConnectionId;
}

/// Sockets kept for reuse: setting up a used one costs a tenth of a new one.
const SPARE_MAX: usize = 4_096;

/// How long a released connection may take to end by itself, before it is forgotten.
const LINGER: Duration = Duration::from_secs(10);

/// Time between two probes of a window that the peer has shut.
const PROBE: Duration = Duration::from_secs(1);

/// How long a released connection that is closed on both sides stays, to acknowledge the last of the peer's segments. The
/// 4-tuple is not used again for as long as TIME-WAIT wants.
const TIME_WAIT: Duration = Duration::from_millis(100);

/// How long an acknowledgement may wait for something to be sent with it, while the connection is held.
const ACK_DELAY: Duration = Duration::from_millis(10);

/// How a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The handshake is not complete.
    Opening,
    /// Both sides may send.
    Open,
    /// The peer has closed; every byte before has been read.
    PeerClosed,
    /// The peer answered the SYN with a reset.
    Refused,
    /// The peer reset the connection.
    Reset,
    /// It ended otherwise: both sides closed, or the peer fell silent.
    Gone,
}

/// Counts of the stack.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Packets sent with content.
    pub with_content: u64,
    /// Segments sent again.
    pub retransmits: u64,
}

/// Connections with owners of type `O`.
pub struct Stack<O> {
    interface: Interface,
    connections: SlotMap<ConnectionId, Connection<O>>,
    by_tuple: Index<ConnectionId>,
    #[expect(clippy::vec_box, reason = "they pass between here and the connections")]
    spare: Vec<Box<Live>>,
    due: VecDeque<ConnectionId>,
    events: VecDeque<ConnectionId>,
    timers: Timers<ConnectionId>,
    ended: VecDeque<(Endpoint, Endpoint)>,
    mtu: usize,
    socket_bytes: usize,
    answer: Vec<u8>,
    answer_owner: Option<O>,
    packet: Vec<u8>,
    /// A packet that is not numbered as it will be.
    draft: Vec<u8>,
    counts: Counts,
    awake: Awake,
    /// When anything was last done.
    now: Time,
    /// A set without a socket, for segments of no connection.
    nobody: SocketSet<'static>,
}

impl<O: Copy> Stack<O> {
    /// A stack without connections. `seed` makes its initial sequence numbers.
    pub fn new(now: Time, mtu: usize, limits: &Limits, seed: u64) -> Self {
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = seed;
        let (mut answer, mut packet) = (Vec::new(), Vec::new());
        let mut device = OnePacket::new(None, &mut answer, &mut packet, mtu);
        let mut interface = Interface::new(config, &mut device, instant(now));
        interface.set_any_ip(true);
        Self {
            interface,
            connections: SlotMap::with_key(),
            by_tuple: Index::new(seed),
            spare: Vec::new(),
            due: VecDeque::new(),
            events: VecDeque::new(),
            timers: Timers::default(),
            ended: VecDeque::new(),
            mtu,
            socket_bytes: limits.socket_bytes,
            answer: Vec::with_capacity(mtu),
            answer_owner: None,
            packet: Vec::with_capacity(mtu),
            draft: Vec::with_capacity(mtu),
            counts: Counts::default(),
            awake: Awake::new(limits.awake_connections),
            now,
            nobody: SocketSet::new(Vec::new()),
        }
    }

    /// Opens a connection from `local` to `remote`. `silence`: how long sent bytes may stay unacknowledged.
    pub fn connect(&mut self, local: Endpoint, remote: Endpoint, silence: Duration, owner: O) -> ConnectionId {
        let id = self.insert(local, remote, silence, owner);
        sleep::dial(self.connections[id].socket(), self.interface.context(), (local, remote));
        self.mark_due(id);
        id
    }

    /// Waits for a connection from `remote` to `local`.
    pub fn accept(&mut self, local: Endpoint, remote: Endpoint, silence: Duration, owner: O) -> ConnectionId {
        let id = self.insert(local, remote, silence, owner);
        self.connections[id]
            .socket()
            .listen((IpAddress::from(local.ip()), local.port()))
            .expect("a closed socket listens on an endpoint whose port is not zero");
        id
    }

    fn insert(&mut self, local: Endpoint, remote: Endpoint, silence: Duration, owner: O) -> ConnectionId {
        let mut live = self.fresh_socket(silence);
        let window = Window::open(live.socket());
        let id = self.connections.insert(Connection {
            live: Some(live),
            shift: 0,
            local,
            remote,
            silence,
            owner: Some(owner),
            was_open: false,
            was_reset: false,
            sent_up_to: None,
            retransmits: 0,
            is_due: false,
            has_work: true,
            has_event: false,
            told: State::Closed,
            linger_until: None,
            alarm: Alarm::default(),
            peer: Peer::default(),
            window,
        });
        self.by_tuple.insert(id, |id| self.connections[id].ends());
        self.note_awake(id);
        id
    }

    fn connection_of(&self, ends: (Endpoint, Endpoint)) -> Option<ConnectionId> {
        self.by_tuple.get(&ends, |id| self.connections[id].ends())
    }

    /// Whether a connection from `local` to `remote` exists.
    pub fn has(&self, local: Endpoint, remote: Endpoint) -> bool {
        self.connection_of((local, remote)).is_some()
    }

    /// Takes an IP packet. Whether it belongs to a connection.
    pub fn handle_packet(&mut self, now: Time, packet: &[u8]) -> bool {
        let Some(segment) = Outline::of(packet) else { return false };
        let Some(id) = self.connection_of((segment.destination, segment.source)) else {
            self.refuse(now, packet);
            return false;
        };
        self.now = now;
        self.wake(id);
        let connection = &mut self.connections[id];
        connection.peer.note(&segment);
        let packet = match connection.shift {
            0 => packet,
            shift => {
                self.draft.clear();
                self.draft.extend_from_slice(packet);
                add(&mut self.draft, ACKNOWLEDGEMENT, shift.wrapping_neg());
                &self.draft
            }
        };
        let mut answer = core::mem::take(&mut self.awake.spare_packet);
        answer.clear();
        let mut device = OnePacket::new(Some(packet), &mut answer, &mut self.packet, self.mtu);
        let live = connection.live.as_mut().expect("it was woken");
        // A reset in TIME-WAIT, and what follows it, answers a late segment: both sides have closed before.
        let was_over = matches!(live.socket().state(), State::TimeWait | State::Closed);
        let under_way = live.socket().send_queue();
        self.interface.poll_ingress_single(instant(now), &mut device, &mut live.sockets);
        connection.window.acknowledged(under_way, live.socket().send_queue());
        if let Some(outline) = Outline::of(&answer) {
            connection.number(&mut answer, &outline);
            self.answer_owner = connection.owner;
            core::mem::swap(&mut self.answer, &mut answer);
        }
        self.awake.spare_packet = answer;
        connection.was_reset |= segment.rst && !was_over && connection.socket().state() == State::Closed;
        if connection.is_unread() {
            self.receive(id, |_| {});
        }
        self.mark_due(id);
        self.tell(id);
        true
    }

    /// The local end of the connection that a packet of the target belongs to.
    pub fn destination(packet: &[u8]) -> Option<Endpoint> {
        Outline::of(packet).map(|segment| segment.destination)
    }

    /// Answers a segment of no connection with a reset, so that its sender does not wait for one that is long gone.
    fn refuse(&mut self, now: Time, packet: &[u8]) {
        self.answer_owner = None;
        let mut device = OnePacket::new(Some(packet), &mut self.answer, &mut self.packet, self.mtu);
        self.interface.poll_ingress_single(instant(now), &mut device, &mut self.nobody);
    }

    /// The next packet to send, with the owner of its connection if that is held.
    pub fn poll_packet(&mut self, now: Time) -> Option<(Option<O>, &[u8])> {
        if !self.answer.is_empty() {
            core::mem::swap(&mut self.answer, &mut self.packet);
            self.answer.clear();
            return Some((self.answer_owner, &self.packet));
        }
        while let Some(id) = self.due.front().copied() {
            let at = if self.watch(id) { now } else { self.poll_at(now, id) };
            if at <= now && self.poll_connection(now, id) {
                return Some((self.connections[id].owner, &self.packet));
            }
            self.due.pop_front();
            self.rest(now, id, at);
        }
        None
    }

    /// When a connection has something to do, as smoltcp says: to ask costs less than to let it try.
    fn poll_at(&mut self, now: Time, id: ConnectionId) -> Time {
        let live = self.connections.get(id).and_then(|connection| connection.live.as_ref());
        let Some(live) = live else { return Time::MAX };
        self.interface.poll_at(instant(now), &live.sockets).map_or(Time::MAX, time)
    }

    /// Lets a connection send one packet. Whether it did.
    fn poll_connection(&mut self, now: Time, id: ConnectionId) -> bool {
        let Some(connection) = self.connections.get_mut(id) else { return false };
        let Some(live) = &mut connection.live else { return false };
        self.packet.clear();
        let mut device = OnePacket::new(None, &mut self.answer, &mut self.packet, self.mtu);
        self.interface.poll_egress(instant(now), &mut device, &mut live.sockets);
        if self.packet.is_empty() {
            return false;
        }
        if let Some(segment) = Outline::of(&self.packet) {
            connection.number(&mut self.packet, &segment);
            let again = connection.sent_up_to.is_some_and(|up_to| up_to.wrapping_sub(segment.end) as i32 >= 0);
            if segment.span > 0 && again {
                self.counts.retransmits += 1;
                connection.note_loss();
            }
            self.counts.with_content += u64::from(segment.content > 0);
            if !again && segment.span > 0 {
                connection.sent_up_to = Some(segment.end);
            }
        }
        true
    }

    /// A connection that has nothing to send now, and `at` this time may have: sees to its wake-up, and to its end.
    fn rest(&mut self, now: Time, id: ConnectionId, at: Time) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        connection.is_due = false;
        if connection.owner.is_none() {
            let state = connection.socket().state();
            let late = connection.linger_until.is_some_and(|until| until <= now);
            if state == State::Closed || (state == State::TimeWait && late) {
                return self.forget(id);
            }
            if state == State::TimeWait {
                let soon = now + TIME_WAIT;
                connection.linger_until = connection.linger_until.map(|until| until.min(soon));
            } else if late {
                connection.socket().abort();
                return self.mark_due(id);
            }
        }
        let at = self.probe(now, id, at);
        let Some(connection) = self.connections.get_mut(id) else { return };
        let at = at.max(now).min(connection.linger_until.unwrap_or(Time::MAX));
        if at < Time::MAX {
            let at = if at <= now { now + Duration::from_micros(1) } else { at };
            self.timers.arm(&mut connection.alarm, id, at);
        }
        if connection.socket().state() != connection.told {
            self.tell(id);
        }
    }

    /// Sees to it that a peer which should answer is missed, and no other: smoltcp counts from the last segment received, whether or
    /// not one is due, and an idle peer is not a silent one. Whether there is something to do for the owner.
    fn watch(&mut self, id: ConnectionId) -> bool {
        let Some(connection) = self.connections.get_mut(id) else { return false };
        let silence = connection.silence;
        let socket = connection.socket();
        let awaits_ack = awaits_ack(socket);
        if socket.timeout().is_some() != awaits_ack {
            socket.set_timeout(awaits_ack.then_some(silence.into()));
        }
        core::mem::take(&mut connection.has_work)
    }

    /// Sees to it that a peer whose window is shut is asked for its size: a timer that runs out meanwhile is not set again. When
    /// the connection, which `at` this time had something to do, has that now.
    fn probe(&mut self, now: Time, id: ConnectionId, at: Time) -> Time {
        let Some(connection) = self.connections.get_mut(id) else { return Time::MAX };
        let (silence, socket) = (connection.silence, connection.socket());
        if !awaits_ack(socket) {
            socket.set_keep_alive(None);
            return if at > now { at } else { self.poll_at(now, id) };
        }
        socket.set_timeout(None);
        let stalls = self.poll_at(now, id) == Time::MAX;
        let socket = self.connections[id].socket();
        socket.set_keep_alive(stalls.then_some(PROBE.into()));
        socket.set_timeout(Some(silence.into()));
        if at > now && !stalls { at } else { self.poll_at(now, id) }
    }

    fn forget(&mut self, id: ConnectionId) {
        let Some(mut connection) = self.connections.remove(id) else { return };
        self.by_tuple.remove(&connection.ends(), id);
        self.ended.push_back(connection.ends());
        if let Some(live) = connection.live.take() {
            self.spare_socket(live);
        }
        if self.connections.is_empty() {
            self.timers = Timers::default();
        }
    }

    fn mark_due(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(id).filter(|connection| !connection.is_due) {
            connection.is_due = true;
            self.due.push_back(id);
        }
    }

    fn tell(&mut self, id: ConnectionId) {
        let held = |connection: &&mut Connection<O>| connection.owner.is_some() && !connection.has_event;
        if let Some(connection) = self.connections.get_mut(id).filter(held) {
            connection.has_event = true;
            connection.told = connection.socket().state();
            self.events.push_back(id);
        }
    }

    /// The owner of the next held connection to which something may have happened.
    pub fn poll_event(&mut self) -> Option<(ConnectionId, O)> {
        loop {
            let id = self.events.pop_front()?;
            let Some(connection) = self.connections.get_mut(id) else { continue };
            connection.has_event = false;
            if let Some(owner) = connection.owner {
                return Some((id, owner));
            }
        }
    }

    /// The local and the remote end of a connection.
    pub fn ends(&self, id: ConnectionId) -> (Endpoint, Endpoint) {
        self.connections[id].ends()
    }

    /// Segments of a connection that were sent again.
    pub fn retransmits(&self, id: ConnectionId) -> u64 {
        self.connections[id].retransmits
    }

    /// The ends of the next connection that the stack has forgotten.
    pub fn poll_ended(&mut self) -> Option<(Endpoint, Endpoint)> {
        self.ended.pop_front()
    }

    /// How a held connection stands.
    pub fn phase(&mut self, id: ConnectionId) -> Phase {
        let connection = &mut self.connections[id];
        if connection.live.is_none() {
            return Phase::Open;
        }
        let socket = connection.socket();
        let (state, unread) = (socket.state(), socket.recv_queue() > 0);
        let phase = match state {
            State::Listen | State::SynSent | State::SynReceived => Phase::Opening,
            State::Established | State::FinWait1 | State::FinWait2 => Phase::Open,
            State::CloseWait | State::LastAck | State::Closing | State::TimeWait if unread => Phase::Open,
            State::CloseWait => Phase::PeerClosed,
            State::LastAck | State::Closing | State::TimeWait => Phase::PeerClosed,
            State::Closed if unread => Phase::Open,
            State::Closed if connection.was_reset && !connection.was_open => Phase::Refused,
            State::Closed if connection.was_reset => Phase::Reset,
            State::Closed => Phase::Gone,
        };
        connection.was_open |= matches!(phase, Phase::Open | Phase::PeerClosed);
        phase
    }

    /// Queues bytes; returns how many it had room for. A connection that has taken less has an event when it has room again.
    pub fn send(&mut self, id: ConnectionId, bytes: &[u8]) -> usize {
        self.wake(id);
        let connection = &mut self.connections[id];
        connection.peer.is_recent = true;
        let silence = connection.silence;
        let taken = connection.queue(bytes);
        if taken > 0 {
            connection.socket().set_timeout(Some(silence.into()));
            connection.has_work = true;
            self.mark_due(id);
        }
        taken
    }

    /// Bytes sent, or queued, that the peer has not acknowledged.
    pub fn unacknowledged(&mut self, id: ConnectionId) -> usize {
        self.connections[id].live.as_mut().map_or(0, |live| live.socket().send_queue())
    }

    /// Hands what has arrived to `take`, in order.
    pub fn receive(&mut self, id: ConnectionId, mut take: impl FnMut(&[u8])) {
        let connection = &mut self.connections[id];
        let Some(live) = &mut connection.live else { return };
        let mut len = 0;
        while live.socket().recv_queue() > 0 {
            let read = live.socket().recv(|bytes| {
                take(bytes);
                (bytes.len(), bytes.len())
            });
            match read.unwrap_or(0) {
                0 => break,
                read => len += read,
            }
        }
        if len > 0 {
            connection.peer.read(len);
            self.mark_due(id);
        }
    }

    /// Closes the sending direction, after what is queued.
    pub fn close(&mut self, id: ConnectionId) {
        self.wake(id);
        let socket = self.connections[id].socket();
        socket.set_timeout(None);
        socket.close();
        self.mark_due(id);
    }

    /// Resets the connection.
    pub fn reset(&mut self, id: ConnectionId) {
        self.wake(id);
        self.connections[id].socket().abort();
        self.mark_due(id);
    }

    /// Gives a connection up: the stack sees it to its end.
    pub fn release(&mut self, now: Time, id: ConnectionId) {
        self.now = now;
        self.wake(id);
        let Some(connection) = self.connections.get_mut(id) else { return };
        connection.owner = None;
        connection.linger_until = Some(now + LINGER);
        connection.socket().set_ack_delay(None);
        self.mark_due(id);
    }

    /// Resets the connections that were given up with something yet to say.
    pub fn silence_released(&mut self) {
        let speaks = |connection: &mut Connection<O>| {
            let socket = connection.live.as_mut().filter(|_| connection.owner.is_none()).map(|live| live.socket());
            socket.is_some_and(|socket| socket.state() != State::Closed && socket.send_queue() > 0)
        };
        let ids: Vec<_> = self.connections.iter_mut().filter_map(|(id, one)| speaks(one).then_some(id)).collect();
        ids.into_iter().for_each(|id| self.reset(id));
    }

    /// When [`Stack::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.timers.next_at()
    }

    /// Wakes the connections whose time has come.
    pub fn handle_timeout(&mut self, now: Time) {
        while let Some((at, id)) = self.timers.pop_due(now) {
            let fired = |connection: &mut Connection<O>| connection.alarm.fired(at) && connection.live.is_some();
            if self.connections.get_mut(id).is_some_and(fired) {
                self.mark_due(id);
            }
        }
    }

    /// What has been counted.
    pub fn counts(&self) -> Counts {
        self.counts
    }
}

/// Whether the peer owes an acknowledgement.
fn awaits_ack(socket: &tcp::Socket<'_>) -> bool {
    socket.state() == State::SynSent || socket.send_queue() > 0
}

fn instant(time: Time) -> smoltcp::time::Instant {
    smoltcp::time::Instant::from_micros((time.as_nanos() / 1_000) as i64)
}

fn time(instant: smoltcp::time::Instant) -> Time {
    Time::from_micros(u64::try_from(instant.total_micros()).unwrap_or(0))
}
