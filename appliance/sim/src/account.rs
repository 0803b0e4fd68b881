//! What the ledger counts, counted once more by other means: from the wire, and from the records.

use crate::packet::{Segment, flag};
use crate::span::Shown;
use crate::truth::{SessionTruth, Truth};
use core::net::SocketAddr;
use std::collections::BTreeMap;
use tapcopy_engine::ledger::{Account, Reason};
use tapcopy_engine::message::{Outcome, Verdict};
use tapcopy_engine::{Input, Ledger, Record};

/// So much payload leaves no room for padding.
const PADDED: u64 = 46;

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

/// What the ledger counts of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    decoded: u64,
    truncated: u64,
    with_content: u64,
    bad_checksums: u64,
    gaps: u64,
    gap_bytes: u64,
}

impl Counted {
    /// What it has counted so far.
    pub fn so_far(ledger: &Ledger) -> Self {
        let Ledger { frames, sessions, .. } = ledger;
        Self {
            decoded: frames.decoded,
            truncated: frames.truncated,
            with_content: frames.with_content,
            bad_checksums: frames.bad_checksums,
            gaps: sessions.gaps,
            gap_bytes: sessions.gap_bytes,
        }
    }

    /// Holds what it has counted since then against the frame that was shown, with a payload of `len` bytes; `is_wrong`: so are the
    /// checksums.
    pub fn check(self, ledger: &Ledger, shown: &Shown, is_wrong: bool, truth: &mut Truth) {
        let now = Self::so_far(ledger);
        let (gaps, lost) = (now.gaps - self.gaps, now.gap_bytes - self.gap_bytes);
        if gaps > lost || (gaps == 0) != (lost == 0) {
            truth
                .violate("a hole is counted with its bytes", format!("{gaps} holes of {lost} bytes at {:?}", shown.at));
        }
        truth.unknown += u64::from(shown.tag.is_none() && now.decoded > self.decoded);
        let Some(tag) = shown.tag.filter(|_| now.decoded > self.decoded) else { return };
        let cut = u64::from(shown.wire_len) - shown.bytes.len() as u64;
        // Behind a small payload a frame may be padded.
        if cut > 0 && tag.len < PADDED {
            return;
        }
        let expected = Self {
            decoded: self.decoded + 1,
            truncated: self.truncated + u64::from(cut > 0),
            with_content: self.with_content + u64::from(cut < tag.len),
            bad_checksums: self.bad_checksums + u64::from(is_wrong && cut == 0),
            ..now
        };
        if now != expected {
            truth.violate("a frame is counted for what it is", format!("{now:?} behind {self:?} with {shown:?}"));
        }
    }
}

/// Holds the ledger against the records when all is over; `services`: their names, `raw`: of those without a framer.
pub fn check(ledger: &Ledger, records: &[Record], (services, raw): (&[String], &[&str]), truth: &mut Truth) {
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
        let (turns, captured) = (account.requests.turns, account.requests.captured);
        if turns > captured || raw.contains(&name) && turns < captured {
            truth.violate("each service has its own account", format!("{name}: {turns} turns of {captured} requests"));
        }
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

/// Holds the ledger against the order in which the mirror showed what it showed, to an engine that could read all of it and had room
/// for it.
pub fn check_order(ledger: &Ledger, truth: &mut Truth) {
    let sum = |of: &dyn Fn(&SessionTruth) -> u64| truth.sessions.iter().map(of).sum::<u64>();
    let early = sum(&|session| session.order.early);
    let doubtful = truth.unknown + sum(&|session| session.order.doubtful);
    let is_certain = doubtful == 0 && truth.sessions.iter().all(|session| !session.is_reset() && session.late == 0);
    let sessions = &ledger.sessions;
    // What is given up lets others go.
    let least = if is_certain && sessions.gaps == 0 { early } else { 0 };
    if !(least..=early + doubtful).contains(&sessions.segments_early) {
        let details = format!("{} told, {early} shown, {doubtful} in doubt", sessions.segments_early);
        truth.violate("what is shown early is counted once", details);
    }
}

/// Holds the ledger against what the mirror lost, where nothing that it lost is sent again.
pub fn check_lost(ledger: &Ledger, truth: &mut Truth) {
    let is_certain = |session: &SessionTruth| {
        session.order.doubtful == 0 && !session.is_reset() && session.late == 0 && !session.has_probes()
    };
    let lost: u64 = truth.sessions.iter().map(|session| session.order.lost()).sum();
    if truth.sessions.iter().all(is_certain) && ledger.sessions.gap_bytes != lost {
        let details = format!("{} bytes told, {lost} lost", ledger.sessions.gap_bytes);
        truth.violate("what the mirror loses is counted", details);
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
