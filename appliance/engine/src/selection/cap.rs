//! A cap on the rate at which a service's sessions begin to be replayed: a bucket of tokens, one for each session, which
//! holds those of one second and is filled evenly as captured time passes. It follows from the capture alone, whatever the
//! speed of its replay. Where shards share the traffic, each has a bucket of its own, and its share of the rate.

use crate::time::Time;

/// Parts of a token: as many as a second has nanoseconds, so that a bucket gets `rate` of them in each.
const TOKEN: u64 = 1_000_000_000;

/// The bucket.
#[derive(Clone, Debug)]
pub struct Cap {
    /// Sessions in a second of captured time.
    rate: u32,
    /// Parts of tokens in it.
    level: u64,
    filled_at: Option<Time>,
}

impl Cap {
    /// A full bucket; one of rate 0 admits nothing.
    pub fn new(rate: u32) -> Self {
        Self { rate, level: u64::from(rate) * TOKEN, filled_at: None }
    }

    /// Takes a token for a session that begins at `captured_at`. Whether there was one. A clock that goes back fills
    /// nothing.
    pub fn admit(&mut self, captured_at: Time) -> bool {
        let before = self.filled_at.unwrap_or(captured_at);
        let passed = u64::try_from(captured_at.since(before).as_nanos()).unwrap_or(u64::MAX);
        let full = u64::from(self.rate) * TOKEN;
        self.level = self.level.saturating_add(passed.saturating_mul(self.rate.into())).min(full);
        self.filled_at = Some(before.max(captured_at));
        let is_admitted = self.level >= TOKEN;
        self.level -= if is_admitted { TOKEN } else { 0 };
        is_admitted
    }
}
