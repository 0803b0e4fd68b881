//! A server machine, of production or under test, and its application.
//!
//! The application knows the plan: from a request's mark it knows all bytes that must follow, and the answer. What it
//! reads otherwise breaks a rule at once. Servers under test answer alterations, and have faults of their own.

use crate::fault::TargetFaults;
use crate::host::{Buffers, Host};
use crate::packet::{Segment, flag};
use crate::plan::{INTERIM, Plan, find_mark};
use crate::seed::Rng;
use crate::truth::{ConnectionTruth, Truth};
use core::net::SocketAddr;
use core::time::Duration;
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::State;
use std::collections::{BTreeMap, VecDeque};
use tapcopy_engine::Time;

/// Bytes within which a request's mark must come.
const MARK_WITHIN: usize = 64;

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

struct Connection {
    handle: SocketHandle,
    /// Index into the truth's connections, of a server under test.
    number: usize,
    /// The request being read and the bytes of it read.
    reading: Option<(usize, usize)>,
    /// Bytes of a request whose mark is not there yet.
    held: Vec<u8>,
    due: VecDeque<(usize, Time)>,
    pieces: VecDeque<Piece>,
    /// Bytes said, or about to be.
    said: u64,
    answers: usize,
    fate: Fate,
    closing: bool,
}

/// Bytes to say.
struct Piece {
    bytes: Vec<u8>,
    written: usize,
    answer_to: Option<usize>,
    not_before: Time,
    then: Then,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    GoOn,
    Finish,
    Close,
    Reset,
}

/// What a connection to a server under test will suffer.
#[derive(Clone, Copy, Default)]
struct Fate {
    closes_after: Option<usize>,
    resets_at: Option<usize>,
    cuts_at: Option<usize>,
    mute: bool,
    slow: Option<Duration>,
    reads_from: Option<Time>,
}

impl Server {
    /// A machine that listens on `port`.
    pub fn new(host: Host, port: u16, service: usize, buffers: Buffers, under_test: Option<UnderTest>) -> Self {
        Self { host, port, service, buffers, listening: None, connections: Vec::new(), opened: BTreeMap::new(), under_test }
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

    /// Takes a packet. A SYN for a connection in TIME-WAIT begins a new one (RFC 6191); one that is not closed on this side
    /// is reset by its peer in the real world (RFC 9293, section 3.10.7.4), which smoltcp's challenge acknowledgements do
    /// not bring about.
    pub fn receive(&mut self, packet: Vec<u8>) {
        if let Some(segment) = Segment::parse(&packet).filter(|segment| segment.flags & (flag::SYN | flag::ACK) == flag::SYN)
            && self.opened.insert(segment.src, segment.seq).is_some_and(|seq| seq != segment.seq)
        {
            self.forget(segment.src);
        }
        self.host.receive(packet);
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
            let stays = host.socket(connection.handle).state() != State::Closed;
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
        let mut connection = Connection {
            handle,
            number: truth.connections.len(),
            reading: None,
            held: Vec::new(),
            due: VecDeque::new(),
            pieces: VecDeque::new(),
            said: 0,
            answers: 0,
            fate,
            closing: false,
        };
        if let Some(under_test) = &self.under_test {
            truth.connections.push(ConnectionTruth { target: under_test.target, session: None, closed_by_target: false });
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
        }
    }
}

impl Connection {
    fn poll(&mut self, host: &mut Host, plan: &Plan, truth: &mut Truth, under_test: bool, now: Time) {
        let state = host.socket(self.handle).state();
        if !self.closing && !matches!(state, State::SynReceived | State::Established | State::CloseWait) {
            // The peer reset the connection, or it timed out.
            self.closing = true;
            self.due.clear();
            self.pieces.clear();
        }
        if self.fate.reads_from.is_none_or(|from| from <= now) {
            self.read(host, plan, truth, under_test, now);
        }
        self.answer(plan, truth, under_test, now);
        self.write(host, truth, under_test, now);
        self.follow_close(host, truth);
    }

