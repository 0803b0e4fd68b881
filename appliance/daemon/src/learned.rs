//! What an engine has learned about endpoints, as it is shown: findings, and times side by side.

use serde_json::{Value, json};
use tapcopy_engine::findings::{Finding, Place, Timing};
use tapcopy_engine::ledger::Latencies;
use tapcopy_engine::{Engine, Time};
use tapcopy_records::Masks;

/// What is published each second.
#[derive(Clone, Debug, Default)]
pub struct Learned {
    /// The most frequent first.
    pub findings: Vec<Finding>,
}

/// Times of one service or endpoint.
#[derive(Clone, Debug)]
pub struct Times {
    service: String,
    /// None: all of the service.
    endpoint: Option<String>,
    timing: Timing,
}

/// Their names.
const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999)];

impl Learned {
    /// What this engine has learned so far, as it is told at a time ([`Engine::findings`]).
    pub fn of(engine: &Engine, now: Time) -> Self {
        let mut learned = Self { findings: engine.findings(now) };
        learned.sort();
        learned
    }

    /// Adds another shard's. What both have found is one finding; what is too rare to be one in a shard is not counted with that
    /// of the other.
    pub fn extend(&mut self, other: &Self) {
        for finding in &other.findings {
            match self.findings.iter_mut().find(|known| is_same(known, finding)) {
                Some(known) => add(known, finding),
                None => self.findings.push(finding.clone()),
            }
        }
        self.sort();
    }

    fn sort(&mut self) {
        self.findings.sort_by(|one, other| other.target_rate.total_cmp(&one.target_rate));
    }

    /// `{"findings": [...]}`, without what is masked; `example` tells the number of the record that shows a finding.
    pub fn findings_json(&self, masks: &Masks, example: impl Fn(&Finding) -> Option<u64>) -> Value {
        let shown = self.findings.iter().map(|found| finding(found, masks, example(found)));
        json!({ "findings": shown.collect::<Vec<_>>() })
    }
}

fn is_same(one: &Finding, other: &Finding) -> bool {
    let key =
        |finding: &Finding| (finding.fault, finding.service.clone(), finding.endpoint.clone(), finding.field.clone());
    one.fault == other.fault && key(one) == key(other)
}

fn add(known: &mut Finding, other: &Finding) {
    let (here, there) = (known.exchanges as f64, other.exchanges as f64);
    let mean = |one: f64, other: f64| (one * here + other * there) / (here + there).max(1.0);
    known.target_rate = mean(known.target_rate, other.target_rate);
    known.origin_rate = mean(known.origin_rate, other.origin_rate);
    known.exchanges += other.exchanges;
    known.differing += other.differing;
    known.after_loss |= other.after_loss;
    if other.first.captured_at < known.first.captured_at {
        known.first = other.first;
    }
    if other.last.captured_at > known.last.captured_at {
        known.last = other.last;
        known.example.clone_from(&other.example);
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
        "after_loss": finding.after_loss,
    });
    if finding.last.session > 0 {
        shown["first_seen"] = json!(seconds(finding.first));
        shown["last_seen"] = json!(seconds(finding.last));
        shown["example_exchange"] = json!({ "session": finding.last.session, "exchange": finding.last.exchange });
    }
    shown
}

impl Times {
    /// Those of this engine.
    pub fn of(engine: &Engine) -> Vec<Self> {
        let times = |times: tapcopy_engine::findings::Times<'_>| Self {
            service: times.service.to_owned(),
            endpoint: times.endpoint.map(str::to_owned),
            timing: times.timing.clone(),
        };
        engine.times().map(times).collect()
    }

    /// Those of several shards as one.
    pub fn merged(shards: impl IntoIterator<Item = Vec<Self>>) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for times in shards.into_iter().flatten() {
            let is_same = |known: &&mut Self| (&known.service, &known.endpoint) == (&times.service, &times.endpoint);
            match all.iter_mut().find(is_same) {
                Some(known) => known.timing.add(&times.timing),
                None => all.push(times),
            }
        }
        all
    }

    fn to_json(&self) -> Value {
        let Timing { origin_first, origin_last, target_first, target_last, stalled } = &self.timing;
        let mut shown = json!({
            "service": self.service,
            "origin": side(origin_first, origin_last),
            "target": side(target_first, target_last),
            "stalled": stalled,
        });
        if let Some(endpoint) = &self.endpoint {
            shown["endpoint"] = json!(endpoint);
        }
        shown
    }
}

/// `{"services": [...], "endpoints": [...]}`
pub fn latency_json(all: &[Times]) -> Value {
    let of = |is_endpoint: bool| {
        let these = all.iter().filter(|times| times.endpoint.is_some() == is_endpoint);
        these.map(Times::to_json).collect::<Vec<_>>()
    };
    json!({ "services": of(false), "endpoints": of(true) })
}

/// Times of one side in microseconds: to the first byte, and to the last.
fn side(first: &Latencies, last: &Latencies) -> Value {
    json!({ "first_byte_us": quantiles(first), "last_byte_us": quantiles(last) })
}

fn quantiles(latencies: &Latencies) -> Value {
    let mut shown = json!({ "count": latencies.len() });
    for (name, quantile) in QUANTILES {
        shown[name] = json!(latencies.quantile_us(quantile));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapcopy_engine::Time;
    use tapcopy_engine::compare::Kind;
    use tapcopy_engine::findings::Fault;

    fn finding(field: &str, exchanges: u64, differing: u64, seconds: u64) -> Finding {
        let place =
            |seconds: u64| Place { session: seconds, exchange: 0, captured_at: Time::from_millis(seconds * 1_000) };
        Finding {
            service: "shop".to_owned(),
            endpoint: "GET /items/{number}".to_owned(),
            field: field.to_owned(),
            fault: Fault::Content(Kind::Value),
            target_rate: differing as f64 / exchanges as f64,
            origin_rate: 0.0,
            exchanges,
            differing,
            first: place(seconds),
            last: place(seconds + 10),
            example: [String::new(), seconds.to_string()],
            after_loss: seconds > 4,
        }
    }

    #[test]
    fn what_two_shards_find_is_one_finding() {
        let mut all = Learned { findings: vec![finding("status", 100, 10, 5)] };
        all.extend(&Learned { findings: vec![finding("body", 10, 9, 1), finding("status", 300, 10, 2)] });
        let [body, status] = &all.findings[..] else { panic!("{all:?}") };
        assert_eq!((body.field.as_str(), body.differing), ("body", 9));
        assert_eq!((status.exchanges, status.differing, status.target_rate), (400, 20, 0.05));
        assert_eq!((status.first.session, status.last.session, status.example[1].as_str()), (2, 15, "5"));
        assert!(status.after_loss && !body.after_loss, "one of them was");
    }
}
