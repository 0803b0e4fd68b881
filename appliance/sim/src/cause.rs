//! Causes: what the ledger names as one must exist in the run.

use crate::truth::Truth;

/// Of each cause, the kinds of fault, form or behaviour that can bring it about; one of them exists where it is counted. Causes
/// that many kinds bring about, or several together, are not listed.
const BROUGHT_ABOUT_BY: &[(&str, &str, &[&str])] = &[
    ("ended", "idle", &["no order to finish", "an hour idle"]),
    ("ignored", "fragment", &["fragments", "fragments of tunnels"]),
    ("ignored", "no_service", &["noise", "fewer services"]),
    ("ignored", "not_ip", &["noise"]),
    ("ignored", "not_tcp", &["noise"]),
    ("ignored", "session_limit", &["few sessions", "other settings"]),
    ("ignored", "truncated", &["truncation"]),
    ("incomparable", "mirror_gap", GAPS),
    ("incomparable", "one_way", GAPS),
    ("not_answered", "stopped", STOPS),
    ("not_answered", "target_refused", &["refusal"]),
    ("not_answered", "target_unreachable", UNREACHABLE),
    ("not_replayed", "filtered", &["denied requests", "rewritten requests", "short heads"]),
    ("not_replayed", "limit", &["small outbox", "few exchanges", "short heads", "other settings"]),
    ("not_replayed", "mirror_gap", GAPS),
    ("not_replayed", "not_sampled", &["sampled", "other settings"]),
    ("not_replayed", "pool_exhausted", &["no pool", "other pool"]),
    ("not_replayed", "rate_capped", &["capped sessions"]),
    ("not_replayed", "stopped", STOPS),
    ("not_replayed", "target_refused", &["refusal"]),
    ("not_replayed", "target_unreachable", UNREACHABLE),
];

const STOPS: &[&str] = &["stopped", "other pool"];
const UNREACHABLE: &[&str] = &[
    "black hole",
    "dead target",
    "no neighbour",
    "target loss",
    "fewer services",
    "other pool",
    "small transmit queue",
    "clients keep their addresses",
    "rehearsal",
];
/// What is turned away at the bound on sessions may be picked up later, from somewhere within.
const GAPS: &[&str] = &[
    "mirror loss",
    "truncation",
    "midstream",
    "requests only",
    "answers only",
    "directions out of order",
    "two mirror nics",
    "little held",
    "address reused",
    "few sessions",
    "other settings",
    "fewer services",
    "production loss",
    "production reordering",
    "production duplication",
];

/// Holds the causes that the ledger counted against the kinds that exist.
pub fn check(kinds: &[&str], causes: &[(&str, &str)], truth: &mut Truth) {
    for (of, cause, kinds_of_it) in BROUGHT_ABOUT_BY {
        if causes.contains(&(of, cause)) && !kinds_of_it.iter().any(|kind| kinds.contains(kind)) {
            let details = format!("{of}.{cause}, but none of {kinds_of_it:?}");
            truth.violate("a cause is counted only where it exists", details);
        }
    }
    for (side, cause) in ["client_reset", "origin_reset"].into_iter().enumerate() {
        let is_shown = truth.sessions.iter().any(|session| session.reset_by[side]);
        // Before anything places the stream, a forged one is as good as any.
        if causes.contains(&("ended", cause)) && !is_shown && !kinds.contains(&"noise") {
            truth.violate(
                "a cause is counted only where it exists",
                format!("ended.{cause}, but no such reset was shown"),
            );
        }
    }
}
