//! Noise: which differences of one field say something of the target, and which would be there between two origins, too.
//!
//! What is known of a field of an endpoint are the answers in which the target differs from the origin, and, for these and for
//! a sample of the others, whether the origin's answer differs there from earlier ones of its own: to the same request
//! (*repeats*), or, without one, to other requests of the endpoint (*neighbours*). Where it does not, it was *steady*.
//!
//! Three questions, and all of them must be answered with yes for a finding:
//!
//! 1. *Enough*: at least [`DIFFERING_MIN`] differences.
//! 2. *Clearly more often* (Diffy's rule): the share of answers in which the target differs exceeds the share in which the
//!    origin differs from itself by more than 20 % of their sum, and by more than 0.03 % of the answers.
//! 3. *Not by chance*. If origin and target drew the field alike, an earlier answer of the origin is a third such draw. Where
//!    target and origin differ it differs from at least one of them, and by symmetry from the origin's at least every second
//!    time. So the differences in whose case the origin was steady must outnumber the others: by more than chance gives, at
//!    whatever moment somebody looks ([`strength`]), and three to one, because load and time are never quite the same for both. A
//!    field in which most answers differ is likely to be one that each server makes for itself: there it must be fifteen to one.
//!
//! Of a hundred fields that have differed a few times, one looks by chance as if only the target did it. So chance must be the less
//! probable, the more such fields the service has. Failures (a status, an answer that is not whole) are a matter of their own:
//! servers seldom fail in many ways, and less is asked of one that no origin of the service has ever shown. What the target
//! does at several other endpoints in the same field needs no proof of its own at each.
//!
//! Neighbours answer question 3 for what does not depend on the request (a status, a field that is missing). A field that does
//! depend on it differs between neighbours, be it noise or not. But noise differs between target and origin as often as between
//! neighbours; so a field in which the target differs much less often is no noise. What is then left are answers to what several
//! clients did at once, which go both ways alike (`swaps`).
//!
//! And never may it be what both servers share and the target was only asked later for (`drift`).

use super::drift::Drift;
use crate::compare::Kind;
use std::collections::BTreeMap;

/// Differences without which nothing is said.
pub const DIFFERING_MIN: u64 = 5;
/// The same where other endpoints show it, too.
const DIFFERING_SHARED_MIN: u64 = 2;
/// Diffy's bounds.
const RELATIVE_MIN: f64 = 0.2;
const ABSOLUTE_MIN: f64 = 0.0003;
/// How many times more probable the target's fault must be than chance: at least, for a failure that the origin has never shown,
/// and for each field with rare noise.
pub(super) const STRENGTH_MIN: f64 = 128.0;
const FAILURE_STRENGTH_MIN: f64 = 16.0;
const STRENGTH_FOR_EACH: f64 = 8.0;
/// How many times more often the origin must be steady than not; and where the target differs in most of the answers.
const STEADY_MIN: u64 = 3;
const STEADY_MOSTLY_MIN: u64 = 15;
/// Shares of the answers beyond which a difference is in most of them, and up to which it is rare.
const MOST: f64 = 0.5;
const RARE: f64 = 0.25;
/// Differences of a field with noise from which it is one, and up to which chance may hide it. What differs once each is a name
/// that is a value.
const OPEN_MIN: u64 = 3;
const OPEN_MAX: u64 = 24;
/// How much more often neighbours must differ than target and origin: noise that is only in some of the answers differs
/// between neighbours up to twice as often.
const RARER: f64 = 4.0;
/// Share of the neighbours that differ in what depends on the request, and neighbours that differ, without which that is not
/// known.
const DEPENDENT_MIN: f64 = 0.3;
const NEIGHBOURS_MIN: u64 = 10;

/// What the earlier answers of one kind say.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Earlier {
    /// Pairs of the origin's own answers; those of a sample stand for all that it was taken of.
    pub pairs: f64,
    /// Those that differ in the field.
    pub differing: f64,
    /// The same without weights.
    pub differing_seen: u64,
    /// Of the answers in which the target differs: the origin's is as it was earlier.
    pub steady: u64,
    /// It is not, or the target's is as a later one.
    pub unsteady: u64,
}

impl Earlier {
    fn rate(&self) -> f64 {
        if self.pairs > 0.0 { self.differing / self.pairs } else { 0.0 }
    }

