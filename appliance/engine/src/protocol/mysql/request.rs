//! The client's messages, and what each makes the server answer.

use super::packet::{Packets, Piece};
use super::statement::{Nature, Statements};
use crate::protocol::sql::Text;
use crate::protocol::{Boundary, Expect, Garbled};

/// The lowest four bits of [`Expect::kind`]: the shape of the answer.
pub(super) const SHAPE: u64 = 0xF;
/// To a login: until the server lets the user in, refuses, or wants to hear more.
pub(super) const LOGIN: u64 = 1;
/// One packet.
pub(super) const ONE: u64 = 2;
/// Results: each a packet, or columns and rows.
pub(super) const RESULTS: u64 = 3;
/// A prepared statement: its number, its parameters, its columns.
pub(super) const PREPARED: u64 = 4;
/// Packets up to an end.
pub(super) const ROWS: u64 = 5;

/// The request is the first of a connection.
pub(super) const FIRST: u64 = 1 << 4;
/// It goes on with a login, as the server asked.
pub(super) const REPLY: u64 = 1 << 5;
/// It is the content of a file that the server asked for.
pub(super) const FILE: u64 = 1 << 6;
/// It names a prepared statement.
pub(super) const STATEMENT: u64 = 1 << 7;
/// It is of no use to another server.
pub(super) const FOREIGN: u64 = 1 << 8;
/// The statement that it prepares is volatile.
pub(super) const VOLATILE: u64 = 1 << 9;
/// What the client can do: results without EOF packets, columns left out if known, reports of progress, and (of another
/// server's kind) columns left out.
pub(super) const DEPRECATE_EOF: u64 = 1 << 10;
pub(super) const CACHE_METADATA: u64 = 1 << 11;
pub(super) const PROGRESS: u64 = 1 << 12;
pub(super) const OPTIONAL_METADATA: u64 = 1 << 13;
/// The statement that it prepares is of no use to another server.
pub(super) const KILLS: u64 = 1 << 14;
/// The place of the statement that it names among those prepared: 0 for one that is not known.
pub(super) const PLACE_SHIFT: u32 = 32;

/// Flags of a client, and what they come to in [`Expect::kind`]. (Of the server's, the same must be set.)
pub(super) const CLIENT_MYSQL: u64 = 1;
const CLIENT_COMPRESS: u64 = 1 << 5 | 1 << 26;
const CLIENT_PROTOCOL_41: u64 = 1 << 9;
const CLIENT_SSL: u64 = 1 << 11;
pub(super) const FLAGS: [(u64, u64); 5] = [
    (1 << 24, DEPRECATE_EOF),
    (1 << 25, OPTIONAL_METADATA),
    (1 << 29, PROGRESS),
    (1 << 32, PROGRESS),
    (1 << 36, CACHE_METADATA),
];

/// Length of the part of a login that asks for encryption in its stead.
const SSL_REQUEST_BYTES: usize = 32;

/// Bytes of a message by which it is told what it is.
const LEAD_BYTES: usize = 32;

/// A command's first byte and the number of its statement.
const COMMAND_BYTES: usize = 5;

/// The statement prepared last, whatever its number (MariaDB).
const LAST_STATEMENT: u32 = u32::MAX;

const QUIT: u8 = 0x01;
const QUERY: u8 = 0x03;
const FIELD_LIST: u8 = 0x04;
const STATISTICS: u8 = 0x09;
const PROCESS_INFO: u8 = 0x0A;
const PROCESS_KILL: u8 = 0x0C;
const CHANGE_USER: u8 = 0x11;
const BINLOG_DUMP: u8 = 0x12;
const TABLE_DUMP: u8 = 0x13;
const REGISTER_REPLICA: u8 = 0x15;
const PREPARE: u8 = 0x16;
const EXECUTE: u8 = 0x17;
const SEND_LONG_DATA: u8 = 0x18;
const CLOSE: u8 = 0x19;
const RESET_STATEMENT: u8 = 0x1A;
const FETCH: u8 = 0x1C;
const BINLOG_DUMP_GTID: u8 = 0x1E;
const BULK_EXECUTE: u8 = 0xFA;

