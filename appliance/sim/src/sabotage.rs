//! Deliberate faults between engine and world, which prove that the checkers can fail.

use crate::alteration::difference;
use crate::packet::{Segment, transport_checksum};
use tapcopy_engine::Record;
use tapcopy_engine::message::{Outcome, Verdict};

/// One deliberate fault; the number says which occurrence is hit, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// A record says `Differ` instead of `Match`, or the other way round.
    FlipVerdict(usize),
    /// A record is given twice.
    RepeatRecord(usize),
    /// A record is lost.
    LoseRecord(usize),
    /// A byte of a transmitted payload is another, with a right checksum.
    CorruptPayload(usize),
    /// A client's frame with payload is not shown to the engine.
    HideFrame(usize),
    /// The engine believes that no time passed between captured frames.
    StopCaptureClock,
}

/// A fault being done.
#[derive(Debug, Default)]
pub struct Saboteur {
    sabotage: Option<Sabotage>,
    seen: usize,
}

impl Saboteur {
    /// Does this fault, if any.
    pub fn new(sabotage: Option<Sabotage>) -> Self {
        Self { sabotage, seen: 0 }
    }

    /// Whether the capture clock stands.
    pub fn stops_capture_clock(&self) -> bool {
        self.sabotage == Some(Sabotage::StopCaptureClock)
    }

    fn strikes(&mut self, number: usize) -> bool {
        self.seen += 1;
        self.seen == number + 1
    }

    /// The records that come out instead of one.
    pub fn records(&mut self, record: Record) -> Vec<Record> {
        let sabotage = self.sabotage;
        match sabotage {
            Some(Sabotage::FlipVerdict(number)) if is_compared(&record) && self.strikes(number) => {
                vec![flipped(record)]
            }
            Some(Sabotage::RepeatRecord(number)) if self.strikes(number) => vec![record.clone(), record],
            Some(Sabotage::LoseRecord(number)) if self.strikes(number) => Vec::new(),
            _ => vec![record],
        }
    }

    /// Changes a frame that goes out.
    pub fn transmit(&mut self, frame: &mut [u8]) {
        let Some(segment) = Segment::parse(frame.get(14..).unwrap_or_default()).filter(|segment| !segment.is_empty())
        else {
            return;
        };
        if let Some(Sabotage::CorruptPayload(number)) = self.sabotage
            && self.strikes(number)
        {
            let packet = &mut frame[14..];
            packet[segment.end - 1] ^= 1;
            let at = segment.header + 16;
            packet[at..at + 2].fill(0);
            let checksum =
                transport_checksum(segment.src.ip(), segment.dst.ip(), 6, &packet[segment.header..segment.end]);
            packet[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
        }
    }

    /// Whether a client's frame with payload is hidden.
    pub fn hides(&mut self) -> bool {
        let sabotage = self.sabotage;
        matches!(sabotage, Some(Sabotage::HideFrame(number)) if self.strikes(number))
    }
}

fn is_compared(record: &Record) -> bool {
    matches!(record.outcome, Outcome::Answered(Verdict::Match | Verdict::Differ(_)))
}

fn flipped(mut record: Record) -> Record {
    let difference = difference("body", Some(0));
    record.outcome = match record.outcome {
        Outcome::Answered(Verdict::Differ(_)) => Outcome::Answered(Verdict::Match),
        _ => Outcome::Answered(Verdict::Differ(vec![difference])),
    };
    record
}
