//! The terminals at the machine: its screen with a keyboard, and serial lines.

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{LocalFlags, SetArg, SpecialCharacterIndices, tcgetattr, tcsetattr};
use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

/// Where the kernel says which terminals its own messages go to, the one of the first process last.
const CONSOLES: &str = "/sys/class/tty/console/active";
/// The kernel's name for whichever screen is in front.
const IN_FRONT: &str = "tty0";
/// The screen that is in front until somebody changes it.
const SCREEN: &str = "tty1";
/// The most that is read at once.
const BYTES: usize = 256;

/// A terminal, whose keys come one by one and without an echo.
pub struct Terminal {
    file: File,
    name: String,
    is_screen: bool,
}

/// Every terminal that the kernel's command line names.
pub fn all() -> Vec<Terminal> {
    let active = std::fs::read_to_string(CONSOLES).unwrap_or_default();
    let open = |(name, is_screen): (String, bool)| {
        Terminal::open(&name, is_screen).map_err(|fault| log::warn!("{name}: there is no console: {fault}")).ok()
    };
    named(&active).into_iter().filter_map(open).collect()
}

/// Their names, and whether each is a screen that can be painted anew: that on which the log is written cannot.
fn named(active: &str) -> Vec<(String, bool)> {
    let names: Vec<&str> = active.split_whitespace().collect();
    let of_log = names.last();
    let terminal = |name: &&str| {
        let own = if *name == IN_FRONT { SCREEN } else { name };
        (own.to_owned(), *name == IN_FRONT && of_log != Some(name))
    };
    names.iter().map(terminal).collect()
}

impl Terminal {
    fn open(name: &str, is_screen: bool) -> Result<Self> {
        let flags = (OFlag::O_NOCTTY | OFlag::O_CLOEXEC).bits();
        let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(format!("/dev/{name}"))?;
        let mut attributes = tcgetattr(&file)?;
        // What is written stays as it is for the log, which has lines that end with a single character.
        attributes.local_flags &= !(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG | LocalFlags::IEXTEN);
        attributes.control_chars[SpecialCharacterIndices::VMIN as usize] = 1;
        attributes.control_chars[SpecialCharacterIndices::VTIME as usize] = 0;
        tcsetattr(&file, SetArg::TCSANOW, &attributes)?;
        Ok(Self { file, name: name.to_owned(), is_screen })
    }

    /// As the kernel calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it can be painted anew; else it only goes on.
    pub fn is_screen(&self) -> bool {
        self.is_screen
    }

    /// What was typed, waited for at most so long.
    ///
    /// # Errors
    /// It has gone.
    pub fn read(&mut self, patience: Duration) -> Result<Vec<u8>> {
        let mut descriptors = [PollFd::new(self.file.as_fd(), PollFlags::POLLIN)];
        let millis = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
        if poll(&mut descriptors, millis).unwrap_or(0) == 0 {
            return Ok(Vec::new());
        }
        let mut bytes = [0; BYTES];
        match self.file.read(&mut bytes) {
            Ok(0) => Err(Error::from(ErrorKind::UnexpectedEof)),
            Ok(count) => Ok(bytes[..count].to_vec()),
            Err(fault) if fault.kind() == ErrorKind::Interrupted => Ok(Vec::new()),
            Err(fault) => Err(fault),
        }
    }

    /// Shows a text; a terminal that takes none is none to tell of.
    pub fn write(&mut self, text: &str) {
        let _ = self.file.write_all(text.as_bytes()).and_then(|()| self.file.flush());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_screen_without_the_log_is_painted() {
        let own = |active| named(active).into_iter().map(|(name, is_screen)| format!("{name} {is_screen}"));
        assert_eq!(own("tty0 ttyS0\n").collect::<Vec<_>>(), ["tty1 true", "ttyS0 false"]);
        assert_eq!(own("ttyS0 tty0\n").collect::<Vec<_>>(), ["ttyS0 false", "tty1 false"]);
        assert_eq!(own("").count(), 0);
    }
}
