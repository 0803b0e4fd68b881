//! The index of a segment that is sealed: where each record stands, and how many there are of each service and class.
//!
//! ```text
//! head     magic 8 · length of the head 4 · its CRC32, with these four bytes as zero 4 · number of the first record 8 · records 8 ·
//!          length of the segment 8 · CRC32 of the entries 4 · services 4 · of each: name, records by class 8 × 4
//! entries  of each record: offset 4 · service 2 · class 1 · flags 1
//! ```
//!
//! Opening a log reads the heads alone. An index that is missing or wrong is made anew from its segment.

use crate::disk::{Disk, DiskFile};
use crate::segment::{CLASSES, Entry, Scan};
use crate::wire::{Taker, push_bytes};
use std::io::Result;

const MAGIC: &[u8; 8] = b"TAPCPIDX";
const ENTRY_BYTES: usize = 8;
/// Read at once; heads are seldom longer.
const FIRST_READ: u64 = 4_096;
/// Longest head: 65,536 services of long names. A longer one is none of ours.
const HEAD_BYTES_MAX: u64 = 32 << 20;

/// What an index says without its entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Number of the segment's first record.
    pub first: u64,
    /// How many records it has.
    pub count: u64,
    /// Length of the segment up to the end of the last.
    pub length: u64,
    /// Services by their numbers.
    pub services: Vec<Service>,
}

/// One service of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Its records by class.
    pub counts: [u32; CLASSES],
}

impl Summary {
    /// Of a segment that was gone through.
    pub fn of(first: u64, scan: &Scan) -> Self {
        let services = scan.services.iter().map(|name| Service { name: name.clone(), counts: [0; CLASSES] }).collect();
        let mut summary = Self { first, count: 0, length: scan.whole, services };
        scan.entries.iter().for_each(|entry| summary.add(*entry));
        summary
    }

    /// Counts a record.
    pub fn add(&mut self, entry: Entry) {
        self.count += 1;
        let service = self.services.get_mut(usize::from(entry.service));
        if let Some(count) = service.and_then(|service| service.counts.get_mut(usize::from(entry.class))) {
            *count += 1;
        }
    }

    /// How many records are of this service, if one is named, and of these classes, a bit for each.
    pub fn matching(&self, service: Option<&str>, classes: u32) -> u64 {
        let of = self.services.iter().filter(|known| service.is_none_or(|name| known.name == name));
        let counts = of.flat_map(|known| known.counts.iter().enumerate());
        counts.filter(|(class, _)| classes >> class & 1 == 1).map(|(_, count)| u64::from(*count)).sum()
    }

    fn encode(&self, entries: &[u8]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([0; 8]);
        [self.first, self.count, self.length].iter().for_each(|number| bytes.extend(number.to_le_bytes()));
        bytes.extend(crc32fast::hash(entries).to_le_bytes());
        bytes.extend((self.services.len() as u32).to_le_bytes());
        for service in &self.services {
            push_bytes(&mut bytes, service.name.as_bytes());
            service.counts.iter().for_each(|count| bytes.extend(count.to_le_bytes()));
        }
        let length = bytes.len() as u32;
        bytes[8..12].copy_from_slice(&length.to_le_bytes());
        let crc = crc32fast::hash(&bytes);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<(Self, u32)> {
        let mut taker = Taker(bytes.get(16..)?);
        let mut number = || taker.array().map(u64::from_le_bytes);
        let (first, count, length) = (number()?, number()?, number()?);
        let entries_crc = taker.array().map(u32::from_le_bytes)?;
        let services = (0..taker.array().map(u32::from_le_bytes)?).map(|_| service(&mut taker));
        Some((Self { first, count, length, services: services.collect::<Option<_>>()? }, entries_crc))
    }
}

fn service(taker: &mut Taker<'_>) -> Option<Service> {
    let mut service = Service { name: taker.text()?, counts: [0; CLASSES] };
    for count in &mut service.counts {
        *count = taker.array().map(u32::from_le_bytes)?;
    }
    Some(service)
}

/// Writes the index of a segment. What a crash leaves of it is not taken for one.
///
/// # Errors
/// The system's.
pub fn write(disk: &dyn Disk, name: &str, summary: &Summary, entries: &[Entry]) -> Result<u64> {
    let entries: Vec<u8> = entries.iter().flat_map(encode_entry).collect();
    let head = summary.encode(&entries);
    disk.remove(name)?;
    let mut file = disk.append(name)?;
    file.write(&head)?;
    file.write(&entries)?;
    file.sync()?;
    Ok((head.len() + entries.len()) as u64)
}

fn encode_entry(entry: &Entry) -> [u8; ENTRY_BYTES] {
    let mut bytes = [0; ENTRY_BYTES];
    bytes[..4].copy_from_slice(&entry.offset.to_le_bytes());
    bytes[4..6].copy_from_slice(&entry.service.to_le_bytes());
    bytes[6..].copy_from_slice(&[entry.class, entry.flags]);
    bytes
}

/// What the index of this name says, and its length; `None` where it is missing or wrong.
pub fn read_summary(disk: &dyn Disk, name: &str) -> Option<(Summary, u64)> {
    let file = disk.open(name).ok()?;
    let (head, length) = read_head(&*file)?;
    let (summary, _) = Summary::decode(&head)?;
    let is_whole = length == head.len() as u64 + summary.count.checked_mul(ENTRY_BYTES as u64)?;
    is_whole.then_some((summary, length))
}

/// The entries of the index of this name; `None` where it is missing or wrong.
pub fn read_entries(disk: &dyn Disk, name: &str) -> Option<Vec<Entry>> {
    let file = disk.open(name).ok()?;
    let (head, length) = read_head(&*file)?;
    let (_, crc) = Summary::decode(&head)?;
    let mut bytes = vec![0; usize::try_from(length.checked_sub(head.len() as u64)?).ok()?];
    file.read_at(head.len() as u64, &mut bytes).ok()?;
    let decode = |bytes: &[u8]| {
        let mut taker = Taker(bytes);
        let (offset, service) = (taker.array().map(u32::from_le_bytes)?, taker.array().map(u16::from_le_bytes)?);
        Some(Entry { offset, service, class: taker.byte()?, flags: taker.byte()? })
    };
    (crc32fast::hash(&bytes) == crc).then(|| bytes.chunks_exact(ENTRY_BYTES).map_while(decode).collect())
}

/// The head, if its checksum holds, and the length of the file.
fn read_head(file: &dyn DiskFile) -> Option<(Vec<u8>, u64)> {
    let end = file.length().ok()?;
    let mut bytes = vec![0; end.min(FIRST_READ) as usize];
    file.read_at(0, &mut bytes).ok()?;
    let mut taker = Taker(bytes.strip_prefix(MAGIC)?);
    let length = u64::from(taker.array().map(u32::from_le_bytes)?);
    let crc = taker.array().map(u32::from_le_bytes)?;
    if !(16..=end.min(HEAD_BYTES_MAX)).contains(&length) {
        return None;
    }
    bytes.resize(length as usize, 0);
    file.read_at(0, &mut bytes).ok()?;
    bytes[12..16].fill(0);
    (crc32fast::hash(&bytes) == crc).then_some((bytes, end))
}
