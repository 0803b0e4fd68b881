//! From the first captured byte to the IP packet: link headers, VLAN tags, MPLS labels, PPPoE.

use super::ip::Version;
use super::view::{View, be16, be32};
use super::wrapping::{Wrapping, Wrappings};
use crate::ledger::Ignored;
use crate::message::LinkType;

/// Link headers, tags and labels in front of one IP packet. A provider's label stack with two pairs of VLAN tags has
/// ten.
const HEADERS_MAX: usize = 16;

pub(super) const ETHERTYPE_IPV4: u16 = 0x0800;
pub(super) const ETHERTYPE_IPV6: u16 = 0x86dd;
/// IEEE 802.1Q.
pub(super) const ETHERTYPE_VLAN: u16 = 0x8100;
/// IEEE 802.1ad, the provider's outer tag.
const ETHERTYPE_QINQ: u16 = 0x88a8;
/// The outer tag of switches older than 802.1ad.
const ETHERTYPE_QINQ_OLD: u16 = 0x9100;
/// RFC 3032.
const ETHERTYPE_MPLS: u16 = 0x8847;
const ETHERTYPE_MPLS_UPSTREAM: u16 = 0x8848;
/// RFC 2516, session stage.
const ETHERTYPE_PPPOE: u16 = 0x8864;
/// Below it, the field is the length of an 802.3 frame, whose type stands in an LLC header.
const ETHERTYPE_MIN: u16 = 0x0600;

/// What a view begins with.
#[derive(Clone, Copy, Debug)]
pub(super) enum Start {
    /// An Ethernet header.
    Ethernet,
    /// What the EtherType names.
    EtherType(u16),
    /// An IP packet of either version.
    Ip,
}

/// What the headers below IP say about a segment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Labels {
    /// The outermost 802.1Q id.
    pub vlan: Option<u16>,
    /// The source of the innermost Ethernet header.
    pub source_mac: Option<[u8; 6]>,
    /// Everything else that had to be taken off.
    pub wrappings: Wrappings,
}

/// Takes off the capture's own header.
#[inline(always)]
pub(super) fn open<'a>(link: LinkType, view: View<'a>, labels: &mut Labels) -> Result<(Start, View<'a>), Ignored> {
    match link {
        LinkType::Ethernet => Ok((Start::Ethernet, view)),
        LinkType::RawIp => Ok((Start::Ip, view)),
        LinkType::BsdLoopback => bsd_loopback(view),
        LinkType::LinuxSll => linux_sll(view, labels),
        LinkType::LinuxSll2 => linux_sll2(view, labels),
    }
}

/// Finds the IP packet behind Ethernet header, tags and labels.
#[inline(always)]
pub(super) fn descend<'a>(
    mut start: Start,
    mut view: View<'a>,
    labels: &mut Labels,
) -> Result<(Version, View<'a>), Ignored> {
    for _ in 0..HEADERS_MAX {
        (start, view) = match start {
            Start::Ethernet => ethernet(view, labels)?,
            Start::EtherType(ETHERTYPE_IPV4) => return Ok((Version::V4, view)),
            Start::EtherType(ETHERTYPE_IPV6) => return Ok((Version::V6, view)),
            Start::EtherType(ethertype) => tagged(ethertype, view, labels)?,
            Start::Ip => return either_version(view),
        };
    }
    Err(Ignored::NestedTooDeep)
}

#[inline(always)]
fn ethernet<'a>(view: View<'a>, labels: &mut Labels) -> Result<(Start, View<'a>), Ignored> {
    let header = view.head::<14>(Ignored::ShortFrame)?;
    labels.source_mac = header[6..].first_chunk().copied();
    Ok((Start::EtherType(be16(header, 12)), view.skip(14, Ignored::ShortFrame)?))
}

#[cold]
fn tagged<'a>(ethertype: u16, view: View<'a>, labels: &mut Labels) -> Result<(Start, View<'a>), Ignored> {
    match ethertype {
        ETHERTYPE_VLAN | ETHERTYPE_QINQ | ETHERTYPE_QINQ_OLD => vlan(view, labels),
        ETHERTYPE_MPLS | ETHERTYPE_MPLS_UPSTREAM => {
            labels.wrappings.insert(Wrapping::Mpls);
            mpls(view)
        }
        ETHERTYPE_PPPOE => {
            labels.wrappings.insert(Wrapping::Pppoe);
            pppoe(view)
        }
        0..ETHERTYPE_MIN => snap(view),
        _ => Err(Ignored::NotIp),
    }
}

fn vlan<'a>(view: View<'a>, labels: &mut Labels) -> Result<(Start, View<'a>), Ignored> {
    let tag = view.head::<4>(Ignored::ShortFrame)?;
    match labels.vlan {
        Some(_) => labels.wrappings.insert(Wrapping::StackedTags),
        None => labels.vlan = Some(be16(tag, 0) & 0x0fff),
    }
    Ok((Start::EtherType(be16(tag, 2)), view.skip(4, Ignored::ShortFrame)?))
}

