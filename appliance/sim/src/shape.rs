//! How frames look that lose nothing: what hosts, routers and the mirror itself may do to the form of a packet while every
//! byte of its segment stays there. The sharpest checks hold for all of it.

use crate::packet::{self, Segment, TcpHeader, flag};
use crate::seed::Rng;
use crate::wrap::{self, ETHERNET, Layer};
use core::net::SocketAddr;
use std::collections::BTreeMap;

/// Next-header numbers of IPv6 (RFC 8200).
const HOP_BY_HOP: u8 = 0;
const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;

/// Farthest below the wrap that a sequence number begins.
const BELOW_WRAP: u64 = 3_000;

/// The forms that exist in a run.
#[derive(Clone, Debug, Default)]
pub struct Shape {
    /// What is around the clients' frames and around the origins', the innermost layer first.
    pub layers: (Vec<Layer>, Vec<Layer>),
    /// So many words of four bytes of IPv4 options, or as many units of eight in IPv6 extension headers.
    pub ip_options: usize,
    /// Longer packets come in pieces.
    pub pieces: Option<Pieces>,
    /// Segments carry TCP timestamps (RFC 7323).
    pub timestamps: bool,
    /// Sequence numbers begin just below the wrap.
    pub near_wrap: bool,
    /// Frames of no session, of a thousand: other protocols, other servers, bytes of no meaning, forged resets.
    pub noise: u64,
}

/// How packets come in pieces.
#[derive(Clone, Copy, Debug)]
pub struct Pieces {
    /// The most bytes of an IP payload in one.
    pub len: usize,
    /// The last comes first.
    pub backwards: bool,
    /// The tunnel's packet is in pieces instead of the one within.
    pub outer: bool,
}

impl Shape {
    /// Draws which forms exist. Pieces with a wrong checksum are refused when they are put together, and so they are not
    /// drawn where checksums are wrong.
    pub fn draw(&mut self, wrong_checksums: bool, rng: &mut Rng) {
        for _ in 0..rng.size(1, 2) {
            match rng.below(9) {
                0..3 => self.layers = (wrap::draw(rng), wrap::draw(rng)),
                3 => {
                    let layers = wrap::draw(rng);
                    self.layers = if rng.percent(50) { (layers, Vec::new()) } else { (Vec::new(), layers) };
                }
                4 => self.ip_options = rng.size(1, 10),
                5 if !wrong_checksums => {
                    let len = rng.size(72, 185) * 8;
                    self.pieces = Some(Pieces { len, backwards: rng.percent(40), outer: rng.percent(40) });
                }
                6 => self.timestamps = true,
                7 => self.noise = rng.between(5, 300),
                _ => self.near_wrap = true,
            }
        }
    }

    /// What exists, in words, for the census.
    pub fn words(&self) -> Vec<&'static str> {
        let mut words: Vec<_> = self.layers.0.iter().chain(&self.layers.1).map(|layer| layer.word()).collect();
        let one_sided = self.layers.0.is_empty() != self.layers.1.is_empty();
        let flags = [
            (one_sided, "layers one-sided"),
            (self.ip_options > 0, "ip options"),
            (self.pieces.is_some_and(|pieces| !pieces.outer), "fragments"),
            (self.pieces.is_some_and(|pieces| pieces.outer), "fragments of tunnels"),
            (self.timestamps, "timestamps"),
            (self.near_wrap, "near wrap"),
            (self.noise > 0, "noise"),
        ];
        words.extend(flags.iter().filter(|(exists, _)| *exists).map(|(_, word)| *word));
        words
    }
}

/// Gives frames their form.
#[derive(Debug)]
pub struct Shaper {
    shape: Shape,
    rng: Rng,
    /// What is added to the sequence numbers of each direction, by sender and receiver.
    shifts: BTreeMap<(SocketAddr, SocketAddr), u32>,
    /// Identification of the last packet in pieces.
    id: u16,
}

