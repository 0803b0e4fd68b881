//! Header fields, of HTTP and whatever else says `Name: value` (RFC 9110, section 5), with the lines that continue them.

use super::cover;
use super::names::{NAME_BYTES, Names};

pub fn mask(bytes: &mut [u8], names: &Names) {
    let mut is_continued = false;
    for line in bytes.split_mut(|byte| *byte == b'\n') {
        let length = line.len() - usize::from(line.last() == Some(&b'\r'));
        let line = &mut line[..length];
        if matches!(line.first(), Some(b' ' | b'\t')) && is_continued {
            cover(line.trim_ascii_mut());
            continue;
        }
        is_continued = false;
        let name = line.iter().take(NAME_BYTES).position(|byte| *byte == b':').map(|end| line[..end].to_vec());
        let Some(name) = name.filter(|name| !name.is_empty() && name.iter().all(|byte| is_of_a_name(*byte))) else {
            continue;
        };
        if names.is_secret_header(&name) {
            is_continued = true;
            mask_value(line[name.len() + 1..].trim_ascii_mut(), &name);
        }
    }
}

/// A character of a field's name (`tchar`).
fn is_of_a_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Which scheme, or which cookie, tells much and is no secret.
fn mask_value(value: &mut [u8], name: &[u8]) {
    if name.eq_ignore_ascii_case(b"cookie") || name.eq_ignore_ascii_case(b"set-cookie") {
        return value.split_mut(|byte| *byte == b';').for_each(mask_cookie);
    }
    let is_credentials = name.to_ascii_lowercase().ends_with(b"authorization");
    let scheme = value.iter().position(|byte| *byte == b' ').filter(|_| is_credentials).map_or(0, |end| end + 1);
    cover(&mut value[scheme..]);
}

/// One cookie, or one attribute of one, of which only the common ones are known.
fn mask_cookie(pair: &mut [u8]) {
    let end = pair.iter().position(|byte| *byte == b'=');
    let name = pair[..end.unwrap_or(0)].trim_ascii().to_ascii_lowercase();
    if end.is_none()
        && [&b"secure"[..], b"httponly", b"partitioned"].contains(&pair.trim_ascii().to_ascii_lowercase().as_slice())
    {
        return;
    }
    if ![&b"path"[..], b"domain", b"expires", b"max-age", b"samesite"].contains(&name.as_slice()) {
        cover(pair[end.map_or(0, |end| end + 1)..].trim_ascii_mut());
    }
}

/// What the standard library has for shared slices only.
trait Trim {
    fn trim_ascii_mut(&mut self) -> &mut [u8];
}

impl Trim for [u8] {
    fn trim_ascii_mut(&mut self) -> &mut [u8] {
        let start = self.len() - self.trim_ascii_start().len();
        let end = start.max(self.trim_ascii_end().len());
        &mut self[start..end]
    }
}
