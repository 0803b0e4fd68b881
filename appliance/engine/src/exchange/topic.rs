//! What a request is about: its endpoint, what tells it from others, and which rules its answers are compared by.

use super::{Exchanges, Identity};
use crate::books::Books;
use crate::compare::{Rules, Scope};
use crate::findings::{EndpointId, Findings, Hash};
use crate::limits::findings::REQUEST_BYTES;
use crate::protocol::{Definition, Subject, http1, http2};

/// First bytes of a request that are looked at to find what it is about; longer paths are nobody's.
const START_BYTES: usize = 4_096;

/// Header fields that make another request of one for the same path: whose it is, and of which site.
const TELLING: [&[u8]; 3] = [b"host:", b"cookie:", b"authorization:"];

/// What a request is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Topic {
    pub(super) scope: Scope,
    pub(super) endpoint: EndpointId,
    request: Hash,
    /// Length of the body so far.
    body_len: u64,
}

impl Default for Topic {
    fn default() -> Self {
        Self { scope: Scope::default(), endpoint: EndpointId::NONE, request: Hash::new(0), body_len: 0 }
    }
}

impl Topic {
    /// What a request is about that begins so; nothing where that does not tell.
    pub(super) fn of(
        definition: Option<&Definition>,
        rules: &Rules,
        identity: Identity,
        start: &[u8],
        findings: &mut Findings,
    ) -> Option<Self> {
        let definition = definition?;
        let subject = (definition.subject)(&start[..start.len().min(START_BYTES)])?;
        let Subject { verb, path, query, .. } = subject;
        let mut request = [verb, path, query].into_iter().fold(Hash::new(identity.account as u64), Hash::with_whole);
        let is_http = is_http(definition);
        if is_http {
            request = telling_fields(start).fold(request, Hash::with_whole);
        }
        let scope = match rules.is_empty() {
            true => Scope::default(),
            false if is_http => rules.scope(&[path]),
            false => {
                let verb = verb.to_ascii_uppercase();
                rules.scope(&[&verb, &[&verb, &b" "[..], path].concat()])
            }
        };
        Some(Self { scope, endpoint: findings.endpoint(identity.account, &subject), request, body_len: 0 })
    }

    /// As [`Topic::of`], of a head that tells all but the body. Other protocols' heads may be less than that.
    pub(super) fn of_head(
        definition: Option<&Definition>,
        rules: &Rules,
        identity: Identity,
        head: &[u8],
        books: &mut Books,
    ) -> Option<Self> {
        let definition = definition.filter(|definition| is_http(definition));
        Self::of(definition, rules, identity, head, &mut books.findings)
    }

    /// Takes the next bytes of the body.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let room = REQUEST_BYTES.saturating_sub(self.body_len) as usize;
        self.request = self.request.with(&bytes[..room.min(bytes.len())]);
        self.body_len += bytes.len() as u64;
    }

    /// Hash of the request: equal requests have the same.
    pub(super) fn request(&self) -> u64 {
        self.request.with(&self.body_len.to_le_bytes()).value()
    }
}

fn is_http(definition: &Definition) -> bool {
    *definition == http1::PROTOCOL || *definition == http2::PROTOCOL
}

fn telling_fields(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let is_telling = |line: &&[u8]| {
        let name = |known: &&[u8]| line.get(..known.len()).is_some_and(|name| name.eq_ignore_ascii_case(known));
        matches!(line.first(), Some(b'h' | b'H' | b'c' | b'C' | b'a' | b'A')) && TELLING.iter().any(name)
    };
    let mut rest = head;
    let lines = core::iter::from_fn(move || {
        let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
        let (line, behind) = rest.split_at(end);
        rest = behind;
        (!line.is_empty()).then_some(line)
    });
    lines.skip(1).filter(is_telling)
}

impl Exchanges {
    pub(super) fn set_topic(&mut self, topic: Option<Topic>) {
        if let (Some(topic), Some(exchange)) = (topic, self.last_mut()) {
            exchange.topic = topic;
        }
    }

    /// Looks at a request that has just become whole and whose head did not tell.
    pub(super) fn note_whole(&mut self, books: &mut Books) {
        if self.last_mut().is_none_or(|exchange| exchange.topic.endpoint != EndpointId::NONE) {
            return;
        }
        let start = self.outbox.last_start(START_BYTES).unwrap_or_default();
        let (identity, rules) = (self.identity, &self.rules);
        let topic = Topic::of(self.definition, rules, identity, &start, &mut books.findings);
        let mut topic = topic.unwrap_or_else(|| {
            let path = if self.definition.is_some() { &b"request"[..] } else { b"turn" };
            let subject = Subject { verb: b"", path, is_key: false, query: b"" };
            let endpoint = books.findings.endpoint(identity.account, &subject);
            Topic { scope: rules.scope(&[b""]), endpoint, ..Topic::default() }
        });
        topic.push(&start);
        drop(start);
        self.set_topic(Some(topic));
    }
}
