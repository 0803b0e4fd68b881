//! The client's messages, and where a request ends.

use crate::protocol::sql::Text;
use crate::protocol::{Boundary, Expect, Garbled};
use std::collections::BTreeSet;
use xxhash_rust::xxh3::xxh3_64;

/// The lower byte of [`Expect::kind`]: what ends the answer.
pub(super) const ENDS: u64 = 0xFF;
/// One byte: whether the connection will be encrypted.
pub(super) const BY_BYTE: u64 = 1;
/// A request for a password, or ReadyForQuery.
pub(super) const BY_LOGIN: u64 = 2;
/// ReadyForQuery.
pub(super) const BY_READY: u64 = 3;
/// As many messages that complete something as stand above [`COUNT_SHIFT`]: the client asked by Flush.
pub(super) const BY_COUNT: u64 = 4;
/// The request is a password.
pub(super) const PASSWORD: u64 = 1 << 8;
/// It is made of rows for COPY.
pub(super) const COPY: u64 = 1 << 9;
/// It has messages of the extended protocol.
pub(super) const EXTENDED: u64 = 1 << 10;
/// It ends with Sync, which is answered even after an error.
pub(super) const SYNC: u64 = 1 << 11;
/// It is of no use to another server.
pub(super) const FOREIGN: u64 = 1 << 12;
/// Where the number of completions begins.
pub(super) const COUNT_SHIFT: u32 = 32;

/// Longest startup packet (`MAX_STARTUP_PACKET_LENGTH` of the server).
const STARTUP_MAX: u32 = 10_000;

/// Longest message (the server's `PQ_LARGE_MESSAGE_LIMIT`: below 1 GiB).
const MESSAGE_MAX: u32 = (1 << 30) - 1;

/// Names of statements and portals remembered as volatile; what is beyond is compared.
const NAMES_MAX: usize = 4_096;

/// Bytes of a name that tell it from others.
const NAME_BYTES: usize = 256;

/// Codes in place of a version in a connection's first packet.
const CANCEL: u32 = 80_877_102;
const SSL: u32 = 80_877_103;
const GSS: u32 = 80_877_104;
/// Version 3, whatever the minor one.
const VERSION_3: u32 = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In a header; bytes of it that are there.
    Header(usize),
    /// In the rest of a message.
    Body { left: u32 },
}

/// Who is to read rows for COPY, where anybody is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Copying {
    /// Nobody.
    No,
    /// A simple query: the rows' end is the request's.
    Simple,
    /// An extended one: Sync follows.
    Extended,
}

/// What bytes of the client came to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    pub(super) consumed: usize,
    pub(super) is_head: bool,
    pub(super) boundary: Boundary,
}

/// The client's stream.
pub(super) struct Requests {
    state: State,
    header: [u8; 8],
    /// The startup packet was seen: messages have types.
    is_started: bool,
    /// A request has begun.
    is_open: bool,
    /// Type of the present message; of a startup packet 0.
    kind: u8,
    startup: Vec<u8>,
    flags: u64,
    completions: u64,
    is_volatile: bool,
    text: Text,
    name: Vec<u8>,
    names: Vec<u64>,
    volatile_names: BTreeSet<(u8, u64)>,
    /// What is known of the answer.
    pub(super) expect: Expect,
}

impl Requests {
    /// At the start of a connection.
    pub(super) fn new() -> Self {
        Self {
            state: State::Header(0),
            header: [0; 8],
            is_started: false,
            is_open: false,
            kind: 0,
            startup: Vec::new(),
            flags: 0,
            completions: 0,
            is_volatile: false,
            text: Text::new(),
            name: Vec::new(),
            names: Vec::new(),
            volatile_names: BTreeSet::new(),
            expect: Expect::default(),
        }
    }

    /// Whether the next byte begins a request.
    pub(super) fn at_boundary(&self) -> bool {
        !self.is_open && self.state == State::Header(0)
    }

