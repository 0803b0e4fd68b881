//! Turns: which of both servers changed when a field came to differ.
//!
//! What a server makes for itself (an entry of its cache, its uptime) stays for a while as it is. Two such servers differ for as long, in
//! every answer to the same request, and each time the origin agrees with itself: many answers, and a single piece of evidence. But
//! what such a run begins with is a change of one of them alone, and between servers that are alike it is as often the origin's as the
//! target's, however long the runs are and however often one asks. So where the origin was seen to change alone, only those differences
//! count as steady that the target began. A target that hardly ever changes where the origin does is not like it, either.

use super::drift::Changes;
use super::noise::{STRENGTH_MIN, strength};
use crate::compare::{Difference, Kind};
use crate::time::Time;

/// One of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The origin.
    Origin,
    /// The target.
    Target,
}

/// Changes of one side alone by which a field came to differ.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Turns {
    /// Those of the origin: the least number that explains what was seen, as one may be of all requests.
    by_origin: Changes,
    /// Those of the target, one for each request.
    by_target: u64,
}

impl Turns {
    /// Takes one that came about between two answers to the same request.
    pub fn take(&mut self, side: Side, [from, until]: [Time; 2]) {
        match side {
            Side::Origin => _ = self.by_origin.take(from, until.since(from)),
            Side::Target => self.by_target += 1,
        }
    }

    /// Adds how many another has counted.
    pub fn add(&mut self, other: &Self) {
        self.by_origin.needed += other.by_origin.needed;
        self.by_target += other.by_target;
    }

    /// How many of the answers in which the target differs and the origin is steady say something.
    pub fn telling(&self, steady: u64) -> u64 {
        let by_origin = self.by_origin.needed;
        let is_own_state = by_origin > 0 && strength(by_origin, self.by_target, 0.5) < STRENGTH_MIN;
        if is_own_state { steady.min(self.by_target) } else { steady }
    }
}

/// Whether a difference is there because the origin has changed from what the target still says, where `change` is how it has.
pub fn has_left(change: &Difference, now: &Difference) -> bool {
    let is_presence = |kind| matches!(kind, Kind::Missing | Kind::Added);
    match is_presence(now.kind) {
        true => is_presence(change.kind),
        false => change.kind == now.kind && change.origin == now.target,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Such that each origin's change is one by itself.
    fn turns(by_target: u64, by_origin: u64) -> Turns {
        let mut turns = Turns::default();
        let span = |number| [10 * number, 10 * number + 5].map(Time::from_millis);
        (0..by_target).for_each(|number| turns.take(Side::Target, span(number)));
        (0..by_origin).for_each(|number| turns.take(Side::Origin, span(number)));
        turns
    }

    #[test]
    fn what_goes_on_tells_nothing_of_servers_with_states_of_their_own() {
        let telling = |by_target, by_origin| turns(by_target, by_origin).telling(1_000);
        assert_eq!(telling(0, 0), 1_000, "it always differed");
        assert_eq!(telling(3, 0), 1_000, "the origin never changes alone");
        assert_eq!((telling(5, 5), telling(1, 6), telling(40, 2)), (5, 1, 40));
        assert_eq!(telling(0, 9), 1_000, "only the origin changes");
        assert_eq!(turns(9, 1).telling(4), 4, "what a change of both explained is none");
    }

    #[test]
    fn what_changes_for_all_requests_is_one_change() {
        let mut turns = Turns::default();
        (0..50).for_each(|number| turns.take(Side::Origin, [100 + number, 200 + number].map(Time::from_millis)));
        assert_eq!(turns.telling(1_000), 0);
    }

    #[test]
    fn an_origin_that_changes_leaves_the_target_behind() {
        let difference = |kind, [origin, target]: [&str; 2]| Difference {
            field: "header:x-cache".to_owned(),
            kind,
            offset: None,
            origin: origin.to_owned(),
            target: target.to_owned(),
        };
        let now = difference(Kind::Value, ["MISS", "HIT"]);
        assert!(has_left(&difference(Kind::Value, ["HIT", "MISS"]), &now));
        assert!(!has_left(&difference(Kind::Value, ["STALE", "MISS"]), &now));
        assert!(has_left(&difference(Kind::Added, ["", "MISS"]), &difference(Kind::Missing, ["MISS", ""])));
    }
}
