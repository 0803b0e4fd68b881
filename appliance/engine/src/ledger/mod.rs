//! The ledger: what was received, what became of it, and why the rest is missing.
//!
//! Every cause is a variant of a reason type, documented once; a [`Tally`] counts one type's reasons. The laws, which hold
//! between any two inputs of the engine:
//!
//! - `frames.received = frames.decoded + sum(frames.ignored)`
//! - `sessions.opened = sessions.live + sum(sessions.ended)`
//! - `requests.captured = requests.replayed + sum(requests.not_replayed) + those not yet released`
//! - `requests.replayed = requests.answered + sum(requests.not_answered) + those not yet answered`
//! - `requests.in_progress` = those not yet released + those not yet answered
//! - `requests.answered = verdicts.match + verdicts.differ + sum(verdicts.incomparable)`

mod reason;
mod services;

pub use reason::{Ended, Ignored, Incomparable, NotAnswered, NotReplayed, Reason, Reconnect, Unrecorded};

pub use services::{Account, Services};

use core::marker::PhantomData;
use core::ops::AddAssign;
use core::time::Duration;
use hdrhistogram::Histogram;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// Counts by reason.
#[derive(Clone, Debug)]
pub struct Tally<R> {
    counts: Vec<u64>,
    reason: PhantomData<R>,
}

impl<R: Reason> Default for Tally<R> {
    fn default() -> Self {
        Self { counts: vec![0; R::ALL.len()], reason: PhantomData }
    }
}

impl<R: Reason> Tally<R> {
    /// Counts one.
    pub fn count(&mut self, reason: R) {
        self.counts[reason.index()] += 1;
    }

    /// Counts several.
    pub fn count_many(&mut self, reason: R, count: u64) {
        self.counts[reason.index()] += count;
    }

    /// The count of one reason.
    pub fn of(&self, reason: R) -> u64 {
        self.counts[reason.index()]
    }

    /// The sum of all reasons.
    pub fn sum(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Every reason with its count, zero included.
    pub fn iter(&self) -> impl Iterator<Item = (R, u64)> + '_ {
        R::ALL.iter().copied().zip(self.counts.iter().copied())
    }
}

impl<R: Reason> AddAssign<&Self> for Tally<R> {
    fn add_assign(&mut self, rhs: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&rhs.counts) {
            *mine += theirs;
        }
    }
}

/// A map of the reasons that occurred.
impl<R: Reason> Serialize for Tally<R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (reason, count) in self.iter().filter(|(_, count)| *count > 0) {
            map.serialize_entry(reason.word(), &count)?;
        }
        map.end()
    }
}

/// Frames of the mirror.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Frames {
    /// Frames handed to the engine.
    pub received: u64,
    /// Segments of a session of a service.
    pub decoded: u64,
    /// The others, by cause.
    pub ignored: Tally<Ignored>,
    /// Frames that the kernel's ring had no room for; filled in by the driver.
    pub dropped_kernel: u64,
    /// Frames that the NIC or its driver dropped; filled in by the driver.
    pub dropped_nic: u64,
    /// Frames whose TCP payload the capture had cut off.
    pub truncated: u64,
    /// Frames decoded that the mirror had just shown already, at another place of their way.
    pub duplicates: u64,
    /// Frames decoded whose TCP checksum was verified: those captured whole, and after the first ones only a sample.
    pub checksums_verified: u64,
    /// Of these, wrong. A capture taken on a host shows what its NIC had yet to fill in.
    pub bad_checksums: u64,
    /// Decoded frames with payload.
    pub with_content: u64,
}

/// TCP sessions of the services.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Sessions {
    /// Sessions begun.
    pub opened: u64,
    /// Sessions that have not ended.
    pub live: u64,
    /// Sessions ended, by cause.
    pub ended: Tally<Ended>,
    /// Sessions that were already open when first seen.
    pub midstream: u64,
    /// Holes in streams that the mirror never filled.
    pub gaps: u64,
    /// Bytes lost in them.
    pub gap_bytes: u64,
    /// Segments whose bytes had all been seen.
    pub segments_duplicate: u64,
    /// Segments that came before the bytes below them.
    pub segments_early: u64,
}

/// Requests; without a framer, turns.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Requests {
    /// Requests whose first byte was seen.
    pub captured: u64,
    /// Of these, turns: cut without a framer.
    pub turns: u64,
    /// Requests whose first byte was sent to the target.
    pub replayed: u64,
    /// Requests with a whole answer of the target and a verdict.
    pub answered: u64,
    /// Requests without an outcome.
    pub in_progress: u64,
    /// Requests never sent, by cause.
    pub not_replayed: Tally<NotReplayed>,
    /// Requests sent without an answer, by cause.
    pub not_answered: Tally<NotAnswered>,
}

/// Verdicts of the comparison.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Verdicts {
    /// Answers that agree.
    #[serde(rename = "match")]
    pub matched: u64,
    /// Answers that differ.
    pub differ: u64,
    /// Answers that cannot be held against each other, by cause.
    pub incomparable: Tally<Incomparable>,
}

