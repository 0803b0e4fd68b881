//! Sleep: which connections have a socket.
//!
//! A socket is large, and its two buffers are larger; smoltcp can give neither up while a connection lasts. But of one on which
//! nothing is under way little must be known: each side's next number, and what the peer said of itself. So beyond a bound those
//! that were not used lately fall *asleep*: their sockets go to others. One that is used again gets a socket that is led into the
//! same state by a handshake in which the peer's part is played here. smoltcp chooses its first number anew; from then on the
//! numbers in the packets are shifted to those that the peer knows.
//!
//! Nothing is under way when smoltcp holds no byte and has nothing to send at any time, and when every byte that the peer was seen
//! to send has been read: what came ahead of a lost segment lies in the buffer, though smoltcp does not count it yet.

use super::device::{Offer, OnePacket, Outline};
use super::window::Window;
use super::{ACK_DELAY, Connection, ConnectionId, SPARE_MAX, Stack, instant};
use crate::frame::Endpoint;
use crate::time::Time;
use core::time::Duration;
use smoltcp::iface::{Context, SocketHandle, SocketSet, SocketStorage};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::socket::tcp::{self, State};
use smoltcp::wire::{IpAddress, IpProtocol, IpRepr, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber};
use std::collections::VecDeque;

/// Looks for each connection that wakes: as many fall asleep as wake, and half of the looks may be in vain.
const LOOKS: usize = 2;

/// Hop limit of a packet that never leaves.
const HOPS: u8 = 64;

/// A connection's socket, in a set of its own.
pub(super) struct Live {
    pub(super) sockets: SocketSet<'static>,
    handle: SocketHandle,
}

impl Live {
    fn new(bytes: usize) -> Box<Self> {
        let [receive, send] = [(); 2].map(|()| tcp::SocketBuffer::new(vec![0; bytes]));
        let mut sockets = SocketSet::new(vec![SocketStorage::EMPTY]);
        let handle = sockets.add(tcp::Socket::new(receive, send));
        Box::new(Self { sockets, handle })
    }

    pub(super) fn socket(&mut self) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(self.handle)
    }
}

/// Begins a handshake.
pub(super) fn dial(socket: &mut tcp::Socket<'_>, context: &mut Context, (local, remote): (Endpoint, Endpoint)) {
    let (from, to) = ((IpAddress::from(local.ip()), local.port()), (IpAddress::from(remote.ip()), remote.port()));
    socket.connect(context, to, from).expect("a closed socket connects to an endpoint whose port is not zero");
}

/// The connections that are awake, in the order of the last look at them.
#[derive(Default)]
pub(super) struct Awake {
    queue: VecDeque<ConnectionId>,
    max: usize,
    /// Room for packets that are read here alone, and for the one that is numbered next.
    heard: Vec<u8>,
    told: Vec<u8>,
    pub(super) spare_packet: Vec<u8>,
}

impl Awake {
    /// Lets so many connections be awake though nothing is under way.
    pub(super) fn new(max: usize) -> Self {
        Self { max, ..Self::default() }
    }
}

/// What is known of a connection's other side.
#[derive(Default)]
pub(super) struct Peer {
    /// Whether the connection was used since the last look.
    pub(super) is_recent: bool,
    offer: Offer,
    /// Its window, or as much of it as can be told without a shift.
    window: u16,
    /// Highest sequence number that it was seen to send, and the one behind what was read of it.
    received: Option<(u32, u32)>,
}

impl Peer {
    /// Takes note of a segment of the peer's.
    pub(super) fn note(&mut self, segment: &Outline) {
        self.is_recent |= segment.content > 0;
        match &mut self.received {
            Some((up_to, _)) if segment.end.wrapping_sub(*up_to) as i32 > 0 => *up_to = segment.end,
            None if segment.offer.is_some() => self.received = Some((segment.end, segment.end)),
            _ => {}
        }
        // The window of a segment that opens a connection is not shifted.
        let scale = if segment.offer.is_some() { 0 } else { self.offer.scale.unwrap_or(0) };
        self.offer = segment.offer.unwrap_or(self.offer);
        self.window = u16::try_from(u32::from(segment.window) << scale).unwrap_or(u16::MAX);
    }

    /// So many bytes of the peer's have been read.
    pub(super) fn read(&mut self, len: usize) {
        if let Some((_, behind)) = &mut self.received {
            *behind = behind.wrapping_add(len as u32);
        }
    }

    /// The number that follows all that it said, where all of it has been read.
    fn next(&self) -> Option<u32> {
        self.received.filter(|(up_to, behind)| up_to == behind).map(|(up_to, _)| up_to)
    }

