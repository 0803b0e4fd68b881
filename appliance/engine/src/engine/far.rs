//! The far end of the replay, behind the test-side stack: the wire, or a rehearsal.

use super::ReplayId;
use super::slot::Work;
use crate::config::{Config, FarEnd};
use crate::link::{Inbound, Link, TransmitQueue};
use crate::local::Locals;
use crate::rehearsal::Rehearsal;
use crate::stack::ConnectionId;
use crate::time::Time;

/// Largest IP packet in a rehearsal.
const REHEARSAL_MTU: u16 = 1500;

/// Who gets the replay's packets.
pub enum Far {
    /// Servers behind the target NIC.
    Wire {
        /// The link layer.
        link: Box<Link>,
        /// Frames that wait for the driver.
        queue: TransmitQueue,
        /// Largest IP packet.
        mtu: u16,
    },
    /// The origin's captured answers.
    Rehearsal(Box<Rehearsal<ReplayId>>),
}

impl Far {
    /// The far end that `config` names.
    pub fn new(now: Time, config: &Config, locals: &Locals, seed: u64) -> Self {
        let limits = &config.limits;
        match config.far_end {
            FarEnd::Wire { mtu, .. } => {
                let queue = TransmitQueue::new(limits.transmit_frames, mtu);
                Self::Wire { link: Box::new(Link::new(config, locals, now)), queue, mtu }
            }
            FarEnd::Rehearsal => {
                Self::Rehearsal(Box::new(Rehearsal::new(now, REHEARSAL_MTU.into(), limits, seed.wrapping_add(1))))
            }
        }
    }

    /// Takes new settings; the kind of far end stays.
    pub fn configure(&mut self, now: Time, config: &Config, locals: &Locals) {
        if let Self::Wire { link, .. } = self {
            link.configure(config, locals, now);
        }
    }

    /// Largest IP packet.
    pub fn mtu(&self) -> usize {
        match self {
            Self::Wire { mtu, .. } => (*mtu).into(),
            Self::Rehearsal(_) => REHEARSAL_MTU.into(),
        }
    }

    /// Whether it is a rehearsal.
    pub fn is_rehearsal(&self) -> bool {
        matches!(self, Self::Rehearsal(_))
    }

    /// Takes a frame of the target NIC; `take` gets the packet in it and says whether it was of use.
    pub fn handle_frame(
        &mut self,
        now: Time,
        frame: &[u8],
        locals: &mut Locals,
        take: impl FnOnce(&[u8]) -> bool,
    ) -> bool {
        let Self::Wire { link, queue, .. } = self else { return false };
        match link.handle_frame(now, frame, locals, queue) {
            Inbound::Packet(packet) => take(packet),
            Inbound::Handled => true,
            Inbound::Ignored => false,
        }
    }

    /// Sends a packet of the replay, of a connection of `owner`.
    pub fn send(&mut self, now: Time, packet: &[u8], owner: Option<ReplayId>, locals: &Locals) {
        match self {
            Self::Wire { link, queue, .. } => link.send(now, packet, locals, queue),
            Self::Rehearsal(rehearsal) => rehearsal.handle_packet(now, packet, owner),
        }
    }

    /// The owner of the next connection of a rehearsal to which something may have happened.
    pub fn poll_event(&mut self) -> Option<(ConnectionId, ReplayId)> {
        match self {
            Self::Wire { .. } => None,
            Self::Rehearsal(rehearsal) => rehearsal.poll_event(),
        }
    }

    /// Lets a rehearsal's target say what it may on `connection`; it leaves where the replay is gone.
    pub fn play(&mut self, now: Time, connection: ConnectionId, work: Option<&mut Work>) {
        let Self::Rehearsal(rehearsal) = self else { return };
        match work {
            Some(work) => rehearsal.play(now, connection, &mut work.stage, &mut work.exchanges),
            None => rehearsal.leave(now, connection),
        }
    }

    /// Lets a rehearsal's target go on where it is: the origin has said more.
    pub fn play_on(&mut self, now: Time, work: &mut Work) {
        if let Some(connection) = work.stage.connection() {
            self.play(now, connection, Some(work));
        }
    }

    /// The replay is over, and so is its connection in a rehearsal.
    pub fn leave(&mut self, now: Time, work: &Work) {
        if let Some(connection) = work.stage.connection() {
            self.play(now, connection, None);
        }
    }

    /// The next packet of a rehearsal's target.
    pub fn poll_packet(&mut self, now: Time) -> Option<&[u8]> {
        match self {
            Self::Wire { .. } => None,
            Self::Rehearsal(rehearsal) => rehearsal.poll_packet(now),
        }
    }

    /// Whether there is a frame to transmit.
    pub fn has_frame(&self) -> bool {
        matches!(self, Self::Wire { queue, .. } if !queue.is_empty())
    }

    /// The next frame to transmit.
    pub fn pop_frame(&mut self) -> Option<&[u8]> {
        match self {
            Self::Wire { queue, .. } => queue.pop(),
            Self::Rehearsal(_) => None,
        }
    }

    /// Whether a packet of the replay can be sent now.
    pub fn has_room(&self) -> bool {
        match self {
            Self::Wire { queue, .. } => !queue.is_full(),
            Self::Rehearsal(_) => true,
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Time, locals: &mut Locals) {
        match self {
            Self::Wire { link, queue, .. } => {
                if link.is_due(now, locals) {
                    link.handle_timeout(now, locals, queue);
                }
            }
            Self::Rehearsal(rehearsal) => rehearsal.handle_timeout(now),
        }
    }

    /// When it has something to do.
    pub fn poll_timeout(&self, locals: &Locals) -> Option<Time> {
        match self {
            Self::Wire { link, .. } => link.poll_timeout(locals),
            Self::Rehearsal(rehearsal) => rehearsal.poll_timeout(),
        }
    }

    /// Packets given up because their next hop did not answer.
    pub fn packets_unresolved(&self) -> u64 {
        match self {
            Self::Wire { link, queue, .. } => link.packets_unresolved() + queue.frames_dropped(),
            Self::Rehearsal(_) => 0,
        }
    }
}
