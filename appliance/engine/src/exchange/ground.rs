//! The ground that a request stands on: what was said before it on its connection.
//!
//! A login, a chosen database, an open transaction belong to a connection. A request that needs them
//! ([`crate::protocol::Expect::bound`]) is not sent where they are missing: on another connection, or behind one of them
//! ([`crate::protocol::Expect::binds`]) that was never sent. The first request after it that needs nothing goes on.

use super::Exchanges;
use crate::books::Books;
use crate::ledger::NotReplayed;
use crate::message::Outcome;
use crate::protocol::{Expect, Wish};
use std::collections::BTreeMap;

/// Where it is broken: behind these exchanges, for these causes. None lies below the exchange that was looked at last, or,
/// while nothing waits to be sent, below the last one; so there are no more than a session may have exchanges.
#[derive(Default)]
pub(super) struct Ground {
    breaks: BTreeMap<u64, NotReplayed>,
    /// The exchange that was sent last on the present connection.
    sent: Option<u64>,
}

impl Ground {
    /// A new connection: what was said on the one before is missing.
    pub(super) fn renew(&mut self) {
        self.sent = None;
    }

    /// Exchange `id` is sent on the connection.
    pub(super) fn step_on(&mut self, id: u64) {
        self.sent = Some(id);
    }

    /// The connection is lost, for `cause`.
    pub(super) fn lose(&mut self, cause: NotReplayed) {
        if let Some(sent) = self.sent {
            self.breaks.entry(sent).or_insert(cause);
        }
    }

    fn broken_below(&self, id: u64) -> Option<NotReplayed> {
        self.breaks.range(..id).next_back().map(|(_, cause)| *cause)
    }

    /// Forgets the breaks below exchange `id`; the cause of the last of them.
    fn mend_below(&mut self, id: u64) -> Option<NotReplayed> {
        let cause = self.broken_below(id);
        if cause.is_some() {
            self.breaks = self.breaks.split_off(&id);
        }
        cause
    }
}

impl Exchanges {
    /// Whether the next unit may go on this connection. One that may not is dropped, or the connection given up for it.
    pub fn admit(&mut self, books: &mut Books) -> bool {
        let Some(unit) = self.outbox.next_unit() else { return false };
        let Some(id) = unit.exchange else { return true };
        let expect = self.get(id).map(|exchange| exchange.expect).unwrap_or_default();
        let broken = if expect.bound { self.ground.broken_below(id) } else { self.ground.mend_below(id) };
        match broken {
            Some(cause) if expect.bound => {
                self.ground.mend_below(id);
                self.ground.breaks.insert(id, cause);
                self.drop_unit(cause, books)
            }
            Some(cause) if self.sent_on_connection > 0 => {
                self.cut = Some(cause);
                false
            }
            _ => self.meet(self.wish(expect), books),
        }
    }

    fn wish(&self, expect: Expect) -> Wish {
        self.target_framer.as_ref().map_or(Wish::AsItCame, |framer| framer.wants(expect))
    }

    fn meet(&mut self, wish: Wish, books: &mut Books) -> bool {
        match wish {
            Wish::Nothing => self.drop_unit(NotReplayed::NotAsked, books),
            Wish::AsItCame => true,
            Wish::Renamed { at, name } => {
                self.outbox.rename_next(at, name);
                true
            }
        }
    }

    /// Drops the next unit; that none is left to send.
    fn drop_unit(&mut self, cause: NotReplayed, books: &mut Books) -> bool {
        self.drop_next(cause, books);
        false
    }

    /// Notes that exchange `id` was never sent, if what follows needs it.
    pub(super) fn note_unsent(&mut self, id: u64, outcome: &Outcome) {
        let binds = self.get(id).is_some_and(|exchange| exchange.expect.binds);
        let Outcome::NotReplayed(cause) = *outcome else { return };
        if !binds || cause == NotReplayed::NotAsked {
            return;
        }
        if self.outbox.next_unit().is_none() {
            self.ground.breaks.clear();
        }
        self.ground.breaks.insert(id, cause);
    }
}
