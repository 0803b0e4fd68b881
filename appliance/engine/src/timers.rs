//! Timers: who wants to be woken when.
//!
//! A heap with lazy re-arming. Whoever is timed keeps the [`Alarm`] of its earliest entry; arming to a later time is free,
//! because the entry that fires early merely asks again. Most re-arms are of that kind (each segment sent pushes the
//! retransmission further away).

use crate::time::Time;
use core::cmp::Reverse;
use std::collections::BinaryHeap;

/// The pending entries of one timed thing: the earliest, and one later that an earlier arming has left behind. [`Time::MAX`] where
/// there is none.
#[derive(Clone, Copy, Debug)]
pub struct Alarm {
    pending: Time,
    left: Time,
}

impl Default for Alarm {
    fn default() -> Self {
        Self { pending: Time::MAX, left: Time::MAX }
    }
}

/// Entries of type `K`, by time.
#[derive(Debug)]
pub struct Timers<K: Ord> {
    heap: BinaryHeap<Reverse<(Time, K)>>,
}

impl<K: Ord + Copy> Default for Timers<K> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new() }
    }
}

impl<K: Ord + Copy> Timers<K> {
    /// Sees to it that `key` is woken at `at` or before.
    pub fn arm(&mut self, alarm: &mut Alarm, key: K, at: Time) {
        if alarm.pending <= at {
            return;
        }
        if alarm.left <= at {
            alarm.pending = core::mem::replace(&mut alarm.left, Time::MAX);
            return;
        }
        if alarm.pending < Time::MAX {
            alarm.left = alarm.pending;
        }
        alarm.pending = at;
        self.heap.push(Reverse((at, key)));
    }

    /// The time of the earliest entry.
    pub fn next_at(&self) -> Option<Time> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes an entry that is due at `now`. The caller compares it with its [`Alarm`] by [`Alarm::fired`].
    pub fn pop_due(&mut self, now: Time) -> Option<(Time, K)> {
        if self.next_at()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }
}

impl Alarm {
    /// Whether the entry of time `at` is the pending one, which then is no longer pending; otherwise it is a stale entry
    /// left behind by a later arming to an earlier time.
    pub fn fired(&mut self, at: Time) -> bool {
        let is_pending = self.pending == at;
        if is_pending {
            self.pending = Time::MAX;
        } else if self.left == at {
            self.left = Time::MAX;
        }
        is_pending
    }
}
