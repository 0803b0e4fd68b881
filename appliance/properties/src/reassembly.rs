//! Reassembly against a model that knows the truth: two streams are cut into segments, lost, doubled, shuffled, cut off and
//! retransmitted, and whatever is handed on must be what was written, in place and in causal order; and nothing is given up
//! that was shown.

use arbitrary::Unstructured;
use core::time::Duration;
use tapcopy_engine::flow::Side;
use tapcopy_engine::limits::Budget;
use tapcopy_engine::reassembly::{Content, Delivery, Piece, Streams};
use tapcopy_engine::{Limits, Time};

/// Whatever decides what happens: a random number generator, or the bytes of an input.
pub trait Choices {
    /// A number below `bound`.
    fn below(&mut self, bound: u64) -> u64;

    /// Whether something happens that does in so many of a hundred cases.
    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

impl Choices for Unstructured<'_> {
    fn below(&mut self, bound: u64) -> u64 {
        self.int_in_range(0..=bound.saturating_sub(1)).unwrap_or_default()
    }
}

/// What a mirror does to the frames of one dialogue, in percent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Frames that it never shows.
    pub loss: u64,
    /// Frames that it shows twice.
    pub twice: u64,
    /// Frames that change places with one of the five before them.
    pub swap: u64,
    /// Segments that are sent again together with bytes before them.
    pub overlap: u64,
    /// Segments that are cut off.
    pub cut: u64,
    /// Pauses of up to half a second.
    pub pause: u64,
}

/// Takes the faults from the input's first bytes, and all choices from the others.
pub fn check(bytes: &[u8]) {
    let mut input = Unstructured::new(bytes);
    let mut percent = || input.below(4) * 15;
    let faults = Faults {
        loss: percent(),
        twice: percent(),
        swap: percent(),
        overlap: percent(),
        cut: percent(),
        pause: percent(),
    };
    let stream_ahead_bytes = if input.chance(30) { 2_000 } else { 1 << 20 };
    check_dialogue(&mut input, faults, &Limits { stream_ahead_bytes, ..Limits::default() });
}

/// What the wire carried: a segment with the bytes that it covers, of which the mirror shows those below `shown_to`.
#[derive(Clone, Debug)]
struct Sent {
    side: Side,
    from: usize,
    to: usize,
    shown_to: usize,
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
    fn new(choices: &mut impl Choices) -> Self {
        let isn = [choices.below(1 << 32) as u32, u32::MAX - choices.below(2_000) as u32];
        let mut dialogue = Self { isn, bytes: [Vec::new(), Vec::new()], wire: Vec::new() };
        for turn in 0..2 + choices.below(10) {
            let side = if turn % 2 == 0 { Side::Client } else { Side::Origin };
            dialogue.write(side, 1 + choices.below(4_000) as usize, choices);
        }
        dialogue.close(Side::Client);
        dialogue.close(Side::Origin);
        dialogue
    }

    fn write(&mut self, side: Side, len: usize, choices: &mut impl Choices) {
        let acks = self.bytes[index(side.other())].len();
        let start = self.bytes[index(side)].len();
        let salt = u64::from(self.isn[index(side)]) << 32;
        // Bytes that tell their place.
        let byte = |at: usize| (salt.wrapping_add(at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8;
        self.bytes[index(side)].extend((start..start + len).map(byte));
        let mut from = start;
        while from < start + len {
            let to = (from + 1 + choices.below(700) as usize).min(start + len);
            self.wire.push(Sent { side, from, to, shown_to: to, acks, fin: false });
            from = to;
        }
    }

    fn close(&mut self, side: Side) {
        let end = self.bytes[index(side)].len();
        let acks = self.bytes[index(side.other())].len();
        self.wire.push(Sent { side, from: end, to: end, shown_to: end, acks, fin: true });
    }

    fn content(&self, sent: &Sent) -> Content<'_> {
        let mine = index(sent.side);
        Content {
            side: sent.side,
            seq: self.isn[mine].wrapping_add(sent.from as u32),
            ack: Some(self.isn[1 - mine].wrapping_add(sent.acks as u32)),
            payload: &self.bytes[mine][sent.from..sent.shown_to],
            may_probe: false,
            missing: (sent.to - sent.shown_to) as u32,
            fin: sent.fin,
            captured_at: Time::ZERO,
        }
    }

    /// How much of the other side must have been read before the byte at `at` could be written.
    fn needs(&self, side: Side, at: usize) -> usize {
        self.wire.iter().find(|sent| sent.side == side && sent.to > at).map_or(0, |sent| sent.acks)
    }

    /// The order in which a mirror with `faults` shows the segments. A lost one is never shown.
    fn shown(&self, faults: Faults, choices: &mut impl Choices) -> Vec<Sent> {
        let mut shown = Vec::new();
        for sent in &self.wire {
            if choices.chance(faults.loss) {
                continue;
            }
            let len = (sent.to - sent.from) as u64;
            let cut = if choices.chance(faults.cut) { choices.below(len + 1) as usize } else { 0 };
            shown.push(Sent { shown_to: sent.to - cut, ..sent.clone() });
            if choices.chance(faults.twice) {
                shown.push(sent.clone());
            }
            if choices.chance(faults.overlap) && !sent.fin {
                let from = sent.from.saturating_sub(choices.below(300) as usize);
                shown.push(Sent { from, ..sent.clone() });
            }
        }
        for at in 1..shown.len() {
            if choices.chance(faults.swap) {
                let other = at.saturating_sub(1 + choices.below(5) as usize);
                shown.swap(at, other);
            }
        }
        shown
    }
}

/// Follows what is handed on.
struct Reader<'a> {
    dialogue: &'a Dialogue,
    at: [usize; 2],
    lost: [u64; 2],
    closed: [bool; 2],
    /// Which bytes the mirror has shown so far.
    shown: [Vec<bool>; 2],
    /// Which bytes a segment lacked: they are lost when its turn comes, though another may have them.
    cut_off: [Vec<bool>; 2],
    /// Whether an answer may be read before its request: once patience has ended.
    is_patient: bool,
}

