//! The page and the REST interface.
//!
//! `front` takes requests from the network, and passes them to `server`; what one is and may do is `call`, `router`; the
//! other files answer.

mod access;
mod call;
mod captures;
mod certificate;
mod diagnostics;
mod exchanges;
mod figures;
mod firmware;
mod front;
mod machine;
mod metrics;
mod mirror;
mod overview;
mod page;
mod router;
mod server;
mod sessions;
mod settings;
mod system;
mod tls;

use crate::accounts::Accounts;
use crate::clock::{self, Clock};
use crate::confine::Confinement;
use crate::desk::Desk;
use crate::fault::Fault;
use crate::firmware::Firmware;
use crate::history::History;
use crate::host;
use crate::nic::choice;
use crate::nic::interface::{self, kernel_addresses};
use crate::nic::listener::Listeners;
use crate::plant::Plant;
use crate::pulse::Pulse;
use crate::settings::{Document, Purpose, Settings};
use crate::syslog::SENDER;
use call::{Call, Turns, decode};
pub use front::Behind;
use front::{Destination, Forbidden, Tls};
use machine::Meter;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use thiserror::Error;
use tls::Certificate;

/// How often samples are taken, and it is looked whether settings want to be taken back.
const TICK: Duration = Duration::from_secs(1);
/// How long it may take once: to take settings back, shards are exchanged.
const PULSE: Duration = Duration::from_secs(60);

/// Captures and exports that may be downloaded at once.
const DOWNLOADS: usize = 2;

/// Why the page cannot be served.
#[derive(Debug, Error)]
pub enum WebFault {
    /// There is no folder for users and the certificate.
    #[error(
        "--listen: {0} is reachable from other machines, which wants users and a certificate; name a folder for them with --data, or a loopback address, as in 127.0.0.1:8080"
    )]
    NoData(SocketAddr),
    /// The certificate cannot be used.
    #[error("{folder}/certificate.pem: {source}; remove it to have a new one made")]
    Certificate {
        /// The data folder.
        folder: PathBuf,
        /// What is wrong.
        source: std::io::Error,
    },
    /// Somebody else listens there.
    #[error("--listen: {0} is in use by another program; end that one or name another port")]
    InUse(SocketAddr),
    /// The port that sends readers on to HTTPS cannot be had.
    #[error("--redirect-port: {address} cannot be listened on: {source}; name another port, or 0 for none")]
    Redirect {
        /// The address.
        address: SocketAddr,
        /// The system's words.
        source: std::io::Error,
    },
    /// There is no HTTPS page to send on to.
    #[error("--redirect-port: the page on {0} is plain HTTP; leave it out")]
    NothingToRedirect(SocketAddr),
    /// The address cannot be listened on.
    #[error("--listen: {address} cannot be listened on: {source}; name another address or port")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's words.
        source: std::io::Error,
    },
}

impl WebFault {
    /// Whether the command line is to blame.
    pub fn is_bad_usage(&self) -> bool {
        matches!(self, Self::NoData(_) | Self::NothingToRedirect(_))
    }
}

/// What the workers share.
struct State {
    plant: Arc<Plant>,
    desk: Arc<Desk>,
    accounts: Arc<Accounts>,
    clock: Clock,
    /// What this process has given up.
    confinement: Confinement,
    /// Where the page is.
    address: SocketAddr,
    /// The box's own name.
    name: Mutex<String>,
    /// The last minutes.
    history: Mutex<History>,
    /// What the machine was doing in the last second.
    meter: Mutex<Meter>,
    /// Interfaces that take every frame while somebody looks at them.
    listeners: Mutex<Listeners>,
    /// The capture that is being recorded.
    capture: Mutex<Option<captures::Running>>,
    /// Captures and exports that may be downloaded at once: each holds a worker as long as its client takes.
    downloads: Turns,
    /// The certificate, where the page is HTTPS.
    certificate: Option<Mutex<Certificate>>,
    /// What the front has of it.
    tls: Tls,
    /// Addresses that nobody is served on.
    forbidden: Forbidden,
    /// Whether only this machine reaches the page.
    is_loopback: bool,
    /// The machine, where it is the box's own.
    firmware: Option<Arc<Firmware>>,
    /// Held while somebody looks at the mirror: one at a time, for it takes a worker and a ring of its own.
    looking: Mutex<()>,
}

