//! What the ledger counts, counted once more by other means: from the wire, and from the records.

use crate::packet::{Segment, flag};
use crate::truth::Truth;
use core::net::SocketAddr;
use std::collections::BTreeMap;
use tapcopy_engine::ledger::{Account, Reason};
use tapcopy_engine::message::{Outcome, Verdict};
use tapcopy_engine::{Input, Ledger, Record};

/// The connection that a pair of ends was used for last.
#[derive(Debug)]
struct Sent {
    first: u32,
    up_to: u32,
}

/// What passed between the world and the engine.
#[derive(Debug, Default)]
pub struct Wire {
    mirrored: u64,
    arrived: u64,
    sent: u64,
    with_content: u64,
    again: u64,
    opened: u64,
    connections: BTreeMap<(SocketAddr, SocketAddr), Sent>,
}

impl Wire {
    /// The engine has an input.
    pub fn give(&mut self, input: &Input<'_>) {
        match input {
            Input::Mirror(_) => self.mirrored += 1,
            Input::Target { .. } => self.arrived += 1,
            Input::Command(_) | Input::Tick => {}
        }
    }

    /// The engine sends a frame.
    pub fn take(&mut self, frame: &[u8]) {
        self.sent += 1;
        let Some(segment) = frame.get(14..).and_then(Segment::parse).filter(|segment| segment.span() > 0) else {
            return;
        };
        self.with_content += u64::from(!segment.is_empty());
        let end = segment.seq.wrapping_add(segment.span());
        let opens = segment.flags & flag::SYN != 0;
        let known = self.connections.get_mut(&(segment.src, segment.dst));
        match known.filter(|known| !opens || known.first == segment.seq) {
            Some(known) if known.up_to.wrapping_sub(end) as i32 >= 0 => self.again += 1,
            Some(known) => known.up_to = end,
            None => {
                self.opened += u64::from(opens);
                self.connections.insert((segment.src, segment.dst), Sent { first: segment.seq, up_to: end });
            }
        }
    }

    /// Holds the ledger against it when all is over; `loses`: some of what was to be sent may have been given up.
    pub fn check(&self, ledger: &Ledger, loses: bool, truth: &mut Truth) {
        let target = &ledger.target;
        let exact = [
            ("frames of the mirror", ledger.frames.received, self.mirrored),
            ("frames of targets", target.frames_received + target.frames_ignored, self.arrived),
            ("frames sent", target.frames_sent, self.sent),
        ];
        let at_least = [
            ("frames sent with content", target.frames_sent_with_content, self.with_content),
            ("segments sent again", target.retransmits, self.again),
            ("connections opened", target.connections_opened, self.opened),
        ];
        let wrong = exact.iter().find(|(_, told, found)| told != found);
        let wrong = wrong.or_else(|| at_least.iter().find(|(_, told, found)| told < found || !loses && told > found));
        if let Some((what, told, found)) = wrong {
            truth.violate("the ledger counts what passes the wire", format!("{what}: {told} told, {found} passed"));
        }
    }
}

/// Holds the ledger against the records when all is over; `services`: their names.
pub fn check(ledger: &Ledger, records: &[Record], services: &[String], truth: &mut Truth) {
    let count = |test: &dyn Fn(&Record) -> bool| records.iter().filter(|record| test(record)).count() as u64;
    let answered = |record: &Record| matches!(record.outcome, Outcome::Answered(_));
    let sent = |record: &Record| !matches!(record.outcome, Outcome::NotReplayed(_));
    let latencies = &ledger.latency_us;
    let timed = |record: &Record| answered(record) && record.target_latency.is_some() && !record.stalled;
    let counts = [
        ("requests replayed", ledger.requests.replayed, count(&sent)),
        ("stalled answers", latencies.stalled, count(&|record| answered(record) && record.stalled)),
        (
            "times of origins",
            latencies.origin.len(),
            count(&|record| answered(record) && record.origin_latency.is_some()),
        ),
        ("times of targets", latencies.target.len(), count(&timed)),
    ];
    if let Some((what, told, found)) = counts.iter().find(|(_, told, found)| told != found) {
        truth.violate("the ledger counts what the records tell", format!("{what}: {told} told, {found} found"));
    }
    let ignored = &ledger.frames.ignored;
    let count_of = |word: &str| ignored.iter().find(|(cause, _)| cause.word() == word).map_or(0, |(_, count)| count);
    let fewer = truth.ignored.clone().into_iter().find(|(word, shown)| count_of(word) < *shown);
    if let Some((word, shown)) = fewer {
        truth
            .violate("a frame is ignored for its own cause", format!("{word}: {} told, {shown} shown", count_of(word)));
    }
    for (name, account) in ledger.services.iter() {
        let own = |record: &&Record| services.get(record.service).is_some_and(|service| service == name);
        let found = outcomes(records.iter().filter(own));
        if told(account) != found {
            let details = format!("{name}: {:?} told, {found:?} found", told(account));
            truth.violate("each service has its own account", details);
        }
    }
}

/// Holds the ledger against what the mirror showed, where the engine knew what to do with all of it.
pub fn check_twice(ledger: &Ledger, truth: &mut Truth) {
    if ledger.frames.duplicates < truth.twice {
        let details = format!("{} told, {} shown", ledger.frames.duplicates, truth.twice);
        truth.violate("a frame that the mirror shows twice is counted as such", details);
    }
}

/// Not replayed, not answered, matched, differing and incomparable.
type Outcomes = [u64; 5];

fn told(account: &Account) -> Outcomes {
    let (requests, verdicts) = (&account.requests, &account.verdicts);
    let (not_replayed, not_answered) = (requests.not_replayed.sum(), requests.not_answered.sum());
    [not_replayed, not_answered, verdicts.matched, verdicts.differ, verdicts.incomparable.sum()]
}

fn outcomes<'r>(records: impl Iterator<Item = &'r Record>) -> Outcomes {
    let mut counts = Outcomes::default();
    for record in records {
        let place = match &record.outcome {
            Outcome::NotReplayed(_) => 0,
            Outcome::NotAnswered(_) => 1,
            Outcome::Answered(Verdict::Match) => 2,
            Outcome::Answered(Verdict::Differ(_)) => 3,
            Outcome::Answered(Verdict::Incomparable(_)) => 4,
        };
        counts[place] += 1;
    }
    counts
}
