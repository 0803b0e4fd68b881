//! `tapcopy run` and `tapcopy replay`: shards on a NIC, from their opening to the ledger at the end.

use crate::cli::{Origin, ReplayArgs, RunArgs};
use crate::clock::Clock;
use crate::desk::Desk;
use crate::fault::Fault;
use crate::nic::interface::kernel_addresses;
use crate::nic::mirror::MirrorNic;
use crate::nic::target::TargetNic;
use crate::playback::Playback;
use crate::progress::Bar;
use crate::record::{self, Recorder, Recorders};
use crate::settings::{Document, FieldFault, Format, Purpose, Settings, SettingsFaults};
use crate::shard::{self, Handle, Order, Parts};
use crate::signals::{Event, Signals};
use crate::source::Source;
use crate::store::{self, DEFAULT_DATA, Store};
use crate::summary::{self, Destination};
use crate::web;
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tapcopy_engine::config::{FarEnd, Speed};

/// What requests in flight get when a signal ends the run.
const GRACE: Duration = Duration::from_secs(3);

/// Signals within this time are one: `sudo` and `timeout` pass on what the terminal or they themselves have already sent to
/// the whole group.
const ONE_SIGNAL: Duration = Duration::from_millis(300);

/// Reads and checks settings from a file or from the short flags.
///
/// # Errors
/// There are none, or they have faults.
pub fn load(origin: &Origin, purpose: Purpose) -> Result<Settings, Fault> {
    match origin {
        Origin::File(path) => read(path, purpose),
        Origin::Flags(document) => {
            Ok(Settings::parse(Document::clone(document), purpose).map_err(SettingsFaults::by_flag)?)
        }
        Origin::None => Err(Fault::Usage(purpose.mend().to_owned())),
    }
}

fn read(path: &Path, purpose: Purpose) -> Result<Settings, Fault> {
    let text = std::fs::read_to_string(path).map_err(|fault| {
        let message = format!("{}: {fault}; name a settings file that you may read", path.display());
        SettingsFaults(vec![FieldFault { field: "--settings".to_owned(), message }])
    })?;
    let is_json = path.extension().is_some_and(|extension| extension == "json");
    Ok(Settings::read(&text, if is_json { Format::Json } else { Format::Toml }, purpose)?)
}

/// Runs the appliance until a signal ends it.
///
/// # Errors
/// It cannot start, a shard died, or the summary cannot be written.
pub fn run(args: &RunArgs) -> Result<(), Fault> {
    // Before sled or anything else starts a thread.
    let signals = Signals::collect().map_err(|source| Fault::system("collect signals", source))?;
    let summary = args.summary.summary.as_ref();
    summary.map_or(Ok(()), Destination::check)?;
    let listener = web::listen(args.listen)?;
    let (settings, store) = settings_of_run(args)?;
    let clock = Clock::start();
    let target = open_target(&settings)?;
    let open =
        |name: &String| MirrorNic::open(name, settings.buffer_bytes, &settings.services, settings.filter.as_deref());
    let mirrors = settings.mirror.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    // Only a box that can start leaves anything in a data folder.
    let store = store_of_run(args, store)?;
    let token = claim(args, store.is_some())?;
    let far_end = far_end(&target, &settings);
    let recording = settings.record.as_ref().map(|recording| {
        // All of them are open: they have just been.
        record::start(recording, mirrors.iter().filter_map(MirrorNic::interface).collect())
    });
    let recording = recording.transpose()?;
    let shards = Shards::start(&settings, Source::Live(mirrors), target, recording, Speed::Times(1.0), clock)?;
    let desk = Desk::new(token, store, &settings, shards.handles.clone(), far_end);
    web::start(listener, shards.handles.clone(), desk, clock)?;
    log::info!(
        "replaying {} from {} to {}; the page is on http://{}",
        settings.services.iter().map(|service| service.name.as_str()).collect::<Vec<_>>().join(", "),
        settings.mirror.join(", "),
        settings.target.as_deref().unwrap_or_default(),
        args.listen
    );
    shards.supervise(&signals, summary, Bar::none())
}

/// Replays captures until they, and what they began, are at an end.
///
/// # Errors
/// It cannot start, a shard died, or the summary cannot be written.
pub fn replay(args: &ReplayArgs) -> Result<(), Fault> {
    let signals = Signals::collect().map_err(|source| Fault::system("collect signals", source))?;
    let summary = args.summary.summary.as_ref();
    summary.map_or(Ok(()), Destination::check)?;
    let origin = args.short.origin(args.settings.as_ref(), &[]);
    let settings = load(&origin, Purpose::Replay)?;
    let playback = Playback::open(args.captures.clone(), args.speed, args.rounds)?;
    let target = open_target(&settings)?;
    let source = Source::Playback(Box::new(playback));
    Shards::start(&settings, source, target, None, args.speed, Clock::start())?.supervise(
        &signals,
        summary,
        Bar::on_terminal(),
    )
}

