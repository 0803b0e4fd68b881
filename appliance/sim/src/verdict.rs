//! Holding the engine's records against what really happened, when all is over.

use crate::account;
use crate::latency;
use crate::plan::{Plan, SessionPlan};
use crate::proof;
use crate::selection;
use crate::truth::{RequestTruth, SessionTruth, Truth};
use crate::turn::{Turn, alteration, is_answered_by_another};
use core::net::SocketAddr;
use std::collections::BTreeMap;
use tapcopy_engine::ledger::{Ended, Incomparable, NotReplayed};
use tapcopy_engine::message::{Difference, Outcome, Verdict};
use tapcopy_engine::{Ledger, Record, Time};

/// Which final checks apply.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// The mirror showed every byte, no bound was reached, no order disturbed.
    pub seen: bool,
    /// It saw every session begin in its order, whatever else it saw.
    pub all_begun: bool,
    /// And both directions in their order.
    pub ordered: bool,
    /// The targets answered every request, and were given the time for it.
    pub answered: bool,
    /// And their link lost nothing.
    pub clean_path: bool,
    /// The targets did nothing worse than to close between two answers, and the replay had the time to go on elsewhere.
    pub only_closes: bool,
    /// Bytes of a body that the engine has surely kept for the comparison; of the rest a hash.
    pub kept: u64,
    /// There are none: the origins' own answers are played back.
    pub rehearsed: bool,
    /// When replay began again for good, which an order had stopped.
    pub started_at: Option<Time>,
    /// The mirror showed one direction only (true: the clients').
    pub one_way: Option<bool>,
    /// And of that every byte, to a box without bounds or orders.
    pub all_of_one_way: bool,
    /// What the mirror showed, it showed whole and in order, to such a box, and nothing was sent twice.
    pub plain: bool,
}

/// Checks all records, each with the time at which it came; breaks of rules go to `truth`.
pub fn check(plan: &Plan, truth: &mut Truth, (records, times): (&[Record], &[Time]), ledger: &Ledger, extent: Extent) {
    let matched = match_records(plan, truth, records);
    for (record, candidates) in records.iter().zip(&matched) {
        check_difference(plan, truth, records, record, candidates, extent);
    }
    check_reconnects(plan, truth, ledger);
    proof::check_picked_up(plan, truth, records, &matched);
    if extent.plain {
        account::check_lost(ledger, truth);
        proof::check(plan, truth, records, &matched, extent);
        proof::check_resumed(plan, truth, extent);
    }
    selection::check(
        plan,
        truth,
        records,
        &matched,
        extent.all_begun && truth.sessions.iter().all(|session| session.late == 0),
    );
    if let Some(started_at) = extent.started_at {
        check_started(plan, truth, records, started_at);
    }
    if let Some(clients) = extent.one_way {
        check_one_way(plan, truth, records, clients, extent);
    }
    if !extent.seen {
        return;
    }
    let mut of_request: BTreeMap<usize, Vec<(&Record, Time)>> = BTreeMap::new();
    for ((record, at), candidates) in records.iter().zip(times).zip(&matched) {
        match the_one(plan, record, candidates) {
            Some(request) => of_request.entry(request).or_default().push((record, *at)),
            None => check_known(plan, truth, record, candidates, extent),
        }
    }
    for request in 0..plan.requests.len() {
        if applies(plan, truth, request, extent) {
            let records = of_request.remove(&request).unwrap_or_default();
            let (found, replays) = (records.len(), plan.replays(plan.requests[request].session));
            // A request that was sent again larger than before may have one record more.
            if found < replays {
                let details = format!("request {request} has {found} of {replays} records");
                truth.violate("with everything seen, every request has a record for each replay", details);
            }
            for record in records {
                check_request(plan, truth, request, record, extent);
            }
        }
    }
    check_counts(plan, truth, ledger, extent);
}

