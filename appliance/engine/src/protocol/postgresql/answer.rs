//! The server's messages, and which of them end an answer.
//!
//! What is compared of a message is told by its type: all of it, all but what belongs to one server alone (the numbers of
//! tables and types, the place in the server's sources where an error was raised), or nothing.

use super::request::{BY_BYTE, BY_COUNT, BY_LOGIN, BY_READY, COPY, COUNT_SHIFT, Copying, ENDS, EXTENDED, SYNC};
use crate::protocol::{Boundary, Garbled, Part, Step};

/// Longest message (the server's bound is below 1 GiB).
const MESSAGE_MAX: u32 = 1 << 30;

/// Bytes of a column's description behind its name: table, number, type, and what is compared of it: width, modifier, format.
const COLUMN_BYTES: u8 = 18;
const COLUMN_HIDDEN: u8 = 10;

/// How far the connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing was agreed.
    Start,
    /// The server waits for a password.
    Login,
    /// It takes requests.
    Ready,
    /// It takes rows.
    Copying(Copying),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In a header; bytes of it that are there.
    Header(usize),
    /// In content that is all compared.
    Plain,
    /// In content that is not.
    Hidden,
    /// In a message that belongs to no answer.
    Aside,
    /// In an error's fields: before one, or in one that is compared or not.
    Field(Option<bool>),
    /// In the columns' count; bytes that are to come.
    Columns(u8),
    /// In a column's name.
    ColumnName,
    /// Behind it; bytes that are to come.
    Column(u8),
}

/// The server's stream.
#[derive(Debug)]
pub(super) struct Answers {
    place: Place,
    header: [u8; 5],
    left: u32,
    /// The first four bytes of an authentication request's content.
    code: u32,
    /// How far the connection has come.
    pub(super) stage: Stage,
    /// After an error in the extended protocol nothing is answered up to the next Sync.
    has_failed: bool,
    /// A message of the present answer has begun.
    is_begun: bool,
    completions: u64,
}

impl Answers {
    /// At the start of a connection.
    pub(super) fn new() -> Self {
        Self {
            place: Place::Header(0),
            header: [0; 5],
            left: 0,
            code: 0,
            stage: Stage::Start,
            has_failed: false,
            is_begun: false,
            completions: 0,
        }
    }

    /// What was due is lost.
    pub(super) fn restart(&mut self) {
        let stage = if self.stage == Stage::Start { Stage::Start } else { Stage::Ready };
        *self = Self { stage, ..Self::new() };
    }

    /// Whether rows are read, and for whom.
    pub(super) fn copying(&self) -> Copying {
        match self.stage {
            Stage::Copying(copying) => copying,
            _ => Copying::No,
        }
    }

    /// Whether the next byte begins an answer.
    pub(super) fn at_boundary(&self) -> bool {
        !self.is_begun && self.place == Place::Header(0)
    }

    /// Passes over `len` lost bytes; whether they lay within one row.
    pub(super) fn skip(&mut self, len: u64) -> bool {
        let left = u64::from(self.left);
        let is_row = self.place == Place::Plain && matches!(self.header[0], b'D' | b'd') && len < left;
        if is_row {
            self.left -= len as u32;
        }
        is_row
    }

    /// Consumes bytes while an answer is due.
    pub(super) fn step<'a>(&'a mut self, kind: u64, bytes: &'a [u8]) -> Result<Step<'a>, Garbled> {
        if self.at_boundary() && self.is_unanswered(kind) {
            return Ok(Step { consumed: 0, part: Part::Framing, boundary: Boundary::End });
        }
        match (self.place, bytes.first()) {
            (Place::Header(0), Some(b'S' | b'G')) if kind & ENDS == BY_BYTE => {
                Ok(Step { consumed: 1, part: Part::Framing, boundary: Boundary::Encrypted })
            }
            (Place::Header(0), Some(b'N')) if kind & ENDS == BY_BYTE => {
                Ok(Step { consumed: 1, part: Part::Framing, boundary: Boundary::End })
            }
            (Place::Header(_), _) => self.take_header(kind, bytes),
            _ => self.take_content(kind, bytes),
        }
    }

