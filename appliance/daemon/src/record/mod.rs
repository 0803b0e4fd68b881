//! Recording: the mirror's frames of chosen services, in rotating pcapng files.
//!
//! The shard writes each frame as a block into a chunk of memory and hands whole chunks to a thread of its own, which alone
//! touches the disk. The queue between them is bounded: a slow disk costs recorded frames, which are counted, and never
//! slows the mirror. What a frame becomes is `blocks`, in which order those of several shards are written is `merge`, what becomes
//! of files is `files`.

pub(crate) mod blocks;
mod files;
mod merge;
#[cfg(test)]
mod tests;

use crate::clock::{Clock, since_1970};
use files::Files;
use merge::Merge;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tapcopy_engine::MirrorFrame;
use tapcopy_engine::config::Service;
use tapcopy_engine::ledger::{Recorded, Unrecorded};
use tapcopy_engine::message::LinkType;
use thiserror::Error;

/// Bytes of one chunk: some hundred frames for each hand-over and each write.
const CHUNK_BYTES: usize = 256 << 10;
/// Chunks in the queue: 32 MiB, a quarter of a second of a disk's silence at 1 Gbit/s.
const QUEUE_CHUNKS: usize = 128;
/// How often files are looked after while nothing is recorded.
const LOOK_AFTER: Duration = Duration::from_secs(1);
/// How long the end waits for the disk.
const LAST_WRITES: Duration = Duration::from_secs(1);
/// How often it looks whether the disk is done.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// What is recorded, where to, and how much of it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// The folder of the files.
    pub directory: PathBuf,
    /// Names of the services; `None` is all.
    pub services: Option<Vec<String>>,
    /// Size in bytes at which a file is closed.
    pub file_bytes: u64,
    /// Age at which it is.
    pub file_age: Duration,
    /// Size of all files beyond which the oldest are removed.
    pub total_bytes: u64,
    /// Age beyond which they are.
    pub total_age: Duration,
}

/// Why recording cannot start.
#[derive(Debug, Error)]
pub enum RecordFault {
    /// The folder cannot be used.
    #[error(
        "record.directory: {path}: {source}; name a folder that the box may write to, such as one in its data folder or below /srv, /mnt or /media"
    )]
    Directory {
        /// As in the settings.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// No thread is to be had.
    #[error("cannot start a thread for recording: {0}; this is a fault of the machine, look at its log with `dmesg`")]
    Thread(std::io::Error),
}

impl RecordFault {
    /// Whether the settings are to blame.
    pub fn is_bad_setting(&self) -> bool {
        matches!(self, Self::Directory { .. })
    }
}

/// An interface of the recorded files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// How its frames begin.
    pub link: LinkType,
}

/// Frames as whole blocks.
#[derive(Default)]
struct Frames {
    bytes: Vec<u8>,
    count: u64,
    /// When the first was captured, in nanoseconds since the Unix epoch.
    first_at: u64,
}

impl Frames {
    /// Adds one that was captured at this time, as the block that `append` appends.
    fn push(&mut self, at: u64, append: impl FnOnce(&mut Vec<u8>)) {
        if self.count == 0 {
            self.first_at = at;
        }
        append(&mut self.bytes);
        self.count += 1;
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
    }
}

/// Frames of a shard on their way to the disk.
struct Chunk {
    frames: Frames,
    /// The number of the shard's recorder.
    shard: usize,
    /// All frames of the shard that were captured before have been handed over, with these. In nanoseconds since the Unix epoch.
    until: u64,
    /// Where its buffer goes when it is written.
    home: Sender<Vec<u8>>,
}

/// What the two threads count together.
#[derive(Default)]
struct Counts(Mutex<Recorded>);

