//! One direction of a connection: heads and content in turn.
//!
//! A head that one input slice holds whole is handed out from there. Else its pieces are collected, up to a limit, and it is
//! handed out from the collection, which is freed with the next step. Content is never kept.

use super::blank_len;
use super::chunked::Chunked;
use super::plain::Plain;
use crate::protocol::{AtClose, Boundary, Garbled, Part, Step};
use core::mem;

/// A head that is not complete is asked by its first bytes whether it can be one at all; by no more than these, so that
/// the answer does not depend on where the stream is cut.
const DOUBTED_BYTES: usize = 16;

/// How a message's content ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// After so many bytes.
    Length(u64),
    /// As the chunks say.
    Chunked,
    /// With the connection.
    UntilClose,
}

/// What a head begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A notice before the head of the answer itself.
    Interim,
    /// A message; `last` if the connection ends with it.
    Message { content: Content, last: bool },
    /// No longer HTTP.
    Tunnel,
}

/// Where in the stream the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before or in a head; `interim` once a notice was seen.
    Head { interim: bool },
    /// In content with so many bytes left; 0 only behind a gap that ended it.
    Length { left: u64 },
    /// In chunked content.
    Chunked(Chunked),
    /// In content that the close ends.
    UntilClose,
    /// Behind the end of the protocol.
    Tunnel,
    /// Behind a fault or a gap.
    Lost,
}

/// One direction of a connection.
#[derive(Debug)]
pub(super) struct Stream {
    state: State,
    head: HeadBytes,
    last: bool,
}

impl Stream {
    /// `may_begin` rejects bytes that cannot begin a head, so that they are not collected up to the limit first. What it
    /// rejects must also be rejected when the whole head is read.
    pub(super) fn new(limit: usize, may_begin: fn(&[u8]) -> bool) -> Self {
        let head = HeadBytes { kept: Vec::new(), given: false, limit, may_begin };
        Self { state: State::Head { interim: false }, head, last: false }
    }

    /// Consumes bytes; `read` says what a whole head begins, and is told what is known of it already.
    pub(super) fn step<'a>(
        &'a mut self,
        bytes: &'a [u8],
        read: impl FnOnce(&[u8], Option<&Plain<'_>>) -> Result<Meaning, Garbled>,
    ) -> Result<Step<'a>, Garbled> {
        self.head.free_given();
        // Lost, unless the step below succeeds and says where it ended.
        match mem::replace(&mut self.state, State::Lost) {
            State::Head { interim } => self.head_step(interim, bytes, read),
            State::Length { left } => Ok(self.length_step(left, bytes)),
            State::Chunked(Chunked::Data { left }) => Ok(self.data_step(left, bytes)),
            State::Chunked(chunked) => self.framing_step(chunked, bytes),
            State::UntilClose => {
                self.state = State::UntilClose;
                Ok(Step { consumed: bytes.len(), part: Part::Body(bytes), boundary: Boundary::Inside })
            }
            State::Tunnel => {
                self.state = State::Tunnel;
                Err(Garbled)
            }
            State::Lost => Err(Garbled),
        }
    }

    /// Whether the next byte begins a message.
    pub(super) fn at_boundary(&self) -> bool {
        self.state == State::Head { interim: false } && self.head.is_empty()
    }

    /// Whether nothing is known of the stream that a new one does not know.
    pub(super) fn is_fresh(&self) -> bool {
        self.at_boundary() && !self.last
    }

    pub(super) fn is_tunnel(&self) -> bool {
        self.state == State::Tunnel
    }

    pub(super) fn become_tunnel(&mut self) {
        self.head.free();
        self.state = State::Tunnel;
    }

    /// The next byte begins a message.
    pub(super) fn reset(&mut self) {
        self.head.free();
        self.state = State::Head { interim: false };
    }

    pub(super) fn at_close(&self) -> AtClose {
        match self.state {
            State::Length { left: 0 } | State::Tunnel => AtClose::Clean,
            State::UntilClose => AtClose::Ends,
            _ if self.at_boundary() => AtClose::Clean,
            _ => AtClose::Cut,
        }
    }

    /// Passes over `len` lost bytes; false if it is not known where they end.
    pub(super) fn skip(&mut self, len: u64) -> bool {
        match &mut self.state {
            State::Lost | State::Tunnel => return false,
            State::UntilClose => {}
            State::Length { left } if len <= *left => *left -= len,
            State::Chunked(Chunked::Data { left }) if len <= *left => {
                self.state = State::Chunked(Chunked::after_data(*left, len));
            }
            _ if len == 0 => {}
            state => {
                *state = State::Lost;
                self.head.free();
                return false;
            }
        }
        true
    }

    fn head_step<'a>(
        &'a mut self,
        interim: bool,
        bytes: &'a [u8],
        read: impl FnOnce(&[u8], Option<&Plain<'_>>) -> Result<Meaning, Garbled>,
    ) -> Result<Step<'a>, Garbled> {
        let blank = if self.head.is_empty() { blank_len(bytes) } else { 0 };
        if blank > 0 {
            self.state = State::Head { interim };
            return Ok(framing(blank, Boundary::Inside));
        }
        let plain = self.head.plain(bytes);
        let (consumed, head) = match &plain {
            Some(plain) => (plain.len, &bytes[..plain.len]),
            None => {
                let Some(whole) = self.head.take(bytes)? else {
                    self.state = State::Head { interim };
                    return Ok(framing(bytes.len(), Boundary::Inside));
                };
                whole
            }
        };
        let (state, boundary) = match read(head, plain.as_ref())? {
            Meaning::Interim => {
                self.state = State::Head { interim: true };
                return Ok(framing(consumed, Boundary::Inside));
            }
            Meaning::Tunnel => (State::Tunnel, Boundary::Tunnel),
            Meaning::Message { content, last } => {
                self.last = last;
                match content {
                    Content::Length(0) => (State::Head { interim: false }, end(last)),
                    Content::Length(left) => (State::Length { left }, Boundary::Inside),
                    Content::Chunked => (State::Chunked(Chunked::START), Boundary::Inside),
                    Content::UntilClose => (State::UntilClose, Boundary::Inside),
                }
            }
        };
        self.state = state;
        Ok(Step { consumed, part: Part::Head(head), boundary })
    }

    fn length_step<'a>(&mut self, left: u64, bytes: &'a [u8]) -> Step<'a> {
        if left == 0 {
            return framing(0, self.finish());
        }
        let body = at_most(bytes, left);
        let boundary = match left - body.len() as u64 {
            0 => self.finish(),
            left => {
                self.state = State::Length { left };
                Boundary::Inside
            }
        };
        Step { consumed: body.len(), part: Part::Body(body), boundary }
    }

    fn data_step<'a>(&mut self, left: u64, bytes: &'a [u8]) -> Step<'a> {
        let body = at_most(bytes, left);
        self.state = State::Chunked(Chunked::after_data(left, body.len() as u64));
        Step { consumed: body.len(), part: Part::Body(body), boundary: Boundary::Inside }
    }

    fn framing_step<'a>(&mut self, chunked: Chunked, bytes: &[u8]) -> Result<Step<'a>, Garbled> {
        let (chunked, consumed) = chunked.framing(bytes)?;
        if chunked == Chunked::Done {
            return Ok(framing(consumed, self.finish()));
        }
        self.state = State::Chunked(chunked);
        Ok(framing(consumed, Boundary::Inside))
    }

    fn finish(&mut self) -> Boundary {
        self.state = State::Head { interim: false };
        end(self.last)
    }
}

