//! What a shard tells of itself: each second a [`Snapshot`], and in the log what a person has to know at once.

use super::turn::{Phase, Shard};
use super::{Snapshot, conflict};
use crate::archive::Archiver;
use crate::clock;
use crate::learned::Learned;
use crate::nic::mirror::Losses;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tapcopy_engine::ledger::{NotReplayed, Reason};
use tapcopy_engine::{Ledger, Time};

/// How often the ledger is published.
const PUBLISH_EVERY: Duration = Duration::from_secs(1);

/// What was told, and when something is to be told again.
pub(super) struct Published {
    snapshot: Arc<Mutex<Snapshot>>,
    pub(super) next_at: Time,
    last_at: Time,
    processor: Option<usize>,
    /// What the thread had worked when it last published.
    worked: Duration,
    has_alarmed: bool,
    has_named_tls: bool,
    /// Conflicts that the log has named.
    conflicts: BTreeMap<IpAddr, [u8; 6]>,
}

impl Published {
    pub(super) fn new(snapshot: Arc<Mutex<Snapshot>>, now: Time, processor: Option<usize>) -> Self {
        Self {
            snapshot,
            next_at: now + PUBLISH_EVERY,
            last_at: now,
            processor,
            worked: Duration::ZERO,
            has_alarmed: false,
            has_named_tls: false,
            conflicts: BTreeMap::new(),
        }
    }

    pub(super) fn is_due(&self, now: Time) -> bool {
        now >= self.next_at
    }

    /// The part of the time since it was last published in which this thread worked.
    fn load_until(&mut self, now: Time) -> f64 {
        let worked = clock::thread_time();
        let passed = now.since(self.last_at).as_secs_f64();
        let load = worked.saturating_sub(self.worked).as_secs_f64() / passed.max(0.001);
        (self.worked, self.last_at) = (worked, now);
        load.min(1.0)
    }

    /// Says in the log what was not said before.
    fn warn(&mut self, snapshot: &Snapshot) {
        if let Some(law) = snapshot.ledger.broken_law() {
            log::error!("{law}; the ledger has a defect, please report it");
        }
        if snapshot.loop_alarm && !self.has_alarmed {
            log::error!(
                "the mirror shows the box's own frames and replay has stopped; take the target's port out of it"
            );
        }
        self.has_alarmed = snapshot.loop_alarm;
        let encrypted = NotReplayed::TlsEncrypted;
        if !self.has_named_tls && snapshot.ledger.requests.not_replayed.of(encrypted) > 0 {
            log::warn!("{}", encrypted.sentence());
            self.has_named_tls = true;
        }
        let is_new = |address: &IpAddr| !self.conflicts.contains_key(address);
        for (address, mac) in snapshot.address_conflicts.iter().filter(|(address, _)| is_new(address)) {
            log::error!("{}", conflict(*address, *mac));
        }
        self.conflicts.clone_from(&snapshot.address_conflicts);
    }
}

impl Shard {
    /// Takes a snapshot, and hands over what was gathered for the disk.
    pub(super) fn publish(&mut self, now: Time) {
        self.published.next_at = now + PUBLISH_EVERY;
        self.archiver.iter_mut().for_each(Archiver::flush);
        // By the clock that frames are stamped with.
        let wall = Time::from_micros((clock::wall() * 1e6) as u64);
        let is_last = matches!(self.phase, Phase::Ended);
        let learned = Arc::new(Learned::of(&self.engine, if is_last { Time::MAX } else { wall }));
        let mut ledger = self.counted();
        ledger.findings = learned.findings.len() as u64;
        let snapshot = Snapshot {
            ledger,
            at: now,
            target: self.target.counters(),
            loop_alarm: self.engine.loop_alarm(),
            progress: self.source.progress(),
            learned,
            address_conflicts: self.engine.address_conflicts().collect(),
            services: self.observed.outcomes(),
            processor: self.published.processor,
            load: self.published.load_until(now),
        };
        self.published.warn(&snapshot);
        *self.published.snapshot.lock().unwrap_or_else(PoisonError::into_inner) = snapshot;
    }

    /// The engine's ledger, with what the driver alone can count.
    fn counted(&mut self) -> Ledger {
        let Losses { kernel, nic } = self.source.losses();
        let mut ledger = self.engine.ledger().clone();
        (ledger.frames.dropped_kernel, ledger.frames.dropped_nic) = (kernel, nic);
        if let Some(recorder) = &mut self.recorder {
            recorder.flush();
            ledger.record = recorder.recorded();
        }
        ledger.record += &self.recorded;
        ledger
    }
}
