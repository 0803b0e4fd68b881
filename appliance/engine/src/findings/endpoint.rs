//! One endpoint: how often it was asked, and what was found in which of its fields.

use super::alike::are_alike;
use super::drift::Drift;
use super::field::{self, Field};
use super::latency::Timing;
use super::memory::{Answer, Deviation, Past, Remembered};
use super::noise::{self, Case, Earlier};
use super::template::Hash;
use super::turns::{Side, has_left};
use super::{Evidence, Fault, Finding, Observation, Place};
use crate::compare::{Difference, Kind};
use crate::limits::comparison::DIFFERENCES_MAX;
use crate::limits::findings::FIELDS_MAX;
use crate::time::Time;
use core::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where an answer of the target differs: the endpoint's fields, and how.
pub(super) type Deviating<'a> = [(usize, &'a Difference)];

/// An endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointId(u32);

impl EndpointId {
    /// None: the request does not say what it is about.
    pub const NONE: Self = Self(u32::MAX);

    pub(super) fn of(index: usize) -> Self {
        Self(index as u32)
    }

    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

impl Default for EndpointId {
    fn default() -> Self {
        Self::NONE
    }
}

/// Of equal answers one in so many is remembered and held against earlier ones, as long as there are fewer than
/// [`OFTEN_UP_TO`] of them; then one in [`RARELY`].
const OFTEN: u64 = 16;
const OFTEN_UP_TO: u64 = 1 << 14;
const RARELY: u64 = 256;

/// One endpoint.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) account: usize,
    verb: String,
    /// The template of its path.
    pub(super) path: String,
    /// Its name.
    pub(super) label: Arc<str>,
    /// What its path stands below.
    pub(super) above: Hash,
    /// Its place was found to hold values, and it is part of another.
    pub(super) merged_into: Option<EndpointId>,
    pub(super) exchanges: u64,
    /// Its last answers of the origin, whatever the request.
    pub(super) past: Option<Past>,
    pub(super) timing: Timing,
    /// When the first of these times was.
    pub(super) measured_since: Option<Time>,
    equal: u64,
    pairs: [f64; 2],
    /// How long the target was late with answers, in seconds, without what overlaps of those to the same request, and of all.
    late: [f64; 2],
    fields: Vec<Field>,
}

impl Endpoint {
    pub(super) fn new(account: usize, verb: String, path: String, above: Hash) -> Self {
        let mut endpoint = Self {
            account,
            verb,
            path,
            label: "".into(),
            above,
            merged_into: None,
            exchanges: 0,
            past: None,
            timing: Timing::default(),
            measured_since: None,
            equal: 0,
            pairs: [0.0; 2],
            late: [0.0; 2],
            fields: Vec::new(),
        };
        endpoint.label = endpoint.name().into();
        endpoint
    }

    fn name(&self) -> String {
        let words = [self.verb.as_str(), self.path.as_str()];
        words.iter().filter(|word| !word.is_empty()).copied().collect::<Vec<_>>().join(" ")
    }

    /// Gives another path, that is its own by a new template.
    pub(super) fn rename(&mut self, path: String) {
        self.path = path;
        self.label = self.name().into();
    }

    /// It becomes a part of another; what it has counted.
    pub(super) fn merge_into(&mut self, id: EndpointId) -> Self {
        let rest = Self::new(self.account, String::new(), String::new(), self.above);
        let whole = core::mem::replace(self, rest);
        self.merged_into = Some(id);
        whole
    }

    /// Adds what another has counted.
    pub(super) fn take(&mut self, other: Self) {
        self.past = self.past.take().or(other.past);
        self.exchanges += other.exchanges;
        self.equal += other.equal;
        self.timing.add(&other.timing);
        self.measured_since = [self.measured_since, other.measured_since].into_iter().flatten().min();
        let sums = self.pairs.iter_mut().chain(&mut self.late);
        for (mine, theirs) in sums.zip(other.pairs.into_iter().chain(other.late)) {
            *mine += theirs;
        }
        for field in other.fields {
            match self.find(&field.name, field.kind) {
                Some(known) => self.fields[known].take(field),
                None if self.fields.len() < FIELDS_MAX => self.fields.push(field),
                None => {}
            }
        }
    }

