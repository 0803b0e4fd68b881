//! The world of one seed: hosts, switch, mirror, engine and targets on one clock.
//!
//! A run has two phases. In the first, clients talk to their origins while the faults exist; every rule of safety is
//! checked at every step. When the last client is done, the faults end; either the engine is told to finish or it is left
//! to its own time limits, and in both cases it must come to rest.

use crate::checker::{BOX_MAC, Checked};
use crate::client::Client;
use crate::fault::{Faults, Order};
use crate::host::{Buffers, Host};
use crate::link::Link;
use crate::neighbor::Neighbors;
use crate::packet::{self, Mac};
use crate::pcap::Captured;
use crate::plan::{Kind, Plan, Start};
use crate::report::Report;
use crate::sabotage::{Sabotage, Saboteur};
use crate::seed::Rng;
use crate::server::{Server, UnderTest};
use crate::span::{Shown, Span};
use crate::truth::{Rules, Truth};
use crate::verdict::{self, Extent};
use crate::workload;
use core::net::IpAddr;
use core::time::Duration;
use std::collections::BTreeMap;
use tapcopy_engine::config::{Config, FarEnd, Origin, Service, Speed};
use tapcopy_engine::message::LinkType;
use tapcopy_engine::{Command, Input, MirrorFrame, Time};

use crate::clock::Clock;

/// Production must be over by then, whatever the faults.
const PRODUCTION_MAX: Time = Time::from_millis(300_000);

/// How long the replay is given to catch up when nothing may be left undone.
const PATIENCE: Duration = Duration::from_secs(90);

/// What a run is asked for besides its seed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Print every event.
    pub trace: bool,
    /// Keep the mirror's frames.
    pub capture: bool,
    /// Do a deliberate fault.
    pub sabotage: Option<Sabotage>,
    /// Draw no fault at all.
    pub faultless: bool,
    /// Let the world be without the engine's doings: only production is checked.
    pub production_only: bool,
}

#[derive(Debug)]
enum Event {
    Start(usize),
    Wake(Machine),
    /// A packet arrives at the switch; true: from a client.
    Switch(bool, Vec<u8>),
    Arrive(Machine, Vec<u8>),
    Capture(Shown),
    AtBox(Vec<u8>),
    Tick,
    Order(Order),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Machine {
    Client(usize),
    Origin(usize),
    Target(usize),
}

struct Target {
    server: Server,
    neighbors: Neighbors,
    mac: Mac,
}

/// The world.
pub struct World {
    options: Options,
    plan: Plan,
    faults: Faults,
    healed: bool,
    clock: Clock<Event>,
    clients: Vec<Client>,
    origins: Vec<Server>,
    targets: Vec<Target>,
    of_address: BTreeMap<IpAddr, Machine>,
    /// From and to each machine.
    links: BTreeMap<Machine, (Link, Link)>,
    armed: BTreeMap<Machine, Time>,
    tick_armed: Option<Time>,
    span: Span,
    clock_offset: Duration,
    config: Config,
    engine: Checked,
    truth: Truth,
    unfinished: usize,
    mirror_off: bool,
    patient: bool,
    finish_limit: Duration,
    captured: Vec<Captured>,
}

/// Performs one seed.
pub fn run(seed: u64, options: Options) -> (Report, Vec<Captured>) {
    let mut world = World::new(seed, options);
    let faults = world.faults.words();
    world.produce();
    world.settle();
    if options.production_only {
        world.truth.violations.retain(|violation| violation.rule.contains("simulator"));
    }
    let requests = &world.truth.requests;
    let report = Report {
        seed,
        hash: world.engine.hash(),
        ledger: world.engine.engine().ledger().clone(),
        arrived: requests.iter().filter(|request| request.reads.iter().any(|read| read.whole_at.is_some())).count(),
        requests: requests.len(),
        violations: world.truth.violations,
        faults,
    };
    (report, world.captured)
}

impl World {
    fn new(seed: u64, options: Options) -> Self {
        let mut rng = Rng::new(seed);
        let drawn = Faults::draw(&mut rng.fork());
        let faults = if options.faultless || options.sabotage.is_some() { Faults::default() } else { drawn };
        let faults = tolerate_slow_holes(faults);
        let plan = workload::draw(&faults.target, &mut rng.fork());
        let patient = rng.percent(70) || options.sabotage.is_some();
        let config = config(&plan, &faults);
        let rules = rules(&plan, &faults);
        let mut world = Self {
            options,
            healed: false,
            clock: Clock::default(),
            clients: Vec::new(),
            origins: Vec::new(),
            targets: Vec::new(),
            of_address: BTreeMap::new(),
            links: BTreeMap::new(),
            armed: BTreeMap::new(),
            tick_armed: None,
            span: Span::new(faults.mirror.clone(), rng.fork()),
            clock_offset: rng.micros(0, 2_000_000_000),
            engine: Checked::new(config.clone(), rng.draw(), Saboteur::new(options.sabotage)),
            config,
            truth: Truth::new(&plan, rules),
            unfinished: plan.sessions.len(),
            mirror_off: false,
            patient,
            finish_limit: rng.micros(0, 5_000_000),
            captured: Vec::new(),
            plan,
            faults,
        };
        world.build(&mut rng);
        world
    }

