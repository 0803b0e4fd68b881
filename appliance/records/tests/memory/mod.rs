//! A disk in memory, with a bound that a write may run into.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Result};
use std::sync::{Arc, Mutex};
use tapcopy_records::{Disk, DiskFile};

#[derive(Default)]
struct State {
    files: BTreeMap<String, Vec<u8>>,
    /// Bytes of all files, at most, and whether a file can still be cut off once a write has failed.
    limit: Option<(usize, bool)>,
}

/// All clones are the same disk.
#[derive(Clone, Default)]
pub struct Memory(Arc<Mutex<State>>);

struct Open {
    disk: Memory,
    name: String,
}

impl Memory {
    pub fn file(&self, name: &str) -> Vec<u8> {
        self.0.lock().unwrap().files[name].clone()
    }

    pub fn put(&self, name: &str, bytes: Vec<u8>) {
        self.0.lock().unwrap().files.insert(name.to_owned(), bytes);
    }

    /// From now on all files together take so many bytes; whether they can be cut off when it is reached.
    pub fn limit(&self, bytes: usize, is_cut_off: bool) {
        self.0.lock().unwrap().limit = Some((bytes, is_cut_off));
    }

    pub fn total(&self) -> usize {
        self.0.lock().unwrap().files.values().map(Vec::len).sum()
    }
}

impl Disk for Memory {
    fn names(&self) -> Result<Vec<String>> {
        Ok(self.0.lock().unwrap().files.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> Result<Box<dyn DiskFile>> {
        if !self.0.lock().unwrap().files.contains_key(name) {
            return Err(ErrorKind::NotFound.into());
        }
        Ok(Box::new(Open { disk: self.clone(), name: name.to_owned() }))
    }

    fn append(&self, name: &str) -> Result<Box<dyn DiskFile>> {
        self.0.lock().unwrap().files.entry(name.to_owned()).or_default();
        self.open(name)
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.0.lock().unwrap().files.remove(name);
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }
}

impl DiskFile for Open {
    fn length(&self) -> Result<u64> {
        Ok(self.disk.0.lock().unwrap().files[&self.name].len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let state = self.disk.0.lock().unwrap();
        let bytes = state.files[&self.name].get(offset as usize..).and_then(|rest| rest.get(..buffer.len()));
        buffer.copy_from_slice(bytes.ok_or_else(|| Error::from(ErrorKind::UnexpectedEof))?);
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let mut state = self.disk.0.lock().unwrap();
        let used: usize = state.files.values().map(Vec::len).sum();
        let room = state.limit.map_or(usize::MAX, |(limit, _)| limit.saturating_sub(used));
        let file = state.files.get_mut(&self.name).unwrap();
        file.extend_from_slice(&bytes[..room.min(bytes.len())]);
        if room < bytes.len() { Err(ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn truncate(&mut self, length: u64) -> Result<()> {
        let mut state = self.disk.0.lock().unwrap();
        let is_full = state.limit.is_some_and(|(limit, is_cut_off)| {
            !is_cut_off && state.files.values().map(Vec::len).sum::<usize>() >= limit
        });
        if is_full {
            return Err(ErrorKind::StorageFull.into());
        }
        state.files.get_mut(&self.name).unwrap().resize(length as usize, 0);
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }
}
