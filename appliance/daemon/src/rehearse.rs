//! `tapcopy rehearse`: captures against their own origins' answers, in virtual time, without a NIC.
//!
//! Time is the captures' own: before each frame the engine's timers up to its stamp run, each at its time, so that a
//! capture of an hour takes seconds and gives the same result every time.

use crate::capture::Captures;
use crate::fault::Fault;
use crate::settings::Settings;
use crate::summary::{self, Destination};
use std::path::PathBuf;
use std::time::Duration;
use tapcopy_engine::config::{FarEnd, Speed};
use tapcopy_engine::share::Part;
use tapcopy_engine::{Command, Engine, Input, Ledger, Time};

/// How long the engine may take, in virtual time, to finish after the last frame.
const FINISH: Duration = Duration::from_secs(600);
/// Ticks at one instant, or after the last frame, beyond which the engine has a defect.
const TICKS_MAX: u64 = 50_000_000;

/// Rehearses the captures and tells the ledger.
///
/// # Errors
/// A capture cannot be used, or the summary cannot be written.
pub fn rehearse(paths: &[PathBuf], settings: &Settings, summary: Option<&Destination>) -> Result<(), Fault> {
    let (ledger, warnings) = ledger_of(Captures::open(paths)?, settings);
    summary::tell(&ledger, summary)?;
    warnings.iter().for_each(|warning| log::warn!("{warning}"));
    if let Some(law) = ledger.broken_law() {
        log::error!("{law}; the ledger has a defect, please report it");
    }
    Ok(())
}

/// The ledger at the end of the captures, and what was not read of them, as sentences.
pub fn ledger_of(mut captures: Captures, settings: &Settings) -> (Ledger, Vec<String>) {
    let start = captures.frame().map_or(Time::ZERO, |frame| frame.captured_at);
    let config = settings.config(FarEnd::Rehearsal, settings.share(Part::ALL), &[], Speed::Times(1.0), true);
    // The seed is constant: the same captures give the same ledger.
    let mut rehearsal = Rehearsal { engine: Engine::new(start, config, 0), now: start };
    while let Some(frame) = captures.frame() {
        rehearsal.advance_to(frame.captured_at);
        rehearsal.handle(Input::Mirror(frame.stamped(frame.captured_at)));
        captures.advance();
    }
    rehearsal.finish();
    let mut ledger = rehearsal.engine.ledger().clone();
    ledger.findings = rehearsal.engine.findings(Time::MAX).len() as u64;
    (ledger, captures.take_warnings())
}

struct Rehearsal {
    engine: Engine,
    now: Time,
}

impl Rehearsal {
    fn handle(&mut self, input: Input<'_>) {
        self.engine.handle_input(self.now, input);
        while self.engine.poll_output().is_some() {}
    }

    /// Runs the timers up to `time`; a stamp that steps back does not turn the clock back.
    fn advance_to(&mut self, time: Time) {
        for _ in 0..TICKS_MAX {
            let Some(due) = self.engine.poll_timeout().filter(|due| *due <= time) else { break };
            self.now = self.now.max(due);
            self.handle(Input::Tick);
        }
        self.now = self.now.max(time);
    }

    fn finish(&mut self) {
        let end = self.now + FINISH;
        self.handle(Input::Command(Command::Finish { limit: FINISH }));
        for _ in 0..TICKS_MAX {
            if self.engine.is_idle() {
                return;
            }
            let Some(due) = self.engine.poll_timeout().filter(|due| *due <= end) else { break };
            self.now = self.now.max(due);
            self.handle(Input::Tick);
        }
        log::error!("the engine did not finish; please report it with the capture");
    }
}
