//! Protocols: how the bytes of a session are cut into requests and answers.
//!
//! A [`Framer`] holds the parsing state of both directions of one connection. The session of production has one (requests
//! and the origin's answers, in causal order), each connection to a target has one (answers only: what it must know of a
//! request travels in its [`Expect`]). It sees every byte once, in order, and keeps none but the piece of a head that is not
//! complete; it never fails for the connection's sake: what it cannot parse it says, and the session goes on without it.
//!
//! A protocol is one file, or a folder, one line in [`PROTOCOLS`] and one page in `docs/protocols/`.

mod direction;
pub mod http1;
pub mod http2;
pub mod memcached;
pub mod mysql;
pub mod postgresql;
pub mod redis;
pub mod reply;
mod sql;
mod table;
pub mod tls;

pub use table::{Definition, Opening, PROTOCOLS, Recognition, Subject, find, recognise};

/// What the answer to a request depends on: `kind` is a value of the framer's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expect {
    /// Which shape the answer will have; only the framer knows the meaning.
    pub kind: u64,
    /// Whether the request may be sent again when a reused connection closed without a byte of answer (RFC 9110, section
    /// 9.2.1: safe methods; an idempotent one may be answered otherwise the second time).
    pub retryable: bool,
    /// No answer follows: it counts as answered by nothing once it is sent.
    pub silent: bool,
    /// It belongs to the connection's handshake (greeting, authentication): its answer is not compared, and gates hold
    /// until it is answered even where requests are sent at once.
    pub handshake: bool,
    /// The server asks for it (a password, rows): it is held until all before it is answered, even where requests are sent at
    /// once, and [`Framer::wants`] is asked then.
    pub asked: bool,
    /// The answer depends on the server's own state, on chance, or on an order that it chooses: it is not compared.
    pub volatile: bool,
    /// It needs what was said before it on its connection (a login, an open transaction): it cannot begin another one.
    pub bound: bool,
    /// What is [`Expect::bound`] after it needs it: where it was never sent, that is not sent either.
    pub binds: bool,
}

impl Expect {
    /// Whether the request may change what the server answers later.
    pub fn may_change(&self) -> bool {
        !self.retryable && !self.handshake && !self.asked
    }
}

/// How a target wants a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Not at all.
    Nothing,
    /// As the client said it.
    AsItCame,
    /// With these bytes `at` this place of it, by which the target knows what the origin calls otherwise. They lie in what is
    /// consumed by the request's head.
    Renamed {
        /// Bytes from the request's first one.
        at: usize,
        /// What stands there.
        name: [u8; 4],
    },
}

impl From<bool> for Wish {
    fn from(is_wanted: bool) -> Self {
        if is_wanted { Self::AsItCame } else { Self::Nothing }
    }
}

/// What a run of consumed bytes is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// Bytes that frame the content (chunk sizes, an interim answer, an incomplete head): not compared.
    Framing,
    /// A whole head, from where on [`Framer::expect`] is known. The comparison reads an answer's as HTTP's, start line to
    /// empty line; a second one holds trailers. Answers of other protocols consist of the other parts. Of interleaved requests it
    /// is what the head says, in the form of HTTP/1, or nothing where that cannot be read.
    Head(&'a [u8]),
    /// Content, without its framing.
    Body(&'a [u8]),
    /// Bytes of a server that belong to no answer, though one is due: a push, a notice. The boundary is `Inside`.
    Aside,
}

/// Where the consumed bytes end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boundary {
    /// Within a message.
    Inside,
    /// At the end of a message.
    End,
    /// At the end of the last message of this connection: the sender will close (HTTP `Connection: close`).
    Last,
    /// At the end of an answer after which both directions are no longer of this protocol (HTTP 101, CONNECT).
    Tunnel,
    /// At the end of a message after which both directions are encrypted: the rest of the session is not replayed.
    Encrypted,
    /// At the end of a message after which both directions are compressed: as [`Boundary::Encrypted`].
    Compressed,
}

/// One step of a framer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<'a> {
    /// Bytes consumed from the front of the input; at least one unless the input is empty or the step ends a message.
    pub consumed: usize,
    /// What they are.
    pub part: Part<'a>,
    /// Where they end.
    pub boundary: Boundary,
}

impl Step<'_> {
    /// Whether nothing came of it.
    pub fn is_idle(&self) -> bool {
        let has_content =
            matches!(self.part, Part::Head(_)) || matches!(self.part, Part::Body(body) if !body.is_empty());
        self.consumed == 0 && self.boundary == Boundary::Inside && !has_content
    }
}

/// The bytes are not of this protocol, or a head is longer than the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Garbled;

/// How a message ends when its sender closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtClose {
    /// Between messages: nothing was cut.
    Clean,
    /// The close is the end of the message (HTTP: a body without a length).
    Ends,
    /// The message is not whole.
    Cut,
}

