//! The engine with a checker around it: rules that must hold after every single input.

use crate::account::{self, Wire};
use crate::host::instant;
use crate::packet::{self, Mac, Segment, ethertype, flag};
use crate::patience::{Moments, Waiting};
use crate::refusal::Refusals;
use crate::report::Hash;
use crate::sabotage::Saboteur;
use crate::topology::is_client;
use crate::truth::Truth;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use tapcopy_engine::config::{Addressing, Config, FarEnd, Mode, Protocol};
use tapcopy_engine::engine::Holdings;
use tapcopy_engine::ledger::{Ended, Ignored, NotAnswered, NotReplayed};
use tapcopy_engine::{Command, Engine, Input, Ledger, Limits, Output, Record, Time};

/// Outputs of one input, beyond which the engine is taken to run in a circle.
const OUTPUTS: usize = 20_000;

/// Wake-ups without passing of time, beyond which the engine is taken to run in a circle.
const TICKS: usize = 200;

/// How much later than by its limit a hole may be given up.
const SLACK: Duration = Duration::from_secs(1);

/// The same of one whose loss was proven, which waits for nothing but the grace.
const SLACK_PROVEN: Duration = Duration::from_millis(50);

/// How long a SYN may wait for its next hop to answer.
const RESOLUTION: Duration = Duration::from_secs(4);

/// Longest head of an answer in this world.
const HEAD_MAX: usize = 300;

/// The Ethernet address of the box's target NIC.
pub const BOX_MAC: Mac = [2, 0, 0, 0, 9, 9];

/// What a 4-tuple was used for last.
#[derive(Clone, Copy)]
struct Opened {
    /// The first sequence number.
    seq: u32,
    /// The first SYN.
    first: Time,
    /// The last segment.
    last: Time,
}

/// What is held beyond holes.
#[derive(Clone, Copy, Default)]
struct Ahead {
    bytes: usize,
    /// Since when it is as much, and nothing was shown.
    since: Time,
    /// Whether every hole was proven then.
    is_proven: bool,
}

/// The engine, watched.
pub struct Checked {
    engine: Engine,
    limits: Limits,
    addressing: Addressing,
    port_rest: Duration,
    tuples: BTreeMap<(SocketAddr, SocketAddr), Opened>,
    ahead: Ahead,
    targets: BTreeSet<SocketAddr>,
    services: Vec<String>,
    /// Those without a framer.
    raw: Vec<String>,
    records: Vec<Record>,
    record_times: Vec<Time>,
    /// Session, target, copy, exchange.
    known: BTreeSet<(u64, u16, u16, u64)>,
    hash: Hash,
    saboteur: Saboteur,
    ticks: (Time, usize),
    moments: Moments,
    wire: Wire,
    refusals: Refusals,
    /// Replays of a session to one target.
    copies: u64,
    /// The far end is a rehearsal.
    rehearses: bool,
    /// The kill switch is on.
    is_stopped: bool,
    /// An order has taken a service away: its sessions stay as they are.
    has_fewer_services: bool,
    /// An order has taken addresses away, and what was to be sent from them.
    has_other_addresses: bool,
    /// Length of the largest packet of either side.
    largest_packet: usize,
    frames: Vec<Vec<u8>>,
}

