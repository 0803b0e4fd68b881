//! Finding records: by number, service and class, from either end, without reading those that are not wanted.
//!
//! A reader sees what is committed. It holds no lock while it reads a file; a segment that is removed meanwhile has no records
//! any more.

use crate::disk::{Disk, DiskFile};
use crate::index;
use crate::log::{Active, Catalog, Opened, Sealed, index_name, load, segment_name};
use crate::segment::{self, CONTENTS, Entry, HAS_CONTENTS, Head};
use std::io::Result;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// Which records are wanted.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// Of this service; `None` is all.
    pub service: Option<&'a str>,
    /// Of these classes, a bit for each.
    pub classes: u32,
    /// Beyond this number, which is not wanted itself.
    pub beyond: Option<u64>,
    /// From which end.
    pub order: Order,
    /// How many, at most.
    pub limit: usize,
}

/// From which end records are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The newest first.
    Newest,
    /// The oldest first.
    Oldest,
}

/// A record as it was appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its number, which it keeps.
    pub number: u64,
    /// Its service.
    pub service: String,
    /// Its class.
    pub class: u8,
    /// What it says.
    pub record: Vec<u8>,
    /// Whether its contents were kept.
    pub has_contents: bool,
    contents_at: u64,
}

/// Where a page ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The number beyond which the next page begins; `None` at the end.
    pub next: Option<u64>,
    /// Records whose checksum does not hold.
    pub damaged: u64,
}

/// The readers' side of a log; any number.
#[derive(Clone)]
pub struct Reader {
    disk: Arc<dyn Disk>,
    catalog: Arc<RwLock<Catalog>>,
    /// The segment that was looked at last: pages of one follow each other.
    looked_at: Arc<Mutex<LookedAt>>,
}

/// The entries of one segment.
#[derive(Clone, Default)]
struct LookedAt {
    /// Number of its first record; none has 0.
    first: u64,
    entries: Arc<Vec<Entry>>,
}

/// One record that is wanted.
struct Hit {
    head: Head,
    number: u64,
    service: String,
    entry: Entry,
}

impl Reader {
    pub(crate) fn new(disk: Arc<dyn Disk>, catalog: Arc<RwLock<Catalog>>) -> Self {
        Self { disk, catalog, looked_at: Arc::default() }
    }

    /// Reads a log that nobody writes, or whose writer is another process, as it is now; changes nothing.
    ///
    /// # Errors
    /// The folder or a file cannot be read.
    pub fn open(disk: Arc<dyn Disk>) -> Result<(Self, Opened)> {
        let (catalog, opened) = load(&*disk)?;
        Ok((Self::new(disk, Arc::new(RwLock::new(catalog))), opened))
    }

    /// How many records there are.
    pub fn records(&self) -> u64 {
        self.catalog.read().unwrap_or_else(PoisonError::into_inner).records()
    }

    /// The number of the oldest record, if there is one.
    pub fn first(&self) -> Option<u64> {
        let catalog = self.catalog.read().unwrap_or_else(PoisonError::into_inner);
        let active = catalog.active.as_ref().map(|active| active.head.first);
        catalog.sealed.first().map(|sealed| sealed.head.first).or(active)
    }

