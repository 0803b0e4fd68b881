//! What is given back between two exchanges: the room of what was under way, and what cuts the streams. Most sessions are silent
//! most of the time, and there may be a million of them; the next request takes what another session has just given back.

use super::outbox::Outbox;
use super::{Exchange, Exchanges, Framing, Greeting};
use crate::books::Books;
use crate::limits::SPARE_ROOMS;
use core::ops::{Deref, DerefMut};
use std::collections::VecDeque;

/// Most exchanges or units that a room which is kept has place for: sessions rarely have more under way.
const SMALL: usize = 4;

/// Something that says nothing most of the time, and takes no memory then.
#[derive(Default)]
pub struct Room<T>(Option<Box<T>>);

/// What a [`Room`] can hold.
pub trait Blank: Default + 'static {
    /// One that says nothing.
    const BLANK: &'static Self;
}

impl Blank for VecDeque<Exchange> {
    const BLANK: &'static Self = &Self::new();
}

impl Blank for Outbox {
    const BLANK: &'static Self = &Self::new();
}

impl Blank for Greeting {
    const BLANK: &'static Self = &Self::new();
}

impl<T: Blank> Deref for Room<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_deref().unwrap_or(T::BLANK)
    }
}

impl<T: Blank> DerefMut for Room<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }
}

impl<T> Room<T> {
    fn take(&mut self, spare: &mut Vec<Box<T>>) {
        if self.0.is_none() {
            self.0 = spare.pop();
        }
    }

    /// Gives back what says nothing any more, or, where it is not worth keeping, drops it.
    fn give(&mut self, spare: &mut Vec<Box<T>>, is_worth_keeping: bool) {
        if let Some(room) = self.0.take()
            && is_worth_keeping
            && spare.len() < SPARE_ROOMS
        {
            spare.push(room);
        }
    }
}

/// Rooms that sessions have given back.
#[derive(Default)]
#[expect(clippy::vec_box, reason = "they pass between here and the sessions")]
pub struct Rooms {
    exchanges: Vec<Box<VecDeque<Exchange>>>,
    outboxes: Vec<Box<Outbox>>,
}

impl Exchanges {
    /// Has room for a request from now on, if it had none and there is some.
    pub fn take_room(&mut self, rooms: &mut Rooms) {
        self.queue.take(&mut rooms.exchanges);
        self.outbox.take(&mut rooms.outboxes);
    }

    /// Gives back what is not needed before the next request, where nothing is under way.
    pub fn rest(&mut self, rooms: &mut Rooms, books: &mut Books) {
        if !self.is_settled() || !self.outbox.is_empty() {
            return;
        }
        let is_small = self.queue.capacity() <= SMALL;
        self.queue.give(&mut rooms.exchanges, is_small);
        if let Some(outbox) = &mut self.outbox.0
            && outbox.rest(&mut books.spare)
        {
            let is_small = outbox.units_room() <= SMALL;
            self.outbox.give(&mut rooms.outboxes, is_small);
        }
        self.greeting.0.take_if(|greeting| greeting.is_blank());
        let Some(definition) = self.definition else { return };
        if let Some(framer) = self.target_framer.take_if(|framer| framer.is_fresh()) {
            books.framers.give(definition, framer);
        }
        if matches!(&self.framing, Framing::Framed(framer) if framer.is_fresh())
            && let Framing::Framed(framer) = core::mem::replace(&mut self.framing, Framing::Resting)
        {
            books.framers.give(definition, framer);
        }
    }

    /// Something is said that may have to be cut.
    pub(super) fn rouse(&mut self, books: &mut Books) {
        if matches!(self.framing, Framing::Resting)
            && let Some(framer) = self.definition.and_then(|definition| books.framers.take(definition, &books.limits))
        {
            self.framing = Framing::Framed(framer);
        }
    }
}