    /// Writes what the peer would say to a segment that opens the connection, `(to, from)` being its ends, to go on where it is.
    fn greet(&self, (to, from): (Endpoint, Endpoint), acknowledgement: u32, packet: &mut Vec<u8>) {
        let number = self.received.map_or(0, |(up_to, _)| up_to).wrapping_sub(1);
        let segment = TcpRepr {
            src_port: from.port(),
            dst_port: to.port(),
            control: TcpControl::Syn,
            seq_number: TcpSeqNumber(number as i32),
            ack_number: Some(TcpSeqNumber(acknowledgement as i32)),
            window_len: self.window,
            window_scale: self.offer.scale,
            max_seg_size: self.offer.segment_max,
            sack_permitted: self.offer.selective,
            sack_ranges: [None; 3],
            timestamp: None,
            payload: &[],
        };
        let [source, destination] = [from, to].map(|end| IpAddress::from(end.ip()));
        let ip = IpRepr::new(source, destination, IpProtocol::Tcp, segment.buffer_len(), HOPS);
        let checksums = ChecksumCapabilities::default();
        packet.clear();
        packet.resize(ip.buffer_len(), 0);
        ip.emit(&mut packet[..], &checksums);
        let mut tcp = TcpPacket::new_unchecked(&mut packet[ip.header_len()..]);
        segment.emit(&mut tcp, &source, &destination, &checksums);
    }
}

impl<O: Copy> Stack<O> {
    /// A socket like a new one, of a connection whose sent bytes may stay unacknowledged for so long.
    pub(super) fn fresh_socket(&mut self, silence: Duration) -> Box<Live> {
        let mut live = self.spare.pop().unwrap_or_else(|| Live::new(self.socket_bytes));
        let socket = live.socket();
        socket.set_nagle_enabled(false);
        socket.set_ack_delay(Some(ACK_DELAY.into()));
        socket.set_timeout(Some(silence.into()));
        socket.set_keep_alive(None);
        live
    }

    /// Takes a socket whose connection no longer needs it.
    pub(super) fn spare_socket(&mut self, mut live: Box<Live>) {
        live.socket().abort();
        if self.spare.len() < SPARE_MAX {
            self.spare.push(live);
        }
    }

    /// Gives a connection that is asleep a socket again, which stands where the last one stood.
    pub(super) fn wake(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get(id).filter(|connection| connection.live.is_none()) else { return };
        let (ends, silence) = (connection.ends(), connection.silence);
        let mut live = self.fresh_socket(silence);
        dial(live.socket(), self.interface.context(), ends);
        let connection = &mut self.connections[id];
        let (now, mtu, Awake { heard, told, .. }) = (instant(self.now), self.mtu, &mut self.awake);
        let mut nothing = Vec::new();
        told.clear();
        self.interface.poll_egress(now, &mut OnePacket::new(None, &mut nothing, told, mtu), &mut live.sockets);
        let begun = Outline::of(told).expect("a socket that connects sends a segment").end;
        connection.peer.greet(ends, begun, heard);
        told.clear();
        let mut device = OnePacket::new(Some(heard.as_slice()), &mut nothing, told, mtu);
        self.interface.poll_ingress_single(now, &mut device, &mut live.sockets);
        // The peer has had its acknowledgement long ago.
        self.interface.poll_egress(now, &mut device, &mut live.sockets);
        debug_assert_eq!(live.socket().state(), State::Established, "the handshake is complete");
        let next = connection.sent_up_to.unwrap_or_default().wrapping_add(connection.shift);
        connection.shift = next.wrapping_sub(begun);
        connection.sent_up_to = Some(begun);
        connection.was_open = true;
        connection.window = Window::open(live.socket());
        connection.live = Some(live);
        self.note_awake(id);
    }

    /// A connection has got a socket: another may lose its own.
    pub(super) fn note_awake(&mut self, id: ConnectionId) {
        self.connections[id].peer.is_recent = true;
        self.awake.queue.push_back(id);
        for _ in 0..LOOKS {
            if self.awake.queue.len() <= self.awake.max {
                return;
            }
            let Some(other) = self.awake.queue.pop_front_if(|other| *other != id) else { return };
            self.look_at(other);
        }
    }

    /// Lets a connection fall asleep if it was not used since the last look, and nothing is under way.
    fn look_at(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let was_used = core::mem::take(&mut connection.peer.is_recent);
        let may_sleep = !was_used && connection.is_at_rest() && self.poll_at(self.now, id) == Time::MAX;
        let live = self.connections.get_mut(id).filter(|_| may_sleep).and_then(|connection| connection.live.take());
        match live {
            Some(live) => self.spare_socket(live),
            None => self.awake.queue.push_back(id),
        }
    }
}