    /// Consumes bytes while no answer is due: notices, notifications, settings, and the error before the server closes.
    pub(super) fn unasked<'a>(&'a mut self, bytes: &'a [u8]) -> Result<Step<'a>, Garbled> {
        if let (Place::Header(0), Some(first)) = (self.place, bytes.first())
            && !b"NSAE".contains(first)
        {
            return Err(Garbled);
        }
        if !matches!(self.place, Place::Header(_)) {
            return self.take_content(BY_READY, bytes);
        }
        let consumed = self.fill_header(bytes);
        if let Place::Header(5) = self.place {
            self.begin_message(Place::Aside)?;
        }
        Ok(Step { consumed, part: Part::Aside, boundary: Boundary::Inside })
    }

    /// Whether the server passes the request over: it waits for Sync, or takes no rows.
    fn is_unanswered(&self, kind: u64) -> bool {
        let is_rows = kind & (COPY | EXTENDED) == COPY;
        let is_deaf = self.has_failed || (is_rows && self.copying() == Copying::No);
        is_deaf && kind & SYNC == 0 && matches!(kind & ENDS, BY_READY | BY_COUNT)
    }

    fn fill_header(&mut self, bytes: &[u8]) -> usize {
        let Place::Header(have) = self.place else { return 0 };
        let taken = bytes.len().min(5 - have);
        self.header[have..have + taken].copy_from_slice(&bytes[..taken]);
        self.place = Place::Header(have + taken);
        taken
    }

    fn take_header<'a>(&'a mut self, kind: u64, bytes: &'a [u8]) -> Result<Step<'a>, Garbled> {
        if let (Place::Header(0), consumed @ 1..) = (self.place, rows(bytes)) {
            self.is_begun = true;
            return Ok(Step { consumed, part: Part::Body(&bytes[..consumed]), boundary: Boundary::Inside });
        }
        let consumed = self.fill_header(bytes);
        if self.place != Place::Header(5) {
            return Ok(Step { consumed, part: Part::Framing, boundary: Boundary::Inside });
        }
        let place = class(self.header[0], kind).ok_or(Garbled)?;
        self.begin_message(place)?;
        self.is_begun |= place != Place::Aside;
        let boundary = self.end_if_whole(kind);
        let part = match place {
            Place::Aside => Part::Aside,
            Place::Hidden => Part::Framing,
            Place::Plain => Part::Body(&self.header),
            // Its length depends on what is not compared.
            _ => Part::Body(&self.header[..1]),
        };
        Ok(Step { consumed, part, boundary })
    }

    fn begin_message(&mut self, place: Place) -> Result<(), Garbled> {
        let len = self.header[1..].iter().fold(0, |len, byte| len << 8 | u32::from(*byte));
        if !(4..=MESSAGE_MAX).contains(&len) {
            return Err(Garbled);
        }
        (self.place, self.left, self.code) = (place, len - 4, 0);
        if self.left == 0 && self.place == Place::Aside {
            self.place = Place::Header(0);
        }
        Ok(())
    }

    fn take_content<'a>(&'a mut self, kind: u64, bytes: &'a [u8]) -> Result<Step<'a>, Garbled> {
        let bytes = &bytes[..bytes.len().min(self.left as usize)];
        let (consumed, is_compared) = match self.place {
            Place::Plain => (bytes.len(), true),
            Place::Hidden => (self.read_code(bytes), false),
            Place::Field(None) => self.begin_field(bytes),
            Place::Field(Some(is_compared)) => (self.take_word(bytes, Place::Field(None)), is_compared),
            Place::Columns(left) => (self.take_fixed(bytes, left, left, Place::Columns, Place::ColumnName), true),
            Place::ColumnName => (self.take_word(bytes, Place::Column(COLUMN_BYTES)), true),
            Place::Column(left) => {
                let until = left.saturating_sub(COLUMN_BYTES - COLUMN_HIDDEN);
                let run = if until > 0 { until } else { left };
                (self.take_fixed(bytes, left, run, Place::Column, Place::ColumnName), until == 0)
            }
            Place::Aside | Place::Header(_) => (bytes.len(), false),
        };
        let is_aside = self.place == Place::Aside;
        self.left -= consumed as u32;
        let boundary = self.end_if_whole(kind);
        let part = match is_compared {
            true => Part::Body(&bytes[..consumed]),
            false if is_aside => Part::Aside,
            false => Part::Framing,
        };
        Ok(Step { consumed, part, boundary })
    }

