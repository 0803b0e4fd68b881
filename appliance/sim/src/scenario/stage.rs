//! Performing a scenario.

use super::expect::Outcome;
use super::notation::{Event, Frame, Order, Scenario};
use super::script::{Actor, PORT};
use crate::checker::{BOX_MAC, Checked};
use crate::clock::Clock;
use crate::host::Host;
use crate::neighbor::Neighbors;
use crate::packet::{self, Mac, Segment, TcpHeader, flag};
use crate::sabotage::Saboteur;
use crate::topology::address;
use crate::truth::Truth;
use core::net::SocketAddr;
use core::time::Duration;
use tapcopy_engine::config::{Addressing, Config, FarEnd, MirrorTo, Origin, PoolRange, Service, Speed};
use tapcopy_engine::message::LinkType;
use tapcopy_engine::{Command, Input, MirrorFrame, Time};

const TARGET_MAC: Mac = [2, 0, 0, 0, 20, 0];

/// How long a frame is on its way between box and target.
const WAY: Duration = Duration::from_micros(100);

/// How long before a scenario's beginning the box was started: it has claimed its addresses by then.
const LEAD: Duration = Duration::from_secs(1);

/// How long what is in flight is waited for at the end.
const FINISH: Duration = Duration::from_secs(3);

enum Happening {
    Line(usize),
    Finish,
    Tick,
    AtTarget(Vec<u8>),
    AtBox(Vec<u8>),
    Wake,
}

struct Stage<'a> {
    scenario: &'a Scenario,
    clock: Clock<Happening>,
    engine: Checked,
    truth: Truth,
    actor: Actor,
    neighbors: Neighbors,
    trace: bool,
}

/// Performs a scenario to its end.
pub fn perform(scenario: &Scenario, trace: bool) -> Outcome {
    let ipv6 = scenario.settings.ipv6;
    let host = Host::new(address(ipv6, 20, 1), 1_500, 42);
    let mut stage = Stage {
        scenario,
        clock: Clock::default(),
        engine: Checked::new(config(scenario), usize::from(u16::MAX), 42, Saboteur::default()),
        truth: Truth::default(),
        actor: Actor::new(host, scenario),
        neighbors: Neighbors::new(TARGET_MAC, vec![address(ipv6, 20, 1)]),
        trace,
    };
    stage.run();
    Outcome {
        read: stage.actor.read(),
        records: stage.engine.records().to_vec(),
        ledger: stage.engine.engine().ledger().clone(),
        violations: stage.truth.violations,
    }
}

fn config(scenario: &Scenario) -> Config {
    let settings = &scenario.settings;
    let origins = [1, 2].map(|number| Origin::Address(SocketAddr::new(address(settings.ipv6, 2, number), 80)));
    let service = Service {
        name: "scenario".to_owned(),
        origins: origins.to_vec(),
        targets: vec![SocketAddr::new(address(settings.ipv6, 20, 1), PORT)],
        protocol: settings.protocol,
        pacing: settings.pacing,
        sample: settings.sample,
        copies: settings.copies,
        mirror_to: MirrorTo::One,
        selection: settings.selection.clone().into(),
        sessions_per_second: settings.sessions_per_second,
        rules: Default::default(),
    };
    let (first, last) = (address(settings.ipv6, 20, 100), address(settings.ipv6, 20, 110));
    Config {
        services: vec![service],
        addressing: Addressing {
            pool: vec![PoolRange { first, last, prefix_len: if settings.ipv6 { 64 } else { 24 } }],
            ..Addressing::default()
        },
        far_end: FarEnd::Wire { mac: BOX_MAC, mtu: 1_500, vlan: None },
        share: Default::default(),
        speed: Speed::Times(1.0),
        replay: true,
        contents: None,
        limits: settings.limits,
    }
}

