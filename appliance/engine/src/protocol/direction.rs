//! One direction of a connection: its parser, and whether what comes still makes sense to it.

use super::{AtClose, Garbled};
use std::ops::{Deref, DerefMut};

/// A parser that is asked no more once its direction is garbled.
#[derive(Debug)]
pub(super) struct Direction<P> {
    parser: P,
    is_garbled: bool,
}

impl<P> Direction<P> {
    /// At the beginning.
    pub fn new(parser: P) -> Self {
        Self { parser, is_garbled: false }
    }

    /// Whether it is not garbled.
    pub fn is_sound(&self) -> bool {
        !self.is_garbled
    }

    /// What the parser makes of what comes.
    ///
    /// # Errors
    /// [`Garbled`]: now, or from before.
    pub fn cut<'a, T>(&'a mut self, cut: impl FnOnce(&'a mut P) -> Result<T, Garbled>) -> Result<T, Garbled> {
        if self.is_garbled {
            return Err(Garbled);
        }
        let made = cut(&mut self.parser);
        self.is_garbled = made.is_err();
        made
    }

    /// A hole, of which the parser says whether it knows what is behind it; whether what follows can be cut.
    pub fn skip(&mut self, skip: impl FnOnce(&mut P) -> bool) -> bool {
        self.is_garbled |= !skip(&mut self.parser);
        !self.is_garbled
    }

    /// Begins anew with what `restart` leaves of the parser.
    pub fn restart(&mut self, restart: impl FnOnce(&mut P)) {
        restart(&mut self.parser);
        self.is_garbled = false;
    }
}

impl<P> Deref for Direction<P> {
    type Target = P;

    fn deref(&self) -> &P {
        &self.parser
    }
}

impl<P> DerefMut for Direction<P> {
    fn deref_mut(&mut self) -> &mut P {
        &mut self.parser
    }
}

impl AtClose {
    /// Of a direction in which a message ends with its last byte and not with the connection.
    pub(super) fn at(is_boundary: bool) -> Self {
        if is_boundary { Self::Clean } else { Self::Cut }
    }
}