    fn held(&self) -> u64 {
        self.steady + self.unsteady
    }

    /// Both.
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            pairs: self.pairs + other.pairs,
            differing: self.differing + other.differing,
            differing_seen: self.differing_seen + other.differing_seen,
            steady: self.steady + other.steady,
            unsteady: self.unsteady + other.unsteady,
        }
    }

    /// Adds how steady the origin was in what is of the same noise.
    pub fn add_steadiness(&mut self, other: &Self) {
        self.steady += other.steady;
        self.unsteady += other.unsteady;
    }
}

/// What is known of one field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Case {
    /// Answers that were compared.
    pub exchanges: u64,
    /// Those in which the target differs.
    pub differing: u64,
    /// Of these, those that are not whole, or without a header.
    pub lost: u64,
    /// Those that have their opposite among the others.
    pub swapped: u64,
    /// What may have changed before a late target was asked, by the same requests and by all.
    pub drifts: [Drift; 2],
    /// What the origin's earlier answers to the same requests say.
    pub repeats: Earlier,
    /// The same of the endpoint's other requests.
    pub neighbours: Earlier,
}

/// How often the target differs from the origin in a field, and the origin from itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// The first.
    pub target: f64,
    /// The second.
    pub origin: f64,
}

impl Case {
    fn target_rate(&self) -> f64 {
        if self.exchanges > 0 { self.differing as f64 / self.exchanges as f64 } else { 0.0 }
    }

    fn all(&self) -> Earlier {
        self.repeats.plus(&self.neighbours)
    }

    /// Diffy's rule.
    fn told(&self, origin: f64) -> Option<Rates> {
        let target = self.target_rate();
        let excess = target - origin;
        let is_clear = excess > RELATIVE_MIN * (target + origin) && excess > ABSOLUTE_MIN;
        is_clear.then_some(Rates { target, origin })
    }

    /// Whether it looks like noise that is in few of the answers, of which so few were seen that it may yet look otherwise.
    fn is_rare_noise(&self) -> bool {
        let all = self.all();
        let is_open = (OPEN_MIN..=OPEN_MAX).contains(&all.held());
        is_open && self.target_rate() <= RARE && all.unsteady > 0 && all.steady < STEADY_MIN * all.unsteady
    }

    /// Whether the origin was steady more often than chance would have it, by a strength that is asked for.
    fn is_beyond_chance(&self, earlier: &Earlier, asked: f64) -> bool {
        let least = if self.target_rate() > MOST { STEADY_MOSTLY_MIN } else { STEADY_MIN };
        earlier.held() >= DIFFERING_MIN && is_beyond_chance(earlier.steady, earlier.unsteady, least, asked)
    }

    /// Whether it is more than the order in which each server did what several clients asked at once.
    fn goes_one_way(&self, asked: f64) -> bool {
        self.swapped == 0 || is_beyond_chance(self.differing - self.swapped, self.swapped, STEADY_MIN, asked)
    }

    /// Whether no change of what both servers share explains the differences. That an answer is not whole, or a
    /// header not there, is no such change.
    fn is_no_drift(&self, asked: f64) -> bool {
        self.lost >= DIFFERING_MIN || self.drifts.iter().any(|drift| drift.is_excluded(asked))
    }

    /// Whether it may be that only a late target shows it.
    fn is_no_witness(&self) -> bool {
        self.lost < DIFFERING_SHARED_MIN && !self.drifts[1].is_unexpected()
    }

    /// The rates, if it is a finding by what is known of this endpoint.
    fn judge(&self, kind: Kind, asked: f64) -> Option<Rates> {
        if self.differing < DIFFERING_MIN || !self.is_no_drift(asked) {
            return None;
        }
        let (repeats, neighbours, all) = (&self.repeats, &self.neighbours, &self.all());
        if self.is_beyond_chance(repeats, asked) {
            return self.told(repeats.rate());
        }
        if !self.goes_one_way(asked) {
            return None;
        }
        if self.is_beyond_chance(all, asked) {
            return self.told(all.rate());
        }
        // Whether something is there at all seldom depends on the request; lines that are there now and then differ between
        // requests for their place alone.
        let may_depend = matches!(kind, Kind::Value | Kind::Type | Kind::Length);
        let is_dependent =
            may_depend && neighbours.differing_seen >= NEIGHBOURS_MIN && neighbours.rate() >= DEPENDENT_MIN;
        let is_rarer = self.target_rate() * RARER < neighbours.rate();
        if is_dependent && is_rarer && repeats.unsteady == 0 { self.told(repeats.rate()) } else { None }
    }
}

