//! The binary protocol: a header of 24 bytes, then extras, key and value, whose length together the header says.

use super::{BINARY, idle};
use crate::protocol::{Boundary, Expect, Garbled, Part, Step};

/// First byte of a request.
pub(super) const REQUEST: u8 = 0x80;
/// First byte of an answer.
pub(super) const ANSWER: u8 = 0x81;

const HEADER_BYTES: usize = 24;
/// The header up to the item's unique number, which is the server's own.
const COMPARED_BYTES: usize = 16;
const BODY_MAX: u32 = 1 << 30;
const KEY_MAX: u16 = 250;
/// Extras of every command fit.
const EXTRAS_MAX: u8 = 24;
const OPCODE_MAX: u8 = 0x47;

const QUIT: u8 = 0x07;
const VERSION: u8 = 0x0B;
const STAT: u8 = 0x10;

/// The command of an opcode, quiet or not; those of the protocol's extensions are told by that alone.
pub(super) fn name(opcode: u8) -> &'static [u8] {
    match opcode {
        0x00 | 0x09 | 0x0C | 0x0D => b"get",
        0x01 | 0x11 => b"set",
        0x02 | 0x12 => b"add",
        0x03 | 0x13 => b"replace",
        0x04 | 0x14 => b"delete",
        0x05 | 0x15 => b"incr",
        0x06 | 0x16 => b"decr",
        0x0E | 0x19 => b"append",
        0x0F | 0x1A => b"prepend",
        0x0A => b"noop",
        0x10 => b"stats",
        0x1C..=0x1E | 0x23 | 0x24 => b"touch",
        _ => b"other",
    }
}

/// The key of a request that begins so; empty where it is not there.
pub(super) fn key(bytes: &[u8]) -> &[u8] {
    let mut header = Header::default();
    header.take(bytes);
    let from = HEADER_BYTES + usize::from(header.bytes[4]);
    bytes.get(from..from + usize::from(header.key_len())).unwrap_or_default()
}

/// Reads that answer only where they hit.
fn is_quiet_read(opcode: u8) -> bool {
    matches!(opcode, 0x09 | 0x0D | 0x1E | 0x24)
}

/// Writes that answer only where they fail.
fn is_quiet_write(opcode: u8) -> bool {
    matches!(opcode, 0x11..=0x1A)
}

/// A header, as its bytes come.
#[derive(Clone, Copy, Debug, Default)]
struct Header {
    bytes: [u8; HEADER_BYTES],
    len: usize,
}

impl Header {
    /// Takes bytes that are missing; how many.
    fn take(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(HEADER_BYTES - self.len);
        self.bytes[self.len..self.len + taken].copy_from_slice(&bytes[..taken]);
        self.len += taken;
        taken
    }

    fn is_whole(&self) -> bool {
        self.len == HEADER_BYTES
    }

    fn opcode(&self) -> u8 {
        self.bytes[1]
    }

    fn key_len(&self) -> u16 {
        u16::from_be_bytes([self.bytes[2], self.bytes[3]])
    }

    fn has_unique_number(&self) -> bool {
        self.bytes[COMPARED_BYTES..].iter().any(|byte| *byte != 0)
    }

    /// The length of what follows.
    fn body_len(&self) -> Result<u32, Garbled> {
        let len = u32::from_be_bytes([self.bytes[8], self.bytes[9], self.bytes[10], self.bytes[11]]);
        let parts = u32::from(self.key_len()) + u32::from(self.bytes[4]);
        if len > BODY_MAX || parts > len { Err(Garbled) } else { Ok(len) }
    }
}

/// The client's stream.
#[derive(Debug)]
pub(super) struct BinaryRequests {
    header: Header,
    /// Bytes left of the body, once the header is whole.
    left: u32,
    expect: Expect,
    /// Quiet reads were sent, and nothing that tells their end.
    is_batch: bool,
    is_logged_in: bool,
    is_lost: bool,
}

impl BinaryRequests {
    /// At a request's beginning.
    pub(super) fn new() -> Self {
        Self {
            header: Header::default(),
            left: 0,
            expect: Expect::default(),
            is_batch: false,
            is_logged_in: false,
            is_lost: false,
        }
    }

    /// Whether the next byte begins a request.
    pub(super) fn at_boundary(&self) -> bool {
        self.header.len == 0 && !self.is_batch
    }

    /// What is known of the answer to the last request.
    pub(super) fn expect(&self) -> Expect {
        self.expect
    }