impl<O> Connection<O> {
    /// Whether both sides have all that was said, and can say more.
    fn is_at_rest(&mut self) -> bool {
        let is_heard = self.owner.is_some() && self.peer.next().is_some() && self.peer.window > 0 && !self.is_due;
        let socket = self.socket();
        let is_empty = socket.send_queue() == 0 && socket.recv_queue() == 0;
        is_heard && is_empty && socket.state() == State::Established
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use crate::stack::Phase;

    /// Longer than an acknowledgement waits, and shorter than a segment is waited for.
    const ACKNOWLEDGED: Duration = Duration::from_millis(20);

    /// A stack whose connections answer one another's.
    struct Pair {
        ours: Stack<usize>,
        theirs: Stack<usize>,
        now: Time,
        network: [u16; 4],
    }

    impl Pair {
        /// With so many of our connections awake.
        fn new(max: usize) -> Self {
            Self::with(max, 1_500, [10, 0, 0, 0])
        }

        /// `mtu` is theirs. A first group of no IPv4 address makes an IPv6 one.
        fn with(max: usize, mtu: usize, network: [u16; 4]) -> Self {
            let stack = |awake_connections, mtu, seed| {
                Stack::new(Time::ZERO, mtu, &Limits { awake_connections, ..Limits::default() }, seed)
            };
            Self { ours: stack(max, 1_500, 1), theirs: stack(usize::MAX, mtu, 2), now: Time::ZERO, network }
        }

        fn open(&mut self, port: u16) -> [ConnectionId; 2] {
            let [a, b, c, _] = self.network;
            let ip = |last| match a > 0xff {
                true => core::net::Ipv6Addr::new(a, b, c, 0, 0, 0, 0, last).into(),
                false => core::net::Ipv4Addr::new(a as u8, b as u8, c as u8, last as u8).into(),
            };
            let [local, remote] = [1, 2].map(|last| Endpoint::new(ip(last), port));
            let their = self.theirs.accept(remote, local, Duration::from_secs(9), 0);
            let our = self.ours.connect(local, remote, Duration::from_secs(9), 0);
            self.pass(|_| true);
            [our, their]
        }

        /// Passes packets on until there are none, but for those of theirs that `passes` lets go; the longest of ours.
        fn pass(&mut self, mut passes: impl FnMut(usize) -> bool) -> usize {
            let (mut theirs, mut longest) = (0, 0);
            let mut is_late = false;
            loop {
                let sent = self.ours.poll_packet(self.now).map(|(_, packet)| packet.to_vec());
                let answered = self.theirs.poll_packet(self.now).map(|(_, packet)| packet.to_vec());
                if sent.is_none() && answered.is_none() && core::mem::replace(&mut is_late, true) {
                    return longest;
                }
                if is_late {
                    self.now = self.now + ACKNOWLEDGED;
                    self.ours.handle_timeout(self.now);
                    self.theirs.handle_timeout(self.now);
                }
                if let Some(packet) = sent {
                    longest = longest.max(packet.len());
                    self.theirs.handle_packet(self.now, &packet);
                }
                if let Some(packet) = answered {
                    theirs += 1;
                    if passes(theirs) {
                        self.ours.handle_packet(self.now, &packet);
                    }
                }
            }
        }

        fn read(&mut self, id: ConnectionId) -> Vec<u8> {
            let mut all = Vec::new();
            self.ours.receive(id, |bytes| all.extend_from_slice(bytes));
            self.pass(|_| true);
            all
        }

        /// One side asks, the other answers; every byte arrives.
        fn exchange(&mut self, [our, their]: [ConnectionId; 2], word: &[u8]) {
            assert_eq!(self.ours.send(our, word), word.len());
            self.pass(|_| true);
            let mut heard = Vec::new();
            self.theirs.receive(their, |bytes| heard.extend_from_slice(bytes));
            assert_eq!(heard, word);
            assert_eq!(self.theirs.phase(their), Phase::Open);
            assert_eq!(self.theirs.send(their, word), word.len());
            self.pass(|_| true);
            assert_eq!(self.read(our), word);
            assert_eq!((self.ours.unacknowledged(our), self.theirs.unacknowledged(their)), (0, 0));
        }

        /// Lets seconds pass, in which what is late comes.
        fn wait(&mut self) {
            self.now = self.now + Duration::from_secs(2);
            self.ours.handle_timeout(self.now);
            self.theirs.handle_timeout(self.now);
            self.pass(|_| true);
        }

        fn is_asleep(&self, id: ConnectionId) -> bool {
            self.ours.connections[id].live.is_none()
        }

        /// Others are used, so that those used before fall asleep if they may.
        fn crowd_out(&mut self) {
            for _ in 0..8 {
                let port = 100 + self.ours.connections.len() as u16;
                let ends = self.open(port);
                self.exchange(ends, b"hello");
            }
        }
    }

    #[test]
    fn those_not_used_lately_fall_asleep_beyond_the_bound_and_go_on_where_they_were() {
        for (network, mtu, longest) in [([10, 0, 0, 0], 1_500, 1_500), ([0xfd00, 1, 1, 0], 1_400, 1_400)] {
            let mut pair = Pair::with(2, mtu, network);
            let ends = pair.open(99);
            pair.exchange(ends, b"request");
            assert!(!pair.is_asleep(ends[0]), "nothing else was used");
            for round in 0..5 {
                pair.crowd_out();
                assert!(pair.is_asleep(ends[0]), "{round}");
                assert_eq!(pair.ours.phase(ends[0]), Phase::Open);
                let content = vec![round; 5_000];
                assert_eq!(pair.ours.send(ends[0], &content), content.len());
                assert_eq!(pair.pass(|_| true), longest, "no segment is longer than its receiver takes");
                let mut heard = Vec::new();
                pair.theirs.receive(ends[1], |bytes| heard.extend_from_slice(bytes));
                assert_eq!(heard, content);
                pair.exchange(ends, b"again");
                pair.crowd_out();
                pair.theirs.send(ends[1], b"unasked");
                pair.pass(|_| true);
                assert_eq!(pair.read(ends[0]), b"unasked");
            }
            assert_eq!((pair.ours.counts().retransmits, pair.theirs.counts().retransmits), (0, 0));
        }
    }

    #[test]
    fn one_that_is_asleep_ends_as_any_other() {
        type End = fn(&mut Pair, ConnectionId);
        let ends: [(End, Phase); 2] =
            [(|pair, our| pair.ours.close(our), Phase::PeerClosed), (|pair, our| pair.ours.reset(our), Phase::Reset)];
        for (end, phase) in ends {
            let mut pair = Pair::new(0);
            let [our, their] = pair.open(99);
            pair.exchange([our, their], b"request");
            pair.crowd_out();
            assert!(pair.is_asleep(our));
            end(&mut pair, our);
            pair.ours.release(pair.now, our);
            pair.pass(|_| true);
            assert_eq!(pair.theirs.phase(their), phase);
        }
        let mut pair = Pair::new(0);
        let [our, their] = pair.open(99);
        pair.crowd_out();
        assert!(pair.is_asleep(our), "it needs nothing to be said");
        pair.theirs.close(their);
        pair.pass(|_| true);
        assert_eq!(pair.ours.phase(our), Phase::PeerClosed);
    }

    #[test]
    fn what_was_damaged_on_its_way_is_no_better_for_a_connection_that_was_asleep() {
        let mut pair = Pair::new(0);
        let [our, their] = pair.open(99);
        pair.crowd_out();
        pair.exchange([our, their], b"it has woken");
        pair.theirs.send(their, b"answer");
        let mut packet = pair.theirs.poll_packet(pair.now).expect("it is sent").1.to_vec();
        let last = packet.len() - 1;
        packet[last] ^= 1;
        pair.ours.handle_packet(pair.now, &packet);
        assert_eq!(pair.read(our), b"");
        packet[last] ^= 1;
        pair.ours.handle_packet(pair.now, &packet);
        assert_eq!(pair.read(our), b"answer");
    }

    #[test]
    fn what_is_not_read_keeps_a_connection_awake() {
        let mut pair = Pair::new(0);
        let [our, their] = pair.open(99);
        pair.theirs.send(their, b"answer");
        pair.pass(|_| true);
        pair.crowd_out();
        assert!(!pair.is_asleep(our));
    }

    #[test]
    fn what_is_not_acknowledged_keeps_a_connection_awake() {
        let mut pair = Pair::new(0);
        let [our, _] = pair.open(99);
        pair.ours.send(our, b"request");
        assert!(pair.ours.poll_packet(pair.now).is_some(), "it is lost");
        pair.crowd_out();
        assert!(!pair.is_asleep(our));
    }

    #[test]
    fn what_came_ahead_of_a_lost_segment_keeps_a_connection_awake() {
        let mut pair = Pair::new(0);
        let [our, their] = pair.open(99);
        let bytes = vec![b'x'; 4_000];
        pair.theirs.send(their, &bytes);
        pair.pass(|packet| packet != 1);
        assert_eq!(pair.read(our), b"", "its first segment is missing");
        pair.crowd_out();
        assert!(!pair.is_asleep(our));
        pair.wait();
        assert_eq!(pair.read(our), bytes);
        pair.crowd_out();
        assert!(pair.is_asleep(our));
    }
}
