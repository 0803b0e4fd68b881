//! Findings: where the target differs from the origin more than the origin from itself, by endpoint and field.
//!
//! An endpoint is a method and the template of a path, found from the traffic (`template`), or a command. For each there are
//! counts by field, the times of both sides, and the origin's last answers (`memory`), against which it is held itself
//! (`noise`). Every table is bounded; what does not fit is one endpoint called `other`, and fields beyond the bound are counted
//! and not told apart.
//!
//! Answers that are equal are only counted. Of these a sample, and all that differ, are remembered, and held against what was
//! remembered before: the origin's earlier answers to the same request or, without any, to other requests of the endpoint. `field` is
//! what is counted of one field, `alike` knows values that say the same in other words, `drift` what a target shows only because
//! it was asked later, `swaps` what comes of another order, and `turns` which of both has changed when they came to differ.

mod alike;
mod drift;
mod endpoint;
mod field;
mod latency;
mod memory;
mod noise;
mod swaps;
mod template;
mod turns;

pub use endpoint::EndpointId;
pub use latency::Timing;
pub use noise::DIFFERING_MIN;

use crate::compare::{Comparison, Difference, Kind, Message, Rules, Terms, compare};
use crate::limits::findings::{ANSWER_BYTES_MAX, ENDPOINTS_MAX, NEIGHBOUR_BYTES_MAX};
use crate::protocol::Subject;
use crate::time::Time;
use core::fmt;
use core::time::Duration;
use endpoint::{Changes, Deviating, Endpoint, Pair, Trial};
use memory::{Answer, Deviation, Memory};
use std::collections::BTreeMap;
use std::sync::Arc;
use template::Templates;
pub use template::{Hash, field as folded};

/// One answered request, and what its comparison said.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// Whose answers they are.
    pub endpoint: EndpointId,
    /// Hash of the request: equal requests have the same.
    pub request: u64,
    /// Where the target's answer differs from the origin's; empty where it does not.
    pub differences: &'a [Difference],
    /// The origin's answer.
    pub origin: Message<'a>,
    /// What the comparison goes by.
    pub terms: Terms<'a>,
    /// How far in time the two answers lie apart.
    pub apart: Duration,
    /// Which record tells of it.
    pub place: Place,
}

/// Which record tells of an exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Number of the session.
    pub session: u64,
    /// Number of the exchange in it.
    pub exchange: u64,
    /// When the request was captured.
    pub captured_at: Time,
}

/// What is wrong with a field of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Its value.
    Content(Kind),
    /// The time that it takes.
    Latency,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Content(kind) => f.write_str(kind.word()),
            Self::Latency => f.write_str("latency"),
        }
    }
}

/// Where the target differs from the origin beyond noise.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The service's name.
    pub service: String,
    /// The endpoint's name.
    pub endpoint: String,
    /// The field, as in [`Difference`], with indexes folded.
    pub field: String,
    /// What is wrong with it.
    pub fault: Fault,
    /// Share of the answers in which the target differs from the origin; of a latency, of the target's answers that are slow.
    pub target_rate: f64,
    /// Share of the answers in which the origin differs from itself; of a latency, of the origin's answers that are as slow.
    pub origin_rate: f64,
    /// Answers compared.
    pub exchanges: u64,
    /// Of these, those in which the target differs; of a latency, that are slow.
    pub differing: u64,
    /// The first of them; of a latency, the first answer.
    pub first: Place,
    /// The last.
    pub last: Place,
    /// What the origin has there, and what the target, in the last of them.
    pub example: [String; 2],
    /// Whether the target had missed a request of the service before the first of them that may have changed what it answers.
    pub after_loss: bool,
}

