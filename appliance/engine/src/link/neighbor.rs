//! One next hop: whether it is known where it is, and what waits until it is.
//!
//! ```text
//!                        claim                   in use, nothing heard for 2 s
//!  New ──▶ Probing ───────────────▶ Reachable ─────────────────────────────────▶ Verifying: asked once at its last place,
//!           ▲    │ 3 probes             ▲             claim                         │        │      then of all stations
//!           │    ▼                      └───────────────────────────────────────────┘        ▼ none was answered
//!         Unreachable ◀────────────────────────────────────────────────────────────── (waiting packets dropped)
//! ```
//! Unreachable becomes Probing when a packet is to be sent. While a neighbor is verified, packets go to its last place. What
//! a neighbor sends shows that it is still there, so that a busy one is never asked, and one that has moved without a word is
//! found within seconds.

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
/// Probes to all stations before it is given up.
const PROBES: u8 = 3;
/// Time between two probes.
pub(super) const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// How long a neighbor may be sent to while nothing comes from it, before it is asked whether it is there. RFC 4861 grants
/// 30 s, because a host that asks too often disturbs; this asks only who is silent.
const SILENCE: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It was never asked for: the box had no address yet to ask from.
    New,
    /// It has not answered; nothing is asked.
    Unreachable,
    /// All stations are asked for it.
    Probing { probes: u8, due: Time },
    /// It said where it is. Something was sent there since it was last heard: it is silent from `due` on.
    Reachable { mac: Mac, due: Option<Time> },
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
    /// Ask from `source` the station where the neighbor was `known` to be, or all.
    Ask { known: Option<Mac>, source: IpAddr },
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
    /// The address from which to ask: the one that last sent there.
    source: IpAddr,
    state: State,
    waiting: Waiting,
}

impl Neighbor {
    pub(super) fn new(address: IpAddr) -> Self {
        Self { address, source: address, state: State::New, waiting: Waiting::new() }
    }

    pub(super) fn is_new(&self) -> bool {
        self.state == State::New
    }

    /// It is to be asked for at `now`, from the address `source`.
    pub(super) fn ask_at(&mut self, now: Time, source: IpAddr) {
        self.source = source;
        self.state = State::Probing { probes: 0, due: now };
    }

    pub(super) fn address(&self) -> IpAddr {
        self.address
    }

    pub(super) fn due(&self) -> Option<Time> {
        match self.state {
            State::New | State::Unreachable => None,
            State::Reachable { due, .. } => due,
            State::Probing { due, .. } | State::Verifying { due, .. } => Some(due),
        }
    }

    /// A packet is to be sent there; `source` is the address from which to ask for it.
    pub(super) fn on_use(&mut self, now: Time, source: IpAddr) -> Use {
        self.source = source;
        match &mut self.state {
            State::Reachable { mac, due } => {
                due.get_or_insert(now + SILENCE);
                Use::Send(*mac)
            }
            State::Verifying { mac, .. } => Use::Send(*mac),
            State::Probing { probes: 1.., .. } => Use::Wait,
            State::Probing { probes: 0, .. } | State::New | State::Unreachable => {
                self.state = State::Probing { probes: 1, due: now + PROBE_INTERVAL };
                Use::ProbeAndWait
            }
        }
    }

    /// A packet came from the station `mac`, which the neighbor has sent or passed on.
    pub(super) fn on_heard(&mut self, mac: Mac) {
        if let State::Reachable { mac: known, .. } | State::Verifying { mac: known, .. } = self.state
            && known == mac
        {
            self.state = State::Reachable { mac, due: None };
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
    pub(super) fn on_claim(&mut self, claim: Claim) -> Option<Mac> {
        let mac = match self.state {
            State::New | State::Unreachable => None,
            State::Probing { .. } => claim.mac,
            State::Reachable { mac, .. } | State::Verifying { mac, .. } => {
                let claimed = claim.mac.unwrap_or(mac);
                (claimed == mac || claim.overrides).then_some(claimed)
            }
        }?;
        self.state = State::Reachable { mac, due: None };
        Some(mac)
    }

    /// `None` before the time that `due` names.
    pub(super) fn on_timeout(&mut self, now: Time) -> Option<Action> {
        if self.due().is_none_or(|due| now < due) {
            return None;
        }
        let (due, source) = (now + PROBE_INTERVAL, self.source);
        match self.state {
            State::Probing { probes, .. } if probes < PROBES => {
                self.state = State::Probing { probes: probes + 1, due };
                Some(Action::Ask { known: None, source })
            }
            State::Reachable { mac, .. } => {
                self.state = State::Verifying { mac, probes: 0, due };
                Some(Action::Ask { known: Some(mac), source })
            }
            State::Verifying { mac, probes, .. } if probes < PROBES => {
                self.state = State::Verifying { mac, probes: probes + 1, due };
                Some(Action::Ask { known: None, source })
            }
            State::New | State::Unreachable | State::Probing { .. } | State::Verifying { .. } => {
                self.state = State::Unreachable;
                Some(Action::GiveUp)
            }
        }
    }
}