impl Verdicts {
    /// All of them.
    pub fn sum(&self) -> u64 {
        self.matched + self.differ + self.incomparable.sum()
    }
}

/// The target side.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Target {
    /// Frames sent.
    pub frames_sent: u64,
    /// Of these, with content.
    pub frames_sent_with_content: u64,
    /// Frames received that were meant for the box.
    pub frames_received: u64,
    /// Frames received that were not, or made no sense.
    pub frames_ignored: u64,
    /// Packets given up because their next hop did not answer.
    pub packets_unresolved: u64,
    /// Connections begun.
    pub connections_opened: u64,
    /// Of these, beyond a session's first, by cause.
    pub reconnects: Tally<Reconnect>,
    /// Segments sent again.
    pub retransmits: u64,
    /// Connections with another port than the client's own, where that was to be kept but was not free.
    pub ports_exchanged: u64,
    /// Addresses of the box that somebody else on the link was found to have.
    pub address_conflicts: u64,
}

/// What a target that is slower than the origin leaves undone, and how late the rest comes. Think times hide a little
/// slowness; beyond a bound ([`crate::Limits::lag`]) a session is behind, and its request late.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Lateness {
    /// Replays that are behind now: their next request waits for the target.
    pub sessions_behind: u64,
    /// Requests that wait for the target alone now: production has answered them, or they could be sent.
    pub requests_waiting: u64,
    /// Bytes of requests that could be sent now, were it not for the target.
    pub bytes_waiting: u64,
    /// Requests that were sent late.
    pub requests_late: u64,
    /// The longest that a request was sent after it could have been, in microseconds.
    pub lag_us_max: u64,
}

impl Lateness {
    /// Notes that a request is sent so long after it could have been.
    pub fn note(&mut self, lag: Duration, bound: Duration) {
        self.requests_late += u64::from(lag > bound);
        self.lag_us_max = self.lag_us_max.max(u64::try_from(lag.as_micros()).unwrap_or(u64::MAX));
    }
}

impl AddAssign<&Self> for Lateness {
    fn add_assign(&mut self, rhs: &Self) {
        self.sessions_behind += rhs.sessions_behind;
        self.requests_waiting += rhs.requests_waiting;
        self.bytes_waiting += rhs.bytes_waiting;
        self.requests_late += rhs.requests_late;
        self.lag_us_max = self.lag_us_max.max(rhs.lag_us_max);
    }
}

/// The recording of the mirror; filled in by the driver.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Recorded {
    /// Frames written to files.
    pub frames: u64,
    /// Bytes of the files, without what each begins with.
    pub bytes: u64,
    /// Files closed.
    pub files: u64,
    /// Frames of the chosen services that were not written, by cause.
    pub dropped: Tally<Unrecorded>,
}

impl AddAssign<&Self> for Recorded {
    fn add_assign(&mut self, rhs: &Self) {
        self.frames += rhs.frames;
        self.bytes += rhs.bytes;
        self.files += rhs.files;
        self.dropped += &rhs.dropped;
    }
}

/// Longest time that is told from longer ones, in microseconds: an hour.
const LATENCY_US_MAX: u64 = 3_600_000_000;

/// Times of one side: from a request's last byte to a byte of its answer, in microseconds, within a thousandth.
#[derive(Clone, Debug)]
pub struct Latencies {
    micros: Histogram<u64>,
}

impl Default for Latencies {
    fn default() -> Self {
        Self { micros: Histogram::new(3).expect("three digits are valid") }
    }
}

impl Latencies {
    /// None, to be told within a hundredth: where there are many of them, this takes an eighth of the memory.
    pub fn coarse() -> Self {
        Self { micros: Histogram::new(2).expect("two digits are valid") }
    }

    /// Adds one time.
    pub fn record(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.micros.record(micros.min(LATENCY_US_MAX)).expect("a histogram that grows takes every time");
    }

    /// Adds another's times.
    pub fn add(&mut self, other: &Self) {
        self.micros.add(&other.micros).expect("a histogram that grows takes any other's times");
    }

    /// The time that `quantile` (0 to 1) of the answers did not exceed, in microseconds.
    pub fn quantile_us(&self, quantile: f64) -> u64 {
        self.micros.value_at_quantile(quantile)
    }

    /// Times longer than `micros`.
    pub fn count_above_us(&self, micros: u64) -> u64 {
        self.micros.len() - self.micros.count_between(0, micros)
    }

    /// Times recorded.
    pub fn len(&self) -> u64 {
        self.micros.len()
    }

    /// Whether none was recorded.
    pub fn is_empty(&self) -> bool {
        self.micros.is_empty()
    }
}

impl Serialize for Latencies {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, quantile) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999)] {
            map.serialize_entry(name, &self.quantile_us(quantile))?;
        }
        map.end()
    }
}

/// Latencies to the last byte, side by side.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LatencyUs {
    /// Production's.
    pub origin: Latencies,
    /// The server under test's, without those that were stalled.
    pub target: Latencies,
    /// Answers of the server under test that waited for segments which the box had to send again.
    pub stalled: u64,
}

