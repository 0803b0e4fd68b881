//! HTTP/1.0 and HTTP/1.1: where a message begins and ends (RFC 9112).
//!
//! Each direction is a `stream`: a head, then content by one of four rules (a length, chunks, until close, none;
//! RFC 9112, section 6.3), then the next head. `head` reads from a head which rule holds; the answer's rule also depends
//! on the request's method, which [`Expect`] carries from one direction to the other.
//!
//! Requests are read as strictly as servers read them, since a request read otherwise than by the origin would be sent
//! otherwise than it was; answers are read as leniently as browsers read them. What cannot be read is [`Garbled`], and so is
//! everything after it, until [`Framer::resume`] finds the next request line.

mod chunked;
mod head;
mod plain;
mod stream;

pub(super) use head::subject;

use super::{AtClose, Boundary, Definition, Expect, Framer, Garbled, Opening, Recognition, Step};
use memchr::memchr;
use stream::Stream;

/// Bytes in which a method ends, for [`looks_like_request`]; those of RFC 9110 have at most 7.
const METHOD_BYTES: usize = 16;

/// Bytes after which [`looks_like_request`] has decided at the latest.
const DECIDED_BYTES: usize = 24;

/// Methods at which the stream can be picked up. None is the end of another: the segment before may have carried a method's
/// first letters, and what is left of it is no method.
const METHODS: [&str; 13] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE", "PROPFIND", "REPORT", "SEARCH",
    "PURGE",
];

/// What an HTTP/2 client without TLS sends first (RFC 9113, section 3.4). It has the shape of a request line.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0";

/// HTTP/1.0 and HTTP/1.1.
pub const PROTOCOL: Definition = Definition {
    name: "http",
    recognise,
    subject,
    reader: None,
    framer: Some(|head_bytes_limit| Box::new(Http1::new(head_bytes_limit))),
    resumable: true,
};

/// Cuts the two byte streams of one HTTP/1 connection.
#[derive(Debug)]
pub struct Http1 {
    requests: Stream,
    answers: Stream,
    expect: Expect,
}

impl Http1 {
    /// At the start of a connection. A head of more than `head_bytes_limit` bytes is [`Garbled`]; each direction keeps at
    /// most that many, and only while a head is not complete.
    pub fn new(head_bytes_limit: usize) -> Self {
        Self {
            requests: Stream::new(head_bytes_limit, may_begin_request),
            answers: Stream::new(head_bytes_limit, may_begin_answer),
            expect: Expect::default(),
        }
    }
}

impl Framer for Http1 {
    fn request<'a>(&'a mut self, bytes: &'a [u8]) -> Result<Step<'a>, Garbled> {
        if !bytes.is_empty() && self.requests.at_boundary() {
            self.expect = Expect::default();
        }
        let Self { requests, expect, .. } = self;
        requests.step(bytes, |head, plain| {
            let (known, meaning) = head::read_request(head, plain)?;
            *expect = known;
            Ok(meaning)
        })
    }

    /// Empty lines that no request follows at once are of no request: some clients end content with one (RFC 9112, section 2.2).
    fn idle_len(&self, bytes: &[u8]) -> usize {
        let blank = if self.requests.at_boundary() { blank_len(bytes) } else { 0 };
        if blank == bytes.len() { blank } else { 0 }
    }

    fn stand_in(&self) -> &'static [u8] {
        b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"
    }

    fn expect(&self) -> Expect {
        self.expect
    }

    fn answer<'a>(&'a mut self, expect: Expect, bytes: &'a [u8]) -> Result<Step<'a>, Garbled> {
        let Self { requests, answers, .. } = self;
        let step = answers.step(bytes, |head, plain| head::read_answer(expect, head, plain))?;
        if step.boundary == Boundary::Tunnel {
            requests.become_tunnel();
        }
        Ok(step)
    }

    fn is_fresh(&self) -> bool {
        self.requests.is_fresh() && self.answers.is_fresh()
    }

    fn restart_answers(&mut self) {
        self.answers.reset();
    }

    fn request_at_close(&self) -> AtClose {
        self.requests.at_close()
    }

    fn answer_at_close(&self, _expect: Expect) -> AtClose {
        self.answers.at_close()
    }

    fn request_gap(&mut self, len: u64) -> bool {
        self.requests.skip(len)
    }

    fn answer_gap(&mut self, _expect: Expect, len: u64) -> bool {
        self.answers.skip(len)
    }

    /// Only the segment's start is considered, since content may well hold a request line further on, and only a segment
    /// that holds the whole request line, or begins a long one of a well-known method.
    fn resume(&mut self, bytes: &[u8]) -> Option<usize> {
        let at = blank_len(bytes);
        if self.answers.is_tunnel() || !is_request_start(&bytes[at..]) {
            return None;
        }
        self.requests.reset();
        self.answers.reset();
        self.expect = Expect::default();
        Some(at)
    }
}

