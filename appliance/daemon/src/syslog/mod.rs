//! The log at a collector (syslog): RFC 5424 over UDP (RFC 5426) or over TCP with counted octets (RFC 6587).
//!
//! The queue is the logbook: its bound is the bound of what a collector that is away can still be told, and what has fallen out of
//! it is counted. One thread sends what the logbook has from its own place on, from the start's lines on; where that fails, it waits,
//! twice as long each time, and tries again. What the kernel had taken when a connection broke is lost without a trace: nothing
//! in this protocol answers.

mod message;

use crate::clock::Clock;
use crate::logbook;
use message::{counted, message};
use nix::sys::socket::{setsockopt, sockopt};
use serde_json::{Value, json};
use std::fmt;
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Lines that are sent before it is looked for other settings.
const BATCH: usize = 64;
/// How long a line is waited for before it is looked for other settings.
const LOOK: Duration = Duration::from_secs(1);
/// How long the collector may take to accept a connection, or anything that is sent to it.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long what was sent may stay unacknowledged, in ms.
const UNACKNOWLEDGED_MS: u32 = 30_000;
/// First and longest wait after a fault.
const FIRST_RETRY: Duration = Duration::from_millis(500);
const LONGEST_RETRY: Duration = Duration::from_secs(60);
/// How long the last lines of a run may take.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How often it is looked meanwhile whether they are out.
const LOOKS: u32 = 20;

/// How messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Each is a datagram.
    Udp,
    /// Each follows its length.
    Tcp,
}

/// Who collects the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Collector {
    /// Where.
    pub server: SocketAddr,
    /// How.
    pub transport: Transport,
}

impl fmt::Display for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { server, transport } = self;
        write!(f, "{server} over {}", if *transport == Transport::Udp { "UDP" } else { "TCP" })
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Wish {
    collector: Option<Collector>,
    /// What the messages call this box.
    host: String,
}

/// What became of the lines since the start.
#[derive(Clone, Debug)]
struct Report {
    sent: u64,
    lost: u64,
    /// Why nothing is sent at present.
    fault: Option<String>,
    /// The number of the next line.
    next: u64,
}

/// Sends the log of this process, once it is started, to whom the settings name.
pub static SENDER: Sender = Sender {
    wish: Mutex::new(Wish { collector: None, host: String::new() }),
    changed: Condvar::new(),
    report: Mutex::new(Report { sent: 0, lost: 0, fault: None, next: 0 }),
};

/// Who sends it.
#[derive(Debug)]
pub struct Sender {
    wish: Mutex<Wish>,
    changed: Condvar,
    report: Mutex<Report>,
}

impl Sender {
    /// Sends from now on, on a thread of its own.
    ///
    /// # Errors
    /// No thread is to be had.
    pub fn start(&'static self) -> Result<()> {
        std::thread::Builder::new().name("syslog".to_owned()).spawn(|| self.run()).map(drop)
    }

    /// Sends to this collector, in the name of this box, or to nobody.
    pub fn configure(&self, collector: Option<Collector>, host: String) {
        *self.wish() = Wish { collector, host };
        self.changed.notify_all();
    }

    /// Waits a moment for the last lines, where they have somewhere to go.
    pub fn finish(&self) {
        for _ in 0..LOOKS {
            let Report { next, fault, .. } = self.report().clone();
            if logbook::from(next, 1).1.is_empty() || fault.is_some() || self.wish().collector.is_none() {
                return;
            }
            std::thread::sleep(LAST_WORDS / LOOKS);
        }
    }

    /// Lines that were sent, and lines that are lost; nothing while there is no collector.
    pub fn counts(&self) -> Option<(u64, u64)> {
        self.wish().collector?;
        let report = self.report();
        Some((report.sent, report.lost))
    }

    /// What `GET /api/v1/system` says of it; nothing while there is no collector.
    pub fn shown(&self) -> Option<Value> {
        let Collector { server, transport } = self.wish().collector?;
        let Report { sent, lost, fault, .. } = self.report().clone();
        let transport = if transport == Transport::Udp { "udp" } else { "tcp" };
        let mut shown = json!({ "server": server, "transport": transport, "sent": sent, "lost": lost });
        if let Some(fault) = fault {
            shown["fault"] = Value::from(fault);
        }
        Some(shown)
    }

