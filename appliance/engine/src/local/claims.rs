//! The box's claims to addresses on the target NIC's link (RFC 5227 for IPv4, RFC 4862 section 5.4 for IPv6).
//!
//! ```text
//!            asked for three times, nobody answers
//!  Probing ─────────────────────────────────────────▶ Held (announced, answered for, used)
//!   ▲    │ somebody else has it                        │ somebody else says that it is his
//!   │    ▼                                             │
//!   │   Lost ◀─────────────────────────────────────────┘
//!   └─── │ after a minute, if the settings name the address; else the claim ends
//! ```
//! An address is given up at once when somebody else claims it: a test must not take a machine off the network. The probes
//! follow each other faster than the RFCs have it, because sessions wait meanwhile and a station of a local network answers
//! within milliseconds; one that is slower is found out when it next says that the address is its own.

use crate::flow::Table;
use crate::time::Time;
use core::cmp::Reverse;
use core::net::IpAddr;
use core::time::Duration;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

/// Probes before an address is used.
const PROBES: u8 = 3;
/// Time between two probes for one address, and after the last.
const PROBE_INTERVAL: Duration = Duration::from_millis(250);
/// Time between two frames of any claims: a large pool must not be a broadcast storm.
const PACE: Duration = Duration::from_millis(1);
/// How long a lost address is left alone: RFC 5227's RATE_LIMIT_INTERVAL.
const RETRY: Duration = Duration::from_secs(60);

/// How long a claim may stand without use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Term {
    /// As long as the settings name the address.
    Standing,
    /// While sessions of the client are replayed.
    Passing,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Probing { probes: u8, due: Time },
    Held,
    Lost { due: Time },
}

#[derive(Clone, Copy, Debug)]
struct Claim {
    state: State,
    term: Term,
}

/// How it stands with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is the box's.
    Held,
    /// It will be, at this time, if nobody else has it.
    Pending(Time),
    /// Somebody else has it.
    Lost,
}

/// What is to be said to all stations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announcement {
    /// Who has this address? The box does not have it yet.
    Probe(IpAddr),
    /// This address is the box's now.
    Held(IpAddr),
}

/// All claims.
pub(super) struct Claims {
    table: Table<IpAddr, Claim>,
    /// By time, then in the order of the claims; an entry whose time is not its claim's is stale.
    due: BinaryHeap<Reverse<(Time, u64, IpAddr)>>,
    entries: u64,
    free_at: Time,
    /// Addresses that somebody else has, with his Ethernet address.
    conflicts: BTreeMap<IpAddr, [u8; 6]>,
    conflicts_found: u64,
    /// Whether conflicts about the settings' own addresses are counted: every shard finds them, and one counts.
    counts_standing: bool,
    ceded: VecDeque<IpAddr>,
}

impl Claims {
    pub(super) fn new(seed: u64, now: Time, counts_standing: bool) -> Self {
        Self {
            table: Table::new(seed),
            due: BinaryHeap::new(),
            entries: 0,
            free_at: now,
            conflicts: BTreeMap::new(),
            conflicts_found: 0,
            counts_standing,
            ceded: VecDeque::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// Claims an address, unless that is done already.
    pub(super) fn claim(&mut self, now: Time, address: IpAddr, term: Term) {
        if !self.table.contains(&address) {
            let state = State::Probing { probes: 0, due: now };
            self.table.insert(address, Claim { state, term });
            self.arm(now, address);
        }
    }

    /// Ends a claim.
    pub(super) fn release(&mut self, address: IpAddr) {
        if self.table.get(&address).is_some_and(|claim| claim.term == Term::Passing) {
            self.table.remove(&address);
            self.conflicts.remove(&address);
        }
    }

    /// `None`: it is not claimed.
    pub(super) fn standing(&self, address: IpAddr) -> Option<Standing> {
        Some(match self.table.get(&address)?.state {
            State::Held => Standing::Held,
            State::Probing { probes, due } if !self.conflicts.contains_key(&address) => {
                Standing::Pending(due + PROBE_INTERVAL * u32::from(PROBES - probes))
            }
            State::Probing { .. } | State::Lost { .. } => Standing::Lost,
        })
    }

    /// The station `mac` says that a claimed address is its own. Whether the address is claimed.
    pub(super) fn contest(&mut self, now: Time, address: IpAddr, mac: [u8; 6]) -> bool {
        let Some(claim) = self.table.get_mut(&address) else { return false };
        let is_counted = self.counts_standing || claim.term == Term::Passing;
        if matches!(claim.state, State::Held) {
            self.ceded.push_back(address);
        }
        if !matches!(claim.state, State::Lost { .. }) {
            let due = now + RETRY;
            claim.state = State::Lost { due };
            self.arm(due, address);
        }
        let is_new = self.conflicts.insert(address, mac).is_none();
        self.conflicts_found += u64::from(is_new && is_counted);
        true
    }

    /// The station `mac` asks for an address which it would like to have. Of two that ask at the same time neither gets it
    /// (RFC 5227, section 2.1.1).
    pub(super) fn rival(&mut self, now: Time, address: IpAddr, mac: [u8; 6]) {
        if self.table.get(&address).is_some_and(|claim| matches!(claim.state, State::Probing { .. })) {
            self.contest(now, address, mac);
        }
    }

    /// The next thing to say, if it is due.
    pub(super) fn poll(&mut self, now: Time) -> Option<Announcement> {
        while let Some(Reverse((at, _, address))) = self.due.peek().copied() {
            if now < at.max(self.free_at) {
                return None;
            }
            self.due.pop();
            if let Some(announcement) = self.proceed(now, at, address) {
                self.free_at = now + PACE;
                return Some(announcement);
            }
        }
        None
    }

    fn proceed(&mut self, now: Time, at: Time, address: IpAddr) -> Option<Announcement> {
        let claim = self.table.get_mut(&address)?;
        match claim.state {
            State::Probing { probes, due } if due == at && probes < PROBES => {
                let due = now + PROBE_INTERVAL;
                claim.state = State::Probing { probes: probes + 1, due };
                self.arm(due, address);
                Some(Announcement::Probe(address))
            }
            State::Probing { due, .. } if due == at => {
                claim.state = State::Held;
                self.conflicts.remove(&address);
                Some(Announcement::Held(address))
            }
            State::Lost { due } if due == at => {
                match claim.term {
                    Term::Passing => self.release(address),
                    Term::Standing => {
                        claim.state = State::Probing { probes: 0, due: now };
                        self.arm(now, address);
                    }
                }
                None
            }
            State::Probing { .. } | State::Held | State::Lost { .. } => None,
        }
    }

    fn arm(&mut self, at: Time, address: IpAddr) {
        self.entries += 1;
        self.due.push(Reverse((at, self.entries, address)));
    }

    /// When [`Claims::poll`] has something to do.
    pub(super) fn next_due(&self) -> Option<Time> {
        self.due.peek().map(|Reverse((at, ..))| (*at).max(self.free_at))
    }

    /// When a further claim can be begun.
    pub(super) fn free_at(&self) -> Time {
        self.free_at
    }

    /// The next address that was in use when it was lost.
    pub(super) fn poll_ceded(&mut self) -> Option<IpAddr> {
        self.ceded.pop_front()
    }

    pub(super) fn conflicts(&self) -> impl Iterator<Item = (IpAddr, [u8; 6])> + '_ {
        self.conflicts.iter().map(|(address, mac)| (*address, *mac))
    }

    pub(super) fn conflicts_found(&self) -> u64 {
        self.conflicts_found
    }
}
