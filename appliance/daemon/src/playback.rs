//! Captures played in place of a mirror NIC, at production's own speed, at a multiple of it, or as fast as the target
//! answers.
//!
//! Without think times (`max`) the only pace is the target's: reading waits while many requests wait for it and for nothing
//! else. At any other speed production's own timing comes first, and reading waits only where it would cost requests.
//!
//! Captures that are played again begin with new sessions: the engine is told so between two rounds.

use crate::capture::{CaptureFault, Captures, Progress};
use std::path::PathBuf;
use std::time::Duration;
use tapcopy_engine::config::Speed;
use tapcopy_engine::{Backlog, Command, Input, Limits, Time};

/// Requests that wait for the target at which playing without think times waits, at most.
const BACKLOG_REQUESTS_MAX: u64 = 1_024;
/// The same at first, and at least: a target that is all but dead still answers so many within the engine's limit.
const BACKLOG_REQUESTS_MIN: u64 = 16;
/// How long the last of the requests that wait should have to, at the pace at which the target settles them: far less than
/// the engine's limit for an answer, because a target may serve them one by one.
const HORIZON: Duration = Duration::from_secs(5);
/// Bytes of requests at which it does: half of what a session may hold, because they may all be one session's.
const BACKLOG_BYTES: u64 = 4 << 20;
/// Bytes of the answers to come at which it does: what the target sends at once, each connection gets a part of.
const BACKLOG_ANSWER_BYTES: u64 = 16 << 20;
/// How long the box may take to ask for its addresses before the first frame is played all the same: three times what it
/// takes.
const PREPARATION: Duration = Duration::from_secs(3);
/// How long to wait for a target that settles nothing: longer than the engine's own limits for a connection and an answer,
/// so that in truth only a defect can last so long.
const STALL: Duration = Duration::from_secs(60);
/// How soon a wait is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(1);
/// Pause between two rounds of the same captures.
const ROUND_PAUSE: Duration = Duration::from_millis(1);

/// Captures, open at the frame that is played next.
pub struct Playback {
    paths: Vec<PathBuf>,
    captures: Captures,
    speed: Speed,
    rounds: u32,
    rounds_left: u32,
    /// Stamp of the first frame of all.
    first: Time,
    /// Captured time before this round.
    before: Duration,
    /// Captured time of the frame played last, the rounds before it included.
    played: Duration,
    /// When it was first asked for frames.
    opened: Option<Time>,
    /// When the first frame was played.
    started: Option<Time>,
    throttle: Throttle,
    /// The place of the frame that comes next, with `before` added.
    next: Option<Duration>,
}

/// Holds reading back while the target has enough to do.
struct Throttle {
    /// Requests that may wait for the target.
    window: u64,
    /// When the window was last fitted to the target's pace, and how many requests had their outcome.
    fitted: (Time, u64),
    backlog: Backlog,
    /// Since when the backlog has not become smaller.
    since: Option<Time>,
}

impl Default for Throttle {
    fn default() -> Self {
        let fitted = (Time::ZERO, 0);
        Self { window: BACKLOG_REQUESTS_MIN, fitted, backlog: Backlog::default(), since: None }
    }
}

impl Throttle {
    fn holds(&mut self, now: Time, speed: Speed, backlog: Backlog) -> bool {
        self.fit(now, backlog.settled);
        let is_much = backlog.requests >= self.window
            || backlog.bytes >= BACKLOG_BYTES
            || backlog.answer_bytes >= BACKLOG_ANSWER_BYTES;
        let is_enough = backlog.is_full || (speed == Speed::Max && is_much);
        if !is_enough {
            self.since = None;
            return false;
        }
        let before = std::mem::replace(&mut self.backlog, backlog);
        if backlog.requests < before.requests || backlog.bytes < before.bytes || backlog.settled > before.settled {
            self.since = Some(now);
        }
        now.since(*self.since.get_or_insert(now)) < STALL
    }

    /// Fits the window to the target's pace, once there is enough to tell it by; it at most doubles, because answers come
    /// in bursts.
    fn fit(&mut self, now: Time, settled: u64) {
        let (since, before) = self.fitted;
        let (took, count) = (now.since(since), settled - before);
        if count < BACKLOG_REQUESTS_MIN && took < HORIZON {
            return;
        }
        let within_horizon = count as f64 * HORIZON.as_secs_f64() / took.as_secs_f64().max(1e-6);
        let max = BACKLOG_REQUESTS_MAX.min(self.window * 2);
        self.window = (within_horizon as u64).clamp(BACKLOG_REQUESTS_MIN, max);
        self.fitted = (now, settled);
    }
}

