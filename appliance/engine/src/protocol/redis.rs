//! Redis: RESP2, RESP3 and inline commands (the protocol's specification at redis.io, "Redis serialization protocol").
//!
//! A request is one command, an answer one value of RESP; but a subscription is answered once for each channel, and under
//! `CLIENT REPLY OFF` or `SKIP` nothing is answered. What the server pushes (RESP3), publishes to subscribers or shows to
//! monitors belongs to no answer.
//!
//! `resp` finds the end of values, `command` reads commands, `ground` knows what a connection has been told so far,
//! `reply` reads whole answers.

mod answer;
mod command;
mod ground;
mod reply;
mod resp;

use super::direction::Direction;
use super::{AtClose, Boundary, Definition, Expect, Framer, Garbled, Opening, Part, Recognition, Step, Subject};
use answer::Answers;
use command::Requests;
use ground::Ground;

/// Redis and what speaks like it.
pub const PROTOCOL: Definition = Definition {
    name: "redis",
    recognise,
    subject,
    reader: Some(reply::read),
    framer: Some(|_| Box::new(Redis::new())),
    resumable: true,
};

/// Commands whose first argument is no key, and nothing to show: words of people, secrets, scripts, numbers.
const KEYLESS: [&str; 12] = [
    "AUTH",
    "ECHO",
    "EVAL",
    "EVALSHA",
    "EVAL_RO",
    "EVALSHA_RO",
    "HELLO",
    "MIGRATE",
    "PING",
    "SELECT",
    "SWAPDB",
    "WAIT",
];

/// A command's name and its key, or the word that stands there: the first strings of an array, or the first words of a line.
fn subject(bytes: &[u8]) -> Option<Subject<'_>> {
    let mut lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
    let (verb, key) = match lines.next()? {
        count if count.starts_with(b"*") => (lines.nth(1)?, lines.nth(1)),
        line => {
            let mut words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
            (words.next()?, words.next())
        }
    };
    let subject = Subject::command(verb)?;
    let is_keyless = KEYLESS.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(verb));
    Some(if is_keyless { subject } else { subject.on_key(key.unwrap_or_default()) })
}

/// Cuts the two byte streams of one Redis connection.
#[derive(Debug)]
pub struct Redis {
    requests: Direction<Requests>,
    ground: Ground,
    expect: Expect,
    answers: Direction<Answers>,
}

impl Redis {
    /// At the start of a connection.
    pub fn new() -> Self {
        Self {
            requests: Direction::new(Requests::new()),
            ground: Ground::default(),
            expect: Expect::default(),
            answers: Direction::new(Answers::new()),
        }
    }
}

impl Default for Redis {
    fn default() -> Self {
        Self::new()
    }
}

impl Framer for Redis {
    fn request<'a>(&'a mut self, bytes: &'a [u8]) -> Result<Step<'a>, Garbled> {
        if self.requests.is_sound() && self.requests.at_boundary() {
            self.expect = self.ground.expect_any();
        }
        let was_named = self.requests.is_named();
        let (consumed, boundary) = self.requests.cut(|requests| requests.scan(bytes))?;
        if boundary == Boundary::End {
            self.expect = self.ground.take(&self.requests.command);
        } else if !was_named && self.requests.is_named() {
            self.expect = self.ground.clone().take(&self.requests.command);
            return Ok(Step { consumed, part: Part::Head(&bytes[..consumed]), boundary });
        }
        Ok(Step { consumed, part: Part::Framing, boundary })
    }

    fn expect(&self) -> Expect {
        self.expect
    }

    fn answer<'a>(&'a mut self, expect: Expect, bytes: &'a [u8]) -> Result<Step<'a>, Garbled> {
        self.answers.cut(|answers| answers.step(expect.kind, bytes))
    }

    fn unasked<'a>(&'a mut self, bytes: &'a [u8]) -> Result<Step<'a>, Garbled> {
        self.answers.unasked(bytes)
    }

    fn restart_answers(&mut self) {
        self.answers = Direction::new(Answers::new());
    }

    fn request_at_close(&self) -> AtClose {
        AtClose::at(self.requests.at_boundary())
    }

    fn answer_at_close(&self, _expect: Expect) -> AtClose {
        AtClose::at(self.answers.at_boundary())
    }

    fn request_gap(&mut self, len: u64) -> bool {
        self.requests.skip(|requests| requests.skip(len))
    }

    fn answer_gap(&mut self, _expect: Expect, len: u64) -> bool {
        self.answers.skip(|answers| answers.skip(len))
    }

    /// Only a segment that begins with a command as an array: anything may stand in a string.
    fn resume(&mut self, bytes: &[u8]) -> Option<usize> {
        if command::begins_array(bytes) != Some(true) {
            return None;
        }
        self.requests = Direction::new(Requests::new());
        self.restart_answers();
        Some(0)
    }

    fn stand_in(&self) -> &'static [u8] {
        b"-ERR not seen\r\n"
    }
}

/// A command as an array is recognised by itself, an inline one by the answer to it.
fn recognise(opening: &Opening<'_>) -> Recognition {
    match command::begins_array(opening.client) {
        Some(true) => return Recognition::Yes,
        None if opening.server.is_empty() && !opening.midstream && !opening.client.is_empty() => {
            return Recognition::More;
        }
        _ => {}
    }
    if opening.midstream || !is_inline(opening.client) {
        return Recognition::No;
    }
    match opening.server.first() {
        None => Recognition::More,
        Some(b'+' | b'-' | b':' | b'$' | b'*' | b'_' | b'%') => Recognition::Yes,
        Some(_) => Recognition::No,
    }
}

/// Commands that people and scripts type.
const INLINE: [&str; 10] = ["PING", "AUTH", "HELLO", "SELECT", "INFO", "GET", "SET", "DEL", "QUIT", "EXISTS"];

fn is_inline(bytes: &[u8]) -> bool {
    let Some(line) = bytes.iter().position(|byte| *byte == b'\n').map(|end| bytes[..end].trim_ascii()) else {
        return false;
    };
    let word = line.split(|byte| *byte == b' ').next().unwrap_or_default();
    INLINE.iter().any(|known| word.eq_ignore_ascii_case(known.as_bytes()))
}