/// Cuts one connection's two byte streams into messages.
pub trait Framer: Send {
    /// Consumes request bytes. The first byte after a boundary begins the next request.
    ///
    /// # Errors
    /// [`Garbled`]: from here on the request stream cannot be cut, until [`Framer::resume`].
    fn request<'a>(&'a mut self, bytes: &'a [u8]) -> Result<Step<'a>, Garbled>;

    /// What is known of the answer to the request whose bytes were consumed last; complete once its head, or its end, was.
    /// Before that it is asked for requests that are given up: whether what follows needs them.
    fn expect(&self) -> Expect;

    /// Consumes answer bytes of the request that `expect` was said of. After a message's end it is called again for the next
    /// answer that is due, also with an empty slice: a framer of interleaved answers hands out then what it held back.
    ///
    /// # Errors
    /// [`Garbled`]: the answer stream cannot be cut any more, until [`Framer::restart_answers`].
    fn answer<'a>(&'a mut self, expect: Expect, bytes: &'a [u8]) -> Result<Step<'a>, Garbled>;

    /// Consumes bytes of the server while no answer is due: its greeting, a push, a notice. They are not compared. What one
    /// call leaves incomplete is continued by the next, of whichever method.
    ///
    /// # Errors
    /// [`Garbled`], as here: in this protocol, or at this point, the server says nothing unasked.
    fn unasked<'a>(&'a mut self, bytes: &'a [u8]) -> Result<Step<'a>, Garbled> {
        let _ = bytes;
        Err(Garbled)
    }

    /// Consumes bytes of the client that begin no request, while none is open: settings, credit, the rest of a request in
    /// between others. They are sent in their order, and answered by nothing. A step whose part is a head begins the rest of a
    /// request: it waits, as requests do, for what was answered before. Other asides wait for nothing, and those whose steps are
    /// [`Part::Aside`] overtake what waits, because answers may wait for them. `None`: these bytes begin a request.
    fn aside<'a>(&mut self, bytes: &'a [u8]) -> Option<Step<'a>> {
        let _ = bytes;
        None
    }

    /// How many of the client's bytes, while no request is open, are of none and say nothing: they need not be sent.
    fn idle_len(&self, bytes: &[u8]) -> usize {
        let _ = bytes;
        0
    }

    /// The [`Expect::kind`] of the request that the step of an aside that was taken last goes on with: what it says in it is the
    /// step's part, a head's or not.
    fn continued(&self) -> Option<u64> {
        None
    }

    /// The [`Expect::kind`] of the request that the client gives up with the aside that ended last.
    fn cancelled(&self) -> Option<u64> {
        None
    }

    /// Whether answers come in any order, in pieces between one another, and all that a side says on a connection builds on
    /// what it said before: where anything is left out, nothing that follows can be replayed.
    fn is_interleaved(&self) -> bool {
        false
    }

    /// Of interleaved answers: the [`Expect::kind`] of the request to whose answer the next of these bytes belong. Those that
    /// belong to none are unasked.
    fn whose(&self, bytes: &[u8]) -> Option<u64> {
        let _ = bytes;
        None
    }

    /// Whether it stands as a new one would, so that it need not be kept while the connection is silent.
    fn is_fresh(&self) -> bool {
        false
    }

    /// Whether the server must speak, or go on, before the first request may be sent.
    fn awaits_greeting(&self) -> bool {
        false
    }

    /// Of a target's framer, when all before the request has been answered: whether the target wants it, and under which
    /// name. A password that only production asked for must not be sent.
    fn wants(&self, expect: Expect) -> Wish {
        let _ = expect;
        Wish::AsItCame
    }

    /// The next answer byte begins the answer to the next request: what was due before it is lost.
    fn restart_answers(&mut self);

    /// The client's stream ends here.
    fn request_at_close(&self) -> AtClose;

    /// The server's stream ends here, while the answer to a request with `expect` is due.
    fn answer_at_close(&self, expect: Expect) -> AtClose;

    /// `len` request bytes were lost. Whether the stream is still in step: they lay within one message's content of known
    /// length. Where they reach exactly to its end, the next call of [`Framer::request`], be it with an empty slice, is a
    /// step of 0 bytes with the boundary. Out of step, the stream is [`Garbled`] until [`Framer::resume`].
    fn request_gap(&mut self, len: u64) -> bool;

    /// `len` answer bytes were lost; as [`Framer::request_gap`].
    fn answer_gap(&mut self, expect: Expect, len: u64) -> bool;

    /// Out of step: the offset in `bytes`, the content of one TCP segment, at which a request begins. On `Some` both
    /// directions are reset to the boundary before that request.
    fn resume(&mut self, bytes: &[u8]) -> Option<usize>;

    /// An answer that fits every request and says nothing, for rehearsals of requests whose answer was lost. Empty where
    /// there is none: the rehearsed connection is broken off then.
    fn stand_in(&self) -> &'static [u8] {
        b""
    }
}
