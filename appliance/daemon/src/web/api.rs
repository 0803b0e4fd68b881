//! The REST interface: JSON, with faults as `{"error": {"code", "field"?, "message"}}`.

use super::{Answer, State};
use crate::desk::Refusal;
use crate::doctor;
use crate::settings::{FieldFault, Format};
use serde_json::{Map, Value, json};
use std::time::Duration;
use tapcopy_engine::ledger::{Ended, Ignored, Incomparable, NotAnswered, NotReplayed, Reason, Reconnect};

const JSON: &str = "application/json";
/// A shard that has not published for so long is stuck.
const STALE: Duration = Duration::from_secs(10);
/// How long the mirror is looked at unless the request says it, and at most: the answer waits for it.
const LOOK_SECONDS: u64 = 3;
const LOOK_SECONDS_MAX: u64 = 30;

/// The resource at this path.
pub(super) fn resource(state: &State, path: &str) -> Option<Answer> {
    match path {
        "/api/v1/health" => Some(health(state)),
        "/api/v1/ledger" => Some(ledger(state)),
        "/api/v1/reasons" => Some(Answer::new(200, JSON, reasons().to_string())),
        _ => None,
    }
}

/// An answer that is a fault.
pub(super) fn error(status: u16, code: &str, message: &str) -> Answer {
    Answer::new(status, JSON, json!({ "error": { "code": code, "message": message } }).to_string())
}

fn health(state: &State) -> Answer {
    let total = state.plant.total();
    let age = state.clock.now().since(total.at);
    let (shards, fault) = (state.plant.shards(), state.plant.fault());
    let status = match () {
        () if fault.is_some() => "fault",
        () if shards == 0 => "waiting_for_settings",
        () if age > STALE => "stuck",
        () if total.loop_alarm => "loop_alarm",
        () if !total.address_conflicts.is_empty() => "address_conflict",
        () => "ok",
    };
    let body = json!({
        "status": status,
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_seconds": state.clock.uptime().as_secs(),
        "shards": shards,
        "fault": fault,
        "address_conflicts": total.conflict_sentences(),
        "snapshot_age_ms": u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
    });
    Answer::new(if matches!(status, "ok" | "waiting_for_settings") { 200 } else { 503 }, JSON, body.to_string())
}

fn ledger(state: &State) -> Answer {
    let ledger = state.plant.total().ledger;
    Answer::new(200, JSON, serde_json::to_string(&ledger).expect("a ledger has only string keys"))
}

/// Looks at the mirror NICs now, beside the run, and tells what is wrong with the mirror; `?seconds=N` says for how long.
pub(super) fn doctor(state: &State, url: &str) -> Answer {
    let Ok(_one) = state.looking.try_lock() else {
        return error(503, "busy", "somebody looks at the mirror already; try again in a few seconds");
    };
    let asked = url.split_once("seconds=").map_or(Ok(LOOK_SECONDS), |(_, number)| number.parse());
    let Some(seconds) = asked.ok().filter(|seconds| (1..=LOOK_SECONDS_MAX).contains(seconds)) else {
        let message = format!("seconds is a number from 1 to {LOOK_SECONDS_MAX}");
        return error(400, "invalid", &message);
    };
    match doctor::of_nics(&state.desk.document().nics.mirror, Duration::from_secs(seconds), None) {
        Ok(report) => Answer::new(200, JSON, serde_json::to_string(&report).expect("a report has only string keys")),
        Err(fault) => error(500, "nic", &fault.to_string()),
    }
}

/// The settings in force.
pub(super) fn settings(state: &State) -> Answer {
    Answer::new(200, JSON, state.desk.document().to_json())
}

/// How a body of this content type is written.
pub(super) fn format_of(content_type: &str) -> Option<Format> {
    match content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "application/json" => Some(Format::Json),
        "application/toml" | "text/toml" | "text/x-toml" => Some(Format::Toml),
        _ => None,
    }
}

/// Changes the settings.
pub(super) fn change(state: &State, body: &str, format: Format) -> Answer {
    match state.desk.change(body, format) {
        Ok(()) => Answer::new(200, JSON, json!({ "applied": true }).to_string()),
        Err(Refusal::ReadOnly) => {
            let message = "settings given on the command line are read-only; start with the stored ones to change them";
            error(409, "read_only", message)
        }
        Err(Refusal::Store(message)) => error(500, "store", &message),
        Err(Refusal::Faults(faults)) => unprocessable(&faults),
    }
}

/// The first fault as the error, and all of them beside it.
fn unprocessable(faults: &[FieldFault]) -> Answer {
    let fault = |fault: &FieldFault| {
        let mut object = json!({ "code": "invalid", "message": fault.message });
        if !fault.field.is_empty() {
            object["field"] = Value::from(fault.field.as_str());
        }
        object
    };
    let all: Vec<Value> = faults.iter().map(fault).collect();
    let body = json!({ "error": all.first(), "faults": all });
    Answer::new(422, JSON, body.to_string())
}

/// Every reason's sentence, by where it stands in the ledger.
fn reasons() -> Value {
    json!({
        "frames.ignored": sentences::<Ignored>(),
        "sessions.ended": sentences::<Ended>(),
        "requests.not_replayed": sentences::<NotReplayed>(),
        "requests.not_answered": sentences::<NotAnswered>(),
        "verdicts.incomparable": sentences::<Incomparable>(),
        "target.reconnects": sentences::<Reconnect>(),
    })
}

fn sentences<R: Reason>() -> Map<String, Value> {
    R::ALL.iter().map(|reason| (reason.word().to_owned(), Value::from(reason.sentence()))).collect()
}