    fn poll_at(&self, now: Time) -> Option<Time> {
        let due = self.due.front().map(|(_, at)| *at);
        let piece = self.pieces.front().map(|piece| piece.not_before);
        [due, piece, self.fate.reads_from].into_iter().flatten().filter(|at| *at > now).min()
    }

    fn read(&mut self, host: &mut Host, plan: &Plan, truth: &mut Truth, under_test: bool, now: Time) {
        let socket = host.socket(self.handle);
        while socket.can_recv() {
            let held = &mut self.held;
            let result = socket.recv(|bytes| {
                held.extend_from_slice(bytes);
                (bytes.len(), ())
            });
            if result.is_err() || self.consume(plan, truth, under_test, now).is_none() {
                break;
            }
        }
    }

    /// Consumes what is held; `None` when more bytes are needed, or when a rule is broken.
    fn consume(&mut self, plan: &Plan, truth: &mut Truth, under_test: bool, now: Time) -> Option<()> {
        while !self.held.is_empty() {
            let (request, read) = match self.reading {
                Some(reading) => reading,
                None => (self.begin(plan, truth, under_test, now)?, 0),
            };
            let expected = &plan.requests[request].bytes[read..];
            let len = expected.len().min(self.held.len());
            if self.held[..len] != expected[..len] {
                let at = (0..len).find(|at| self.held[*at] != expected[*at]).unwrap_or_default() + read;
                let who = if under_test { "a target" } else { "an origin" };
                let details = format!("{who} read another byte at offset {at} of request {request}");
                truth.violate("what a server reads is what the client wrote", details);
                self.held.clear();
                return None;
            }
            self.held.drain(..len);
            self.progress(plan, truth, under_test, (request, read, read + len), now);
        }
        Some(())
    }

    fn begin(&mut self, plan: &Plan, truth: &mut Truth, under_test: bool, now: Time) -> Option<usize> {
        let request = find_mark(&self.held[..self.held.len().min(MARK_WITHIN)]).filter(|id| *id < plan.requests.len());
        if let Some(request) = request {
            if under_test {
                truth.begin(plan, self.number, request, now);
            }
        } else if self.held.len() >= MARK_WITHIN {
            let start = String::from_utf8_lossy(&self.held[..MARK_WITHIN]).into_owned();
            truth.violate("what a target reads begins at a request's boundary", format!("it read {start:?}"));
        }
        request
    }

    fn progress(&mut self, plan: &Plan, truth: &mut Truth, under_test: bool, step: (usize, usize, usize), now: Time) {
        let (id, from, to) = step;
        let request = &plan.requests[id];
        // Real servers leave the interim answer out when the content is there already; production's client waits for it.
        if request.interim_after.is_some_and(|head| from < head && (head == to || head < to && !under_test)) {
            self.say(INTERIM, now);
        }
        let after = request.answer.after;
        if from < after && after <= to && !self.fate.mute {
            let at = self.due.back().map_or(now, |(_, at)| now.max(*at)) + request.answer.delay;
            self.due.push_back((id, at + self.fate.slow.unwrap_or_default()));
        }
        let whole = to == request.bytes.len();
        self.reading = (!whole).then_some((id, to));
        if whole && under_test && let Some(read) = truth.read(self.number, id) {
            read.whole_at = Some(now);
        }
    }

    fn say(&mut self, bytes: &[u8], now: Time) {
        if !bytes.is_empty() {
            self.said += bytes.len() as u64;
            let (bytes, answer_to) = (bytes.to_vec(), None);
            self.pieces.push_back(Piece { bytes, written: 0, answer_to, not_before: now, then: Then::GoOn });
        }
    }

