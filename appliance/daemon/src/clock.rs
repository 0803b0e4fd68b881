//! The one clock of the box, and the only file that reads it for the engine.
//!
//! It is monotonic: a step of the wall clock (NTP, a person) must not fire every timer. Frames of a mirror NIC carry the
//! wall clock in their stamps; the engine uses only differences between them.

use nix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tapcopy_engine::Time;

/// A monotonic clock whose origin is its making.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock that reads zero now.
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }

    /// Time passed since the start.
    pub fn now(&self) -> Time {
        Time::from_nanos(u64::try_from(self.uptime().as_nanos()).unwrap_or(u64::MAX))
    }

    /// The same as a duration.
    pub fn uptime(&self) -> Duration {
        self.origin.elapsed()
    }
}

/// What this thread has worked since its start.
pub fn thread_time() -> Duration {
    // Linux has this clock for every thread.
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

/// The wall clock, since 1970: for what people read, and what the kernel's stamps are of, never for an interval.
pub fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// How long before `now` a stamp was made. Zero where the wall clock was set meanwhile: nothing waits for as long as a second.
pub fn age(stamp: Duration, now: Duration) -> Duration {
    now.checked_sub(stamp).filter(|age| *age < Duration::from_secs(1)).unwrap_or_default()
}

/// The wall clock, in seconds since the Unix epoch: for what people read, never for an interval. It is told to the
/// millisecond, which a number in JSON keeps through reading and writing.
pub fn wall() -> f64 {
    since_1970().as_millis() as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_has_an_age_unless_the_clock_was_set() {
        let now = since_1970();
        assert_eq!(age(now - Duration::from_millis(20), now), Duration::from_millis(20));
        assert_eq!(
            [now + Duration::from_secs(5), now - Duration::from_secs(60)].map(|set| age(set, now)),
            [Duration::ZERO; 2]
        );
    }
}
