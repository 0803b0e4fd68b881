//! One client's connection: gathering a request, waiting for its answer, handing it out, and again.

use super::request::{Gathered, Request, gather};
use super::{GATHER, IDLE, LINGER, Passed, STALL};
use nix::poll::PollFlags;
use rustls::{ServerConfig, ServerConnection};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use tapcopy_engine::Time;

/// Bytes taken at once.
const CHUNK: usize = 64 << 10;
/// Of an answer, what waits for its client at most before no more is taken from behind. All answers but downloads are
/// shorter, so that what answers is free at once.
const WAITING_BYTES: usize = 8 << 20;
/// Bytes of a request that are gathered at most: the longest head and body, and the begin of the next one.
const GATHERED_BYTES: usize = (16 << 20) + (64 << 10);
const GO_AHEAD: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Whether a connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It does.
    Stays,
    /// It is over.
    Ends,
}

/// What a connection waits for on a descriptor.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish {
    /// Bytes to read.
    pub read: bool,
    /// Room to write.
    pub write: bool,
}

impl Wish {
    /// As poll(2) wants it.
    pub fn flags(self) -> PollFlags {
        let read = if self.read { PollFlags::POLLIN } else { PollFlags::empty() };
        read | if self.write { PollFlags::POLLOUT } else { PollFlags::empty() }
    }
}

enum Phase {
    /// A request comes in.
    Gathering,
    /// A whole request waits for its turn.
    Queued(Box<Request>),
    /// The server behind has it.
    UnderWay {
        behind: UnixStream,
        /// What of the request is still to be written to it.
        unsent: Vec<u8>,
        sent: usize,
        /// Bytes of its body that the client is still to send.
        left: usize,
        keeps_alive: bool,
        /// Nothing more comes from it.
        is_answered: bool,
    },
    /// The last answer is handed out.
    Ending,
    /// It is; what the client still sends is taken and dropped, for a reset would take the answer from it.
    Lingering,
}

/// One connection.
pub struct Connection {
    stream: TcpStream,
    peer: IpAddr,
    tls: Option<Box<ServerConnection>>,
    phase: Phase,
    gathered: Vec<u8>,
    /// What waits for the client, from `taken` on.
    answer: Vec<u8>,
    taken: usize,
    has_gone_ahead: bool,
    /// When the present request began, or the wait for it.
    since: Time,
    /// When something last moved.
    moved_at: Time,
    /// Requests that were answered.
    answered: u64,
    client_is_done: bool,
}

impl Connection {
    /// A connection that was just accepted; `None` if it is broken already.
    pub fn new(stream: TcpStream, peer: IpAddr, tls: Option<Arc<ServerConfig>>, now: Time) -> Option<Self> {
        stream.set_nonblocking(true).ok()?;
        // Answers are written whole, so that nothing is gained by waiting for more.
        let _ = stream.set_nodelay(true);
        let tls = match tls {
            None => None,
            Some(config) => Some(Box::new(ServerConnection::new(config).ok()?)),
        };
        Some(Self {
            stream,
            peer,
            tls,
            phase: Phase::Gathering,
            gathered: Vec::new(),
            answer: Vec::new(),
            taken: 0,
            has_gone_ahead: false,
            since: now,
            moved_at: now,
            answered: 0,
            client_is_done: false,
        })
    }

    /// The client's socket.
    pub fn client(&self) -> &TcpStream {
        &self.stream
    }

    /// The socket to the server behind, while a request is under way.
    pub fn behind(&self) -> Option<&UnixStream> {
        if let Phase::UnderWay { behind, .. } = &self.phase { Some(behind) } else { None }
    }

    /// Whether it holds a thread of the server behind.
    pub fn is_under_way(&self) -> bool {
        matches!(self.phase, Phase::UnderWay { .. })
    }

    /// Whether a whole request waits for its turn.
    pub fn is_queued(&self) -> bool {
        matches!(self.phase, Phase::Queued(_))
    }

    /// Since when it has gathered, or was idle.
    pub fn since(&self) -> Time {
        self.since
    }

