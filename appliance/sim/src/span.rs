//! The mirror port: it sees what passes the switch, and shows it with the faults that mirrors have.

use crate::fast_open::FastOpen;
use crate::fault::MirrorFaults;
use crate::packet::{self, Mac, Segment, flag};
use crate::seed::Rng;
use crate::shape::Shaper;
use core::net::SocketAddr;
use std::collections::BTreeMap;
use tapcopy_engine::Time;

/// Addresses that the mirrored frames carry.
const CLIENT_MAC: Mac = [2, 0, 0, 0, 1, 1];
const ORIGIN_MAC: Mac = [2, 0, 0, 0, 2, 1];

/// A frame that the mirror shows.
#[derive(Clone, Debug)]
pub struct Shown {
    /// When it arrives at the mirror NIC.
    pub at: Time,
    /// Its bytes as far as they are shown.
    pub bytes: Vec<u8>,
    /// Its length on the wire.
    pub wire_len: u32,
    /// What it is, for the truth.
    pub tag: Option<Tag>,
    /// The cause for which the engine must ignore it, where that is certain.
    pub ignored: Option<&'static str>,
}

/// What the world knows of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// The session.
    pub session: usize,
    /// Whether the client sent it.
    pub from_client: bool,
    /// Whether it is a SYN, of either side.
    pub opens: bool,
    /// Whether it is a FIN.
    pub closes: bool,
    /// Whether it is a reset.
    pub resets: bool,
    /// Offset of its first byte in the sender's stream.
    pub offset: u64,
    /// Bytes of payload.
    pub len: u64,
    /// Up to where it acknowledges the other side's stream.
    pub acked: Option<u64>,
    /// Whether it is the second of two copies.
    pub again: bool,
    /// Whether it is a copy that comes behind the SYN of the next session on the same addresses.
    pub is_outdated: bool,
}

/// The connections on one pair of addresses and ports.
#[derive(Debug, Default)]
struct Flow {
    /// The session whose SYN comes next.
    expected: usize,
    connections: Vec<Opened>,
    /// The last packet with payload.
    last: Option<(Vec<u8>, Tag)>,
}

/// A connection whose SYN has passed, with both directions' first sequence numbers.
#[derive(Debug)]
struct Opened {
    session: usize,
    client_first: u32,
    origin_first: Option<u32>,
}

/// More than any stream of a run is long.
const STREAM_MAX: u32 = 1 << 26;

impl Flow {
    /// The connection of a segment. What was on its way when the addresses were taken again belongs to the one before: the
    /// sequence numbers tell.
    fn connection_of(&mut self, segment: &Segment, from_client: bool) -> Option<&mut Opened> {
        let opens = from_client && segment.flags & flag::SYN != 0;
        if opens && !self.connections.iter().any(|opened| opened.client_first == segment.seq) {
            self.connections.push(Opened { session: self.expected, client_first: segment.seq, origin_first: None });
        }
        self.connections.iter_mut().rev().find(|opened| opened.has(segment, from_client))
    }
}

impl Opened {
    fn has(&self, segment: &Segment, from_client: bool) -> bool {
        let (own, other) = match from_client {
            true => (Some(self.client_first), self.origin_first),
            false => (self.origin_first, Some(self.client_first)),
        };
        let near = |number: u32, first: Option<u32>| first.is_some_and(|first| number.wrapping_sub(first) < STREAM_MAX);
        near(segment.seq, own) || segment.flags & flag::ACK != 0 && near(segment.ack, other)
    }
}

/// The mirror port.
#[derive(Debug)]
pub struct Span {
    faults: MirrorFaults,
    rng: Rng,
    shaper: Shaper,
    flows: BTreeMap<(SocketAddr, SocketAddr), Flow>,
    fast_open: Option<FastOpen>,
    burst: u64,
}

impl Span {
    /// A mirror port with these faults.
    pub fn new(faults: MirrorFaults, rng: Rng) -> Self {
        let shaper = Shaper::new(faults.shape.clone(), rng.clone().fork());
        let fast_open = faults.fast_open.then(FastOpen::default);
        Self { faults, rng, shaper, flows: BTreeMap::new(), fast_open, burst: 0 }
    }

    /// From now on it shows everything of the directions that it has. One that is late stays so: what comes must not overtake
    /// what is under way.
    pub fn heal(&mut self) {
        let good = MirrorFaults::default();
        let MirrorFaults { bursts, double, snaplen, starts_at, .. } = good;
        self.faults = MirrorFaults { bursts, double, snaplen, starts_at, ..self.faults.clone() };
    }

    /// A session begins on these addresses.
    pub fn expect(&mut self, client: SocketAddr, origin: SocketAddr, session: usize) {
        self.flows.entry((client, origin)).or_default().expected = session;
    }

    /// A packet passes the switch: the frames that the mirror shows of it, at their times.
    pub fn copy(&mut self, now: Time, packet: &[u8], from_client: bool) -> Vec<Shown> {
        let Some(fast_open) = &mut self.fast_open else { return self.copy_one(now, packet, from_client) };
        let packets = fast_open.shown(packet, from_client);
        packets.iter().flat_map(|(packet, from_client)| self.copy_one(now, packet, *from_client)).collect()
    }

