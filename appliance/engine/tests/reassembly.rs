//! Reassembly against a model that knows the truth: two streams are cut into segments, lost, doubled, shuffled and retransmitted,
//! and whatever is handed on must be what was written, in place and in causal order.

use core::time::Duration;
use tapcopy_engine::flow::Side;
use tapcopy_engine::limits::Budget;
use tapcopy_engine::reassembly::{Content, Delivery, Piece, Streams};
use tapcopy_engine::{Limits, Time};

/// A small generator (xorshift64*), so that a failing seed can be run again anywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % bound.max(1)
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// What the wire carried: a segment with the bytes that it covers.
#[derive(Clone)]
struct Sent {
    side: Side,
    from: usize,
    to: usize,
    acks: usize,
    fin: bool,
}

/// Two sides that take turns to write; every segment acknowledges all that its sender has read.
struct Dialogue {
    isn: [u32; 2],
    bytes: [Vec<u8>; 2],
    wire: Vec<Sent>,
}

fn index(side: Side) -> usize {
    usize::from(side == Side::Origin)
}

impl Dialogue {
    fn new(random: &mut Random) -> Self {
        let isn = [random.below(1 << 32) as u32, u32::MAX - random.below(2_000) as u32];
        let mut dialogue = Self { isn, bytes: [Vec::new(), Vec::new()], wire: Vec::new() };
        for turn in 0..2 + random.below(10) {
            let side = if turn % 2 == 0 { Side::Client } else { Side::Origin };
            dialogue.write(side, 1 + random.below(4_000) as usize, random);
        }
        dialogue.close(Side::Client);
        dialogue.close(Side::Origin);
        dialogue
    }

    fn write(&mut self, side: Side, len: usize, random: &mut Random) {
        let acks = self.bytes[index(side.other())].len();
        let start = self.bytes[index(side)].len();
        self.bytes[index(side)].extend((0..len).map(|_| random.below(256) as u8));
        let mut from = start;
        while from < start + len {
            let to = (from + 1 + random.below(700) as usize).min(start + len);
            self.wire.push(Sent { side, from, to, acks, fin: false });
            from = to;
        }
    }

    fn close(&mut self, side: Side) {
        let end = self.bytes[index(side)].len();
        let acks = self.bytes[index(side.other())].len();
        self.wire.push(Sent { side, from: end, to: end, acks, fin: true });
    }

    fn content(&self, sent: &Sent) -> Content<'_> {
        let mine = index(sent.side);
        Content {
            side: sent.side,
            seq: self.isn[mine].wrapping_add(sent.from as u32),
            ack: Some(self.isn[1 - mine].wrapping_add(sent.acks as u32)),
            payload: &self.bytes[mine][sent.from..sent.to],
            missing: 0,
            fin: sent.fin,
            captured_at: Time::ZERO,
        }
    }
}

/// Follows what is handed on.
#[derive(Default)]
struct Reader {
    at: [usize; 2],
    lost: [u64; 2],
    closed: [bool; 2],
}

impl Reader {
    fn read(&mut self, dialogue: &Dialogue, delivery: Delivery<'_>) {
        let side = index(delivery.side);
        let written = &dialogue.bytes[side];
        match delivery.piece {
            Piece::Bytes(bytes) => {
                let end = self.at[side] + bytes.len();
                assert_eq!(bytes, &written[self.at[side]..end], "bytes out of place at {}", self.at[side]);
                self.at[side] = end;
            }
            Piece::Gap(len) => {
                assert!(len > 0, "an empty gap");
                self.lost[side] += len;
                self.at[side] += len as usize;
            }
            Piece::Fin => {
                assert_eq!(self.at[side], written.len(), "a FIN before the last byte");
                self.closed[side] = true;
            }
        }
    }
}

/// What a mirror does to the frames of one seed, in percent.
#[derive(Clone, Copy, Default)]
struct Faults {
    loss: u64,
    twice: u64,
    swap: u64,
    overlap: u64,
}

/// The order in which a mirror with `faults` shows the wire's segments. A lost one is never shown.
fn shown(dialogue: &Dialogue, faults: Faults, random: &mut Random) -> Vec<Sent> {
    let mut shown = Vec::new();
    for sent in &dialogue.wire {
        if random.chance(faults.loss) {
            continue;
        }
        shown.push(sent.clone());
        if random.chance(faults.twice) {
            shown.push(sent.clone());
        }
        if random.chance(faults.overlap) && !sent.fin {
            let from = sent.from.saturating_sub(random.below(300) as usize);
            shown.push(Sent { from, ..sent.clone() });
        }
    }
    for at in 1..shown.len() {
        if random.chance(faults.swap) {
            let other = at.saturating_sub(1 + random.below(5) as usize);
            shown.swap(at, other);
        }
    }
    shown
}

