//! JSON (RFC 8259) as a flat list of nodes over its own text: nothing is copied, and depth and number are bounded.

use super::tree::{self, Shape};
use crate::limits::comparison::{JSON_DEPTH, JSON_NODES};
use std::borrow::Cow;

#[derive(Clone, Copy, Debug)]
struct Entry {
    shape: Shape,
    /// Where its text begins and ends.
    start: u32,
    end: u32,
    /// In an object: where its key begins and ends, within the quotes.
    key: (u32, u32),
    /// The first node behind it and all that it contains.
    next: u32,
}

/// A document.
#[derive(Debug)]
pub(super) struct Tree<'a> {
    text: &'a [u8],
    entries: Vec<Entry>,
}

/// A value within a document.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node<'t, 'a> {
    tree: &'t Tree<'a>,
    index: u32,
}

/// Reads a document; nothing where it is none, or beyond the bounds.
pub(super) fn parse(text: &[u8]) -> Option<Tree<'_>> {
    let mut parser = Parser { text, at: 0, entries: Vec::new() };
    u32::try_from(text.len()).ok()?;
    parser.value((0, 0), 0)?;
    parser.skip_space();
    (parser.at == text.len()).then_some(Tree { text, entries: parser.entries })
}

impl<'a> Tree<'a> {
    /// The value that the document is.
    pub(super) fn root(&self) -> Node<'_, 'a> {
        Node { tree: self, index: 0 }
    }
}

impl<'t, 'a> Node<'t, 'a> {
    fn entry(&self) -> &'t Entry {
        &self.tree.entries[self.index as usize]
    }

    fn slice(&self) -> &'a [u8] {
        let entry = self.entry();
        &self.tree.text[entry.start as usize..entry.end as usize]
    }
}

impl<'a> tree::Node<'a> for Node<'_, 'a> {
    fn shape(self) -> Shape {
        self.entry().shape
    }

    fn text(self) -> Cow<'a, [u8]> {
        Cow::Borrowed(self.slice())
    }

    fn string(self) -> Cow<'a, [u8]> {
        let text = self.slice();
        unescaped(&text[1..text.len() - 1])
    }

    fn key(self) -> Cow<'a, [u8]> {
        let (start, end) = self.entry().key;
        unescaped(&self.tree.text[start as usize..end as usize])
    }

    fn children(self) -> impl Iterator<Item = Self> {
        let (tree, end) = (self.tree, self.entry().next);
        let mut index = self.index + 1;
        core::iter::from_fn(move || {
            let child = (index < end).then_some(Node { tree, index })?;
            index = child.entry().next;
            Some(child)
        })
    }

    fn is_same(self, other: Self) -> bool {
        self.slice() == other.slice()
    }
}

/// A string without its escapes; a lone surrogate becomes the replacement character.
fn unescaped(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'\\') {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        if *byte != b'\\' {
            bytes.push(*byte);
            at += 1;
            continue;
        }
        let code = match text.get(at + 1) {
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(b'r') => b'\r',
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(b'u') => {
                let (character, len) = code_point(text, at);
                bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                at += len;
                continue;
            }
            Some(other) => *other,
            None => b'\\',
        };
        bytes.push(code);
        at += 2;
    }
    Cow::Owned(bytes)
}

/// The character of a `\u` escape, or of a pair of them, at `at`, and the length of the text that says it.
fn code_point(text: &[u8], at: usize) -> (char, usize) {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6).filter(|escape| escape.starts_with(b"\\u"))?;
        u32::from_str_radix(core::str::from_utf8(&digits[2..]).ok()?, 16).ok()
    };
    let first = unit(at).unwrap_or(0xFFFD);
    match unit(at + 6) {
        Some(second @ 0xDC00..=0xDFFF) if (0xD800..=0xDBFF).contains(&first) => {
            let code = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
            (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 12)
        }
        _ => (char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), 6),
    }
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    entries: Vec<Entry>,
}

