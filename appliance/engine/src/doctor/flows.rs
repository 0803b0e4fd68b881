//! What each TCP flow shows of the mirror.

use super::coverage::Coverage;
use super::guess::{Guess, guess};
use super::recent::Copied;
use super::stamps::{SenderClock, Stamps, timestamp};
use crate::flow::Table;
use crate::frame::{Endpoint, Segment};
use crate::limits::examination::FLOWS_MAX;
use crate::time::Time;
use core::time::Duration;

/// The greatest payload of a segment on a network with jumbo frames (9,000 bytes of IP), where the flow's own bound was not
/// seen.
const PAYLOAD_MAX: u32 = 8_960;
/// After so long, a side that has sent segments has got answers to them.
const ANSWERED_WITHIN: Duration = Duration::from_millis(500);
/// Segments of a flow whose content is looked at for the protocol.
const GUESSES_MAX: u8 = 16;

/// One direction of a flow.
#[derive(Debug, Default)]
pub(super) struct Direction {
    /// Segments, without copies, and their frames' bytes on the wire.
    pub segments: u64,
    pub wire_bytes: u64,
    /// Segments with content, and those of them longer than the receiver takes.
    pub data_segments: u64,
    pub super_segments: u64,
    /// Segments whose checksum can be told, those of them where it is wrong, and those of these where the sender's NIC was
    /// to write it.
    pub checked: u64,
    pub bad_checksums: u64,
    pub unfinished_checksums: u64,
    /// The turns of its sender: runs of content that no content of the other side interrupts.
    pub turns: u64,
    /// What was sent, shown and acknowledged.
    pub coverage: Coverage,
    /// Segments of an open session: neither SYN nor RST.
    established: u64,
    first_at: Option<Time>,
    last_at: Time,
    /// Whether its SYN was seen, and the longest segment that it then announced to take.
    opened: bool,
    mss: Option<u16>,
    vlan: Option<Option<u16>>,
    clock: Option<SenderClock>,
}

/// A flow: the two directions between two ends, the lesser end's first.
#[derive(Debug)]
pub(super) struct Flow {
    pub ends: [Endpoint; 2],
    pub directions: [Direction; 2],
    /// The end that accepted the session, where its opening was seen.
    pub server: Option<usize>,
    /// Sessions whose SYN was seen.
    pub opened: u64,
    pub guess: Guess,
    guesses: u8,
    last_sender: Option<usize>,
}

/// Which directions of a flow the mirror shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    Both,
    /// The direction of this index is missing, though its end must have sent something.
    Without(usize),
    /// Too little was seen.
    Unclear,
}

impl Flow {
    fn new(ends: [Endpoint; 2]) -> Self {
        Self {
            ends,
            directions: Default::default(),
            server: None,
            opened: 0,
            guess: Guess::Unknown,
            guesses: 0,
            last_sender: None,
        }
    }

    /// Which directions are shown.
    pub fn shown(&self) -> Shown {
        match [0, 1].map(|side| self.directions[side].segments > 0) {
            [true, true] => Shown::Both,
            [true, false] if self.must_have_sent(1) => Shown::Without(1),
            [false, true] if self.must_have_sent(0) => Shown::Without(0),
            _ => Shown::Unclear,
        }
    }

    /// Whether a silent side has sent: the other acknowledges its bytes or its SYN, or has gone on for long.
    fn must_have_sent(&self, side: usize) -> bool {
        let other = &self.directions[1 - side];
        let opened = other.opened && other.established > 0;
        let lasted = other.first_at.is_some_and(|first| other.last_at.since(first) >= ANSWERED_WITHIN);
        self.directions[side].coverage.acknowledged_bytes() > 0 || opened || (lasted && other.established >= 3)
    }

    /// Whether only one of the two directions carries a VLAN tag, or each another one.
    pub fn tags_differ(&self) -> bool {
        matches!((self.directions[0].vlan, self.directions[1].vlan), (Some(one), Some(other)) if one != other)
    }

    fn take(&mut self, side: usize, stamps: &mut Stamps, segment: &Segment<'_>, wire_len: u32) {
        let now = stamps.now();
        if segment.flags.syn() {
            self.open(side, now, segment);
        }
        let receives = self.directions[1 - side].mss.map_or(PAYLOAD_MAX, u32::from);
        let direction = &mut self.directions[side];
        direction.count(now, segment, wire_len, receives);
        if let Some(ticks) = timestamp(segment.header) {
            direction.clock = Some(stamps.ask(direction.clock, ticks));
        }
        self.cover(side, now, segment);
        self.look_into(side, segment.payload);
    }