    fn copy_one(&mut self, now: Time, packet: &[u8], from_client: bool) -> Vec<Shown> {
        let tag = self.tag(packet, from_client);
        if self.faults.starts_at.is_some_and(|at| now < at) || self.faults.one_way.is_some_and(|way| way != from_client)
        {
            return Vec::new();
        }
        let late = self.faults.skew.filter(|(clients, _)| *clients == from_client).map_or(now, |(_, by)| now + by);
        let vlan = if from_client { self.faults.vlan.0 } else { self.faults.vlan.1 };
        let formed = self.shaper.form(packet.to_vec());
        let mut shown = Vec::new();
        if !self.loses() {
            shown.extend(self.show(late, &formed, from_client, vlan, tag));
        }
        if let Some((after, routed, vlan_again)) = self.faults.double
            && !self.loses()
        {
            let again = if routed { one_hop_further(&formed) } else { formed };
            // What goes in pieces has a number of its own each time, by which it is another packet.
            let again_in_full = self.faults.shape.pieces.is_none();
            let tag = tag.map(|tag| Tag { again: again_in_full, ..tag });
            shown.extend(self.show(late + after, &again, from_client, vlan_again.or(vlan), tag));
        }
        if let Some((bytes, ignored)) = self.shaper.noise(packet) {
            shown.push(Shown { at: late, wire_len: bytes.len() as u32, bytes, tag: None, ignored });
        }
        if let Some((packet, tag)) = self.late_copy(packet, tag) {
            let formed = self.shaper.form(packet);
            shown.extend(self.show(late, &formed, tag.from_client, vlan, Some(tag)));
        }
        shown
    }

    /// What the session before said last, when the SYN of the next passes. Where a client's numbers come again soon, nobody can tell
    /// them apart (RFC 9293, section 3.4.1).
    fn late_copy(&mut self, packet: &[u8], tag: Option<Tag>) -> Option<(Vec<u8>, Tag)> {
        let tag = tag.filter(|_| self.faults.late_copies)?;
        let segment = Segment::parse(packet)?;
        let key = if tag.from_client { (segment.src, segment.dst) } else { (segment.dst, segment.src) };
        let last = &mut self.flows.get_mut(&key)?.last;
        match tag.opens && tag.from_client {
            true => last.take().filter(|(old, tag)| {
                let old = Segment::parse(old).map(|old| if tag.from_client { old.seq } else { old.ack });
                old.is_some_and(|old| (old.wrapping_sub(segment.seq) as i32).unsigned_abs() > STREAM_MAX)
            }),
            false if tag.len > 0 => {
                *last = Some((packet.to_vec(), Tag { is_outdated: true, ..tag }));
                None
            }
            false => None,
        }
    }

    fn loses(&mut self) -> bool {
        let Some((begins, most)) = self.faults.bursts else { return false };
        if self.burst == 0 && self.rng.permille(begins) {
            self.burst = self.rng.between(1, most);
        }
        let loses = self.burst > 0;
        self.burst = self.burst.saturating_sub(1);
        loses
    }

    /// The frames that show a packet; the last of them completes it.
    fn show(
        &mut self,
        at: Time,
        packet: &[u8],
        from_client: bool,
        vlan: Option<u16>,
        tag: Option<Tag>,
    ) -> impl Iterator<Item = Shown> + use<> {
        let (dst, src) = if from_client { (ORIGIN_MAC, CLIENT_MAC) } else { (CLIENT_MAC, ORIGIN_MAC) };
        let mut bytes = packet::ethernet_ip(dst, src, packet);
        if let Some(segment) = Segment::parse(packet).filter(|_| self.faults.bad_checksums) {
            // All bits but the last are the right ones.
            bytes[14 + segment.header + 17] ^= 1;
        }
        if let Some(vlan) = vlan {
            packet::tag_vlan(&mut bytes, vlan);
        }
        let frames = self.shaper.frames(bytes, from_client);
        let (last, snaplen) = (frames.len() - 1, self.faults.snaplen.unwrap_or(usize::MAX));
        frames.into_iter().enumerate().map(move |(number, mut bytes)| {
            let wire_len = bytes.len() as u32;
            bytes.truncate(snaplen);
            Shown { at, bytes, wire_len, tag: tag.filter(|_| number == last), ignored: None }
        })
    }

    fn tag(&mut self, packet: &[u8], from_client: bool) -> Option<Tag> {
        let segment = Segment::parse(packet)?;
        let key = if from_client { (segment.src, segment.dst) } else { (segment.dst, segment.src) };
        let opened = self.flows.get_mut(&key)?.connection_of(&segment, from_client)?;
        let opens = segment.flags & flag::SYN != 0;
        let first = match from_client {
            true => opened.client_first,
            false => *opened.origin_first.get_or_insert(segment.seq),
        };
        let other = if from_client { opened.origin_first } else { Some(opened.client_first) };
        Some(Tag {
            session: opened.session,
            from_client,
            opens,
            closes: segment.flags & flag::FIN != 0,
            resets: segment.flags & flag::RST != 0,
            offset: offset_of(segment.seq.wrapping_add(u32::from(opens)), first),
            len: segment.len() as u64,
            again: false,
            is_outdated: false,
            acked: other.filter(|_| segment.flags & flag::ACK != 0).map(|other| offset_of(segment.ack, other)),
        })
    }
}

/// Where the byte with this sequence number lies in a stream that began with `first`.
fn offset_of(seq: u32, first: u32) -> u64 {
    seq.wrapping_sub(first).wrapping_sub(1).into()
}

/// The packet as the next router sends it.
fn one_hop_further(packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    if packet[0] >> 4 == 6 {
        packet[7] -= 1;
        return packet;
    }
    packet[8] -= 1;
    // RFC 1624: the checksum grows by what the field fell.
    let checksum = packet::sum(&[1, 0], u32::from(packet::u16_at(&packet, 10))) as u16;
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
    packet
}
