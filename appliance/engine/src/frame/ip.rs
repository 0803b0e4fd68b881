//! IPv4 (RFC 791) and IPv6 (RFC 8200) headers, up to the protocol above them.

use super::endpoint::mapped;
use super::view::{View, be16, be32};
use crate::ledger::Ignored;

/// IPv4 in IP (RFC 2003).
pub(super) const IPV4: u8 = 4;
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
/// IPv6 in IP (RFC 2473, RFC 4213).
pub(super) const IPV6: u8 = 41;
pub(super) const GRE: u8 = 47;
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;

/// Headers between IP and its payload that are followed; the standards know six, each at most twice.
const EXTENSIONS_MAX: usize = 12;

/// The version that the layer below names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    V4,
    V6,
}

/// A piece's place in its packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    /// The identification that all pieces of a packet share.
    pub id: u32,
    /// Offset of the first byte in the packet's payload.
    pub offset: usize,
    /// Whether the packet ends with it.
    pub last: bool,
}

/// An IP packet without its headers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet<'a> {
    pub version: Version,
    /// Addresses; IPv4 mapped into IPv6.
    pub source: [u8; 16],
    pub destination: [u8; 16],
    /// IPv4's identification, 0 in IPv6; a sender numbers its packets with it, and may leave it 0 (RFC 6864).
    pub id: u16,
    /// What the body begins with; with a piece, what the first piece's body begins with.
    pub protocol: u8,
    pub body: View<'a>,
    /// Set where the body is only a piece.
    pub piece: Option<Piece>,
}

/// Reads the headers of a packet.
#[inline(always)]
pub(super) fn open(version: Version, view: View<'_>) -> Result<Packet<'_>, Ignored> {
    match version {
        Version::V4 => v4(view),
        Version::V6 => v6(view),
    }
}

#[inline(always)]
fn v4(view: View<'_>) -> Result<Packet<'_>, Ignored> {
    let header = view.head::<20>(Ignored::BadIp)?;
    let header_len = usize::from(header[0] & 0x0f) * 4;
    if header[0] >> 4 != 4 || header_len < 20 {
        return Err(Ignored::BadIp);
    }
    let view = match usize::from(be16(header, 2)) {
        // A sender's super-frame, captured before the NIC cuts it up, has no length that 16 bits could hold.
        0 => view,
        len => view.limit(len, Ignored::BadIp)?,
    };
    let packet = Packet {
        version: Version::V4,
        source: mapped(be32(header, 12)),
        destination: mapped(be32(header, 16)),
        id: be16(header, 4),
        protocol: header[9],
        body: view.skip(header_len, Ignored::BadIp)?,
        piece: None,
    };
    let fragment = be16(header, 6);
    if fragment & 0x3fff != 0 {
        let (id, offset) = (u32::from(packet.id), usize::from(fragment & 0x1fff) * 8);
        return Ok(Packet { piece: Some(Piece { id, offset, last: fragment & 0x2000 == 0 }), ..packet });
    }
    if packet.protocol == AUTHENTICATION { packet.past_extensions() } else { Ok(packet) }
}

#[inline(always)]
fn v6(view: View<'_>) -> Result<Packet<'_>, Ignored> {
    let header = view.head::<40>(Ignored::BadIp)?;
    if header[0] >> 4 != 6 {
        return Err(Ignored::BadIp);
    }
    let view = match usize::from(be16(header, 4)) {
        // A jumbogram (RFC 2675) or a sender's super-frame: no padding is possible at such lengths, so the frame's end
        // is the packet's.
        0 => view,
        len => view.limit(40 + len, Ignored::BadIp)?,
    };
    let packet = Packet {
        version: Version::V6,
        source: address(header, 8),
        destination: address(header, 24),
        id: 0,
        protocol: header[6],
        body: view.skip(40, Ignored::BadIp)?,
        piece: None,
    };
    if packet.protocol == TCP { Ok(packet) } else { packet.past_extensions() }
}

impl<'a> Packet<'a> {
    /// The packet with its body past the extension headers, or past the header of a piece.
    pub fn past_extensions(mut self) -> Result<Self, Ignored> {
        for _ in 0..EXTENSIONS_MAX {
            let units = |header: &[u8; 8]| usize::from(header[1]);
            let len = match (self.protocol, self.version) {
                (AUTHENTICATION, _) => (units(self.extension()?) + 2) * 4,
                (HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS, Version::V6) => (units(self.extension()?) + 1) * 8,
                (FRAGMENT, Version::V6) => 8,
                _ => return Ok(self),
            };
            let header = self.extension()?;
            let body = self.body.skip(len, Ignored::BadIp)?;
            match self.protocol {
                ROUTING => self.take_route(len),
                FRAGMENT => self.take_piece(header),
                _ => {}
            }
            (self.protocol, self.body) = (header[0], body);
            if self.piece.is_some() {
                return Ok(self);
            }
        }
        Err(Ignored::BadIp)
    }

    /// The fixed part of the extension header at the front of the body. All are a multiple of 8 bytes, or 12 and more.
    fn extension(&self) -> Result<&'a [u8; 8], Ignored> {
        self.body.head::<8>(Ignored::BadIp)
    }

    /// While hops are left, the IP header names the next one; the end of the flow is the last of the route, which
    /// segment routing (RFC 8754) writes first and the older types last. The TCP checksum is taken with it, too.
    fn take_route(&mut self, len: usize) {
        let route = &self.body.bytes[..len];
        let (kind, hops_left) = (route[2], route[3]);
        let last = match kind {
            _ if hops_left == 0 => None,
            0 | 2 => route[8..].last_chunk(),
            4 => route[8..].first_chunk(),
            _ => None,
        };
        self.destination = last.copied().unwrap_or(self.destination);
    }

    /// A packet that is its own only piece (RFC 6946) is none.
    fn take_piece(&mut self, header: &[u8; 8]) {
        let fragment = be16(header, 2);
        if fragment & 0xfff9 != 0 {
            let (id, offset) = (be32(header, 4), usize::from(fragment & 0xfff8));
            self.piece = Some(Piece { id, offset, last: fragment & 1 == 0 });
        }
    }
}

/// Whether a packet whose payload begins like this may have a TCP segment in it, if the header at hand does not yet
/// say no.
pub(super) fn leads_on(version: Version, protocol: u8) -> bool {
    let extension = matches!(protocol, HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION_OPTIONS) && version == Version::V6;
    extension || matches!(protocol, IPV4 | TCP | UDP | IPV6 | GRE | AUTHENTICATION)
}

#[inline(always)]
fn address(header: &[u8; 40], at: usize) -> [u8; 16] {
    header[at..].first_chunk().copied().unwrap_or_default()
}
