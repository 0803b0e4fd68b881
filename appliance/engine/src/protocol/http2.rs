//! HTTP/2 without TLS (RFC 9113), and gRPC, which is spoken over it.
//!
//! **The model.** One stream of a client is one exchange. Its request is the run of frames that begins it: HEADERS and what
//! follows of the same stream without a break, up to the client's last word there, up to a frame that is not of it, or up to
//! what the client says after the server has answered on it. All other frames of the client are asides: the preface,
//! settings, credit, pings, and the rest of requests that others were interleaved with. Requests are sent as they come, asides frame
//! by frame, so that the target gets the client's very bytes in the client's order, and nothing waits for a frame that the
//! client sends only after an answer. Requests, and the rest of one, wait until the target has answered as many as the origin
//! had; other asides wait for nothing. Credit for the connection, of which only the sum counts, even overtakes what waits: the
//! target may spend it on other answers first than the origin did. Streams need not be told apart in what is sent, only in what is answered: each frame
//! of a server names its stream, and goes to that exchange at once, in whatever order the server answers.
//!
//! **One piece.** Heads are compressed by a table that both sides build up over the connection (RFC 7541). So a connection is
//! replayed from its beginning or not at all, and up to the first thing that is missing: a hole in the mirror, a bound, a
//! connection that the target ends. Of a hole within content only that answer is lost.
//!
//! `frames` finds frames, `requests` and `answers` are the two sides, `heads`, `hpack` and `huffman` read heads.

mod answers;
mod frames;
mod heads;
mod hpack;
mod huffman;
mod requests;

use super::{AtClose, Definition, Expect, Framer, Garbled, Opening, Recognition, Step, Subject, http1};
use answers::Answers;
use requests::Requests;

/// What a client says first (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// HTTP/2 without TLS.
pub const PROTOCOL: Definition = Definition {
    name: "http2",
    recognise,
    subject,
    reader: None,
    framer: Some(|head_bytes_limit| Box::new(Http2::new(head_bytes_limit))),
    resumable: false,
};

/// What a head that was told asks for; frames do not say it.
fn subject(head: &[u8]) -> Option<Subject<'_>> {
    http1::subject(head).filter(|subject| subject.verb.iter().all(u8::is_ascii_uppercase))
}

/// Cuts the two byte streams of one HTTP/2 connection.
#[derive(Debug)]
pub struct Http2 {
    requests: Requests,
    answers: Answers,
}

impl Http2 {
    /// At the start of a connection. A head of more than `head_bytes_limit` bytes, compressed or not, is [`Garbled`].
    pub fn new(head_bytes_limit: usize) -> Self {
        Self { requests: Requests::new(head_bytes_limit), answers: Answers::new(head_bytes_limit) }
    }
}

impl Framer for Http2 {
    fn request<'a>(&'a mut self, bytes: &'a [u8]) -> Result<Step<'a>, Garbled> {
        self.requests.step(bytes)
    }

    fn aside<'a>(&mut self, bytes: &'a [u8]) -> Option<Step<'a>> {
        self.requests.aside(bytes)
    }

    fn cancelled(&self) -> Option<u64> {
        self.requests.cancelled().map(u64::from)
    }

    fn continued(&self) -> Option<u64> {
        self.requests.continued().map(u64::from)
    }

    fn is_interleaved(&self) -> bool {
        true
    }

    fn whose(&self, bytes: &[u8]) -> Option<u64> {
        self.answers.stream(bytes).map(u64::from)
    }

    fn expect(&self) -> Expect {
        Expect { kind: u64::from(self.requests.stream()), ..Expect::default() }
    }

    fn answer<'a>(&'a mut self, expect: Expect, bytes: &'a [u8]) -> Result<Step<'a>, Garbled> {
        self.requests.note_answer(expect.kind as u32);
        self.answers.step(bytes)
    }

    fn unasked<'a>(&'a mut self, bytes: &'a [u8]) -> Result<Step<'a>, Garbled> {
        self.answers.step(bytes)
    }

    /// Heads that were missed cannot be made up for.
    fn restart_answers(&mut self) {}

    fn request_at_close(&self) -> AtClose {
        if self.requests.at_boundary() { AtClose::Clean } else { AtClose::Cut }
    }

    fn answer_at_close(&self, _expect: Expect) -> AtClose {
        if self.answers.at_boundary() { AtClose::Clean } else { AtClose::Cut }
    }

    fn request_gap(&mut self, _len: u64) -> bool {
        false
    }

    fn answer_gap(&mut self, _expect: Expect, len: u64) -> bool {
        self.answers.skip(len)
    }

    fn resume(&mut self, _bytes: &[u8]) -> Option<usize> {
        None
    }
}

fn recognise(opening: &Opening<'_>) -> Recognition {
    match opening.client {
        _ if opening.midstream => Recognition::No,
        [] if begins_settings(opening.server) => Recognition::More,
        [] => Recognition::No,
        client => Recognition::prefix(client, PREFACE),
    }
}

/// A server may say its settings before the client has said anything (RFC 9113, section 3.4).
fn begins_settings(bytes: &[u8]) -> bool {
    let head = bytes.iter().zip([Some(0), None, None, Some(4), Some(0), Some(0), Some(0), Some(0), Some(0)]);
    !bytes.is_empty() && head.into_iter().all(|(byte, due)| due.is_none_or(|due| *byte == due))
}
