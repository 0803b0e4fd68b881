//! The management address by DHCP (RFC 2131): one address on one interface, asked for, renewed, and given up.
//!
//! States: *selecting* (discover, take the first offer, request it), *bound* (until half the lease has passed), *renewing*
//! (request it again, as in rebinding, by broadcast), and back to *selecting* when the lease is over. Messages go through an
//! ordinary UDP socket that is bound to the interface, and ask for answers by broadcast: the kernel takes these in also while
//! the interface has no address.

mod message;

use crate::link;
use message::{Answer, Kind, Question};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{Error, ErrorKind, Result};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::{Duration, Instant};

const CLIENT_PORT: u16 = 68;
const SERVER_PORT: u16 = 67;
/// First and longest wait for an answer (RFC 2131, section 4.1).
const FIRST_WAIT: Duration = Duration::from_secs(2);
const LONGEST_WAIT: Duration = Duration::from_secs(32);
/// What is asked of a server whose lease has no time.
const DEFAULT_LEASE: Duration = Duration::from_secs(3600);
/// The shortest lease that is believed.
const SHORTEST_LEASE: Duration = Duration::from_secs(60);
/// The longest wait without a look whether it is over.
const LOOK: Duration = Duration::from_millis(200);
/// Longest message that is read.
const MESSAGE_BYTES: usize = 1500;
/// What a server has given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The address.
    pub address: Ipv4Addr,
    /// Length of the subnet's prefix.
    pub prefix: u8,
    /// The way to everywhere.
    pub gateway: Option<Ipv4Addr>,
    /// Who knows the time, the best first.
    pub time_servers: Vec<Ipv4Addr>,
    /// How long the address may be used.
    pub time: Duration,
    /// Who gave it.
    pub server: Ipv4Addr,
}

/// Keeps a lease on an interface until it is over, which is looked at all the time; `tell` learns each new one, and its loss. The
/// address is left where it is at the end.
pub fn keep(interface: &str, mac: [u8; 6], is_over: impl Fn() -> bool, mut tell: impl FnMut(Option<&Lease>)) {
    let mut present: Option<Lease> = None;
    while !is_over() {
        match obtain(interface, mac, present.as_ref(), &is_over) {
            Ok(lease) => {
                if present.as_ref() != Some(&lease) {
                    apply(interface, &lease);
                    tell(Some(&lease));
                }
                wait(lease.time / 2, &is_over);
                present = Some(lease);
            }
            Err(_) if is_over() => {}
            Err(fault) => {
                log::debug!("{interface}: {fault}");
                if present.take().is_some() {
                    log::warn!("{interface}: the lease of the management address is over, and no server renews it");
                    let _ = link::clear_address(interface);
                    tell(None);
                }
                wait(FIRST_WAIT, &is_over);
            }
        }
    }
}

fn wait(time: Duration, is_over: &impl Fn() -> bool) {
    let until = Instant::now() + time;
    while !is_over() && Instant::now() < until {
        std::thread::sleep(LOOK);
    }
}

fn apply(interface: &str, lease: &Lease) {
    match link::set_address(interface, lease.address, lease.prefix, lease.gateway) {
        Ok(()) => log::info!("{interface} has {}/{} by DHCP from {}", lease.address, lease.prefix, lease.server),
        Err(fault) => log::error!("{interface} cannot have {}: {fault}", lease.address),
    }
}

/// A lease, the present one again if a server grants it.
fn obtain(interface: &str, mac: [u8; 6], present: Option<&Lease>, is_over: &impl Fn() -> bool) -> Result<Lease> {
    let dialogue = Dialogue { socket: open(interface)?, mac, id: identity(mac), is_over };
    let Some(present) = present else { return dialogue.select() };
    let until = Instant::now() + present.time / 2;
    let wanted = present.clone();
    while Instant::now() < until {
        match dialogue.request(&wanted, true) {
            Ok(Some(lease)) => return Ok(lease),
            Ok(None) => break,
            Err(_) if is_over() => break,
            Err(_) => wait(FIRST_WAIT, is_over),
        }
    }
    Err(Error::other("no server renews the lease"))
}

/// A number for the messages of one client: no two on a link have the same address.
fn identity(mac: [u8; 6]) -> u32 {
    u32::from_be_bytes([mac[2], mac[3], mac[4], mac[5]])
}