/// The settings, and the store when they came from there.
fn settings_of_run(args: &RunArgs) -> Result<(Settings, Option<Store>), Fault> {
    let origin = args.short.origin(args.settings.as_ref(), &args.mirror_nic);
    if !matches!(origin, Origin::None) {
        return Ok((load(&origin, Purpose::Run)?, None));
    }
    let store = Store::open_existing(args.data.as_deref().unwrap_or(Path::new(DEFAULT_DATA)))?;
    let settings = Settings::parse(store.settings()?, Purpose::Run)?;
    Ok((settings, Some(store)))
}

/// The store in which settings may be changed at run time. Those of a file are read-only; those of the short flags may be
/// followed by stored ones where a data folder is named.
fn store_of_run(args: &RunArgs, store: Option<Store>) -> Result<Option<Store>, Fault> {
    match &args.data {
        Some(folder) if store.is_none() && args.settings.is_none() => Ok(Some(Store::open(folder)?)),
        _ => Ok(store),
    }
}

/// The claim token of the data folder. A run on a settings file or on the short flags writes nothing to a folder that
/// nobody has named.
fn claim(args: &RunArgs, has_store: bool) -> Result<Option<String>, Fault> {
    let folder = match &args.data {
        Some(folder) => folder.clone(),
        None if has_store => PathBuf::from(DEFAULT_DATA),
        None => return Ok(None),
    };
    let (token, is_new) = store::claim_token(&folder)?;
    if is_new {
        eprintln!("claim token: {token} (also in {})", folder.join("claim-token").display());
    }
    Ok(Some(token))
}

fn open_target(settings: &Settings) -> Result<TargetNic, Fault> {
    // Settings for a run or a replay name one.
    Ok(TargetNic::open(settings.target.as_deref().unwrap_or_default(), &settings.addressing)?)
}

fn far_end(target: &TargetNic, settings: &Settings) -> FarEnd {
    FarEnd::Wire { mac: target.mac(), mtu: target.mtu(), vlan: settings.target_vlan }
}

/// The shards of a run. There is one now; a further one needs its share of the mirror (PACKET_FANOUT) and of the pool.
struct Shards {
    handles: Vec<Handle>,
    threads: Vec<JoinHandle<()>>,
    recorders: Option<Recorders>,
    ended: Arc<EventFd>,
}

impl Shards {
    fn start(
        settings: &Settings,
        source: Source,
        target: TargetNic,
        recording: Option<(Recorder, Recorders)>,
        speed: Speed,
        clock: Clock,
    ) -> Result<Self, Fault> {
        let no_descriptor = |errno| Fault::system("make an event descriptor", errno);
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        let ended = Arc::new(EventFd::from_value_and_flags(0, flags).map_err(no_descriptor)?);
        let seed =
            getrandom::u64().map_err(|fault| Fault::system("draw a random seed", std::io::Error::other(fault)))?;
        let config = settings.config(far_end(&target, settings), &kernel_addresses()?, speed);
        let (recorder, recorders) = recording.unzip();
        let recorder = recorder.map(|mut recorder| {
            recorder.configure(&settings.services);
            recorder
        });
        let parts = Parts { number: 0, source, target, recorder, config, seed, clock, ended: ended.clone() };
        let (handle, thread) = shard::start(parts).map_err(|fault| Fault::system("start a thread", fault))?;
        Ok(Self { handles: vec![handle], threads: vec![thread], recorders, ended })
    }

    /// Waits for the end, by a signal or of the captures, and tells the ledger.
    fn supervise(self, signals: &Signals, summary: Option<&Destination>, bar: Bar) -> Result<(), Fault> {
        let mut running = self.threads.len();
        let mut signalled: Option<Clock> = None;
        while running > 0 {
            match (signals.wait(&self.ended, bar.patience()), signalled) {
                (Event::Nothing, _) => {
                    bar.draw(&shard::total(&self.handles));
                    continue;
                }
                (Event::Signal, Some(since)) if since.uptime() < ONE_SIGNAL => continue,
                (Event::Signal, Some(_)) => return Err(Fault::SecondSignal),
                (Event::Signal, None) => {
                    log::info!("ending; requests in flight get {} s", GRACE.as_secs());
                    signalled = Some(Clock::start());
                }
                (Event::ShardsEnded(count), _) => running -= count.min(running),
            }
            // Also when one shard has ended by itself: the others see only their share of the traffic.
            self.handles.iter().for_each(|shard| shard.order(Order::Stop { limit: GRACE }));
        }
        let dead =
            self.threads.into_iter().enumerate().filter_map(|(number, thread)| thread.join().err().map(|_| number));
        let dead: Vec<usize> = dead.collect();
        drop(bar);
        let mut ledger = shard::total(&self.handles).ledger;
        if let Some(recorders) = self.recorders {
            ledger.record = recorders.finish();
        }
        summary::tell(&ledger, summary)?;
        dead.first().map_or(Ok(()), |number| Err(Fault::Shard(*number)))
    }
}
