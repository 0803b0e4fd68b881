//! What an answer says, read as a whole: values under names, for the comparison by reply.
//!
//! Reading never fails the connection: an answer that is not what its protocol says is no reply, and is compared by bytes.

use std::borrow::Cow;

/// Reads a whole answer, as the framer handed it out as [`super::Part::Body`]; the number is its [`super::Expect::kind`].
pub type Reader = for<'a> fn(u64, &'a [u8]) -> Option<Reply<'a>>;

/// Values of one answer, at most, of some 40 bytes each. Beyond it the answer is compared by bytes.
const VALUES_MAX: usize = 100_000;
/// Depth of values: reader and comparison call themselves for each level.
const DEPTH_MAX: usize = 128;

/// An answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reply<'a> {
    /// In the order of the answer.
    pub entries: Vec<Entry<'a>>,
}

/// A value with its place in the answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry<'a> {
    /// Number of the result that it belongs to, from 1: a statement can have several.
    pub result: usize,
    /// What it is.
    pub name: Name,
    /// What it says.
    pub value: Value<'a>,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// The code of an error.
    Error,
    /// What was done, in the server's word.
    Tag,
    /// The names of the columns.
    Columns,
    /// How many rows there are, or were changed.
    Rows,
    /// The types of the columns, a list.
    Column,
    /// The rows, a list.
    Row,
    /// Warnings.
    Warnings,
    /// The connection's state behind the answer.
    State,
    /// Values by their keys.
    Value,
    /// The one value that is the answer.
    Reply,
}

impl Name {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Error,
        Self::Tag,
        Self::Columns,
        Self::Rows,
        Self::Column,
        Self::Row,
        Self::Warnings,
        Self::State,
        Self::Value,
        Self::Reply,
    ];

    /// As a field of the comparison is called.
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Tag => "tag",
            Self::Columns => "columns",
            Self::Rows => "rows",
            Self::Column => "column",
            Self::Row => "row",
            Self::Warnings => "warnings",
            Self::State => "state",
            Self::Value => "value",
            Self::Reply => "reply",
        }
    }

    /// Whether its value is a list whose elements are counted from 1, as people count rows.
    pub fn is_counted(self) -> bool {
        matches!(self, Self::Row | Self::Column)
    }

    /// Whether the rest says nothing of itself where this differs: an error is another answer, and other rows are others.
    pub fn decides(self) -> bool {
        matches!(self, Self::Error | Self::Tag | Self::Columns | Self::Rows)
    }
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// Nothing.
    Null,
    /// A number, as text.
    Number(Cow<'a, [u8]>),
    /// Bytes, which may be a number's.
    Text(Cow<'a, [u8]>),
    /// The code of an error.
    Error(&'a [u8]),
    /// Values in an order.
    List(Vec<Value<'a>>),
    /// Values in any order.
    Set(Vec<Value<'a>>),
    /// Values by their keys, in any order.
    Map(Vec<(Cow<'a, [u8]>, Value<'a>)>),
}

impl<'a> Value<'a> {
    /// A text that is part of the answer.
    pub fn text(bytes: &'a [u8]) -> Self {
        Self::Text(Cow::Borrowed(bytes))
    }

    /// A number.
    pub fn number(number: impl ToString) -> Self {
        Self::Number(Cow::Owned(number.to_string().into_bytes()))
    }
}

impl<'a> Reply<'a> {
    /// Of one value.
    pub fn of(name: Name, value: Value<'a>) -> Self {
        let mut reply = Self::default();
        reply.put(1, name, value);
        reply
    }

    /// Adds an entry.
    pub fn put(&mut self, result: usize, name: Name, value: Value<'a>) {
        self.entries.push(Entry { result, name, value });
    }
}

/// Bytes on their way into values.
#[derive(Clone, Debug)]
pub struct Taker<'a> {
    /// What is left.
    pub rest: &'a [u8],
    values: usize,
}

impl<'a> Taker<'a> {
    /// At the front.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, values: 0 }
    }

    /// Counts a value at this depth; `None` beyond the bounds.
    pub fn count(&mut self, depth: usize) -> Option<()> {
        self.values += 1;
        (self.values <= VALUES_MAX && depth <= DEPTH_MAX).then_some(())
    }

    /// The next byte.
    pub fn byte(&mut self) -> Option<u8> {
        self.rest.split_off_first().copied()
    }

    /// So many bytes.
    pub fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        self.rest.split_off(..len)
    }

    /// An array of bytes.
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.first_chunk().copied()
    }

    /// Bytes up to a separator, which is passed over.
    pub fn until(&mut self, separator: u8) -> Option<&'a [u8]> {
        let end = memchr::memchr(separator, self.rest)?;
        let taken = self.bytes(end)?;
        self.byte()?;
        Some(taken)
    }

    /// A line without its end.
    pub fn line(&mut self) -> Option<&'a [u8]> {
        let line = self.until(b'\n')?;
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }
}

/// A decimal number.
pub fn decimal(digits: &[u8]) -> Option<usize> {
    core::str::from_utf8(digits).ok()?.parse().ok()
}