    /// When it is over, unless something happens.
    pub fn deadline(&self) -> Time {
        match self.phase {
            Phase::Gathering if self.answered > 0 && self.gathered.is_empty() => self.since + IDLE,
            Phase::Gathering => self.since + GATHER,
            Phase::Queued(_) | Phase::UnderWay { .. } | Phase::Ending => self.moved_at + STALL,
            Phase::Lingering => self.since + LINGER,
        }
    }

    /// Bytes of requests that it holds.
    pub fn held(&self) -> usize {
        let phase = match &self.phase {
            Phase::Queued(request) => request.len,
            Phase::UnderWay { unsent, .. } => unsent.len(),
            Phase::Gathering | Phase::Ending | Phase::Lingering => 0,
        };
        self.gathered.len() + phase
    }

    fn waiting(&self) -> usize {
        self.answer.len() - self.taken
    }

    /// What it waits for: on the client's side, and on that of the server behind.
    pub fn wishes(&self) -> (Wish, Wish) {
        let tls_writes = self.tls.as_ref().is_some_and(|tls| tls.wants_write());
        let mut client = Wish { read: false, write: self.waiting() > 0 || tls_writes };
        let mut behind = Wish::default();
        match &self.phase {
            Phase::Gathering | Phase::Lingering => client.read = true,
            Phase::UnderWay { unsent, sent, left, is_answered, .. } => {
                behind.write = *sent < unsent.len();
                client.read = *left > 0 && !behind.write;
                behind.read = !is_answered && self.waiting() < WAITING_BYTES;
            }
            Phase::Queued(_) | Phase::Ending => {}
        }
        (client, behind)
    }

    /// Does what can be done now. `pass_on` gives a whole request to the server behind, when that has room for it.
    pub fn advance(&mut self, now: Time, pass_on: &mut impl FnMut(&Request) -> Option<Passed>) -> Step {
        match self.try_advance(now, pass_on) {
            Ok(step) => step,
            Err(_) => Step::Ends,
        }
    }

    fn try_advance(
        &mut self,
        now: Time,
        pass_on: &mut impl FnMut(&Request) -> Option<Passed>,
    ) -> std::io::Result<Step> {
        self.write(now)?;
        while matches!(self.phase, Phase::Gathering) {
            let has_more = self.read(now)?;
            self.look(now);
            if !has_more {
                break;
            }
        }
        if let Phase::Queued(request) = &self.phase
            && let Some(passed) = pass_on(request)
        {
            let Request { left, keeps_alive, wants_go_ahead, .. } = **request;
            match passed {
                Passed::Behind(behind, unsent) => {
                    self.phase = Phase::UnderWay { behind, unsent, sent: 0, left, keeps_alive, is_answered: false };
                    self.moved_at = now;
                    if wants_go_ahead && !std::mem::replace(&mut self.has_gone_ahead, true) {
                        self.answer.extend_from_slice(GO_AHEAD);
                    }
                }
                Passed::Answered(answer) => self.end_with(&answer, now),
            }
        }
        self.pass_body_on(now)?;
        self.take_answer(now)?;
        self.write(now)?;
        self.turn_over(now);
        let is_written = self.waiting() == 0 && !self.tls.as_ref().is_some_and(|tls| tls.wants_write());
        if matches!(self.phase, Phase::Ending) && is_written {
            self.stream.shutdown(Shutdown::Write)?;
            self.since = now;
            self.phase = Phase::Lingering;
        }
        let is_over = match self.phase {
            Phase::Lingering => self.drop_rest()?,
            Phase::Gathering => self.client_is_done,
            _ => false,
        };
        Ok(if is_over { Step::Ends } else { Step::Stays })
    }

    /// Whether the client has closed, too.
    fn drop_rest(&mut self) -> std::io::Result<bool> {
        let mut chunk = [0; CHUNK];
        loop {
            match taken(self.stream.read(&mut chunk))? {
                Taken::Nothing => return Ok(false),
                Taken::End => return Ok(true),
                Taken::Bytes(_) => {}
            }
        }
    }

