//! What the engine is told to do: already parsed and checked, so that it cannot be wrong.

use crate::limits::Limits;
use crate::protocol::{self, Definition};
use core::net::{IpAddr, SocketAddr};

/// The settings of one engine.
#[derive(Clone, Debug)]
pub struct Config {
    /// Set of origins mapped to targets, in the order of the settings; the first that claims an address has it.
    pub services: Vec<Service>,
    /// Addresses that the box owns on the target NIC.
    pub pool: Vec<PoolRange>,
    /// Next hop for targets that lie in no pool range's subnet.
    pub gateway: Option<IpAddr>,
    /// The other end of the replay.
    pub far_end: FarEnd,
    /// How fast captured time passes.
    pub speed: Speed,
    /// Whether sessions are replayed from the start; see [`crate::message::Command::StartReplay`].
    pub replay: bool,
    /// The bounds of every table, queue and buffer.
    pub limits: Limits,
}

/// Who answers the replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FarEnd {
    /// Servers on the wire behind the target NIC.
    Wire {
        /// The target NIC's Ethernet address, which the box's frames carry.
        mac: [u8; 6],
        /// Largest IP packet that the target NIC takes.
        mtu: u16,
    },
    /// No server: the origin's own captured answers are played back in-process.
    Rehearsal,
}

/// How fast captured time passes in the replay (think times are divided by it).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// So many times production's own speed; 1 is live.
    Times(f64),
    /// Without think times: as fast as the target answers, with turns kept.
    Max,
}

/// A range of addresses within one subnet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolRange {
    /// The first address.
    pub first: IpAddr,
    /// The last address, of the same family, not below `first`.
    pub last: IpAddr,
    /// Length of the subnet's prefix in bits.
    pub prefix_len: u8,
}

/// A set of origins mapped to one or more targets.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name in the settings.
    pub name: String,
    /// The production servers.
    pub origins: Vec<Origin>,
    /// The servers under test; sessions are spread over them by client hash. Not empty.
    pub targets: Vec<SocketAddr>,
    /// How the bytes are cut into requests and answers.
    pub protocol: Protocol,
    /// When a request is released.
    pub pacing: Pacing,
    /// Clients replayed, in hundredths of a percent (10,000 is all), by hash of the client address.
    pub sample: u16,
}

/// One production server, or one port of every server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// This address and port.
    Address(SocketAddr),
    /// This port of any address.
    AnyAddress(u16),
}

/// How the bytes of a session are cut into requests and answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Found from the first bytes of both sides.
    Auto,
    /// By this one of [`protocol::PROTOCOLS`].
    Known(&'static Definition),
    /// Turns: runs of bytes that the other side does not interrupt.
    Raw,
}

impl Protocol {
    /// The one called `name` in the settings.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "auto" => Some(Self::Auto),
            "raw" => Some(Self::Raw),
            name => protocol::find(name).map(Self::Known),
        }
    }

    /// Every name that the settings may hold.
    pub fn names() -> impl Iterator<Item = &'static str> {
        ["auto"].into_iter().chain(protocol::PROTOCOLS.iter().map(|definition| definition.name)).chain(["raw"])
    }
}

/// When a request is released to the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pacing {
    /// When the target has answered what the origin had answered, and the client's think time has passed.
    Turns,
    /// As soon as it is captured whole.
    Immediate,
}
