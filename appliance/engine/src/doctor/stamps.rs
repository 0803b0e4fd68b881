//! The stamps of the frames as a clock, and the steps in it.
//!
//! A step back is seen at once. A step forward looks like silence, but for the senders: their TCP time stamps (RFC 7323)
//! go on with a clock of their own. After a long silence the next segments that carry one say whether the time has
//! really passed. Hosts tick 1,000 times a second, some 100 times; none so slowly that a twentieth of the first rate were
//! not exceeded by far.

use super::report::ClockSteps;
use crate::time::Time;
use core::time::Duration;

/// Stamps of several queues or NICs overtake each other by less; what sets a clock by steps sets it by more.
const BACKWARD_MIN: Duration = Duration::from_millis(100);
/// The shortest silence that is looked into.
const FORWARD_MIN: Duration = Duration::from_secs(1);
/// Segments that are asked about one silence.
const VOTES_MAX: u32 = 9;
/// Of the ticks that 1,000 Hz would make, the share below which no time has passed for the sender.
const TICKS_DIVISOR: u128 = 20;

/// A silence that may be a step.
#[derive(Clone, Copy, Debug)]
struct Silence {
    from: Time,
    len: Duration,
    votes: u32,
    votes_for_step: u32,
}

impl Silence {
    fn is_step(&self) -> bool {
        self.votes_for_step * 2 > self.votes
    }
}

/// What a direction of a flow said last of its sender's clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct SenderClock {
    ticks: u32,
    at: Time,
}

/// The clock of the frames.
#[derive(Debug, Default)]
pub(super) struct Stamps {
    last: Option<Time>,
    /// Time that has passed, steps back left out.
    now: Time,
    silence: Option<Silence>,
    steps: ClockSteps,
}

impl Stamps {
    /// Takes a frame's stamp and gives the time that has passed since the first, which never runs backwards.
    pub fn take(&mut self, stamp: Time) -> Time {
        let last = *self.last.get_or_insert(stamp);
        if last.since(stamp) >= BACKWARD_MIN {
            self.steps.backward += 1;
            self.steps.backward_largest_seconds =
                self.steps.backward_largest_seconds.max(last.since(stamp).as_secs_f64());
            self.last = Some(stamp);
        } else if stamp > last {
            self.pass(stamp.since(last));
            self.last = Some(stamp);
        }
        self.now
    }

    fn pass(&mut self, len: Duration) {
        if len >= FORWARD_MIN {
            self.settle();
            self.silence = Some(Silence { from: self.now, len, votes: 0, votes_for_step: 0 });
        }
        self.now = self.now + len;
    }

    /// Time that has passed since the first frame.
    pub fn now(&self) -> Time {
        self.now
    }

    /// A segment carries its sender's time stamp; `before` is what the direction said last.
    pub fn ask(&mut self, before: Option<SenderClock>, ticks: u32) -> SenderClock {
        let answer = SenderClock { ticks, at: self.now };
        let (Some(silence), Some(before)) = (&mut self.silence, before) else { return answer };
        if before.at > silence.from || silence.votes >= VOTES_MAX {
            return answer;
        }
        let ticked = u128::from(ticks.wrapping_sub(before.ticks));
        silence.votes += 1;
        silence.votes_for_step += u32::from(ticked * TICKS_DIVISOR < self.now.since(before.at).as_millis());
        answer
    }

    fn settle(&mut self) {
        self.steps = self.steps();
        self.silence = None;
    }

    /// The steps so far.
    pub fn steps(&self) -> ClockSteps {
        let mut steps = self.steps;
        if let Some(silence) = self.silence.filter(Silence::is_step) {
            steps.forward += 1;
            steps.forward_largest_seconds = steps.forward_largest_seconds.max(silence.len.as_secs_f64());
        }
        steps
    }
}

/// The value of a TCP header's time stamp option (RFC 7323, section 3.2).
pub(super) fn timestamp(header: &[u8]) -> Option<u32> {
    let mut rest = header.get(20..)?;
    loop {
        rest = match rest {
            [8, 10, value @ ..] => return value.first_chunk().map(|value| u32::from_be_bytes(*value)),
            [0, ..] | [] | [_] => return None,
            [1, tail @ ..] => tail,
            [_, len, ..] => rest.get(usize::from(*len).max(2)..)?,
        };
    }
}