fn check(seed: u64, faults: Faults) {
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let dialogue = Dialogue::new(&mut random);
    let limits = Limits::default();
    let mut budget = Budget::new(limits.ahead_bytes);
    let mut streams = Streams::default();
    streams.begin(Side::Client, dialogue.isn[0]);
    streams.begin(Side::Origin, dialogue.isn[1]);
    let mut reader = Reader::default();
    let mut now = Time::ZERO;
    for sent in shown(&dialogue, faults, &mut random) {
        now = now + Duration::from_micros(10);
        let content = dialogue.content(&sent);
        streams.handle(now, &content, &limits, &mut budget, &mut |delivery| {
            let side = index(delivery.side);
            if let Piece::Bytes(_) = delivery.piece {
                let explained =
                    dialogue.wire.iter().find(|sent| sent.side == delivery.side && sent.to > reader.at[side]);
                let needs = explained.map_or(0, |sent| sent.acks);
                assert!(reader.at[1 - side] >= needs, "seed {seed}: an answer before its request");
            }
            reader.read(&dialogue, delivery);
        });
        assert_eq!(budget.used(), streams.held_bytes(), "seed {seed}: the budget");
    }
    while let Some(at) = streams.deadline(&limits) {
        let before = (streams.held_bytes(), reader.at);
        now = now.max(at);
        streams.expire(now, &limits, &mut budget, &mut |delivery| reader.read(&dialogue, delivery));
        assert_ne!(before, (streams.held_bytes(), reader.at), "seed {seed}: a deadline passed and nothing moved");
    }
    assert_eq!(budget.used(), 0, "seed {seed}: bytes are still held");
    if faults.loss == 0 {
        assert_eq!(reader.lost, [0, 0], "seed {seed}: nothing was lost, but gaps were given up");
        assert_eq!(reader.at, [dialogue.bytes[0].len(), dialogue.bytes[1].len()], "seed {seed}: not all was handed on");
        assert_eq!(reader.closed, [true, true], "seed {seed}");
    }
}

#[test]
fn in_order_without_faults() {
    (0..200).for_each(|seed| check(seed, Faults::default()));
}

#[test]
fn doubled_shuffled_and_overlapping_segments_lose_nothing() {
    (0..2_000).for_each(|seed| check(seed, Faults { twice: 20, swap: 30, overlap: 20, ..Faults::default() }));
}

#[test]
fn what_is_lost_becomes_a_gap_and_nothing_else_moves() {
    (0..2_000).for_each(|seed| check(seed, Faults { loss: 10, twice: 10, swap: 20, overlap: 10 }));
}

#[test]
fn held_bytes_are_bounded() {
    let limits = Limits { stream_ahead_bytes: 10_000, ..Limits::default() };
    let mut budget = Budget::new(limits.ahead_bytes);
    let mut streams = Streams::default();
    streams.begin(Side::Client, 0);
    let payload = [7; 1_000];
    let mut gaps = 0;
    for number in 1..1_000u32 {
        let seq = number * 1_100;
        let content = Content {
            side: Side::Client,
            seq,
            ack: None,
            payload: &payload,
            missing: 0,
            fin: false,
            captured_at: Time::ZERO,
        };
        streams.handle(Time::ZERO, &content, &limits, &mut budget, &mut |delivery| {
            gaps += u32::from(matches!(delivery.piece, Piece::Gap(_)));
        });
        assert!(streams.held_bytes() <= limits.stream_ahead_bytes + 2 * payload.len());
    }
    assert!(gaps > 900, "holes are given up at the bound: {gaps}");
}

#[test]
fn two_sides_that_acknowledge_what_neither_sent_do_not_stay_held() {
    let limits = Limits::default();
    let mut budget = Budget::new(limits.ahead_bytes);
    let mut streams = Streams::default();
    streams.begin(Side::Client, 0);
    streams.begin(Side::Origin, 0);
    let mut handed_on = 0;
    for (side, ack) in [(Side::Client, 5), (Side::Origin, 5)] {
        let content = Content {
            side,
            seq: 0,
            ack: Some(ack),
            payload: b"12345",
            missing: 0,
            fin: false,
            captured_at: Time::ZERO,
        };
        streams.handle(Time::ZERO, &content, &limits, &mut budget, &mut |_| ());
    }
    while let Some(at) = streams.deadline(&limits) {
        streams.expire(at, &limits, &mut budget, &mut |delivery| {
            handed_on += u32::from(matches!(delivery.piece, Piece::Bytes(_)));
        });
    }
    assert_eq!((handed_on, budget.used()), (2, 0));
}
