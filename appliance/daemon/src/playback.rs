//! Captures played in place of a mirror NIC, at production's own speed, at a multiple of it, or as fast as the target
//! answers.
//!
//! Without think times (`max`) the only pace is the target's: reading waits while many requests are without an outcome.
//! Some of them may wait for frames that are not read yet, so after a short time without progress reading goes on.

use crate::capture::{CaptureFault, Captures};
use std::path::PathBuf;
use std::time::Duration;
use tapcopy_engine::config::Speed;
use tapcopy_engine::{Limits, MirrorFrame, Time};

/// Requests without an outcome at which playing without think times waits.
const IN_PROGRESS_MAX: u64 = 1_024;
/// How long it waits while none of them gets an outcome.
const STALL: Duration = Duration::from_millis(20);
/// How soon a wait is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(1);
/// Pause between two rounds of the same captures.
const ROUND_PAUSE: Duration = Duration::from_millis(1);
/// Captured time that passes in it beyond the pause itself: the sessions of a round begin as those before it did, and a
/// SYN so much later with the same sequence number is no SYN sent again.
const ROUND_LEAP: Duration = Duration::from_secs(60);

/// Captures, open at the frame that is played next.
pub struct Playback {
    paths: Vec<PathBuf>,
    captures: Captures,
    speed: Speed,
    rounds_left: u32,
    /// Stamp of the first frame of all.
    first: Time,
    /// Captured time leapt over between the rounds so far.
    leapt: Duration,
    /// Captured time before this round.
    before: Duration,
    /// Captured time of the frame played last, the rounds before it included.
    played: Duration,
    /// When the first frame was played.
    started: Option<Time>,
    throttle: Throttle,
    /// The place of the frame that comes next, with `before` added.
    next: Option<Duration>,
}

#[derive(Default)]
struct Throttle {
    in_progress: u64,
    since: Option<Time>,
}

impl Throttle {
    /// Whether to wait for the target.
    fn holds(&mut self, now: Time, in_progress: u64) -> bool {
        if in_progress < IN_PROGRESS_MAX {
            self.since = None;
            return false;
        }
        let since = *self.since.get_or_insert(now);
        if in_progress < self.in_progress {
            self.since = Some(now);
        }
        self.in_progress = in_progress;
        if now.since(since) < STALL {
            return true;
        }
        self.since = Some(now);
        false
    }
}

impl Playback {
    /// Opens the captures, to be played `rounds` times.
    ///
    /// # Errors
    /// A file cannot be used.
    pub fn open(paths: Vec<PathBuf>, speed: Speed, rounds: u32) -> Result<Self, CaptureFault> {
        let captures = Captures::open(&paths)?;
        let first = captures.frame().map_or(Time::ZERO, |frame| frame.captured_at);
        let next = captures.frame().map(|_| Duration::ZERO);
        Ok(Self {
            paths,
            captures,
            speed,
            rounds_left: rounds.saturating_sub(1),
            first,
            leapt: Duration::ZERO,
            before: Duration::ZERO,
            played: Duration::ZERO,
            started: None,
            throttle: Throttle::default(),
            next,
        })
    }

