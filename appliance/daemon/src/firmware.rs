//! The appliance as the first process of a firmware image: the machine is brought up, the box runs on it, and the machine ends
//! with the box.
//!
//! Roles of the interfaces, until the settings say otherwise: the first by its place on the bus is the mirror NIC, the second
//! the target NIC, which carries the management address too. Every interface is made silent before it is raised, and only the
//! one with that address speaks afterwards ([`Manager`]).
//! When page and shards are well, the boot loader is told that this slot is good.

use crate::cli::{Cli, Command, RunArgs};
use crate::clock::Clock;
use crate::confine::{self, Confinement};
use crate::fault::Fault;
use crate::management::Manager;
use crate::run::{self, Vitals};
use crate::signals::{self, Signals};
use clap::Parser;
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, TryLockError};
use std::time::Duration;
use tapcopy_machine::init::{self, Machine, parameter};
use tapcopy_machine::link::Nic;
use tapcopy_machine::ntp::Keeper;
use tapcopy_machine::power::{self, End};
use tapcopy_machine::update::{Release, UpdateFault};
use tapcopy_machine::{button, watchdog};

/// Where the page is, unless the kernel's command line says otherwise.
const LISTEN: &str = "0.0.0.0:443";
/// How often it is looked whether the box is well, before its slot counts as good.
const LOOK: Duration = Duration::from_millis(500);
/// How long a fault stays on the screen before the machine starts again.
const READING_TIME: Duration = Duration::from_secs(10);
/// How long the box may take to its first page, after a power cut with large records too.
const START_PATIENCE: Duration = Duration::from_secs(180);
/// How long the answer to the order that ends the machine has to reach who gave it.
const ANSWER_TIME: Duration = Duration::from_millis(500);

/// The machine, for those who may order what becomes of it.
pub struct Firmware {
    machine: Machine,
    /// Who has its address. It is never dropped: the interfaces are silent until there is no machine.
    pub(crate) manager: Arc<Manager>,
    /// What its process has given up.
    pub(crate) confinement: Confinement,
    /// Who keeps its clock.
    pub(crate) time: Arc<Keeper>,
    /// Held while an update is installed.
    installing: Mutex<()>,
    /// What follows the end of the box.
    end: Mutex<End>,
}

impl Firmware {
    fn start() -> Self {
        let machine = init::start();
        // What is done from here on is done with less; modules are loaded and sealed by now.
        let confinement = confine::in_firmware();
        let time = Keeper::start().unwrap_or_else(|fault| {
            log::error!("nobody keeps the clock: {fault}");
            Arc::default()
        });
        let names = machine.nics.iter().map(|nic| nic.name.clone()).collect();
        let manager = Arc::new(Manager::new(names, time.clone()));
        Self { machine, manager, confinement, time, installing: Mutex::default(), end: Mutex::new(End::Off) }
    }

    /// Installs an update, which the next start tries; `None` while another is being installed. `schema` is that of the
    /// stored settings.
    pub fn install(&self, update: impl Read, schema: u32) -> Option<Result<Release, UpdateFault>> {
        let _one = match self.installing.try_lock() {
            Ok(one) => one,
            Err(TryLockError::Poisoned(one)) => one.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        Some(self.machine.install(update, schema))
    }

    /// At the next start all data is removed.
    ///
    /// # Errors
    /// This cannot be noted on the disk.
    pub fn ask_for_reset(&self) -> std::io::Result<()> {
        self.machine.ask_for_reset()
    }

    /// Ends the box in order, and the machine with it, a moment after this returns.
    pub fn end(&self, how: End) {
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = how;
        let later = std::thread::Builder::new().name("end".to_owned()).spawn(|| {
            std::thread::sleep(ANSWER_TIME);
            signals::end_this_process();
        });
        if later.is_err() {
            signals::end_this_process();
        }
    }

    /// Its interfaces in the order of their places.
    pub fn nics(&self) -> &[Nic] {
        &self.machine.nics
    }

    /// The slot that runs, where the machine was started from one.
    pub fn slot(&self) -> Option<String> {
        self.machine.slot.map(|slot| slot.to_string())
    }
}

/// Runs the machine, which ends with this call.
pub fn run() -> ! {
    // Threads that start from here on inherit it; `run::run` takes the signals.
    let blocked = Signals::collect();
    let firmware = Arc::new(Firmware::start());
    let machine = &firmware.machine;
    log::info!("TapCopy {} on a machine with {} interfaces", env!("CARGO_PKG_VERSION"), machine.nics.len());
    drop(blocked);
    let end = match serve(&firmware) {
        Ok(()) => *firmware.end.lock().unwrap_or_else(PoisonError::into_inner),
        Err(fault) => {
            log::error!("{fault}");
            std::thread::sleep(READING_TIME);
            End::Restart
        }
    };
    machine.close();
    power::end(end)
}

fn serve(firmware: &Arc<Firmware>) -> Result<(), Fault> {
    let no_thread = |fault| Fault::system("start a thread", fault);
    let words = std::fs::read_to_string("/proc/cmdline").unwrap_or_default();
    let args = arguments(firmware.machine.data(), parameter(&words, "tapcopy.listen").unwrap_or(LISTEN));
    firmware.manager.start().map_err(no_thread)?;
    let (vitals, clock) = (Arc::new(OnceLock::<Vitals>::new()), Clock::start());
    let fed = vitals.clone();
    let is_late = move || (clock.uptime() >= START_PATIENCE).then(|| "it has not come up".to_owned());
    let ailing = move || fed.get().map_or_else(is_late, Vitals::ailing);
    watchdog::start(ailing).map_err(no_thread)?;
    let pressed = firmware.clone();
    button::start(move || pressed.end(End::Off)).map_err(no_thread)?;
    let judged = firmware.clone();
    run::run_as(&args, Some(firmware.clone()), move |seen| {
        let _ = vitals.set(seen.clone());
        let judge = std::thread::Builder::new().name("slot".to_owned());
        let judge = judge.spawn(move || {
            while seen.ailing().is_some() {
                std::thread::sleep(LOOK);
            }
            match judged.machine.mark_good() {
                Ok(()) => log::info!("page and shards are well"),
                Err(fault) => log::error!("the boot loader cannot be told that this system is good: {fault}"),
            }
        });
        judge.map(drop).map_err(no_thread)
    })
}

fn arguments(data: &Path, listen: &str) -> RunArgs {
    let data = data.to_string_lossy();
    match Cli::try_parse_from(["tapcopy", "run", "--data", &data, "--listen", listen]).map(|cli| cli.command) {
        Ok(Command::Run(args)) => args,
        // A command line of the kernel that makes no sense must not keep the box from starting.
        _ => arguments(Path::new(&*data), LISTEN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_of_the_command_line_are_taken_where_they_make_sense() {
        let listen = |text| arguments(Path::new("/data/tapcopy"), text).listen.to_string();
        assert_eq!(listen("127.0.0.1:8080"), "127.0.0.1:8080");
        assert_eq!(listen("nonsense"), LISTEN);
    }
}
