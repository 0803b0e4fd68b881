//! The short way for the usual frame: Ethernet, at most one VLAN tag, IPv4 without options, TCP, captured whole, no
//! SYN.
//!
//! It takes a part of what the layers take and gives what they give, at a third of the cost, since nothing has to be
//! carried from layer to layer. It never says why a frame is not for it: the layers do.

use super::endpoint::mapped;
use super::ip;
use super::link::{ETHERTYPE_IPV4, ETHERTYPE_VLAN, Labels};
use super::tcp::{self, Flags, From, Segment, TcpOptions};
use super::view::{View, be16, be32};
use super::wrapping::Wrappings;
use crate::message::{LinkType, MirrorFrame};

/// Offset of the TCP header in an IP packet without options.
const TCP: usize = 20;

/// The segment, if the frame is of the usual kind.
#[inline(always)]
pub(super) fn open<'a>(frame: &MirrorFrame<'a>) -> Option<Segment<'a>> {
    if frame.link != LinkType::Ethernet {
        return None;
    }
    let (labels, packet) = ethernet(frame.bytes)?;
    let header = packet.first_chunk::<{ TCP + 20 }>()?;
    let usual = header[0] == 0x45
        && be16(header, 6) & 0x3fff == 0
        && header[9] == ip::TCP
        && !Flags::from_bits(header[TCP + 13]).syn();
    let end = usize::from(be16(header, 2));
    let start = TCP + usize::from(header[TCP + 12] >> 4) * 4;
    if !usual || start < TCP + 20 {
        return None;
    }
    let payload = View { bytes: packet.get(start..end)?, missing: 0 };
    let from = From { source: mapped(be32(header, 12)), destination: mapped(be32(header, 16)), id: be16(header, 4) };
    let whole_header = &packet[TCP..start];
    let fixed = header.last_chunk::<20>()?;
    Some(tcp::segment(from, fixed, whole_header, payload, TcpOptions::default(), labels))
}

/// Takes off the Ethernet header and one tag.
#[inline(always)]
fn ethernet(bytes: &[u8]) -> Option<(Labels, &[u8])> {
    let header = bytes.first_chunk::<18>()?;
    let source_mac = header[6..].first_chunk().copied();
    let labels = |vlan| Labels { vlan, source_mac, wrappings: Wrappings::default() };
    match be16(header, 12) {
        ETHERTYPE_IPV4 => Some((labels(None), &bytes[14..])),
        ETHERTYPE_VLAN if be16(header, 16) == ETHERTYPE_IPV4 => {
            Some((labels(Some(be16(header, 14) & 0x0fff)), &bytes[18..]))
        }
        _ => None,
    }
}