    /// Says the answers that are due.
    fn answer(&mut self, plan: &Plan, truth: &mut Truth, under_test: bool, now: Time) {
        while let Some((id, _)) = self.due.front().copied().filter(|(_, at)| *at <= now) {
            self.due.pop_front();
            let answer = &plan.requests[id].answer;
            let changed = plan.requests[id].alteration.as_ref().map(|alteration| &alteration.bytes);
            let bytes = match under_test {
                true => changed.or(answer.reframed.as_ref()).unwrap_or(&answer.bytes),
                false => &answer.bytes,
            };
            if !under_test {
                truth.requests[id].answer = Some(self.said..self.said + bytes.len() as u64);
            }
            let then = if answer.closes { Then::Close } else { Then::Finish };
            // A content that ends with the connection cannot be cut without being another content.
            let framed = plan.topology.services[plan.sessions[plan.requests[id].session].service].kind == crate::plan::Kind::Http
                && !answer.closes;
            self.push_answer(id, bytes.clone(), then, framed, now);
        }
    }

    fn push_answer(&mut self, id: usize, mut bytes: Vec<u8>, mut then: Then, framed: bool, now: Time) {
        self.answers += 1;
        self.said += bytes.len() as u64;
        if self.fate.closes_after == Some(self.answers) {
            then = Then::Close;
        }
        if self.fate.resets_at == Some(self.answers - 1) {
            bytes.truncate(bytes.len() * (id % 3) / 2);
            then = Then::Reset;
        } else if framed && self.fate.cuts_at == Some(self.answers - 1) {
            bytes.pop();
            bytes.truncate(bytes.len() * (id % 4) / 3);
            then = Then::Close;
        }
        let mut not_before = now;
        if let Some(pause) = self.fate.slow.filter(|_| bytes.len() > 1) {
            let rest = bytes.split_off(bytes.len() / 2);
            self.pieces.push_back(Piece { bytes, written: 0, answer_to: Some(id), not_before, then: Then::GoOn });
            not_before = now + pause / 2;
            bytes = rest;
        }
        self.pieces.push_back(Piece { bytes, written: 0, answer_to: Some(id), not_before, then });
    }

    fn write(&mut self, host: &mut Host, truth: &mut Truth, under_test: bool, now: Time) {
        let socket = host.socket(self.handle);
        while let Some(piece) = self.pieces.front_mut().filter(|piece| piece.not_before <= now) {
            if !socket.may_send() {
                break;
            }
            let sent = socket.send_slice(&piece.bytes[piece.written..]).unwrap_or(0);
            piece.written += sent;
            let whole = piece.written == piece.bytes.len();
            if let Some(id) = piece.answer_to.filter(|_| under_test) {
                let settled = whole && piece.then != Then::GoOn;
                let read = truth.read(self.number, id).unwrap_or_else(|| panic!("request {id} is answered, but was not read"));
                read.answer_bytes += sent;
                // An altered answer may be longer or shorter; what counts is that the target said all it had to say.
                read.answered_at = settled.then_some(now).filter(|_| piece.then != Then::Reset);
            }
            if !whole {
                break;
            }
            let then = piece.then;
            self.pieces.pop_front();
            if matches!(then, Then::Close | Then::Reset) {
                return self.end(host, truth, under_test, then);
            }
        }
    }

    fn end(&mut self, host: &mut Host, truth: &mut Truth, under_test: bool, then: Then) {
        let socket = host.socket(self.handle);
        if then == Then::Reset { socket.abort() } else { socket.close() }
        self.closing = true;
        self.due.clear();
        self.pieces.clear();
        if under_test {
            truth.connections[self.number].closed_by_target = true;
        }
    }

    /// The client has sent its FIN: when all is said, so does the server.
    fn follow_close(&mut self, host: &mut Host, truth: &mut Truth) {
        let socket = host.socket(self.handle);
        let all_read = socket.state() == State::CloseWait && socket.recv_queue() == 0;
        if !self.closing && all_read && self.due.is_empty() && self.pieces.is_empty() {
            self.end(host, truth, false, Then::Close);
        }
    }
}
