//! The world of one seed: hosts, switch, mirror, engine and targets on one clock.
//!
//! A run has two phases. In the first, clients talk to their origins while the faults exist; every rule of safety is
//! checked at every step. When the last client is done, the faults end; either the engine is told to finish or it is left
//! to its own time limits, and in both cases it must come to rest.

mod events;
mod terms;

use crate::aftermath;
use crate::cause;
use crate::census;
use crate::checker::Checked;
use crate::client::Client;
use crate::clock::Clock;
use crate::fault::{Faults, Order};
use crate::host::{Buffers, Host};
use crate::link::Link;
use crate::neighbor::Neighbors;
use crate::packet::Mac;
use crate::pcap::Captured;
use crate::plan::{Plan, Start, Step};
use crate::rare::Rare;
use crate::report::Report;
use crate::sabotage::{Sabotage, Saboteur};
use crate::seed::Rng;
use crate::selection;
use crate::server::{Server, UnderTest};
use crate::span::{Shown, Span};
use crate::topology;
use crate::truth::Truth;
use crate::verdict;
use crate::workload::{self, HOUR};
use core::net::IpAddr;
use core::time::Duration;
use std::collections::BTreeMap;
use tapcopy_engine::config::Config;
use tapcopy_engine::{Command, Input, Time};

/// Sets the generator of what is drawn last apart from the others of a seed.
const LAST: u64 = 0x5EED;

/// The same for what is drawn of rare kinds; such a number that the seeds which once failed are of none.
const RARE: u64 = 7_780_013;

/// Production must be over by then, whatever the faults, but for clients that say nothing for an hour.
const PRODUCTION_MAX: Time = Time::from_millis(300_000);

/// How long the replay is given to catch up when nothing may be left undone.
const PATIENCE: Duration = Duration::from_secs(180);

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
    let (faults, kinds) = (world.faults.words(), census::kinds(&world.plan, &world.faults));
    world.produce();
    world.settle();
    let causes = census::causes(world.engine.engine().ledger());
    cause::check(&kinds, &causes, &mut world.truth);
    if options.production_only {
        world.truth.violations.retain(|violation| violation.rule.contains("simulator"));
    }
    let requests = &world.truth.requests;
    let report = Report {
        seed,
        hash: world.engine.hash(),
        arrived: requests.iter().filter(|request| request.reads.iter().any(|read| read.whole_at.is_some())).count(),
        requests: requests.len(),
        outcomes: world.engine.records().len(),
        judged: world.truth.judged,
        kinds,
        causes,
        violations: world.truth.violations,
        faults,
    };
    (report, world.captured)
}

/// What the mirror shows in the world of one seed, and what its engine would be told.
pub fn shown(seed: u64, options: Options) -> (Config, Vec<Captured>) {
    let mut world = World::new(seed, options);
    world.produce();
    (world.config, world.captured)
}

impl World {
    fn new(seed: u64, options: Options) -> Self {
        let mut rng = Rng::new(seed);
        let mut drawn = Faults::draw(&mut rng.fork());
        let mut more = Rng::new(!seed);
        drawn.draw_more(&mut more);
        drawn.draw_last(&mut Rng::new(seed.swap_bytes() ^ LAST));
        let mut rare_rng = Rng::new(seed.swap_bytes() ^ RARE);
        let rare = Rare::draw(&mut rare_rng);
        if let Some(rare) = rare {
            rare.hurt(&mut drawn, &mut rare_rng);
        }
        let faults = if options.faultless { Faults::default() } else { drawn };
        let faults = terms::tolerate_losses(terms::tolerate_slow_holes(faults));
        let mut plan = workload::draw(&faults.target, &mut rng.fork());
        topology::multiply(&mut plan.topology, &mut more);
        match rare {
            // What is rare is judged by itself.
            Some(rare) => workload::draw_rare(&mut plan, rare, &faults.target, &mut rare_rng),
            None => selection::draw(&mut plan, &mut more),
        }
        let patient = rng.percent(70) || options.faultless;
        let config = terms::config(&plan, &faults);
        let rules = terms::rules(&plan, &faults);
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
            engine: Checked::new(
                config.clone(),
                faults.production_mtu.max(1_500),
                rng.draw(),
                Saboteur::new(options.sabotage),
            ),
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
            self.clients.push(Client::new(Host::new(address, self.faults.production_mtu, rng.draw())));
            self.place(Machine::Client(number), address, rng);
        }
        for (number, origin) in self.plan.topology.origins.clone().into_iter().enumerate() {
            let host = Host::new(origin.address.ip(), self.faults.production_mtu, rng.draw());
            self.origins.push(Server::new(host, origin.address.port(), origin.service, Buffers::default(), None));
            self.place(Machine::Origin(number), origin.address.ip(), rng);
        }
        for (number, target) in self.plan.topology.targets.clone().into_iter().enumerate() {
            let host = Host::new(target.address.ip(), 1_500, rng.draw());
            let under_test = UnderTest { target: number, faults: self.faults.target.clone(), rng: rng.fork() };
            // After a loss smoltcp sends a whole segment again, whatever the window: one that is smaller would stay shut.
            let least = if self.truth.rules.clean_path { 0 } else { 2_048 };
            let receive = rng.pick(&[16 << 10, 16 << 10, 2_048, 600]).max(least);
            // In an hour on a link that loses packets, four probes in a row are lost now and then; twelve are not.
            let probes = if self.truth.rules.clean_path { 4 } else { 12 };
            let buffers = Buffers { receive, probes, ..Buffers::default() };
            let server = Server::new(host, target.address.port(), target.service, buffers, Some(under_test));
            let mac = [2, 0, 0, 0, 20, number as u8];
            let mut addresses = vec![target.address.ip()];
            addresses.extend(self.plan.topology.addressing.gateway.filter(|_| number == 0));
            let neighbors = Neighbors::new(mac, addresses);
            let neighbors = neighbors.with_gateway(&self.plan.topology.addressing.emulated_gateways);
            self.targets.push(Target { server, neighbors, mac });
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
        // The engine may want a wake-up before it has had any input.
        self.arm_tick();
        let is_long = |step: &Step| matches!(step, Step::Pause(pause) if *pause >= HOUR);
        let idle = self.plan.sessions.iter().any(|session| session.steps.iter().any(is_long));
        let end = PRODUCTION_MAX + if idle { HOUR } else { Duration::ZERO };
        while self.unfinished > 0 && self.go_on() {
            let Some(event) = self.clock.next(end) else { break };
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
        self.engine.check_holes(self.clock.now(), &mut self.truth);
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
        self.engine.check_end(self.clock.now(), self.faults.finish, &mut self.truth);
        let extent = terms::extent(&self.plan, &self.faults, self.patient);
        let ledger = self.engine.engine().ledger().clone();
        aftermath::check(&self.plan, &mut self.truth, extent);
        let records = (self.engine.records(), self.engine.record_times());
        verdict::check(&self.plan, &mut self.truth, records, &ledger, extent);
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
}
