//! `tapcopy run` and `tapcopy replay`: shards on a NIC, from their opening to the ledger at the end.

use crate::accounts::Accounts;
use crate::cli::{Origin, ReplayArgs, RunArgs};
use crate::clock::Clock;
use crate::confine;
use crate::console::Console;
use crate::desk::Desk;
use crate::fault::Fault;
use crate::firmware::Firmware;
use crate::plant::{GRACE, Lane, Plant, open_target};
use crate::playback::Playback;
use crate::progress::Bar;
use crate::pulse;
use crate::settings::{Document, FieldFault, Format, Purpose, Settings, SettingsFaults};
use crate::signals::{Event, Signals};
use crate::source::Source;
use crate::store::{self, DEFAULT_DATA, Store};
use crate::summary::{self, Destination};
use crate::syslog::SENDER;
use crate::web::{self, Behind};
use nix::poll::PollTimeout;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tapcopy_engine::config::Speed;
use tapcopy_engine::share::Part;

/// Signals within this time are one: `sudo` and `timeout` pass on what the terminal or they themselves have already sent to
/// the whole group.
const ONE_SIGNAL: Duration = Duration::from_millis(300);

/// How often interfaces are tried again that stored settings name and that could not be used, in ms.
const RETRY_MS: u16 = 2_000;

/// How long the page may take to accept a connection.
const PAGE_PATIENCE: Duration = Duration::from_secs(2);
/// How long a shard may be silent, which publishes each second.
const SHARD_PATIENCE: Duration = Duration::from_secs(10);

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

/// Runs the appliance until a signal ends it. One whose data folder has no settings yet waits for them, with its page.
///
/// # Errors
/// It cannot start, a shard died, or the summary cannot be written.
pub fn run(args: &RunArgs) -> Result<(), Fault> {
    run_as(args, None, |_| Ok(()))
}

/// How the box is, for whoever watches over it.
#[derive(Clone)]
pub struct Vitals {
    plant: Arc<Plant>,
    clock: Clock,
    page: SocketAddr,
    behind: Behind,
}

impl Vitals {
    /// What is not as it should be, in a few words: the first thing that is found.
    pub fn ailing(&self) -> Option<String> {
        match () {
            () if !self.page_listens() => Some("the page takes no connections".to_owned()),
            () if !self.behind.answers() => Some("the page does not answer".to_owned()),
            () if !self.shards_run() => Some("a shard is silent".to_owned()),
            () => pulse::silent().map(|thread| format!("{thread} is silent")),
        }
    }

    /// Whether the page takes connections.
    fn page_listens(&self) -> bool {
        let here = if self.page.is_ipv4() { IpAddr::from(Ipv4Addr::LOCALHOST) } else { Ipv6Addr::LOCALHOST.into() };
        let address = if self.page.ip().is_unspecified() { here } else { self.page.ip() };
        TcpStream::connect_timeout(&SocketAddr::new(address, self.page.port()), PAGE_PATIENCE).is_ok()
    }

    /// Whether every shard has published lately, where there are any.
    fn shards_run(&self) -> bool {
        self.clock.now().since(self.plant.total().at) < SHARD_PATIENCE
    }
}

/// The same, as the firmware of a machine where it is that; `watch` is called once all is up. A process that is not confined
/// yet is now, before it has a second thread.
///
/// # Errors
/// As [`run`]; and what `watch` says.
pub fn run_as(
    args: &RunArgs,
    firmware: Option<Arc<Firmware>>,
    watch: impl FnOnce(Vitals) -> Result<(), Fault>,
) -> Result<(), Fault> {
    // Before sled or anything else starts a thread.
    let signals = Signals::collect().map_err(|source| Fault::system("collect signals", source))?;
    let summary = args.summary.summary.as_ref();
    summary.map_or(Ok(()), Destination::check)?;
    raise_file_limit();
    let sockets = web::listen(args.listen, args.redirect_port)?;
    let clock = Clock::start();
    let plant = Arc::new(Plant::new(clock)?);
    let origin = args.short.origin(args.settings.as_ref(), &args.mirror_nic);
    let given = if matches!(origin, Origin::None) { None } else { Some(load(&origin, Purpose::Run)?) };
    let prepared = given.as_ref().map(|settings| plant.prepare(settings)).transpose()?;
    // Only a box that can start leaves anything in a data folder.
    let folder = data_folder(args, given.is_some());
    folder.map_or(Ok(()), store::make_folder)?;
    let here = || confine::on_host(&written(folder, given.as_ref(), summary));
    let confinement = firmware.as_ref().map_or_else(here, |firmware| firmware.confinement.clone());
    let store = folder.map(Store::open).transpose()?.map(Arc::new);
    let token = store.as_ref().map(|store| claim(store.folder())).transpose()?;
    store.iter().for_each(|store| plant.archive_in(store.folder().to_owned()));
    let accounts = Arc::new(Accounts::new(store.clone(), token, clock));
    let document = match (&given, &store) {
        (Some(settings), _) => Some(settings.document.clone()),
        (None, Some(store)) => stored(store)?,
        (None, None) => None,
    };
    // Settings of a file are read-only; those of the short flags may be followed by stored ones where a folder is named.
    let store = store.filter(|_| args.settings.is_none());
    let confirm = Duration::from_secs(args.confirm_seconds.into());
    let desk = Arc::new(Desk::new(store, plant.clone(), document, clock, confirm));
    desk.recall(&accounts.audit);
    firmware.iter().for_each(|firmware| desk.manage_by(firmware.manager.clone()));
    match (given, prepared) {
        (Some(settings), Some(prepared)) => plant.enter(prepared, &settings, Speed::Times(1.0))?,
        // The page is there whatever becomes of stored settings.
        _ => desk.retry(),
    }
    SENDER.start().map_err(|source| Fault::system("start a thread", source))?;
    let (behind, sign) =
        web::start(sockets, plant.clone(), desk.clone(), accounts.clone(), firmware.clone(), clock, confinement)?;
    if firmware.is_none() && desk.document().is_some_and(|document| document.management.is_some()) {
        log::info!("[management] has no effect here: an ordinary host sets its own addresses");
    }
    if let Some(firmware) = firmware {
        let console = Console { firmware, desk: desk.clone(), accounts, sign };
        console.start().map_err(|source| Fault::system("start a thread", source))?;
    }
    let beginning = beginning(&plant, &desk.document().unwrap_or_default());
    log::info!("{beginning}; the page is on {}://{}", scheme(args.listen), args.listen);
    watch(Vitals { plant: plant.clone(), clock, page: args.listen, behind })?;
    let ended = supervise(&plant, &signals, summary, Bar::none(), || desk.retry());
    SENDER.finish();
    ended
}

