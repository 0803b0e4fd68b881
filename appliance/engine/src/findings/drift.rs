//! Drift: a target is asked later than the origin, and what both servers share may have changed in between.
//!
//! Such a change is no fault, and makes the target differ for as long as it is late. But the origin shows it, too: its next answer to
//! the same request is another one. How long the target was late, and how long the origin was watched between two answers to the
//! same request, tell how many changes the target may have shown by chance for each that the origin has shown.
//!
//! Against that stands the least number of changes that would explain all differences: those of answers whose times overlap may all be of
//! one. There must be clearly more of them than the origin's own changes let expect, by a bet as in `noise`. Where the origin was hardly
//! watched, because no request came twice, nothing is taken to change more often than every few seconds.

use super::noise::strength;
use crate::limits::findings::WAITING_MAX;
use crate::time::Time;
use core::time::Duration;
use std::collections::VecDeque;

/// How many times more probable the target's fault must be, at most, than that it was late.
const STRENGTH_MAX: f64 = 64.0;

/// How many times more changes there must be than what the origin's own let expect.
const EXPECTED_TIMES: f64 = 3.0;

/// Requests that must not have changed while one did.
const CONFIRMING: u32 = 2;

/// Changes in a second that are thought possible of what the origin was never seen to change.
const CHANGES_PER_SECOND: f64 = 0.2;

/// How long one field could change, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Watch {
    /// Between two answers of the origin.
    pub watched: f64,
    /// Between the origin's answers and the target's, as far as these times do not overlap.
    pub late: f64,
    /// Changes of the origin.
    pub changes: u64,
    /// As how many of them a target so late would have shown.
    pub shown: f64,
}

impl Watch {
    /// Takes an answer that stands for `weight` ones, `since` after an earlier one, to which the target's came `late`.
    pub fn take(&mut self, since: Duration, late: Duration, weight: f64, has_changed: bool) {
        let (since, late) = (since.as_secs_f64(), late.as_secs_f64());
        let alone = late.min(since);
        self.watched += since;
        self.late += alone * weight;
        if has_changed {
            self.changes += 1;
            self.shown += if since > late { late / since } else { 1.0 };
        }
    }

    /// Both.
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            watched: self.watched + other.watched,
            late: self.late + other.late,
            changes: self.changes + other.changes,
            shown: self.shown + other.shown,
        }
    }
}

/// The least number of changes that explain differences: points of time that lie in every span between an answer of the origin and
/// the target's.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Changes {
    /// How many.
    pub needed: u64,
    /// When the last of them may have been.
    span: Option<(Time, Time)>,
}

impl Changes {
    /// Takes a span; whether what was needed before does not explain it.
    pub fn take(&mut self, from: Time, late: Duration) -> bool {
        let until = from + late;
        let common = self.span.map(|(since, to)| (since.max(from), until.min(to))).filter(|(since, to)| since < to);
        self.span = common.or(Some((from, until)));
        self.needed += u64::from(common.is_none());
        common.is_none()
    }
}

/// Differences each of which needs a change of its own, if what changes is one request's.
///
/// But all requests may have changed at once, as prices do at midnight. So a difference waits until the origin has answered some
/// requests before it and again after it, and counts if those have not changed.
#[derive(Debug, Default)]
pub struct Apart {
    /// How many of them count.
    pub confirmed: u64,
    /// How many there were.
    pub seen: u64,
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    from: Time,
    until: Time,
    agreed: u32,
}

impl Apart {
    /// Takes a difference.
    pub fn wait(&mut self, from: Time, late: Duration) {
        self.seen += 1;
        if self.waiting.len() >= WAITING_MAX {
            self.waiting.pop_front();
        }
        self.waiting.push_back(Waiting { from, until: from + late, agreed: 0 });
    }

    /// Takes two answers of the origin to the same request, one after the other.
    pub fn hear(&mut self, from: Time, until: Time, has_changed: bool) {
        let before = self.waiting.len();
        let spans = |waiting: &Waiting| from <= waiting.from && waiting.until <= until;
        if has_changed {
            return self.waiting.retain(|waiting| !spans(waiting));
        }
        self.waiting.iter_mut().filter(|waiting| spans(waiting)).for_each(|waiting| waiting.agreed += 1);
        self.waiting.retain(|waiting| waiting.agreed < CONFIRMING);
        self.confirmed += (before - self.waiting.len()) as u64;
    }
}

/// What is known of the changes of one field.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Drift {
    /// Changes that would explain the target's differences, if all requests change at once.
    pub needed: u64,
    /// The same if each changes by itself, of so many that were looked at.
    pub needed_apart: [u64; 2],
    /// What the origin's answers show.
    pub watch: Watch,
    /// How long the target was late in answers to which there is no earlier one, too, in seconds.
    pub late: f64,
    /// The same since the endpoint is known.
    pub late_ever: f64,
}

impl Drift {
    /// Whether it does not explain the differences, by a strength that is asked for, up to [`STRENGTH_MAX`].
    pub fn is_excluded(&self, asked: f64) -> bool {
        let asked = asked.min(STRENGTH_MAX);
        let [apart, of] = self.needed_apart;
        let part = if of > 0 { apart as f64 / of as f64 } else { 0.0 };
        self.is_beyond_chance(self.needed, 1.0, asked)
            || self.is_beyond_chance(apart, part, asked)
            || self.is_beyond_belief(asked)
    }

    /// Whether the origin's own changes let expect far fewer.
    pub fn is_unexpected(&self) -> bool {
        self.is_far_more(self.needed, 1.0)
    }

