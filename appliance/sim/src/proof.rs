//! What the engine makes of exchanges behind a gap, where it can know them again: each is held against its own answer, and once
//! two answers in a row have matched and were unlike one another, with nothing hidden since, the order is proven, and an answer
//! that differs must be said to differ.

use crate::plan::{Plan, SessionPlan};
use crate::truth::Truth;
use crate::verdict::Extent;
use core::ops::Range;
use std::collections::BTreeMap;
use tapcopy_engine::Record;
use tapcopy_engine::ledger::Incomparable;
use tapcopy_engine::message::{Outcome, Verdict};

/// By so many bytes a request is known for what it is.
const KNOWN_BY: u64 = 24;

/// Checks it; `matched` has the requests that each record may be about.
pub fn check(plan: &Plan, truth: &mut Truth, records: &[Record], matched: &[Vec<usize>], extent: Extent) {
    let certain = records.iter().zip(matched).filter_map(|(record, requests)| match requests[..] {
        [request] => Some((place(record), (record, request))),
        _ => None,
    });
    let certain: BTreeMap<_, _> = certain.collect();
    for (record, request) in certain.values() {
        // The exchanges just before, as long as they and all behind them were shown whole.
        let before = |back: u64| {
            let (session, target, copy, exchange) = place(record);
            let (record, earlier) = certain.get(&(session, target, copy, exchange.checked_sub(back)?))?;
            let is_shown = *earlier + back as usize == *request && shows(plan, truth, *earlier..*request);
            is_shown.then_some((*record, *earlier))
        };
        let run: Vec<_> = (1..).map_while(before).collect();
        let proves = |pair: &[(&Record, usize)]| {
            let both_match = pair.iter().all(|(record, _)| verdict(record) == Some(&Verdict::Match));
            both_match && content(plan, pair[0].1) != content(plan, pair[1].1)
        };
        let planned = &plan.requests[*request];
        let next = plan.sessions[planned.session].requests.clone().find(|next| next > request);
        // What is lost of a pipeline may be lost before the answer is there.
        let is_last = next.is_none_or(|next| plan.requests[next].waits);
        let is_whole = is_last && planned.settled && !truth.sessions[planned.session].broken;
        let broken = match verdict(record) {
            Some(Verdict::Incomparable(Incomparable::Unproven))
                if run.windows(2).any(proves) && is_shown_to_the_end(plan, truth, *request) =>
            {
                "an order that is proven is taken for proven"
            }
            Some(Verdict::Incomparable(Incomparable::OriginIncomplete))
                if is_shown_to_the_end(plan, truth, *request) && is_given_whole(plan, truth, *request) =>
            {
                "an answer that was shown whole is not taken for one that the origin broke off"
            }
            Some(Verdict::Match) | None => continue,
            Some(_) if extent.answered && is_whole && planned.answers_alike() && !run.is_empty() => {
                "behind a gap, an answer is held against its own request's"
            }
            Some(_) => continue,
        };
        truth.violate(broken, format!("request {request}: {record:?}"));
    }
}

/// Of a session that was picked up midstream, nobody knows which answer is whose before two have matched.
pub fn check_picked_up(plan: &Plan, truth: &mut Truth, records: &[Record], matched: &[Vec<usize>]) {
    let replay = |record: &Record| (record.session, record.target, record.copy);
    let is_before = |record: &Record| {
        let record = (replay(record), record.exchange);
        move |other: &&Record| replay(other) == record.0 && other.exchange < record.1
    };
    let differs = |record: &Record| matches!(verdict(record), Some(Verdict::Differ(_)));
    for (record, requests) in records.iter().zip(matched).filter(|(record, _)| differs(record)) {
        let is_picked_up = |request: &usize| truth.sessions[plan.requests[*request].session].openings == [false; 2];
        let earlier = records.iter().filter(is_before(record));
        let matches = earlier.filter(|earlier| verdict(earlier) == Some(&Verdict::Match)).count();
        if !requests.is_empty() && requests.iter().all(is_picked_up) && matches < 2 {
            truth.violate("an order that is not proven is not taken for proven", format!("{record:?}"));
        }
    }
}

