//! One connection of a server: what its application reads and says.

use crate::host::Host;
use crate::plan::{INTERIM, Plan, find_mark};
use crate::truth::{Left, Truth};
use core::time::Duration;
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::State;
use std::collections::VecDeque;
use tapcopy_engine::Time;

/// Bytes within which a request's mark must come.
const MARK_WITHIN: usize = 64;

/// A connection.
pub(crate) struct Connection {
    pub handle: SocketHandle,
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
    pub fate: Fate,
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
    /// Closes, the answer not being whole.
    Cut,
    Reset,
}

/// What a connection to a server under test will suffer.
#[derive(Clone, Copy, Default)]
pub(crate) struct Fate {
    pub closes_after: Option<usize>,
    pub resets_at: Option<usize>,
    pub cuts_at: Option<usize>,
    pub mute: bool,
    pub slow: Option<Duration>,
    pub reads_from: Option<Time>,
    pub swallows_at: Option<usize>,
}

impl Connection {
    /// A connection just accepted.
    pub fn new(handle: SocketHandle, number: usize, fate: Fate) -> Self {
        Self {
            handle,
            number,
            reading: None,
            held: Vec::new(),
            due: VecDeque::new(),
            pieces: VecDeque::new(),
            said: 0,
            answers: 0,
            fate,
            closing: false,
        }
    }

    /// Lets the application work.
    pub fn poll(&mut self, host: &mut Host, plan: &Plan, truth: &mut Truth, under_test: bool, now: Time) {
        let state = host.socket(self.handle).state();
        if !self.closing && !matches!(state, State::SynReceived | State::Established | State::CloseWait) {
            // The peer reset the connection, or it timed out.
            self.note_leaving(truth, under_test, Left::Reset, now);
            self.closing = true;
            self.due.clear();
            self.pieces.clear();
        }
        if self.fate.reads_from.is_none_or(|from| from <= now) {
            self.read(host, plan, truth, under_test, now);
        }
        self.answer(plan, truth, under_test, now);
        self.write(host, truth, under_test, now);
        self.follow_close(host, truth, under_test, now);
    }

    /// When the application wants to be polled.
    pub fn poll_at(&self, now: Time) -> Option<Time> {
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
            if result.is_err() {
                break;
            }
            // A ring's end may lie within a mark: what is behind it is there to be read, too.
            self.consume(plan, truth, under_test, now);
        }
    }

    /// Consumes what is held, until more bytes are needed or a rule is broken.
    fn consume(&mut self, plan: &Plan, truth: &mut Truth, under_test: bool, now: Time) {
        while !self.held.is_empty() {
            let begun = self.reading.or_else(|| Some((self.begin(plan, truth, under_test, now)?, 0)));
            let Some((request, read)) = begun else { return };
            let expected = &plan.requests[request].words(under_test)[read..];
            let len = expected.len().min(self.held.len());
            if self.held[..len] != expected[..len] {
                let at = (0..len).find(|at| self.held[*at] != expected[*at]).unwrap_or_default() + read;
                let who = if under_test { "a target" } else { "an origin" };
                let details = format!("{who} read another byte at offset {at} of request {request}");
                truth.violate("what a server reads is what the client wrote", details);
                return self.held.clear();
            }
            self.held.drain(..len);
            self.progress(plan, truth, under_test, (request, read, read + len), now);
        }
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
        let interim_after = request.interim_after.map(|head| request.place(head, under_test));
        if interim_after.is_some_and(|head| from < head && (head == to || head < to && !under_test)) {
            self.say(INTERIM, now);
        }
        let after = request.place(request.answer.after, under_test);
        if from < after && after <= to && !self.fate.mute {
            let at = self.due.back().map_or(now, |(_, at)| now.max(*at)) + request.answer.delay;
            let later = if under_test { request.answer.later } else { Duration::ZERO };
            self.due.push_back((id, at + later + self.fate.slow.unwrap_or_default()));
        }
        let whole = to == request.words(under_test).len();
        self.reading = (!whole).then_some((id, to));
        if whole
            && under_test
            && let Some(read) = truth.read(self.number, id)
        {
            read.whole_at = Some(now);
        }
    }

    /// Says something that is no answer.
    pub fn say(&mut self, bytes: &[u8], now: Time) {
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
            let bytes = if under_test { plan.requests[id].told() } else { answer.said() };
            if !under_test {
                truth.requests[id].answer = Some(self.said..self.said + bytes.len() as u64);
            }
            let then = if answer.closes { Then::Close } else { Then::Finish };
            // A content that ends with the connection cannot be cut without being another content.
            let framed = plan.requests[id].framed && !answer.closes;
            self.push_answer(id, bytes.to_vec(), then, framed, now);
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
            then = Then::Cut;
        } else if self.fate.swallows_at == Some(self.answers - 1) {
            bytes.clear();
            then = Then::Cut;
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
                let read =
                    truth.read(self.number, id).unwrap_or_else(|| panic!("request {id} is answered, but was not read"));
                read.answer_bytes += sent;
                // An altered answer may be longer or shorter; what counts is that the target said all it had to say.
                read.answered_at = settled.then_some(now).filter(|_| !matches!(piece.then, Then::Cut | Then::Reset));
            }
            if !whole {
                break;
            }
            let then = piece.then;
            self.pieces.pop_front();
            if matches!(then, Then::Close | Then::Cut | Then::Reset) {
                return self.end(host, truth, under_test, then);
            }
        }
    }

    fn end(&mut self, host: &mut Host, truth: &mut Truth, under_test: bool, then: Then) {
        let socket = host.socket(self.handle);
        if then == Then::Reset {
            socket.abort()
        } else {
            socket.close()
        }
        self.closing = true;
        self.due.clear();
        self.pieces.clear();
        if under_test {
            let connection = &mut truth.connections[self.number];
            (connection.closed_by_target, connection.reset_by_target) = (true, then == Then::Reset);
        }
    }

    fn note_leaving(&self, truth: &mut Truth, under_test: bool, left: Left, now: Time) {
        if under_test {
            let connection = &mut truth.connections[self.number];
            connection.left = Some(left);
            connection.left_at.get_or_insert(now);
        }
    }

    /// The client has sent its FIN: when all is said, so does the server.
    fn follow_close(&mut self, host: &mut Host, truth: &mut Truth, under_test: bool, now: Time) {
        let socket = host.socket(self.handle);
        let all_read = socket.state() == State::CloseWait && socket.recv_queue() == 0;
        if !self.closing && all_read {
            self.note_leaving(truth, under_test, Left::Closed, now);
        }
        if !self.closing && all_read && self.due.is_empty() && self.pieces.is_empty() {
            self.end(host, truth, false, Then::Close);
        }
    }
}
