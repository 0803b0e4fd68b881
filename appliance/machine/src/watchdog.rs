//! The hardware watchdog: it resets the machine when it is no longer fed, and it is fed only while the box is healthy.

use crate::ioctl;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::AsFd;
use std::time::Duration;

const DEVICE: &str = "/dev/watchdog";
/// Time in seconds after which the machine is reset.
const TIMEOUT_SECONDS: i32 = 60;
/// How often it is fed.
const EVERY: Duration = Duration::from_secs(5);

/// Feeds the watchdog for as long as `is_healthy` says so, on a thread of its own. A machine without one does without.
///
/// # Errors
/// No thread is to be had.
pub fn start(is_healthy: impl Fn() -> bool + Send + 'static) -> std::io::Result<()> {
    let Ok(device) = OpenOptions::new().write(true).open(DEVICE) else {
        log::info!("the machine has no watchdog");
        return Ok(());
    };
    if let Err(fault) = ioctl::set_watchdog_timeout(device.as_fd(), TIMEOUT_SECONDS) {
        log::debug!("{DEVICE} keeps its own time: {fault}");
    }
    std::thread::Builder::new().name("watchdog".to_owned()).spawn(move || feed(device, is_healthy))?;
    Ok(())
}

fn feed(mut device: File, is_healthy: impl Fn() -> bool) {
    let mut was_healthy = true;
    loop {
        let is_healthy = is_healthy();
        if is_healthy {
            let _ = device.write_all(b"\0");
        } else if was_healthy {
            log::error!("the box is not well; unless it recovers, the watchdog restarts the machine");
        }
        was_healthy = is_healthy;
        std::thread::sleep(EVERY);
    }
}
