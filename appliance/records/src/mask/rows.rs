//! Rows of SQL results: values whose column's name is that of a secret, as PostgreSQL and MySQL send them.
//!
//! A result names its columns before its rows, so it is read from its beginning, as far as it is one. Where an answer has rows
//! of a statement that was described before, nothing in it tells their names.

use super::cover;
use super::names::Names;
use core::ops::Range;

pub fn mask(bytes: &mut [u8], names: &Names) {
    let found = secrets_of_postgres(bytes, names);
    let found = if found.is_empty() { secrets_of_mysql(bytes, names) } else { found };
    found.into_iter().for_each(|value| cover(&mut bytes[value]));
}

/// Reads a message from its beginning.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(len)?)?;
        self.at += len;
        Some(taken)
    }

    /// As many of so many bytes as there are: what was kept may be cut.
    fn take_some(&mut self, len: usize) -> Range<usize> {
        let start = self.at.min(self.bytes.len());
        self.at = start.saturating_add(len).min(self.bytes.len());
        start..self.at
    }

    fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    fn big(&mut self, len: usize) -> Option<u64> {
        Some(self.take(len)?.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    fn little(&mut self, len: usize) -> Option<u64> {
        Some(self.take(len)?.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    /// A length of MySQL's; nothing stands for NULL.
    fn length(&mut self) -> Option<Option<usize>> {
        let width = match self.little(1)? {
            0xfb => return Some(None),
            0xfc => 2,
            0xfd => 3,
            0xfe => 8,
            0xff => return None,
            small => return Some(Some(small as usize)),
        };
        Some(usize::try_from(self.little(width)?).ok())
    }

    /// A text of MySQL's, with its length before it.
    fn text(&mut self) -> Option<&'a [u8]> {
        let len = self.length()??;
        self.take(len)
    }
}

/// PostgreSQL: the types of messages that an answer consists of.
const ANSWERS: &[u8] = b"123ACDEGHIKNRSTVWZcdnstv";
/// What describes a column behind its name.
const DESCRIPTION_BYTES: usize = 18;

fn secrets_of_postgres(bytes: &[u8], names: &Names) -> Vec<Range<usize>> {
    let (mut found, mut columns) = (Vec::new(), Vec::new());
    let mut cursor = Cursor { bytes, at: 0 };
    while let Some(kind) = cursor.take(1).filter(|kind| ANSWERS.contains(&kind[0])) {
        let Some(len) = cursor.big(4).filter(|len| *len >= 4) else { break };
        let start = cursor.at;
        let end = start.saturating_add(len as usize - 4);
        match kind {
            b"T" => columns = columns_of_postgres(&mut cursor, names).unwrap_or_default(),
            b"D" => secrets_of_row(&mut cursor, &columns, &mut found),
            _ => {}
        }
        cursor.at = end;
    }
    found
}

/// Which columns have names of secrets (RowDescription).
fn columns_of_postgres(cursor: &mut Cursor<'_>, names: &Names) -> Option<Vec<bool>> {
    let count = cursor.big(2)?;
    (0..count)
        .map(|_| {
            let len = cursor.bytes.get(cursor.at..)?.iter().position(|byte| *byte == 0)?;
            let name = cursor.take(len)?;
            cursor.take(1 + DESCRIPTION_BYTES)?;
            Some(names.is_secret_field(name))
        })
        .collect()
}

/// The secrets of a row (DataRow).
fn secrets_of_row(cursor: &mut Cursor<'_>, columns: &[bool], found: &mut Vec<Range<usize>>) {
    let Some(_count) = cursor.big(2) else { return };
    for is_secret in columns {
        let Some(len) = cursor.big(4) else { return };
        // NULL has the length -1, and no value.
        let value = if len == u64::from(u32::MAX) { 0..0 } else { cursor.take_some(len as usize) };
        found.extend(is_secret.then_some(value));
    }
}

/// MySQL: a column of a result.
struct Column {
    is_secret: bool,
    kind: u8,
}

fn secrets_of_mysql(bytes: &[u8], names: &Names) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut cursor = Cursor { bytes, at: 0 };
    while let Some(columns) = columns_of_mysql(&mut cursor, names) {
        // The end of the columns, which newer clients do without, looks as that of the rows does.
        let mut is_first = true;
        while let Some(row) = packet(&mut cursor) {
            let is_end = bytes[row.clone()].first() == Some(&0xfe) && row.len() < 9;
            if is_end && !is_first {
                break;
            }
            is_first = false;
            if !is_end {
                for read in [secrets_of_text, secrets_of_binary] {
                    let mut values = Cursor { bytes: &bytes[..row.end], at: row.start };
                    found.extend(read(&mut values, &columns).into_iter().flatten());
                }
            }
        }
    }
    found
}

/// The content of the next packet, as far as it is there.
fn packet(cursor: &mut Cursor<'_>) -> Option<Range<usize>> {
    let len = cursor.little(3)?;
    cursor.take(1)?;
    Some(cursor.take_some(len as usize)).filter(|content| !content.is_empty())
}

/// The columns of a result that begins here.
fn columns_of_mysql(cursor: &mut Cursor<'_>, names: &Names) -> Option<Vec<Column>> {
    let count = packet(cursor)?;
    let mut inner = Cursor { bytes: &cursor.bytes[..count.end], at: count.start };
    let count = inner.length()?.filter(|count| *count > 0 && inner.is_at_end())?;
    (0..count)
        .map(|_| {
            let content = packet(cursor)?;
            let mut inner = Cursor { bytes: &cursor.bytes[..content.end], at: content.start };
            inner.text().filter(|catalog| *catalog == b"def")?;
            let [_, _, _, name, own_name] = [inner.text()?, inner.text()?, inner.text()?, inner.text()?, inner.text()?];
            // How long the rest is, its characters, and its length.
            inner.take(1 + 2 + 4)?;
            let is_secret = names.is_secret_field(name) || names.is_secret_field(own_name);
            Some(Column { is_secret, kind: inner.take(1)?[0] })
        })
        .collect()
}

/// The secrets of a row whose values are texts; nothing, if it is no such row.
fn secrets_of_text(cursor: &mut Cursor<'_>, columns: &[Column]) -> Option<Vec<Range<usize>>> {
    let mut found = Vec::new();
    for column in columns {
        if cursor.is_at_end() {
            break;
        }
        let value = cursor.length()?.map_or(0..0, |len| cursor.take_some(len));
        found.extend(column.is_secret.then_some(value));
    }
    cursor.is_at_end().then_some(found)
}

/// The same of a prepared statement's row, whose values are of their columns' types.
fn secrets_of_binary(cursor: &mut Cursor<'_>, columns: &[Column]) -> Option<Vec<Range<usize>>> {
    cursor.take(1).filter(|first| *first == [0])?;
    let nulls = cursor.take((columns.len() + 9) / 8)?;
    let mut found = Vec::new();
    for (number, column) in columns.iter().enumerate() {
        if cursor.is_at_end() {
            break;
        }
        let is_null = nulls[(number + 2) / 8] & (1 << ((number + 2) % 8)) != 0;
        let value = if is_null { 0..0 } else { binary_value(cursor, column.kind)? };
        found.extend(column.is_secret.then_some(value));
    }
    cursor.is_at_end().then_some(found)
}

fn binary_value(cursor: &mut Cursor<'_>, kind: u8) -> Option<Range<usize>> {
    let len = match kind {
        1 => 1,
        2 | 13 => 2,
        3 | 4 | 9 => 4,
        5 | 8 => 8,
        7 | 10 | 11 | 12 => cursor.little(1)? as usize,
        _ => cursor.length()??,
    };
    Some(cursor.take_some(len))
}
