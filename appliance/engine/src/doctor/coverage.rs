//! What one direction of a flow sent, as the mirror showed it, held against what the other side acknowledged.
//!
//! Bytes that were acknowledged were sent. Where the mirror has not shown them within a grace after the
//! acknowledgement, since it may show the two directions out of order, the mirror has lost them. Bytes that are missing
//! but not acknowledged were perhaps lost before the mirror, and come again.

use crate::limits::examination::HOLES_MAX;
use crate::time::Time;
use core::time::Duration;

/// How long a hole may stay below an acknowledgement: a mirror's queues hold a direction back by less.
const GRACE: Duration = Duration::from_millis(200);
/// A greater jump is no loss but another session under the same addresses and ports, or a forged segment: systems use
/// windows of some MiB.
const JUMP_MAX: i32 = 16 << 20;

/// Bytes that were not shown yet.
#[derive(Clone, Copy, Debug)]
struct Hole {
    start: u32,
    end: u32,
    /// When the mirror showed their acknowledgement.
    acknowledged_at: Option<Time>,
}

impl Hole {
    fn len(&self) -> u32 {
        self.end.wrapping_sub(self.start)
    }

    fn is_lost(&self, now: Time) -> bool {
        self.acknowledged_at.is_some_and(|at| now.since(at) > GRACE)
    }
}

/// The sequence space of one direction.
#[derive(Clone, Debug, Default)]
pub(super) struct Coverage {
    /// The end of all that is known to be sent; none before the first segment or acknowledgement.
    end: Option<u32>,
    /// The end of what is acknowledged.
    acknowledged: Option<u32>,
    /// In the order of their discovery.
    holes: Vec<Hole>,
    acknowledged_bytes: u64,
    lost_bytes: u64,
}

impl Coverage {
    /// Sequence numbers acknowledged since the first sight of the direction.
    pub fn acknowledged_bytes(&self) -> u64 {
        self.acknowledged_bytes
    }

    /// Those of them that the mirror never showed.
    pub fn lost_bytes(&self, now: Time) -> u64 {
        let held: u64 = self.holes.iter().filter(|hole| hole.is_lost(now)).map(|hole| u64::from(hole.len())).sum();
        self.lost_bytes + held
    }

    /// Another session begins on the same flow.
    pub fn restart(&mut self, now: Time) {
        self.settle(now);
        (self.end, self.acknowledged) = (None, None);
        self.holes.clear();
    }

    /// The mirror showed a segment that takes `len` sequence numbers.
    pub fn shows(&mut self, now: Time, seq: u32, len: u32) {
        self.settle(now);
        if len == 0 {
            // A keep-alive repeats the number before the next one (RFC 9293, section 3.8.4).
            self.end.get_or_insert(seq.wrapping_add(1));
        }
        let end = self.reach(seq, None);
        self.fill(seq, seq.wrapping_add(len));
        if distance(end, seq.wrapping_add(len)) > 0 {
            self.end = Some(seq.wrapping_add(len));
        }
    }

    /// The other side has received everything before `ack`.
    pub fn acknowledges(&mut self, now: Time, ack: u32) {
        self.settle(now);
        self.reach(ack, Some(now));
        let before = *self.acknowledged.get_or_insert(ack);
        let advance = distance(before, ack);
        if advance <= 0 {
            return;
        }
        self.acknowledged = Some(ack);
        self.acknowledged_bytes += u64::from(advance.unsigned_abs());
        self.split_at(ack);
        let below = |hole: &&mut Hole| distance(hole.end, ack) >= 0;
        for hole in self.holes.iter_mut().filter(below) {
            hole.acknowledged_at.get_or_insert(now);
        }
    }

    /// The sender has come as far as `to`: what lies between that and the end so far was not shown. Returns the end.
    fn reach(&mut self, to: u32, acknowledged_at: Option<Time>) -> u32 {
        let end = *self.end.get_or_insert(to);
        let jump = distance(end, to);
        if jump.checked_abs().is_none_or(|jump| jump > JUMP_MAX) {
            self.holes.clear();
            (self.end, self.acknowledged) = (Some(to), None);
        } else if jump > 0 {
            self.open(Hole { start: end, end: to, acknowledged_at });
            self.end = Some(to);
        }
        self.end.unwrap_or(to)
    }