    /// Remembers an answer of the origin.
    pub(super) fn remember(&mut self, answer: Arc<Answer>) {
        match &mut self.past {
            Some(past) => past.push(answer),
            None => self.past = Some(Past::new(answer)),
        }
    }

    /// Whether an equal answer is in the sample, and how many it stands for.
    pub(super) fn draw(&mut self) -> Option<f64> {
        self.equal += 1;
        let every = if self.equal <= OFTEN_UP_TO { OFTEN } else { RARELY };
        (self.equal % every == 1).then_some(every as f64)
    }

    fn find(&self, name: &str, kind: Kind) -> Option<usize> {
        self.fields.iter().position(|field| field.kind == kind && field.name == name)
    }

    /// The field that a difference is counted for.
    pub(super) fn index_of(&self, found: &Difference) -> Option<usize> {
        self.find(&field::name(found), found.kind)
    }

    /// Counts a difference, unless it says the same in other words or its field is among the `noted` ones of this answer
    /// already, as with elements of an array.
    pub(super) fn note_found(&mut self, found: &Difference, observation: &Observation<'_>, noted: &mut Vec<usize>) {
        let name = field::name(found);
        let is_noted = self.find(&name, found.kind).is_some_and(|index| noted.contains(&index));
        if is_noted || (found.kind == Kind::Value && are_alike(&found.origin, &found.target)) {
            return;
        }
        let Some(index) = self.note(&name, found.kind, observation.place, [&found.origin, &found.target]) else {
            return;
        };
        let field = &mut self.fields[index];
        field.swaps.take(found, observation.place.captured_at, observation.apart);
        if field.may_drift() {
            field.explained_by.take(observation.place.captured_at, observation.apart);
        } else {
            field.lost += 1;
        }
        noted.push(index);
    }

    /// Counts an answer that the target did not give whole.
    pub(super) fn note_lost(&mut self, name: &str, kind: Kind, place: Place) {
        let Some(index) = self.note(name, kind, place, ["", ""]) else { return };
        // What the origin has whole it has always whole.
        self.fields[index].repeats.steady += 1;
        self.fields[index].turns.take(Side::Target, [place.captured_at; 2]);
        self.fields[index].lost += 1;
    }

    /// Counts a difference in a field.
    fn note(&mut self, name: &str, kind: Kind, place: Place, example: [&str; 2]) -> Option<usize> {
        let index = self.find_or_make(name, kind, place)?;
        let field = &mut self.fields[index];
        if field.differing == 0 {
            field.first = place;
        }
        field.differing += 1;
        field.last = place;
        field.example = example.map(str::to_owned);
        Some(index)
    }

    /// Counts that the origin itself did in a field what the target may do, too.
    pub(super) fn note_origin(&mut self, name: &str, kind: Kind, place: Place) {
        if let Some(index) = self.find_or_make(name, kind, place) {
            self.fields[index].repeats.unsteady += 1;
        }
    }

    fn find_or_make(&mut self, name: &str, kind: Kind, place: Place) -> Option<usize> {
        if let Some(index) = self.find(name, kind) {
            return Some(index);
        }
        let field = Field::new(name, kind, place);
        if self.fields.len() < FIELDS_MAX {
            self.fields.push(field);
            return Some(self.fields.len() - 1);
        }
        let index = self.least()?;
        self.fields[index] = field;
        Some(index)
    }

