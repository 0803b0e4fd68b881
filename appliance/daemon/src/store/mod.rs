//! What survives a restart: settings and their history, users, tokens, the audit log; and the claim token beside them.
//!
//! A truncated snapshot keeps sled from opening, and a deleted one opens silently empty (measured). So a copy of the
//! settings with a checksum is replaced atomically beside it after each change, as `settings.toml`, which a person can also
//! read and give to `--settings`. When sled does not open, its folder is moved aside; then, and when it opens without what
//! the copy has (a flipped bit at the end of its log is to sled a write that was cut short), the box starts from the copy, and
//! says so.

mod claim;
mod db;
mod schema;

pub use claim::claim_token;
pub use db::Changes;
pub use schema::VERSION as SCHEMA;

use crate::clock;
use crate::settings::{Document, Format};
use db::Db;
use serde::de::DeserializeOwned;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Error, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Where the box keeps its data unless told otherwise.
pub const DEFAULT_DATA: &str = "/var/lib/tapcopy";
const SETTINGS_KEY: &str = "settings";
const STORE: &str = "store";
const COPY: &str = "settings.toml";
const COPY_HEAD: &str = "# The settings as they were stored last, crc32 ";
const COPY_VERSION: &str = "# version ";
const VERSIONS: &str = "version/";

/// The key of a version of the settings: keys are in the order of the numbers.
pub fn version_key(number: u64) -> String {
    format!("{VERSIONS}{number:010}")
}

/// Makes a data folder, for its owner alone: it holds what was said in exchanges, hashes of passwords, a private key.
///
/// # Errors
/// It cannot be made.
pub fn make_folder(folder: &Path) -> Result<(), StoreFault> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io(folder))?;
    let mode = std::fs::metadata(folder).map_err(io(folder))?.permissions().mode();
    if mode & 0o077 != 0 {
        let folder = folder.display();
        log::warn!("{folder}: other users of this machine may look into the data; `chmod 700 {folder}`");
    }
    Ok(())
}

/// The settings of a data folder as their copy has them, without opening the store.
pub fn copied_document(folder: &Path) -> Option<Document> {
    let text = std::fs::read_to_string(folder.join(COPY)).ok()?;
    let (document, faults) = Document::read(copy_body(&text)?.1, Format::Toml);
    faults.is_empty().then_some(document)
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
        make_folder(folder)?;
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
            Some(version) => {
                schema::migrate(&store.db, version).map_err(sled)?;
                // While the store is whole, nothing depends on its copy.
                let copied = store.copied().unwrap_or_else(|fault| {
                    log::error!("{fault}");
                    None
                });
                store.catch_up(copied, Changes::default())?;
            }
            None => {
                let mut changes = Changes::default();
                changes.put(schema::KEY, &schema::VERSION);
                store.catch_up(store.copied()?, changes)?;
            }
        }
        Ok(store)
    }

    /// Takes the settings from their copy where the store has lost them, or the last of them. A copy is made after what it is
    /// of was stored, so that a store which has not so many versions is not what it was.
    fn catch_up(&self, copied: Option<(u64, Document)>, mut changes: Changes) -> Result<(), StoreFault> {
        let newest = self.newest_version();
        let stored = self.db.get(SETTINGS_KEY);
        let is_lost = |copied: &(u64, Document)| {
            copied.0 > newest && stored.as_deref() != Some(&serde_json::to_vec(&copied.1).unwrap_or_default())
        };
        if let Some((number, document)) = copied.filter(is_lost) {
            let folder = self.folder.display();
            log::error!("{folder}: the store has lost settings; starting from their copy in {COPY}");
            let why = format!("the store had lost them; taken from their copy {COPY}");
            let version = serde_json::json!({
                "number": number, "at": clock::wall(), "who": "", "why": why, "document": document,
            });
            changes.put(SETTINGS_KEY, &document);
            changes.put(&version_key(number), &version);
        }
        self.write(changes)
    }

    fn newest_version(&self) -> u64 {
        let newest = self.db.list(VERSIONS).pop();
        newest.and_then(|(key, _)| key[VERSIONS.len()..].parse().ok()).unwrap_or_default()
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
        self.write_copy(document).map_err(io(&self.folder.join(COPY)))
    }

    /// Stores other versions of the settings, which stay as they are, and renews their copy, which tells how many there are.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub fn put_versions(&self, changes: Changes) -> Result<(), StoreFault> {
        self.write(changes)?;
        let settings = self.settings()?;
        settings.map_or(Ok(()), |document| self.write_copy(&document).map_err(io(&self.folder.join(COPY))))
    }

    /// The settings of the copy, with the number of their version.
    fn copied(&self) -> Result<Option<(u64, Document)>, StoreFault> {
        let path = self.folder.join(COPY);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(fault) if fault.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(io(&path)(source)),
        };
        let (number, body) = copy_body(&text).ok_or_else(|| StoreFault::Damaged {
            path: self.folder.clone(),
            message: format!("the checksum of {COPY} does not hold"),
        })?;
        self.parse(body, Format::Toml).map(|document| Some((number, document)))
    }

    fn parse(&self, text: &str, format: Format) -> Result<Document, StoreFault> {
        let damaged = |message: String| StoreFault::Damaged { path: self.folder.clone(), message };
        let (document, faults) = Document::read(text, format);
        faults.first().map_or(Ok(document), |fault| Err(damaged(fault.to_string())))
    }

    fn write_copy(&self, document: &Document) -> std::io::Result<()> {
        let number = self.newest_version().max(1);
        let body = format!("{COPY_VERSION}{number}\n{}", toml::to_string(document).map_err(Error::other)?);
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

/// The number of the version and the settings, where the checksum holds. An earlier program wrote no number: what it wrote is
/// the only version of a store that has none.
fn copy_body(text: &str) -> Option<(u64, &str)> {
    let (head, body) = text.split_once('\n')?;
    let checksum = u32::from_str_radix(head.strip_prefix(COPY_HEAD)?, 16).ok()?;
    let number = body.lines().next()?.strip_prefix(COPY_VERSION).and_then(|number| number.parse().ok());
    (crc32fast::hash(body.as_bytes()) == checksum).then_some((number.unwrap_or(1), body))
}

fn io(path: &Path) -> impl FnOnce(Error) -> StoreFault {
    let path = path.to_owned();
    move |source| StoreFault::Io { path, source }
}

#[cfg(test)]
mod tests;
