//! What a head says of the message that it begins.

use super::HTTP2_PREFACE;
use super::plain::Plain;
use super::stream::{Content, Meaning};
use crate::protocol::{Expect, Garbled, Subject};
use core::mem::MaybeUninit;
use httparse::{Header, ParserConfig, Request, Response, Status};

/// Fields that a head may have; more is garbled. Servers refuse such requests: Apache more than 100, others by size.
const FIELDS: usize = 256;

/// `Expect::kind` of an answer to HEAD: never has content.
const TO_HEAD: u64 = 1;
/// `Expect::kind` of an answer to CONNECT: begins a tunnel when it is a success.
const TO_CONNECT: u64 = 2;

/// What a whole request head says of the answer to it, and of its own content; `plain` is what was read of it, if it is plain.
pub(super) fn read_request(head: &[u8], plain: Option<&Plain<'_>>) -> Result<(Expect, Meaning), Garbled> {
    match plain.and_then(|plain| Some((plain.method()?, &plain.fields))) {
        Some((method, fields)) => request(method, fields),
        None if head.starts_with(HTTP2_PREFACE) => Err(Garbled),
        None => parse_request(head).or_else(|Garbled| parse_request(&mended(head))),
    }
}

/// What a request line asks for (RFC 9112, section 3): of a whole URL, its path.
pub(in crate::protocol) fn subject(head: &[u8]) -> Option<Subject<'_>> {
    let line = &head[..memchr::memchr(b'\n', head)?];
    let mut words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let (verb, target) = (words.next()?, words.next()?.trim_ascii_end());
    let path = match target.first() {
        Some(b'/') => target,
        _ => memchr::memmem::find(target, b"://").map_or(target, |at| {
            let rest = &target[at + 3..];
            memchr::memchr(b'/', rest).map_or(&b"/"[..], |slash| &rest[slash..])
        }),
    };
    let end = memchr::memchr(b'?', path).unwrap_or(path.len());
    Some(Subject { verb, path: &path[..end], is_key: false, query: path.get(end + 1..).unwrap_or_default() })
}

/// What a whole answer head says, given what its request was; `plain` as of a request.
pub(super) fn read_answer(expect: Expect, head: &[u8], plain: Option<&Plain<'_>>) -> Result<Meaning, Garbled> {
    match plain.and_then(|plain| Some((plain.status()?, &plain.fields))) {
        Some(((version, code), fields)) => answer(expect, version, code, fields),
        None => parse_answer(expect, head),
    }
}

fn parse_answer(expect: Expect, head: &[u8]) -> Result<Meaning, Garbled> {
    let mut config = ParserConfig::default();
    config
        .allow_spaces_after_header_name_in_responses(true)
        .allow_obsolete_multiline_headers_in_responses(true)
        .allow_multiple_spaces_in_response_status_delimiters(true)
        .ignore_invalid_headers_in_responses(true);
    let mut room = [const { MaybeUninit::uninit() }; FIELDS];
    let mut read = Response::new(&mut []);
    whole(head, config.parse_response_with_uninit_headers(&mut read, head, &mut room))?;
    let (version, code) = (read.version.ok_or(Garbled)?, read.code.ok_or(Garbled)?);
    answer(expect, version, code, &Fields::read(read.headers))
}

fn answer(expect: Expect, version: u8, code: u16, fields: &Fields) -> Result<Meaning, Garbled> {
    let last = !fields.is_persistent(version);
    match code {
        101 => Ok(Meaning::Tunnel),
        100..=199 => Ok(Meaning::Interim),
        200..=299 if expect.kind == TO_CONNECT => Ok(Meaning::Tunnel),
        204 | 304 => Ok(Meaning::Message { content: Content::Length(0), last }),
        _ if expect.kind == TO_HEAD => Ok(Meaning::Message { content: Content::Length(0), last }),
        _ => Ok(Meaning::Message { content: fields.answer_content()?, last }),
    }
}

fn parse_request(head: &[u8]) -> Result<(Expect, Meaning), Garbled> {
    let mut room = [const { MaybeUninit::uninit() }; FIELDS];
    let mut read = Request::new(&mut []);
    whole(head, ParserConfig::default().parse_request_with_uninit_headers(&mut read, head, &mut room))?;
    request(read.method.unwrap_or_default(), &Fields::read(read.headers))
}

fn request(method: &str, fields: &Fields) -> Result<(Expect, Meaning), Garbled> {
    let content = fields.request_content()?;
    Ok((expectation(method), Meaning::Message { content, last: false }))
}

/// The parser must have found the head's end where it was cut.
fn whole(head: &[u8], parsed: httparse::Result<usize>) -> Result<(), Garbled> {
    match parsed {
        Ok(Status::Complete(len)) if len == head.len() => Ok(()),
        _ => Err(Garbled),
    }
}

