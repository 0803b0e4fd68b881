//! Commands: an array of strings, or a line of words (inline), and what their names say.

use crate::protocol::{Boundary, Garbled};

/// Arguments of one command, and bytes of one argument, as servers bound them by default.
const ARGUMENTS_MAX: u64 = 1 << 20;
const ARGUMENT_BYTES_MAX: u64 = 512 << 20;

/// Channels of one connection that are told apart; beyond them, leaving all of them is not followed.
pub(super) const CHANNELS_MAX: usize = 65_536;

/// Longest inline command.
const INLINE_MAX: usize = 64 << 10;

/// First bytes of the first arguments that are kept, enough for every command's name.
const WORDS: usize = 3;
const WORD_BYTES: usize = 24;

/// A command as far as it was read.
#[derive(Debug, Default)]
pub(super) struct Command {
    words: [([u8; WORD_BYTES], u8); WORDS],
    /// Hashes of the arguments behind the name, for the commands that name channels.
    pub(super) channels: Vec<u64>,
    /// Arguments read whole, the name included.
    pub(super) arguments: u64,
    hash: u64,
}

impl Command {
    /// Word `index` in upper case.
    pub(super) fn word(&self, index: usize) -> &[u8] {
        let (bytes, len) = &self.words[index];
        &bytes[..usize::from(*len)]
    }

    /// Whether it subscribes or unsubscribes, and so is answered once for each channel.
    pub(super) fn names_channels(&self) -> bool {
        matches!(
            self.word(0),
            b"SUBSCRIBE" | b"PSUBSCRIBE" | b"SSUBSCRIBE" | b"UNSUBSCRIBE" | b"PUNSUBSCRIBE" | b"SUNSUBSCRIBE"
        )
    }

    fn push(&mut self, bytes: &[u8]) {
        if let Some((word, len)) = usize::try_from(self.arguments).ok().and_then(|index| self.words.get_mut(index)) {
            for byte in bytes.iter().take(WORD_BYTES - usize::from(*len)) {
                word[usize::from(*len)] = byte.to_ascii_uppercase();
                *len += 1;
            }
        }
        if self.arguments > 0 && self.names_channels() {
            // FNV-1a; only equality within a session counts.
            self.hash =
                bytes.iter().fold(self.hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01B3));
        }
    }

    fn end_argument(&mut self) {
        if self.arguments > 0 && self.names_channels() && self.channels.len() < CHANNELS_MAX {
            self.channels.push(self.hash);
        }
        self.hash = 0xCBF2_9CE4_8422_2325;
        self.arguments += 1;
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before a command; blank lines may precede it.
    Start,
    /// In a line of words; how many bytes of it were read.
    Inline { len: usize, in_word: bool },
    /// In the count of arguments.
    Arguments { count: Option<u64>, negative: bool },
    /// Before an argument's length.
    Dollar { left: u64 },
    /// In an argument's length.
    Length { left: u64, len: Option<u64> },
    /// In an argument: so many bytes left, and then its line end.
    Argument { left: u64, bytes: u64 },
    /// In the line end behind an argument.
    LineEnd { left: u64, bytes: u8 },
    /// Behind a fault or a gap.
    Lost,
}

/// The client's stream.
#[derive(Debug)]
pub(super) struct Requests {
    state: State,
    pub(super) command: Command,
}

impl Requests {
    /// At a command's beginning.
    pub(super) fn new() -> Self {
        Self { state: State::Start, command: Command::default() }
    }

    /// Whether the next byte begins a command.
    pub(super) fn at_boundary(&self) -> bool {
        self.state == State::Start
    }

    /// Whether the command's first words are known.
    pub(super) fn is_named(&self) -> bool {
        self.command.arguments >= WORDS as u64
    }

