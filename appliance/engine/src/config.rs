//! What the engine is told to do: already parsed and checked, so that it cannot be wrong.

use crate::compare::Rules;
use crate::limits::Limits;
use crate::protocol::{self, Definition};
use crate::selection::Selection;
use crate::share::Share;
use core::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The settings of one engine.
#[derive(Clone, Debug)]
pub struct Config {
    /// Set of origins mapped to targets, in the order of the settings; the first that claims an address has it.
    pub services: Vec<Service>,
    /// Which addresses sessions come from, and how the targets' answers find the box.
    pub addressing: Addressing,
    /// The other end of the replay.
    pub far_end: FarEnd,
    /// The sessions that are this engine's; it stays as long as the engine does.
    pub share: Share,
    /// How fast captured time passes.
    pub speed: Speed,
    /// Whether sessions are replayed from the start; see [`crate::message::Command::StartReplay`].
    pub replay: bool,
    /// Whether records carry what was said; without it nothing of a request is kept once it is sent.
    pub contents: Option<Sample>,
    /// The bounds of every table, queue and buffer.
    pub limits: Limits,
}

/// Which records carry what was said: those of answers that differ, and a sample of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// How many of a million others that were replayed, the same in every run.
    pub per_million: u32,
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
        /// Frames are sent with this VLAN tag (IEEE 802.1Q, 1 to 4094), and only such are taken; `None`: without a tag.
        vlan: Option<u16>,
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

/// Which addresses sessions come from, and how the targets' answers find the box.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addressing {
    /// Whose addresses sessions come from.
    pub mode: Mode,
    /// Addresses that the box owns on the target NIC's link.
    pub pool: Vec<PoolRange>,
    /// Subnets of the target NIC's link, beside those of the pool. For clients in them the box answers ARP and NDP while it
    /// replays them.
    pub link: Vec<Subnet>,
    /// Addresses on the link to which targets send what is for other networks, and for which the box answers.
    pub emulated_gateways: Vec<IpAddr>,
    /// Next hop for targets that are not on the link.
    pub gateway: Option<IpAddr>,
    /// Addresses of others, beside targets and gateway, that no session may come from: those of the box's own kernel.
    pub foreign: Vec<IpAddr>,
}

/// Whose addresses sessions come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// The pool's, in turn.
    #[default]
    Pool,
    /// The client's own.
    Preserve,
}

/// A set of addresses with the same first bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// An address in it.
    pub address: IpAddr,
    /// How many bits are the same.
    pub prefix_len: u8,
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

impl Addressing {
    /// Whether `address` can be reached without a gateway.
    pub fn is_on_link(&self, address: IpAddr) -> bool {
        self.subnets().any(|subnet| subnet.contains(address))
    }

    /// Whether both addresses lie in one subnet of the link.
    pub fn share_subnet(&self, one: IpAddr, other: IpAddr) -> bool {
        self.subnets().any(|subnet| subnet.contains(one) && subnet.contains(other))
    }

    fn subnets(&self) -> impl Iterator<Item = Subnet> + '_ {
        self.link.iter().copied().chain(self.pool.iter().map(PoolRange::subnet))
    }
}

impl Subnet {
    /// Whether `address` lies in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let same_bits = match (self.address, address) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
            _ => return false,
        };
        same_bits >= u32::from(self.prefix_len)
    }
}

impl PoolRange {
    /// Whether `address` lies between the first and the last.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.first.is_ipv4() == address.is_ipv4() && (self.first..=self.last).contains(&address)
    }

    /// The subnet that it is a part of.
    pub fn subnet(&self) -> Subnet {
        Subnet { address: self.first, prefix_len: self.prefix_len }
    }
}

/// A set of origins mapped to one or more targets.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name in the settings.
    pub name: String,
    /// The production servers.
    pub origins: Vec<Origin>,
    /// The servers under test. Not empty.
    pub targets: Vec<SocketAddr>,
    /// Which of them a session is replayed against.
    pub mirror_to: MirrorTo,
    /// How often it is replayed against each, from distinct local endpoints. Not zero.
    pub copies: u16,
    /// How the bytes are cut into requests and answers.
    pub protocol: Protocol,
    /// When a request is released.
    pub pacing: Pacing,
    /// Which of the sessions' requests, and in which words.
    pub selection: Arc<Selection>,
    /// Sessions that begin to be replayed in a second of captured time; the others are left out whole. Not zero.
    pub sessions_per_second: Option<u32>,
    /// Clients replayed, in hundredths of a percent (10,000 is all), by hash of the client address.
    pub sample: u16,
    /// What the comparison of the answers leaves out.
    pub rules: Arc<Rules>,
}

/// Which targets of a service a session is replayed against.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MirrorTo {
    /// One, by hash of the client address: always the same for a client.
    #[default]
    One,
    /// Every one.
    All,
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
