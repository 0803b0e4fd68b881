//! The chunked transfer coding (RFC 9112, section 7.1), byte by byte, so that a message may be cut anywhere.

use crate::protocol::Garbled;

/// Where in a chunked message the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunked {
    /// In a chunk's size; `digit` once it has one.
    Size { size: u64, digit: bool },
    /// In what follows the size: blanks, extensions.
    Extension { size: u64 },
    /// Behind the carriage return that ends the line of a size.
    SizeEnd { size: u64 },
    /// In a chunk's data.
    Data { left: u64 },
    /// Behind a chunk's data.
    DataEnd,
    /// Behind the carriage return after a chunk's data.
    DataLineFeed,
    /// In the trailer section; `blank` while its line has no byte.
    Trailer { blank: bool },
    /// Behind the message.
    Done,
}

impl Chunked {
    /// Before the first chunk.
    pub(super) const START: Self = Self::Size { size: 0, digit: false };

    /// Consumes bytes that are not data, up to where data or the next message begins: the state then, and how many.
    pub(super) fn framing(mut self, bytes: &[u8]) -> Result<(Self, usize), Garbled> {
        for (at, &byte) in bytes.iter().enumerate() {
            self = self.next(byte)?;
            if matches!(self, Self::Data { .. } | Self::Done) {
                return Ok((self, at + 1));
            }
        }
        Ok((self, bytes.len()))
    }

    /// The state behind `len` bytes of data, of which `left` were to come.
    pub(super) fn after_data(left: u64, len: u64) -> Self {
        match left.saturating_sub(len) {
            0 => Self::DataEnd,
            left => Self::Data { left },
        }
    }

    fn next(self, byte: u8) -> Result<Self, Garbled> {
        Ok(match (self, byte) {
            (Self::Size { size, .. }, byte) if byte.is_ascii_hexdigit() => {
                Self::Size { size: push_digit(size, byte).ok_or(Garbled)?, digit: true }
            }
            (Self::Size { size, digit: true }, b';' | b' ' | b'\t') => Self::Extension { size },
            (Self::Size { size, digit: true }, b'\r') => Self::SizeEnd { size },
            (Self::Size { size, digit: true } | Self::Extension { size } | Self::SizeEnd { size }, b'\n') => {
                Self::after_size(size)
            }
            (Self::Extension { size }, _) => Self::Extension { size },
            (Self::DataEnd, b'\r') => Self::DataLineFeed,
            (Self::DataEnd | Self::DataLineFeed, b'\n') => Self::START,
            (Self::Trailer { blank: true }, b'\n') => Self::Done,
            (Self::Trailer { blank }, b'\r') => Self::Trailer { blank },
            (Self::Trailer { .. }, byte) => Self::Trailer { blank: byte == b'\n' },
            _ => return Err(Garbled),
        })
    }

    fn after_size(size: u64) -> Self {
        match size {
            0 => Self::Trailer { blank: true },
            left => Self::Data { left },
        }
    }
}

fn push_digit(size: u64, hex: u8) -> Option<u64> {
    let digit = char::from(hex).to_digit(16)?;
    size.checked_mul(16)?.checked_add(u64::from(digit))
}
