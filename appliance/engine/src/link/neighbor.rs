//! One next hop: whether it is known where it is, and what waits until it is.
//!
//! ```text
//!              claim                    in use, 30 s after the last claim
//!  Probing ───────────▶ Reachable ─────────────────────────▶ Verifying: 3 probes to its last place, 3 to all
//!   ▲    │ 3 probes         ▲                 claim               │         │ none was answered
//!   │    ▼                  └─────────────────────────────────────┘         ▼
//!  Unreachable ◀──────────────────────────────────────────────────────── (waiting packets dropped)
//! ```
//! Unreachable becomes Probing when a packet is to be sent. While a neighbor is verified, packets go to its last place.

use super::ethernet::Mac;
use crate::time::Time;
use core::mem;
use core::net::IpAddr;
use core::time::Duration;

/// Packets that wait for one neighbor: the SYNs of sessions which open in the blink that an answer takes. More are dropped,
/// and sent again by TCP.
const WAITING_PACKETS: usize = 16;
/// Packets that wait for the neighbor's address.
pub(super) type Waiting = heapless::Vec<Vec<u8>, WAITING_PACKETS>;
/// Probes of one kind before it is given up.
const PROBES: u8 = 3;
/// Time between two probes.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// How long a claim is believed: RFC 4861's REACHABLE_TIME.
const REACHABLE_TIME: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It has not answered; nothing is asked.
    Unreachable,
    /// All stations are asked for it.
    Probing { probes: u8, due: Time },
    /// It said where it is; `used` since then.
    Reachable { mac: Mac, until: Time, used: bool },
    /// It is asked whether it is still there, then all are.
    Verifying { mac: Mac, probes: u8, due: Time },
}

/// What to do with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Send it there.
    Send(Mac),
    /// Let it wait.
    Wait,
    /// Let it wait, and ask all for the neighbor.
    ProbeAndWait,
}

/// What a timeout calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Ask the station where the neighbor was, or all.
    Probe(Option<Mac>),
    /// What waits, waits in vain.
    GiveUp,
}

/// Where a neighbor is said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    /// Its link-layer address; `None`: the one that is known already.
    pub(super) mac: Option<Mac>,
    /// Whether it may take the place of another address that is known (RFC 4861, section 7.2.5).
    pub(super) overrides: bool,
}

impl Claim {
    pub(super) fn overriding(mac: Mac) -> Self {
        Self { mac: Some(mac), overrides: true }
    }
}

/// One next hop.
#[derive(Debug)]
pub(super) struct Neighbor {
    address: IpAddr,
    source: IpAddr,
    state: State,
    waiting: Waiting,
}

impl Neighbor {
    /// One that is to be asked for at once, from the address `source`.
    pub(super) fn new(address: IpAddr, source: IpAddr, now: Time) -> Self {
        Self { address, source, state: State::Probing { probes: 0, due: now }, waiting: Waiting::new() }
    }

    pub(super) fn address(&self) -> IpAddr {
        self.address
    }

    /// The address from which to ask: the one that last sent there.
    pub(super) fn source(&self) -> IpAddr {
        self.source
    }

    pub(super) fn due(&self) -> Option<Time> {
        match self.state {
            State::Unreachable | State::Reachable { used: false, .. } => None,
            State::Reachable { until: due, .. } | State::Probing { due, .. } | State::Verifying { due, .. } => {
                Some(due)
            }
        }
    }

    /// A packet from `source` is to be sent there.
    pub(super) fn on_use(&mut self, now: Time, source: IpAddr) -> Use {
        self.source = source;
        match &mut self.state {
            State::Reachable { mac, used, .. } => {
                *used = true;
                Use::Send(*mac)
            }
            State::Verifying { mac, .. } => Use::Send(*mac),
            State::Probing { probes: 1.., .. } => Use::Wait,
            State::Probing { probes: 0, .. } | State::Unreachable => {
                self.state = State::Probing { probes: 1, due: now + PROBE_INTERVAL };
                Use::ProbeAndWait
            }
        }
    }

    /// Keeps a packet until the neighbor is found; false if too many wait.
    pub(super) fn wait(&mut self, packet: &[u8]) -> bool {
        !self.waiting.is_full() && self.waiting.push(packet.to_vec()).is_ok()
    }

    pub(super) fn take_waiting(&mut self) -> Waiting {
        mem::take(&mut self.waiting)
    }

    /// Where the neighbor is, if the claim is believed. One that nobody asked for does not make it reachable.
    pub(super) fn on_claim(&mut self, now: Time, claim: Claim) -> Option<Mac> {
        let mac = match self.state {
            State::Unreachable => None,
            State::Probing { .. } => claim.mac,
            State::Reachable { mac, .. } | State::Verifying { mac, .. } => {
                let claimed = claim.mac.unwrap_or(mac);
                (claimed == mac || claim.overrides).then_some(claimed)
            }
        }?;
        self.state = State::Reachable { mac, until: now + REACHABLE_TIME, used: false };
        Some(mac)
    }

    /// `None` before the time that `due` names.
    pub(super) fn on_timeout(&mut self, now: Time) -> Option<Action> {
        if self.due().is_none_or(|due| now < due) {
            return None;
        }
        let due = now + PROBE_INTERVAL;
        match self.state {
            State::Probing { probes, .. } if probes < PROBES => {
                self.state = State::Probing { probes: probes + 1, due };
                Some(Action::Probe(None))
            }
            State::Reachable { mac, .. } => {
                self.state = State::Verifying { mac, probes: 1, due };
                Some(Action::Probe(Some(mac)))
            }
            State::Verifying { mac, probes, .. } if probes < 2 * PROBES => {
                self.state = State::Verifying { mac, probes: probes + 1, due };
                Some(Action::Probe((probes < PROBES).then_some(mac)))
            }
            State::Unreachable | State::Probing { .. } | State::Verifying { .. } => {
                self.state = State::Unreachable;
                Some(Action::GiveUp)
            }
        }
    }
}