/// One entry of a label stack. Only the last has the bottom bit, and nothing says what follows it.
fn mpls(view: View<'_>) -> Result<(Start, View<'_>), Ignored> {
    let bottom = view.head::<4>(Ignored::ShortFrame)?[2] & 1 == 1;
    let view = view.skip(4, Ignored::ShortFrame)?;
    if bottom { below_mpls(view) } else { Ok((Start::EtherType(ETHERTYPE_MPLS), view)) }
}

/// Guesses as routers do when they spread load: by the first nibble (RFC 4928). 4 and 6 are IP, 0 a pseudowire's
/// control word (RFC 4385), 1 its maintenance channel; anything else can only be the address in a pseudowire's
/// Ethernet header.
fn below_mpls(view: View<'_>) -> Result<(Start, View<'_>), Ignored> {
    match view.head::<1>(Ignored::ShortFrame)?[0] >> 4 {
        4 | 6 => Ok((Start::Ip, view)),
        1 => Err(Ignored::NotIp),
        0 if has_control_word(view)? => Ok((Start::Ethernet, view.skip(4, Ignored::ShortFrame)?)),
        _ => Ok((Start::Ethernet, view)),
    }
}

/// Many Ethernet addresses begin with a zero nibble too: it is a control word where an EtherType that leads on to IP
/// stands at its place behind one.
fn has_control_word(view: View<'_>) -> Result<bool, Ignored> {
    let ethertype = be16(view.head::<18>(Ignored::ShortFrame)?, 16);
    Ok(matches!(
        ethertype,
        ETHERTYPE_IPV4
            | ETHERTYPE_IPV6
            | ETHERTYPE_VLAN
            | ETHERTYPE_QINQ
            | ETHERTYPE_QINQ_OLD
            | ETHERTYPE_MPLS
            | ETHERTYPE_MPLS_UPSTREAM
            | ETHERTYPE_PPPOE
    ))
}

fn pppoe(view: View<'_>) -> Result<(Start, View<'_>), Ignored> {
    ppp(view.skip(6, Ignored::ShortFrame)?)
}

/// The PPP protocol in two bytes, or, where its number allows it, compressed to one: only a last byte is odd (RFC 1661,
/// sections 2 and 6.5).
fn ppp(view: View<'_>) -> Result<(Start, View<'_>), Ignored> {
    let (protocol, len) = match *view.head::<2>(Ignored::ShortFrame)? {
        [only, _] if only & 1 == 1 => (u16::from(only), 1),
        both => (u16::from_be_bytes(both), 2),
    };
    let ethertype = match protocol {
        0x0021 => ETHERTYPE_IPV4,
        0x0057 => ETHERTYPE_IPV6,
        _ => return Err(Ignored::NotIp),
    };
    Ok((Start::EtherType(ethertype), view.skip(len, Ignored::ShortFrame)?))
}

/// An 802.3 frame may carry an EtherType behind LLC and SNAP (RFC 1042).
fn snap(view: View<'_>) -> Result<(Start, View<'_>), Ignored> {
    let header = view.head::<8>(Ignored::NotIp)?;
    if header[..6] != [0xaa, 0xaa, 3, 0, 0, 0] || be16(header, 6) < ETHERTYPE_MIN {
        return Err(Ignored::NotIp);
    }
    Ok((Start::EtherType(be16(header, 6)), view.skip(8, Ignored::NotIp)?))
}

fn either_version(view: View<'_>) -> Result<(Version, View<'_>), Ignored> {
    match view.head::<1>(Ignored::ShortFrame)?[0] >> 4 {
        4 => Ok((Version::V4, view)),
        6 => Ok((Version::V6, view)),
        _ => Err(Ignored::NotIp),
    }
}

/// The address family in the byte order of the machine that captured; families are small numbers, so the order shows.
/// The BSDs chose three values for IPv6 and Linux a fourth.
fn bsd_loopback(view: View<'_>) -> Result<(Start, View<'_>), Ignored> {
    let family = be32(view.head::<4>(Ignored::ShortFrame)?, 0);
    let ethertype = match if family > 0xffff { family.swap_bytes() } else { family } {
        2 => ETHERTYPE_IPV4,
        10 | 24 | 28 | 30 => ETHERTYPE_IPV6,
        _ => return Err(Ignored::NotIp),
    };
    Ok((Start::EtherType(ethertype), view.skip(4, Ignored::ShortFrame)?))
}

fn linux_sll<'a>(view: View<'a>, labels: &mut Labels) -> Result<(Start, View<'a>), Ignored> {
    let header = view.head::<16>(Ignored::ShortFrame)?;
    if be16(header, 4) == 6 {
        labels.source_mac = header[6..].first_chunk().copied();
    }
    Ok((Start::EtherType(be16(header, 14)), view.skip(16, Ignored::ShortFrame)?))
}

fn linux_sll2<'a>(view: View<'a>, labels: &mut Labels) -> Result<(Start, View<'a>), Ignored> {
    let header = view.head::<20>(Ignored::ShortFrame)?;
    if header[11] == 6 {
        labels.source_mac = header[12..].first_chunk().copied();
    }
    Ok((Start::EtherType(be16(header, 0)), view.skip(20, Ignored::ShortFrame)?))
}
