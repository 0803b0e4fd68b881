//! Capabilities (capabilities(7)); no other file names the crate.

use caps::{CapSet, Capability, CapsHashSet};
use nix::unistd::geteuid;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// Packet sockets; silent interfaces, their offloads and rings.
const OF_NICS: [Capability; 2] = [Capability::CAP_NET_RAW, Capability::CAP_NET_ADMIN];

/// What the first process of the firmware needs besides: partitions are mounted and the machine is ended by it, the clock is
/// set, DHCP is spoken from a port below 1,024.
pub(super) const OF_FIRMWARE: [Capability; 6] = [
    OF_NICS[0],
    OF_NICS[1],
    Capability::CAP_SYS_ADMIN,
    Capability::CAP_SYS_BOOT,
    Capability::CAP_SYS_TIME,
    Capability::CAP_NET_BIND_SERVICE,
];

/// What a process on an ordinary host needs. Root is let into a folder of somebody else only by a capability of its own.
pub(super) fn of_host(folders: &[PathBuf]) -> Vec<Capability> {
    let own = geteuid().as_raw();
    let is_anothers =
        |folder: &PathBuf| std::fs::metadata(folder).is_ok_and(|metadata| metadata.uid() != own && own == 0);
    let mut kept = OF_NICS.to_vec();
    if folders.iter().any(is_anothers) {
        kept.push(Capability::CAP_DAC_OVERRIDE);
    }
    kept
}

/// Gives up all capabilities but these, of which a process keeps those that it has.
///
/// # Errors
/// The kernel refuses; what was given up until then stays so.
pub(super) fn keep(wanted: &[Capability]) -> Result<(), caps::errors::CapsError> {
    let permitted = caps::read(None, CapSet::Permitted)?;
    // Taking from this set is a privilege itself; without it, there is nothing that a program started anew could gain.
    if permitted.contains(&Capability::CAP_SETPCAP) {
        for capability in caps::read(None, CapSet::Bounding)?.iter().filter(|one| !wanted.contains(one)) {
            caps::drop(None, CapSet::Bounding, *capability)?;
        }
    }
    let kept: CapsHashSet = permitted.into_iter().filter(|one| wanted.contains(one)).collect();
    caps::clear(None, CapSet::Ambient)?;
    caps::clear(None, CapSet::Inheritable)?;
    caps::set(None, CapSet::Effective, &kept)?;
    caps::set(None, CapSet::Permitted, &kept)
}

/// The names of a set of the kernel's, in the order of their numbers.
pub(super) fn names(set: u64) -> Vec<String> {
    let mut known: Vec<Capability> = caps::all().into_iter().filter(|one| set & one.bitmask() != 0).collect();
    known.sort_by_key(Capability::index);
    known.iter().map(ToString::to_string).collect()
}
