//! memcached: the text protocol with its meta commands, and the binary protocol (doc/protocol.txt and the wiki page
//! "BinaryProtocolRevamped" of memcached).
//!
//! A connection speaks one of the two, as its first byte says. A request is one command. Quiet reads (`mg` with `q`, `GETQ`)
//! answer only where they hit, so that nothing but the answer to the next command that is not quiet tells their end: up to
//! that one, they are one request. Quiet writes answer only where they fail: they are requests that nothing answers, and what
//! is said of a failure belongs to no answer.

mod answer;
mod binary;
mod reply;
mod text;

use super::direction::Direction;
use super::{AtClose, Boundary, Definition, Expect, Framer, Garbled, Opening, Recognition, Step, Subject};
use answer::TextAnswers;
use binary::{BinaryAnswers, BinaryRequests};
use text::TextRequests;

/// memcached.
pub const PROTOCOL: Definition = Definition {
    name: "memcached",
    recognise,
    subject,
    reader: Some(reply::read),
    framer: Some(|head_bytes_limit| Box::new(Memcached::new(head_bytes_limit))),
    resumable: true,
};

/// The first word of a line, and the first key; of the binary protocol, the command's number.
fn subject(bytes: &[u8]) -> Option<Subject<'_>> {
    if *bytes.first()? == binary::REQUEST {
        return Some(Subject::command(binary::name(*bytes.get(1)?))?.on_key(binary::key(bytes)));
    }
    let line = bytes.split(|byte| matches!(byte, b'\r' | b'\n')).next()?;
    let mut words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let subject = Subject::command(words.next()?)?;
    Some(if text::has_key(subject.verb) { subject.on_key(words.next().unwrap_or_default()) } else { subject })
}

/// Set in [`Expect::kind`] of a request of the binary protocol.
const BINARY: u64 = 1 << 63;

/// Cuts the two byte streams of one memcached connection.
#[derive(Debug)]
pub struct Memcached {
    line_bytes_limit: usize,
    requests: Direction<Requests>,
    answers: Direction<Answers>,
}

#[derive(Debug)]
enum Requests {
    Unknown,
    Text(TextRequests),
    Binary(BinaryRequests),
}

#[derive(Debug)]
enum Answers {
    Unknown,
    Text(TextAnswers),
    Binary(BinaryAnswers),
}

impl Memcached {
    /// At the start of a connection; a line of more than `line_bytes_limit` bytes is [`Garbled`].
    pub fn new(line_bytes_limit: usize) -> Self {
        Self {
            line_bytes_limit,
            requests: Direction::new(Requests::Unknown),
            answers: Direction::new(Answers::Unknown),
        }
    }
}

impl Framer for Memcached {
    fn request<'a>(&'a mut self, bytes: &'a [u8]) -> Result<Step<'a>, Garbled> {
        if let (Requests::Unknown, Some(first)) = (&*self.requests, bytes.first()) {
            *self.requests = match *first {
                binary::REQUEST => Requests::Binary(BinaryRequests::new()),
                _ => Requests::Text(TextRequests::new(self.line_bytes_limit)),
            };
        }
        self.requests.cut(|requests| match requests {
            Requests::Unknown => Ok(idle()),
            Requests::Text(requests) => requests.step(bytes),
            Requests::Binary(requests) => requests.step(bytes),
        })
    }

    fn expect(&self) -> Expect {
        match &*self.requests {
            Requests::Unknown => Expect::default(),
            Requests::Text(requests) => requests.expect(),
            Requests::Binary(requests) => requests.expect(),
        }
    }

    fn answer<'a>(&'a mut self, expect: Expect, bytes: &'a [u8]) -> Result<Step<'a>, Garbled> {
        let is_binary = expect.kind & BINARY != 0;
        if matches!(*self.answers, Answers::Unknown) {
            *self.answers = match is_binary {
                false => Answers::Text(TextAnswers::new(self.line_bytes_limit)),
                true => Answers::Binary(BinaryAnswers::new()),
            };
        }
        self.answers.cut(|answers| match answers {
            Answers::Text(answers) if !is_binary => answers.step(expect.kind, bytes),
            Answers::Binary(answers) if is_binary => answers.step(expect.kind, bytes),
            // What the server said unasked was in the other tongue.
            Answers::Unknown | Answers::Text(_) | Answers::Binary(_) => Err(Garbled),
        })
    }

    fn unasked<'a>(&'a mut self, bytes: &'a [u8]) -> Result<Step<'a>, Garbled> {
        if let (Answers::Unknown, Some(first)) = (&*self.answers, bytes.first()) {
            *self.answers = match *first {
                binary::ANSWER => Answers::Binary(BinaryAnswers::new()),
                _ => Answers::Text(TextAnswers::new(self.line_bytes_limit)),
            };
        }
        match &mut *self.answers {
            Answers::Unknown => Err(Garbled),
            Answers::Text(answers) => answers.unasked(bytes),
            Answers::Binary(answers) => answers.unasked(bytes),
        }
    }

    fn restart_answers(&mut self) {
        self.answers = Direction::new(Answers::Unknown);
    }

    fn request_at_close(&self) -> AtClose {
        let is_between = match &*self.requests {
            Requests::Unknown => true,
            Requests::Text(requests) => requests.at_boundary(),
            Requests::Binary(requests) => requests.at_boundary(),
        };
        AtClose::at(is_between)
    }

    fn answer_at_close(&self, _expect: Expect) -> AtClose {
        let is_between = match &*self.answers {
            Answers::Unknown => true,
            Answers::Text(answers) => answers.at_boundary(),
            Answers::Binary(answers) => answers.at_boundary(),
        };
        AtClose::at(is_between)
    }

    fn request_gap(&mut self, len: u64) -> bool {
        self.requests.skip(|requests| match requests {
            Requests::Unknown => false,
            Requests::Text(requests) => requests.skip(len),
            Requests::Binary(requests) => requests.skip(len),
        })
    }

    fn answer_gap(&mut self, _expect: Expect, len: u64) -> bool {
        self.answers.skip(|answers| match answers {
            Answers::Unknown => false,
            Answers::Text(answers) => answers.skip(len),
            Answers::Binary(answers) => answers.skip(len),
        })
    }

    /// A segment that begins with a whole command line, or with a binary header that makes sense.
    fn resume(&mut self, bytes: &[u8]) -> Option<usize> {
        if !text::begins_command(bytes) && binary::begins_request(bytes) != Some(true) {
            return None;
        }
        self.requests = Direction::new(Requests::Unknown);
        self.restart_answers();
        Some(0)
    }
}

/// Nothing to do.
fn idle<'a>() -> Step<'a> {
    Step { consumed: 0, part: super::Part::Framing, boundary: Boundary::Inside }
}

/// A binary header and a storage command say enough; other commands are words like another's, and the answer tells.
fn recognise(opening: &Opening<'_>) -> Recognition {
    match binary::begins_request(opening.client) {
        Some(true) => return Recognition::Yes,
        None if opening.server.is_empty() && !opening.midstream && !opening.client.is_empty() => {
            return Recognition::More;
        }
        _ => {}
    }
    if opening.midstream {
        return if text::begins_command(opening.client) { Recognition::Yes } else { Recognition::No };
    }
    match text::opens(opening.client) {
        Some(true) if text::is_storage(opening.client) => Recognition::Yes,
        Some(true) => answer::begins(opening.server),
        None if opening.server.is_empty() && !opening.client.is_empty() => Recognition::More,
        _ => Recognition::No,
    }
}
