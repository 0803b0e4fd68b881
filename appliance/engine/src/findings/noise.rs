//! Noise: which differences of one field say something of the target, and which would be there between two origins, too.
//!
//! What is known of a field of an endpoint are the answers in which the target differs from the origin, and, for these and for
//! a sample of the others, whether the origin's answer differs there from an earlier one of its own: to the same request (a
//! *repeat*), or, without one, to the endpoint's last request (a *neighbour*).
//!
//! Three questions, and all of them must be answered with yes for a finding:
//!
//! 1. *Enough*: at least [`DIFFERING_MIN`] differences.
//! 2. *Clearly more often* (Diffy's rule): the share of answers in which the target differs exceeds the share in which the
//!    origin differs from itself by more than 20 % of their sum, and by more than 0.03 % of the answers.
//! 3. *Not by chance*. If origin and target drew the field alike, an earlier answer of the origin is a third such draw. Where
//!    target and origin differ it differs from at least one of them, and by symmetry from the origin's at least every second
//!    time. So differences in whose case the origin was steady must outnumber the others by more than chance gives.
//!
//! Neighbours answer question 3 for what does not depend on the request (a status, a field that is missing). A field that does
//! depend on it differs between neighbours, be it noise or not. But noise differs between target and origin as often as between
//! neighbours; so a field in which the target differs much less often is no noise.

/// Differences without which nothing is said.
pub const DIFFERING_MIN: u64 = 6;
/// Diffy's bounds.
const RELATIVE_MIN: f64 = 0.2;
const ABSOLUTE_MIN: f64 = 0.0003;
/// How improbable chance must be.
const CHANCE_MAX: f64 = 1.0 / 64.0;
/// How much more often neighbours must differ than target and origin: noise that is only in some of the answers differs
/// between neighbours up to twice as often.
const RARER: f64 = 4.0;
/// Neighbours that differ, without which that is not known.
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
    /// Of the pairs where the target differs: the origin's answer is as the earlier one.
    pub steady: u64,
    /// It is not, or the target's is as a later one.
    pub unsteady: u64,
}

impl Earlier {
    fn rate(&self) -> f64 {
        if self.pairs > 0.0 { self.differing / self.pairs } else { 0.0 }
    }

    /// Whether the origin was steady more often than chance would have it.
    fn is_beyond_chance(&self) -> bool {
        let all = self.steady + self.unsteady;
        all >= DIFFERING_MIN && chance(self.steady, all) < CHANCE_MAX
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
}

/// How often the target differs from the origin in a field, and the origin from itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// The first.
    pub target: f64,
    /// The second.
    pub origin: f64,
}

/// The rates of a field that is a finding. `exchanges` answers were compared, of which `differing` differ.
pub fn judge(exchanges: u64, differing: u64, repeats: &Earlier, neighbours: &Earlier) -> Option<Rates> {
    if differing < DIFFERING_MIN || exchanges == 0 {
        return None;
    }
    let target = differing as f64 / exchanges as f64;
    let told = |origin: f64| {
        let excess = target - origin;
        let is_clear = excess > RELATIVE_MIN * (target + origin) && excess > ABSOLUTE_MIN;
        is_clear.then_some(Rates { target, origin })
    };
    if repeats.steady + repeats.unsteady >= DIFFERING_MIN {
        return if repeats.is_beyond_chance() { told(repeats.rate()) } else { None };
    }
    let all = repeats.plus(neighbours);
    if all.is_beyond_chance()
        && let Some(rates) = told(all.rate())
    {
        return Some(rates);
    }
    let depends_on_request = neighbours.differing_seen >= NEIGHBOURS_MIN && repeats.unsteady == 0;
    let is_rarer = target * RARER < neighbours.rate();
    if depends_on_request && is_rarer { told(repeats.rate()) } else { None }
}

/// The probability that of `all` throws of a coin at least `heads` show heads.
fn chance(heads: u64, all: u64) -> f64 {
    let (mean, deviation) = (all as f64 / 2.0, (all as f64).sqrt() / 2.0);
    if all > 60 {
        // Far enough out the normal distribution's bound (exp(-z²/2)) is on the safe side.
        let z = (heads as f64 - mean) / deviation;
        return if z <= 0.0 { 1.0 } else { (-z * z / 2.0).exp() };
    }
    let mut ways = 1.0;
    let mut sum = 0.0;
    for number in 0..=all {
        if number >= heads {
            sum += ways;
        }
        ways = ways * (all - number) as f64 / (number + 1) as f64;
    }
    sum / 2_f64.powi(all as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn earlier(pairs: f64, differing: f64, steady: u64, unsteady: u64) -> Earlier {
        Earlier { pairs, differing, differing_seen: differing as u64, steady, unsteady }
    }

    const NONE: Earlier = Earlier { pairs: 0.0, differing: 0.0, differing_seen: 0, steady: 0, unsteady: 0 };

    #[test]
    fn coins() {
        assert_eq!(chance(0, 10), 1.0);
        assert_eq!(chance(6, 6), 1.0 / 64.0);
        assert!((chance(5, 10) - 0.623).abs() < 0.001);
        assert!(chance(80, 100) < 1e-6 && chance(50, 100) == 1.0);
    }

    #[test]
    fn what_the_origin_never_does_is_a_finding() {
        let rates = judge(2_000, 20, &earlier(2_000.0, 0.0, 20, 0), &NONE);
        assert_eq!(rates, Some(Rates { target: 0.01, origin: 0.0 }));
        assert_eq!(judge(2_000, 5, &earlier(2_000.0, 0.0, 5, 0), &NONE), None, "too few");
        assert_eq!(judge(1_000_000, 200, &earlier(1e6, 0.0, 200, 0), &NONE), None, "too rare");
    }

    #[test]
    fn what_the_origin_does_as_often_is_none() {
        assert_eq!(judge(1_000, 1_000, &earlier(900.0, 900.0, 0, 900), &NONE), None, "a token");
        assert_eq!(judge(10_000, 100, &earlier(10_000.0, 100.0, 50, 50), &NONE), None, "a rare fault of both");
        assert_eq!(judge(10_000, 100, &earlier(10_000.0, 100.0, 100, 0), &NONE), None, "Diffy's rule alone");
        assert!(judge(10_000, 300, &earlier(10_000.0, 100.0, 250, 50), &NONE).is_some());
    }

    #[test]
    fn without_repeats_neighbours_tell() {
        assert!(judge(1_000, 10, &NONE, &earlier(500.0, 0.0, 10, 0)).is_some(), "a constant");
        assert_eq!(
            judge(1_000, 1_000, &NONE, &earlier(500.0, 500.0, 0, 999)),
            None,
            "a token, or what all requests change"
        );
        assert!(judge(1_000, 10, &NONE, &earlier(500.0, 490.0, 0, 10)).is_some(), "a price");
        assert_eq!(judge(1_000, 100, &NONE, &earlier(500.0, 95.0, 0, 100)), None, "a token in a tenth of the answers");
    }
}
