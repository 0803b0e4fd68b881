//! The audit log: who changed what, when and from where. Entries are added and never changed.

use crate::clock;
use crate::store::{Changes, Store};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Entries kept; the oldest go, as in any log.
const KEPT: u64 = 20_000;
const PREFIX: &str = "audit/";
/// Longest detail in characters.
const DETAIL_CHARS: usize = 500;

/// One entry.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Entry {
    /// From 1, without a gap.
    pub number: u64,
    /// Seconds since the Unix epoch.
    pub at: f64,
    /// User, or token, or what else has done it.
    pub who: String,
    /// What was done, as a snake_case word.
    pub what: String,
    /// The sender's address.
    pub from: String,
    /// What it was done to.
    pub detail: String,
}

/// The log. Without a store its entries are in the box's own log only.
pub struct Audit {
    store: Option<Arc<Store>>,
    last: Mutex<u64>,
}

impl Audit {
    /// Goes on where the store ends.
    pub fn new(store: Option<Arc<Store>>) -> Self {
        let last =
            store.as_ref().and_then(|store| store.list::<Entry>(PREFIX).pop()).map_or(0, |(_, entry)| entry.number);
        Self { store, last: Mutex::new(last) }
    }

    /// Adds an entry.
    pub fn note(&self, who: &str, from: Option<IpAddr>, what: &str, detail: &str) {
        let from = from.map(|address| address.to_string()).unwrap_or_default();
        let detail: String = detail.chars().take(DETAIL_CHARS).collect();
        // Debug formatting keeps control characters of strangers out of the log.
        log::info!("audit: {what} by {who:?} from {from:?}: {detail:?}");
        let Some(store) = &self.store else { return };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last += 1;
        let entry = Entry {
            number: *last,
            at: clock::wall(),
            who: who.chars().take(64).collect(),
            what: what.to_owned(),
            from,
            detail,
        };
        let mut changes = Changes::default();
        changes.put(&key(*last), &entry);
        if let Some(oldest) = last.checked_sub(KEPT) {
            changes.remove(&key(oldest));
        }
        if let Err(fault) = store.write(changes) {
            log::error!("the audit log is not stored: {fault}");
        }
    }

    /// At most `limit` entries below the number `before`, the newest first.
    pub fn entries(&self, before: Option<u64>, limit: usize) -> Vec<Entry> {
        let Some(store) = &self.store else { return Vec::new() };
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = before.unwrap_or(u64::MAX).min(last + 1);
        (1..begin).rev().take(limit).map_while(|number| store.get(&key(number))).collect()
    }
}

fn key(number: u64) -> String {
    format!("{PREFIX}{number:012}")
}