fn is_beyond_chance(steady: u64, unsteady: u64, least: u64, asked: f64) -> bool {
    steady >= least * unsteady && strength(steady, unsteady, 0.5) >= asked
}

/// How many times more probable it is that a coin fell so often on this side and so often on the other if it is biased than if it
/// falls on this side with the probability `fair`: that the origin was so often steady, if the target is at fault.
///
/// A bet against the coin: half of the stake on that it never shows the other side, the rest in equal parts on probabilities between
/// `fair` and 1. With a fair coin the winnings reach `x` times the stake with a probability of at most 1 in `x`, however often one
/// looks (Ville, 1939).
pub(super) fn strength(this: u64, other: u64, fair: f64) -> f64 {
    let (this, other, fair) = (this as f64, other as f64, fair.clamp(1e-9, 1.0 - 1e-9));
    let won = |bias: f64| (this * (bias / fair).ln() + other * ((1.0 - bias) / (1.0 - fair)).ln()).exp();
    let biases = (1..10).map(|step| fair + (1.0 - fair) * f64::from(step) * 0.1);
    let always = if other > 0.0 { 0.0 } else { fair.powf(-this) };
    0.5 * always + 0.5 * biases.map(won).sum::<f64>() / 9.0
}

/// A field's name and how it differs.
type Name<'a> = (&'a str, Kind);

/// Whether a field tells that a server failed, and not what it said.
fn is_failure((field, kind): Name<'_>) -> bool {
    super::field::is_other_answer(field) || matches!((field, kind), ("body", Kind::Length) | ("answer", Kind::Missing))
}

/// What the fields of a service's endpoints say of one another.
#[derive(Debug, Default)]
pub struct Service<'a> {
    /// Fields with rare noise, failures not counted.
    rivals: u64,
    /// How steady the origin was at which endpoint.
    steadiness: BTreeMap<Name<'a>, Vec<(usize, u64, u64)>>,
}

impl<'a> Service<'a> {
    /// Takes what is known of a field of an endpoint.
    pub fn note(&mut self, endpoint: usize, name: Name<'a>, case: &Case) {
        self.rivals += u64::from(case.is_rare_noise() && !is_failure(name));
        let all = case.all();
        if case.target_rate() <= MOST && all.held() > 0 {
            let steady = if case.is_no_witness() { 0 } else { all.steady };
            self.steadiness.entry(name).or_default().push((endpoint, steady, all.unsteady));
        }
    }

    /// The rates of a field that is a finding.
    pub fn judge(&self, endpoint: usize, name: Name<'_>, case: &Case) -> Option<Rates> {
        let asked = self.strength_asked(name);
        case.judge(name.1, asked).or_else(|| {
            let all = case.all();
            let is_shared = case.differing >= DIFFERING_SHARED_MIN
                && all.steady >= DIFFERING_SHARED_MIN
                && all.unsteady == 0
                && !case.is_no_witness()
                && self.is_elsewhere(endpoint, name, asked);
            if is_shared { case.told(all.rate()) } else { None }
        })
    }

    /// How strong the evidence must be. Of a failure all endpoints are witnesses: it is one thing to the service.
    fn strength_asked(&self, name: Name<'_>) -> f64 {
        let (least, rivals) = match is_failure(name) {
            false => (STRENGTH_MIN, self.rivals),
            true if self.is_of_origin(name) => (STRENGTH_MIN, 0),
            true => (FAILURE_STRENGTH_MIN, self.failures_of_origin()),
        };
        least.max(STRENGTH_FOR_EACH * rivals as f64)
    }

    /// Whether the origin was ever seen to do it, too.
    fn is_of_origin(&self, name: Name<'_>) -> bool {
        self.steadiness.get(&name).into_iter().flatten().any(|(_, _, unsteady)| *unsteady > 0)
    }

    /// In how many ways the origin fails, too.
    fn failures_of_origin(&self) -> u64 {
        let failures = self.steadiness.keys().filter(|name| is_failure(**name));
        failures.filter(|name| self.is_of_origin(**name)).count() as u64
    }