impl Shaper {
    /// Gives this form.
    pub fn new(shape: Shape, rng: Rng) -> Self {
        Self { shape, rng, shifts: BTreeMap::new(), id: 0 }
    }

    /// The packet as production's own hosts and routers had formed it.
    pub fn form(&mut self, mut packet: Vec<u8>) -> Vec<u8> {
        if self.shape.near_wrap {
            self.shift(&mut packet);
        }
        if self.shape.timestamps {
            packet = with_timestamp(packet);
        }
        packet
    }

    /// Moves the sequence numbers of both directions so that those of the first session begin just below the wrap.
    fn shift(&mut self, packet: &mut [u8]) {
        let Some(segment) = Segment::parse(packet) else { return };
        let (mine, theirs) = ((segment.src, segment.dst), (segment.dst, segment.src));
        if segment.flags & flag::SYN != 0 {
            let begins = (u64::from(u32::MAX) - self.rng.below(BELOW_WRAP)) as u32;
            let shift = begins.wrapping_sub(segment.seq);
            // A later session on the same addresses keeps its distance from the one before (RFC 6528).
            self.shifts.entry(mine).or_insert(shift);
        }
        let of = |way| self.shifts.get(way).copied().unwrap_or(0);
        let (seq, ack) = (of(&mine), of(&theirs));
        let header = segment.header;
        packet::put(packet, header + 4, segment.seq.wrapping_add(seq));
        if segment.flags & flag::ACK != 0 {
            packet::put(packet, header + 8, segment.ack.wrapping_add(ack));
        }
        shift_sacks(&mut packet[header + 20..segment.payload], ack);
        packet::set_checksum(packet, &segment);
    }

    /// The frames that carry a packet whose Ethernet frame is `frame`, in the order in which they are shown; the last one
    /// completes it.
    pub fn frames(&mut self, frame: Vec<u8>, from_client: bool) -> Vec<Vec<u8>> {
        let layers = if from_client { &self.shape.layers.0 } else { &self.shape.layers.1 };
        let is_plain = layers.is_empty() && self.shape.ip_options == 0 && self.shape.pieces.is_none();
        if is_plain {
            return vec![frame];
        }
        let layers = layers.clone();
        let frame = self.with_options(frame);
        let inner = self.shape.pieces.filter(|pieces| !pieces.outer);
        let wrapped = self.in_pieces(frame, inner).into_iter().map(|frame| around(frame, &layers)).collect::<Vec<_>>();
        let outer = self.shape.pieces.filter(|pieces| pieces.outer);
        wrapped.into_iter().flat_map(|frame| self.in_pieces(frame, outer)).collect()
    }

    fn with_options(&self, frame: Vec<u8>) -> Vec<u8> {
        let words = self.shape.ip_options;
        let Some((at, version)) = ip_of(&frame).filter(|_| words > 0) else { return frame };
        let (link, packet) = frame.split_at(at);
        let packet = if version == 4 { with_ipv4_options(packet, words) } else { with_extensions(packet, words) };
        [link, &packet].concat()
    }

    fn in_pieces(&mut self, frame: Vec<u8>, pieces: Option<Pieces>) -> Vec<Vec<u8>> {
        let Some((pieces, (at, version))) = pieces.zip(ip_of(&frame)) else { return vec![frame] };
        let (link, packet) = frame.split_at(at);
        self.id = self.id.wrapping_add(1);
        let cut = match version {
            4 => ipv4_pieces(packet, pieces.len, self.id),
            _ => ipv6_pieces(packet, pieces.len, self.id),
        };
        let mut frames: Vec<Vec<u8>> = cut.into_iter().map(|piece| [link, &piece].concat()).collect();
        if pieces.backwards {
            frames.reverse();
        }
        frames
    }

