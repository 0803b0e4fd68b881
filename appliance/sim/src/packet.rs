//! Bytes of frames and packets, built and read by hand: what smoltcp's hosts lack with `Medium::Ip` (Ethernet, ARP, NDP),
//! what the SPAN and the checkers look at, and what scenario lines are made of.

use core::net::{IpAddr, Ipv6Addr, SocketAddr};

/// An Ethernet address.
pub type Mac = [u8; 6];

/// The Ethernet broadcast address.
pub const BROADCAST: Mac = [0xFF; 6];

/// EtherTypes in use.
pub mod ethertype {
    /// IPv4.
    pub const IPV4: u16 = 0x0800;
    /// ARP (RFC 826).
    pub const ARP: u16 = 0x0806;
    /// Transparent Ethernet bridging: a whole frame follows.
    pub const BRIDGED: u16 = 0x6558;
    /// IEEE 802.1Q tag.
    pub const VLAN: u16 = 0x8100;
    /// IPv6.
    pub const IPV6: u16 = 0x86DD;
    /// MPLS label stack (RFC 3032).
    pub const MPLS: u16 = 0x8847;
    /// IEEE 802.1ad, the provider's outer tag.
    pub const QINQ: u16 = 0x88A8;
    /// ERSPAN type I and II (draft-foschiano-erspan).
    pub const ERSPAN: u16 = 0x88BE;
    /// ERSPAN type III.
    pub const ERSPAN_III: u16 = 0x22EB;
}

/// TCP flag bits (RFC 9293, section 3.1).
pub mod flag {
    /// No more bytes from the sender.
    pub const FIN: u8 = 0x01;
    /// First byte of a connection.
    pub const SYN: u8 = 0x02;
    /// Reset.
    pub const RST: u8 = 0x04;
    /// Push.
    pub const PSH: u8 = 0x08;
    /// The acknowledgement counts.
    pub const ACK: u8 = 0x10;
    /// The urgent pointer counts.
    pub const URG: u8 = 0x20;
}

/// The big-endian number at `at`.
pub fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// The big-endian number at `at`.
pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Writes a big-endian number at `at`.
pub fn put(bytes: &mut [u8], at: usize, number: u32) {
    bytes[at..at + 4].copy_from_slice(&number.to_be_bytes());
}

/// Writes the checksum of a packet's segment.
pub fn set_checksum(packet: &mut [u8], segment: &Segment) {
    let at = segment.header + 16;
    packet[at..at + 2].fill(0);
    let bytes = &packet[segment.header..segment.end];
    let checksum = transport_checksum(segment.src.ip(), segment.dst.ip(), 6, bytes);
    packet[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
}

/// An Ethernet frame, padded to the least length as a NIC does.
pub fn ethernet(dst: Mac, src: Mac, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(14 + payload.len());
    frame.extend_from_slice(&dst);
    frame.extend_from_slice(&src);
    frame.extend_from_slice(&ethertype.to_be_bytes());
    frame.extend_from_slice(payload);
    frame.resize(frame.len().max(60), 0);
    frame
}

/// An IP packet in an Ethernet frame.
pub fn ethernet_ip(dst: Mac, src: Mac, packet: &[u8]) -> Vec<u8> {
    ethernet(dst, src, if packet[0] >> 4 == 4 { ethertype::IPV4 } else { ethertype::IPV6 }, packet)
}

/// Puts an 802.1Q tag behind the addresses.
pub fn tag_vlan(frame: &mut Vec<u8>, vlan: u16) {
    let [a, b] = ethertype::VLAN.to_be_bytes();
    let [c, d] = (vlan & 0xFFF).to_be_bytes();
    frame.splice(12..12, [a, b, c, d]);
}

/// One's complement sum (RFC 1071) over `bytes`, going on from `sum`.
pub fn sum(bytes: &[u8], sum: u32) -> u32 {
    let mut chunks = bytes.chunks_exact(2);
    let mut total = sum;
    for pair in &mut chunks {
        total += u32::from(u16_at(pair, 0));
    }
    if let [last] = chunks.remainder() {
        total += u32::from(*last) << 8;
    }
    (total & 0xFFFF) + (total >> 16)
}

fn fold(mut total: u32) -> u16 {
    while total >> 16 != 0 {
        total = (total & 0xFFFF) + (total >> 16);
    }
    !(total as u16)
}

/// The checksum of an upper layer's `bytes` with the pseudo-header (RFC 9293, RFC 8200).
pub fn transport_checksum(src: IpAddr, dst: IpAddr, protocol: u8, bytes: &[u8]) -> u16 {
    let mut total = u32::from(protocol) + bytes.len() as u32;
    for address in [src, dst] {
        total = match address {
            IpAddr::V4(address) => sum(&address.octets(), total),
            IpAddr::V6(address) => sum(&address.octets(), total),
        };
    }
    fold(sum(bytes, total))
}

/// Writes the checksum of an IPv4 header.
pub fn set_ipv4_checksum(packet: &mut [u8]) {
    packet[10..12].fill(0);
    let header = usize::from(packet[0] & 15) * 4;
    let checksum = fold(sum(&packet[..header], 0));
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
}

/// An IP packet around `payload`; both addresses are of one family.
pub fn ip(src: IpAddr, dst: IpAddr, protocol: u8, hops: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::with_capacity(40 + payload.len());
    match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let len = (20 + payload.len()) as u16;
            packet.extend_from_slice(&[0x45, 0]);
            packet.extend_from_slice(&len.to_be_bytes());
            packet.extend_from_slice(&[0, 1, 0x40, 0, hops, protocol, 0, 0]);
            packet.extend_from_slice(&src.octets());
            packet.extend_from_slice(&dst.octets());
            set_ipv4_checksum(&mut packet);
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            packet.extend_from_slice(&[0x60, 0, 0, 0]);
            packet.extend_from_slice(&(payload.len() as u16).to_be_bytes());
            packet.extend_from_slice(&[protocol, hops]);
            packet.extend_from_slice(&src.octets());
            packet.extend_from_slice(&dst.octets());
        }
        _ => panic!("{src} and {dst} are not of one family"),
    }
    packet.extend_from_slice(payload);
    packet
}

