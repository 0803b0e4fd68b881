//! The server's messages, and which of them end an answer.
//!
//! Compared are columns, rows and errors as they came; of a success its counts and the state of the transaction, but not
//! the key that a row was given, nor what the server tells in words.

use super::packet::{LENGTH_MAX, Packets, Piece};
use super::request::{
    CACHE_METADATA, CLIENT_MYSQL, DEPRECATE_EOF, FILE, FLAGS, KILLS, LOGIN, ONE, OPTIONAL_METADATA, PREPARED, PROGRESS,
    Phase, RESULTS, ROWS, SHAPE, VOLATILE,
};
use super::statement::{Nature, Statements};
use crate::protocol::{Boundary, Garbled, Part, Step};

/// Bytes of a message that are held until it is whole: of a greeting up to what the server can do, of others less.
const LEAD_BYTES: usize = 256;

/// First bytes that tell what a message is.
const OK: u8 = 0x00;
const MORE: u8 = 0x01;
const FILE_WANTED: u8 = 0xFB;
const EOF: u8 = 0xFE;
const ERROR: u8 = 0xFF;

/// Of the version of the greeting.
const VERSION: u8 = 10;

/// After [`MORE`]: what the client sent was enough, and success follows.
const LET_IN: u8 = 3;

/// Flags of the server's state.
const MORE_RESULTS: u16 = 1 << 3;
const CURSOR_EXISTS: u16 = 1 << 6;
/// Those of the session's making: in a transaction, autocommit, more results, a cursor and its last row, a dropped database,
/// parameters that come out, a transaction that only reads. The others tell how the server has found the rows.
const COMPARED_STATE: u16 = 1 | 1 << 1 | MORE_RESULTS | CURSOR_EXISTS | 1 << 7 | 1 << 8 | 1 << 12 | 1 << 13;

/// Longest EOF packet, told from a row by that.
const EOF_BYTES: u32 = 8;

/// What comes next of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    /// A result, or the only packet.
    Head,
    /// Definitions of columns or parameters; how many behind them, of the statement's columns.
    Definitions { left: u64, columns: u64 },
    /// The end of such.
    DefinitionsEnd { columns: u64 },
    /// Rows, or their end.
    Rows,
}

/// What becomes of a message's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Its first byte is not there.
    Unknown,
    /// It is compared.
    Plain,
    /// It is held until it is whole.
    Held,
    /// An error, which is held until it is known not to be a report of progress.
    Error,
    /// It belongs to no answer.
    Aside,
}

/// The server's stream.
#[derive(Debug)]
pub(super) struct Answers {
    packets: Packets,
    due: Due,
    role: Role,
    /// A message of the present answer has begun.
    is_begun: bool,
    /// First byte of the present message.
    first: u8,
    /// The beginning of a message that is held.
    lead: Vec<u8>,
    /// What is compared of it.
    compared: Vec<u8>,
    /// How far the connection has come.
    pub(super) phase: Phase,
    /// What the server can do: all, where its greeting was not seen.
    pub(super) flags: u64,
    /// What it has prepared.
    pub(super) statements: Statements,
}

impl Answers {
    /// At the start of a connection.
    pub(super) fn new() -> Self {
        Self {
            packets: Packets::START,
            due: Due::Head,
            role: Role::Unknown,
            is_begun: false,
            first: 0,
            lead: Vec::new(),
            compared: Vec::new(),
            phase: Phase::Greeting,
            flags: u64::MAX,
            statements: Statements::default(),
        }
    }

    /// What was due is lost.
    pub(super) fn restart(&mut self) {
        (self.packets, self.due, self.role, self.is_begun) = (Packets::START, Due::Head, Role::Unknown, false);
        if self.phase != Phase::Greeting {
            self.phase = Phase::Ready;
        }
    }

    /// Whether the next byte begins an answer.
    pub(super) fn at_boundary(&self) -> bool {
        !self.is_begun && self.packets.at_boundary()
    }

    /// Passes over `len` lost bytes; whether they lay within one row.
    pub(super) fn skip(&mut self, len: u64) -> bool {
        self.role == Role::Plain && self.due == Due::Rows && self.packets.skip(len)
    }

