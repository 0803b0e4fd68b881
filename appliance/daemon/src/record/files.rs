//! The recorded files: `tapcopy-DATE-NUMBER.pcapng`, each closed by size or age, the oldest removed by size or age.
//!
//! A file that is being written ends in `.part` and is locked; it gets its name when it is closed, whole. One that a killed
//! box left behind is not locked any more, and the next box closes it: what was written of it, up to its last whole block,
//! can be read. When the disk has no room, what was written of the frames is taken back, the file is closed, and recording
//! pauses; every few seconds it tries again. Only files of that very name are ever removed.

use super::{Counts, Frames, Recording};
use crate::clock::Clock;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Result, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tapcopy_engine::ledger::Unrecorded;

const PREFIX: &str = "tapcopy-";
const ENDING: &str = ".pcapng";
const PART: &str = ".part";
/// A date as in the names, with a digit for each `9`.
const DATE: &str = "99999999T999999Z-9999";
/// How soon a disk without room is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// The files of one recording.
pub(super) struct Files {
    recording: Recording,
    /// What each file begins with.
    head: Vec<u8>,
    counts: Arc<Counts>,
    open: Option<Open>,
    /// Since when recording has paused or was tried in vain.
    paused: Option<Clock>,
}

struct Open {
    file: File,
    /// Its name once it is closed.
    path: PathBuf,
    length: u64,
    frames: u64,
    since: Clock,
}

impl Files {
    /// Makes the folder if there is none, and closes the files that a killed box left.
    pub fn open(recording: &Recording, head: Vec<u8>, counts: Arc<Counts>) -> Result<Self> {
        let directory = &recording.directory;
        std::fs::create_dir_all(directory)?;
        // A folder that cannot be written to is told before hours of a run.
        let probe = directory.join(format!(".{PREFIX}{}", std::process::id()));
        File::create(&probe)?;
        std::fs::remove_file(&probe)?;
        for part in names(directory, PART)? {
            let is_left = File::open(&part).is_ok_and(|file| file.try_lock().is_ok());
            if is_left {
                std::fs::rename(&part, part.with_extension(""))?;
            }
        }
        let files = Self { recording: recording.clone(), head, counts, open: None, paused: None };
        files.remove_old();
        Ok(files)
    }

    /// Writes frames, or counts them as dropped.
    pub fn write(&mut self, frames: &Frames) {
        if self.paused.is_some_and(|since| since.uptime() < RETRY) {
            return self.drop(frames, Unrecorded::DiskFull);
        }
        match self.try_write(frames) {
            Ok(()) => {
                if self.paused.take().is_some() {
                    log::warn!("record: recording goes on in {}", self.recording.directory.display());
                }
                self.counts.change(|counts| {
                    counts.frames += frames.count;
                    counts.bytes += frames.bytes.len() as u64;
                });
            }
            Err(fault) => self.pause(frames, &fault),
        }
        self.close_if_due();
    }

    fn try_write(&mut self, frames: &Frames) -> Result<()> {
        let open = match &mut self.open {
            Some(open) => open,
            closed => closed.insert(Open::create(&self.recording.directory, frames.first_at, &self.head)?),
        };
        open.append(frames)
    }

    fn pause(&mut self, frames: &Frames, fault: &std::io::Error) {
        let is_full = matches!(fault.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
        if self.paused.is_none() {
            let directory = self.recording.directory.display();
            let mend = if is_full { "make room there, or lower record.total_mib" } else { "look at the disk" };
            log::error!("record: {directory}: {fault}; recording pauses and replay goes on; {mend}");
        }
        self.paused = Some(Clock::start());
        self.drop(frames, if is_full { Unrecorded::DiskFull } else { Unrecorded::WriteFailed });
        self.close();
        self.remove_old();
    }

    fn drop(&self, frames: &Frames, cause: Unrecorded) {
        self.counts.change(|counts| counts.dropped.count_many(cause, frames.count));
    }

    /// Closes a file whose time has come, and removes those that are too old.
    pub fn look_after(&mut self) {
        self.close_if_due();
        self.remove_old();
    }

    fn close_if_due(&mut self) {
        let Recording { file_bytes, file_age, .. } = self.recording;
        if self.open.as_ref().is_some_and(|open| open.length >= file_bytes || open.since.uptime() >= file_age) {
            self.close();
            self.remove_old();
        }
    }

    /// Closes the file that is written to.
    pub fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        let path = open.path.clone();
        match open.close() {
            Ok(true) => self.counts.change(|counts| counts.files += 1),
            Ok(false) => {}
            Err(fault) => log::error!("record: {}: {fault}; it keeps the ending {PART}", path.display()),
        }
    }

