//! Warmth: which connections' buffers take memory.
//!
//! A buffer has its full size as long as its connection lasts, because smoltcp cannot exchange it. Whoever manages the memory
//! can take the pages of one back whose content nobody wants (`forget`), and then it takes memory only once it is written to
//! again: it is *cold*. Buffers that were used last stay warm, so that a busy box pays nothing; beyond a bound, one that was not
//! used since the last look at it, and holds nothing, goes cold.
//!
//! Nothing is in the buffers when smoltcp says so, and when every byte that the peer was seen to send has been read: what came
//! ahead of a lost segment lies in the buffer, though smoltcp does not count it yet.

use super::device::Outline;
use super::{Connection, ConnectionId, Stack};
use std::collections::VecDeque;

/// Looks for each connection that gets warm: as many go cold as get warm, and half of the looks may be in vain.
const LOOKS: usize = 2;

/// The connections with warm buffers, in the order of the last look at them.
#[derive(Default)]
pub(super) struct Warmth {
    warm: VecDeque<ConnectionId>,
    max: usize,
    forget: Option<fn(usize)>,
}

impl Warmth {
    /// Lets so many connections be warm.
    pub(super) fn new(max: usize) -> Self {
        Self { max, ..Self::default() }
    }
}

/// How one connection's buffers stand.
#[derive(Default)]
pub(super) struct Use {
    /// Where they begin.
    buffers: [usize; 2],
    is_warm: bool,
    /// Whether they were used since the last look.
    is_recent: bool,
    /// Highest sequence number that the peer was seen to send, and the one behind what was read of it.
    received: Option<(u32, u32)>,
}

impl Use {
    pub(super) fn of(buffers: [usize; 2]) -> Self {
        Self { buffers, ..Self::default() }
    }

    pub(super) fn buffers(&self) -> [usize; 2] {
        self.buffers
    }

    /// Takes note of a segment of the peer's.
    pub(super) fn note(&mut self, segment: &Outline) {
        match &mut self.received {
            Some((up_to, _)) if segment.end.wrapping_sub(*up_to) as i32 > 0 => *up_to = segment.end,
            None if segment.syn => self.received = Some((segment.end, segment.end)),
            _ => {}
        }
    }

    /// So many bytes of the peer's have been read.
    pub(super) fn read(&mut self, len: usize) {
        if let Some((_, behind)) = &mut self.received {
            *behind = behind.wrapping_add(len as u32);
        }
    }

    fn has_read_all(&self) -> bool {
        self.received.is_some_and(|(up_to, behind)| up_to == behind)
    }
}

impl<O: Copy> Stack<O> {
    /// From here on `forget` is told where a buffer begins whose content nobody wants.
    pub fn forget_by(&mut self, forget: fn(usize)) {
        self.warmth.forget = Some(forget);
    }

    /// Something is about to be in the buffers of a connection.
    pub(super) fn warm(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        connection.usage.is_recent = true;
        if self.warmth.forget.is_some() && !core::mem::replace(&mut connection.usage.is_warm, true) {
            self.warmth.warm.push_back(id);
            self.cool(id);
        }
    }

    /// Looks at those before `latest`, which has just become warm.
    fn cool(&mut self, latest: ConnectionId) {
        let Some(forget) = self.warmth.forget else { return };
        for _ in 0..LOOKS {
            if self.warmth.warm.len() <= self.warmth.max {
                return;
            }
            let Some(id) = self.warmth.warm.pop_front_if(|id| *id != latest) else { return };
            let Some(connection) = self.connections.get_mut(id) else { continue };
            let was_used = core::mem::take(&mut connection.usage.is_recent);
            if was_used || !is_empty(connection) {
                self.warmth.warm.push_back(id);
            } else {
                connection.usage.is_warm = false;
                connection.usage.buffers.into_iter().for_each(forget);
            }
        }
    }
}

