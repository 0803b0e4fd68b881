//! What the store looked like in earlier versions of the box, and how it becomes what it is now.
//!
//! Version 1 held `settings`, the document in force, and nothing else. Version 2 holds JSON texts by key: `settings`, the
//! document as it was confirmed last; `staged` and `applied`, what waits; `version/N`, `user/NAME`, `token/ID`,
//! `session/HASH`, `audit/N`; `name` and `replay_stopped` of the box.

use super::db::{Changes, Db};
use crate::clock;
use serde_json::{Value, json};

/// The version that this program reads and writes.
pub const VERSION: u32 = 2;
pub(super) const KEY: &str = "schema_version";

/// The version of a map, if it has one.
pub(super) fn version(db: &Db) -> Option<u32> {
    String::from_utf8(db.get(KEY)?).ok()?.parse().ok()
}

/// Brings a map of an earlier version to the present one.
pub(super) fn migrate(db: &Db, from: u32) -> Result<(), String> {
    match from {
        VERSION => Ok(()),
        1 => from_1(db),
        newer => Err(format!("it was written by a newer version (schema {newer}); install that one")),
    }
}

/// The settings become the first of the versions.
fn from_1(db: &Db) -> Result<(), String> {
    let mut changes = Changes::default();
    if let Some(document) = db.get("settings").and_then(|text| serde_json::from_slice::<Value>(&text).ok()) {
        let version = json!({
            "number": 1, "at": clock::wall(), "who": "", "why": "stored by an earlier version of the box",
            "document": document,
        });
        changes.put(&super::version_key(1), &version);
    }
    changes.put(KEY, &VERSION);
    db.write(changes)
}
