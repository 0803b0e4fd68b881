//! Which connection a request may take, and which request may be sent again.

use super::{ConnectionTruth, Read, RequestTruth, Truth};
use crate::plan::Plan;
use tapcopy_engine::config::MirrorTo;

impl Truth {
    /// Whether a request may come, and to which targets.
    pub(super) fn check_service(&mut self, plan: &Plan, connection: usize, request: usize) {
        let session = &plan.sessions[plan.requests[request].session];
        let target = self.connections[connection].target;
        if plan.topology.targets[target].service != session.service {
            let details = format!("request {request} of service {} reached target {target}", session.service);
            self.violate("a request reaches a target of its own service", details);
        }
        if plan.topology.mirror_to == MirrorTo::One {
            let chosen = *self.chosen.entry((session.client.ip(), session.service)).or_insert(target);
            if chosen != target {
                let details = format!("{} at target {chosen}, then at {target}", session.client);
                self.violate("a client is sent to one target of its service", details);
            }
        }
        if plan.requests[request].is_denied {
            self.violate(
                "what a rule denies reaches no target",
                format!("request {request} on connection {connection}"),
            );
        }
    }

    /// The target, and the connection, that a request of a session with one replay must come on.
    pub(super) fn check_way(&mut self, plan: &Plan, connection: usize, request: usize) {
        let session = &plan.sessions[plan.requests[request].session];
        let target = self.connections[connection].target;
        let earlier = session.requests.clone().flat_map(|other| &self.requests[other].reads);
        let Some(before) = earlier.map(|read| read.connection).filter(|other| *other != connection).max() else {
            return;
        };
        let ConnectionTruth { target: other, closed_by_target, .. } = self.connections[before];
        if other != target {
            let details = format!("request {request} reached target {target}, one before it target {other}");
            self.violate("a session is replayed against one target", details);
        }
        // A hole that the client's reset leaves for ever cuts a request off, and the connection with it.
        let is_reset = self.sessions[plan.requests[request].session].is_reset();
        let certain = self.rules.exact && !is_reset && self.requests[request].shown_late == 0;
        if certain && self.rules.healthy && self.rules.clean_path && !closed_by_target {
            let details = format!("request {request} came on connection {connection}, connection {before} was open");
            self.violate("a session keeps its connection until the target closes it", details);
        }
    }

    /// A safe request may be sent once more (RFC 9110, section 9.2.2) when a connection that had borne an answer was closed
    /// without a byte of its own; and any request that the client repeats when the box may have forgotten the session.
    pub(super) fn check_retry(&mut self, plan: &Plan, connection: usize, request: usize) {
        let RequestTruth { reads, shown_late, .. } = &self.requests[request];
        if *shown_late > 0 && reads.iter().all(|read| read.connection != connection) {
            return;
        }
        if reads.len() > 1 {
            let details = format!("request {request} arrived {} times before", reads.len());
            return self.violate("a request is sent twice at most", details);
        }
        let Some(read) = reads.first() else { return };
        // What was on its way to a connection when the target closed it may be read after what was sent again on the next.
        let (before, answer_bytes) = match read.connection < connection {
            true => (read.connection, read.answer_bytes),
            false => (connection, 0),
        };
        let ConnectionTruth { closed_by_target, reset_by_target, .. } = self.connections[before];
        // Behind a request that the target has swallowed, its answer counts as that one's (RFC 9112, section 9.3.2).
        let taken_for_another = self.has_swallowed_before(plan, before, request);
        let unanswered = closed_by_target && (answer_bytes == 0 || reset_by_target) || taken_for_another;
        let safe = plan.requests[request].safe;
        let reused = self.bore_an_answer(plan, before, request) || taken_for_another && answer_bytes > 0;
        if !(safe && reused && unanswered && read.connection != connection) {
            let details = format!(
                "request {request} arrived on connection {} and again on {connection}; safe: {safe}, answers before on that \
                 connection: {reused}, answer bytes written before: {answer_bytes}, closed by the target: {closed_by_target}",
                read.connection
            );
            self.violate("no request arrives twice, but a safe one after a close without an answer byte", details);
        }
    }

    /// Which copy of a session a connection carries cannot be told from outside. So each connection's order is checked, and
    /// how often each target reads a request.
    pub(super) fn check_copies(&mut self, plan: &Plan, connection: usize, request: usize) {
        let target = self.connections[connection].target;
        let session = &plan.sessions[plan.requests[request].session];
        let may_be_again = |connection: usize, answer_bytes: usize| {
            let carried = &self.connections[connection];
            let unanswered = carried.closed_by_target && (answer_bytes == 0 || carried.reset_by_target);
            plan.requests[request].safe && (unanswered || self.has_swallowed_before(plan, connection, request))
        };
        let RequestTruth { ref reads, shown_late, .. } = self.requests[request];
        let again = reads.iter().filter(|read| may_be_again(read.connection, read.answer_bytes)).count();
        let again = again + usize::from(may_be_again(connection, 0));
        let there = reads.iter().filter(|read| self.connections[read.connection].target == target).count();
        let is_elsewhere = plan.topology.mirror_to == MirrorTo::One && there < reads.len();
        let is_early = (request..session.requests.end)
            .any(|later| self.requests[later].reads.iter().any(|read| read.connection == connection));
        if is_early {
            let details = format!("request {request} on connection {connection}, after itself or a later one");
            self.violate("requests of a session arrive in order", details);
        } else if is_elsewhere || there >= usize::from(plan.topology.copies) * (1 + shown_late) + again {
            let details = format!("request {request} arrived {there} times at target {target}, and again: {reads:?}");
            self.violate("a target gets as many copies as were asked for", details);
        }
    }

    /// Whether a target has answered another request of the same session on this connection. An answer before a reset may have
    /// got through.
    pub fn bore_an_answer(&self, plan: &Plan, connection: usize, request: usize) -> bool {
        let has_reset = self.connections[connection].reset_by_target;
        let is_answered = |read: &Read| read.answered_at.is_some() || has_reset && read.answer_bytes > 0;
        let mut others =
            plan.sessions[plan.requests[request].session].requests.clone().filter(|other| *other != request);
        others.any(|other| {
            self.requests[other].reads.iter().any(|read| read.connection == connection && is_answered(read))
        })
    }

    /// Whether a request of the same session, read on `connection` before `request`, has no byte of answer.
    fn has_swallowed_before(&self, plan: &Plan, connection: usize, request: usize) -> bool {
        let first = plan.sessions[plan.requests[request].session].requests.start;
        let is_swallowed = |read: &Read| read.connection == connection && read.answer_bytes == 0;
        self.requests[first..request].iter().any(|earlier| earlier.reads.iter().any(is_swallowed))
    }
}