impl Finding {
    /// Whether the rules ignore its field by now: they may be younger than what was seen.
    pub fn is_ignored_by(&self, rules: &Rules) -> bool {
        let label = self.endpoint.as_str();
        let (verb, path) = label.split_once(' ').unwrap_or((label, ""));
        // As of its requests: for protocols without paths, rules are for commands and their keys.
        let subjects = if path.starts_with('/') { [path, path] } else { [verb, label] };
        rules.ignores(rules.scope(&subjects.map(str::as_bytes)), &self.field)
    }
}

/// Times of one endpoint, side by side.
#[derive(Clone, Copy, Debug)]
pub struct Times<'a> {
    /// The service's name.
    pub service: &'a str,
    /// The endpoint's name; none for all of the service.
    pub endpoint: Option<&'a str>,
    /// The times.
    pub timing: &'a Timing,
}

/// Where an earlier answer of the origin comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Evidence {
    /// The same request.
    Repeats,
    /// Another request of the endpoint.
    Neighbours,
}

/// Endpoints of a service of which the middle one tells what is added to all: one that is slow is never the middle one.
const TELLING_ENDPOINTS: usize = 3;
/// How many times further from the middle one than half of them one must be.
const SPREAD: i64 = 3;

#[derive(Debug)]
struct Service {
    name: String,
    timing: Timing,
    /// When the first request was captured that the target missed, and that may change what it answers.
    lost_since: Option<Time>,
    templates: Templates,
    by_template: BTreeMap<u64, EndpointId>,
    recent: Recent,
}

/// Places for requests whose endpoint was looked for last: most ask for what was asked for before.
const RECENT: usize = 256;

/// Hash of verb and path, and the endpoint, each at the place that the hash tells.
#[derive(Debug)]
struct Recent(Box<[(u64, EndpointId); RECENT]>);

impl Default for Recent {
    fn default() -> Self {
        Self(Box::new([(0, EndpointId::NONE); RECENT]))
    }
}

impl Recent {
    fn at(&mut self, request: Hash) -> &mut (u64, EndpointId) {
        &mut self.0[request.value() as usize % RECENT]
    }
}

/// How long after a field's first difference, or an endpoint's first time, nothing is said of it. What each server makes anew by
/// itself (its uptime, a cached list) is for a while as it was, however often it is asked for, and looks as if only the target had
/// it otherwise; and until several endpoints were measured nothing tells what the way to the target adds.
const TOLD_AFTER: Duration = Duration::from_secs(5);

/// All endpoints of all services.
#[derive(Debug, Default)]
pub struct Findings {
    services: Vec<Service>,
    endpoints: Vec<Endpoint>,
    memory: Memory,
}

impl Findings {
    /// The service of this name.
    fn service(&mut self, account: usize, name: &str) -> &mut Service {
        while self.services.len() <= account {
            self.services.push(Service {
                name: name.to_owned(),
                timing: Timing::default(),
                lost_since: None,
                templates: Templates::default(),
                by_template: BTreeMap::new(),
                recent: Recent::default(),
            });
        }
        &mut self.services[account]
    }

    /// Makes the service known that has this number in the ledger.
    pub fn open(&mut self, account: usize, name: &str) {
        self.service(account, name);
    }

    /// The endpoint of a request.
    pub fn endpoint(&mut self, account: usize, subject: &Subject<'_>) -> EndpointId {
        let Subject { verb, path, .. } = *subject;
        let Some(service) = self.services.get_mut(account) else { return EndpointId::NONE };
        let request = Hash::new(account as u64).with_whole(verb).with_whole(path);
        let (known, id) = *service.recent.at(request);
        if known == request.value() && id != EndpointId::NONE {
            return id;
        }
        let upper = |hash: Hash, letter: &u8| hash.with(&[letter.to_ascii_uppercase()]);
        let above = verb.iter().fold(Hash::new(account as u64), upper).with(b" ");
        let template = service.templates.hash(above, path).value();
        let id = match service.by_template.get(&template) {
            Some(id) => *id,
            None => self.learn(account, above, subject),
        };
        *self.services[account].recent.at(request) = (request.value(), id);
        id
    }

