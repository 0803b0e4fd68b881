//! What the kernel knows of its clock's truth (adjtimex(2)): whoever keeps it, by NTP or PTP, tells the kernel.

use crate::ioctl;

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
    ioctl::clock().ok().map(|state| read(&state))
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
        let mut state = ioctl::clock().unwrap();
        (state.status, state.offset, state.maxerror) = (libc::STA_NANO, -2_500_000, 16_000_000);
        let expected = Discipline { is_synchronised: true, offset_seconds: -0.0025, error_seconds_max: 16.0 };
        assert_eq!(read(&state), expected);
        (state.status, state.offset) = (libc::STA_UNSYNC, -2_500);
        assert_eq!(read(&state), Discipline { is_synchronised: false, ..expected });
    }
}
