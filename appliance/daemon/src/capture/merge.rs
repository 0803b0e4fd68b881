//! Several captures as one, in time order: the two directions of a TAP, or the files of a ring recording.
//!
//! A file is open only from the time of its first frame on: of a ring's thousand files that follow one another one or two
//! are, of those that overlap as many as do. Only a pipe, which cannot be opened again, is open from the start.

use super::{CaptureFault, CaptureFile, Frame};
use std::collections::VecDeque;
use std::path::PathBuf;
use tapcopy_engine::Time;

/// Captures, open at the frame that was captured first.
pub struct Captures {
    /// Files that are not at their end. Few, so the earliest is looked for by going through them.
    open: Vec<(usize, CaptureFile)>,
    /// Files whose time has not come, in the order of their first frames.
    later: VecDeque<Later>,
    warnings: Vec<String>,
    /// Length of all files together, where all have one.
    length: Option<u64>,
    /// Length of the files that are at their end.
    done: u64,
}

struct Later {
    first_at: Time,
    /// Place on the command line: files named first win where stamps are equal.
    place: usize,
    path: PathBuf,
}

/// How much of the captures has been read, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Read so far.
    pub read: u64,
    /// All there is; `None` where a pipe does not tell.
    pub total: Option<u64>,
}

impl Captures {
    /// Opens all files.
    ///
    /// # Errors
    /// The first file that cannot be used.
    pub fn open(paths: &[PathBuf]) -> Result<Self, CaptureFault> {
        let (open, later) = (Vec::new(), VecDeque::new());
        let mut captures = Self { open, later, warnings: Vec::new(), length: Some(0), done: 0 };
        for (place, path) in paths.iter().enumerate() {
            match CaptureFile::open(path)? {
                Some(file) => captures.add(place, file),
                None => captures.warnings.push(format!("{}: holds no frame", path.display())),
            }
        }
        captures.later.make_contiguous().sort_by_key(|later| (later.first_at, later.place));
        captures.open_due();
        Ok(captures)
    }

    fn add(&mut self, place: usize, file: CaptureFile) {
        self.length = self.length.zip(file.length()).map(|(sum, length)| sum + length);
        if file.length().is_some() {
            let (first_at, path) = (file.frame().captured_at, file.path().to_owned());
            self.later.push_back(Later { first_at, place, path });
        } else {
            self.open.push((place, file));
        }
    }

    /// The frame that comes next; `None` at the end of all files.
    pub fn frame(&self) -> Option<&Frame> {
        self.earliest().map(|index| self.open[index].1.frame())
    }

    /// Moves beyond that frame.
    pub fn advance(&mut self) {
        let Some(index) = self.earliest() else { return };
        if !self.open[index].1.advance() {
            let (_, ended) = self.open.remove(index);
            self.done += ended.length().unwrap_or(ended.consumed());
            self.warn(ended);
        }
        self.open_due();
    }

    /// What was not read of the files, as sentences; complete at the end of all files.
    pub fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// How much has been read.
    pub fn progress(&self) -> Progress {
        let read = self.open.iter().map(|(_, file)| file.consumed()).sum::<u64>() + self.done;
        Progress { read, total: self.length }
    }

    /// Opens the files whose first frame is not behind the earliest of the open ones.
    fn open_due(&mut self) {
        while let Some(later) = self.later.front() {
            if self.frame().is_some_and(|frame| frame.captured_at < later.first_at) {
                return;
            }
            let Some(Later { place, path, .. }) = self.later.pop_front() else { return };
            match CaptureFile::open(&path) {
                Ok(file) => self.open.extend(file.map(|file| (place, file))),
                Err(fault) => self.warnings.push(fault.to_string()),
            }
        }
    }

    fn earliest(&self) -> Option<usize> {
        let key = |index: &usize| (self.open[*index].1.frame().captured_at, self.open[*index].0);
        (0..self.open.len()).min_by_key(key)
    }

    fn warn(&mut self, mut file: CaptureFile) {
        if let Some((frames, linktype)) = file.skipped() {
            let path = file.path().display();
            let sentence = format!("{path}: {frames} frames have link type {linktype}, which is not known here");
            self.warnings.push(sentence);
        }
        self.warnings.extend(file.take_fault().map(|fault| fault.to_string()));
    }
}
