//! The records of exchanges: pages of them, one with what was said, its evidence, and an export.

use super::State;
use super::call::{Answer, Call, error, invalid, not_found};
use crate::archive::{Figures, evidence};
use serde_json::{Value, json};
use tapcopy_records::{Contents, Exchange, Order, Outcome, Page, Query, Reader, Stored};

/// Exchanges of a page, unless the request says it, and at most.
const PAGE: u64 = 100;
const PAGE_MAX: u64 = 500;
/// Lines of an export, likewise: some 5 and 25 MB.
const LINES: u64 = 10_000;
const LINES_MAX: u64 = 50_000;

/// `GET /exchanges`, the newest first.
pub(super) fn page(state: &State, call: &Call) -> Answer {
    let mut exchanges: Vec<Value> = Vec::new();
    match visit(state, call, Order::Newest, (PAGE, PAGE_MAX), |stored| exchanges.extend(object(&stored))) {
        Ok(page) => {
            let next = page.next.map(|number| number.to_string());
            Answer::json(200, &json!({ "exchanges": exchanges, "next_cursor": next }))
        }
        Err(answer) => answer,
    }
}

/// `GET /exchanges.jsonl`, the oldest first, one object a line.
pub(super) fn export(state: &State, call: &Call) -> Answer {
    let mut lines = String::new();
    let add = |stored: Stored| {
        object(&stored).into_iter().for_each(|object| lines.push_str(&format!("{object}\n")));
    };
    match visit(state, call, Order::Oldest, (LINES, LINES_MAX), add) {
        Ok(page) => {
            let answer = Answer::new(200, "application/jsonl", lines).saved_as("exchanges.jsonl");
            page.next.into_iter().fold(answer, |answer, next| answer.with("X-Next-Cursor", next.to_string()))
        }
        Err(answer) => answer,
    }
}

/// `GET /exchanges/{id}`
pub(super) fn exchange(state: &State, call: &Call) -> Answer {
    match find(state, call) {
        Ok((number, exchange, contents)) => {
            let mut object = exchange.to_json(number, contents.is_some());
            object.extend(contents.map(|contents| ("contents".to_owned(), contents.to_json())));
            Answer::json(200, &object)
        }
        Err(answer) => answer,
    }
}

/// `GET /exchanges/{id}/evidence`
pub(super) fn evidence(state: &State, call: &Call) -> Answer {
    match find(state, call) {
        Ok((number, exchange, Some(contents))) => {
            let bundle = evidence::bundle(number, &exchange, &contents);
            state.note(call, "evidence_taken", &number.to_string());
            Answer::new(200, "application/x-tar", bundle).saved_as(&format!("exchange-{number}.tar"))
        }
        Ok((number, ..)) => {
            let message = format!(
                "what was said in exchange {number} was not kept; that of findings is, and of so many others as \
                 records.sample_percent_bodies says"
            );
            error(409, "no_contents", &message)
        }
        Err(answer) => answer,
    }
}

/// How the records fare, for health.
pub(super) fn health(state: &State) -> Option<Value> {
    let fault = state.plant.archive_fault();
    let figures = match (state.plant.archive(), &fault) {
        (None, None) => return None,
        (archive, _) => archive.map(|archive| archive.figures()).unwrap_or_default(),
    };
    let Figures { written, contents_dropped, next, bytes, .. } = figures;
    Some(json!({
        "records_written": written,
        "records_dropped": figures.dropped(),
        "contents_dropped": contents_dropped,
        "next_id": next,
        "bytes": bytes,
        "fault": fault,
    }))
}

/// Shows the records that a call asks for; `limits`: how many, unless it says so, and at most.
fn visit(
    state: &State,
    call: &Call,
    order: Order,
    limits: (u64, u64),
    mut show: impl FnMut(Stored),
) -> Result<Page, Answer> {
    let classes = match call.query("verdict") {
        None => u32::MAX,
        Some(word) => 1 << Outcome::of(word).ok_or_else(|| unknown_verdict(word))?.class(),
    };
    let beyond = match call.query("cursor").map(str::parse) {
        None => None,
        Some(Ok(number)) => Some(number),
        Some(Err(_)) => return Err(invalid(400, "cursor", "cursor is what the page before has named")),
    };
    let limit = call.number("limit", limits.0, 1..=limits.1)? as usize;
    let Some(reader) = reader(state) else { return Ok(Page::default()) };
    let query = Query { service: call.query("service"), classes, beyond, order, limit };
    reader.query(&query, &mut show).map_err(unreadable)
}

fn find(state: &State, call: &Call) -> Result<(u64, Exchange, Option<Contents>), Answer> {
    let none = || not_found("such exchange; it was never recorded, or is beyond the bounds of the records");
    let number = call.variable().parse().map_err(|_| none())?;
    let reader = reader(state).ok_or_else(none)?;
    let (stored, contents) = reader.get(number).map_err(unreadable)?.ok_or_else(none)?;
    let exchange = Exchange::decode(&stored.service, stored.class, &stored.record).ok_or_else(none)?;
    Ok((number, exchange, contents.and_then(|contents| Contents::decode(&contents))))
}

fn reader(state: &State) -> Option<&Reader> {
    state.plant.archive().map(|archive| archive.reader())
}

fn object(stored: &Stored) -> Option<Value> {
    let exchange = Exchange::decode(&stored.service, stored.class, &stored.record)?;
    Some(exchange.to_json(stored.number, stored.has_contents).into())
}

fn unknown_verdict(word: &str) -> Answer {
    let words = Outcome::ALL.map(Outcome::word).join(", ");
    invalid(400, "verdict", &format!("`{word}` is no outcome; write one of {words}"))
}

fn unreadable(fault: std::io::Error) -> Answer {
    error(500, "records", &format!("the records cannot be read: {fault}; look at the disk of the data folder"))
}