    /// The field that makes room for another: of those that differed a few times one that stands among the most others,
    /// because names that are values come once each, and in crowds; there the one that differed least, and longest ago.
    fn least(&self) -> Option<usize> {
        let few = || self.fields.iter().enumerate().filter(|(_, field)| field.differing < noise::DIFFERING_MIN);
        let mut crowds: BTreeMap<&str, usize> = BTreeMap::new();
        few().for_each(|(_, field)| *crowds.entry(field.parent()).or_default() += 1);
        let rank = |field: &Field| (Reverse(crowds[field.parent()]), field.differing, field.last.captured_at);
        few().min_by_key(|(_, field)| rank(field)).map(|(index, _)| index)
    }

    /// What an earlier answer of the origin says of a field: whether it was as it is now; nothing, where it was another answer.
    pub(super) fn agrees(&self, field: usize, changes: &Changes) -> Option<bool> {
        self.fields.get(field).and_then(|field| changes.agree(field))
    }

    /// The fields that differ `now` because one of both servers alone has changed since the last answer to the same request; `found`
    /// is how the origin's has.
    pub(super) fn turned(
        &self,
        before: &Remembered,
        (found, changes): (&[Difference], &Changes),
        now: &Deviating<'_>,
        trial: &Trial,
    ) -> Vec<(usize, Side)> {
        let has_target_stayed = |index: usize| {
            let mut of_field = now.iter().filter(|(field, _)| *field == index).map(|(_, difference)| *difference);
            if before.deviates_in(index) {
                return of_field.all(|difference| before.deviations.contains(&Deviation::of(index, difference)));
            }
            let is_of_field = |change: &&Difference| field::name(change) == self.fields[index].name;
            of_field.any(|difference| found.iter().filter(is_of_field).any(|change| has_left(change, difference)))
        };
        let agrees = |index: &usize| self.agrees(*index, changes);
        let by_target = trial.steady.iter().filter(|index| agrees(index) == Some(true) && !has_target_stayed(**index));
        let by_origin =
            trial.unsteady.iter().filter(|index| agrees(index) == Some(false) && has_target_stayed(**index));
        let by_target = by_target.map(|index| (*index, Side::Target));
        by_target.chain(by_origin.map(|index| (*index, Side::Origin))).collect()
    }

    /// Takes how the origin's answer differs from an earlier one of its own, and what came out of that for the fields in which the
    /// target's differs from it.
    pub(super) fn hold(&mut self, evidence: Evidence, changes: &Changes, trial: &Trial, weight: f64) {
        self.pairs[evidence as usize] += weight;
        for (index, field) in self.fields.iter_mut().enumerate() {
            let differs = changes.agree(field) == Some(false);
            let earlier = field.earlier_mut(evidence);
            if differs {
                earlier.differing += weight;
                earlier.differing_seen += 1;
            }
            earlier.steady += u64::from(trial.steady.contains(&index));
            earlier.unsteady += u64::from(trial.unsteady.contains(&index));
        }
    }

    /// Takes how long the target was late with an answer that stands for `weight` ones, and, where there is an earlier one of the
    /// origin, when that was and what has changed since.
    pub(super) fn watch(&mut self, observation: &Observation<'_>, earlier: Option<Pair<'_>>, weight: f64) {
        let (at, late) = (observation.place.captured_at, observation.apart);
        let all = late.as_secs_f64() * weight;
        let Some(Pair { evidence, earlier_at, changes, turned }) = earlier else {
            return self.late.iter_mut().for_each(|sum| *sum += all);
        };
        let since = at.since(earlier_at).max(earlier_at.since(at));
        let alone = late.min(since).as_secs_f64() * weight;
        let is_repeat = evidence == Evidence::Repeats;
        self.late[0] += if is_repeat { alone } else { all };
        self.late[1] += alone;
        turned.iter().for_each(|(field, side)| self.fields[*field].turns.take(*side, [earlier_at, at]));
        for field in &mut self.fields {
            // Of another answer altogether nothing is known.
            let Some(agrees) = changes.agree(field) else { continue };
            field.watches[evidence as usize].take(since, late, weight, !agrees);
            match is_repeat {
                true => field.apart.hear(earlier_at, at, !agrees),
                false => field.late_unwatched += all,
            }
        }
    }

