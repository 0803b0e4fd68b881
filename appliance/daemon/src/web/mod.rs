//! The page and the REST interface.
//!
//! What a request is and may do is `router`, `call`; who takes it from the network is `server`; the other files answer.

mod access;
mod call;
mod exchanges;
mod figures;
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

use crate::accounts::Accounts;
use crate::clock::{self, Clock};
use crate::desk::Desk;
use crate::fault::Fault;
use crate::history::History;
use crate::host;
use crate::nic::listener::Listeners;
use crate::plant::Plant;
use call::{Call, decode};
use machine::Meter;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use thiserror::Error;

/// How often samples are taken, and it is looked whether settings want to be taken back.
const TICK: Duration = Duration::from_secs(1);

/// Why the page cannot be served.
#[derive(Debug, Error)]
pub enum WebFault {
    /// There is no TLS yet.
    #[error(
        "--listen: {0} is reachable from other machines, and the page has no HTTPS yet; use a loopback address, as in 127.0.0.1:8080, and reach it through `ssh -L`"
    )]
    NotLoopback(SocketAddr),
    /// Somebody else listens there.
    #[error("--listen: {0} is in use by another program; end that one or name another port")]
    InUse(SocketAddr),
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
        matches!(self, Self::NotLoopback(_))
    }
}

/// What the workers share.
struct State {
    plant: Arc<Plant>,
    desk: Arc<Desk>,
    accounts: Arc<Accounts>,
    clock: Clock,
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
    /// Whether only this machine reaches the page.
    is_loopback: bool,
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

/// Takes the address.
///
/// # Errors
/// It may not, or cannot, be listened on.
pub fn listen(address: SocketAddr) -> Result<TcpListener, WebFault> {
    if !address.ip().is_loopback() {
        return Err(WebFault::NotLoopback(address));
    }
    TcpListener::bind(address).map_err(|source| match source.kind() {
        ErrorKind::AddrInUse => WebFault::InUse(address),
        _ => WebFault::Listen { address, source },
    })
}

/// Serves the page from now on, until the process ends.
///
/// # Errors
/// No thread is to be had.
pub fn start(
    listener: TcpListener,
    plant: Arc<Plant>,
    desk: Arc<Desk>,
    accounts: Arc<Accounts>,
    clock: Clock,
) -> Result<(), Fault> {
    let address = listener.local_addr().map_err(|source| Fault::system("look at a socket", source))?;
    let name = desk.stored::<String>("name").or_else(|| host::line_of("/proc/sys/kernel/hostname"));
    let state = Arc::new(State {
        plant,
        desk,
        accounts,
        clock,
        address,
        name: Mutex::new(name.unwrap_or_else(|| "tapcopy".to_owned())),
        history: Mutex::default(),
        meter: Mutex::default(),
        listeners: Mutex::default(),
        is_loopback: address.ip().is_loopback(),
        looking: Mutex::new(()),
    });
    let ticking = state.clone();
    let ticker = std::thread::Builder::new().name("ticker".to_owned());
    ticker.spawn(move || tick(&ticking)).map_err(|source| Fault::system("start a thread", source))?;
    server::start(listener, state)
}

/// Once a second: takes samples, and takes back settings that nobody confirms.
fn tick(state: &State) {
    loop {
        let total = state.plant.total();
        state.history.lock().unwrap_or_else(PoisonError::into_inner).sample(&total, clock::wall(), state.clock.now());
        state.meter.lock().unwrap_or_else(PoisonError::into_inner).measure();
        state.listeners.lock().unwrap_or_else(PoisonError::into_inner).expire();
        if state.desk.tick() {
            state.accounts.audit.note("timer", None, "settings_reverted", "nobody confirmed them in time");
        }
        std::thread::sleep(TICK);
    }
}

#[cfg(test)]
mod tests;
