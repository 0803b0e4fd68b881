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

/// Feeds the watchdog for as long as nothing ails the box, on a thread of its own. A machine without one does without.
///
/// # Errors
/// No thread is to be had.
pub fn start(ailing: impl Fn() -> Option<String> + Send + 'static) -> std::io::Result<()> {
    let Ok(device) = OpenOptions::new().write(true).open(DEVICE) else {
        log::info!("the machine has no watchdog");
        return Ok(());
    };
    if let Err(fault) = ioctl::set_watchdog_timeout(device.as_fd(), TIMEOUT_SECONDS) {
        log::debug!("{DEVICE} keeps its own time: {fault}");
    }
    std::thread::Builder::new().name("watchdog".to_owned()).spawn(move || feed(device, ailing))?;
    Ok(())
}

fn feed(mut device: File, ailing: impl Fn() -> Option<String>) {
    let mut was_well = true;
    loop {
        was_well = feed_once(&mut device, ailing().as_deref(), was_well);
        std::thread::sleep(EVERY);
    }
}

/// Feeds it unless something ails the box, which is told when it begins; whether the box is well.
fn feed_once(device: &mut impl Write, ailing: Option<&str>, was_well: bool) -> bool {
    match ailing {
        None => {
            let _ = device.write_all(b"\0");
        }
        Some(what) if was_well => {
            log::error!("the box is not well ({what}); unless it recovers, the watchdog restarts the machine");
        }
        Some(_) => {}
    }
    ailing.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_fed_while_nothing_ails_the_box() {
        let mut device = Vec::new();
        assert!(feed_once(&mut device, None, true) && feed_once(&mut device, None, false));
        assert_eq!(device.len(), 2);
        assert!(!feed_once(&mut device, Some("a shard hangs"), true));
        assert_eq!(device.len(), 2);
    }
}
