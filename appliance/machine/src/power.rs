//! The end of the machine.

use nix::sys::reboot::{RebootMode, reboot, set_cad_enabled};

/// How the machine ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Switched off.
    Off,
    /// Started again.
    Restart,
}

/// Ends the machine, once everything that matters is on the disk.
pub fn end(how: End) -> ! {
    nix::unistd::sync();
    let mode = match how {
        End::Off => RebootMode::RB_POWER_OFF,
        End::Restart => RebootMode::RB_AUTOBOOT,
    };
    // It returns only where it is refused; the first process must not end.
    let fault = reboot(mode);
    log::error!("the machine does not end: {fault:?}");
    loop {
        std::thread::park();
    }
}

/// Lets Ctrl-Alt-Del ask this process to end, instead of cutting the machine off.
pub fn ask_before_restart() {
    let _ = set_cad_enabled(false);
}
