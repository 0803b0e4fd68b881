//! Rehearsal: the far end of a replay without a server under test. It plays back what the origin answered in the capture.
//!
//! It is a TCP server on a stack of its own, joined to the replay's stack by a wire without loss or delay. It reads what
//! the replay sends, and answers a request with the origin's captured bytes once it has read all of it.

use crate::exchange::Exchanges;
use crate::limits::Limits;
use crate::stack::{ConnectionId, Outline, Phase, Stack};
use crate::time::Time;

/// The servers of a rehearsal. `O` is the owner of the replay that a connection belongs to.
pub struct Rehearsal<O> {
    stack: Stack<O>,
    limits: Limits,
}

/// One replay's present connection as the server sees it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stage {
    connection: Option<ConnectionId>,
    received: u64,
}

impl<O: Copy> Rehearsal<O> {
    /// Servers without connections.
    pub fn new(now: Time, mtu: usize, limits: &Limits, seed: u64) -> Self {
        Self { stack: Stack::new(now, mtu, limits, seed), limits: *limits }
    }

    /// Takes a packet of the replay's stack, of a connection of `owner`.
    pub fn handle_packet(&mut self, now: Time, packet: &[u8], owner: Option<O>) {
        let Some(outline) = Outline::of(packet) else { return };
        let (client, server) = (outline.source, outline.destination);
        if !self.stack.has(server, client) {
            let Some(owner) = owner else { return };
            self.stack.accept(server, client, self.limits.answer_timeout, owner);
        }
        self.stack.handle_packet(now, packet);
    }

    /// The owner of the next connection to which something may have happened.
    pub fn poll_event(&mut self) -> Option<(ConnectionId, O)> {
        self.stack.poll_event()
    }

    /// Plays what is due on `connection`.
    pub fn play(&mut self, now: Time, connection: ConnectionId, stage: &mut Stage, exchanges: &mut Exchanges) {
        if stage.connection != Some(connection) {
            *stage = Stage { connection: Some(connection), received: 0 };
        }
        self.stack.receive(connection, |bytes| stage.received += bytes.len() as u64);
        let has_all = stage.received == exchanges.sent_on_connection();
        let ended = has_all && exchanges.play(|bytes| self.stack.send(connection, bytes));
        // A client that has closed its side still wants the answers.
        if ended || !matches!(self.stack.phase(connection), Phase::Opening | Phase::Open | Phase::PeerClosed) {
            self.leave(now, connection);
            stage.connection = None;
        }
    }

    /// Leaves `connection`, to which no session belongs any more.
    pub fn leave(&mut self, now: Time, connection: ConnectionId) {
        self.stack.close(connection);
        self.stack.release(now, connection);
    }

    /// The next packet to the replay's stack.
    pub fn poll_packet(&mut self, now: Time) -> Option<&[u8]> {
        self.stack.poll_packet(now).map(|(_, packet)| packet)
    }

    /// When [`Rehearsal::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.stack.poll_timeout()
    }

    /// Wakes the connections whose time has come.
    pub fn handle_timeout(&mut self, now: Time) {
        self.stack.handle_timeout(now);
    }
}

impl Stage {
    /// The connection in use.
    pub fn connection(&self) -> Option<ConnectionId> {
        self.connection
    }
}