    /// A frame of no session, now and then, with the cause for which it must be ignored; `packet` is one that passes just now.
    pub fn noise(&mut self, packet: &[u8]) -> Option<(Vec<u8>, Option<&'static str>)> {
        if self.shape.noise == 0 || !self.rng.permille(self.shape.noise) {
            return None;
        }
        let segment = Segment::parse(packet)?;
        Some(match self.rng.below(6) {
            0 => {
                let question = packet::arp(1, ([2; 6], [9; 4]), ([0; 6], [8; 4]));
                (packet::ethernet([0xFF; 6], [2; 6], packet::ethertype::ARP, &question), Some("not_ip"))
            }
            1 => {
                let datagram = [&[0x14, 0xE9, 0x14, 0xE9, 0, 20, 0, 0][..], &[0; 12]].concat();
                let packet = packet::ip(segment.src.ip(), segment.dst.ip(), 17, 64, &datagram);
                (packet::ethernet_ip([4; 6], [2; 6], &packet), Some("not_tcp"))
            }
            2 => {
                let (one, other) = (SocketAddr::new(segment.src.ip(), 40_022), SocketAddr::new(segment.dst.ip(), 22));
                let header = TcpHeader { seq: 1, flags: flag::ACK | flag::PSH, ..TcpHeader::default() };
                let packet = packet::tcp(one, other, 64, &header, b"SSH-2.0-other\r\n");
                (packet::ethernet_ip([4; 6], [2; 6], &packet), Some("no_service"))
            }
            3 => {
                let len = self.rng.size(0, 200);
                let mut bytes: Vec<u8> = (0..len).map(|_| self.rng.draw() as u8).collect();
                // An EtherType that nobody has assigned, so that no chance makes it a segment.
                bytes.iter_mut().skip(12).take(2).for_each(|byte| *byte = 0xFE);
                (bytes, None)
            }
            4 if segment.flags & (flag::ACK | flag::SYN) == flag::ACK => {
                // It acknowledges what lies beyond every window.
                let header = TcpHeader {
                    seq: segment.seq,
                    ack: segment.ack.wrapping_add((1 << 30) + (1 << 29)),
                    flags: flag::ACK,
                    ..TcpHeader::default()
                };
                let forged = packet::tcp(segment.src, segment.dst, 64, &header, b"");
                (packet::ethernet_ip([4; 6], [2; 6], &self.form(forged)), None)
            }
            _ => {
                // Half of the sequence space away: outside of every window.
                let seq = segment.seq.wrapping_add(1 << 31);
                let header = TcpHeader { seq, flags: flag::RST, ..TcpHeader::default() };
                let forged = packet::tcp(segment.src, segment.dst, 64, &header, b"");
                (packet::ethernet_ip([4; 6], [2; 6], &self.form(forged)), None)
            }
        })
    }
}

fn around(frame: Vec<u8>, layers: &[Layer]) -> Vec<u8> {
    layers.iter().fold(frame, |frame, layer| layer.around(frame))
}

/// Selective acknowledgements (RFC 2018, section 3) name the other direction's numbers.
fn shift_sacks(mut options: &mut [u8], shift: u32) {
    loop {
        let len = match options {
            [0, ..] | [] | [_] => return,
            [1, ..] => 1,
            [_, len, ..] => usize::from(*len).clamp(2, options.len()),
        };
        let (option, rest) = options.split_at_mut(len);
        if option[0] == 5 {
            for edge in option[2..].chunks_exact_mut(4) {
                let moved = packet::u32_at(edge, 0).wrapping_add(shift);
                packet::put(edge, 0, moved);
            }
        }
        options = rest;
    }
}

/// The packet with a timestamp option in front of its other TCP options, where there is room.
fn with_timestamp(packet: Vec<u8>) -> Vec<u8> {
    let Some(segment) = Segment::parse(&packet) else { return packet };
    if segment.payload - segment.header > 60 - 12 {
        return packet;
    }
    let options_at = segment.header + 20;
    let option = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2];
    let mut packet = [&packet[..options_at], &option, &packet[options_at..segment.end]].concat();
    packet[segment.header + 12] += 3 << 4;
    let end = segment.end + option.len();
    set_len(&mut packet, end);
    packet::set_checksum(&mut packet, &Segment { payload: segment.payload + option.len(), end, ..segment });
    packet
}

