//! Ethernet II headers. smoltcp has them too, but only together with its own link layer.

use core::net::Ipv6Addr;

/// The address of a station.
pub(super) type Mac = [u8; 6];

pub(super) const BROADCAST: Mac = [0xff; 6];
/// Length of a header with a VLAN tag (IEEE 802.1Q).
pub(super) const HEADER_LEN_MAX: usize = 18;

pub(super) const IPV4: u16 = 0x0800;
pub(super) const ARP: u16 = 0x0806;
pub(super) const IPV6: u16 = 0x86dd;
const VLAN: u16 = 0x8100;
/// The bits of a tag that number the VLAN; number 0 is none, the tag then only tells a priority.
const VLAN_MASK: u16 = 0x0fff;

/// The box's side of the frames: what they are sent with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Station {
    pub(super) mac: Mac,
    pub(super) vlan: Option<u16>,
}

/// A frame, taken apart.
pub(super) struct Ethernet<'a> {
    pub(super) destination: Mac,
    pub(super) source: Mac,
    pub(super) vlan: Option<u16>,
    /// The EtherType; a length, where it is less than 0x600.
    pub(super) kind: u16,
    /// With the padding to the least length of a frame, if any.
    pub(super) payload: &'a [u8],
}

impl<'a> Ethernet<'a> {
    pub(super) fn parse(frame: &'a [u8]) -> Option<Self> {
        let (&destination, rest) = frame.split_first_chunk()?;
        let (&source, rest) = rest.split_first_chunk()?;
        let (kind, payload) = split_u16(rest)?;
        let untagged = Self { destination, source, vlan: None, kind, payload };
        if kind != VLAN {
            return Some(untagged);
        }
        let (tag, payload) = split_u16(payload)?;
        let (kind, payload) = split_u16(payload)?;
        let vlan = Some(tag & VLAN_MASK).filter(|vlan| *vlan != 0);
        Some(Self { vlan, kind, payload, ..untagged })
    }
}

fn split_u16(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (&number, rest) = bytes.split_first_chunk()?;
    Some((u16::from_be_bytes(number), rest))
}

impl Station {
    /// Length of the header that it writes.
    pub(super) fn header_len(&self) -> usize {
        HEADER_LEN_MAX - if self.vlan.is_none() { 4 } else { 0 }
    }

    /// Writes a header; the rest of the frame is for the payload.
    pub(super) fn write_header<'a>(&self, frame: &'a mut [u8], destination: Mac, kind: u16) -> &'a mut [u8] {
        let (header, payload) = frame.split_at_mut(self.header_len());
        header[..6].copy_from_slice(&destination);
        header[6..12].copy_from_slice(&self.mac);
        if let Some(vlan) = self.vlan {
            header[12..14].copy_from_slice(&VLAN.to_be_bytes());
            header[14..16].copy_from_slice(&vlan.to_be_bytes());
        }
        let end = header.len();
        header[end - 2..].copy_from_slice(&kind.to_be_bytes());
        payload
    }
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
