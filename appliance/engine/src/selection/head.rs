//! A request head in its lines: what rules are held against, and what a head is rebuilt from. The framer has read it
//! before, so that what is odd here is odd in a way that HTTP allows.

use memchr::{memchr, memrchr};

/// A request head.
pub(super) struct Head<'a> {
    pub method: &'a [u8],
    /// In any form of RFC 9112, section 3.2, with the blanks that may be in it.
    pub target: &'a [u8],
    /// What follows the target, with the line's end.
    pub version: &'a [u8],
    pub fields: Vec<Field<'a>>,
}

/// One field, with the folded lines that continue it.
pub(super) struct Field<'a> {
    pub name: &'a [u8],
    /// Without blanks around it.
    pub value: &'a [u8],
    /// All of it as it came, with its line ends.
    pub bytes: &'a [u8],
}

impl<'a> Head<'a> {
    pub fn parse(head: &'a [u8]) -> Option<Self> {
        let (line, mut rest) = split_line(head)?;
        let (method_len, version_at) = (memchr(b' ', line)?, memrchr(b' ', line)?);
        let (method, version) = (&line[..method_len], &line[version_at..]);
        let target = Some(line[method_len..version_at].trim_ascii()).filter(|target| !target.is_empty())?;
        let mut fields = Vec::new();
        while !matches!(rest, b"\n" | b"\r\n") {
            let (bytes, after) = split_field(rest)?;
            let colon = memchr(b':', bytes)?;
            let name = bytes[..colon].trim_ascii();
            fields.push(Field { name, value: bytes[colon + 1..].trim_ascii(), bytes });
            rest = after;
        }
        Some(Self { method, target, version, fields })
    }

    /// The target in three parts: scheme and authority, the path, the query with its question mark. A target without a
    /// path (of CONNECT, or `*`) is all of the first part.
    pub fn target_parts(&self) -> (&'a [u8], &'a [u8], &'a [u8]) {
        let path_at = match memchr::memmem::find(self.target, b"://") {
            _ if self.target.starts_with(b"/") => 0,
            Some(at) => {
                let authority = &self.target[at + 3..];
                at + 3 + authority.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(authority.len())
            }
            None => self.target.len(),
        };
        let (front, rest) = self.target.split_at(path_at);
        let (path, query) = rest.split_at(memchr(b'?', rest).unwrap_or(rest.len()));
        (front, path, query)
    }

    /// The values of every field of this name.
    pub fn values<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'a [u8]> + 's {
        self.fields.iter().filter(move |field| field.is(name)).map(|field| field.value)
    }
}

impl Field<'_> {
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    Some(bytes.split_at(memchr(b'\n', bytes)? + 1))
}

fn split_field(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut end = 0;
    loop {
        end += memchr(b'\n', &bytes[end..])? + 1;
        if !matches!(bytes.get(end), Some(b' ' | b'\t')) {
            return Some(bytes.split_at(end));
        }
    }
}
