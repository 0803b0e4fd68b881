//! Segments seen a moment ago, to find those that the mirror shows twice.
//!
//! A switch that mirrors a frame on its way in and on its way out makes two copies of it. They agree in the whole TCP
//! header, checksum and time stamps included, also where a router between the two has changed the Ethernet header, the
//! tag and the hop count; and the second follows the first at once. A sender's retransmission comes later, and nearly
//! always with another time stamp. Only segments that take sequence numbers are looked at: bare acknowledgements may be
//! repeated word for word.

use crate::frame::Segment;
use crate::limits::examination::RECENT_SEGMENTS;
use crate::time::Time;
use core::hash::BuildHasher;
use core::time::Duration;
use foldhash::fast::FixedState;

/// The longest time between two copies of a frame; the shortest of a retransmission is a round trip and more.
const COPY_WITHIN: Duration = Duration::from_millis(5);

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    fingerprint: u64,
    seen_at: Time,
    vlan: Option<u16>,
    source_mac: Option<[u8; 6]>,
}

/// How the second copy of a frame differs from the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Copied {
    pub after: Duration,
    pub other_tag: bool,
    pub other_mac: bool,
}

/// The segments of the last moment.
#[derive(Debug)]
pub(super) struct Recent {
    slots: Vec<Slot>,
    hasher: FixedState,
}

impl Recent {
    pub fn new(seed: u64) -> Self {
        Self { slots: vec![Slot::default(); RECENT_SEGMENTS], hasher: FixedState::with_seed(seed) }
    }

    /// Whether the same segment was here a moment ago.
    pub fn take(&mut self, now: Time, segment: &Segment<'_>) -> Option<Copied> {
        let key = (segment.source, segment.destination, segment.header, segment.payload.len(), segment.missing);
        // Zero is an empty slot's.
        let fingerprint = self.hasher.hash_one(key) | 1;
        let slot = &mut self.slots[(fingerprint >> 32) as usize % RECENT_SEGMENTS];
        let first = core::mem::replace(
            slot,
            Slot { fingerprint, seen_at: now, vlan: segment.vlan, source_mac: segment.source_mac },
        );
        let after = now.since(first.seen_at);
        let is_copy = first.fingerprint == fingerprint && after <= COPY_WITHIN;
        is_copy.then(|| Copied {
            after,
            other_tag: first.vlan != segment.vlan,
            other_mac: first.source_mac != segment.source_mac,
        })
    }
}
