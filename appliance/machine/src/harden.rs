//! What the kernel of the firmware is told once the machine is up, so that an intruder could do less and a kernel that has erred ends;
//! and what of it is in force, by the kernel's own account.

use crate::mounts;
use nix::sys::statvfs::{FsFlags, statvfs};
use std::path::{Path, PathBuf};

/// Switches below `/proc/sys`, and what they are set to. One that this kernel lacks is passed over.
const SWITCHES: [(&str, &str); 15] = [
    // No other code in the kernel, and no other kernel.
    ("kernel.modules_disabled", "1"),
    ("kernel.kexec_load_disabled", "1"),
    // A kernel that has erred starts again: nobody stands before the box.
    ("kernel.panic_on_oops", "1"),
    // What it tells of itself helps to attack it.
    ("kernel.dmesg_restrict", "1"),
    ("kernel.kptr_restrict", "2"),
    // Doors that nobody here uses.
    ("kernel.unprivileged_bpf_disabled", "1"),
    ("kernel.perf_event_paranoid", "3"),
    ("kernel.io_uring_disabled", "2"),
    ("kernel.yama.ptrace_scope", "3"),
    ("kernel.sysrq", "0"),
    ("user.max_user_namespaces", "0"),
    // The machine passes nothing on, and answers for its address on the interface that has it alone.
    ("net.ipv4.ip_forward", "0"),
    ("net.ipv6.conf.all.forwarding", "0"),
    ("net.ipv4.conf.all.arp_ignore", "1"),
    ("net.ipv4.conf.all.arp_announce", "2"),
];
/// How long the kernel's last words stay on the screen, in seconds; the command line may say otherwise.
const PANIC: (&str, &str) = ("kernel.panic", "10");
const NO_RESTART: &str = "0";
/// The root, as it is told beside the switches.
const ROOT: &str = "read_only_root";

/// Hardens the kernel: nothing can be loaded or written to the root from now on.
pub(crate) fn harden() {
    for (name, value) in SWITCHES {
        write(name, value);
    }
    if read(PANIC.0).as_deref() == Some(NO_RESTART) {
        write(PANIC.0, PANIC.1);
    }
    if let Err(fault) = mounts::seal_root() {
        log::warn!("the root stays writable: {fault}");
    }
}

/// What is in force, and what this kernel could do and does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hardening {
    /// Names of switches.
    pub in_force: Vec<String>,
    /// The same of those that are not.
    pub missing: Vec<String>,
}

/// The state at present.
pub fn hardening() -> Hardening {
    let panics = read(PANIC.0).map(|found| (PANIC.0, found != NO_RESTART));
    let switches = SWITCHES.iter().filter_map(|(name, value)| Some((*name, read(name)? == *value)));
    let is_sealed = statvfs("/").is_ok_and(|root| root.flags().contains(FsFlags::ST_RDONLY));
    let mut found = Hardening::default();
    for (name, is_in_force) in switches.chain(panics).chain([(ROOT, is_sealed)]) {
        let to = if is_in_force { &mut found.in_force } else { &mut found.missing };
        to.push(name.to_owned());
    }
    found
}

fn path(name: &str) -> PathBuf {
    Path::new("/proc/sys").join(name.replace('.', "/"))
}

fn read(name: &str) -> Option<String> {
    std::fs::read_to_string(path(name)).ok().map(|text| text.trim().to_owned())
}

fn write(name: &str, value: &str) {
    if path(name).exists()
        && let Err(fault) = std::fs::write(path(name), value)
    {
        log::warn!("{name} is not {value}: {fault}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_force_is_what_the_kernel_says() {
        // This machine is nobody's appliance: its root can be written to, and not all switches are set.
        let Hardening { in_force, missing } = hardening();
        assert!(missing.iter().any(|name| name == ROOT));
        let known = SWITCHES.iter().filter(|(name, _)| path(name).exists()).count();
        assert!(known > 8 && in_force.len() + missing.len() == known + 2, "{in_force:?} {missing:?}");
        for name in in_force.iter().filter(|name| *name != PANIC.0) {
            let (_, value) = SWITCHES.iter().find(|(switch, _)| switch == name).unwrap();
            assert_eq!(read(name).as_deref(), Some(*value));
        }
    }
}
