//! One value of RESP2 or RESP3, byte by byte, so that it may be cut anywhere.
//!
//! Only the end of a value is wanted, so no tree is built: an aggregate adds its elements to the values that are still to
//! come.

use crate::protocol::Garbled;

/// Values that one answer may hold, nested ones included; a count beyond it is no count.
const VALUES_MAX: u64 = 1 << 32;

/// Longest string (`proto-max-bulk-len` may be raised to no more).
const STRING_MAX: u64 = 1 << 40;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before a value's first byte.
    Type,
    /// In a value that is one line.
    Line,
    /// In the line that says how long a string or how large an aggregate is.
    Count { kind: u8, value: Option<u64>, null: bool },
    /// In a string and its line end.
    Text { left: u64 },
}

/// Finds the end of values.
#[derive(Debug)]
pub(super) struct Scanner {
    state: State,
    /// Values to come before the present one is whole.
    pending: u64,
}

impl Scanner {
    /// Before a value.
    pub(super) const START: Self = Self { state: State::Type, pending: 1 };

    /// Consumes bytes up to the end of the value: how many, and whether it is reached.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Result<(usize, bool), Garbled> {
        let mut at = 0;
        while at < bytes.len() {
            match &mut self.state {
                State::Text { left } => {
                    let taken = (bytes.len() - at).min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= taken as u64;
                    at += taken;
                    if *left == 0 {
                        self.end_value();
                    }
                }
                State::Line => match memchr::memchr(b'\n', &bytes[at..]) {
                    Some(len) => {
                        at += len + 1;
                        self.end_value();
                    }
                    None => at = bytes.len(),
                },
                State::Type | State::Count { .. } => {
                    self.take(bytes[at])?;
                    at += 1;
                }
            }
            if self.pending == 0 {
                *self = Self::START;
                return Ok((at, true));
            }
        }
        Ok((at, false))
    }

    /// Passes over `len` lost bytes within a string; whether that is known to be where they lay, with its end still to come.
    pub(super) fn skip(&mut self, len: u64) -> bool {
        match &mut self.state {
            State::Text { left } if len < *left => {
                *left -= len;
                true
            }
            _ => len == 0,
        }
    }

    fn end_value(&mut self) {
        self.state = State::Type;
        self.pending -= 1;
    }

    fn take(&mut self, byte: u8) -> Result<(), Garbled> {
        self.state = match (self.state, byte) {
            (State::Type, b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(') => State::Line,
            (State::Type, b'$' | b'!' | b'=' | b'*' | b'~' | b'%' | b'>' | b'|') => {
                State::Count { kind: byte, value: None, null: false }
            }
            (State::Count { kind, value: None, null: false }, b'-') => State::Count { kind, value: None, null: true },
            (State::Count { kind, value, null }, b'0'..=b'9') => {
                let value =
                    value.unwrap_or(0).checked_mul(10).and_then(|value| value.checked_add(u64::from(byte - b'0')));
                State::Count { kind, value: Some(value.ok_or(Garbled)?), null }
            }
            (count @ State::Count { value: Some(_), .. }, b'\r') => count,
            (State::Count { kind, value: Some(value), null }, b'\n') => {
                return self.begin(kind, if null { None } else { Some(value) });
            }
            _ => return Err(Garbled),
        };
        Ok(())
    }

    /// A count is whole; without one, it is RESP2's null.
    fn begin(&mut self, kind: u8, count: Option<u64>) -> Result<(), Garbled> {
        match (kind, count) {
            (_, None) => self.end_value(),
            (b'$' | b'!' | b'=', Some(len)) if len <= STRING_MAX => self.state = State::Text { left: len + 2 },
            (b'*' | b'~' | b'%' | b'>' | b'|', Some(count)) if count <= VALUES_MAX => {
                let values = if matches!(kind, b'%' | b'|') { count * 2 } else { count };
                self.end_value();
                // Attributes come before the value that they belong to.
                self.pending += values + u64::from(kind == b'|');
                if self.pending > VALUES_MAX {
                    return Err(Garbled);
                }
            }
            _ => return Err(Garbled),
        }
        Ok(())
    }
}