/// A session whose beginning was not seen is picked up with the first request that begins with a segment.
pub fn check_resumed(plan: &Plan, truth: &mut Truth, extent: Extent) {
    for session in 0..plan.sessions.len() {
        let Some(request) = first_shown_whole(plan, truth, session).filter(|_| extent.answered) else { continue };
        let planned = &plan.requests[request];
        let is_early = planned.answer.after < planned.bytes.len();
        if !planned.settled || planned.is_denied || is_early || !is_shown_to_the_end(plan, truth, request) {
            continue;
        }
        truth.judged += 1;
        let arrived = truth.requests[request].reads.iter().filter(|read| read.whole_at.is_some()).count();
        let replays = plan.replays(session);
        if arrived != replays {
            let details = format!("request {request} of session {session} arrived {arrived} times, {replays} expected");
            truth.violate("a session is picked up with the first request that begins with a segment", details);
        }
    }
}

/// The request with which the mirror first shows the client of a session, if it does not show the beginning, nothing else has the
/// same addresses, and the segment has enough of it to be known by.
fn first_shown_whole(plan: &Plan, truth: &Truth, session: usize) -> Option<usize> {
    let (planned, known) = (&plan.sessions[session], &truth.sessions[session]);
    let is_same = |other: &&SessionPlan| (other.client, other.origin) == (planned.client, planned.origin);
    let is_alone = plan.sessions.iter().filter(is_same).count() == 1;
    let (_, first) = known.client_frames.first()?;
    let is_certain = known.openings == [false; 2] && !known.broken && !planned.overlapping && is_alone;
    let mut requests = planned.requests.clone();
    let request = requests.find(|request| plan.request_offset(*request) == first.start)?;
    (is_certain && first.end - first.start >= KNOWN_BY).then_some(request)
}

/// Whether nothing was hidden behind a request: a gap may have come before the verdict, and opens the question anew.
fn is_shown_to_the_end(plan: &Plan, truth: &Truth, request: usize) -> bool {
    let session = plan.requests[request].session;
    let last = plan.sessions[session].requests.end - 1;
    truth.sessions[session].shows_both_ends() && shows(plan, truth, request..last)
}

/// Whether the origin gave a whole answer, and nobody reset the connection.
fn is_given_whole(plan: &Plan, truth: &Truth, request: usize) -> bool {
    let session = &truth.sessions[plan.requests[request].session];
    plan.requests[request].answer.cut.is_none() && !session.broken && !session.is_reset()
}

fn place(record: &Record) -> (u64, u16, u16, u64) {
    (record.session, record.target, record.copy, record.exchange)
}

fn verdict(record: &Record) -> Option<&Verdict> {
    match &record.outcome {
        Outcome::Answered(verdict) => Some(verdict),
        _ => None,
    }
}

/// What of an answer tells it from others.
fn content(plan: &Plan, request: usize) -> &[u8] {
    let answer = &plan.requests[request].answer;
    if answer.bytes.len() > answer.head { &answer.content } else { &[] }
}

/// Whether the mirror showed every byte of both sides from a request to the end of the answer to the one behind the range,
/// and the client waited for each answer.
fn shows(plan: &Plan, truth: &Truth, requests: Range<usize>) -> bool {
    let (first, last) = (requests.start, requests.end);
    let session = plan.requests[last].session;
    let simple = |request: usize| plan.requests[request].waits && truth.is_framed(plan, request);
    let (Some(begins), Some(ends)) = (&truth.requests[first].answer, &truth.requests[last].answer) else {
        return false;
    };
    let asked = plan.request_offset(first)..plan.request_offset(last) + plan.requests[last].bytes.len() as u64;
    let client = truth.sessions[session].client_frames.iter().map(|(_, frame)| frame);
    (first..=last).all(simple)
        && covers(client, asked)
        && covers(truth.sessions[session].origin_frames.iter(), begins.start..ends.end)
}

fn covers<'f>(frames: impl Iterator<Item = &'f Range<u64>>, range: Range<u64>) -> bool {
    let mut frames: Vec<_> = frames.collect();
    frames.sort_by_key(|frame| frame.start);
    let reach =
        |reached: u64, frame: &Range<u64>| if frame.start <= reached { reached.max(frame.end) } else { reached };
    frames.into_iter().fold(range.start, reach) >= range.end
}
