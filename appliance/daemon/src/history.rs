//! The last minutes, for the page's charts: one sample a second, and for each service a strip of verdicts.

use crate::observed::Outcomes;
use crate::shard::Snapshot;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, VecDeque};
use tapcopy_engine::ledger::{Latencies, NotReplayed};
use tapcopy_engine::{Ledger, Time};

/// Samples kept: ten minutes.
const SAMPLES: usize = 600;
/// Length of a span of a strip in seconds, and spans kept.
const SPAN_SECONDS: u64 = 10;
const SPANS: usize = 60;
/// Samples over which the rates of the stages are taken.
const RATE_SAMPLES: usize = 5;

/// Counters and levels at one time.
#[derive(Clone, Debug, Default)]
struct Sample {
    wall: f64,
    at: Time,
    /// By name, what grows.
    counters: [u64; COUNTERS.len()],
    /// By name, what goes up and down.
    levels: [Option<u64>; LEVELS.len()],
}

type Counter = fn(&Ledger) -> u64;
type Level = fn(&Ledger) -> Option<u64>;

/// Counters, as the series are called: their rates are shown.
const COUNTERS: [(&str, Counter); 15] = [
    ("frames", |ledger| ledger.frames.received),
    ("dropped", |ledger| ledger.frames.dropped_kernel + ledger.frames.dropped_nic),
    ("sessions", |ledger| ledger.sessions.opened),
    ("gaps", |ledger| ledger.sessions.gaps),
    ("captured", |ledger| ledger.requests.captured),
    ("replayed", |ledger| ledger.requests.replayed),
    ("answered", |ledger| ledger.requests.answered),
    ("match", |ledger| ledger.verdicts.matched),
    ("differ", |ledger| ledger.verdicts.differ),
    ("incomparable", |ledger| ledger.verdicts.incomparable.sum()),
    ("not_replayed", |ledger| ledger.requests.not_replayed.sum()),
    ("not_answered", |ledger| ledger.requests.not_answered.sum()),
    ("left_out", left_out),
    ("target_sent", |ledger| ledger.target.frames_sent),
    ("target_received", |ledger| ledger.target.frames_received),
];

/// Requests that the settings or a person leave out: no loss.
fn left_out(ledger: &Ledger) -> u64 {
    [NotReplayed::NotSampled, NotReplayed::Filtered, NotReplayed::RateCapped, NotReplayed::Stopped]
        .into_iter()
        .map(|cause| ledger.requests.not_replayed.of(cause))
        .sum()
}

fn quantile(latencies: &Latencies, quantile: f64) -> Option<u64> {
    (!latencies.is_empty()).then(|| latencies.quantile_us(quantile))
}

/// Levels, as the series are called.
const LEVELS: [(&str, Level); 5] = [
    ("sessions_live", |ledger| Some(ledger.sessions.live)),
    ("origin_p50_us", |ledger| quantile(&ledger.latency_us.origin, 0.5)),
    ("origin_p99_us", |ledger| quantile(&ledger.latency_us.origin, 0.99)),
    ("target_p50_us", |ledger| quantile(&ledger.latency_us.target, 0.5)),
    ("target_p99_us", |ledger| quantile(&ledger.latency_us.target, 0.99)),
];

/// Outcomes of one span of a strip.
#[derive(Clone, Copy, Debug)]
struct Span {
    /// Number of the span since the start.
    number: u64,
    wall: f64,
    outcomes: Outcomes,
}

/// The samples.
#[derive(Default)]
pub struct History {
    samples: VecDeque<Sample>,
    strips: BTreeMap<String, VecDeque<Span>>,
    /// What the strips were advanced to.
    outcomes: BTreeMap<String, Outcomes>,
}

impl History {
    /// Takes the sample of a second.
    pub fn sample(&mut self, snapshot: &Snapshot, wall: f64, now: Time) {
        let counters = COUNTERS.map(|(_, count)| count(&snapshot.ledger));
        let levels = LEVELS.map(|(_, level)| level(&snapshot.ledger));
        if self.samples.len() >= SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(Sample { wall, at: now, counters, levels });
        self.advance_strips(&snapshot.services, wall, now);
    }

