//! What survives a restart: the settings, in sled (no other file names it), and the claim token beside them.
//!
//! sled's own flush does not reach the disk's platter, a truncated snapshot keeps it from opening, and a deleted one opens
//! silently empty (measured). So after each change its files are synced one by one, and a copy of the settings with a
//! checksum is replaced atomically beside it, as `settings.toml`, which a person can also read and give to `--settings`.
//! When sled does not open, or opens without its schema key, the box starts from the copy, and says so.

use crate::settings::{Document, Format};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Error, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Where the box keeps its data unless told otherwise.
pub const DEFAULT_DATA: &str = "/var/lib/tapcopy";
const SETTINGS_KEY: &str = "settings";
const SCHEMA_KEY: &str = "schema_version";
const SCHEMA_VERSION: &[u8] = b"1";
const COPY: &str = "settings.toml";
const COPY_HEAD: &str = "# The settings as they were stored last, crc32 ";
/// Settings are small; sled's default of 1 GiB is for other uses.
const CACHE_BYTES: u64 = 4 << 20;

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
    #[error("{path}: the store fails ({message}); move the folder {path}/store away, {path}/settings.toml is its copy")]
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
    /// `None` when sled does not open.
    db: Option<sled::Db>,
    _lock: File,
}

impl Store {
    /// Opens or makes the store of a data folder.
    ///
    /// # Errors
    /// The folder cannot be used, or another process uses it. A store that does not open is no fault yet.
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
        let db = open_sled(&folder.join("store"));
        if let Err(message) = &db {
            log::error!("{}: the store does not open ({message}); move its folder `store` away", folder.display());
        }
        Ok(Self { folder: folder.to_owned(), db: db.ok(), _lock: lock })
    }

    /// The stored settings, from the store or, when it fails, from the copy; `None` before the first were stored.
    ///
    /// # Errors
    /// They are damaged.
    pub fn settings(&self) -> Result<Option<Document>, StoreFault> {
        match self.stored() {
            Some(text) => self.parse(&text, Format::Json).map(Some),
            None => self.copied(),
        }
    }

    /// Stores the settings, so that they survive a power cut from here on.
    ///
    /// # Errors
    /// They are not stored, or not safely.
    pub fn put(&self, document: &Document) -> Result<(), StoreFault> {
        let sled = |fault: sled::Error| self.sled_fault(fault.to_string());
        let db = self.db.as_ref().ok_or_else(|| self.sled_fault("it does not open".to_owned()))?;
        db.insert(SETTINGS_KEY, document.to_json().as_bytes()).map_err(sled)?;
        db.insert(SCHEMA_KEY, SCHEMA_VERSION).map_err(sled)?;
        db.flush().map_err(sled)?;
        let store = self.folder.join("store");
        sync_files(&store).map_err(io(&store))?;
        let copy = self.folder.join(COPY);
        self.write_copy(document).map_err(io(&copy))
    }

    fn stored(&self) -> Option<String> {
        let db = self.db.as_ref()?;
        let has_schema = db.get(SCHEMA_KEY).ok().flatten().is_some_and(|version| version == SCHEMA_VERSION);
        let text = db.get(SETTINGS_KEY).ok().flatten().filter(|_| has_schema)?;
        String::from_utf8(text.to_vec()).ok()
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
        log::error!("{}: the store has no settings; starting from their copy in {COPY}", self.folder.display());
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

    fn sled_fault(&self, message: String) -> StoreFault {
        StoreFault::Sled { path: self.folder.clone(), message }
    }
}

/// The claim token of a data folder, 32 hexadecimal digits, and whether it was made just now.
///
/// # Errors
/// The folder cannot be used.
pub fn claim_token(folder: &Path) -> Result<(String, bool), StoreFault> {
    std::fs::create_dir_all(folder).map_err(io(folder))?;
    let path = folder.join("claim-token");
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
        Ok(mut file) => {
            let token = random_token().map_err(io(&path))?;
            writeln!(file, "{token}").and_then(|()| file.sync_all()).map_err(io(&path))?;
            Ok((token, true))
        }
        Err(fault) if fault.kind() == ErrorKind::AlreadyExists => read_token(&path).map(|token| (token, false)),
        Err(source) => Err(io(&path)(source)),
    }
}

fn read_token(path: &Path) -> Result<String, StoreFault> {
    let mut text = String::new();
    File::open(path).and_then(|file| file.take(64).read_to_string(&mut text)).map_err(io(path))?;
    let token = text.trim();
    if token.len() == 32 && token.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(token.to_owned());
    }
    // An empty token must never be one that an empty header matches.
    Err(io(path)(Error::new(ErrorKind::InvalidData, "not 32 hexadecimal digits, remove the file to have a new one")))
}

fn random_token() -> std::io::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(Error::other)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// sled 0.34 panics on some kinds of damage.
fn open_sled(path: &Path) -> Result<sled::Db, String> {
    let config = sled::Config::new().path(path).cache_capacity(CACHE_BYTES).flush_every_ms(None);
    match catch_unwind(AssertUnwindSafe(|| config.open())) {
        Ok(result) => result.map_err(|fault| fault.to_string()),
        Err(_) => Err("its files are damaged".to_owned()),
    }
}

fn sync_files(folder: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { sync_files(&path)? } else { File::open(&path)?.sync_all()? }
    }
    File::open(folder)?.sync_all()
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
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn document() -> Document {
        let maps = ["80-10.0.0.1:80".parse().unwrap()];
        Document { service: crate::map::services(&maps), ..Document::default() }
    }

    #[test]
    fn settings_survive() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(store.settings().unwrap(), None);
        store.put(&document()).unwrap();
        assert_eq!(store.settings().unwrap(), Some(document()));
        drop(store);
        assert_eq!(Store::open(folder.path()).unwrap().settings().unwrap(), Some(document()));
    }

    #[test]
    fn the_copy_steps_in_when_the_store_is_gone_or_damaged() {
        for damage in
            [std::fs::remove_dir_all::<PathBuf> as fn(PathBuf) -> _, |store| std::fs::write(store.join("db"), "x")]
        {
            let folder = tempfile::tempdir().unwrap();
            Store::open(folder.path()).unwrap().put(&document()).unwrap();
            damage(folder.path().join("store")).unwrap();
            assert_eq!(Store::open(folder.path()).unwrap().settings().unwrap(), Some(document()));
            let copy = folder.path().join(COPY);
            let text = std::fs::read_to_string(&copy).unwrap().replace("10.0.0.1", "10.0.0.2");
            std::fs::write(&copy, text).unwrap();
            assert!(matches!(Store::open(folder.path()).unwrap().settings(), Err(StoreFault::Damaged { .. })));
        }
    }

    #[test]
    fn one_process_has_the_store() {
        let folder = tempfile::tempdir().unwrap();
        let _store = Store::open(folder.path()).unwrap();
        assert!(matches!(Store::open(folder.path()), Err(StoreFault::InUse(_))));
    }

    #[test]
    fn the_claim_token_is_made_once_and_is_nobody_elses() {
        let folder = tempfile::tempdir().unwrap();
        let (token, is_new) = claim_token(folder.path()).unwrap();
        assert!(is_new && token.len() == 32);
        assert_eq!(claim_token(folder.path()).unwrap(), (token, false));
        let path = folder.path().join("claim-token");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, "").unwrap();
        assert!(claim_token(folder.path()).is_err());
    }
}
