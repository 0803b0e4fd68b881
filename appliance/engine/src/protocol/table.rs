//! The table of protocols, and how one is recognised.

use super::reply::Reader;
use super::{Framer, http1, http2, memcached, mysql, postgresql, redis, tls};

/// Every protocol that the box knows, in the order in which a session's first bytes are shown to them.
pub static PROTOCOLS: [Definition; 7] = [
    http1::PROTOCOL,
    memcached::PROTOCOL,
    redis::PROTOCOL,
    postgresql::PROTOCOL,
    mysql::PROTOCOL,
    http2::PROTOCOL,
    tls::PROTOCOL,
];

/// Longest name of a command.
const VERB_BYTES: usize = 32;
/// Longest key that tells what a request is about.
const KEY_BYTES: usize = 128;

/// A protocol: the one thing that its file exports to the rest of the engine.
#[derive(Debug)]
pub struct Definition {
    /// As in the settings.
    pub name: &'static str,
    /// Whether the opening of a session is of this protocol. It should say `No` as soon as it can: until all have, nothing is
    /// replayed.
    pub recognise: fn(&Opening<'_>) -> Recognition,
    /// What a request asks for, from its first bytes; none where they do not say it.
    pub subject: fn(&[u8]) -> Option<Subject<'_>>,
    /// Reads a whole answer, for the comparison; `None`: it is compared as HTTP's, by head and content, or by bytes.
    pub reader: Option<Reader>,
    /// A framer at the start of a connection, with a bound on the bytes of a head. `None`: the content is encrypted, and
    /// sessions are not replayed (`tls_encrypted`).
    pub framer: Option<fn(usize) -> Box<dyn Framer>>,
    /// Whether a request's beginning can be found in the middle of a session ([`Framer::resume`]), and makes sense without
    /// what went before. Else a session first seen midstream is not replayed, nor is the rest of one after a lost request.
    pub resumable: bool,
}

impl PartialEq for Definition {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Definition {}

/// What both sides have said of a session whose protocol is not known.
#[derive(Clone, Copy, Debug)]
pub struct Opening<'a> {
    /// The client's first bytes; midstream, those of one segment.
    pub client: &'a [u8],
    /// The server's first bytes: before the client's where it greets, else after those that it answers.
    pub server: &'a [u8],
    /// Whether they come from the middle of the session. Doubt means `No` then: any byte may be content.
    pub midstream: bool,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject<'a> {
    /// What is to be done: a method, a command.
    pub verb: &'a [u8],
    /// With what: a path without its query, a table, a key. Empty where the protocol, or the command, has no such thing.
    pub path: &'a [u8],
    /// It is a key, any part of which may be one value of many.
    pub is_key: bool,
    /// What follows the path's question mark.
    pub query: &'a [u8],
}

impl<'a> Subject<'a> {
    /// A command, if that is a name of one.
    pub fn command(verb: &'a [u8]) -> Option<Self> {
        let is_name = !verb.is_empty() && verb.len() <= VERB_BYTES && verb.iter().all(u8::is_ascii_graphic);
        is_name.then_some(Self { verb, path: b"", is_key: false, query: b"" })
    }

    /// A command on a key, if that can be shown.
    pub fn on_key(self, key: &'a [u8]) -> Self {
        let is_shown = key.len() <= KEY_BYTES && key.iter().all(u8::is_ascii_graphic);
        Self { path: if is_shown { key } else { b"" }, is_key: true, ..self }
    }
}

/// Whether bytes are of a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recognition {
    /// They are.
    Yes,
    /// They are not.
    No,
    /// More of them must be seen.
    More,
}

impl Recognition {
    /// Whether `bytes` begin with `start`, as far as they go.
    pub fn prefix(bytes: &[u8], start: &[u8]) -> Self {
        match bytes.iter().zip(start).all(|(have, want)| have == want) {
            false => Self::No,
            true if bytes.len() < start.len() => Self::More,
            true => Self::Yes,
        }
    }
}

/// The protocol of a session that opens so; none where it is of no known one.
///
/// # Errors
/// [`Recognition::More`] bytes are needed to tell.
pub fn recognise(opening: &Opening<'_>) -> Result<Option<&'static Definition>, Recognition> {
    let mut open = false;
    for definition in &PROTOCOLS {
        match (definition.recognise)(opening) {
            Recognition::Yes => return Ok(Some(definition)),
            Recognition::More => open = true,
            Recognition::No => {}
        }
    }
    if open { Err(Recognition::More) } else { Ok(None) }
}

/// The protocol called `name` in the settings.
pub fn find(name: &str) -> Option<&'static Definition> {
    PROTOCOLS.iter().find(|definition| definition.name == name)
}