    /// Whether other endpoints show that the target is at fault in a field, also without the one that shows it most.
    fn is_elsewhere(&self, endpoint: usize, name: Name<'_>, asked: f64) -> bool {
        let others = self.steadiness.get(&name).into_iter().flatten().filter(|other| other.0 != endpoint);
        let (mut steady, mut unsteady, mut most) = (0, 0, 0);
        for other in others {
            (steady, unsteady, most) = (steady + other.1, unsteady + other.2, most.max(other.1));
        }
        is_beyond_chance(steady - most, unsteady, STEADY_MIN, asked)
    }
}

#[cfg(test)]
mod tests {
    use super::super::drift::Watch;
    use super::*;

    fn earlier(pairs: f64, differing: f64, steady: u64, unsteady: u64) -> Earlier {
        Earlier { pairs, differing, differing_seen: differing as u64, steady, unsteady }
    }

    const NONE: Earlier = Earlier { pairs: 0.0, differing: 0.0, differing_seen: 0, steady: 0, unsteady: 0 };

    /// Where what both servers share never changes.
    fn case(exchanges: u64, differing: u64, repeats: Earlier, neighbours: Earlier) -> Case {
        let drift =
            Drift { needed: differing, needed_apart: [0; 2], watch: Watch::default(), late: 0.0, late_ever: 0.0 };
        Case { exchanges, differing, lost: 0, swapped: 0, drifts: [drift; 2], repeats, neighbours }
    }

    fn judge(exchanges: u64, differing: u64, repeats: Earlier, neighbours: Earlier) -> Option<Rates> {
        case(exchanges, differing, repeats, neighbours).judge(Kind::Value, STRENGTH_MIN)
    }