/// The server has nothing to say before the request line is whole.
fn recognise(opening: &Opening<'_>) -> Recognition {
    match looks_like_request(opening.client) {
        Some(true) => Recognition::Yes,
        None if opening.server.is_empty() && !opening.midstream => Recognition::More,
        Some(false) | None => Recognition::No,
    }
}

/// Whether the first bytes of a client begin an HTTP/1 request: a method, a space, and a line that ends in the version, or,
/// where the bytes do not reach that far, what can be a target. `None`: too few bytes to tell; never with 24 or more.
pub fn looks_like_request(bytes: &[u8]) -> Option<bool> {
    if bytes.get(..METHOD_BYTES).is_some_and(|start| !start.contains(&b' ')) {
        return Some(false);
    }
    let line = &bytes[blank_len(bytes)..];
    let seems = match begins_request(line) {
        Some(true) if !line.contains(&b'\n') => begins_target(line),
        other => other,
    };
    seems.or((bytes.len() >= DECIDED_BYTES).then_some(false))
}

/// [`looks_like_request`] for a method of any length.
fn begins_request(bytes: &[u8]) -> Option<bool> {
    let method_len = bytes.iter().position(|&byte| !is_token(byte))?;
    if method_len == 0 || bytes[method_len] != b' ' || bytes.starts_with(HTTP2_PREFACE) {
        return Some(false);
    }
    if HTTP2_PREFACE.starts_with(bytes) {
        return None;
    }
    let Some(line_len) = memchr(b'\n', bytes) else { return Some(true) };
    let line = bytes[..line_len].trim_ascii_end();
    Some(line.ends_with(b" HTTP/1.1") || line.ends_with(b" HTTP/1.0"))
}

fn may_begin_request(bytes: &[u8]) -> bool {
    begins_request(bytes) != Some(false)
}

fn may_begin_answer(bytes: &[u8]) -> bool {
    const START: &[u8] = b"HTTP/1.";
    bytes.starts_with(START) || START.starts_with(bytes)
}

/// Whether a segment in the middle of a stream begins with a request line, with so much of it that content is unlikely to
/// be taken for one: up to the version and a first field after it, or a well-known method and nothing but a target.
fn is_request_start(bytes: &[u8]) -> bool {
    let rest = |method: &&str| bytes.strip_prefix(method.as_bytes()).filter(|rest| rest.starts_with(b" "));
    let Some(rest) = METHODS.iter().find_map(rest) else { return false };
    let has_version = has_version(bytes).or_else(|| has_version(&head::mended(bytes)));
    has_version.is_some_and(|has_version| has_version || is_long_target(rest))
}

/// Whether the request line reaches to the version; `None` if it is none, or what follows it is no field.
fn has_version(bytes: &[u8]) -> Option<bool> {
    let mut request = httparse::Request::new(&mut []);
    match request.parse(bytes) {
        // Without room for fields, the first one that is well formed is one too many.
        Ok(_) | Err(httparse::Error::TooManyHeaders) => Some(request.version.is_some()),
        Err(_) => None,
    }
}

/// Whether a segment that the parser found to be a request line without an end is one by its form.
fn is_long_target(rest: &[u8]) -> bool {
    rest.starts_with(b" /") || rest.starts_with(b" http")
}

/// Whether what follows the method can be a target, where the line's end is not there to tell: words of another protocol are
/// no path. `None`: too little follows.
fn begins_target(line: &[u8]) -> Option<bool> {
    let space = line.iter().position(|byte| *byte == b' ')?;
    let target = line[space..].trim_ascii_start();
    if b"http".starts_with(target) {
        return None;
    }
    Some(matches!(target[0], b'/' | b'*') || target.starts_with(b"http") || line.starts_with(b"CONNECT "))
}

/// Length of the empty lines that a client may send before a request line (RFC 9112, section 2.2).
fn blank_len(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count()
}

/// RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
