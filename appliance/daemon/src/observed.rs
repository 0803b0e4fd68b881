//! What a shard remembers of its exchanges for the page: verdicts by service, and the last turns.

use serde::Serialize;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use tapcopy_engine::config::Service;
use tapcopy_engine::ledger::Reason;
use tapcopy_engine::message::{Latency, Outcome, Verdict};
use tapcopy_engine::{Record, Time};

/// Turns kept: a few seconds at full rate, hours on a quiet mirror; 1 MiB.
const TURNS: usize = 8_192;
/// Configurations of which it is known which index was which service: sessions live longer than their configuration.
const CONFIGURATIONS: usize = 16;
/// Services that are told apart in a run; further ones count as the last of them.
const SERVICES: usize = 1_024;

/// Outcomes of exchanges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Outcomes {
    /// Answers that agree.
    #[serde(rename = "match")]
    pub matched: u64,
    /// Answers that differ.
    pub differ: u64,
    /// Answers that cannot be compared.
    pub incomparable: u64,
    /// Requests without an answer.
    pub not_answered: u64,
    /// Requests that were not sent.
    pub not_replayed: u64,
}

impl Outcomes {
    fn count(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Answered(Verdict::Match) => self.matched += 1,
            Outcome::Answered(Verdict::Differ(_)) => self.differ += 1,
            Outcome::Answered(Verdict::Incomparable(_)) => self.incomparable += 1,
            Outcome::NotAnswered(_) => self.not_answered += 1,
            Outcome::NotReplayed(_) => self.not_replayed += 1,
        }
    }

    /// Those that came after others were counted.
    pub fn since(self, before: Self) -> Self {
        Self {
            matched: self.matched.saturating_sub(before.matched),
            differ: self.differ.saturating_sub(before.differ),
            incomparable: self.incomparable.saturating_sub(before.incomparable),
            not_answered: self.not_answered.saturating_sub(before.not_answered),
            not_replayed: self.not_replayed.saturating_sub(before.not_replayed),
        }
    }

    /// Adds others.
    pub fn add(&mut self, others: Self) {
        self.matched += others.matched;
        self.differ += others.differ;
        self.incomparable += others.incomparable;
        self.not_answered += others.not_answered;
        self.not_replayed += others.not_replayed;
    }
}

/// One exchange, without its contents.
#[derive(Clone, Debug)]
pub struct Turn {
    /// As [`crate::archive::places::turn`] knows it.
    pub key: u64,
    session: u64,
    exchange: u64,
    captured_at: Time,
    request_bytes: u64,
    outcome: &'static str,
    reason: Cow<'static, str>,
    origin: Option<Latency>,
    target: Option<Latency>,
}

/// The memory of one shard.
#[derive(Default)]
pub struct Observed {
    /// By index of the service its place among the outcomes, and the first session of each configuration.
    places: VecDeque<(u64, Vec<usize>)>,
    outcomes: Vec<(String, Outcomes)>,
    turns: VecDeque<Turn>,
}

impl Observed {
    /// From the session of this number on, services have these indices.
    pub fn configure(&mut self, services: &[Service], first_session: u64) {
        let places = services.iter().map(|service| self.place(&service.name)).collect();
        self.places.push_back((first_session, places));
        if self.places.len() > CONFIGURATIONS {
            self.places.pop_front();
        }
    }

    fn place(&mut self, name: &str) -> usize {
        let known = self.outcomes.iter().position(|(known, _)| known == name);
        known.unwrap_or_else(|| {
            if self.outcomes.len() < SERVICES {
                self.outcomes.push((name.to_owned(), Outcomes::default()));
            }
            self.outcomes.len() - 1
        })
    }

    fn place_of(&self, session: u64, index: usize) -> Option<usize> {
        let (_, places) = self.places.iter().rev().find(|(first, _)| *first <= session)?;
        places.get(index).copied()
    }

    /// The service of a session.
    pub fn service(&self, session: u64, index: usize) -> &str {
        let place = self.place_of(session, index);
        place.and_then(|place| self.outcomes.get(place)).map_or("", |(name, _)| name.as_str())
    }

    /// Remembers an exchange.
    pub fn note(&mut self, record: &Record) {
        let place = self.place_of(record.session, record.service);
        if let Some((_, outcomes)) = place.and_then(|place| self.outcomes.get_mut(place)) {
            outcomes.count(&record.outcome);
        }
        if self.turns.len() >= TURNS {
            self.turns.pop_front();
        }
        self.turns.push_back(Turn::of(record));
    }

    /// Outcomes by service.
    pub fn outcomes(&self) -> BTreeMap<String, Outcomes> {
        self.outcomes.iter().cloned().collect()
    }

