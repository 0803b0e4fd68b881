//! Whether a shard keeps up with its mirror.
//!
//! A turn that takes as many frames as one turn may leaves more behind it. When no turn for a while took fewer, the ring is filling
//! up, and in the end the kernel would drop frames of all sessions. Before it does, sessions that open are left out whole.

use std::time::Duration;
use tapcopy_engine::Time;

/// How long the ring may be behind before that is no burst any more. A ring of 64 MiB holds more than what this long is behind at
/// any rate that one core comes near to.
const PATIENCE: Duration = Duration::from_millis(100);

/// The turns so far.
#[derive(Debug, Default)]
pub struct Overload {
    full_since: Option<Time>,
    is_overloaded: bool,
}

impl Overload {
    /// Takes note of a turn, which was `full` if there may have been more to take. Whether the shard is overloaded, where that has
    /// changed.
    pub fn note(&mut self, now: Time, full: bool) -> Option<bool> {
        let since = *self.full_since.get_or_insert(now);
        if !full {
            self.full_since = None;
        }
        let is_overloaded = full && now.since(since) >= PATIENCE;
        let was = std::mem::replace(&mut self.is_overloaded, is_overloaded);
        (was != is_overloaded).then_some(is_overloaded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_no_overload_and_an_empty_turn_ends_one() {
        let mut overload = Overload::default();
        let mut note = |millis, full| overload.note(Time::from_millis(millis), full);
        assert_eq!((note(0, true), note(99, true), note(100, false)), (None, None, None));
        assert_eq!((note(150, true), note(249, true), note(250, true)), (None, None, Some(true)));
        assert_eq!((note(300, true), note(301, false), note(302, true)), (None, Some(false), None));
    }
}