    fn open(&mut self, hole: Hole) {
        if self.holes.len() >= HOLES_MAX {
            let oldest = self.holes.remove(0);
            self.lost_bytes += oldest.acknowledged_at.map_or(0, |_| u64::from(oldest.len()));
        }
        self.holes.push(hole);
    }

    /// Takes `start..end` out of the holes.
    fn fill(&mut self, start: u32, end: u32) {
        if self.holes.is_empty() || start == end {
            return;
        }
        self.split_at(start);
        self.split_at(end);
        self.holes.retain(|hole| distance(start, hole.start) < 0 || distance(hole.end, end) < 0);
    }

    /// Cuts the hole that `at` lies within.
    fn split_at(&mut self, at: u32) {
        let within = |hole: &Hole| distance(hole.start, at) > 0 && distance(at, hole.end) > 0;
        let Some(index) = self.holes.iter().position(within) else { return };
        let upper = Hole { start: at, ..self.holes[index] };
        self.holes[index].end = at;
        self.open(upper);
    }

    fn settle(&mut self, now: Time) {
        if self.holes.iter().any(|hole| hole.is_lost(now)) {
            self.lost_bytes = self.lost_bytes(now);
            self.holes.retain(|hole| !hole.is_lost(now));
        }
    }
}

/// From `a` to `b` in sequence space (RFC 9293, section 3.4).
fn distance(a: u32, b: u32) -> i32 {
    b.wrapping_sub(a).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `(milliseconds, what, number, length)`: `s`hown or `a`cknowledged, from just below where numbers wrap.
    #[track_caller]
    fn check(events: &[(u64, char, u32, u32)], acknowledged: u64, lost: u64) {
        let mut coverage = Coverage::default();
        let base = u32::MAX - 150;
        for (millis, what, number, len) in events {
            let (now, number) = (Time::from_millis(*millis), base.wrapping_add(*number));
            match what {
                's' => coverage.shows(now, number, *len),
                _ => coverage.acknowledges(now, number),
            }
        }
        let end = Time::from_millis(10_000);
        assert_eq!((coverage.acknowledged_bytes(), coverage.lost_bytes(end)), (acknowledged, lost));
    }

    #[test]
    fn all_shown_is_nothing_lost() {
        check(&[(0, 's', 0, 100), (1, 'a', 0, 0), (2, 's', 100, 100), (3, 'a', 200, 0)], 200, 0);
    }

    #[test]
    fn acknowledged_but_never_shown_is_lost() {
        check(&[(0, 'a', 0, 0), (0, 's', 0, 100), (1, 's', 200, 100), (2, 'a', 300, 0), (900, 's', 300, 1)], 300, 100);
        check(&[(0, 'a', 0, 0), (0, 's', 0, 100), (2, 'a', 300, 0)], 300, 200);
        check(&[(0, 'a', 0, 0), (0, 's', 200, 100), (2, 'a', 50, 0)], 50, 50);
    }

    #[test]
    fn a_retransmission_fills_what_was_lost_before_the_mirror() {
        check(&[(0, 'a', 0, 0), (0, 's', 100, 100), (900, 's', 0, 100), (901, 'a', 200, 0)], 200, 0);
    }

    #[test]
    fn a_keep_alive_at_first_sight_is_no_byte() {
        check(&[(0, 's', 0, 0), (1, 'a', 1, 0), (2, 's', 1, 0), (3, 'a', 1, 0)], 0, 0);
        check(&[(0, 's', 0, 0), (1, 'a', 0, 0), (2, 's', 0, 100), (3, 'a', 100, 0)], 100, 0);
    }

    #[test]
    fn directions_may_overtake_each_other_within_the_grace() {
        check(&[(0, 'a', 0, 0), (1, 'a', 200, 0), (150, 's', 0, 200)], 200, 0);
        check(&[(0, 'a', 0, 0), (1, 'a', 200, 0), (250, 's', 0, 200)], 200, 200);
    }

    #[test]
    fn a_jump_beyond_any_window_is_another_session() {
        check(&[(0, 'a', 0, 0), (0, 's', 0, 100), (1, 'a', 1 << 30, 0), (2, 's', 1 << 30, 10)], 0, 0);
    }

    #[test]
    fn many_holes_stay_bounded() {
        let mut coverage = Coverage::default();
        for n in 0..10_000 {
            coverage.shows(Time::ZERO, n * 20, 10);
        }
        assert_eq!(coverage.holes.len(), HOLES_MAX);
    }
}
