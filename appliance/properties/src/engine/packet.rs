//! TCP segments in IPv4 and Ethernet, written and read.

use core::net::Ipv4Addr;

/// The production server.
pub const ORIGIN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// Its port.
pub const ORIGIN_PORT: u16 = 80;
/// The one address of the pool.
pub const POOL: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 100);
/// The target NIC's.
pub const BOX_MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];
/// That of every target.
pub const TARGET_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

pub const FIN: u8 = 0x01;
pub const SYN: u8 = 0x02;
pub const RST: u8 = 0x04;
pub const ACK: u8 = 0x10;

/// Where the IPv4 header of a frame ends.
const TCP: usize = 34;

/// A segment. As places in the streams a SYN and a FIN count as a byte each.
#[derive(Clone, Copy, Debug, Default)]
pub struct Segment {
    pub from: (u32, u16),
    pub to: (u32, u16),
    pub seq: u32,
    pub ack: u32,
    pub flags: u8,
}

/// The places that flags take in a stream.
pub fn places(flags: u8) -> u32 {
    u32::from(flags & SYN != 0) + u32::from(flags & FIN != 0)
}

/// A frame, with checksums.
pub fn write(segment: &Segment, payload: &[u8]) -> Vec<u8> {
    let mut frame = [BOX_MAC, TARGET_MAC].concat();
    frame.extend([0x08, 0, 0x45, 0]);
    frame.extend(((40 + payload.len()) as u16).to_be_bytes());
    frame.extend([0, 0, 0, 0, 64, 6, 0, 0]);
    frame.extend(segment.from.0.to_be_bytes());
    frame.extend(segment.to.0.to_be_bytes());
    let header = checksum(&frame[14..TCP], 0);
    frame[24..26].copy_from_slice(&header);
    frame.extend(segment.from.1.to_be_bytes());
    frame.extend(segment.to.1.to_be_bytes());
    frame.extend(segment.seq.to_be_bytes());
    frame.extend(segment.ack.to_be_bytes());
    frame.extend([0x50, segment.flags, 0xff, 0xff, 0, 0, 0, 0]);
    frame.extend(payload);
    let pseudo = words(&frame[26..TCP]) + 6 + (20 + payload.len()) as u32;
    let sum = checksum(&frame[TCP..], pseudo);
    frame[50..52].copy_from_slice(&sum);
    frame
}

/// The segment in a frame that the box sent, and the length of its content.
pub fn read(frame: &[u8]) -> Option<(Segment, u32)> {
    let is_tcp = frame.get(12..14)? == [0x08, 0] && *frame.get(23)? == 6;
    let header = frame.get(TCP..TCP + 20).filter(|_| is_tcp)?;
    let (u16_at, u32_at) = (|at| be(&frame[at..at + 2]) as u16, |at| be(&frame[at..at + 4]));
    let segment = Segment {
        from: (u32_at(26), u16_at(TCP)),
        to: (u32_at(30), u16_at(TCP + 2)),
        seq: u32_at(TCP + 4),
        ack: u32_at(TCP + 8),
        flags: header[13],
    };
    let headers = 20 + u32::from(header[12] >> 4) * 4;
    Some((segment, u32::from(u16_at(16)).saturating_sub(headers)))
}

/// The answer to a question of the box for an address (RFC 826).
pub fn arp_reply(frame: &[u8]) -> Option<Vec<u8>> {
    let question = frame.get(14..42).filter(|_| frame[12..14] == [0x08, 0x06] && frame[20..22] == [0, 1])?;
    let mut reply = [BOX_MAC, TARGET_MAC].concat();
    reply.extend([0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 2]);
    reply.extend(TARGET_MAC);
    reply.extend(&question[24..28]);
    reply.extend(&question[8..18]);
    Some(reply)
}

fn be(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

fn words(bytes: &[u8]) -> u32 {
    bytes.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word.get(1).copied().unwrap_or_default())).sum()
}

/// The Internet checksum (RFC 1071), going on from `sum`.
fn checksum(bytes: &[u8], sum: u32) -> [u8; 2] {
    let mut sum = sum + words(bytes);
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}
