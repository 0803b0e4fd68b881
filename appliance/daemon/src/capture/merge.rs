//! Several captures as one, in time order: the two directions of a TAP, or the files of a ring recording.

use super::{CaptureFault, CaptureFile, Frame};
use std::path::PathBuf;

/// Captures, open at the frame that was captured first.
pub struct Captures {
    /// Files that are not at their end. Few, so the earliest is looked for by going through them.
    files: Vec<CaptureFile>,
    warnings: Vec<String>,
}

impl Captures {
    /// Opens all files.
    ///
    /// # Errors
    /// The first file that cannot be used.
    pub fn open(paths: &[PathBuf]) -> Result<Self, CaptureFault> {
        let files = paths.iter().filter_map(|path| CaptureFile::open(path).transpose()).collect::<Result<_, _>>()?;
        Ok(Self { files, warnings: Vec::new() })
    }

    /// The frame that comes next; `None` at the end of all files.
    pub fn frame(&self) -> Option<&Frame> {
        self.earliest().map(|index| self.files[index].frame())
    }

    /// Moves beyond that frame.
    pub fn advance(&mut self) {
        let Some(index) = self.earliest() else { return };
        if !self.files[index].advance() {
            let ended = self.files.remove(index);
            self.warn(ended);
        }
    }

    /// What was not read of the files, as sentences; complete at the end of all files.
    pub fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// Files named first win where stamps are equal.
    fn earliest(&self) -> Option<usize> {
        (0..self.files.len()).min_by_key(|index| self.files[*index].frame().captured_at)
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
