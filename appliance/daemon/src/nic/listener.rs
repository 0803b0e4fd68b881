//! Interfaces without a role that take every frame for some seconds, so that a person sees which one the mirror port feeds.
//!
//! A NIC drops what is not for its own address unless somebody listens to all. The frames themselves are not looked at: the
//! filter lets none through, and the kernel counts them all the same.

use super::mirror::MirrorNic;
use crate::clock::Clock;
use std::time::Duration;
use tapcopy_engine::share::Share;

/// How long an interface listens after it was last asked for.
const LISTENS: Duration = Duration::from_secs(10);
/// Interfaces that listen at the same time.
const AT_ONCE: usize = 16;
/// The smallest ring.
const BUFFER_BYTES: u32 = 1 << 20;
/// No Ethernet frame is so short.
const NOTHING: &str = "less 13";

/// Those that listen.
#[derive(Default)]
pub struct Listeners {
    open: Vec<(String, MirrorNic, Clock)>,
}

impl Listeners {
    /// Lets these listen from now on; one that cannot be opened does not.
    pub fn listen<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        for name in names {
            if let Some((_, _, since)) = self.open.iter_mut().find(|(open, _, _)| open == name) {
                *since = Clock::start();
            } else if self.open.len() < AT_ONCE
                && let Ok(nic) = MirrorNic::open(name, BUFFER_BYTES, &[], Some(NOTHING), Share::default())
            {
                self.open.push((name.to_owned(), nic, Clock::start()));
            }
        }
    }

    /// Ends those that nobody has asked for.
    pub fn expire(&mut self) {
        self.open.retain(|(_, _, since)| since.uptime() < LISTENS);
    }

    /// Whether this one listens.
    pub fn has(&self, name: &str) -> bool {
        self.open.iter().any(|(open, _, _)| open == name)
    }
}

#[cfg(test)]
mod tests {
    use super::super::mirror::matcher;
    use super::*;

    #[test]
    fn no_frame_passes() {
        let (_, passes) = matcher(NOTHING).unwrap();
        assert!(!passes(&[0; 14]) && !passes(&[0; 60]) && !passes(&[0; 1_514]));
    }
}