    /// Consumes bytes up to a command's end.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Result<(usize, Boundary), Garbled> {
        if self.at_boundary() && !bytes.is_empty() {
            self.command = Command::default();
        }
        let mut at = 0;
        while at < bytes.len() {
            let (consumed, ends) = match self.state {
                State::Argument { left, bytes: len } => (self.take_argument(left, len, &bytes[at..]), false),
                _ => (1, self.take(bytes[at])?),
            };
            at += consumed;
            if ends {
                self.state = State::Start;
                return Ok((at, Boundary::End));
            }
        }
        Ok((at, Boundary::Inside))
    }

    /// Passes over `len` lost bytes within an argument that says nothing of the answer.
    pub(super) fn skip(&mut self, len: u64) -> bool {
        match &mut self.state {
            State::Argument { bytes, .. } if len <= *bytes && self.command.arguments >= WORDS as u64 => {
                *bytes -= len;
                !self.command.names_channels()
            }
            _ if len == 0 => true,
            state => {
                *state = State::Lost;
                false
            }
        }
    }

    fn take_argument(&mut self, left: u64, len: u64, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(usize::try_from(len).unwrap_or(usize::MAX));
        self.command.push(&bytes[..taken]);
        self.state = match len - taken as u64 {
            0 => State::LineEnd { left, bytes: 2 },
            bytes => State::Argument { left, bytes },
        };
        taken
    }

    /// Takes a byte that is none of an argument; whether the command ends with it.
    fn take(&mut self, byte: u8) -> Result<bool, Garbled> {
        let state = core::mem::replace(&mut self.state, State::Lost);
        self.state = match (state, byte) {
            (State::Start, b'\r' | b'\n') => State::Start,
            (State::Start, b'*') => State::Arguments { count: None, negative: false },
            (State::Start, _) => return self.take_inline(0, false, byte),
            (State::Inline { len, in_word }, _) => return self.take_inline(len, in_word, byte),
            (State::Arguments { count: None, negative: false }, b'-') => {
                State::Arguments { count: None, negative: true }
            }
            (State::Arguments { count, negative }, b'0'..=b'9') => {
                State::Arguments { count: Some(push_digit(count, byte, ARGUMENTS_MAX)?), negative }
            }
            (arguments @ State::Arguments { count: Some(_), .. }, b'\r') => arguments,
            // The server passes over an empty array.
            (State::Arguments { count: Some(0), .. } | State::Arguments { count: Some(_), negative: true }, b'\n') => {
                State::Start
            }
            (State::Arguments { count: Some(left), .. }, b'\n') => State::Dollar { left },
            (State::Dollar { left }, b'$') => State::Length { left, len: None },
            (State::Length { left, len }, b'0'..=b'9') => {
                State::Length { left, len: Some(push_digit(len, byte, ARGUMENT_BYTES_MAX)?) }
            }
            (length @ State::Length { len: Some(_), .. }, b'\r') => length,
            (State::Length { left, len: Some(0) }, b'\n') => State::LineEnd { left, bytes: 2 },
            (State::Length { left, len: Some(bytes) }, b'\n') => State::Argument { left, bytes },
            (State::LineEnd { left, bytes: 2 }, b'\r') => State::LineEnd { left, bytes: 1 },
            (State::LineEnd { left, bytes: 1 }, b'\n') => {
                self.command.end_argument();
                self.state = State::Dollar { left: left - 1 };
                return Ok(left == 1);
            }
            _ => return Err(Garbled),
        };
        Ok(false)
    }

    /// Takes a byte of an inline command. Quotes matter only for the words' extent, which counts for nothing here but in
    /// the first two.
    fn take_inline(&mut self, len: usize, in_word: bool, byte: u8) -> Result<bool, Garbled> {
        if len >= INLINE_MAX || (len == 0 && !byte.is_ascii_graphic()) {
            return Err(Garbled);
        }
        let is_blank = byte.is_ascii_whitespace();
        match is_blank {
            true if in_word => self.command.end_argument(),
            true => {}
            false => self.command.push(&[byte]),
        }
        self.state = State::Inline { len: len + 1, in_word: !is_blank };
        Ok(byte == b'\n')
    }
}

fn push_digit(value: Option<u64>, digit: u8, max: u64) -> Result<u64, Garbled> {
    let value = value.unwrap_or(0) * 10 + u64::from(digit - b'0');
    if value > max { Err(Garbled) } else { Ok(value) }
}

/// Whether bytes begin a command as clients send it: an array whose first element is a name. `None`: too few bytes to tell.
pub(super) fn begins_array(bytes: &[u8]) -> Option<bool> {
    let Some(rest) = number_line(b'*', bytes, 1..=ARGUMENTS_MAX)? else { return Some(false) };
    let Some(name) = number_line(b'$', rest.0, 1..=WORD_BYTES as u64)? else { return Some(false) };
    let (name, len) = (name.0, usize::try_from(name.1).unwrap_or(0));
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'|');
    if !name.iter().take(len).all(is_name) {
        return Some(false);
    }
    (name.len() >= len).then_some(true)
}

/// What follows a line of one number within `range` after `kind`, and the number; the outer `None`: too few bytes.
#[expect(clippy::option_option, reason = "not a number and not known yet are two things")]
fn number_line(kind: u8, bytes: &[u8], range: core::ops::RangeInclusive<u64>) -> Option<Option<(&[u8], u64)>> {
    let (first, rest) = bytes.split_first()?;
    if *first != kind {
        return Some(None);
    }
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits > 10 {
        return Some(None);
    }
    let number = rest[..digits].iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
    match &rest[digits..] {
        [] | [b'\r'] => None,
        [b'\r', b'\n', rest @ ..] if digits > 0 && range.contains(&number) => Some(Some((rest, number))),
        _ => Some(None),
    }
}