/// A TCP header to build.
#[derive(Clone, Debug, Default)]
pub struct TcpHeader {
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// Flag bits.
    pub flags: u8,
    /// Window as it stands in the header.
    pub window: u16,
    /// Urgent pointer.
    pub urgent: u16,
    /// Options, not padded.
    pub options: Vec<u8>,
}

/// An IP packet with a TCP segment.
pub fn tcp(src: SocketAddr, dst: SocketAddr, hops: u8, header: &TcpHeader, payload: &[u8]) -> Vec<u8> {
    let options = header.options.len().next_multiple_of(4);
    let mut segment = Vec::with_capacity(20 + options + payload.len());
    segment.extend_from_slice(&src.port().to_be_bytes());
    segment.extend_from_slice(&dst.port().to_be_bytes());
    segment.extend_from_slice(&header.seq.to_be_bytes());
    segment.extend_from_slice(&header.ack.to_be_bytes());
    segment.extend_from_slice(&[(((20 + options) / 4) as u8) << 4, header.flags]);
    segment.extend_from_slice(&header.window.to_be_bytes());
    segment.extend_from_slice(&[0, 0]);
    segment.extend_from_slice(&header.urgent.to_be_bytes());
    segment.extend_from_slice(&header.options);
    segment.resize(20 + options, 0);
    segment.extend_from_slice(payload);
    let checksum = transport_checksum(src.ip(), dst.ip(), 6, &segment);
    segment[16..18].copy_from_slice(&checksum.to_be_bytes());
    ip(src.ip(), dst.ip(), 6, hops, &segment)
}

/// A TCP segment within an IP packet that a host of this world has sent: no options of IP, no extension headers.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    /// The sender.
    pub src: SocketAddr,
    /// The receiver.
    pub dst: SocketAddr,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// Flag bits.
    pub flags: u8,
    /// Where the TCP header begins in the packet.
    pub header: usize,
    /// Where the payload begins in the packet.
    pub payload: usize,
    /// Where the payload ends in the packet.
    pub end: usize,
}

impl Segment {
    /// Reads a packet; `None` where it is not TCP or too short.
    pub fn parse(packet: &[u8]) -> Option<Self> {
        let (src, dst, header, end) = addresses(packet)?;
        let offset = usize::from(*packet.get(header + 12)? >> 4) * 4;
        let (protocol, payload) = (packet[if header == 20 { 9 } else { 6 }], header + offset);
        if protocol != 6 || packet.len() < end || end < payload {
            return None;
        }
        Some(Self {
            src: SocketAddr::new(src, u16_at(packet, header)),
            dst: SocketAddr::new(dst, u16_at(packet, header + 2)),
            seq: u32_at(packet, header + 4),
            ack: u32_at(packet, header + 8),
            flags: packet[header + 13],
            header,
            payload,
            end,
        })
    }

    /// Bytes of payload.
    pub fn len(&self) -> usize {
        self.end - self.payload
    }

    /// Sequence numbers that it takes: its bytes, SYN and FIN.
    pub fn span(&self) -> u32 {
        self.len() as u32 + (self.flags & (flag::SYN | flag::FIN)).count_ones()
    }

