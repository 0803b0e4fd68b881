//! The heads of two answers, field by field.

use super::{Field, Findings, Kind};
use httparse::{EMPTY_HEADER, Header, ParserConfig, Response};
use std::collections::BTreeSet;

/// As many fields as a framer lets a head have: an answer that was cut must be read here too.
const FIELDS_MAX: usize = 256;

/// Fields of the framing, never compared: the content itself is compared without it.
const FRAMING: [&str; 5] = ["connection", "content-length", "keep-alive", "trailer", "transfer-encoding"];

const SET_COOKIE: &str = "set-cookie";

/// The outcome of a call of gRPC, as a status is that of a request: another one is another answer.
const GRPC_STATUS: &str = "grpc-status";

/// Room for a head's fields.
pub(super) fn room<'a>() -> [Header<'a>; FIELDS_MAX] {
    [EMPTY_HEADER; FIELDS_MAX]
}

/// A head that could be read.
pub(super) struct Head<'h, 'b> {
    status: Option<u16>,
    fields: &'h [Header<'b>],
}

impl<'h, 'b> Head<'h, 'b> {
    /// Reads a head as leniently as the framer does.
    pub(super) fn parse(bytes: &'b [u8], fields: &'h mut [Header<'b>]) -> Option<Self> {
        let mut config = ParserConfig::default();
        config
            .allow_obsolete_multiline_headers_in_responses(true)
            .allow_multiple_spaces_in_response_status_delimiters(true)
            .allow_spaces_after_header_name_in_responses(true)
            .ignore_invalid_headers_in_responses(true);
        let mut response = Response::new(fields);
        config.parse_response(&mut response, bytes).ok()?;
        Some(Self { status: response.code, fields: response.headers })
    }

    fn values<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'b [u8]> + 's {
        self.fields.iter().filter(move |field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    }

    /// The first value of a field; empty without one.
    pub(super) fn value(&self, name: &str) -> &'b [u8] {
        self.values(name).next().unwrap_or_default()
    }

    fn joined(&self, name: &str) -> Vec<u8> {
        self.values(name).collect::<Vec<_>>().join(&b", "[..])
    }

    /// The names of the cookies that it sets.
    fn cookies(&self) -> BTreeSet<&'b [u8]> {
        let name = |value: &'b [u8]| value.split(|byte| matches!(byte, b'=' | b';')).next().unwrap_or_default();
        self.values(SET_COOKIE).map(|value| name(value).trim_ascii()).collect()
    }
}

/// Compares two heads. Whether the contents behind them are to be compared, too.
pub(super) fn compare(
    origin: &Option<Head<'_, '_>>,
    target: &Option<Head<'_, '_>>,
    findings: &mut Findings<'_>,
) -> bool {
    let (Some(origin), Some(target)) = (origin, target) else {
        findings.add("head".to_owned(), Kind::Value, None, b"", b"");
        return true;
    };
    if origin.status != target.status && !findings.is_ignored(&Field::Status) {
        let [origin, target] = [origin, target].map(|head| head.status.unwrap_or_default().to_string());
        findings.add("status".to_owned(), Kind::Value, None, origin.as_bytes(), target.as_bytes());
        return false;
    }
    let before = findings.found.len();
    compare_field(GRPC_STATUS, origin, target, findings);
    if findings.found.len() > before {
        return false;
    }
    let names = origin.fields.iter().chain(target.fields).map(|field| field.name);
    let mut seen = vec![GRPC_STATUS];
    for name in names {
        if !seen.iter().any(|known: &&str| known.eq_ignore_ascii_case(name)) {
            seen.push(name);
            compare_field(name, origin, target, findings);
        }
    }
    true
}

fn compare_field(name: &str, origin: &Head<'_, '_>, target: &Head<'_, '_>, findings: &mut Findings<'_>) {
    let is_left_out = |known: &str| known.eq_ignore_ascii_case(name);
    if FRAMING.iter().any(|known| is_left_out(known)) || findings.rules.is_volatile(name) {
        return;
    }
    if name.eq_ignore_ascii_case(SET_COOKIE) {
        return compare_cookies(origin, target, findings);
    }
    if origin.values(name).eq(target.values(name)) {
        return;
    }
    let (of_origin, of_target) = (origin.values(name).next().is_some(), target.values(name).next().is_some());
    add(name, [of_origin, of_target], [origin.joined(name), target.joined(name)], findings);
}

/// The values of cookies are nobody's but the client's; that a cookie is set is compared.
fn compare_cookies(origin: &Head<'_, '_>, target: &Head<'_, '_>, findings: &mut Findings<'_>) {
    let [of_origin, of_target] = [origin, target].map(Head::cookies);
    if of_origin != of_target {
        let names = |names: BTreeSet<&[u8]>| names.into_iter().collect::<Vec<_>>().join(&b", "[..]);
        let present = [!of_origin.is_empty(), !of_target.is_empty()];
        add(SET_COOKIE, present, [names(of_origin), names(of_target)], findings);
    }
}

fn add(name: &str, present: [bool; 2], values: [Vec<u8>; 2], findings: &mut Findings<'_>) {
    let name = name.to_ascii_lowercase();
    if findings.is_ignored(&Field::Header(name.clone())) {
        return;
    }
    let kind = match present {
        [true, false] => Kind::Missing,
        [false, true] => Kind::Added,
        _ => Kind::Value,
    };
    let [origin, target] = values;
    findings.add(format!("header:{name}"), kind, None, &origin, &target);
}
