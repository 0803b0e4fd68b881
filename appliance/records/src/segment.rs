//! A segment: a head, then frames, in a file that is only ever appended to.
//!
//! ```text
//! head    magic 8 · version 4 · number of the first record 8 · made at 8 (ns since the Unix epoch) · CRC32 of these 4
//! frame   length of what follows the CRC 4 · CRC32 4 · class 1 · flags 1 · service 2 · payload
//! ```
//!
//! All numbers are little-endian. A frame's CRC also covers the number of its record, so that a frame is never taken for
//! one of another place. Two classes are no records: the name of a service, before the first record that uses its number,
//! and the contents of the next record.

use crate::disk::DiskFile;
use std::io::Result;

/// Length of a segment's head.
pub const HEAD_BYTES: u64 = 32;
/// Length of a frame before its payload.
pub const FRAME_BYTES: usize = 12;
/// Longest payload: beyond any contents that the engine keeps. A longer one is none of ours.
pub const PAYLOAD_BYTES: usize = 8 << 20;
/// Classes that records may have; as many as a summary counts.
pub const CLASSES: usize = 8;
/// Class of a frame that names a service.
pub const SERVICE: u8 = 255;
/// Class of a frame with the contents of the record behind it.
pub const CONTENTS: u8 = 254;
/// Flag of a record before which its contents stand.
pub const HAS_CONTENTS: u8 = 1;

const MAGIC: &[u8; 8] = b"TAPCPREC";
const VERSION: u32 = 1;
/// Read at once while a segment is gone through.
const CHUNK_BYTES: usize = 1 << 20;

/// What a segment's head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Number of its first record.
    pub first: u64,
    /// When it was made, in nanoseconds since the Unix epoch.
    pub made_at: u64,
}

impl Head {
    /// As bytes.
    pub fn encode(&self) -> [u8; HEAD_BYTES as usize] {
        let mut bytes = [0; HEAD_BYTES as usize];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.first.to_le_bytes());
        bytes[20..28].copy_from_slice(&self.made_at.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..28]);
        bytes[28..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// From a file; `None` where it does not begin as a segment does.
    pub fn read(file: &dyn DiskFile) -> Option<Self> {
        let mut bytes = [0; HEAD_BYTES as usize];
        file.read_at(0, &mut bytes).ok()?;
        let head = Self { first: number(&bytes[12..20]), made_at: number(&bytes[20..28]) };
        (head.encode() == bytes).then_some(head)
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Where a record stands, and what it is found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Of its frame in the segment.
    pub offset: u32,
    /// Number of its service in the segment.
    pub service: u16,
    /// What the writer calls it.
    pub class: u8,
    /// [`HAS_CONTENTS`] or none.
    pub flags: u8,
}

/// One frame.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    pub class: u8,
    pub flags: u8,
    pub service: u16,
    pub payload: &'a [u8],
}

impl Frame<'_> {
    /// Appends it; `record` is the number of the record that it is, or belongs to.
    pub fn push(&self, bytes: &mut Vec<u8>, record: u64) {
        let start = bytes.len();
        bytes.extend((self.payload.len() as u32 + 4).to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend([self.class, self.flags]);
        bytes.extend(self.service.to_le_bytes());
        bytes.extend_from_slice(self.payload);
        let crc = crc(record, &bytes[start + 8..]);
        bytes[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
    }
}

fn crc(record: u64, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&record.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

/// Length of the frame that begins with these bytes, as far as that can be true.
fn frame_length(head: &[u8]) -> Option<usize> {
    let length = number(&head[..4]) as usize;
    (4..=PAYLOAD_BYTES + 4).contains(&length).then_some(length + 8)
}

/// The frame that these bytes are, if its checksum holds.
fn decode(bytes: &[u8], record: u64) -> Option<Frame<'_>> {
    let holds = crc(record, &bytes[8..]) == number(&bytes[4..8]) as u32;
    let (class, flags, service) = (bytes[8], bytes[9], number(&bytes[10..12]) as u16);
    holds.then_some(Frame { class, flags, service, payload: &bytes[FRAME_BYTES..] })
}

/// The frame at this offset into `buffer`; `None` where there is none that is whole.
pub fn read_frame<'b>(file: &dyn DiskFile, offset: u64, record: u64, buffer: &'b mut Vec<u8>) -> Option<Frame<'b>> {
    buffer.resize(FRAME_BYTES, 0);
    file.read_at(offset, buffer).ok()?;
    let length = frame_length(buffer)?;
    buffer.resize(length, 0);
    file.read_at(offset + FRAME_BYTES as u64, &mut buffer[FRAME_BYTES..]).ok()?;
    decode(buffer, record)
}

/// What a segment was found to hold.
#[derive(Debug, Default)]
pub struct Scan {
    /// Its records.
    pub entries: Vec<Entry>,
    /// Names of the services, by number.
    pub services: Vec<String>,
    /// Length up to the end of the last whole record, with all that belongs to it.
    pub whole: u64,
}

/// Goes through a segment frame by frame, up to the first that is not whole.
///
/// # Errors
/// The file cannot be read.
pub fn scan(file: &dyn DiskFile, head: Head) -> Result<Scan> {
    let mut window = Window { file, end: file.length()?, start: HEAD_BYTES, bytes: Vec::new(), used: 0 };
    let mut scan = Scan { whole: HEAD_BYTES, ..Scan::default() };
    let mut services = 0;
    loop {
        let (offset, record) = (window.start, head.first + scan.entries.len() as u64);
        let Some(length) = window.ensure(FRAME_BYTES)?.and_then(frame_length) else { break };
        let Some(frame) = window.ensure(length)?.and_then(|bytes| decode(bytes, record)) else { break };
        let Frame { class, flags, service, payload } = frame;
        match class {
            SERVICE => scan.services.push(String::from_utf8_lossy(payload).into_owned()),
            CONTENTS => {}
            _ => {
                scan.entries.push(Entry { offset: offset as u32, service, class, flags });
                (scan.whole, services) = (offset + length as u64, scan.services.len());
            }
        }
        window.skip(length);
    }
    // A name behind the last record is written again with the next one.
    scan.services.truncate(services);
    Ok(scan)
}

/// A part of a file that moves on.
struct Window<'a> {
    file: &'a dyn DiskFile,
    end: u64,
    /// Offset of the next byte.
    start: u64,
    /// Bytes held; those before `used` are done with.
    bytes: Vec<u8>,
    used: usize,
}

impl Window<'_> {
    /// The next `count` bytes, if the file has them.
    fn ensure(&mut self, count: usize) -> Result<Option<&[u8]>> {
        if self.bytes.len() - self.used < count {
            self.bytes.drain(..self.used);
            self.used = 0;
            let held = self.bytes.len();
            let from = self.start + held as u64;
            let more = (self.end - from).min(CHUNK_BYTES.max(count) as u64) as usize;
            self.bytes.resize(held + more, 0);
            self.file.read_at(from, &mut self.bytes[held..])?;
        }
        Ok(self.bytes[self.used..].get(..count))
    }

    fn skip(&mut self, count: usize) {
        self.used += count;
        self.start += count as u64;
    }
}
