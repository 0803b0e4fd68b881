//! Prepared statements, by the numbers that the server gave them.
//!
//! A server counts its statements up, for each connection; one that keeps its threads for the next connection goes on
//! counting where the last one ended (MariaDB). So origin and target give different numbers to the same statement, which
//! is the one that was prepared as the so many-th of the connection.

use std::collections::{BTreeMap, VecDeque};

/// Runs of statements numbered one by one that are remembered of a connection, the latest. A statement that could not be
/// prepared begins a new one.
const RUNS_MAX: usize = 1_024;

/// Statements with a nature of their own that are remembered of a connection, the latest.
const NATURES_MAX: usize = 1_024;

/// Why a statement is not replayed, or its answer not compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nature {
    /// No two servers answer it alike.
    Volatile,
    /// It names what only the origin has.
    Foreign,
}

/// Statements prepared one behind the other, with numbers one behind the other.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// As the how many-th the first was prepared.
    place: u32,
    /// Its number.
    number: u32,
    len: u32,
}

/// What one server has prepared.
#[derive(Debug, Default)]
pub(super) struct Statements {
    /// Answers to requests for one so far.
    prepared: u32,
    /// By place, and by number.
    runs: VecDeque<Run>,
    natures: BTreeMap<u32, Nature>,
}

impl Statements {
    /// The server has answered a request for a statement: with its number, or with an error.
    pub(super) fn add(&mut self, number: Option<u32>, nature: Option<Nature>) {
        self.prepared = self.prepared.wrapping_add(1);
        let Some(number) = number else { return };
        let place = self.prepared;
        match self.runs.back_mut() {
            Some(run) if run.next() == (place, number) => run.len += 1,
            last => {
                // Where a server counts from the beginning, what it gave a number before is no more.
                if last.is_some_and(|run| number < run.next().1) {
                    self.runs.clear();
                }
                if self.runs.len() >= RUNS_MAX {
                    self.runs.pop_front();
                }
                self.runs.push_back(Run { place, number, len: 1 });
            }
        }
        if let Some(nature) = nature {
            if self.natures.len() >= NATURES_MAX {
                self.natures.pop_first();
            }
            self.natures.insert(place, nature);
        }
    }

    /// As the how many-th the statement of this number was prepared.
    pub(super) fn place(&self, number: u32) -> Option<u32> {
        let run = self.runs.partition_point(|run| run.number <= number).checked_sub(1)?;
        let Run { place, number: first, len } = self.runs[run];
        (number - first < len).then(|| place.wrapping_add(number - first))
    }

    /// The number of the statement that was prepared as this many-th.
    pub(super) fn number(&self, place: u32) -> Option<u32> {
        let run = self.runs.partition_point(|run| run.place <= place).checked_sub(1)?;
        let Run { place: first, number, len } = self.runs[run];
        (place - first < len).then(|| number.wrapping_add(place - first))
    }

    /// What is peculiar to the statement that was prepared as this many-th.
    pub(super) fn nature(&self, place: u32) -> Option<Nature> {
        self.natures.get(&place).copied()
    }
}

impl Run {
    /// Place and number of a statement that would go on with it.
    fn next(&self) -> (u32, u32) {
        (self.place.wrapping_add(self.len), self.number.wrapping_add(self.len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_the_number_that_the_server_gave_it() {
        let mut statements = Statements::default();
        for number in [Some(7), Some(8), None, Some(9), Some(11)] {
            statements.add(number, None);
        }
        let numbers: Vec<_> = (0..7).map(|place| statements.number(place)).collect();
        assert_eq!(numbers, [None, Some(7), Some(8), None, Some(9), Some(11), None]);
        let places: Vec<_> = (6..13).map(|number| statements.place(number)).collect();
        assert_eq!(places, [None, Some(1), Some(2), Some(4), None, Some(5), None]);
    }

    #[test]
    fn a_server_that_counts_from_the_beginning_has_forgotten() {
        let mut statements = Statements::default();
        for number in [1, 2, 3, 1] {
            statements.add(Some(number), None);
        }
        assert_eq!((statements.place(1), statements.place(2), statements.number(2)), (Some(4), None, None));
    }

    #[test]
    fn of_many_runs_and_natures_the_latest_are_remembered() {
        let mut statements = Statements::default();
        let many = 3_000;
        for number in 0..many {
            statements.add(Some(2 * number), Some(Nature::Volatile));
        }
        let lengths = (statements.runs.len(), statements.natures.len());
        assert_eq!(lengths, (RUNS_MAX, NATURES_MAX));
        assert_eq!((statements.place(0), statements.place(2 * (many - 1))), (None, Some(many)));
        assert_eq!((statements.nature(1), statements.nature(many)), (None, Some(Nature::Volatile)));
    }

    #[test]
    fn any_number_of_statements_in_order_takes_one_run() {
        let mut statements = Statements::default();
        for number in 1..=100_000 {
            statements.add(Some(number), None);
        }
        assert_eq!((statements.runs.len(), statements.place(1), statements.number(99_999)), (1, Some(1), Some(99_999)));
    }
}
