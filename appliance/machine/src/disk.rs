//! Partitions, found by the names that the partition table gives them, on whichever disk the machine has.

use crate::ioctl;
use crate::mounts::attach;
use nix::mount::{MntFlags, MsFlags, umount2};
use std::io::{Error, ErrorKind, Result};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often a disk that is late (USB) is looked for.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
const BLOCK: &str = "/sys/class/block";

/// The device of the partition of this name.
pub fn partition(name: &str) -> Option<PathBuf> {
    partition_under(Path::new(BLOCK), name)
}

fn partition_under(root: &Path, name: &str) -> Option<PathBuf> {
    let wanted = format!("PARTNAME={name}");
    let entries = std::fs::read_dir(root).ok()?;
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok())
        .filter(|entry| {
            let table = std::fs::read_to_string(entry.path().join("uevent")).unwrap_or_default();
            table.lines().any(|line| line == wanted)
        })
        .map(|entry| Path::new("/dev").join(entry.file_name()))
        .collect();
    found.sort();
    (!found.is_empty()).then(|| found.swap_remove(0))
}

/// The same, waited for.
pub fn wait_for_partition(name: &str, patience: Duration) -> Option<PathBuf> {
    let mut left = patience;
    loop {
        if let Some(device) = partition(name) {
            return Some(device);
        }
        left = left.checked_sub(LOOK_AGAIN)?;
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// A mounted file system, which is unmounted when it is dropped.
#[derive(Debug)]
pub struct Mounted {
    at: PathBuf,
}

impl Mounted {
    /// Mounts a partition's file system of this kind, for data only.
    ///
    /// # Errors
    /// It cannot be mounted.
    pub fn data(device: &Path, at: &Path, kind: &str) -> Result<Self> {
        std::fs::create_dir_all(at)?;
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC | MsFlags::MS_NOATIME;
        let device = device.to_str().ok_or_else(|| Error::from(ErrorKind::InvalidInput))?;
        attach(device, at, kind, flags, "")?;
        Ok(Self { at: at.to_owned() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.at
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        nix::unistd::sync();
        if umount2(&self.at, MntFlags::empty()).is_ok() {
            return;
        }
        // Threads that end with the machine still have files open. Frozen, the file system is whole and has no journal to
        // play back, and takes nothing more.
        let frozen = std::fs::File::open(&self.at).and_then(|folder| ioctl::freeze(folder.as_fd()));
        if let Err(fault) = frozen {
            log::warn!("{} is still used and cannot be frozen: {fault}", self.at.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_found_by_its_name() {
        let root = tempfile::tempdir().unwrap();
        for (device, text) in
            [("sda", "DISKSEQ=1\n"), ("sda3", "PARTN=3\nPARTNAME=env\n"), ("sda4", "PARTNAME=environment\n")]
        {
            std::fs::create_dir(root.path().join(device)).unwrap();
            std::fs::write(root.path().join(device).join("uevent"), text).unwrap();
        }
        assert_eq!(partition_under(root.path(), "env"), Some(PathBuf::from("/dev/sda3")));
        assert_eq!(partition_under(root.path(), "data"), None);
    }
}
