//! The frames that wait to be sent on the target NIC.

use super::ethernet;

/// A bounded queue of frames in one allocation, made once: frames are written in place and read in place.
#[derive(Debug)]
pub struct TransmitQueue {
    slots: Box<[u8]>,
    slot_bytes: usize,
    lens: Box<[usize]>,
    first: usize,
    len: usize,
    frames_dropped: u64,
}

impl TransmitQueue {
    /// A queue of up to `frames` frames, each with an IP packet of up to `mtu` bytes.
    pub fn new(frames: usize, mtu: u16) -> Self {
        let slot_bytes = ethernet::HEADER_LEN_MAX + usize::from(mtu);
        Self {
            slots: vec![0; frames * slot_bytes].into_boxed_slice(),
            slot_bytes,
            lens: vec![0; frames].into_boxed_slice(),
            first: 0,
            len: 0,
            frames_dropped: 0,
        }
    }

    /// Adds a frame of `len` bytes which `fill` writes, every byte of it. False, and counted, if the queue is full or the
    /// frame too long.
    pub fn push(&mut self, len: usize, fill: impl FnOnce(&mut [u8])) -> bool {
        if self.is_full() || len > self.slot_bytes {
            self.frames_dropped += 1;
            return false;
        }
        let slot = (self.first + self.len) % self.lens.len();
        fill(&mut self.slots[slot * self.slot_bytes..][..len]);
        self.lens[slot] = len;
        self.len += 1;
        true
    }

    /// Removes the oldest frame; its bytes stay in place until the next `push`.
    pub fn pop(&mut self) -> Option<&[u8]> {
        if self.len == 0 {
            return None;
        }
        let slot = self.first;
        self.first = (slot + 1) % self.lens.len();
        self.len -= 1;
        Some(&self.slots[slot * self.slot_bytes..][..self.lens[slot]])
    }

    /// Frames that wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no frame waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether a `push` would fail.
    pub fn is_full(&self) -> bool {
        self.len == self.lens.len()
    }

    /// Frames that could not be added.
    pub fn frames_dropped(&self) -> u64 {
        self.frames_dropped
    }
}
