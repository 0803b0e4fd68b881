//! Worlds in which the engine leaves requests out by rule, says them in other words, or has a cap on sessions; and what must
//! come of it, worked out by other means than the engine's.

use crate::plan::{Kind, Plan};
use crate::seed::Rng;
use crate::truth::Truth;
use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};
use tapcopy_engine::Record;
use tapcopy_engine::ledger::NotReplayed;
use tapcopy_engine::message::Outcome;
use tapcopy_engine::selection::Selection;
use tapcopy_engine::selection::filter::{Action, Glob, Rule};
use tapcopy_engine::selection::rewrite::{PathPrefix, Rewrite};
use xxhash_rust::xxh3::xxh3_64;

/// In no content of this world.
const CHUNKED: &[u8] = b"\r\nTransfer-Encoding: chunked\r\n";

/// Which HTTP requests the engine is told to leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// Those with this method.
    Method(&'static str),
    /// Those without it.
    AllBut(&'static str),
    /// Those whose number ends in this hexadecimal digit: it stands in the path.
    Digit(u8),
    /// Those with content in chunks.
    Chunked,
}

impl Denial {
    fn draw(rng: &mut Rng) -> Self {
        match rng.below(4) {
            0 => Self::Method(rng.pick(&["GET", "POST", "HEAD"])),
            1 => Self::AllBut(rng.pick(&["GET", "POST"])),
            2 => Self::Digit(rng.below(4) as u8),
            _ => Self::Chunked,
        }
    }

    fn denies(self, request: usize, bytes: &[u8]) -> bool {
        match self {
            Self::Method(method) => bytes.starts_with(format!("{method} ").as_bytes()),
            Self::AllBut(method) => !bytes.starts_with(format!("{method} ").as_bytes()),
            Self::Digit(digit) => request % 16 == usize::from(digit),
            Self::Chunked => bytes.windows(CHUNKED.len()).any(|window| window == CHUNKED),
        }
    }

    fn rules(self) -> Vec<Rule> {
        let rule = Rule { action: Action::Deny, methods: Vec::new(), path: None, header: None };
        match self {
            Self::Method(method) => vec![Rule { methods: vec![method.to_owned()], ..rule }],
            Self::AllBut(method) => {
                vec![Rule { action: Action::Allow, methods: vec![method.to_owned()], ..rule.clone() }, rule]
            }
            Self::Digit(digit) => vec![Rule { path: Some(Glob::new(&format!("*{digit:x}~/item"))), ..rule }],
            Self::Chunked => {
                vec![Rule { header: Some(("transfer-encoding".to_owned(), Glob::new("chunk*"))), ..rule }]
            }
        }
    }
}

/// Draws which of all this there is, and what it makes of the requests.
pub fn draw(plan: &mut Plan, rng: &mut Rng) {
    let topology = &mut plan.topology;
    topology.denial = rng.maybe(10, Denial::draw);
    topology.is_rewritten = rng.percent(10);
    topology.sessions_per_second = rng.maybe(5, |rng| rng.size(1, 4) as u32);
    for (number, request) in plan.requests.iter_mut().enumerate() {
        if topology.services[plan.sessions[request.session].service].kind == Kind::Http {
            request.is_denied = topology.denial.is_some_and(|denial| denial.denies(number, &request.bytes));
            request.rewritten = topology.is_rewritten.then(|| rewritten(&request.bytes));
        }
    }
}

/// What the engine is told.
pub fn selection(plan: &Plan, kind: Kind) -> Selection {
    let topology = &plan.topology;
    if kind != Kind::Http {
        return Selection::default();
    }
    let rewrite = Rewrite {
        host: Some("test.example".to_owned()),
        path_prefix: Some(PathPrefix { from: String::new(), to: "/v2".to_owned() }),
        set: vec![("X-Mirrored".to_owned(), "1".to_owned())],
        remove: vec!["user-agent".to_owned()],
    };
    Selection {
        rules: topology.denial.map(Denial::rules).unwrap_or_default(),
        rewrite: topology.is_rewritten.then_some(rewrite),
    }
}

/// What a target must read then.
fn rewritten(bytes: &[u8]) -> Vec<u8> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or_default();
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned() + "\r\nX-Mirrored: 1";
    let head = head.replacen(" /~", " /v2/~", 1).replacen("Host: origin\r\nUser-Agent: sim", "Host: test.example", 1);
    [head.as_bytes(), &bytes[end..]].concat()
}