    fn advance_strips(&mut self, services: &BTreeMap<String, Outcomes>, wall: f64, now: Time) {
        let number = now.as_nanos() / 1_000_000_000 / SPAN_SECONDS;
        for (name, outcomes) in services {
            let before = self.outcomes.insert(name.clone(), *outcomes).unwrap_or_default();
            let strip = self.strips.entry(name.clone()).or_default();
            if strip.back().is_none_or(|last| last.number != number) {
                strip.push_back(Span { number, wall, outcomes: Outcomes::default() });
            }
            if strip.len() > SPANS {
                strip.pop_front();
            }
            if let Some(span) = strip.back_mut() {
                span.outcomes.add(outcomes.since(before));
            }
        }
    }

    /// The rate of a counter over the last seconds.
    pub fn rate(&self, name: &str) -> f64 {
        let Some(index) = COUNTERS.iter().position(|(known, _)| *known == name) else { return 0.0 };
        let first = self.samples.len().saturating_sub(RATE_SAMPLES + 1);
        match (self.samples.get(first), self.samples.back()) {
            (Some(first), Some(last)) => rate(first, last, index),
            _ => 0.0,
        }
    }

    /// How many samples there are.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// The last values of all series, oldest first. Of counters the rates, so that the first sample gives none.
    pub fn series(&self, values: usize) -> Value {
        let first = self.samples.len().saturating_sub(values.saturating_add(1));
        let pairs = || self.samples.iter().skip(first).zip(self.samples.iter().skip(first + 1));
        let mut series = Map::new();
        series.insert("at".to_owned(), pairs().map(|(_, sample)| Value::from(rounded(sample.wall))).collect());
        for (index, (name, _)) in COUNTERS.iter().enumerate() {
            let rates = pairs().map(|(before, sample)| Value::from(rounded(rate(before, sample, index))));
            series.insert((*name).to_owned(), rates.collect());
        }
        for (index, (name, _)) in LEVELS.iter().enumerate() {
            let levels = pairs().map(|(_, sample)| sample.levels[index].map_or(Value::Null, Value::from));
            series.insert((*name).to_owned(), levels.collect());
        }
        Value::Object(series)
    }

    /// The strip of a service.
    pub fn strip(&self, service: &str) -> Value {
        let spans = self.strips.get(service).into_iter().flatten();
        let shown = spans.map(|Span { wall, outcomes, .. }| {
            let other = outcomes.incomparable + outcomes.not_answered + outcomes.not_replayed;
            json!({ "at": rounded(*wall), "match": outcomes.matched, "differ": outcomes.differ, "other": other })
        });
        shown.collect()
    }
}

fn rate(from: &Sample, to: &Sample, index: usize) -> f64 {
    let seconds = to.at.since(from.at).as_secs_f64();
    if seconds <= 0.0 { 0.0 } else { to.counters[index].saturating_sub(from.counters[index]) as f64 / seconds }
}

fn rounded(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Time {
        Time::from_nanos(second * 1_000_000_000)
    }

    #[test]
    fn rates_series_and_strips() {
        let mut history = History::default();
        let mut snapshot = Snapshot::default();
        for second in 0..=10_u64 {
            snapshot.ledger.frames.received = second * 100;
            snapshot.ledger.sessions.live = second;
            let outcomes = Outcomes { matched: second * 2, differ: second, ..Outcomes::default() };
            snapshot.services.insert("a".to_owned(), outcomes);
            history.sample(&snapshot, second as f64, at(second));
        }
        assert_eq!((history.rate("frames"), history.rate("captured")), (100.0, 0.0));
        let series = history.series(600);
        assert_eq!(series["frames"].as_array().unwrap().len(), 10);
        assert_eq!((&series["frames"][9], &series["sessions_live"][9]), (&json!(100.0), &json!(10)));
        assert_eq!(series["origin_p50_us"][0], Value::Null);
        assert_eq!(history.series(3)["sessions_live"], json!([8, 9, 10]));
        let expected = json!([
            {"at": 0.0, "match": 18, "differ": 9, "other": 0}, {"at": 10.0, "match": 2, "differ": 1, "other": 0},
        ]);
        assert_eq!((history.strip("a"), history.strip("b")), (expected, json!([])));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut history = History::default();
        let mut snapshot = Snapshot::default();
        snapshot.services.insert("a".to_owned(), Outcomes::default());
        (0..2_000).for_each(|second| history.sample(&snapshot, 0.0, at(second)));
        assert_eq!((history.len(), history.strips["a"].len()), (SAMPLES, SPANS));
    }
}
