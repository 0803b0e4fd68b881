//! What the client says beyond the bound on exchanges: it is counted, and takes no memory.
//!
//! Not even the order of answers can be kept there, so the replay ends for good. What was begun before is finished.

use super::{Exchange, Exchanges, Stage};
use crate::books::Books;
use crate::ledger::NotReplayed;
use crate::message::Outcome;

impl Exchanges {
    /// Whether the client has gone on beyond the bound: what either side says belongs to none of the queue.
    pub(super) fn is_beyond(&self) -> bool {
        self.begun > self.next_id()
    }

    /// Gives the exchange that has just begun its place in the queue, or, beyond the bound, its outcome. Whether it has a place.
    pub(super) fn find_place(&mut self, mut exchange: Exchange, books: &Books) -> bool {
        let all_others_have_one = self.begun == self.next_id() + 1;
        if all_others_have_one && self.queue.len() < books.limits.exchanges {
            if self.queue.is_empty() {
                // Most sessions never have two at a time.
                self.queue.reserve_exact(1);
            }
            self.queue.push_back(exchange);
            return true;
        }
        let cause = *self.barred.get_or_insert(NotReplayed::Limit);
        exchange.stage = Stage::Done;
        exchange.deferred = Some(Outcome::NotReplayed(cause));
        self.beyond = Some(Box::new(exchange));
        self.dropping = true;
        false
    }
}
