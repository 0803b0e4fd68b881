//! What happens in the world: machines work, links carry, the switch and the engine pass on.

use super::{Event, Machine, Target, World, terms};
use crate::account::Counted;
use crate::fault::Order;
use crate::packet;
use crate::pcap::Captured;
use crate::plan::{Plan, Start};
use crate::span::Shown;
use crate::truth::Truth;
use core::time::Duration;
use tapcopy_engine::message::LinkType;
use tapcopy_engine::{Command, Input, MirrorFrame, Time};

impl World {
    /// Lets an event happen.
    pub(super) fn happen(&mut self, event: Event) {
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
            Event::AtBox(frame) => self.input(Input::Target { arrived_at: self.clock.now(), bytes: &frame }),
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
        let lasts = |to| !self.healed || to == Time::MAX;
        times.is_some_and(|(from, to)| (from..to).contains(&self.clock.now()) && lasts(to))
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
            let at = self.handed_on_at(shown.at + self.faults.mirror.latency, from_client);
            self.clock.schedule(at, Event::Capture(shown));
        }
        let machine = packet::ip_addresses(&packet).and_then(|(_, dst)| self.of_address.get(&dst).copied());
        if let Some(machine) = machine {
            self.deliver(machine, packet);
        }
    }

    /// When the mirror NIC of a direction hands on what it got at `at`.
    fn handed_on_at(&self, at: Time, from_client: bool) -> Time {
        let Some((clients, origins)) = self.faults.mirror.nics else { return at };
        let interval = if from_client { clients } else { origins }.as_nanos() as u64;
        Time::from_nanos(at.as_nanos().next_multiple_of(interval))
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
            let is_cut = (shown.bytes.len() as u64) < u64::from(shown.wire_len);
            self.truth.show(&self.plan, (tag, is_cut), captured_at, self.clock.now());
            if tag.from_client && tag.len > 0 && self.engine.saboteur().hides() {
                return;
            }
        }
        if let Some(cause) = shown.ignored {
            *self.truth.ignored.entry(cause).or_default() += 1;
        }
        if self.options.capture {
            self.captured.push(Captured { at: captured_at, bytes: shown.bytes.clone(), wire_len: shown.wire_len });
        }
        let frame =
            MirrorFrame { captured_at, link: LinkType::Ethernet, wire_len: shown.wire_len, bytes: &shown.bytes };
        let before = Counted::so_far(self.engine.engine().ledger());
        self.input(Input::Mirror(frame));
        let is_wrong = self.faults.mirror.bad_checksums;
        before.check(self.engine.engine().ledger(), &shown, is_wrong, &mut self.truth);
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
            order => {
                let config = terms::reordered(self.config.clone(), order);
                self.engine.allow(&config);
                Command::Configure(Box::new(config))
            }
        };
        self.input(Input::Command(command));
    }

    /// Gives the engine an input and does what it says.
    pub(super) fn input(&mut self, input: Input<'_>) {
        if self.options.production_only {
            return;
        }
        let known = self.engine.records().len();
        let frames = self.engine.input(self.clock.now(), input, &mut self.truth);
        for record in self.engine.records()[known..].iter().filter(|_| self.options.trace) {
            println!("{:>12.6}   {record:?}", seconds(self.clock.now()));
        }
        for frame in frames {
            self.transmit(frame);
        }
        self.arm_tick();
    }

    /// Schedules the wake-up that the engine wants.
    pub(super) fn arm_tick(&mut self) {
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
            && self.plan.topology.addressing.gateway.is_some()
            && frame[..6] == self.targets[0].mac
        {
            frame[..6].copy_from_slice(&self.targets[*number].mac);
        }
        if self.options.trace {
            println!(
                "{:>12.6}   box  {}",
                seconds(self.clock.now()),
                packet::describe(frame.get(14..).unwrap_or_default())
            );
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
            Event::AtBox(frame) => {
                println!("{now:>12.6}   target  {}", packet::describe(frame.get(14..).unwrap_or_default()))
            }
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
