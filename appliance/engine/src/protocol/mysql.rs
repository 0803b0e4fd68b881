//! MySQL and MariaDB: the client/server protocol (MySQL internals, "Client/Server Protocol"; MariaDB, "Clients & Utilities:
//! Client/Server Protocol").
//!
//! The server greets; the client logs in, in one message or several, of which a target that trusts the user asks for fewer.
//! From then on a request is one command, whose answer is one packet or results with columns and rows. What the two sides
//! can do decides the shape of results: each connection's framer knows its own server's greeting, and the client's side of
//! it comes in [`Expect::kind`].
//!
//! `packet` cuts packets, `request` reads commands, `answer` the server's messages, `statement` follows prepared statements,
//! `reply` reads whole answers.

mod answer;
mod packet;
mod reply;
mod request;
mod statement;

use super::direction::Direction;
use super::{AtClose, Definition, Expect, Framer, Garbled, Opening, Part, Recognition, Step, Subject, Wish, sql};
use answer::Answers;
use packet::HEADER_BYTES;
use request::{FILE, FIRST, FOREIGN, PLACE_SHIFT, Phase, REPLY, Requests, STATEMENT};

/// MySQL, MariaDB, and what speaks like them.
pub const PROTOCOL: Definition = Definition {
    name: "mysql",
    recognise,
    subject,
    reader: Some(reply::read),
    framer: Some(|_| Box::new(Mysql::new())),
    resumable: false,
};

/// A statement's verb and table, or the name of a command (a packet's fifth byte).
fn subject(bytes: &[u8]) -> Option<Subject<'_>> {
    let text = bytes.get(5..)?;
    match bytes[4] {
        0x03 | 0x16 => sql::subject(text),
        0x17 => Subject::command(b"execute"),
        0x01 => Subject::command(b"quit"),
        0x02 => Subject::command(b"use"),
        0x0E => Subject::command(b"ping"),
        0x19 => Subject::command(b"close"),
        _ => None,
    }
}

/// Where a command names a prepared statement: behind its packet's header and its own first byte.
const NUMBER_AT: usize = HEADER_BYTES + 1;

/// Cuts the two byte streams of one connection.
struct Mysql {
    requests: Direction<Requests>,
    answers: Direction<Answers>,
}

impl Mysql {
    fn new() -> Self {
        Self { requests: Direction::new(Requests::new()), answers: Direction::new(Answers::new()) }
    }
}

impl Framer for Mysql {
    fn request<'a>(&'a mut self, bytes: &'a [u8]) -> Result<Step<'a>, Garbled> {
        let Answers { phase, flags, statements, .. } = &*self.answers;
        let taken = self.requests.cut(|requests| requests.scan(bytes, *phase, *flags, statements))?;
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

    fn awaits_greeting(&self) -> bool {
        self.answers.phase == Phase::Greeting
    }

    fn wants(&self, expect: Expect) -> Wish {
        let (kind, phase) = (expect.kind, self.answers.phase);
        let needs = match () {
            () if kind & FOREIGN != 0 => return Wish::Nothing,
            () if kind & FIRST != 0 => Phase::Login,
            () if kind & REPLY != 0 => Phase::Reply,
            () if kind & FILE != 0 => Phase::File,
            () => Phase::Ready,
        };
        if phase != needs || kind & STATEMENT == 0 {
            return Wish::from(phase == needs);
        }
        let number = self.answers.statements.number((kind >> PLACE_SHIFT) as u32);
        number.map_or(Wish::Nothing, |number| Wish::Renamed { at: NUMBER_AT, name: number.to_le_bytes() })
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

    /// A command that is not whole is lost, and what follows may need it.
    fn request_gap(&mut self, _len: u64) -> bool {
        self.requests.skip(|_| false)
    }

    fn answer_gap(&mut self, _expect: Expect, len: u64) -> bool {
        self.answers.skip(|answers| answers.skip(len))
    }

    /// What a command means depends on those before it.
    fn resume(&mut self, _bytes: &[u8]) -> Option<usize> {
        None
    }
}

/// The server's greeting: a packet of some length with the number 0, and a version that begins with a digit.
fn recognise(opening: &Opening<'_>) -> Recognition {
    if opening.midstream || !opening.client.is_empty() {
        return Recognition::No;
    }
    match opening.server {
        [_, 0 | 1, 0, 0, 10, digit, ..] if digit.is_ascii_digit() => Recognition::Yes,
        [] | [_] | [_, 0 | 1] | [_, 0 | 1, 0] | [_, 0 | 1, 0, 0] | [_, 0 | 1, 0, 0, 10] => Recognition::More,
        _ => Recognition::No,
    }
}