impl Checked {
    /// An engine with this configuration, in a world with packets of at most `largest_packet` bytes.
    pub fn new(config: Config, largest_packet: usize, seed: u64, saboteur: Saboteur) -> Self {
        Self {
            limits: config.limits,
            addressing: config.addressing.clone(),
            port_rest: config.limits.port_rest,
            tuples: BTreeMap::new(),
            ahead: Ahead::default(),
            targets: config.services.iter().flat_map(|service| service.targets.iter().copied()).collect(),
            services: config.services.iter().map(|service| service.name.clone()).collect(),
            raw: config
                .services
                .iter()
                .filter(|service| service.protocol == Protocol::Raw)
                .map(|service| service.name.clone())
                .collect(),
            records: Vec::new(),
            record_times: Vec::new(),
            known: BTreeSet::new(),
            hash: Hash::default(),
            saboteur,
            ticks: (Time::ZERO, 0),
            moments: Moments::default(),
            wire: Wire::default(),
            refusals: Refusals::default(),
            copies: config.services.iter().map(|service| service.copies.into()).max().unwrap_or(1),
            rehearses: config.far_end == FarEnd::Rehearsal,
            is_stopped: false,
            has_fewer_services: false,
            has_other_addresses: false,
            largest_packet,
            frames: Vec::new(),
            engine: Engine::new(Time::ZERO, config, seed),
        }
    }

    /// The engine itself.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Who does the deliberate faults.
    pub fn saboteur(&mut self) -> &mut Saboteur {
        &mut self.saboteur
    }

    /// All records so far.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// When each of them came.
    pub fn record_times(&self) -> &[Time] {
        &self.record_times
    }

    /// Hash of all outputs with their times.
    pub fn hash(&self) -> u64 {
        self.hash.value()
    }

    /// From now on, what these settings permit is permitted too.
    pub fn allow(&mut self, config: &Config) {
        self.has_other_addresses |= config.addressing.pool.iter().any(|range| !self.addressing.pool.contains(range));
        self.addressing.pool.extend(config.addressing.pool.iter().copied());
        self.limits.exchanges = self.limits.exchanges.max(config.limits.exchanges);
        self.has_fewer_services |= config.services.len() < self.services.len();
    }

    /// Gives the engine one input; gives back the frames that it sends.
    pub fn input(&mut self, now: Time, input: Input<'_>, truth: &mut Truth) -> Vec<Vec<u8>> {
        let (shows, ticks) = (matches!(input, Input::Mirror(_)), matches!(input, Input::Tick));
        if ticks {
            self.check_tick(now, truth);
        }
        self.check_holes(now, truth);
        self.wire.give(&input);
        match &input {
            Input::Command(Command::StopReplay) => self.is_stopped = true,
            Input::Command(Command::StartReplay) => self.is_stopped = false,
            Input::Target { bytes, .. } => self.refusals.arrive(now, bytes),
            _ => {}
        }
        let (known, before) = (self.records.len(), self.waiting());
        self.engine.handle_input(now, input);
        for number in 0.. {
            let Some(output) = self.engine.poll_output() else { break };
            if number == OUTPUTS {
                truth.violate("an input has a bounded number of outputs", format!("more than {OUTPUTS} at {now:?}"));
                break;
            }
            match output {
                Output::Transmit(frame) => self.frames.push(frame.to_vec()),
                Output::Record(mut record) => {
                    check_contents(&mut record, &self.limits, truth);
                    self.records.extend(self.saboteur.records(record));
                    self.record_times.resize(self.records.len(), now);
                }
            }
        }
        let done = (&self.records[known..], !self.frames.is_empty());
        // What a rehearsal's target says, and when, no input tells.
        let fault = self.moments.fault(now, &self.limits, (before, self.waiting()), done);
        if let Some(fault) = fault.filter(|_| ticks && !self.rehearses) {
            truth.violate("a wait ends when its time is up", fault);
        }
        self.moments.note(now);
        self.check_records(now, truth);
        self.refusals.note(now, self.engine.ledger());
        self.check_frames(now, truth);
        self.check_ledger(truth);
        let held = self.engine.holdings();
        self.check_holdings(held, truth);
        if shows || held.ahead_bytes != self.ahead.bytes {
            let is_proven = self.sees_all_shown(truth) && truth.proves_its_holes();
            self.ahead = Ahead { bytes: held.ahead_bytes, since: now, is_proven };
        }
        core::mem::take(&mut self.frames)
    }

