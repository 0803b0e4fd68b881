//! The turns of a shard.
//!
//! One turn is a bounded batch of mirror frames, a bounded batch of target frames, the timers that are due, and the frames to
//! send. Unless a batch was full, the shard then waits (`wait`), and the next turn reads what has been named there: to look where
//! nothing is costs as many system calls as to read. No frame crosses a thread.
//!
//! The end: an order to stop, or the end of a capture. The mirror is read until it is empty, the engine is told to
//! finish, and the shard ends when the engine is idle, at the latest some time after the engine's own limit.

use super::publish::Published;
use super::rhythm::{Moved, Rhythm};
use super::wait::Ready;
use super::{Order, Parts, Snapshot};
use crate::archive::Archiver;
use crate::clock::Clock;
use crate::host;
use crate::nic::target::TargetNic;
use crate::observed::Observed;
use crate::overload::Overload;
use crate::record::Recorder;
use crate::source::Source;
use nix::sys::eventfd::EventFd;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tapcopy_engine::config::Service;
use tapcopy_engine::ledger::Recorded;
use tapcopy_engine::{Command, Config, Engine, Input, Output, Record, Time};

/// Frames of the mirror in one turn: some 0.2 ms of work, for which the target's answers wait.
const MIRROR_BATCH: usize = 256;
/// Batches of the target in one turn.
const TARGET_BATCHES: usize = 4;
/// How long what the mirror's ring still holds is read after the order to stop: its blocks retire within 1 ms, and at
/// full rate the ring is never empty.
const LAST_READ: Duration = Duration::from_millis(100);
/// How long the engine may take beyond the limit that it was given.
const OVERTIME: Duration = Duration::from_millis(700);

/// How far a shard is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Phase {
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

pub(super) struct Shard {
    pub(super) engine: Engine,
    pub(super) source: Source,
    pub(super) target: TargetNic,
    pub(super) recorder: Option<Recorder>,
    pub(super) archiver: Option<Archiver>,
    pub(super) clock: Clock,
    inbox: Receiver<Order>,
    pub(super) wake: Arc<EventFd>,
    pub(super) phase: Phase,
    pub(super) published: Published,
    pub(super) rhythm: Rhythm,
    pub(super) observed: Observed,
    /// What recordings that have ended wrote.
    pub(super) recorded: Recorded,
    overload: Overload,
}

impl Shard {
    pub(super) fn new(
        parts: Parts,
        inbox: Receiver<Order>,
        wake: Arc<EventFd>,
        snapshot: Arc<Mutex<Snapshot>>,
    ) -> Self {
        let now = parts.clock.now();
        let mut observed = Observed::default();
        observed.configure(&parts.config.services, 1);
        let processor = parts.is_pinned.then(|| host::pin(parts.number)).flatten();
        Self {
            engine: Engine::new(now, parts.config, parts.seed),
            source: parts.source,
            target: parts.target,
            recorder: parts.recorder,
            archiver: parts.archiver,
            clock: parts.clock,
            inbox,
            wake,
            phase: Phase::Running,
            published: Published::new(snapshot, now, processor),
            rhythm: Rhythm::default(),
            observed,
            recorded: Recorded::default(),
            overload: Overload::default(),
        }
    }

    pub(super) fn run(&mut self) {
        let mut ready = Ready::ALL;
        while !matches!(self.phase, Phase::Ended) {
            let is_all_read = self.turn(ready);
            // What a new phase is about may be there already, and then nothing comes to be waited for.
            let is_new_phase = self.change_phase();
            ready = if is_all_read && !is_new_phase { self.wait() } else { Ready::ALL };
        }
        self.target.flush(self.clock.now());
        self.publish(self.clock.now());
    }

    /// One turn; whether it has read all that there was.
    fn turn(&mut self, ready: Ready) -> bool {
        let sent_before = self.engine.ledger().target.frames_sent;
        self.obey();
        let mirrored = if ready.mirror { self.read_mirror() } else { 0 };
        self.note_load(mirrored);
        let mut received_bytes = 0;
        let is_target_read = !ready.target || self.read_target(&mut received_bytes);
        self.tick();
        let now = self.clock.now();
        self.target.flush(now);
        if self.source.is_live() {
            let ledger = self.engine.ledger();
            let (sent, in_progress) = (ledger.target.frames_sent - sent_before, ledger.requests.in_progress);
            let patience = if self.engine.is_replaying() { None } else { Some(self.source.patience()) };
            self.rhythm.note(
                now,
                Moved { mirrored, sent, received_bytes, in_progress },
                self.engine.backlog(),
                patience,
            );
        }
        if self.published.is_due(now) {
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

    /// Whether it has read all that there was, or all that can be taken now; counts the bytes.
    fn read_target(&mut self, received_bytes: &mut u64) -> bool {
        for _ in 0..TARGET_BATCHES {
            if self.target.is_backed_up() {
                return true;
            }
            let read_at = self.clock.now();
            let count = self.target.receive(read_at);
            for index in 0..count {
                // Frame by frame, because what the engine answers goes into the same NIC's queue.
                let Some((waited, bytes)) = self.target.received(index) else { break };
                *received_bytes += bytes.len() as u64;
                let now = self.clock.now();
                self.engine.handle_input(now, Input::Target { arrived_at: read_at - waited, bytes });
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

    /// Goes on to the next phase where it is time for it; whether it has.
    fn change_phase(&mut self) -> bool {
        let (now, before) = (self.clock.now(), std::mem::discriminant(&self.phase));
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
        std::mem::discriminant(&self.phase) != before
    }

    fn finish(&mut self, now: Time, limit: Duration) -> Phase {
        self.handle(Input::Command(Command::Finish { limit }));
        Phase::Finishing { until: now + limit + OVERTIME }
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