    fn wish(&self) -> MutexGuard<'_, Wish> {
        self.wish.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn report(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let (mut retry, mut since) = (FIRST_RETRY, Clock::start());
        let mut connection: Option<(Collector, Connection)> = None;
        loop {
            let wish = self.wish().clone();
            let Some(collector) = wish.collector else {
                connection = None;
                self.report().fault = None;
                self.wait_while(&wish, LONGEST_RETRY);
                // Nobody has missed what was said meanwhile.
                let next = self.report().next;
                self.report().next = logbook::from(next, 0).0;
                continue;
            };
            let kept = connection.take().filter(|(of, _)| *of == collector).map(|(_, connection)| connection);
            let done = kept.map_or_else(|| Connection::open(collector), Ok).and_then(|mut open| {
                self.send_all(&mut open, &wish)?;
                connection = Some((collector, open));
                Ok(())
            });
            match done {
                Ok(()) => {}
                Err(fault) => {
                    self.fail(collector, &fault);
                    self.wait_while(&wish, retry);
                    // Who takes a line and goes away again is not asked more and more often.
                    let is_new = since.uptime() > LONGEST_RETRY || *self.wish() != wish;
                    retry = if is_new { FIRST_RETRY } else { (retry * 2).min(LONGEST_RETRY) };
                    since = Clock::start();
                }
            }
        }
    }

    /// Waits for other settings.
    fn wait_while(&self, wish: &Wish, time: Duration) {
        drop(self.changed.wait_timeout_while(self.wish(), time, |now| now == wish));
    }

    fn fail(&self, collector: Collector, fault: &Error) {
        let is_new = self.report().fault.replace(fault.to_string()).is_none();
        if is_new {
            log::warn!("the log does not reach {collector} ({fault}); this is tried again");
        }
    }

    /// Sends what there is, waiting a while for it.
    fn send_all(&self, connection: &mut Connection, wish: &Wish) -> Result<()> {
        connection.check()?;
        let next = self.report().next;
        logbook::wait_for(next, LOOK);
        let (begin, lines) = logbook::from(next, BATCH);
        {
            let mut report = self.report();
            report.lost += begin - next;
            report.next = begin;
        }
        let process = std::process::id();
        for line in &lines {
            let missed = connection.send(&message(line, &wish.host, process))?;
            let was_away = {
                let mut report = self.report();
                (report.sent, report.next) = ((report.sent + 1).saturating_sub(missed), report.next + 1);
                report.lost += missed;
                report.fault.take().map(|_| report.lost)
            };
            if let Some(lost) = was_away {
                log::info!("the log reaches its collector again; {lost} of its lines are lost in all");
            }
        }
        Ok(())
    }
}

enum Connection {
    Udp(UdpSocket),
    Tcp(TcpStream),
}

impl Connection {
    fn open(collector: Collector) -> Result<Self> {
        let server = collector.server;
        if collector.transport == Transport::Udp {
            let own: IpAddr =
                if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
            let socket = UdpSocket::bind((own, 0))?;
            socket.connect(server)?;
            return Ok(Self::Udp(socket));
        }
        let stream = TcpStream::connect_timeout(&server, PATIENCE)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        setsockopt(&stream, sockopt::TcpUserTimeout, &UNACKNOWLEDGED_MS)?;
        Ok(Self::Tcp(stream))
    }

    /// Whether the collector is still there, as far as it has said: who has closed its end takes nothing more.
    fn check(&mut self) -> Result<()> {
        let Self::Tcp(stream) = self else { return Ok(()) };
        stream.set_nonblocking(true)?;
        let read = stream.read(&mut [0; 256]);
        stream.set_nonblocking(false)?;
        match read {
            Ok(0) => Err(Error::new(ErrorKind::ConnectionReset, "it has closed the connection")),
            Err(fault) if fault.kind() != ErrorKind::WouldBlock => Err(fault),
            _ => Ok(()),
        }
    }

    /// Sends a message; how many earlier ones are known by this to be lost.
    fn send(&mut self, message: &str) -> Result<u64> {
        match self {
            Self::Tcp(stream) => stream.write_all(counted(message).as_bytes()).map(|()| 0),
            Self::Udp(socket) => match socket.send(message.as_bytes()) {
                // What is refused is the datagram before: this one was not sent.
                Err(fault) if fault.kind() == ErrorKind::ConnectionRefused => {
                    socket.send(message.as_bytes()).map(|_| 1)
                }
                sent => sent.map(|_| 0),
            },
        }
    }
}