    /// Whether the engine has taken in all that was shown to it: of a session that was turned away at the bound, and is picked up
    /// from within, it does not know what was shown before.
    fn sees_all_shown(&self, truth: &Truth) -> bool {
        let turned_away = self.engine.ledger().frames.ignored.of(Ignored::SessionLimit);
        truth.rules.legible && !self.has_fewer_services && turned_away == 0
    }

    fn waiting(&self) -> Waiting {
        Waiting::of(self.engine.holdings(), self.engine.ledger())
    }

    /// What is held beyond a hole is handed on in time, though nothing arrives.
    pub fn check_holes(&self, now: Time, truth: &mut Truth) {
        let Ahead { bytes, since, is_proven } = self.ahead;
        let limit = match is_proven {
            true => self.limits.gap_grace + SLACK_PROVEN,
            false => self.limits.hole_timeout + self.limits.gap_grace + SLACK,
        };
        if bytes > 0 && since + limit < now {
            truth
                .violate("a hole is given up in its time", format!("{bytes} bytes are held from {since:?} to {now:?}"));
        }
    }

    fn check_tick(&mut self, now: Time, truth: &mut Truth) {
        self.ticks = if self.ticks.0 == now { (now, self.ticks.1 + 1) } else { (now, 0) };
        if self.ticks.1 == TICKS {
            let details =
                format!("{TICKS} ticks at {now:?}, and poll_timeout still says {:?}", self.engine.poll_timeout());
            truth.violate("a tick moves poll_timeout on", details);
        }
    }

    /// Whether the engine runs in a circle.
    pub fn is_stuck(&self) -> bool {
        self.ticks.1 >= TICKS
    }

    fn check_records(&mut self, now: Time, truth: &mut Truth) {
        for record in &self.records[self.known.len().min(self.records.len())..] {
            self.hash.add(format!("{now:?} {record:?}").as_bytes());
            if !self.known.insert((record.session, record.target, record.copy, record.exchange)) {
                let details = format!("session {}, exchange {}", record.session, record.exchange);
                return truth.violate("an exchange has one outcome", details);
            }
        }
        let ledger = self.engine.ledger();
        let outcomes =
            ledger.requests.not_replayed.sum() + ledger.requests.answered + ledger.requests.not_answered.sum();
        if outcomes != self.records.len() as u64 {
            let details = format!("{} records, {outcomes} outcomes in the ledger", self.records.len());
            truth.violate("every outcome in the ledger has its record", details);
        }
    }

    fn check_frames(&mut self, now: Time, truth: &mut Truth) {
        let mut frames = core::mem::take(&mut self.frames);
        for frame in &mut frames {
            self.saboteur.transmit(frame);
            self.hash.add(&now.as_nanos().to_be_bytes());
            self.hash.add(frame);
            self.wire.take(frame);
            // What waited for its next hop may still leave.
            let is_said = Segment::parse(&frame[14..]).is_some_and(|segment| !segment.is_empty());
            if self.is_stopped && is_said && truth.rules.healthy && truth.rules.clean_path {
                let details = packet::describe(&frame[14..]);
                truth.violate("behind the kill switch, nothing is said to a target", details);
            }
            if let Some(fault) = self.refusals.leave(now, frame, self.copies, self.engine.ledger()) {
                truth.violate("a target that refuses is not asked again at once", fault);
            }
            if let Some(fault) = self.fault_of(frame) {
                truth.violate("the box sends to its targets only, and from its own addresses", fault);
            }
            if let Some((rule, fault)) = self.misused_tuple(now, frame) {
                truth.violate(rule, fault);
            }
        }
        self.frames = frames;
    }

