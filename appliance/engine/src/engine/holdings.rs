//! What an engine holds on behalf of its sessions; with the last of them, all of it must have gone back.

use super::Engine;
use super::slot::Slot;
use crate::exchange::Exchanges;

/// Memory and addresses in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Sessions that are known, those that have ended lately included.
    pub sessions: usize,
    /// Bytes held beyond holes in streams, with what it takes to hold them.
    pub ahead_bytes: usize,
    /// Request bytes waiting for targets.
    pub outbox_bytes: usize,
    /// Bytes of answers kept for the comparison.
    pub body_bytes: usize,
    /// Local ports in use, those at rest not counted.
    pub ports: usize,
    /// Request bytes waiting in one replay, at most.
    pub largest_outbox: usize,
    /// Body bytes kept of one answer, at most.
    pub largest_body: usize,
    /// Exchanges of one session, at most.
    pub most_exchanges: usize,
}

impl Engine {
    /// What is held now.
    pub fn holdings(&self) -> Holdings {
        let most =
            |of: fn(&Exchanges) -> usize| self.slots.values().flat_map(Slot::exchanges).map(of).max().unwrap_or(0);
        Holdings {
            sessions: self.slots.len(),
            ahead_bytes: self.ahead.used(),
            outbox_bytes: self.books.outboxes.used(),
            body_bytes: self.books.bodies.used(),
            ports: self.locals.in_use(),
            largest_outbox: most(|exchanges| exchanges.outbox.len()),
            largest_body: most(Exchanges::largest_body),
            most_exchanges: most(Exchanges::len),
        }
    }
}
