//! An answer of memcached as values: items by their keys, each with its data and its flags; the unique number of an item is
//! the server's own, and no part of it.

use super::BINARY;
use crate::protocol::reply::{Name, Reply, Taker, Value, decimal};
use std::borrow::Cow;

type Members<'a> = Vec<(Cow<'a, [u8]>, Value<'a>)>;

/// Header of a message of the binary protocol, up to the unique number.
const HEADER_BYTES: usize = 16;

/// Lines and blocks of the text protocol, or messages of the binary one.
pub(super) fn read(kind: u64, bytes: &[u8]) -> Option<Reply<'_>> {
    let mut taker = Taker::new(bytes);
    if kind & BINARY != 0 { messages(&mut taker) } else { lines(&mut taker) }
}

fn lines<'a>(taker: &mut Taker<'a>) -> Option<Reply<'a>> {
    let (mut items, mut others) = (Members::new(), Vec::new());
    while !taker.rest.is_empty() {
        taker.count(0)?;
        let line = taker.line()?;
        let mut words = line.split(|byte| *byte == b' ');
        match words.next()? {
            b"VALUE" => items.push(item(taker, &mut words)?),
            b"VA" => others.push(meta(b"VA", Some(block(taker, words.next()?)?), words)),
            status @ (b"HD" | b"EN" | b"NF" | b"NS" | b"EX") if line.len() > 2 => {
                others.push(meta(status, None, words))
            }
            b"END" if others.is_empty() => {}
            error @ (b"ERROR" | b"CLIENT_ERROR" | b"SERVER_ERROR") => {
                return Some(Reply::of(Name::Error, Value::Error(error)));
            }
            _ => others.push(Value::text(line)),
        }
    }
    Some(match others.len() {
        0 => Reply::of(Name::Value, Value::Map(items)),
        1 if items.is_empty() => Reply::of(Name::Reply, others.pop()?),
        _ if items.is_empty() => Reply::of(Name::Reply, Value::List(others)),
        _ => return None,
    })
}

/// `VALUE key flags length [unique]` and a block.
fn item<'a>(taker: &mut Taker<'a>, words: &mut impl Iterator<Item = &'a [u8]>) -> Option<(Cow<'a, [u8]>, Value<'a>)> {
    let (key, flags) = (words.next()?, words.next()?);
    let data = block(taker, words.next()?)?;
    Some((key.into(), members(&[(b"data", Value::text(data)), (b"flags", Value::Number(flags.into()))])))
}

fn block<'a>(taker: &mut Taker<'a>, len: &[u8]) -> Option<&'a [u8]> {
    let block = taker.bytes(decimal(len)?)?;
    (taker.bytes(2)? == b"\r\n").then_some(block)
}

/// A meta command's answer: its status, a block or none, and flags, each a letter and its argument. `c` is the unique number.
fn meta<'a>(status: &'a [u8], data: Option<&'a [u8]>, words: impl Iterator<Item = &'a [u8]>) -> Value<'a> {
    let mut found: Members<'a> = vec![(b"status"[..].into(), Value::text(status))];
    found.extend(data.map(|data| (b"data"[..].into(), Value::text(data))));
    let flags = words.filter_map(|word| word.split_at_checked(1)).filter(|(letter, _)| *letter != b"c");
    found.extend(flags.map(|(letter, argument)| (letter.into(), Value::text(argument))));
    Value::Map(found)
}

fn messages<'a>(taker: &mut Taker<'a>) -> Option<Reply<'a>> {
    let mut found = Vec::new();
    while !taker.rest.is_empty() {
        taker.count(0)?;
        found.push(message(taker)?);
    }
    Some(match found.len() {
        1 => match found.pop()? {
            (0, message) => Reply::of(Name::Reply, message),
            (status, _) => Reply::of(Name::Error, Value::number(status)),
        },
        _ => Reply::of(Name::Reply, Value::List(found.into_iter().map(|(_, message)| message).collect())),
    })
}

/// A message's status, and what it says.
fn message<'a>(taker: &mut Taker<'a>) -> Option<(u16, Value<'a>)> {
    let header: [u8; HEADER_BYTES] = taker.array()?;
    let [_, opcode, key_high, key_low, extras_len, _, status_high, status_low, a, b, c, d, ..] = header;
    let mut body = Taker::new(taker.bytes(u32::from_be_bytes([a, b, c, d]) as usize)?);
    let extras = body.bytes(usize::from(extras_len))?;
    let key = body.bytes(usize::from(u16::from_be_bytes([key_high, key_low])))?;
    let status = u16::from_be_bytes([status_high, status_low]);
    let data = if status == 0 { Value::text(body.rest) } else { Value::Null };
    let said = members(&[
        (b"command", Value::text(super::binary::name(opcode))),
        (b"status", Value::number(status)),
        (b"key", Value::text(key)),
        (b"flags", Value::text(extras)),
        (b"data", data),
    ]);
    Some((status, said))
}

fn members<'a>(members: &[(&'static [u8], Value<'a>)]) -> Value<'a> {
    Value::Map(members.iter().map(|(key, value)| (Cow::Borrowed(*key), value.clone())).collect())
}