    fn build(&mut self, rng: &mut Rng) {
        for (number, address) in self.plan.topology.clients.clone().into_iter().enumerate() {
            self.clients.push(Client::new(Host::new(address, 1_500, rng.draw())));
            self.place(Machine::Client(number), address, rng);
        }
        for (number, origin) in self.plan.topology.origins.clone().into_iter().enumerate() {
            let host = Host::new(origin.address.ip(), 1_500, rng.draw());
            self.origins.push(Server::new(host, origin.address.port(), origin.service, Buffers::default(), None));
            self.place(Machine::Origin(number), origin.address.ip(), rng);
        }
        for (number, target) in self.plan.topology.targets.clone().into_iter().enumerate() {
            let host = Host::new(target.address.ip(), 1_500, rng.draw());
            let under_test = UnderTest { target: number, faults: self.faults.target.clone(), rng: rng.fork() };
            let buffers = Buffers { receive: rng.pick(&[16 << 10, 16 << 10, 2_048, 600]), ..Buffers::default() };
            let server = Server::new(host, target.address.port(), target.service, buffers, Some(under_test));
            let mac = [2, 0, 0, 0, 20, number as u8];
            let mut addresses = vec![target.address.ip()];
            addresses.extend(self.plan.topology.gateway.filter(|_| number == 0));
            self.targets.push(Target { server, neighbors: Neighbors::new(mac, addresses), mac });
            self.place(Machine::Target(number), target.address.ip(), rng);
        }
        for (number, session) in self.plan.sessions.iter().enumerate() {
            if let Start::At(at) = session.start {
                self.clock.schedule(at, Event::Start(number));
            }
        }
        for (at, order) in self.faults.in_box.orders.clone() {
            self.clock.schedule(at, Event::Order(order));
        }
    }

    fn place(&mut self, machine: Machine, address: IpAddr, rng: &mut Rng) {
        let netem = match machine {
            Machine::Client(_) => self.faults.client_path,
            Machine::Origin(_) => self.faults.origin_path,
            Machine::Target(_) => self.faults.target_path,
        };
        self.links.insert(machine, (Link::new(netem, rng.fork()), Link::new(netem, rng.fork())));
        self.of_address.insert(address, machine);
    }

    /// The first phase: until the last client is done.
    fn produce(&mut self) {
        while self.unfinished > 0 && self.go_on() {
            let Some(event) = self.clock.next(PRODUCTION_MAX) else { break };
            self.happen(event);
        }
        if self.unfinished > 0 && self.go_on() {
            self.give_up();
        }
    }

    /// Loss can leave two smoltcp hosts waiting for each other for ever; without loss that is a fault of the world.
    fn give_up(&mut self) {
        for session in self.truth.sessions.iter_mut().filter(|session| !session.done) {
            session.broken = true;
        }
        if !self.truth.rules.disordered {
            let details = format!("{} sessions did not come to their end in production", self.unfinished);
            self.truth.violate("the simulator itself is right", details);
        }
    }

    /// The second phase: faults off, until the engine is at rest.
    fn settle(&mut self) {
        self.heal();
        let patience = if self.patient { PATIENCE } else { self.finish_limit / 2 };
        self.pass(patience, false);
        self.mirror_off = true;
        if self.faults.finish {
            let limit = self.finish_limit;
            self.input(Input::Command(Command::Finish { limit }));
            self.pass(limit + Duration::from_secs(1), true);
        } else {
            self.pass(self.time_limits(), true);
        }
        if !self.go_on() || self.options.production_only {
            return;
        }
        self.engine.check_end(self.clock.now(), &mut self.truth);
        let extent = self.extent();
        let ledger = self.engine.engine().ledger().clone();
        verdict::check(&self.plan, &mut self.truth, self.engine.records(), &ledger, extent);
    }

