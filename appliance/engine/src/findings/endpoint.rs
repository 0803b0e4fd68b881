//! One endpoint: how often it was asked, and what was found in which of its fields.

use super::latency::Timing;
use super::memory::Deviation;
use super::noise::{self, Earlier};
use super::template::{self, Hash};
use super::{Fault, Finding, Place};
use crate::compare::{Difference, Kind};
use crate::limits::comparison::DIFFERENCES_MAX;
use crate::limits::findings::FIELDS_MAX;
use std::sync::Arc;

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

/// How far apart two times may be and still be those of the same moment on two servers, in seconds.
const MOMENT: f64 = 60.0;

/// Where the earlier answer comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evidence {
    /// The same request.
    Repeats,
    /// Another request of the endpoint.
    Neighbours,
}

#[derive(Debug)]
struct Field {
    name: String,
    kind: Kind,
    differing: u64,
    repeats: Earlier,
    neighbours: Earlier,
    first: Place,
    last: Place,
    example: [String; 2],
}

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
    pub(super) last_request: Option<u64>,
    pub(super) timing: Timing,
    equal: u64,
    pairs: [f64; 2],
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
            last_request: None,
            timing: Timing::default(),
            equal: 0,
            pairs: [0.0; 2],
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
        self.exchanges += other.exchanges;
        self.equal += other.equal;
        self.timing.add(&other.timing);
        for (mine, theirs) in self.pairs.iter_mut().zip(other.pairs) {
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
        self.find(&template::field(&found.field), found.kind)
    }

    /// Counts a difference, unless it is the same moment on two clocks. The field's index.
    pub(super) fn note_found(&mut self, found: &Difference, place: Place) -> Option<usize> {
        if found.kind == Kind::Value && is_same_moment(&found.origin, &found.target) {
            return None;
        }
        self.note(&template::field(&found.field), found.kind, place, [&found.origin, &found.target], true)
    }

    /// Counts a difference in a field.
    pub(super) fn note(
        &mut self,
        name: &str,
        kind: Kind,
        place: Place,
        example: [&str; 2],
        is_compared: bool,
    ) -> Option<usize> {
        let index = self.find(name, kind).or_else(|| {
            let has_room = self.fields.len() < FIELDS_MAX;
            has_room.then(|| self.fields.push(Field::new(name, kind, place)))?;
            Some(self.fields.len() - 1)
        })?;
        let field = &mut self.fields[index];
        field.differing += 1;
        field.last = place;
        field.example = example.map(str::to_owned);
        // What the origin has whole it has always whole.
        field.repeats.steady += u64::from(!is_compared);
        Some(index)
    }

    /// Takes where the origin's answer differs from an earlier one of its own. `noted`: the fields in which the target's
    /// differs from it.
    pub(super) fn hold(&mut self, evidence: Evidence, found: &[Difference], noted: &[usize], weight: f64) {
        let is_repeat = evidence == Evidence::Repeats;
        self.pairs[usize::from(!is_repeat)] += weight;
        let names: Vec<(String, Kind)> =
            found.iter().map(|found| (template::field(&found.field), found.kind)).collect();
        for (index, field) in self.fields.iter_mut().enumerate() {
            let differs = names.iter().any(|(name, kind)| field.is_unsteady_by(name, *kind));
            let earlier = if is_repeat { &mut field.repeats } else { &mut field.neighbours };
            if differs {
                earlier.differing += weight;
                earlier.differing_seen += 1;
            }
            if noted.contains(&index) {
                let is_steady = !differs && names.len() < DIFFERENCES_MAX;
                earlier.steady += u64::from(is_steady);
                earlier.unsteady += u64::from(!is_steady);
            }
        }
    }

    /// The origin says now what the target said to the same request before: the target was only later than a change.
    pub(super) fn note_drift(&mut self, deviations: &[Deviation], found: &[Difference]) {
        for now in found {
            let (name, value) = (template::field(&now.field), Hash::new(1).with(now.target.as_bytes()).value());
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

    /// What is beyond noise.
    pub(super) fn findings(&self, service: &str) -> impl Iterator<Item = Finding> {
        self.fields.iter().filter_map(move |field| {
            let with_pairs = |earlier: Earlier, pairs| Earlier { pairs, ..earlier };
            let [repeats, neighbours] = self.pairs;
            let repeats = with_pairs(field.repeats, repeats);
            let neighbours = with_pairs(field.neighbours, neighbours);
            let rates = noise::judge(self.exchanges, field.differing, &repeats, &neighbours)?;
            Some(Finding {
                service: service.to_owned(),
                endpoint: self.label.to_string(),
                field: field.name.clone(),
                fault: Fault::Content(field.kind),
                target_rate: rates.target,
                origin_rate: rates.origin,
                exchanges: self.exchanges,
                differing: field.differing,
                first: field.first,
                last: field.last,
                example: field.example.clone(),
            })
        })
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
        })
    }
}

