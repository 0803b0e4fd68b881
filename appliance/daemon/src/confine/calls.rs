//! seccomp (seccomp(2)); no other file names it.
//!
//! A list of what an intruder wants, not of what the program uses: the latter changes with each library, and a mistake in it
//! would be a fault in the field. What is on the list fails with EPERM; nothing of it is ever called here.

use libc::c_long;
use seccompiler::{
    BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter,
};
use std::collections::BTreeMap;

/// Where the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// On an ordinary host.
    Host,
    /// As the first process of the firmware, which mounts, and ends the machine.
    Firmware,
}

/// Other programs: started, looked into, joined.
const PROGRAMS: [c_long; 9] = [
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_setns,
    libc::SYS_unshare,
];
/// The kernel: changed, exchanged, or reached where its faults are found most.
const KERNEL: [c_long; 18] = [
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_personality,
    libc::SYS_fanotify_init,
    libc::SYS_open_by_handle_at,
    libc::SYS_syslog,
];
/// The machine: its root, its swap, its accounting, somebody else's rights.
const MACHINE: [c_long; 15] = [
    libc::SYS_chroot,
    libc::SYS_pivot_root,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_mknodat,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setgroups,
    libc::SYS_vhangup,
];
/// What only the first process of a machine has to do with.
const FIRST_PROCESS: [c_long; 13] = [
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_reboot,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
];
#[cfg(target_arch = "x86_64")]
const OF_ARCHITECTURE: [c_long; 5] =
    [libc::SYS_iopl, libc::SYS_ioperm, libc::SYS_modify_ldt, libc::SYS_mknod, libc::SYS_uselib];
#[cfg(not(target_arch = "x86_64"))]
const OF_ARCHITECTURE: [c_long; 0] = [];
/// The same calls by the numbers of x32, which a kernel may know too, and those that x32 has of its own.
#[cfg(target_arch = "x86_64")]
const X32: (c_long, std::ops::RangeInclusive<c_long>) = (0x4000_0000, 512..=547);

/// The families of sockets that are used: the page, its server behind, control of interfaces, frames.
const FAMILIES: [i32; 5] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK, libc::AF_PACKET];
/// Namespaces: in one of its own, a process has all capabilities.
const NAMESPACES: [i32; 7] = [
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
];

pub(super) type Rules = BTreeMap<c_long, Vec<SeccompRule>>;

/// Forbids them to this thread and all that it starts.
///
/// # Errors
/// The kernel has no seccomp, or the architecture is not known.
pub(super) fn forbid(place: Place) -> Result<(), Error> {
    install(rules(place)?, libc::EPERM)?;
    // A filter cannot see its flags. Whoever is told that there is no such call uses the old one.
    install(BTreeMap::from([(libc::SYS_clone3, Vec::new())]), libc::ENOSYS)
}

fn install(rules: Rules, errno: i32) -> Result<(), Error> {
    let machine = TargetArch::try_from(std::env::consts::ARCH)?;
    let refused = SeccompAction::Errno(errno.cast_unsigned());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refused, machine)?;
    apply_filter(&BpfProgram::try_from(filter)?)
}

pub(super) fn rules(place: Place) -> Result<Rules, Error> {
    let mut calls = [&PROGRAMS[..], &KERNEL, &MACHINE, &OF_ARCHITECTURE].concat();
    if place == Place::Host {
        calls.extend(FIRST_PROCESS);
    }
    #[cfg(target_arch = "x86_64")]
    {
        let by_x32: Vec<c_long> = calls.iter().copied().chain(X32.1).map(|number| X32.0 | number).collect();
        calls.extend(by_x32);
    }
    let mut rules: Rules = calls.into_iter().map(|number| (number, Vec::new())).collect();
    let others = FAMILIES.into_iter().map(|family| argument(0, SeccompCmpOp::Ne, family));
    rules.insert(libc::SYS_socket, vec![SeccompRule::new(others.collect::<Result<_, _>>()?)?]);
    let apart = NAMESPACES.into_iter().map(|flag| has(0, flag));
    rules.insert(libc::SYS_clone, apart.collect::<Result<_, _>>()?);
    // No memory becomes code: what was read from a stranger is never run.
    for call in [libc::SYS_mmap, libc::SYS_mprotect, libc::SYS_pkey_mprotect] {
        rules.insert(call, vec![has(2, libc::PROT_EXEC)?]);
    }
    Ok(rules)
}

/// An argument has a flag.
fn has(index: u8, flag: i32) -> Result<SeccompRule, Error> {
    let mask = u64::from(flag.cast_unsigned());
    Ok(SeccompRule::new(vec![argument(index, SeccompCmpOp::MaskedEq(mask), flag)?])?)
}

fn argument(index: u8, compared: SeccompCmpOp, value: i32) -> Result<SeccompCondition, Error> {
    let value = u64::from(value.cast_unsigned());
    Ok(SeccompCondition::new(index, SeccompCmpArgLen::Dword, compared, value)?)
}
