//! What targets have seen of the sessions, when all is over.

use crate::plan::{Plan, Step};
use crate::truth::{Left, Truth};
use crate::verdict::Extent;
use core::time::Duration;
use tapcopy_engine::config::Pacing;

/// How much later than possible a FIN may reach a healthy target.
const PROMPT: Duration = Duration::from_millis(200);

/// Checks it; breaks of rules go to `truth`.
pub fn check(plan: &Plan, truth: &mut Truth, extent: Extent) {
    if !(extent.seen && extent.ordered && extent.clean_path) || extent.rehearsed {
        return;
    }
    for (number, session) in plan.sessions.iter().enumerate() {
        if truth.sessions[number].broken || truth.sessions[number].is_unread || session.overlapping {
            continue;
        }
        if extent.answered && !may_leave_early(plan, truth, number) {
            check_leaving(plan, truth, number);
            check_before_reset(plan, truth, number);
        }
        if extent.only_closes && !matches!(session.steps.last(), Some(Step::Reset)) {
            session.requests.clone().for_each(|request| check_again(plan, truth, request));
        }
    }
}

/// Where an answer without framing has another length, what comes late of it may be taken for the next one, and the box leaves
/// while the target still speaks.
fn may_leave_early(plan: &Plan, truth: &Truth, number: usize) -> bool {
    let mut requests = plan.sessions[number].requests.clone();
    requests.any(|request| !truth.is_framed(plan, request) && !plan.requests[request].is_answered_in_step())
}

/// The box leaves a target as the client left the origin.
fn check_leaving(plan: &Plan, truth: &mut Truth, number: usize) {
    let session = &plan.sessions[number];
    let settled = session.requests.clone().all(|request| plan.requests[request].settled);
    let expected = match session.steps.last() {
        Some(Step::Reset) if truth.sessions[number].is_reset() => Left::Reset,
        Some(Step::Close | Step::AwaitClose) => Left::Closed,
        _ => return,
    };
    let reads = session.requests.clone().flat_map(|request| &truth.requests[request].reads);
    let Some(last) = reads.map(|read| read.connection).max().filter(|_| settled) else { return };
    let connection = &truth.connections[last];
    truth.judged += 1;
    if !connection.closed_by_target && connection.left != Some(expected) {
        let details =
            format!("connection {last} for {}: {expected:?} expected, {:?} found", session.client, connection.left);
        truth.violate("a replay ends as its session ended", details);
    } else if let [.., Step::Await(_), Step::Pause(_), Step::Close, Step::AwaitClose] = session.steps[..] {
        check_waiting(plan, truth, number, last);
    } else if let [.., Step::Close, Step::Await(_), Step::AwaitClose] = session.steps[..] {
        check_half_closing(plan, truth, number, last);
    }
}

/// A reset overtakes nothing: what the mirror showed whole before it arrives.
fn check_before_reset(plan: &Plan, truth: &mut Truth, number: usize) {
    let session = &plan.sessions[number];
    let Some(reset_at) = truth.sessions[number].reset_at() else { return };
    let is_due = |request: usize| {
        let (planned, known) = (&plan.requests[request], &truth.requests[request]);
        let is_whole = known.whole_at.is_some_and(|at| at < reset_at) && !planned.is_denied;
        is_whole && planned.answer.after == planned.bytes.len() && truth.is_framed(plan, request)
    };
    let arrived = |request: usize| truth.requests[request].reads.iter().any(|read| read.whole_at.is_some());
    let missing = session.requests.clone().take_while(|request| is_due(*request)).find(|request| !arrived(*request));
    if let Some(request) = missing.filter(|_| matches!(session.steps.last(), Some(Step::Reset))) {
        let details = format!("request {request} of session {number} has not arrived");
        truth.violate("a reset follows what was sent before it", details);
    }
}

/// A client that had all its answers before it closed leaves the target when that has given them, too.
fn check_waiting(plan: &Plan, truth: &mut Truth, number: usize, connection: usize) {
    let Some(left_at) = truth.connections[connection].left_at else { return };
    let requests = plan.sessions[number].requests.clone();
    let certain = |request| truth.is_framed(plan, request) && plan.pacing(request) == Pacing::Turns;
    if !requests.clone().all(certain) {
        return;
    }
    let reads = requests.flat_map(|request| &truth.requests[request].reads);
    let mut early =
        reads.filter(|read| read.connection == connection && read.answered_at.is_none_or(|at| left_at < at));
    if let Some(read) = early.next() {
        let details = format!("connection {connection} of session {number} left at {left_at:?}: {read:?}");
        truth.violate("a replay ends when the target has answered", details);
    }
}

/// A client that closed its side behind its last request, before there was an answer, does so at the target, and waits for none.
fn check_half_closing(plan: &Plan, truth: &mut Truth, number: usize, connection: usize) {
    let last = plan.sessions[number].requests.end - 1;
    let known = &truth.requests[last];
    let certain = truth.is_framed(plan, last) && plan.pacing(last) == Pacing::Turns && plan.requests[last].waits;
    let read = known.reads.iter().find(|read| read.connection == connection);
    let (Some(read_at), Some(shown_at), Some(closed_at), true) =
        (read.and_then(|read| read.whole_at), known.whole_at, truth.sessions[number].client_closed_at(), certain)
    else {
        return;
    };
    let is_unanswered = known.answer_begun_at.is_some_and(|at| closed_at < at);
    // The client's pauses are kept, also that since the answer before, with which the target may be behind.
    let latest = read_at.max(closed_at) + closed_at.since(shown_at) + behind_before(plan, truth, last) + PROMPT;
    let left_at = truth.connections[connection].left_at.filter(|at| *at > latest);
    if let Some(left_at) = left_at.filter(|_| is_unanswered && truth.rules.exact && truth.rules.healthy) {
        let details = format!("connection {connection} of session {number} left at {left_at:?}, later than {latest:?}");
        truth.violate("a side that is closed in production is closed at the target", details);
    }
}

/// How far the target was behind with the answer before that to this request.
fn behind_before(plan: &Plan, truth: &Truth, request: usize) -> Duration {
    let is_first = plan.sessions[plan.requests[request].session].requests.start == request;
    let Some(earlier) = request.checked_sub(1).filter(|_| !is_first) else { return Duration::ZERO };
    let known = &truth.requests[earlier];
    let answered_at = known.reads.iter().filter_map(|read| read.answered_at).max();
    answered_at.zip(known.answer_begun_at).map_or(Duration::MAX, |(at, begun_at)| at.since(begun_at))
}

/// A safe request that was alone on its way when a connection that had borne an answer closed is sent again.
fn check_again(plan: &Plan, truth: &mut Truth, request: usize) {
    let planned = &plan.requests[request];
    let session = &plan.sessions[planned.session];
    let next = session.requests.clone().find(|other| *other > request);
    let alone = planned.waits && next.is_none_or(|next| plan.requests[next].waits);
    let turns = truth.is_framed(plan, request) && plan.pacing(request) == Pacing::Turns;
    let [read] = &truth.requests[request].reads[..] else { return };
    let connection = &truth.connections[read.connection];
    let swallowed = connection.closed_by_target && !connection.reset_by_target && read.answer_bytes == 0;
    let reused = truth.bore_an_answer(plan, read.connection, request);
    if planned.safe && planned.settled && alone && turns && swallowed && reused && read.whole_at.is_some() {
        let details =
            format!("request {request} of session {} arrived on connection {}", planned.session, read.connection);
        truth.violate("a safe request that a used connection swallowed is sent again", details);
    }
}
