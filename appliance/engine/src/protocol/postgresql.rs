//! PostgreSQL: version 3 of its protocol (the manual, "Frontend/Backend Protocol").
//!
//! A request is what the server answers in one go: a simple query, or messages of the extended protocol up to Sync or Flush,
//! or the rows for a COPY that the server has asked for. Its answer ends with ReadyForQuery; after Flush, with the last
//! message that completes something; before rows, with the server's asking for them. Passwords are requests, too, which a
//! target that trusts the user does not ask for.
//!
//! `request` reads the client's messages, `answer` the server's, `reply` reads whole answers.

mod answer;
mod reply;
mod request;

use super::direction::Direction;
use super::{AtClose, Definition, Expect, Framer, Garbled, Opening, Part, Recognition, Step, Subject, Wish, sql};
use answer::{Answers, Stage};
use request::{BY_BYTE, BY_LOGIN, COPY, ENDS, EXTENDED, FOREIGN, PASSWORD, Requests};

/// PostgreSQL and what speaks like it.
pub const PROTOCOL: Definition = Definition {
    name: "postgresql",
    recognise,
    subject,
    reader: Some(reply::read),
    framer: Some(|_| Box::new(Postgresql::new())),
    resumable: false,
};

/// The verb and table of the first statement, or, of one that was prepared before, its name.
fn subject(bytes: &[u8]) -> Option<Subject<'_>> {
    let content = bytes.get(5..)?;
    let mut words = content.split(|byte| *byte == 0);
    match bytes[0] {
        b'Q' => sql::subject(content),
        b'P' => sql::subject(words.nth(1)?),
        b'B' => Some(Subject { verb: b"execute", path: words.nth(1)?, is_key: false, query: b"" }),
        _ => None,
    }
}

/// Cuts the two byte streams of one connection.
struct Postgresql {
    requests: Direction<Requests>,
    answers: Direction<Answers>,
}

impl Postgresql {
    fn new() -> Self {
        Self { requests: Direction::new(Requests::new()), answers: Direction::new(Answers::new()) }
    }
}

impl Framer for Postgresql {
    fn request<'a>(&'a mut self, bytes: &'a [u8]) -> Result<Step<'a>, Garbled> {
        let is_copying = self.answers.copying();
        let taken = self.requests.cut(|requests| requests.scan(bytes, is_copying))?;
        let part = if taken.is_head { Part::Head(&[]) } else { Part::Framing };
        Ok(Step { consumed: taken.consumed, part, boundary: taken.boundary })
    }

    fn expect(&self) -> Expect {
        self.requests.expect
    }

    fn answer<'a>(&'a mut self, expect: Expect, bytes: &'a [u8]) -> Result<Step<'a>, Garbled> {
        self.answers.cut(|answers| answers.step(expect.kind, bytes))
    }

    fn unasked<'a>(&'a mut self, bytes: &'a [u8]) -> Result<Step<'a>, Garbled> {
        self.answers.unasked(bytes)
    }

    fn wants(&self, expect: Expect) -> Wish {
        let (kind, stage) = (expect.kind, self.answers.stage);
        Wish::from(match kind & ENDS {
            _ if kind & FOREIGN != 0 => false,
            _ if expect.silent => true,
            _ if kind & PASSWORD != 0 => stage == Stage::Login,
            BY_BYTE | BY_LOGIN => stage == Stage::Start,
            _ if kind & (COPY | EXTENDED) == COPY => matches!(stage, Stage::Copying(_)),
            _ => stage == Stage::Ready,
        })
    }

    fn restart_answers(&mut self) {
        self.answers.restart(Answers::restart);
    }

    fn request_at_close(&self) -> AtClose {
        AtClose::at(self.requests.at_boundary())
    }

    fn answer_at_close(&self, _expect: Expect) -> AtClose {
        AtClose::at(self.answers.at_boundary())
    }

    /// A statement that is not whole is lost, and what follows may need it.
    fn request_gap(&mut self, _len: u64) -> bool {
        self.requests.skip(|_| false)
    }

    fn answer_gap(&mut self, _expect: Expect, len: u64) -> bool {
        self.answers.skip(|answers| answers.skip(len))
    }

    /// What a statement means depends on those before it.
    fn resume(&mut self, _bytes: &[u8]) -> Option<usize> {
        None
    }
}

/// The first packet: its length, and a version or a code in place of one.
fn recognise(opening: &Opening<'_>) -> Recognition {
    let client = opening.client;
    if opening.midstream || client.is_empty() {
        return Recognition::No;
    }
    let fits = |start: &[u8]| Recognition::prefix(client, start);
    let codes =
        [&[0, 0, 0, 8, 4, 0xD2, 0x16, 0x2F], &[0, 0, 0, 8, 4, 0xD2, 0x16, 0x30], &[0, 0, 0, 16, 4, 0xD2, 0x16, 0x2E]];
    let is_startup = matches!(client, [0, 0, 0..=0x27, _, 0, 3, 0, _, ..]);
    let may_be_startup = match client.len() {
        0..=3 => fits(&[0, 0]) != Recognition::No && client.get(2).is_none_or(|high| *high <= 0x27),
        4..=7 => {
            matches!(client, [0, 0, 0..=0x27, ..]) && Recognition::prefix(&client[4..], &[0, 3, 0]) != Recognition::No
        }
        _ => false,
    };
    match codes.iter().map(|code| fits(*code)).find(|found| *found != Recognition::No) {
        _ if is_startup => Recognition::Yes,
        None if may_be_startup => Recognition::More,
        found => found.unwrap_or(Recognition::No),
    }
}
