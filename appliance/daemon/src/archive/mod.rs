//! The archive: the record of each exchange, from the shards to the log in the data folder.
//!
//! A shard hands over its records in batches, each second at the latest, over a bounded channel; a thread of its own makes of each what is stored,
//! masks the secrets, and appends it to the log, which is synced each second. A slow or full disk costs records, which are
//! counted, and never slows a shard. What a person reads comes from the log, not from here: so all that is ever shown is
//! safe. What shows a finding stays as long as there is room for anything: it is written anew before it would leave the log.

pub mod convert;
pub mod evidence;
pub mod offline;
pub mod places;
#[cfg(test)]
mod tests;

use crate::clock::{Clock, wall};
use convert::{Converter, Service};
use places::{Places, Shown};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tapcopy_engine::Record;
use tapcopy_engine::config::Sample;
use tapcopy_engine::findings::Finding;
use tapcopy_records::{Bounds, Folder, Log, Masks, Reader};

/// The folder of the log in the data folder.
pub const FOLDER: &str = "records";
/// Records of one batch: one hand-over for some hundred exchanges.
const BATCH_RECORDS: usize = 128;
/// Batches in the queue: a quarter of a second at 200,000 exchanges a second.
const QUEUE_BATCHES: usize = 512;
/// Bytes of contents in the queue; records beyond it come without theirs.
const QUEUE_CONTENTS_BYTES: usize = 64 << 20;
/// Bytes gathered before they are written, though the second is not over.
const COMMIT_BYTES: usize = 4 << 20;
/// How often what was gathered is synced: what a power cut may cost.
const COMMIT_EVERY: Duration = Duration::from_secs(1);
/// How soon a disk that failed is tried again.
const RETRY: Duration = Duration::from_secs(5);
/// How long the end waits for the disk.
const LAST_WRITES: Duration = Duration::from_secs(1);
/// How often it looks whether the disk is done.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// What is kept of the exchanges.
#[derive(Clone, Debug, PartialEq)]
pub struct Keeping {
    /// Whether anything is.
    pub enabled: bool,
    /// How much.
    pub bounds: Bounds,
    /// Of which exchanges that do not differ what was said is kept.
    pub sample: Sample,
    /// Headers that are masked beside the usual ones.
    pub mask_headers: Vec<String>,
    /// Fields that are.
    pub mask_fields: Vec<String>,
    /// Regular expressions for what is.
    pub mask_patterns: Vec<String>,
}

impl Keeping {
    /// What is masked.
    pub fn masks(&self) -> Masks {
        Masks::new(&self.mask_headers, &self.mask_fields, &self.mask_patterns)
    }
}

/// What became of the records of this run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Records written and synced.
    pub written: u64,
    /// Records that were lost because the queue was full.
    pub dropped_queue: u64,
    /// Records that the disk did not take.
    pub dropped_disk: u64,
    /// Records whose contents were left out because the queue was full of contents.
    pub contents_dropped: u64,
    /// The number of the next record: all below it are safe.
    pub next: u64,
    /// Bytes of the log.
    pub bytes: u64,
    /// What is wrong at present, in one sentence with the mend.
    pub fault: Option<String>,
}

impl Figures {
    /// All records that were lost.
    pub fn dropped(&self) -> u64 {
        self.dropped_queue + self.dropped_disk
    }
}

/// What the threads share.
#[derive(Default)]
struct Shared {
    figures: Mutex<Figures>,
    places: Mutex<Places>,
    /// What is masked at present.
    masks: Mutex<Masks>,
    contents_bytes: AtomicUsize,
}