impl Playback {
    /// Opens the captures, to be played `rounds` times.
    ///
    /// # Errors
    /// A file cannot be used, or not as often.
    pub fn open(paths: Vec<PathBuf>, speed: Speed, rounds: u32) -> Result<Self, CaptureFault> {
        let captures = Captures::open(&paths)?;
        if rounds > 1 && captures.progress().total.is_none() {
            let is_pipe = |path: &PathBuf| !path.is_file();
            return Err(CaptureFault::Pipe(paths.into_iter().find(is_pipe).unwrap_or_default()));
        }
        let first = captures.frame().map_or(Time::ZERO, |frame| frame.captured_at);
        let next = captures.frame().map(|_| Duration::ZERO);
        Ok(Self {
            paths,
            captures,
            speed,
            rounds,
            rounds_left: rounds.saturating_sub(1),
            first,
            before: Duration::ZERO,
            played: Duration::ZERO,
            opened: None,
            started: None,
            throttle: Throttle::default(),
            next,
        })
    }

    /// Hands over the frames that are due, at most `limit`. The backlog is the engine's, and `take` says what it is after
    /// its input.
    pub fn read(
        &mut self,
        now: Time,
        limit: usize,
        mut backlog: Backlog,
        mut take: impl FnMut(Input<'_>) -> Backlog,
    ) -> usize {
        if !self.begins(now, backlog.is_preparing) {
            return 0;
        }
        let mut frames = 0;
        while frames < limit
            && self.due().is_some_and(|due| due <= now)
            && !self.throttle.holds(now, self.speed, backlog)
        {
            backlog = self.play(&mut take).unwrap_or(backlog);
            frames += 1;
        }
        frames
    }

    /// Whether the first frame has been played, or may be: sessions that begin late lose their pauses to catch up.
    fn begins(&mut self, now: Time, is_preparing: bool) -> bool {
        let opened = *self.opened.get_or_insert(now);
        if !is_preparing || now.since(opened) >= PREPARATION {
            self.started.get_or_insert(now);
        }
        self.started.is_some()
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

    /// How much of all rounds has been read.
    pub fn progress(&self) -> Progress {
        let Progress { read, total } = self.captures.progress();
        let before = u64::from(self.rounds - 1 - self.rounds_left) * total.unwrap_or(0);
        Progress { read: before + read, total: total.map(|total| total * u64::from(self.rounds)) }
    }

    fn due(&self) -> Option<Time> {
        let (next, started) = (self.next?, self.started?);
        Some(match self.speed {
            Speed::Times(times) => started + next.div_f64(times),
            Speed::Max => started,
        })
    }

    fn play(&mut self, take: &mut impl FnMut(Input<'_>) -> Backlog) -> Option<Backlog> {
        let (frame, at) = (self.captures.frame()?, self.next?);
        // A stamp of its own origin keeps time going forward from round to round.
        let backlog = take(Input::Mirror(frame.stamped(self.first + at)));
        self.played = self.played.max(at);
        self.captures.advance();
        if self.captures.frame().is_some() {
            self.next = self.place_of_next();
            return Some(backlog);
        }
        // Once: the next round would tell the same.
        if self.rounds_left + 1 == self.rounds {
            self.captures.take_warnings().iter().for_each(|warning| log::warn!("{warning}"));
        }
        self.next = self.begin_round().and_then(|()| self.place_of_next());
        Some(if self.next.is_some() { take(Input::Command(Command::NewRound)) } else { backlog })
    }

    /// Files out of order step back in time; the engine bears that, but no frame is held back for it.
    fn place_of_next(&self) -> Option<Duration> {
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

    /// Plays with a clock that jumps to what is due; frames as (clock, stamp) in ms from the first one, and `None` between
    /// two rounds.
    fn play(millis: &[u32], speed: Speed, rounds: u32) -> Vec<Option<(u128, u128)>> {
        let file = capture(millis);
        let mut playback = Playback::open(vec![file.path().to_owned()], speed, rounds).unwrap();
        let start = Time::from_millis(5_000);
        let (first, mut now, mut played) = (Time::from_millis(1_000_000_000), start, Vec::new());
        while playback.ended().is_none() {
            let at = now.since(start).as_millis();
            let frames = playback.read(now, 1, Backlog::default(), |input| {
                played.push(match input {
                    Input::Mirror(frame) => Some((at, frame.captured_at.since(first).as_millis())),
                    _ => None,
                });
                Backlog::default()
            });
            now = playback.next_due(now).filter(|_| frames == 0).unwrap_or(now);
        }
        played
    }

    #[test]
    fn the_first_frame_waits_for_the_box_s_addresses() {
        let file = capture(&[0, 10]);
        let mut playback = Playback::open(vec![file.path().to_owned()], Speed::Times(1.0), 1).unwrap();
        let mut read = |millis, is_preparing| {
            let backlog = Backlog { is_preparing, ..Backlog::default() };
            playback.read(Time::from_millis(millis), 9, backlog, |_| backlog)
        };
        assert_eq!([read(0, true), read(900, true), read(1_000, false), read(1_009, false)], [0, 0, 1, 0]);
        assert_eq!(read(1_010, false), 1);
        let mut playback = Playback::open(vec![file.path().to_owned()], Speed::Max, 1).unwrap();
        let preparing = Backlog { is_preparing: true, ..Backlog::default() };
        let mut read = |at: Duration| playback.read(Time::ZERO + at, 9, preparing, |_| preparing);
        assert_eq!([read(Duration::ZERO), read(PREPARATION)], [0, 2], "but not for ever");
    }

    #[test]
    fn frames_come_at_their_time() {
        let check = |speed, expected: [(u128, u128); 3]| assert_eq!(play(&[0, 10, 30], speed, 1), expected.map(Some));
        check(Speed::Times(1.0), [(0, 0), (10, 10), (30, 30)]);
        check(Speed::Times(2.0), [(0, 0), (5, 10), (15, 30)]);
        check(Speed::Times(0.5), [(0, 0), (20, 10), (60, 30)]);
        check(Speed::Max, [(0, 0), (0, 10), (0, 30)]);
    }

    #[test]
    fn hours_of_silence_take_no_time_without_think_times() {
        assert_eq!(play(&[0, 7_200_000], Speed::Max, 1), [Some((0, 0)), Some((0, 7_200_000))]);
    }

    #[test]
    fn each_round_is_announced_and_captured_time_goes_on() {
        let rounds = [Some((0, 0)), Some((10, 10)), None, Some((11, 11)), Some((21, 21)), None];
        assert_eq!(play(&[0, 10], Speed::Times(1.0), 3)[..6], rounds);
        assert_eq!(
            play(&[0, 10], Speed::Max, 2),
            [Some((0, 0)), Some((0, 10)), None, Some((0, 11)), Some((0, 21))],
            "nothing follows the last round"
        );
    }

    #[test]
    fn frames_out_of_order_are_not_held_back() {
        assert_eq!(play(&[0, 30, 10], Speed::Times(1.0), 1), [(0, 0), (30, 30), (30, 10)].map(Some));
    }

    #[test]
    fn a_capture_of_nothing_ends_at_once() {
        assert_eq!(play(&[], Speed::Times(1.0), 3), []);
    }

    #[test]
    fn without_think_times_the_target_sets_the_pace() {
        let mut throttle = Throttle::default();
        let at = Time::from_millis;
        let mut holds = |now, requests, bytes, answer_bytes| {
            let backlog = Backlog { requests, bytes, answer_bytes, ..Backlog::default() };
            throttle.holds(at(now), Speed::Max, backlog)
        };
        assert!(!holds(0, BACKLOG_REQUESTS_MIN - 1, BACKLOG_BYTES - 1, BACKLOG_ANSWER_BYTES - 1));
        assert!(holds(1, 0, BACKLOG_BYTES, 0));
        assert!(holds(1, 0, 0, BACKLOG_ANSWER_BYTES));
        assert!(holds(2, BACKLOG_REQUESTS_MIN, 0, 0));
        assert!(holds(59_000, BACKLOG_REQUESTS_MIN + 1, 0, 0));
        assert!(holds(60_500, BACKLOG_REQUESTS_MIN, 0, 0), "progress");
        assert!(holds(120_000, BACKLOG_REQUESTS_MIN, 0, 0));
        assert!(!holds(120_501, BACKLOG_REQUESTS_MIN, 0, 0), "a defect of the engine does not stop it for ever");
        assert!(!holds(120_502, 0, 0, 0));
    }

    /// The window that comes of a target which takes `service` for each request, one by one or all at once.
    fn window(service: Duration, is_serial: bool) -> u64 {
        let mut throttle = Throttle::default();
        let (mut now, mut settled) = (Time::ZERO, 0);
        for _ in 0..1_000 {
            let count = if is_serial { 1 } else { throttle.window };
            (now, settled) = (now + service, settled + count);
            throttle.fit(now, settled);
        }
        throttle.window
    }

    #[test]
    fn as_many_requests_wait_as_the_target_settles_in_time() {
        assert_eq!(window(Duration::from_micros(100), true), BACKLOG_REQUESTS_MAX);
        assert_eq!(window(Duration::from_millis(50), true), 100, "20 a second");
        assert_eq!(window(Duration::from_secs(2), true), BACKLOG_REQUESTS_MIN);
        assert_eq!(window(Duration::from_secs(2), false), BACKLOG_REQUESTS_MAX);
    }

    #[test]
    fn at_production_s_pace_only_a_loss_is_waited_for() {
        let mut throttle = Throttle::default();
        let mut holds = |is_full| {
            let backlog = Backlog { requests: 100_000, bytes: 100 << 20, is_full, ..Backlog::default() };
            throttle.holds(Time::ZERO, Speed::Times(1.0), backlog)
        };
        assert!(!holds(false));
        assert!(holds(true));
    }
}
