//! The backlog: what lies before the target and needs no further frame of the mirror to go on.
//!
//! A driver that reads captures can wait, which a mirror cannot. It must wait only for what the target alone will settle: a
//! request whose answer by the origin is not read yet has no outcome however long the target is given. So a session's
//! share is the requests that the origin has answered and the target has not, and those that are not sent though all of
//! them is there. Each of them ends in bounded time, by an answer or by a limit.

use crate::exchange::Exchanges;
use crate::ledger::Lateness;
use crate::limits::Limits;
use crate::time::Time;

/// What the target has yet to do before the mirror needs to show more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Requests that wait for the target alone.
    pub requests: u64,
    /// Request bytes that could be sent, were it not for the target.
    pub bytes: u64,
    /// Bytes that the origin answered to those requests, of each session the next few.
    pub answer_bytes: u64,
    /// Requests with an outcome so far: how fast the target is.
    pub settled: u64,
    /// Whether more frames may cost requests: a session has half of what it may hold, or the pool is nearly exhausted and
    /// ports of it will be free again after their rest.
    pub is_full: bool,
    /// Whether the box still asks whether its addresses are anybody else's, so that every session would begin late.
    pub is_preparing: bool,
}

/// One session's part of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Share {
    requests: u64,
    bytes: u64,
    answer_bytes: u64,
    is_crowded: bool,
    is_behind: bool,
}

impl Share {
    /// The share of a session's exchanges.
    pub fn of(exchanges: &Exchanges, now: Time, limits: &Limits) -> Self {
        if exchanges.is_settled() && exchanges.outbox.is_empty() {
            return Self::default();
        }
        let (requests, answer_bytes) = exchanges.owed_by_target();
        let bytes = exchanges.outbox.ready_bytes();
        let is_crowded = requests > limits.exchanges as u64 / 2
            || bytes > limits.outbox_bytes.min(limits.outbox_fair_bytes) as u64 / 2;
        let is_behind = Self::behind_from(exchanges, limits).is_some_and(|from| from <= now);
        Self { requests, bytes, answer_bytes, is_crowded, is_behind }
    }

    /// When a session whose next request waits for the target alone counts, or counted, as fallen behind production.
    pub fn behind_from(exchanges: &Exchanges, limits: &Limits) -> Option<Time> {
        Some(exchanges.outbox.ready_since()? + limits.lag)
    }
}

/// The shares of all sessions.
#[derive(Debug, Default)]
pub(super) struct Sum {
    requests: u64,
    bytes: u64,
    answer_bytes: u64,
    crowded: u64,
    behind: u64,
}

impl Sum {
    /// A session whose share was `before` now has `after`.
    pub fn exchange(&mut self, before: &mut Share, after: Share) {
        self.requests = self.requests - before.requests + after.requests;
        self.bytes = self.bytes - before.bytes + after.bytes;
        self.answer_bytes = self.answer_bytes - before.answer_bytes + after.answer_bytes;
        self.crowded = self.crowded - u64::from(before.is_crowded) + u64::from(after.is_crowded);
        self.behind = self.behind - u64::from(before.is_behind) + u64::from(after.is_behind);
        *before = after;
    }

    /// Tells the ledger how things stand.
    pub fn tell(&self, lateness: &mut Lateness) {
        (lateness.sessions_behind, lateness.requests_waiting, lateness.bytes_waiting) =
            (self.behind, self.requests, self.bytes);
    }

    /// The whole of it.
    pub fn backlog(&self, limits: &Limits, settled: u64, is_pool_scarce: bool) -> Backlog {
        let is_full = self.crowded > 0 || self.bytes > limits.outboxes_bytes as u64 / 2 || is_pool_scarce;
        let Self { requests, bytes, answer_bytes, .. } = *self;
        Backlog { requests, bytes, answer_bytes, settled, is_full, is_preparing: false }
    }
}
