//! Frames that the mirror shows twice.
//!
//! A mirror of both ingress and egress copies every frame at two places: with another tag, another TTL, other addresses of
//! the link, and a few frames apart. What the sender wrote is the same, down to the checksum and the packet's number. A
//! retransmission is another packet: it has a number, or a timestamp option, of its own, and comes later.

use super::Segment;
use crate::time::Time;

/// Segments of a session that are remembered. The two copies are as far apart as the switch holds a frame, which is some
/// microseconds: few segments of one session.
const REMEMBERED: usize = 8;

/// The farthest that two copies can be apart: the deepest queue of a switch. A client waits longer before it sends again
/// (RFC 6298 says a second, and Linux 200 ms).
const APART_MILLIS_MAX: u32 = 100;

/// The segments of one session that were shown last.
#[derive(Debug, Default)]
pub struct Recent {
    marks: [u32; REMEMBERED],
    /// When each was captured, in milliseconds, modulo 2^32.
    millis: [u32; REMEMBERED],
    shown: u32,
}

impl Recent {
    /// Notes a segment; whether it had been shown before.
    pub fn note(&mut self, segment: &Segment<'_>, captured_at: Time) -> bool {
        if !is_telling(segment) {
            return false;
        }
        let mark = mark_of(segment);
        let millis = (captured_at.as_nanos() / 1_000_000) as u32;
        let is_near = |then: u32| millis.wrapping_sub(then).min(then.wrapping_sub(millis)) <= APART_MILLIS_MAX;
        if self.marks.iter().zip(&self.millis).any(|(known, then)| *known == mark && is_near(*then)) {
            return true;
        }
        let slot = self.shown as usize % REMEMBERED;
        (self.marks[slot], self.millis[slot]) = (mark, millis);
        self.shown = self.shown.wrapping_add(1);
        false
    }
}

/// Whether equal segments are equal packets. Acknowledgements may well repeat themselves (RFC 5681), and where neither a
/// packet's number nor an option tells them apart, nothing does.
fn is_telling(segment: &Segment<'_>) -> bool {
    let flags = segment.flags;
    segment.ip_id != 0 || segment.header.len() > 20 || !segment.payload.is_empty() || flags.syn() || flags.fin()
}

/// A number that equal packets have in common and others hardly ever. It serves only to count.
fn mark_of(segment: &Segment<'_>) -> u32 {
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let word =
        |at: usize| segment.header.get(at..at + 8).and_then(|word| word.first_chunk().copied()).unwrap_or_default();
    let len = segment.payload.len() as u64 + u64::from(segment.missing);
    // Ports and sequence number; acknowledgement, flags and window; checksum and urgent pointer; the end of the options,
    // where timestamps stand, since a checksum that the sender left to its NIC does not cover them.
    let words = [word(0), word(8), word(12), word(segment.header.len() - 8)].map(u64::from_ne_bytes);
    let mark = words
        .into_iter()
        .fold(len << 16 | u64::from(segment.ip_id), |mark, word| (mark.rotate_left(23) ^ word).wrapping_mul(SPREAD));
    (mark >> 32) as u32
}
