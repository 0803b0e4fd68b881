//! The log: records in segments, appended, made durable together, and removed by age and size.
//!
//! [`Log::append`] only gathers records in memory; [`Log::commit`] writes and syncs them, and only then does a [`Reader`]
//! see them. So whatever anybody was ever shown is still there after a crash or a power cut, and a number that was seen
//! never becomes another record's. What a crash leaves behind the last whole record is cut off at the next opening. A commit
//! that fails takes back what it wrote, and its records are lost; the numbers go to the next ones.
//!
//! Only the last segment has no index beside it; a segment that is full or old enough is sealed by writing one. Whole
//! segments are removed, the oldest first: when all are too large together, or when the next one is older than the bound.

use crate::disk::{Disk, DiskFile};
use crate::index::{self, Service, Summary};
use crate::query::Reader;
use crate::segment::{self, CONTENTS, Entry, Frame, HAS_CONTENTS, HEAD_BYTES, Head, SERVICE, Scan};
use std::io::{Error, Result};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// Segments of the whole log, at least: removing one removes no more than this part of it.
const SEGMENTS_MIN: u64 = 8;
/// Length of a segment, at most: what is gone through after a crash.
const SEGMENT_BYTES_MAX: u64 = 64 << 20;
/// Length of a segment, at least: a small log must not become a heap of files.
const SEGMENT_BYTES_MIN: u64 = 64 << 10;
/// Names of services in one segment; further ones share the last number.
const SERVICES_MAX: usize = u16::MAX as usize;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Length of all files in bytes, which the last segment may exceed by what one commit writes.
    pub total_bytes: u64,
    /// Age beyond which records go, give or take the age of a segment, a sixteenth of it.
    pub age: Duration,
}

impl Bounds {
    fn segment_bytes(&self) -> u64 {
        (self.total_bytes / SEGMENTS_MIN).clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX)
    }

    fn age_ns(&self) -> u64 {
        u64::try_from(self.age.as_nanos()).unwrap_or(u64::MAX)
    }
}

/// What was found at the opening.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// Records that can be read.
    pub records: u64,
    /// Bytes behind the last whole record, of a write that a crash tore.
    pub torn_bytes: u64,
    /// Indices that were made anew.
    pub rebuilt: u64,
    /// Files that are named as segments and are none.
    pub ignored: Vec<String>,
}

/// What a commit has come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// The number that the next record gets: all below it are safe.
    pub next: u64,
    /// Records written by this commit.
    pub records: u64,
    /// Length of all files in bytes.
    pub bytes: u64,
}

/// A commit that failed.
#[derive(Debug)]
pub struct Lost {
    /// Records that are lost.
    pub records: u64,
    /// The system's words.
    pub fault: Error,
}

/// A segment that is sealed.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub head: Head,
    pub summary: Summary,
    /// Length of its files.
    pub bytes: u64,
}

/// The segment that is appended to.
#[derive(Debug)]
pub(crate) struct Active {
    pub head: Head,
    pub summary: Summary,
    pub entries: Vec<Entry>,
}

/// All segments, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    pub sealed: Vec<Arc<Sealed>>,
    pub active: Option<Active>,
}

impl Catalog {
    fn next(&self) -> u64 {
        let end = |summary: &Summary| summary.first + summary.count;
        let active = self.active.as_ref().map(|active| end(&active.summary));
        active.or_else(|| self.sealed.last().map(|sealed| end(&sealed.summary))).unwrap_or(1)
    }

    fn bytes(&self) -> u64 {
        let active = self.active.as_ref().map_or(0, |active| active.summary.length);
        self.sealed.iter().map(|sealed| sealed.bytes).sum::<u64>() + active
    }

    /// The records of all segments.
    pub fn records(&self) -> u64 {
        let active = self.active.as_ref().map_or(0, |active| active.summary.count);
        self.sealed.iter().map(|sealed| sealed.summary.count).sum::<u64>() + active
    }
}

/// The name of a segment's file.
pub(crate) fn segment_name(first: u64) -> String {
    format!("{first:016x}.log")
}

