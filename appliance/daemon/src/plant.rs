//! The shards of a run with all that they hold: set up, exchanged and torn down while the page goes on.
//!
//! A plant without shards is a box that waits for its first settings, or whose interfaces cannot be used at present. New
//! settings reach the running shards where they can; where they name other interfaces, change whose addresses are used or
//! record otherwise, new shards take the place of the old, which finish what is in flight. The new interfaces are opened
//! before the old shards are told, so that settings that cannot be used change nothing. Counters go on throughout.

use crate::archive::Archive;
use crate::clock::Clock;
use crate::fault::Fault;
use crate::nic::choice;
use crate::nic::interface::kernel_addresses;
use crate::nic::mirror::MirrorNic;
use crate::nic::target::TargetNic;
use crate::observed::Outcomes;
use crate::record::{self, Recorder, Recorders};
use crate::settings::Settings;
use crate::settings::document::{Document, Nics};
use crate::shard::{self, Handle, Order, Parts, Snapshot};
use crate::source::Source;
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tapcopy_engine::config::{FarEnd, Speed};
use tapcopy_engine::share::{Part, Share};
use tapcopy_engine::{Config, Ledger};

/// What requests in flight get when shards end.
pub const GRACE: Duration = Duration::from_secs(3);

/// The smallest ring of a mirror NIC.
const RING_BYTES_MIN: u32 = 1 << 20;

/// The shards of a run, shared by the main thread and the page.
pub struct Plant {
    clock: Clock,
    ended: Arc<EventFd>,
    works: Mutex<Works>,
    /// The data folder, where there is one: only there are exchanges recorded.
    data: OnceLock<PathBuf>,
    archive: OnceLock<Archive>,
    /// Why there is no archive although there should be one.
    archive_fault: Mutex<Option<String>>,
}

#[derive(Default)]
struct Works {
    running: Option<Running>,
    /// What shards that were exchanged have counted.
    before: Ledger,
    services_before: BTreeMap<String, Outcomes>,
    /// Nothing starts any more.
    is_closing: bool,
    /// The kill switch.
    is_stopped: bool,
    /// Why there are no shards although there are settings.
    fault: Option<String>,
}

/// Shards, and what they were started with.
struct Running {
    interfaces: Vec<record::Interface>,
    handles: Vec<Handle>,
    threads: Vec<JoinHandle<()>>,
    recorders: Option<Recorders>,
    document: Document,
    far_end: FarEnd,
    speed: Speed,
}

/// Settings that can be used, for their interfaces are open.
pub enum Prepared {
    /// The shards that run can take them.
    Configure,
    /// Shards have to be started.
    Start(Vec<Lane>),
}

/// What a shard reads and sends through, with filters for its share of the sessions.
pub struct Lane {
    /// Where frames come from.
    pub source: Source,
    /// Where they go.
    pub target: TargetNic,
}

impl Plant {
    /// A plant without shards.
    ///
    /// # Errors
    /// No descriptor is to be had.
    pub fn new(clock: Clock) -> Result<Self, Fault> {
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        let ended = EventFd::from_value_and_flags(0, flags);
        let ended = ended.map_err(|errno| Fault::system("make an event descriptor", errno))?;
        Ok(Self {
            clock,
            ended: Arc::new(ended),
            works: Mutex::default(),
            data: OnceLock::new(),
            archive: OnceLock::new(),
            archive_fault: Mutex::default(),
        })
    }

    /// Whether the shards that run can take settings; else others have to be started.
    pub fn can_take(&self, document: &Document) -> bool {
        let can_take = |running: &Running| starting(&running.document) == starting(document);
        self.works().running.as_ref().is_some_and(can_take)
    }

    /// Lets exchanges be recorded in this data folder from the next start of shards on.
    pub fn archive_in(&self, data: PathBuf) {
        let _ = self.data.set(data);
    }

    /// The records of exchanges, where they are kept.
    pub fn archive(&self) -> Option<&Archive> {
        self.archive.get()
    }

    /// Why they are not kept although they should be, or not at present: a sentence with the mend.
    pub fn archive_fault(&self) -> Option<String> {
        let of_opening = self.archive_fault.lock().unwrap_or_else(PoisonError::into_inner).clone();
        of_opening.or_else(|| self.archive()?.figures().fault)
    }

