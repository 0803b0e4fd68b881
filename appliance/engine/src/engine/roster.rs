//! The sessions that live now, for a person who looks at them.

use super::Engine;
use crate::frame::Endpoint;
use crate::ledger::NotReplayed;
use crate::time::Time;

/// One live session, with its first replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// Its number in the box, from 1.
    pub number: u64,
    /// Index into the services of the configuration under which it was opened.
    pub service: usize,
    /// The real client.
    pub client: Endpoint,
    /// The production server.
    pub origin: Endpoint,
    /// The server under test.
    pub target: Endpoint,
    /// The box's own end of the connection to it, where there is one.
    pub local: Option<Endpoint>,
    /// Whether that is established.
    pub is_connected: bool,
    /// Why it is not replayed, or not any more.
    pub barred: Option<NotReplayed>,
    /// The protocol by which it is cut.
    pub protocol: &'static str,
    /// Whether it was already open when it was first seen.
    pub is_midstream: bool,
    /// When it was first seen.
    pub begun_at: Time,
    /// When something was last seen of it.
    pub seen_at: Time,
    /// Requests begun.
    pub requests: u64,
    /// Those of them without an outcome.
    pub in_progress: usize,
}

impl Engine {
    /// The sessions that have not ended, in no order that matters. A look at each costs some 100 ns.
    pub fn roster(&self) -> impl Iterator<Item = Live> + '_ {
        self.slots.values().filter_map(|slot| {
            let work = slot.works().first()?;
            let identity = work.exchanges.identity();
            Some(Live {
                number: identity.session,
                service: identity.service,
                client: identity.client,
                origin: identity.origin,
                target: work.target(),
                local: work.connection().map(|id| self.stack.ends(id).0),
                is_connected: work.is_connected(),
                barred: work.exchanges.barred(),
                protocol: work.exchanges.protocol_name(),
                is_midstream: slot.is_midstream,
                begun_at: slot.begun_at,
                seen_at: slot.seen_at(),
                requests: work.exchanges.begun(),
                in_progress: work.exchanges.len(),
            })
        })
    }
}