/// The name of its index.
pub(crate) fn index_name(first: u64) -> String {
    format!("{first:016x}.idx")
}

/// Records that are not written yet.
#[derive(Debug, Default)]
struct Pending {
    bytes: Vec<u8>,
    /// With offsets from the beginning of `bytes`.
    entries: Vec<Entry>,
    /// Names that the segment does not have yet.
    services: Vec<String>,
}

/// The writer's side; there is one.
pub struct Log {
    disk: Arc<dyn Disk>,
    bounds: Bounds,
    catalog: Arc<RwLock<Catalog>>,
    /// Of the active segment.
    file: Option<Box<dyn DiskFile>>,
    pending: Pending,
}

impl Log {
    /// Opens a log, cuts off what a crash tore, and mends its indices.
    ///
    /// # Errors
    /// The folder or a file cannot be read or written.
    pub fn open(disk: Arc<dyn Disk>, bounds: Bounds) -> Result<(Self, Opened)> {
        let (catalog, opened) = load(&*disk)?;
        let mut log =
            Self { disk, bounds, catalog: Arc::new(RwLock::new(catalog)), file: None, pending: Pending::default() };
        log.mend()?;
        Ok((log, opened))
    }

    /// Continues the last segment, and writes the indices that are missing.
    fn mend(&mut self) -> Result<()> {
        let catalog = self.catalog.read().unwrap_or_else(PoisonError::into_inner);
        for sealed in &catalog.sealed {
            let name = index_name(sealed.head.first);
            if index::read_summary(&*self.disk, &name).is_none_or(|(summary, _)| summary != sealed.summary) {
                let file = self.disk.open(&segment_name(sealed.head.first))?;
                let mut scan = segment::scan(&*file, sealed.head)?;
                scan.entries.truncate(sealed.summary.count as usize);
                index::write(&*self.disk, &name, &sealed.summary, &scan.entries)?;
            }
        }
        if let Some(active) = &catalog.active {
            let mut file = self.disk.append(&segment_name(active.head.first))?;
            file.truncate(active.summary.length)?;
            file.sync()?;
            self.file = Some(file);
        }
        Ok(())
    }

    /// A reader of what is committed.
    pub fn reader(&self) -> Reader {
        Reader::new(self.disk.clone(), self.catalog.clone())
    }

    /// The number that the next record gets that is committed.
    pub fn next(&self) -> u64 {
        self.catalog.read().unwrap_or_else(PoisonError::into_inner).next()
    }

    /// Keeps so much from the next commit on.
    pub fn bound(&mut self, bounds: Bounds) {
        self.bounds = bounds;
    }

    /// Bytes that wait for a commit.
    pub fn pending_bytes(&self) -> usize {
        self.pending.bytes.len()
    }

    /// The last record that the next commits may remove for want of room, if any, and how many bytes may be written anew of
    /// what goes with it: half of what is removed.
    pub fn leaving(&self) -> Option<(u64, u64)> {
        let catalog = self.catalog.read().unwrap_or_else(PoisonError::into_inner);
        let oldest = catalog.sealed.first()?;
        let is_near = catalog.bytes() + self.bounds.segment_bytes() > self.bounds.total_bytes;
        is_near.then(|| (oldest.summary.first + oldest.summary.count - 1, self.bounds.segment_bytes() / 2))
    }

    /// Gathers a record of a class below eight, with its contents apart, so that what it says can be read without them. The
    /// number that it gets, if the next commit succeeds.
    pub fn append(&mut self, service: &str, class: u8, record: &[u8], contents: Option<&[u8]>) -> u64 {
        let catalog = self.catalog.read().unwrap_or_else(PoisonError::into_inner);
        let known = catalog.active.as_ref().map_or(&[][..], |active| &active.summary.services);
        let number = catalog.next() + self.pending.entries.len() as u64;
        let service = self.pending.service(service, known, number);
        drop(catalog);
        let bytes = &mut self.pending.bytes;
        let start = bytes.len();
        let mut payload = Vec::new();
        if let Some(contents) = contents {
            Frame { class: CONTENTS, flags: 0, service, payload: contents }.push(bytes, number);
            payload.extend(((bytes.len() - start) as u32).to_le_bytes());
        }
        payload.extend_from_slice(record);
        let flags = if contents.is_some() { HAS_CONTENTS } else { 0 };
        let offset = bytes.len() as u32;
        Frame { class, flags, service, payload: &payload }.push(bytes, number);
        self.pending.entries.push(Entry { offset, service, class, flags });
        number
    }

