//! Holding the service's rules against the requests, before their first byte goes out.

use super::{Exchanges, Framing};
use crate::books::Books;
use crate::ledger::NotReplayed;
use crate::protocol::http1;
use crate::selection::{Decision, Selection};
use std::sync::Arc;

impl Exchanges {
    /// From here on requests are held against these rules.
    pub fn select(&mut self, selection: Arc<Selection>, books: &mut Books) {
        self.selection = Some(selection);
        if !matches!(self.framing, Framing::Undecided(_)) {
            self.bar_what_is_unfit(books);
        }
    }

    /// The rules are of HTTP/1: a session of another protocol is not replayed. What both sides agreed on in HTTP to say behind
    /// it (a tunnel) is not another.
    pub(super) fn bar_what_is_unfit(&mut self, books: &mut Books) {
        if self.selection.is_some() && self.definition != Some(&http1::PROTOCOL) {
            self.bar(NotReplayed::Filtered, books);
        }
    }

    /// The present request has a head that is none.
    pub(super) fn refuse_unread(&mut self, books: &mut Books) {
        if matches!(self.framing, Framing::Framed(_)) && !self.dropping && self.outbox.is_withheld() {
            self.drop_request(NotReplayed::Filtered, books);
        }
    }

    /// Does with the present request what was decided on its head.
    pub(super) fn follow(&mut self, decision: Decision, books: &mut Books) {
        if self.dropping {
            return;
        }
        match decision {
            Decision::Keep => self.outbox.approve(None, &mut books.outboxes),
            Decision::Rewrite(head) if self.outbox.len_approved(&head) > books.outbox_bound() => {
                self.drop_request(NotReplayed::Limit, books);
            }
            Decision::Rewrite(head) => self.outbox.approve(Some(&head), &mut books.outboxes),
            Decision::Drop => self.drop_request(NotReplayed::Filtered, books),
        }
    }
}
