//! An answer of MySQL or MariaDB as results: the columns, the rows, the counts of a success, the code of an error. What is
//! read is what the framer leaves of the server's packets: their content one after the other, and of a success what is compared.

use super::answer::number as length;
use super::request::{DEPRECATE_EOF, ONE, PREPARED, RESULTS, ROWS, SHAPE, STATEMENT};
use crate::protocol::reply::{Name, Reply, Taker, Value};
use std::borrow::Cow;

const OK: u8 = 0x00;
const FILE_WANTED: u8 = 0xFB;
const NULL: u8 = 0xFB;
const EOF: u8 = 0xFE;
const ERROR: u8 = 0xFF;
const MORE_RESULTS: u16 = 1 << 3;
const UNSIGNED: u16 = 1 << 5;

/// Texts in front of a column's fixed fields: catalog, schema, table and name under two names each.
const COLUMN_TEXTS: usize = 6;
/// Length of those: character set, length, type, flags, decimals, and two bytes of nothing.
const COLUMN_BYTES: u8 = 12;

/// In which of several ways results are told is known from the request in part; only the right one comes out even. What is neither
/// a result, a success nor an error is read by nobody: definitions alone, rows alone.
pub(super) fn read(kind: u64, bytes: &[u8]) -> Option<Reply<'_>> {
    let first = bytes.first()?;
    if !matches!((kind & SHAPE, *first), (RESULTS, _) | (ONE, OK | EOF) | (PREPARED | ROWS, ERROR)) {
        return None;
    }
    let agreed = kind & DEPRECATE_EOF != 0;
    let ways = [(agreed, false), (!agreed, false), (agreed, true), (!agreed, true)];
    ways.into_iter().find_map(|(is_short, is_extended)| {
        let is_binary = kind & STATEMENT != 0;
        let mut results =
            Results { reply: Reply::default(), number: 1, taker: Taker::new(bytes), is_short, is_extended, is_binary };
        while results.result()? {
            results.number += 1;
        }
        results.taker.rest.is_empty().then_some(results.reply)
    })
}

/// What is told of a column.
struct Column<'a> {
    name: &'a [u8],
    kind: u8,
    flags: u16,
    len: u32,
    decimals: u8,
    set: u16,
}

impl Column<'_> {
    fn described<'v>(&self) -> Value<'v> {
        let Self { kind, flags, len, decimals, set, .. } = self;
        let text = format!("type {kind} length {len} decimals {decimals} flags {flags:#x} character set {set}");
        Value::Text(Cow::Owned(text.into_bytes()))
    }
}

struct Results<'a> {
    reply: Reply<'a>,
    /// Of the present result.
    number: usize,
    taker: Taker<'a>,
    /// Definitions have no packet for their end, and that of rows has counts.
    is_short: bool,
    /// Columns have another text.
    is_extended: bool,
    /// Rows are those of a prepared statement.
    is_binary: bool,
}

impl<'a> Results<'a> {
    fn put(&mut self, name: Name, value: Value<'a>) {
        self.reply.put(self.number, name, value);
    }

    /// Reads one result; whether another follows.
    fn result(&mut self) -> Option<bool> {
        match *self.taker.rest.first()? {
            OK | EOF => self.success(true),
            ERROR => self.error(),
            FILE_WANTED => {
                let file = self.taker.rest;
                self.taker.rest = b"";
                self.put(Name::Reply, Value::text(file));
                Some(false)
            }
            _ => self.rows(),
        }
    }

    /// Counts, unless there are none, state and warnings. Whether another result follows.
    fn success(&mut self, has_counts: bool) -> Option<bool> {
        self.taker.byte()?;
        if has_counts {
            let count = self.length()?;
            self.put(Name::Rows, Value::number(count));
        }
        self.state()
    }

    fn state(&mut self) -> Option<bool> {
        let state = u16::from_le_bytes(self.taker.array()?);
        let warnings = u16::from_le_bytes(self.taker.array()?);
        self.put(Name::Warnings, Value::number(warnings));
        self.put(Name::State, Value::Text(Cow::Owned(format!("{state:#06x}").into_bytes())));
        Some(state & MORE_RESULTS != 0)
    }

    /// An error ends the answer: its number, maybe a state behind `#`, and words.
    fn error(&mut self) -> Option<bool> {
        self.taker.byte()?;
        let code = u16::from_le_bytes(self.taker.array()?);
        self.taker.rest = b"";
        self.put(Name::Error, Value::number(code));
        Some(false)
    }

    fn rows(&mut self) -> Option<bool> {
        // Rows without columns would take no bytes, and there would be no end of them.
        let count = self.length().filter(|count| *count > 0)?;
        // That the columns are told: the first byte of a column is the length of its catalog's name, `def`.
        if self.taker.rest.starts_with(&[1, 3]) {
            self.taker.byte()?;
        }
        let columns: Vec<Column<'a>> = (0..count).map(|_| self.column()).collect::<Option<_>>()?;
        let names = columns.iter().map(|column| column.name).collect::<Vec<_>>().join(&b", "[..]);
        self.put(Name::Columns, Value::Text(Cow::Owned(names)));
        self.put(Name::Column, Value::List(columns.iter().map(Column::described).collect()));
        if !self.is_short {
            let [EOF, _, _, _, _] = self.taker.array()? else { return None };
            if self.taker.rest.is_empty() {
                // A cursor: its rows are fetched apart.
                return Some(false);
            }
        }
        let mut rows = Vec::new();
        while !matches!(*self.taker.rest.first()?, EOF | ERROR) {
            rows.push(if self.is_binary { self.binary_row(&columns)? } else { self.text_row(&columns)? });
        }
        self.put(Name::Rows, Value::number(rows.len()));
        self.put(Name::Row, Value::List(rows));
        if self.taker.rest.first() == Some(&ERROR) {
            return self.error();
        }
        self.taker.byte()?;
        if self.is_short {
            self.length()?;
        }
        self.state()
    }