    /// Consumes bytes up to a header's, or a body's, end.
    pub(super) fn step<'a>(&mut self, bytes: &'a [u8]) -> Result<Step<'a>, Garbled> {
        if self.is_lost {
            return Err(Garbled);
        }
        if self.header.is_whole() {
            let taken = bytes.len().min(self.left as usize);
            self.left -= taken as u32;
            return Ok(Step { consumed: taken, part: Part::Framing, boundary: self.end() });
        }
        if bytes.is_empty() {
            return Ok(idle());
        }
        if self.at_boundary() {
            self.expect = Expect { bound: self.is_logged_in, ..Expect::default() };
        }
        let consumed = self.header.take(bytes);
        if !self.header.is_whole() {
            return Ok(Step { consumed, part: Part::Framing, boundary: Boundary::Inside });
        }
        self.left = self.read().inspect_err(|Garbled| self.is_lost = true)?;
        let boundary = self.end();
        Ok(Step { consumed, part: Part::Head(&bytes[..consumed]), boundary })
    }

    fn end(&mut self) -> Boundary {
        if self.left > 0 {
            return Boundary::Inside;
        }
        self.header = Header::default();
        if self.is_batch { Boundary::Inside } else { Boundary::End }
    }

    fn read(&mut self) -> Result<u32, Garbled> {
        let opcode = self.header.opcode();
        if self.header.bytes[0] != REQUEST || opcode > OPCODE_MAX {
            return Err(Garbled);
        }
        let was_batch = self.is_batch;
        self.is_batch = is_quiet_read(opcode) || (was_batch && is_quiet_write(opcode));
        let is_login = matches!(opcode, 0x20..=0x22);
        self.expect = Expect {
            kind: BINARY | u64::from(opcode),
            retryable: !was_batch && matches!(opcode, 0x00 | 0x0A | 0x0B | 0x0C),
            silent: is_quiet_write(opcode) && !was_batch,
            handshake: is_login,
            asked: false,
            volatile: matches!(opcode, VERSION | STAT)
                || self.header.has_unique_number()
                || (was_batch && self.expect.volatile),
            bound: self.is_logged_in,
            binds: is_login,
        };
        self.is_logged_in |= is_login;
        self.header.body_len()
    }

    /// Passes over `len` lost bytes of a body.
    pub(super) fn skip(&mut self, len: u64) -> bool {
        if self.header.is_whole() && len <= u64::from(self.left) {
            self.left -= len as u32;
            return true;
        }
        self.is_lost |= len > 0;
        len == 0
    }
}

/// The server's stream.
#[derive(Debug)]
pub(super) struct BinaryAnswers {
    header: Header,
    left: u32,
    /// What the present body belongs to: no answer, an answer, its last message.
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Aside,
    Inside,
    Last,
}

impl BinaryAnswers {
    /// At an answer's beginning.
    pub(super) fn new() -> Self {
        Self { header: Header::default(), left: 0, place: Place::Inside }
    }

    /// Whether the next byte begins a message.
    pub(super) fn at_boundary(&self) -> bool {
        self.header.len == 0
    }

    /// Consumes bytes up to a header's, or a body's, end.
    pub(super) fn step<'a>(&'a mut self, kind: u64, bytes: &'a [u8]) -> Result<Step<'a>, Garbled> {
        let opcode = kind as u8;
        if bytes.is_empty() && self.left > 0 {
            return Ok(idle());
        }
        if self.header.is_whole() {
            let taken = bytes.len().min(self.left as usize);
            self.left -= taken as u32;
            let part = if self.place == Place::Aside { Part::Aside } else { Part::Body(&bytes[..taken]) };
            return Ok(Step { consumed: taken, part, boundary: self.end(opcode) });
        }
        let consumed = self.header.take(bytes);
        if !self.header.is_whole() {
            return Ok(Step { consumed, part: Part::Framing, boundary: Boundary::Inside });
        }
        self.left = self.read(opcode)?;
        let place = self.place;
        let boundary = self.end(opcode);
        let part = if place == Place::Aside { Part::Aside } else { Part::Body(&self.header.bytes[..COMPARED_BYTES]) };
        Ok(Step { consumed, part, boundary })
    }

    /// Consumes what quiet writes say that failed.
    pub(super) fn unasked<'a>(&'a mut self, bytes: &'a [u8]) -> Result<Step<'a>, Garbled> {
        let step = self.step(BINARY | 0xFF, bytes)?;
        match step.part {
            Part::Body(_) => Err(Garbled),
            _ => Ok(Step { part: Part::Aside, ..step }),
        }
    }

    fn read(&mut self, opcode: u8) -> Result<u32, Garbled> {
        let (header, found) = (&self.header, self.header.opcode());
        if header.bytes[0] != ANSWER {
            return Err(Garbled);
        }
        let left = header.body_len()?;
        self.place = match found {
            STAT if opcode == STAT && header.key_len() > 0 => Place::Inside,
            _ if found == opcode => Place::Last,
            _ if is_quiet_write(found) => Place::Aside,
            _ => Place::Inside,
        };
        Ok(left)
    }

    fn end(&mut self, opcode: u8) -> Boundary {
        if self.left > 0 {
            return Boundary::Inside;
        }
        self.header.len = 0;
        match self.place {
            Place::Aside | Place::Inside => Boundary::Inside,
            Place::Last if opcode == QUIT => Boundary::Last,
            Place::Last => Boundary::End,
        }
    }

    /// Passes over `len` lost bytes of a body; its end must still be to come.
    pub(super) fn skip(&mut self, len: u64) -> bool {
        if self.header.is_whole() && len < u64::from(self.left) {
            self.left -= len as u32;
            return true;
        }
        len == 0
    }
}

/// Whether bytes begin a request. `None`: too few to tell.
pub(super) fn begins_request(bytes: &[u8]) -> Option<bool> {
    let mut header = Header::default();
    header.take(bytes);
    let is_wrong = |at: usize, is_right: fn(u8) -> bool| bytes.get(at).is_some_and(|byte| !is_right(*byte));
    if is_wrong(0, |byte| byte == REQUEST)
        || is_wrong(1, |byte| byte <= OPCODE_MAX)
        || is_wrong(4, |byte| byte <= EXTRAS_MAX)
        || is_wrong(5, |byte| byte == 0)
    {
        return Some(false);
    }
    if !header.is_whole() {
        return None;
    }
    Some(header.key_len() <= KEY_MAX && header.body_len().is_ok())
}
