//! Scenario files: a dialogue of frames as the mirror shows it, a script for the target, and what must come out.
//!
//! ```text
//! # A request retransmitted on the wire is replayed once.
//! 0.000  C > O  S   1000:1000
//! 0.001  O > C  SA  5000:5000 ack 1001
//! 0.002  C > O  P   1001:1019 ack 5001 "GET /a HTTP/1.1\r\n\r\n"
//! expect target < "GET /a HTTP/1.1\r\n\r\n"
//! expect segments_duplicate = 0
//! ```
//!
//! **Frames**: seconds, sender and receiver (`C`, `C2` to `C9`; `O`, `O2`), flags, sequence numbers `from:to` (payload only,
//! as in packetdrill), then in any order `ack N`, payload (`"..."` with `\r \n \t \0 \\ \" \xNN`, `"x"*1000`, several one after
//! the other) and options: `win N`, `urg N`, `mss N`, `wscale N`, `sackok`, `sack A-B`, `ts V E`, `tfo N` (cookie of N bytes),
//! `vlan N`, `ttl N`, `badsum`, `snap N`, `twice`, `lost` (it happened, but the mirror does not show it).
//!
//! **Orders**: `SECONDS command stop|start|finish`. **Settings**: `set protocol NAME`, `set pacing turns|immediate`,
//! `set copies N`, `set sample N` (of 10,000 clients), `set max_sessions_per_second N`, `set deny|allow` with any of `method=M`, `path=GLOB` and `FIELD=GLOB`,
//! `set rewrite host H|path FROM TO|set FIELD VALUE|remove FIELD`, `set ipv6`, `set finish off`, `set settle 5s`, `set limit NAME VALUE`.
//!
//! **Target**: without a script it answers each turn of a client as the origin did, found by the turn's bytes. With one, each
//! line is done in its turn, when bytes have come and nothing more for 5 ms: `target replies "..."`, `target waits 300ms`,
//! `target closes`, `target resets`; and at any place `target greets "..."`, `target refuses N` (that many connections), `target absent`
//! (nothing reaches it).
//!
//! **Expectations**: `expect target < "..."` or `expect target 2 < "..."` (all bytes that the application read on its second
//! connection), `expect connections = N`, `expect record 0 match`, any path of the ledger or its end: `expect requests.captured
//! = 1`. With the environment variable UPDATE set, the expectations are rewritten.

mod expect;
mod notation;
mod script;
mod stage;
mod word;

pub use expect::Outcome;

use std::fmt::Write;
use std::fs;
use std::path::Path;

/// How scenario files are checked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mode {
    /// Rewrite the expectations.
    pub update: bool,
    /// Print every frame.
    pub trace: bool,
}

/// Performs one file.
///
/// # Errors
/// Every fault, one a line, each with file and line.
pub fn check(path: &Path, mode: Mode) -> Result<(), String> {
    let text = fs::read_to_string(path).map_err(|fault| format!("{}: {fault}", path.display()))?;
    let at = |line: usize, fault: &str| format!("{}:{line}: {fault}\n", path.display());
    let scenario = notation::parse(&text).map_err(|(line, fault)| at(line, &fault))?;
    let outcome = stage::perform(&scenario, mode.trace);
    let mut faults = String::new();
    for violation in &outcome.violations {
        let _ = write!(faults, "{}", at(1, &violation.to_string()));
    }
    if mode.update {
        let updated = expect::update(&text, &scenario, &outcome);
        fs::write(path, updated).map_err(|fault| format!("{}: {fault}", path.display()))?;
    } else {
        for (line, fault) in expect::faults(&scenario, &outcome) {
            faults += &at(line, &fault);
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}
