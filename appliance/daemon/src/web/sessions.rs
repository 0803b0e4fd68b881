//! Live sessions, and the last turns of one.

use super::State;
use super::call::{Answer, Call, error, invalid, not_found, put};
use crate::observed::Turn;
use crate::shard::Handle;
use serde_json::{Value, json};
use tapcopy_engine::Time;
use tapcopy_engine::engine::Live;
use tapcopy_engine::ledger::Reason;

/// Sessions that one question looks at: some 10 ms of a shard.
const LOOKED_AT: usize = 50_000;

struct Filter {
    address: String,
    service: Option<String>,
    state: Option<String>,
}

impl Filter {
    fn fits(&self, live: &Live, service: &str) -> bool {
        self.service.as_ref().is_none_or(|wanted| wanted == service)
            && self.state.as_ref().is_none_or(|wanted| wanted == state_of(live))
            && (self.address.is_empty()
                || live.client.to_string().contains(&self.address)
                || live.origin.to_string().contains(&self.address))
    }
}

/// `GET /sessions`
pub(super) fn sessions(state: &State, call: &Call) -> Answer {
    let limit = match call.number("limit", 100, 1..=500) {
        Ok(limit) => usize::try_from(limit).unwrap_or(usize::MAX),
        Err(answer) => return answer,
    };
    let word = call.query("state").map(str::to_owned);
    if word.as_ref().is_some_and(|word| !["replaying", "waiting", "not_replayed"].contains(&word.as_str())) {
        return invalid(400, "state", "state is replaying, waiting or not_replayed");
    }
    let (mut found, mut matching, mut live) = (Vec::new(), 0, 0);
    for (number, shard) in state.plant.handles().iter().enumerate() {
        let filter = Filter {
            address: call.query("address").unwrap_or_default().to_owned(),
            service: call.query("service").map(str::to_owned),
            state: word.clone(),
        };
        let Some((sessions, fitting, all)) = list(shard, number, filter, limit) else { return stuck() };
        found.extend(sessions);
        matching += fitting;
        live += all;
    }
    Answer::json(200, &json!({ "sessions": found, "matching": matching, "live": live }))
}

fn list(shard: &Handle, number: usize, filter: Filter, limit: usize) -> Option<(Vec<Value>, usize, u64)> {
    shard.ask(move |engine, observed, now| {
        let all = engine.roster().take(LOOKED_AT);
        let mut fitting: Vec<Live> =
            all.filter(|live| filter.fits(live, observed.service(live.number, live.service))).collect();
        fitting.sort_unstable_by_key(|live| std::cmp::Reverse(live.number));
        let shown = |live: &Live| shown(number, live, observed.service(live.number, live.service), now);
        (fitting.iter().take(limit).map(shown).collect(), fitting.len(), engine.ledger().sessions.live)
    })
}

fn state_of(live: &Live) -> &'static str {
    match live.local {
        _ if live.barred.is_some() => "not_replayed",
        Some(_) => "replaying",
        None => "waiting",
    }
}

fn shown(shard: usize, live: &Live, service: &str, now: Time) -> Value {
    let tenths = |since: Time| (now.since(since).as_secs_f64() * 10.0).round() / 10.0;
    let mut shown = json!({
        "id": format!("{shard}-{}", live.number), "service": service, "client": live.client.to_string(),
        "origin": live.origin.to_string(), "target": live.target.to_string(), "state": state_of(live),
        "protocol": live.protocol, "midstream": live.is_midstream, "age_seconds": tenths(live.begun_at),
        "idle_seconds": tenths(live.seen_at), "requests": live.requests, "in_progress": live.in_progress,
    });
    put(&mut shown, "reason", live.barred.map(|cause| cause.word()));
    put(&mut shown, "local", live.local.map(|local| local.to_string()));
    shown
}

/// `GET /sessions/{}`
pub(super) fn session(state: &State, call: &Call) -> Answer {
    let parsed = call
        .variable()
        .split_once('-')
        .and_then(|(shard, number)| Some((shard.parse::<usize>().ok()?, number.parse::<u64>().ok()?)));
    let shards = state.plant.handles();
    let Some((shard, number)) = parsed.and_then(|(shard, number)| Some((shards.get(shard)?, number))) else {
        return not_found("session of this id");
    };
    let index = call.variable().split('-').next().and_then(|shard| shard.parse().ok()).unwrap_or_default();
    let answer = shard.ask(move |engine, observed, now| {
        let live = engine.roster().find(|live| live.number == number);
        let live = live.map(|live| shown(index, &live, observed.service(live.number, live.service), now));
        (live, observed.turns(number))
    });
    match answer {
        None => stuck(),
        Some((None, turns)) if turns.is_empty() => not_found("session of this id, or it ended too long ago"),
        Some((live, turns)) => Answer::json(200, &json!({ "session": live, "turns": with_records(state, &turns) })),
    }
}

/// Turns with the numbers of their records.
fn with_records(state: &State, turns: &[Turn]) -> Vec<Value> {
    let keys: Vec<u64> = turns.iter().map(|turn| turn.key).collect();
    let numbers = state.plant.archive().map(|archive| archive.turns(&keys)).unwrap_or_default();
    turns.iter().map(|turn| turn.shown(numbers.get(&turn.key).copied())).collect()
}

pub(super) fn stuck() -> Answer {
    error(503, "busy", "a shard does not answer; try again")
}
