//! Kinds of run that come up too seldom where every fault is drawn for itself, because two things must meet or something must
//! last long. A seed has one at most, drawn from a generator of its own.

use crate::fault::{Faults, Order};
use crate::plan::BEGIN;
use crate::seed::Rng;
use tapcopy_engine::{Limits, Time};

/// Such a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rare {
    /// The mirror loses requests from the middle of pipelines, but not their answers, many of which are alike.
    HiddenRequests,
    /// Connections become tunnels.
    Tunnels,
    /// Clients say nothing for an hour.
    LongIdle,
    /// Servers under test take no packet from some time on, and for ever.
    DeadTargets,
    /// The mirror loses frames of the one direction that it shows.
    LossyOneWay,
    /// Answers differ behind what is kept of them.
    LongBodies,
    /// Pipelines on connections that swallow requests, one after the other.
    SwallowedPipelines,
    /// Long series of requests, each behind the answer to the one before, and nothing amiss but that the mirror loses frames now
    /// and then, and answers differ.
    LossySeries,
    /// Pipelines with pauses between the requests.
    PausedPipelines,
    /// Servers under test that take far longer than production, and clients that think, and that write for long after the answer
    /// has begun.
    Laggards,
    /// Origins that close within an answer.
    CutOrigins,
    /// The mirror shows a segment of a session once more behind the SYN of the next one on the same addresses.
    LateCopies,
    /// Clients say their first words with their SYN.
    FastOpen,
    /// Long series of requests that the mirror shows from somewhere within, with answers that differ.
    PickedUp,
    /// Clients upload and reset the connection as soon as they have.
    HastyClients,
    /// Clients keep their addresses, and come again from the same port while the target may still hold the 4-tuple.
    ReturningClients,
    /// The kill switch, in the middle of long series of requests, and back.
    Switched,
}

impl Rare {
    /// The kind of a run, if it is such a one.
    pub fn draw(rng: &mut Rng) -> Option<Self> {
        Some(match rng.below(100) {
            0..6 => Self::HiddenRequests,
            6..12 => Self::Tunnels,
            12..14 => Self::LongIdle,
            14..16 => Self::DeadTargets,
            16..20 => Self::LossyOneWay,
            20..25 => Self::LongBodies,
            25..29 => Self::SwallowedPipelines,
            33 | 38 | 49 => Self::FastOpen,
            40..42 | 52 | 53 => Self::PickedUp,
            55 | 93 | 96 => Self::Switched,
            59 | 64 | 66 => Self::HastyClients,
            72..77 => Self::LossySeries,
            77..79 => Self::PausedPipelines,
            79..82 => Self::Laggards,
            85..87 => Self::ReturningClients,
            90 | 91 => Self::CutOrigins,
            98..100 => Self::LateCopies,
            _ => return None,
        })
    }

    /// Adds the faults that belong to it.
    pub fn hurt(self, faults: &mut Faults, rng: &mut Rng) {
        if self.is_judged_alone() {
            *faults = Faults { finish: faults.finish, ..Faults::default() };
        }
        if !faults.rehearsal {
            self.hurt_target(faults, rng);
        }
        match self {
            Self::HiddenRequests => faults.mirror.bursts = Some((rng.between(20, 60), rng.between(1, 2))),
            Self::LossyOneWay => {
                faults.mirror.one_way = Some(true);
                faults.mirror.bursts = Some((rng.between(10, 40), rng.between(1, 3)));
            }
            Self::LossySeries => faults.mirror.bursts = Some((rng.between(3, 15), rng.between(1, 2))),
            Self::LongBodies => faults.in_box.limits.body_bytes = rng.size(0, 500),
            Self::LongIdle => faults.in_box.limits.idle_timeout = Limits::default().idle_timeout,
            Self::LateCopies => faults.mirror.late_copies = true,
            Self::FastOpen => faults.mirror.fast_open = true,
            Self::PickedUp => faults.mirror.starts_at = Some(Time::from_millis(rng.between(10, 2_500)) + BEGIN),
            Self::Switched => {
                let stopped_at = Time::from_millis(rng.between(100, 1_800)) + BEGIN;
                let started_at = stopped_at + rng.micros(20_000, 500_000);
                faults.in_box.orders = vec![(stopped_at, Order::Stop), (started_at, Order::Start)];
            }
            // The replay is behind from the beginning, and the origin's answer does not come between two requests.
            Self::PausedPipelines => {
                faults.origin_path.delay = rng.micros(5_000, 40_000);
                faults.target_path.delay = rng.micros(1_500, 4_000);
            }
            Self::Tunnels | Self::DeadTargets | Self::SwallowedPipelines | Self::HastyClients => {}
            Self::Laggards | Self::CutOrigins | Self::ReturningClients => {}
        }
    }

    /// Whether no other fault exists.
    fn is_judged_alone(self) -> bool {
        let is_plain = matches!(self, Self::FastOpen | Self::PickedUp | Self::HastyClients | Self::Switched);
        is_plain || matches!(self, Self::LossySeries | Self::PausedPipelines | Self::Laggards | Self::ReturningClients)
    }

    fn hurt_target(self, faults: &mut Faults, rng: &mut Rng) {
        let target = &mut faults.target;
        match self {
            Self::HiddenRequests => target.alters = rng.maybe(60, |rng| rng.between(10, 40)).unwrap_or(target.alters),
            Self::LongBodies | Self::LossySeries | Self::PickedUp => target.alters = rng.between(20, 60),
            Self::DeadTargets => target.black_hole = Some((Time::from_millis(rng.below(2_000)) + BEGIN, Time::MAX)),
            Self::SwallowedPipelines => target.swallows = rng.between(60, 95),
            _ => {}
        }
    }
}
