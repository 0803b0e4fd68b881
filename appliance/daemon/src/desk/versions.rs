//! Settings as they were confirmed, one after the other.

use super::{APPLIED, Author, Desk, Refusal, STAGED, value_of};
use crate::settings::{Document, Format};
use crate::store::{Changes, Store, version_key};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Versions kept.
const VERSIONS: u64 = 100;

/// A version: a document as it was confirmed.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Version {
    /// From 1.
    pub number: u64,
    /// Who confirmed it, and why it was made.
    #[serde(flatten)]
    pub author: Author,
    /// The document.
    pub document: Value,
}

impl Desk {
    /// Stores the next version. What else is staged is dropped: it was made from the one before.
    pub(super) fn keep(&self, store: &Store, document: &Document, author: Author) -> Result<Version, Refusal> {
        let number = self.versions().first().map_or(1, |last| last.number + 1);
        let version = Version { number, author, document: value_of(Some(document)) };
        let mut changes = Changes::default();
        changes.put(&version_key(number), &version);
        if let Some(old) = number.checked_sub(VERSIONS) {
            changes.remove(&version_key(old));
        }
        changes.remove(STAGED);
        changes.remove(APPLIED);
        store.put_settings(document, changes)?;
        Ok(version)
    }

    /// The versions, newest first.
    pub fn versions(&self) -> Vec<Version> {
        let stored = self.store.as_ref().map(|store| store.list::<Version>("version/")).unwrap_or_default();
        stored.into_iter().rev().map(|(_, version)| version).collect()
    }

    /// Stages and applies the document of a version.
    ///
    /// # Errors
    /// There is none, or it cannot be applied.
    pub fn revert_to(&self, number: u64, who: &str) -> Result<(), Refusal> {
        let versions = self.versions();
        let version = versions.iter().find(|version| version.number == number).ok_or(Refusal::Unknown)?;
        let why = format!("back to version {number}");
        self.stage(&version.document.to_string(), Format::Json, who, &why, None)?;
        self.apply()
    }

    /// Exchanges the versions for those of a backup.
    ///
    /// # Errors
    /// They cannot be stored.
    pub fn restore_versions(&self, versions: &[Version]) -> Result<(), Refusal> {
        let store = self.store()?;
        let _changing = self.changing();
        let mut changes = Changes::default();
        self.versions().iter().for_each(|version| changes.remove(&version_key(version.number)));
        versions.iter().for_each(|version| changes.put(&version_key(version.number), version));
        Ok(store.put_versions(changes)?)
    }
}
