//! What survives a restart: settings and their history, users, tokens, the audit log; and the claim token beside them.
//!
//! A truncated snapshot keeps sled from opening, and a deleted one opens silently empty (measured). So a copy of the
//! settings with a checksum is replaced atomically beside it after each change, as `settings.toml`, which a person can also
//! read and give to `--settings`. When sled does not open, its folder is moved aside; then, and when it opens without its
//! schema key though there is a copy, the box starts from the copy, and says so.

mod claim;
mod db;
mod schema;

pub use claim::claim_token;
pub use db::Changes;

use crate::clock;
use crate::settings::{Document, Format};
use db::Db;
use serde::de::DeserializeOwned;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Error, ErrorKind, Write};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Where the box keeps its data unless told otherwise.
pub const DEFAULT_DATA: &str = "/var/lib/tapcopy";
const SETTINGS_KEY: &str = "settings";
const STORE: &str = "store";
const COPY: &str = "settings.toml";
const COPY_HEAD: &str = "# The settings as they were stored last, crc32 ";

/// The key of a version of the settings: keys are in the order of the numbers.
pub fn version_key(number: u64) -> String {
    format!("version/{number:010}")
}

/// Why the data folder cannot be used.
#[derive(Debug, Error)]
pub enum StoreFault {
    /// A file or folder cannot be read or written.
    #[error("{path}: {source}; name a folder with --data that you may write to")]
    Io {
        /// Which.
        path: PathBuf,
        /// The system's words.
        source: Error,
    },
    /// Another process uses it.
    #[error("{0} is used by another tapcopy; end that one, or name another folder with --data")]
    InUse(PathBuf),
    /// sled refuses.
    #[error("{path}: the store fails ({message}); {path}/settings.toml is a copy of the settings")]
    Sled {
        /// The data folder.
        path: PathBuf,
        /// sled's words.
        message: String,
    },
    /// The stored settings make no sense.
    #[error("{path}: the stored settings are damaged ({message}); give the settings anew with --settings FILE")]
    Damaged {
        /// The data folder.
        path: PathBuf,
        /// The first fault.
        message: String,
    },
}

impl StoreFault {
    /// Whether the user has to give settings first.
    pub fn is_bad_setting(&self) -> bool {
        matches!(self, Self::Damaged { .. })
    }
}

/// The data folder, held by this process alone.
pub struct Store {
    folder: PathBuf,
    db: Db,
    _lock: File,
}

