//! ARP for IPv4 over Ethernet (RFC 826).

use super::ethernet::Mac;
use core::net::Ipv4Addr;

/// Length of a packet in bytes.
pub(super) const LEN: usize = 28;

/// Ethernet, IPv4, and the lengths of their addresses.
const PREAMBLE: [u8; 6] = [0, 1, 8, 0, 6, 4];

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Request,
    Reply,
}

/// A packet.
pub(super) struct Arp {
    pub(super) operation: Operation,
    pub(super) sender_mac: Mac,
    pub(super) sender: Ipv4Addr,
    pub(super) target_mac: Mac,
    pub(super) target: Ipv4Addr,
}

impl Arp {
    /// `None` if the bytes are something else. Padding may follow.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (preamble, rest) = bytes.split_first_chunk()?;
        let (&operation, rest) = rest.split_first_chunk()?;
        let (&sender_mac, rest) = rest.split_first_chunk()?;
        let (&sender, rest) = rest.split_first_chunk::<4>()?;
        let (&target_mac, rest) = rest.split_first_chunk()?;
        let (&target, _) = rest.split_first_chunk::<4>()?;
        let operation = match u16::from_be_bytes(operation) {
            1 => Operation::Request,
            2 => Operation::Reply,
            _ => return None,
        };
        let arp = Self { operation, sender_mac, sender: sender.into(), target_mac, target: target.into() };
        (*preamble == PREAMBLE).then_some(arp)
    }

    /// Fills `LEN` bytes.
    pub(super) fn write(&self, bytes: &mut [u8]) {
        let operation = match self.operation {
            Operation::Request => 1,
            Operation::Reply => 2,
        };
        bytes[..6].copy_from_slice(&PREAMBLE);
        bytes[6..8].copy_from_slice(&[0, operation]);
        bytes[8..14].copy_from_slice(&self.sender_mac);
        bytes[14..18].copy_from_slice(&self.sender.octets());
        bytes[18..24].copy_from_slice(&self.target_mac);
        bytes[24..28].copy_from_slice(&self.target.octets());
    }
}
