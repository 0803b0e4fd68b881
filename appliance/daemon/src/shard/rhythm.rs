//! What a shard leaves where it is for a while, so that one waking serves for much.
//!
//! A wake-up costs as much as dozens of frames: two switches of context, and caches that have forgotten the engine. So nothing
//! is waited for that nobody waits for.
//!
//! The **mirror** is always waited for while there is replay, because what it holds back is the delay of what is sent. Its ring
//! hands over a block each millisecond at most. Without replay the ring may gather for longer ([`Source::patience`]).
//!
//! The **target** answers within a fraction of a millisecond, in a frame or two for each request. When an answer came is told by
//! the kernel, so that it may lie in the socket for a while, unless something depends on it: a request that waits for the answer
//! before it, bytes that wait for room, or an answer so long that the target waits for our acknowledgements. **Timers** are
//! mostly those of acknowledgements, and wait in the same way, with the same exception.
//!
//! Where nothing moves, everything is waited for, and nothing else wakes the shard.
//!
//! [`Source::patience`]: crate::source::Source::patience

use std::time::Duration;
use tapcopy_engine::{Backlog, Time};

/// How long frames of the target and timers are left where they are. It must stay well below the 8 ms in which Linux finds that
/// the last segment of an answer was not acknowledged, and sends it again.
const GATHER: Duration = Duration::from_millis(2);
/// Bytes of an answer behind which more is likely to wait for acknowledgements: some segments, but less than the smallest window.
const LONG_ANSWER_BYTES: u64 = 4_096;

/// What one turn has moved.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moved {
    /// Frames of the mirror.
    pub(super) mirrored: usize,
    /// Frames that were sent to the target.
    pub(super) sent: u64,
    /// Bytes of its frames that were received.
    pub(super) received_bytes: u64,
    /// Requests without an outcome.
    pub(super) in_progress: u64,
}

/// What the next turn may be late for.
#[derive(Debug, Default)]
pub(super) struct Rhythm {
    /// When the mirror is read without being waited for.
    mirror_at: Option<Time>,
    /// When the target is.
    target_at: Option<Time>,
    /// When timers are looked at that are due before.
    timers_at: Time,
}

impl Rhythm {
    /// After a turn with a live mirror. `patience`: how long the mirror's ring may gather, where it may.
    pub(super) fn note(&mut self, now: Time, moved: Moved, backlog: Backlog, patience: Option<Duration>) {
        self.mirror_at =
            patience.filter(|patience| moved.mirrored > 0 && !patience.is_zero()).map(|patience| now + patience);
        let is_awaited = backlog.bytes > 0
            || moved.received_bytes >= LONG_ANSWER_BYTES
            || backlog.answer_bytes > LONG_ANSWER_BYTES * backlog.requests;
        if is_awaited {
            (self.target_at, self.timers_at) = (None, now);
            return;
        }
        // What was sent is not answered yet, and what has been answered may have more behind it; but behind the last answer, and
        // its acknowledgement, nothing comes.
        let is_busy = moved.sent > 0 && moved.mirrored > 0
            || moved.in_progress > 0 && (moved.sent > 0 || moved.received_bytes > 0);
        self.target_at = if is_busy { Some(now + GATHER) } else { self.target_at.filter(|at| *at > now) };
        self.timers_at = now + GATHER;
    }

    /// Whether the mirror is waited for.
    pub(super) fn awaits_mirror(&self) -> bool {
        self.mirror_at.is_none()
    }

    /// Whether the target is.
    pub(super) fn awaits_target(&self) -> bool {
        self.target_at.is_none()
    }

    /// When the next turn comes at the latest, if a timer of the engine is due then.
    pub(super) fn next_at(&self, timer: Option<Time>) -> Option<Time> {
        let timer = timer.map(|due| due.max(self.timers_at));
        [self.mirror_at, self.target_at, timer].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: Moved = Moved { mirrored: 4, sent: 1, received_bytes: 0, in_progress: 1 };
    const NOTHING: Moved = Moved { mirrored: 0, sent: 0, received_bytes: 0, in_progress: 1 };

    fn at(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    fn after(moved: Moved, backlog: Backlog, patience: Option<Duration>) -> Rhythm {
        let mut rhythm = Rhythm::default();
        rhythm.note(at(10), moved, backlog, patience);
        rhythm
    }

    #[test]
    fn answers_and_timers_wait_for_each_other() {
        let rhythm = after(SENT, Backlog { requests: 1, answer_bytes: 300, ..Backlog::default() }, None);
        assert!(rhythm.awaits_mirror() && !rhythm.awaits_target());
        assert_eq!([None, Some(at(10)), Some(at(11))].map(|timer| rhythm.next_at(timer)), [Some(at(12)); 3]);
    }

    #[test]
    fn what_something_depends_on_is_waited_for() {
        let held = Backlog { requests: 2, bytes: 1, ..Backlog::default() };
        let long = Backlog { requests: 1, answer_bytes: 1 << 20, ..Backlog::default() };
        let received = Moved { received_bytes: 16 << 10, ..NOTHING };
        for (moved, backlog) in [(SENT, held), (SENT, long), (received, Backlog::default())] {
            let rhythm = after(moved, backlog, None);
            assert!(rhythm.awaits_mirror() && rhythm.awaits_target());
            assert_eq!(rhythm.next_at(Some(at(11))), Some(at(11)));
        }
    }

    #[test]
    fn where_nothing_moves_everything_is_waited_for() {
        let mut rhythm = after(SENT, Backlog::default(), None);
        rhythm.note(at(11), NOTHING, Backlog::default(), None);
        assert!(!rhythm.awaits_target(), "the answer has still to come");
        rhythm.note(at(12), NOTHING, Backlog::default(), None);
        assert!(rhythm.awaits_mirror() && rhythm.awaits_target());
        assert_eq!(rhythm.next_at(None), None);
    }

    #[test]
    fn behind_the_last_answer_nothing_is_looked_for() {
        let answered = Moved { received_bytes: 300, in_progress: 0, ..NOTHING };
        let acknowledged = Moved { sent: 1, in_progress: 0, ..NOTHING };
        for moved in [answered, acknowledged] {
            let rhythm = after(moved, Backlog::default(), None);
            assert!(rhythm.awaits_target());
            assert_eq!(rhythm.next_at(None), None);
        }
        let left = Moved { in_progress: 0, ..SENT };
        assert!(!after(left, Backlog::default(), None).awaits_target(), "a client's close is answered");
    }

    #[test]
    fn without_replay_the_ring_gathers() {
        let patience = Some(Duration::from_millis(20));
        let rhythm = after(Moved { mirrored: 4, ..NOTHING }, Backlog::default(), patience);
        assert!(!rhythm.awaits_mirror());
        assert_eq!(rhythm.next_at(None), Some(at(30)));
        assert!(after(NOTHING, Backlog::default(), patience).awaits_mirror());
        assert!(after(SENT, Backlog::default(), Some(Duration::ZERO)).awaits_mirror(), "a small ring may not");
    }
}