impl Parser<'_> {
    fn skip_space(&mut self) {
        let space = self.text[self.at..].iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
        self.at += space;
    }

    /// The next byte that is no space.
    fn peek(&mut self) -> Option<u8> {
        self.skip_space();
        self.text.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn value(&mut self, key: (u32, u32), depth: usize) -> Option<()> {
        if depth > JSON_DEPTH || self.entries.len() >= JSON_NODES {
            return None;
        }
        let first = self.peek()?;
        let (index, start) = (self.entries.len(), self.at);
        self.entries.push(Entry { shape: Shape::Null, start: start as u32, end: 0, key, next: 0 });
        let shape = match first {
            b'{' => self.object(depth)?,
            b'[' => self.array(depth)?,
            b'"' => self.quoted().map(|_| Shape::String)?,
            b't' => self.word(b"true", Shape::True)?,
            b'f' => self.word(b"false", Shape::False)?,
            b'n' => self.word(b"null", Shape::Null)?,
            _ => self.number()?,
        };
        let next = self.entries.len() as u32;
        self.entries[index] = Entry { shape, start: start as u32, end: self.at as u32, key, next };
        Some(())
    }

    fn object(&mut self, depth: usize) -> Option<Shape> {
        self.take(b'{')?;
        if self.peek()? == b'}' {
            self.at += 1;
            return Some(Shape::Object);
        }
        loop {
            self.skip_space();
            let key = self.quoted()?;
            self.take(b':')?;
            self.value(key, depth + 1)?;
            match self.peek()? {
                b',' => self.at += 1,
                b'}' => break,
                _ => return None,
            }
        }
        self.at += 1;
        Some(Shape::Object)
    }

    fn array(&mut self, depth: usize) -> Option<Shape> {
        self.take(b'[')?;
        if self.peek()? == b']' {
            self.at += 1;
            return Some(Shape::Array);
        }
        loop {
            self.value((0, 0), depth + 1)?;
            match self.peek()? {
                b',' => self.at += 1,
                b']' => break,
                _ => return None,
            }
        }
        self.at += 1;
        Some(Shape::Array)
    }

    /// A string; where it begins and ends within the quotes.
    fn quoted(&mut self) -> Option<(u32, u32)> {
        if self.text.get(self.at) != Some(&b'"') {
            return None;
        }
        let start = self.at + 1;
        let mut at = start;
        loop {
            at += memchr::memchr2(b'"', b'\\', &self.text[at..])?;
            if self.text[at] == b'"' {
                self.at = at + 1;
                return Some((start as u32, at as u32));
            }
            at += 2;
            if at > self.text.len() {
                return None;
            }
        }
    }

    fn word(&mut self, word: &[u8], shape: Shape) -> Option<Shape> {
        self.text[self.at..].starts_with(word).then(|| {
            self.at += word.len();
            shape
        })
    }

    fn digits(&mut self) -> Option<()> {
        let count = self.text[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        (count > 0).then_some(())
    }

    fn number(&mut self) -> Option<Shape> {
        self.at += usize::from(self.text[self.at] == b'-');
        self.digits()?;
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.text.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.text.get(self.at), Some(b'+' | b'-')));
            self.digits()?;
        }
        Some(Shape::Number)
    }
}

#[cfg(test)]
mod tests {
    use super::tree::Node as _;
    use super::*;

    #[test]
    fn documents_are_read_and_all_else_is_not() {
        for good in ["1", " -1.5e+10 ", "\"\"", "{}", "[]", "[1,[2,{\"a\":null}],true,false]", r#"{"a\"b" : "\\"}"#] {
            assert!(parse(good.as_bytes()).is_some(), "{good}");
        }
        for bad in
            ["", " ", "{", "[1,]", "{\"a\"}", "{\"a\":}", "{a:1}", "1 2", "\"a", "\"a\\", "tru", "-", "1.", "1e", "+1"]
        {
            assert!(parse(bad.as_bytes()).is_none(), "{bad}");
        }
        assert!(parse("[".repeat(100_000).as_bytes()).is_none(), "depth is bounded");
    }

    #[test]
    fn every_prefix_of_a_document_is_none() {
        let text = r#"{"a": [1.5, "x\u00e9", {"b": null}], "c": true}"#.as_bytes();
        assert!((0..text.len()).all(|end| parse(&text[..end]).is_none()));
    }

    #[test]
    fn nodes_have_keys_and_children() {
        let tree = parse(br#"{"a": [1, [2, 3]], "\u0062": {"c": "d\n\ud83d\ude00\ud83d"}}"#).expect("a document");
        let keys: Vec<_> = tree.root().children().map(|node| node.key().into_owned()).collect();
        assert_eq!(keys, [b"a", b"b"]);
        let array: Vec<_> = tree.root().children().next().expect("a").children().map(|node| node.text()).collect();
        assert_eq!(array, [&b"1"[..], b"[2, 3]"]);
        let inner = tree.root().children().nth(1).and_then(|node| node.children().next()).expect("c");
        assert_eq!((inner.shape(), &*inner.string()), (Shape::String, "d\n\u{1f600}\u{fffd}".as_bytes()));
    }
}
