//! From what the engine says of an exchange to what is stored: with names for numbers, the wall clock for the engine's, and
//! asterisks for secrets.

use super::Keeping;
use crate::clock::{Clock, wall};
use std::net::SocketAddr;
use std::sync::Arc;
use tapcopy_engine::compare::decoded;
use tapcopy_engine::ledger::Reason;
use tapcopy_engine::message::{self, Verdict};
use tapcopy_engine::{Limits, Record, Time};
use tapcopy_records::{Contents, Difference, Exchange, Latency, Masks, Outcome, Said};

/// Bytes of a content after decoding, at most: a few bytes can stand for any number.
const DECODED_BYTES: usize = 512 << 10;

/// What records refer to by number.
pub struct Service {
    name: String,
    targets: Vec<SocketAddr>,
}

/// The services of a configuration.
pub fn services(services: &[tapcopy_engine::config::Service]) -> Arc<Vec<Service>> {
    let service = |service: &tapcopy_engine::config::Service| Service {
        name: service.name.clone(),
        targets: service.targets.clone(),
    };
    Arc::new(services.iter().map(service).collect())
}

/// Bytes of what was said.
pub fn contents_bytes(contents: &message::Contents) -> usize {
    let said = |said: &message::Said| said.head.len() + said.body.len();
    contents.request.len() + said(&contents.origin) + said(&contents.target)
}

/// Makes of records what is stored.
pub struct Converter {
    masks: Masks,
    clock: Clock,
}

impl Converter {
    /// A converter by these rules; `clock` is that of the engine.
    pub fn new(keeping: &Keeping, clock: Clock) -> Self {
        Self { masks: keeping.masks(), clock }
    }

    /// What is stored; `None` for a service that nobody knows any more.
    pub fn convert(&self, services: &[Service], record: &Record) -> Option<(Exchange, Option<Contents>)> {
        let service = services.get(record.service)?;
        let (outcome, reason, differences) = self.outcome(&record.outcome);
        let exchange = Exchange {
            service: service.name.clone(),
            outcome,
            reason,
            session: record.session,
            exchange: record.exchange,
            copy: record.copy.into(),
            client: record.client,
            origin: record.origin,
            target: service.targets.get(usize::from(record.target)).copied(),
            captured_at: record.captured_at.as_nanos(),
            request_bytes: record.request_bytes,
            origin_latency: record.origin_latency.map(latency),
            target_latency: record.target_latency.map(latency),
            endpoint: record.endpoint.as_deref().unwrap_or_default().to_owned(),
            differences,
        };
        let contents = record.contents.as_ref().map(|contents| self.contents(contents, record));
        Some((exchange, contents))
    }

    fn outcome(&self, outcome: &message::Outcome) -> (Outcome, String, Vec<Difference>) {
        let plain = |outcome, reason: &str| (outcome, reason.to_owned(), Vec::new());
        match outcome {
            message::Outcome::NotReplayed(cause) => plain(Outcome::NotReplayed, cause.word()),
            message::Outcome::NotAnswered(cause) => plain(Outcome::NotAnswered, cause.word()),
            message::Outcome::Answered(Verdict::Match) => plain(Outcome::Match, ""),
            message::Outcome::Answered(Verdict::Incomparable(cause)) => plain(Outcome::Incomparable, cause.word()),
            message::Outcome::Answered(Verdict::Differ(found)) => {
                let reason = found.first().map(|first| first.field.clone()).unwrap_or_default();
                (Outcome::Differ, reason, found.iter().map(|found| self.difference(found)).collect())
            }
        }
    }

    fn difference(&self, found: &message::Difference) -> Difference {
        let side = |value: &str| (!value.is_empty()).then(|| self.masks.masked(&found.field, value));
        Difference {
            field: found.field.clone(),
            offset: found.offset,
            origin: side(&found.origin),
            target: side(&found.target),
        }
    }

