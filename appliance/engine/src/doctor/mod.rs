//! The doctor: looks at what a mirror shows and says what is wrong with it.
//!
//! An [`Examination`] takes frames, of any service, and keeps counters and a bounded table of flows; at any time it gives
//! a [`Report`]. It knows no settings, so that it serves before there are any. `traffic` counts frames, `stamps` watches
//! their clock, `recent` finds frames that are shown twice, `flows` follows each flow (its `coverage` is what was
//! acknowledged but never shown, its `guess` the protocol). From these `services` adds up the figures, and `findings`
//! judges them: there, and nowhere else, stand the thresholds and what is to be done.

mod coverage;
mod findings;
mod flows;
mod guess;
mod recent;
mod report;
mod services;
mod stamps;
mod traffic;

pub use guess::Guess;
pub use report::{
    ClockSteps, Counts, Direction, Figure, Figures, Finding, Flows, Intake, Kind, Nic, Report, Service, Severity,
    SizeClass, Talker, Traffic,
};

use crate::frame::Decoder;
use crate::limits::Limits;
use crate::message::MirrorFrame;
use recent::Recent;
use services::Servers;
use stamps::Stamps;

/// Frames being looked at.
#[derive(Debug)]
pub struct Examination {
    decoder: Decoder,
    own: Vec<[u8; 6]>,
    stamps: Stamps,
    traffic: traffic::Traffic,
    recent: Recent,
    flows: flows::Flows,
}

impl Examination {
    /// An examination of nothing yet. `own` are the Ethernet addresses of this machine, whose frames a mirror must not
    /// show; `seed` makes the collisions of its tables unpredictable.
    pub fn new(own: Vec<[u8; 6]>, seed: u64) -> Self {
        Self {
            decoder: Decoder::new(&Limits::default()),
            own,
            stamps: Stamps::default(),
            traffic: traffic::Traffic::default(),
            recent: Recent::new(seed),
            flows: flows::Flows::new(seed),
        }
    }

    /// Takes the next frame. The frames' stamps are the only clock.
    pub fn take(&mut self, frame: &MirrorFrame<'_>) {
        let now = self.stamps.take(frame.captured_at);
        self.traffic.take(now, frame, &self.own);
        let segment = match self.decoder.decode(frame) {
            Ok(segment) => segment,
            Err(reason) => return self.traffic.take_other(reason, frame),
        };
        self.traffic.take_segment(&segment, frame);
        let copied = if flows::sequence_len(&segment) > 0 { self.recent.take(now, &segment) } else { None };
        match copied {
            Some(copied) => self.flows.take_copy(copied),
            None => self.flows.take(&mut self.stamps, &segment, frame.wire_len),
        }
    }

    /// What is to be said now, with what the driver knows beside the frames.
    pub fn report(&self, intake: Intake) -> Report {
        let now = self.stamps.now();
        let seconds = intake.seconds.unwrap_or_else(|| now.since(crate::Time::ZERO).as_secs_f64());
        let all = self.flows.all();
        let servers = Servers::of(all);
        let figures = Figures {
            traffic: self.traffic.told(seconds),
            flows: servers.count(&self.flows),
            to_servers: servers.direction(all, false, now),
            from_servers: servers.direction(all, true, now),
            clock: self.stamps.steps(),
            intake,
        };
        let findings = findings::judge(&figures);
        Report {
            verdict: findings::verdict(&findings),
            findings,
            services: servers.services(all, now, seconds),
            talkers: services::talkers(all),
            figures,
        }
    }
}
