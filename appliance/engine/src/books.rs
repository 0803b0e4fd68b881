//! What every session of an engine writes into: counters, records, shared budgets.

use crate::config::Sample;
use crate::findings::Findings;
use crate::ledger::Ledger;
use crate::limits::{Budget, Limits, SPARE_BUFFER_BYTES, SPARE_BYTES, SPARE_FRAMERS};
use crate::message::Record;
use crate::protocol::{Definition, Framer};
use core::time::Duration;
use std::collections::VecDeque;

/// Byte buffers for what is kept for a moment, as most answers are: to have each made anew would cost more than to fill it.
#[derive(Debug, Default)]
pub struct Spare {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
}

/// Room of a new one: for a short answer.
const FRESH_BYTES: usize = 512;

impl Spare {
    /// An empty buffer.
    pub fn take(&mut self) -> Vec<u8> {
        let Some(buffer) = self.buffers.pop() else { return Vec::with_capacity(FRESH_BYTES) };
        self.bytes -= buffer.capacity();
        buffer
    }

    /// Takes a buffer back, unless it is large or there are enough.
    pub fn give(&mut self, mut buffer: Vec<u8>) {
        let len = buffer.capacity();
        if (1..=SPARE_BUFFER_BYTES).contains(&len) && self.bytes + len <= SPARE_BYTES {
            buffer.clear();
            self.bytes += len;
            self.buffers.push(buffer);
        }
    }
}

/// Framers at the start of a connection, by protocol, that nobody uses.
#[derive(Default)]
pub struct Framers(Vec<(&'static Definition, Vec<Box<dyn Framer>>)>);

impl Framers {
    /// One of this protocol, if it has any.
    pub fn take(&mut self, definition: &'static Definition, limits: &Limits) -> Option<Box<dyn Framer>> {
        let spare = self.of(definition).and_then(Vec::pop);
        spare.or_else(|| definition.framer.map(|new| new(limits.head_bytes)))
    }

    /// Takes one back that knows nothing a new one does not.
    pub fn give(&mut self, definition: &'static Definition, framer: Box<dyn Framer>) {
        match self.of(definition) {
            Some(spare) if spare.len() < SPARE_FRAMERS => spare.push(framer),
            Some(_) => {}
            None => self.0.push((definition, vec![framer])),
        }
    }

    fn of(&mut self, definition: &'static Definition) -> Option<&mut Vec<Box<dyn Framer>>> {
        self.0.iter_mut().find(|(known, _)| known.name == definition.name).map(|(_, spare)| spare)
    }
}

impl core::fmt::Debug for Framers {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_map().entries(self.0.iter().map(|(definition, spare)| (definition.name, spare.len()))).finish()
    }
}

/// The engine's accounts.
#[derive(Debug)]
pub struct Books {
    /// The bounds.
    pub limits: Limits,
    /// The counters.
    pub ledger: Ledger,
    /// What was learned about endpoints.
    pub findings: Findings,
    /// Records that the driver has not taken yet.
    pub records: VecDeque<Record>,
    /// Request bytes waiting in all sessions.
    pub outboxes: Budget,
    /// Bytes kept of responses, and of requests for their records, in all sessions.
    pub bodies: Budget,
    /// Buffers that nobody uses.
    pub spare: Spare,
    /// Framers that nobody uses.
    pub framers: Framers,
    /// Which records carry what was said.
    pub contents: Option<Sample>,
    /// How long the frame of a target that is being handled waited for the engine: no time of the target's.
    pub waited: Duration,
}

impl Books {
    /// Empty accounts.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            ledger: Ledger::default(),
            findings: Findings::default(),
            records: VecDeque::new(),
            outboxes: Budget::new(limits.outboxes_bytes),
            bodies: Budget::new(limits.bodies_bytes),
            spare: Spare::default(),
            framers: Framers::default(),
            contents: None,
            waited: Duration::ZERO,
        }
    }

    /// The number of a service's account, in the ledger and among the findings.
    pub fn account(&mut self, service: &str) -> usize {
        let account = self.ledger.services.open(service);
        self.findings.open(account, service);
        account
    }

    /// Request bytes that one session may have waiting now.
    pub fn outbox_bound(&self) -> usize {
        let Limits { outbox_bytes, outbox_fair_bytes, .. } = self.limits;
        if self.outboxes.is_half_used() { outbox_bytes.min(outbox_fair_bytes) } else { outbox_bytes }
    }
}
