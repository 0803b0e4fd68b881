//! Comparison: the target's answer held against the origin's.
//!
//! Equal bytes are equal answers, and nothing is read. Where they are not, heads are compared field by field, and contents
//! by what they are: JSON by value and path, text by lines, everything else by bytes, after the content's coding was undone.
//! An answer with another status is another answer: that it also has other content says nothing, and is not said.
//! Answers of other protocols are compared by what they say, where their protocol can read them.
//!
//! `rules` is what the settings leave out of it, `coding` undoes content codings, `json` reads JSON and `tree` compares it,
//! `reply` compares answers of other protocols, `text` compares lines.

mod coding;
mod head;
mod json;
mod reply;
mod rules;
mod text;
mod tree;

pub use coding::decoded;
pub use rules::{Field, Pattern, RULES_MAX, Rule, Rules, Scope, VOLATILE_HEADERS, is_header_name};

use crate::limits::comparison::{DECODED_BYTES, DIFFERENCES_MAX, ELEMENTS_MAX, EXCERPT_BYTES, LEFT_OUT_MAX};
use crate::protocol::reply::Reader;
use coding::Decoded;
use head::Head;
use std::borrow::Cow;
use xxhash_rust::xxh3::Xxh3;

/// An answer, as far as the bounds let it be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Start line and fields of an HTTP answer, with their line ends; empty for other protocols.
    pub head: &'a [u8],
    /// The first bytes of the content, without its framing.
    pub body: &'a [u8],
    /// Length of the content.
    pub body_len: u64,
    /// Hash of the content behind `body`, if there is more.
    pub rest: Option<u128>,
}

impl Message<'_> {
    fn is_whole(&self) -> bool {
        self.rest.is_none() && self.body.len() as u64 == self.body_len
    }

    fn has_content_of(&self, other: &Self) -> bool {
        (self.body, self.body_len, self.rest) == (other.body, other.body_len, other.rest)
    }
}

/// One place in which two answers differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The place: `status`, `header:NAME`, `body:` and the path of a JSON value, `body:line N`, or `body`; of other protocols
    /// `reply[2]`, `row 3.price`, `rows`, `error` and the like.
    pub field: String,
    /// How they differ there.
    pub kind: Kind,
    /// Offset of the first byte that differs, where contents are compared by bytes.
    pub offset: Option<u64>,
    /// The beginning of what the origin has there.
    pub origin: String,
    /// The beginning of what the target has there.
    pub target: String,
}

/// How two answers differ in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Other values.
    Value,
    /// Values of other types.
    Type,
    /// The target has nothing there.
    Missing,
    /// The origin has nothing there.
    Added,
    /// One is longer than the other.
    Length,
}

impl Kind {
    /// As one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Value => "value",
            Self::Type => "type",
            Self::Missing => "missing",
            Self::Added => "added",
            Self::Length => "length",
        }
    }
}

/// What the comparison of two answers comes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Comparison {
    /// They agree.
    Equal,
    /// They do not, in these places; there is at least one.
    Unequal(Vec<Difference>),
    /// What was kept of both agrees, and a bound kept the rest from being compared.
    Unknown,
}

/// What two answers are compared by.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'r> {
    /// The rules of the service.
    pub rules: &'r Rules,
    /// Those of them that are for the request.
    pub scope: Scope,
    /// What reads answers of this protocol, with what its framer expected of this one; none for HTTP.
    pub reader: Option<(Reader, u64)>,
}

impl<'r> Terms<'r> {
    /// For answers of HTTP, or of no known protocol.
    pub fn plain(rules: &'r Rules, scope: Scope) -> Self {
        Self { rules, scope, reader: None }
    }
}

/// Holds the target's answer against the origin's.
pub fn compare(origin: &Message<'_>, target: &Message<'_>, terms: &Terms<'_>) -> Comparison {
    if origin == target {
        return Comparison::Equal;
    }
    let Terms { rules, scope, reader } = *terms;
    let mut findings = Findings { rules, scope, found: Vec::new(), folded: Vec::new(), left_out: 0 };
    if let Some((read, kind)) = reader
        && origin.is_whole()
        && target.is_whole()
        && !findings.is_ignored(&Field::Body)
        && let (Some(origin), Some(target)) = (read(kind, origin.body), read(kind, target.body))
    {
        reply::compare(&origin, &target, &mut findings);
        return findings.end(true);
    }
    let (mut origin_room, mut target_room) = (head::room(), head::room());
    let origin_head = Head::parse(origin.head, &mut origin_room);
    let target_head = Head::parse(target.head, &mut target_room);
    if origin.head != target.head && !head::compare(&origin_head, &target_head, &mut findings) {
        return findings.end(true);
    }
    let is_known = origin.has_content_of(target) || {
        let kind = Content::of(&origin_head, &target_head);
        contents(origin, target, &kind, [&origin_head, &target_head], &mut findings)
    };
    findings.end(is_known)
}

