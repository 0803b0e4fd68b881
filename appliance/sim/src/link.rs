//! A link with a netem of its own: loss, duplication, reordering, delay, jitter, rate.

use crate::seed::Rng;
use core::time::Duration;
use tapcopy_engine::Time;

/// What a link does to its packets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Netem {
    /// Packets lost, of a thousand.
    pub loss: u64,
    /// Packets doubled, of a thousand.
    pub duplicate: u64,
    /// Packets overtaken by later ones, of a thousand.
    pub reorder: u64,
    /// Time on the way.
    pub delay: Duration,
    /// Added at random to the delay, order kept.
    pub jitter: Duration,
    /// Bits a second; without it a packet takes no time to send.
    pub rate: Option<u64>,
}

impl Netem {
    /// Whether every packet arrives once.
    pub fn is_lossless(&self) -> bool {
        self.loss == 0
    }

    /// A good link with this delay.
    pub fn delayed(delay: Duration) -> Self {
        Self { delay, ..Self::default() }
    }
}

/// One direction of a link.
#[derive(Debug)]
pub struct Link {
    netem: Netem,
    rng: Rng,
    sent_until: Time,
    last_arrival: Time,
}

impl Link {
    /// An idle link.
    pub fn new(netem: Netem, rng: Rng) -> Self {
        Self { netem, rng, sent_until: Time::ZERO, last_arrival: Time::ZERO }
    }

    /// From now on it only delays.
    pub fn heal(&mut self) {
        self.netem = Netem::delayed(self.netem.delay);
    }

    /// When a packet of `len` bytes that is sent now arrives: never, once or twice.
    pub fn arrivals(&mut self, now: Time, len: usize) -> impl Iterator<Item = Time> + use<> {
        let first = (!self.rng.permille(self.netem.loss)).then(|| self.arrival(now, len));
        let again = first.filter(|_| self.rng.permille(self.netem.duplicate)).map(|at| at + self.rng.micros(1, 500));
        first.into_iter().chain(again)
    }

    fn arrival(&mut self, now: Time, len: usize) -> Time {
        let serialization =
            self.netem.rate.map_or(Duration::ZERO, |rate| Duration::from_nanos(len as u64 * 8_000_000_000 / rate));
        self.sent_until = self.sent_until.max(now) + serialization;
        let jitter = self.rng.micros(0, self.netem.jitter.as_micros() as u64);
        let at = self.sent_until + self.netem.delay + jitter;
        if self.rng.permille(self.netem.reorder) {
            return at + self.rng.micros(50, 3_000);
        }
        self.last_arrival = self.last_arrival.max(at);
        self.last_arrival
    }
}

#[cfg(test)]
mod tests {
    use super::{Link, Netem};
    use crate::seed::Rng;
    use core::time::Duration;
    use tapcopy_engine::Time;

    #[test]
    fn a_lossy_link_loses_its_share() {
        let netem = Netem { loss: 100, duplicate: 50, ..Netem::delayed(Duration::from_millis(1)) };
        let mut link = Link::new(netem, Rng::new(7));
        let arrivals: usize = (0..10_000).map(|_| link.arrivals(Time::ZERO, 100).count()).sum();
        assert!((9_200..9_700).contains(&arrivals), "{arrivals}");
    }
}