    /// Whether there is no payload.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn addresses(packet: &[u8]) -> Option<(IpAddr, IpAddr, usize, usize)> {
    match packet.first()? >> 4 {
        4 if packet.len() >= 40 => {
            let address = |at: usize| IpAddr::from(<[u8; 4]>::try_from(&packet[at..at + 4]).expect("four bytes"));
            Some((address(12), address(16), 20, usize::from(u16_at(packet, 2))))
        }
        6 if packet.len() >= 60 => {
            let address = |at: usize| IpAddr::from(<[u8; 16]>::try_from(&packet[at..at + 16]).expect("sixteen bytes"));
            Some((address(8), address(24), 40, 40 + usize::from(u16_at(packet, 4))))
        }
        _ => None,
    }
}

/// Source and destination of an IP packet.
pub fn ip_addresses(packet: &[u8]) -> Option<(IpAddr, IpAddr)> {
    addresses(packet).map(|(src, dst, ..)| (src, dst))
}

/// A line about a packet, for a trace.
pub fn describe(packet: &[u8]) -> String {
    let Some(segment) = Segment::parse(packet) else { return format!("{} bytes, not TCP", packet.len()) };
    let letters = [(flag::SYN, 'S'), (flag::FIN, 'F'), (flag::RST, 'R'), (flag::PSH, 'P'), (flag::ACK, 'A')];
    let flags: String = letters.iter().filter(|(bit, _)| segment.flags & bit != 0).map(|(_, letter)| *letter).collect();
    let payload = &packet[segment.payload..segment.end];
    let start = String::from_utf8_lossy(&payload[..payload.len().min(40)]).into_owned();
    let to = segment.seq.wrapping_add(segment.len() as u32);
    format!("{} > {} {flags} {}:{to} ack {} {start:?}", segment.src, segment.dst, segment.seq, segment.ack)
}

/// An ARP packet for IPv4 over Ethernet (RFC 826): operation 1 asks, 2 answers.
pub fn arp(operation: u16, sender: (Mac, [u8; 4]), target: (Mac, [u8; 4])) -> Vec<u8> {
    let mut packet = vec![0, 1, 8, 0, 6, 4];
    packet.extend_from_slice(&operation.to_be_bytes());
    for (mac, address) in [sender, target] {
        packet.extend_from_slice(&mac);
        packet.extend_from_slice(&address);
    }
    packet
}

/// A neighbour solicitation (135) or advertisement (136) with the sender's link-layer address as option (RFC 4861,
/// sections 4.3 and 4.4).
pub fn ndp(kind: u8, src: Ipv6Addr, dst: Ipv6Addr, about: Ipv6Addr, mac: Mac) -> Vec<u8> {
    // Advertisement: solicited and override bits set.
    let mut message = vec![kind, 0, 0, 0, if kind == 136 { 0x60 } else { 0 }, 0, 0, 0];
    message.extend_from_slice(&about.octets());
    message.extend_from_slice(&[if kind == 136 { 2 } else { 1 }, 1]);
    message.extend_from_slice(&mac);
    let checksum = transport_checksum(src.into(), dst.into(), 58, &message);
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    ip(src.into(), dst.into(), 58, 255, &message)
}

/// The solicited-node multicast address of `address` (RFC 4291, section 2.7.1) and its Ethernet address (RFC 2464).
pub fn solicited_node(address: Ipv6Addr) -> (Ipv6Addr, Mac) {
    let [.., a, b, c] = address.octets();
    let group = Ipv6Addr::new(0xFF02, 0, 0, 0, 0, 1, 0xFF00 | u16::from(a), u16::from_be_bytes([b, c]));
    (group, [0x33, 0x33, 0xFF, a, b, c])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_built_segment_reads_back_and_its_checksum_is_right() {
        for (src, dst) in [("10.0.0.1:1000", "10.0.0.2:80"), ("[fd00::1]:1000", "[fd00::2]:80")] {
            let (src, dst): (SocketAddr, SocketAddr) = (src.parse().unwrap(), dst.parse().unwrap());
            let header = TcpHeader { seq: 7, ack: 8, flags: flag::ACK, options: vec![3, 3, 7], ..TcpHeader::default() };
            let packet = tcp(src, dst, 64, &header, b"hello");
            let segment = Segment::parse(&packet).unwrap();
            assert_eq!((segment.src, segment.dst, segment.seq, segment.ack), (src, dst, 7, 8));
            assert_eq!(&packet[segment.payload..segment.end], b"hello");
            assert_eq!(transport_checksum(src.ip(), dst.ip(), 6, &packet[segment.header..]), 0);
        }
    }
}