fn is_empty<O>(connection: &mut Connection<O>) -> bool {
    let socket = connection.socket();
    let is_counted_empty = socket.send_queue() == 0 && socket.recv_queue() == 0;
    is_counted_empty && connection.usage.has_read_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Endpoint;
    use crate::limits::Limits;
    use crate::time::Time;
    use core::cell::RefCell;
    use core::time::Duration;

    thread_local! {
        static FORGOTTEN: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
    }

    const MTU: usize = 1_500;

    /// Longer than an acknowledgement waits, and shorter than a segment is waited for.
    const ACKNOWLEDGED: Duration = Duration::from_millis(20);

    /// A stack whose connections answer one another, with `max` of them warm.
    struct Pair {
        ours: Stack<usize>,
        theirs: Stack<usize>,
        now: Time,
    }

    impl Pair {
        fn new(max: usize) -> Self {
            FORGOTTEN.take();
            let limits = Limits { warm_connections: max, ..Limits::default() };
            let stack = |seed| Stack::new(Time::ZERO, MTU, &limits, seed);
            let mut ours = stack(1);
            ours.forget_by(|buffer| FORGOTTEN.with_borrow_mut(|all| all.push(buffer)));
            Self { ours, theirs: stack(2), now: Time::ZERO }
        }

        fn open(&mut self, port: u16) -> [ConnectionId; 2] {
            let [local, remote] = [1, 2].map(|last| Endpoint::new([10, 0, 0, last].into(), port));
            let their = self.theirs.accept(remote, local, Duration::from_secs(9), 0);
            let our = self.ours.connect(local, remote, Duration::from_secs(9), 0);
            self.pass(|_| true);
            [our, their]
        }

        /// Passes packets on until there are none, but for those of theirs that `passes` lets go.
        fn pass(&mut self, mut passes: impl FnMut(usize) -> bool) {
            let mut theirs = 0;
            let mut is_late = false;
            loop {
                let sent = self.ours.poll_packet(self.now).map(|(_, packet)| packet.to_vec());
                let answered = self.theirs.poll_packet(self.now).map(|(_, packet)| packet.to_vec());
                if sent.is_none() && answered.is_none() && core::mem::replace(&mut is_late, true) {
                    return;
                }
                if is_late {
                    self.now = self.now + ACKNOWLEDGED;
                    self.ours.handle_timeout(self.now);
                    self.theirs.handle_timeout(self.now);
                }
                if let Some(packet) = sent {
                    self.theirs.handle_packet(self.now, &packet);
                }
                if let Some(packet) = answered {
                    theirs += 1;
                    if passes(theirs) {
                        self.ours.handle_packet(self.now, &packet);
                    }
                }
            }
        }

        fn read(&mut self, id: ConnectionId) -> usize {
            let mut len = 0;
            self.ours.receive(id, |bytes| len += bytes.len());
            self.pass(|_| true);
            len
        }

        /// Lets a second pass, in which what is late comes.
        fn wait(&mut self) {
            self.now = self.now + Duration::from_secs(2);
            self.ours.handle_timeout(self.now);
            self.theirs.handle_timeout(self.now);
            self.pass(|_| true);
        }

        fn is_forgotten(&self, id: ConnectionId) -> bool {
            let buffers = self.ours.connections[id].usage.buffers();
            FORGOTTEN.with_borrow(|all| buffers.iter().all(|buffer| all.contains(buffer)))
        }

        /// Others are used, so that those used before would go cold.
        fn crowd_out(&mut self) {
            for port in 100..108 {
                let [our, their] = self.open(port);
                self.theirs.send(their, b"hello");
                self.pass(|_| true);
                assert_eq!(self.read(our), 5);
            }
        }
    }

    #[test]
    fn the_least_recently_used_go_cold_beyond_the_bound() {
        let mut pair = Pair::new(2);
        let [our, their] = pair.open(99);
        pair.ours.send(our, b"request");
        pair.theirs.send(their, b"answer");
        pair.pass(|_| true);
        assert_eq!(pair.read(our), 6);
        assert!(!pair.is_forgotten(our), "nothing else was warm");
        pair.crowd_out();
        assert!(pair.is_forgotten(our));
        pair.theirs.send(their, b"again");
        pair.pass(|_| true);
        assert_eq!(pair.read(our), 5, "a cold connection goes on");
    }

    #[test]
    fn what_is_not_read_keeps_a_connection_warm() {
        let mut pair = Pair::new(0);
        let [our, their] = pair.open(99);
        pair.theirs.send(their, b"answer");
        pair.pass(|_| true);
        pair.crowd_out();
        assert!(!pair.is_forgotten(our));
    }

    #[test]
    fn what_came_ahead_of_a_lost_segment_keeps_a_connection_warm() {
        let mut pair = Pair::new(0);
        let [our, their] = pair.open(99);
        let bytes = vec![b'x'; 4_000];
        pair.theirs.send(their, &bytes);
        pair.pass(|packet| packet != 1);
        assert_eq!(pair.read(our), 0, "its first segment is missing");
        pair.crowd_out();
        assert!(!pair.is_forgotten(our));
        pair.wait();
        assert_eq!(pair.read(our), bytes.len());
        pair.crowd_out();
        assert!(pair.is_forgotten(our));
    }
}
