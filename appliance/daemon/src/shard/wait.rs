//! What a shard waits for between two turns.

use super::turn::{Phase, Shard};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use std::os::fd::AsFd;
use std::time::Duration;
use tapcopy_engine::Time;

/// How soon sending is tried again when the kernel had no room, which it does not tell the end of.
const RETRY_SEND: Duration = Duration::from_millis(1);

/// Where frames may have come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ready {
    pub(super) mirror: bool,
    pub(super) target: bool,
}

impl Ready {
    pub(super) const ALL: Self = Self { mirror: true, target: true };
}

impl Shard {
    /// Waits for a frame, an order or the next time that something is due; what is to be read then. What cannot be waited for, or
    /// is not, is looked at each time: a lost interface, captures, what the [`Rhythm`](super::rhythm::Rhythm) lets gather.
    pub(super) fn wait(&self) -> Ready {
        let now = self.clock.now();
        let timeout = TimeSpec::from_duration(self.next_due(now).since(now));
        let readable = |fd| PollFd::new(fd, PollFlags::POLLIN);
        let mut descriptors = vec![readable(self.wake.as_fd())];
        let can_take = !self.target.is_backed_up();
        let awaits_target = can_take && self.rhythm.awaits_target();
        let awaits_mirror = can_take && self.rhythm.awaits_mirror() && !matches!(self.phase, Phase::Finishing { .. });
        if awaits_target {
            descriptors.push(readable(self.target.descriptor()));
        }
        let mirrors_from = descriptors.len();
        if awaits_mirror {
            descriptors.extend(self.source.descriptors().map(readable));
        }
        // An interrupted wait is a short one, which the loop bears.
        let _ = ppoll(&mut descriptors, Some(timeout), None);
        let has_come = |descriptor: &PollFd<'_>| descriptor.any().unwrap_or(true);
        if has_come(&descriptors[0]) {
            let _ = self.wake.read();
        }
        // That an interface has gone is told once, when libpcap may still find it there; it says so where it is asked again.
        if self.published.is_due(self.clock.now()) {
            return Ready::ALL;
        }
        Ready {
            target: !awaits_target || has_come(&descriptors[1]),
            mirror: !awaits_mirror
                || !self.source.can_be_waited_for()
                || descriptors[mirrors_from..].iter().any(has_come),
        }
    }

    fn next_due(&self, now: Time) -> Time {
        let retry = self.target.has_waiting().then(|| now + RETRY_SEND);
        let phase = match self.phase {
            Phase::Draining { until, .. } | Phase::Finishing { until } => Some(until),
            Phase::Running | Phase::Ended => None,
        };
        let source = if matches!(self.phase, Phase::Finishing { .. }) { None } else { self.source.next_due(now) };
        let gathered = self.rhythm.next_at(self.engine.poll_timeout());
        [Some(self.published.next_at), gathered, source, retry, phase].into_iter().flatten().min().unwrap_or(now)
    }
}