/// The request that a record is about. A frame that was sent again, larger than before, may show the first bytes of several;
/// the number of the exchange tells them apart.
fn the_one(plan: &Plan, record: &Record, candidates: &[usize]) -> Option<usize> {
    let numbered = |request: &usize| {
        let session = &plan.sessions[plan.requests[*request].session];
        !session.overlapping && (*request - session.requests.start) as u64 == record.exchange
    };
    match candidates {
        [request] => Some(*request),
        _ => candidates.iter().copied().find(numbered),
    }
}

/// Whether it is certain what the engine can know of a session. Where one direction is shown late, the end of a session is
/// shown after the beginning of the next on the same addresses.
fn is_certain(plan: &Plan, truth: &Truth, session: usize, extent: Extent) -> bool {
    let (found, raw) = (!truth.opens_slowly(plan, session), plan.has_turns(session));
    let session = &plan.sessions[session];
    let same = |other: &&SessionPlan| other.client == session.client && other.origin == session.origin;
    let alone = plan.sessions.iter().filter(same).count() == 1;
    found && !session.overlapping && (extent.ordered || !raw && alone)
}

/// Whether what becomes of a request is certain.
fn applies(plan: &Plan, truth: &Truth, request: usize, extent: Extent) -> bool {
    let certain = is_certain(plan, truth, plan.requests[request].session, extent);
    let broken = truth.sessions[plan.requests[request].session].broken;
    let known = &truth.requests[request];
    let session = &truth.sessions[plan.requests[request].session];
    let ends_before = |at: u64| known.answer.as_ref().is_some_and(|answer| answer.end <= at);
    let is_answer_read = session.answers_unread_from.is_none_or(ends_before);
    let is_read = (!session.is_unread || known.whole_at.is_some()) && is_answer_read;
    plan.requests[request].settled && !broken && certain && known.begun && is_read
}

/// The requests that each record may be about: those whose first byte was in a frame of the record's stamp. Requests in one
/// frame are told apart by their order.
fn match_records(plan: &Plan, truth: &Truth, records: &[Record]) -> Vec<Vec<usize>> {
    let mut by_stamp: BTreeMap<(SocketAddr, SocketAddr, Time), Vec<usize>> = BTreeMap::new();
    for (request, known) in truth.requests.iter().enumerate() {
        let session = &plan.sessions[plan.requests[request].session];
        let origin = plan.topology.origins[session.origin].address;
        for stamp in &known.first_shown {
            let requests = by_stamp.entry((session.client, origin, *stamp)).or_default();
            if requests.last() != Some(&request) {
                requests.push(request);
            }
        }
    }
    let mut order: Vec<usize> = (0..records.len()).collect();
    order.sort_by_key(|index| (records[*index].session, records[*index].exchange));
    let mut groups: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for index in order {
        let record = &records[index];
        let seen = (record.client, record.origin, record.captured_at);
        groups.entry((seen, record.target, record.copy)).or_default().push(index);
    }
    let mut matched = vec![Vec::new(); records.len()];
    for ((seen, ..), indexes) in groups {
        let requests = by_stamp.get(&seen).cloned().unwrap_or_default();
        for (place, index) in indexes.iter().enumerate() {
            let certain = indexes.len() == requests.len();
            matched[*index] = if certain { vec![requests[place]] } else { requests.clone() };
        }
    }
    matched
}

/// No false `Differ`: only what the target was told to change, and at the place where it was changed.
fn check_difference(
    plan: &Plan,
    truth: &mut Truth,
    records: &[Record],
    record: &Record,
    candidates: &[usize],
    extent: Extent,
) {
    let Outcome::Answered(Verdict::Differ(differences)) = &record.outcome else { return };
    for found in differences {
        check_found(plan, truth, (records, record), candidates, found, extent);
    }
}

