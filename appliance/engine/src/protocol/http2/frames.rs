//! Frames, the units in which both sides speak (RFC 9113, section 4.1).

use core::ops::Range;

/// Bytes in front of each frame's content.
const HEAD_BYTES: usize = 9;

/// Types of frames (section 6).
pub mod kind {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const RST_STREAM: u8 = 3;
    pub const PUSH_PROMISE: u8 = 5;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// Flags of frames (section 6).
pub mod flag {
    pub const END_STREAM: u8 = 0x01;
    pub const END_HEADERS: u8 = 0x04;
    pub const PADDED: u8 = 0x08;
    pub const PRIORITY: u8 = 0x20;
}

/// What stands in front of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    /// Bytes of its content.
    pub len: usize,
}

impl Frame {
    pub fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Whether it belongs to a request or an answer, and is not about the connection or its credit.
    pub fn is_of_message(self) -> bool {
        matches!(self.kind, kind::DATA | kind::HEADERS | kind::CONTINUATION | kind::RST_STREAM)
    }

    /// Whether it is credit for the whole connection: the sum alone counts, and not where it is said.
    pub fn is_credit(self) -> bool {
        self.kind == kind::WINDOW_UPDATE && self.stream == 0
    }

    /// Whether it is the last of its sender on its stream, the frames that continue it aside.
    pub fn ends_stream(self) -> bool {
        matches!(self.kind, kind::DATA | kind::HEADERS) && self.has(flag::END_STREAM)
    }
}

/// One direction, cut into frames.
#[derive(Debug, Default)]
pub struct Frames {
    head: [u8; HEAD_BYTES],
    /// Bytes of the next head that are there.
    have: usize,
    /// The frame within, and how many bytes of its content are still to come.
    within: Option<(Frame, usize)>,
    /// Bytes of padding at the end of the frame within; not known before its first byte.
    padding: Option<usize>,
}

impl Frames {
    /// The frame within.
    pub fn within(&self) -> Option<Frame> {
        self.within.map(|(frame, _)| frame)
    }

    /// Whether nothing of a frame is there yet.
    pub fn at_boundary(&self) -> bool {
        self.within.is_none() && self.have == 0
    }

    /// The frame to which the next of these bytes belong, if its head is whole.
    pub fn peek(&self, bytes: &[u8]) -> Option<Frame> {
        self.within().or_else(|| {
            let mut head = self.head;
            let missing = &mut head[self.have..];
            missing.copy_from_slice(bytes.get(..missing.len())?);
            Some(Frame {
                kind: head[3],
                flags: head[4],
                stream: u32::from_be_bytes([head[5] & 0x7F, head[6], head[7], head[8]]),
                len: u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize,
            })
        })
    }

    /// Takes what there is of the next head; how many bytes.
    pub fn take_head(&mut self, bytes: &[u8]) -> usize {
        if let Some(frame) = self.peek(bytes) {
            self.within = Some((frame, frame.len));
            self.padding = None;
            return HEAD_BYTES - core::mem::take(&mut self.have);
        }
        self.head[self.have..self.have + bytes.len()].copy_from_slice(bytes);
        self.have += bytes.len();
        bytes.len()
    }

    /// Takes content of the frame within, at most `most` bytes; how many.
    pub fn take_content(&mut self, bytes: &[u8], most: usize) -> usize {
        let Some((_, left)) = &mut self.within else { return 0 };
        let taken = bytes.len().min(*left).min(most);
        *left -= taken;
        taken
    }

    /// Takes content of the frame of data within, at the front of which `consumed` bytes are its head. How many bytes are consumed
    /// then, and which of them are data: not the padding around them (section 6.1).
    pub fn take_data(&mut self, mut consumed: usize, bytes: &[u8]) -> (usize, Range<usize>) {
        let is_padded = self.within.is_some_and(|(frame, _)| frame.has(flag::PADDED) && frame.len > 0);
        if is_padded && self.padding.is_none() {
            let Some(len) = bytes.get(consumed) else { return (consumed, consumed..consumed) };
            consumed += self.take_content(&bytes[consumed..], 1);
            self.padding = Some(usize::from(*len));
        }
        let from = consumed;
        let padding = self.padding.unwrap_or(0);
        let most = self.left().saturating_sub(padding);
        consumed += self.take_content(&bytes[from..], most);
        let to = consumed;
        if self.left() <= padding {
            consumed += self.take_content(&bytes[to..], usize::MAX);
        }
        (consumed, from..to)
    }

    /// Whether it is known what of the frame within is padding.
    pub fn knows_padding(&self) -> bool {
        self.within.is_some_and(|(frame, _)| !frame.has(flag::PADDED) || self.padding.is_some())
    }

    /// Passes over content of the frame within.
    pub fn skip(&mut self, len: usize) {
        if let Some((_, left)) = &mut self.within {
            *left = left.saturating_sub(len);
        }
    }

    /// Bytes of the frame within that are still to come.
    pub fn left(&self) -> usize {
        self.within.map_or(0, |(_, left)| left)
    }

    /// The frame within, if all of it was taken; the next one follows.
    pub fn finish(&mut self) -> Option<Frame> {
        self.within.take_if(|(_, left)| *left == 0).map(|(frame, _)| frame)
    }
}
