//! The servers under test: they answer questions for addresses, open connections and acknowledge by themselves, and say what
//! the input says.

use super::packet::{ACK, FIN, RST, SYN, Segment, arp_reply, places, read, write};
use arbitrary::{Result, Unstructured};
use std::collections::{BTreeMap, VecDeque};

/// One end of a connection, by the box's address and port.
#[derive(Clone, Copy, Debug)]
struct Connection {
    target: (u32, u16),
    /// Ours, and the box's next.
    next: u32,
    expected: u32,
}

/// All connections of the targets.
#[derive(Debug, Default)]
pub struct Target {
    connections: BTreeMap<(u32, u16), Connection>,
    replies: VecDeque<Vec<u8>>,
}

impl Target {
    /// Takes a frame of the box; always true.
    pub fn see(&mut self, frame: &[u8]) -> bool {
        self.replies.extend(arp_reply(frame));
        if let Some((segment, len)) = read(frame) {
            self.see_segment(&segment, len);
        }
        true
    }

    fn see_segment(&mut self, segment: &Segment, len: u32) {
        if segment.flags & SYN != 0 {
            let opened = Connection { target: segment.to, next: 7_000, expected: segment.seq.wrapping_add(1) };
            let opened = *self.connections.entry(segment.from).insert_entry(opened).get();
            // Some ports do not answer: their connections are for the input to open, refuse or leave.
            if !segment.from.1.is_multiple_of(4) {
                self.send(segment.from, opened, SYN | ACK, &[]);
            }
            return;
        }
        let Some(connection) = self.connections.get_mut(&segment.from) else { return };
        let end = segment.seq.wrapping_add(len + places(segment.flags));
        if segment.seq == connection.expected && end != segment.seq {
            connection.expected = end;
            let connection = *connection;
            self.send(segment.from, connection, ACK, &[]);
        }
    }

    fn send(&mut self, to: (u32, u16), connection: Connection, flags: u8, payload: &[u8]) {
        let Connection { target, next, expected } = connection;
        self.replies.push_back(write(&Segment { from: target, to, seq: next, ack: expected, flags }, payload));
        if let Some(connection) = self.connections.get_mut(&to) {
            connection.next = next.wrapping_add(payload.len() as u32 + places(flags));
        }
    }

    /// What it says by itself.
    pub fn reply(&mut self) -> Option<Vec<u8>> {
        self.replies.pop_front()
    }

    /// What the input lets it say: a byte for the connection, one for the content, one for flags and what is wrong.
    pub fn frame(&mut self, input: &mut Unstructured<'_>, words: &[&[u8]]) -> Result<Option<Vec<u8>>> {
        let (which, content, wrong): (u8, u8, u8) = (input.arbitrary()?, input.arbitrary()?, input.arbitrary()?);
        let count = self.connections.len().max(1);
        // Counted from the last, which is most likely the one that is open.
        let Some((to, mut connection)) = self.connections.iter().nth_back(usize::from(which) % count) else {
            return Ok(None);
        };
        let (to, payload) = (*to, if content & 1 == 0 { &[] } else { words[usize::from(content >> 1) % words.len()] });
        let flags = match wrong % 16 {
            0..10 => ACK,
            10..12 => FIN | ACK,
            12 => RST | ACK,
            13 => SYN | ACK,
            14 => RST,
            _ => 0,
        };
        let astray = Connection { next: connection.next.wrapping_add(u32::from(wrong)), ..*connection };
        if wrong >= 0xe0 {
            connection = &astray;
        }
        let connection = *connection;
        self.send(to, connection, flags, payload);
        Ok(self.replies.pop_back())
    }
}
