//! An engine between production and target, and the tape of what it was told. Because the same inputs give the same outputs,
//! the tape is played to another engine without anybody to answer it: what is measured is the engine alone.

use crate::production::{ORIGIN, Shown, crowd};
use crate::target;
use core::net::Ipv4Addr;
use core::time::Duration;
use tapcopy_engine::config::{Addressing, FarEnd, MirrorTo, Origin, Pacing, PoolRange, Protocol, Service, Speed};
use tapcopy_engine::message::LinkType;
use tapcopy_engine::{Config, Engine, Input, Limits, MirrorFrame, Output, Time};

/// When every engine begins.
const START: Time = Time::from_millis(1_000);

/// How long the box is given to claim its addresses, and after the last frame to see everything to its end.
const SETTLING: Duration = Duration::from_secs(5);

/// The target NIC of every engine.
pub fn wire() -> FarEnd {
    FarEnd::Wire { mac: [2, 0, 0, 0, 0, 8], mtu: 1_500, vlan: None }
}

/// The settings of every engine: one service, live.
pub fn config(far_end: FarEnd) -> Config {
    let service = Service {
        name: "bench".to_owned(),
        origins: vec![Origin::Address(ORIGIN)],
        targets: vec![target::TARGET],
        mirror_to: MirrorTo::One,
        copies: 1,
        protocol: Protocol::Auto,
        pacing: Pacing::Turns,
        selection: Default::default(),
        sessions_per_second: None,
        sample: 10_000,
        rules: Default::default(),
    };
    let pool = |last| Ipv4Addr::new(10, 8, 1, last).into();
    Config {
        services: vec![service],
        addressing: Addressing {
            pool: vec![PoolRange { first: pool(1), last: pool(64), prefix_len: 16 }],
            ..Addressing::default()
        },
        far_end,
        share: Default::default(),
        speed: Speed::Times(1.0),
        replay: true,
        contents: None,
        limits: Limits::default(),
    }
}

/// What an engine was told.
enum Told {
    Mirror(Vec<u8>),
    Target(Vec<u8>),
    Tick,
}

impl Told {
    fn input(&self, now: Time) -> Input<'_> {
        match self {
            Self::Mirror(bytes) => Input::Mirror(mirrored(now, bytes)),
            Self::Target(bytes) => Input::Target { arrived_at: now, bytes },
            Self::Tick => Input::Tick,
        }
    }
}

fn mirrored(at: Time, bytes: &[u8]) -> MirrorFrame<'_> {
    MirrorFrame { captured_at: at, link: LinkType::Ethernet, wire_len: bytes.len() as u32, bytes }
}

/// An engine with the servers under test.
pub struct Live {
    engine: Engine,
    now: Time,
    tape: Vec<(Time, Told)>,
    is_recording: bool,
}

impl Live {
    /// With its addresses claimed, for so many sessions; what it is told is not recorded.
    pub fn holding(sessions: usize) -> Self {
        let mut config = config(wire());
        config.limits.sessions = config.limits.sessions.max(sessions);
        Self::with(config, false)
    }

    /// With its addresses claimed.
    fn with(config: Config, is_recording: bool) -> Self {
        let engine = Engine::new(START, config, 7);
        let mut live = Self { engine, now: START, tape: Vec::new(), is_recording };
        live.wait(SETTLING);
        live
    }

    /// Shows it a frame of production.
    pub fn show(&mut self, frame: Vec<u8>) {
        self.tell(Told::Mirror(frame));
    }

    /// Lets time pass.
    pub fn wait(&mut self, pause: Duration) {
        self.wait_until(self.now + pause);
    }

    fn wait_until(&mut self, at: Time) {
        while let Some(due) = self.engine.poll_timeout().filter(|due| *due <= at) {
            self.now = self.now.max(due);
            self.tell(Told::Tick);
        }
        self.now = self.now.max(at);
    }

    fn tell(&mut self, told: Told) {
        self.engine.handle_input(self.now, told.input(self.now));
        let mut answers = Vec::new();
        while let Some(output) = self.engine.poll_output() {
            if let Output::Transmit(frame) = output {
                answers.extend(target::answer_frame(frame));
            }
        }
        if self.is_recording {
            self.tape.push((self.now, told));
        }
        answers.into_iter().for_each(|answer| self.tell(Told::Target(answer)));
    }

    /// # Panics
    /// Not every request was answered as production answered it: then another work is measured than is told.
    pub fn check(&self, requests: u64) {
        let ledger = self.engine.ledger();
        assert_eq!((ledger.requests.captured, ledger.verdicts.matched), (requests, requests), "{ledger:?}");
    }

    fn requests(&self) -> u64 {
        self.engine.ledger().requests.captured
    }
}

/// What an engine was told by generations of sessions, of which the first ones warm it.
pub struct Tape {
    far_end: FarEnd,
    steps: Vec<(Time, Told)>,
    warm: usize,
    frames: usize,
    bytes: usize,
}

impl Tape {
    /// Records so many generations of so many sessions, of which the first `warm` are not measured.
    pub fn record(far_end: FarEnd, generations: u32, concurrent: u32, warm: usize) -> Self {
        let mut live = Live::with(config(far_end), true);
        let mut warmed = 0;
        for (number, generation) in crowd(live.now, generations, concurrent).into_iter().enumerate() {
            if number == warm {
                warmed = live.tape.len();
            }
            for Shown { at, bytes } in generation {
                live.wait_until(at);
                live.show(bytes);
            }
        }
        live.wait(Duration::from_millis(500));
        assert!(live.requests() > 0, "the engine saw no request");
        live.check(live.requests());
        let mut tape = Self { far_end, steps: live.tape, warm: warmed, frames: 0, bytes: 0 };
        (tape.frames, tape.bytes) = tape.mirrored().fold((0, 0), |(n, sum), frame| (n + 1, sum + frame.bytes.len()));
        tape
    }

    /// The mirrored frames that are measured.
    pub fn mirrored(&self) -> impl Iterator<Item = MirrorFrame<'_>> {
        self.steps[self.warm..].iter().filter_map(|(at, told)| match told {
            Told::Mirror(bytes) => Some(mirrored(*at, bytes)),
            _ => None,
        })
    }

    /// How many.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// Their bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Plays the tape to a new engine; `measure` gets the part that is measured.
    pub fn play<T>(&self, measure: impl FnOnce(&mut dyn FnMut()) -> T) -> T {
        let mut engine = Engine::new(START, config(self.far_end), 7);
        let mut play = |steps: &[(Time, Told)]| {
            for (now, told) in steps {
                engine.handle_input(*now, told.input(*now));
                while engine.poll_output().is_some() {}
            }
        };
        let (warm, measured) = self.steps.split_at(self.warm);
        play(warm);
        measure(&mut || play(measured))
    }
}
