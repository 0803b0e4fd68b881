//! What is left of a frame at one layer.

use crate::ledger::Ignored;
use crate::message::MirrorFrame;

/// Captured bytes, and the number of bytes which the wire had after them.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    /// The captured bytes.
    pub bytes: &'a [u8],
    /// How many the capture cut off.
    pub missing: usize,
}

impl<'a> View<'a> {
    /// All of a frame.
    #[inline]
    pub fn of(frame: &MirrorFrame<'a>) -> Self {
        Self { bytes: frame.bytes, missing: (frame.wire_len as usize).saturating_sub(frame.bytes.len()) }
    }

    /// The first `N` bytes; `short` is the reason where the wire had fewer.
    #[inline(always)]
    pub fn head<const N: usize>(&self, short: Ignored) -> Result<&'a [u8; N], Ignored> {
        self.bytes.first_chunk().ok_or_else(|| self.lack(N, short))
    }

    /// What follows the first `len` bytes.
    #[inline(always)]
    pub fn skip(self, len: usize, short: Ignored) -> Result<Self, Ignored> {
        match self.bytes.get(len..) {
            Some(bytes) => Ok(Self { bytes, missing: self.missing }),
            None => Err(self.lack(len, short)),
        }
    }

    /// The first `len` bytes of the wire, as far as they were captured.
    #[inline(always)]
    pub fn limit(self, len: usize, short: Ignored) -> Result<Self, Ignored> {
        match self.bytes.get(..len) {
            Some(bytes) => Ok(Self { bytes, missing: 0 }),
            None if len <= self.wire_len() => Ok(Self { bytes: self.bytes, missing: len - self.bytes.len() }),
            None => Err(short),
        }
    }

    /// Length on the wire.
    #[inline]
    pub fn wire_len(&self) -> usize {
        self.bytes.len().saturating_add(self.missing)
    }

    #[cold]
    fn lack(&self, len: usize, short: Ignored) -> Ignored {
        if len <= self.wire_len() { Ignored::Truncated } else { short }
    }
}

/// The big-endian number in two bytes of a header.
#[inline(always)]
pub(super) fn be16<const N: usize>(header: &[u8; N], at: usize) -> u16 {
    u16::from_be_bytes([header[at], header[at + 1]])
}

/// The big-endian number in four bytes of a header.
#[inline(always)]
pub(super) fn be32<const N: usize>(header: &[u8; N], at: usize) -> u32 {
    u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
}