    /// The archive for these settings, opened where it is not. Without it the box does all else.
    fn archive_for(&self, settings: &Settings) -> Option<&Archive> {
        let data = self.data.get().filter(|_| settings.records.enabled)?;
        if let Some(archive) = self.archive.get() {
            archive.configure(settings.records.clone());
            return Some(archive);
        }
        let opened = Archive::open(data, settings.records.clone(), self.clock);
        let fault = opened.as_ref().err().map(|fault| {
            let path = data.join(crate::archive::FOLDER);
            format!("{}: {fault}; exchanges are not recorded, and replay goes on; look at the folder", path.display())
        });
        fault.iter().for_each(|fault| log::error!("records: {fault}"));
        *self.archive_fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
        opened.ok().map(|archive| self.archive.get_or_init(|| archive))
    }

    /// Opens what these settings need beyond what runs.
    ///
    /// # Errors
    /// An interface cannot be used; nothing has changed.
    pub fn prepare(&self, settings: &Settings) -> Result<Prepared, Fault> {
        if self.can_take(&settings.document) { Ok(Prepared::Configure) } else { Self::prepare_anew(settings) }
    }

    /// Opens all that these settings need, for shards that take the place of those that run.
    ///
    /// # Errors
    /// An interface cannot be used; nothing has changed.
    pub fn prepare_anew(settings: &Settings) -> Result<Prepared, Fault> {
        if let Some((_, fault)) = choice::faults(&settings.document.nics).into_iter().next() {
            return Err(fault.into());
        }
        Ok(Prepared::Start(parts(settings.shards).map(|part| lane(settings, part)).collect::<Result<_, _>>()?))
    }

    /// Puts prepared settings into force. Only one thread may be here or in [`Plant::prepare`]. It takes as long as the old
    /// shards need to finish.
    ///
    /// # Errors
    /// A descriptor or a thread is not to be had, or recording cannot start.
    pub fn enter(&self, prepared: Prepared, settings: &Settings, speed: Speed) -> Result<(), Fault> {
        match prepared {
            Prepared::Configure => self.configure(settings),
            Prepared::Start(lanes) => {
                self.retire();
                self.start(lanes, settings, speed)
            }
        }
    }

    /// Ends the shards: there are no settings any more.
    pub fn rest(&self) {
        self.retire();
        self.fail(None);
    }

    /// Remembers why the settings cannot be used at present.
    pub fn fail(&self, fault: Option<String>) {
        self.works().fault = fault;
    }

    /// Why they cannot.
    pub fn fault(&self) -> Option<String> {
        self.works().fault.clone()
    }

    /// How many shards there are.
    pub fn shards(&self) -> usize {
        self.works().running.as_ref().map_or(0, |running| running.handles.len())
    }

    /// The kill switch: stops or starts the replay; capture and its counters go on.
    pub fn replay(&self, on: bool) {
        let mut works = self.works();
        works.is_stopped = !on;
        works.order(|| Order::Replay(on));
    }

    /// Whether the kill switch is thrown.
    pub fn is_stopped(&self) -> bool {
        self.works().is_stopped
    }

    /// The mirror NICs of the shards that run, as recordings name them.
    pub fn interfaces(&self) -> Vec<record::Interface> {
        self.works().running.as_ref().map(|running| running.interfaces.clone()).unwrap_or_default()
    }

    /// The shards that run.
    pub fn handles(&self) -> Vec<Handle> {
        self.works().running.as_ref().map(|running| running.handles.clone()).unwrap_or_default()
    }

    /// One snapshot of all shards, with what earlier ones counted.
    pub fn total(&self) -> Snapshot {
        let works = self.works();
        let mut total = works.running.as_ref().map_or_else(
            || Snapshot { at: self.clock.now(), ..Snapshot::default() },
            |running| shard::total(&running.handles),
        );
        total.ledger += &works.before;
        for (name, outcomes) in &works.services_before {
            total.services.entry(name.clone()).or_default().add(*outcomes);
        }
        total
    }

    /// Raised when shards have ended.
    pub fn ended(&self) -> &EventFd {
        &self.ended
    }