    /// Consumes bytes up to the end of a header or of a message.
    pub(super) fn scan(&mut self, bytes: &[u8], copying: Copying) -> Result<Taken, Garbled> {
        let inside = |consumed| Taken { consumed, is_head: false, boundary: Boundary::Inside };
        match self.state {
            State::Header(have) => {
                let Some(first) = bytes.first() else { return Ok(inside(0)) };
                if have == 0 && self.leaves_copy(*first) {
                    self.end_request(BY_READY);
                    return Ok(Taken { boundary: Boundary::End, ..inside(0) });
                }
                let len = if self.is_started { 5 } else { 8 };
                let taken = bytes.len().min(len - have);
                self.header[have..have + taken].copy_from_slice(&bytes[..taken]);
                self.state = State::Header(have + taken);
                if have + taken < len {
                    return Ok(inside(taken));
                }
                let is_head = !core::mem::replace(&mut self.is_open, true);
                self.begin_message(is_head)?;
                Ok(Taken { is_head, boundary: self.end_if_whole(copying)?, ..inside(taken) })
            }
            State::Body { left } => {
                let taken = bytes.len().min(left as usize);
                self.read(&bytes[..taken]);
                self.state = State::Body { left: left - taken as u32 };
                Ok(Taken { boundary: self.end_if_whole(copying)?, ..inside(taken) })
            }
        }
    }

    /// Whether the message that begins so is the first after rows for COPY which their end does not follow: the server has
    /// refused them.
    fn leaves_copy(&self, kind: u8) -> bool {
        let only_rows = self.flags & (COPY | EXTENDED) == COPY;
        self.is_open && only_rows && matches!(kind, b'Q' | b'P' | b'B' | b'F' | b'X')
    }

    fn begin_message(&mut self, is_first: bool) -> Result<(), Garbled> {
        if is_first {
            (self.flags, self.completions, self.is_volatile) = (0, 0, false);
        }
        self.text = Text::new();
        self.name.clear();
        self.names.clear();
        let (kind, len) = match self.is_started {
            true => (self.header[0], &self.header[1..5]),
            false => (0, &self.header[..4]),
        };
        let len = len.iter().fold(0, |len, byte| len << 8 | u32::from(*byte));
        let (least, most) = if self.is_started { (4, MESSAGE_MAX) } else { (8, STARTUP_MAX) };
        let is_known = kind == 0 || b"BCDEFHPQSXcdfp".contains(&kind);
        if !is_known || !(least..=most).contains(&len) {
            return Err(Garbled);
        }
        (self.kind, self.state) = (kind, State::Body { left: len - least });
        self.flags |= match kind {
            b'P' | b'B' | b'C' | b'D' | b'E' => EXTENDED,
            b'd' | b'c' | b'f' => COPY,
            b'p' => PASSWORD,
            _ => 0,
        };
        self.completions += u64::from(matches!(kind, b'P' | b'B' | b'C' | b'D' | b'E'));
        self.expect = self.expected(BY_READY);
        Ok(())
    }

    fn read(&mut self, bytes: &[u8]) {
        match self.kind {
            0 => self.startup.extend_from_slice(bytes),
            b'Q' => self.text.push(bytes),
            b'P' | b'B' | b'E' => bytes.iter().for_each(|byte| self.read_named(*byte)),
            _ => {}
        }
    }

    /// Reads the names in front of a message of the extended protocol, and the text behind Parse's.
    fn read_named(&mut self, byte: u8) {
        match (byte, self.names.len()) {
            (0, 0 | 1) => {
                self.names.push(xxh3_64(&self.name));
                self.name.clear();
            }
            (_, 1) if self.kind == b'P' => self.text.push(&[byte]),
            (_, 0 | 1) if self.name.len() < NAME_BYTES => self.name.push(byte),
            _ => {}
        }
    }

