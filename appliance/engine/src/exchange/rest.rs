//! What is given back between two exchanges: the room of what was under way. Most sessions are silent most of the time, and there
//! may be a million of them; the next request takes what another session has just given back.

use super::Exchanges;
use crate::books::Spare;
use std::collections::VecDeque;

impl Exchanges {
    /// Gives back the room of what was under way, where nothing is.
    pub fn rest(&mut self, spare: &mut Spare) {
        if !self.is_settled() || !self.outbox.is_empty() {
            return;
        }
        self.queue = VecDeque::new();
        self.outbox.give_room(spare);
        if self.target_framer.as_ref().is_some_and(|framer| framer.is_fresh()) {
            self.target_framer = None;
        }
    }
}
