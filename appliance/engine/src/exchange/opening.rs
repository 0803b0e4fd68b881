//! The opening of a session whose protocol the settings leave open: both sides' first bytes, kept until they tell it.
//!
//! What cannot be told becomes turns: bytes that fit no protocol, and too few bytes with silence after them.

use super::{Exchanges, Framing, Moment, Step, framed};
use crate::books::Books;
use crate::flow::Side;
use crate::ledger::NotReplayed;
use crate::protocol::{self, Definition, Recognition};
use crate::time::Time;

/// Bytes of both sides by which every protocol must be recognised.
const OPENING_MAX: usize = 512;

/// What was said, in order.
#[derive(Default)]
pub(super) struct Opening {
    pieces: Vec<(Side, usize, Moment)>,
    client: Vec<u8>,
    server: Vec<u8>,
}

impl Opening {
    fn push(&mut self, side: Side, bytes: &[u8], moment: Moment) {
        self.pieces.push((side, bytes.len(), moment));
        match side {
            Side::Client => self.client.extend_from_slice(bytes),
            Side::Origin => self.server.extend_from_slice(bytes),
        }
    }

    fn is_full(&self) -> bool {
        self.client.len() + self.server.len() >= OPENING_MAX
    }

    /// Bytes of the server.
    pub(super) fn server_len(&self) -> u64 {
        self.server.len() as u64
    }
}

impl Exchanges {
    /// Takes first bytes, and decides as soon as they tell the protocol.
    pub(super) fn find_protocol(&mut self, side: Side, bytes: &[u8], moment: Moment, books: &mut Books) {
        let Framing::Undecided(opening) = &mut self.framing else { return };
        if opening.is_none()
            && let Ok(found) = first_tell(side, bytes)
        {
            self.cut_by(found, books);
            return self.take_bytes(side, bytes, moment, books);
        }
        let opening = opening.get_or_insert_default();
        opening.push(side, bytes, moment);
        let said = protocol::Opening { client: &opening.client, server: &opening.server, midstream: false };
        match protocol::recognise(&said) {
            Ok(found) => self.decide(found, books),
            Err(_) if opening.is_full() => self.decide(None, books),
            Err(_) => {}
        }
    }

    /// Decides for a protocol, or for turns, and takes what was kept.
    pub(super) fn decide(&mut self, found: Option<&'static Definition>, books: &mut Books) {
        let Framing::Undecided(opening) = core::mem::replace(&mut self.framing, Framing::Turns) else { return };
        self.cut_by(found, books);
        let Some(opening) = opening else { return };
        let (mut client, mut server) = (&opening.client[..], &opening.server[..]);
        for (side, len, moment) in opening.pieces {
            let stream = if side == Side::Client { &mut client } else { &mut server };
            self.take_bytes(side, stream.split_off(..len).unwrap_or_default(), moment, books);
        }
    }

    fn take_bytes(&mut self, side: Side, bytes: &[u8], moment: Moment, books: &mut Books) {
        match side {
            Side::Client => self.client_bytes(bytes, moment, books),
            Side::Origin => self.origin_bytes(bytes, moment, books),
        }
    }

    /// From here on the streams are cut by this protocol's framer, or else by turns.
    fn cut_by(&mut self, found: Option<&'static Definition>, books: &mut Books) {
        self.definition = found.filter(|definition| definition.framer.is_some());
        if self.definition.is_some() && self.greeting.origin > 0 {
            // What the mirror lost before may have been answers.
            self.doubt();
        }
        self.framing = framed(self.definition, books);
        if found.is_some() && self.definition.is_none() {
            self.bar(NotReplayed::TlsEncrypted, books);
        }
        self.bar_what_is_unfit(books);
    }

    /// Finds the protocol in the middle of a session. A run of bytes that continues what began unseen belongs to nothing;
    /// one that follows an answer and begins no request is a turn, and turns cannot be picked up.
    pub(super) fn pick_up(&mut self, bytes: &[u8], moment: Moment, books: &mut Books) {
        let said = protocol::Opening { client: bytes, server: &[], midstream: true };
        let found = protocol::recognise(&said).ok().flatten();
        match found.filter(|definition| definition.resumable || definition.framer.is_none()) {
            Some(definition) => {
                self.cut_by(Some(definition), books);
                self.client_bytes(bytes, moment, books);
                if self.definition.is_some() && self.requests == Step::Out {
                    self.framing = Framing::Undecided(None);
                }
            }
            None if self.greeting.origin > 0 => {
                self.framing = Framing::Turns;
                self.barred.get_or_insert(NotReplayed::Midstream);
                self.client_bytes(bytes, moment, books);
            }
            None => {}
        }
    }

    /// The opening ends with what was said.
    pub(super) fn end_opening(&mut self, books: &mut Books) {
        if matches!(&self.framing, Framing::Undecided(Some(_))) {
            self.decide(None, books);
        }
    }

    /// Decides for turns where too few bytes were followed by silence.
    pub fn decide_in_time(&mut self, now: Time, books: &mut Books) {
        if self.undecided_until(books).is_some_and(|until| until <= now) {
            self.decide(None, books);
        }
    }

    /// When [`Exchanges::decide_in_time`] has something to do.
    pub fn undecided_until(&self, books: &Books) -> Option<Time> {
        let Framing::Undecided(Some(opening)) = &self.framing else { return None };
        opening.pieces.first().map(|(_, _, moment)| moment.now + books.limits.opening_timeout)
    }
}

/// What the first segment of a session tells by itself; as a rule enough, so that nothing need be kept.
fn first_tell(side: Side, bytes: &[u8]) -> Result<Option<&'static Definition>, Recognition> {
    let (client, server) = if side == Side::Client { (bytes, &[][..]) } else { (&[][..], bytes) };
    protocol::recognise(&protocol::Opening { client, server, midstream: false })
}