    /// Consumes bytes while no answer is due: the greeting, or the error before the server closes.
    pub(super) fn unasked<'a>(&'a mut self, bytes: &'a [u8]) -> Result<Step<'a>, Garbled> {
        let Piece { consumed, is_content, begins, ends } = self.packets.take(bytes);
        if begins {
            self.begin_message();
        }
        if is_content && self.role == Role::Unknown && consumed > 0 {
            self.role = match bytes[0] {
                VERSION if self.phase == Phase::Greeting => Role::Held,
                ERROR => Role::Aside,
                _ => return Err(Garbled),
            };
        }
        if is_content {
            self.hold(&bytes[..consumed]);
        }
        if ends && self.role == Role::Held {
            self.flags = greeted(&self.lead).ok_or(Garbled)?;
            self.phase = Phase::Login;
        }
        Ok(Step { consumed, part: Part::Aside, boundary: Boundary::Inside })
    }

    /// Consumes bytes while an answer is due.
    pub(super) fn step<'a>(&'a mut self, kind: u64, bytes: &'a [u8]) -> Result<Step<'a>, Garbled> {
        if !bytes.is_empty() && kind & self.kinds() & OPTIONAL_METADATA != 0 {
            return Err(Garbled);
        }
        let Piece { consumed, is_content, begins, ends } = self.packets.take(bytes);
        if begins {
            self.begin_message();
        }
        self.compared.clear();
        let bytes = &bytes[..consumed];
        let mut is_plain = false;
        if is_content {
            if let (Role::Unknown, Some(first)) = (self.role, bytes.first()) {
                (self.role, self.first) = (self.role(kind, *first)?, *first);
                self.begin_answer(kind);
            }
            is_plain = self.role == Role::Plain;
            if !is_plain {
                self.hold(bytes);
                self.tell_error(kind, bytes, ends);
            }
        }
        if ends && self.role == Role::Unknown {
            return Err(Garbled);
        }
        let is_aside = self.role == Role::Aside;
        let boundary = if ends && !is_aside { self.end_message(kind)? } else { Boundary::Inside };
        if boundary != Boundary::Inside {
            (self.is_begun, self.due) = (false, Due::Head);
        }
        let part = match () {
            () if is_plain && kind & SHAPE != LOGIN => Part::Body(bytes),
            () if is_aside => Part::Aside,
            () if is_plain || self.compared.is_empty() || kind & SHAPE == LOGIN => Part::Framing,
            () => Part::Body(&self.compared),
        };
        Ok(Step { consumed, part, boundary })
    }

    fn begin_message(&mut self) {
        self.role = Role::Unknown;
        self.lead.clear();
    }

    fn begin_answer(&mut self, kind: u64) {
        if !self.is_begun && self.role != Role::Aside {
            self.is_begun = true;
            if kind & SHAPE == ROWS {
                self.due = Due::Rows;
            }
            if kind & FILE != 0 {
                self.phase = Phase::Ready;
            }
        }
    }

    fn hold(&mut self, bytes: &[u8]) {
        let room = LEAD_BYTES.saturating_sub(self.lead.len()).min(bytes.len());
        self.lead.extend_from_slice(&bytes[..room]);
    }

    /// What both sides can do, as in [`crate::protocol::Expect::kind`].
    fn kinds(&self) -> u64 {
        FLAGS.iter().filter(|(flag, _)| self.flags & flag != 0).fold(0, |kinds, (_, kind)| kinds | kind)
    }

    fn can(&self, kind: u64, what: u64) -> bool {
        kind & self.kinds() & what != 0
    }

