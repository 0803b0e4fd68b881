//! What a run will do, drawn in full before it begins: who is there, and what every application will say.
//!
//! Every request carries its number as the mark `~0000002a~` near its beginning, so that a server, of production or under
//! test, knows from the bytes alone which request it reads, what all its bytes must be, and what the answer is.

use crate::alteration::Alteration;
use crate::selection::Denial;
use core::net::{IpAddr, SocketAddr};
use core::ops::Range;
use core::time::Duration;
use tapcopy_engine::Time;
use tapcopy_engine::config::{Addressing, MirrorTo, Pacing, Protocol, Speed};

/// Length of a request's mark.
pub const MARK: usize = 10;

/// The mark of a request.
pub fn mark(request: usize) -> String {
    format!("~{request:08x}~")
}

/// The request whose mark lies in `bytes`.
pub fn find_mark(bytes: &[u8]) -> Option<usize> {
    let at = bytes.windows(MARK).position(|window| window[0] == b'~' && window[MARK - 1] == b'~')?;
    usize::from_str_radix(core::str::from_utf8(&bytes[at + 1..at + MARK - 1]).ok()?, 16).ok()
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Who is there.
    pub topology: Topology,
    /// Connections of clients, in the order in which they are planned.
    pub sessions: Vec<SessionPlan>,
    /// Requests of all sessions; a session's lie together and in order.
    pub requests: Vec<RequestPlan>,
}

/// When production begins: the box, started at 0, has claimed its addresses by then.
pub const BEGIN: Duration = Duration::from_secs(1);

/// Who is there.
#[derive(Clone, Debug, Default)]
pub struct Topology {
    /// Client machines.
    pub clients: Vec<IpAddr>,
    /// Production servers.
    pub origins: Vec<OriginPlan>,
    /// Servers under test.
    pub targets: Vec<TargetPlan>,
    /// Sets of origins mapped to targets.
    pub services: Vec<ServicePlan>,
    /// Addresses of the box. For the next hop to targets off the link the first target host of the family answers.
    pub addressing: Addressing,
    /// Clients that are replayed, in hundredths of a percent.
    pub sample: u16,
    /// How often the engine replays a session against each of its targets.
    pub copies: u16,
    /// Which of a service's targets they are.
    pub mirror_to: MirrorTo,
    /// Which requests it leaves out.
    pub denial: Option<Denial>,
    /// Whether it says them in other words.
    pub is_rewritten: bool,
    /// Its cap on the sessions of each service.
    pub sessions_per_second: Option<u32>,
    /// How fast captured time passes.
    pub speed: Option<Speed>,
}

/// A production server.
#[derive(Clone, Copy, Debug)]
pub struct OriginPlan {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its service.
    pub service: usize,
}

/// A server under test.
#[derive(Clone, Copy, Debug)]
pub struct TargetPlan {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its service.
    pub service: usize,
}

/// A service.
#[derive(Clone, Debug)]
pub struct ServicePlan {
    /// What is spoken.
    pub kind: Kind,
    /// What its servers say when a connection opens.
    pub greeting: Vec<u8>,
    /// What the engine is told of the protocol.
    pub protocol: Protocol,
    /// What the engine is told of the pacing.
    pub pacing: Pacing,
    /// Whether the engine is told the port only.
    pub any_address: bool,
}

/// What a service speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// HTTP/1.1.
    Http,
    /// Requests and answers without framing, in turns.
    Raw,
}

/// One connection of a client.
#[derive(Clone, Debug)]
pub struct SessionPlan {
    /// The client's end.
    pub client: SocketAddr,
    /// Index of the client machine.
    pub machine: usize,
    /// Index of the origin.
    pub origin: usize,
    /// Its service.
    pub service: usize,
    /// When it begins.
    pub start: Start,
    /// What the client does.
    pub steps: Vec<Step>,
    /// Its requests.
    pub requests: Range<usize>,
    /// What the client's buffers hold.
    pub receive_buffer: usize,
    /// How the client reads: so many bytes at most, then so long a pause.
    pub reads: Option<(usize, Duration)>,
    /// Whether requests overlap with answers so that turns without a framer are not certain.
    pub overlapping: bool,
}

/// When a session begins.
#[derive(Clone, Copy, Debug)]
pub enum Start {
    /// At this time.
    At(Time),
    /// So long after the client is done with an earlier session.
    After(usize, Duration),
}

/// One step of a client.
#[derive(Clone, Debug)]
pub enum Step {
    /// Writes a part of a request.
    Write(usize, Range<usize>),
    /// Waits until so many bytes of the server were read in all.
    Await(usize),
    /// Does nothing for a while.
    Pause(Duration),
    /// Sends no more (FIN).
    Close,
    /// Resets the connection.
    Reset,
    /// Waits for the server's FIN.
    AwaitClose,
}

