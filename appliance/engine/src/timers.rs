//! Timers: who wants to be woken when.
//!
//! A heap with lazy re-arming. Whoever is timed keeps the [`Alarm`] of its earliest entry; arming to a later time is free,
//! because the entry that fires early merely asks again. Most re-arms are of that kind (each segment sent pushes the
//! retransmission further away).

use crate::time::Time;
use core::cmp::Reverse;
use std::collections::BinaryHeap;

/// The pending entries of one timed thing: the earliest, and one later that an earlier arming has left behind.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alarm {
    pending: Option<Time>,
    left: Option<Time>,
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
        if alarm.pending.is_some_and(|pending| pending <= at) {
            return;
        }
        match alarm.left.take_if(|left| *left <= at) {
            Some(left) => alarm.pending = Some(left),
            None => {
                alarm.left = alarm.pending.or(alarm.left);
                alarm.pending = Some(at);
                self.heap.push(Reverse((at, key)));
            }
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
        let is_pending = self.pending.take_if(|pending| *pending == at).is_some();
        if !is_pending {
            self.left.take_if(|left| *left == at);
        }
        is_pending
    }
}