    /// Takes the fields in which an answer differs, but not by what the last one to the same request differed by.
    pub(super) fn wait(&mut self, fields: impl Iterator<Item = usize>, observation: &Observation<'_>) {
        for field in fields {
            self.fields[field].apart.wait(observation.place.captured_at, observation.apart);
        }
    }

    /// What is known of the changes of a field, by the same requests and by all.
    fn drifts(&self, field: &Field) -> [Drift; 2] {
        let (needed, apart) = (field.explained_by.needed, [field.apart.confirmed, field.apart.seen]);
        let [repeats, neighbours] = field.watches;
        let all = repeats.plus(&neighbours);
        [
            Drift {
                needed,
                needed_apart: apart,
                watch: repeats,
                late: repeats.late + field.late_unwatched,
                late_ever: self.late[0],
            },
            Drift { needed, needed_apart: [0; 2], watch: all, late: all.late, late_ever: self.late[1] },
        ]
    }

    /// The origin says now what the target said to the same request before: the target was only later than a change.
    pub(super) fn note_drift(&mut self, deviations: &[Deviation], found: &[Difference]) {
        for now in found {
            let (name, value) = (field::name(now), Deviation::value_of(now));
            let drifted = |deviation: &&Deviation| {
                deviation.value == value && self.fields.get(deviation.field).is_some_and(|field| field.name == name)
            };
            if let Some(deviation) = deviations.iter().find(drifted)
                && let Some(field) = self.fields.get_mut(deviation.field)
                && field.repeats.steady > 0
            {
                field.repeats.steady -= 1;
                field.repeats.unsteady += 1;
            }
        }
    }

    /// What is known of each of its fields.
    pub(super) fn cases(&self) -> impl Iterator<Item = (&Field, Case)> {
        let with_pairs = |earlier: Earlier, pairs| Earlier { pairs, ..earlier };
        self.fields.iter().map(move |field| {
            let mut case = Case {
                exchanges: self.exchanges,
                differing: field.differing,
                lost: field.lost,
                swapped: field.swaps.met,
                drifts: self.drifts(field),
                repeats: with_pairs(field.repeats, self.pairs[Evidence::Repeats as usize]),
                neighbours: with_pairs(field.neighbours, self.pairs[Evidence::Neighbours as usize]),
            };
            let is_other = |other: &&Field| !core::ptr::eq(*other, field) && field.is_of_one_noise(other);
            let mut turns = field.turns;
            for other in self.fields.iter().filter(is_other) {
                turns.add(&other.turns);
                case.repeats.add_steadiness(&other.repeats);
                case.neighbours.add_steadiness(&other.neighbours);
            }
            case.repeats.steady = turns.telling(case.repeats.steady);
            (field, case)
        })
    }

    /// The finding that a field is.
    pub(super) fn finding(&self, service: &str, field: &Field, rates: noise::Rates) -> Finding {
        Finding {
            service: service.to_owned(),
            endpoint: self.label.to_string(),
            field: field.shown().to_owned(),
            fault: Fault::Content(field.kind),
            target_rate: rates.target,
            origin_rate: rates.origin,
            exchanges: self.exchanges,
            differing: field.differing,
            first: field.first,
            last: field.last,
            example: field.example.clone(),
            after_loss: false,
        }
    }

    /// Whether the target is clearly slower.
    pub(super) fn slowness(&self, service: &str, path_us: Option<i64>) -> Option<Finding> {
        let slow = self.timing.slowness(path_us)?;
        let millis = |us: u64| format!("{}.{:03} ms", us / 1_000, us % 1_000);
        Some(Finding {
            service: service.to_owned(),
            endpoint: self.label.to_string(),
            field: "first_byte".to_owned(),
            fault: Fault::Latency,
            target_rate: slow.target,
            origin_rate: slow.origin,
            exchanges: self.timing.target_first.len(),
            differing: slow.slow,
            first: Place::default(),
            last: Place::default(),
            example: slow.middle_us.map(millis),
            after_loss: false,
        })
    }
}