    fn end_if_whole(&mut self, copying: Copying) -> Result<Boundary, Garbled> {
        if self.state != (State::Body { left: 0 }) {
            return Ok(Boundary::Inside);
        }
        self.state = State::Header(0);
        if self.kind == 0 {
            return self.end_startup();
        }
        self.follow_names();
        self.flags |= if self.text.kills() { FOREIGN } else { 0 };
        let is_extended = self.flags & EXTENDED != 0 || copying == Copying::Extended;
        let ends = match self.kind {
            b'Q' | b'F' | b'X' => BY_READY,
            b'S' => {
                self.flags |= SYNC;
                BY_READY
            }
            b'H' => BY_COUNT,
            b'p' => BY_LOGIN,
            b'c' | b'f' if !is_extended => BY_READY,
            _ => return Ok(Boundary::Inside),
        };
        self.end_request(ends);
        Ok(Boundary::End)
    }

    /// The version stands where other messages' content begins.
    fn end_startup(&mut self) -> Result<Boundary, Garbled> {
        let code = self.header[4..].iter().fold(0, |code, byte| code << 8 | u32::from(*byte));
        let startup = core::mem::take(&mut self.startup);
        self.is_open = false;
        let handshake = Expect { kind: BY_BYTE, handshake: true, ..Expect::default() };
        self.expect = match code {
            SSL | GSS => handshake,
            CANCEL => Expect { kind: FOREIGN, silent: true, ..Expect::default() },
            _ if code >> 16 == VERSION_3 => {
                self.is_started = true;
                let foreign = if is_replication(&startup) { FOREIGN } else { 0 };
                Expect { kind: BY_LOGIN | foreign, binds: true, ..handshake }
            }
            _ => return Err(Garbled),
        };
        Ok(Boundary::End)
    }

    /// Follows which prepared statements and portals are volatile, and whether one of them is used.
    fn follow_names(&mut self) {
        let name = |index: usize| self.names.get(index).copied().unwrap_or_default();
        let (entry, is_volatile) = match self.kind {
            b'Q' => {
                self.is_volatile |= self.text.end();
                return;
            }
            b'P' => ((b'S', name(0)), self.text.end()),
            b'B' => ((b'P', name(0)), self.volatile_names.contains(&(b'S', name(1)))),
            b'E' => {
                self.is_volatile |= self.volatile_names.contains(&(b'P', name(0)));
                return;
            }
            _ => return,
        };
        self.volatile_names.remove(&entry);
        if is_volatile && self.volatile_names.len() < NAMES_MAX {
            self.volatile_names.insert(entry);
        }
    }

    fn end_request(&mut self, ends: u64) {
        self.expect = self.expected(ends);
        self.is_open = false;
    }

    /// A statement may need all that was said before it: an open transaction, a setting, a prepared statement.
    fn expected(&self, ends: u64) -> Expect {
        let is_last = self.kind == b'X';
        Expect {
            kind: ends | self.flags | self.completions << COUNT_SHIFT,
            retryable: false,
            silent: is_last || (ends == BY_COUNT && self.completions == 0),
            handshake: self.kind == b'p',
            asked: self.kind == b'p' || self.flags & (COPY | EXTENDED) == COPY,
            volatile: self.is_volatile && !is_last,
            bound: self.is_started,
            binds: !is_last,
        }
    }
}

/// Whether a startup packet asks for a replica's connection: pairs of name and value, each ended by a zero.
fn is_replication(startup: &[u8]) -> bool {
    let mut words = startup.split(|byte| *byte == 0);
    while let (Some(name), Some(value)) = (words.next(), words.next()) {
        if name == b"replication" {
            return !matches!(value, b"false" | b"off" | b"no" | b"0");
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_says_so() {
        for (startup, is_one) in [
            (&b"user\0a\0replication\0true\0\0"[..], true),
            (b"replication\0database\0\0", true),
            (b"replication\0false\0\0", false),
            (b"user\0replication\0\0", false),
            (b"", false),
        ] {
            assert_eq!(is_replication(startup), is_one, "{}", startup.escape_ascii());
        }
    }
}
