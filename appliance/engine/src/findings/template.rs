//! Templates: what of a path, or of a field's path, is a name, and what is one value of many.
//!
//! A path is folded by the look of its parts: numbers, UUIDs, hashes, dates and tokens stand for themselves. What has no look
//! of its own (`/users/alice`) is found by counting: a place that has had more than [`CHILDREN_MAX`] different names holds
//! values. Keys, most parts of which are values, are folded likewise, with fewer names; `:` divides them, too.

use crate::limits::findings::{CHILDREN_MAX, CHILDREN_SEEN_MAX, KEY_CHILDREN_MAX, NAME_BYTES};
use std::collections::{BTreeMap, BTreeSet};

/// FNV-1a: fed piece by piece it does not depend on the pieces, and a part of a path is short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hash(u64);

impl Hash {
    /// Of nothing, in a space of its own.
    pub fn new(space: u64) -> Self {
        Self(0xcbf2_9ce4_8422_2325 ^ space.rotate_left(17))
    }

    /// With more bytes behind.
    pub fn with(self, bytes: &[u8]) -> Self {
        Self(bytes.iter().fold(self.0, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01B3)))
    }

    /// With a whole piece behind, which is quicker; another piece is another value, though the bytes be the same.
    pub fn with_whole(self, piece: &[u8]) -> Self {
        Self((self.0.rotate_left(29) ^ xxhash_rust::xxh3::xxh3_64(piece)).wrapping_mul(0x100_0000_01B3))
    }

    /// The value.
    pub fn value(self) -> u64 {
        self.0
    }
}

/// What a part stands for by its look; nothing for a name.
pub fn look(part: &[u8]) -> Option<&'static str> {
    let count = |is: fn(&u8) -> bool| part.iter().filter(|byte| is(byte)).count();
    let digits = count(u8::is_ascii_digit);
    if digits == 0 {
        return None;
    }
    let (len, hex, letters) = (part.len(), count(u8::is_ascii_hexdigit), count(u8::is_ascii_alphabetic));
    let dashes = part.iter().filter(|byte| **byte == b'-').count();
    let is_token = digits + letters + part.iter().filter(|byte| b"-_.~=+".contains(byte)).count() == len;
    match () {
        () if digits == len => Some("{number}"),
        () if len == 36 && dashes == 4 && hex == 32 => Some("{uuid}"),
        () if is_date(part) => Some("{date}"),
        () if hex == len && len >= 8 => Some("{hash}"),
        () if is_token && len >= 16 && digits >= 2 && digits + letters >= len - 2 => Some("{token}"),
        () => None,
    }
}

/// A date, maybe with a time behind it.
fn is_date(part: &[u8]) -> bool {
    let digit = |at: usize| part.get(at).is_some_and(u8::is_ascii_digit);
    let dash = |at: usize| part.get(at) == Some(&b'-');
    (0..4).all(digit) && dash(4) && digit(5) && digit(6) && dash(7) && digit(8) && digit(9)
}

/// The runs of a part without a look of its own: names, and numbers of several digits, as in `item-1024.html`.
fn runs(part: &[u8]) -> impl Iterator<Item = &[u8]> {
    part.chunk_by(|one, other| one.is_ascii_digit() == other.is_ascii_digit())
}

fn is_number(run: &[u8]) -> bool {
    run.len() >= 3 && run[0].is_ascii_digit()
}

/// Hands the folded pieces of a part to `take`.
fn fold_part(part: &[u8], mut take: impl FnMut(&[u8])) {
    match look(part) {
        Some(look) => take(look.as_bytes()),
        None => runs(part).for_each(|run| take(if is_number(run) { b"{number}" } else { run })),
    }
}

/// The parts of a path, each with the separator in front of it: of a key, `:` is one, too.
fn parts(path: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let is_path = path.starts_with(b"/");
    let mut at = Some(0);
    core::iter::from_fn(move || {
        let from = at?;
        let separator = if from > 0 { &path[from - 1..from] } else { b"" };
        let is_separator = |byte: &u8| *byte == b'/' || (*byte == b':' && !is_path);
        let end = path[from..].iter().position(is_separator).map(|len| from + len);
        at = end.map(|end| end + 1);
        Some((separator, &path[from..end.unwrap_or(path.len())]))
    })
}

