//! Everything that helps to find a fault, as one file. No secret is in it: no hash, no token, no content of an exchange.

use super::State;
use super::call::{Answer, Call};
use super::{figures, machine, overview};
use crate::logbook;
use serde_json::{Value, json};

/// `GET /diagnostics`
pub(super) fn diagnostics(state: &State, call: &Call) -> Answer {
    let versions = state.desk.versions();
    let versions: Vec<Value> = versions.iter().map(|version| json!([version.number, version.author])).collect();
    let told = json!({
        "health": figures::health(state, call).value(),
        "system": machine::system(state, call).value(),
        "nics": machine::nics(state, call).value(),
        "overview": overview::snapshot(state, call).value(),
        "ledger": state.plant.total().ledger,
        "settings": state.desk.document(),
        "versions": versions,
        "log": logbook::tail(),
    });
    state.note(call, "diagnostics", "");
    Answer::json(200, &told).saved_as("tapcopy-diagnostics.json")
}