/// Writes the length of a packet without IP options, and the header checksum.
fn set_len(packet: &mut [u8], len: usize) {
    if packet[0] >> 4 == 6 {
        packet[4..6].copy_from_slice(&((len - 40) as u16).to_be_bytes());
    } else {
        packet[2..4].copy_from_slice(&(len as u16).to_be_bytes());
        packet::set_ipv4_checksum(packet);
    }
}

/// Where the IP packet of a frame begins, behind one tag at most, and its version.
fn ip_of(frame: &[u8]) -> Option<(usize, u8)> {
    let at = if packet::u16_at(frame, 12) == packet::ethertype::VLAN { ETHERNET + 4 } else { ETHERNET };
    match packet::u16_at(frame, at - 2) {
        packet::ethertype::IPV4 => Some((at, 4)),
        packet::ethertype::IPV6 => Some((at, 6)),
        _ => None,
    }
}

fn with_ipv4_options(packet: &[u8], words: usize) -> Vec<u8> {
    let len = usize::from(packet::u16_at(packet, 2)) + 4 * words;
    // A router alert (RFC 2113), and "no operation" to fill up.
    let mut options = vec![0x94, 4, 0, 0];
    options.resize(4 * words, 1);
    let mut packet = [&packet[..20], &options, &packet[20..]].concat();
    packet[0] += words as u8;
    set_len(&mut packet, len);
    packet
}

/// Half in a hop-by-hop header, half in one of destination options (RFC 8200, sections 4.3 and 4.6).
fn with_extensions(packet: &[u8], units: usize) -> Vec<u8> {
    let (hops, destination) = (units.div_ceil(2), units / 2);
    let mut next = packet[6];
    let mut headers = Vec::new();
    for (kind, units) in [(DESTINATION_OPTIONS, destination), (HOP_BY_HOP, hops)] {
        if units > 0 {
            // PadN (section 4.2) over all that is left.
            let mut header = vec![next, units as u8 - 1, 1, (8 * units - 4) as u8];
            header.resize(8 * units, 0);
            headers.splice(0..0, header);
            next = kind;
        }
    }
    let len = usize::from(packet::u16_at(packet, 4)) + headers.len();
    let mut packet = [&packet[..40], &headers, &packet[40..]].concat();
    packet[6] = next;
    set_len(&mut packet, 40 + len);
    packet
}

/// Cuts a packet with a header of 20 bytes or more (RFC 791).
fn ipv4_pieces(packet: &[u8], most: usize, id: u16) -> Vec<Vec<u8>> {
    let header = usize::from(packet[0] & 15) * 4;
    let payload = &packet[header..usize::from(packet::u16_at(packet, 2))];
    let piece = |(number, bytes): (usize, &[u8])| {
        let mut piece = [&packet[..header], bytes].concat();
        let more = (number + 1) * most < payload.len();
        let offset = (number * most / 8) as u16 | u16::from(more) << 13;
        piece[4..6].copy_from_slice(&id.to_be_bytes());
        piece[6..8].copy_from_slice(&offset.to_be_bytes());
        let len = piece.len();
        set_len(&mut piece, len);
        piece
    };
    if payload.len() <= most { vec![packet.to_vec()] } else { payload.chunks(most).enumerate().map(piece).collect() }
}

