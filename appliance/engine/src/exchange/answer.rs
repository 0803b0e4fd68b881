//! One side's answer to one request, as it comes in.

use crate::books::Books;
use crate::compare::Message;
use crate::ledger::Incomparable;
use crate::message::Said;
use crate::time::Time;
use core::mem::take;
use xxhash_rust::xxh3::Xxh3;

/// How far an answer has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Progress {
    /// No byte yet.
    #[default]
    Awaited,
    /// Some bytes.
    Begun,
    /// All of it.
    Whole,
    /// It will never be whole.
    Broken(Incomparable),
}

/// The head, the content as far as the bounds let it be kept, and a hash of the rest.
#[derive(Default)]
pub struct Answer {
    /// How far it has come.
    pub progress: Progress,
    /// Head of the message: start line and fields, with their line ends. Empty without a framer.
    pub head: Vec<u8>,
    /// The first bytes of the content.
    pub body: Vec<u8>,
    /// Length of the content.
    pub body_len: u64,
    /// Bytes of the answer as they came, framing included.
    pub wire_bytes: u64,
    /// When the first byte came.
    pub first_at: Option<Time>,
    /// When the last byte came.
    pub last_at: Time,
    rest: Option<Box<Xxh3>>,
    /// Nobody will compare it: only counted from here on.
    is_discarded: bool,
}

impl Answer {
    /// Notes that bytes of it came at `at`.
    pub fn touch(&mut self, at: Time, bytes: usize) {
        self.first_at.get_or_insert(at);
        // Segments that came out of order carry the stamps they came with.
        self.last_at = self.last_at.max(at);
        self.wire_bytes += bytes as u64;
        if self.progress == Progress::Awaited {
            self.progress = Progress::Begun;
        }
    }

    /// Takes the head, or the trailers behind the content, which add to it.
    pub fn push_head(&mut self, head: &[u8], books: &mut Books) {
        if self.is_discarded {
            return;
        }
        let before = self.kept();
        if self.head.capacity() == 0 {
            self.head = books.spare.take();
        }
        let end = self.head.strip_suffix(b"\r\n").map_or(0, <[u8]>::len);
        self.head.truncate(end);
        self.head.extend_from_slice(head);
        books.bodies.exchange(before, self.kept());
    }

    /// Takes the next content bytes; what the bounds do not let it keep goes into the hash.
    pub fn push_body(&mut self, bytes: &[u8], books: &mut Books) {
        self.body_len += bytes.len() as u64;
        if self.is_discarded {
            return;
        }
        let room = match &self.rest {
            None if !books.bodies.is_over() => books.limits.body_bytes.saturating_sub(self.body.len()),
            _ => 0,
        };
        let (kept, hashed) = bytes.split_at(room.min(bytes.len()));
        let before = self.kept();
        if self.body.capacity() == 0 && !kept.is_empty() {
            self.body = books.spare.take();
        }
        self.body.extend_from_slice(kept);
        books.bodies.exchange(before, self.kept());
        if !hashed.is_empty() {
            self.rest.get_or_insert_default().update(hashed);
        }
    }

    /// The hash of the content behind `body`.
    pub fn rest_hash(&self) -> Option<u128> {
        self.rest.as_ref().map(|hash| hash.digest128())
    }

    /// What the comparison is shown of it.
    pub fn message(&self) -> Message<'_> {
        Message { head: &self.head, body: &self.body, body_len: self.body_len, rest: self.rest_hash() }
    }

    /// Bytes kept.
    fn kept(&self) -> usize {
        self.head.len() + self.body.len()
    }

    /// Gives the kept bytes back, and keeps none from here on.
    pub fn discard(&mut self, books: &mut Books) {
        let Said { head, body, .. } = self.take(books);
        books.spare.give(head);
        books.spare.give(body);
    }

    /// The same, with what was kept.
    pub fn take(&mut self, books: &mut Books) -> Said {
        books.bodies.exchange(self.kept(), 0);
        self.rest = None;
        self.is_discarded = true;
        Said { head: take(&mut self.head), body: take(&mut self.body), body_len: self.body_len }
    }

    /// Whether nothing more of it will come.
    pub fn is_final(&self) -> bool {
        matches!(self.progress, Progress::Whole | Progress::Broken(_))
    }

    /// Marks it broken, unless it is final.
    pub fn break_off(&mut self, cause: Incomparable) {
        if !self.is_final() {
            self.progress = Progress::Broken(cause);
        }
    }
}