    fn fault_of(&self, frame: &[u8]) -> Option<String> {
        if frame.len() < 14 || frame[6..12] != BOX_MAC {
            return Some(format!("a frame of {} bytes from {:02x?}", frame.len(), frame.get(6..12)));
        }
        if packet::u16_at(frame, 12) == ethertype::ARP {
            let sender = frame.get(28..32).and_then(|octets| <[u8; 4]>::try_from(octets).ok());
            let sender = sender.map_or(Ipv4Addr::UNSPECIFIED, Ipv4Addr::from);
            let is_own = sender.is_unspecified() || self.may_claim(sender.into());
            return (!is_own).then(|| format!("ARP from {sender}"));
        }
        let Some(segment) = Segment::parse(&frame[14..]) else {
            let is_ndp = frame.get(20) == Some(&58);
            return (!is_ndp)
                .then(|| format!("a frame that is neither ARP, NDP nor TCP: {:02x?}", &frame[..frame.len().min(60)]));
        };
        let source = segment.src.ip();
        let keeps_clients = self.addressing.mode == Mode::Preserve && is_client(source);
        let is_own = keeps_clients || self.addressing.pool.iter().any(|range| range.contains(source));
        (!is_own || !self.targets.contains(&segment.dst))
            .then(|| format!("a segment from {} to {}", segment.src, segment.dst))
    }

    /// Whether the box may say on the link that `address` is its own.
    fn may_claim(&self, address: IpAddr) -> bool {
        let Addressing { mode, pool, emulated_gateways, .. } = &self.addressing;
        let is_near_client = is_client(address) && self.addressing.is_on_link(address);
        pool.iter().any(|range| range.contains(address))
            || emulated_gateways.contains(&address)
            || (*mode == Mode::Preserve && is_near_client)
    }

    fn misused_tuple(&mut self, now: Time, frame: &[u8]) -> Option<(&'static str, String)> {
        let segment = frame.get(14..).and_then(Segment::parse)?;
        let pair = (segment.src, segment.dst);
        if segment.flags & flag::SYN == 0 {
            // A reset may be for a segment of a connection that is long gone.
            let before = self.tuples.get_mut(&pair).filter(|_| segment.flags & flag::RST == 0);
            before.into_iter().for_each(|opened| opened.last = now);
            return None;
        }
        let opened = Opened { seq: segment.seq, first: now, last: now };
        let before = self.tuples.insert(pair, opened)?;
        if before.seq != segment.seq {
            let fault = format!("{pair:?} at {now:?} and at {:?}", before.last);
            let rule = "no 4-tuple returns while the target may hold it in TIME-WAIT";
            return (now < before.last + self.port_rest).then_some((rule, fault));
        }
        self.tuples.insert(pair, Opened { first: before.first, ..opened });
        let fault = format!("{pair:?} at {now:?}, first at {:?}", before.first);
        let limit = self.limits.connect_timeout + RESOLUTION;
        (before.first + limit < now).then_some(("an attempt to connect ends in its time", fault))
    }

    fn check_ledger(&self, truth: &mut Truth) {
        let ledger = self.engine.ledger();
        if let Some(law) = ledger.broken_law() {
            truth.violate("the ledger's laws hold", law);
        }
        if ledger.sessions.live > self.limits.sessions as u64 {
            let details = format!("{} sessions live, the bound is {}", ledger.sessions.live, self.limits.sessions);
            truth.violate("no bound is exceeded", details);
        }
        let faults = ledger.sessions.ended.of(Ended::Fault)
            + ledger.requests.not_replayed.of(NotReplayed::Fault)
            + ledger.requests.not_answered.of(NotAnswered::Fault);
        if faults > 0 {
            truth.violate("no session ends by a fault of the box", format!("{faults} faults counted"));
        }
        if self.engine.loop_alarm() {
            truth.violate("no loop alarm without a loop", "the engine saw frames of its own".to_owned());
        }
    }