    fn open(&mut self, side: usize, now: Time, segment: &Segment<'_>) {
        (self.directions[side].opened, self.directions[side].mss) = (true, segment.options.mss);
        if segment.flags.ack() {
            self.server = Some(side);
            return;
        }
        self.server = Some(1 - side);
        self.opened += 1;
        self.directions.iter_mut().for_each(|direction| direction.coverage.restart(now));
    }

    /// A reset's numbers need not be the stream's.
    fn cover(&mut self, side: usize, now: Time, segment: &Segment<'_>) {
        if segment.flags.rst() {
            return;
        }
        self.directions[side].coverage.shows(now, segment.seq, sequence_len(segment));
        if segment.flags.ack() {
            self.directions[1 - side].coverage.acknowledges(now, segment.ack);
        }
    }

    fn look_into(&mut self, side: usize, payload: &[u8]) {
        if payload.is_empty() {
            return;
        }
        if self.last_sender.replace(side) != Some(side) {
            self.directions[side].turns += 1;
        }
        if self.guess == Guess::Unknown && self.guesses < GUESSES_MAX {
            self.guesses += 1;
            self.guess = guess(payload);
        }
    }
}

impl Direction {
    fn count(&mut self, now: Time, segment: &Segment<'_>, wire_len: u32, receives: u32) {
        let content = payload_len(segment);
        self.segments += 1;
        self.wire_bytes += u64::from(wire_len);
        self.data_segments += u64::from(content > 0);
        self.super_segments += u64::from(content > receives);
        self.established += u64::from(!segment.flags.syn() && !segment.flags.rst());
        self.first_at.get_or_insert(now);
        self.last_at = now;
        self.vlan.get_or_insert(segment.vlan);
        if let Some(is_right) = segment.checksum_ok() {
            self.checked += 1;
            self.bad_checksums += u64::from(!is_right);
            self.unfinished_checksums += u64::from(!is_right && segment.checksum_unfinished());
        }
    }
}

fn payload_len(segment: &Segment<'_>) -> u32 {
    u32::try_from(segment.payload.len()).unwrap_or(u32::MAX).saturating_add(segment.missing)
}

/// Sequence numbers that a segment takes (RFC 9293, section 3.4).
pub(super) fn sequence_len(segment: &Segment<'_>) -> u32 {
    let bits = u32::from(segment.flags.syn()) + u32::from(segment.flags.fin());
    payload_len(segment).saturating_add(bits)
}

/// The flows of an examination.
#[derive(Debug)]
pub(super) struct Flows {
    numbers: Table<[Endpoint; 2], usize>,
    flows: Vec<Flow>,
    /// Segments of flows beyond the bound.
    pub untracked: u64,
    /// Segments that take sequence numbers, their copies, and how these differ from the first ones.
    pub taking: u64,
    pub copies: u64,
    pub copies_other_tag: u64,
    pub copies_other_mac: u64,
    pub copies_after: Duration,
}

impl Flows {
    pub fn new(seed: u64) -> Self {
        Self {
            numbers: Table::new(seed),
            flows: Vec::new(),
            untracked: 0,
            taking: 0,
            copies: 0,
            copies_other_tag: 0,
            copies_other_mac: 0,
            copies_after: Duration::ZERO,
        }
    }

    /// The flows in the order of their first segments.
    pub fn all(&self) -> &[Flow] {
        &self.flows
    }

    /// Counts a copy of a segment; it says nothing of its flow.
    pub fn take_copy(&mut self, copied: Copied) {
        self.taking += 1;
        self.copies += 1;
        self.copies_other_tag += u64::from(copied.other_tag);
        self.copies_other_mac += u64::from(copied.other_mac);
        self.copies_after += copied.after;
    }

    pub fn take(&mut self, stamps: &mut Stamps, segment: &Segment<'_>, wire_len: u32) {
        self.taking += u64::from(sequence_len(segment) > 0);
        let (source, destination) = (segment.source, segment.destination);
        let side = usize::from(source > destination);
        let ends = if side == 0 { [source, destination] } else { [destination, source] };
        match self.number(ends) {
            Some(number) => self.flows[number].take(side, stamps, segment, wire_len),
            None => self.untracked += 1,
        }
    }

    fn number(&mut self, ends: [Endpoint; 2]) -> Option<usize> {
        if let Some(number) = self.numbers.get(&ends) {
            return Some(*number);
        }
        let number = self.flows.len();
        if number >= FLOWS_MAX {
            return None;
        }
        self.numbers.insert(ends, number);
        self.flows.push(Flow::new(ends));
        Some(number)
    }
}
