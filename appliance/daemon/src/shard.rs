//! A shard: one engine with its share of the mirror and of the target NIC, on one thread, run to completion.
//!
//! One turn is a bounded batch of mirror frames, a bounded batch of target frames, the timers that are due, and the
//! frames to send. Unless a batch was full, poll(2) then waits for the next descriptor or timer, and the next turn reads what
//! it has named: to look where nothing is costs as many system calls as to read. No frame crosses a thread.
//! Orders come over a channel with an eventfd that ends the wait; once a second the shard publishes a [`Snapshot`].
//!
//! The end: an order to stop, or the end of a capture. The mirror is read until it is empty, the engine is told to
//! finish, and the shard ends when the engine is idle, at the latest some time after the engine's own limit.

use crate::archive::Archiver;
use crate::capture::Progress;
use crate::clock::{self, Clock};
use crate::host;
use crate::learned::Learned;
use crate::nic::mirror::Losses;
use crate::nic::target::{TargetCounters, TargetNic};
use crate::observed::{Observed, Outcomes};
use crate::overload::Overload;
use crate::record::Recorder;
use crate::source::Source;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tapcopy_engine::config::Service;
use tapcopy_engine::ledger::{NotReplayed, Reason, Recorded};
use tapcopy_engine::{Command, Config, Engine, Input, Ledger, Output, Record, Time};
use tapcopy_machine::memory;

/// Frames of the mirror in one turn: some 0.2 ms of work, for which the target's answers wait.
const MIRROR_BATCH: usize = 256;
/// Batches of the target in one turn.
const TARGET_BATCHES: usize = 4;
/// How often the ledger is published.
const PUBLISH_EVERY: Duration = Duration::from_secs(1);
/// How soon sending is tried again when the kernel had no room, which it does not tell the end of.
const RETRY_SEND: Duration = Duration::from_millis(1);
/// How long what the mirror's ring still holds is read after the order to stop: its blocks retire within 1 ms, and at
/// full rate the ring is never empty.
const LAST_READ: Duration = Duration::from_millis(100);
/// How long an answer of a shard is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the engine may take beyond the limit that it was given.
const OVERTIME: Duration = Duration::from_millis(700);

/// What a shard says of itself.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The ledger, with the driver's losses filled in.
    pub ledger: Ledger,
    /// When it was taken.
    pub at: Time,
    /// Losses on the target NIC.
    pub target: TargetCounters,
    /// Whether replay was stopped because the box saw its own frames on the mirror.
    pub loop_alarm: bool,
    /// How much of the captures has been read, where there are any.
    pub progress: Option<Progress>,
    /// What was learned about endpoints.
    pub learned: Arc<Learned>,
    /// Addresses that the box may not use because somebody else on the targets' link has them.
    pub address_conflicts: BTreeMap<IpAddr, [u8; 6]>,
    /// Outcomes by service.
    pub services: BTreeMap<String, Outcomes>,
    /// The processor that the shard's thread keeps to, where it does.
    pub processor: Option<usize>,
    /// The part of the last second in which the thread was at work.
    pub load: f64,
}

impl Snapshot {
    /// The conflicts, one sentence each with the mend.
    pub fn conflict_sentences(&self) -> Vec<String> {
        self.address_conflicts.iter().map(|(address, mac)| conflict(*address, *mac)).collect()
    }
}

fn conflict(address: IpAddr, mac: [u8; 6]) -> String {
    let mac = mac.map(|byte| format!("{byte:02x}")).join(":");
    format!(
        "{address} is held by {mac} on the target NIC's link, and no session can use it; take it out of the settings' \
         [addressing], or take that machine off the link"
    )
}

/// What a shard is told.
pub enum Order {
    /// Exchange the services, in the engine and in the mirror's filter.
    Configure {
        /// For the engine.
        config: Box<Config>,
        /// For the mirror.
        filter: Option<String>,
    },
    /// The kill switch: stop or start the replay.
    Replay(bool),
    /// A question about what the shard knows; it must not take long.
    Ask(Question),
    /// Records the mirror from now on, or no more.
    Record(Option<Box<Recorder>>),
    /// End: capture stops, what is in flight gets this time.
    Stop {
        /// The longest that an exchange is waited for.
        limit: Duration,
    },
}

/// Looks at the engine and at what was observed, at this time.
pub type Question = Box<dyn FnOnce(&Engine, &Observed, Time) + Send>;

