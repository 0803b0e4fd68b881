//! Targets that refuse connections: a replay asks again only after a pause.

use crate::packet::{Segment, flag};
use core::net::SocketAddr;
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use tapcopy_engine::{Ledger, Time};

/// The pause.
const BACKOFF: Duration = Duration::from_secs(1);

/// What the targets have refused lately.
#[derive(Debug, Default)]
pub struct Refusals {
    /// First sequence numbers of connections, by their ends, to which there is no answer yet.
    asked: BTreeMap<(SocketAddr, SocketAddr), u32>,
    /// Of each target, when.
    refused: BTreeMap<SocketAddr, VecDeque<Time>>,
    /// Sessions that had ended by then.
    ended: VecDeque<(Time, u64)>,
}

impl Refusals {
    /// A frame of a target arrives.
    pub fn arrive(&mut self, now: Time, frame: &[u8]) {
        let Some(segment) = frame.get(14..).and_then(Segment::parse) else { return };
        let asked = self.asked.remove(&(segment.dst, segment.src));
        if segment.flags & flag::RST != 0 && asked.is_some_and(|seq| seq.wrapping_add(1) == segment.ack) {
            self.refused.entry(segment.src).or_default().push_back(now);
        }
    }

    /// Notes how many sessions have ended.
    pub fn note(&mut self, now: Time, ledger: &Ledger) {
        let ended = ledger.sessions.ended.sum();
        if self.ended.back().is_none_or(|(_, before)| *before < ended) {
            self.ended.push_back((now, ended));
        }
        while self.ended.get(1).is_some_and(|(at, _)| *at + BACKOFF <= now) {
            self.ended.pop_front();
        }
    }

    /// A frame leaves for a target. What is wrong with that: more connections were refused lately than there were replays, of each
    /// session `copies`, that were not to pause.
    pub fn leave(&mut self, now: Time, frame: &[u8], copies: u64, ledger: &Ledger) -> Option<String> {
        let segment = frame.get(14..).and_then(Segment::parse).filter(|segment| segment.flags & flag::SYN != 0)?;
        if self.asked.insert((segment.src, segment.dst), segment.seq) == Some(segment.seq) {
            return None;
        }
        let refused = self.refused.get_mut(&segment.dst)?;
        refused.retain(|at| now < *at + BACKOFF);
        let ended = ledger.sessions.ended.sum() - self.ended.front().map_or(0, |(_, before)| *before);
        let replays = (ledger.sessions.live + ended) * copies;
        (refused.len() as u64 >= replays).then(|| {
            format!("{} connections refused by {} within {BACKOFF:?} for {replays} replays", refused.len(), segment.dst)
        })
    }
}
