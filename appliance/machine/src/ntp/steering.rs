//! What is done with what the servers say: whom of them to believe, whether the clock is set or drawn, when to ask again. Pure
//! functions of samples; `super` asks and obeys.
//!
//! A clock that nobody has set yet is set at once. From then on it is drawn (by the kernel, 0.5 ms in a second at most), so that
//! no interval is cut or stretched; it is set once more only when several rounds in a row say that it is far off.

use super::packet::Sample;
use std::time::Duration;

/// An offset in seconds below which even the first one is drawn.
const FIRST_STEP: f64 = 0.01;
/// An offset in seconds from which on drawing would take too long (RFC 5905, section 11.3: STEPT).
const STEP: f64 = 0.128;
/// Rounds in a row that must say so, some three minutes: a burst of traffic on the way is over by then.
const STEP_ROUNDS: u32 = 3;
/// Times between two rounds, as powers of two in seconds (MINPOLL, MAXPOLL).
const POLL_MIN: u32 = 6;
const POLL_MAX: u32 = 10;
/// An offset in seconds up to which questions become rarer.
const CALM: f64 = 0.005;
/// The delays of so many rounds are remembered.
const DELAYS: usize = 8;
/// An answer that took longer than this many times the quickest of them, and this many seconds, has waited somewhere.
const SLOW_TIMES: f64 = 2.0;
const SLOW: f64 = 0.01;

/// What the clock is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Order {
    /// It is set by so many seconds.
    Step(f64),
    /// It is drawn by so many seconds.
    Slew(f64),
    /// It is left alone until more is known.
    Wait,
}

/// How the clock was kept until now.
#[derive(Debug)]
pub(super) struct Steering {
    is_set: bool,
    /// Rounds in a row in which it was far off.
    strikes: u32,
    poll: u32,
    delays: Vec<f64>,
}

impl Default for Steering {
    fn default() -> Self {
        Self { is_set: false, strikes: 0, poll: POLL_MIN, delays: Vec::new() }
    }
}

impl Steering {
    /// What to do about a sample that is believed.
    pub(super) fn judge(&mut self, sample: &Sample) -> Order {
        let (offset, off) = (sample.offset, sample.offset.abs());
        let is_first = !std::mem::replace(&mut self.is_set, true);
        if is_first && off >= FIRST_STEP {
            return self.step(offset);
        }
        if off >= STEP {
            (self.strikes, self.poll) = (self.strikes + 1, POLL_MIN);
            return if self.strikes < STEP_ROUNDS { Order::Wait } else { self.step(offset) };
        }
        self.strikes = 0;
        if self.has_waited(sample.delay) {
            return Order::Wait;
        }
        self.poll = if off <= CALM { (self.poll + 1).min(POLL_MAX) } else { POLL_MIN };
        Order::Slew(offset)
    }

    fn step(&mut self, offset: f64) -> Order {
        *self = Self { is_set: true, ..Self::default() };
        Order::Step(offset)
    }

    /// Whether a sample was held up on its way, so that its offset says little.
    fn has_waited(&mut self, delay: f64) -> bool {
        let quickest = self.delays.iter().copied().fold(delay, f64::min);
        if self.delays.len() >= DELAYS {
            self.delays.remove(0);
        }
        self.delays.push(delay);
        delay > SLOW_TIMES * quickest + SLOW
    }

    /// Time to the next round.
    pub(super) fn interval(&self) -> Duration {
        Duration::from_secs(1 << self.poll)
    }

    /// The kernel's time constant: drawing is done well before the next round.
    pub(super) fn time_constant(&self) -> i64 {
        i64::from(self.poll) - 4
    }
}