fn open(interface: &str) -> Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    socket.set_broadcast(true)?;
    socket.bind_device(Some(interface.as_bytes()))?;
    socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, CLIENT_PORT).into())?;
    Ok(socket.into())
}

struct Dialogue<'a, F> {
    socket: UdpSocket,
    mac: [u8; 6],
    id: u32,
    is_over: &'a F,
}

impl<F: Fn() -> bool> Dialogue<'_, F> {
    /// Discovers servers until one grants what it has offered.
    fn select(&self) -> Result<Lease> {
        let mut wait = FIRST_WAIT;
        loop {
            self.send(self.question(Kind::Discover))?;
            if let Ok(offer) = self.receive(wait, Kind::Offer)
                && let Ok(Some(lease)) = self.request(&lease_of(&offer), false)
            {
                return Ok(lease);
            }
            if (self.is_over)() {
                return Err(Error::from(ErrorKind::Interrupted));
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// The lease that is asked for; `None` where the server refuses it.
    fn request(&self, wanted: &Lease, is_renewal: bool) -> Result<Option<Lease>> {
        let question = self.question(Kind::Request);
        self.send(if is_renewal {
            Question { present: Some(wanted.address), ..question }
        } else {
            Question { offered: Some((wanted.address, wanted.server)), ..question }
        })?;
        let answer = self.receive(FIRST_WAIT, Kind::Ack)?;
        Ok((answer.kind == Kind::Ack).then(|| lease_of(&answer)))
    }

    fn question(&self, kind: Kind) -> Question {
        Question { kind, id: self.id, mac: self.mac, present: None, offered: None }
    }

    fn send(&self, question: Question) -> Result<()> {
        self.socket.send_to(&question.bytes(), (Ipv4Addr::BROADCAST, SERVER_PORT)).map(drop)
    }

    /// The next answer to this client of the kind, or a refusal where a grant is waited for.
    fn receive(&self, wait: Duration, kind: Kind) -> Result<Answer> {
        let until = Instant::now() + wait;
        let mut bytes = [0; MESSAGE_BYTES];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || (self.is_over)() {
                return Err(Error::from(ErrorKind::TimedOut));
            }
            self.socket.set_read_timeout(Some(left.min(LOOK)))?;
            let length = match self.socket.recv(&mut bytes) {
                Err(fault) if fault.kind() == ErrorKind::WouldBlock => continue,
                received => received?,
            };
            let Some(answer) = Answer::parse(&bytes[..length]) else { continue };
            let is_wanted = answer.kind == kind || kind == Kind::Ack && answer.kind == Kind::Nak;
            if is_wanted && answer.id == self.id && answer.mac == self.mac {
                return Ok(answer);
            }
        }
    }
}

/// What an offer or a grant holds; what is missing has the value that does no harm.
fn lease_of(answer: &Answer) -> Lease {
    let time = answer.lease_seconds.map_or(DEFAULT_LEASE, |seconds| Duration::from_secs(u64::from(seconds)));
    Lease {
        address: answer.address,
        prefix: answer.mask.map_or(24, |mask| u32::from(mask).leading_ones() as u8),
        gateway: answer.router,
        time_servers: answer.time_servers.clone(),
        time: time.max(SHORTEST_LEASE),
        server: answer.server.unwrap_or(Ipv4Addr::UNSPECIFIED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> Answer {
        let (kind, id, mac) = (Kind::Ack, 7, [2, 0, 0, 0, 0, 1]);
        let address = Ipv4Addr::new(10, 0, 2, 15);
        Answer {
            kind,
            id,
            mac,
            address,
            mask: None,
            router: None,
            time_servers: Vec::new(),
            lease_seconds: None,
            server: None,
        }
    }

    #[test]
    fn a_lease_is_what_was_granted() {
        let mask = Some(Ipv4Addr::new(255, 255, 254, 0));
        let lease = lease_of(&Answer { mask, lease_seconds: Some(7200), ..answer() });
        assert_eq!((lease.address, lease.prefix), (Ipv4Addr::new(10, 0, 2, 15), 23));
        assert_eq!((lease.gateway, lease.time), (None, Duration::from_secs(7200)));
    }

    #[test]
    fn what_a_server_leaves_out_does_no_harm() {
        let lease = lease_of(&answer());
        assert_eq!((lease.prefix, lease.gateway, lease.time), (24, None, DEFAULT_LEASE));
        assert_eq!(lease_of(&Answer { lease_seconds: Some(0), ..answer() }).time, SHORTEST_LEASE);
    }
}