    /// Hands over the frames that are due, at most `limit`.
    pub fn read(&mut self, now: Time, limit: usize, in_progress: u64, mut take: impl FnMut(MirrorFrame<'_>)) -> usize {
        self.started.get_or_insert(now);
        if self.speed == Speed::Max && self.throttle.holds(now, in_progress) {
            return 0;
        }
        let mut frames = 0;
        while frames < limit && self.due().is_some_and(|due| due <= now) {
            self.play(&mut take);
            frames += 1;
        }
        frames
    }

    /// When the next frame is due.
    pub fn next_due(&self, now: Time) -> Option<Time> {
        self.next?;
        let due = self.due().unwrap_or(now);
        Some(if due <= now { now + LOOK_AGAIN } else { due })
    }

    /// At the end of the captures: how long what is in flight is waited for.
    pub fn ended(&self) -> Option<Duration> {
        let limits = Limits::default();
        self.next.is_none().then_some(limits.answer_timeout + limits.connect_timeout)
    }

    fn due(&self) -> Option<Time> {
        let (next, started) = (self.next?, self.started?);
        Some(match self.speed {
            Speed::Times(times) => started + next.div_f64(times),
            Speed::Max => started,
        })
    }

    fn play(&mut self, take: &mut impl FnMut(MirrorFrame<'_>)) {
        let (Some(frame), Some(at)) = (self.captures.frame(), self.next) else { return };
        // A stamp of its own origin keeps time going forward from round to round.
        take(frame.stamped(self.first + at + self.leapt));
        self.played = self.played.max(at);
        self.captures.advance();
        self.next = self.place_of_next();
    }

    /// Files out of order step back in time; the engine bears that, but no frame is held back for it.
    fn place_of_next(&mut self) -> Option<Duration> {
        if self.captures.frame().is_none() {
            self.captures.take_warnings().iter().for_each(|warning| log::warn!("{warning}"));
            self.begin_round()?;
        }
        self.captures.frame().map(|frame| self.before + frame.captured_at.since(self.first))
    }

    fn begin_round(&mut self) -> Option<()> {
        self.rounds_left = self.rounds_left.checked_sub(1)?;
        match Captures::open(&self.paths) {
            Ok(captures) => self.captures = captures,
            Err(fault) => {
                log::error!("{fault}");
                return None;
            }
        }
        self.before = self.played + ROUND_PAUSE;
        self.leapt += ROUND_LEAP;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use tempfile::NamedTempFile;

    /// A capture of one-byte frames at these milliseconds.
    fn capture(millis: &[u32]) -> NamedTempFile {
        let mut bytes = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 1, 0, 0, 0];
        for at in millis {
            let record = [at / 1_000 + 1_000_000, at % 1_000 * 1_000, 1, 1];
            bytes.extend(record.iter().flat_map(|number| number.to_le_bytes()));
            bytes.push(0);
        }
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(&bytes).unwrap();
        file
    }

    const LEAP: u128 = ROUND_LEAP.as_millis();

    /// Plays with a clock that jumps to what is due; frames as (clock, stamp) in ms from the first one.
    fn play(millis: &[u32], speed: Speed, rounds: u32) -> Vec<(u128, u128)> {
        let file = capture(millis);
        let mut playback = Playback::open(vec![file.path().to_owned()], speed, rounds).unwrap();
        let start = Time::from_millis(5_000);
        let (first, mut now, mut played) = (Time::from_millis(1_000_000_000), start, Vec::new());
        while playback.ended().is_none() {
            let mut stamps = Vec::new();
            playback.read(now, 1, 0, |frame| stamps.push(frame.captured_at));
            let at = now.since(start).as_millis();
            played.extend(stamps.iter().map(|stamp| (at, stamp.since(first).as_millis())));
            now = playback.next_due(now).filter(|_| stamps.is_empty()).unwrap_or(now);
        }
        played
    }

    #[test]
    fn frames_come_at_their_time() {
        let millis = [0, 10, 30];
        assert_eq!(play(&millis, Speed::Times(1.0), 1), [(0, 0), (10, 10), (30, 30)]);
        assert_eq!(play(&millis, Speed::Times(2.0), 1), [(0, 0), (5, 10), (15, 30)]);
        assert_eq!(play(&millis, Speed::Times(0.5), 1), [(0, 0), (20, 10), (60, 30)]);
        assert_eq!(play(&millis, Speed::Max, 1), [(0, 0), (0, 10), (0, 30)]);
    }

    #[test]
    fn captured_time_leaps_from_round_to_round() {
        let rounds = [(0, 0), (10, 10), (11, LEAP + 11), (21, LEAP + 21), (22, 2 * LEAP + 22), (32, 2 * LEAP + 32)];
        assert_eq!(play(&[0, 10], Speed::Times(1.0), 3), rounds);
        assert_eq!(play(&[0, 10], Speed::Max, 2), [(0, 0), (0, 10), (0, LEAP + 11), (0, LEAP + 21)]);
    }

    #[test]
    fn frames_out_of_order_are_not_held_back() {
        assert_eq!(play(&[0, 30, 10], Speed::Times(1.0), 1), [(0, 0), (30, 30), (30, 10)]);
    }

    #[test]
    fn a_capture_of_nothing_ends_at_once() {
        assert_eq!(play(&[], Speed::Times(1.0), 3), []);
    }

    #[test]
    fn without_think_times_the_target_sets_the_pace_but_cannot_stop_it() {
        let mut throttle = Throttle::default();
        let at = Time::from_millis;
        assert!(!throttle.holds(at(0), IN_PROGRESS_MAX - 1));
        assert!(throttle.holds(at(1), IN_PROGRESS_MAX));
        assert!(throttle.holds(at(15), IN_PROGRESS_MAX));
        assert!(!throttle.holds(at(30), IN_PROGRESS_MAX), "no progress: those may wait for frames to come");
        assert!(throttle.holds(at(31), IN_PROGRESS_MAX + 9));
        assert!(throttle.holds(at(45), IN_PROGRESS_MAX + 5), "progress");
        assert!(throttle.holds(at(60), IN_PROGRESS_MAX + 5));
        assert!(!throttle.holds(at(61), 0));
    }
}