impl<'a> Reader<'a> {
    fn new(dialogue: &'a Dialogue) -> Self {
        let shown = dialogue.bytes.each_ref().map(|bytes| vec![false; bytes.len()]);
        Self { dialogue, at: [0; 2], lost: [0; 2], closed: [false; 2], cut_off: shown.clone(), shown, is_patient: true }
    }

    fn read(&mut self, delivery: Delivery<'_>) {
        let side = index(delivery.side);
        let (written, at) = (&self.dialogue.bytes[side], self.at[side]);
        assert!(!self.closed[side], "{:?} behind a FIN", delivery.piece);
        match delivery.piece {
            Piece::Bytes(bytes) => {
                let end = at + bytes.len();
                assert_eq!(bytes, &written[at..end], "bytes out of place at {at}");
                let needs = self.dialogue.needs(delivery.side, at);
                assert!(self.at[1 - side] >= needs || !self.is_patient, "an answer before its request");
                self.at[side] = end;
            }
            Piece::Gap(len) => {
                assert!(len > 0, "an empty gap");
                let end = at + len as usize;
                let is_kept = |at: usize| self.shown[side][at] && !self.cut_off[side][at];
                assert!(!(at..end).any(is_kept), "given up at {at}, though shown");
                self.lost[side] += len;
                self.at[side] = end;
            }
            Piece::Fin => {
                assert_eq!(at, written.len(), "a FIN before the last byte");
                self.closed[side] = true;
            }
        }
    }

    fn show(&mut self, sent: &Sent) {
        self.shown[index(sent.side)][sent.from..sent.shown_to].fill(true);
        self.cut_off[index(sent.side)][sent.shown_to..sent.to].fill(true);
    }
}

/// One dialogue, its streams, and the mirror between them.
pub fn check_dialogue(choices: &mut impl Choices, faults: Faults, limits: &Limits) {
    let dialogue = Dialogue::new(choices);
    let mut budget = Budget::new(limits.ahead_bytes);
    let mut streams = Streams::default();
    streams.begin(Side::Client, dialogue.isn[0]);
    streams.begin(Side::Origin, dialogue.isn[1]);
    let mut reader = Reader::new(&dialogue);
    let mut now = Time::ZERO;
    for sent in dialogue.shown(faults, choices) {
        let pause = if choices.chance(faults.pause) { choices.below(500_000) } else { 10 };
        now = now + Duration::from_micros(pause);
        if streams.deadline(limits).is_some_and(|deadline| deadline <= now) {
            reader.is_patient = false;
            streams.expire(now, limits, &mut budget, &mut |delivery| reader.read(delivery));
        }
        reader.show(&sent);
        reader.is_patient &= streams.held_bytes() < limits.stream_ahead_bytes / 2;
        streams.handle(now, &dialogue.content(&sent), limits, &mut budget, &mut |delivery| reader.read(delivery));
        assert_eq!(budget.used(), streams.held_bytes(), "the budget");
        assert!(streams.held_bytes() <= 2 * limits.stream_ahead_bytes, "{} bytes held", streams.held_bytes());
    }
    let was_patient = reader.is_patient;
    reader.is_patient = false;
    while let Some(at) = streams.deadline(limits) {
        let before = (streams.held_bytes(), reader.at);
        now = now.max(at);
        streams.expire(now, limits, &mut budget, &mut |delivery| reader.read(delivery));
        assert_ne!(before, (streams.held_bytes(), reader.at), "a deadline passed and nothing moved");
    }
    assert_eq!(budget.used(), 0, "bytes are still held");
    let last_shown = |side: usize| reader.shown[side].iter().rposition(|shown| *shown).map_or(0, |at| at + 1);
    assert!((0..2).all(|side| reader.at[side] >= last_shown(side)), "not all that was shown was handed on");
    if was_patient && faults.loss == 0 && faults.cut == 0 {
        assert_eq!(reader.lost, [0, 0], "nothing was lost, but gaps were given up");
        assert_eq!(reader.at, dialogue.bytes.each_ref().map(Vec::len), "not all was handed on");
        assert_eq!(reader.closed, [true, true]);
    }
}