    /// Writes and syncs what was gathered, seals a segment whose time has come and removes what is beyond the bounds; `now`
    /// is in nanoseconds since the Unix epoch.
    ///
    /// # Errors
    /// The system's; what was gathered is lost.
    pub fn commit(&mut self, now: u64) -> std::result::Result<Committed, Lost> {
        let pending = std::mem::take(&mut self.pending);
        let records = pending.entries.len() as u64;
        if records > 0 {
            self.write(pending, now).map_err(|fault| {
                self.take_back();
                Lost { records, fault }
            })?;
        }
        self.seal_if_due(now);
        self.remove_old(now);
        let catalog = self.catalog.read().unwrap_or_else(PoisonError::into_inner);
        Ok(Committed { next: catalog.next(), records, bytes: catalog.bytes() })
    }

    fn write(&mut self, pending: Pending, now: u64) -> Result<()> {
        if self.file.is_none() {
            self.begin_segment(now)?;
        }
        let file = self.file.as_mut().ok_or_else(|| Error::other("no segment is open"))?;
        file.write(&pending.bytes)?;
        file.sync()?;
        let mut catalog = self.catalog.write().unwrap_or_else(PoisonError::into_inner);
        let Some(active) = &mut catalog.active else { return Ok(()) };
        let base = active.summary.length as u32;
        let counts = [0; segment::CLASSES];
        active.summary.services.extend(pending.services.into_iter().map(|name| Service { name, counts }));
        for entry in pending.entries {
            active.summary.add(entry);
            active.entries.push(Entry { offset: base + entry.offset, ..entry });
        }
        active.summary.length += pending.bytes.len() as u64;
        Ok(())
    }

    fn begin_segment(&mut self, now: u64) -> Result<()> {
        let mut catalog = self.catalog.write().unwrap_or_else(PoisonError::into_inner);
        let head = Head { first: catalog.next(), made_at: now };
        let mut file = self.disk.append(&segment_name(head.first))?;
        // An attempt before may have left something.
        file.truncate(0)?;
        file.write(&head.encode())?;
        self.disk.sync()?;
        let summary = Summary { first: head.first, count: 0, length: HEAD_BYTES, services: Vec::new() };
        catalog.active = Some(Active { head, summary, entries: Vec::new() });
        self.file = Some(file);
        Ok(())
    }

    /// After a failed write: what is not committed goes, and what is, stands in a segment that is not written to again,
    /// because nobody knows what a disk has kept that fails to sync.
    fn take_back(&mut self) {
        let length = {
            let catalog = self.catalog.read().unwrap_or_else(PoisonError::into_inner);
            catalog.active.as_ref().map(|active| active.summary.length)
        };
        if let (Some(mut file), Some(length)) = (self.file.take(), length) {
            // Where not even this works, the index says where the records end.
            let _ = file.truncate(length);
        }
        self.seal();
    }

    fn seal_if_due(&mut self, now: u64) {
        let due = {
            let catalog = self.catalog.read().unwrap_or_else(PoisonError::into_inner);
            let is_due = |active: &Active| {
                let age = now.saturating_sub(active.head.made_at);
                active.summary.length >= self.bounds.segment_bytes() || age > self.bounds.age_ns() / 16
            };
            catalog.active.as_ref().is_some_and(is_due)
        };
        if due {
            self.seal();
        }
    }

    fn seal(&mut self) {
        self.file = None;
        let mut catalog = self.catalog.write().unwrap_or_else(PoisonError::into_inner);
        let Some(active) = catalog.active.take() else { return };
        if active.summary.count == 0 {
            let _ = self.disk.remove(&segment_name(active.head.first));
            return;
        }
        // An index that cannot be written is made at the next opening, and until then the segment is gone through.
        let name = index_name(active.head.first);
        let index = index::write(&*self.disk, &name, &active.summary, &active.entries).unwrap_or(0);
        let bytes = active.summary.length + index;
        catalog.sealed.push(Arc::new(Sealed { head: active.head, summary: active.summary, bytes }));
    }

