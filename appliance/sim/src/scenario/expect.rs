//! Expectations of scenarios: checking and rewriting them.

use super::notation::{Fault, Scenario};
use crate::report::Violation;
use serde_json::Value;
use tapcopy_engine::ledger::Reason;
use tapcopy_engine::message::{self, Verdict};
use tapcopy_engine::{Ledger, Record};

/// What came out of a scenario.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What the target's application read on each connection.
    pub read: Vec<Vec<u8>>,
    /// The engine's records.
    pub records: Vec<Record>,
    /// The engine's counters at the end.
    pub ledger: Ledger,
    /// Rules that were broken on the way.
    pub violations: Vec<Violation>,
}

/// One expectation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// All bytes read on a connection, counted from 1.
    TargetRead(usize, Vec<u8>),
    /// The outcome of a record, in the order of sessions and exchanges.
    Record(usize, String),
    /// A number of the ledger, or `connections`.
    Count(String, u64),
}

/// Every expectation that does not hold.
pub fn faults(scenario: &Scenario, outcome: &Outcome) -> Vec<Fault> {
    let check = |(line, expected): &(usize, Expectation)| {
        let found = actual(expected, outcome);
        let fault = |found: Expectation| format!("expected {}, found {}", write(expected), write(&found));
        match found {
            Ok(found) if found == *expected => None,
            Ok(found) => Some((*line, fault(found))),
            Err(fault) => Some((*line, fault)),
        }
    };
    scenario.expectations.iter().filter_map(check).collect()
}

/// The text of the file with expectations that hold; a file without any gets the usual ones.
pub fn update(text: &str, scenario: &Scenario, outcome: &Outcome) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for (line, expected) in &scenario.expectations {
        if let Ok(found) = actual(expected, outcome)
            && found != *expected
        {
            lines[line - 1] = write(&found);
        }
    }
    if scenario.expectations.is_empty() {
        lines.extend(usual(outcome).iter().map(write));
    }
    lines.join("\n") + "\n"
}

fn usual(outcome: &Outcome) -> Vec<Expectation> {
    let reads = (1..).zip(&outcome.read).map(|(number, bytes)| Expectation::TargetRead(number, bytes.clone()));
    let connections = Expectation::Count("connections".to_owned(), outcome.read.len() as u64);
    let captured = Expectation::Count("requests.captured".to_owned(), outcome.ledger.requests.captured);
    let records =
        (0..).zip(ordered(outcome)).map(|(number, record)| Expectation::Record(number, outcome_words(record)));
    reads.chain([connections, captured]).chain(records).collect()
}

fn ordered(outcome: &Outcome) -> Vec<&Record> {
    let mut records: Vec<&Record> = outcome.records.iter().collect();
    records.sort_by_key(|record| (record.session, record.copy, record.exchange));
    records
}

/// What is, in the shape of what was expected.
fn actual(expected: &Expectation, outcome: &Outcome) -> Result<Expectation, String> {
    Ok(match expected {
        Expectation::TargetRead(number, _) => {
            let read = number.checked_sub(1).and_then(|index| outcome.read.get(index));
            Expectation::TargetRead(*number, read.cloned().unwrap_or_default())
        }
        Expectation::Record(number, _) => {
            let record = ordered(outcome).get(*number).map(|record| outcome_words(record));
            Expectation::Record(*number, record.unwrap_or_else(|| "missing".to_owned()))
        }
        Expectation::Count(path, _) if path == "connections" => {
            Expectation::Count(path.clone(), outcome.read.len() as u64)
        }
        Expectation::Count(path, _) => Expectation::Count(path.clone(), count(&outcome.ledger, path)?),
    })
}

fn count(ledger: &Ledger, path: &str) -> Result<u64, String> {
    let ledger = serde_json::to_value(ledger).expect("a ledger is JSON");
    let mut leaves = Vec::new();
    flatten("", &ledger, &mut leaves);
    let of_path = |name: &str| name == path || name.strip_suffix(path).is_some_and(|front| front.ends_with('.'));
    let found: Vec<_> = leaves.iter().filter(|(name, _)| of_path(name)).collect();
    match found.as_slice() {
        [(_, value)] => Ok(*value),
        // A reason that did not occur is not in the JSON.
        [] if is_reason(path, &ledger) => Ok(0),
        [] => Err(format!("{path} is not in the ledger")),
        [(one, _), (other, _), ..] => Err(format!("{path} may be {one} or {other}")),
    }
}

fn flatten(path: &str, value: &Value, leaves: &mut Vec<(String, u64)>) {
    match value {
        Value::Object(map) => {
            // What is told by service is the same again.
            for (key, value) in map.iter().filter(|(key, _)| *key != "services") {
                flatten(&if path.is_empty() { key.clone() } else { format!("{path}.{key}") }, value, leaves);
            }
        }
        _ => leaves.extend(value.as_u64().map(|value| (path.to_owned(), value))),
    }
}

/// Whether the path leads into a map of reasons.
fn is_reason(path: &str, ledger: &Value) -> bool {
    let Some((map, _)) = path.rsplit_once('.') else { return false };
    ledger.pointer(&format!("/{}", map.replace('.', "/"))).is_some_and(Value::is_object)
}

fn outcome_words(record: &Record) -> String {
    match &record.outcome {
        message::Outcome::Answered(Verdict::Match) => "match".to_owned(),
        message::Outcome::Answered(Verdict::Differ(differences)) => {
            let words = differences.iter().map(|difference| match difference.offset {
                Some(offset) => format!(" {}@{offset}", difference.field),
                None => format!(" {}", difference.field),
            });
            format!("differ{}", words.collect::<String>())
        }
        message::Outcome::Answered(Verdict::Incomparable(reason)) => format!("incomparable {}", reason.word()),
        message::Outcome::NotAnswered(reason) => format!("not_answered {}", reason.word()),
        message::Outcome::NotReplayed(reason) => format!("not_replayed {}", reason.word()),
    }
}

/// The line of an expectation.
fn write(expectation: &Expectation) -> String {
    match expectation {
        Expectation::TargetRead(1, bytes) => format!("expect target < {}", quote(bytes)),
        Expectation::TargetRead(number, bytes) => format!("expect target {number} < {}", quote(bytes)),
        Expectation::Record(number, words) => format!("expect record {number} {words}"),
        Expectation::Count(path, value) => format!("expect {path} = {value}"),
    }
}

/// Text in quotes; long runs of one byte are written as repetitions.
fn quote(bytes: &[u8]) -> String {
    let (mut parts, mut open) = (Vec::new(), String::new());
    for run in bytes.chunk_by(|a, b| a == b) {
        if run.len() < 16 {
            open.extend(run.iter().map(|byte| escape(*byte)));
        } else {
            if !open.is_empty() {
                parts.push(format!("\"{}\"", core::mem::take(&mut open)));
            }
            parts.push(format!("\"{}\"*{}", escape(run[0]), run.len()));
        }
    }
    if !open.is_empty() || parts.is_empty() {
        parts.push(format!("\"{open}\""));
    }
    parts.join(" ")
}

fn escape(byte: u8) -> String {
    match byte {
        b'\r' => "\\r".to_owned(),
        b'\n' => "\\n".to_owned(),
        b'\t' => "\\t".to_owned(),
        b'"' | b'\\' => format!("\\{}", char::from(byte)),
        b' '..=b'~' => char::from(byte).to_string(),
        _ => format!("\\x{byte:02x}"),
    }
}
