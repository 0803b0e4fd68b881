//! The packet within the packet: IP in IP, GRE (also in UDP), ERSPAN, VXLAN with its extension, GENEVE.

use super::ip;
use super::link::{ETHERTYPE_IPV4, ETHERTYPE_IPV6, Start};
use super::view::{View, be16};
use super::wrapping::{Wrapping, Wrappings};
use crate::ledger::Ignored;

/// Transparent Ethernet bridging: an Ethernet frame follows.
const ETHERTYPE_BRIDGED: u16 = 0x6558;
/// ERSPAN type I and II (draft-foschiano-erspan).
const ETHERTYPE_ERSPAN: u16 = 0x88be;
/// ERSPAN type III.
const ETHERTYPE_ERSPAN_III: u16 = 0x22eb;

const GRE_CHECKSUM: u16 = 0x8000;
const GRE_ROUTING: u16 = 0x4000;
const GRE_KEY: u16 = 0x2000;
const GRE_SEQUENCE: u16 = 0x1000;
const GRE_VERSION: u16 = 0x0007;

/// Bytes that a switch may have cut off the copy before it sent it: an IP packet's greatest length.
const CUT_MAX: usize = 65_535;

/// Takes off a tunnel's header and notes which; `NotTcp` where there is no tunnel.
pub(super) fn open<'a>(protocol: u8, body: View<'a>, wrappings: &mut Wrappings) -> Result<(Start, View<'a>), Ignored> {
    let (wrapping, inner) = match protocol {
        ip::IPV4 => (Wrapping::IpInIp, (Start::EtherType(ETHERTYPE_IPV4), body)),
        ip::IPV6 => (Wrapping::IpInIp, (Start::EtherType(ETHERTYPE_IPV6), body)),
        ip::GRE => gre(body)?,
        ip::UDP => udp(body)?,
        _ => return Err(Ignored::NotTcp),
    };
    wrappings.insert(wrapping);
    Ok(inner)
}

/// Which tunnel it was, and what is in it.
type Inner<'a> = (Wrapping, (Start, View<'a>));

/// The header of a UDP tunnel.
#[derive(Clone, Copy)]
enum UdpTunnel {
    Vxlan,
    VxlanGpe,
    Geneve,
    Gre,
}

impl UdpTunnel {
    /// By the destination port: the source port is a hash of the inner flow and may have any value.
    fn of(header: &[u8; 8]) -> Option<Self> {
        match be16(header, 2) {
            // The second is Linux's choice from before the first was assigned.
            4789 | 8472 => Some(Self::Vxlan),
            4790 => Some(Self::VxlanGpe),
            6081 => Some(Self::Geneve),
            // RFC 8086.
            4754 => Some(Self::Gre),
            _ => None,
        }
    }
}

/// Whether a UDP datagram that begins with these bytes is a tunnel's.
pub(super) fn is_udp_tunnel(datagram: &[u8]) -> bool {
    datagram.first_chunk().and_then(UdpTunnel::of).is_some()
}