    /// Takes some of what the client has sent; whether there may be more.
    fn read(&mut self, now: Time) -> std::io::Result<bool> {
        let mut chunk = [0; CHUNK];
        if self.gathered.len() >= GATHERED_BYTES {
            return Ok(false);
        }
        let count = match self.take(&mut chunk)? {
            Taken::Nothing => return Ok(false),
            Taken::End => {
                self.client_is_done = true;
                return Ok(false);
            }
            Taken::Bytes(count) => count,
        };
        if self.gathered.is_empty() && self.answered > 0 {
            self.since = now;
        }
        self.gathered.extend_from_slice(&chunk[..count]);
        self.moved_at = now;
        Ok(count == chunk.len() || self.tls.is_some())
    }

    fn take(&mut self, into: &mut [u8]) -> std::io::Result<Taken> {
        match &mut self.tls {
            None => taken(self.stream.read(into)),
            Some(tls) => read_tls(tls, &mut self.stream, into),
        }
    }

    /// Looks whether a request is whole.
    fn look(&mut self, now: Time) {
        if self.gathered.is_empty() {
            return;
        }
        match gather(&self.gathered, self.peer, self.tls.is_some()) {
            Gathered::Part { wants_go_ahead } => {
                if wants_go_ahead && !self.has_gone_ahead {
                    self.has_gone_ahead = true;
                    self.answer.extend_from_slice(GO_AHEAD);
                }
            }
            Gathered::Whole(request) => {
                self.gathered.drain(..request.len);
                self.moved_at = now;
                self.phase = Phase::Queued(Box::new(request));
            }
            Gathered::Refused(refusal) => self.end_with(&refusal.answer(), now),
        }
    }

    fn end_with(&mut self, answer: &[u8], now: Time) {
        self.answer.extend_from_slice(answer);
        self.gathered = Vec::new();
        self.moved_at = now;
        self.phase = Phase::Ending;
    }

    /// Gives the request to the server behind, and what of its body still comes, as long as that takes it.
    fn pass_body_on(&mut self, now: Time) -> std::io::Result<()> {
        while self.pass_on_what_is_there(now)? {
            let Phase::UnderWay { left, .. } = self.phase else { break };
            let mut chunk = [0; CHUNK];
            let most = left.min(CHUNK);
            let count = match self.take(&mut chunk[..most])? {
                Taken::Nothing => break,
                Taken::End => return Err(ErrorKind::UnexpectedEof.into()),
                Taken::Bytes(count) => count,
            };
            if let Phase::UnderWay { unsent, sent, left, .. } = &mut self.phase {
                (*unsent, *sent) = (chunk[..count].to_vec(), 0);
                *left -= count;
            }
            self.moved_at = now;
        }
        Ok(())
    }

    /// Whether the server behind has taken all of it, and the client is still to send more.
    fn pass_on_what_is_there(&mut self, now: Time) -> std::io::Result<bool> {
        let Phase::UnderWay { behind, unsent, sent, left, .. } = &mut self.phase else { return Ok(false) };
        while *sent < unsent.len() {
            match behind.write(&unsent[*sent..]) {
                Ok(count) => {
                    *sent += count;
                    self.moved_at = now;
                }
                Err(fault) if fault.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(fault) if fault.kind() == ErrorKind::Interrupted => {}
                // It may have answered without reading the rest.
                Err(_) => (*sent, *left) = (unsent.len(), 0),
            }
        }
        Ok(*left > 0)
    }

    /// Takes the answer of the server behind. One that comes before the request is whole needs no more of it.
    fn take_answer(&mut self, now: Time) -> std::io::Result<()> {
        let waiting = self.waiting();
        let Phase::UnderWay { behind, unsent, sent, left, is_answered, .. } = &mut self.phase else { return Ok(()) };
        let mut chunk = [0; CHUNK];
        let mut room = WAITING_BYTES.saturating_sub(waiting);
        while !*is_answered && room > 0 {
            match taken(behind.read(&mut chunk))? {
                Taken::Nothing => break,
                Taken::End => *is_answered = true,
                Taken::Bytes(count) => {
                    if *left > 0 {
                        (*sent, *left) = (unsent.len(), 0);
                        behind.shutdown(Shutdown::Write)?;
                    }
                    self.answer.extend_from_slice(&chunk[..count]);
                    room = room.saturating_sub(count);
                    self.moved_at = now;
                }
            }
        }
        Ok(())
    }

