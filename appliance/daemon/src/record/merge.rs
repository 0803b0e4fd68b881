//! Frames of several shards, in the order of their times.
//!
//! Each shard hands over its own in order, but a shard with little to record keeps them for up to a second, while the one beside it
//! fills chunk after chunk. So frames wait here until all shards are past their time. A shard says how far it is with each chunk, and
//! each second with one that may be empty. What waits is bounded: beyond, the earliest goes, in order or not.

use super::{CHUNK_BYTES, Chunk, Frames, blocks};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that wait at most, beside those of the queue.
const HELD_BYTES: usize = 32 << 20;

/// What waits of each shard.
pub(super) struct Merge {
    /// How many shards record.
    shards: Arc<AtomicUsize>,
    lanes: Vec<Lane>,
    held_bytes: usize,
    /// What is gathered for the next write.
    merged: Frames,
}

/// One shard.
#[derive(Default)]
struct Lane {
    chunks: VecDeque<Chunk>,
    /// Bytes of the first chunk that are merged.
    read: usize,
    /// All its frames before this time have come.
    until: u64,
}

impl Lane {
    /// When its first frame was captured.
    fn head(&self) -> Option<u64> {
        Some(blocks::stamp(&self.chunks.front()?.frames.bytes[self.read..]))
    }

    /// Moves its first frame; the chunk, where that was its last.
    fn pop(&mut self, to: &mut Frames) -> Option<Chunk> {
        let frames = &self.chunks.front()?.frames;
        let block = &frames.bytes[self.read..][..blocks::length(&frames.bytes[self.read..])];
        to.push(blocks::stamp(block), |bytes| bytes.extend_from_slice(block));
        self.read += block.len();
        if self.read < frames.bytes.len() {
            return None;
        }
        self.read = 0;
        self.chunks.pop_front()
    }
}

impl Merge {
    pub(super) fn new(shards: Arc<AtomicUsize>) -> Self {
        Self { shards, lanes: Vec::new(), held_bytes: 0, merged: Frames::default() }
    }

    /// Takes a chunk, and writes what no other chunk can come before.
    pub(super) fn take(&mut self, chunk: Chunk, mut write: impl FnMut(&Frames)) {
        let shards = self.shards.load(Ordering::Relaxed).max(chunk.shard + 1);
        if shards == 1 {
            write(&chunk.frames);
            return chunk.go_home();
        }
        self.lanes.resize_with(shards, Lane::default);
        let lane = &mut self.lanes[chunk.shard];
        lane.until = lane.until.max(chunk.until);
        if chunk.frames.count > 0 {
            self.held_bytes += chunk.frames.bytes.len();
            lane.chunks.push_back(chunk);
        }
        let until = self.lanes.iter().map(|lane| lane.until).min().unwrap_or_default();
        self.write_until(until, HELD_BYTES, &mut write);
    }

    /// Writes all that waits.
    pub(super) fn finish(&mut self, mut write: impl FnMut(&Frames)) {
        self.write_until(u64::MAX, 0, &mut write);
    }

    fn write_until(&mut self, until: u64, held_bytes_max: usize, write: &mut impl FnMut(&Frames)) {
        while let Some((at, index)) = self.earliest().filter(|(at, _)| *at <= until || self.held_bytes > held_bytes_max)
        {
            debug_assert_eq!(self.lanes[index].head(), Some(at));
            if let Some(chunk) = self.lanes[index].pop(&mut self.merged) {
                self.held_bytes -= chunk.frames.bytes.len();
                chunk.go_home();
            }
            if self.merged.bytes.len() >= CHUNK_BYTES {
                write(&self.merged);
                self.merged.clear();
            }
        }
        if self.merged.count > 0 {
            write(&self.merged);
            self.merged.clear();
        }
    }

    /// The earliest frame that waits: when it was captured, and by which shard.
    fn earliest(&self) -> Option<(u64, usize)> {
        let heads = self.lanes.iter().enumerate().filter_map(|(index, lane)| Some((lane.head()?, index)));
        heads.min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;
    use tapcopy_engine::message::LinkType;
    use tapcopy_engine::{MirrorFrame, Time};

    fn chunk(shard: usize, stamps: &[u64], until: u64) -> Chunk {
        let mut chunk = Chunk::new(shard, Vec::new(), channel().0);
        chunk.until = until;
        for stamp in stamps {
            let captured_at = Time::from_nanos(*stamp);
            let frame = MirrorFrame { captured_at, link: LinkType::Ethernet, wire_len: 60, bytes: &[shard as u8; 61] };
            chunk.frames.push(*stamp, |bytes| blocks::push_packet(bytes, 0, &frame));
        }
        chunk
    }

    /// The stamps of blocks, which must be whole.
    fn stamps(frames: &Frames) -> Vec<u64> {
        let (mut rest, mut stamps) = (frames.bytes.as_slice(), Vec::new());
        while !rest.is_empty() {
            stamps.push(blocks::stamp(rest));
            rest = &rest[blocks::length(rest)..];
        }
        assert_eq!((stamps.len() as u64, stamps.first().copied()), (frames.count, Some(frames.first_at)));
        stamps
    }

    fn merge(shards: usize) -> Merge {
        Merge::new(Arc::new(AtomicUsize::new(shards)))
    }

    #[test]
    fn frames_wait_until_all_shards_are_past_their_time() {
        let (mut merge, mut written) = (merge(2), Vec::new());
        let mut take = |chunk| {
            let before = written.len();
            merge.take(chunk, |frames| written.extend(stamps(frames)));
            written[before..].to_vec()
        };
        assert_eq!(take(chunk(0, &[10, 30, 50], 50)), [0; 0]);
        assert_eq!(take(chunk(1, &[20], 20)), [10, 20]);
        assert_eq!(take(chunk(1, &[], 40)), [30]);
        assert_eq!(take(chunk(1, &[45, 60], 60)), [45, 50]);
        merge.finish(|frames| written.extend(stamps(frames)));
        assert_eq!(written, [10, 20, 30, 45, 50, 60]);
    }

    #[test]
    fn one_shard_waits_for_nobody() {
        let mut written = Vec::new();
        merge(1).take(chunk(0, &[30, 40], 40), |frames| written.extend(stamps(frames)));
        assert_eq!(written, [30, 40]);
    }

    #[test]
    fn what_waits_is_bounded() {
        let (mut merge, mut written) = (merge(2), 0);
        let many: Vec<u64> = (0..4_096).collect();
        for _ in 0..200 {
            merge.take(chunk(0, &many, 4_095), |frames| written += frames.bytes.len());
        }
        assert!(merge.held_bytes <= HELD_BYTES && written > HELD_BYTES / 2, "{} {written}", merge.held_bytes);
    }
}