    fn contents(&self, contents: &message::Contents, record: &Record) -> Contents {
        let (head, body) = contents.request.split_at(http_head(&contents.request));
        let is_http2 = is_http2(head);
        let body_bytes = match record.request_bytes.saturating_sub(head.len() as u64) {
            // What came over the wire was framed and compressed, and says nothing of the content's length.
            _ if is_http2 && contents.request.len() < Limits::default().request_kept_bytes => body.len() as u64,
            bytes => bytes.max(body.len() as u64),
        };
        let request = match is_chunked(head).then(|| dechunk(body)).flatten() {
            Some(body) => message::Said { head: head.to_vec(), body_len: body.len() as u64, body },
            None => message::Said { head: head.to_vec(), body: body.to_vec(), body_len: body_bytes },
        };
        let answer = |said: &message::Said| {
            let mut said = self.said(said);
            if is_http2 && let Some(rest) = said.head.strip_prefix(b"HTTP/1.1") {
                said.head = [b"HTTP/2", rest].concat();
            }
            said
        };
        Contents {
            request: self.said(&request),
            origin: answer(&contents.origin),
            target: answer(&contents.target),
            request_last_at: contents.request_last_at.as_nanos(),
            sent_at: contents.sent_at.map(|at| self.wall_of(at)),
            local: contents.local,
        }
    }

    /// Masks a message, decoded: nobody could mask secrets in a coding.
    fn said(&self, said: &message::Said) -> Said {
        let mut head = said.head.clone();
        let (mut body, note) = readable(&said.head, &said.body);
        self.masks.apply(&mut head);
        self.masks.apply(&mut body);
        Said { head, body, body_bytes: said.body_len, note }
    }

    /// The wall clock's nanoseconds at a time of the engine's clock.
    fn wall_of(&self, at: Time) -> u64 {
        let ago = self.clock.now().since(at);
        ((wall() * 1e9) as u64).saturating_sub(ago.as_nanos() as u64)
    }
}

/// A content without its coding, and what was done to it.
fn readable(head: &[u8], body: &[u8]) -> (Vec<u8>, String) {
    let coding = field(head, b"content-encoding").filter(|coding| !coding.eq_ignore_ascii_case(b"identity"));
    let Some(coding) = coding else { return (body.to_vec(), String::new()) };
    let name = String::from_utf8_lossy(coding);
    match decoded(coding, body, DECODED_BYTES) {
        Some(content) => (content, format!("its content was coded ({name}) and is decoded here")),
        None => {
            let note = format!("its content is left out: it is coded ({name}), and secrets in it cannot be masked");
            (Vec::new(), note)
        }
    }
}

fn latency(latency: message::Latency) -> Latency {
    Latency { first_byte: latency.first_byte.as_nanos() as u64, last_byte: latency.last_byte.as_nanos() as u64 }
}

/// Length of a request's head, if it is one of HTTP; else 0.
fn http_head(request: &[u8]) -> usize {
    let first = request.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let is_http = first.windows(8).any(|window| window.starts_with(b" HTTP/1.")) || is_http2(first);
    let end = request.windows(4).position(|window| window == b"\r\n\r\n").map_or(request.len(), |end| end + 4);
    if is_http { end } else { 0 }
}

/// Whether a message of HTTP/2 has this head, as it is told here.
pub fn is_http2(head: &[u8]) -> bool {
    let first = head.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii_end();
    first.ends_with(b" HTTP/2") || first.starts_with(b"HTTP/2 ")
}

/// The value of a field of a head, the first of its name.
pub fn field<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    head.split(|byte| *byte == b'\n').find_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        line[..colon].eq_ignore_ascii_case(name).then(|| line[colon + 1..].trim_ascii())
    })
}

/// Whether a message of HTTP/1 was sent in chunks (RFC 9112, section 7.1).
pub fn is_chunked(head: &[u8]) -> bool {
    field(head, b"transfer-encoding").is_some_and(|coding| coding.to_ascii_lowercase().ends_with(b"chunked"))
}

/// The content of chunks, as far as they are there; `None` where they are garbled. A secret must not be cut in two by a
/// chunk's head.
fn dechunk(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    while let Some(end) = bytes.windows(2).position(|window| window == b"\r\n") {
        let size = std::str::from_utf8(&bytes[..end]).ok()?.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        let chunk = &bytes[end + 2..];
        if size == 0 || chunk.len() <= size {
            content.extend_from_slice(&chunk[..size.min(chunk.len())]);
            break;
        }
        content.extend_from_slice(&chunk[..size]);
        bytes = chunk.get(size + 2..).unwrap_or_default();
    }
    Some(content)
}
