//! TCP fast open (RFC 7413), which the hosts of this world do not have: the mirror shows their sessions as if they had.
//!
//! The handshake is shown when the client first speaks, with its words on the SYN, and the answer to that acknowledges them.

use crate::packet::{self, Segment, TcpHeader, flag};
use core::net::SocketAddr;
use std::collections::BTreeMap;

/// The handshakes that have passed and were not shown.
#[derive(Debug, Default)]
pub struct FastOpen(BTreeMap<(SocketAddr, SocketAddr), Vec<Vec<u8>>>);

impl FastOpen {
    /// What is shown of a packet: packets, each with whether the client has sent it.
    pub fn shown(&mut self, packet: &[u8], from_client: bool) -> Vec<(Vec<u8>, bool)> {
        let as_it_is = || (packet.to_vec(), from_client);
        let Some(segment) = Segment::parse(packet) else { return vec![as_it_is()] };
        let flow = if from_client { (segment.src, segment.dst) } else { (segment.dst, segment.src) };
        if segment.flags & flag::SYN != 0 {
            self.0.entry(flow).or_default().push(packet.to_vec());
            return Vec::new();
        }
        let is_bare = segment.span() == 0 && segment.flags & flag::RST == 0;
        if self.0.contains_key(&flow) && from_client && is_bare {
            return Vec::new();
        }
        match self.0.remove(&flow).as_deref() {
            Some([syn, answer]) if from_client && !segment.is_empty() => {
                opened_fast(syn, answer, packet, &segment).unwrap_or_else(|| vec![as_it_is()])
            }
            Some(held) => held.iter().cloned().zip([true, false]).chain([as_it_is()]).collect(),
            None => vec![as_it_is()],
        }
    }
}

/// The handshake of a session whose client's first words are in `packet`.
fn opened_fast(syn: &[u8], answer: &[u8], packet: &[u8], segment: &Segment) -> Option<Vec<(Vec<u8>, bool)>> {
    let words = &packet[segment.payload..segment.end];
    let behind = segment.seq.wrapping_add(words.len() as u32);
    let syn = rewritten(syn, words, |_| {})?;
    let answer = rewritten(answer, &[], |header| header.ack = behind)?;
    let rest = rewritten(packet, &[], |header| header.seq = behind)?;
    Some(vec![(syn, true), (answer, false), (rest, true)])
}

/// A packet with another payload, and another header.
fn rewritten(packet: &[u8], payload: &[u8], change: impl FnOnce(&mut TcpHeader)) -> Option<Vec<u8>> {
    let segment = Segment::parse(packet)?;
    let mut header = TcpHeader {
        seq: segment.seq,
        ack: segment.ack,
        flags: segment.flags,
        window: packet::u16_at(packet, segment.header + 14),
        urgent: 0,
        options: packet[segment.header + 20..segment.payload].to_vec(),
    };
    change(&mut header);
    Some(packet::tcp(segment.src, segment.dst, 64, &header, payload))
}