    /// Whether a shard has ended by itself.
    pub fn has_ended(&self) -> bool {
        self.works().running.as_ref().is_some_and(|running| running.ends().any(|has_ended| has_ended))
    }

    /// Begins the end: nothing starts any more, and shards finish. Whether they have.
    pub fn close(&self) -> bool {
        let mut works = self.works();
        if !works.is_closing {
            works.is_closing = true;
            works.order(|| Order::Stop { limit: GRACE });
        }
        works.running.as_ref().is_none_or(|running| running.ends().all(|has_ended| has_ended))
    }

    /// Waits for the end of what runs: the whole ledger, and the numbers of the shards that died of a defect.
    pub fn finish(&self) -> (Ledger, Vec<usize>) {
        let dead = self.retire();
        self.archive.get().into_iter().for_each(Archive::finish);
        (self.works().before.clone(), dead)
    }

    fn works(&self) -> MutexGuard<'_, Works> {
        self.works.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn configure(&self, settings: &Settings) -> Result<(), Fault> {
        let kernel = kernel_addresses()?;
        let contents = self.archive_for(settings).map(|_| settings.records.sample);
        let mut works = self.works();
        let replay = !works.is_stopped;
        let Some(running) = &mut works.running else { return Ok(()) };
        for (shard, part) in running.handles.iter().zip(parts(running.handles.len() as u16)) {
            let config = settings.config(running.far_end, settings.share(part), &kernel, running.speed, replay);
            let config = Box::new(Config { contents, ..config });
            shard.order(Order::Configure { config, filter: settings.filter.clone() });
        }
        running.document = settings.document.clone();
        log::info!("new settings: {} services", settings.services.len());
        Ok(())
    }

    /// Starts the shards, one for each lane, where none run.
    ///
    /// # Errors
    /// As [`Plant::enter`].
    pub fn start(&self, lanes: Vec<Lane>, settings: &Settings, speed: Speed) -> Result<(), Fault> {
        let Some(Lane { source, target }) = lanes.first() else { return Ok(()) };
        let interfaces: Vec<record::Interface> = match source {
            // All of them are open: they have just been.
            Source::Live(mirrors) => mirrors.iter().filter_map(MirrorNic::interface).collect(),
            Source::Playback(_) => Vec::new(),
        };
        let recording = settings.record.as_ref().filter(|_| source.is_live());
        let recording = recording.map(|recording| record::start(recording, interfaces.clone())).transpose()?;
        let far_end = FarEnd::Wire { mac: target.mac(), mtu: target.mtu(), vlan: settings.target_vlan };
        let kernel = kernel_addresses()?;
        let (mut recorder, recorders) = recording.unzip();
        recorder.iter_mut().for_each(|recorder| recorder.configure(&settings.services));
        let archive = self.archive_for(settings);
        let contents = archive.map(|_| settings.records.sample);
        let mut works = self.works();
        if works.is_closing {
            return Ok(());
        }
        let parts_of = |part: Part, Lane { source, target }| {
            let config = settings.config(far_end, settings.share(part), &kernel, speed, !works.is_stopped);
            let archiver = archive.map(|archive| archive.archiver(&settings.services));
            // The last gets the one from which the others were made.
            let recorder =
                if part.index + 1 < part.of { recorder.as_ref().map(Recorder::another) } else { recorder.take() };
            let config = Config { contents, ..config };
            let (number, is_pinned) = (part.index.into(), !part.is_all());
            let (clock, ended) = (self.clock, self.ended.clone());
            let seed = seed()?;
            Ok(Parts { number, is_pinned, source, target, recorder, archiver, config, seed, clock, ended })
        };
        let (handles, threads) = start_each(lanes, parts_of)?.into_iter().unzip();
        let document = settings.document.clone();
        works.running = Some(Running { interfaces, handles, threads, recorders, document, far_end, speed });
        works.fault = None;
        Ok(())
    }

