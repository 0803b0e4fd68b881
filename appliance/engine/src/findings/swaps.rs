//! Swaps: differences of which each has its opposite, the target saying there what the origin says here.
//!
//! Where several clients change one thing at once, each server does it in an order of its own, and of two answers one side has them the
//! other way round: who added a member first was told 1, and the other 0. Such differences go both ways alike, however many there
//! are. Those of a fault go one way, unless what is wrong is so simple a value that its opposite comes, too.

use super::memory::Deviation;
use crate::compare::Difference;
use crate::limits::findings::SWAPS_MAX;
use std::collections::VecDeque;

/// Differences of one field, by pairs of values.
#[derive(Debug, Default)]
pub struct Swaps {
    /// Differences that are the opposite of an earlier one, each of another.
    pub met: u64,
    /// The latest pairs of values, and how many more of them the target has said in this order than in the other.
    pairs: VecDeque<([u64; 2], i64)>,
}

impl Swaps {
    /// Takes a difference.
    pub fn take(&mut self, found: &Difference) {
        let [origin, target] = Deviation::values_of(found);
        let (pair, step) = if origin < target { ([origin, target], 1) } else { ([target, origin], -1) };
        let known = self.pairs.iter().position(|(known, _)| *known == pair);
        let balance = known.and_then(|index| self.pairs.remove(index)).map_or(0, |(_, balance)| balance);
        self.met += u64::from(balance * step < 0);
        if self.pairs.len() >= SWAPS_MAX {
            self.pairs.pop_front();
        }
        self.pairs.push_back((pair, balance + step));
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

    fn met(pairs: impl IntoIterator<Item = [usize; 2]>) -> u64 {
        let mut swaps = Swaps::default();
        for [origin, target] in pairs {
            let [origin, target] = [origin, target].map(|value| value.to_string());
            swaps.take(&Difference { field: "reply".to_owned(), kind: Kind::Value, offset: None, origin, target });
        }
        swaps.met
    }

    #[test]
    fn each_difference_meets_one_opposite() {
        assert_eq!(met((0..20).map(|_| [1, 0])), 0);
        assert_eq!(met((0..20).map(|number| [number % 2, (number + 1) % 2])), 10);
        assert_eq!(met([[0, 1], [0, 1], [0, 1], [1, 0], [1, 0], [1, 0], [1, 0], [0, 1]]), 4);
        assert_eq!(
            met((0..20).map(|number| if number % 2 == 0 { [number, number + 1] } else { [number, number - 1] })),
            10
        );
        assert_eq!(met((0..20).map(|number| [number, number + 1])), 0, "values that are all others");
    }

    #[test]
    fn of_many_pairs_the_latest_are_known() {
        let round = |opposite: bool, pairs| {
            (0..pairs).map(move |number| [2 * number + usize::from(opposite), 2 * number + usize::from(!opposite)])
        };
        assert_eq!(met(round(false, SWAPS_MAX).chain(round(true, SWAPS_MAX))), SWAPS_MAX as u64);
        assert_eq!(met(round(false, SWAPS_MAX + 1).chain(round(true, SWAPS_MAX + 1))), 0);
    }
}