    /// A session takes what it must and looks afterwards whether a bound on all together is passed: by a packet at
    /// most. What a target
    /// says comes from a socket's buffer, and heads are kept whatever the bound.
    fn check_holdings(&self, held: Holdings, truth: &mut Truth) {
        if truth.rules.unbroken && !self.has_fewer_services && held.ahead_bytes > 0 {
            let details = format!("{} bytes are held", held.ahead_bytes);
            truth.violate("nothing is held back where the mirror is in order and tells what it leaves out", details);
        }
        let most = |bound: usize| bound.saturating_add(self.largest_packet);
        let heads = self.engine.ledger().requests.in_progress as usize * 2 * HEAD_MAX;
        let bounds = [
            ("bytes ahead of holes", held.ahead_bytes, most(self.limits.ahead_bytes)),
            ("request bytes", held.outbox_bytes, most(self.limits.outboxes_bytes)),
            ("body bytes", held.body_bytes, most(self.limits.bodies_bytes) + self.limits.socket_bytes + heads),
            ("request bytes of one session", held.largest_outbox, self.limits.outbox_bytes),
            ("body bytes of one answer", held.largest_body, self.limits.body_bytes),
            ("exchanges of one session", held.most_exchanges, self.limits.exchanges),
        ];
        for (what, held, bound) in bounds.into_iter().filter(|(_, held, bound)| held > bound) {
            truth.violate("no bound is exceeded", format!("{held} {what}, the bound is {bound}"));
        }
    }

    /// What must hold when everything is over, by the order to finish or by time limits.
    pub fn check_end(&self, now: Time, told_to_finish: bool, truth: &mut Truth) {
        let ledger = self.engine.ledger();
        let loses = self.rehearses
            || self.has_fewer_services
            || self.has_other_addresses
            || !(truth.rules.healthy && truth.rules.clean_path);
        self.wire.check(ledger, loses, truth);
        let raw: Vec<&str> = self.raw.iter().map(String::as_str).collect();
        account::check(ledger, &self.records, (&self.services, &raw), truth);
        if truth.rules.roomy && self.sees_all_shown(truth) {
            account::check_order(ledger, truth);
        }
        if truth.rules.unbroken && !self.has_fewer_services {
            account::check_twice(ledger, truth);
        }
        let Ledger { sessions, requests, backlog, .. } = ledger;
        let timeout = self.engine.poll_timeout();
        let holdings = self.engine.holdings();
        // After the order to finish, the last connections may still be saying farewell.
        let ports = if told_to_finish { 0 } else { holdings.ports };
        if (Holdings { ports, ..holdings }) != Holdings::default() {
            truth.violate("with the last session, memory and ports go back", format!("{holdings:?}"));
        }
        let waiting = (backlog.sessions_behind, backlog.requests_waiting, backlog.bytes_waiting);
        if waiting != (0, 0, 0) {
            truth.violate("with the last session, nothing waits for a target", format!("{waiting:?}"));
        }
        let over = sessions.live == 0 && requests.in_progress == 0 && self.engine.is_idle() && timeout.is_none();
        if !over {
            let details = format!(
                "at {}: {} sessions live, {} requests in progress, idle {}, poll_timeout {timeout:?}",
                instant(now),
                sessions.live,
                requests.in_progress,
                self.engine.is_idle()
            );
            truth.violate("with the faults off, every session ends within its time limits", details);
        }
    }
}

/// What a record carries of a request and its answers lies within their lengths and the bounds. It is not kept: a run has
/// many records.
fn check_contents(record: &mut Record, limits: &Limits, truth: &mut Truth) {
    let Some(contents) = record.contents.take() else { return };
    let request = contents.request.len();
    let is_bounded = request as u64 <= record.request_bytes && request <= limits.request_kept_bytes;
    let answers = [&contents.origin, &contents.target];
    if !is_bounded || answers.iter().any(|said| said.body.len() as u64 > said.body_len) {
        let lengths = answers.map(|said| (said.body.len(), said.body_len));
        let details = format!("{request} of {} request bytes, answers {lengths:?}", record.request_bytes);
        truth.violate("contents lie within what was said", details);
    }
}
