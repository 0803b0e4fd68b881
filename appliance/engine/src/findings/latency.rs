//! Times of one endpoint, both sides, and whether the target's are clearly longer.
//!
//! The target is clearly slower where three quarters of its answers begin later than three quarters of the origin's, and half
//! of them by more than an allowance: the larger of 5 ms and a fifth of the origin's own time, and what the box and the way to the
//! target add to all of the service, which its middle endpoint tells. With less than three endpoints nothing tells that, and
//! the allowance is 15 ms. A target that is slower throughout is no finding: the times of both sides, side by side, show it.
//! Times are those to the first byte: those to the last one are as much the link's as the server's.

use crate::ledger::Latencies;

/// Answers of each side without which nothing is said.
const MEASURED_MIN: u64 = 50;
/// What nobody is blamed for, in microseconds: where it is known what the way adds, and where it is not.
const ALLOWANCE_US: u64 = 5_000;
const BLIND_ALLOWANCE_US: u64 = 15_000;

/// Times of both sides.
#[derive(Clone, Debug)]
pub struct Timing {
    /// From a request's last byte to the origin's first.
    pub origin_first: Latencies,
    /// To its last.
    pub origin_last: Latencies,
    /// To the target's first.
    pub target_first: Latencies,
    /// To its last.
    pub target_last: Latencies,
    /// Answers of the target that waited for segments which the box sent again, and are not among its times.
    pub stalled: u64,
}

impl Default for Timing {
    fn default() -> Self {
        let [origin_first, origin_last, target_first, target_last] = core::array::from_fn(|_| Latencies::coarse());
        Self { origin_first, origin_last, target_first, target_last, stalled: 0 }
    }
}

/// A target that is clearly slower.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slowness {
    /// Share of the target's answers that take longer than allowed.
    pub target: f64,
    /// Share of the origin's.
    pub origin: f64,
    /// The target's answers that do.
    pub slow: u64,
    /// Middle times of the origin and the target, in microseconds.
    pub middle_us: [u64; 2],
}

impl Timing {
    /// Adds another's.
    pub fn add(&mut self, other: &Self) {
        self.origin_first.add(&other.origin_first);
        self.origin_last.add(&other.origin_last);
        self.target_first.add(&other.target_first);
        self.target_last.add(&other.target_last);
        self.stalled += other.stalled;
    }

    fn is_measured(&self) -> bool {
        self.origin_first.len().min(self.target_first.len()) >= MEASURED_MIN
    }

    /// By how much the target's middle time is longer, in microseconds.
    pub(super) fn shift_us(&self) -> Option<i64> {
        let middle = |latencies: &Latencies| latencies.quantile_us(0.5) as i64;
        self.is_measured().then(|| middle(&self.target_first) - middle(&self.origin_first))
    }

    /// Whether the target is clearly slower, on a way that adds `path_us`, if that is known.
    pub(super) fn slowness(&self, path_us: Option<i64>) -> Option<Slowness> {
        if !self.is_measured() {
            return None;
        }
        let (origin, target) = (&self.origin_first, &self.target_first);
        let [origin_us, target_us] = [origin, target].map(|latencies| latencies.quantile_us(0.5));
        let least_us = if path_us.is_some() { ALLOWANCE_US } else { BLIND_ALLOWANCE_US };
        let allowed_us = origin_us + least_us.max(origin_us / 5) + path_us.unwrap_or(0).max(0) as u64;
        let is_apart = target.quantile_us(0.25) > origin.quantile_us(0.75);
        (is_apart && target_us > allowed_us).then(|| {
            let [of_origin, of_target] = [origin, target].map(|latencies| latencies.count_above_us(allowed_us));
            Slowness {
                target: of_target as f64 / target.len() as f64,
                origin: of_origin as f64 / origin.len() as f64,
                slow: of_target,
                middle_us: [origin_us, target_us],
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    fn timing(origin_us: u64, target_us: u64) -> Timing {
        let mut timing = Timing::default();
        for number in 0..100 {
            let spread = number * 10;
            timing.origin_first.record(Duration::from_micros(origin_us + spread));
            timing.target_first.record(Duration::from_micros(target_us + spread));
        }
        timing
    }

    #[test]
    fn slower_is_told_beyond_an_allowance() {
        let slow = timing(300, 20_300).slowness(Some(500)).expect("20 ms are told");
        assert_eq!((slow.target, slow.origin, slow.slow), (1.0, 0.0, 100));
        assert_eq!(timing(300, 4_000).slowness(Some(0)), None, "less than 5 ms are not");
        assert_eq!(timing(300, 20_300).slowness(Some(20_000)), None, "nor what the way adds to all");
        assert_eq!(timing(100_000, 115_000).slowness(Some(0)), None, "nor less than a fifth");
        assert!(timing(100_000, 130_000).slowness(Some(0)).is_some());
        assert_eq!(timing(300, 12_000).slowness(None), None, "nor what the way may add");
        assert!(timing(300, 20_300).slowness(None).is_some());
    }
}