impl Counts {
    fn change(&self, change: impl FnOnce(&mut Recorded)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn read(&self) -> Recorded {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A shard's side.
pub struct Recorder {
    /// How many there are for the same files.
    shards: Arc<AtomicUsize>,
    /// By the wall clock, when it was asked last to hand over what is there.
    flushed_at: u64,
    chosen: Option<Vec<String>>,
    /// By index of the service, whether it is recorded.
    services: Vec<bool>,
    interfaces: Vec<Interface>,
    chunk: Chunk,
    full: SyncSender<Chunk>,
    /// Buffers that were written and can be filled again, and the way there.
    written: Receiver<Vec<u8>>,
    home: Sender<Vec<u8>>,
    counts: Arc<Counts>,
}

/// The main thread's side.
pub struct Recorders {
    thread: JoinHandle<()>,
    counts: Arc<Counts>,
}

impl Recorders {
    /// What was recorded so far.
    pub fn recorded(&self) -> Recorded {
        self.counts.read()
    }

    /// Whether nobody records any more, and all is written.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for the last writes, once every [`Recorder`] is gone; what was recorded.
    pub fn finish(self) -> Recorded {
        let clock = Clock::start();
        while !self.thread.is_finished() && clock.uptime() < LAST_WRITES {
            std::thread::sleep(LOOK_AGAIN);
        }
        if !self.thread.is_finished() {
            log::warn!("record: the disk takes too long, and the end of the recording is lost");
        }
        self.counts.read()
    }
}

/// Starts recording from these interfaces.
///
/// # Errors
/// The folder cannot be used.
pub fn start(recording: &Recording, interfaces: Vec<Interface>) -> Result<(Recorder, Recorders), RecordFault> {
    let counts = Arc::new(Counts::default());
    let files = Files::open(recording, blocks::head(&interfaces), counts.clone())
        .map_err(|source| RecordFault::Directory { path: recording.directory.clone(), source })?;
    let (full, filled) = sync_channel(QUEUE_CHUNKS);
    let shards = Arc::new(AtomicUsize::new(0));
    let merge = Merge::new(shards.clone());
    let thread = std::thread::Builder::new().name("record".to_owned());
    let thread = thread.spawn(move || write(files, merge, &filled)).map_err(RecordFault::Thread)?;
    let first = Recorder::new(recording.services.clone(), interfaces, full, counts.clone(), shards);
    Ok((first, Recorders { thread, counts }))
}

/// The writing thread, until nobody records any more.
fn write(mut files: Files, mut merge: Merge, filled: &Receiver<Chunk>) {
    loop {
        match filled.recv_timeout(LOOK_AFTER) {
            Ok(chunk) => merge.take(chunk, |frames| files.write(frames)),
            Err(RecvTimeoutError::Timeout) => files.look_after(),
            Err(RecvTimeoutError::Disconnected) => {
                merge.finish(|frames| files.write(frames));
                return files.close();
            }
        }
    }
}

impl Chunk {
    fn new(shard: usize, mut bytes: Vec<u8>, home: Sender<Vec<u8>>) -> Self {
        bytes.clear();
        Self { frames: Frames { bytes, ..Frames::default() }, shard, until: 0, home }
    }

    /// Gives the buffer back, unless the shard has ended: then nobody takes it.
    fn go_home(self) {
        let _ = self.home.send(self.frames.bytes);
    }
}

impl Recorder {
    fn new(
        chosen: Option<Vec<String>>,
        interfaces: Vec<Interface>,
        full: SyncSender<Chunk>,
        counts: Arc<Counts>,
        shards: Arc<AtomicUsize>,
    ) -> Self {
        let (home, written) = channel();
        let chunk = Chunk::new(shards.fetch_add(1, Ordering::Relaxed), Vec::new(), home.clone());
        Self { shards, flushed_at: 0, chosen, services: Vec::new(), interfaces, chunk, full, written, home, counts }
    }

    /// One for another shard, for the same files.
    pub fn another(&self) -> Self {
        let (chosen, interfaces) = (self.chosen.clone(), self.interfaces.clone());
        let mut another = Self::new(chosen, interfaces, self.full.clone(), self.counts.clone(), self.shards.clone());
        another.services.clone_from(&self.services);
        another
    }

    /// Exchanges the services, whose indices the frames come with.
    pub fn configure(&mut self, services: &[Service]) {
        let is_chosen = |service: &Service| self.chosen.as_ref().is_none_or(|chosen| chosen.contains(&service.name));
        self.services = services.iter().map(is_chosen).collect();
    }

    /// Takes a frame of a service from the interface of this number.
    pub fn record(&mut self, interface: usize, frame: &MirrorFrame<'_>, service: usize) {
        if !self.services.get(service).is_some_and(|is_chosen| *is_chosen) {
            return;
        }
        if self.interfaces.get(interface).is_none_or(|known| known.link != frame.link) {
            return self.counts.change(|counts| counts.dropped.count(Unrecorded::LinkType));
        }
        let at = frame.captured_at.as_nanos();
        self.chunk.frames.push(at, |bytes| blocks::push_packet(bytes, interface, frame));
        self.chunk.until = self.chunk.until.max(at);
        if self.chunk.frames.bytes.len() >= CHUNK_BYTES {
            self.hand_over();
        }
    }

    /// Hands over what is there, as is to be asked for each second. What was captured before it was asked last has been read.
    pub fn flush(&mut self) {
        let now = u64::try_from(since_1970().as_nanos()).unwrap_or(u64::MAX);
        self.chunk.until = self.chunk.until.max(std::mem::replace(&mut self.flushed_at, now));
        if self.chunk.frames.count > 0 || self.shards.load(Ordering::Relaxed) > 1 {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        let mut empty = Chunk::new(self.chunk.shard, self.written.try_recv().unwrap_or_default(), self.home.clone());
        empty.until = self.chunk.until;
        match self.full.try_send(std::mem::replace(&mut self.chunk, empty)) {
            Ok(()) => {}
            Err(TrySendError::Full(chunk) | TrySendError::Disconnected(chunk)) => {
                let lost = chunk.frames.count;
                self.counts.change(|counts| counts.dropped.count_many(Unrecorded::QueueFull, lost));
                chunk.go_home();
            }
        }
    }

    /// What all shards together have recorded so far, if it is the first of them.
    pub fn recorded(&self) -> Recorded {
        if self.chunk.shard == 0 { self.counts.read() } else { Recorded::default() }
    }
}
