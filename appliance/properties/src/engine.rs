//! The whole engine: a mirror that shows anything, a target that says anything, orders at any time.
//!
//! An input is read as two bytes of settings and then step by step, so that most inputs are conversations that go wrong
//! somewhere rather than noise.

mod packet;
mod production;
mod target;
mod words;

use crate::shown::Shown;
use arbitrary::{Result, Unstructured};
use core::time::Duration;
use production::Production;
use std::borrow::Cow;
use tapcopy_engine::config::{
    Addressing, FarEnd, MirrorTo, Origin, Pacing, PoolRange, Protocol, Sample, Service, Speed,
};
use tapcopy_engine::ledger::Ended;
use tapcopy_engine::selection::Selection;
use tapcopy_engine::selection::filter::{Action, Rule};
use tapcopy_engine::selection::rewrite::{PathPrefix, Rewrite};
use tapcopy_engine::{Command, Config, Engine, Input, Limits, Output, Time};
use target::Target;

/// Outputs after one input beyond which the engine runs in a circle.
const OUTPUTS_MAX: usize = 10_000;
/// Ticks that one pause, or the end, may take.
const TICKS_MAX: usize = 20_000;
/// Replays of a session.
const COPIES_MAX: u16 = 2;
/// What a finish waits for at most.
const FINISH: Duration = Duration::from_secs(3);

/// Drives an engine through the input.
pub fn check(bytes: &[u8]) {
    let Some((settings, steps)) = bytes.split_first_chunk() else { return };
    let mut world = World::new(*settings);
    let mut input = Unstructured::new(steps);
    while !input.is_empty() && world.step(&mut input).is_ok() {}
    world.finish();
}

/// The engine and what it is between.
struct World {
    engine: Engine,
    words: Cow<'static, [&'static [u8]]>,
    now: Time,
    is_rehearsal: bool,
    production: Production,
    target: Target,
}

impl World {
    fn new(settings: [u8; 2]) -> Self {
        let now = Time::from_millis(1_000);
        let engine = Engine::new(now, config(settings), 7);
        let is_rehearsal = settings[0] & 1 == 1;
        let words = words::of(name(settings[1]));
        Self { engine, words, now, is_rehearsal, production: Production::default(), target: Target::default() }
    }

    fn step(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        match input.arbitrary::<u8>()? % 16 {
            0..6 => {
                let frame = self.production.frame(input, &self.words)?;
                self.handle(Input::Mirror(Shown { bytes: &frame.bytes, ..frame.shown() }.at(self.now)));
            }
            6..9 => {
                if let Some(frame) = self.target.frame(input, &self.words)? {
                    self.handle(Input::Target { arrived_at: self.now, bytes: &frame });
                }
            }
            9..12 => {
                let shift: u8 = input.arbitrary()?;
                self.pause(Duration::from_millis(1 << (shift % 18)));
            }
            12 => {
                let shown = Shown::take(input)?;
                self.handle(Input::Mirror(shown.at(self.now)));
            }
            13 => {
                let len: u8 = input.arbitrary()?;
                let frame = input.bytes(usize::from(len).min(input.len()))?;
                self.handle(Input::Target { arrived_at: self.now, bytes: frame });
            }
            14 => self.handle(Input::Tick),
            _ => {
                let command = self.command(input)?;
                self.handle(Input::Command(command));
            }
        }
        Ok(())
    }

    fn command(&mut self, input: &mut Unstructured<'_>) -> Result<Command> {
        Ok(match input.arbitrary::<u8>()? % 8 {
            0 | 1 => Command::StopReplay,
            2..5 => Command::StartReplay,
            5 | 6 => {
                // The kind of the far end stays.
                let settings = input.arbitrary::<u8>()? & !1 | u8::from(self.is_rehearsal);
                Command::Configure(Box::new(config([settings, input.arbitrary()?])))
            }
            _ => Command::Finish { limit: FINISH },
        })
    }

    fn handle(&mut self, input: Input<'_>) {
        self.engine.handle_input(self.now, input);
        let outputs = (0..OUTPUTS_MAX).take_while(|_| match self.engine.poll_output() {
            Some(Output::Transmit(frame)) => self.target.see(frame),
            Some(Output::Record(_)) => true,
            None => false,
        });
        assert!(outputs.count() < OUTPUTS_MAX, "outputs without end");
        while let Some(frame) = self.target.reply() {
            self.handle(Input::Target { arrived_at: self.now, bytes: &frame });
        }
        self.check_laws();
    }

