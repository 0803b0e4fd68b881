//! The section `[comparison]` and the services' rules, from their documents to what the comparison goes by.

use super::{Faults, document};
use std::sync::Arc;
use tapcopy_engine::compare::{Field, Pattern, RULES_MAX, Rule, Rules, VOLATILE_HEADERS, is_header_name};
use tapcopy_engine::selection::filter::Glob;

/// Names of the header fields that are not compared in any service.
pub(super) fn volatile(written: Option<&document::Comparison>, faults: &mut Faults) -> Vec<String> {
    let Some(written) = written else { return VOLATILE_HEADERS.map(str::to_owned).into() };
    for (index, name) in written.volatile_headers.iter().enumerate().filter(|(_, name)| !is_header_name(name)) {
        let message = format!("`{name}` is no name of a header; write one such as x-request-id");
        faults.add(format!("comparison.volatile_headers[{index}]"), message);
    }
    written.volatile_headers.clone()
}

/// The rules of one service.
pub(super) fn rules(path: &str, volatile: &[String], written: &[document::Rule], faults: &mut Faults) -> Arc<Rules> {
    if written.len() > RULES_MAX {
        faults.add(
            format!("{path}.rule"),
            format!("has more than {RULES_MAX} rules; let one rule ignore several fields"),
        );
    }
    let rules = written.iter().enumerate().map(|(index, rule)| one(&format!("{path}.rule[{index}]"), rule, faults));
    let rules = rules.collect();
    Arc::new(Rules::new(volatile.to_vec(), rules))
}

fn one(path: &str, written: &document::Rule, faults: &mut Faults) -> Rule {
    let is_empty = written.ignore.is_empty()
        && written.ignore_pattern.is_none()
        && written.tolerance.is_none()
        && written.unordered.is_empty();
    if is_empty {
        faults.add(path, "says nothing; give it ignore, ignore_pattern, tolerance or unordered, or remove it");
    }
    let tolerance = written.tolerance.unwrap_or(0.0);
    if !(0.0..=1.0).contains(&tolerance) {
        faults.add(format!("{path}.tolerance"), format!("{tolerance} is outside 0 to 1; 0.01 allows one percent"));
    }
    if written.path.is_empty() {
        faults.add(format!("{path}.path"), "is empty; write a path such as /api/*, or * for every one");
    }
    let ignore = list(&format!("{path}.ignore"), &written.ignore, Field::parse, faults);
    let ignore_pattern = written.ignore_pattern.as_deref().map(Pattern::parse);
    let ignore_pattern = ignore_pattern.and_then(|pattern| take(&format!("{path}.ignore_pattern"), pattern, faults));
    let unordered = list(&format!("{path}.unordered"), &written.unordered, Field::parse_place, faults);
    Rule { path: Glob::new(&written.path), ignore, ignore_pattern, tolerance, unordered }
}

fn list<T>(field: &str, texts: &[String], parse: fn(&str) -> Result<T, String>, faults: &mut Faults) -> Vec<T> {
    let parsed =
        texts.iter().enumerate().filter_map(|(index, text)| take(&format!("{field}[{index}]"), parse(text), faults));
    parsed.collect()
}

fn take<T>(field: &str, parsed: Result<T, String>, faults: &mut Faults) -> Option<T> {
    parsed.map_err(|message| faults.add(field, message)).ok()
}