impl State {
    /// The box's own name.
    fn name(&self) -> String {
        self.name.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes in the audit log what the sender has done.
    fn note(&self, call: &Call, what: &str, detail: &str) {
        self.accounts.audit.note(call.who(), call.peer, what, detail);
    }
}

/// What the page is known by.
#[derive(Clone)]
pub struct Sign {
    state: Arc<State>,
}

impl Sign {
    /// The box's own name.
    pub fn name(&self) -> String {
        self.state.name()
    }

    /// SHA-256 of the certificate, in hexadecimal digits, where there is one.
    pub fn fingerprint(&self) -> Option<String> {
        let certificate = self.state.certificate.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        Some(certificate.fingerprint.clone())
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.state.address.port()
    }
}

/// The sockets of the page.
pub struct Sockets {
    page: TcpListener,
    /// On plain HTTP, where readers are sent on to the page.
    redirecting: Option<TcpListener>,
}

/// Takes the address, and beside it the port from which readers are sent on to HTTPS: 80 where the page is on 443, unless
/// another is named, or none (0). That of nobody's wish may be missing.
///
/// # Errors
/// They cannot be listened on.
pub fn listen(address: SocketAddr, redirect_port: Option<u16>) -> Result<Sockets, WebFault> {
    let page = TcpListener::bind(address).map_err(|source| match source.kind() {
        ErrorKind::AddrInUse => WebFault::InUse(address),
        _ => WebFault::Listen { address, source },
    })?;
    if address.ip().is_loopback() {
        let wish = redirect_port.filter(|port| *port != 0);
        return wish.map_or(Ok(Sockets { page, redirecting: None }), |_| Err(WebFault::NothingToRedirect(address)));
    }
    let port = redirect_port.unwrap_or(if address.port() == 443 { 80 } else { 0 });
    let from = SocketAddr::new(address.ip(), port);
    let redirecting = match (port != 0).then(|| TcpListener::bind(from)).transpose() {
        Ok(redirecting) => redirecting,
        Err(source) if redirect_port.is_some() => return Err(WebFault::Redirect { address: from, source }),
        Err(fault) => {
            log::warn!("{from} cannot be listened on ({fault}), and sends nobody on to HTTPS");
            None
        }
    };
    Ok(Sockets { page, redirecting })
}

/// Serves the page from now on, until the process ends; who can be asked whether it does.
///
/// # Errors
/// There is no certificate, or no thread is to be had.
pub fn start(
    sockets: Sockets,
    plant: Arc<Plant>,
    desk: Arc<Desk>,
    accounts: Arc<Accounts>,
    firmware: Option<Arc<Firmware>>,
    clock: Clock,
    confinement: Confinement,
) -> Result<(Behind, Sign), Fault> {
    let address = sockets.page.local_addr().map_err(|source| Fault::system("look at a socket", source))?;
    let certificate = certificate(address, accounts.folder())?;
    let tls = certificate.as_ref().map(|certificate| Arc::new(Mutex::new(certificate.config.clone())));
    let forbidden = Forbidden::default();
    let (behind, unix) = Behind::listen().map_err(|source| Fault::system("make a socket", source))?;
    let name = desk.stored::<String>("name").or_else(host::name);
    let state = Arc::new(State {
        plant,
        desk,
        accounts,
        clock,
        confinement,
        address,
        name: Mutex::new(name.unwrap_or_else(|| "tapcopy".to_owned())),
        history: Mutex::default(),
        meter: Mutex::default(),
        listeners: Mutex::default(),
        capture: Mutex::default(),
        downloads: Turns::new(DOWNLOADS),
        certificate: certificate.map(Mutex::new),
        tls: tls.clone(),
        forbidden: forbidden.clone(),
        is_loopback: address.ip().is_loopback(),
        firmware,
        looking: Mutex::new(()),
    });
    let ticking = state.clone();
    let ticker = std::thread::Builder::new().name("ticker".to_owned());
    ticker.spawn(move || tick(&ticking)).map_err(|source| Fault::system("start a thread", source))?;
    server::start(unix, behind.clone(), state.clone())?;
    if let Some(redirecting) = sockets.redirecting {
        front::start(redirecting, Destination::Page(address.port()), forbidden.clone())?;
    }
    front::start(sockets.page, Destination::Behind(behind.clone(), tls), forbidden)?;
    Ok((behind, Sign { state }))
}

/// The certificate for an address that other machines reach, told on the console.
fn certificate(address: SocketAddr, folder: Option<&Path>) -> Result<Option<Certificate>, WebFault> {
    if address.ip().is_loopback() {
        return Ok(None);
    }
    let folder = folder.ok_or(WebFault::NoData(address))?;
    let host = host::name().unwrap_or_else(|| "tapcopy".to_owned());
    let addresses =
        if address.ip().is_unspecified() { kernel_addresses().unwrap_or_default() } else { vec![address.ip()] };
    let names = std::iter::once(host).chain(addresses.iter().map(ToString::to_string)).collect();
    let made = Certificate::of(folder, names);
    let certificate = made.map_err(|source| WebFault::Certificate { folder: folder.to_owned(), source })?;
    eprintln!("certificate: SHA-256 {}", certificate.fingerprint);
    Ok(Some(certificate))
}

/// The addresses of the mirror NICs: what comes in there is production's, not a person's.
fn forbid_mirror(state: &State) {
    let mirror = choice::by_name(state.desk.document().unwrap_or_default().nics).mirror;
    let all = interface::all().unwrap_or_default();
    let addresses = mirror.iter().filter_map(|name| all.get(name)).flat_map(|nic| nic.addresses.clone()).collect();
    *state.forbidden.lock().unwrap_or_else(PoisonError::into_inner) = addresses;
}

/// Once a second: takes samples, and takes back settings that nobody confirms.
fn tick(state: &State) {
    let (mut followed, pulse) = (Followed::default(), Pulse::of("ticker", PULSE));
    loop {
        pulse.beat();
        followed.follow(state);
        let total = state.plant.total();
        state.history.lock().unwrap_or_else(PoisonError::into_inner).sample(&total, clock::wall(), state.clock.now());
        state.meter.lock().unwrap_or_else(PoisonError::into_inner).measure();
        state.listeners.lock().unwrap_or_else(PoisonError::into_inner).expire();
        captures::tick(state);
        forbid_mirror(state);
        if state.desk.tick() {
            state.accounts.audit.note("timer", None, "settings_reverted", "nobody confirmed them in time");
        }
        std::thread::sleep(TICK);
    }
}

/// What the box itself was told of the settings, beside the plant: who collects its log, who knows the time.
#[derive(Default)]
struct Followed {
    /// `None` before the first look.
    last: Option<(Option<Document>, String)>,
}

impl Followed {
    fn follow(&mut self, state: &State) {
        let now = Some((state.desk.document(), state.name()));
        if self.last == now {
            return;
        }
        self.last = now;
        let settings = state.desk.document().and_then(|document| Settings::parse(document, Purpose::Run).ok());
        SENDER.configure(settings.as_ref().and_then(|settings| settings.syslog), state.name());
        if let Some(firmware) = &state.firmware {
            firmware.time.configure(settings.as_ref().map_or(&[], |settings| &settings.time_servers));
        }
    }
}

#[cfg(test)]
mod tests;
