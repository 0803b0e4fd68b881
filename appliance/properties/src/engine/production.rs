//! Clients and their origin, as the mirror shows them.

use super::packet::{ACK, FIN, ORIGIN, ORIGIN_PORT, RST, SYN, Segment, places, write};
use crate::shown::Shown;
use arbitrary::{Result, Unstructured};
use core::time::Duration;
use tapcopy_engine::message::LinkType;

/// Flows that an input can speak of.
const FLOWS: usize = 4;
/// The first client's address; the others follow it.
const CLIENT: u32 = 0x0a01_0001;

/// What was sent on each flow so far: the next sequence number of the client and of the origin.
#[derive(Debug)]
pub struct Production {
    next: [[u32; 2]; FLOWS],
}

impl Default for Production {
    fn default() -> Self {
        Self { next: [[0xffff_fff0, 1_000]; FLOWS] }
    }
}

/// A frame, and what the capture cut off from it.
pub struct Frame {
    pub bytes: Vec<u8>,
    missing: u8,
}

impl Frame {
    /// All of it but the bytes.
    pub fn shown(&self) -> Shown<'static> {
        Shown { link: LinkType::Ethernet, missing: self.missing, pause: Duration::ZERO, bytes: &[] }
    }
}

impl Production {
    /// The next segment: a byte for flow, side and flags each, one for the content, one for what is wrong with it.
    pub fn frame(&mut self, input: &mut Unstructured<'_>, words: &[&[u8]]) -> Result<Frame> {
        let (which, content): (u8, u8) = (input.arbitrary()?, input.arbitrary()?);
        let (flow, side) = (usize::from(which & 3), usize::from(which >> 2 & 1));
        let flags = flags(which >> 3, side);
        let wrong: u8 = input.arbitrary()?;
        let payload = if content & 1 == 0 { &[] } else { words[usize::from(content >> 1) % words.len()] };
        let shift = if wrong < 0xc0 { 0 } else { i32::from(wrong as i8) + 0x20 };
        let next = &mut self.next[flow];
        let seq = next[side].wrapping_add_signed(shift);
        if shift == 0 {
            next[side] = seq.wrapping_add(payload.len() as u32 + places(flags));
        }
        let client = (CLIENT + flow as u32 / 2, 40_000 + flow as u16);
        let origin = (ORIGIN.to_bits(), if flow == 3 { 81 } else { ORIGIN_PORT });
        let (from, to) = if side == 0 { (client, origin) } else { (origin, client) };
        let segment = Segment { from, to, seq, ack: next[1 - side], flags };
        let mut bytes = write(&segment, payload);
        let missing = if (0xa0..0xc0).contains(&wrong) { (wrong - 0xa0).min(payload.len() as u8) } else { 0 };
        bytes.truncate(bytes.len() - usize::from(missing));
        Ok(Frame { bytes, missing })
    }
}

/// Mostly a plain segment, so that sessions live.
fn flags(choice: u8, side: usize) -> u8 {
    match choice % 32 {
        0..20 => ACK,
        20..24 if side == 0 => SYN,
        20..24 => SYN | ACK,
        24..28 => FIN | ACK,
        28 => RST,
        29 => RST | ACK,
        30 => FIN | SYN,
        _ => 0,
    }
}