    #[test]
    fn a_bet_against_chance() {
        assert!(strength(7, 0, 0.5) < STRENGTH_MIN && strength(8, 0, 0.5) > STRENGTH_MIN && strength(20, 0, 0.5) > 1e5);
        assert!(
            strength(10, 10, 0.5) < 1.0 && strength(60, 20, 0.5) > 64.0 && strength(1_000_000, 0, 0.5).is_infinite()
        );
        assert_eq!(strength(0, 1_000_000, 0.5), 0.0);
        assert!(strength(3, 0, 0.05) > 1e3 && strength(3, 57, 0.05) < 1.0 && strength(30, 57, 0.05) > 1e5);
        // The winnings of a fair coin are a fair game: their mean stays the stake.
        let mean = |throws: u64| {
            let ways = (0..throws).scan(1.0, |ways, heads| {
                let now = *ways;
                *ways = *ways * (throws - heads) as f64 / (heads + 1) as f64;
                Some(now * strength(heads, throws - heads, 0.5))
            });
            (ways.sum::<f64>() + strength(throws, 0, 0.5)) / (throws as f64).exp2()
        };
        assert!((mean(1) - 1.0).abs() < 1e-9 && (mean(30) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn what_the_origin_never_does_is_a_finding() {
        let rates = judge(2_000, 20, earlier(2_000.0, 0.0, 20, 0), NONE);
        assert_eq!(rates, Some(Rates { target: 0.01, origin: 0.0 }));
        assert_eq!(judge(2_000, 5, earlier(2_000.0, 0.0, 5, 0), NONE), None, "too few");
        assert_eq!(judge(1_000_000, 200, earlier(1e6, 0.0, 200, 0), NONE), None, "too rare");
    }

    #[test]
    fn what_the_origin_does_as_often_is_none() {
        assert_eq!(judge(1_000, 1_000, earlier(900.0, 900.0, 0, 900), NONE), None, "a token");
        assert_eq!(judge(10_000, 100, earlier(10_000.0, 100.0, 50, 50), NONE), None, "a rare fault of both");
        assert_eq!(judge(10_000, 100, earlier(10_000.0, 100.0, 100, 0), NONE), None, "Diffy's rule alone");
        assert_eq!(judge(10_000, 9_990, earlier(10_000.0, 60.0, 9_000, 990), NONE), None, "what each makes for itself");
        assert!(judge(10_000, 300, earlier(10_000.0, 100.0, 250, 50), NONE).is_some());
    }

    #[test]
    fn without_repeats_neighbours_tell() {
        assert!(judge(1_000, 10, NONE, earlier(500.0, 0.0, 10, 0)).is_some(), "a constant");
        assert_eq!(
            judge(1_000, 1_000, NONE, earlier(500.0, 500.0, 0, 999)),
            None,
            "a token, or what all requests change"
        );
        assert!(judge(1_000, 10, NONE, earlier(500.0, 490.0, 0, 10)).is_some(), "a price");
        assert_eq!(judge(1_000, 100, NONE, earlier(500.0, 95.0, 0, 100)), None, "a token in a tenth of the answers");
    }

    #[test]
    fn without_repeats_what_goes_both_ways_is_none() {
        let is_found = |swapped, repeats, neighbours| {
            Case { swapped, ..case(11_200, 108, repeats, neighbours) }.judge(Kind::Value, STRENGTH_MIN).is_some()
        };
        let (dependent, constant) = (earlier(500.0, 250.0, 0, 108), earlier(500.0, 0.0, 108, 0));
        assert!(is_found(0, NONE, dependent) && is_found(27, NONE, dependent) && !is_found(49, NONE, dependent));
        assert!(is_found(0, NONE, constant) && !is_found(49, NONE, constant));
        assert!(is_found(49, earlier(11_200.0, 0.0, 108, 0), NONE), "the origin never does it");
    }

    #[test]
    fn what_may_have_changed_before_a_late_target_was_asked_is_none() {
        let changing = Watch { watched: 85.0, late: 35.0, changes: 42, shown: 17.0 };
        let drift = |watch| Drift { needed: 17, needed_apart: [0; 2], watch, late: 35.0, late_ever: 35.0 };
        let is_found = |drift, lost| {
            let repeats = earlier(500.0, 0.0, 20, 2);
            let case = Case { lost, drifts: [drift; 2], ..case(2_000, 200, repeats, NONE) };
            case.judge(Kind::Value, STRENGTH_MIN).is_some()
        };
        assert!(!is_found(drift(changing), 0) && is_found(drift(Watch { changes: 0, shown: 0.0, ..changing }), 0));
        assert!(is_found(drift(changing), 10), "what is not whole");
    }

    #[test]
    fn the_more_fields_have_rare_noise_the_more_must_be_shown() {
        let case = |steady, unsteady| {
            let repeats = earlier(1_000.0, 0.0, steady, unsteady);
            case(1_000, steady + unsteady, repeats, NONE)
        };
        let mut service = Service::default();
        let names: Vec<String> = (0..40).map(|number| format!("header:x-{number}")).collect();
        for name in &names {
            assert!(
                service.judge(0, ("header:x", Kind::Value), &case(8, 0)).is_some() == (service.rivals <= 19),
                "{service:?}"
            );
            service.note(0, (name, Kind::Value), &case(4, 4));
        }
        assert_eq!(service.rivals, 40);
        assert!(service.judge(0, ("header:x", Kind::Value), &case(20, 0)).is_some());
        assert!(
            service.judge(0, ("status 200 500", Kind::Value), &case(5, 0)).is_some(),
            "a failure is another matter"
        );
        service.note(1, ("status 200 500", Kind::Value), &case(5, 1));
        assert_eq!(service.judge(0, ("status 200 500", Kind::Value), &case(5, 0)), None, "the origin fails so, too");
    }

    #[test]
    fn what_is_shown_by_several_endpoints_is_told_of_each() {
        let case = |steady, unsteady| {
            let repeats = earlier(1_000.0, 0.0, steady, unsteady);
            case(1_000, steady + unsteady, repeats, NONE)
        };
        let status = ("status", Kind::Value);
        let mut service = Service::default();
        service.note(0, status, &case(3, 0));
        service.note(1, status, &case(30, 0));
        assert_eq!(service.judge(0, status, &case(3, 0)), None, "by one other");
        (2..6).for_each(|endpoint| service.note(endpoint, status, &case(3, 0)));
        assert!(service.judge(0, status, &case(3, 0)).is_some());
        assert_eq!(service.judge(0, status, &case(2, 1)), None, "the origin does it here, too");
        assert_eq!(service.judge(0, ("status", Kind::Type), &case(3, 0)), None, "another field");
    }
}