/// How far the connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The server has not greeted.
    Greeting,
    /// It has, and waits for the login.
    Login,
    /// It wants to hear more before it lets the user in.
    Reply,
    /// It takes commands.
    Ready,
    /// It takes a file.
    File,
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Login,
    Reply,
    File,
    Command,
}

/// What bytes of the client came to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    pub(super) consumed: usize,
    pub(super) is_head: bool,
    pub(super) boundary: Boundary,
}

/// The client's stream.
#[derive(Debug)]
pub(super) struct Requests {
    packets: Packets,
    role: Role,
    /// A request has begun.
    is_open: bool,
    lead: Vec<u8>,
    len: u64,
    text: Text,
    /// What the client can do.
    flags: u64,
    /// What is known of the answer.
    pub(super) expect: Expect,
}

impl Requests {
    /// At the start of a connection.
    pub(super) fn new() -> Self {
        Self {
            packets: Packets::START,
            role: Role::Command,
            is_open: false,
            lead: Vec::new(),
            len: 0,
            text: Text::new(),
            flags: 0,
            expect: Expect::default(),
        }
    }

    /// Whether the next byte begins a request.
    pub(super) fn at_boundary(&self) -> bool {
        !self.is_open && self.packets.at_boundary()
    }

    /// Consumes bytes up to the end of a header or of a packet; of the server, how far it has come, what it can do, and what
    /// it has prepared.
    pub(super) fn scan(
        &mut self,
        bytes: &[u8],
        phase: Phase,
        server: u64,
        statements: &Statements,
    ) -> Result<Taken, Garbled> {
        let Piece { consumed, is_content, begins, ends } = self.packets.take(bytes);
        if begins {
            self.begin_message(phase);
        }
        let had = self.lead.len();
        if is_content {
            self.read(&bytes[..consumed]);
        }
        let is_head = had < COMMAND_BYTES && self.lead.len() >= COMMAND_BYTES && self.role != Role::Login;
        if is_head || ends {
            self.expect = self.expected(server, statements, ends)?;
        }
        let boundary = if ends { self.end_message(server) } else { Boundary::Inside };
        Ok(Taken { consumed, is_head: is_head && !ends, boundary })
    }

    /// Whatever the server has asked for bears a number; commands bear none.
    fn begin_message(&mut self, phase: Phase) {
        let is_command = self.packets.number() == 0;
        self.role = match phase {
            _ if self.is_open => self.role,
            _ if is_command => Role::Command,
            Phase::Greeting | Phase::Login => Role::Login,
            Phase::File => Role::File,
            Phase::Reply | Phase::Ready => Role::Reply,
        };
        self.is_open = true;
        self.lead.clear();
        self.len = 0;
        self.text = Text::new();
        self.expect = Expect { kind: ONE, bound: true, binds: true, ..Expect::default() };
    }

    fn read(&mut self, bytes: &[u8]) {
        let text = usize::from(self.len == 0).min(bytes.len());
        self.len += bytes.len() as u64;
        let room = LEAD_BYTES.saturating_sub(self.lead.len()).min(bytes.len());
        self.lead.extend_from_slice(&bytes[..room]);
        if self.role == Role::Command && matches!(self.lead.first(), Some(&(QUERY | PREPARE))) {
            self.text.push(&bytes[text..]);
        }
    }

    /// A file has ended with an empty packet; everything else is one message.
    fn end_message(&mut self, server: u64) -> Boundary {
        if self.role == Role::File && self.len > 0 {
            return Boundary::Inside;
        }
        self.is_open = false;
        let is_login = self.role == Role::Login;
        let both = self.flags & server;
        match () {
            () if is_login && self.len == SSL_REQUEST_BYTES as u64 && both & CLIENT_SSL != 0 => Boundary::Encrypted,
            () if is_login && both & CLIENT_COMPRESS != 0 => Boundary::Compressed,
            () => Boundary::End,
        }
    }

