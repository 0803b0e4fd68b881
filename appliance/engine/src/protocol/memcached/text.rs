//! Requests of the text protocol: a line of words, behind which the storage commands have a block of data.

use super::idle;
use crate::protocol::{Boundary, Expect, Garbled, Part, Step};
use memchr::memchr;

/// Longest block of data (`-I`, the largest item, can be raised to no more).
pub(super) const DATA_MAX: u64 = 1 << 30;

/// How the answer to a command ends, as [`Expect::kind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(super) enum Shape {
    /// One line.
    Line = 1,
    /// `VALUE` lines with blocks, then `END`.
    Values = 2,
    /// Lines up to `END`, or one line of another kind.
    Lines = 3,
    /// A meta command's: one line, with a block behind `VA`.
    Meta = 4,
    /// Of quiet reads: as many meta answers as there were hits, then `MN`.
    MetaUntilNoop = 5,
    /// Of quiet reads: as many meta answers as there were hits, then one line of a classic command.
    MetaUntilLine = 6,
    /// `OK`, and lines without end.
    Watch = 7,
}

/// Commands and the shape of the answers to them.
const COMMANDS: [(&str, Shape); 31] = [
    ("get", Shape::Values),
    ("gets", Shape::Values),
    ("gat", Shape::Values),
    ("gats", Shape::Values),
    ("set", Shape::Line),
    ("add", Shape::Line),
    ("replace", Shape::Line),
    ("append", Shape::Line),
    ("prepend", Shape::Line),
    ("cas", Shape::Line),
    ("delete", Shape::Line),
    ("incr", Shape::Line),
    ("decr", Shape::Line),
    ("touch", Shape::Line),
    ("flush_all", Shape::Line),
    ("verbosity", Shape::Line),
    ("version", Shape::Line),
    ("cache_memlimit", Shape::Line),
    ("slabs", Shape::Line),
    ("lru", Shape::Line),
    ("lru_crawler", Shape::Lines),
    ("stats", Shape::Lines),
    ("shutdown", Shape::Line),
    ("quit", Shape::Line),
    ("watch", Shape::Watch),
    ("mn", Shape::Line),
    ("mg", Shape::Meta),
    ("ms", Shape::Meta),
    ("md", Shape::Meta),
    ("ma", Shape::Meta),
    ("me", Shape::Line),
];

/// Commands whose first argument is a key; of `gat` and `gats` it is a time.
pub(super) fn has_key(command: &[u8]) -> bool {
    const KEYED: [&str; 15] = [
        "get", "gets", "set", "add", "replace", "append", "prepend", "cas", "delete", "incr", "decr", "touch", "mg",
        "ms", "md",
    ];
    KEYED.iter().any(|known| known.as_bytes() == command)
}

/// Where in the stream the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before or in a line.
    Line,
    /// In a block with its line end.
    Data { left: u64 },
    /// Behind a fault or a gap.
    Lost,
}

/// The client's stream.
#[derive(Debug)]
pub(super) struct TextRequests {
    state: State,
    line: Vec<u8>,
    limit: usize,
    expect: Expect,
    /// Quiet reads were sent, and nothing that tells their end.
    is_batch: bool,
    /// Whether the request ends behind the present block.
    ends: bool,
}

impl TextRequests {
    /// At a command's beginning.
    pub(super) fn new(limit: usize) -> Self {
        let expect = Expect::default();
        Self { state: State::Line, line: Vec::new(), limit, expect, is_batch: false, ends: true }
    }

    /// Whether the next byte begins a request.
    pub(super) fn at_boundary(&self) -> bool {
        self.state == State::Line && self.line.is_empty() && !self.is_batch
    }

    /// What is known of the answer to the last request.
    pub(super) fn expect(&self) -> Expect {
        self.expect
    }

