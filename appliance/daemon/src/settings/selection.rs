//! The filters and the rewriting of a service.
//!
//! What is written into requests is held to the grammar here, so that no value can begin another field or another request.

use super::Faults;
use super::document;
use tapcopy_engine::selection::Selection;
use tapcopy_engine::selection::filter::{Action, Glob, Rule};
use tapcopy_engine::selection::rewrite::{PathPrefix, Rewrite};

/// Parses both; `path` is the service's place in the document.
pub(super) fn parse(path: &str, written: &document::Service, faults: &mut Faults) -> Selection {
    let has_any = !written.filter.is_empty() || written.rewrite.is_some();
    if has_any && !matches!(written.protocol.as_str(), "auto" | "http") {
        let message = "filters and rewriting are of HTTP; use `http` or `auto`, or remove them";
        faults.add(format!("{path}.protocol"), format!("is `{}`; {message}", written.protocol));
    }
    let rules = written.filter.iter().enumerate();
    Selection {
        rules: rules.map(|(index, filter)| rule(&format!("{path}.filter[{index}]"), filter, faults)).collect(),
        rewrite: written.rewrite.as_ref().map(|rewrite| parse_rewrite(&format!("{path}.rewrite"), rewrite, faults)),
    }
}

fn rule(path: &str, filter: &document::Filter, faults: &mut Faults) -> Rule {
    let action = match filter.action.as_str() {
        "allow" => Action::Allow,
        "deny" => Action::Deny,
        other => {
            faults.add(format!("{path}.action"), format!("`{other}` is no action; use `allow` or `deny`"));
            Action::Deny
        }
    };
    for (index, method) in filter.method.iter().enumerate().filter(|(_, method)| !is_token(method)) {
        faults.add(format!("{path}.method[{index}]"), format!("`{method}` is no method; write one as in GET"));
    }
    if let Some(pattern) = filter.path.as_deref().filter(|path| !path.starts_with(['/', '*']) || !is_visible(path)) {
        faults.add(format!("{path}.path"), format!("`{pattern}` is like no path; begin it with / or *"));
    }
    Rule {
        action,
        methods: filter.method.clone(),
        path: filter.path.as_deref().map(Glob::new),
        header: filter.header.as_deref().and_then(|text| header(&format!("{path}.header"), text, faults)),
    }
}

fn header(field: &str, text: &str, faults: &mut Faults) -> Option<(String, Glob)> {
    let found = text.split_once(':').filter(|(name, value)| is_token(name) && is_value(value.trim()));
    if found.is_none() {
        faults.add(field, format!("`{text}` is no header; write NAME: PATTERN, as in X-No-Mirror: *"));
    }
    found.map(|(name, value)| (name.to_owned(), Glob::new(value.trim())))
}

fn parse_rewrite(path: &str, written: &document::Rewrite, faults: &mut Faults) -> Rewrite {
    if let Some(host) = written.host.as_deref().filter(|host| !is_host(host)) {
        faults.add(format!("{path}.host"), format!("`{host}` is no host; write NAME or NAME:PORT"));
    }
    for (name, value) in &written.set_headers {
        let field = format!("{path}.set_headers.{name}");
        touchable(&field, name, faults);
        if !is_value(value) {
            faults.add(field, format!("`{}` is no value; use visible ASCII characters", value.escape_debug()));
        }
    }
    for (index, name) in written.remove_headers.iter().enumerate() {
        touchable(&format!("{path}.remove_headers[{index}]"), name, faults);
        if written.set_headers.keys().any(|set| set.eq_ignore_ascii_case(name)) {
            faults.add(format!("{path}.remove_headers[{index}]"), format!("{name} is also set; remove one of the two"));
        }
    }
    Rewrite {
        host: written.host.clone(),
        path_prefix: written.path_prefix.as_ref().map(|prefix| path_prefix(path, prefix, faults)),
        set: written.set_headers.clone().into_iter().collect(),
        remove: written.remove_headers.clone(),
    }
}

/// Whether this field may be set or removed.
fn touchable(field: &str, name: &str, faults: &mut Faults) {
    if !is_token(name) {
        faults.add(field, format!("`{}` is no name of a header; write one as in X-Mirrored", name.escape_debug()));
    } else if Rewrite::is_framing(name) {
        faults.add(field, format!("{name} says how long the content is, which is not changed; leave it as it is"));
    } else if name.eq_ignore_ascii_case("host") {
        faults.add(field, "every request has one host; use rewrite.host to exchange it");
    }
}

fn path_prefix(path: &str, written: &document::PathPrefix, faults: &mut Faults) -> PathPrefix {
    let mut end = |key: &str, text: &str| {
        if !text.starts_with('/') || !is_visible(text) || text.contains(['?', '#']) {
            faults.add(format!("{path}.path_prefix.{key}"), format!("`{text}` is no path; begin it with /"));
        }
        text.trim_end_matches('/').to_owned()
    };
    PathPrefix { from: end("from", &written.from), to: end("to", &written.to) }
}

/// RFC 9110, section 5.6.2.
fn is_token(text: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_token)
}

fn is_visible(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// RFC 9110, section 5.5, without what only old texts have.
fn is_value(text: &str) -> bool {
    text.trim() == text && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
}

/// RFC 3986, section 3.2.2, with the port.
fn is_host(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~:[]%".contains(&byte))
}
