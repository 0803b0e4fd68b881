//! Packets: a length of three bytes, a number, and content; a packet of the greatest length is continued by the next.

/// Length of a packet whose message goes on in the next one.
pub(super) const LENGTH_MAX: u32 = (1 << 24) - 1;

/// A packet's length and number.
pub(super) const HEADER_BYTES: usize = 4;

/// Cuts one direction into packets and messages.
#[derive(Debug)]
pub(super) struct Packets {
    header: [u8; HEADER_BYTES],
    have: usize,
    left: u32,
    /// The next packet continues the message.
    continues: bool,
}

/// What bytes at the front are; all of them of one packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub(super) consumed: usize,
    pub(super) is_content: bool,
    /// A header, now whole, of a message's first packet.
    pub(super) begins: bool,
    /// The message ends here.
    pub(super) ends: bool,
}

impl Packets {
    /// Before a packet.
    pub(super) const START: Self = Self { header: [0; HEADER_BYTES], have: 0, left: 0, continues: false };

    /// Whether the next byte begins a message.
    pub(super) fn at_boundary(&self) -> bool {
        self.have == 0 && !self.continues
    }

    /// Length of the present packet.
    pub(super) fn len(&self) -> u32 {
        let [low, middle, high, _] = self.header;
        u32::from_le_bytes([low, middle, high, 0])
    }

    /// Number of the present packet.
    pub(super) fn number(&self) -> u8 {
        self.header[3]
    }

    /// Consumes bytes up to the end of a header or of a packet's content.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Piece {
        if self.have < 4 {
            return self.take_header(bytes);
        }
        let consumed = bytes.len().min(self.left as usize);
        self.left -= consumed as u32;
        Piece { consumed, is_content: true, begins: false, ends: self.end_packet() }
    }

    fn take_header(&mut self, bytes: &[u8]) -> Piece {
        let consumed = bytes.len().min(4 - self.have);
        self.header[self.have..self.have + consumed].copy_from_slice(&bytes[..consumed]);
        self.have += consumed;
        let is_whole = self.have == 4;
        if is_whole {
            self.left = self.len();
        }
        let begins = is_whole && !self.continues;
        Piece { consumed, is_content: false, begins, ends: is_whole && self.end_packet() }
    }

    /// Whether the message ends with the present packet, if that has ended.
    fn end_packet(&mut self) -> bool {
        if self.left > 0 {
            return false;
        }
        self.have = 0;
        self.continues = self.len() == LENGTH_MAX;
        !self.continues
    }

    /// Passes over `len` lost bytes, if they lay within the present packet's content and not at its end.
    pub(super) fn skip(&mut self, len: u64) -> bool {
        let is_within = self.have == 4 && len < u64::from(self.left);
        if is_within {
            self.left -= len as u32;
        }
        is_within
    }
}
