//! Everything that helps to find a fault, as one file. No secret is in it: no hash, no token, no content of an exchange.

use super::State;
use super::call::{Answer, Call};
use super::{figures, machine, overview};
use crate::logbook;
use serde_json::{Value, json};

/// In place of a secret.
const MASK: &str = "***";

/// Settings in which a service may put a credential for its targets; the names of the headers stay.
fn without_secrets(mut settings: Value) -> Value {
    let services = settings.get_mut("service").and_then(Value::as_array_mut).into_iter().flatten();
    let headers = services.filter_map(|service| service.pointer_mut("/rewrite/set_headers")?.as_object_mut());
    headers.flat_map(|headers| headers.values_mut()).for_each(|value| *value = Value::from(MASK));
    settings
}

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
        "settings": without_secrets(json!(state.desk.document())),
        "versions": versions,
        "log": logbook::tail(),
    });
    state.note(call, "diagnostics", "");
    Answer::json(200, &told).saved_as("tapcopy-diagnostics.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_the_box_sets_keep_their_values_to_themselves() {
        let settings = json!({"service": [{"name": "a"}, {"rewrite": {"set_headers": {"Authorization": "Bearer x"}}}]});
        let shown = without_secrets(settings).to_string();
        assert!(shown.contains("\"Authorization\":\"***\"") && !shown.contains("Bearer"), "{shown}");
        assert!(without_secrets(Value::Null).is_null());
    }
}