    /// Consumes bytes up to a line's, or a block's, end.
    pub(super) fn step<'a>(&mut self, bytes: &'a [u8]) -> Result<Step<'a>, Garbled> {
        match self.state {
            State::Lost => Err(Garbled),
            State::Data { left } => {
                let taken = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                self.state = State::Data { left: left - taken as u64 };
                Ok(self.end_of_data(taken))
            }
            State::Line if bytes.is_empty() => Ok(idle()),
            State::Line => self.take_line(bytes),
        }
    }

    fn end_of_data<'a>(&mut self, consumed: usize) -> Step<'a> {
        let is_whole = self.state == State::Data { left: 0 };
        if is_whole {
            self.state = State::Line;
        }
        let boundary = if is_whole && self.ends { Boundary::End } else { Boundary::Inside };
        Step { consumed, part: Part::Framing, boundary }
    }

    fn take_line<'a>(&mut self, bytes: &'a [u8]) -> Result<Step<'a>, Garbled> {
        let len = memchr(b'\n', bytes).map_or(bytes.len(), |end| end + 1);
        if self.line.is_empty() && !self.is_batch {
            self.expect = Expect::default();
        }
        if self.line.len() + len > self.limit {
            self.state = State::Lost;
            return Err(Garbled);
        }
        self.line.extend_from_slice(&bytes[..len]);
        if self.line.last() != Some(&b'\n') {
            return Ok(Step { consumed: len, part: Part::Framing, boundary: Boundary::Inside });
        }
        let line = core::mem::take(&mut self.line);
        let data = self.read(&line).inspect_err(|Garbled| self.state = State::Lost)?;
        if let Some(data) = data {
            self.state = State::Data { left: data + 2 };
            return Ok(Step { consumed: len, part: Part::Head(&bytes[..len]), boundary: Boundary::Inside });
        }
        let boundary = if self.ends { Boundary::End } else { Boundary::Inside };
        Ok(Step { consumed: len, part: Part::Framing, boundary })
    }

    /// Reads a whole line: the length of the block behind it.
    fn read(&mut self, line: &[u8]) -> Result<Option<u64>, Garbled> {
        let words: Vec<&[u8]> = words(line).collect();
        let name = words.first().copied().unwrap_or_default();
        let shape = COMMANDS.iter().find(|(known, _)| known.as_bytes() == name).map(|(_, shape)| *shape);
        let is_quiet = match name {
            b"mg" | b"ms" | b"md" | b"ma" => {
                words.iter().skip(if name == b"ms" { 3 } else { 2 }).any(|word| *word == b"q")
            }
            _ => heeds_noreply(name) && words.len() > 1 && words.last() == Some(&&b"noreply"[..]),
        };
        let shape = shape.unwrap_or(Shape::Line);
        self.ends = self.end_batch(name, shape, is_quiet)?;
        self.expect.volatile |= is_volatile(&words);
        data_len(&words)
    }

    /// Notes what the command's answer will be, with the quiet reads before it; whether the request ends with it.
    fn end_batch(&mut self, name: &[u8], shape: Shape, is_quiet: bool) -> Result<bool, Garbled> {
        let was_batch = self.is_batch;
        self.is_batch = is_quiet && (was_batch || name == b"mg");
        let shape = match (was_batch, name, shape) {
            (false, ..) => shape,
            _ if self.is_batch => shape,
            (true, b"mn", _) => Shape::MetaUntilNoop,
            (true, _, Shape::Line) => Shape::MetaUntilLine,
            // Whose hit the last answer tells of would be a guess.
            (true, ..) => return Err(Garbled),
        };
        self.expect = Expect {
            kind: shape as u64,
            retryable: !was_batch && matches!(name, b"get" | b"gets" | b"mg" | b"mn" | b"version"),
            silent: (is_quiet && !self.is_batch && !was_batch) || name == b"quit" || name == b"shutdown",
            volatile: was_batch && self.expect.volatile,
            ..Expect::default()
        };
        Ok(!self.is_batch)
    }

    /// Passes over `len` lost bytes of a block.
    pub(super) fn skip(&mut self, len: u64) -> bool {
        match &mut self.state {
            State::Data { left } if len <= *left => {
                *left -= len;
                true
            }
            _ if len == 0 => true,
            state => {
                *state = State::Lost;
                false
            }
        }
    }
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.trim_ascii_end().split(|byte| *byte == b' ').filter(|word| !word.is_empty())
}

