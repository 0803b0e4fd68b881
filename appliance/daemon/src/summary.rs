//! What is told at the end: the ledger as JSON for programs, and as a table for people.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use tapcopy_engine::Ledger;
use tapcopy_engine::ledger::{Reason, Tally};
use thiserror::Error;

/// Where the JSON goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Standard output; the table goes to standard error then.
    StandardOutput,
    /// A file.
    File(PathBuf),
}

impl FromStr for Destination {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(if text == "-" { Self::StandardOutput } else { Self::File(text.into()) })
    }
}

/// Why the summary cannot be written.
#[derive(Debug, Error)]
pub enum SummaryFault {
    /// There is no such folder.
    #[error("--summary: the folder of {0} does not exist; make it first")]
    NoFolder(PathBuf),
    /// The path is a folder.
    #[error("--summary: {0} is a folder; name a file in it")]
    IsFolder(PathBuf),
    /// Writing failed.
    #[error("--summary: {path} cannot be written: {source}; name a file in a folder that you may write to")]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
}

impl SummaryFault {
    /// Whether the command line is to blame.
    pub fn is_bad_usage(&self) -> bool {
        matches!(self, Self::NoFolder(_) | Self::IsFolder(_))
    }
}

impl Destination {
    /// Looks for faults that would only show at the end of a long run.
    ///
    /// # Errors
    /// Nothing could be written there.
    pub fn check(&self) -> Result<(), SummaryFault> {
        let Self::File(path) = self else { return Ok(()) };
        if path.is_dir() {
            return Err(SummaryFault::IsFolder(path.clone()));
        }
        if folder(path).is_dir() { Ok(()) } else { Err(SummaryFault::NoFolder(path.clone())) }
    }

    /// What is written to: the file, which may be one of another kind, and its folder.
    pub fn places(&self) -> Vec<PathBuf> {
        let Self::File(path) = self else { return Vec::new() };
        vec![path.clone(), folder(path).to_owned()]
    }

    fn write(&self, json: &str) -> Result<(), SummaryFault> {
        match self {
            Self::StandardOutput => {
                // A reader that has gone is no fault of the run.
                let _ = writeln!(std::io::stdout(), "{json}");
                Ok(())
            }
            Self::File(path) => {
                write_atomically(path, json).map_err(|source| SummaryFault::Write { path: path.clone(), source })
            }
        }
    }
}

