//! Timers: who wants to be woken when.
//!
//! A heap with lazy re-arming. Whoever is timed keeps the [`Alarm`] of its earliest entry; arming to a later time is free,
//! because the entry that fires early merely asks again. Most re-arms are of that kind (each segment sent pushes the
//! retransmission further away).

use crate::time::Time;
use core::cmp::Reverse;
use std::collections::BinaryHeap;

/// The earliest pending entry of one timed thing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alarm(Option<Time>);

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
        if alarm.0.is_none_or(|pending| at < pending) {
            alarm.0 = Some(at);
            self.heap.push(Reverse((at, key)));
        }
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
        let pending = self.0 == Some(at);
        if pending {
            self.0 = None;
        }
        pending
    }
}