    fn learn(&mut self, account: usize, above: Hash, subject: &Subject<'_>) -> EndpointId {
        let Subject { verb, path, is_key, .. } = *subject;
        let service = &mut self.services[account];
        if service.templates.learn(above, path, is_key) {
            self.refold(account);
        }
        let service = &mut self.services[account];
        let template = service.templates.hash(above, path).value();
        if let Some(id) = service.by_template.get(&template) {
            return *id;
        }
        let is_full = self.endpoints.len() >= ENDPOINTS_MAX;
        let (verb, path) = if is_full { (&b""[..], &b"other"[..]) } else { (verb, path) };
        let above = if is_full { Hash::new(account as u64) } else { above };
        let template = service.templates.hash(above, path).value();
        let fresh = EndpointId::of(self.endpoints.len());
        let id = *service.by_template.entry(template).or_insert(fresh);
        if id == fresh {
            let text = service.templates.text(above, path);
            let verb = String::from_utf8_lossy(verb).to_ascii_uppercase();
            self.endpoints.push(Endpoint::new(account, verb, text, above));
        }
        id
    }

    /// A place of paths was found to hold values: endpoints that are one now become one.
    fn refold(&mut self, account: usize) {
        let service = &mut self.services[account];
        service.by_template.clear();
        service.recent = Recent::default();
        for index in 0..self.endpoints.len() {
            let (above, path) = match &self.endpoints[index] {
                endpoint if endpoint.account == account && endpoint.merged_into.is_none() => {
                    (endpoint.above, endpoint.path.clone())
                }
                _ => continue,
            };
            let template = service.templates.hash(above, path.as_bytes()).value();
            let id = *service.by_template.entry(template).or_insert(EndpointId::of(index));
            let text = service.templates.text(above, path.as_bytes());
            if id == EndpointId::of(index) {
                self.endpoints[index].rename(text);
            } else {
                let merged = self.endpoints[index].merge_into(id);
                self.endpoints[id.index()].take(merged);
            }
        }
    }

    fn resolve(&self, id: EndpointId) -> Option<usize> {
        let endpoint = self.endpoints.get(id.index())?;
        Some(endpoint.merged_into.map_or(id.index(), EndpointId::index))
    }

    /// The name of an endpoint.
    pub fn name(&self, id: EndpointId) -> Option<Arc<str>> {
        self.resolve(id).map(|index| self.endpoints[index].label.clone())
    }

    /// Takes the times of one answered request, captured at a time.
    pub fn measure(&mut self, account: usize, id: EndpointId, at: Time, take: impl Fn(&mut Timing)) {
        if let Some(service) = self.services.get_mut(account) {
            take(&mut service.timing);
        }
        if let Some(index) = self.resolve(id) {
            let endpoint = &mut self.endpoints[index];
            endpoint.measured_since.get_or_insert(at);
            take(&mut endpoint.timing);
        }
    }

    /// The target has missed a request, captured at a time, that may change what it answers.
    pub fn note_loss(&mut self, account: usize, at: Time) {
        if let Some(service) = self.services.get_mut(account) {
            service.lost_since = Some(service.lost_since.map_or(at, |since| since.min(at)));
        }
    }

    /// The target's answer was not whole: the origin's was.
    pub fn observe_unanswered(&mut self, id: EndpointId, field: &str, kind: Kind, place: Place) {
        if let Some(index) = self.resolve(id) {
            self.endpoints[index].exchanges += 1;
            self.endpoints[index].note_lost(field, kind, place);
        }
    }

    /// The origin's own answer was not whole.
    pub fn observe_broken_origin(&mut self, id: EndpointId, place: Place) {
        if let Some(index) = self.resolve(id) {
            self.endpoints[index].note_origin("body", Kind::Length, place);
        }
    }