/// All of it: what `--summary` writes and `GET /api/v1/ledger` shows.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Ledger {
    /// Frames of the mirror.
    pub frames: Frames,
    /// TCP sessions.
    pub sessions: Sessions,
    /// Requests or turns.
    pub requests: Requests,
    /// Verdicts on the answers.
    pub verdicts: Verdicts,
    /// Endpoints and fields whose differences the noise rule keeps; none before it is learned.
    pub findings: u64,
    /// The target side.
    pub target: Target,
    /// What waits for slow targets.
    pub backlog: Lateness,
    /// The recording of the mirror.
    pub record: Recorded,
    /// Latencies of the answered requests.
    pub latency_us: LatencyUs,
    /// Requests and verdicts by service.
    pub services: Services,
}

impl Ledger {
    /// The first law that does not hold, as a sentence.
    pub fn broken_law(&self) -> Option<String> {
        let laws = [
            (
                "frames.received = decoded + ignored",
                self.frames.received,
                self.frames.decoded + self.frames.ignored.sum(),
            ),
            ("sessions.opened = live + ended", self.sessions.opened, self.sessions.live + self.sessions.ended.sum()),
            (
                "requests.captured = not_replayed + answered + not_answered + in_progress",
                self.requests.captured,
                self.requests.not_replayed.sum()
                    + self.requests.answered
                    + self.requests.not_answered.sum()
                    + self.requests.in_progress,
            ),
            ("requests.answered = match + differ + incomparable", self.requests.answered, self.verdicts.sum()),
        ];
        let of_services = self.services.laws(self);
        let unequal = laws.iter().chain(&of_services).find(|(_, left, right)| left != right);
        let excess = self.requests.replayed < self.requests.answered + self.requests.not_answered.sum()
            || self.requests.captured < self.requests.replayed + self.requests.not_replayed.sum();
        match unequal {
            Some((law, left, right)) => Some(format!("{law} does not hold: {left} against {right}")),
            None if excess => Some("more requests have an outcome than were captured or replayed".to_owned()),
            None => None,
        }
    }
}

impl AddAssign<&Self> for Requests {
    fn add_assign(&mut self, rhs: &Self) {
        self.captured += rhs.captured;
        self.turns += rhs.turns;
        self.replayed += rhs.replayed;
        self.answered += rhs.answered;
        self.in_progress += rhs.in_progress;
        self.not_replayed += &rhs.not_replayed;
        self.not_answered += &rhs.not_answered;
    }
}

impl AddAssign<&Self> for Verdicts {
    fn add_assign(&mut self, rhs: &Self) {
        self.matched += rhs.matched;
        self.differ += rhs.differ;
        self.incomparable += &rhs.incomparable;
    }
}

/// The ledgers of several shards add up to the box's.
impl AddAssign<&Self> for Ledger {
    fn add_assign(&mut self, rhs: &Self) {
        self.frames.received += rhs.frames.received;
        self.frames.decoded += rhs.frames.decoded;
        self.frames.ignored += &rhs.frames.ignored;
        self.frames.dropped_kernel += rhs.frames.dropped_kernel;
        self.frames.dropped_nic += rhs.frames.dropped_nic;
        self.frames.truncated += rhs.frames.truncated;
        self.frames.duplicates += rhs.frames.duplicates;
        self.frames.checksums_verified += rhs.frames.checksums_verified;
        self.frames.bad_checksums += rhs.frames.bad_checksums;
        self.frames.with_content += rhs.frames.with_content;
        self.sessions.opened += rhs.sessions.opened;
        self.sessions.live += rhs.sessions.live;
        self.sessions.ended += &rhs.sessions.ended;
        self.sessions.midstream += rhs.sessions.midstream;
        self.sessions.gaps += rhs.sessions.gaps;
        self.sessions.gap_bytes += rhs.sessions.gap_bytes;
        self.sessions.segments_duplicate += rhs.sessions.segments_duplicate;
        self.sessions.segments_early += rhs.sessions.segments_early;
        self.requests += &rhs.requests;
        self.verdicts += &rhs.verdicts;
        self.findings += rhs.findings;
        self.target.frames_sent += rhs.target.frames_sent;
        self.target.frames_sent_with_content += rhs.target.frames_sent_with_content;
        self.target.frames_received += rhs.target.frames_received;
        self.target.frames_ignored += rhs.target.frames_ignored;
        self.target.packets_unresolved += rhs.target.packets_unresolved;
        self.target.connections_opened += rhs.target.connections_opened;
        self.target.reconnects += &rhs.target.reconnects;
        self.target.retransmits += rhs.target.retransmits;
        self.target.ports_exchanged += rhs.target.ports_exchanged;
        self.target.address_conflicts += rhs.target.address_conflicts;
        self.backlog += &rhs.backlog;
        self.record += &rhs.record;
        self.latency_us.origin.add(&rhs.latency_us.origin);
        self.latency_us.target.add(&rhs.latency_us.target);
        self.latency_us.stalled += rhs.latency_us.stalled;
        self.services += &rhs.services;
    }
}