    /// Whether so many changes in a part of the time for which the target was late are far more than the origin's own let expect.
    fn is_far_more(&self, needed: u64, part: f64) -> bool {
        let unwatched = if self.watch.late > 0.0 { self.late / self.watch.late } else { 0.0 };
        needed as f64 > EXPECTED_TIMES * self.watch.shown * unwatched * part
    }

    /// Whether they are also more than chance gives. The first one does not count: but for it, nobody would look.
    fn is_beyond_chance(&self, needed: u64, part: f64, asked: f64) -> bool {
        let late = self.late * part;
        let share = late / (late + self.watch.watched).max(f64::MIN_POSITIVE);
        self.is_far_more(needed, part) && strength(needed.saturating_sub(1), self.watch.changes, share) >= asked
    }

    /// Whether what never changed while it was watched would have to change more often than anything does.
    fn is_beyond_belief(&self, asked: f64) -> bool {
        self.watch.changes == 0 && at_least(self.needed, CHANGES_PER_SECOND * self.late_ever) * asked <= 1.0
    }
}

/// How probable it is that something happens at least so many times that happens `expected` times on average (Poisson).
fn at_least(times: u64, expected: f64) -> f64 {
    let mut rest = 1.0;
    let mut exactly = (-expected).exp();
    for number in 0..times {
        rest -= exactly;
        exactly *= expected / (number + 1) as f64;
    }
    rest.max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drift(needed: u64, late: f64, watched: f64, changes: u64, shown: f64) -> Drift {
        let watch = Watch { watched, late, changes, shown };
        Drift { needed, needed_apart: [0; 2], watch, late, late_ever: late }
    }

    #[test]
    fn what_one_change_explains_is_one() {
        let at = |millis| Time::from_millis(millis);
        let needed = |spans: &[(u64, u64)]| {
            let mut changes = Changes::default();
            let new = spans.iter().filter(|(from, late)| changes.take(at(*from), Duration::from_millis(*late))).count();
            assert_eq!(changes.needed, new as u64);
            new
        };
        assert_eq!(needed(&[(0, 10), (3, 10), (9, 2)]), 1);
        assert_eq!(needed(&[(0, 10), (3, 10), (11, 10)]), 2, "the first was over");
        assert_eq!(needed(&[(0, 10), (10, 10), (20, 10)]), 3);
        assert_eq!(needed(&[(5, 10), (0, 6), (0, 4)]), 2, "in any order");
        assert_eq!(needed(&[(0, 0), (0, 0)]), 2, "of one moment");
    }

    #[test]
    fn a_target_shows_no_more_changes_than_it_is_late_for() {
        assert!(!drift(17, 35.0, 85.0, 42, 17.0).is_excluded(STRENGTH_MAX), "what changes by itself");
        assert!(drift(17, 35.0, 85.0, 0, 0.0).is_excluded(STRENGTH_MAX), "what does not");
        assert!(drift(22, 17.0, 5_800.0, 200, 0.6).is_excluded(STRENGTH_MAX), "what does, and is wrong besides");
        assert!(
            !drift(10, 1.0, 100.0, 10, 10.0).is_excluded(STRENGTH_MAX),
            "what is asked for often changes, and the rest does not"
        );
        assert!(!drift(1, 1.0, 1e4, 0, 0.0).is_excluded(STRENGTH_MAX), "one change may always be");
        let apart = |needed_apart, changes, shown| {
            let drift = drift(7, 4_347.0, 1_380.0, changes, shown);
            Drift { needed_apart, watch: Watch { late: 1_131.0, ..drift.watch }, ..drift }.is_excluded(STRENGTH_MAX)
        };
        assert!(apart([11, 21], 0, 0.0) && !apart([3, 21], 0, 0.0) && !apart([51, 200], 64, 56.0), "a very late one");
    }

    #[test]
    fn what_was_not_watched_changes_seldom() {
        assert!(drift(1, 0.01, 0.01, 0, 0.0).is_excluded(STRENGTH_MAX), "ten requests within milliseconds");
        assert!(!drift(1, 1.0, 0.0, 0, 0.0).is_excluded(STRENGTH_MAX), "a late target");
        assert!(
            drift(22, 10.0, 0.0, 0, 0.0).is_excluded(STRENGTH_MAX)
                && !drift(22, 100.0, 0.0, 0, 0.0).is_excluded(STRENGTH_MAX)
        );
    }

    #[test]
    fn what_changes_at_once_needs_no_changes_of_its_own() {
        let at = |millis| Time::from_millis(millis);
        let mut apart = Apart::default();
        (0..5).for_each(|number| apart.wait(at(100 + number), Duration::from_millis(50)));
        apart.hear(at(101), at(200), false);
        apart.hear(at(0), at(153), false);
        assert_eq!((apart.confirmed, apart.waiting.len()), (3, 2), "those between two answers to both requests");
        apart.hear(at(104), at(154), true);
        assert_eq!((apart.confirmed, apart.waiting.len()), (3, 1), "between two that differ");
        (0..1_000).for_each(|number| apart.wait(at(number), Duration::ZERO));
        assert_eq!(apart.waiting.len(), WAITING_MAX);
    }

    #[test]
    fn how_probable_many_are() {
        assert!((at_least(1, 0.01) - 0.009_95).abs() < 1e-5 && at_least(0, 7.0) == 1.0);
        assert!((at_least(3, 3.0) - 0.576_8).abs() < 1e-4 && at_least(100, 3.0) < 1e-12);
    }
}
