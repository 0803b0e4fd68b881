//! The progress of a replay as a line on the terminal, drawn anew twice a second; without a terminal there is none.
//!
//! The log goes to the same terminal: each of its lines first wipes the progress, which the next drawing brings back.

use crate::capture::Progress;
use crate::clock::Clock;
use crate::shard::Snapshot;
use nix::poll::PollTimeout;
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

/// Time between two drawings in ms.
const EVERY_MS: u16 = 500;
/// Width of the bar in characters; the whole line stays under 80.
const WIDTH: u64 = 20;
/// Back to the line's beginning, and what is there removed (ECMA-48).
const WIPE: &[u8] = b"\r\x1b[K";

/// Whether a line of progress stands on the terminal.
static IS_DRAWN: AtomicBool = AtomicBool::new(false);

/// The progress of a run, on a terminal or nowhere.
pub struct Bar(Option<Clock>);

impl Bar {
    /// A bar if standard error is a terminal.
    pub fn on_terminal() -> Self {
        Self(std::io::stderr().is_terminal().then(Clock::start))
    }

    /// No bar.
    pub fn none() -> Self {
        Self(None)
    }

    /// How long to wait before the next drawing.
    pub fn patience(&self) -> PollTimeout {
        if self.0.is_some() { EVERY_MS.into() } else { PollTimeout::NONE }
    }

    /// Draws how far a replay is.
    pub fn draw(&self, snapshot: &Snapshot) {
        let (Some(since), Some(progress)) = (self.0, snapshot.progress) else { return };
        let line = line(progress, snapshot.ledger.requests.answered, since.uptime().as_secs());
        let mut terminal = std::io::stderr().lock();
        let _ = terminal.write_all(WIPE).and_then(|()| terminal.write_all(line.as_bytes()));
        IS_DRAWN.store(true, Ordering::Relaxed);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        wipe(&mut std::io::stderr().lock());
    }
}

fn wipe(terminal: &mut impl Write) {
    if IS_DRAWN.swap(false, Ordering::Relaxed) {
        let _ = terminal.write_all(WIPE);
    }
}

fn line(Progress { read, total }: Progress, answered: u64, seconds: u64) -> String {
    let count = format!("{answered} requests answered");
    let Some(total) = total.filter(|total| *total > 0) else { return format!("{} read, {count}", size(read)) };
    let read = read.min(total);
    let share = |whole: u64| u64::try_from(u128::from(whole) * u128::from(read) / u128::from(total)).unwrap_or(whole);
    let filled = share(WIDTH) as usize;
    let bar = format!("[{}{}]", "#".repeat(filled), "-".repeat(WIDTH as usize - filled));
    let left = match u128::from(seconds) * u128::from(total - read) / u128::from(read.max(1)) {
        _ if read == 0 || seconds < 2 => String::new(),
        0 => ", last answers".to_owned(),
        left @ 1..100 => format!(", {left} s left"),
        left @ 100..6_000 => format!(", {} min left", left / 60),
        left => format!(", {} h left", left / 3_600),
    };
    format!("{bar} {} % of {}, {count}{left}", share(100), size(total))
}

fn size(bytes: u64) -> String {
    match bytes {
        0..10_000_000 => format!("{} kB", bytes / 1_000),
        10_000_000..10_000_000_000 => format!("{} MB", bytes / 1_000_000),
        _ => format!("{} GB", bytes / 1_000_000_000),
    }
}

/// Standard error for the log.
pub struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut terminal = std::io::stderr().lock();
        wipe(&mut terminal);
        terminal.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(read: u64, total: Option<u64>, seconds: u64, expected: &str) {
        let line = line(Progress { read, total }, 12, seconds);
        assert_eq!(line, expected);
        assert!(line.len() < 80);
    }

    #[test]
    fn lines() {
        check(0, Some(9_000), 0, "[--------------------] 0 % of 9 kB, 12 requests answered");
        check(
            500_000_000,
            Some(2_000_000_000),
            60,
            "[#####---------------] 25 % of 2000 MB, 12 requests answered, 3 min left",
        );
        check(9_900, Some(10_000), 100, "[###################-] 99 % of 10 kB, 12 requests answered, 1 s left");
        check(10_000, Some(10_000), 100, "[####################] 100 % of 10 kB, 12 requests answered, last answers");
        check(77_000_000, None, 60, "77 MB read, 12 requests answered");
        check(1, Some(0), 60, "0 kB read, 12 requests answered");
    }
}
