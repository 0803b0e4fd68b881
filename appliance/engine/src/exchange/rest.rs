//! What is given back between two exchanges: the room of what was under way. Most sessions are silent most of the time, and there
//! may be a million of them; the next request takes what another session has just given back.

use super::outbox::Unit;
use super::{Exchange, Exchanges};
use crate::books::Books;
use crate::limits::SPARE_ROOMS;
use std::collections::VecDeque;

/// Most exchanges or units that a room which is kept has place for: sessions rarely have more under way.
const SMALL: usize = 4;

/// Rooms that sessions have given back.
#[derive(Default)]
pub struct Rooms {
    exchanges: Vec<VecDeque<Exchange>>,
    units: Vec<VecDeque<Unit>>,
}

impl Exchanges {
    /// Has room for a request from now on, if it had none and there is some.
    pub fn take_room(&mut self, rooms: &mut Rooms) {
        take(&mut self.queue, &mut rooms.exchanges);
        take(self.outbox.units_room(), &mut rooms.units);
    }

    /// Gives back the room of what was under way, where nothing is.
    pub fn rest(&mut self, rooms: &mut Rooms, books: &mut Books) {
        if !self.is_settled() || !self.outbox.is_empty() {
            return;
        }
        give(&mut self.queue, &mut rooms.exchanges);
        give(self.outbox.units_room(), &mut rooms.units);
        self.outbox.give_room(&mut books.spare);
        if let Some(framer) = self.target_framer.take_if(|framer| framer.is_fresh())
            && let Some(definition) = self.definition
        {
            books.framers.give(definition, framer);
        }
    }
}

fn take<T>(room: &mut VecDeque<T>, spare: &mut Vec<VecDeque<T>>) {
    if room.capacity() == 0 {
        *room = spare.pop().unwrap_or_default();
    }
}

fn give<T>(room: &mut VecDeque<T>, spare: &mut Vec<VecDeque<T>>) {
    let room = core::mem::take(room);
    if (1..=SMALL).contains(&room.capacity()) && spare.len() < SPARE_ROOMS {
        spare.push(room);
    }
}