    /// Shows the wanted records to `visit`, one after the other.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn query(&self, query: &Query<'_>, mut visit: impl FnMut(Stored)) -> Result<Page> {
        let hits = self.hits(query)?;
        let mut page =
            Page { next: hits.last().filter(|_| hits.len() >= query.limit).map(|hit| hit.number), damaged: 0 };
        let mut open: Option<(u64, Option<Box<dyn DiskFile>>)> = None;
        for hit in hits {
            if open.as_ref().is_none_or(|(first, _)| *first != hit.head.first) {
                open = Some((hit.head.first, self.disk.open(&segment_name(hit.head.first)).ok()));
            }
            let Some((_, Some(file))) = &open else { continue };
            match read(&**file, hit) {
                Some(stored) => visit(stored),
                None => page.damaged += 1,
            }
        }
        Ok(page)
    }

    /// The record of this number, with its contents where they were kept.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn get(&self, number: u64) -> Result<Option<(Stored, Option<Vec<u8>>)>> {
        let query =
            Query { service: None, classes: u32::MAX, beyond: number.checked_add(1), order: Order::Newest, limit: 1 };
        let Some(hit) = self.hits(&query)?.pop().filter(|hit| hit.number == number) else { return Ok(None) };
        let Ok(file) = self.disk.open(&segment_name(hit.head.first)) else { return Ok(None) };
        let Some(stored) = read(&*file, hit) else { return Ok(None) };
        let mut buffer = Vec::new();
        let contents = stored.has_contents.then(|| {
            let frame = segment::read_frame(&*file, stored.contents_at, number, &mut buffer)?;
            (frame.class == CONTENTS).then(|| frame.payload.to_vec())
        });
        Ok(Some((stored, contents.flatten())))
    }

    fn hits(&self, query: &Query<'_>) -> Result<Vec<Hit>> {
        let mut hits = Vec::new();
        let sealed = {
            let catalog = self.catalog.read().unwrap_or_else(PoisonError::into_inner);
            if query.order == Order::Newest {
                catalog.active.iter().for_each(|active| active.find(query, &mut hits));
            }
            catalog.sealed.clone()
        };
        let mut sealed: Vec<Arc<Sealed>> = sealed;
        if query.order == Order::Newest {
            sealed.reverse();
        }
        for segment in sealed.iter().filter(|segment| segment.is_wanted(query)) {
            if hits.len() >= query.limit {
                return Ok(hits);
            }
            let entries = self.entries(segment)?;
            find(query, segment.head, &segment.summary, &entries, &mut hits);
        }
        if query.order == Order::Oldest && hits.len() < query.limit {
            let catalog = self.catalog.read().unwrap_or_else(PoisonError::into_inner);
            let last = |segments: &[Arc<Sealed>]| segments.last().map(|segment| segment.head.first);
            // Where a segment was sealed meanwhile, its records come first, with the next question.
            let is_next = last(&sealed) == last(&catalog.sealed);
            catalog.active.iter().filter(|_| is_next).for_each(|active| active.find(query, &mut hits));
        }
        Ok(hits)
    }

    fn entries(&self, segment: &Sealed) -> Result<Arc<Vec<Entry>>> {
        let first = segment.head.first;
        let looked_at = self.looked_at.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if looked_at.first == first {
            return Ok(looked_at.entries);
        }
        let indexed = index::read_entries(&*self.disk, &index_name(first));
        let entries = match (indexed, self.disk.open(&segment_name(first))) {
            (_, Err(_)) => Vec::new(),
            (Some(entries), _) => entries,
            (None, Ok(file)) => segment::scan(&*file, segment.head)?.entries,
        };
        let entries = Arc::new(entries);
        *self.looked_at.lock().unwrap_or_else(PoisonError::into_inner) = LookedAt { first, entries: entries.clone() };
        Ok(entries)
    }
}

impl Sealed {
    /// Whether any of its records may be wanted.
    fn is_wanted(&self, query: &Query<'_>) -> bool {
        let (first, end) = (self.summary.first, self.summary.first + self.summary.count);
        let is_in_range = match (query.order, query.beyond) {
            (_, None) => true,
            (Order::Newest, Some(beyond)) => first < beyond,
            (Order::Oldest, Some(beyond)) => end > beyond + 1,
        };
        is_in_range && self.summary.matching(query.service, query.classes) > 0
    }
}

impl Active {
    fn find(&self, query: &Query<'_>, hits: &mut Vec<Hit>) {
        find(query, self.head, &self.summary, &self.entries, hits);
    }
}

/// Adds the wanted records of one segment, up to the limit.
fn find(query: &Query<'_>, head: Head, summary: &index::Summary, entries: &[Entry], hits: &mut Vec<Hit>) {
    let entries = &entries[..entries.len().min(summary.count as usize)];
    let is_wanted: Vec<bool> =
        summary.services.iter().map(|service| query.service.is_none_or(|name| service.name == name)).collect();
    let index_of = |number: u64| usize::try_from(number.saturating_sub(head.first)).unwrap_or(usize::MAX);
    let mut consider = |index: usize| {
        let entry = entries[index];
        let service = usize::from(entry.service);
        if query.classes >> entry.class & 1 == 1 && is_wanted.get(service) == Some(&true) {
            let service = summary.services[service].name.clone();
            hits.push(Hit { head, number: head.first + index as u64, service, entry });
        }
        hits.len() < query.limit
    };
    match query.order {
        Order::Newest => {
            let end = query.beyond.map_or(entries.len(), |beyond| index_of(beyond).min(entries.len()));
            let _ = (0..end).rev().all(&mut consider);
        }
        Order::Oldest => {
            let start = query.beyond.map_or(0, |beyond| index_of(beyond.saturating_add(1)));
            let _ = (start..entries.len()).all(&mut consider);
        }
    }
}

fn read(file: &dyn DiskFile, hit: Hit) -> Option<Stored> {
    let mut buffer = Vec::new();
    let at = u64::from(hit.entry.offset);
    let frame = segment::read_frame(file, at, hit.number, &mut buffer)?;
    let has_contents = frame.flags & HAS_CONTENTS != 0;
    let (distance, record) = if has_contents { frame.payload.split_at_checked(4)? } else { (&[][..], frame.payload) };
    let distance = distance.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
    Some(Stored {
        number: hit.number,
        service: hit.service,
        class: frame.class,
        record: record.to_vec(),
        has_contents,
        contents_at: at.checked_sub(distance)?,
    })
}