    /// A command may need all that was said before it: an open transaction, a setting, a prepared statement.
    fn expected(&mut self, server: u64, statements: &Statements, is_whole: bool) -> Result<Expect, Garbled> {
        let handshake =
            Expect { kind: LOGIN, handshake: true, asked: true, bound: true, binds: true, ..Expect::default() };
        let expect = match self.role {
            Role::Login => {
                self.flags = self.read_flags()?;
                Expect { kind: LOGIN | FIRST, bound: false, ..handshake }
            }
            Role::Reply => Expect { kind: LOGIN | REPLY, ..handshake },
            Role::File => Expect { kind: RESULTS | FILE, handshake: false, ..handshake },
            Role::Command => self.expected_of_command(statements, is_whole),
        };
        let can = FLAGS.iter().filter(|(flag, _)| self.flags & server & flag != 0);
        Ok(Expect { kind: can.fold(expect.kind, |kind, (_, flag)| kind | flag), ..expect })
    }

    fn expected_of_command(&mut self, statements: &Statements, is_whole: bool) -> Expect {
        let command = self.lead.first().copied().unwrap_or_default();
        let mut is_volatile = matches!(command, STATISTICS | PROCESS_INFO);
        let mut kind = match command {
            QUERY | PROCESS_INFO | EXECUTE | BULK_EXECUTE => RESULTS,
            FIELD_LIST | FETCH => ROWS,
            BINLOG_DUMP | TABLE_DUMP | BINLOG_DUMP_GTID => ROWS | FOREIGN,
            PROCESS_KILL | REGISTER_REPLICA => ONE | FOREIGN,
            PREPARE => PREPARED,
            CHANGE_USER => LOGIN,
            _ => ONE,
        };
        if is_whole && matches!(command, QUERY | PREPARE) {
            let volatile_text = self.text.end();
            is_volatile = volatile_text && command == QUERY;
            kind |= if volatile_text && command == PREPARE { VOLATILE } else { 0 };
            kind |= match command {
                _ if !self.text.kills() => 0,
                PREPARE => KILLS,
                _ => FOREIGN,
            };
        }
        if let Some(number) = self.statement(command) {
            let place = statements.place(number).unwrap_or(0);
            let nature = statements.nature(place);
            is_volatile = nature == Some(Nature::Volatile);
            kind |= u64::from(place) << PLACE_SHIFT | STATEMENT;
            kind |= if nature == Some(Nature::Foreign) { FOREIGN } else { 0 };
        }
        let is_statement = kind & STATEMENT != 0;
        Expect {
            kind,
            retryable: false,
            silent: matches!(command, QUIT | CLOSE | SEND_LONG_DATA),
            handshake: command == CHANGE_USER,
            asked: is_statement,
            volatile: is_volatile
                && matches!(command, QUERY | EXECUTE | FETCH | BULK_EXECUTE | STATISTICS | PROCESS_INFO),
            bound: true,
            binds: !matches!(command, QUIT | CLOSE),
        }
    }

    /// The number of the statement that a command names.
    fn statement(&self, command: u8) -> Option<u32> {
        let names_one = matches!(command, EXECUTE | SEND_LONG_DATA | CLOSE | RESET_STATEMENT | FETCH | BULK_EXECUTE);
        let number = self.lead.get(1..COMMAND_BYTES)?.first_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes));
        number.filter(|number| names_one && *number != LAST_STATEMENT)
    }

    /// What the client can do: four bytes, and four more at the end of a filler where it is not MySQL's own.
    fn read_flags(&self) -> Result<u64, Garbled> {
        let low = self.lead.first_chunk::<4>().map(|bytes| u64::from(u32::from_le_bytes(*bytes))).ok_or(Garbled)?;
        let high =
            self.lead.get(28..32).and_then(|bytes| bytes.first_chunk::<4>()).map(|bytes| u32::from_le_bytes(*bytes));
        let is_mysql = low & CLIENT_MYSQL != 0;
        let high = if is_mysql { 0 } else { u64::from(high.unwrap_or(0)) };
        if low & CLIENT_PROTOCOL_41 == 0 { Err(Garbled) } else { Ok(low | high << 32) }
    }
}