/// Tells the ledger: the table always, the JSON where it is asked for.
///
/// # Errors
/// The JSON cannot be written.
pub fn tell(ledger: &Ledger, destination: Option<&Destination>) -> Result<(), SummaryFault> {
    let table = table(ledger);
    let json = serde_json::to_string_pretty(ledger).expect("a ledger has only string keys");
    if destination == Some(&Destination::StandardOutput) {
        let _ = write!(std::io::stderr(), "{table}");
    } else {
        let _ = write!(std::io::stdout(), "{table}");
    }
    destination.map_or(Ok(()), |destination| destination.write(&json))
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A reader sees the old file or the new one, whole. What is no regular file (a pipe, /dev/stdout) is written to as it is:
/// a rename would replace it.
fn write_atomically(path: &Path, text: &str) -> std::io::Result<()> {
    if path.exists() && !path.is_file() {
        return std::fs::write(path, format!("{text}\n"));
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder(path).join(format!(".{name}.{}", std::process::id()));
    let written = std::fs::write(&temporary, format!("{text}\n")).and_then(|()| std::fs::rename(&temporary, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

/// The ledger for a person: a line for each count, and for each cause of loss the sentence that explains it.
pub fn table(ledger: &Ledger) -> String {
    let mut table = Table::default();
    frames(ledger, &mut table);
    requests(ledger, &mut table);
    target(ledger, &mut table);
    backlog(ledger, &mut table);
    record(ledger, &mut table);
    latency(ledger, &mut table);
    table.0
}

fn frames(ledger: &Ledger, table: &mut Table) {
    table.line("frames received", ledger.frames.received);
    table.line("  decoded", ledger.frames.decoded);
    table.reasons("ignored", &ledger.frames.ignored);
    table.line_unless_zero("  cut off by the capture", ledger.frames.truncated);
    table.line_unless_zero("  shown twice", ledger.frames.duplicates);
    table.line_unless_zero("  with a wrong checksum", ledger.frames.bad_checksums);
    table.line_unless_zero("  dropped by the kernel", ledger.frames.dropped_kernel);
    table.line_unless_zero("  dropped by the NIC", ledger.frames.dropped_nic);
    table.line("sessions opened", ledger.sessions.opened);
    table.line_unless_zero("  seen midstream", ledger.sessions.midstream);
    table.line_unless_zero("  still live", ledger.sessions.live);
    table.reasons("ended", &ledger.sessions.ended);
}

fn requests(ledger: &Ledger, table: &mut Table) {
    table.line("requests captured", ledger.requests.captured);
    table.line_unless_zero("  of them turns", ledger.requests.turns);
    table.line("  replayed", ledger.requests.replayed);
    table.line("  answered", ledger.requests.answered);
    table.line_unless_zero("  in progress", ledger.requests.in_progress);
    table.reasons("not replayed", &ledger.requests.not_replayed);
    table.reasons("not answered", &ledger.requests.not_answered);
    table.line("answers that match", ledger.verdicts.matched);
    table.line("answers that differ", ledger.verdicts.differ);
    table.reasons("incomparable", &ledger.verdicts.incomparable);
}

fn target(ledger: &Ledger, table: &mut Table) {
    table.line("connections to targets", ledger.target.connections_opened);
    table.reasons("again", &ledger.target.reconnects);
    table.line_unless_zero("  segments sent again", ledger.target.retransmits);
    table.line_unless_zero("  packets without a next hop", ledger.target.packets_unresolved);
}

fn backlog(ledger: &Ledger, table: &mut Table) {
    let late = ledger.backlog.requests_late;
    if late > 0 {
        let lag = micros(ledger.backlog.lag_us_max);
        let _ = writeln!(
            table.0,
            "{:<29} {late:>12}  The target is slower than the origin: up to {lag} late.",
            "requests sent late"
        );
    }
}

fn record(ledger: &Ledger, table: &mut Table) {
    table.line_unless_zero("frames recorded", ledger.record.frames);
    table.reasons("not recorded", &ledger.record.dropped);
}

fn latency(ledger: &Ledger, table: &mut Table) {
    for (name, latencies) in [("origin", &ledger.latency_us.origin), ("target", &ledger.latency_us.target)] {
        if latencies.is_empty() {
            continue;
        }
        let [p50, p90, p99] = [0.5, 0.9, 0.99].map(|quantile| micros(latencies.quantile_us(quantile)));
        let _ = writeln!(table.0, "latency of {name:<18} {p50:>9} (half)  {p90:>9} (90 %)  {p99:>9} (99 %)");
    }
}

fn micros(micros: u64) -> String {
    match micros {
        0..10_000 => format!("{micros} us"),
        10_000..10_000_000 => format!("{} ms", micros / 1_000),
        _ => format!("{} s", micros / 1_000_000),
    }
}

/// Lines of a name, a count and an explanation.
#[derive(Default)]
struct Table(String);

impl Table {
    fn line(&mut self, name: &str, count: u64) {
        let _ = writeln!(self.0, "{name:<29} {count:>12}");
    }

    fn line_unless_zero(&mut self, name: &str, count: u64) {
        if count > 0 {
            self.line(name, count);
        }
    }

    fn reasons<R: Reason>(&mut self, name: &str, tally: &Tally<R>) {
        for (reason, count) in tally.iter().filter(|(_, count)| *count > 0) {
            let name = format!("  {name}: {}", reason.word());
            let _ = writeln!(self.0, "{name:<29} {count:>12}  {}", reason.sentence());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tapcopy_engine::ledger::NotReplayed;

    #[test]
    fn causes_come_with_their_sentences() {
        let mut ledger = Ledger::default();
        ledger.requests.captured = 3;
        ledger.requests.not_replayed.count(NotReplayed::MirrorGap);
        let table = table(&ledger);
        let line = table.lines().find(|line| line.contains("mirror_gap")).unwrap();
        assert_eq!(line, "  not replayed: mirror_gap               1  The mirror lost a part of the request.");
        assert!(!table.contains("still live"));
    }

    #[test]
    fn a_target_slower_than_the_origin_is_told() {
        let mut ledger = Ledger::default();
        assert!(!table(&ledger).contains("slower"));
        ledger.backlog.note(Duration::from_millis(100), Duration::from_millis(250));
        assert!(!table(&ledger).contains("slower"));
        ledger.backlog.note(Duration::from_millis(12_500), Duration::from_millis(250));
        let table = table(&ledger);
        let line = table.lines().find(|line| line.contains("slower")).unwrap();
        assert_eq!(
            line,
            "requests sent late                       1  The target is slower than the origin: up to 12 s late."
        );
    }

    #[test]
    fn a_summary_replaces_a_file_and_writes_into_a_pipe() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("summary.json");
        for _ in 0..2 {
            tell(&Ledger::default(), Some(&Destination::File(path.clone()))).unwrap();
        }
        let read: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(read["frames"]["received"], 0);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
        Destination::File("/dev/null".into()).write("x").unwrap();
        assert!(!Path::new("/dev/null").is_file());
    }

    #[test]
    fn places_that_cannot_be_written_are_told_at_once() {
        assert!(matches!(Destination::File("/nonexistent/x".into()).check(), Err(SummaryFault::NoFolder(_))));
        assert!(matches!(Destination::File("/".into()).check(), Err(SummaryFault::IsFolder(_))));
        assert!(Destination::File("x.json".into()).check().is_ok());
    }
}