/// The templates of all paths, as far as they were learned.
#[derive(Debug, Default)]
pub struct Templates {
    /// Places that hold values, by the hash of the path in front of them.
    values: BTreeSet<u64>,
    /// Names seen at places that may yet hold names.
    names: BTreeMap<u64, BTreeSet<u64>>,
    seen: usize,
}

impl Templates {
    /// The hash of a path's template, below that of what it belongs to.
    pub fn hash(&self, above: Hash, path: &[u8]) -> Hash {
        let mut hash = above;
        self.walk(above, path, |piece| hash = hash.with(piece));
        hash
    }

    /// The template itself, for people.
    pub fn text(&self, above: Hash, path: &[u8]) -> String {
        let mut bytes = Vec::new();
        self.walk(above, path, |piece| bytes.extend_from_slice(piece));
        bytes.truncate(NAME_BYTES);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn walk(&self, above: Hash, path: &[u8], mut take: impl FnMut(&[u8])) {
        let mut place = above;
        let mut step = |piece: &[u8]| {
            place = place.with(piece);
            take(piece);
            place
        };
        for (separator, part) in parts(path) {
            let place = if separator.is_empty() { above } else { step(separator) };
            if !part.is_empty() && self.values.contains(&place.value()) {
                step(b"{value}");
            } else {
                fold_part(part, |piece| {
                    step(piece);
                });
            }
        }
    }

    /// Learns from a path of a template that is new. Whether a place was found to hold values: templates change then.
    pub fn learn(&mut self, above: Hash, path: &[u8], is_key: bool) -> bool {
        let mut place = above;
        let names_max = if is_key { KEY_CHILDREN_MAX } else { CHILDREN_MAX };
        for (separator, part) in parts(path) {
            place = place.with(separator);
            if !part.is_empty() && self.values.contains(&place.value()) {
                place = place.with(b"{value}");
                continue;
            }
            // A table's name is a name, however many there are.
            let may_hold_values = is_key || !separator.is_empty();
            if may_hold_values && look(part).is_none() && self.note(place, part, names_max) {
                return true;
            }
            fold_part(part, |piece| place = place.with(piece));
        }
        false
    }

    fn note(&mut self, place: Hash, name: &[u8], names_max: usize) -> bool {
        if self.seen >= CHILDREN_SEEN_MAX {
            return false;
        }
        let names = self.names.entry(place.value()).or_default();
        self.seen += usize::from(names.insert(Hash::new(0).with(name).value()));
        if names.len() <= names_max {
            return false;
        }
        self.seen -= names.len();
        self.names.remove(&place.value());
        self.values.insert(place.value());
        true
    }
}

/// A difference's field with every index, every number of a row, and every key that is a value, folded.
pub fn field(field: &str) -> String {
    let start = match field {
        _ if field.starts_with("body:$") => "body:$".len(),
        _ if field.starts_with("header:") || field.starts_with("body") => field.len(),
        _ => field.find(['.', '[', ' ']).unwrap_or(field.len()),
    };
    let (root, path) = field.split_at(start);
    let mut folded = String::with_capacity(field.len());
    folded.push_str(root);
    let holds_items = root == "value";
    let mut rest = path;
    while let Some(first) = rest.chars().next() {
        let is_quoted = rest.starts_with("[\"");
        let end = match first {
            '[' if is_quoted => rest[2..].find("\"]").map_or(rest.len(), |end| end + 4),
            '[' => rest.find(']').map_or(rest.len(), |end| end + 1),
            _ => rest[1..].find(['.', '[', ' ']).map_or(rest.len(), |end| end + 1),
        };
        let (step, behind) = rest.split_at(end);
        let is_item = holds_items && rest.len() == path.len();
        match first {
            _ if is_item => folded.push_str("[*]"),
            ' ' if step[1..].bytes().all(|byte| byte.is_ascii_digit()) => folded.push_str(" *"),
            '[' if !is_quoted => folded.push_str("[*]"),
            _ => {
                let key = step.trim_start_matches(['.', '[', '"']).trim_end_matches(['"', ']']);
                match look(key.as_bytes()) {
                    Some(look) => folded.extend([".", look]),
                    None => folded.push_str(step),
                }
            }
        }
        rest = behind;
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(path: &str) -> String {
        Templates::default().text(Hash::new(0), path.as_bytes())
    }

    #[test]
    fn values_are_folded_by_their_look() {
        for (path, template) in [
            ("/", "/"),
            ("/api/v1/items", "/api/v1/items"),
            ("/api/v2/items/7", "/api/v2/items/{number}"),
            ("/u/8c9ab7f2-5f3e-4a8e-9d8e-0f5f0d2a7b11/x", "/u/{uuid}/x"),
            ("/log/2024-05-06/a", "/log/{date}/a"),
            ("/t/9f86d081884c7d65", "/t/{hash}"),
            ("/s/eyJhbGciOiJIUzI1NiJ9", "/s/{token}"),
            ("/item-1024.html", "/item-{number}.html"),
            ("/http2/index.html", "/http2/index.html"),
            ("/deadbeefs", "/deadbeefs"),
            ("users", "users"),
        ] {
            assert_eq!(text(path), template);
        }
    }

    #[test]
    fn a_place_with_many_names_holds_values() {
        let (mut templates, above) = (Templates::default(), Hash::new(1));
        let name = |number: u8| format!("/users/{}{}/cart", (b'a' + number / 26) as char, (b'a' + number % 26) as char);
        let learned = (0..=CHILDREN_MAX as u8).map(|number| templates.learn(above, name(number).as_bytes(), false));
        assert_eq!(learned.collect::<Vec<_>>().iter().filter(|learned| **learned).count(), 1);
        assert_eq!(templates.text(above, b"/users/zoe/cart"), "/users/{value}/cart");
        assert_eq!(templates.text(above, b"/other/zoe/cart"), "/other/zoe/cart");
        assert_eq!(templates.text(Hash::new(2), b"/users/zoe"), "/users/zoe");
        assert_eq!(templates.hash(above, b"/users/a/cart"), templates.hash(above, b"/users/b/cart"));
        assert_ne!(templates.hash(above, b"/users/a/cart"), templates.hash(above, b"/users/a/b"));
    }

    #[test]
    fn keys_are_folded_sooner() {
        let (mut templates, above) = (Templates::default(), Hash::new(1));
        let name = |number: u8| format!("user:{}:cart", (b'a' + number) as char);
        (0..=KEY_CHILDREN_MAX as u8).for_each(|number| {
            templates.learn(above, name(number).as_bytes(), true);
        });
        assert_eq!(templates.text(above, b"user:zoe:cart"), "user:{value}:cart");
        assert_eq!(templates.text(above, b"item:12"), "item:{number}");
    }

    #[test]
    fn fields_are_folded() {
        for (of, folded) in [
            ("status", "status"),
            ("header:x-a", "header:x-a"),
            ("body:line 12", "body:line 12"),
            ("body:$", "body:$"),
            ("body:$.items[3].price", "body:$.items[*].price"),
            ("body:$[0][1]", "body:$[*][*]"),
            ("body:$.m.9f86d081884c7d65.x", "body:$.m.{hash}.x"),
            ("body:$[\"a b\"].c", "body:$[\"a b\"].c"),
            ("body:$[\"2024-05-06T01:02:03Z\"].c", "body:$.{date}.c"),
            ("rows", "rows"),
            ("row 3.price", "row *.price"),
            ("result 2 row 13[4]", "result * row *[*]"),
            ("reply[2].name", "reply[*].name"),
            ("value[\"user:1\"].data", "value[*].data"),
            ("value.k.flags", "value[*].flags"),
        ] {
            assert_eq!(field(of), folded);
        }
    }
}
