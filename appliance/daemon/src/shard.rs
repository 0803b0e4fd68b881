//! A shard: one engine with its share of the mirror and of the target NIC, on one thread, run to completion.
//!
//! What the thread does is in `turn`, what it waits for between two turns in `wait` and
//! `rhythm`, what it tells of itself in `publish`; here is
//! the side that others hold. Orders come over a channel with an eventfd that ends the wait; once a second the shard publishes a
//! [`Snapshot`].

mod publish;
mod rhythm;
mod turn;
mod wait;

use crate::archive::Archiver;
use crate::capture::Progress;
use crate::clock::Clock;
use crate::learned::Learned;
use crate::nic::target::{TargetCounters, TargetNic};
use crate::observed::{Observed, Outcomes};
use crate::record::Recorder;
use crate::source::Source;
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tapcopy_engine::{Config, Engine, Ledger, Time};
use turn::Shard;

/// How long an answer of a shard is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
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
