//! Landlock (landlock(7)); no other file names it.

use super::Files;
use landlock::{
    ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
    path_beneath_rules,
};
use std::path::PathBuf;

/// What is known here of Landlock; an older kernel does less.
const KNOWN: ABI = ABI::V6;
/// What the kernel tells of the machine; and chance, which a static program has from these files.
const READ: [&str; 4] = ["/proc", "/sys", "/dev/random", "/dev/urandom"];
/// Switches of interfaces; and where disks for large recordings are mounted (Filesystem Hierarchy Standard 3.0, sections 3.12,
/// 3.11 and 3.17), for settings that name a folder there later.
const WRITTEN: [&str; 4] = ["/proc/sys/net", "/mnt", "/media", "/srv"];

/// From now on nothing is written but below these folders, nothing is read but there and what the kernel tells, nothing is
/// run, no TCP port is listened on, and neither signals nor connections go to other programs of this machine.
///
/// # Errors
/// The kernel has no Landlock, or refuses.
pub(super) fn keep_to(folders: &[PathBuf]) -> Result<Files, RulesetError> {
    let all = AccessFs::from_all(KNOWN) & !AccessFs::Execute;
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(KNOWN))?
        .handle_access(AccessNet::BindTcp)?
        .scope(Scope::from_all(KNOWN))?
        .create()?
        .add_rules(path_beneath_rules(READ, AccessFs::from_read(KNOWN) & !AccessFs::Execute))?
        .add_rules(path_beneath_rules(WRITTEN, all))?
        .add_rules(path_beneath_rules(folders, all))?
        .restrict_self()?;
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => Files::Whole,
        RulesetStatus::PartiallyEnforced => Files::Partly,
        RulesetStatus::NotEnforced => Files::Not("this kernel has no Landlock".to_owned()),
    })
}
