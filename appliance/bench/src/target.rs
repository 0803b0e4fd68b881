//! The servers under test: they answer each packet from what stands in it, and remember nothing, so that any number of
//! connections costs nothing.

use crate::production::{SEGMENT, answer};
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use tapcopy_sim::packet::{Mac, Segment, TcpHeader, arp, ethernet, ethernet_ip, ethertype, flag, tcp, u16_at};

/// Their one address.
pub const TARGET: SocketAddr = SocketAddr::new(IpAddr::V4(ADDRESS), 80);

const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 8, 255, 1);
const MAC: Mac = [2, 0, 0, 0, 0, 9];

/// The first sequence number of every connection.
const ISN: u32 = 1_000_000;

/// What is answered to a frame.
pub fn answer_frame(frame: &[u8]) -> Vec<Vec<u8>> {
    let (sender, packet) = (mac_at(frame, 6), &frame[14..]);
    match u16_at(frame, 12) {
        ethertype::ARP => answer_arp(packet).into_iter().collect(),
        ethertype::IPV4 => answer_packet(packet).iter().map(|packet| ethernet_ip(sender, MAC, packet)).collect(),
        _ => Vec::new(),
    }
}

fn mac_at(bytes: &[u8], at: usize) -> Mac {
    bytes[at..at + 6].try_into().expect("six bytes")
}

fn answer_arp(question: &[u8]) -> Option<Vec<u8>> {
    let asks_for_us = u16_at(question, 6) == 1 && question[24..28] == ADDRESS.octets();
    let asking = (mac_at(question, 8), question[14..18].try_into().expect("four bytes"));
    asks_for_us.then(|| ethernet(asking.0, MAC, ethertype::ARP, &arp(2, (MAC, ADDRESS.octets()), asking)))
}

/// What is answered to an IP packet.
pub fn answer_packet(packet: &[u8]) -> Vec<Vec<u8>> {
    let Some(asked) = Segment::parse(packet) else { return Vec::new() };
    let content = &packet[asked.payload..asked.end];
    let send = |seq, span: u32, flags, content: &[u8]| {
        let ack = asked.seq.wrapping_add(span);
        let header = TcpHeader { seq, ack, flags, window: 64_000, ..TcpHeader::default() };
        tcp(asked.dst, asked.src, 64, &header, content)
    };
    if asked.flags & flag::RST != 0 {
        Vec::new()
    } else if asked.flags & flag::SYN != 0 {
        vec![send(ISN, 1, flag::SYN | flag::ACK, &[])]
    } else if asked.flags & flag::FIN != 0 {
        vec![send(asked.ack, 1, flag::FIN | flag::ACK, &[])]
    } else if content.is_empty() {
        Vec::new()
    } else {
        let span = content.len() as u32;
        let segment = |(at, bytes): (usize, &[u8])| {
            let seq = asked.ack.wrapping_add((at * SEGMENT) as u32);
            send(seq, span, flag::PSH | flag::ACK, bytes)
        };
        answer(content).chunks(SEGMENT).enumerate().map(segment).collect()
    }
}
