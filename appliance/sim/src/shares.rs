//! The traffic of a seed's world, shared out: what the mirror showed in it is shown to an engine that has all of it, and to
//! engines that have a share each. Together these do what the one does.

use crate::pcap::Captured;
use crate::world::{self, Options};
use core::time::Duration;
use std::collections::BTreeSet;
use tapcopy_engine::config::{Config, FarEnd};
use tapcopy_engine::message::LinkType;
use tapcopy_engine::share::{Part, Share};
use tapcopy_engine::{Command, Engine, Input, Limits, MirrorFrame, Output, Record, Time};

/// Boxes, and the shards of each.
const BOXES: u16 = 2;
const SHARDS: u16 = 2;

/// How long the sessions have at the end.
const LIMIT: Duration = Duration::from_secs(5);

/// One exchange, by whose it is and what became of it.
type Told = (String, u64, u16, u16, String);

/// What one engine did.
struct Done {
    told: Vec<Told>,
    opened: u64,
    captured: u64,
    sessions: BTreeSet<u64>,
}

/// What is wrong with a seed's traffic when it is shared out, and how many sessions the smallest share has; `None` where a
/// bound or a cap, which each engine has for itself, has a say in what is replayed.
pub fn divide(seed: u64) -> Option<Result<u64, String>> {
    let (config, captured) = world::shown(seed, Options { production_only: true, capture: true, ..Options::default() });
    let is_capped = config.services.iter().any(|service| service.sessions_per_second.is_some());
    if is_capped || !has_room(&config.limits) {
        return None;
    }
    let config = Config { far_end: FarEnd::Rehearsal, ..config };
    let whole = perform(&config, Share::default(), seed, &captured);
    let parts = |of| (0..of).map(move |index| Part { index, of });
    let shares = parts(BOXES).flat_map(|of_boxes| parts(SHARDS).map(move |of_shards| Share { of_boxes, of_shards }));
    let shared: Vec<Done> = shares.map(|share| perform(&config, share, seed, &captured)).collect();
    Some(compare(&whole, &shared))
}

/// Bounds that one box's sessions do not meet whether they are in one engine or in several.
fn has_room(limits: &Limits) -> bool {
    let usual = Limits::default();
    limits.sessions == usual.sessions
        && limits.ahead_bytes == usual.ahead_bytes
        && limits.outboxes_bytes == usual.outboxes_bytes
        && limits.bodies_bytes == usual.bodies_bytes
        && limits.fragment_bytes == usual.fragment_bytes
}

fn compare(whole: &Done, shared: &[Done]) -> Result<u64, String> {
    let sum = |count: fn(&Done) -> u64| shared.iter().map(count).sum::<u64>();
    let (opened, captured) = (sum(|done| done.opened), sum(|done| done.captured));
    if (opened, captured) != (whole.opened, whole.captured) {
        let of_whole = format!("{} sessions with {} requests", whole.opened, whole.captured);
        return Err(format!("{of_whole} became {opened} with {captured}"));
    }
    for of_box in shared.chunks(SHARDS.into()) {
        let numbers: usize = of_box.iter().map(|done| done.sessions.len()).sum();
        if of_box.iter().flat_map(|done| &done.sessions).collect::<BTreeSet<_>>().len() != numbers {
            return Err("two sessions of a box have the same number".to_owned());
        }
    }
    let mut told: Vec<&Told> = shared.iter().flat_map(|done| &done.told).collect();
    told.sort();
    match told.iter().zip(&whole.told).find(|(shared, whole)| *shared != whole) {
        Some((shared, whole)) => Err(format!("{whole:?} became {shared:?}")),
        None => Ok(shared.iter().map(|done| done.opened).min().unwrap_or(0)),
    }
}

fn perform(config: &Config, share: Share, seed: u64, captured: &[Captured]) -> Done {
    let begin = captured.first().map_or(Time::ZERO, |frame| frame.at);
    let mut engine = Engine::new(begin, Config { share, ..config.clone() }, seed);
    let mut records = Vec::new();
    let mut now = begin;
    for Captured { at, bytes, wire_len } in captured {
        now = advance(&mut engine, now, *at, &mut records);
        let frame = MirrorFrame { captured_at: *at, link: LinkType::Ethernet, wire_len: *wire_len, bytes };
        handle(&mut engine, now, Input::Mirror(frame), &mut records);
    }
    now = advance(&mut engine, now, now + LIMIT, &mut records);
    handle(&mut engine, now, Input::Command(Command::Finish { limit: LIMIT }), &mut records);
    advance(&mut engine, now, now + LIMIT * 2, &mut records);
    let ledger = engine.ledger();
    assert_eq!(ledger.broken_law(), None);
    let mut told: Vec<Told> = records.iter().map(told).collect();
    told.sort();
    Done {
        told,
        opened: ledger.sessions.opened,
        captured: ledger.requests.captured,
        sessions: records.iter().map(|record| record.session).collect(),
    }
}

fn told(record: &Record) -> Told {
    let whose = format!("{} {} {:?}", record.client, record.origin, record.captured_at);
    (whose, record.exchange, record.target, record.copy, format!("{:?}", record.outcome))
}

/// Runs the timers up to `until`, and says what time it is then.
fn advance(engine: &mut Engine, mut now: Time, until: Time, records: &mut Vec<Record>) -> Time {
    while let Some(due) = engine.poll_timeout().filter(|due| *due <= until) {
        now = now.max(due);
        handle(engine, now, Input::Tick, records);
    }
    now.max(until)
}

fn handle(engine: &mut Engine, now: Time, input: Input<'_>, records: &mut Vec<Record>) {
    engine.handle_input(now, input);
    while let Some(output) = engine.poll_output() {
        if let Output::Record(record) = output {
            records.push(record);
        }
    }
}