fn expectation(method: &str) -> Expect {
    let kind = match method {
        "HEAD" => TO_HEAD,
        "CONNECT" => TO_CONNECT,
        _ => 0,
    };
    let retryable = matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE");
    Expect { kind, retryable, ..Expect::default() }
}

/// What begins with a request's head, as its sender meant it, length kept: no blanks in or around the target, and each folded line
/// joined to the one before it (RFC 9112, sections 3 and 5.2). Some servers read it so; the others answer that the request is bad.
/// The start line is no field, and nothing can be joined to it.
pub(super) fn mended(head: &[u8]) -> Vec<u8> {
    let mut head = head.to_vec();
    let start_line = memchr::memchr(b'\n', &head).map_or(head.len(), |end| end + 1);
    fill_target(&mut head[..start_line]);
    for at in start_line + 1..head.len() {
        if head[at - 1] == b'\n' && matches!(head[at], b' ' | b'\t') {
            head[at - 1] = b' ';
            if at >= 2 && head[at - 2] == b'\r' {
                head[at - 2] = b' ';
            }
        }
    }
    head
}

/// Makes one word of what stands between the first blank and the last.
fn fill_target(line: &mut [u8]) {
    let blanks = memchr::memchr(b' ', line).zip(memchr::memrchr(b' ', line));
    let target = blanks.and_then(|(first, last)| line.get_mut(first + 1..last));
    target.unwrap_or_default().iter_mut().filter(|byte| **byte == b' ').for_each(|byte| *byte = b'+');
}

/// The fields that say where a message ends.
#[derive(Default)]
pub(super) struct Fields {
    length: Option<Result<u64, Garbled>>,
    coding: Option<Coding>,
    close: bool,
    keep_alive: bool,
}

/// What the list of transfer codings comes to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Coding {
    /// None at all, as RFC 2616 spelled it.
    Identity,
    /// Ends in `chunked`.
    Chunked,
    /// Anything else: the end cannot be known.
    Other,
}

impl Fields {
    fn read(headers: &[Header<'_>]) -> Self {
        let mut fields = Self::default();
        headers.iter().for_each(|header| fields.take(header.name.as_bytes(), header.value));
        fields
    }

    /// Takes a field. Most say nothing of where a message ends, which the length of their name tells at once.
    pub(super) fn take(&mut self, name: &[u8], value: &[u8]) {
        match name.len() {
            14 if is(name, b"Content-Length") => items(value).for_each(|item| self.add_length(item)),
            17 if is(name, b"Transfer-Encoding") => {
                items(value).filter(|item| !item.is_empty()).for_each(|item| self.add_coding(item));
            }
            10 if is(name, b"Connection") => items(value).for_each(|item| {
                self.close |= is(item, b"close");
                self.keep_alive |= is(item, b"keep-alive");
            }),
            _ => {}
        }
    }

    /// A repeated length is tolerated where it is the same (RFC 9112, section 6.3, item 5).
    fn add_length(&mut self, item: &[u8]) {
        let length = decimal(item).ok_or(Garbled);
        self.length = match self.length {
            None => Some(length),
            Some(before) if before == length => Some(length),
            Some(_) => Some(Err(Garbled)),
        };
    }

    fn add_coding(&mut self, item: &[u8]) {
        self.coding = Some(if item.eq_ignore_ascii_case(b"chunked") {
            Coding::Chunked
        } else if self.coding.is_none() && item.eq_ignore_ascii_case(b"identity") {
            Coding::Identity
        } else {
            Coding::Other
        });
    }

    /// RFC 9112, section 6.3. Where both are there, the transfer coding wins over the length.
    fn request_content(&self) -> Result<Content, Garbled> {
        match self.coding {
            Some(Coding::Chunked) => Ok(Content::Chunked),
            Some(Coding::Other) => Err(Garbled),
            Some(Coding::Identity) | None => self.length.unwrap_or(Ok(0)).map(Content::Length),
        }
    }

    /// As of a request, but what has no length ends with the connection.
    fn answer_content(&self) -> Result<Content, Garbled> {
        match (self.coding, self.length) {
            (Some(Coding::Chunked), _) => Ok(Content::Chunked),
            (Some(Coding::Other), _) | (_, None) => Ok(Content::UntilClose),
            (_, Some(length)) => length.map(Content::Length),
        }
    }

    /// RFC 9112, section 9.3; `version` is the minor one. A transfer coding in HTTP/1.0 is faulty, and the connection ends
    /// after it (section 6.1).
    fn is_persistent(&self, version: u8) -> bool {
        !self.close && (version >= 1 || (self.keep_alive && self.coding.is_none()))
    }
}

/// Whether it is this word; most write it as it stands in the standard.
fn is(text: &[u8], word: &[u8]) -> bool {
    text == word || text.eq_ignore_ascii_case(word)
}

/// The items of a comma-separated list.
fn items(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii)
}

/// Digits only: neither sign nor blank (RFC 9110, section 8.6).
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, &byte| {
        let digit = byte.is_ascii_digit().then(|| byte - b'0')?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}
