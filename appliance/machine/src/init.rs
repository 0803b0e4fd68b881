//! The start as the first process: from a kernel with nothing around it to a machine on which the appliance can run.
//!
//! Order: the kernel's own file systems, modules, names of the interfaces, the data partition. Nothing here ends the machine:
//! where something is missing the box comes up with less, and says so, because a page that tells what is wrong is worth more
//! than a dark screen. Without a data partition the data is in memory and is lost at the end.

use crate::boot_env::{BootEnv, Slot};
use crate::disk::{Mounted, partition, wait_for_partition};
use crate::ioctl::wait_for_randomness;
use crate::link::{self, Nic};
use crate::{modules, mounts, power};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a slow disk is waited for.
const DISK_PATIENCE: Duration = Duration::from_secs(15);
const DATA: &str = "/data";
const ENV: &str = "/run/env";

/// The machine, once it is up.
#[derive(Debug)]
pub struct Machine {
    /// Its interfaces in the order of their places.
    pub nics: Vec<Nic>,
    /// The slot that was started, where it was one.
    pub slot: Option<Slot>,
    /// `None` without a data partition.
    data: Option<Mounted>,
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
    let data = mount_data(slot.is_some());
    // File systems bring modules of their own.
    modules::seal();
    Machine { nics, slot, data }
}

impl Machine {
    /// Where the appliance keeps its data.
    pub fn data(&self) -> PathBuf {
        self.data.as_ref().map_or_else(|| PathBuf::from("/run/tapcopy"), |mounted| mounted.path().join("tapcopy"))
    }

    /// Whether the data outlives the machine's end.
    pub fn is_durable(&self) -> bool {
        self.data.is_some()
    }

    /// Says to the boot loader that the slot which was started is good.
    ///
    /// # Errors
    /// Its environment cannot be written.
    pub fn mark_good(&self) -> std::io::Result<()> {
        let Some(slot) = self.slot else { return Ok(()) };
        let device = partition("env").ok_or_else(|| std::io::Error::other("there is no partition env"))?;
        let mounted = Mounted::data(&device, Path::new(ENV), "vfat")?;
        let file = mounted.path().join("grubenv");
        let mut env = BootEnv::load(&file)?;
        if env.is_good(slot) {
            return Ok(());
        }
        env.mark_good(slot);
        env.store(&file)
    }
}

fn mount_data(has_disk: bool) -> Option<Mounted> {
    let device = if has_disk { wait_for_partition("data", DISK_PATIENCE) } else { partition("data") };
    let Some(device) = device else {
        log::warn!("there is no partition called data; settings are kept in memory and are lost at the end");
        return None;
    };
    match Mounted::data(&device, Path::new(DATA), "ext4") {
        Ok(mounted) => Some(mounted),
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
