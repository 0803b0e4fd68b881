//! When a request may reach a target, and when it must.

use super::{Read, RequestTruth, Truth};
use crate::plan::Plan;
use core::time::Duration;
use tapcopy_engine::Time;
use tapcopy_engine::config::{Pacing, Speed};

impl Truth {
    /// The client had read the whole answer before it wrote: so must the replay, and think as long.
    pub(super) fn check_turn(&mut self, plan: &Plan, connection: usize, request: usize, now: Time) {
        let session = plan.requests[request].session;
        if request == plan.sessions[session].requests.start {
            return;
        }
        let Some(before) = self.read(connection, request - 1).cloned() else { return };
        let Some(answered_at) = before.answered_at else {
            let details = format!("request {request} arrived at {now:?}, request {} is not answered yet", request - 1);
            return self.violate("a turn is released when the one before is answered", details);
        };
        if plan.topology.speed != Some(Speed::Times(1.0)) {
            return;
        }
        let shown_at = self.requests[request].shown_at.unwrap_or_default();
        let think = plan.requests[request].think;
        let earliest = (answered_at + self.kept(think)).min(shown_at + self.rules.lag);
        if now < earliest {
            let details = format!(
                "request {request} arrived at {now:?}, before {earliest:?}: answered {answered_at:?}, think {think:?}, shown {shown_at:?}, \
                 the one before was answered before it was whole: {}",
                plan.requests[request - 1].answer.after < plan.requests[request - 1].bytes.len()
            );
            self.violate("the client's think time is kept", details);
        }
    }

    /// What is left of a pause where the session is behind production.
    fn kept(&self, pause: Duration) -> Duration {
        pause.saturating_sub(self.rules.haste.max(pause / 4))
    }

    /// A client that goes on by itself, without an answer meanwhile, is kept to its pauses, too.
    pub(super) fn check_pause(&mut self, plan: &Plan, connection: usize, request: usize, now: Time) {
        let session = &plan.sessions[plan.requests[request].session];
        let by_turns = plan.pacing(request) == Pacing::Turns && self.is_framed(plan, request);
        let (Some(pause), true) = (self.requests[request].pause, plan.topology.speed == Some(Speed::Times(1.0))) else {
            return;
        };
        // What goes through the smallest window at once is read when it was sent.
        let sent_at_once =
            plan.requests[session.requests.start..request].iter().all(|earlier| earlier.bytes.len() < 100);
        if request == session.requests.start || plan.requests[request].waits || !by_turns || !sent_at_once {
            return;
        }
        let Some(before) = self.read(connection, request - 1).cloned() else { return };
        let shown_at = self.requests[request].shown_at.unwrap_or_default();
        let earliest = (before.began_at + self.kept(pause)).min(shown_at + self.rules.lag);
        if now < earliest {
            let details =
                format!("request {request} arrived at {now:?}, before {earliest:?}: pause {pause:?}, {before:?}");
            self.violate("the client's pause is kept", details);
        }
    }

    /// A request comes when its turn has come, and no later than the path and the stacks take.
    pub(super) fn check_prompt(&mut self, plan: &Plan, connection: usize, request: usize, now: Time) {
        let truth = &self.requests[request];
        let shown_at = truth.shown_at.unwrap_or(now);
        let first = plan.sessions[plan.requests[request].session].requests.start;
        let (mut latest, mut prompt) = (shown_at, self.rules.prompt);
        if request > first {
            let before = &self.requests[request - 1];
            let gap = shown_at.since(before.shown_at.unwrap_or_default());
            // An answer may come before the end of its request, behind which the next one must stay.
            let done = |read: &Read| read.answered_at.zip(read.whole_at).map_or(now, |(one, other)| one.max(other));
            let done = before.reads.iter().map(done).max().unwrap_or(now);
            // Of a session that is far behind no pause is kept.
            latest = latest.max((done + self.kept(gap)).min(done.max(shown_at + self.rules.lag)));
            // Without a framer, silence ends an answer that is not the origin's.
            let is_certain =
                self.is_framed(plan, request - 1) && plan.requests[request].waits && !self.rules.disordered;
            if is_certain && before.reads.iter().any(|read| read.connection == connection) {
                prompt = self.rules.prompt_connected;
            }
        }
        let Some(known_at) = self.known_at(plan, request) else { return };
        let latest = latest.max(known_at);
        if now > latest + prompt {
            let details =
                format!("request {request} arrived at {now:?}, later than {latest:?} by more than {prompt:?}");
            self.violate("a request is released when its turn has come", details);
        }
    }

    /// From when on the engine could send a request. One is sent when it is whole, or when its answer has begun; and a turn
    /// without framer may be known to be whole by its answer only.
    fn known_at(&self, plan: &Plan, request: usize) -> Option<Time> {
        let RequestTruth { whole_at, answer_begun_at, .. } = self.requests[request];
        match self.is_framed(plan, request) {
            true => whole_at.into_iter().chain(answer_begun_at).min(),
            false => Some(whole_at?.max(answer_begun_at?)),
        }
    }
}