/// Checks that causes have what brings them about, and that the cap let through what it must; breaks of rules go to `truth`.
/// `matched`: the requests that each record may be about; `is_certain`: the engine saw every session begin, in order.
pub fn check(plan: &Plan, truth: &mut Truth, records: &[Record], matched: &[Vec<usize>], is_certain: bool) {
    let selects = plan.topology.denial.is_some() || plan.topology.is_rewritten;
    let is_for = |cause: NotReplayed| move |record: &&Record| matches!(record.outcome, Outcome::NotReplayed(found) if found == cause);
    if let Some(record) = records.iter().find(is_for(NotReplayed::Filtered)).filter(|_| !selects) {
        truth.violate("nothing is filtered without a rule", format!("{record:?}"));
    }
    let of_session = |record: &Record| record.session;
    let capped: BTreeSet<u64> = records.iter().filter(is_for(NotReplayed::RateCapped)).map(of_session).collect();
    let is_split = |record: &&Record| capped.contains(&record.session) && !is_for(NotReplayed::RateCapped)(record);
    if let Some(record) = records.iter().find(is_split) {
        truth.violate("a cap leaves out whole sessions", format!("{record:?}"));
    }
    check_sample(plan, truth, records);
    let admitted = admitted(plan, truth);
    for (record, candidates) in records.iter().zip(matched).filter(|_| is_certain) {
        let admissions: BTreeSet<bool> =
            candidates.iter().map(|request| admitted.contains(&plan.requests[*request].session)).collect();
        let is_capped = is_for(NotReplayed::RateCapped)(&record);
        if admissions.len() == 1 && admissions.contains(&is_capped) {
            truth.violate("a cap lets its rate through, and no more", format!("{record:?}"));
        }
    }
}

/// A client is sampled with all its sessions, or with none, as its address has it, where one share holds for the whole run.
fn check_sample(plan: &Plan, truth: &mut Truth, records: &[Record]) {
    let is_sampled = |record: &Record| client_hash(record.client.ip()) % 10_000 < u64::from(plan.topology.sample);
    let is_wrong = |record: &&Record| match record.outcome {
        Outcome::NotReplayed(NotReplayed::NotSampled) => is_sampled(record),
        Outcome::NotReplayed(_) => false,
        _ => !is_sampled(record),
    };
    if let Some(record) = records.iter().find(is_wrong).filter(|_| plan.topology.sample < 10_000) {
        truth.violate("a client is sampled with all its sessions", format!("{record:?}"));
    }
}

/// The same on every box, for ever: a client that is sampled today is tomorrow.
fn client_hash(client: IpAddr) -> u64 {
    match client {
        IpAddr::V4(ip) => xxh3_64(&ip.octets()),
        IpAddr::V6(ip) => xxh3_64(&ip.octets()),
    }
}

/// The sessions that the cap lets through, by the virtual scheduling algorithm (ITU-T I.371), in parts of a nanosecond.
fn admitted(plan: &Plan, truth: &Truth) -> BTreeSet<usize> {
    let Some(rate) = plan.topology.sessions_per_second.map(u128::from) else {
        return (0..plan.sessions.len()).collect();
    };
    let second = 1_000_000_000;
    let mut expected: BTreeMap<usize, u128> = BTreeMap::new();
    let begun = truth.opened.iter().filter(|(session, at)| {
        let at = u128::from(at.as_nanos()) * rate;
        let expected = expected.entry(plan.sessions[*session].service).or_default();
        let conforms = *expected <= at + (rate - 1) * second;
        *expected = if conforms { (*expected).max(at) + second } else { *expected };
        conforms
    });
    begun.map(|(session, _)| *session).collect()
}