/// One request and its answer.
#[derive(Clone, Debug)]
pub struct RequestPlan {
    /// Its session.
    pub session: usize,
    /// Every byte of it.
    pub bytes: Vec<u8>,
    /// Length of the part after which the server says `interim`.
    pub interim_after: Option<usize>,
    /// Whether the protocol says where it and its answer end.
    pub framed: bool,
    /// Whether it may be sent again when a connection closed without a byte of answer.
    pub safe: bool,
    /// Whether the client writes it only when it has read the whole answer to the one before.
    pub waits: bool,
    /// How long the client thinks before it, after that answer.
    pub think: Duration,
    /// What servers answer.
    pub answer: AnswerPlan,
    /// Whether the client writes all of it and reads all of its answer.
    pub settled: bool,
    /// What the server under test says instead.
    pub alteration: Option<Alteration>,
    /// Whether the engine must leave it out.
    pub is_denied: bool,
    /// What the server under test reads instead.
    pub rewritten: Option<Vec<u8>>,
}

/// What a server says to a request.
#[derive(Clone, Debug, Default)]
pub struct AnswerPlan {
    /// Every byte of it.
    pub bytes: Vec<u8>,
    /// Length of its head, zero where it has none.
    pub head: usize,
    /// The same answer in other framing, for the server under test.
    pub reframed: Option<Vec<u8>>,
    /// Its content without framing.
    pub content: Vec<u8>,
    /// The production server says so much of it, and closes.
    pub cut: Option<usize>,
    /// The server answers when it has read so much of the request.
    pub after: usize,
    /// How long the server works on it.
    pub delay: Duration,
    /// How much longer the server under test works on it, so that the replay falls behind production.
    pub later: Duration,
    /// Whether the server closes after it.
    pub closes: bool,
}

impl AnswerPlan {
    /// What the production server says.
    pub fn said(&self) -> &[u8] {
        &self.bytes[..self.cut.unwrap_or(self.bytes.len())]
    }
}

/// An HTTP server's interim answer.
pub const INTERIM: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

impl RequestPlan {
    /// What the server under test says, every byte of it.
    pub fn told(&self) -> &[u8] {
        let changed = self.alteration.as_ref().map(|alteration| &alteration.bytes);
        changed.or(self.answer.reframed.as_ref()).unwrap_or(&self.answer.bytes)
    }

    /// Whether production and the server under test give the same answer.
    pub fn answers_alike(&self) -> bool {
        self.alteration.is_none() && self.answer.cut.is_none()
    }

    /// Whether both servers' answers have the same length: an interim answer may be left out by one of them.
    pub fn is_answered_in_step(&self) -> bool {
        self.told().len() == self.answer.bytes.len() && self.interim_after.is_none()
    }

    /// What a server reads of it.
    pub fn words(&self, under_test: bool) -> &[u8] {
        self.rewritten.as_ref().filter(|_| under_test).unwrap_or(&self.bytes)
    }

    /// Where a place behind its head lies in what a server reads.
    pub fn place(&self, at: usize, under_test: bool) -> usize {
        at + self.words(under_test).len() - self.bytes.len()
    }
}

impl Plan {
    /// How often the engine replays a session.
    pub fn replays(&self, session: usize) -> usize {
        let service = self.sessions[session].service;
        let targets = self.topology.targets.iter().filter(|target| target.service == service).count();
        let targets = if self.topology.mirror_to == MirrorTo::All { targets } else { 1 };
        targets * usize::from(self.topology.copies)
    }

    /// What the server of `session` says in all.
    pub fn server_stream(&self, session: &SessionPlan) -> Vec<u8> {
        let mut stream = self.topology.services[session.service].greeting.clone();
        for request in &self.requests[session.requests.clone()] {
            if request.interim_after.is_some() {
                stream.extend_from_slice(INTERIM);
            }
            stream.extend_from_slice(&request.answer.bytes);
        }
        stream
    }

    /// What the engine is told of the pacing of a request's service.
    pub fn pacing(&self, request: usize) -> Pacing {
        self.topology.services[self.sessions[self.requests[request].session].service].pacing
    }

    /// Whether requests of a session come in turns, from some point on.
    pub fn has_turns(&self, session: usize) -> bool {
        self.requests[self.sessions[session].requests.clone()].iter().any(|request| !request.framed)
    }

    /// Where a request begins in the client's stream.
    pub fn request_offset(&self, request: usize) -> u64 {
        let first = self.sessions[self.requests[request].session].requests.start;
        self.requests[first..request].iter().map(|earlier| earlier.bytes.len() as u64).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::{find_mark, mark};

    #[test]
    fn marks_are_found() {
        assert_eq!(find_mark(format!("GET /{}/x", mark(0x2A)).as_bytes()), Some(0x2A));
        assert_eq!(find_mark(b"GET /~0000002"), None);
    }
}