/// Commands that a server does not answer when their last word is `noreply`; to others it is a word like any.
fn heeds_noreply(name: &[u8]) -> bool {
    matches!(
        name,
        b"set"
            | b"add"
            | b"replace"
            | b"append"
            | b"prepend"
            | b"cas"
            | b"delete"
            | b"incr"
            | b"decr"
            | b"touch"
            | b"flush_all"
            | b"verbosity"
            | b"cache_memlimit"
    )
}

/// Whether two servers with the same data answer otherwise: by their own state or version, with items' unique numbers or
/// times, or depending on such a number.
fn is_volatile(words: &[&[u8]]) -> bool {
    let flags = words.get(2..).unwrap_or_default();
    match words.first().copied().unwrap_or_default() {
        b"gets" | b"gats" | b"cas" | b"stats" | b"version" | b"watch" | b"me" | b"lru_crawler" => true,
        b"mg" | b"ms" | b"md" | b"ma" => flags.iter().any(|flag| matches!(flag[0], b'c' | b'C' | b't' | b'l' | b'h')),
        _ => false,
    }
}

/// The length of the block that a command announces. A server does not read the block of a line that it cannot read.
fn data_len(words: &[&[u8]]) -> Result<Option<u64>, Garbled> {
    let at = match words.first().copied().unwrap_or_default() {
        b"set" | b"add" | b"replace" | b"append" | b"prepend" | b"cas" => 4,
        b"ms" => 2,
        _ => return Ok(None),
    };
    let digits = words.get(at).copied().unwrap_or_default();
    let len = core::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).ok_or(Garbled)?;
    if len > DATA_MAX { Err(Garbled) } else { Ok(Some(len)) }
}

/// Whether a client's first bytes are a whole line with a command. `None`: a line that is not whole.
pub(super) fn opens(bytes: &[u8]) -> Option<bool> {
    let end = memchr(b'\n', bytes);
    let line = &bytes[..end.unwrap_or(bytes.len())];
    let name = line.split(|byte| byte.is_ascii_whitespace()).next().unwrap_or_default();
    match end {
        Some(_) => Some(COMMANDS.iter().any(|(known, _)| known.as_bytes() == name)),
        None if name.len() < line.len() => COMMANDS.iter().all(|(known, _)| known.as_bytes() != name).then_some(false),
        None => COMMANDS.iter().all(|(known, _)| !known.as_bytes().starts_with(name)).then_some(false),
    }
}

/// Whether a line is a storage command, which no other protocol's looks like.
pub(super) fn is_storage(bytes: &[u8]) -> bool {
    let line = &bytes[..memchr(b'\n', bytes).unwrap_or(bytes.len())];
    let words: Vec<&[u8]> = words(line).collect();
    let is_number = |word: &&[u8]| word.iter().all(u8::is_ascii_digit);
    words.len() >= 5
        && words[0] != b"ms"
        && matches!(data_len(&words), Ok(Some(_)))
        && words[2..5].iter().all(is_number)
}

/// Whether a segment begins with a whole line of a command with a key, as it would hardly stand in data.
pub(super) fn begins_command(bytes: &[u8]) -> bool {
    if opens(bytes) != Some(true) {
        return false;
    }
    let line = &bytes[..memchr(b'\n', bytes).unwrap_or(bytes.len())];
    let name = words(line).next().unwrap_or_default();
    let is_read = matches!(name, b"get" | b"gets" | b"delete" | b"incr" | b"decr" | b"mg" | b"md");
    line.ends_with(b"\r") && (is_storage(bytes) || (is_read && words(line).nth(1).is_some()))
}
