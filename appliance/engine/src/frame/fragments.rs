//! IP packets that come in pieces, held until they are whole.
//!
//! Goal: give back the packet with its last missing piece, in whatever order the pieces come; where they overlap, the
//! bytes that came first stay. Limits: the memory held, its book-keeping included, stays within a bound between
//! frames, and past it the oldest packet goes, which is the least likely to be made whole. An incomplete packet is
//! also dropped after a time-out; nothing needs to wake up for that, it happens when the next piece of any packet
//! comes.
//!
//! A packet whose first piece shows that no TCP can be in it is refused: it stays as a key without bytes, so that a
//! flood of fragmented datagrams does not push out what is wanted.

use super::ip::{self, Packet, Piece, Version};
use super::tunnel;
use super::view::View;
use crate::ledger::Ignored;
use crate::time::Time;
use core::time::Duration;
use std::collections::BTreeMap;

/// Memory of one packet beside its pieces: key twice, tree nodes, the first slots of the list of pieces.
const DATAGRAM_COST: usize = 384;
/// Memory of one piece beside its bytes: its slot in a list that grows by doubling, and the allocation's own.
const PIECE_COST: usize = 80;
/// Pieces of one packet: 64 KiB over links that carry 576 bytes. Inserting is linear in them.
const PIECES_MAX: usize = 128;
/// The greatest payload of an IP packet.
const PAYLOAD_MAX: usize = 65_535;

/// At high rates the 16 bits of an IPv4 identification come round within the reassembly time (RFC 4963), but no sooner than
/// this: it takes 65,536 packets between two hosts.
const IDS_COME_ROUND: Duration = Duration::from_millis(10);

/// What all pieces of a packet have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    source: [u8; 16],
    destination: [u8; 16],
    id: u32,
    /// IPv4 tells packets apart by protocol, too; in IPv6 only the first piece's protocol counts.
    protocol: Option<u8>,
}

impl Key {
    fn of(packet: &Packet<'_>, piece: Piece) -> Self {
        let protocol = (packet.version == Version::V4).then_some(packet.protocol);
        Self { source: packet.source, destination: packet.destination, id: piece.id, protocol }
    }
}

/// Bytes at their place in a packet.
#[derive(Debug)]
struct Run {
    start: usize,
    bytes: Vec<u8>,
}

impl Run {
    fn end(&self) -> usize {
        self.start + self.bytes.len()
    }
}

/// A packet that is not yet whole.
#[derive(Debug)]
struct Datagram {
    /// Its number in the order of arrival.
    serial: u64,
    first_at: Time,
    /// In order, without overlaps.
    runs: Vec<Run>,
    /// Sum of the runs' lengths.
    held: usize,
    /// Whether some bytes came more than once.
    has_overlaps: bool,
    /// Payload length, known from the last piece.
    len: Option<usize>,
    /// What the payload begins with, known from the first piece.
    protocol: u8,
    /// Why its pieces are no longer held: no TCP can be in it, or it has too many.
    refused: Option<Ignored>,
}

impl Datagram {
    fn new(serial: u64, first_at: Time) -> Self {
        Self { serial, first_at, runs: Vec::new(), held: 0, has_overlaps: false, len: None, protocol: 0, refused: None }
    }

    fn cost(&self) -> usize {
        DATAGRAM_COST + self.held + self.runs.len() * PIECE_COST
    }

    /// Takes one piece; says whether the packet is whole now.
    fn take(&mut self, packet: &Packet<'_>, piece: Piece) -> Result<bool, Ignored> {
        let bytes = packet.body.bytes;
        if let Some(reason) = self.refused {
            return Err(reason);
        }
        if piece.offset == 0 && !may_hold_tcp(packet) {
            return Err(self.refuse(Ignored::NotTcp));
        }
        if self.runs.len() >= PIECES_MAX {
            return Err(self.refuse(Ignored::Fragment));
        }
        self.settle_len(piece.offset + bytes.len(), piece.last)?;
        if piece.offset == 0 {
            self.protocol = packet.protocol;
        }
        let before = self.held;
        self.insert(piece.offset, bytes);
        self.has_overlaps |= self.held - before < bytes.len();
        Ok(self.len == Some(self.held))
    }

    fn refuse(&mut self, reason: Ignored) -> Ignored {
        (self.runs, self.held, self.refused) = (Vec::new(), 0, Some(reason));
        reason
    }

