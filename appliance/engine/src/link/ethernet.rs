//! Ethernet II headers. smoltcp has them too, but only together with its own link layer.

use core::net::Ipv6Addr;

/// The address of a station.
pub(super) type Mac = [u8; 6];

pub(super) const BROADCAST: Mac = [0xff; 6];
/// Length of a header without a VLAN tag.
pub(super) const HEADER_LEN: usize = 14;

pub(super) const IPV4: u16 = 0x0800;
pub(super) const ARP: u16 = 0x0806;
pub(super) const IPV6: u16 = 0x86dd;

/// A frame, taken apart.
pub(super) struct Ethernet<'a> {
    pub(super) destination: Mac,
    pub(super) source: Mac,
    /// The EtherType; a length, where it is less than 0x600.
    pub(super) kind: u16,
    /// With the padding to the least length of a frame, if any.
    pub(super) payload: &'a [u8],
}

impl<'a> Ethernet<'a> {
    pub(super) fn parse(frame: &'a [u8]) -> Option<Self> {
        let (&destination, rest) = frame.split_first_chunk()?;
        let (&source, rest) = rest.split_first_chunk()?;
        let (&kind, payload) = rest.split_first_chunk()?;
        Some(Self { destination, source, kind: u16::from_be_bytes(kind), payload })
    }
}

/// Writes the header; the rest of the frame is for the payload.
pub(super) fn write_header(frame: &mut [u8], destination: Mac, source: Mac, kind: u16) -> &mut [u8] {
    let (header, payload) = frame.split_at_mut(HEADER_LEN);
    header[..6].copy_from_slice(&destination);
    header[6..12].copy_from_slice(&source);
    header[12..].copy_from_slice(&kind.to_be_bytes());
    payload
}

/// Whether all or a group of stations is meant.
pub(super) fn is_multicast(mac: Mac) -> bool {
    mac[0] & 1 == 1
}

/// The group of stations for a group of IPv6 hosts (RFC 2464, section 7).
pub(super) fn multicast(group: Ipv6Addr) -> Mac {
    let [.., a, b, c, d] = group.octets();
    [0x33, 0x33, a, b, c, d]
}