/// The length field is not looked at: receive offload leaves it at the first datagram's, and the inner header knows
/// better.
fn udp(view: View<'_>) -> Result<Inner<'_>, Ignored> {
    let tunnel = UdpTunnel::of(view.head(Ignored::NotTcp)?).ok_or(Ignored::NotTcp)?;
    let view = view.skip(8, Ignored::NotTcp)?;
    match tunnel {
        UdpTunnel::Vxlan => Ok((Wrapping::Vxlan, vxlan(view)?)),
        UdpTunnel::VxlanGpe => Ok((Wrapping::Vxlan, vxlan_gpe(view)?)),
        UdpTunnel::Geneve => Ok((Wrapping::Geneve, geneve(view)?)),
        UdpTunnel::Gre => gre(view),
    }
}

/// RFC 7348.
fn vxlan(view: View<'_>) -> Result<(Start, View<'_>), Ignored> {
    let has_network_id = view.head::<8>(Ignored::NotTcp)?[0] & 0x08 != 0;
    if !has_network_id {
        return Err(Ignored::NotTcp);
    }
    Ok((Start::Ethernet, view.skip(8, Ignored::NotTcp)?))
}

/// The generic protocol extension (draft-ietf-nvo3-vxlan-gpe): the header says what follows it, or else it is RFC 7348's.
fn vxlan_gpe(view: View<'_>) -> Result<(Start, View<'_>), Ignored> {
    let header = view.head::<8>(Ignored::NotTcp)?;
    let start = match (header[0] & 0x35, header[3]) {
        (0x00, _) => return vxlan(view),
        (0x04, 1) => Start::EtherType(ETHERTYPE_IPV4),
        (0x04, 2) => Start::EtherType(ETHERTYPE_IPV6),
        (0x04, 3) => Start::Ethernet,
        _ => return Err(Ignored::NotTcp),
    };
    Ok((start, view.skip(8, Ignored::NotTcp)?))
}

/// RFC 8926.
fn geneve(view: View<'_>) -> Result<(Start, View<'_>), Ignored> {
    let header = view.head::<8>(Ignored::NotTcp)?;
    if header[0] >> 6 != 0 {
        return Err(Ignored::NotTcp);
    }
    let options_len = usize::from(header[0] & 0x3f) * 4;
    Ok((ethertype(be16(header, 2)), view.skip(8 + options_len, Ignored::NotTcp)?))
}

/// RFC 2784, RFC 2890. Version 1 is PPTP's, source routing was withdrawn.
fn gre(view: View<'_>) -> Result<Inner<'_>, Ignored> {
    let header = view.head::<4>(Ignored::NotTcp)?;
    let flags = be16(header, 0);
    if flags & (GRE_ROUTING | GRE_VERSION) != 0 {
        return Err(Ignored::NotTcp);
    }
    let optional = (flags & (GRE_CHECKSUM | GRE_KEY | GRE_SEQUENCE)).count_ones() as usize * 4;
    let view = view.skip(4 + optional, Ignored::NotTcp)?;
    match be16(header, 2) {
        // Only type II has a header of its own, and a sequence number.
        ETHERTYPE_ERSPAN if flags & GRE_SEQUENCE == 0 => Ok((Wrapping::Erspan, (Start::Ethernet, view))),
        ETHERTYPE_ERSPAN => Ok((Wrapping::Erspan, erspan_ii(view)?)),
        ETHERTYPE_ERSPAN_III => Ok((Wrapping::Erspan, erspan_iii(view)?)),
        other => Ok((Wrapping::Gre, (ethertype(other), view))),
    }
}

fn ethertype(ethertype: u16) -> Start {
    if ethertype == ETHERTYPE_BRIDGED { Start::Ethernet } else { Start::EtherType(ethertype) }
}

fn erspan_ii(view: View<'_>) -> Result<(Start, View<'_>), Ignored> {
    let header = view.head::<8>(Ignored::NotTcp)?;
    Ok((Start::Ethernet, perhaps_cut(header[2], view.skip(8, Ignored::NotTcp)?)))
}

fn erspan_iii(view: View<'_>) -> Result<(Start, View<'_>), Ignored> {
    let header = view.head::<12>(Ignored::NotTcp)?;
    let start = match (header[10] >> 2) & 0x1f {
        0 => Start::Ethernet,
        2 => Start::Ip,
        _ => return Err(Ignored::NotIp),
    };
    let len = if header[11] & 1 == 1 { 20 } else { 12 };
    Ok((start, perhaps_cut(header[2], view.skip(len, Ignored::NotTcp)?)))
}

/// The T bit says that the switch cut the copy to fit its own packet. How much it cut, only the inner header knows.
fn perhaps_cut(flags: u8, view: View<'_>) -> View<'_> {
    let cut = if flags & 0x04 != 0 { CUT_MAX } else { 0 };
    View { missing: view.missing.saturating_add(cut), ..view }
}
