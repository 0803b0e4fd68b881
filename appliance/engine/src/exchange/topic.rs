//! What a request is about: which rules its answers are compared by.

use super::Exchanges;
use crate::compare::{Rules, Scope};
use crate::protocol::{Definition, Subject};

/// First bytes of a request that are looked at to find what it is about; longer paths are nobody's.
const START_BYTES: usize = 4_096;

/// The rules for a request that begins so; none where that does not tell.
pub(super) fn scope(definition: Option<&Definition>, rules: &Rules, start: &[u8]) -> Option<Scope> {
    if rules.is_empty() {
        return None;
    }
    let Subject { verb, path, .. } = (definition?.subject)(&start[..start.len().min(START_BYTES)])?;
    Some(rules.scope(if path.starts_with(b"/") { path } else { verb }))
}

impl Exchanges {
    pub(super) fn set_scope(&mut self, scope: Option<Scope>) {
        if let (Some(scope), Some(exchange)) = (scope, self.last_mut()) {
            exchange.scope = scope;
        }
    }

    /// Looks at a request that has just become whole and whose head did not tell.
    pub(super) fn note_whole(&mut self) {
        if self.rules.is_empty() {
            return;
        }
        let start = self.outbox.last_start(START_BYTES).unwrap_or_default();
        let scope = scope(self.definition, &self.rules, &start).unwrap_or_else(|| self.rules.scope(b""));
        self.set_scope(Some(scope));
    }
}