    /// Takes one comparison.
    pub fn observe(&mut self, observation: &Observation<'_>) {
        let Some(index) = self.resolve(observation.endpoint) else { return };
        let endpoint = &mut self.endpoints[index];
        endpoint.exchanges += 1;
        let weight = match observation.differences.is_empty() {
            false => 1.0,
            true => match endpoint.draw() {
                Some(weight) => weight,
                None => return,
            },
        };
        let mut noted = Vec::new();
        for found in observation.differences {
            endpoint.note_found(found, observation, &mut noted);
        }
        let found = observation.differences.iter();
        let now: Vec<_> = found.filter_map(|found| Some((endpoint.index_of(found)?, found))).collect();
        self.hold_against_earlier(index, observation, &noted, &now, weight);
        let (message, at) = (&observation.origin, observation.place.captured_at);
        let repeat = self.memory.get(observation.request);
        let mut spans = repeat.map(|repeat| repeat.spans).unwrap_or_default();
        let is_apart = spans.take(at, observation.apart);
        let differed = |field: &usize| repeat.is_some_and(|repeat| repeat.deviates_in(*field));
        let endpoint = &mut self.endpoints[index];
        endpoint.wait(noted.into_iter().filter(|field| is_apart || !differed(field)), observation);
        let deviations = now.iter().map(|(field, found)| Deviation::of(*field, found)).collect();
        endpoint.remember(Answer::of(message, at, NEIGHBOUR_BYTES_MAX));
        self.memory.put(observation.request, Answer::of(message, at, ANSWER_BYTES_MAX), deviations, spans);
    }

    /// Holds the origin's answer against earlier ones of its own. Where it agrees with the last one, and the target does not, an
    /// old one tells whether it agrees only because little time has passed; and without an old answer to the same request,
    /// those to other requests, if there the last one agrees, too. One that was another answer altogether, as an error is, tells
    /// nothing of the others' fields.
    fn hold_against_earlier(
        &mut self,
        index: usize,
        observation: &Observation<'_>,
        noted: &[usize],
        now: &Deviating<'_>,
        weight: f64,
    ) {
        let endpoint = &self.endpoints[index];
        let repeat = self.memory.get(observation.request);
        let Some(past) = repeat.map(|repeat| &repeat.past).or(endpoint.past.as_ref()) else {
            return self.endpoints[index].watch(observation, None, weight);
        };
        let evidence = if repeat.is_some() { Evidence::Repeats } else { Evidence::Neighbours };
        let (found, changes) = changes(past.last(), observation);
        let earlier_at = past.last().at();
        let mut trial = Trial::of(noted);
        trial.hear(endpoint, &changes);
        if let (true, Some(old)) = (trial.is_undecided(), past.old()) {
            trial.hear(endpoint, &self::changes(old, observation).1);
        }
        let others = endpoint.past.as_ref().filter(|others| !others.last().is_of(past.last()));
        if let (false, Some(_), Some(neighbours)) = (trial.steady.is_empty(), repeat, others) {
            let last = self::changes(neighbours.last(), observation).1;
            let old = neighbours.old().map(|old| self::changes(old, observation).1);
            trial.hear_of_others(endpoint, &last, old.as_ref());
        }
        let turned = repeat.map(|repeat| self.endpoints[index].turned(repeat, (&found, &changes), now, &trial));
        let turned = turned.unwrap_or_default();
        let endpoint = &mut self.endpoints[index];
        endpoint.hold(evidence, &changes, &trial, weight);
        endpoint.watch(observation, Some(Pair { evidence, earlier_at, changes: &changes, turned }), weight);
        if let Some(repeat) = repeat {
            endpoint.note_drift(&repeat.deviations, &found);
        }
    }

    /// All findings, by service and endpoint, as they are told at a time of the clock that frames are stamped with; [`Time::MAX`]
    /// if nothing more comes.
    pub fn findings(&self, now: Time) -> Vec<Finding> {
        (0..self.services.len()).flat_map(|account| self.findings_of(account, now)).collect()
    }

