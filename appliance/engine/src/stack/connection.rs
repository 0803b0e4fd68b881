//! What the stack knows of a connection.

use super::State;
use super::device::{NUMBER, Outline, add};
use super::sleep::{Live, Peer};
use super::window::Window;
use crate::frame::Endpoint;
use crate::time::Time;
use crate::timers::Alarm;
use core::time::Duration;
use smoltcp::socket::tcp;

/// A connection, held or left to itself.
pub(super) struct Connection<O> {
    /// None while it is asleep.
    pub(super) live: Option<Box<Live>>,
    /// What its sequence numbers are ahead of smoltcp's.
    pub(super) shift: u32,
    pub(super) local: Endpoint,
    pub(super) remote: Endpoint,
    /// How long sent bytes may stay unacknowledged.
    pub(super) silence: Duration,
    pub(super) owner: Option<O>,
    pub(super) was_open: bool,
    pub(super) was_reset: bool,
    /// Highest sequence number sent, one past the last byte, as smoltcp counts.
    pub(super) sent_up_to: Option<u32>,
    /// Segments sent again.
    pub(super) retransmits: u64,
    /// Whether it stands in the queue of those that may have something to send.
    pub(super) is_due: bool,
    /// Whether its owner has given it something to do since it was last let try.
    pub(super) has_work: bool,
    pub(super) has_event: bool,
    /// Its state when the owner was last told that something happened.
    pub(super) told: State,
    pub(super) linger_until: Option<Time>,
    pub(super) alarm: Alarm,
    pub(super) peer: Peer,
    pub(super) window: Window,
}

impl<O> Connection<O> {
    pub(super) fn ends(&self) -> (Endpoint, Endpoint) {
        (self.local, self.remote)
    }

    pub(super) fn socket(&mut self) -> &mut tcp::Socket<'static> {
        self.live.as_mut().expect("a connection is woken before something is done with it").socket()
    }

    /// The number for a segment that takes none, where smoltcp gave it another: it is the next one that was never sent
    /// (SND.NXT; RFC 9293, section 3.10.7.4). After a retransmission time-out smoltcp begins further back, and a peer that has
    /// more already drops the segment with its acknowledgement; two such peers would never hear each other again.
    fn right_number(&self, segment: &Outline) -> Option<u32> {
        let next = self.sent_up_to.filter(|_| segment.span == 0 && !segment.rst)?;
        (next.wrapping_sub(segment.end) as i32 > 0).then_some(next)
    }

    /// Gives a segment that smoltcp has written the number by which the peer knows it.
    pub(super) fn number(&self, packet: &mut [u8], segment: &Outline) {
        let given = segment.end.wrapping_sub(segment.span as u32);
        let right = self.right_number(segment).unwrap_or(given).wrapping_add(self.shift);
        add(packet, NUMBER, right.wrapping_sub(given));
    }

    /// Whether nobody reads what the peer says, though it has not acknowledged all. Behind a window that is shut, a peer that
    /// probes it is never heard again, and what was sent to it would be given up.
    pub(super) fn is_unread(&mut self) -> bool {
        let is_heard = matches!(self.socket().state(), State::FinWait2 | State::TimeWait | State::Closed);
        self.owner.is_none() && !is_heard
    }

    /// A segment has been sent again.
    pub(super) fn note_loss(&mut self) {
        self.retransmits += 1;
        if let Some(live) = &mut self.live {
            self.window.lose(live.socket());
        }
    }

    /// Queues bytes; returns how many there was room for.
    pub(super) fn queue(&mut self, bytes: &[u8]) -> usize {
        let under_way = self.socket().send_queue();
        let room = self.window.room(under_way);
        self.socket().send_slice(&bytes[..bytes.len().min(room)]).unwrap_or(0)
    }
}