impl Stage<'_> {
    fn run(&mut self) {
        for (number, (at, _)) in self.scenario.events.iter().enumerate() {
            self.clock.schedule(*at + LEAD, Happening::Line(number));
        }
        if let Some(at) = self.engine.engine().poll_timeout() {
            self.clock.schedule(at, Happening::Tick);
        }
        let last = self.scenario.events.last().map_or(Time::ZERO, |(at, _)| *at);
        let end = last + LEAD + self.scenario.settings.settle;
        if self.scenario.settings.finish {
            self.clock.schedule(end, Happening::Finish);
        }
        // With the order to finish the engine has its limit; without, its own time limits, the longest of which is two hours.
        let patience =
            if self.scenario.settings.finish { FINISH + Duration::from_secs(1) } else { Duration::from_secs(30_000) };
        while let Some(happening) = self.clock.next(end + patience) {
            self.happen(happening);
            if self.engine.is_stuck() || self.clock.now() > end && self.is_at_rest() {
                break;
            }
        }
        self.engine.check_end(self.clock.now(), self.scenario.settings.finish, &mut self.truth);
    }

    fn is_at_rest(&self) -> bool {
        self.engine.engine().is_idle() && self.engine.engine().poll_timeout().is_none()
    }

    fn happen(&mut self, happening: Happening) {
        let now = self.clock.now();
        match happening {
            Happening::Line(number) => self.line(&self.scenario.events[number].1),
            Happening::Finish => self.input(Input::Command(Command::Finish { limit: FINISH })),
            Happening::Tick => {
                if self.engine.engine().poll_timeout().is_some_and(|at| at <= now) {
                    self.input(Input::Tick);
                }
            }
            Happening::AtBox(frame) => {
                self.say("target", frame.get(14..).unwrap_or_default());
                self.input(Input::Target { arrived_at: now, bytes: &frame });
            }
            Happening::AtTarget(frame) => {
                self.say("box", frame.get(14..).unwrap_or_default());
                if let Some(packet) = self.neighbors.receive(&frame).filter(|_| !self.scenario.is_absent) {
                    if Segment::parse(&packet).is_some_and(|segment| segment.flags & flag::SYN != 0) {
                        self.actor.knock();
                    }
                    self.actor.host().receive(packet);
                }
                self.work();
            }
            Happening::Wake => self.work(),
        }
    }

    fn say(&self, who: &str, packet: &[u8]) {
        if self.trace {
            let at = self.clock.now().as_nanos() as f64 / 1e9 - LEAD.as_secs_f64();
            println!("{at:>12.6} {who:>7} {}", packet::describe(packet));
        }
    }

    fn line(&mut self, event: &Event) {
        match event {
            Event::Order(order) => self.input(Input::Command(match order {
                Order::Stop => Command::StopReplay,
                Order::Start => Command::StartReplay,
                Order::Finish => Command::Finish { limit: FINISH },
            })),
            Event::Frame(frame) if frame.lost => {}
            Event::Frame(frame) => {
                let (bytes, wire_len) = build(frame, self.scenario.settings.ipv6);
                self.say("mirror", &bytes[14 + 4 * frame.vlans.len()..]);
                for _ in 0..=usize::from(frame.twice) {
                    let captured_at = self.clock.now();
                    self.input(Input::Mirror(MirrorFrame {
                        captured_at,
                        link: LinkType::Ethernet,
                        wire_len,
                        bytes: &bytes,
                    }));
                }
            }
        }
    }

    fn input(&mut self, input: Input<'_>) {
        let now = self.clock.now();
        for frame in self.engine.input(now, input, &mut self.truth) {
            self.clock.schedule(now + WAY, Happening::AtTarget(frame));
        }
        if let Some(at) = self.engine.engine().poll_timeout() {
            self.clock.schedule(at, Happening::Tick);
        }
    }

    fn work(&mut self) {
        let now = self.clock.now();
        self.actor.poll(now);
        for packet in self.actor.host().take_sent() {
            self.neighbors.send(now, packet);
        }
        self.neighbors.poll(now);
        for frame in self.neighbors.take_frames() {
            self.clock.schedule(now + WAY, Happening::AtBox(frame));
        }
        let poll_at = [self.actor.poll_at(now), self.neighbors.poll_at()].into_iter().flatten().min();
        if let Some(at) = poll_at {
            self.clock.schedule(at.max(now + Duration::from_micros(1)), Happening::Wake);
        }
    }
}

fn build(frame: &Frame, ipv6: bool) -> (Vec<u8>, u32) {
    let client = SocketAddr::new(address(ipv6, 1, usize::from(frame.client)), 40_000 + u16::from(frame.client));
    let origin = SocketAddr::new(address(ipv6, 2, usize::from(frame.origin)), 80);
    let (src, dst) = if frame.from_client { (client, origin) } else { (origin, client) };
    let header = TcpHeader {
        seq: frame.seq,
        ack: frame.ack,
        flags: frame.flags,
        window: frame.window,
        urgent: frame.urgent,
        options: frame.options.clone(),
    };
    let mut packet = packet::tcp(src, dst, frame.hops, &header, &frame.payload);
    if let Some(segment) = Segment::parse(&packet).filter(|_| frame.bad_checksum) {
        packet[segment.header + 16] ^= 0x55;
    }
    let mut bytes = packet::ethernet_ip([2, 0, 0, 0, 0, 2], [2, 0, 0, 0, 0, 1], &packet);
    for vlan in frame.vlans.iter().rev() {
        packet::tag_vlan(&mut bytes, *vlan);
    }
    let wire_len = bytes.len() as u32;
    bytes.truncate(frame.snap.unwrap_or(usize::MAX));
    (bytes, wire_len)
}
