//! Fields: `"name": value` of JSON, also within a string of JSON; `name=value` of forms, queries and attributes; parts of a
//! multipart form; elements of XML.

use super::names::{NAME_BYTES, Names};
use super::{cover, find, find_text};

pub fn mask(bytes: &mut [u8], names: &Names) {
    let mut at = 0;
    while let Some(separator) =
        bytes[at..].iter().position(|byte| matches!(byte, b':' | b'=' | b'>')).map(|offset| at + offset)
    {
        at = separator + 1;
        match bytes[separator] {
            b':' => mask_member(bytes, separator, names),
            b'=' => mask_pair(bytes, separator, names),
            _ => mask_element(bytes, separator, names),
        }
    }
}

/// The name before a separator, back to a byte for which `is_start` holds; the empty one where it is too long.
fn name_before(bytes: &[u8], end: usize, is_start: impl Fn(u8) -> bool) -> &[u8] {
    let from = end.saturating_sub(NAME_BYTES);
    let start = bytes[from..end].iter().rposition(|byte| is_start(*byte)).map(|offset| from + offset + 1);
    match start {
        None if from > 0 => &[],
        start => &bytes[start.unwrap_or(from)..end],
    }
}

fn skip_blanks_back(bytes: &[u8], end: usize) -> usize {
    bytes[..end].trim_ascii_end().len()
}

fn skip_blanks(bytes: &[u8], from: usize) -> usize {
    find(bytes, from, |byte| !byte.is_ascii_whitespace())
}

/// A member of a JSON object.
fn mask_member(bytes: &mut [u8], colon: usize, names: &Names) {
    let end = skip_blanks_back(bytes, colon);
    let Some(quote) = bytes[..end].last().copied().filter(|quote| matches!(quote, b'"' | b'\'')) else { return };
    let name = name_before(bytes, end - 1, |byte| byte == quote);
    if names.is_secret_field(name) {
        mask_json_value(bytes, skip_blanks(bytes, colon + 1));
    }
}

fn mask_json_value(bytes: &mut [u8], start: usize) {
    let quote_at = find(bytes, start, |byte| byte != b'\\');
    match bytes.get(quote_at) {
        Some(quote @ (b'"' | b'\'')) => {
            let end = string_end(bytes, quote_at + 1, *quote, quote_at - start);
            cover(&mut bytes[quote_at + 1..end]);
        }
        Some(b'{' | b'[') => mask_nested(bytes, quote_at),
        _ => {
            let end = find(bytes, start, |byte| byte.is_ascii_whitespace() || b",}]&;".contains(&byte));
            let value = &mut bytes[start.min(end)..end];
            if ![&b"null"[..], b"true", b"false"].contains(&&*value) {
                cover(value);
            }
        }
    }
}

/// Where the string ends that began with a quote behind so many backslashes: one more would be escaped within it.
fn string_end(bytes: &[u8], from: usize, quote: u8, escapes: usize) -> usize {
    let mut backslashes = 0;
    for (offset, byte) in bytes[from..].iter().enumerate() {
        let is_end = if escapes == 0 { backslashes % 2 == 0 } else { backslashes <= escapes };
        match byte {
            b'\\' => backslashes += 1,
            _ if *byte == quote && is_end => return from + offset - backslashes.min(escapes),
            _ => backslashes = 0,
        }
    }
    bytes.len()
}

/// Covers what an array or object says, and leaves its form.
fn mask_nested(bytes: &mut [u8], start: usize) {
    let (mut depth, mut is_string, mut is_escaped) = (0_usize, false, false);
    for byte in &mut bytes[start..] {
        match *byte {
            b'"' if !is_escaped => is_string = !is_string,
            b'{' | b'[' if !is_string => depth += 1,
            b'}' | b']' if !is_string && depth <= 1 => return,
            b'}' | b']' if !is_string => depth -= 1,
            b',' | b':' | b' ' | b'\t' | b'\r' | b'\n' if !is_string => {}
            _ => {
                is_escaped = *byte == b'\\' && !is_escaped;
                *byte = b'*';
                continue;
            }
        }
        is_escaped = false;
    }
}

/// A pair of a form, a query or an element's attributes.
fn mask_pair(bytes: &mut [u8], equals: usize, names: &Names) {
    let end = skip_blanks_back(bytes, equals);
    let name = name_before(bytes, end, |byte| byte.is_ascii_whitespace() || b"&?;,\"'<>(){}#".contains(&byte));
    let is_part = name.eq_ignore_ascii_case(b"name");
    let is_secret = names.is_secret_field(name);
    let start = skip_blanks(bytes, equals + 1);
    let quote = bytes.get(start).copied().filter(|quote| matches!(quote, b'"' | b'\''));
    let (start, end) = match quote {
        Some(quote) => (start + 1, string_end(bytes, start + 1, quote, 0)),
        None if start > equals + 1 => (equals + 1, equals + 1),
        None => (start, find(bytes, start, |byte| byte.is_ascii_whitespace() || b"&;\"'<>".contains(&byte))),
    };
    if is_secret {
        cover(&mut bytes[start..end]);
    } else if is_part && names.is_secret_field(&bytes[start..end]) {
        mask_part(bytes, end);
    }
}

/// The content of a part of a multipart form (RFC 7578), whose head goes on at `from`.
fn mask_part(bytes: &mut [u8], from: usize) {
    let Some(start) = find_text(bytes, from, b"\r\n\r\n").map(|blank| blank + 4) else { return };
    let end = find_text(bytes, start, b"\r\n--").unwrap_or(bytes.len());
    cover(&mut bytes[start..end]);
}

/// The text of an element of XML whose start tag ends here.
fn mask_element(bytes: &mut [u8], close: usize, names: &Names) {
    let tag = name_before(bytes, close, |byte| byte == b'<');
    let name = tag.split(|byte| byte.is_ascii_whitespace()).next().unwrap_or_default();
    let is_start = close > tag.len()
        && bytes[close - tag.len() - 1] == b'<'
        && name.first() != Some(&b'/')
        && tag.last() != Some(&b'/');
    let local = name.rsplit(|byte| *byte == b':').next().unwrap_or_default();
    if is_start && names.is_secret_field(local) {
        let end = find_text(bytes, close + 1, b"</").unwrap_or(bytes.len());
        cover(&mut bytes[close + 1..end]);
    }
}
