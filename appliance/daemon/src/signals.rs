//! SIGTERM and SIGINT as a descriptor. They are blocked before the first thread starts, so that every thread inherits it
//! and the main thread alone takes them.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::EventFd;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::getpid;
use std::os::fd::{AsFd, BorrowedFd};

/// The signals that end a run.
pub struct Signals {
    fd: SignalFd,
}

/// What the main thread has waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// SIGTERM or SIGINT.
    Signal,
    /// So many shards have ended.
    ShardsEnded(usize),
    /// Neither, in the time that it was given.
    Nothing,
}

impl Signals {
    /// Blocks the signals and collects them from now on; to be called before any thread starts.
    ///
    /// # Errors
    /// No descriptor is to be had.
    pub fn collect() -> std::io::Result<Self> {
        let mut set = SigSet::empty();
        set.add(Signal::SIGTERM);
        set.add(Signal::SIGINT);
        set.thread_block()?;
        let fd = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Self { fd })
    }

    /// Whether a signal has come since it was last asked.
    pub fn has_come(&self) -> bool {
        matches!(self.fd.read_signal(), Ok(Some(_)))
    }

    /// Waits for a signal or the end of shards, but no longer than `patience`.
    pub fn wait(&self, ended: &EventFd, patience: PollTimeout) -> Event {
        loop {
            let readable = |fd| PollFd::new(fd, PollFlags::POLLIN);
            let mut descriptors = [readable(self.fd.as_fd()), readable(ended.as_fd())];
            // An interrupted wait is waited again.
            let ready = poll(&mut descriptors, patience);
            if self.has_come() {
                return Event::Signal;
            }
            if let Ok(count) = ended.read() {
                return Event::ShardsEnded(usize::try_from(count).unwrap_or(usize::MAX));
            }
            if ready == Ok(0) {
                return Event::Nothing;
            }
        }
    }
}

/// Sends this process the signal that ends a run in order, as somebody else could.
pub fn end_this_process() {
    // It takes no permission to signal oneself.
    let _ = kill(getpid(), Signal::SIGTERM);
}

/// Readable when a signal has come.
impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
