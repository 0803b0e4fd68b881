//! Which kinds of fault, of form and of behaviour exist in a run, in words: what the tests count over many seeds.

use crate::fault::{Faults, Order};
use crate::link::Netem;
use crate::plan::{Kind, Plan, RequestPlan, Start, Step};
use crate::workload::HOUR;
use core::time::Duration;
use tapcopy_engine::config::{Mode, Pacing, Speed};
use tapcopy_engine::ledger::{Reason, Tally};
use tapcopy_engine::{Ledger, Limits, Time};

/// A pause after which hosts send keep-alive probes.
const LONG: Duration = Duration::from_secs(25);

/// The kinds that exist.
pub fn kinds(plan: &Plan, faults: &Faults) -> Vec<&'static str> {
    let all = [&mirror(faults)[..], &target(faults), &paths(faults), &in_box(faults), &workload(plan), &topology(plan)];
    let mut kinds: Vec<_> = all.concat().into_iter().filter(|(exists, _)| *exists).map(|(_, word)| word).collect();
    kinds.extend(faults.mirror.shape.words());
    kinds
}

type Found = Vec<(bool, &'static str)>;

fn mirror(faults: &Faults) -> Found {
    let mirror = &faults.mirror;
    vec![
        (mirror.bursts.is_some(), "mirror loss"),
        (mirror.double.is_some(), "every frame twice"),
        (mirror.double.is_some_and(|(_, routed, _)| routed), "twice with another ttl"),
        (mirror.double.is_some_and(|(.., vlan)| vlan.is_some()), "twice with another vlan"),
        (mirror.skew.is_some(), "directions out of order"),
        (mirror.nics.is_some(), "two mirror nics"),
        (mirror.snaplen.is_some(), "truncation"),
        (mirror.one_way == Some(true), "requests only"),
        (mirror.one_way == Some(false), "answers only"),
        (mirror.starts_at.is_some(), "midstream"),
        (mirror.bad_checksums, "bad checksums"),
        (mirror.fast_open, "fast open"),
        (mirror.vlan.0 != mirror.vlan.1, "vlan one-sided"),
    ]
}

fn target(faults: &Faults) -> Found {
    let target = &faults.target;
    vec![
        (target.alters > 0, "altered answers"),
        (target.early_close > 0, "early close"),
        (target.resets > 0, "resets"),
        (target.cuts > 0, "cut answers"),
        (target.swallows > 0, "swallowed requests"),
        (target.mute > 0, "mute target"),
        (target.slow.is_some(), "slow target"),
        (target.stalls.is_some(), "zero window"),
        (target.refuses.is_some(), "refusal"),
        (target.black_hole.is_some(), "black hole"),
        (target.black_hole.is_some_and(|(_, to)| to == Time::MAX), "dead target"),
        (target.dark.is_some(), "no neighbour"),
        (faults.rehearsal, "rehearsal"),
    ]
}

fn paths(faults: &Faults) -> Found {
    let any = |test: fn(&Netem) -> bool| [faults.client_path, faults.origin_path].iter().any(test);
    vec![
        (any(|path| path.loss > 0), "production loss"),
        (any(|path| path.reorder > 0), "production reordering"),
        (any(|path| path.duplicate > 0), "production duplication"),
        (faults.target_path.loss > 0, "target loss"),
        (faults.target_path.rate.is_some(), "target rate"),
        (faults.production_mtu > 1_500, "super-frames"),
        (faults.production_mtu < 1_500, "small segments"),
    ]
}

fn in_box(faults: &Faults) -> Found {
    let (limits, usual) = (&faults.in_box.limits, Limits::default());
    let ordered = |order| faults.in_box.orders.iter().any(|(_, given)| *given == order);
    vec![
        (limits.sessions < usual.sessions, "few sessions"),
        (limits.stream_ahead_bytes.min(limits.ahead_bytes) < usual.stream_ahead_bytes, "little held"),
        (limits.outbox_bytes.min(limits.outboxes_bytes) < usual.outbox_bytes, "small outbox"),
        (limits.exchanges < usual.exchanges, "few exchanges"),
        (limits.head_bytes < usual.head_bytes, "short heads"),
        (limits.body_bytes.min(limits.bodies_bytes) < usual.body_bytes, "small bodies"),
        (limits.request_held_bytes < usual.request_held_bytes, "requests streamed"),
        (limits.transmit_frames < usual.transmit_frames, "small transmit queue"),
        (limits.socket_bytes < usual.socket_bytes, "small sockets"),
        (limits.awake_connections < usual.awake_connections, "connections asleep"),
        (faults.in_box.barren, "no pool"),
        (ordered(Order::Stop), "stopped"),
        (ordered(Order::Start), "started again"),
        (ordered(Order::ConfigureSame), "same settings"),
        (ordered(Order::ConfigureOther), "other settings"),
        (ordered(Order::ConfigurePool), "other pool"),
        (ordered(Order::ConfigureServices), "fewer services"),
        (!faults.finish, "no order to finish"),
    ]
}

fn workload(plan: &Plan) -> Found {
    let request = |test: fn(&RequestPlan) -> bool| plan.requests.iter().any(test);
    let step = |test: fn(&Step) -> bool| plan.sessions.iter().any(|session| session.steps.iter().any(test));
    vec![
        (request(|request| request.interim_after.is_some()), "100-continue"),
        (request(|request| request.answer.after < request.bytes.len()), "early answer"),
        (request(|request| !request.waits), "pipeline"),
        (plan.sessions.iter().any(|session| matches!(session.start, Start::After(..))), "address reused"),
        (plan.sessions.iter().any(|session| session.reads.is_some()), "slow client"),
        (step(|step| matches!(step, Step::Pause(pause) if *pause > LONG)), "long idle"),
        (step(|step| matches!(step, Step::Pause(pause) if *pause >= HOUR)), "an hour idle"),
        (step(|step| matches!(step, Step::Reset)), "client resets"),
        (request(|request| request.answer.bytes.starts_with(b"HTTP/1.1 101 ")), "upgrade"),
        (request(|request| request.bytes.starts_with(b"CONNECT ")), "connect"),
    ]
}

fn topology(plan: &Plan) -> Found {
    let topology = &plan.topology;
    let service = |test: fn(&crate::plan::ServicePlan) -> bool| topology.services.iter().any(test);
    vec![
        (service(|service| service.kind == Kind::Raw), "turns"),
        (service(|service| !service.greeting.is_empty()), "greeting"),
        (service(|service| service.pacing == Pacing::Immediate), "immediate"),
        (topology.addressing.gateway.is_some(), "gateway"),
        (topology.addressing.mode == Mode::Preserve, "clients keep their addresses"),
        (topology.clients.iter().any(|client| client.is_ipv6()), "ipv6"),
        (topology.targets.iter().any(|t| t.address.is_ipv6() != topology.clients[0].is_ipv6()), "families crossed"),
        (topology.speed == Some(Speed::Max), "as fast as possible"),
        (topology.sample < 10_000, "sampled"),
        (topology.copies > 1, "copies"),
        (plan.requests.iter().any(|request| request.is_denied), "denied requests"),
        (plan.requests.iter().any(|request| request.rewritten.is_some()), "rewritten requests"),
        (topology.sessions_per_second.is_some(), "capped sessions"),
        (
            (0..plan.sessions.len()).any(|session| plan.replays(session) > usize::from(topology.copies)),
            "mirrored to all",
        ),
    ]
}

/// The causes that a ledger counted, each with what it is a cause of.
pub fn causes(ledger: &Ledger) -> Vec<(&'static str, &'static str)> {
    [
        counted("ignored", &ledger.frames.ignored),
        counted("ended", &ledger.sessions.ended),
        counted("not_replayed", &ledger.requests.not_replayed),
        counted("not_answered", &ledger.requests.not_answered),
        counted("incomparable", &ledger.verdicts.incomparable),
        counted("reconnects", &ledger.target.reconnects),
    ]
    .concat()
}

fn counted<R: Reason>(of: &'static str, counts: &Tally<R>) -> Vec<(&'static str, &'static str)> {
    counts.iter().filter(|(_, count)| *count > 0).map(|(reason, _)| (of, reason.word())).collect()
}
