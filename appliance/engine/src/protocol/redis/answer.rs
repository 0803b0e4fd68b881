//! The server's stream: answers, and what stands between them.
//!
//! Whether a value is an answer or was pushed is told by its first byte in RESP3. To a subscriber in RESP2, and to a monitor,
//! it is told by the value's beginning, which is kept until it is known.

use super::ground::{CONFIRMS, LAST, MONITORS, SUBSCRIBED, VALUES};
use super::resp::Scanner;
use crate::protocol::{Boundary, Garbled, Part, Step};

/// Bytes by which a value's class is known at the latest: an array's head and the longest name in it, or a monitor's sign.
const LEAD_MAX: usize = 48;

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// Before its first byte, or not known yet.
    Unknown,
    /// An answer, or one confirmation of it; whether it is an error.
    Answer { is_error: bool },
    /// Pushed, published or monitored.
    Aside,
}

/// The server's stream.
#[derive(Debug)]
pub(super) struct Answers {
    scanner: Scanner,
    class: Class,
    /// The beginning of a value whose class is not known, or was just found.
    lead: Vec<u8>,
    /// The lead was handed out.
    is_given: bool,
    /// Values of the present answer that are whole.
    values: u64,
    /// What the last answer was expected to be.
    kind: u64,
}

impl Answers {
    /// At a value's beginning.
    pub(super) fn new() -> Self {
        Self { scanner: Scanner::START, class: Class::Unknown, lead: Vec::new(), is_given: false, values: 0, kind: 0 }
    }

    /// Whether the next byte begins an answer.
    pub(super) fn at_boundary(&self) -> bool {
        self.class == Class::Unknown && self.lead.is_empty() && self.values == 0
    }

    /// Consumes bytes while an answer is due.
    pub(super) fn step<'a>(&'a mut self, kind: u64, bytes: &'a [u8]) -> Result<Step<'a>, Garbled> {
        self.kind = kind;
        self.free_lead();
        if bytes.is_empty() {
            return Ok(Step { consumed: 0, part: Part::Framing, boundary: Boundary::Inside });
        }
        if self.class == Class::Unknown {
            return self.find_class(bytes);
        }
        let (consumed, ends) = self.scanner.scan(bytes)?;
        let class = self.class;
        if ends {
            self.class = Class::Unknown;
        }
        match class {
            Class::Answer { is_error } => {
                let boundary = if ends { self.end_value(is_error) } else { Boundary::Inside };
                Ok(Step { consumed, part: Part::Body(&bytes[..consumed]), boundary })
            }
            Class::Aside | Class::Unknown => Ok(Step { consumed, part: Part::Aside, boundary: Boundary::Inside }),
        }
    }

    /// Consumes bytes while no answer is due: pushes, messages to a subscriber or a monitor, an error before a close.
    pub(super) fn unasked<'a>(&'a mut self, bytes: &'a [u8]) -> Result<Step<'a>, Garbled> {
        self.free_lead();
        if self.class == Class::Unknown {
            let talks = self.kind & (SUBSCRIBED | MONITORS) != 0;
            match bytes.first() {
                Some(b'>' | b'-') => {}
                Some(_) if talks => {}
                _ => return Err(Garbled),
            }
            self.class = Class::Aside;
        }
        let lead = core::mem::take(&mut self.lead);
        self.scanner.scan(&lead)?;
        let (consumed, ends) = self.scanner.scan(bytes)?;
        if ends {
            self.class = Class::Unknown;
        }
        Ok(Step { consumed, part: Part::Aside, boundary: Boundary::Inside })
    }

    /// Passes over `len` lost bytes.
    pub(super) fn skip(&mut self, len: u64) -> bool {
        matches!(self.class, Class::Answer { .. }) && self.scanner.skip(len)
    }

    fn free_lead(&mut self) {
        if self.is_given {
            self.lead.clear();
            self.is_given = false;
        }
    }

    fn end_value(&mut self, is_error: bool) -> Boundary {
        self.values += 1;
        if self.values < (self.kind & VALUES) && !is_error {
            return Boundary::Inside;
        }
        self.values = 0;
        if self.kind & LAST != 0 { Boundary::Last } else { Boundary::End }
    }

    /// Adds bytes to the lead until it tells the value's class, and hands it out then.
    fn find_class<'a>(&'a mut self, bytes: &'a [u8]) -> Result<Step<'a>, Garbled> {
        let mut consumed = 0;
        for byte in bytes {
            self.lead.push(*byte);
            consumed += 1;
            let Some(class) = classify(self.kind, &self.lead) else { continue };
            self.class = class;
            self.is_given = true;
            // No class is found behind the value's end.
            self.scanner.scan(&self.lead)?;
            let part = if class == Class::Aside { Part::Aside } else { Part::Body(&self.lead) };
            return Ok(Step { consumed, part, boundary: Boundary::Inside });
        }
        Ok(Step { consumed, part: Part::Framing, boundary: Boundary::Inside })
    }
}

/// The class of a value that begins so; `None`: more must be seen.
fn classify(kind: u64, lead: &[u8]) -> Option<Class> {
    let (confirms, subscribed, monitors) = (kind & CONFIRMS != 0, kind & SUBSCRIBED != 0, kind & MONITORS != 0);
    let answer = Class::Answer { is_error: matches!(lead[0], b'-' | b'!') };
    match lead {
        [b'>', ..] if !confirms => Some(Class::Aside),
        // An empty array or null ends with its head: there is no string to wait for.
        [b'*', b'0' | b'-', ..] => Some(answer),
        [b'+'] if monitors => None,
        [b'+', byte, ..] if monitors && byte.is_ascii_digit() => Some(Class::Aside),
        [b'>' | b'*', ..] if confirms || subscribed => match first_text(lead) {
            None if lead.len() < LEAD_MAX => None,
            Some(b"message" | b"pmessage" | b"smessage" | b"invalidate") => Some(Class::Aside),
            _ => Some(answer),
        },
        _ => Some(answer),
    }
}

/// The first string of an array that begins so, or as much of another beginning as tells that it has none.
fn first_text(lead: &[u8]) -> Option<&[u8]> {
    let rest = &lead[memchr::memchr(b'\n', lead)? + 1..];
    if *rest.first()? != b'$' {
        return Some(b"");
    }
    let end = memchr::memchr(b'\n', rest)?;
    let digits = rest[1..end].trim_ascii_end();
    let len = digits.iter().try_fold(0_usize, |len, byte| {
        let digit = byte.is_ascii_digit().then(|| usize::from(byte - b'0'))?;
        (len < LEAD_MAX).then_some(len * 10 + digit)
    });
    match len {
        Some(len) if len <= LEAD_MAX => rest[end + 1..].get(..len),
        _ => Some(b""),
    }
}
