//! The settings: staged, applied, confirmed; their versions.

use super::State;
use super::call::{Answer, Call, JSON, error, not_found};
use crate::desk::{Refusal, Version, difference};
use crate::settings::{FieldFault, Format};
use serde_json::{Value, json};

/// Longest reason in characters.
const WHY_CHARS: usize = 500;

/// `GET /settings`
pub(super) fn document(state: &State, call: &Call) -> Answer {
    let tag = state.desk.tag();
    if call.header("if-none-match") == Some(tag.as_str()) {
        return Answer::new(304, JSON, "").with("ETag", tag);
    }
    Answer::json(200, &state.desk.document().unwrap_or_default()).with("ETag", tag)
}

/// `GET /settings/export`
pub(super) fn export(state: &State, _: &Call) -> Answer {
    match toml::to_string(&state.desk.document().unwrap_or_default()) {
        Ok(text) => Answer::new(200, "application/toml", text).saved_as("tapcopy-settings.toml"),
        Err(fault) => error(500, "store", &fault.to_string()),
    }
}

/// The document in a body, and how it is written.
fn body(call: &Call) -> Result<(&str, Format), Answer> {
    let content_type = call.header("content-type").unwrap_or_default();
    let name = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let format = match name.as_str() {
        "application/json" => Format::Json,
        "application/toml" | "text/toml" | "text/x-toml" => Format::Toml,
        _ => {
            let message = "send settings as application/json or application/toml";
            return Err(error(415, "unsupported_media_type", message));
        }
    };
    let text = std::str::from_utf8(&call.body).map_err(|_| error(400, "bad_body", "the body is no UTF-8"))?;
    Ok((text, format))
}

/// `PUT /settings`, `POST /settings/import`
pub(super) fn stage(state: &State, call: &Call) -> Answer {
    let (text, format) = match body(call) {
        Ok(body) => body,
        Err(answer) => return answer,
    };
    let why: String = call.query("why").unwrap_or_default().chars().take(WHY_CHARS).collect();
    match state.desk.stage(text, format, call.who(), &why, call.header("if-match")) {
        Ok(()) => {
            state.note(call, "settings_staged", &why);
            pending(state, call)
        }
        Err(refusal) => refused(refusal),
    }
}

/// `POST /settings/check`
pub(super) fn check(state: &State, call: &Call) -> Answer {
    match body(call) {
        Ok((text, format)) => {
            let faults: Vec<Value> = state.desk.check(text, format).iter().map(shown_fault).collect();
            Answer::json(200, &json!({ "faults": faults }))
        }
        Err(answer) => answer,
    }
}

/// `GET /settings/pending`
pub(super) fn pending(state: &State, _: &Call) -> Answer {
    let mut shown = json!({
        "state": "none", "difference": [], "read_only": state.desk.is_read_only(),
        "confirm_seconds": state.desk.confirm.as_secs(),
    });
    if let Some(waiting) = state.desk.waiting() {
        shown["state"] = Value::from(if waiting.left.is_some() { "applied" } else { "staged" });
        shown["document"] = waiting.document;
        shown["difference"] = json!(waiting.difference);
        shown["effect"] = json!(waiting.effect);
        shown["who"] = Value::from(waiting.author.who);
        shown["why"] = Value::from(waiting.author.why);
        shown["at"] = Value::from(waiting.author.at);
        if let Some(left) = waiting.left {
            shown["seconds_left"] = Value::from(left.as_secs());
        }
    }
    Answer::json(200, &shown)
}

/// `POST /settings/apply`
pub(super) fn apply(state: &State, call: &Call) -> Answer {
    match state.desk.apply() {
        Ok(()) => {
            state.note(call, "settings_applied", "");
            pending(state, call)
        }
        Err(refusal) => refused(refusal),
    }
}

/// `POST /settings/confirm`
pub(super) fn confirm(state: &State, call: &Call) -> Answer {
    match state.desk.confirm(call.who()) {
        Ok(confirmed) => {
            state.note(call, "settings_confirmed", &format!("version {}", confirmed.number));
            one_version(state, confirmed.number)
        }
        Err(refusal) => refused(refusal),
    }
}

/// `POST /settings/revert`
pub(super) fn revert(state: &State, call: &Call) -> Answer {
    match state.desk.revert() {
        Ok(()) => {
            state.note(call, "settings_reverted", "");
            pending(state, call)
        }
        Err(refusal) => refused(refusal),
    }
}

/// `GET /settings/versions`
pub(super) fn versions(state: &State, _: &Call) -> Answer {
    let all = state.desk.versions();
    let shown: Vec<Value> =
        all.iter().enumerate().map(|(index, version)| shown(version, all.get(index + 1), index == 0)).collect();
    Answer::json(200, &json!({ "versions": shown }))
}

/// `GET /settings/versions/{}`
pub(super) fn version(state: &State, call: &Call) -> Answer {
    call.variable().parse().map_or_else(|_| not_found("version of this number"), |number| one_version(state, number))
}

fn one_version(state: &State, number: u64) -> Answer {
    let all = state.desk.versions();
    let Some(index) = all.iter().position(|version| version.number == number) else {
        return not_found("version of this number");
    };
    let mut shown = shown(&all[index], all.get(index + 1), index == 0);
    shown["document"] = all[index].document.clone();
    Answer::json(200, &shown)
}

fn shown(version: &Version, before: Option<&Version>, is_current: bool) -> Value {
    let before = before.map_or(&Value::Null, |before| &before.document);
    json!({
        "number": version.number, "at": version.author.at, "who": version.author.who, "why": version.author.why,
        "difference": difference(before, &version.document), "current": is_current,
    })
}

/// `POST /settings/versions/{}/revert`
pub(super) fn revert_to(state: &State, call: &Call) -> Answer {
    let Ok(number) = call.variable().parse() else { return not_found("version of this number") };
    match state.desk.revert_to(number, call.who()) {
        Ok(()) => {
            state.note(call, "settings_applied", &format!("back to version {number}"));
            pending(state, call)
        }
        Err(refusal) => refused(refusal),
    }
}

/// A refusal as an answer.
pub(super) fn refused(refusal: Refusal) -> Answer {
    let message = refusal.to_string();
    match refusal {
        Refusal::ReadOnly => error(409, "read_only", &message),
        Refusal::Conflict(_) => error(409, "conflict", &message),
        Refusal::Changed => error(412, "changed", &message),
        Refusal::Unknown => not_found("version of this number"),
        Refusal::NotStarted(_) => error(409, "not_started", &message),
        Refusal::Store(_) => error(500, "store", &message),
        Refusal::Faults(faults) => unprocessable(&faults),
    }
}

/// The first fault as the error, and all of them beside it.
fn unprocessable(faults: &[FieldFault]) -> Answer {
    let all: Vec<Value> = faults.iter().map(shown_fault).collect();
    Answer::json(422, &json!({ "error": all.first(), "faults": all }))
}

fn shown_fault(fault: &FieldFault) -> Value {
    let mut shown = json!({ "code": "invalid", "message": fault.message });
    if !fault.field.is_empty() {
        shown["field"] = Value::from(fault.field.as_str());
    }
    shown
}
