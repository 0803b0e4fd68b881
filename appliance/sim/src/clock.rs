//! The one simulated clock: a queue of events, in the order of their times and then of their scheduling.

use std::collections::BTreeMap;
use tapcopy_engine::Time;

/// Events to come.
#[derive(Debug)]
pub struct Clock<E> {
    now: Time,
    scheduled: u64,
    events: BTreeMap<(Time, u64), E>,
}

impl<E> Default for Clock<E> {
    fn default() -> Self {
        Self { now: Time::ZERO, scheduled: 0, events: BTreeMap::new() }
    }
}

impl<E> Clock<E> {
    /// The time of the event taken last.
    pub fn now(&self) -> Time {
        self.now
    }

    /// Schedules an event; one in the past happens now.
    pub fn schedule(&mut self, at: Time, event: E) {
        self.scheduled += 1;
        self.events.insert((at.max(self.now), self.scheduled), event);
    }

    /// Takes the next event, unless it lies beyond `until`; its time becomes now.
    pub fn next(&mut self, until: Time) -> Option<E> {
        let entry = self.events.first_entry()?;
        if entry.key().0 > until {
            return None;
        }
        self.now = entry.key().0;
        Some(entry.remove())
    }
}
