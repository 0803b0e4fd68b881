//! An answer of Redis as values.
//!
//! Maps and sets of RESP3 have no order. Of an error, the first word is compared: it is its code, and the rest is said
//! otherwise by each version. Attributes are about an answer, and no part of it.

use crate::protocol::reply::{Name, Reply, Taker, Value, decimal};

/// One value or, to a subscription of several channels, as many.
pub(super) fn read(_kind: u64, bytes: &[u8]) -> Option<Reply<'_>> {
    let mut taker = Taker::new(bytes);
    let mut values = Vec::new();
    while !taker.rest.is_empty() {
        values.push(value(&mut taker, 0)?);
    }
    let value = if values.len() == 1 { values.pop()? } else { Value::List(values) };
    let name = if matches!(value, Value::Error(_)) { Name::Error } else { Name::Reply };
    Some(Reply::of(name, value))
}

fn value<'a>(taker: &mut Taker<'a>, depth: usize) -> Option<Value<'a>> {
    taker.count(depth)?;
    let kind = taker.byte()?;
    let line = taker.line()?;
    Some(match kind {
        b'+' => Value::text(line),
        b':' | b',' | b'(' => Value::Number(line.into()),
        b'#' => Value::text(if line == b"t" { b"true" } else { b"false" }),
        b'_' => Value::Null,
        b'-' => Value::Error(code(line)),
        _ if line.starts_with(b"-") => Value::Null,
        b'$' => Value::text(string(taker, line)?),
        b'=' => Value::text(string(taker, line)?.get(4..)?),
        b'!' => Value::Error(code(string(taker, line)?)),
        b'*' | b'>' => Value::List(values(taker, line, depth)?),
        b'~' => Value::Set(values(taker, line, depth)?),
        b'%' => Value::Map(members(taker, line, depth)?),
        b'|' => {
            members(taker, line, depth)?;
            value(taker, depth + 1)?
        }
        _ => return None,
    })
}

fn code(error: &[u8]) -> &[u8] {
    error.split(|byte| *byte == b' ').next().unwrap_or_default()
}

fn string<'a>(taker: &mut Taker<'a>, len: &[u8]) -> Option<&'a [u8]> {
    let string = taker.bytes(decimal(len)?)?;
    (taker.bytes(2)? == b"\r\n").then_some(string)
}

fn values<'a>(taker: &mut Taker<'a>, count: &[u8], depth: usize) -> Option<Vec<Value<'a>>> {
    (0..decimal(count)?).map(|_| value(taker, depth + 1)).collect()
}

type Members<'a> = Vec<(std::borrow::Cow<'a, [u8]>, Value<'a>)>;

fn members<'a>(taker: &mut Taker<'a>, count: &[u8], depth: usize) -> Option<Members<'a>> {
    let member = |_| {
        let key = match value(taker, depth + 1)? {
            Value::Text(key) | Value::Number(key) => key,
            // A key that is more than a word has no name.
            _ => return None,
        };
        Some((key, value(taker, depth + 1)?))
    };
    (0..decimal(count)?).map(member).collect()
}
