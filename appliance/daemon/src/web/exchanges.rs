//! The records of exchanges: pages of them, one with what was said, its evidence, and an export.

use super::State;
use super::call::{Answer, Body, Call, error, invalid, not_found, too_many_downloads};
use crate::archive::{Figures, evidence};
use serde_json::{Value, json};
use std::io::Read;
use tapcopy_records::{Contents, Exchange, Order, Outcome, Page, Query, Reader, Stored};

/// Exchanges of a page, unless the request says it, and at most.
const PAGE: u64 = 100;
const PAGE_MAX: u64 = 500;
const JSON_LINES: &str = "application/jsonl";
/// Lines of a part of an export at most: some 25 MB.
const LINES_MAX: u64 = 50_000;
/// Lines that are made at a time where all are sent: some 0.25 MB.
const LINES_AT_ONCE: usize = 500;

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

/// `GET /exchanges.jsonl`, the oldest first, one object a line: all that there are, or a part where the call has a limit.
pub(super) fn export(state: &State, call: &Call) -> Answer {
    let exported = if call.query("limit").is_some() { part(state, call) } else { all(state, call) };
    exported.map_or_else(|answer| answer, |answer| answer.saved_as("exchanges.jsonl"))
}

fn part(state: &State, call: &Call) -> Result<Answer, Answer> {
    let mut lines = String::new();
    let page = visit(state, call, Order::Oldest, (LINES_MAX, LINES_MAX), |stored| push_line(&mut lines, &stored))?;
    let answer = Answer::new(200, JSON_LINES, lines);
    Ok(page.next.into_iter().fold(answer, |answer, next| answer.with("X-Next-Cursor", next.to_string())))
}

fn all(state: &State, call: &Call) -> Result<Answer, Answer> {
    let wanted = Wanted::of(call)?;
    let Some(archive) = state.plant.archive() else { return Ok(Answer::new(200, JSON_LINES, "")) };
    let turn = state.downloads.take().ok_or_else(too_many_downloads)?;
    let (reader, end) = (archive.reader().clone(), archive.figures().next);
    let lines = Lines { reader, wanted, end, is_all_read: false, made: Vec::new(), taken: 0 };
    Ok(Answer::of(200, JSON_LINES, Body::Stream(Box::new(lines), turn)))
}

/// The lines of an export, some at a time.
struct Lines {
    reader: Reader,
    wanted: Wanted,
    /// The number of the first record that was not there at the beginning: new ones may come quicker than they are sent.
    end: u64,
    is_all_read: bool,
    made: Vec<u8>,
    /// Bytes of what was made that have been read.
    taken: usize,
}

impl Read for Lines {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.taken == self.made.len() && !self.is_all_read {
            let mut lines = String::new();
            let query = self.wanted.query(Order::Oldest, LINES_AT_ONCE);
            let page = self.reader.query(&query, |stored| push_line(&mut lines, &stored))?;
            (self.made, self.taken) = (lines.into_bytes(), 0);
            self.is_all_read = page.next.is_none_or(|last| last + 1 >= self.end);
            self.wanted.beyond = page.next;
        }
        let count = (&self.made[self.taken..]).read(buffer)?;
        self.taken += count;
        Ok(count)
    }
}

fn push_line(lines: &mut String, stored: &Stored) {
    object(stored).into_iter().for_each(|object| lines.push_str(&format!("{object}\n")));
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
    let wanted = Wanted::of(call)?;
    let limit = call.number("limit", limits.0, 1..=limits.1)? as usize;
    let Some(reader) = reader(state) else { return Ok(Page::default()) };
    reader.query(&wanted.query(order, limit), &mut show).map_err(unreadable)
}

/// Which records a call asks for.
struct Wanted {
    service: Option<String>,
    classes: u32,
    beyond: Option<u64>,
}

impl Wanted {
    fn of(call: &Call) -> Result<Self, Answer> {
        let classes = match call.query("verdict") {
            None => u32::MAX,
            Some(word) => 1 << Outcome::of(word).ok_or_else(|| unknown_verdict(word))?.class(),
        };
        let beyond = call.query("cursor").map(str::parse).transpose();
        let beyond = beyond.map_err(|_| invalid(400, "cursor", "cursor is what the page before has named"))?;
        Ok(Self { service: call.query("service").map(str::to_owned), classes, beyond })
    }

    fn query(&self, order: Order, limit: usize) -> Query<'_> {
        Query { service: self.service.as_deref(), classes: self.classes, beyond: self.beyond, order, limit }
    }
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
