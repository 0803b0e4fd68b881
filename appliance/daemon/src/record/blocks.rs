//! pcapng (draft-ietf-opsawg-pcapng): a section header, an interface description for each mirror NIC, and an enhanced
//! packet block for each frame, with stamps in nanoseconds.

use super::Interface;
use crate::capture::link_number;
use tapcopy_engine::MirrorFrame;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
/// Option of any block: a remark.
const OPTION_COMMENT: u16 = 1;
/// Option of a section: the program that wrote it.
const OPTION_PROGRAM: u16 = 4;
/// Option of an interface: its name.
const OPTION_NAME: u16 = 2;
/// Option of an interface: the negative power of ten that its stamps count in.
const OPTION_RESOLUTION: u16 = 9;

/// What each file begins with.
pub fn head(interfaces: &[Interface]) -> Vec<u8> {
    head_with_comment(interfaces, "")
}

/// The same, with a comment unless it is empty.
pub fn head_with_comment(interfaces: &[Interface], comment: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    block(&mut bytes, SECTION_HEADER, |body| {
        body.extend(BYTE_ORDER.to_le_bytes());
        body.extend([1, 0, 0, 0]);
        // The section's length is not known in advance.
        body.extend([0xff; 8]);
        if !comment.is_empty() {
            option(body, OPTION_COMMENT, comment.as_bytes());
        }
        option(body, OPTION_PROGRAM, concat!("tapcopy ", env!("CARGO_PKG_VERSION")).as_bytes());
        body.extend([0; 4]);
    });
    for interface in interfaces {
        block(&mut bytes, INTERFACE_DESCRIPTION, |body| {
            body.extend(link_number(interface.link).to_le_bytes());
            body.extend([0; 2]);
            // No limit on the length of a frame.
            body.extend([0; 4]);
            option(body, OPTION_NAME, interface.name.as_bytes());
            option(body, OPTION_RESOLUTION, &[9]);
            body.extend([0; 4]);
        });
    }
    bytes
}

/// Appends a frame of the interface of this number.
pub fn push_packet(bytes: &mut Vec<u8>, interface: usize, frame: &MirrorFrame<'_>) {
    let stamp = frame.captured_at.as_nanos();
    block(bytes, ENHANCED_PACKET, |body| {
        let words = [interface as u32, (stamp >> 32) as u32, stamp as u32, frame.bytes.len() as u32, frame.wire_len];
        words.iter().for_each(|word| body.extend(word.to_le_bytes()));
        padded(body, frame.bytes);
    });
}

/// The length of the block at the beginning of whole blocks.
pub fn length(blocks: &[u8]) -> usize {
    word(blocks, 4) as usize
}

/// When the frame of the block at the beginning of whole packet blocks was captured, in nanoseconds since the Unix epoch.
pub fn stamp(blocks: &[u8]) -> u64 {
    u64::from(word(blocks, 12)) << 32 | u64::from(word(blocks, 16))
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|index| bytes[at + index]))
}

/// A block around what `fill` appends: its type, its length, the body, its length again.
fn block(bytes: &mut Vec<u8>, kind: u32, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = bytes.len();
    bytes.extend(kind.to_le_bytes());
    bytes.extend([0; 4]);
    fill(bytes);
    let length = ((bytes.len() - start + 4) as u32).to_le_bytes();
    bytes[start + 4..start + 8].copy_from_slice(&length);
    bytes.extend(length);
}

fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    body.extend(code.to_le_bytes());
    body.extend((value.len() as u16).to_le_bytes());
    padded(body, value);
}

fn padded(body: &mut Vec<u8>, value: &[u8]) {
    body.extend_from_slice(value);
    body.resize(body.len() + value.len().next_multiple_of(4) - value.len(), 0);
}