    fn read_code(&mut self, bytes: &[u8]) -> usize {
        let [_, len @ ..] = self.header;
        let at = u32::from_be_bytes(len) - 4 - self.left;
        let rest = bytes.iter().take(4_usize.saturating_sub(at as usize));
        self.code = rest.fold(self.code, |code, byte| code << 8 | u32::from(*byte));
        bytes.len()
    }

    /// The code of an error's field: file, line and routine are those of one build.
    fn begin_field(&mut self, bytes: &[u8]) -> (usize, bool) {
        let Some(code) = bytes.first() else { return (0, false) };
        let is_compared = !matches!(code, b'F' | b'L' | b'R');
        self.place = if *code == 0 { Place::Field(None) } else { Place::Field(Some(is_compared)) };
        (1, is_compared)
    }

    /// Takes up to the end of a word, behind which something else begins.
    fn take_word(&mut self, bytes: &[u8], then: Place) -> usize {
        match memchr::memchr(0, bytes) {
            Some(end) => {
                self.place = then;
                end + 1
            }
            None => bytes.len(),
        }
    }

    /// Takes some of the bytes that are left of something of known length.
    fn take_fixed(&mut self, bytes: &[u8], left: u8, run: u8, same: fn(u8) -> Place, then: Place) -> usize {
        let taken = bytes.len().min(usize::from(run));
        let left = left - taken as u8;
        self.place = if left > 0 { same(left) } else { then };
        taken
    }

    fn end_if_whole(&mut self, kind: u64) -> Boundary {
        if self.left > 0 || matches!(self.place, Place::Header(_)) {
            return Boundary::Inside;
        }
        let place = core::mem::replace(&mut self.place, Place::Header(0));
        let boundary = if place == Place::Aside { Boundary::Inside } else { self.end_message(kind) };
        if boundary != Boundary::Inside {
            (self.is_begun, self.completions) = (false, 0);
        }
        boundary
    }

    fn end_message(&mut self, kind: u64) -> Boundary {
        let by_count = kind & ENDS == BY_COUNT;
        let is_extended = kind & EXTENDED != 0;
        match self.header[0] {
            // 0: the login is done; 12: SASL's last word, which that follows.
            b'R' if !matches!(self.code, 0 | 12) => self.stage = Stage::Login,
            b'Z' => (self.stage, self.has_failed) = (Stage::Ready, false),
            b'E' if matches!(kind & ENDS, BY_BYTE | BY_LOGIN) => return Boundary::Last,
            b'E' => {
                self.has_failed = true;
                return if by_count { Boundary::End } else { Boundary::Inside };
            }
            b'G' if !(is_extended && kind & COPY != 0) => {
                self.stage = Stage::Copying(if is_extended { Copying::Extended } else { Copying::Simple });
            }
            b'1' | b'2' | b'3' | b'n' | b'T' | b'C' | b'I' | b's' if by_count => {
                self.completions += 1;
                return if self.completions < kind >> COUNT_SHIFT { Boundary::Inside } else { Boundary::End };
            }
            _ => return Boundary::Inside,
        }
        Boundary::End
    }
}

/// Where the content of a message of this type begins; none for what the server does not say here.
fn class(message: u8, kind: u64) -> Option<Place> {
    let is_login = kind & ENDS == BY_LOGIN;
    Some(match message {
        b'N' | b'S' | b'A' if !is_login => Place::Aside,
        b'R' | b'K' | b'v' | b'N' | b'S' | b'A' | b't' => Place::Hidden,
        b'E' => Place::Field(None),
        b'T' => Place::Columns(2),
        b'1' | b'2' | b'3' | b'C' | b'D' | b'G' | b'H' | b'I' | b'V' | b'Z' | b'c' | b'd' | b'n' | b's' => Place::Plain,
        _ => return None,
    })
}

/// Length of the whole rows at the front: most of what a server says, and all of it compared.
fn rows(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some([b'D' | b'd', len @ ..]) = bytes.get(at..).and_then(|rest| rest.first_chunk::<5>()) {
        let len = u32::from_be_bytes(*len);
        match (len >= 4).then(|| at + 1 + len as usize) {
            Some(end) if end <= bytes.len() => at = end,
            _ => break,
        }
    }
    at
}
