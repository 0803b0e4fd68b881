//! Two documents as the leaves in which they differ.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// One leaf; without `from` it is new, without `to` it is gone.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Change {
    /// Where it is, as `service[0].targets[1]`.
    pub path: String,
    /// What it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Value>,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Value>,
}

/// The leaves in which `to` differs from `from`, in the order of their paths.
pub fn difference(from: &Value, to: &Value) -> Vec<Change> {
    let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
    leaves(from, String::new(), &mut before);
    leaves(to, String::new(), &mut after);
    let gone = before.iter().filter(|(path, _)| !after.contains_key(*path));
    let gone = gone.map(|(path, value)| (path.clone(), Some(value.clone()), None));
    let other = after.iter().filter(|(path, value)| before.get(*path) != Some(value));
    let other = other.map(|(path, value)| (path.clone(), before.get(path).cloned(), Some(value.clone())));
    let mut all: Vec<_> = gone.chain(other).map(|(path, from, to)| Change { path, from, to }).collect();
    all.sort_by(|a, b| a.path.cmp(&b.path));
    all
}

fn leaves(value: &Value, path: String, found: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            leaves(value, path, found);
        }),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, value)| leaves(value, format!("{path}[{index}]"), found));
        }
        leaf => {
            found.insert(path, leaf.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn leaves_that_differ_are_named() {
        let from = json!({"a": 1, "b": [{"c": "x"}, {"c": "y"}], "d": {"e": true}});
        let to = json!({"a": 1, "b": [{"c": "z"}], "d": {"e": true, "f": null}});
        let expected = json!([
            {"path": "b[0].c", "from": "x", "to": "z"}, {"path": "b[1].c", "from": "y"}, {"path": "d.f", "to": null},
        ]);
        assert_eq!(serde_json::to_value(difference(&from, &to)).unwrap(), expected);
        assert_eq!(difference(&from, &from), []);
    }
}