    fn check_laws(&self) {
        let ledger = self.engine.ledger();
        assert_eq!(ledger.broken_law(), None);
        assert_eq!(ledger.sessions.ended.of(Ended::Fault), 0, "a session ended by a fault of the box");
        if self.is_rehearsal {
            assert_eq!(ledger.verdicts.differ, 0, "a rehearsal plays the origin's own answers");
        }
        let opened = ledger.sessions.opened * u64::from(COPIES_MAX);
        assert!(ledger.target.connections_opened <= ledger.requests.captured * 2 + opened);
    }

    /// Lets time pass, with each timer at its time.
    fn pause(&mut self, pause: Duration) {
        let end = self.now + pause;
        for _ in 0..TICKS_MAX {
            let Some(due) = self.engine.poll_timeout().filter(|due| *due <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(due);
            self.handle(Input::Tick);
        }
        panic!("the engine wants a tick at {:?} for ever, at {:?}", self.engine.poll_timeout(), self.now);
    }

    /// Everything ends in time, with an outcome.
    fn finish(&mut self) {
        self.handle(Input::Command(Command::Finish { limit: FINISH }));
        self.pause(FINISH);
        assert!(self.engine.is_idle(), "sessions are live after the finish");
        assert_eq!(self.engine.ledger().requests.in_progress, 0, "requests without an outcome");
        assert_eq!(self.engine.poll_timeout(), None, "something is still to come");
    }
}

/// Leaves some requests out and says the others in other words.
fn selection() -> Selection {
    let rule = Rule { action: Action::Deny, methods: vec!["POST".to_owned()], path: None, header: None };
    let rewrite = Rewrite {
        host: Some("test:81".to_owned()),
        path_prefix: Some(PathPrefix { from: String::new(), to: "/v2".to_owned() }),
        set: vec![("X-Mirrored".to_owned(), "1".to_owned())],
        remove: vec!["Accept".to_owned()],
    };
    Selection { rules: vec![rule], rewrite: Some(rewrite) }
}

/// Which protocol a byte chooses.
fn name(choice: u8) -> &'static str {
    let names: Vec<&str> = Protocol::names().collect();
    names[usize::from(choice) % names.len()]
}

/// Settings out of two bytes: the lowest bit chooses a rehearsal, the second byte the protocol and, by its highest bit, whether
/// requests are selected.
fn config([settings, protocol]: [u8; 2]) -> Config {
    let bit = |number: u8| settings >> number & 1 == 1;
    let selects = protocol >> 7 == 1;
    let protocol = Protocol::named(name(protocol)).expect("a name from the list");
    let service = |name: &str, origin, target: &str| Service {
        name: name.to_owned(),
        origins: vec![origin],
        targets: vec![target.parse().expect("a constant address")],
        protocol,
        pacing: if bit(3) { Pacing::Immediate } else { Pacing::Turns },
        sample: if bit(2) { 5_000 } else { 10_000 },
        copies: if bit(7) { COPIES_MAX } else { 1 },
        mirror_to: MirrorTo::One,
        selection: if selects { selection().into() } else { Default::default() },
        sessions_per_second: selects.then_some(2),
        rules: Default::default(),
    };
    let origin = Origin::Address((packet::ORIGIN, packet::ORIGIN_PORT).into());
    Config {
        services: vec![
            service("one", origin, "10.9.0.1:8080"),
            service("any", Origin::AnyAddress(81), "10.9.0.2:8081"),
        ],
        addressing: Addressing {
            pool: vec![PoolRange { first: packet::POOL.into(), last: packet::POOL.into(), prefix_len: 24 }],
            ..Addressing::default()
        },
        far_end: if bit(0) {
            FarEnd::Rehearsal
        } else {
            FarEnd::Wire { mac: packet::BOX_MAC, mtu: if bit(1) { 576 } else { 1_500 }, vlan: None }
        },
        share: Default::default(),
        speed: if bit(4) { Speed::Max } else { Speed::Times(1.0) },
        replay: true,
        contents: bit(6).then_some(Sample { per_million: 500_000 }),
        limits: if bit(5) { narrow() } else { Limits::default() },
    }
}

/// Bounds that a short input meets.
fn narrow() -> Limits {
    Limits {
        sessions: 2,
        stream_ahead_bytes: 2_000,
        ahead_bytes: 3_000,
        outbox_bytes: 2_000,
        outboxes_bytes: 3_000,
        request_held_bytes: 500,
        exchanges: 4,
        head_bytes: 100,
        body_bytes: 64,
        bodies_bytes: 200,
        socket_bytes: 600,
        transmit_frames: 4,
        fragment_bytes: 2_000,
        ..Limits::default()
    }
}
