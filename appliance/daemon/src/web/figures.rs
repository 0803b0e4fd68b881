//! The ledger, health, and the kill switch.

use super::call::{Answer, Call, put};
use super::sessions::stuck;
use super::{State, exchanges, settings};
use crate::learned::{Times, latency_json};
use serde_json::{Map, Value, json};
use std::time::Duration;
use tapcopy_engine::findings::Finding;
use tapcopy_engine::ledger::{Ended, Ignored, Incomparable, NotAnswered, NotReplayed, Reason, Reconnect};

/// A shard that has not published for so long is stuck.
const STALE: Duration = Duration::from_secs(10);

/// `GET /health`
pub(super) fn health(state: &State, _: &Call) -> Answer {
    let total = state.plant.total();
    let age = state.clock.now().since(total.at);
    let (shards, fault) = (state.plant.shards(), state.plant.fault());
    let (status, message) = match fault {
        Some(fault) => ("failed", fault),
        None if state.desk.document().is_none() => ("idle", String::new()),
        None if age > STALE => ("stuck", "a shard has not been heard of for 10 s; restart".to_owned()),
        None if total.loop_alarm => {
            ("loop_alarm", "the mirror shows the box's own frames; take the target's port out of it".to_owned())
        }
        None if !total.address_conflicts.is_empty() => ("address_conflict", total.conflict_sentences().join(" ")),
        None => ("ok", String::new()),
    };
    let mut body = json!({
        "status": status,
        "version": env!("CARGO_PKG_VERSION"),
        "claimed": state.accounts.is_claimed(),
        "claimable": state.accounts.is_claimable(),
        "uptime_seconds": state.clock.uptime().as_secs(),
        "shards": shards,
        "address_conflicts": total.conflict_sentences(),
        "snapshot_age_ms": u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
    });
    if !message.is_empty() {
        body["message"] = Value::from(message);
    }
    put(&mut body, "records", exchanges::health(state));
    Answer::json(if matches!(status, "ok" | "idle") { 200 } else { 503 }, &body)
}

/// `GET /ledger`
pub(super) fn ledger(state: &State, _: &Call) -> Answer {
    Answer::json(200, &state.plant.total().ledger)
}

/// `GET /findings`
pub(super) fn findings(state: &State, _: &Call) -> Answer {
    let archive = state.plant.archive();
    let masks = archive.map(|archive| archive.masks()).unwrap_or_default();
    let example = |finding: &Finding| archive.and_then(|archive| archive.example(finding));
    Answer::json(200, &state.plant.total().learned.findings_json(&masks, example))
}

/// `GET /latency`
pub(super) fn latency(state: &State, _: &Call) -> Answer {
    let mut shards = Vec::new();
    for shard in state.plant.handles() {
        let Some(times) = shard.ask(|engine, _, _| Times::of(engine)) else { return stuck() };
        shards.push(times);
    }
    Answer::json(200, &latency_json(&Times::merged(shards)))
}

/// `POST /replay/start`
pub(super) fn start_replay(state: &State, call: &Call) -> Answer {
    replay(state, call, true)
}

/// `POST /replay/stop`
pub(super) fn stop_replay(state: &State, call: &Call) -> Answer {
    replay(state, call, false)
}

fn replay(state: &State, call: &Call, is_on: bool) -> Answer {
    let done = state.desk.replay(is_on);
    state.note(call, if is_on { "replay_started" } else { "replay_stopped" }, "");
    done.map_or_else(settings::refused, |()| Answer::json(200, &json!({ "replaying": is_on })))
}

/// `GET /reasons`: every reason's sentence, by where it stands in the ledger.
pub(super) fn reasons(_: &State, _: &Call) -> Answer {
    let sentences = json!({
        "frames.ignored": sentences::<Ignored>(),
        "sessions.ended": sentences::<Ended>(),
        "requests.not_replayed": sentences::<NotReplayed>(),
        "requests.not_answered": sentences::<NotAnswered>(),
        "verdicts.incomparable": sentences::<Incomparable>(),
        "target.reconnects": sentences::<Reconnect>(),
    });
    Answer::json(200, &sentences)
}

fn sentences<R: Reason>() -> Map<String, Value> {
    R::ALL.iter().map(|reason| (reason.word().to_owned(), Value::from(reason.sentence()))).collect()
}
