//! A cap on the rate at which a service's sessions begin to be replayed: a bucket of tokens, one for each session, which
//! holds those of one second and is filled evenly as captured time passes. It follows from the capture alone, whatever the
//! speed of its replay. Where shards have a part of the sessions each, each has a bucket that is filled with its part of the
//! rate.

use crate::time::Time;

/// Parts of a token: as many as a second has nanoseconds, so that a bucket gets `rate` of them in each. A bucket of one of
/// several shards has as many times more parts.
const PARTS: u64 = 1_000_000_000;

/// The bucket.
#[derive(Clone, Debug)]
pub struct Cap {
    /// Sessions in a second of captured time, in all shards.
    rate: u32,
    /// Parts of one token.
    token: u64,
    /// Parts of tokens that it holds at most: one token at least.
    full: u64,
    /// Parts of tokens in it.
    level: u64,
    filled_at: Option<Time>,
}

impl Cap {
    /// A full bucket of one of so many shards; neither is zero.
    pub fn new(rate: u32, shards: u16) -> Self {
        let token = PARTS * u64::from(shards);
        let full = (u64::from(rate) * PARTS).max(token);
        Self { rate, token, full, level: full, filled_at: None }
    }

    /// Takes a token for a session that begins at `captured_at`. Whether there was one. A clock that goes back fills
    /// nothing.
    pub fn admit(&mut self, captured_at: Time) -> bool {
        let before = self.filled_at.unwrap_or(captured_at);
        let passed = u64::try_from(captured_at.since(before).as_nanos()).unwrap_or(u64::MAX);
        self.level = self.level.saturating_add(passed.saturating_mul(self.rate.into())).min(self.full);
        self.filled_at = Some(before.max(captured_at));
        let is_admitted = self.level >= self.token;
        self.level -= if is_admitted { self.token } else { 0 };
        is_admitted
    }
}