/// As many descriptors as the system grants: the page holds one for each of its clients.
fn raise_file_limit() {
    let raised =
        getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, most)| setrlimit(Resource::RLIMIT_NOFILE, most, most));
    if let Err(fault) = raised {
        log::warn!("the number of open files cannot be raised: {fault}");
    }
}

/// The data folder. A run on a settings file or on the short flags has none where nobody has named one.
fn data_folder(args: &RunArgs, is_given: bool) -> Option<&Path> {
    args.data.as_deref().or((!is_given).then_some(Path::new(DEFAULT_DATA)))
}

/// The folders that a run writes to: its data, its summary, and its recordings, for which it makes a folder as long as it may.
fn written(data: Option<&Path>, given: Option<&Settings>, summary: Option<&Destination>) -> Vec<PathBuf> {
    let stored = || data.and_then(store::copied_document);
    let document = given.map(|settings| settings.document.clone()).or_else(stored);
    let recorded = document.and_then(|document| document.record).map(|record| PathBuf::from(record.directory));
    // Where it cannot be made, the start of the recording says so.
    recorded.iter().for_each(|folder| drop(std::fs::create_dir_all(folder)));
    let mut folders: Vec<PathBuf> = data.map(Path::to_owned).into_iter().chain(recorded).collect();
    folders.extend(summary.map(Destination::places).unwrap_or_default());
    folders
}

/// Stored settings are good, unless this program is stricter than the one that stored them.
fn stored(store: &Store) -> Result<Option<Document>, Fault> {
    let document = store.settings()?;
    document.iter().try_for_each(|document| Settings::parse(document.clone(), Purpose::Run).map(drop))?;
    Ok(document)
}

fn scheme(address: SocketAddr) -> &'static str {
    if address.ip().is_loopback() { "http" } else { "https" }
}

/// What the log says of the start.
fn beginning(plant: &Plant, document: &Document) -> String {
    if let Some(fault) = plant.fault() {
        return format!("the stored settings cannot be used at present: {fault}");
    }
    if plant.shards() == 0 {
        return "waiting for the first settings".to_owned();
    }
    let services: Vec<&str> = document.service.iter().map(|service| service.name.as_str()).collect();
    let target = document.nics.target.as_deref().unwrap_or_default();
    format!("replaying {} from {} to {target}", services.join(", "), document.nics.mirror.join(", "))
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
    let target = open_target(&settings, settings.share(Part::ALL))?;
    let plant = Plant::new(Clock::start())?;
    let lane = Lane { source: Source::Playback(Box::new(playback)), target };
    plant.start(vec![lane], &settings, args.speed)?;
    supervise(&plant, &signals, summary, Bar::on_terminal(), || {})
}

/// The claim token of the data folder.
fn claim(folder: &Path) -> Result<String, Fault> {
    let (token, is_new) = store::claim_token(folder)?;
    if is_new {
        eprintln!("claim token: {token} (also in {})", folder.join("claim-token").display());
    }
    Ok(token)
}

/// Waits for the end, by a signal or of the captures, and tells the ledger.
fn supervise(
    plant: &Plant,
    signals: &Signals,
    summary: Option<&Destination>,
    bar: Bar,
    retry: impl Fn(),
) -> Result<(), Fault> {
    let mut signalled: Option<Clock> = None;
    loop {
        let patience = if plant.fault().is_some() { PollTimeout::from(RETRY_MS) } else { bar.patience() };
        match (signals.wait(plant.ended(), patience), signalled) {
            (Event::Nothing, _) if plant.fault().is_some() => retry(),
            (Event::Nothing, _) => bar.draw(&plant.total()),
            (Event::Signal, Some(since)) if since.uptime() < ONE_SIGNAL => {}
            (Event::Signal, Some(_)) => return Err(Fault::SecondSignal),
            (Event::Signal, None) => {
                log::info!("ending; requests in flight get {} s", GRACE.as_secs());
                signalled = Some(Clock::start());
            }
            (Event::ShardsEnded(_), _) => {}
        }
        // Also when one shard has ended by itself: the others see only their share of the traffic.
        if (signalled.is_some() || plant.has_ended()) && plant.close() {
            break;
        }
    }
    let (ledger, dead) = plant.finish();
    drop(bar);
    summary::tell(&ledger, summary)?;
    dead.first().map_or(Ok(()), |number| Err(Fault::Shard(*number)))
}
