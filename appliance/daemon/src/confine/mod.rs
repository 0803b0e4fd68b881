//! What the process gives up once it has begun: an intruder who gets in by a frame, a capture or a request finds little to use.
//!
//! Three things, each as far as the kernel has it, in this order and before the first thread, so that every thread inherits them:
//! the capabilities that nothing needs any more; everything outside of a few folders (`files`, Landlock); system calls that
//! the program never makes (`calls`, seccomp). Nothing gained later brings any of it back (`no_new_privs`).
//!
//! What stays is what a running box needs: NICs are opened again when a link comes back or settings name others, and are put
//! as they were at the end. The first process of the firmware also mounts its partitions and ends the machine, and Landlock
//! forbids mounting: it has no `files`, on a machine with nothing to run and a root that is in memory.
//!
//! A kernel that refuses is no reason not to run: it is said in the log and by `GET /api/v1/system`.

mod calls;
mod capabilities;
mod files;

use serde_json::{Value, json};
use std::fmt::Display;
use std::path::PathBuf;

/// What was confined.
#[derive(Clone, Debug, Default)]
pub struct Confinement {
    files: Files,
}

/// How far the process is kept to its folders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Files {
    /// Nobody has asked for it.
    #[default]
    Unasked,
    /// In all that this program knows of Landlock.
    Whole,
    /// As far as this kernel goes.
    Partly,
    /// Not at all, for this reason.
    Not(String),
}

/// Confines a process on an ordinary host, which from now on writes to these folders only.
pub fn on_host(folders: &[PathBuf]) -> Confinement {
    told("capabilities", capabilities::keep(&capabilities::of_host(folders)));
    let files = files::keep_to(folders).unwrap_or_else(|fault| Files::Not(fault.to_string()));
    if let Files::Not(why) = &files {
        log::warn!("the process is not kept to its folders: {why}");
    }
    told("system calls", calls::forbid(calls::Place::Host));
    Confinement { files }
}

/// Confines the first process of the firmware, once modules are loaded and the data partition is mounted.
pub fn in_firmware() -> Confinement {
    told("capabilities", capabilities::keep(&capabilities::OF_FIRMWARE));
    told("system calls", calls::forbid(calls::Place::Firmware));
    Confinement { files: Files::Not("the first process mounts its own partitions".to_owned()) }
}

fn told(what: &str, done: Result<(), impl Display>) {
    if let Err(fault) = done {
        log::warn!("the process keeps more {what} than it needs: {fault}");
    }
}

impl Confinement {
    /// What is in force: by the kernel's own account of the asking thread, where it gives one.
    pub fn shown(&self) -> Value {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
        let mut shown = json!({
            "capabilities": capabilities::names(hexadecimal(&status, "CapEff:")),
            "capabilities_bounding": capabilities::names(hexadecimal(&status, "CapBnd:")),
            "no_new_privileges": field(&status, "NoNewPrivs:") == Some("1"),
            "system_calls": field(&status, "Seccomp:") == Some("2"),
            "files": match &self.files {
                Files::Whole => "whole",
                Files::Partly => "partly",
                Files::Unasked | Files::Not(_) => "not",
            },
        });
        if let Files::Not(why) = &self.files {
            shown["files_why"] = Value::from(why.as_str());
        }
        shown
    }
}

/// A word of proc(5)'s `status`.
fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

fn hexadecimal(status: &str, name: &str) -> u64 {
    field(status, name).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
