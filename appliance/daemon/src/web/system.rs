//! The box itself: audit log, backup, restart.

use super::State;
use super::access;
use super::call::{Answer, Call, invalid};
use super::settings;
use crate::accounts::{Token, User};
use crate::clock;
use crate::desk::Version;
use crate::settings::Format;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What a backup calls itself.
const BACKUP: &str = "tapcopy-backup";
const BACKUP_VERSION: u32 = 1;

/// `GET /audit`
pub(super) fn audit(state: &State, call: &Call) -> Answer {
    let bounds = call.number("limit", 100, 1..=500).and_then(|limit| {
        let before = call.query("before").map(|_| call.number("before", 0, 0..=u64::MAX)).transpose()?;
        Ok((limit, before))
    });
    match bounds {
        Ok((limit, before)) => {
            let entries = state.accounts.audit.entries(before, usize::try_from(limit).unwrap_or(usize::MAX));
            Answer::json(200, &json!({ "entries": entries }))
        }
        Err(answer) => answer,
    }
}

#[derive(Deserialize, Serialize)]
struct Backup {
    format: String,
    version: u32,
    at: f64,
    /// CRC-32 of `content` as it stands here, in hexadecimal digits.
    crc32: String,
    content: Value,
}

#[derive(Deserialize, Serialize)]
struct Content {
    settings: Value,
    versions: Vec<Version>,
    users: Vec<User>,
    tokens: Vec<Token>,
}

/// Of the JSON without spaces, whose keys are in the order of their names.
fn crc32(content: &Value) -> String {
    format!("{:08x}", crc32fast::hash(content.to_string().as_bytes()))
}

/// `GET /backup`
pub(super) fn backup(state: &State, call: &Call) -> Answer {
    let content = json!(Content {
        settings: json!(state.desk.document()),
        versions: state.desk.versions(),
        users: state.accounts.users(),
        tokens: state.accounts.tokens(),
    });
    let backup = Backup {
        format: BACKUP.to_owned(),
        version: BACKUP_VERSION,
        at: clock::wall(),
        crc32: crc32(&content),
        content,
    };
    state.note(call, "backup", "");
    Answer::json(200, &backup).saved_as("tapcopy-backup.json")
}

/// `POST /restore`
pub(super) fn restore(state: &State, call: &Call) -> Answer {
    let backup: Backup = match call.json() {
        Ok(backup) => backup,
        Err(answer) => return answer,
    };
    if backup.format != BACKUP || backup.version != BACKUP_VERSION {
        return invalid(422, "format", "this is no backup of this version; send the file that GET /api/v1/backup gave");
    }
    if crc32(&backup.content) != backup.crc32 {
        return invalid(422, "crc32", "the backup is damaged: its checksum does not hold; use another one");
    }
    let content: Content = match serde_json::from_value(backup.content) {
        Ok(content) => content,
        Err(fault) => return invalid(422, "content", &fault.to_string()),
    };
    // First what can be refused, so that all or nothing is restored.
    if !content.settings.is_null()
        && let Err(refusal) =
            state.desk.stage(&content.settings.to_string(), Format::Json, call.who(), "from a backup", None)
    {
        return settings::refused(refusal);
    }
    if let Err(refusal) = state.accounts.restore(content.users, content.tokens) {
        return access::refused(refusal, "user");
    }
    if let Err(refusal) = state.desk.restore_versions(&content.versions) {
        return settings::refused(refusal);
    }
    state.note(call, "restored", &format!("a backup of {:.0}", backup.at));
    settings::pending(state, call)
}

/// `POST /system/restart`
pub(super) fn restart(state: &State, call: &Call) -> Answer {
    match state.desk.restart() {
        Ok(()) => {
            state.note(call, "restarted", "");
            Answer::json(202, &json!({ "message": "capture and replay have begun anew" }))
        }
        Err(refusal) => settings::refused(refusal),
    }
}