    /// Ends the shards that run and keeps what they counted; those that died of a defect.
    fn retire(&self) -> Vec<usize> {
        let (threads, recorders) = {
            let mut works = self.works();
            works.order(|| Order::Stop { limit: GRACE });
            let Some(running) = &mut works.running else { return Vec::new() };
            (std::mem::take(&mut running.threads), running.recorders.take())
        };
        // Meanwhile the page can read what they last published.
        let dead = threads.into_iter().enumerate().filter_map(|(number, thread)| thread.join().err().map(|_| number));
        let dead = dead.collect();
        let recorded = recorders.map(Recorders::finish);
        let mut works = self.works();
        if let Some(running) = works.running.take() {
            let Snapshot { mut ledger, services, .. } = shard::total(&running.handles);
            ledger.record = recorded.unwrap_or(ledger.record);
            works.before += &ledger;
            services
                .into_iter()
                .for_each(|(name, outcomes)| works.services_before.entry(name).or_default().add(outcomes));
        }
        dead
    }
}

impl Running {
    /// Of each shard that is not retired whether it has ended.
    fn ends(&self) -> impl Iterator<Item = bool> {
        self.threads.iter().zip(&self.handles).map(|(_, handle)| handle.has_ended())
    }
}

impl Works {
    fn order(&self, order: impl Fn() -> Order) {
        self.running.iter().flat_map(|running| &running.handles).for_each(|shard| shard.order(order()));
    }
}

/// The part of the settings that shards are started with.
fn starting(document: &Document) -> impl PartialEq {
    let nics = Nics { filter: None, ..document.nics.clone() };
    let shared = (document.shard.clone(), document.shards.clone());
    (nics, shared, document.addressing.mode.clone(), document.record.clone(), document.records.enabled)
}

/// Starts a shard for each lane, or none.
fn start_each(
    lanes: Vec<Lane>,
    mut parts_of: impl FnMut(Part, Lane) -> Result<Parts, Fault>,
) -> Result<Vec<(Handle, JoinHandle<()>)>, Fault> {
    let mut started: Vec<(Handle, JoinHandle<()>)> = Vec::new();
    for (part, lane) in parts(lanes.len() as u16).zip(lanes) {
        let shard = parts_of(part, lane)
            .and_then(|parts| shard::start(parts).map_err(|fault| Fault::system("start a thread", fault)));
        match shard {
            Ok(shard) => started.push(shard),
            Err(fault) => {
                started.iter().for_each(|(handle, _)| handle.order(Order::Stop { limit: Duration::ZERO }));
                return Err(fault);
            }
        }
    }
    Ok(started)
}

/// So many parts of a whole.
fn parts(of: u16) -> impl Iterator<Item = Part> {
    (0..of).map(move |index| Part { index, of })
}

/// Opens all NICs that settings name, for one shard.
fn lane(settings: &Settings, part: Part) -> Result<Lane, Fault> {
    let share = settings.share(part);
    let target = open_target(settings, share)?;
    // All rings together have the size of the settings, but each has room for some blocks.
    let buffer_bytes = (settings.buffer_bytes / u32::from(part.of)).max(RING_BYTES_MIN);
    let open =
        |name: &String| MirrorNic::open(name, buffer_bytes, &settings.services, settings.filter.as_deref(), share);
    let mirrors = settings.mirror.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    Ok(Lane { source: Source::Live(mirrors), target })
}

/// Opens the target NIC that settings name, for a share of the sessions.
///
/// # Errors
/// It cannot be used.
pub fn open_target(settings: &Settings, share: Share) -> Result<TargetNic, Fault> {
    // Settings for a run or a replay name one.
    Ok(TargetNic::open(settings.target.as_deref().unwrap_or_default(), &settings.addressing, share)?)
}

fn seed() -> Result<u64, Fault> {
    getrandom::u64().map_err(|fault| Fault::system("draw a random seed", std::io::Error::other(fault)))
}

#[cfg(test)]
impl Plant {
    /// A plant that takes settings as if shards ran with these.
    pub(crate) fn played(settings: &Settings) -> Self {
        let plant = Self::new(Clock::start()).unwrap();
        plant.works().running = Some(Running {
            interfaces: Vec::new(),
            handles: Vec::new(),
            threads: Vec::new(),
            recorders: None,
            document: settings.document.clone(),
            far_end: FarEnd::Rehearsal,
            speed: Speed::Times(1.0),
        });
        plant
    }
}
