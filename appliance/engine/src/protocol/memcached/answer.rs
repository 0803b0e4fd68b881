//! Answers of the text protocol.

use super::text::Shape;
use crate::protocol::{Boundary, Garbled, Part, Recognition, Step};
use memchr::memchr;

/// First words of answers, for recognition.
const WORDS: [&str; 21] = [
    "VALUE",
    "END",
    "STORED",
    "NOT_STORED",
    "EXISTS",
    "NOT_FOUND",
    "DELETED",
    "TOUCHED",
    "OK",
    "ERROR",
    "CLIENT_ERROR",
    "SERVER_ERROR",
    "VERSION",
    "STAT",
    "RESET",
    "HD",
    "VA",
    "EN",
    "NF",
    "MN",
    "ME",
];

/// Whether a server's first bytes answer a command of the text protocol.
pub(super) fn begins(bytes: &[u8]) -> Recognition {
    let word = bytes.split(|byte| byte.is_ascii_whitespace()).next().unwrap_or_default();
    let is_known = |known: &str| known.as_bytes() == word;
    let is_number = !word.is_empty() && word.iter().all(u8::is_ascii_digit);
    match word.len() < bytes.len() {
        true if is_number || WORDS.iter().any(|known| is_known(known)) => Recognition::Yes,
        true => Recognition::No,
        false if is_number || WORDS.iter().any(|known| known.as_bytes().starts_with(word)) => Recognition::More,
        false => Recognition::No,
    }
}

/// What a line means for the answer that it stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// It belongs to no answer.
    Aside,
    /// More follows.
    Goes,
    /// It is the last.
    Ends,
    /// A block of so many bytes follows, with a line end, and the answer ends behind it or not.
    Block { len: u64, ends: bool },
}

/// The server's stream.
#[derive(Debug)]
pub(super) struct TextAnswers {
    line: Vec<u8>,
    /// The line was handed out.
    is_given: bool,
    /// Bytes left of a block with its line end, and whether the answer ends with them.
    block: Option<(u64, bool)>,
    limit: usize,
    /// Lines without end are shown.
    watches: bool,
}

impl TextAnswers {
    /// At an answer's beginning; a line of more than `limit` bytes is garbled.
    pub(super) fn new(limit: usize) -> Self {
        Self { line: Vec::new(), is_given: false, block: None, limit, watches: false }
    }

    /// Whether the next byte begins a line.
    pub(super) fn at_boundary(&self) -> bool {
        self.block.is_none() && (self.line.is_empty() || self.is_given)
    }

    /// Consumes bytes up to a line's, or a block's, end.
    pub(super) fn step<'a>(&'a mut self, kind: u64, bytes: &'a [u8]) -> Result<Step<'a>, Garbled> {
        if let Some((left, ends)) = self.block {
            return Ok(self.take_block(left, ends, bytes));
        }
        let consumed = self.take_line(bytes)?;
        if self.line.last() != Some(&b'\n') {
            return Ok(Step { consumed, part: Part::Framing, boundary: Boundary::Inside });
        }
        self.is_given = true;
        self.watches |= kind == Shape::Watch as u64;
        let (part, boundary) = match read(kind, &self.line)? {
            Meaning::Aside => (Part::Aside, Boundary::Inside),
            Meaning::Goes => (Part::Body(&self.line[..]), Boundary::Inside),
            Meaning::Ends => (Part::Body(&self.line[..]), Boundary::End),
            Meaning::Block { len, ends } => {
                self.block = Some((len + 2, ends));
                (Part::Body(&self.line[..]), Boundary::Inside)
            }
        };
        Ok(Step { consumed, part, boundary })
    }

    /// Consumes lines that answer nothing: of quiet writes that failed, of a watch.
    pub(super) fn unasked<'a>(&'a mut self, bytes: &'a [u8]) -> Result<Step<'a>, Garbled> {
        let consumed = if self.block.is_none() { self.take_line(bytes)? } else { return Err(Garbled) };
        // What can become no such line is refused before its end: what has been consumed counts as said.
        let is_aside = self.watches || may_be_failure(&self.line);
        self.is_given = !is_aside || self.line.last() == Some(&b'\n');
        if !is_aside {
            return Err(Garbled);
        }
        Ok(Step { consumed, part: Part::Aside, boundary: Boundary::Inside })
    }

