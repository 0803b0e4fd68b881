//! Answers that the server under test gives differently, and what the engine must then say.

use crate::message::Framing;
use crate::plan::AnswerPlan;
use crate::seed::Rng;
use tapcopy_engine::message::{Difference, Kind};

/// A changed answer.
#[derive(Clone, Debug)]
pub struct Alteration {
    /// Every byte of it.
    pub bytes: Vec<u8>,
    /// Differences one of which the engine must report; no offset stands for any.
    pub accepted: Vec<Difference>,
    /// Whether the engine may also find the answers incomparable: without a framer, other lengths are no certain sign.
    pub may_be_unaligned: bool,
}

impl Alteration {
    /// Whether the engine's report tells what was changed.
    pub fn accepts(&self, found: &Difference) -> bool {
        self.accepted.iter().any(|difference| {
            difference.field.eq_ignore_ascii_case(&found.field)
                && (difference.offset.is_none() || difference.offset == found.offset)
        })
    }
}

impl Alteration {
    /// Whether the report is one of bodies of which only `kept` bytes were held, and whose hashes differ behind them.
    pub fn accepts_hash(&self, found: &Difference, kept: u64) -> bool {
        let beyond = |difference: &Difference| difference.offset.is_none_or(|offset| offset >= kept);
        found.offset.is_none()
            && self.accepted.iter().any(|difference| difference.field == found.field && beyond(difference))
    }
}

/// Only its place and offset are held against what is found.
pub fn difference(part: &str, offset: Option<u64>) -> Difference {
    Difference { field: part.to_owned(), kind: Kind::Value, offset, origin: String::new(), target: String::new() }
}

/// Changes an HTTP answer: another status, another field, another byte of the content, or another length.
pub fn http(answer: &AnswerPlan, framing: Framing, has_content: bool, rng: &mut Rng) -> Alteration {
    let (head, rest) = answer.bytes.split_at(answer.head);
    let head = String::from_utf8(head.to_vec()).expect("a head is ASCII");
    match rng.below(if has_content && !answer.content.is_empty() { 4 } else { 2 }) {
        0 => {
            // What has no content must keep a status that has none (RFC 9112, section 6.3).
            let head = head.replacen(" 200 ", " 500 ", 1).replacen(" 204 ", " 304 ", 1);
            changed([head.as_bytes(), rest].concat(), difference("status", None))
        }
        1 => other_field(&head, rest),
        2 => other_byte(answer, framing, &head, rng),
        _ => other_length(answer, framing, &head, rng),
    }
}

fn changed(bytes: Vec<u8>, difference: Difference) -> Alteration {
    Alteration { bytes, accepted: vec![difference], may_be_unaligned: false }
}

fn other_field(head: &str, rest: &[u8]) -> Alteration {
    let bytes = [head.replacen("X-Version: 1", "X-Version: 2", 1).as_bytes(), rest].concat();
    changed(bytes, difference("header:x-version", None))
}

fn reframed(head: &str, framing: Framing, content: &[u8], rng: &mut Rng) -> Vec<u8> {
    let tail = if framing == Framing::Chunked { crate::message::chunks(content, rng) } else { content.to_vec() };
    [head.as_bytes(), &tail].concat()
}

fn other_byte(answer: &AnswerPlan, framing: Framing, head: &str, rng: &mut Rng) -> Alteration {
    let at = rng.size(0, answer.content.len() - 1);
    let mut content = answer.content.clone();
    content[at] = b'#';
    changed(reframed(head, framing, &content, rng), difference("body", Some(at as u64)))
}

fn other_length(answer: &AnswerPlan, framing: Framing, head: &str, rng: &mut Rng) -> Alteration {
    let mut content = answer.content.clone();
    if rng.percent(50) {
        content.extend_from_slice(b"and more");
    } else {
        content.pop();
    }
    let from = content.len().min(answer.content.len()) as u64;
    let (old, new) = (answer.content.len(), content.len());
    let head = head.replacen(&format!("Content-Length: {old}\r\n"), &format!("Content-Length: {new}\r\n"), 1);
    let mut alteration = changed(reframed(&head, framing, &content, rng), difference("body", Some(from)));
    if framing == Framing::Length {
        alteration.accepted.push(difference("header:content-length", None));
    }
    alteration
}

/// Changes an answer without framing: another byte, or another length.
pub fn raw(answer: &AnswerPlan, rng: &mut Rng) -> Alteration {
    let mut bytes = answer.bytes.clone();
    let at = rng.size(0, bytes.len() - 1);
    match rng.below(4) {
        0 => bytes.extend_from_slice(b"and more"),
        1 if bytes.len() > 1 => drop(bytes.pop()),
        _ => {
            bytes[at] = b'#';
            return changed(bytes, difference("body", Some(at as u64)));
        }
    }
    let from = bytes.len().min(answer.bytes.len()) as u64;
    Alteration { bytes, accepted: vec![difference("body", Some(from))], may_be_unaligned: true }
}
