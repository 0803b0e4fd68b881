//! Neighbor discovery for IPv6 over Ethernet: solicitations and advertisements (RFC 4861, sections 4.3, 4.4 and 7.1).

use super::ethernet::Mac;
use core::net::Ipv6Addr;
use smoltcp::wire::{IpProtocol, Ipv6Packet, checksum};

/// Every host on the link.
pub(super) const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

const IPV6_HEADER_LEN: usize = 40;
/// ICMPv6 header, flags, target.
const BODY_LEN: usize = 24;
/// A link-layer address option.
const OPTION_LEN: usize = 8;

const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
/// Router solicitation to redirect.
const TYPES: core::ops::RangeInclusive<u8> = 133..=137;

const SOURCE_OPTION: u8 = 1;
const TARGET_OPTION: u8 = 2;

const ROUTER: u8 = 0x80;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;

/// No router forwards a message of this hop limit, so that it came from the link.
const HOP_LIMIT: u8 = 255;

/// What an advertisement says beside the address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Flags {
    /// The target of the advertisement is a router; a host forgets the router that says otherwise.
    pub(super) router: bool,
    /// It answers a solicitation.
    pub(super) solicited: bool,
    /// It may take the place of another address that is known.
    pub(super) overrides: bool,
}

/// A message that the box understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// Who has `target`? The asker is at `mac`.
    Solicitation { target: Ipv6Addr, mac: Option<Mac> },
    /// `target` is at `mac`.
    Advertisement { target: Ipv6Addr, flags: Flags, mac: Option<Mac> },
}

impl Message {
    /// `None` if the IPv6 packet is another message, or not valid.
    pub(super) fn parse(packet: &[u8]) -> Option<Self> {
        let ip = Ipv6Packet::new_checked(packet).ok()?;
        let icmp = ip.payload();
        let (body, options) = icmp.split_first_chunk::<BODY_LEN>()?;
        let (kind, code, flags) = (body[0], body[1], body[4]);
        let target = Ipv6Addr::from(*body.last_chunk::<16>()?);
        let valid = ip.hop_limit() == HOP_LIMIT && code == 0 && !target.is_multicast();
        if !valid || checksum_of(ip.src_addr(), ip.dst_addr(), icmp) != 0 {
            return None;
        }
        match kind {
            SOLICITATION => {
                let mac = option(options, SOURCE_OPTION)?;
                let anonymous = ip.src_addr().is_unspecified();
                let valid = !anonymous || (mac.is_none() && ip.dst_addr() == solicited_node(target));
                valid.then_some(Self::Solicitation { target, mac })
            }
            ADVERTISEMENT => {
                let mac = option(options, TARGET_OPTION)?;
                let flags = Flags::from_bits(flags);
                let valid = !(flags.solicited && ip.dst_addr().is_multicast());
                valid.then_some(Self::Advertisement { target, flags, mac })
            }
            _ => None,
        }
    }

    /// The link-layer address that it tells.
    pub(super) fn mac(&self) -> Option<Mac> {
        match *self {
            Self::Solicitation { mac, .. } | Self::Advertisement { mac, .. } => mac,
        }
    }

    /// Length of the message with its IPv6 header, in bytes.
    pub(super) fn len(&self) -> usize {
        IPV6_HEADER_LEN + BODY_LEN + if self.mac().is_some() { OPTION_LEN } else { 0 }
    }

    /// Fills `len` bytes with an IPv6 packet.
    pub(super) fn write(&self, packet: &mut [u8], source: Ipv6Addr, destination: Ipv6Addr) {
        let (kind, flags, target, option) = match *self {
            Self::Solicitation { target, .. } => (SOLICITATION, 0, target, SOURCE_OPTION),
            Self::Advertisement { target, flags, .. } => (ADVERTISEMENT, flags.bits(), target, TARGET_OPTION),
        };
        packet.fill(0);
        let mut ip = Ipv6Packet::new_unchecked(packet);
        ip.set_version(6);
        ip.set_payload_len((self.len() - IPV6_HEADER_LEN) as u16);
        ip.set_next_header(IpProtocol::Icmpv6);
        ip.set_hop_limit(HOP_LIMIT);
        ip.set_src_addr(source);
        ip.set_dst_addr(destination);
        let icmp = ip.payload_mut();
        icmp[0] = kind;
        icmp[4] = flags;
        icmp[8..24].copy_from_slice(&target.octets());
        if let Some(mac) = self.mac() {
            icmp[24..26].copy_from_slice(&[option, 1]);
            icmp[26..32].copy_from_slice(&mac);
        }
        let sum = checksum_of(source, destination, icmp);
        icmp[2..4].copy_from_slice(&sum.to_be_bytes());
    }
}

impl Flags {
    fn from_bits(bits: u8) -> Self {
        Self { router: bits & ROUTER != 0, solicited: bits & SOLICITED != 0, overrides: bits & OVERRIDE != 0 }
    }

    fn bits(self) -> u8 {
        let bit = |is_set, bit| if is_set { bit } else { 0 };
        bit(self.router, ROUTER) | bit(self.solicited, SOLICITED) | bit(self.overrides, OVERRIDE)
    }
}

/// Whether an IPv6 packet is of neighbor discovery, valid or not. Such packets have no extension headers.
pub(super) fn is_ndp(packet: &[u8]) -> bool {
    Ipv6Packet::new_checked(packet).is_ok_and(|ip| {
        ip.next_header() == IpProtocol::Icmpv6 && ip.payload().first().is_some_and(|kind| TYPES.contains(kind))
    })
}

/// The group that is asked for an address (RFC 4291, section 2.7.1).
pub(super) fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), u16::from_be_bytes([b, c]))
}

/// The checksum to write, or 0 of a message with a right one.
fn checksum_of(source: Ipv6Addr, destination: Ipv6Addr, icmp: &[u8]) -> u16 {
    let len = u32::try_from(icmp.len()).unwrap_or(u32::MAX);
    let pseudo = checksum::pseudo_header_v6(&source, &destination, IpProtocol::Icmpv6, len);
    !checksum::combine(&[pseudo, checksum::data(icmp)])
}

/// The link-layer address in the option of this kind; `None` if the options are malformed.
fn option(mut options: &[u8], wanted: u8) -> Option<Option<Mac>> {
    let mut found = None;
    while let [kind, len, ..] = *options {
        let len = OPTION_LEN * usize::from(len);
        let (option, rest) = options.split_at_checked(len).filter(|_| len > 0)?;
        if kind == wanted && found.is_none() {
            found = option[2..].first_chunk().copied();
        }
        options = rest;
    }
    options.is_empty().then_some(found)
}