impl Field {
    fn new(name: &str, kind: Kind, first: Place) -> Self {
        let (repeats, neighbours) = (Earlier::default(), Earlier::default());
        let (name, example) = (name.to_owned(), Default::default());
        Self { name, kind, differing: 0, repeats, neighbours, first, last: first, example }
    }

    /// Whether the origin's own answers differ here, where they differ in `name`: there, or above. That a value is another
    /// says nothing of whether there is one.
    fn is_unsteady_by(&self, name: &str, kind: Kind) -> bool {
        match (name == self.name, self.kind) {
            (true, Kind::Value | Kind::Length) => true,
            (true, Kind::Missing | Kind::Added | Kind::Type) => kind != Kind::Value,
            (false, _) => lies_above(name, &self.name),
        }
    }

    fn take(&mut self, other: Self) {
        self.differing += other.differing;
        self.repeats = self.repeats.plus(&other.repeats);
        self.neighbours = self.neighbours.plus(&other.neighbours);
        if other.first.captured_at < self.first.captured_at {
            self.first = other.first;
        }
        if other.last.captured_at > self.last.captured_at {
            (self.last, self.example) = (other.last, other.example);
        }
    }
}

/// Whether a difference in `name` leaves nothing to compare in `field`.
fn lies_above(name: &str, field: &str) -> bool {
    let decides = matches!(name, "status" | "error" | "header:grpc-status")
        || (matches!(name, "rows" | "columns") && field.starts_with("row "));
    decides || field.strip_prefix(name).is_some_and(|rest| rest.starts_with(['.', '[', ':', ' ']))
}

/// Whether two values are times, as texts or as seconds, milli-, micro- or nanoseconds since 1970, and close to one another.
fn is_same_moment(origin: &str, target: &str) -> bool {
    match (seconds(origin), seconds(target)) {
        (Some(one), Some(other)) => (one - other).abs() <= MOMENT,
        _ => false,
    }
}

/// The seconds since 1970 that a value stands for, if it looks like a time: a number of the present century, RFC 3339, or
/// RFC 9110's dates.
fn seconds(value: &str) -> Option<f64> {
    let text = value.trim().trim_matches('"');
    if let Ok(number) = text.parse::<f64>() {
        let units = [1.0, 1e3, 1e6, 1e9];
        return units.iter().map(|unit| number / unit).find(|seconds| (1e9..4.2e9).contains(seconds));
    }
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u32>().ok();
    if bytes.get(4) == Some(&b'-') && bytes.len() >= 19 && matches!(bytes[10], b'T' | b't' | b' ') {
        let date = [number(0, 4)?, number(5, 7)?, number(8, 10)?];
        let end = text[19..].find(['Z', 'z', '+', '-']).map_or(text.len(), |end| 19 + end);
        let seconds: f64 = text.get(17..end)?.parse().ok()?;
        return Some(since_1970(date)? + f64::from(number(11, 13)? * 3_600 + number(14, 16)? * 60) + seconds);
    }
    if bytes.get(3) == Some(&b',') && bytes.len() == 29 {
        let months = "JanFebMarAprMayJunJulAugSepOctNovDec";
        let month = months.find(text.get(8..11)?).filter(|at| at % 3 == 0)? / 3 + 1;
        let time = number(17, 19)? * 3_600 + number(20, 22)? * 60 + number(23, 25)?;
        return Some(since_1970([number(12, 16)?, month as u32, number(5, 7)?])? + f64::from(time));
    }
    None
}

/// Seconds to the beginning of a day of the Gregorian calendar (years from March on, so that the leap day is the last).
fn since_1970([year, month, day]: [u32; 3]) -> Option<f64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || year < 1970 {
        return None;
    }
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    Some(f64::from(days - 719_468) * 86_400.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_known_by_their_look() {
        for (value, expected) in [
            ("\"1970-01-01T00:00:01Z\"", 1.0),
            ("\"2024-02-29T12:00:00.5+00:00\"", 1_709_208_000.5),
            ("2024-02-29 12:00:00", 1_709_208_000.0),
            ("Thu, 29 Feb 2024 12:00:00 GMT", 1_709_208_000.0),
            ("1709208000", 1_709_208_000.0),
            ("1709208000.25", 1_709_208_000.25),
            ("1709208000250", 1_709_208_000.25),
        ] {
            assert_eq!(seconds(value), Some(expected), "{value}");
        }
        for value in ["", "12", "\"abc\"", "2024-13-01T00:00:00Z", "99999", "Thu, 29 Xyz 2024 12:00:00 GMT"] {
            assert_eq!(seconds(value), None, "{value}");
        }
        assert!(is_same_moment("1709208000", "1709208003") && !is_same_moment("1709208000", "1709211600"));
    }

    #[test]
    fn one_field_lies_above_another() {
        let above = lies_above;
        assert!(above("body:$.a", "body:$.a.b") && above("body:$.a", "body:$.a[*]") && above("body", "body:$.a"));
        assert!(above("status", "header:x") && !above("body:$.a", "body:$.ab") && !above("body:$.a.b", "body:$.a"));
    }
}
