//! An answer of PostgreSQL as results: the columns, the rows, the command's tag, the code of an error. What is read is what
//! the framer leaves of the server's messages: of a column's description its name, width, modifier and format.

use crate::protocol::reply::{Name, Reply, Taker, Value, decimal};
use std::borrow::Cow;

/// The field of an error that is its code (the manual, "Error and Notice Message Fields").
const CODE: u8 = b'C';

/// One result for each statement.
pub(super) fn read(_kind: u64, bytes: &[u8]) -> Option<Reply<'_>> {
    let mut results = Results { reply: Reply::default(), number: 1, columns: Vec::new(), rows: Vec::new() };
    let mut taker = Taker::new(bytes);
    while !taker.rest.is_empty() {
        taker.count(0)?;
        results.message(&mut taker)?;
    }
    results.end_rows(None);
    Some(results.reply)
}

struct Results<'a> {
    reply: Reply<'a>,
    /// Of the present result.
    number: usize,
    columns: Vec<&'a [u8]>,
    rows: Vec<Value<'a>>,
}

impl<'a> Results<'a> {
    fn put(&mut self, name: Name, value: Value<'a>) {
        self.reply.put(self.number, name, value);
    }

    fn message(&mut self, taker: &mut Taker<'a>) -> Option<()> {
        match taker.byte()? {
            b'E' => self.error(taker)?,
            b'T' => self.describe(taker)?,
            kind => {
                let len = u32::from_be_bytes(taker.array()?).checked_sub(4)?;
                let content = taker.bytes(len as usize)?;
                self.plain(kind, content, taker)?;
            }
        }
        Some(())
    }

    fn error(&mut self, taker: &mut Taker<'a>) -> Option<()> {
        loop {
            match taker.byte()? {
                0 => return Some(()),
                CODE => {
                    let code = taker.until(0)?;
                    self.put(Name::Error, Value::Error(code));
                }
                _ => {
                    taker.until(0)?;
                }
            }
        }
    }

    fn describe(&mut self, taker: &mut Taker<'a>) -> Option<()> {
        let count = u16::from_be_bytes(taker.array()?);
        self.columns.clear();
        let mut types = Vec::new();
        for _ in 0..count {
            let name = taker.until(0)?;
            let [width_high, width_low, a, b, c, d, _, format]: [u8; 8] = taker.array()?;
            let width = i16::from_be_bytes([width_high, width_low]);
            let described = format!("width {width} modifier {} format {format}", i32::from_be_bytes([a, b, c, d]));
            types.push(Value::Text(Cow::Owned(described.into_bytes())));
            self.columns.push(name);
        }
        let names = self.columns.join(&b", "[..]);
        self.put(Name::Columns, Value::Text(Cow::Owned(names)));
        self.put(Name::Column, Value::List(types));
        Some(())
    }

    /// A message whose content is all there.
    fn plain(&mut self, kind: u8, content: &'a [u8], taker: &mut Taker<'a>) -> Option<()> {
        match kind {
            b'D' => {
                let row = self.row(content, taker)?;
                self.rows.push(row);
            }
            b'd' => self.rows.push(Value::text(content)),
            b'C' => self.complete(content.strip_suffix(b"\0")?),
            b'I' | b's' => self.end_result(None),
            b'Z' => self.reply.put(1, Name::State, Value::text(content)),
            // Steps of the extended protocol and of COPY say nothing but that they are done.
            b'1' | b'2' | b'3' | b'G' | b'H' | b'V' | b'c' | b'n' => {}
            _ => return None,
        }
        Some(())
    }

    fn row(&self, content: &'a [u8], taker: &mut Taker<'a>) -> Option<Value<'a>> {
        let mut row = Taker::new(content);
        let count = usize::from(u16::from_be_bytes(row.array()?));
        let mut values = Vec::new();
        for _ in 0..count {
            taker.count(0)?;
            let len = u32::from_be_bytes(row.array()?);
            values.push(if len == u32::MAX { Value::Null } else { Value::text(row.bytes(len as usize)?) });
        }
        let has_names = self.columns.len() == count;
        let named = |(name, value): (&&'a [u8], Value<'a>)| (Cow::Borrowed(*name), value);
        Some(match has_names {
            true => Value::Map(self.columns.iter().zip(values).map(named).collect()),
            false => Value::List(values),
        })
    }

    /// The tag is a word or two, and a count for statements that have one; of an INSERT, an object's number before it.
    fn complete(&mut self, tag: &'a [u8]) {
        let mut words: Vec<&[u8]> = tag.split(|byte| *byte == b' ').collect();
        let count = words.last().and_then(|word| decimal(word));
        words.retain(|word| decimal(word).is_none());
        self.put(Name::Tag, Value::Text(Cow::Owned(words.join(&b' '))));
        self.end_result(count);
    }

    fn end_result(&mut self, count: Option<usize>) {
        self.end_rows(count);
        self.number += 1;
        self.columns.clear();
    }

    /// Where the tag has no count, the rows are counted.
    fn end_rows(&mut self, count: Option<usize>) {
        let rows = core::mem::take(&mut self.rows);
        if let Some(count) = count.or((!rows.is_empty()).then_some(rows.len())) {
            self.put(Name::Rows, Value::number(count));
        }
        if !rows.is_empty() {
            self.put(Name::Row, Value::List(rows));
        }
    }
}
