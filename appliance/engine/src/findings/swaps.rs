//! Swaps: differences of which each has its opposite, the target saying there what the origin says here.
//!
//! Where several clients change one thing at once, each server does it in an order of its own, and of two answers one side has them the
//! other way round: who added a member first was told 1, and the other 0. Such differences go both ways alike, however many there
//! are, and opposites lie no further from each other than what was under way at the same time. Those of a fault go one way, unless what
//! is wrong is so simple a value, and so often, that its opposite comes at once, too.

use super::memory::Deviation;
use crate::compare::Difference;
use crate::limits::findings::SWAPS_MAX;
use crate::time::Time;
use core::time::Duration;
use std::collections::VecDeque;

/// How long requests of several clients are under way together, where the target is not late.
const TOGETHER: Duration = Duration::from_millis(100);

/// Differences of one field that are the opposites of others.
#[derive(Debug, Default)]
pub struct Swaps {
    /// Differences that are the opposite of an earlier one, each of another.
    pub met: u64,
    /// What origin and target said in the latest of those that have met none, and when.
    waiting: VecDeque<([u64; 2], Time)>,
}

impl Swaps {
    /// Takes a difference of an answer to a request that was captured at this time, and that the target gave so late.
    pub fn take(&mut self, found: &Difference, at: Time, late: Duration) {
        let [origin, target] = Deviation::values_of(found);
        let is_opposite = |(said, then): &([u64; 2], Time)| {
            *said == [target, origin] && at.since(*then).max(then.since(at)) <= TOGETHER + late
        };
        if let Some(opposite) = self.waiting.iter().position(is_opposite) {
            self.waiting.remove(opposite);
            self.met += 1;
            return;
        }
        if self.waiting.len() >= SWAPS_MAX {
            self.waiting.pop_front();
        }
        self.waiting.push_back(([origin, target], at));
    }

    /// Adds what another has counted.
    pub fn add(&mut self, other: &Self) {
        self.met += other.met;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::Kind;

    /// Of differences that come so many milliseconds one after the other.
    fn met(pairs: impl IntoIterator<Item = [usize; 2]>, millis: u64, late: Duration) -> u64 {
        let mut swaps = Swaps::default();
        for (number, [origin, target]) in pairs.into_iter().enumerate() {
            let [origin, target] = [origin, target].map(|value| value.to_string());
            let found = Difference { field: "reply".to_owned(), kind: Kind::Value, offset: None, origin, target };
            swaps.take(&found, Time::from_millis(number as u64 * millis), late);
        }
        swaps.met
    }

    #[test]
    fn each_difference_meets_one_opposite() {
        let met = |pairs: &[[usize; 2]]| met(pairs.iter().copied(), 1, Duration::ZERO);
        assert_eq!(met(&[[1, 0]; 20]), 0);
        assert_eq!(met(&[[0, 1], [1, 0], [0, 1], [1, 0]]), 2);
        assert_eq!(met(&[[0, 1], [0, 1], [0, 1], [1, 0], [1, 0], [1, 0], [1, 0], [0, 1]]), 4);
        assert_eq!(met(&[[6, 7], [7, 6], [9, 8], [8, 9]]), 2, "numbers that are given once each");
        assert_eq!(met(&[[6, 7], [7, 8], [8, 9]]), 0, "numbers that are all others");
    }

    #[test]
    fn opposites_are_of_one_time() {
        let late = Duration::from_secs(2);
        let met = |millis, late| met([[0, 1], [1, 0]], millis, late);
        assert_eq!((met(100, Duration::ZERO), met(101, Duration::ZERO), met(2_100, late)), (1, 0, 1));
    }

    #[test]
    fn of_many_the_latest_are_known() {
        let one = |opposite: usize| move |number: usize| [2 * number + opposite, 2 * number + 1 - opposite];
        let both = |count: usize| (0..count).map(one(0)).chain((0..count).map(one(1)));
        assert_eq!(met(both(SWAPS_MAX), 1, Duration::ZERO), SWAPS_MAX as u64);
        assert_eq!(met(both(SWAPS_MAX + 1), 1, Duration::ZERO), 0);
    }
}