fn end(last: bool) -> Boundary {
    if last { Boundary::Last } else { Boundary::End }
}

fn framing<'a>(consumed: usize, boundary: Boundary) -> Step<'a> {
    Step { consumed, part: Part::Framing, boundary }
}

fn at_most(bytes: &[u8], len: u64) -> &[u8] {
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    &bytes[..len.min(bytes.len())]
}

/// The pieces of a head that is not complete.
#[derive(Debug)]
struct HeadBytes {
    kept: Vec<u8>,
    /// The collection was handed out and is to be freed.
    given: bool,
    limit: usize,
    may_begin: fn(&[u8]) -> bool,
}

impl HeadBytes {
    fn is_empty(&self) -> bool {
        self.kept.is_empty() || self.given
    }

    fn free(&mut self) {
        self.kept = Vec::new();
        self.given = false;
    }

    fn free_given(&mut self) {
        if self.given {
            self.free();
        }
    }

    /// The plain head that lies in `bytes` from its beginning.
    fn plain<'a>(&self, bytes: &'a [u8]) -> Option<Plain<'a>> {
        if self.kept.is_empty() { Plain::read(&bytes[..bytes.len().min(self.limit)]) } else { None }
    }

    /// A whole head and how many of `bytes` belong to it; `None` when all of them do and more is to come.
    fn take<'a>(&'a mut self, bytes: &'a [u8]) -> Result<Option<(usize, &'a [u8])>, Garbled> {
        let before = self.kept.len();
        let bytes = &bytes[..bytes.len().min(self.limit - before)];
        if before == 0
            && let Some(end) = head_end(bytes, 0)
        {
            return Ok(Some((end, &bytes[..end])));
        }
        self.kept.extend_from_slice(bytes);
        if let Some(end) = head_end(&self.kept, before.saturating_sub(2)) {
            self.kept.truncate(end);
            self.given = true;
            return Ok(Some((end - before, &self.kept)));
        }
        let start = &self.kept[..self.kept.len().min(DOUBTED_BYTES)];
        if self.kept.len() >= self.limit || (before < DOUBTED_BYTES && !(self.may_begin)(start)) {
            self.free();
            return Err(Garbled);
        }
        Ok(None)
    }
}

/// Where the empty line that ends a head ends, among the lines that end at `from` or later. A line feed alone ends a line
/// too (RFC 9112, section 2.2).
fn head_end(bytes: &[u8], from: usize) -> Option<usize> {
    memchr::memchr_iter(b'\n', &bytes[from..]).map(|at| from + at + 1).find_map(|at| match bytes[at..] {
        [b'\n', ..] => Some(at + 1),
        [b'\r', b'\n', ..] => Some(at + 2),
        _ => None,
    })
}