    fn remove_old(&mut self, now: u64) {
        let mut catalog = self.catalog.write().unwrap_or_else(PoisonError::into_inner);
        while let Some(oldest) = catalog.sealed.first().map(|sealed| sealed.head.first) {
            let next = catalog.sealed.get(1).map(|next| &next.head).or(catalog.active.as_ref().map(|next| &next.head));
            let is_old = next.is_some_and(|next| now.saturating_sub(next.made_at) > self.bounds.age_ns());
            if !is_old && catalog.bytes() <= self.bounds.total_bytes {
                return;
            }
            // The index first: without it the segment is still whole. What cannot be removed is tried at the next opening.
            let _ = self.disk.remove(&index_name(oldest)).and_then(|()| self.disk.remove(&segment_name(oldest)));
            catalog.sealed.remove(0);
        }
    }
}

impl Pending {
    /// The number of a service; a new name gets the next one, before the record of this number.
    fn service(&mut self, name: &str, known: &[Service], record: u64) -> u16 {
        let old = known.iter().map(|service| service.name.as_str()).chain(self.services.iter().map(String::as_str));
        if let Some(number) = old.into_iter().position(|old| old == name) {
            return number as u16;
        }
        let number = known.len() + self.services.len();
        if number >= SERVICES_MAX {
            return (SERVICES_MAX - 1) as u16;
        }
        Frame { class: SERVICE, flags: 0, service: number as u16, payload: name.as_bytes() }
            .push(&mut self.bytes, record);
        self.services.push(name.to_owned());
        number as u16
    }
}

/// Finds the segments of a folder, changing nothing.
pub(crate) fn load(disk: &dyn Disk) -> Result<(Catalog, Opened)> {
    let (mut catalog, mut opened) = (Catalog::default(), Opened::default());
    let mut heads = Vec::new();
    for name in disk.names()? {
        let Some(first) = name.strip_suffix(".log").and_then(|first| u64::from_str_radix(first, 16).ok()) else {
            continue;
        };
        match Head::read(&*disk.open(&name)?).filter(|head| head.first == first && segment_name(first) == name) {
            Some(head) => heads.push(head),
            None => opened.ignored.push(name),
        }
    }
    heads.sort_by_key(|head| head.first);
    for (index, head) in heads.iter().enumerate() {
        load_segment(disk, *head, heads.get(index + 1), &mut catalog, &mut opened)?;
    }
    opened.records = catalog.records();
    Ok((catalog, opened))
}

fn load_segment(
    disk: &dyn Disk,
    head: Head,
    next: Option<&Head>,
    catalog: &mut Catalog,
    opened: &mut Opened,
) -> Result<()> {
    let file = disk.open(&segment_name(head.first))?;
    let length = file.length()?;
    let indexed = index::read_summary(disk, &index_name(head.first))
        .filter(|(summary, _)| summary.first == head.first && summary.length <= length);
    if let Some((summary, bytes)) = indexed {
        catalog.sealed.push(Arc::new(Sealed { head, bytes: summary.length + bytes, summary }));
        return Ok(());
    }
    let mut scan = segment::scan(&*file, head)?;
    let Some(next) = next else {
        opened.torn_bytes = length - scan.whole;
        catalog.active = Some(Active { head, summary: Summary::of(head.first, &scan), entries: scan.entries });
        return Ok(());
    };
    opened.rebuilt += 1;
    clip(&mut scan, next.first - head.first);
    let summary = Summary::of(head.first, &scan);
    catalog.sealed.push(Arc::new(Sealed { head, bytes: length, summary }));
    Ok(())
}

/// Numbers that the next segment has are not this one's: its commit failed.
fn clip(scan: &mut Scan, count: u64) {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    if let Some(entry) = scan.entries.get(count) {
        scan.whole = u64::from(entry.offset);
        scan.entries.truncate(count);
    }
}