impl Store {
    /// Opens or makes the store of a data folder.
    ///
    /// # Errors
    /// The folder cannot be used, or another process uses it, or the store is of a newer version. One that is damaged is
    /// moved aside.
    pub fn open(folder: &Path) -> Result<Self, StoreFault> {
        std::fs::create_dir_all(folder).map_err(io(folder))?;
        let lock_path = folder.join("lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&lock_path);
        let lock = lock.map_err(io(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreFault::InUse(folder.to_owned())),
            Err(TryLockError::Error(source)) => return Err(io(&lock_path)(source)),
        }
        let sled = |message| StoreFault::Sled { path: folder.to_owned(), message };
        let path = folder.join(STORE);
        let db = Db::open(&path).or_else(|message| set_aside(&path, &message)).map_err(sled)?;
        let store = Self { folder: folder.to_owned(), db, _lock: lock };
        match schema::version(&store.db) {
            Some(version) => schema::migrate(&store.db, version).map_err(sled)?,
            None => store.begin()?,
        }
        Ok(store)
    }

    /// A store without a schema key is new, or has lost its contents; the copy tells which.
    fn begin(&self) -> Result<(), StoreFault> {
        let mut changes = Changes::default();
        if let Some(document) = self.copied()? {
            let why = format!("the store was lost; taken from its copy {COPY}");
            log::error!("{}: the store has no settings; starting from their copy in {COPY}", self.folder.display());
            let version = serde_json::json!({
                "number": 1, "at": clock::wall(), "who": "", "why": why, "document": document,
            });
            changes.put(SETTINGS_KEY, &document);
            changes.put(&version_key(1), &version);
        }
        changes.put(schema::KEY, &schema::VERSION);
        self.write(changes)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The settings as they were confirmed last, if there are any.
    ///
    /// # Errors
    /// They are damaged.
    pub fn settings(&self) -> Result<Option<Document>, StoreFault> {
        let Some(text) = self.db.get(SETTINGS_KEY) else { return Ok(None) };
        self.parse(&String::from_utf8_lossy(&text), Format::Json).map(Some)
    }

    /// The value of a key; one that cannot be read is not there.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        serde_json::from_slice(&self.db.get(key)?).ok()
    }

    /// The values of the keys that begin so, with the rest of their keys, in their order.
    pub fn list<T: DeserializeOwned>(&self, prefix: &str) -> Vec<(String, T)> {
        let pairs = self.db.list(prefix).into_iter();
        pairs
            .filter_map(|(key, value)| Some((key[prefix.len()..].to_owned(), serde_json::from_slice(&value).ok()?)))
            .collect()
    }

    /// Makes changes, all or none, which survive a power cut from the return on.
    ///
    /// # Errors
    /// They are not stored, or not safely.
    pub fn write(&self, changes: Changes) -> Result<(), StoreFault> {
        self.db.write(changes).map_err(|message| StoreFault::Sled { path: self.folder.clone(), message })
    }

    /// Stores the settings together with other changes, and renews their copy.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub fn put_settings(&self, document: &Document, mut changes: Changes) -> Result<(), StoreFault> {
        changes.put(SETTINGS_KEY, document);
        self.write(changes)?;
        let copy = self.folder.join(COPY);
        self.write_copy(document).map_err(io(&copy))
    }

    fn copied(&self) -> Result<Option<Document>, StoreFault> {
        let path = self.folder.join(COPY);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(fault) if fault.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(io(&path)(source)),
        };
        let body = copy_body(&text).ok_or_else(|| StoreFault::Damaged {
            path: self.folder.clone(),
            message: format!("the checksum of {COPY} does not hold"),
        })?;
        self.parse(body, Format::Toml).map(Some)
    }

    fn parse(&self, text: &str, format: Format) -> Result<Document, StoreFault> {
        let damaged = |message: String| StoreFault::Damaged { path: self.folder.clone(), message };
        let (document, faults) = Document::read(text, format);
        faults.first().map_or(Ok(document), |fault| Err(damaged(fault.to_string())))
    }

    fn write_copy(&self, document: &Document) -> std::io::Result<()> {
        let body = toml::to_string(document).map_err(Error::other)?;
        let text = format!("{COPY_HEAD}{:08x}\n{body}", crc32fast::hash(body.as_bytes()));
        let temporary = self.folder.join(format!("{COPY}.new"));
        let mut file = File::create(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&temporary, self.folder.join(COPY))?;
        File::open(&self.folder)?.sync_all()
    }
}

/// Moves a store that does not open aside, and makes a new one.
fn set_aside(path: &Path, message: &str) -> Result<Db, String> {
    let aside = path.with_file_name(format!("{STORE}.damaged-{:.0}", clock::wall()));
    log::error!("{}: the store does not open ({message}); it is kept as {}", path.display(), aside.display());
    std::fs::rename(path, &aside).map_err(|fault| format!("{message}; and it cannot be moved aside: {fault}"))?;
    Db::open(path)
}

fn copy_body(text: &str) -> Option<&str> {
    let (head, body) = text.split_once('\n')?;
    let checksum = u32::from_str_radix(head.strip_prefix(COPY_HEAD)?, 16).ok()?;
    (crc32fast::hash(body.as_bytes()) == checksum).then_some(body)
}

fn io(path: &Path) -> impl FnOnce(Error) -> StoreFault {
    let path = path.to_owned();
    move |source| StoreFault::Io { path, source }
}

#[cfg(test)]
mod tests;