/// The origin's answer and an earlier one of its own.
#[derive(Debug)]
pub(super) struct Pair<'a> {
    /// To which requests.
    pub(super) evidence: Evidence,
    /// When the earlier one was.
    pub(super) earlier_at: Time,
    /// What has changed since.
    pub(super) changes: &'a Changes,
    /// The fields that differ since one side alone has changed.
    pub(super) turned: Vec<(usize, Side)>,
}

/// The fields in which the target's answer differs from the origin's, by what the origin's earlier answers say of them.
#[derive(Debug)]
pub(super) struct Trial {
    /// The origin's is as it was.
    pub(super) steady: Vec<usize>,
    /// It is not.
    pub(super) unsteady: Vec<usize>,
    /// Nothing is known yet.
    open: Vec<usize>,
}

impl Trial {
    pub(super) fn of(fields: &[usize]) -> Self {
        Self { steady: Vec::new(), unsteady: Vec::new(), open: fields.to_vec() }
    }

    /// Whether more may yet be said.
    pub(super) fn is_undecided(&self) -> bool {
        !self.open.is_empty() || !self.steady.is_empty()
    }

    /// Takes what one earlier answer says.
    pub(super) fn hear(&mut self, endpoint: &Endpoint, changes: &Changes) {
        let open = core::mem::take(&mut self.open).into_iter().map(|field| (field, false));
        let steady = core::mem::take(&mut self.steady).into_iter().map(|field| (field, true));
        for (field, was_steady) in open.chain(steady) {
            let place = match endpoint.agrees(field, changes) {
                Some(false) => &mut self.unsteady,
                Some(true) => &mut self.steady,
                None if was_steady => &mut self.steady,
                None => &mut self.open,
            };
            place.push(field);
        }
    }

    /// The same of other requests: what is alike there, too, is a constant, and may change slowly.
    pub(super) fn hear_of_others(&mut self, endpoint: &Endpoint, last: &Changes, old: Option<&Changes>) {
        let (constant, changed) = core::mem::take(&mut self.steady).into_iter().partition(|field| {
            let is_alike = endpoint.agrees(*field, last) == Some(true);
            !is_alike || old.is_none_or(|old| endpoint.agrees(*field, old) != Some(false))
        });
        self.steady = constant;
        self.unsteady.extend::<Vec<usize>>(changed);
    }
}

/// In which fields the origin's answer differs from an earlier one of its own.
#[derive(Debug, Default)]
pub(super) struct Changes {
    fields: Vec<(String, Kind)>,
    /// There may be more of them.
    is_cut: bool,
}

impl Changes {
    /// Those that do not say the same in other words.
    pub(super) fn of(found: &[Difference]) -> Self {
        let says_else = |found: &&Difference| found.kind != Kind::Value || !are_alike(&found.origin, &found.target);
        let place = |found: &Difference| (field::name(found), found.kind);
        Self { fields: found.iter().filter(says_else).map(place).collect(), is_cut: found.len() >= DIFFERENCES_MAX }
    }

    /// What was kept of the contents does not tell.
    pub(super) fn unknown() -> Self {
        Self { fields: vec![("body".to_owned(), Kind::Value)], is_cut: false }
    }

    /// Whether it is another answer altogether.
    fn is_other_answer(&self) -> bool {
        self.fields.iter().any(|(name, _)| field::is_other_answer(name))
    }

    /// Whether both answers have a field alike; nothing is known of it where they are other answers altogether.
    fn agree(&self, field: &Field) -> Option<bool> {
        match self.is_cut || self.fields.iter().any(|(name, kind)| field.is_unsteady_by(name, *kind)) {
            true => Some(false),
            false => (!self.is_other_answer()).then_some(true),
        }
    }
}
