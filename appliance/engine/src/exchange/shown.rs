//! What a person is shown of a session's exchanges while it lives.

use super::{Exchanges, Framing, Identity};
use crate::ledger::NotReplayed;

impl Exchanges {
    /// Whose they are.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Why nothing is replayed any more, or never was.
    pub fn barred(&self) -> Option<NotReplayed> {
        self.barred
    }

    /// Requests begun so far, those without an outcome included.
    pub fn begun(&self) -> u64 {
        self.begun
    }

    /// The protocol by which requests are cut: its name, `raw` for turns, `auto` while it is not known.
    pub fn protocol_name(&self) -> &'static str {
        match (&self.framing, self.definition) {
            (Framing::Undecided(_), _) => "auto",
            (Framing::Framed(_) | Framing::Resting, Some(definition)) => definition.name,
            _ => "raw",
        }
    }
}
