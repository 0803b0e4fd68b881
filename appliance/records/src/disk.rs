//! The files of a log, behind a face that a test can tear.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Result, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A folder of files.
pub trait Disk: Send + Sync {
    /// The names of all files.
    ///
    /// # Errors
    /// The system's.
    fn names(&self) -> Result<Vec<String>>;

    /// Opens a file for reading.
    ///
    /// # Errors
    /// The system's; there is none.
    fn open(&self, name: &str) -> Result<Box<dyn DiskFile>>;

    /// Opens a file for appending, and makes it where there is none.
    ///
    /// # Errors
    /// The system's.
    fn append(&self, name: &str) -> Result<Box<dyn DiskFile>>;

    /// Removes a file; one that is not there is removed already.
    ///
    /// # Errors
    /// The system's.
    fn remove(&self, name: &str) -> Result<()>;

    /// Makes names that were made and removed survive a power cut.
    ///
    /// # Errors
    /// The system's.
    fn sync(&self) -> Result<()>;
}

/// One file.
pub trait DiskFile: Send + Sync {
    /// Its length in bytes.
    ///
    /// # Errors
    /// The system's.
    fn length(&self) -> Result<u64>;

    /// Fills the buffer from this offset on.
    ///
    /// # Errors
    /// The system's; the file ends before.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()>;

    /// Appends bytes; when it fails, any number of them may be there.
    ///
    /// # Errors
    /// The system's.
    fn write(&mut self, bytes: &[u8]) -> Result<()>;

    /// Cuts it off at this length.
    ///
    /// # Errors
    /// The system's.
    fn truncate(&mut self, length: u64) -> Result<()>;

    /// Makes what was written survive a power cut.
    ///
    /// # Errors
    /// The system's.
    fn sync(&self) -> Result<()>;
}

/// A folder of the file system, readable by its owner alone: records tell what production's users do.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// A folder that is there.
    pub fn existing(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// A folder that is made where there is none.
    ///
    /// # Errors
    /// The system's.
    pub fn made(path: &Path) -> Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        Ok(Self(path.to_owned()))
    }
}

impl Disk for Folder {
    fn names(&self) -> Result<Vec<String>> {
        let names = std::fs::read_dir(&self.0)?.map(|entry| Ok(entry?.file_name().into_string().unwrap_or_default()));
        names.collect()
    }

    fn open(&self, name: &str) -> Result<Box<dyn DiskFile>> {
        Ok(Box::new(File::open(self.0.join(name))?))
    }

    fn append(&self, name: &str) -> Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(self.0.join(name))?;
        Ok(Box::new(file))
    }

    fn remove(&self, name: &str) -> Result<()> {
        match std::fs::remove_file(self.0.join(name)) {
            Err(fault) if fault.kind() != ErrorKind::NotFound => Err(fault),
            _ => Ok(()),
        }
    }

    fn sync(&self) -> Result<()> {
        File::open(&self.0)?.sync_all()
    }
}

impl DiskFile for File {
    fn length(&self) -> Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.read_exact_at(buffer, offset)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.write_all(bytes)
    }

    fn truncate(&mut self, length: u64) -> Result<()> {
        self.set_len(length)
    }

    fn sync(&self) -> Result<()> {
        self.sync_data()
    }
}