    /// Removes the oldest files beyond the bounds on size and age.
    fn remove_old(&self) {
        let Ok(files) = names(&self.recording.directory, "") else { return };
        let files: Vec<(PathBuf, std::fs::Metadata)> =
            files.into_iter().filter_map(|path| path.metadata().ok().map(|metadata| (path, metadata))).collect();
        let written = self.open.as_ref().map_or(0, |open| open.length);
        let mut total = files.iter().map(|(_, metadata)| metadata.len()).sum::<u64>() + written;
        for (path, metadata) in files {
            let age = metadata.modified().ok().and_then(|modified| modified.elapsed().ok()).unwrap_or_default();
            if total <= self.recording.total_bytes && age <= self.recording.total_age {
                continue;
            }
            match std::fs::remove_file(&path) {
                Ok(()) => total -= metadata.len(),
                Err(fault) => log::warn!("record: {} cannot be removed: {fault}", path.display()),
            }
        }
    }
}

impl Open {
    fn create(directory: &Path, first_at: u64, head: &[u8]) -> Result<Self> {
        let date = date(first_at / 1_000_000_000);
        // Beyond the highest that there is: the order of the names is that of time, also when the oldest are gone.
        let earlier = [names(directory, "")?, names(directory, PART)?].concat();
        let number = |path: &PathBuf| {
            path.file_name()?.to_str()?.strip_prefix(PREFIX)?.strip_prefix(&date)?.get(1..5)?.parse::<u32>().ok()
        };
        let next = earlier.iter().filter_map(number).max().map_or(0, |highest| highest + 1);
        let path = directory.join(format!("{PREFIX}{date}-{next:04}{ENDING}"));
        let file = OpenOptions::new().write(true).create_new(true).open(part_of(&path))?;
        Self::begin(file, path, head)
    }

    fn begin(file: File, path: PathBuf, head: &[u8]) -> Result<Self> {
        let mut open = Self { file, path, length: head.len() as u64, frames: 0, since: Clock::start() };
        let begun = open.file.try_lock().map_err(std::io::Error::from).and_then(|()| open.file.write_all(head));
        if begun.is_err() {
            let _ = std::fs::remove_file(part_of(&open.path));
        }
        begun.map(|()| open)
    }

    /// Appends all of them or nothing.
    fn append(&mut self, frames: &Frames) -> Result<()> {
        let written = self.file.write_all(&frames.bytes);
        if written.is_err() {
            // A file that cannot be cut off ends inside a block, which readers bear.
            let _ = self.file.set_len(self.length);
            return written;
        }
        self.length += frames.bytes.len() as u64;
        self.frames += frames.count;
        Ok(())
    }

    /// Gives the file its name; one without a frame goes. Whether it stays.
    fn close(self) -> Result<bool> {
        let part = part_of(&self.path);
        if self.frames == 0 {
            return std::fs::remove_file(part).map(|()| false);
        }
        self.file.sync_data()?;
        std::fs::rename(part, &self.path).map(|()| true)
    }
}

fn part_of(path: &Path) -> PathBuf {
    let mut part = path.as_os_str().to_owned();
    part.push(PART);
    part.into()
}

/// The files of a folder that are named as ours, with this after their ending, in the order of their dates.
fn names(directory: &Path, after: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let stem = name.to_str().and_then(|name| name.strip_suffix(after)?.strip_suffix(ENDING)?.strip_prefix(PREFIX));
        if stem.is_some_and(is_date) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

fn is_date(text: &str) -> bool {
    let fits = |(form, byte): (u8, u8)| if form == b'9' { byte.is_ascii_digit() } else { byte == form };
    text.len() == DATE.len() && DATE.bytes().zip(text.bytes()).all(fits)
}

/// UTC as in ISO 8601's basic form.
fn date(seconds: u64) -> String {
    let (mut days, second) = (seconds / 86_400, seconds % 86_400);
    let is_leap = |year: u64| (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400);
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}{:02}{:02}T{hour:02}{minute:02}{second:02}Z", month + 1, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(date(0), "19700101T000000Z");
        assert_eq!(date(951_782_399), "20000228T235959Z");
        assert_eq!(date(951_782_400), "20000229T000000Z");
        assert_eq!(date(4_107_542_400), "21000301T000000Z");
        assert!(is_date(&format!("{}-0001", date(1_763_838_352))));
        for other in ["", "20000229T000000Z-000", "2000022aT000000Z-0001", "20000229T000000Z-0001x"] {
            assert!(!is_date(other), "{other}");
        }
    }
}