    /// The turns of a session that are remembered, in the order of their ends.
    pub fn turns(&self, session: u64) -> Vec<Turn> {
        self.turns.iter().filter(|turn| turn.session == session).cloned().collect()
    }
}

impl Turn {
    fn of(record: &Record) -> Self {
        let (outcome, reason) = match &record.outcome {
            Outcome::Answered(Verdict::Match) => ("match", Cow::Borrowed("")),
            Outcome::Answered(Verdict::Differ(found)) => {
                let field = found.first().map(|first| first.field.clone()).unwrap_or_default();
                ("differ", Cow::Owned(field))
            }
            Outcome::Answered(Verdict::Incomparable(cause)) => ("incomparable", Cow::Borrowed(cause.word())),
            Outcome::NotAnswered(cause) => ("not_answered", Cow::Borrowed(cause.word())),
            Outcome::NotReplayed(cause) => ("not_replayed", Cow::Borrowed(cause.word())),
        };
        Self {
            key: crate::archive::places::turn(record),
            session: record.session,
            exchange: record.exchange,
            captured_at: record.captured_at,
            request_bytes: record.request_bytes,
            outcome,
            reason,
            origin: record.origin_latency,
            target: record.target_latency,
        }
    }

    /// As the interface shows it, with the number of its record.
    pub fn shown(&self, number: Option<u64>) -> Value {
        let mut shown = json!({
            "exchange": self.exchange, "at": self.captured_at.as_nanos() as f64 / 1e9, "request_bytes": self.request_bytes,
            "outcome": self.outcome,
        });
        if let Some(number) = number {
            shown["record"] = Value::from(number);
        }
        if !self.reason.is_empty() {
            shown["reason"] = Value::from(self.reason.as_ref());
        }
        let micros = |time: std::time::Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        for (side, latency) in [("origin", self.origin), ("target", self.target)] {
            let Some(latency) = latency else { continue };
            shown[format!("{side}_first_us")] = Value::from(micros(latency.first_byte));
            shown[format!("{side}_last_us")] = Value::from(micros(latency.last_byte));
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tapcopy_engine::ledger::NotReplayed;

    fn service(name: &str) -> Service {
        let maps = ["80-10.0.0.1:80".parse().unwrap()];
        let document = crate::settings::Document { service: crate::map::services(&maps), ..Default::default() };
        let settings = crate::settings::Settings::parse(document, crate::settings::Purpose::Rehearse).unwrap();
        Service { name: name.to_owned(), ..settings.services[0].clone() }
    }

    fn record(session: u64, service: usize, outcome: Outcome) -> Record {
        let latency = Latency { first_byte: Duration::from_micros(5), last_byte: Duration::from_micros(7) };
        Record {
            session,
            exchange: 0,
            service,
            target: 0,
            copy: 0,
            endpoint: None,
            stalled: false,
            client: "10.0.0.9:1".parse().unwrap(),
            origin: "10.0.0.8:80".parse().unwrap(),
            captured_at: Time::from_nanos(1_500_000_000),
            request_bytes: 3,
            outcome,
            origin_latency: Some(latency),
            target_latency: None,
            contents: None,
        }
    }

    #[test]
    fn a_session_keeps_the_service_that_it_was_opened_with() {
        let mut observed = Observed::default();
        observed.configure(&[service("a"), service("b")], 1);
        observed.configure(&[service("b")], 5);
        observed.note(&record(4, 1, Outcome::Answered(Verdict::Match)));
        observed.note(&record(5, 0, Outcome::NotReplayed(NotReplayed::Limit)));
        observed.note(&record(4, 0, Outcome::Answered(Verdict::Match)));
        let expected = Outcomes { matched: 1, not_replayed: 1, ..Outcomes::default() };
        assert_eq!((observed.outcomes()["b"], observed.outcomes()["a"].matched), (expected, 1));
        let turns = observed.turns(5);
        assert_eq!(turns.len(), 1);
        let expected = json!({
            "exchange": 0, "at": 1.5, "request_bytes": 3, "outcome": "not_replayed", "reason": "limit",
            "origin_first_us": 5, "origin_last_us": 7, "record": 12,
        });
        assert_eq!(turns[0].shown(Some(12)), expected);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut observed = Observed::default();
        let last = SERVICES + 5;
        for number in 0..=last {
            observed.configure(&[service(&format!("s{number}"))], number as u64 + 1);
        }
        assert_eq!((observed.places.len(), observed.outcomes.len()), (CONFIGURATIONS, SERVICES));
        let session = last as u64 + 1;
        (0..TURNS + 5).for_each(|_| observed.note(&record(session, 0, Outcome::Answered(Verdict::Match))));
        let name = observed.service(session, 0).to_owned();
        assert_eq!((observed.turns.len(), observed.outcomes()[&name].matched), (TURNS, TURNS as u64 + 5));
    }
}