impl Shared {
    fn change(&self, change: impl FnOnce(&mut Figures)) {
        change(&mut self.figures.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Message {
    Records(Arc<Vec<Service>>, Vec<Record>),
    Configure(Keeping),
    End,
}

/// The archive of a run.
pub struct Archive {
    reader: Reader,
    inbox: SyncSender<Message>,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Archive {
    /// Opens the log of a data folder, and says what a crash has left in it.
    ///
    /// # Errors
    /// The folder or a file cannot be read or written, or no thread is to be had.
    pub fn open(data: &Path, keeping: Keeping, clock: Clock) -> std::io::Result<Self> {
        let path = data.join(FOLDER);
        let (log, opened) = Log::open(Arc::new(Folder::made(&path)?), keeping.bounds)?;
        offline::tell(&path, &opened);
        let (inbox, messages) = sync_channel(QUEUE_BATCHES);
        let shared = Arc::new(Shared { masks: Mutex::new(keeping.masks()), ..Shared::default() });
        let reader = log.reader();
        let next = log.next();
        shared.change(|figures| figures.next = next);
        let keeper = Keeper::new(path.display().to_string(), log, &keeping, clock, shared.clone());
        let thread = std::thread::Builder::new().name("archive".to_owned()).spawn(move || keeper.run(&messages))?;
        Ok(Self { reader, inbox, shared, thread: Mutex::new(Some(thread)) })
    }

    /// A shard's way in.
    pub fn archiver(&self, services: &[tapcopy_engine::config::Service]) -> Archiver {
        let services = vec![(0, convert::services(services))];
        Archiver { services, batch: Vec::new(), inbox: self.inbox.clone(), shared: self.shared.clone() }
    }

    /// What can be read.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// What became of the records.
    pub fn figures(&self) -> Figures {
        self.shared.figures.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is masked.
    pub fn masks(&self) -> Masks {
        self.shared.masks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The number of the record that shows a finding, where there is one.
    pub fn example(&self, finding: &Finding) -> Option<u64> {
        let first = self.reader.first()?;
        self.shared.places().example(finding).filter(|number| *number >= first)
    }

    /// The numbers of the records of turns ([`places::turn`]), as far as they are there.
    pub fn turns(&self, turns: &[u64]) -> BTreeMap<u64, u64> {
        let first = self.reader.first().unwrap_or(u64::MAX);
        let mut numbers = self.shared.places().turns(turns);
        numbers.retain(|_, number| *number >= first);
        numbers
    }

    /// Keeps by these rules from now on.
    pub fn configure(&self, keeping: Keeping) {
        // The thread takes messages until the end; then the rules matter no more.
        let _ = self.inbox.send(Message::Configure(keeping));
    }

    /// Writes what has come so far, and ends.
    pub fn finish(&self) {
        let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let clock = Clock::start();
        let mut is_told = false;
        while !thread.is_finished() && clock.uptime() < LAST_WRITES {
            is_told = is_told || self.inbox.try_send(Message::End).is_ok();
            std::thread::sleep(LOOK_AGAIN);
        }
        if !thread.is_finished() {
            log::warn!("records: the disk takes too long, and the last records are lost");
        }
    }
}

/// A shard's side.
pub struct Archiver {
    /// The services that records of sessions from this number on refer to, the last ones last.
    services: Vec<(u64, Arc<Vec<Service>>)>,
    batch: Vec<Record>,
    inbox: SyncSender<Message>,
    shared: Arc<Shared>,
}

impl Archiver {
    /// Sessions from this number on refer to other services.
    pub fn configure(&mut self, services: &[tapcopy_engine::config::Service], first_session: u64) {
        /// Sessions seldom outlive so many changes of the settings.
        const REMEMBERED: usize = 8;
        self.flush();
        self.services.push((first_session, convert::services(services)));
        if self.services.len() > REMEMBERED {
            self.services.remove(0);
        }
    }

    /// Takes a record.
    pub fn push(&mut self, mut record: Record) {
        if let Some(contents) = &record.contents {
            let bytes = convert::contents_bytes(contents);
            if self.shared.contents_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > QUEUE_CONTENTS_BYTES {
                self.shared.contents_bytes.fetch_sub(bytes, Ordering::Relaxed);
                self.shared.change(|figures| figures.contents_dropped += 1);
                record.contents = None;
            }
        }
        let is_of_another = |last: &Record| self.of(last.session) != self.of(record.session);
        if self.batch.last().is_some_and(is_of_another) {
            self.flush();
        }
        self.batch.push(record);
        if self.batch.len() >= BATCH_RECORDS {
            self.flush();
        }
    }

    /// Which services a session refers to.
    fn of(&self, session: u64) -> usize {
        self.services.iter().rposition(|(from, _)| *from <= session).unwrap_or(0)
    }

    /// Hands over what is there.
    pub fn flush(&mut self) {
        let Some(last) = self.batch.last() else { return };
        let services = self.services[self.of(last.session)].1.clone();
        let batch = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH_RECORDS));
        match self.inbox.try_send(Message::Records(services, batch)) {
            Ok(()) => {}
            Err(TrySendError::Full(message) | TrySendError::Disconnected(message)) => {
                let Message::Records(_, batch) = message else { return };
                self.shared.change(|figures| figures.dropped_queue += batch.len() as u64);
                batch.iter().for_each(|record| give_back(&self.shared, record));
            }
        }
    }
}

fn give_back(shared: &Shared, record: &Record) {
    if let Some(contents) = &record.contents {
        shared.contents_bytes.fetch_sub(convert::contents_bytes(contents), Ordering::Relaxed);
    }
}

/// The thread that has the log.
struct Keeper {
    path: String,
    log: Log,
    converter: Converter,
    clock: Clock,
    shared: Arc<Shared>,
    /// In the clock's uptime.
    commit_at: Duration,
    /// Until when a disk that failed is left alone.
    paused_until: Option<Duration>,
    /// What the records show that are not written yet.
    shown: Vec<(u64, Shown)>,
    /// Of records that are to be written anew, the old numbers and the new ones.
    moved: BTreeMap<u64, u64>,
}

impl Keeper {
    fn new(path: String, log: Log, keeping: &Keeping, clock: Clock, shared: Arc<Shared>) -> Self {
        Self {
            path,
            log,
            converter: Converter::new(keeping, clock),
            clock,
            shared,
            commit_at: clock.uptime() + COMMIT_EVERY,
            paused_until: None,
            shown: Vec::new(),
            moved: BTreeMap::new(),
        }
    }

    fn run(mut self, messages: &Receiver<Message>) {
        loop {
            let patience = self.commit_at.saturating_sub(self.clock.uptime());
            match messages.recv_timeout(patience) {
                Ok(Message::Records(services, records)) => {
                    records.iter().for_each(|record| self.take(&services, record))
                }
                Ok(Message::Configure(keeping)) => self.configure(&keeping),
                Ok(Message::End) | Err(RecvTimeoutError::Disconnected) => return self.commit(),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.clock.uptime() >= self.commit_at || self.log.pending_bytes() >= COMMIT_BYTES {
                self.commit();
            }
        }
    }

    fn configure(&mut self, keeping: &Keeping) {
        self.log.bound(keeping.bounds);
        self.converter = Converter::new(keeping, self.clock);
        *self.shared.masks.lock().unwrap_or_else(PoisonError::into_inner) = keeping.masks();
    }

    fn take(&mut self, services: &[Service], record: &Record) {
        if self.paused_until.is_some_and(|until| self.clock.uptime() < until) {
            self.shared.change(|figures| figures.dropped_disk += 1);
        } else if let Some((exchange, contents)) = self.converter.convert(services, record) {
            let contents = contents.map(|contents| contents.encode());
            let number =
                self.log.append(&exchange.service, exchange.outcome.class(), &exchange.encode(), contents.as_deref());
            self.shown.push((number, Shown::by(&exchange.service, record)));
        }
        give_back(&self.shared, record);
    }

    /// Writes anew what shows a finding and is about to leave the log; as much as a part of it has room for.
    fn carry(&mut self) -> Option<u64> {
        let (last, room) = self.log.leaving()?;
        let reader = self.log.reader();
        let mut bytes = 0;
        for number in self.shared.places().leaving(last) {
            let Ok(Some((stored, contents))) = reader.get(number) else { continue };
            bytes += (stored.record.len() + contents.as_ref().map_or(0, Vec::len)) as u64;
            if bytes > room {
                break;
            }
            let fresh = self.log.append(&stored.service, stored.class, &stored.record, contents.as_deref());
            self.moved.insert(number, fresh);
        }
        Some(last)
    }

    fn commit(&mut self) {
        self.commit_at = self.clock.uptime() + COMMIT_EVERY;
        let left = self.carry();
        let (shown, moved) = (std::mem::take(&mut self.shown), std::mem::take(&mut self.moved));
        match self.log.commit((wall() * 1e9) as u64) {
            Ok(committed) => {
                let mut places = self.shared.places();
                shown.iter().for_each(|(number, shown)| places.learn(*number, shown));
                if let Some(left) = left {
                    places.renumber(left, &moved);
                }
                drop(places);
                let was_paused = committed.records > 0 && self.paused_until.take().is_some();
                if was_paused {
                    log::warn!("records: {}: the disk takes records again", self.path);
                }
                self.shared.change(|figures| {
                    figures.written += committed.records;
                    (figures.next, figures.bytes) = (committed.next, committed.bytes);
                    figures.fault = figures.fault.take().filter(|_| !was_paused);
                });
            }
            Err(lost) => self.pause(lost.records, &lost.fault),
        }
    }

    fn pause(&mut self, records: u64, fault: &std::io::Error) {
        let mend = "make room there or lower records.max_bytes";
        let sentence = format!("{}: {fault}; exchanges are not recorded, and replay goes on; {mend}", self.path);
        if self.paused_until.is_none() {
            log::error!("records: {sentence}");
        }
        self.paused_until = Some(self.clock.uptime() + RETRY);
        self.shared.change(|figures| {
            figures.dropped_disk += records;
            figures.fault = Some(sentence);
        });
    }
}
