//! Signs of life of the threads without which nobody reaches the box: who hangs, or has died, no longer beats.
//!
//! The archive's thread is none of them: it waits for a disk, without which replay goes on.

use crate::clock::Clock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

static CLOCK: LazyLock<Clock> = LazyLock::new(Clock::start);
static ALL: Mutex<Vec<Pulse>> = Mutex::new(Vec::new());

/// That of one thread.
#[derive(Clone, Debug)]
pub struct Pulse {
    name: &'static str,
    patience: Duration,
    /// Nanoseconds of the clock at the last beat.
    last: Arc<AtomicU64>,
}

impl Pulse {
    /// That of a thread which from now on beats at least as often as this.
    pub fn of(name: &'static str, patience: Duration) -> Self {
        let pulse = Self { name, patience, last: Arc::default() };
        pulse.beat();
        ALL.lock().unwrap_or_else(PoisonError::into_inner).push(pulse.clone());
        pulse
    }

    /// The thread has gone round once more.
    pub fn beat(&self) {
        self.last.store(CLOCK.now().as_nanos(), Ordering::Relaxed);
    }

    fn is_silent(&self) -> bool {
        CLOCK.now().as_nanos().saturating_sub(self.last.load(Ordering::Relaxed)) > self.patience.as_nanos() as u64
    }
}

/// The first thread that has not beaten for longer than it may.
pub fn silent() -> Option<&'static str> {
    let all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
    all.iter().find(|pulse| pulse.is_silent()).map(|pulse| pulse.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_no_longer_beats_is_told() {
        let (lively, hung) = (Pulse::of("lively", Duration::from_secs(3_600)), Pulse::of("hung", Duration::ZERO));
        lively.beat();
        std::thread::sleep(Duration::from_millis(2));
        assert!(!lively.is_silent() && hung.is_silent());
        assert_eq!(silent(), Some("hung"));
    }
}
