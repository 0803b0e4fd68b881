//! The boot loader's environment block, and which of the two slots it starts.
//!
//! The block is GRUB's: 1,024 bytes that begin with a fixed line, then one `name=value` for each line, filled up with `#`.
//! The variables are RAUC's: `ORDER` names the slots in the order in which they are tried; `X_OK` says that a slot may be
//! tried; `X_TRY` counts its starts since it was last known to be good, and at three it is passed over.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{Error, ErrorKind, Result, Write};
use std::path::Path;

const LENGTH: usize = 1024;
const HEAD: &str = "# GRUB Environment Block\n";

/// A slot: one of the two systems on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// The first.
    A,
    /// The second.
    B,
}

impl Slot {
    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// The slot of this name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "A" => Some(Self::A),
            "B" => Some(Self::B),
            _ => None,
        }
    }

    /// The name of its partition.
    pub fn partition(self) -> &'static str {
        match self {
            Self::A => "slot-a",
            Self::B => "slot-b",
        }
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "A",
            Self::B => "B",
        })
    }
}

/// The variables of the block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BootEnv(BTreeMap<String, String>);

impl BootEnv {
    /// Reads a block.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(block: &[u8]) -> Result<Self> {
        let text = std::str::from_utf8(block).ok().and_then(|text| text.strip_prefix(HEAD));
        let text = text.filter(|_| block.len() == LENGTH);
        let text = text.ok_or_else(|| Error::new(ErrorKind::InvalidData, "it is no environment block"))?;
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        Ok(Self(lines.filter_map(|line| line.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()))
    }

    /// The block's bytes.
    ///
    /// # Errors
    /// The variables have no room in it.
    pub fn block(&self) -> Result<Vec<u8>> {
        let lines: String = self.0.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        let mut block = format!("{HEAD}{lines}").into_bytes();
        if block.len() > LENGTH {
            return Err(Error::new(ErrorKind::InvalidData, "the variables have no room in the environment block"));
        }
        block.resize(LENGTH, b'#');
        Ok(block)
    }

    /// Reads the block of a file.
    ///
    /// # Errors
    /// The file cannot be read, or is none.
    pub fn load(path: &Path) -> Result<Self> {
        Self::parse(&std::fs::read(path)?)
    }

    /// Writes the block over that of a file, in place: the boot loader writes to the blocks where it found it, and knows no
    /// other file system operation. It is one sector long or two, and a torn write leaves it readable.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn store(&self, path: &Path) -> Result<()> {
        let mut file = std::fs::OpenOptions::new().write(true).open(path)?;
        file.write_all(&self.block()?)?;
        file.sync_all()
    }

    /// The slot that was started is good: it is tried first from now on, and its starts are no longer counted.
    pub fn mark_good(&mut self, slot: Slot) {
        self.set("ORDER", &format!("{slot} {}", slot.other()));
        self.set(&format!("{slot}_OK"), "1");
        self.set(&format!("{slot}_TRY"), "0");
    }

    /// A slot whose content is being written must not be started.
    pub fn mark_empty(&mut self, slot: Slot) {
        self.set("ORDER", &format!("{} {slot}", slot.other()));
        self.set(&format!("{slot}_OK"), "0");
    }

    /// A slot that was written is tried at the next start.
    pub fn mark_new(&mut self, slot: Slot) {
        self.set("ORDER", &format!("{slot} {}", slot.other()));
        self.set(&format!("{slot}_OK"), "1");
        self.set(&format!("{slot}_TRY"), "0");
    }

    /// Whether a slot is known to be good.
    pub fn is_good(&self, slot: Slot) -> bool {
        self.get(&format!("{slot}_OK")) == Some("1") && self.get(&format!("{slot}_TRY")) == Some("0")
    }

    /// A variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_read_and_written() {
        let mut env = BootEnv::default();
        env.mark_good(Slot::A);
        env.mark_new(Slot::B);
        let block = env.block().unwrap();
        assert_eq!(block.len(), LENGTH);
        let text = String::from_utf8(block.clone()).unwrap();
        let head = "# GRUB Environment Block\nA_OK=1\nA_TRY=0\nB_OK=1\nB_TRY=0\nORDER=B A\n";
        assert!(text.starts_with(head) && text[head.len()..].bytes().all(|byte| byte == b'#'), "{text}");
        assert_eq!(BootEnv::parse(&block).unwrap(), env);
    }

    #[test]
    fn what_is_no_block_is_refused() {
        for bad in [&b""[..], b"# GRUB Environment Block\nA=1\n", &[b'#'; LENGTH], &[0xff; LENGTH]] {
            assert!(BootEnv::parse(bad).is_err());
        }
        assert!(BootEnv(BTreeMap::from([("A".to_owned(), "x".repeat(LENGTH))])).block().is_err());
    }

    #[test]
    fn a_slot_is_good_until_its_starts_count() {
        let mut env = BootEnv::default();
        assert!(!env.is_good(Slot::A));
        env.mark_good(Slot::A);
        assert!(env.is_good(Slot::A) && !env.is_good(Slot::B));
        env.set("A_TRY", "1");
        assert!(!env.is_good(Slot::A));
        env.mark_empty(Slot::B);
        assert_eq!(env.get("ORDER"), Some("A B"));
    }
}