    /// What becomes of the message that begins so.
    fn role(&self, kind: u64, first: u8) -> Result<Role, Garbled> {
        let due = if !self.is_begun && kind & SHAPE == ROWS { Due::Rows } else { self.due };
        let shape = kind & SHAPE;
        Ok(match (due, first) {
            (Due::Definitions { .. }, _) => Role::Plain,
            (_, ERROR) => Role::Error,
            (Due::Rows, EOF) if self.is_end_of_rows(kind) => Role::Held,
            (Due::Rows, _) => Role::Plain,
            (Due::DefinitionsEnd { .. }, EOF) => Role::Held,
            (Due::DefinitionsEnd { .. }, _) => return Err(Garbled),
            (Due::Head, OK | EOF) => Role::Held,
            (Due::Head, MORE) if shape == LOGIN => Role::Held,
            (Due::Head, FILE_WANTED) if shape == RESULTS => Role::Plain,
            (Due::Head, _) if shape == RESULTS => Role::Held,
            (Due::Head, _) if shape == ONE => Role::Plain,
            (Due::Head, _) => return Err(Garbled),
        })
    }

    /// A row that begins with this byte is a very long one.
    fn is_end_of_rows(&self, kind: u64) -> bool {
        let longest = if self.can(kind, DEPRECATE_EOF) { LENGTH_MAX - 1 } else { EOF_BYTES };
        self.packets.len() <= longest
    }

    /// An error is told from a report of progress by its number; `bytes` are those held last.
    fn tell_error(&mut self, kind: u64, bytes: &[u8], ends: bool) {
        if self.role != Role::Error || (self.lead.len() < 3 && !ends) {
            return;
        }
        let is_progress = self.lead.starts_with(&[ERROR, 0xFF, 0xFF]) && self.can(kind, PROGRESS);
        self.role = if is_progress { Role::Aside } else { Role::Plain };
        if !is_progress {
            let held_before = self.lead.len().saturating_sub(bytes.len()).min(2);
            self.compared.extend_from_slice(&self.lead[..held_before]);
            self.compared.extend_from_slice(bytes);
        }
    }

    fn end_message(&mut self, kind: u64) -> Result<Boundary, Garbled> {
        match (self.due, kind & SHAPE) {
            (Due::Head, LOGIN) => Ok(self.end_login()),
            (Due::Head | Due::Rows, _) if self.first == ERROR => {
                if kind & SHAPE == PREPARED {
                    self.statements.add(None, None);
                }
                Ok(Boundary::End)
            }
            (Due::Head, PREPARED) => self.end_prepared(kind),
            (Due::Head, RESULTS) => self.end_head(kind),
            (Due::Head, _) => {
                self.take_state();
                Ok(Boundary::End)
            }
            (Due::Definitions { left, columns }, _) => Ok(self.define(left - 1, columns, kind)),
            (Due::DefinitionsEnd { .. }, _) if self.first == ERROR => Ok(Boundary::End),
            (Due::DefinitionsEnd { columns }, shape) => {
                let has_cursor = shape == RESULTS && self.take_state() & CURSOR_EXISTS != 0;
                Ok(if has_cursor { Boundary::End } else { self.end_definitions(columns, kind) })
            }
            (Due::Rows, _) if self.role == Role::Held => Ok(self.end_result()),
            (Due::Rows, _) => Ok(Boundary::Inside),
        }
    }

    fn end_login(&mut self) -> Boundary {
        match (self.first, self.lead.get(1)) {
            (OK, _) => self.phase = Phase::Ready,
            (ERROR, _) => return Boundary::Last,
            (MORE, Some(&LET_IN)) if self.lead.len() == 2 => return Boundary::Inside,
            _ => self.phase = Phase::Reply,
        }
        Boundary::End
    }

    /// A statement's number is the server's own; its parameters' definitions come before its columns'.
    fn end_prepared(&mut self, kind: u64) -> Result<Boundary, Garbled> {
        let &[OK, a, b, c, d, ref rest @ ..] = &self.lead[..] else { return Err(Garbled) };
        let &[low, high, parameters_low, parameters_high, ..] = rest else { return Err(Garbled) };
        self.compared.push(OK);
        self.compared.extend_from_slice(rest);
        let nature = match () {
            () if kind & KILLS != 0 => Some(Nature::Foreign),
            () => (kind & VOLATILE != 0).then_some(Nature::Volatile),
        };
        self.statements.add(Some(u32::from_le_bytes([a, b, c, d])), nature);
        let columns = u64::from(u16::from_le_bytes([low, high]));
        let parameters = u64::from(u16::from_le_bytes([parameters_low, parameters_high]));
        Ok(match (parameters, columns) {
            (0, 0) => Boundary::End,
            (0, columns) => self.define(columns, 0, kind),
            (parameters, columns) => self.define(parameters, columns, kind),
        })
    }