fn check_found(
    plan: &Plan,
    truth: &mut Truth,
    (records, record): (&[Record], &Record),
    candidates: &[usize],
    found: &Difference,
    extent: Extent,
) {
    let told = |request: &usize| {
        alteration(plan, truth, *request)
            .is_some_and(|alteration| alteration.accepts(found) || alteration.accepts_hash(found, extent.kept))
    };
    let turn = Turn::of(plan, truth, records, record, extent);
    let told_within =
        |turn: &Turn| turn.requests.iter().any(|request| turn.tells(plan, truth, *request, found, extent));
    let by_another = |request: &usize| is_answered_by_another(plan, truth, *request);
    if !candidates.iter().any(|request| told(request) || by_another(request)) && !turn.as_ref().is_some_and(told_within)
    {
        let within = turn.as_ref().map(|turn| turn.requests.as_slice()).unwrap_or_default();
        let planned: Vec<_> = candidates
            .iter()
            .chain(within)
            .map(|request| {
                (*request, plan.requests[*request].alteration.as_ref().map(|alteration| &alteration.accepted))
            })
            .collect();
        let details = format!("{record:?}; planned: {planned:?}");
        truth.violate("a difference is reported where the target was told to make it, and nowhere else", details);
    }
}

/// A replay opens one connection by itself; each further one has a cause.
fn check_reconnects(plan: &Plan, truth: &mut Truth, ledger: &Ledger) {
    let replays = (0..plan.sessions.len()).map(|session| plan.replays(session)).max().unwrap_or(0) as u64;
    let (opened, caused) = (ledger.target.connections_opened, ledger.target.reconnects.sum());
    if opened > ledger.sessions.opened * replays + caused {
        let details = format!("{opened} opened for {} sessions, {caused} opened again", ledger.sessions.opened);
        truth.violate("a connection that is opened again has its cause", details);
    }
}

/// Only sessions that had begun before are left out because replay was stopped.
fn check_started(plan: &Plan, truth: &mut Truth, records: &[Record], started_at: Time) {
    let is_stopped = |record: &&Record| matches!(record.outcome, Outcome::NotReplayed(NotReplayed::Stopped));
    let is_later = |record: &&Record| {
        let is_its = |session: &SessionPlan| {
            (session.client, plan.topology.origins[session.origin].address) == (record.client, record.origin)
        };
        let known = plan.sessions.iter().zip(&truth.sessions).filter(|(session, _)| is_its(session));
        known.map(|(_, known)| known.first_shown_at).all(|at| at.is_some_and(|at| at > started_at))
    };
    if let Some(record) = records.iter().filter(is_stopped).find(is_later) {
        truth.violate("what begins when replay has begun again is replayed", format!("{record:?}"));
    }
}

/// With the requests alone there is nothing to hold an answer against, and they are replayed all the same; with the answers
/// alone there is nothing.
fn check_one_way(plan: &Plan, truth: &mut Truth, records: &[Record], clients: bool, extent: Extent) {
    let compared =
        |record: &&Record| matches!(record.outcome, Outcome::Answered(Verdict::Match | Verdict::Differ(_))) || !clients;
    if let Some(record) = records.iter().find(compared) {
        truth.violate("with one direction nothing is held against anything", format!("{record:?}"));
    }
    let is_certain = extent.all_of_one_way && extent.answered;
    let is_other = |record: &&Record| match &record.outcome {
        // Whatever else came in between, no origin was seen to end before its answer was whole.
        Outcome::Answered(Verdict::Incomparable(Incomparable::OriginIncomplete)) => truth.rules.legible,
        Outcome::Answered(Verdict::Incomparable(cause)) => extent.all_of_one_way && *cause != Incomparable::OneWay,
        _ => false,
    };
    if let Some(record) = records.iter().find(is_other) {
        truth.violate("with one direction, that is why nothing is held against anything", format!("{record:?}"));
    }
    if !(clients && is_certain) {
        return;
    }
    for (request, known) in truth.requests.clone().iter().enumerate() {
        let planned = &plan.requests[request];
        let arrived = known.reads.iter().any(|read| read.whole_at.is_some());
        // Once the target has answered and closed, the rest of the request need not be sent.
        let early = planned.answer.after < planned.bytes.len() && planned.answer.closes;
        let certain = truth.is_framed(plan, request)
            && !planned.is_denied
            && planned.settled
            && !early
            && !truth.sessions[planned.session].broken;
        truth.judged += usize::from(certain);
        // Behind a hole that a client's reset leaves for ever, nothing is seen for certain.
        if certain && known.whole_at.is_some() && !arrived {
            let details = format!("request {request} of session {}", planned.session);
            truth.violate("with every request seen and no answer, every request arrives", details);
        }
    }
}

