//! Where in the log things are: the record that shows a finding, and that of a turn of a session.
//!
//! A record has a number only once it is written, so both are learned here, when it is safe on the disk. For each place in
//! which answers differed, the last record that shows it is known, or of a slow answer the slowest of late; where it is about to
//! leave the log for want of room, it is written anew (see [`Places::leaving`]). Both tables are bounded.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, VecDeque};
use std::hash::{Hash, Hasher};
use tapcopy_engine::Record;
use tapcopy_engine::findings::{Fault, Finding, folded};
use tapcopy_engine::message::{Outcome, Verdict};

/// Places with an example: twice as many as findings may have fields.
const EXAMPLES_MAX: usize = 1 << 17;
/// Records whose turns are known: as many as eight shards remember.
const TURNS_MAX: usize = 1 << 16;
/// So often a difference comes at least that is a finding.
const TELLING: u64 = tapcopy_engine::findings::DIFFERING_MIN;
/// How slow an answer was counts less by such a part with each that follows, so that the slowest of late is known.
const FADES: u64 = 1_024;

/// A place in an endpoint's answers, as a number.
type Place = u64;

#[derive(Clone, Copy, Debug)]
struct Example {
    number: u64,
    /// How often it was seen.
    count: u64,
    /// By how much the target was slower, in nanoseconds, where it is that.
    excess: u64,
}

/// What one record shows.
#[derive(Debug)]
pub struct Shown {
    turn: u64,
    places: Vec<(Place, u64)>,
}

/// Which record shows what.
#[derive(Debug, Default)]
pub struct Places {
    examples: BTreeMap<Place, Example>,
    turns: VecDeque<(u64, u64)>,
}

fn place(service: &str, endpoint: &str, field: &str, fault: Fault) -> Place {
    let mut hasher = DefaultHasher::new();
    (service, endpoint, field, fault.to_string()).hash(&mut hasher);
    hasher.finish()
}

/// What tells a turn of a session from all others.
pub fn turn(record: &Record) -> u64 {
    let mut hasher = DefaultHasher::new();
    let Record { session, exchange, target, copy, client, origin, captured_at, .. } = record;
    (session, exchange, target, copy, client, origin, captured_at.as_nanos()).hash(&mut hasher);
    hasher.finish()
}

impl Shown {
    /// What a record of this service shows.
    pub fn by(service: &str, record: &Record) -> Self {
        let endpoint = record.endpoint.as_deref().unwrap_or_default();
        let of = |field: &str, kind| (place(service, endpoint, &folded(field), Fault::Content(kind)), 0);
        let has_head = record.contents.as_ref().is_some_and(|contents| !contents.target.head.is_empty());
        let mut places = match &record.outcome {
            Outcome::Answered(Verdict::Differ(found)) => {
                found.iter().map(|found| of(&found.field, found.kind)).collect()
            }
            outcome => outcome.lost(has_head).map(|(field, kind)| of(field, kind)).into_iter().collect::<Vec<_>>(),
        };
        if let (Some(origin), Some(target)) = (record.origin_latency, record.target_latency.filter(|_| !record.stalled))
        {
            let excess = target.first_byte.saturating_sub(origin.first_byte).as_nanos() as u64;
            places.push((place(service, endpoint, "first_byte", Fault::Latency), excess));
        }
        Self { turn: turn(record), places }
    }
}

impl Places {
    /// A record of this number is safe.
    pub fn learn(&mut self, number: u64, shown: &Shown) {
        if self.turns.len() >= TURNS_MAX {
            self.turns.pop_front();
        }
        self.turns.push_back((shown.turn, number));
        for (place, excess) in &shown.places {
            let example = self.examples.entry(*place).or_insert(Example { number, count: 0, excess: *excess });
            example.count += 1;
            example.excess -= example.excess / FADES;
            if *excess >= example.excess {
                (example.number, example.excess) = (number, *excess);
            }
        }
        if self.examples.len() > EXAMPLES_MAX {
            self.forget_older_half();
        }
    }

    fn forget_older_half(&mut self) {
        let mut numbers: Vec<u64> = self.examples.values().map(|example| example.number).collect();
        let middle = numbers.len() / 2;
        let (_, middle, _) = numbers.select_nth_unstable(middle);
        let middle = *middle;
        self.examples.retain(|_, example| example.number > middle);
    }

    /// The record that shows a finding.
    pub fn example(&self, finding: &Finding) -> Option<u64> {
        let place = place(&finding.service, &finding.endpoint, &finding.field, finding.fault);
        self.examples.get(&place).map(|example| example.number)
    }

    /// The records of these turns.
    pub fn turns(&self, turns: &[u64]) -> BTreeMap<u64, u64> {
        let wanted: std::collections::BTreeSet<&u64> = turns.iter().collect();
        self.turns.iter().filter(|(turn, _)| wanted.contains(turn)).copied().collect()
    }

    /// Records up to this number are about to leave the log; those of them that may show a finding, the newest first.
    pub fn leaving(&self, last: u64) -> Vec<u64> {
        let leaves = |example: &&Example| example.number <= last && example.count >= TELLING;
        let mut numbers: Vec<u64> = self.examples.values().filter(leaves).map(|example| example.number).collect();
        numbers.sort_unstable_by(|one, other| other.cmp(one));
        numbers.dedup();
        numbers
    }

    /// Records have other numbers now; the examples of others up to `last` are gone.
    pub fn renumber(&mut self, last: u64, moved: &BTreeMap<u64, u64>) {
        self.examples.retain(|_, example| {
            if let Some(number) = moved.get(&example.number) {
                example.number = *number;
            }
            example.number > last
        });
        for (_, number) in &mut self.turns {
            *number = moved.get(number).copied().unwrap_or(*number);
        }
    }
}