    fn go_on(&self) -> bool {
        !self.engine.is_stuck() && (self.truth.violations.is_empty() || self.options.production_only)
    }

    fn pass(&mut self, time: Duration, until_idle: bool) {
        let end = self.clock.now() + time;
        while self.go_on() && !(until_idle && self.is_at_rest()) {
            let Some(event) = self.clock.next(end) else { break };
            self.happen(event);
        }
    }

    fn is_at_rest(&self) -> bool {
        self.engine.engine().is_idle() && self.engine.engine().poll_timeout().is_none()
    }

    /// What the engine's own limits add up to: a session that was heard last just now, with a target that answers again.
    fn time_limits(&self) -> Duration {
        let limits = &self.config.limits;
        limits.idle_timeout
            + limits.closing_timeout
            + limits.hole_timeout
            + limits.gap_grace
            + limits.connect_timeout
            + limits.answer_timeout * 2
            + limits.port_rest
            + Duration::from_secs(10)
    }

    fn heal(&mut self) {
        self.healed = true;
        self.span.heal();
        for (from, to) in self.links.values_mut() {
            from.heal();
            to.heal();
        }
        for target in &mut self.targets {
            target.server.heal();
        }
    }

    fn extent(&self) -> Extent {
        let (mirror, in_box) = (&self.faults.mirror, &self.faults.in_box);
        let seen = mirror.is_lossless() && !in_box.scarce && !in_box.is_disturbed() && self.plan.topology.sample == 10_000;
        let quick = self.plan.sessions.iter().all(|session| session.steps.len() < 1_000);
        Extent {
            seen,
            ordered: mirror.keeps_order(),
            answered: self.faults.target.is_healthy() && self.patient && quick,
            clean_path: is_clean(&self.faults),
        }
    }

    fn happen(&mut self, event: Event) {
        if self.options.trace {
            self.print(&event);
        }
        match event {
            Event::Start(session) => self.start(session),
            Event::Wake(machine) => {
                if self.armed.get(&machine) == Some(&self.clock.now()) {
                    self.armed.remove(&machine);
                    self.work(machine);
                }
            }
            Event::Switch(from_client, packet) => self.switch(from_client, packet),
            Event::Arrive(machine, packet) => self.arrive(machine, packet),
            Event::Capture(shown) => self.capture(shown),
            Event::AtBox(frame) => self.input(Input::Target(&frame)),
            Event::Tick => self.tick(),
            Event::Order(order) => self.order(order),
        }
    }

    fn start(&mut self, session: usize) {
        let plan = &self.plan.sessions[session];
        let (machine, origin) = (plan.machine, self.plan.topology.origins[plan.origin].address);
        self.span.expect(plan.client, origin, session);
        self.clients[machine].start(&self.plan, session, origin);
        self.work(Machine::Client(machine));
    }

    fn arrive(&mut self, machine: Machine, bytes: Vec<u8>) {
        match machine {
            Machine::Client(number) => self.clients[number].host().receive(bytes),
            Machine::Origin(number) => self.origins[number].receive(bytes),
            Machine::Target(number) => {
                let (dark, deaf) = (self.within(self.faults.target.dark), self.within(self.faults.target.black_hole));
                let target = &mut self.targets[number];
                let packet = if dark { None } else { target.neighbors.receive(&bytes) };
                if let Some(packet) = packet.filter(|_| !deaf) {
                    target.server.receive(packet);
                }
            }
        }
        self.work(machine);
    }

    fn within(&self, times: Option<(Time, Time)>) -> bool {
        !self.healed && times.is_some_and(|(from, to)| (from..to).contains(&self.clock.now()))
    }

    /// Lets a machine work, sends its packets and arms its timer.
    fn work(&mut self, machine: Machine) {
        let now = self.clock.now();
        let (sent, poll_at) = match machine {
            Machine::Client(number) => {
                let client = &mut self.clients[number];
                let ended = client.poll(&self.plan, &mut self.truth, now);
                let result = (client.host().take_sent(), client.poll_at(now));
                ended.into_iter().for_each(|session| self.ended(session));
                result
            }
            Machine::Origin(number) => {
                let origin = &mut self.origins[number];
                origin.poll(&self.plan, &mut self.truth, now);
                (origin.host().take_sent(), origin.poll_at(now))
            }
            Machine::Target(number) => self.targets[number].work(&self.plan, &mut self.truth, now),
        };
        for bytes in sent {
            self.send(machine, bytes);
        }
        if let Some(at) = poll_at {
            // A stack that wants to work at once has just done so; the next microsecond is its next chance.
            self.arm(machine, at.max(now + Duration::from_micros(1)));
        }
    }

