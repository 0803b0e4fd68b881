//! Two answers of a protocol other than HTTP, by what they say: entry by entry, and within each by value.
//!
//! Where an entry differs that decides (an error, the names of columns, how many rows there are), nothing else of its result is
//! compared: another error is another answer, and behind a missing row every row is another.

use super::rules::Root;
use super::tree::{self, Shape};
use super::{Findings, Kind};
use crate::limits::comparison::EXCERPT_BYTES;
use crate::protocol::reply::{Entry, Name, Reply, Value};
use core::cmp::Ordering;
use std::borrow::Cow;

/// Compares two answers.
pub(super) fn compare(origin: &Reply<'_>, target: &Reply<'_>, findings: &mut Findings<'_>) {
    let (ours, theirs) = (sorted(origin), sorted(target));
    let (mut ours, mut theirs) = (ours.into_iter().peekable(), theirs.into_iter().peekable());
    let mut decided = 0;
    loop {
        let order = match (ours.peek(), theirs.peek()) {
            (None, None) => return,
            (Some(one), Some(other)) => place(one).cmp(&place(other)),
            (one, _) => {
                if one.is_some() {
                    Ordering::Less
                } else {
                    Ordering::Greater
                }
            }
        };
        let one = if order.is_le() { ours.next() } else { None };
        let other = if order.is_ge() { theirs.next() } else { None };
        let Some(Entry { result, name, .. }) = one.or(other) else { return };
        if *result == decided {
            continue;
        }
        let before = findings.found.len();
        entry(Root::Reply(*result, *name), one, other, findings);
        if name.decides() && findings.found.len() > before {
            decided = *result;
        }
        if *name == Name::Error && decided == *result {
            return;
        }
    }
}

fn place(entry: &Entry<'_>) -> (usize, Name) {
    (entry.result, entry.name)
}

fn sorted<'r, 'a>(reply: &'r Reply<'a>) -> Vec<&'r Entry<'a>> {
    let mut sorted: Vec<_> = reply.entries.iter().collect();
    sorted.sort_by_key(|entry| place(entry));
    sorted
}

fn entry(root: Root, origin: Option<&Entry<'_>>, target: Option<&Entry<'_>>, findings: &mut Findings<'_>) {
    match (origin, target) {
        (Some(origin), Some(target)) => tree::compare(root, node(origin), node(target), findings),
        (origin, target) => {
            let kind = if origin.is_some() { Kind::Missing } else { Kind::Added };
            tree::add(root, kind, origin.map(node), target.map(node), findings);
        }
    }
}

fn node<'r>(entry: &'r Entry<'r>) -> Node<'r> {
    Node { key: b"", value: &entry.value }
}

/// A value in an answer.
#[derive(Clone, Copy)]
struct Node<'a> {
    key: &'a [u8],
    value: &'a Value<'a>,
}

impl<'a> tree::Node<'a> for Node<'a> {
    fn shape(self) -> Shape {
        match self.value {
            Value::Null => Shape::Null,
            Value::Number(_) => Shape::Number,
            Value::Text(_) => Shape::Bytes,
            Value::Error(_) => Shape::Error,
            Value::List(_) => Shape::Array,
            Value::Set(_) => Shape::Set,
            Value::Map(_) => Shape::Object,
        }
    }

    fn text(self) -> Cow<'a, [u8]> {
        match self.value {
            Value::Number(text) | Value::Text(text) => Cow::Borrowed(text),
            Value::Error(code) => Cow::Borrowed(code),
            value => {
                let mut text = Vec::new();
                write(value, &mut text);
                Cow::Owned(text)
            }
        }
    }

    fn string(self) -> Cow<'a, [u8]> {
        self.text()
    }

    fn key(self) -> Cow<'a, [u8]> {
        Cow::Borrowed(self.key)
    }

    fn children(self) -> impl Iterator<Item = Self> {
        let (list, map): (&[Value<'a>], &[_]) = match self.value {
            Value::List(values) | Value::Set(values) => (values, &[]),
            Value::Map(members) => (&[], members),
            _ => (&[], &[]),
        };
        let elements = list.iter().map(|value| Node { key: b"", value });
        elements.chain(map.iter().map(|(key, value)| Node { key, value }))
    }

    fn is_same(self, other: Self) -> bool {
        self.value == other.value
    }
}

/// Writes the beginning of a value for people.
fn write(value: &Value<'_>, text: &mut Vec<u8>) {
    if text.len() > EXCERPT_BYTES {
        return;
    }
    match value {
        Value::Null => text.extend_from_slice(b"null"),
        Value::Number(plain) | Value::Text(plain) => text.extend_from_slice(&plain[..plain.len().min(EXCERPT_BYTES)]),
        Value::Error(code) => text.extend_from_slice(code),
        Value::List(values) | Value::Set(values) => {
            text.push(b'[');
            for (index, value) in values.iter().enumerate().take(EXCERPT_BYTES) {
                text.extend_from_slice(if index > 0 { b", " } else { b"" });
                write(value, text);
            }
            text.push(b']');
        }
        Value::Map(members) => {
            text.push(b'{');
            for (index, (key, value)) in members.iter().enumerate().take(EXCERPT_BYTES) {
                text.extend_from_slice(if index > 0 { b", " } else { b"" });
                text.extend_from_slice(&key[..key.len().min(EXCERPT_BYTES)]);
                text.extend_from_slice(b": ");
                write(value, text);
            }
            text.push(b'}');
        }
    }
}