    /// Passes over `len` lost bytes of a block.
    pub(super) fn skip(&mut self, len: u64) -> bool {
        match &mut self.block {
            Some((left, _)) if len <= *left => {
                *left -= len;
                true
            }
            _ => len == 0,
        }
    }

    fn take_block<'a>(&mut self, left: u64, ends: bool, bytes: &'a [u8]) -> Step<'a> {
        let taken = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let left = left - taken as u64;
        self.block = (left > 0).then_some((left, ends));
        let boundary = if left == 0 && ends { Boundary::End } else { Boundary::Inside };
        Step { consumed: taken, part: Part::Body(&bytes[..taken]), boundary }
    }

    fn take_line(&mut self, bytes: &[u8]) -> Result<usize, Garbled> {
        if core::mem::take(&mut self.is_given) {
            self.line.clear();
        }
        let len = memchr(b'\n', bytes).map_or(bytes.len(), |end| end + 1);
        if self.line.len() + len > self.limit {
            return Err(Garbled);
        }
        self.line.extend_from_slice(&bytes[..len]);
        Ok(len)
    }
}

fn read(kind: u64, line: &[u8]) -> Result<Meaning, Garbled> {
    let words: Vec<&[u8]> = line.trim_ascii_end().split(|byte| *byte == b' ').collect();
    let name = words[0];
    let is_error = matches!(name, b"ERROR" | b"CLIENT_ERROR" | b"SERVER_ERROR");
    let is_meta = matches!(name, b"HD" | b"EN" | b"NS" | b"EX" | b"NF");
    let block = |at: usize, ends| Ok(Meaning::Block { len: number(words.get(at).copied())?, ends });
    let (one, values, lines, meta) =
        (Shape::Line as u64, Shape::Values as u64, Shape::Lines as u64, Shape::Meta as u64);
    let (noop, until_line) = (Shape::MetaUntilNoop as u64, Shape::MetaUntilLine as u64);
    match name {
        _ if kind != noop && is_error => Ok(Meaning::Ends),
        b"VALUE" if kind == values => block(3, false),
        b"VA" if kind == meta => block(1, true),
        b"VA" if kind == noop || kind == until_line => block(1, false),
        b"MN" if kind == noop => Ok(Meaning::Ends),
        _ if kind == noop || (kind == until_line && is_meta) => Ok(Meaning::Goes),
        _ if kind != meta && is_meta => Ok(Meaning::Aside),
        b"END" if kind == values || kind == lines => Ok(Meaning::Ends),
        b"STAT" | b"ITEM" if kind == lines => Ok(Meaning::Goes),
        _ if kind == lines && name.starts_with(b"key=") => Ok(Meaning::Goes),
        _ if kind == values || (kind != meta && kind != lines && kind < one) => Err(Garbled),
        _ => Ok(Meaning::Ends),
    }
}

/// Whether a line, or the beginning of one, can be what a quiet write says when it fails.
fn may_be_failure(line: &[u8]) -> bool {
    const FAILURES: [&[u8]; 6] = [b"NS", b"EX", b"NF", b"ERROR", b"CLIENT_ERROR", b"SERVER_ERROR"];
    let word = line.trim_ascii_end().split(|byte| *byte == b' ').next().unwrap_or_default();
    let is_whole = word.len() < line.len();
    FAILURES.iter().any(|known| if is_whole { *known == word } else { known.starts_with(word) })
}

fn number(word: Option<&[u8]>) -> Result<u64, Garbled> {
    let number = word.and_then(|word| core::str::from_utf8(word).ok()?.parse().ok()).ok_or(Garbled)?;
    if number > super::text::DATA_MAX { Err(Garbled) } else { Ok(number) }
}
