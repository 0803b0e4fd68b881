//! sled, and no other file names it: an ordered map of texts in which several changes become one.
//!
//! sled's own flush does not reach the disk's platter (measured), so its files are synced one by one behind it.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// What is stored is small; sled's default of 1 GiB is for other uses.
const CACHE_BYTES: u64 = 4 << 20;

/// An open map.
pub(super) struct Db {
    sled: sled::Db,
    folder: PathBuf,
}

/// Changes that are made all or not at all.
#[derive(Default)]
pub struct Changes(sled::Batch);

impl Changes {
    /// Sets a key.
    pub fn put(&mut self, key: &str, value: &impl serde::Serialize) {
        let text = serde_json::to_vec(value).expect("what is stored has only string keys");
        self.0.insert(key, text);
    }

    /// Removes a key, if it is there.
    pub fn remove(&mut self, key: &str) {
        self.0.remove(key);
    }
}

impl Db {
    /// Opens or makes a map in a folder, and reads all of it: sled 0.34 sees some kinds of damage only then, and panics on some.
    pub fn open(folder: &Path) -> Result<Self, String> {
        let config = sled::Config::new().path(folder).cache_capacity(CACHE_BYTES).flush_every_ms(None);
        let open = || config.open().and_then(|sled| sled.iter().try_for_each(|pair| pair.map(drop)).map(|()| sled));
        match catch_unwind(AssertUnwindSafe(open)) {
            Ok(Ok(sled)) => Ok(Self { sled, folder: folder.to_owned() }),
            Ok(Err(fault)) => Err(fault.to_string()),
            Err(_) => Err("its files are damaged".to_owned()),
        }
    }

    /// The value of a key; damage reads as nothing.
    pub fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.sled.get(key).ok().flatten().map(|value| value.to_vec())
    }

    /// The values of all keys that begin so, in the order of the keys.
    pub fn list(&self, prefix: &str) -> Vec<(String, Vec<u8>)> {
        let pairs = self.sled.scan_prefix(prefix).filter_map(Result::ok);
        pairs.map(|(key, value)| (String::from_utf8_lossy(&key).into_owned(), value.to_vec())).collect()
    }

    /// Makes changes that survive a power cut from the return on.
    pub fn write(&self, changes: Changes) -> Result<(), String> {
        self.sled.apply_batch(changes.0).map_err(|fault| fault.to_string())?;
        self.sled.flush().map_err(|fault| fault.to_string())?;
        sync_files(&self.folder).map_err(|fault| fault.to_string())
    }
}

fn sync_files(folder: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            sync_files(&path)?;
            continue;
        }
        match File::open(&path) {
            Ok(file) => file.sync_all()?,
            // sled replaces its snapshots while it runs.
            Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => {}
            Err(fault) => return Err(fault),
        }
    }
    File::open(folder)?.sync_all()
}
