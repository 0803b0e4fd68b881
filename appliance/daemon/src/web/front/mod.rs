//! The front: it alone meets the network, so that no slow or broken client reaches what answers.
//!
//! One thread holds all connections in one poll(2) loop. It terminates TLS, gathers a whole request, within bounds of size
//! and time, and only then passes it to the server behind (tiny_http, on an abstract Unix socket), whose answer it takes as
//! fast as it comes and hands out as fast as the client takes it. So a client that sends slowly holds a few bytes here, and
//! one that reads slowly the rest of its answer; neither holds a thread.
//!
//! A second one, on the port of plain HTTP, answers every request itself: it sends its reader on to the HTTPS page.
//!
//! Bounds: [`CONNECTIONS`]; a request's head and body, and [`HELD_BYTES`] of all of them; [`GATHER`] for a request, from its first byte (or the connection's
//! beginning) to its last; [`IDLE`] between two; [`STALL`] without progress of an answer. When there is no room for a
//! connection, the one that has gathered longest makes it: who is quick is never sent away for who is slow. An accept error
//! (EMFILE, ECONNABORTED) costs a pause of the accepting, nothing else.

mod connection;
mod request;

use crate::clock::Clock;
use crate::fault::Fault;
use crate::pulse::Pulse;
use connection::{Connection, Step};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use request::Request;
use rustls::ServerConfig;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, TcpListener};
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tapcopy_engine::Time;

/// Connections at the same time.
const CONNECTIONS: usize = 4_096;
/// Requests that are being answered at the same time: each holds a thread of the server behind.
const UNDER_WAY: usize = 64;
/// Bytes of all requests that are being gathered or passed on: eight of the longest.
const HELD_BYTES: usize = 128 << 20;
/// Connections accepted before the others have their turn.
const ACCEPTED_AT_ONCE: usize = 64;
/// The longest that a request may take to come in: a backup of 16 MiB at 5 Mbit/s.
const GATHER: Duration = Duration::from_secs(30);
/// The longest that a connection may be idle between two requests.
const IDLE: Duration = Duration::from_secs(60);
/// The longest that an answer may make no progress, on either side: a look at the mirror takes up to 30 s.
const STALL: Duration = Duration::from_secs(45);
/// How long what a client still sends is taken after its last answer.
const LINGER: Duration = Duration::from_secs(2);
/// Pause of the accepting after an error of it.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// The longest wait, so that deadlines are kept.
const TICK_MS: u16 = 250;
/// The longest that a front that works takes from one wait to the next, with all its connections busy.
const PULSE: Duration = Duration::from_secs(15);
/// How long the server behind may take to say that it is there.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);

/// How the server behind knows that a request came through the front, and from whom.
pub const SECRET_HEADER: &str = "x-front-secret";
/// The client's address.
pub const PEER_HEADER: &str = "x-front-peer";
/// `1` when the request came through TLS.
pub const TLS_HEADER: &str = "x-front-tls";

/// Where a front passes requests to.
#[derive(Clone)]
pub struct Behind {
    address: SocketAddr,
    secret: Arc<str>,
}

impl Behind {
    /// A new address, and the listener on it.
    ///
    /// # Errors
    /// No socket is to be had.
    pub fn listen() -> std::io::Result<(Self, UnixListener)> {
        let name = format!("tapcopy-{}", crate::accounts::secret::random_hex()?);
        let address = SocketAddr::from_abstract_name(name)?;
        let listener = UnixListener::bind_addr(&address)?;
        Ok((Self { address, secret: crate::accounts::secret::random_hex()?.into() }, listener))
    }

    /// Whether a request came through the front.
    pub fn admits(&self, secret: &str) -> bool {
        crate::accounts::secret::is_same(&self.secret, secret)
    }

    /// Whether the server answers, be it well or not.
    pub fn answers(&self) -> bool {
        self.ask().is_ok_and(|head| head.starts_with(b"HTTP/1.1 "))
    }

    fn ask(&self) -> std::io::Result<[u8; 9]> {
        let mut stream = UnixStream::connect_addr(&self.address)?;
        stream.set_read_timeout(Some(ANSWER_PATIENCE))?;
        let head = format!("GET /api/v1/health HTTP/1.1\r\nhost: box\r\n{SECRET_HEADER}: {}\r\n\r\n", self.secret);
        stream.write_all(head.as_bytes())?;
        let mut answer = [0; 9];
        stream.read_exact(&mut answer)?;
        Ok(answer)
    }

    fn connect(&self) -> std::io::Result<UnixStream> {
        let stream = UnixStream::connect_addr(&self.address)?;
        stream.set_nonblocking(true)?;
        Ok(stream)
    }
}

/// The certificate in use; it can be exchanged while the front runs. `None`: plain HTTP.
pub type Tls = Option<Arc<Mutex<Arc<ServerConfig>>>>;

/// Addresses on which nobody is served: those of the mirror NICs.
pub type Forbidden = Arc<Mutex<Vec<IpAddr>>>;

/// What becomes of a request.
pub enum Destination {
    /// The server behind answers it.
    Behind(Behind, Tls),
    /// Its reader is sent on to the HTTPS page on this port of the same host.
    Page(u16),
}

/// What is done with one now.
pub enum Passed {
    /// It goes over this socket, as these bytes.
    Behind(UnixStream, Vec<u8>),
    /// This is the last answer.
    Answered(Vec<u8>),
}

