//! The wall clock, and what the kernel knows of its truth (adjtimex(2)): whoever keeps it, by NTP or PTP, tells the kernel.

use crate::ioctl;
use std::io::Result;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const NANOS: f64 = 1e9;
/// The kernel draws no more than half a second (MAXPHASE of linux/timex.h).
const SLEW_MAX: f64 = 0.5;
/// What the clock may be off at most and is still taken for kept, in seconds (NTP_PHASE_LIMIT).
const ERROR_MAX: f64 = 16.0;

/// A moment of this clock, and the time that has passed since then whatever became of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    wall: Duration,
    passed: Instant,
}

impl Moment {
    /// This one.
    pub(crate) fn now() -> Self {
        Self { wall: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(), passed: Instant::now() }
    }

    /// What the clock said, since 1970.
    pub(crate) fn wall(&self) -> Duration {
        self.wall
    }

    /// How long ago it is.
    pub(crate) fn elapsed(&self) -> Duration {
        self.passed.elapsed()
    }
}

/// Sets the clock by so many seconds, after who may be off by `error` seconds.
///
/// # Errors
/// The kernel refuses.
pub(crate) fn step(offset: f64, error: f64) -> Result<()> {
    let mut order = ioctl::no_adjustment();
    (order.modes, order.time) = (libc::ADJ_SETOFFSET | libc::ADJ_NANO, interval(offset));
    ioctl::adjust_clock(&mut order)?;
    // A clock that was set counts as one that nobody keeps, until somebody says otherwise.
    slew(0.0, 0, error, 0)
}

/// A number of seconds as the kernel takes it: whole ones, and nanoseconds that are never negative.
fn interval(seconds: f64) -> libc::timeval {
    let nanos = (seconds * NANOS).round() as i64;
    libc::timeval { tv_sec: nanos.div_euclid(1_000_000_000), tv_usec: nanos.rem_euclid(1_000_000_000) }
}

/// Lets the kernel draw the clock by so many seconds, the more quickly the smaller the time constant, after who may be off by `error`
/// seconds and tells of a leap second (RFC 5905, section 7.3).
///
/// # Errors
/// The kernel refuses.
pub(crate) fn slew(offset: f64, time_constant: i64, error: f64, leap: u8) -> Result<()> {
    ioctl::adjust_clock(&mut drawing(offset, time_constant, error, leap)).map(drop)
}

fn drawing(offset: f64, time_constant: i64, error: f64, leap: u8) -> libc::timex {
    let mut order = ioctl::no_adjustment();
    order.modes = libc::ADJ_STATUS
        | libc::ADJ_NANO
        | libc::ADJ_OFFSET
        | libc::ADJ_TIMECONST
        | libc::ADJ_MAXERROR
        | libc::ADJ_ESTERROR;
    order.status = libc::STA_PLL
        | match leap {
            1 => libc::STA_INS,
            2 => libc::STA_DEL,
            _ => 0,
        };
    order.offset = (offset.clamp(-SLEW_MAX, SLEW_MAX) * NANOS).round() as i64;
    order.constant = time_constant;
    order.maxerror = (error.min(ERROR_MAX) * 1e6) as i64;
    order.esterror = (offset.abs().min(ERROR_MAX) * 1e6) as i64;
    order
}

/// The state of the clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Discipline {
    /// Whether somebody keeps it.
    pub is_synchronised: bool,
    /// What it is off, in seconds, as far as it is still being corrected.
    pub offset_seconds: f64,
    /// What it may be off at most, in seconds.
    pub error_seconds_max: f64,
}

/// The state at present; `None` where the kernel does not tell.
pub fn discipline() -> Option<Discipline> {
    let mut state = ioctl::no_adjustment();
    ioctl::adjust_clock(&mut state).ok().map(|()| read(&state))
}

fn read(state: &libc::timex) -> Discipline {
    let units = if state.status & libc::STA_NANO != 0 { 1e9 } else { 1e6 };
    Discipline {
        is_synchronised: state.status & libc::STA_UNSYNC == 0,
        offset_seconds: state.offset as f64 / units,
        error_seconds_max: state.maxerror as f64 / 1e6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_units_are_those_that_the_kernel_says() {
        let mut state = ioctl::no_adjustment();
        (state.status, state.offset, state.maxerror) = (libc::STA_NANO, -2_500_000, 16_000_000);
        let expected = Discipline { is_synchronised: true, offset_seconds: -0.0025, error_seconds_max: 16.0 };
        assert_eq!(read(&state), expected);
        (state.status, state.offset) = (libc::STA_UNSYNC, -2_500);
        assert_eq!(read(&state), Discipline { is_synchronised: false, ..expected });
    }

    #[test]
    fn what_the_kernel_is_told() {
        let parts = |seconds| (interval(seconds).tv_sec, interval(seconds).tv_usec);
        assert_eq!(parts(1.25), (1, 250_000_000));
        assert_eq!(parts(-0.25), (-1, 750_000_000));
        assert_eq!(parts(-2.0), (-2, 0));
        let order = drawing(-0.002, 2, 0.03, 1);
        assert_eq!((order.offset, order.constant, order.maxerror, order.esterror), (-2_000_000, 2, 30_000, 2_000));
        assert_eq!(order.status, libc::STA_PLL | libc::STA_INS);
        assert_eq!(drawing(9.0, 2, 99.0, 0).offset, 500_000_000);
    }
}
