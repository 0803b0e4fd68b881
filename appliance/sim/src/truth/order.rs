//! In which order the mirror shows the segments of a session: which of them the engine has to hold back, and what it never gets.

use crate::span::Tag;
use core::ops::Range;

/// Farther ahead than any stream of a run goes on: numbers of another connection.
const FAR: u64 = 1 << 26;

/// Both streams of a session, as an engine that waits for everything for ever hands them on: the client's, the origin's.
#[derive(Clone, Debug, Default)]
pub struct Order {
    streams: [Stream; 2],
    /// Segments that came before what lies below them, or before what they acknowledge.
    pub early: u64,
    /// Segments of which that is not certain.
    pub doubtful: u64,
    /// Segments that overlap were held back, and the capture has cut one of them: where the engine takes the cut-off bytes for lost
    /// is not certain any more.
    is_unclear: bool,
}

#[derive(Clone, Debug, Default)]
struct Stream {
    /// Handed on up to here. A FIN takes the place behind the last byte.
    next: u64,
    closed: bool,
    /// What is held back, the lowest first.
    held: Vec<Piece>,
    /// Up to where the other side has acknowledged.
    acked: u64,
}

#[derive(Clone, Debug)]
struct Piece {
    range: Range<u64>,
    closes: bool,
    /// How much of the other stream goes before it.
    after: u64,
    is_cut: bool,
}

impl Order {
    /// A segment is shown, without its end if it `is_cut`; `is_certain`: the engine knows of which session it is, and where that began.
    pub fn show(&mut self, tag: &Tag, is_cut: bool, is_certain: bool) {
        let is_certain = is_certain && !self.is_unclear;
        self.doubtful += u64::from(!is_certain);
        let side = usize::from(!tag.from_client);
        // What a reset carries is no part of the stream.
        let span = if tag.resets { 0 } else { tag.len + u64::from(tag.closes) };
        let range = tag.offset..tag.offset + span;
        if range.end > FAR {
            self.doubtful += u64::from(is_certain);
            return;
        }
        let after = self.note_ack(1 - side, tag.acked);
        let (next, closed, other) = (self.streams[side].next, self.streams[side].closed, self.streams[1 - side].next);
        if range.end <= next || closed {
            return;
        }
        let is_early = range.start > next || after > other;
        self.early += u64::from(is_early && is_certain);
        if range.is_empty() {
            return;
        }
        let stream = &mut self.streams[side];
        let overlaps = |piece: &&Piece| piece.range.start < range.end && range.start < piece.range.end;
        if stream.held.iter().filter(overlaps).any(|piece| piece.is_cut || is_cut) {
            self.is_unclear = true;
            self.doubtful += u64::from(is_certain);
        }
        let place = stream.held.partition_point(|piece| piece.range.start <= range.start);
        stream.held.insert(place, Piece { range, closes: tag.closes, after, is_cut });
        while self.hand_on(0) | self.hand_on(1) {}
    }

    fn note_ack(&mut self, side: usize, acked: Option<u64>) -> u64 {
        let stream = &mut self.streams[side];
        let Some(acked) = acked.filter(|acked| *acked <= FAR && !(stream.closed && *acked > stream.next)) else {
            return 0;
        };
        stream.acked = stream.acked.max(acked);
        acked
    }

    fn hand_on(&mut self, side: usize) -> bool {
        let other = self.streams[1 - side].next;
        let stream = &mut self.streams[side];
        let before = stream.next;
        stream.held.retain(|piece| piece.range.end > before);
        let Some(first) = stream.held.first().filter(|piece| piece.range.start <= before && piece.after <= other)
        else {
            return false;
        };
        (stream.next, stream.closed) = (first.range.end, first.closes);
        if stream.closed {
            stream.held.clear();
        }
        true
    }

    /// Places that were given up for good once all is over: shown by no segment, though something behind them was shown or they
    /// were acknowledged.
    pub fn lost(&self) -> u64 {
        self.streams.iter().map(Stream::lost).sum()
    }
}

impl Stream {
    fn lost(&self) -> u64 {
        let (mut next, mut lost) = (self.next, 0);
        for piece in &self.held {
            lost += piece.range.start.saturating_sub(next);
            next = next.max(piece.range.end);
        }
        lost + self.acked.saturating_sub(next)
    }
}
