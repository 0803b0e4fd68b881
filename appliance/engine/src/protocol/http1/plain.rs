//! Heads as nearly all are: read in one pass, which also finds where they end.
//!
//! A head is plain where every server reads it alike: lines of `CR LF` without other control characters, fields whose names are
//! letters, digits, `-` and `_`, none folded. What is not, [`super::head`] reads with more patience; of a plain head it would
//! say the same.

use super::head::Fields;

/// Fields that a plain head has at most; well below what a head may have.
const FIELDS_MAX: usize = 100;

/// A plain head, but for its start line, which may be anything.
pub(super) struct Plain<'a> {
    /// Without the line's end.
    pub start_line: &'a [u8],
    pub fields: Fields,
    /// Length of the head, the empty line at its end included.
    pub len: usize,
}

impl<'a> Plain<'a> {
    /// The plain head that `bytes` begin with, if there is one and all of it is there.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut at = line_end(bytes, 0)?;
        let start_line = &bytes[..at - 2];
        let mut fields = Fields::default();
        for _ in 0..FIELDS_MAX {
            let line = &bytes[at..];
            let name_len = name_len(line)?;
            match line[name_len] {
                b':' if name_len > 0 => {}
                b'\r' if name_len == 0 && line.get(1) == Some(&b'\n') => {
                    return Some(Self { start_line, fields, len: at + 2 });
                }
                _ => return None,
            }
            let end = line_end(bytes, at + name_len + 1)?;
            fields.take(&line[..name_len], &bytes[at + name_len + 1..end - 2]);
            at = end;
        }
        None
    }

    /// The method, where the start line is a plain request line: one space between its words (RFC 9112, section 3).
    pub(super) fn method(&self) -> Option<&'a str> {
        let line = self.start_line;
        let words = line.strip_suffix(b" HTTP/1.1").or_else(|| line.strip_suffix(b" HTTP/1.0"))?;
        let len = name_len(words).filter(|len| *len > 0)?;
        let target = words[len..].strip_prefix(b" ")?;
        let is_plain = !target.is_empty() && target.is_ascii() && !target.contains(&b' ');
        core::str::from_utf8(&words[..len]).ok().filter(|_| is_plain)
    }

    /// The minor version and the code, where the start line is a plain status line (RFC 9112, section 4).
    pub(super) fn status(&self) -> Option<(u8, u16)> {
        let [version @ b'0'..=b'1', b' ', code @ ..] = self.start_line.strip_prefix(b"HTTP/1.")? else { return None };
        let (digits, reason) = code.split_first_chunk::<3>()?;
        let is_plain = digits.iter().all(u8::is_ascii_digit) && matches!(reason, [] | [b' ', ..]);
        let code = || digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
        is_plain.then(|| (version - b'0', code()))
    }
}

/// The number of letters, digits, `-` and `_` that `bytes` begin with; `None` if there is nothing else.
#[inline]
fn name_len(bytes: &[u8]) -> Option<usize> {
    const PLAIN: [bool; 256] = {
        let mut plain = [false; 256];
        let mut byte = 0;
        while byte < 256 {
            plain[byte] = (byte as u8).is_ascii_alphanumeric() || matches!(byte as u8, b'-' | b'_');
            byte += 1;
        }
        plain
    };
    bytes.iter().position(|byte| !PLAIN[usize::from(*byte)])
}

/// The place behind the line, if it ends in `CR LF`, and there is no control character from `from` on before that.
fn line_end(bytes: &[u8], from: usize) -> Option<usize> {
    let at = control(bytes, from)?;
    bytes[at..].starts_with(b"\r\n").then_some(at + 2)
}

/// Where the first control character from `from` on is: eight bytes at a time, in each of which the highest bit says whether it is
/// one. A borrow can only make those behind the first one wrong.
fn control(bytes: &[u8], mut from: usize) -> Option<usize> {
    const EACH: u64 = 0x0101_0101_0101_0101;
    while let Some(word) = bytes.get(from..).and_then(<[u8]>::first_chunk) {
        let word = u64::from_le_bytes(*word);
        let not_del = word ^ (EACH * 0x7f);
        let found = word.wrapping_sub(EACH * 0x20) & !word | not_del.wrapping_sub(EACH) & !not_del;
        let found = found & (EACH * 0x80);
        if found != 0 {
            return Some(from + found.trailing_zeros() as usize / 8);
        }
        from += 8;
    }
    bytes.get(from..)?.iter().position(u8::is_ascii_control).map(|at| from + at)
}

#[cfg(test)]
mod tests {
    use super::super::head::{read_answer, read_request};
    use super::*;
    use crate::protocol::Expect;

    const REQUEST: &[u8] = b"POST /a?b=c HTTP/1.1\r\nHost: a.example\r\nX_Y: a\r\nContent-Length: 12\r\n\r\nrest";
    const ANSWER: &[u8] =
        b"HTTP/1.1 200 OK\r\nServer: x\r\nConnection: a, close\r\nTransfer-Encoding: chunked\r\n\r\nrest";

    /// Of every two places of `start`, each with every one of some bytes: what is plain is read as it would be otherwise. How many
    /// were plain.
    fn check(start: &[u8], is_read_alike: impl Fn(&[u8], &Plain<'_>) -> bool) -> usize {
        let bytes = *b"\r\n\t\0 :;,-_a9/\x7f\x80\xff";
        let mut plain = 0;
        let mut head = start.to_vec();
        for (first, second) in
            (0..start.len()).flat_map(|first| (first..start.len()).map(move |second| (first, second)))
        {
            for number in 0..bytes.len() {
                head[first] = bytes[number];
                head[second] = bytes[(number * 7 + second) % bytes.len()];
                if let Some(read) = Plain::read(&head) {
                    plain += 1;
                    let text = String::from_utf8_lossy(&head);
                    let end = head.windows(3).position(|end| end == b"\n\r\n" || end.starts_with(b"\n\n"));
                    assert_eq!(end.map(|end| end + 3), Some(read.len), "{text}");
                    assert!(is_read_alike(&head[..read.len], &read), "{text}");
                }
                (head[first], head[second]) = (start[first], start[second]);
            }
        }
        plain
    }

    #[test]
    fn a_plain_head_says_what_it_says_otherwise() {
        let requests = check(REQUEST, |head, plain| read_request(head, Some(plain)) == read_request(head, None));
        let answers = check(ANSWER, |head, plain| {
            let expect = Expect::default();
            read_answer(expect, head, Some(plain)) == read_answer(expect, head, None)
        });
        assert!(requests > 5_000 && answers > 5_000, "{requests} and {answers} were plain");
    }

    #[test]
    fn the_usual_heads_are_plain() {
        let request = Plain::read(REQUEST).expect("a plain head");
        assert_eq!((request.method(), request.len), (Some("POST"), REQUEST.len() - 4));
        let answer = Plain::read(ANSWER).expect("a plain head");
        assert_eq!((answer.status(), answer.len), (Some((1, 200)), ANSWER.len() - 4));
    }

    #[test]
    fn each_byte_is_what_it_is() {
        for byte in 0..=u8::MAX {
            let mut text = *b"abcdefghijk";
            for at in 0..text.len() {
                text[at] = byte;
                let is_name = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
                assert_eq!(name_len(&text), (!is_name).then_some(at), "{byte}");
                assert_eq!(control(&text, 0), byte.is_ascii_control().then_some(at), "{byte}");
                text[at] = b'a';
            }
        }
    }

    #[test]
    fn what_is_not_all_there_is_none() {
        assert!((0..REQUEST.len() - 4).all(|len| Plain::read(&REQUEST[..len]).is_none()));
    }
}
