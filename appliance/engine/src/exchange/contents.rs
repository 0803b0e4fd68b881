//! What was said in an exchange, for whoever records it.
//!
//! Of a request, the outbox forgets the bytes as soon as the target answers it. So where records carry contents, its first
//! bytes are copied as they come in; the answers are moved out of the comparison, which is done with them.

use super::Exchange;
use crate::books::Books;
use crate::frame::Endpoint;
use crate::message::{Contents, Outcome, Verdict};
use core::mem::take;

/// A million, of which a sample takes so many.
const MILLION: u64 = 1_000_000;

impl Exchange {
    /// Keeps the next bytes of the request, unless it has its outcome and nobody wants them.
    pub(super) fn keep_request(&mut self, bytes: &[u8], books: &mut Books) {
        let is_over = self.is_target_done() && self.contents.is_none();
        if books.contents.is_none() || is_over || books.bodies.is_over() {
            return;
        }
        let before = self.request.len();
        let room = books.limits.request_kept_bytes.saturating_sub(before);
        self.request.extend_from_slice(&bytes[..room.min(bytes.len())]);
        books.bodies.exchange(before, self.request.len());
    }

    /// Whether the record of this outcome carries what was said. A handshake never does: it is where passwords are.
    pub(super) fn is_kept(&self, session: u64, id: u64, outcome: &Outcome, books: &Books) -> bool {
        let Some(sample) = books.contents.filter(|_| !self.expect.handshake) else { return false };
        match outcome {
            Outcome::Answered(Verdict::Differ(_)) => true,
            outcome if outcome.lost(!self.target.head.is_empty()).is_some() => true,
            Outcome::Answered(_) | Outcome::NotAnswered(_) => draw(session, id) < u64::from(sample.per_million),
            Outcome::NotReplayed(_) => false,
        }
    }

    /// Moves the answers to where the record takes them from.
    pub(super) fn keep(&mut self, local: Option<Endpoint>, books: &mut Books) {
        self.contents = Some(Box::new(Contents {
            request: Vec::new(),
            origin: self.origin.take(books),
            target: self.target.take(books),
            request_last_at: self.request_last_at,
            sent_at: self.sent_at,
            local: local.map(Into::into),
        }));
    }

    /// Gives back all that is kept.
    pub(super) fn discard(&mut self, books: &mut Books) {
        self.origin.discard(books);
        self.target.discard(books);
        self.contents = None;
        self.take_request(books);
    }

    /// What the record carries.
    pub(super) fn take_contents(&mut self, books: &mut Books) -> Option<Box<Contents>> {
        let mut contents = self.contents.take()?;
        contents.request = self.take_request(books);
        contents.request_last_at = self.request_last_at;
        Some(contents)
    }

    fn take_request(&mut self, books: &mut Books) -> Vec<u8> {
        books.bodies.exchange(self.request.len(), 0);
        take(&mut self.request)
    }
}

/// A number below a million for each exchange.
fn draw(session: u64, id: u64) -> u64 {
    xxhash_rust::xxh3::xxh3_64_with_seed(&id.to_le_bytes(), session) % MILLION
}