    fn arm(&mut self, machine: Machine, at: Time) {
        if self.armed.get(&machine).is_none_or(|armed| at < *armed) {
            self.armed.insert(machine, at);
            self.clock.schedule(at, Event::Wake(machine));
        }
    }

    fn ended(&mut self, session: usize) {
        self.unfinished -= 1;
        let now = self.clock.now();
        for (number, plan) in self.plan.sessions.iter().enumerate() {
            if let Start::After(earlier, pause) = plan.start
                && earlier == session
            {
                self.clock.schedule(now + pause, Event::Start(number));
            }
        }
    }

    fn send(&mut self, machine: Machine, bytes: Vec<u8>) {
        let now = self.clock.now();
        let (link, _) = self.links.get_mut(&machine).expect("every machine has a link");
        for at in link.arrivals(now, bytes.len()) {
            let event = match machine {
                Machine::Client(_) => Event::Switch(true, bytes.clone()),
                Machine::Origin(_) => Event::Switch(false, bytes.clone()),
                Machine::Target(_) => Event::AtBox(bytes.clone()),
            };
            self.clock.schedule(at, event);
        }
    }

    fn switch(&mut self, from_client: bool, packet: Vec<u8>) {
        let now = self.clock.now();
        for shown in self.span.copy(now, &packet, from_client) {
            self.clock.schedule(shown.at + self.faults.mirror.latency, Event::Capture(shown));
        }
        let machine = packet::ip_addresses(&packet).and_then(|(_, dst)| self.of_address.get(&dst).copied());
        if let Some(machine) = machine {
            self.deliver(machine, packet);
        }
    }

    fn deliver(&mut self, machine: Machine, bytes: Vec<u8>) {
        let now = self.clock.now();
        let (_, link) = self.links.get_mut(&machine).expect("every machine has a link");
        for at in link.arrivals(now, bytes.len()) {
            self.clock.schedule(at, Event::Arrive(machine, bytes.clone()));
        }
    }

    fn capture(&mut self, shown: Shown) {
        if self.mirror_off {
            return;
        }
        let mut captured_at = shown.at + self.clock_offset;
        if self.engine.saboteur().stops_capture_clock() {
            captured_at = Time::ZERO + self.clock_offset;
        }
        if let Some(tag) = shown.tag {
            self.truth.show(&self.plan, tag, captured_at, self.clock.now());
            if tag.from_client && tag.len > 0 && self.engine.saboteur().hides() {
                return;
            }
        }
        if self.options.capture {
            self.captured.push(Captured { at: captured_at, bytes: shown.bytes.clone(), wire_len: shown.wire_len });
        }
        let frame = MirrorFrame { captured_at, link: LinkType::Ethernet, wire_len: shown.wire_len, bytes: &shown.bytes };
        self.input(Input::Mirror(frame));
    }

    fn tick(&mut self) {
        let now = self.clock.now();
        if self.tick_armed != Some(now) {
            return;
        }
        self.tick_armed = None;
        if self.engine.engine().poll_timeout().is_some_and(|at| at <= now) {
            self.input(Input::Tick);
        } else {
            self.arm_tick();
        }
    }

    fn order(&mut self, order: Order) {
        let command = match order {
            Order::Stop => Command::StopReplay,
            Order::Start => Command::StartReplay,
            Order::ConfigureSame => Command::Configure(Box::new(self.config.clone())),
            Order::ConfigureOther => {
                let mut config = self.config.clone();
                config.limits.sessions = (config.limits.sessions / 2).max(1);
                config.limits.exchanges = 64;
                config.services.iter_mut().for_each(|service| service.sample = 5_000);
                Command::Configure(Box::new(config))
            }
        };
        self.input(Input::Command(command));
    }

    fn input(&mut self, input: Input<'_>) {
        if self.options.production_only {
            return;
        }
        let frames = self.engine.input(self.clock.now(), input, &mut self.truth);
        for frame in frames {
            self.transmit(frame);
        }
        self.arm_tick();
    }

    fn arm_tick(&mut self) {
        let at = self.engine.engine().poll_timeout().map(|at| at.max(self.clock.now()));
        if let Some(at) = at.filter(|at| self.tick_armed.is_none_or(|armed| *at < armed)) {
            self.tick_armed = Some(at);
            self.clock.schedule(at, Event::Tick);
        }
    }