/// Takes connections from now on, until the process ends.
///
/// # Errors
/// No thread is to be had.
pub fn start(listener: TcpListener, destination: Destination, forbidden: Forbidden) -> Result<(), Fault> {
    listener.set_nonblocking(true).map_err(|source| Fault::system("prepare a socket", source))?;
    let name = if matches!(destination, Destination::Page(_)) { "web-redirect" } else { "web-front" };
    let pulse = Pulse::of(name, PULSE);
    let front = Front {
        listener,
        destination,
        forbidden,
        clock: Clock::start(),
        connections: Vec::new(),
        accept_at: Time::ZERO,
        pulse,
    };
    let thread = std::thread::Builder::new().name(name.to_owned());
    thread.spawn(move || front.run()).map(drop).map_err(|source| Fault::system("start a thread", source))
}

struct Front {
    listener: TcpListener,
    destination: Destination,
    forbidden: Forbidden,
    clock: Clock,
    connections: Vec<Connection>,
    /// When accepting goes on after an error.
    accept_at: Time,
    pulse: Pulse,
}

impl Front {
    fn run(mut self) {
        loop {
            self.pulse.beat();
            let ready = self.wait();
            let now = self.clock.now();
            let under_way = self.connections.iter().filter(|connection| connection.is_under_way()).count();
            let mut room = UNDER_WAY.saturating_sub(under_way);
            let (destination, mut ready) = (&self.destination, ready.into_iter());
            self.connections.retain_mut(|connection| {
                let is_ready = ready.next().unwrap_or_default() || connection.is_queued();
                let mut pass_on = |request: &Request| match destination {
                    Destination::Behind(behind, _) => {
                        room = room.checked_sub(1)?;
                        Some(Passed::Behind(behind.connect().ok()?, request.forwarded(&behind.secret)))
                    }
                    Destination::Page(port) => Some(Passed::Answered(request.sent_on(*port))),
                };
                let stays = !is_ready || connection.advance(now, &mut pass_on) == Step::Stays;
                stays && connection.deadline() > now
            });
            self.bound_memory();
            self.accept(now);
        }
    }

    /// Who sends most goes first: strangers must not fill the memory with requests that are never whole.
    fn bound_memory(&mut self) {
        let mut held: usize = self.connections.iter().map(Connection::held).sum();
        while held > HELD_BYTES {
            let waiting = self.connections.iter().enumerate().filter(|(_, connection)| !connection.is_under_way());
            let most =
                waiting.map(|(index, connection)| (connection.held(), index)).max().filter(|(most, _)| *most > 0);
            let Some((most, index)) = most else { return };
            self.connections.swap_remove(index);
            held -= most;
        }
    }

    /// Waits for something to do; of each connection, whether there is.
    fn wait(&self) -> Vec<bool> {
        let mut descriptors = Vec::with_capacity(2 * self.connections.len() + 1);
        let mut owners = Vec::with_capacity(2 * self.connections.len());
        let accept = if self.clock.now() >= self.accept_at { PollFlags::POLLIN } else { PollFlags::empty() };
        descriptors.push(PollFd::new(self.listener.as_fd(), accept));
        for (index, connection) in self.connections.iter().enumerate() {
            let (client, behind) = connection.wishes();
            // A descriptor without a wish would still wake the loop with its hang-up, again and again.
            if client.read || client.write {
                descriptors.push(PollFd::new(connection.client().as_fd(), client.flags()));
                owners.push(index);
            }
            if let Some(stream) = connection.behind().filter(|_| behind.read || behind.write) {
                descriptors.push(PollFd::new(stream.as_fd(), behind.flags()));
                owners.push(index);
            }
        }
        // An interrupted wait is a short one.
        let _ = poll(&mut descriptors, PollTimeout::from(TICK_MS));
        let mut ready = vec![false; self.connections.len()];
        for (descriptor, owner) in descriptors[1..].iter().zip(owners) {
            ready[owner] |= descriptor.any().unwrap_or(true);
        }
        ready
    }

    fn accept(&mut self, now: Time) {
        if now < self.accept_at {
            return;
        }
        for _ in 0..ACCEPTED_AT_ONCE {
            match self.listener.accept() {
                Ok((stream, peer)) => {
                    let local = stream.local_addr().map(|address| address.ip());
                    let forbidden = self.forbidden.lock().unwrap_or_else(PoisonError::into_inner);
                    if local.is_ok_and(|local| forbidden.contains(&local)) {
                        continue;
                    }
                    drop(forbidden);
                    let tls = if let Destination::Behind(_, tls) = &self.destination { tls.as_ref() } else { None };
                    let config = tls.map(|tls| tls.lock().unwrap_or_else(PoisonError::into_inner).clone());
                    if let Some(connection) = Connection::new(stream, peer.ip(), config, now) {
                        self.make_room();
                        self.connections.push(connection);
                    }
                }
                Err(fault) if fault.kind() == ErrorKind::WouldBlock => return,
                // A client that has gone before it was accepted is no fault (accept(2)).
                Err(fault) if matches!(fault.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted) => {}
                Err(fault) => {
                    log::warn!("the page cannot take a connection ({fault}); it tries again");
                    self.accept_at = now + ACCEPT_PAUSE;
                    return;
                }
            }
        }
    }

    fn make_room(&mut self) {
        if self.connections.len() < CONNECTIONS {
            return;
        }
        let gathering = self.connections.iter().enumerate().filter(|(_, connection)| !connection.is_under_way());
        let longest = gathering.min_by_key(|(_, connection)| connection.since()).map(|(index, _)| index);
        self.connections.swap_remove(longest.unwrap_or(0));
    }
}
