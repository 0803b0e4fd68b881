//! What a record says of times, and of the server under test: production's latency is the mirror's stamps', the target's lies
//! within what its application knows.

use crate::plan::Plan;
use crate::truth::{Read, RequestTruth, Truth};
use core::time::Duration;
use tapcopy_engine::message::Outcome;
use tapcopy_engine::{Record, Time};

/// Holds a record of a request against the stamps, where both directions are shown in their order.
pub fn check_origin(plan: &Plan, truth: &mut Truth, request: usize, record: &Record, ordered: bool) {
    let RequestTruth { last_shown, answer_shown, .. } = &truth.requests[request];
    let (Some(asked), (Some(first), Some(last)), Some(latency)) = (*last_shown, *answer_shown, record.origin_latency)
    else {
        return;
    };
    let planned = &plan.requests[request];
    let simple =
        planned.answer.after == planned.bytes.len() && planned.waits && plan.requests[request].interim_after.is_none();
    let right = latency.first_byte == since(first, asked) && latency.last_byte == since(last, asked);
    if simple && ordered && !right && !overtaken(truth, request) {
        let truth_says = (since(first, asked), since(last, asked));
        let details = format!("request {request}: {latency:?}, but the stamps say {truth_says:?}");
        truth.violate("production's latency is taken from the stamps", details);
    }
}

/// Whether bytes were shown out of their order, so that the last byte was not the last shown.
fn overtaken(truth: &Truth, request: usize) -> bool {
    truth.requests[request].first_shown.len() > 1 || truth.rules.disordered
}

fn since(later: Time, earlier: Time) -> Duration {
    later.since(earlier)
}

/// The target had the whole request before it had answered, and the box had shown neither before the mirror had.
pub fn check_target(plan: &Plan, truth: &mut Truth, request: usize, (record, at): (&Record, Time)) {
    let (planned, known) = (&plan.requests[request], &truth.requests[request]);
    let (Some(latency), Some(shown_at)) = (record.target_latency, known.whole_at) else { return };
    let is_there = |read: &&Read| is_target(plan, truth.connections[read.connection].target, record);
    let worked = |read: &Read| Some(read.answered_at?.since(read.whole_at?));
    let least = known.reads.iter().filter(is_there).map(|read| worked(read).unwrap_or_default()).min();
    let least = least.filter(|_| truth.is_framed(plan, request) && planned.answer.after == planned.bytes.len());
    let (least, most) = (least.unwrap_or_default(), at.since(shown_at));
    let is_right = latency.first_byte <= latency.last_byte && (least..=most).contains(&latency.last_byte);
    if !is_right && truth.is_framed(plan, request) {
        let details = format!("request {request}: {latency:?}, but {least:?} to {most:?} by its application");
        truth.violate("the target's latency is the time that it took", details);
    }
}

/// Who answered is who a record names.
pub fn check_place(plan: &Plan, truth: &mut Truth, request: usize, record: &Record) {
    let session = &plan.sessions[plan.requests[request].session];
    let is_answered = matches!(record.outcome, Outcome::Answered(_));
    let reads = session.requests.clone().flat_map(|request| &truth.requests[request].reads);
    let mut targets = reads.map(|read| truth.connections[read.connection].target).peekable();
    if is_answered && targets.peek().is_some() && !targets.any(|target| is_target(plan, target, record)) {
        truth.violate("a record names the target that was asked", format!("request {request}: {record:?}"));
    }
}

/// Whether the target at this place of the plan is the one that a record names among those of its service.
fn is_target(plan: &Plan, target: usize, record: &Record) -> bool {
    let of_service = |target: &&crate::plan::TargetPlan| target.service == record.service;
    let earlier = plan.topology.targets[..target].iter().filter(of_service).count();
    plan.topology.targets[target].service == record.service && earlier == usize::from(record.target)
}
