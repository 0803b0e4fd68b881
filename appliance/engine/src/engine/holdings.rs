//! What an engine holds on behalf of its sessions; with the last of them, all of it must have gone back.

use super::Engine;

/// Memory and addresses in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Bytes held beyond holes in streams, with what it takes to hold them.
    pub ahead_bytes: usize,
    /// Request bytes waiting for targets.
    pub outbox_bytes: usize,
    /// Bytes of answers kept for the comparison.
    pub body_bytes: usize,
    /// Local ports in use, those at rest not counted.
    pub ports: usize,
}

impl Engine {
    /// What is held now.
    pub fn holdings(&self) -> Holdings {
        Holdings {
            ahead_bytes: self.ahead.used(),
            outbox_bytes: self.books.outboxes.used(),
            body_bytes: self.books.bodies.used(),
            ports: self.locals.in_use(),
        }
    }
}
