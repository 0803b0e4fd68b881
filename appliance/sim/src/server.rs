//! A server machine, of production or under test, and its application.
//!
//! The application knows the plan: from a request's mark it knows all bytes that must follow, and the answer. What it
//! reads otherwise breaks a rule at once. Servers under test answer alterations, and have faults of their own.

use crate::connection::{Connection, Fate};
use crate::fault::TargetFaults;
use crate::host::{Buffers, Host};
use crate::packet::{Segment, flag};
use crate::plan::Plan;
use crate::seed::Rng;
use crate::truth::{ConnectionTruth, Truth};
use core::net::SocketAddr;
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::State;
use std::collections::BTreeMap;
use tapcopy_engine::Time;

/// A server machine.
pub struct Server {
    host: Host,
    port: u16,
    service: usize,
    buffers: Buffers,
    listening: Option<SocketHandle>,
    connections: Vec<Connection>,
    /// First sequence number of each peer's last connection.
    opened: BTreeMap<SocketAddr, u32>,
    /// What this machine is, if it is under test.
    under_test: Option<UnderTest>,
}

/// What only a server under test has.
pub struct UnderTest {
    /// Index of the target.
    pub target: usize,
    /// Its faults.
    pub faults: TargetFaults,
    /// Decides which connection has which.
    pub rng: Rng,
}

impl Server {
    /// A machine that listens on `port`.
    pub fn new(host: Host, port: u16, service: usize, buffers: Buffers, under_test: Option<UnderTest>) -> Self {
        Self {
            host,
            port,
            service,
            buffers,
            listening: None,
            connections: Vec::new(),
            opened: BTreeMap::new(),
            under_test,
        }
    }

    /// The machine itself.
    pub fn host(&mut self) -> &mut Host {
        &mut self.host
    }

    /// From now on it has no faults, on connections already open too.
    pub fn heal(&mut self) {
        if let Some(under_test) = &mut self.under_test {
            under_test.faults = TargetFaults::default();
        }
        for connection in &mut self.connections {
            connection.fate = Fate::default();
        }
    }

    /// Takes a packet.
    ///
    /// A SYN for a connection in TIME-WAIT begins a new one (RFC 6191); one that is not closed on this side is reset by its
    /// peer in the real world (RFC 9293, section 3.10.7.4), which smoltcp's challenge acknowledgements do not bring about.
    /// A SYN seen before must not reach the socket that listens for the next connection.
    pub fn receive(&mut self, packet: Vec<u8>) {
        let opens = |segment: &Segment| segment.flags & (flag::SYN | flag::ACK) == flag::SYN;
        if let Some(segment) = Segment::parse(&packet).filter(opens) {
            let before = self.opened.insert(segment.src, segment.seq);
            if before == Some(segment.seq) && self.knows(segment.src) {
                return;
            }
            self.forget(segment.src);
        }
        self.host.receive(packet);
    }

    fn knows(&mut self, peer: SocketAddr) -> bool {
        let host = &mut self.host;
        self.connections.iter().any(|connection| {
            host.socket(connection.handle).remote_endpoint().is_some_and(|endpoint| SocketAddr::from(endpoint) == peer)
        })
    }

    fn forget(&mut self, peer: SocketAddr) {
        let host = &mut self.host;
        self.connections.retain(|connection| {
            let endpoint = host.socket(connection.handle).remote_endpoint();
            let old = endpoint.is_some_and(|endpoint| SocketAddr::from(endpoint) == peer);
            if old {
                host.remove(connection.handle);
            }
            !old
        });
    }

    /// Lets stack and application work; the packets are in [`Host::take_sent`].
    pub fn poll(&mut self, plan: &Plan, truth: &mut Truth, now: Time) {
        self.listen(now);
        self.host.poll(now);
        self.accept(plan, truth, now);
        for connection in &mut self.connections {
            connection.poll(&mut self.host, plan, truth, self.under_test.is_some(), now);
        }
        self.host.poll(now);
        let host = &mut self.host;
        self.connections.retain(|connection| {
            // A reset within the handshake takes smoltcp's socket back to where it listens, with this application's past.
            let stays = !matches!(host.socket(connection.handle).state(), State::Closed | State::Listen);
            if !stays {
                host.remove(connection.handle);
            }
            stays
        });
    }

    /// When the machine wants to be polled.
    pub fn poll_at(&mut self, now: Time) -> Option<Time> {
        let host = self.host.poll_at(now);
        let timers = self.connections.iter().filter_map(|connection| connection.poll_at(now));
        timers.chain(host).min()
    }

    fn refuses(&self, now: Time) -> bool {
        let times = self.under_test.as_ref().and_then(|under_test| under_test.faults.refuses);
        times.is_some_and(|(from, to)| (from..to).contains(&now))
    }

    fn listen(&mut self, now: Time) {
        if self.refuses(now) {
            if let Some(handle) = self.listening.take() {
                self.host.remove(handle);
            }
        } else if self.listening.is_none() {
            self.listening = Some(self.host.listen(self.port, self.buffers));
        }
    }

    fn accept(&mut self, plan: &Plan, truth: &mut Truth, now: Time) {
        let Some(handle) = self.listening else { return };
        if self.host.socket(handle).state() == State::Listen {
            return;
        }
        self.listening = None;
        let fate = self.under_test.as_mut().map_or_else(Fate::default, |under_test| under_test.fate(now));
        let mut connection = Connection::new(handle, truth.connections.len(), fate);
        if let Some(under_test) = &self.under_test {
            truth.connections.push(ConnectionTruth {
                target: under_test.target,
                session: None,
                closed_by_target: false,
                reset_by_target: false,
                left: None,
                left_at: None,
            });
        }
        connection.say(&plan.topology.services[self.service].greeting, now);
        self.connections.push(connection);
        self.listen(now);
    }
}

impl UnderTest {
    fn fate(&mut self, now: Time) -> Fate {
        let (faults, rng) = (&self.faults, &mut self.rng);
        Fate {
            closes_after: rng.maybe(faults.early_close, |rng| rng.size(1, 3)),
            resets_at: rng.maybe(faults.resets, |rng| rng.size(0, 2)),
            cuts_at: rng.maybe(faults.cuts, |rng| rng.size(0, 2)),
            mute: rng.percent(faults.mute),
            slow: faults.slow,
            reads_from: faults.stalls.map(|stall| now + stall),
            swallows_at: rng.maybe(faults.swallows, |rng| rng.size(1, 3)),
        }
    }
}
