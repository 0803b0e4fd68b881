//! What a run says in the end.

use core::fmt;

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The rule as a sentence.
    pub rule: &'static str,
    /// What happened instead.
    pub details: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "rule: {}\n  but: {}", self.rule, self.details)
    }
}

/// The outcome of one seed.
#[derive(Clone, Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// The rules that were broken, the first first.
    pub violations: Vec<Violation>,
    /// Hash of all outputs of the engine with their times.
    pub hash: u64,
    /// Requests whose whole bytes a target's application read.
    pub arrived: usize,
    /// Requests that the clients planned.
    pub requests: usize,
    /// Exchanges that had an outcome.
    pub outcomes: usize,
    /// Requests whose outcome was held against all that is known of them.
    pub judged: usize,
    /// The kinds of fault and form that existed, and of what the clients did.
    pub kinds: Vec<&'static str>,
    /// The causes that the ledger counted, each with what it is a cause of.
    pub causes: Vec<(&'static str, &'static str)>,
    /// The faults that existed, in words.
    pub faults: String,
}

impl Report {
    /// Of a run that ended in a panic.
    pub fn of_panic(seed: u64, violation: Violation) -> Self {
        Self {
            seed,
            violations: vec![violation],
            hash: 0,
            arrived: 0,
            requests: 0,
            outcomes: 0,
            judged: 0,
            kinds: Vec::new(),
            causes: Vec::new(),
            faults: "unknown, see the trace".to_owned(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.violations.first() {
            None => {
                write!(formatter, "seed {}: well, {} of {} requests arrived", self.seed, self.arrived, self.requests)
            }
            Some(violation) => write!(
                formatter,
                "seed {} failed\n  {violation}\n  faults: {}\n  repeat: cargo run --release -p tapcopy-sim -- --seed {} --trace",
                self.seed, self.faults, self.seed
            ),
        }
    }
}

/// A running hash of bytes (FNV-1a).
#[derive(Clone, Copy, Debug)]
pub struct Hash(u64);

impl Default for Hash {
    fn default() -> Self {
        Self(0xCBF2_9CE4_8422_2325)
    }
}

impl Hash {
    /// Adds bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
        }
    }

    /// The hash of all bytes added.
    pub fn value(self) -> u64 {
        self.0
    }
}