/// The side of a shard that other threads hold.
#[derive(Clone)]
pub struct Handle {
    orders: Sender<Order>,
    wake: Arc<EventFd>,
    snapshot: Arc<Mutex<Snapshot>>,
    has_ended: Arc<AtomicBool>,
}

impl Handle {
    /// Whether the shard has ended, however it did. Its thread may still be on its last instructions.
    pub fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }

    /// Gives an order; one to a shard that has ended is lost, as it should be.
    pub fn order(&self, order: Order) {
        if self.orders.send(order).is_ok() {
            // It fails only when so many wakes wait that one more makes no difference.
            let _ = self.wake.write(1);
        }
    }

    /// Asks the shard; no answer if it has ended or is stuck.
    pub fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Engine, &Observed, Time) -> T + Send + 'static,
    ) -> Option<T> {
        let (reply, answer) = channel();
        self.order(Order::Ask(Box::new(move |engine, observed, now| {
            let _ = reply.send(question(engine, observed, now));
        })));
        answer.recv_timeout(PATIENCE).ok()
    }

    /// The last published snapshot.
    pub fn snapshot(&self) -> Snapshot {
        self.snapshot.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One snapshot for all shards.
pub fn total(shards: &[Handle]) -> Snapshot {
    let mut total = Snapshot::default();
    for shard in shards {
        let snapshot = shard.snapshot();
        total.ledger += &snapshot.ledger;
        // The box is as fresh as its slowest shard.
        total.at = if total.at == Time::ZERO { snapshot.at } else { total.at.min(snapshot.at) };
        total.target.frames_unsent += snapshot.target.frames_unsent;
        total.target.frames_dropped_kernel += snapshot.target.frames_dropped_kernel;
        total.loop_alarm |= snapshot.loop_alarm;
        total.progress = total.progress.or(snapshot.progress);
        total.address_conflicts.extend(snapshot.address_conflicts);
        for (name, outcomes) in snapshot.services {
            total.services.entry(name).or_default().add(outcomes);
        }
        Arc::make_mut(&mut total.learned).extend(&snapshot.learned);
    }
    total.ledger.findings = total.learned.findings.len() as u64;
    total
}

/// The name of a shard's thread.
pub fn thread_name(number: usize) -> String {
    format!("shard-{number}")
}

/// What a shard is made of.
pub struct Parts {
    /// Its number, from 0.
    pub number: usize,
    /// Whether its thread keeps to one processor: one of several does, so that each has its own and what it holds in the cache.
    pub is_pinned: bool,
    /// Where mirrored frames come from.
    pub source: Source,
    /// Where the replay goes.
    pub target: TargetNic,
    /// Who records the mirror, if anyone.
    pub recorder: Option<Recorder>,
    /// Who keeps a record of each exchange, if anyone.
    pub archiver: Option<Archiver>,
    /// For its engine.
    pub config: Config,
    /// For its engine.
    pub seed: u64,
    /// The box's clock.
    pub clock: Clock,
    /// Raised when the shard has ended, however it did.
    pub ended: Arc<EventFd>,
}

/// Starts a shard on a thread of its own.
///
/// # Errors
/// No descriptor or no thread is to be had.
pub fn start(parts: Parts) -> std::io::Result<(Handle, JoinHandle<()>)> {
    let (orders, inbox) = channel();
    let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
    let wake = Arc::new(EventFd::from_value_and_flags(0, flags)?);
    let snapshot = Arc::new(Mutex::new(Snapshot { at: parts.clock.now(), ..Snapshot::default() }));
    let has_ended = Arc::new(AtomicBool::new(false));
    let handle = Handle { orders, wake: wake.clone(), snapshot: snapshot.clone(), has_ended: has_ended.clone() };
    let thread = std::thread::Builder::new().name(thread_name(parts.number)).spawn(move || {
        let _ended = Raise { has_ended, ended: parts.ended.clone() };
        Shard::new(parts, inbox, wake, snapshot).run();
    })?;
    Ok((handle, thread))
}

/// Tells the end when it goes, also in a panic. Who is woken must find the shard ended, or he would wait for ever.
struct Raise {
    has_ended: Arc<AtomicBool>,
    ended: Arc<EventFd>,
}

impl Drop for Raise {
    fn drop(&mut self) {
        self.has_ended.store(true, Ordering::Release);
        let _ = self.ended.write(1);
    }
}

/// How far a shard is.
#[derive(Clone, Copy, Debug)]
enum Phase {
    Running,
    /// No new frames, but those that the source holds, up to `until`.
    Draining {
        until: Time,
        limit: Duration,
    },
    /// The engine finishes; `until` is the end, whatever it says.
    Finishing {
        until: Time,
    },
    Ended,
}

/// Where frames may have come.
#[derive(Clone, Copy, Debug)]
struct Ready {
    mirror: bool,
    target: bool,
}

impl Ready {
    const ALL: Self = Self { mirror: true, target: true };
}

struct Shard {
    engine: Engine,
    source: Source,
    target: TargetNic,
    recorder: Option<Recorder>,
    archiver: Option<Archiver>,
    clock: Clock,
    inbox: Receiver<Order>,
    wake: Arc<EventFd>,
    snapshot: Arc<Mutex<Snapshot>>,
    phase: Phase,
    publish_at: Time,
    published_at: Time,
    processor: Option<usize>,
    /// What the thread had worked when it last published.
    worked: Duration,
    has_alarmed: bool,
    has_named_tls: bool,
    observed: Observed,
    /// What recordings that have ended wrote.
    recorded: Recorded,
    /// Conflicts that the log has named.
    conflicts: BTreeMap<IpAddr, [u8; 6]>,
    overload: Overload,
}

impl Shard {
    fn new(parts: Parts, inbox: Receiver<Order>, wake: Arc<EventFd>, snapshot: Arc<Mutex<Snapshot>>) -> Self {
        let now = parts.clock.now();
        let mut observed = Observed::default();
        observed.configure(&parts.config.services, 1);
        Self {
            engine: Engine::new(now, parts.config, parts.seed).forgetting_by(memory::forget),
            source: parts.source,
            target: parts.target,
            recorder: parts.recorder,
            archiver: parts.archiver,
            clock: parts.clock,
            inbox,
            wake,
            snapshot,
            phase: Phase::Running,
            publish_at: now + PUBLISH_EVERY,
            published_at: now,
            processor: parts.is_pinned.then(|| host::pin(parts.number)).flatten(),
            worked: Duration::ZERO,
            has_alarmed: false,
            has_named_tls: false,
            observed,
            recorded: Recorded::default(),
            conflicts: BTreeMap::new(),
            overload: Overload::default(),
        }
    }

    fn run(&mut self) {
        let mut ready = Ready::ALL;
        while !matches!(self.phase, Phase::Ended) {
            let is_all_read = self.turn(ready);
            self.change_phase();
            ready = if is_all_read { self.wait() } else { Ready::ALL };
        }
        self.target.flush(self.clock.now());
        self.publish(self.clock.now());
    }

    /// One turn; whether it has read all that there was.
    fn turn(&mut self, ready: Ready) -> bool {
        self.obey();
        let mirrored = if ready.mirror { self.read_mirror() } else { 0 };
        self.note_load(mirrored);
        let is_target_read = !ready.target || self.read_target();
        self.tick();
        let now = self.clock.now();
        self.target.flush(now);
        if now >= self.publish_at {
            self.publish(now);
        }
        is_target_read && mirrored < self.source.full_read(MIRROR_BATCH)
    }

    /// A target NIC that takes no more keeps the mirror waiting, too.
    fn note_load(&mut self, mirrored: usize) {
        let is_full = self.source.is_live() && (mirrored >= MIRROR_BATCH || self.target.is_backed_up());
        if let Some(is_overloaded) = self.overload.note(self.clock.now(), is_full) {
            self.handle(Input::Command(Command::Overload(is_overloaded)));
        }
    }

    fn obey(&mut self) {
        while let Ok(order) = self.inbox.try_recv() {
            match order {
                Order::Configure { config, filter } => self.configure(config, filter.as_deref()),
                Order::Replay(true) => self.handle(Input::Command(Command::StartReplay)),
                Order::Replay(false) => self.handle(Input::Command(Command::StopReplay)),
                Order::Ask(question) => question(&self.engine, &self.observed, self.clock.now()),
                Order::Record(recorder) => self.exchange_recorder(recorder.map(|recorder| *recorder)),
                Order::Stop { limit } => self.drain(limit),
            }
        }
    }

    fn configure(&mut self, config: Box<Config>, filter: Option<&str>) {
        let services: Vec<Service> = config.services.clone();
        let next_session = self.engine.next_session();
        self.recorder.iter_mut().for_each(|recorder| recorder.configure(&services));
        self.archiver.iter_mut().for_each(|archiver| archiver.configure(&services, next_session));
        self.observed.configure(&services, next_session);
        self.handle(Input::Command(Command::Configure(config)));
        if let Err(fault) = self.source.watch(&services, filter) {
            log::error!("{fault}");
        }
    }

    fn exchange_recorder(&mut self, recorder: Option<Recorder>) {
        if let Some(mut earlier) = std::mem::replace(&mut self.recorder, recorder) {
            earlier.flush();
            self.recorded += &earlier.recorded();
        }
    }

    fn drain(&mut self, limit: Duration) {
        let now = self.clock.now();
        self.phase = match self.phase {
            Phase::Running if self.source.is_live() => Phase::Draining { until: now + LAST_READ, limit },
            Phase::Running => self.finish(now, limit),
            later => later,
        }
    }

    fn read_mirror(&mut self) -> usize {
        if self.target.is_backed_up() || matches!(self.phase, Phase::Finishing { .. }) {
            return 0;
        }
        let (now, clock) = (self.clock.now(), self.clock);
        let backlog = self.engine.backlog();
        let (engine, target, recorder) = (&mut self.engine, &mut self.target, &mut self.recorder);
        let archiver = &mut self.archiver;
        let observed = &mut self.observed;
        self.source.read(now, MIRROR_BATCH, backlog, |nic, input| {
            let frame = if let Input::Mirror(frame) = &input { Some(*frame) } else { None };
            // When a request is sent counts as the beginning of the target's time.
            let now = clock.now();
            engine.handle_input(now, input);
            if let (Some(recorder), Some(frame), Some(service)) = (&mut *recorder, frame, engine.mirrored_service()) {
                recorder.record(nic, &frame, service);
            }
            take_outputs(engine, target, archiver, observed, now);
            engine.backlog()
        })
    }

    /// Whether it has read all that there was, or all that can be taken now.
    fn read_target(&mut self) -> bool {
        for _ in 0..TARGET_BATCHES {
            if self.target.is_backed_up() {
                return true;
            }
            let now = self.clock.now();
            let count = self.target.receive(now);
            for index in 0..count {
                // Frame by frame, because what the engine answers goes into the same NIC's queue.
                let Some((waited, bytes)) = self.target.received(index) else { break };
                let now = self.clock.now();
                self.engine.handle_input(now, Input::Target { arrived_at: now - waited, bytes });
                take_outputs(&mut self.engine, &mut self.target, &mut self.archiver, &mut self.observed, now);
            }
            if count < TargetNic::BATCH {
                return true;
            }
        }
        false
    }

    fn tick(&mut self) {
        if self.engine.poll_timeout().is_some_and(|due| due <= self.clock.now()) {
            self.handle(Input::Tick);
        }
    }

    fn handle(&mut self, input: Input<'_>) {
        let now = self.clock.now();
        self.engine.handle_input(now, input);
        take_outputs(&mut self.engine, &mut self.target, &mut self.archiver, &mut self.observed, now);
    }

    fn change_phase(&mut self) {
        let now = self.clock.now();
        self.phase = match self.phase {
            Phase::Running => match self.source.ended() {
                Some(limit) => self.finish(now, limit),
                None => Phase::Running,
            },
            // A ring's last block retires within a millisecond, so one empty turn is not the end of it.
            Phase::Draining { until, limit } if now >= until => self.finish(now, limit),
            Phase::Finishing { .. } if self.engine.is_idle() && !self.target.has_waiting() => Phase::Ended,
            Phase::Finishing { until } if now >= until => {
                let left = self.engine.ledger().requests.in_progress;
                log::error!("the engine did not finish in time and leaves {left} requests; please report it");
                Phase::Ended
            }
            same => same,
        };
    }

    fn finish(&mut self, now: Time, limit: Duration) -> Phase {
        self.handle(Input::Command(Command::Finish { limit }));
        Phase::Finishing { until: now + limit + OVERTIME }
    }

    fn publish(&mut self, now: Time) {
        let load = self.load_until(now);
        self.publish_at = now + PUBLISH_EVERY;
        let Losses { kernel, nic } = self.source.losses();
        let mut ledger = self.engine.ledger().clone();
        (ledger.frames.dropped_kernel, ledger.frames.dropped_nic) = (kernel, nic);
        self.archiver.iter_mut().for_each(Archiver::flush);
        if let Some(recorder) = &mut self.recorder {
            recorder.flush();
            ledger.record = recorder.recorded();
        }
        ledger.record += &self.recorded;
        let learned = Arc::new(Learned::of(&self.engine));
        ledger.findings = learned.findings.len() as u64;
        if let Some(law) = ledger.broken_law() {
            log::error!("{law}; the ledger has a defect, please report it");
        }
        let loop_alarm = self.engine.loop_alarm();
        if loop_alarm && !self.has_alarmed {
            log::error!(
                "the mirror shows the box's own frames and replay has stopped; take the target's port out of it"
            );
        }
        self.has_alarmed = loop_alarm;
        let encrypted = NotReplayed::TlsEncrypted;
        if !self.has_named_tls && ledger.requests.not_replayed.of(encrypted) > 0 {
            log::warn!("{}", encrypted.sentence());
            self.has_named_tls = true;
        }
        let progress = self.source.progress();
        let address_conflicts: BTreeMap<_, _> = self.engine.address_conflicts().collect();
        for (address, mac) in address_conflicts.iter().filter(|(address, _)| !self.conflicts.contains_key(*address)) {
            log::error!("{}", conflict(*address, *mac));
        }
        self.conflicts.clone_from(&address_conflicts);
        let target = self.target.counters();
        let services = self.observed.outcomes();
        let processor = self.processor;
        let snapshot = Snapshot {
            ledger,
            at: now,
            target,
            loop_alarm,
            progress,
            learned,
            address_conflicts,
            services,
            processor,
            load,
        };
        *self.snapshot.lock().unwrap_or_else(PoisonError::into_inner) = snapshot;
    }

    /// The part of the time since it was last published in which this thread worked.
    fn load_until(&mut self, now: Time) -> f64 {
        let worked = clock::thread_time();
        let passed = now.since(self.published_at).as_secs_f64();
        let load = worked.saturating_sub(self.worked).as_secs_f64() / passed.max(0.001);
        (self.worked, self.published_at) = (worked, now);
        load.min(1.0)
    }

    /// Waits for a frame, an order or the next time that something is due; what is to be read then. What cannot be waited for is
    /// looked at each time: a lost interface, captures.
    fn wait(&self) -> Ready {
        let now = self.clock.now();
        let timeout = self.next_due(now).since(now);
        let timeout = TimeSpec::from_duration(timeout);
        let readable = |fd| PollFd::new(fd, PollFlags::POLLIN);
        let mut descriptors = vec![readable(self.wake.as_fd())];
        let is_read = !self.target.is_backed_up();
        let is_captured = is_read && !matches!(self.phase, Phase::Finishing { .. });
        if is_read {
            descriptors.push(readable(self.target.descriptor()));
        }
        if is_captured {
            descriptors.extend(self.source.descriptors().map(readable));
        }
        // An interrupted wait is a short one, which the loop bears.
        let _ = ppoll(&mut descriptors, Some(timeout), None);
        let has_come = |descriptor: &PollFd<'_>| descriptor.any().unwrap_or(true);
        if has_come(&descriptors[0]) {
            let _ = self.wake.read();
        }
        // That an interface has gone is told once, when libpcap may still find it there; it says so where it is asked again.
        if self.clock.now() >= self.publish_at {
            return Ready::ALL;
        }
        Ready {
            target: !is_read || has_come(&descriptors[1]),
            mirror: !is_captured || !self.source.can_be_waited_for() || descriptors[2..].iter().any(has_come),
        }
    }

    fn next_due(&self, now: Time) -> Time {
        let retry = self.target.has_waiting().then(|| now + RETRY_SEND);
        let phase = match self.phase {
            Phase::Draining { until, .. } | Phase::Finishing { until } => Some(until),
            Phase::Running | Phase::Ended => None,
        };
        let source = if matches!(self.phase, Phase::Finishing { .. }) { None } else { self.source.next_due(now) };
        let all = [Some(self.publish_at), self.engine.poll_timeout(), source, retry, phase];
        all.into_iter().flatten().min().unwrap_or(now)
    }
}

/// Takes what the engine has to say after an input.
fn take_outputs(
    engine: &mut Engine,
    target: &mut TargetNic,
    archiver: &mut Option<Archiver>,
    observed: &mut Observed,
    now: Time,
) {
    while let Some(output) = engine.poll_output() {
        match output {
            Output::Transmit(frame) => target.transmit(now, frame),
            Output::Record(record) => {
                trace(&record);
                observed.note(&record);
                if let Some(archiver) = archiver {
                    archiver.push(record);
                }
            }
        }
    }
}

fn trace(record: &Record) {
    log::trace!(
        "session {} exchange {}: {} to {}: {:?}",
        record.session,
        record.exchange,
        record.client,
        record.origin,
        record.outcome
    );
}