/// With everything seen, every record is about one request.
fn check_known(plan: &Plan, truth: &mut Truth, record: &Record, candidates: &[usize], extent: Extent) {
    let of_client = |session: &usize| plan.sessions[*session].client == record.client;
    // What is shown long after the end is taken for a session whose beginning was not seen.
    let known = |session: usize| {
        let known = &truth.sessions[session];
        is_certain(plan, truth, session, extent) && !known.is_beyond_hole(record.captured_at) && known.late == 0
    };
    if (0..plan.sessions.len()).filter(of_client).all(known) {
        let details = format!("{record:?} may be about the requests {candidates:?}");
        truth.violate("with everything seen, a record is about one request", details);
    }
}

fn check_request(plan: &Plan, truth: &mut Truth, request: usize, (record, at): (&Record, Time), extent: Extent) {
    let planned = &plan.requests[request];
    let index = (request - plan.sessions[planned.session].requests.start) as u64;
    let service = plan.sessions[planned.session].service;
    // Where the answers are complete before the request, the record need not wait for the request's end.
    let early = planned.answer.after < planned.bytes.len();
    if !early && (record.exchange, record.request_bytes, record.service) != (index, planned.bytes.len() as u64, service)
    {
        let details = format!("{record:?}, but request {request} is number {index} with {} bytes", planned.bytes.len());
        truth.violate("a record's exchange, length and service are the request's", details);
    }
    latency::check_origin(plan, truth, request, record, extent.ordered);
    latency::check_target(plan, truth, request, (record, at));
    if extent.plain {
        latency::check_place(plan, truth, request, record);
    }
    // A client that has its answer early and resets takes back what its stack has not sent yet.
    let taken_back = early && truth.requests[request].whole_at.is_none();
    truth.judged += usize::from(extent.answered && !taken_back);
    if extent.answered && !taken_back {
        check_answer(plan, truth, request, record, extent);
    }
}

fn check_answer(plan: &Plan, truth: &mut Truth, request: usize, record: &Record, extent: Extent) {
    let planned = &plan.requests[request];
    let raw = !planned.framed;
    if planned.is_denied {
        if !matches!(record.outcome, Outcome::NotReplayed(NotReplayed::Filtered)) {
            truth.violate(
                "with everything seen, what a rule denies is filtered",
                format!("request {request}: {record:?}"),
            );
        }
        return;
    }
    if planned.answer.cut.is_some() && extent.rehearsed {
        // The answer that is played back is the one that was broken off.
        return;
    }
    let whole = truth.requests[request].reads.iter().filter(|read| read.whole_at.is_some()).count();
    // Once the target has answered and closed, the rest of the request need not be sent.
    let early = planned.answer.after < planned.bytes.len() && planned.answer.closes;
    let replays = plan.replays(planned.session);
    if whole != replays && !(early && whole < replays) && !extent.rehearsed {
        let details = format!("request {request} of session {} arrived {whole} times; {record:?}", planned.session);
        truth.violate("with everything seen and a healthy target, every request arrives once for each replay", details);
    }
    let verdict = match &record.outcome {
        Outcome::Answered(verdict) => verdict,
        // Silence within a turn can be the link's doing, and without a framer nobody can tell.
        _ if raw && !extent.clean_path => return,
        _ => {
            let details = format!("request {request}: {record:?}");
            return truth.violate("with everything seen and a healthy target, every request is answered", details);
        }
    };
    let is_cut = planned.answer.cut.is_some();
    let right = match (verdict, &planned.alteration) {
        (found, _) if is_cut => matches!(found, Verdict::Incomparable(Incomparable::OriginIncomplete)),
        (Verdict::Match, None) => true,
        (Verdict::Differ(found), Some(alteration)) => {
            found.iter().all(|found| alteration.accepts(found) || alteration.accepts_hash(found, extent.kept))
        }
        // What a session before left unsaid on the same addresses may be taken for this one's.
        (Verdict::Incomparable(Incomparable::Unproven), _) if follows_another(plan, planned.session) => true,
        (Verdict::Incomparable(_), _) => raw && (!extent.clean_path || after_unaligned(plan, request)),
        (Verdict::Match, Some(_)) | (Verdict::Differ(_), None) => raw && after_unaligned(plan, request),
    };
    if !right {
        let planned = planned.alteration.as_ref().map(|alteration| &alteration.accepted);
        let details = format!("request {request}: {record:?}; planned: {planned:?}");
        truth.violate("with everything seen, the verdict is what the target was told to answer", details);
    }
}

