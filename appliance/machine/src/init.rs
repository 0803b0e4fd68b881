//! The start as the first process: from a kernel with nothing around it to a machine on which the appliance can run.
//!
//! Order: the kernel's own file systems, modules, names of the interfaces, the data partition. Nothing here ends the machine:
//! where something is missing the box comes up with less, and says so, because a page that tells what is wrong is worth more
//! than a dark screen. Without a data partition the data is in memory and is lost at the end.

use crate::boot_env::{BootEnv, Slot};
use crate::disk::{Mounted, partition, wait_for_partition};
use crate::ioctl::wait_for_randomness;
use crate::link::{self, Nic};
use crate::update::{Release, Update, UpdateFault};
use crate::{grow, harden, modules, mounts, power, reset};
use std::fs::{OpenOptions, Permissions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long a slow disk is waited for.
const DISK_PATIENCE: Duration = Duration::from_secs(15);
const DATA: &str = "/data";
const ENV: &str = "/run/env";
/// The boot loader's environment block.
const BLOCK: &str = "grubenv";
/// The public key of those who make updates, as minisign writes it.
const KEY: &str = "/etc/update.pub";
/// The folder of the data partition that is the appliance's.
const OWN: &str = "tapcopy";

/// The machine, once it is up.
#[derive(Debug)]
pub struct Machine {
    /// Its interfaces in the order of their places.
    pub nics: Vec<Nic>,
    /// The slot that was started, where it was one.
    pub slot: Option<Slot>,
    /// `None` without a data partition, and once the machine is closed.
    mounted: Mutex<Option<Mounted>>,
    /// Where the appliance keeps its data.
    data: PathBuf,
    /// Whether the data outlives the machine's end.
    is_durable: bool,
    /// Held while the boot loader's environment is changed.
    environment: Mutex<()>,
}

/// Whether this process is the machine's first.
pub fn is_first() -> bool {
    std::process::id() == 1
}

/// Brings the machine up.
pub fn start() -> Machine {
    if let Err(fault) = mounts::mount_all() {
        log::error!("the kernel's own file systems cannot be mounted: {fault}");
    }
    power::ask_before_restart();
    modules::load_all();
    wait_for_randomness();
    let nics = link::name_by_place().unwrap_or_else(|fault| {
        log::error!("the interfaces cannot be listed: {fault}");
        Vec::new()
    });
    let words = std::fs::read_to_string("/proc/cmdline").unwrap_or_default();
    let slot = parameter(&words, "tapcopy.slot").and_then(Slot::named);
    let mounted = mount_data(slot.is_some());
    let data = mounted.as_ref().map_or_else(|| PathBuf::from("/run/tapcopy"), |mounted| mounted.path().join(OWN));
    // File systems bring modules of their own.
    harden::harden();
    Machine {
        nics,
        slot,
        is_durable: mounted.is_some(),
        mounted: Mutex::new(mounted),
        data,
        environment: Mutex::default(),
    }
}

impl Machine {
    /// Where the appliance keeps its data.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Whether the data outlives the machine's end.
    pub fn is_durable(&self) -> bool {
        self.is_durable
    }

    /// Says to the boot loader that the slot which was started is good.
    ///
    /// # Errors
    /// Its environment cannot be written.
    pub fn mark_good(&self) -> std::io::Result<()> {
        let Some(slot) = self.slot else { return Ok(()) };
        if self.environment(|env| env.is_good(slot))? {
            return Ok(());
        }
        self.change_environment(|env| env.mark_good(slot))
    }

    /// Installs an update into the slot that does not run; the next start tries it. `schema` is that of the stored settings.
    /// One at a time.
    ///
    /// # Errors
    /// It is refused, or cannot be written.
    pub fn install(&self, update: impl Read, schema: u32) -> Result<Release, UpdateFault> {
        let key = std::fs::read_to_string(KEY).map_err(|_| UpdateFault::NoKey)?;
        let running = self.slot.ok_or(UpdateFault::NoSlots)?;
        let slot = running.other();
        let device = partition(slot.partition()).ok_or(UpdateFault::NoSlots)?;
        let marking = UpdateFault::io("the boot loader cannot be told");
        if !self.environment(|env| env.is_good(running)).map_err(&marking)? {
            return Err(UpdateFault::OnTrial);
        }
        let update = Update::begin(update, &key, schema)?;
        self.change_environment(|env| env.mark_empty(slot)).map_err(&marking)?;
        let opening = UpdateFault::io("the slot cannot be written");
        let mut file = OpenOptions::new().write(true).open(&device).map_err(&opening)?;
        let room = file.seek(SeekFrom::End(0)).and_then(|room| file.rewind().map(|()| room)).map_err(&opening)?;
        let release = update.write(&mut file, room)?;
        self.change_environment(|env| env.mark_new(slot)).map_err(&marking)?;
        Ok(release)
    }

    /// At the next start all data is removed: the box will be as a new one.
    ///
    /// # Errors
    /// This cannot be noted on the disk, or there is none.
    pub fn ask_for_reset(&self) -> std::io::Result<()> {
        match &*self.mounted.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(mounted) => reset::ask(mounted.path()),
            // What is in memory is lost by any restart.
            None => Ok(()),
        }
    }

    /// Puts all data on the disk and lets go of it, before the machine ends.
    pub fn close(&self) {
        drop(self.mounted.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    fn environment<T>(&self, look: impl FnOnce(&BootEnv) -> T) -> std::io::Result<T> {
        let _one = self.environment.lock().unwrap_or_else(PoisonError::into_inner);
        let mounted = mount_environment()?;
        Ok(look(&BootEnv::load(&mounted.path().join(BLOCK))?))
    }

    fn change_environment(&self, change: impl FnOnce(&mut BootEnv)) -> std::io::Result<()> {
        let _one = self.environment.lock().unwrap_or_else(PoisonError::into_inner);
        let mounted = mount_environment()?;
        let file = mounted.path().join(BLOCK);
        let mut env = BootEnv::load(&file)?;
        change(&mut env);
        env.store(&file)
    }
}

/// It is there only while it is needed: a power cut finds it at rest.
fn mount_environment() -> std::io::Result<Mounted> {
    let device = partition("env").ok_or_else(|| std::io::Error::other("there is no partition env"))?;
    Mounted::data(&device, Path::new(ENV), "vfat")
}

fn mount_data(has_disk: bool) -> Option<Mounted> {
    let device = if has_disk { wait_for_partition("data", DISK_PATIENCE) } else { partition("data") };
    let Some(device) = device else {
        log::warn!("there is no partition called data; settings are kept in memory and are lost at the end");
        return None;
    };
    if let Err(fault) = grow::partition(&device) {
        log::warn!("{}: the rest of the disk cannot be used: {fault}", device.display());
    }
    match Mounted::data(&device, Path::new(DATA), "ext4") {
        Ok(mounted) => {
            let own = mounted.path().join(OWN);
            if own.exists()
                && let Err(fault) = std::fs::set_permissions(&own, Permissions::from_mode(0o700))
            {
                log::warn!("{}: {fault}", own.display());
            }
            if let Err(fault) = grow::file_system(&device, mounted.path()) {
                log::warn!("{}: the rest of the partition cannot be used: {fault}", device.display());
            }
            match reset::finish(mounted.path(), &own) {
                Ok(true) => log::warn!("all data was removed, as somebody had asked; the box is as a new one"),
                Ok(false) => {}
                Err(fault) => log::error!("not all data can be removed: {fault}"),
            }
            Some(mounted)
        }
        Err(fault) => {
            log::error!("{}: {fault}; settings are kept in memory and are lost at the end", device.display());
            None
        }
    }
}

/// The value of a parameter of the kernel's command line.
pub fn parameter<'a>(words: &'a str, name: &str) -> Option<&'a str> {
    words
        .split_whitespace()
        .filter_map(|word| word.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_the_command_line() {
        let words = "console=ttyS0 quiet tapcopy.slot=B panic=10\n";
        assert_eq!(parameter(words, "tapcopy.slot").and_then(Slot::named), Some(Slot::B));
        assert_eq!(parameter(words, "panic"), Some("10"));
        assert_eq!(parameter(words, "quiet"), None);
    }
}
