//! Swaps: differences that undo one another, the target saying here what the origin says there.
//!
//! Where several clients change one thing at once, each server does it in an order of its own, and of two answers one side has them the
//! other way round: who added a member first was told 1, and the other 0. Where each is told what the one before has left there, three
//! answers or more go round: the target says to the first what the origin says to the second, to this what it says to the
//! third, and to that what it says to the first. Such differences go both ways alike, however many there are, and opposites lie
//! no further from each other than what was under way at the same time. Those of a fault go one way, unless what is wrong is so
//! simple a value, and so often, that its opposite comes at once, too. So a round of more than two must be of values that were given
//! once each, which chance does not make.

use super::memory::Deviation;
use crate::compare::Difference;
use crate::limits::findings::SWAPS_MAX;
use crate::time::Time;
use core::time::Duration;
use std::collections::VecDeque;

/// How long requests of several clients are under way together, where the target is not late.
const TOGETHER: Duration = Duration::from_millis(100);

/// Differences of one field that undo one another.
#[derive(Debug, Default)]
pub struct Swaps {
    /// Half of them (less, of an odd number).
    pub met: u64,
    /// What origin and target said in the latest of those that nothing has undone, and when.
    waiting: VecDeque<([u64; 2], Time)>,
}

impl Swaps {
    /// Takes a difference of an answer to a request that was captured at this time, and that the target gave so late.
    pub fn take(&mut self, found: &Difference, at: Time, late: Duration) {
        let said = Deviation::values_of(found);
        if let Some(opposite) = self.opposite(said, at, late) {
            self.waiting.remove(opposite);
            self.met += 1;
            return;
        }
        if let Some(others) = self.round(said) {
            let is_other = |(said, _): &([u64; 2], Time)| !others.contains(said);
            self.waiting.retain(is_other);
            self.met += (others.len() as u64).div_ceil(2);
            return;
        }
        if self.waiting.len() >= SWAPS_MAX {
            self.waiting.pop_front();
        }
        self.waiting.push_back((said, at));
    }

    /// Where the one waits whose opposite this is.
    fn opposite(&self, [origin, target]: [u64; 2], at: Time, late: Duration) -> Option<usize> {
        self.waiting.iter().position(|(said, then)| {
            *said == [target, origin] && at.since(*then).max(then.since(at)) <= TOGETHER + late
        })
    }

    /// The two or more that wait and make a round with this, if the origin said each of their values but once.
    fn round(&self, [origin, target]: [u64; 2]) -> Option<Vec<[u64; 2]>> {
        let (mut others, mut next) = (Vec::new(), target);
        while next != origin {
            others.push(self.only(next).filter(|_| others.len() < self.waiting.len())?);
            next = others.last()?[1];
        }
        let is_round = others.len() > 1 && self.only(origin).is_none();
        is_round.then_some(others)
    }

    /// The only one that waits where the origin said this.
    fn only(&self, value: u64) -> Option<[u64; 2]> {
        let mut said = self.waiting.iter().map(|(said, _)| *said).filter(|[origin, _]| *origin == value);
        said.next().filter(|_| said.next().is_none())
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
    fn values_that_were_given_once_go_round() {
        let met = |pairs: &[[usize; 2]]| met(pairs.iter().copied(), 1_000, Duration::ZERO);
        assert_eq!(met(&[[1, 2], [3, 1], [2, 3]]), 1, "two clients, and the next one");
        assert_eq!(met(&[[1, 2], [2, 3], [7, 8], [3, 4], [4, 1], [8, 9], [9, 7]]), 3, "two rounds at once");
        assert_eq!(met(&[[1, 2], [1, 5], [3, 1], [2, 3]]), 0, "a value that the origin gave twice");
        assert_eq!(met(&[[1, 2], [2, 3], [3, 2], [9, 1]]), 0, "a round that is not of this one");
        assert_eq!(met(&[[1, 2], [2, 1]]), 0, "opposites that are too far from each other");
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
