//! Prepared statements, by the numbers that the server gave them.
//!
//! A request names a statement by the origin's number. It makes sense to the target only if that has given the same number
//! to the same statement: the one that was prepared as the so many-th of the connection.

use std::collections::BTreeMap;

/// Statements of a connection that are remembered, the latest; older ones are taken to bear the same numbers.
const STATEMENTS_MAX: usize = 1_024;

/// What one server has prepared.
#[derive(Debug, Default)]
pub(super) struct Statements {
    /// Answers to requests for one so far.
    prepared: u32,
    numbers: BTreeMap<u32, (u32, bool)>,
}

impl Statements {
    /// The server has answered a request for a statement: with its number, or with an error.
    pub(super) fn add(&mut self, number: Option<u32>, is_volatile: bool) {
        self.prepared = self.prepared.wrapping_add(1);
        let Some(number) = number else { return };
        if self.numbers.len() >= STATEMENTS_MAX {
            self.numbers.pop_first();
        }
        self.numbers.insert(number, (self.prepared, is_volatile));
    }

    /// As the how many-th a statement was prepared, and whether it is volatile.
    pub(super) fn find(&self, number: u32) -> Option<(u32, bool)> {
        self.numbers.get(&number).copied()
    }
}