/// Compares the contents. Whether all of them was compared.
fn contents(
    origin: &Message<'_>,
    target: &Message<'_>,
    kind: &Content,
    heads: [&Option<Head<'_, '_>>; 2],
    findings: &mut Findings<'_>,
) -> bool {
    if findings.is_ignored(&Field::Body) {
        return true;
    }
    if !origin.is_whole() || !target.is_whole() {
        return cut_contents(origin, target, findings);
    }
    let [origin_head, target_head] =
        heads.map(|head| head.as_ref().map_or(&b""[..], |head| head.value("content-encoding")));
    let decoded = (
        coding::decode(origin_head, origin.body, DECODED_BYTES),
        coding::decode(target_head, target.body, DECODED_BYTES),
    );
    match decoded {
        (Decoded::Whole(origin), Decoded::Whole(target)) => decoded_contents(&origin, &target, kind, findings),
        (Decoded::Cut(origin) | Decoded::Whole(origin), Decoded::Cut(target))
        | (Decoded::Cut(origin), Decoded::Whole(target)) => {
            let unequal = origin.iter().zip(target.iter()).any(|(left, right)| left != right);
            if unequal {
                bytes(&origin, &target, findings);
            }
            return unequal;
        }
        (Decoded::Whole(origin), Decoded::Broken(target)) if target.len() < origin.len() => {
            findings.add("body".to_owned(), Kind::Length, Some(target.len() as u64), &origin, &target);
        }
        _ => bytes(origin.body, target.body, findings),
    }
    true
}

/// Contents that the bounds cut: bytes, as far as both were kept, then length, then hash. What a pattern excuses of the kept says
/// nothing of the rest.
fn cut_contents(origin: &Message<'_>, target: &Message<'_>, findings: &mut Findings<'_>) -> bool {
    let unequal = origin.body.iter().zip(target.body).position(|(left, right)| left != right);
    let same_len = origin.body_len == target.body_len;
    let same_kept = origin.body.len() == target.body.len();
    let (kind, offset) = match unequal {
        Some(offset) => (Kind::Value, Some(offset as u64)),
        None if !same_len => (Kind::Length, Some(origin.body_len.min(target.body_len))),
        None if same_kept && origin.rest != target.rest => (Kind::Value, None),
        None => return same_kept,
    };
    let at = offset.unwrap_or(0) as usize;
    findings.add("body".to_owned(), kind, offset, tail(origin.body, at), tail(target.body, at));
    !findings.found.is_empty()
}

fn decoded_contents(origin: &[u8], target: &[u8], kind: &Content, findings: &mut Findings<'_>) {
    if origin == target {
        return;
    }
    if kind.may_be_json(origin)
        && let Some(origin_tree) = json::parse(origin)
    {
        return match json::parse(target) {
            Some(target_tree) => tree::compare(rules::Root::Json, origin_tree.root(), target_tree.root(), findings),
            None => bytes(origin, target, findings),
        };
    }
    match kind {
        Content::Text => text::compare(origin, target, findings),
        _ => bytes(origin, target, findings),
    }
}

fn bytes(origin: &[u8], target: &[u8], findings: &mut Findings<'_>) {
    let unequal = origin.iter().zip(target).position(|(left, right)| left != right);
    let kind = if unequal.is_none() || target.len() < origin.len() { Kind::Length } else { Kind::Value };
    let kind = if unequal.is_some() && target.len() == origin.len() { Kind::Value } else { kind };
    let offset = unequal.unwrap_or(origin.len().min(target.len()));
    findings.add("body".to_owned(), kind, Some(offset as u64), tail(origin, offset), tail(target, offset));
}

fn tail(bytes: &[u8], at: usize) -> &[u8] {
    bytes.get(at..).unwrap_or_default()
}

/// How a content is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    /// By value and path, if it is what it says.
    Json,
    /// By lines.
    Text,
    /// Not said: JSON if it is, else by bytes.
    Unsaid,
    /// By bytes.
    Bytes,
}

impl Content {
    fn of(origin: &Option<Head<'_, '_>>, target: &Option<Head<'_, '_>>) -> Self {
        let (Some(origin), Some(target)) = (origin, target) else { return Self::Bytes };
        let (of_origin, of_target) = (Self::of_type(origin), Self::of_type(target));
        if of_origin == of_target { of_origin } else { Self::Unsaid }
    }