    /// The switch of the test network: by Ethernet address, or to all. The first target plays the gateway, if there is
    /// one: it passes on what is not its own.
    fn transmit(&mut self, mut frame: Vec<u8>) {
        let routed = packet::ip_addresses(&frame[14..]).and_then(|(_, dst)| self.of_address.get(&dst));
        if let Some(Machine::Target(number)) = routed
            && self.plan.topology.gateway.is_some()
            && frame[..6] == self.targets[0].mac
        {
            frame[..6].copy_from_slice(&self.targets[*number].mac);
        }
        if self.options.trace {
            println!("{:>12.6}   box  {}", seconds(self.clock.now()), packet::describe(frame.get(14..).unwrap_or_default()));
        }
        for number in 0..self.targets.len() {
            if frame[0] & 1 == 1 || frame[..6] == self.targets[number].mac {
                self.deliver(Machine::Target(number), frame.clone());
            }
        }
    }

    fn print(&self, event: &Event) {
        let now = seconds(self.clock.now());
        match event {
            Event::Wake(_) | Event::Arrive(..) => {}
            Event::Switch(from_client, packet) => {
                println!("{now:>12.6}   {}  {}", if *from_client { "C>O" } else { "O>C" }, packet::describe(packet));
            }
            Event::Capture(shown) => println!("{now:>12.6}   mirror at {:.6} {:?}", seconds(shown.at), shown.tag),
            Event::AtBox(frame) => println!("{now:>12.6}   target  {}", packet::describe(frame.get(14..).unwrap_or_default())),
            Event::Start(_) | Event::Tick | Event::Order(_) => println!("{now:>12.6} {event:?}"),
        }
    }
}

impl Target {
    fn work(&mut self, plan: &Plan, truth: &mut Truth, now: Time) -> (Vec<Vec<u8>>, Option<Time>) {
        self.server.poll(plan, truth, now);
        for packet in self.server.host().take_sent() {
            self.neighbors.send(now, packet);
        }
        self.neighbors.poll(now);
        let poll_at = [self.server.poll_at(now), self.neighbors.poll_at()].into_iter().flatten().min();
        (self.neighbors.take_frames(), poll_at)
    }
}

fn seconds(time: Time) -> f64 {
    time.as_nanos() as f64 / 1e9
}

fn is_clean(faults: &Faults) -> bool {
    let path = faults.target_path;
    path.is_lossless() && path.reorder == 0 && path.rate.is_none() && path.jitter.is_zero()
}

/// Where production itself loses packets, a hole may stay for many retransmission time-outs; that is not the mirror's loss.
fn tolerate_slow_holes(mut faults: Faults) -> Faults {
    if !faults.client_path.is_lossless() || !faults.origin_path.is_lossless() {
        faults.in_box.limits.hole_timeout = Duration::from_secs(600);
        faults.in_box.limits.closing_timeout = Duration::from_secs(600);
    }
    faults
}

fn rules(plan: &Plan, faults: &Faults) -> Rules {
    let seen = faults.mirror.is_lossless() && !faults.in_box.scarce && !faults.in_box.is_disturbed();
    let paths = [faults.client_path, faults.origin_path];
    Rules {
        exact: seen && faults.mirror.keeps_order() && plan.topology.sample == 10_000,
        healthy: faults.target.is_healthy(),
        clean_path: is_clean(faults),
        lag: faults.in_box.limits.lag,
        disordered: paths.iter().any(|path| !path.is_lossless() || path.reorder > 0 || path.duplicate > 0),
    }
}

fn config(plan: &Plan, faults: &Faults) -> Config {
    let topology = &plan.topology;
    let service = |(number, service): (usize, &crate::plan::ServicePlan)| {
        let origins = topology.origins.iter().filter(|origin| origin.service == number);
        let targets = topology.targets.iter().filter(|target| target.service == number);
        Service {
            name: format!("service-{number}-{}", if service.kind == Kind::Http { "http" } else { "raw" }),
            origins: match service.any_address {
                true => origins.take(1).map(|origin| Origin::AnyAddress(origin.address.port())).collect(),
                false => origins.map(|origin| Origin::Address(origin.address)).collect(),
            },
            targets: targets.map(|target| target.address).collect(),
            protocol: service.protocol,
            pacing: service.pacing,
            sample: topology.sample,
        }
    };
    Config {
        services: topology.services.iter().enumerate().map(service).collect(),
        pool: topology.pool.clone(),
        gateway: topology.gateway,
        far_end: FarEnd::Wire { mac: BOX_MAC, mtu: 1_500 },
        speed: topology.speed.unwrap_or(Speed::Times(1.0)),
        replay: true,
        limits: faults.in_box.limits,
    }
}