/// Cuts a packet right behind its first header: what follows travels in the pieces (RFC 8200, section 4.5).
fn ipv6_pieces(packet: &[u8], most: usize, id: u16) -> Vec<Vec<u8>> {
    let payload = &packet[40..40 + usize::from(packet::u16_at(packet, 4))];
    // Hop-by-hop options are for every router, and stay in front of the pieces.
    let front = if packet[6] == HOP_BY_HOP { 8 * (1 + usize::from(payload[1])) } else { 0 };
    let (front, payload) = payload.split_at(front);
    let next = if front.is_empty() { packet[6] } else { front[0] };
    let piece = |(number, bytes): (usize, &[u8])| {
        let more = (number + 1) * most < payload.len();
        let offset = (number * most) as u16 | u16::from(more);
        let fields = [&[next, 0][..], &offset.to_be_bytes(), &u32::from(id).to_be_bytes()].concat();
        let mut piece = [&packet[..40], front, &fields, bytes].concat();
        piece[if front.is_empty() { 6 } else { 40 }] = FRAGMENT;
        let len = piece.len();
        set_len(&mut piece, len);
        piece
    };
    if payload.len() <= most { vec![packet.to_vec()] } else { payload.chunks(most).enumerate().map(piece).collect() }
}

#[cfg(test)]
mod tests {
    use super::{Pieces, Shape, Shaper};
    use crate::packet::{self, TcpHeader, flag};
    use crate::seed::Rng;
    use core::net::SocketAddr;
    use tapcopy_engine::frame::Decoder;
    use tapcopy_engine::message::LinkType;
    use tapcopy_engine::{Limits, MirrorFrame, Time};

    /// Shapes a SYN and a segment of 3,000 bytes, and decodes them: sequence numbers, payload and checksum must be right.
    fn check(shape: &Shape) {
        for (src, dst) in [("10.0.0.1:1000", "10.0.0.2:80"), ("[fd00::1]:1000", "[fd00::2]:80")] {
            let (src, dst): (SocketAddr, SocketAddr) = (src.parse().unwrap(), dst.parse().unwrap());
            let mut shaper = Shaper::new(shape.clone(), Rng::new(1));
            let mut decoder = Decoder::new(&Limits::default());
            let mut seqs = Vec::new();
            for (seq, flags, payload) in [(7, flag::SYN, Vec::new()), (8, flag::ACK, vec![b'x'; 3_000])] {
                let header = TcpHeader { seq, flags, options: vec![3, 3, 7], ..TcpHeader::default() };
                let packet = shaper.form(packet::tcp(src, dst, 64, &header, &payload));
                let frames = shaper.frames(packet::ethernet_ip([2; 6], [4; 6], &packet), true);
                let (last, earlier) = frames.split_last().unwrap();
                let frame =
                    |bytes| MirrorFrame { captured_at: Time::ZERO, link: LinkType::Ethernet, wire_len: 9_999, bytes };
                assert!(earlier.iter().all(|bytes| decoder.decode(&frame(bytes)).is_err()), "{shape:?}");
                let last = frame(last);
                let segment = decoder.decode(&last).unwrap_or_else(|cause| panic!("{cause:?}: {shape:?}"));
                assert_eq!(segment.payload, payload);
                assert_ne!(segment.checksum_ok(), Some(false), "{shape:?}");
                seqs.push(segment.seq);
            }
            assert_eq!(seqs[1].wrapping_sub(seqs[0]), 1);
            assert_eq!(seqs[0] > u32::MAX - 3_001, shape.near_wrap);
        }
    }

    #[test]
    fn every_form_is_decoded_to_the_same_segment() {
        let pieces = |backwards, outer| Some(Pieces { len: 800, backwards, outer });
        let layers = (vec![crate::wrap::Layer::Vxlan { v6: true }], Vec::new());
        check(&Shape { ip_options: 10, ..Shape::default() });
        check(&Shape { ip_options: 1, pieces: pieces(false, false), ..Shape::default() });
        check(&Shape { ip_options: 5, pieces: pieces(true, false), timestamps: true, ..Shape::default() });
        check(&Shape { layers, pieces: pieces(true, true), near_wrap: true, timestamps: true, ..Shape::default() });
        check(&Shape { near_wrap: true, ..Shape::default() });
    }
}
