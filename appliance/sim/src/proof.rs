//! Whether the engine takes the order of exchanges for proven once it is: after two answers in a row that match and are unlike
//! one another, with nothing hidden since, an answer that differs must be said to differ.

use crate::plan::Plan;
use crate::truth::Truth;
use core::ops::Range;
use std::collections::BTreeMap;
use tapcopy_engine::Record;
use tapcopy_engine::ledger::Incomparable;
use tapcopy_engine::message::{Outcome, Verdict};

/// Checks it; `matched` has the requests that each record may be about.
pub fn check(plan: &Plan, truth: &mut Truth, records: &[Record], matched: &[Vec<usize>]) {
    let certain = records.iter().zip(matched).filter_map(|(record, requests)| match requests[..] {
        [request] => Some((place(record), (record, request))),
        _ => None,
    });
    let certain: BTreeMap<_, _> = certain.collect();
    for (record, request) in certain.values() {
        if verdict(record) != Some(&Verdict::Incomparable(Incomparable::Unproven)) {
            continue;
        }
        let before = |back: u64| {
            let (session, target, copy, exchange) = place(record);
            let (record, earlier) = certain.get(&(session, target, copy, exchange.checked_sub(back)?))?;
            (*earlier + back as usize == *request).then_some((*record, *earlier))
        };
        let run: Vec<_> =
            (1..).map_while(before).take_while(|(_, earlier)| shows(plan, truth, *earlier..*request)).collect();
        let proves = |pair: &[(&Record, usize)]| {
            let both_match = pair.iter().all(|(record, _)| verdict(record) == Some(&Verdict::Match));
            both_match && content(plan, pair[0].1) != content(plan, pair[1].1)
        };
        if run.windows(2).any(proves) {
            let details = format!("request {request}: {record:?}");
            truth.violate("an order that is proven is taken for proven", details);
        }
    }
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