/// A session is counted as it ended, where nothing comes late or out of order.
fn check_ends(truth: &mut Truth, ledger: &Ledger) {
    let is_certain = truth.rules.unbroken && truth.sessions.iter().all(|session| session.late == 0);
    let count = |test: &dyn Fn(&SessionTruth) -> bool| truth.sessions.iter().filter(|one| test(one)).count() as u64;
    let ended = |cause| ledger.sessions.ended.of(cause);
    let ends = [
        ("closed", ended(Ended::Closed), count(&|one| one.shows_both_ends() && !one.is_reset())),
        (
            "reset",
            ended(Ended::ClientReset) + ended(Ended::OriginReset),
            count(&|one| one.is_reset() && !one.shows_both_ends()),
        ),
    ];
    if let Some((how, told, shown)) = ends.into_iter().find(|(_, told, shown)| told < shown).filter(|_| is_certain) {
        truth.violate("a session is counted as it ended", format!("{how}: {told} counted, {shown} shown"));
    }
}

/// Whether another session has the same addresses before this one.
fn follows_another(plan: &Plan, session: usize) -> bool {
    let SessionPlan { client, origin, .. } = plan.sessions[session];
    plan.sessions[..session].iter().any(|earlier| (earlier.client, earlier.origin) == (client, origin))
}

/// Without a framer, an answer of another length may shift what later turns are held against.
fn after_unaligned(plan: &Plan, request: usize) -> bool {
    let first = plan.sessions[plan.requests[request].session].requests.start;
    plan.requests[first..=request]
        .iter()
        .any(|earlier| earlier.alteration.as_ref().is_some_and(|alteration| alteration.may_be_unaligned))
}

fn check_counts(plan: &Plan, truth: &mut Truth, ledger: &Ledger, extent: Extent) {
    let certain = (0..plan.sessions.len()).all(|session| is_certain(plan, truth, session, extent));
    // What comes behind a hole that a client's reset leaves for ever may be a request's beginning or not.
    let replays = |test: fn(&RequestTruth) -> bool| -> u64 {
        let found = (0..plan.requests.len()).filter(|request| test(&truth.requests[*request]));
        found.map(|request| plan.replays(plan.requests[request].session) as u64).sum()
    };
    let (begun, shown) = (replays(|request| request.begun), replays(|request| request.shown_at.is_some()));
    if certain && !(begun..=shown).contains(&ledger.requests.captured) {
        let details =
            format!("{} captured, {begun} begun, {shown} shown, each replay counted", ledger.requests.captured);
        truth.violate("with everything seen, every request is captured", details);
    }
    let again = truth.sessions.iter().map(|session| session.shown_again).sum();
    if ledger.sessions.segments_duplicate < again && extent.ordered && !truth.rules.disordered {
        let details = format!("{} counted, {again} shown", ledger.sessions.segments_duplicate);
        truth.violate("what is shown again is counted", details);
    }
    check_ends(truth, ledger);
    let opened = truth.sessions.iter().filter(|session| session.shown).count() as u64;
    let late: u64 = truth.sessions.iter().map(|session| session.late).sum();
    if !(opened..=opened + late).contains(&ledger.sessions.opened) {
        let details = format!("{} opened, {opened} SYNs shown, {late} segments late", ledger.sessions.opened);
        truth.violate("with everything seen, every session is opened", details);
    }
}