    /// Hands out what waits for the client.
    fn write(&mut self, now: Time) -> std::io::Result<()> {
        loop {
            if let Some(tls) = &mut self.tls {
                if self.taken < self.answer.len() {
                    // What rustls has no room for now it takes when its own bytes are out.
                    self.taken += tls.writer().write(&self.answer[self.taken..])?;
                }
                if !tls.wants_write() {
                    break;
                }
                match tls.write_tls(&mut self.stream) {
                    Ok(0) => return Err(ErrorKind::WriteZero.into()),
                    Ok(_) => self.moved_at = now,
                    Err(fault) if fault.kind() == ErrorKind::WouldBlock => break,
                    Err(fault) if fault.kind() == ErrorKind::Interrupted => {}
                    Err(fault) => return Err(fault),
                }
            } else {
                if self.taken == self.answer.len() {
                    break;
                }
                match self.stream.write(&self.answer[self.taken..]) {
                    Ok(count) => {
                        self.taken += count;
                        self.moved_at = now;
                    }
                    Err(fault) if fault.kind() == ErrorKind::WouldBlock => break,
                    Err(fault) if fault.kind() == ErrorKind::Interrupted => {}
                    Err(fault) => return Err(fault),
                }
            }
        }
        if self.taken == self.answer.len() {
            self.answer.clear();
            self.taken = 0;
        } else if self.taken > CHUNK {
            self.answer.drain(..self.taken);
            self.taken = 0;
        }
        Ok(())
    }

    /// Behind a whole answer the next request may come.
    fn turn_over(&mut self, now: Time) {
        let Phase::UnderWay { keeps_alive, is_answered: true, .. } = self.phase else { return };
        if self.waiting() > 0 {
            return;
        }
        self.answered += 1;
        self.has_gone_ahead = false;
        self.since = now;
        self.phase = if keeps_alive { Phase::Gathering } else { Phase::Ending };
        if !keeps_alive && let Some(tls) = &mut self.tls {
            tls.send_close_notify();
        }
        // A client that does not wait for answers has sent the next one already.
        self.look_again(now);
    }

    fn look_again(&mut self, now: Time) {
        if matches!(self.phase, Phase::Gathering) && !self.gathered.is_empty() {
            self.look(now);
        }
    }
}

enum Taken {
    Nothing,
    Bytes(usize),
    End,
}

fn taken(result: std::io::Result<usize>) -> std::io::Result<Taken> {
    match result {
        Ok(0) => Ok(Taken::End),
        Ok(count) => Ok(Taken::Bytes(count)),
        Err(fault) if matches!(fault.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(Taken::Nothing),
        Err(fault) => Err(fault),
    }
}

/// Takes what can be read of a TLS connection. Its faults end it; rustls has put the alert among what is to be written.
fn read_tls(tls: &mut ServerConnection, stream: &mut TcpStream, into: &mut [u8]) -> std::io::Result<Taken> {
    loop {
        match tls.reader().read(into) {
            Ok(0) => return Ok(Taken::End),
            Ok(count) => return Ok(Taken::Bytes(count)),
            Err(fault) if fault.kind() == ErrorKind::WouldBlock => {}
            // The client has gone without saying so.
            Err(fault) if fault.kind() == ErrorKind::UnexpectedEof => return Ok(Taken::End),
            Err(fault) => return Err(fault),
        }
        match taken(tls.read_tls(stream))? {
            Taken::Nothing => return Ok(Taken::Nothing),
            Taken::End => return Ok(Taken::End),
            Taken::Bytes(_) => {
                if let Err(fault) = tls.process_new_packets() {
                    let _ = tls.write_tls(stream);
                    return Err(std::io::Error::new(ErrorKind::InvalidData, fault));
                }
            }
        }
    }
}
