//! A thousand seeds, the seeds that once failed, and the proof that the checkers can fail.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use tapcopy_engine::ledger::{Ended, Ignored, Incomparable, NotAnswered, NotReplayed, Reason, Reconnect};
use tapcopy_sim::batch;
use tapcopy_sim::report::Report;
use tapcopy_sim::sabotage::Sabotage;
use tapcopy_sim::shares;
use tapcopy_sim::world::Options;

const SEEDS: u64 = 1_000;

fn expect_no_failure(reports: &[Report]) {
    let failed: Vec<String> =
        reports.iter().filter(|report| !report.violations.is_empty()).map(Report::to_string).collect();
    let shown = failed.iter().take(10).cloned().collect::<Vec<_>>().join("\n");
    assert!(failed.is_empty(), "{} of {} seeds failed\n{shown}", failed.len(), reports.len());
}

#[test]
fn regressions() {
    let seeds = include_str!("../regressions/seeds.txt")
        .lines()
        .filter_map(|line| line.split_whitespace().next()?.parse().ok());
    let reports: Vec<Report> = seeds.map(|seed: u64| batch::run_twice(seed, Options::default())).collect();
    assert!(!reports.is_empty());
    expect_no_failure(&reports);
}

#[test]
fn a_thousand_seeds() {
    let arrived = AtomicUsize::new(0);
    let reports = batch::run_many(0, SEEDS, Options::default(), |report| {
        arrived.fetch_add(report.arrived, Ordering::Relaxed);
    });
    expect_no_failure(&reports);
    assert!(arrived.into_inner() > 10_000, "the world is too quiet");
    census(&reports);
}

/// Kinds under which the engine cannot know everything, or the target need not answer: only the rules that hold at every
/// step, and those on differences and on caps, apply to them.
const UNSURE: &[&str] = &[
    "answers only",
    "black hole",
    "capped sessions",
    "cut answers",
    "dead target",
    "early close",
    "few exchanges",
    "few sessions",
    "fewer services",
    "little held",
    "mute target",
    "no neighbour",
    "no pool",
    "other pool",
    "other settings",
    "refusal",
    "requests streamed",
    "resets",
    "sampled",
    "short heads",
    "slow target",
    "small outbox",
    "started again",
    "stopped",
    "swallowed requests",
    "truncation",
    "zero window",
];

/// Kinds without an outcome.
const SILENT: &[&str] = &["answers only"];

/// How many kinds there are.
const KINDS: usize = 93;

/// Causes that a thousand seeds reach, at least. Scenarios and unit tests have the others, or nothing right brings them about.
const CAUSES_MIN: usize = 47;

/// Every kind is drawn and its runs have outcomes; under all kinds but those of [`UNSURE`] outcomes are held against all that
/// is known; so many causes are counted.
fn census(reports: &[Report]) {
    let mut kinds: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for report in reports {
        for kind in report.kinds.iter().collect::<BTreeSet<_>>() {
            let (outcomes, judged) = kinds.entry(kind).or_default();
            (*outcomes, *judged) = (*outcomes + report.outcomes, *judged + report.judged);
        }
    }
    let silent: Vec<_> = kinds.iter().filter(|(_, (outcomes, _))| *outcomes < 50).map(|(kind, _)| *kind).collect();
    let unsure: Vec<_> = kinds.iter().filter(|(_, (_, judged))| *judged == 0).map(|(kind, _)| *kind).collect();
    assert_eq!(kinds.len(), KINDS, "{kinds:?}");
    assert_eq!(silent, SILENT);
    assert_eq!(unsure, UNSURE);
    let counted: BTreeSet<_> = reports.iter().flat_map(|report| report.causes.iter().copied()).collect();
    let all = [
        every::<Ignored>("ignored"),
        every::<Ended>("ended"),
        every::<NotReplayed>("not_replayed"),
        every::<NotAnswered>("not_answered"),
        every::<Incomparable>("incomparable"),
        every::<Reconnect>("reconnects"),
    ]
    .concat();
    let rare: Vec<_> = all.into_iter().filter(|cause| !counted.contains(cause)).collect();
    assert!(counted.len() >= CAUSES_MIN, "{} causes are counted, but not {rare:?}", counted.len());
}

fn every<R: Reason>(of: &'static str) -> Vec<(&'static str, &'static str)> {
    R::ALL.iter().map(|reason| (of, reason.word())).collect()
}

/// Without the engine: clients and origins get on with each other whatever the faults of their paths.
#[test]
fn production_alone() {
    let options = Options { production_only: true, ..Options::default() };
    expect_no_failure(&batch::run_many(0, SEEDS, options, |_| {}));
}

/// Boxes and shards that share the traffic do together what one engine does, whatever the mirror wraps it in.
#[test]
fn the_traffic_shared_out() {
    let (mut judged, mut least) = (0, 0);
    for seed in 0..SEEDS / 8 {
        match shares::divide(seed) {
            Some(Ok(sessions)) => (judged, least) = (judged + 1, least + sessions),
            Some(Err(wrong)) => panic!("seed {seed}: {wrong}"),
            None => {}
        }
    }
    assert!(
        judged > SEEDS / 10 && least > SEEDS / 20,
        "{judged} worlds, in which the smallest shares have {least} sessions"
    );
}

/// Each deliberate fault is found in some of the seeds that pass without it.
#[test]
fn the_checkers_can_fail() {
    let faults = |number| {
        [
            Sabotage::FlipVerdict(number),
            Sabotage::RepeatRecord(number),
            Sabotage::LoseRecord(number),
            Sabotage::CorruptPayload(number),
            Sabotage::HideFrame(number),
            Sabotage::StopCaptureClock,
        ]
    };
    let good: Vec<u64> = (0..60).filter(|seed| is_good(*seed, None)).take(12).collect();
    assert!(good.len() >= 6, "too few seeds pass without a fault: {good:?}");
    for kind in 0..faults(0).len() {
        let struck = good
            .iter()
            .zip([0, 1, 2].iter().cycle())
            .filter(|(seed, number)| !is_good(**seed, Some(faults(**number)[kind])))
            .count();
        assert!(struck > good.len() / 3, "{:?}: found in {struck} of {} seeds", faults(0)[kind], good.len());
    }
}

fn is_good(seed: u64, sabotage: Option<Sabotage>) -> bool {
    let options = Options { faultless: true, sabotage, ..Options::default() };
    batch::run(seed, options).0.violations.is_empty()
}