    fn column(&mut self) -> Option<Column<'a>> {
        self.taker.count(0)?;
        let mut texts = [&b""[..]; COLUMN_TEXTS];
        for text in &mut texts {
            *text = self.string()?;
        }
        if self.is_extended {
            self.string()?;
        }
        let [COLUMN_BYTES, set, set_high, a, b, c, d, kind, flags, flags_high, decimals, _, _] = self.taker.array()?
        else {
            return None;
        };
        let (set, flags) = (u16::from_le_bytes([set, set_high]), u16::from_le_bytes([flags, flags_high]));
        Some(Column { name: texts[4], kind, flags, len: u32::from_le_bytes([a, b, c, d]), decimals, set })
    }

    fn text_row(&mut self, columns: &[Column<'a>]) -> Option<Value<'a>> {
        let value = |column: &Column<'a>| {
            self.taker.count(0)?;
            if self.taker.rest.first() == Some(&NULL) {
                self.taker.byte()?;
                return Some((column.name.into(), Value::Null));
            }
            Some((column.name.into(), Value::text(self.string()?)))
        };
        columns.iter().map(value).collect::<Option<_>>().map(Value::Map)
    }

    /// A byte of nothing, a bit for each column that is null behind two others, and the values of the rest.
    fn binary_row(&mut self, columns: &[Column<'a>]) -> Option<Value<'a>> {
        let (OK, nulls) = (self.taker.byte()?, self.taker.bytes((columns.len() + 9) / 8)?) else { return None };
        let value = |(index, column): (usize, &Column<'a>)| {
            self.taker.count(0)?;
            let is_null = nulls[(index + 2) / 8] >> ((index + 2) % 8) & 1 == 1;
            let value = if is_null { Value::Null } else { self.binary_value(column)? };
            Some((column.name.into(), value))
        };
        columns.iter().enumerate().map(value).collect::<Option<_>>().map(Value::Map)
    }

    /// A value by its column's type (the protocol's "Binary Protocol Value").
    fn binary_value(&mut self, column: &Column<'a>) -> Option<Value<'a>> {
        let is_unsigned = column.flags & UNSIGNED != 0;
        Some(match column.kind {
            1 => self.integer::<1>(is_unsigned)?,
            2 | 13 => self.integer::<2>(is_unsigned)?,
            3 | 9 => self.integer::<4>(is_unsigned)?,
            8 => self.integer::<8>(is_unsigned)?,
            4 => Value::number(f32::from_le_bytes(self.taker.array()?)),
            5 => Value::number(f64::from_le_bytes(self.taker.array()?)),
            6 => Value::Null,
            7 | 10 | 12 => {
                let len = self.taker.byte()?;
                Value::Text(Cow::Owned(moment(self.taker.bytes(len.into())?)?.into_bytes()))
            }
            11 => {
                let len = self.taker.byte()?;
                Value::Text(Cow::Owned(span(self.taker.bytes(len.into())?)?.into_bytes()))
            }
            _ => Value::text(self.string()?),
        })
    }

    fn integer<const N: usize>(&mut self, is_unsigned: bool) -> Option<Value<'a>> {
        let bytes: [u8; N] = self.taker.array()?;
        let fill = if !is_unsigned && bytes[N - 1] & 0x80 != 0 { 0xFF } else { 0 };
        let mut wide = [fill; 8];
        wide[..N].copy_from_slice(&bytes);
        Some(if is_unsigned {
            Value::number(u64::from_le_bytes(wide))
        } else {
            Value::number(i64::from_le_bytes(wide))
        })
    }

    fn length(&mut self) -> Option<usize> {
        let (value, len) = length(self.taker.rest)?;
        self.taker.bytes(len)?;
        usize::try_from(value).ok()
    }

    fn string(&mut self) -> Option<&'a [u8]> {
        let len = self.length()?;
        self.taker.bytes(len)
    }
}

/// A date with or without a time of day, as text.
fn moment(bytes: &[u8]) -> Option<String> {
    let date =
        |low: u8, high: u8, month: u8, day: u8| format!("{:04}-{month:02}-{day:02}", u16::from_le_bytes([low, high]));
    Some(match *bytes {
        [] => "0000-00-00".to_owned(),
        [low, high, month, day] => date(low, high, month, day),
        [low, high, month, day, hour, minute, second, ref rest @ ..] => {
            format!("{} {hour:02}:{minute:02}:{second:02}{}", date(low, high, month, day), fraction(rest)?)
        }
        _ => return None,
    })
}

/// A span of time, as text.
fn span(bytes: &[u8]) -> Option<String> {
    Some(match *bytes {
        [] => "00:00:00".to_owned(),
        [sign, a, b, c, d, hour, minute, second, ref rest @ ..] => {
            let hours = u64::from(u32::from_le_bytes([a, b, c, d])) * 24 + u64::from(hour);
            let sign = if sign == 1 { "-" } else { "" };
            format!("{sign}{hours:02}:{minute:02}:{second:02}{}", fraction(rest)?)
        }
        _ => return None,
    })
}

fn fraction(bytes: &[u8]) -> Option<String> {
    Some(match bytes {
        [] => String::new(),
        bytes => format!(".{:06}", u32::from_le_bytes(*bytes.first_chunk()?)),
    })
}
