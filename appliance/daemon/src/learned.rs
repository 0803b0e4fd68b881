//! What an engine has learned about endpoints, as it is shown: findings, and times side by side.

use serde_json::{Value, json};
use tapcopy_engine::Engine;
use tapcopy_engine::findings::{Finding, Place, Timing};
use tapcopy_engine::ledger::Latencies;
use tapcopy_records::Masks;

/// Findings and times.
#[derive(Clone, Debug, Default)]
pub struct Learned {
    /// The most frequent first.
    pub findings: Vec<Finding>,
    /// Times of all services, then of all endpoints.
    pub times: Vec<Times>,
}

/// Times of one service or endpoint.
#[derive(Clone, Debug)]
pub struct Times {
    service: String,
    /// None: all of the service.
    endpoint: Option<String>,
    origin: Side,
    target: Side,
    stalled: u64,
}

/// Times of one side in microseconds: to the first byte, and to the last.
#[derive(Clone, Copy, Debug)]
struct Side {
    first: Quantiles,
    last: Quantiles,
}

#[derive(Clone, Copy, Debug)]
struct Quantiles {
    count: u64,
    us: [u64; 4],
}

/// Their names.
const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999)];

impl Learned {
    /// What this engine has learned so far.
    pub fn of(engine: &Engine) -> Self {
        let mut findings = engine.findings();
        findings.sort_by(|one, other| other.target_rate.total_cmp(&one.target_rate));
        let times = |times: tapcopy_engine::findings::Times<'_>| {
            let Timing { origin_first, origin_last, target_first, target_last, stalled } = times.timing;
            Times {
                service: times.service.to_owned(),
                endpoint: times.endpoint.map(str::to_owned),
                origin: Side::of(origin_first, origin_last),
                target: Side::of(target_first, target_last),
                stalled: *stalled,
            }
        };
        Self { findings, times: engine.times().map(times).collect() }
    }

    /// Adds another's.
    pub fn extend(&mut self, other: &Self) {
        self.findings.extend_from_slice(&other.findings);
        self.times.extend_from_slice(&other.times);
    }

    /// `{"findings": [...]}`, without what is masked; `example` tells the number of the record that shows a finding.
    pub fn findings_json(&self, masks: &Masks, example: impl Fn(&Finding) -> Option<u64>) -> Value {
        let shown = self.findings.iter().map(|found| finding(found, masks, example(found)));
        json!({ "findings": shown.collect::<Vec<_>>() })
    }

    /// `{"services": [...], "endpoints": [...]}`
    pub fn latency_json(&self) -> Value {
        let of = |is_endpoint: bool| {
            let these = self.times.iter().filter(|times| times.endpoint.is_some() == is_endpoint);
            these.map(Times::to_json).collect::<Vec<_>>()
        };
        json!({ "services": of(false), "endpoints": of(true) })
    }
}

fn finding(finding: &Finding, masks: &Masks, example: Option<u64>) -> Value {
    let seconds = |place: Place| place.captured_at.as_nanos() as f64 / 1e9;
    let [origin, target] = &finding.example;
    let masked = |value: &str| masks.masked(&finding.field, value);
    let mut shown = json!({
        "service": finding.service,
        "endpoint": finding.endpoint,
        "field": finding.field,
        "kind": finding.fault.to_string(),
        "target_rate": finding.target_rate,
        "origin_rate": finding.origin_rate,
        "exchanges": finding.exchanges,
        "differing": finding.differing,
        "example_origin": masked(origin),
        "example_target": masked(target),
        "example_record": example,
    });
    if finding.last.session > 0 {
        shown["first_seen"] = json!(seconds(finding.first));
        shown["last_seen"] = json!(seconds(finding.last));
        shown["example_exchange"] = json!({ "session": finding.last.session, "exchange": finding.last.exchange });
    }
    shown
}

impl Times {
    fn to_json(&self) -> Value {
        let mut shown = json!({
            "service": self.service,
            "origin": self.origin.to_json(),
            "target": self.target.to_json(),
            "stalled": self.stalled,
        });
        if let Some(endpoint) = &self.endpoint {
            shown["endpoint"] = json!(endpoint);
        }
        shown
    }
}

impl Side {
    fn of(first: &Latencies, last: &Latencies) -> Self {
        Self { first: Quantiles::of(first), last: Quantiles::of(last) }
    }

    fn to_json(self) -> Value {
        json!({ "first_byte_us": self.first.to_json(), "last_byte_us": self.last.to_json() })
    }
}

impl Quantiles {
    fn of(latencies: &Latencies) -> Self {
        Self { count: latencies.len(), us: QUANTILES.map(|(_, quantile)| latencies.quantile_us(quantile)) }
    }

    fn to_json(self) -> Value {
        let mut shown = json!({ "count": self.count });
        for ((name, _), us) in QUANTILES.iter().zip(self.us) {
            shown[*name] = json!(us);
        }
        shown
    }
}