    /// The first message of a result: success, the wish for a file, or the number of columns.
    fn end_head(&mut self, kind: u64) -> Result<Boundary, Garbled> {
        match self.first {
            OK | EOF => return Ok(self.end_result()),
            FILE_WANTED => {
                self.phase = Phase::File;
                return Ok(Boundary::End);
            }
            _ => {}
        }
        let (columns, len) = number(&self.lead).ok_or(Garbled)?;
        self.compared.clone_from(&self.lead);
        let is_known = self.can(kind, CACHE_METADATA) && self.lead.get(len) == Some(&0);
        Ok(self.define(if is_known { 0 } else { columns }, 0, kind))
    }

    /// So many definitions are to come, and their end.
    fn define(&mut self, left: u64, columns: u64, kind: u64) -> Boundary {
        match left {
            0 if self.can(kind, DEPRECATE_EOF) => self.end_definitions(columns, kind),
            0 => {
                self.due = Due::DefinitionsEnd { columns };
                Boundary::Inside
            }
            _ => {
                self.due = Due::Definitions { left, columns };
                Boundary::Inside
            }
        }
    }

    fn end_definitions(&mut self, columns: u64, kind: u64) -> Boundary {
        match (kind & SHAPE, columns) {
            (PREPARED, 0) => return Boundary::End,
            (PREPARED, _) => return self.define(columns, 0, kind),
            _ => self.due = Due::Rows,
        }
        Boundary::Inside
    }

    /// A success, or the end of rows: another result may follow.
    fn end_result(&mut self) -> Boundary {
        if self.take_state() & MORE_RESULTS == 0 {
            return Boundary::End;
        }
        self.due = Due::Head;
        Boundary::Inside
    }

    /// Reads the state in a success or in an EOF packet, and notes what is compared of it.
    fn take_state(&mut self) -> u16 {
        let (counts, rest) = match &self.lead[..] {
            [EOF, a, b, c, d] => (&[][..], [*c, *d, *a, *b]),
            [OK | EOF, rest @ ..] => {
                let parts = number(rest).and_then(|(_, rows)| Some((rows, rows + number(&rest[rows..])?.1)));
                let Some((rows, keys)) = parts else { return 0 };
                let Some(state) = rest[keys..].first_chunk::<4>() else { return 0 };
                (&rest[..rows], *state)
            }
            _ => return 0,
        };
        let state = u16::from_le_bytes([rest[0], rest[1]]);
        self.compared.push(self.first);
        self.compared.extend_from_slice(counts);
        self.compared.extend_from_slice(&(state & COMPARED_STATE).to_le_bytes());
        self.compared.extend_from_slice(&rest[2..]);
        state
    }
}

/// A number of one to nine bytes at the front, and its length.
pub(super) fn number(bytes: &[u8]) -> Option<(u64, usize)> {
    let (first, rest) = bytes.split_first()?;
    let len = match first {
        0..=0xFA => return Some((u64::from(*first), 1)),
        0xFC => 2,
        0xFD => 3,
        0xFE => 8,
        _ => return None,
    };
    let value = rest.get(..len)?.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
    Some((value, len + 1))
}

/// What a server that greets so can do: two halves of four bytes, and four more where it is not MySQL.
fn greeted(greeting: &[u8]) -> Option<u64> {
    let version = memchr::memchr(0, greeting)?;
    let rest = greeting.get(version + 1..)?;
    let pair =
        |at: usize| rest.get(at..at + 2).and_then(|pair| pair.first_chunk::<2>()).map(|pair| u16::from_le_bytes(*pair));
    let (low, high) = (u64::from(pair(13)?), u64::from(pair(18)?));
    let is_mysql = low & CLIENT_MYSQL != 0;
    let more = [pair(27)?, pair(29)?].map(u64::from);
    let more = if is_mysql { 0 } else { more[0] | more[1] << 16 };
    Some(low | high << 16 | more << 32)
}
