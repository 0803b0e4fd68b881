//! Requests said in other words: the head is built anew, the content stays as it is, and so do the fields that say how
//! long it is.

use super::head::{Field, Head};

/// What is said otherwise. Names and values hold no control character, so that nothing set here can begin another field or
/// another request.
#[derive(Clone, Debug, Default)]
pub struct Rewrite {
    /// In place of the production server's name and port.
    pub host: Option<String>,
    /// Another beginning of the path.
    pub path_prefix: Option<PathPrefix>,
    /// Fields that are set to one value, in place of all of that name. Neither Content-Length nor Transfer-Encoding.
    pub set: Vec<(String, String)>,
    /// Fields that are left out. Neither Content-Length nor Transfer-Encoding.
    pub remove: Vec<String>,
}

/// Paths that are `from`, or begin with it and a slash, begin with `to` instead. Neither ends in a slash; empty is the
/// beginning of every path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPrefix {
    /// Before.
    pub from: String,
    /// After.
    pub to: String,
}

/// The field of RFC 9110, section 7.2.
const HOST: &str = "Host";

impl Rewrite {
    /// Whether the length of the content may hang on this field: it is never touched (RFC 9112, section 6).
    pub fn is_framing(name: &str) -> bool {
        ["content-length", "transfer-encoding"].iter().any(|framing| framing.eq_ignore_ascii_case(name))
    }

    pub(super) fn apply(&self, head: &Head<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write_line(head, &mut bytes);
        let set: Vec<(&str, &str)> = self.host.iter().map(|host| (HOST, host.as_str())).chain(self.fields()).collect();
        let mut is_written = vec![false; set.len()];
        for field in &head.fields {
            match set.iter().position(|(name, _)| field.is(name)) {
                Some(index) if !is_written[index] => {
                    is_written[index] = true;
                    write_field(set[index], &mut bytes);
                }
                Some(_) => {}
                None if self.is_removed(field) => {}
                None => bytes.extend_from_slice(field.bytes),
            }
        }
        let missing = set.iter().zip(&is_written).filter(|(_, is_written)| !**is_written);
        missing.for_each(|(field, _)| write_field(*field, &mut bytes));
        bytes.extend_from_slice(b"\r\n");
        bytes
    }

    fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.set.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    fn is_removed(&self, field: &Field<'_>) -> bool {
        self.remove.iter().any(|name| field.is(name))
    }

    fn write_line(&self, head: &Head<'_>, bytes: &mut Vec<u8>) {
        let (front, path, query) = head.target_parts();
        bytes.extend_from_slice(head.method);
        bytes.push(b' ');
        match (&self.host, memchr::memmem::find(front, b"://")) {
            (Some(host), Some(at)) => {
                bytes.extend_from_slice(&front[..at + 3]);
                bytes.extend_from_slice(host.as_bytes());
            }
            _ => bytes.extend_from_slice(front),
        }
        match self.path_prefix.as_ref().and_then(|prefix| prefix.rest_of(path).map(|rest| (&prefix.to, rest))) {
            Some((to, rest)) if to.is_empty() && rest.is_empty() => bytes.push(b'/'),
            Some((to, rest)) => {
                bytes.extend_from_slice(to.as_bytes());
                bytes.extend_from_slice(rest);
            }
            None => bytes.extend_from_slice(path),
        }
        bytes.extend_from_slice(query);
        bytes.extend_from_slice(head.version);
    }
}

impl PathPrefix {
    /// What follows the prefix, where the path begins with it.
    fn rest_of<'p>(&self, path: &'p [u8]) -> Option<&'p [u8]> {
        let rest = path.strip_prefix(self.from.as_bytes())?;
        (!path.is_empty() && (rest.is_empty() || rest[0] == b'/')).then_some(rest)
    }
}

fn write_field((name, value): (&str, &str), bytes: &mut Vec<u8>) {
    for part in [name, ": ", value, "\r\n"] {
        bytes.extend_from_slice(part.as_bytes());
    }
}
