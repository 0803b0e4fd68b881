//! A host: smoltcp's interface and sockets over a queue of IP packets.

use crate::packet::{self, Segment, flag};
use core::net::{IpAddr, SocketAddr};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{self, Device, DeviceCapabilities, Medium};
use smoltcp::socket::{Socket, tcp};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{HardwareAddress, IpCidr, IpEndpoint, IpListenEndpoint};
use std::collections::{BTreeMap, VecDeque};
use tapcopy_engine::Time;

/// A reset or a window update can be lost for good; whoever waits for the peer must find out.
const KEEP_ALIVE: Duration = Duration::from_secs(25);

/// Converts to smoltcp's clock, which counts microseconds.
pub fn instant(now: Time) -> Instant {
    Instant::from_micros((now.as_nanos() / 1_000) as i64)
}

/// One machine with one address.
pub struct Host {
    address: IpAddr,
    interface: Interface,
    device: Queue,
    /// Packets that the stack has not seen.
    arrived: VecDeque<Vec<u8>>,
    sockets: SocketSet<'static>,
    /// The next number that was never sent, on each connection.
    next: BTreeMap<(SocketAddr, SocketAddr), u32>,
}

impl Host {
    /// A host whose sequence numbers follow from `seed`.
    pub fn new(address: IpAddr, mtu: usize, seed: u64) -> Self {
        let mut device = Queue { mtu, received: None, sent: Vec::new() };
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = seed;
        let mut interface = Interface::new(config, &mut device, Instant::ZERO);
        interface.update_ip_addrs(|addresses| addresses.push(IpCidr::new(address.into(), 0)).expect("room for one"));
        let sockets = SocketSet::new(Vec::new());
        Self { address, interface, device, arrived: VecDeque::new(), sockets, next: BTreeMap::new() }
    }

    /// Its address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Takes a packet from the network; [`Host::poll`] looks at it.
    pub fn receive(&mut self, packet: Vec<u8>) {
        self.arrived.push_back(packet);
    }

    /// Lets the stack work.
    pub fn poll(&mut self, now: Time) {
        while let Some(mut packet) = self.arrived.pop_front() {
            self.keep_to_window(&mut packet);
            self.device.received = Some(packet);
            self.interface.poll_ingress_single(instant(now), &mut self.device, &mut self.sockets);
        }
        self.interface.poll(instant(now), &mut self.device, &mut self.sockets);
    }

    /// When the stack wants to work next.
    pub fn poll_at(&mut self, now: Time) -> Option<Time> {
        let at = self.interface.poll_at(instant(now), &self.sockets)?;
        Some(Time::from_micros(at.total_micros().max(0) as u64))
    }

    /// Packets for the network.
    pub fn take_sent(&mut self) -> Vec<Vec<u8>> {
        let mut sent = core::mem::take(&mut self.device.sent);
        sent.iter_mut().for_each(|packet| self.renumber(packet));
        sent
    }

    /// A segment that takes no number carries the next one that was never sent (RFC 9293, section 3.10.7.4), as with every real
    /// host; smoltcp's are from further back after a retransmission time-out, and its peers do not hear them.
    fn renumber(&mut self, packet: &mut [u8]) {
        let Some(segment) = Segment::parse(packet) else { return };
        let end = segment.seq.wrapping_add(segment.span());
        let next = self.next.entry((segment.src, segment.dst)).or_insert(end);
        let is_behind = (*next).wrapping_sub(end) as i32 > 0 && segment.flags & flag::SYN == 0;
        if !is_behind {
            *next = end;
        } else if segment.span() == 0 && segment.flags & flag::RST == 0 {
            packet::put(packet, segment.header + 4, *next);
            packet::set_checksum(packet, &segment);
        }
    }

    /// Of a segment that is longer than the window, the end is not received, and so neither is the FIN behind it. smoltcp sends such
    /// ones, where a segment may be longer than a window and is missed by three acknowledgements; and it takes their FIN.
    fn keep_to_window(&self, packet: &mut [u8]) {
        let Some(segment) = Segment::parse(packet).filter(|segment| segment.flags & flag::FIN != 0) else { return };
        let ends = (Some(endpoint(segment.dst)), Some(endpoint(segment.src)));
        let mut sockets = self.sockets.iter().map(|(_, Socket::Tcp(socket))| socket);
        let receiver = sockets.find(|socket| (socket.local_endpoint(), socket.remote_endpoint()) == ends);
        if receiver.is_some_and(|socket| segment.len() > socket.recv_capacity() - socket.recv_queue()) {
            packet[segment.header + 13] &= !flag::FIN;
            packet::set_checksum(packet, &segment);
        }
    }

    /// Opens a connection.
    pub fn connect(&mut self, port: u16, remote: SocketAddr, buffers: Buffers) -> SocketHandle {
        let mut socket = buffers.socket();
        let local = IpListenEndpoint { addr: Some(self.address.into()), port };
        socket.connect(self.interface.context(), endpoint(remote), local).expect("a closed socket and whole addresses");
        self.sockets.add(socket)
    }

    /// Waits for one connection.
    pub fn listen(&mut self, port: u16, buffers: Buffers) -> SocketHandle {
        let mut socket = buffers.socket();
        socket.listen(port).expect("a closed socket and a port");
        self.sockets.add(socket)
    }

    /// A socket.
    pub fn socket(&mut self, handle: SocketHandle) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(handle)
    }

    /// Forgets a socket.
    pub fn remove(&mut self, handle: SocketHandle) {
        self.sockets.remove(handle);
    }
}

fn endpoint(address: SocketAddr) -> IpEndpoint {
    IpEndpoint::new(address.ip().into(), address.port())
}

/// Buffer sizes of a socket in bytes, and its patience.
#[derive(Clone, Copy, Debug)]
pub struct Buffers {
    /// Receive buffer: the largest window.
    pub receive: usize,
    /// Send buffer.
    pub send: usize,
    /// How many keep-alive probes in a row may stay without an answer.
    pub probes: u32,
}

impl Default for Buffers {
    fn default() -> Self {
        Self { receive: 16 << 10, send: 16 << 10, probes: 4 }
    }
}

impl Buffers {
    fn socket(self) -> tcp::Socket<'static> {
        let buffer = |len| tcp::SocketBuffer::new(vec![0; len]);
        let mut socket = tcp::Socket::new(buffer(self.receive), buffer(self.send));
        socket.set_nagle_enabled(false);
        socket.set_keep_alive(Some(KEEP_ALIVE));
        socket.set_timeout(Some(KEEP_ALIVE * self.probes));
        socket
    }
}

/// Packets in and out of a stack.
struct Queue {
    mtu: usize,
    received: Option<Vec<u8>>,
    sent: Vec<Vec<u8>>,
}

struct Received(Vec<u8>);
struct Sent<'a>(&'a mut Vec<Vec<u8>>);

impl Device for Queue {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sent<'a>;

    fn receive(&mut self, _timestamp: Instant) -> Option<(Received, Sent<'_>)> {
        let packet = self.received.take()?;
        Some((Received(packet), Sent(&mut self.sent)))
    }

    fn transmit(&mut self, _timestamp: Instant) -> Option<Sent<'_>> {
        Some(Sent(&mut self.sent))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.mtu;
        capabilities
    }
}

impl phy::RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl phy::TxToken for Sent<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut packet = vec![0; len];
        let result = f(&mut packet);
        self.0.push(packet);
        result
    }
}