/// The sample that is believed: the nearest to the root of those that more than half of all agree with, which they do if what
/// they say may be the same time (Marzullo's intersection). `None` where there is no such majority.
pub(super) fn believed(samples: &[Sample]) -> Option<usize> {
    let holds = |sample: &Sample, point: f64| (sample.offset - point).abs() <= sample.distance;
    let agreeing = |point: f64| samples.iter().filter(|sample| holds(sample, point)).count();
    // Where most intervals meet, one of them begins.
    let beginnings = samples.iter().map(|sample| sample.offset - sample.distance);
    let most = beginnings.max_by_key(|point| agreeing(*point))?;
    if 2 * agreeing(most) <= samples.len() {
        return None;
    }
    let believed = samples.iter().enumerate().filter(|(_, sample)| holds(sample, most));
    believed.min_by(|(_, a), (_, b)| a.distance.total_cmp(&b.distance)).map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(offset: f64, distance: f64) -> Sample {
        Sample { offset, delay: 0.001, distance, stratum: 2, leap: 0 }
    }

    #[test]
    fn a_clock_is_set_first_and_drawn_then() {
        let mut steering = Steering::default();
        assert_eq!(steering.judge(&sample(-1e9, 0.1)), Order::Step(-1e9));
        assert_eq!(steering.judge(&sample(0.1, 0.1)), Order::Slew(0.1));
        assert_eq!(Steering::default().judge(&sample(0.002, 0.1)), Order::Slew(0.002));
    }

    #[test]
    fn it_is_set_again_only_when_several_rounds_say_so() {
        let mut steering = Steering::default();
        steering.judge(&sample(0.0, 0.1));
        let far = sample(60.0, 0.1);
        assert_eq!([steering.judge(&far), steering.judge(&far)], [Order::Wait; 2]);
        assert_eq!(steering.judge(&sample(0.01, 0.1)), Order::Slew(0.01), "it was a passing fault");
        assert_eq!([steering.judge(&far), steering.judge(&far)], [Order::Wait; 2]);
        assert_eq!(steering.judge(&far), Order::Step(60.0));
        assert_eq!(steering.judge(&far), Order::Wait, "from then on it counts anew");
    }

    #[test]
    fn a_calm_clock_is_looked_at_more_rarely() {
        let mut steering = Steering::default();
        let mut intervals = Vec::new();
        for _ in 0..6 {
            steering.judge(&sample(0.001, 0.1));
            intervals.push(steering.interval().as_secs());
        }
        assert_eq!(intervals, [128, 256, 512, 1024, 1024, 1024]);
        assert_eq!(steering.time_constant(), 6);
        steering.judge(&sample(0.05, 0.1));
        assert_eq!((steering.interval().as_secs(), steering.time_constant()), (64, 2));
    }

    #[test]
    fn an_answer_that_was_held_up_moves_nothing() {
        let mut steering = Steering::default();
        let slow = |delay| Sample { delay, ..sample(0.05, 0.1) };
        steering.judge(&Sample { offset: 0.0, ..slow(0.001) });
        assert_eq!(steering.judge(&slow(0.05)), Order::Wait);
        assert_eq!(steering.judge(&slow(0.011)), Order::Slew(0.05));
        // A way that has become longer for good is the ordinary one soon.
        let orders: Vec<Order> = (0..=DELAYS).map(|_| steering.judge(&slow(0.05))).collect();
        assert_eq!((orders[0], orders[DELAYS]), (Order::Wait, Order::Slew(0.05)));
    }

    #[test]
    fn the_majority_is_believed() {
        assert_eq!(believed(&[]), None);
        assert_eq!(believed(&[sample(9.0, 0.1)]), Some(0));
        let liar = sample(50.0, 0.001);
        assert_eq!(believed(&[liar, sample(0.1, 0.3), sample(0.2, 0.2)]), Some(2));
        assert_eq!(believed(&[liar, sample(0.1, 0.3)]), None, "nobody knows which of two is right");
        assert_eq!(believed(&[liar, sample(51.0, 0.1), sample(0.1, 0.3), sample(0.2, 0.2)]), None);
    }
}
