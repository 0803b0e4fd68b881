//! Whether a server under test can be reached, tried as a session would: an engine of its own is shown the opening of a
//! session that nobody had, and opens the connection for it, from an address of the pool, through ARP or NDP and its own TCP.
//! Nothing is sent on that connection, and it is closed again.

use crate::clock::Clock;
use crate::fault::Fault;
use crate::nic::interface::kernel_addresses;
use crate::nic::target::TargetNic;
use crate::settings::Settings;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use tapcopy_engine::config::{FarEnd, Speed};
use tapcopy_engine::engine::Live;
use tapcopy_engine::ledger::NotReplayed;
use tapcopy_engine::message::LinkType;
use tapcopy_engine::share::Share;
use tapcopy_engine::{Command, Engine, Input, MirrorFrame, Output};

/// The longest try: claiming the address takes a second, and so long a station that is asked for three times may be silent; a
/// lost SYN is sent again well before.
const PATIENCE: Duration = Duration::from_millis(4_200);
/// The longest wait for the connection's end.
const FAREWELL: Duration = Duration::from_millis(300);
const WAIT_MS: u16 = 20;
/// Addresses for documentation (RFC 5737) play the client and the origin.
const CLIENT: (Ipv4Addr, u16) = (Ipv4Addr::new(198, 51, 100, 1), 40_000);
/// The origin's port is one that the settings of the try name.
pub const ORIGIN: (Ipv4Addr, u16) = (Ipv4Addr::new(198, 51, 100, 2), 1);
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

/// How a try went.
#[derive(Clone, Debug, PartialEq)]
pub struct Reach {
    /// A snake_case word.
    pub outcome: &'static str,
    /// The same as a sentence, with the mend.
    pub sentence: String,
    /// From the first SYN to its answer.
    pub took: Option<Duration>,
    /// Frames sent to the target's link, and received from it for the box.
    pub frames: (u64, u64),
}

struct Try {
    engine: Engine,
    target: TargetNic,
    clock: Clock,
}

/// Tries the one target of these settings, whose only origin is [`ORIGIN`].
///
/// # Errors
/// The interface cannot be used.
pub fn reach(settings: &Settings, server: SocketAddr) -> Result<Reach, Fault> {
    let target = crate::plant::open_target(settings, Share::default())?;
    let far_end = FarEnd::Wire { mac: target.mac(), mtu: target.mtu(), vlan: settings.target_vlan };
    let config = settings.config(far_end, Share::default(), &kernel_addresses()?, Speed::Times(1.0), true);
    let seed = getrandom::u64().map_err(|fault| Fault::system("draw a random seed", std::io::Error::other(fault)))?;
    let clock = Clock::start();
    let mut one = Try { engine: Engine::new(clock.now(), config, seed), target, clock };
    Ok(one.run(server))
}

impl Try {
    fn run(&mut self, server: SocketAddr) -> Reach {
        for (from_client, sequence, acknowledged, flags) in
            [(true, 99, 0, SYN), (false, 499, 100, SYN | ACK), (true, 100, 500, ACK)]
        {
            let packet = packet(from_client, sequence, acknowledged, flags);
            self.show(&packet);
        }
        let (mut begun, mut live) = (None, None);
        while self.clock.uptime() < PATIENCE {
            self.turn();
            if begun.is_none() && self.engine.ledger().target.connections_opened > 0 {
                begun = Some(self.clock.uptime());
            }
            live = self.engine.roster().next();
            let is_decided = live.as_ref().is_none_or(|live| live.is_connected || live.barred.is_some());
            if is_decided || self.engine.ledger().target.packets_unresolved > 0 {
                break;
            }
        }
        let took = begun.map(|begun| self.clock.uptime().saturating_sub(begun));
        let reach = self.judge(live.as_ref(), server, took);
        self.say_farewell();
        reach
    }

    fn show(&mut self, packet: &[u8]) {
        let now = self.clock.now();
        let wire_len = packet.len() as u32;
        self.handle(Input::Mirror(MirrorFrame { captured_at: now, link: LinkType::RawIp, wire_len, bytes: packet }));
    }

    fn handle(&mut self, input: Input<'_>) {
        let now = self.clock.now();
        self.engine.handle_input(now, input);
        while let Some(output) = self.engine.poll_output() {
            if let Output::Transmit(frame) = output {
                self.target.transmit(now, frame);
            }
        }
        self.target.flush(now);
    }

    fn turn(&mut self) {
        let mut descriptors = [PollFd::new(self.target.descriptor(), PollFlags::POLLIN)];
        // An interrupted wait is a short one.
        let _ = poll(&mut descriptors, PollTimeout::from(WAIT_MS));
        let now = self.clock.now();
        for index in 0..self.target.receive(now) {
            let frame = self.target.received(index).map(|(_, bytes)| bytes.to_vec());
            frame.iter().for_each(|bytes| self.handle(Input::Target { arrived_at: now, bytes }));
        }
        if self.engine.poll_timeout().is_some_and(|due| due <= self.clock.now()) {
            self.handle(Input::Tick);
        }
    }

    fn say_farewell(&mut self) {
        self.handle(Input::Command(Command::Finish { limit: FAREWELL }));
        let begun = self.clock.now();
        while !self.engine.is_idle() && self.clock.now().since(begun) < 2 * FAREWELL {
            self.turn();
        }
    }

    fn judge(&self, live: Option<&Live>, server: SocketAddr, took: Option<Duration>) -> Reach {
        let counts = &self.engine.ledger().target;
        let local = live.and_then(|live| live.local).map_or(String::new(), |local| format!(" from {}", local.ip()));
        let is_connected = live.is_some_and(|live| live.is_connected);
        let (outcome, sentence) = match live.and_then(|live| live.barred) {
            _ if is_connected => ("reached", format!("{server} takes connections{local}")),
            Some(NotReplayed::TargetRefused) => {
                ("refused", format!("{server} is there and refuses; look whether the server runs, and at its firewall"))
            }
            Some(NotReplayed::AddressConflict) => {
                ("address_conflict", "another machine has the address; take it out of the pool".to_owned())
            }
            Some(NotReplayed::PoolExhausted | NotReplayed::NoWayBack) => {
                ("no_address", "there is no address to come from; name free ones in the pool".to_owned())
            }
            _ if counts.packets_unresolved > 0 => (
                "no_link_answer",
                format!(
                    "nobody on the link answers for {server}; look at the address, the cable, the VLAN and the gateway"
                ),
            ),
            _ => ("no_answer", format!("{server} does not answer; look at its firewall and its route back")),
        };
        let took = took.filter(|_| matches!(outcome, "reached" | "refused"));
        Reach { outcome, sentence, took, frames: (counts.frames_sent, counts.frames_received) }
    }
}

/// An IPv4 packet with a bare TCP segment; who looks at the mirror verifies no checksum that decides anything.
fn packet(from_client: bool, sequence: u32, acknowledged: u32, flags: u8) -> Vec<u8> {
    let (source, destination) = if from_client { (CLIENT, ORIGIN) } else { (ORIGIN, CLIENT) };
    let mut packet = vec![0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0];
    packet.extend(source.0.octets());
    packet.extend(destination.0.octets());
    packet.extend(source.1.to_be_bytes());
    packet.extend(destination.1.to_be_bytes());
    packet.extend(sequence.to_be_bytes());
    packet.extend(acknowledged.to_be_bytes());
    packet.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    packet
}

/// The origin as settings name it.
pub fn origin() -> SocketAddr {
    SocketAddr::new(IpAddr::V4(ORIGIN.0), ORIGIN.1)
}