    /// Learns the length from the last piece, and refuses pieces that contradict it.
    fn settle_len(&mut self, end: usize, last: bool) -> Result<(), Ignored> {
        let held_end = self.runs.last().map_or(0, Run::end);
        match self.len {
            Some(len) if end > len || (last && end != len) => Err(Ignored::BadIp),
            None if last && held_end > end => Err(Ignored::BadIp),
            None if last => {
                self.len = Some(end);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Fills what is not yet held of `start..start + bytes.len()`.
    fn insert(&mut self, start: usize, bytes: &[u8]) {
        let end = start + bytes.len();
        let mut at = start;
        let mut index = self.runs.partition_point(|run| run.end() <= at);
        while at < end {
            let (next_start, next_end) = self.runs.get(index).map_or((end, end), |run| (run.start, run.end()));
            let hole_end = next_start.min(end);
            if at < hole_end {
                let run = Run { start: at, bytes: bytes[at - start..hole_end - start].to_vec() };
                self.held += run.bytes.len();
                self.runs.insert(index, run);
                index += 1;
            }
            at = next_end;
            index += 1;
        }
    }
}

fn may_hold_tcp(packet: &Packet<'_>) -> bool {
    match packet.protocol {
        ip::UDP => tunnel::is_udp_tunnel(packet.body.bytes),
        protocol => ip::leads_on(packet.version, protocol),
    }
}

/// The packets that are not yet whole.
#[derive(Debug)]
pub(super) struct Fragments {
    bytes_max: usize,
    timeout: Duration,
    bytes: usize,
    opened: u64,
    /// Whether the pieces of the packet that was made whole last may not belong together.
    is_doubtful: bool,
    datagrams: BTreeMap<Key, Datagram>,
    /// The same by serial: oldest first.
    by_age: BTreeMap<u64, Key>,
}

impl Fragments {
    /// A store bounded in memory and time.
    pub fn new(bytes_max: usize, timeout: Duration) -> Self {
        Self {
            bytes_max,
            timeout,
            bytes: 0,
            opened: 0,
            is_doubtful: false,
            datagrams: BTreeMap::new(),
            by_age: BTreeMap::new(),
        }
    }

    /// Memory held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether the pieces of the packet that was made whole last may be those of different packets.
    pub fn is_doubtful(&self) -> bool {
        self.is_doubtful
    }

    /// Takes a packet's piece. Where that makes the packet whole, its payload is put together in `whole` and becomes
    /// the packet's body; otherwise says why there is no packet.
    #[cold]
    pub fn reassemble<'a>(
        &mut self,
        packet: Packet<'a>,
        piece: Piece,
        now: Time,
        whole: &'a mut Vec<u8>,
    ) -> Result<Packet<'a>, Ignored> {
        check(&packet, piece)?;
        self.expire(now);
        let protocol = self.add(Key::of(&packet, piece), &packet, piece, now, whole)?;
        Packet { protocol, body: View { bytes: whole, missing: 0 }, piece: None, ..packet }.past_extensions()
    }

    /// Adds a piece to its packet; if that is whole now, moves it to `whole` and says what it begins with.
    fn add(
        &mut self,
        key: Key,
        packet: &Packet<'_>,
        piece: Piece,
        now: Time,
        whole: &mut Vec<u8>,
    ) -> Result<u8, Ignored> {
        let mut datagram = self.remove(&key).unwrap_or_else(|| {
            self.opened += 1;
            Datagram::new(self.opened, now)
        });
        match datagram.take(packet, piece) {
            Ok(true) => {
                self.is_doubtful = datagram.has_overlaps || now.since(datagram.first_at) >= IDS_COME_ROUND;
                whole.clear();
                datagram.runs.iter().for_each(|run| whole.extend_from_slice(&run.bytes));
                Ok(datagram.protocol)
            }
            outcome => {
                self.keep(key, datagram);
                Err(outcome.err().unwrap_or(Ignored::Fragment))
            }
        }
    }

    fn keep(&mut self, key: Key, datagram: Datagram) {
        self.bytes += datagram.cost();
        self.by_age.insert(datagram.serial, key);
        self.datagrams.insert(key, datagram);
        while self.bytes > self.bytes_max && self.drop_oldest().is_some() {}
    }

    fn remove(&mut self, key: &Key) -> Option<Datagram> {
        let datagram = self.datagrams.remove(key)?;
        self.by_age.remove(&datagram.serial);
        self.bytes -= datagram.cost();
        Some(datagram)
    }

    fn drop_oldest(&mut self) -> Option<Datagram> {
        let key = *self.by_age.first_key_value()?.1;
        self.remove(&key)
    }

    fn expire(&mut self, now: Time) {
        while let Some((_, key)) = self.by_age.first_key_value()
            && now.since(self.datagrams[key].first_at) > self.timeout
        {
            self.drop_oldest();
        }
    }
}

/// A piece that the capture cut off makes no packet whole. Only a packet's last piece may end between multiples of 8.
fn check(packet: &Packet<'_>, piece: Piece) -> Result<(), Ignored> {
    let len = packet.body.wire_len();
    if len == 0 || piece.offset + len > PAYLOAD_MAX || (!piece.last && !len.is_multiple_of(8)) {
        return Err(Ignored::BadIp);
    }
    if packet.body.missing > 0 { Err(Ignored::Truncated) } else { Ok(()) }
}