    fn findings_of(&self, account: usize, now: Time) -> Vec<Finding> {
        let Service { name, lost_since, .. } = &self.services[account];
        let of_service = |endpoint: &&Endpoint| endpoint.account == account && endpoint.merged_into.is_none();
        let endpoints: Vec<&Endpoint> = self.endpoints.iter().filter(of_service).collect();
        let mut service = noise::Service::default();
        for (number, endpoint) in endpoints.iter().enumerate() {
            endpoint.cases().for_each(|(field, case)| service.note(number, (&field.name, field.kind), &case));
        }
        let path_us = self.path_us(account);
        let mut findings = Vec::new();
        for (number, endpoint) in endpoints.iter().enumerate() {
            let is_told = |since: Time| now.since(since) >= TOLD_AFTER;
            let judged = endpoint.cases().filter(|(field, _)| is_told(field.first.captured_at));
            let judged = judged.filter_map(|(field, case)| {
                let rates = service.judge(number, (&field.name, field.kind), &case)?;
                let after_loss = lost_since.is_some_and(|at| at <= field.first.captured_at);
                Some(Finding { after_loss, ..endpoint.finding(name, field, rates) })
            });
            judged.for_each(|finding| add(&mut findings, finding));
            if endpoint.measured_since.is_some_and(is_told) {
                findings.extend(endpoint.slowness(name, path_us));
            }
        }
        findings
    }

    /// What the box and the way to the target add, by the middle one of the service's endpoints, and by how far apart those are:
    /// on a machine with too much to do they are.
    fn path_us(&self, account: usize) -> Option<i64> {
        let of_service = self.endpoints.iter().filter(|endpoint| endpoint.account == account);
        let mut shifts: Vec<i64> = of_service.filter_map(|endpoint| endpoint.timing.shift_us()).collect();
        shifts.sort_unstable();
        let middle = *shifts.get(shifts.len() / 2).filter(|_| shifts.len() >= TELLING_ENDPOINTS)?;
        let mut apart: Vec<i64> = shifts.iter().map(|shift| (shift - middle).abs()).collect();
        apart.sort_unstable();
        Some(middle.max(0) + SPREAD * apart[apart.len() / 2])
    }

    /// The times of all services and all endpoints.
    pub fn times(&self) -> impl Iterator<Item = Times<'_>> {
        let services = self.services.iter().map(|service| Times {
            service: &service.name,
            endpoint: None,
            timing: &service.timing,
        });
        let live = self.endpoints.iter().filter(|endpoint| endpoint.merged_into.is_none());
        let endpoints = live.map(|endpoint| Times {
            service: &self.services[endpoint.account].name,
            endpoint: Some(&endpoint.label),
            timing: &endpoint.timing,
        });
        services.chain(endpoints)
    }
}

/// How the origin's answer differs from an earlier one.
fn changes(earlier: &Answer, observation: &Observation<'_>) -> (Vec<Difference>, Changes) {
    match compare(&earlier.message(), &observation.origin, &observation.terms) {
        Comparison::Unequal(found) => {
            let changes = Changes::of(&found);
            (found, changes)
        }
        Comparison::Equal => Default::default(),
        Comparison::Unknown => (Vec::new(), Changes::unknown()),
    }
}

/// Adds a finding; of several in the same field one is told.
fn add(findings: &mut Vec<Finding>, finding: Finding) {
    let is_same = |known: &&mut Finding| {
        (&known.endpoint, &known.field, known.fault) == (&finding.endpoint, &finding.field, finding.fault)
    };
    let Some(known) = findings.iter_mut().find(is_same) else { return findings.push(finding) };
    known.target_rate += finding.target_rate;
    known.origin_rate = known.origin_rate.max(finding.origin_rate);
    known.differing += finding.differing;
    known.after_loss |= finding.after_loss;
    if finding.first.captured_at < known.first.captured_at {
        known.first = finding.first;
    }
    if finding.last.captured_at > known.last.captured_at {
        (known.last, known.example) = (finding.last, finding.example);
    }
}
