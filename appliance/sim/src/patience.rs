//! Time limits, held against the clock: what the engine gives up because nothing came, it gives up when its time is up, and
//! neither sooner nor later.
//!
//! Every wait begins with an input, so that a limit which runs out does so exactly its own length after one.

use core::time::Duration;
use tapcopy_engine::engine::Holdings;
use tapcopy_engine::ledger::{Ended, NotAnswered, NotReplayed};
use tapcopy_engine::message::Outcome;
use tapcopy_engine::{Ledger, Limits, Record, Time};

/// The stack under the engine counts in microseconds.
const ROUNDING: Duration = Duration::from_micros(2);

/// What may run out in a tick.
#[derive(Clone, Copy, Debug, Default)]
pub struct Waiting {
    ahead_bytes: usize,
    closing_ended: u64,
    idle_ended: u64,
}

impl Waiting {
    /// What waits now.
    pub fn of(held: Holdings, ledger: &Ledger) -> Self {
        let ended = &ledger.sessions.ended;
        Self {
            ahead_bytes: held.ahead_bytes,
            closing_ended: ended.of(Ended::ClosingTimeout),
            idle_ended: ended.of(Ended::Idle),
        }
    }
}

/// When anything happened that a wait may begin with.
#[derive(Debug, Default)]
pub struct Moments(Vec<Time>);

impl Moments {
    /// The engine has an input.
    pub fn note(&mut self, now: Time) {
        if self.0.last() != Some(&now) {
            self.0.push(now);
        }
    }

    /// The fault, where a tick has ended a wait whose time was not up. `records`, and whether it
    /// `sends`: what came of the tick.
    pub fn fault(
        &self,
        now: Time,
        limits: &Limits,
        (before, after): (Waiting, Waiting),
        (records, sends): (&[Record], bool),
    ) -> Option<String> {
        let is_up = |limit: &Duration| self.has_begun(now, *limit);
        let Limits { gap_grace, hole_timeout, closing_timeout, idle_timeout, .. } = *limits;
        let of_session = [gap_grace, hole_timeout, closing_timeout, idle_timeout];
        let gives_up_holes = after.ahead_bytes < before.ahead_bytes;
        let of_target = [limits.answer_timeout, limits.quiet, limits.streaming, limits.connect_timeout];
        if gives_up_holes && !of_session.iter().any(is_up) {
            return Some(format!("{} bytes beyond holes at {now:?}, then {}", before.ahead_bytes, after.ahead_bytes));
        }
        let ends = [
            (before.closing_ended < after.closing_ended, closing_timeout, "closing"),
            (before.idle_ended < after.idle_ended, idle_timeout, "idle"),
        ];
        let early = |(ends, limit, _): &(bool, Duration, &str)| {
            *ends && ![*limit].iter().chain(&of_target).chain(&of_session[..2]).any(is_up)
        };
        // A session whose time was up may have been over only when its target had answered, and is left then.
        if let Some((.., what)) = ends.iter().find(|end| !sends && early(end)) {
            return Some(format!("a {what} session is ended at {now:?}"));
        }
        // An origin that says no more is waited for no longer, nor then is the target; and the outcome of a request that is not
        // whole comes with its end.
        let follows_end =
            ends.iter().any(|(ends, ..)| *ends) || [gap_grace, hole_timeout, idle_timeout].iter().any(is_up);
        let is_early = |record: &&Record| {
            let of_cause = match record.outcome {
                Outcome::NotAnswered(NotAnswered::TargetTimeout) | Outcome::NotReplayed(NotReplayed::TargetTimeout) => {
                    &of_target[..2]
                }
                Outcome::NotAnswered(NotAnswered::TargetUnreachable)
                | Outcome::NotReplayed(NotReplayed::TargetUnreachable) => &of_target[3..],
                _ => return false,
            };
            !follows_end && !of_cause.iter().any(is_up)
        };
        records.iter().find(is_early).map(|record| format!("at {now:?}: {record:?}"))
    }

    /// Whether something happened just so long ago.
    fn has_begun(&self, now: Time, ago: Duration) -> bool {
        let from = now - ago - ROUNDING;
        let first = self.0.partition_point(|moment| *moment < from);
        self.0.get(first).is_some_and(|moment| *moment + ago <= now + ROUNDING)
    }
}