    fn of_type(head: &Head<'_, '_>) -> Self {
        let value = head.value("content-type");
        let end = value.iter().position(|byte| *byte == b';').unwrap_or(value.len());
        let media = value[..end].trim_ascii().to_ascii_lowercase();
        let has = |word: &[u8]| memchr::memmem::find(&media, word).is_some();
        match () {
            () if media.is_empty() => Self::Unsaid,
            () if has(b"ndjson") || has(b"jsonl") || has(b"json-seq") => Self::Text,
            () if has(b"json") => Self::Json,
            () if media.starts_with(b"text/") || has(b"xml") || has(b"javascript") || has(b"urlencoded") => Self::Text,
            () => Self::Bytes,
        }
    }

    fn may_be_json(self, body: &[u8]) -> bool {
        match self {
            Self::Json => true,
            Self::Unsaid | Self::Text => matches!(body.trim_ascii_start().first(), Some(b'{' | b'[')),
            Self::Bytes => false,
        }
    }
}

/// Differences found so far, as far as the rules leave them.
struct Findings<'r> {
    rules: &'r Rules,
    scope: Scope,
    found: Vec<Difference>,
    /// The place of each, with indexes folded.
    folded: Vec<u64>,
    left_out: usize,
}

impl Findings<'_> {
    fn end(self, is_known: bool) -> Comparison {
        match self.found.is_empty() {
            false => Comparison::Unequal(self.found),
            true if is_known => Comparison::Equal,
            true => Comparison::Unknown,
        }
    }

    fn is_full(&self) -> bool {
        self.found.len() >= DIFFERENCES_MAX || self.left_out >= LEFT_OUT_MAX
    }

    /// Whether enough elements of arrays are told that differ in the same place; else it is one more.
    fn is_told(&mut self, field: &str, kind: Kind) -> bool {
        let folded = fold(field, kind);
        let is_told = self.folded.iter().filter(|known| **known == folded).count() >= ELEMENTS_MAX;
        match is_told {
            true => self.left_out += 1,
            false => self.folded.push(folded),
        }
        is_told
    }

    fn is_ignored(&self, field: &Field) -> bool {
        self.rules.within(self.scope).any(|rule| rule.ignore.contains(field))
    }

    /// Whether two texts that differ are the same without what the rules' patterns match.
    fn agrees_without_patterns(&self, origin: &[u8], target: &[u8]) -> bool {
        let mut patterns = self.rules.within(self.scope).filter_map(|rule| rule.ignore_pattern.as_ref()).peekable();
        // Where they do not, the difference lies in what is not at hand.
        if origin == target || patterns.peek().is_none() {
            return false;
        }
        let (mut origin, mut target) = texts(origin, target);
        for pattern in patterns {
            origin = Cow::Owned(pattern.without(&origin));
            target = Cow::Owned(pattern.without(&target));
        }
        origin == target
    }

    fn add(&mut self, field: String, kind: Kind, offset: Option<u64>, origin: &[u8], target: &[u8]) {
        if self.is_full() || self.agrees_without_patterns(origin, target) || self.is_told(&field, kind) {
            return;
        }
        self.found.push(Difference { field, kind, offset, origin: excerpt(origin), target: excerpt(target) });
    }
}

/// Hash of a field without its indexes.
fn fold(field: &str, kind: Kind) -> u64 {
    let mut pieces = field.split('[');
    let first = pieces.next().unwrap_or_default();
    let mut hash = Xxh3::new();
    hash.update(first.as_bytes());
    for piece in pieces {
        hash.update(b"[");
        hash.update(piece.trim_start_matches(|letter: char| letter.is_ascii_digit()).as_bytes());
    }
    hash.update(kind.word().as_bytes());
    hash.digest()
}

/// Two values as text that differs where they differ: what is not UTF-8 is read byte by byte.
fn texts<'v>(one: &'v [u8], other: &'v [u8]) -> (Cow<'v, str>, Cow<'v, str>) {
    let by_bytes = |value: &[u8]| Cow::Owned(value.iter().copied().map(char::from).collect());
    match (core::str::from_utf8(one), core::str::from_utf8(other)) {
        (Ok(one), Ok(other)) => (one.into(), other.into()),
        _ => (by_bytes(one), by_bytes(other)),
    }
}

/// The beginning of a value, for people.
fn excerpt(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(&value[..value.len().min(EXCERPT_BYTES)]);
    if value.len() > EXCERPT_BYTES {
        format!("{}\u{2026}", text.trim_end_matches('\u{fffd}'))
    } else {
        text.into_owned()
    }
}
