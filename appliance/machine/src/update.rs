//! Signed images of a system, and how one gets into a slot.
//!
//! An update is one file: a signature in minisign's format, which is four lines, and behind it the image that it signs. The
//! signature's trusted comment says what the image is: `tapcopy version=0.2.0 schema=2 arch=x86_64`, where the schema is the
//! newest form of stored settings that this version reads.
//!
//! The image is verified while it is written, and is never whole in memory. Its first block, without which no boot loader
//! finds a file system, is written last: whatever ends an update on the way leaves a slot that cannot be started.

use minisign_verify::{Error as SignatureFault, PublicKey, Signature, StreamVerifier};
use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Seek, SeekFrom, Write};
use thiserror::Error;

/// Bytes of the block that is written last: the superblock of a squashfs and more.
const FIRST_BLOCK: usize = 4096;
/// Bytes taken at once.
const CHUNK: usize = 64 << 10;
/// Longest line of a signature.
const LINE_BYTES: u64 = 512;
/// Lines of a signature.
const LINES: usize = 4;
/// What a squashfs begins with.
const MAGIC: &[u8] = b"hsqs";

/// Why an update is refused; the slot that runs is as it was.
#[derive(Debug, Error)]
pub enum UpdateFault {
    /// There is no key to hold it against.
    #[error(
        "this system was built without a key for updates; build it with one (docs/firmware.md), and write it to the disk"
    )]
    NoKey,
    /// There are no slots.
    #[error("this machine did not start from a disk with two slots; write the disk image to a disk")]
    NoSlots,
    /// The system that runs is on trial itself.
    #[error(
        "the system that runs has just been started for the first time and is not yet known to be good; try again in a minute"
    )]
    OnTrial,
    /// It does not begin with a signature.
    #[error("this is no update: it does not begin with a signature; take the file that ends with .update")]
    NotSigned,
    /// Another key has signed it.
    #[error("this update is signed with another key than the one that this system was built with")]
    OtherKey,
    /// Signed by the key, but something else.
    #[error("the signature is not that of a TapCopy image")]
    NotOurs,
    /// For other processors.
    #[error("this update is for {0} machines")]
    OtherMachine(String),
    /// It would not read what is stored.
    #[error(
        "version {version} reads stored settings up to schema {schema}, and those of this box are of schema {present}: \
         they would be lost; install a newer version, or reset the box first"
    )]
    OlderThanSettings {
        /// Of the update.
        version: String,
        /// The newest schema that it reads.
        schema: u32,
        /// That of the box.
        present: u32,
    },
    /// Larger than the slot.
    #[error("the image is larger than the slot of {0} bytes")]
    TooLong(u64),
    /// The bytes are not those that were signed.
    #[error("the image is damaged, or not the one that was signed; nothing of it will be started")]
    Damaged,
    /// Less came than was promised, or the disk fails.
    #[error("{what}: {source}; nothing of it will be started, try again")]
    Io {
        /// What was done.
        what: &'static str,
        /// The system's words.
        source: Error,
    },
}

impl UpdateFault {
    /// Its name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoKey => "no_key",
            Self::NoSlots => "no_slots",
            Self::OnTrial => "on_trial",
            Self::NotSigned => "not_signed",
            Self::OtherKey => "other_key",
            Self::NotOurs => "not_an_image",
            Self::OtherMachine(_) => "other_machine",
            Self::OlderThanSettings { .. } => "older_than_settings",
            Self::TooLong(_) => "too_long",
            Self::Damaged => "damaged",
            Self::Io { .. } => "failed",
        }
    }

    pub(crate) fn io(what: &'static str) -> impl Fn(Error) -> Self {
        move |source| Self::Io { what, source }
    }
}

/// What an image is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// Its version.
    pub version: String,
    /// The newest form of stored settings that it reads.
    pub schema: u32,
    /// The processors that it is for, as `uname -m` names them.
    pub architecture: String,
}

impl Release {
    fn parse(comment: &str) -> Option<Self> {
        let mut words = comment.split_whitespace();
        if words.next() != Some("tapcopy") {
            return None;
        }
        let pairs: Vec<(&str, &str)> = words.filter_map(|word| word.split_once('=')).collect();
        let value = |name| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        let (version, architecture) = (value("version")?.to_owned(), value("arch")?.to_owned());
        Some(Self { version, schema: value("schema")?.parse().ok()?, architecture })
    }

    /// Whether it may be installed on this machine, whose stored settings have the schema `present`.
    fn check(&self, present: u32) -> Result<(), UpdateFault> {
        if self.architecture != std::env::consts::ARCH {
            return Err(UpdateFault::OtherMachine(self.architecture.clone()));
        }
        let Self { version, schema, .. } = self;
        if *schema < present {
            return Err(UpdateFault::OlderThanSettings { version: version.clone(), schema: *schema, present });
        }
        Ok(())
    }
}

/// An update whose signature has been read, and nothing of its image.
pub struct Update<R> {
    /// What it says that it is: true only once it is installed.
    pub release: Release,
    signature: Signature,
    key: PublicKey,
    image: BufReader<R>,
}

impl<R: Read> Update<R> {
    /// Reads the signature.
    ///
    /// # Errors
    /// There is none, or it is not by this key (the text of minisign's file), or it must not be installed on a box whose
    /// stored settings have the schema `present`.
    pub fn begin(body: R, key: &str, present: u32) -> Result<Self, UpdateFault> {
        let key = PublicKey::decode(key).map_err(|_| UpdateFault::NoKey)?;
        let mut image = BufReader::with_capacity(CHUNK, body);
        let mut text = String::new();
        for _ in 0..LINES {
            let read = (&mut image).take(LINE_BYTES).read_line(&mut text);
            read.map_err(|_| UpdateFault::NotSigned)?;
        }
        let signature = Signature::decode(&text).map_err(|_| UpdateFault::NotSigned)?;
        key.verify_stream(&signature).map_err(|fault| match fault {
            SignatureFault::UnexpectedKeyId => UpdateFault::OtherKey,
            _ => UpdateFault::NotSigned,
        })?;
        let release = Release::parse(signature.trusted_comment()).ok_or(UpdateFault::NotOurs)?;
        release.check(present)?;
        Ok(Self { release, signature, key, image })
    }

    /// Writes the image over a slot of `room` bytes, and returns once all of it is on the disk and has proved to be what was
    /// signed. The slot must be marked empty before, and new after it.
    ///
    /// # Errors
    /// It is not what was signed, or cannot be read or written; the slot cannot be started.
    pub fn write(mut self, slot: &mut (impl Write + Seek + Flush), room: u64) -> Result<Release, UpdateFault> {
        let verifier = self.key.verify_stream(&self.signature).map_err(|_| UpdateFault::OtherKey)?;
        let first = copy(&mut self.image, verifier, slot, room)?;
        let writing = UpdateFault::io("the slot cannot be written");
        slot.seek(SeekFrom::Start(0)).and_then(|_| slot.write_all(&first)).map_err(&writing)?;
        slot.sync().map_err(&writing)?;
        Ok(self.release)
    }
}

/// Copies all but the first block, for which it leaves zeros, and returns that once the signature has proved right.
fn copy(
    image: &mut impl Read,
    mut verifier: StreamVerifier<'_>,
    slot: &mut (impl Write + Seek + Flush),
    room: u64,
) -> Result<Vec<u8>, UpdateFault> {
    let (reading, writing) =
        (UpdateFault::io("the image did not arrive"), UpdateFault::io("the slot cannot be written"));
    let mut first = vec![0; FIRST_BLOCK];
    image.read_exact(&mut first).map_err(&reading)?;
    if !first.starts_with(MAGIC) {
        return Err(UpdateFault::NotOurs);
    }
    verifier.update(&first);
    slot.write_all(&[0; FIRST_BLOCK]).map_err(&writing)?;
    // The system that was there must be gone before a byte of the next one comes.
    slot.sync().map_err(&writing)?;
    let mut chunk = vec![0; CHUNK];
    let mut written = FIRST_BLOCK as u64;
    loop {
        let count = match image.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => count,
            Err(fault) if fault.kind() == ErrorKind::Interrupted => continue,
            Err(fault) => return Err(reading(fault)),
        };
        written += count as u64;
        if written > room {
            return Err(UpdateFault::TooLong(room));
        }
        verifier.update(&chunk[..count]);
        slot.write_all(&chunk[..count]).map_err(&writing)?;
    }
    slot.sync().map_err(&writing)?;
    verifier.finalize().map_err(|_| UpdateFault::Damaged)?;
    Ok(first)
}

/// What is written is on the disk when this returns.
pub trait Flush {
    /// Waits for it.
    ///
    /// # Errors
    /// The disk fails.
    fn sync(&mut self) -> std::io::Result<()>;
}

impl Flush for std::fs::File {
    fn sync(&mut self) -> std::io::Result<()> {
        self.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    // Made with minisign 0.11 for `image()`; the secret key is not kept.
    const KEY: &str =
        "untrusted comment: minisign public key\nRWRGZbuAtB3cmP4qTRP1eXMbCQGHTDp9wdawY5Io1pSzFHxCOP98xZ4j\n";
    const SIGNATURE: &str = "untrusted comment: signature\n\
        RURGZbuAtB3cmJXdPb46BDKrW/mdP1JDZyNmJe8snLNpA4MwOSP7gB8SV+DLHCZ/7OpV/fcBJqJpQJuwI9vRDxzAxIFfixX/HwI=\n\
        trusted comment: tapcopy version=0.2.0 schema=2 arch=x86_64\n\
        kGnXFbdct1Ng0Zv/yBq8cO31Enscpw73cfSs4f45FpsuiRrRIyHQssIAhvbRjwlhncHsFX8PFdoyksktLhdWAA==\n";
    const LEGACY: &str = "untrusted comment: signature\n\
        RWRGZbuAtB3cmNUBAWewcBqp78vvk45RT+YOt+jySdWv3npmKu7zAOf0XXziEBbabYAYPb+RNxbWqtgzsHCCoXraakqQX4QSJgs=\n\
        trusted comment: tapcopy version=0.2.0 schema=2 arch=x86_64\n\
        ASJgj7i17L5iE1li6icNyd/8p07P1DL0r3a6beHU9H7VmWKOkzZrymXcekzQJz3yz9eiOwtUqCC66CwZMNNyCg==\n";

    fn image() -> Vec<u8> {
        let numbers = (0..3_000_u32).flat_map(|number| number.wrapping_mul(7_919).to_le_bytes());
        MAGIC.iter().copied().chain(numbers).collect()
    }

    fn update(image: &[u8]) -> Vec<u8> {
        [SIGNATURE.as_bytes(), image].concat()
    }

    /// A slot that keeps what it held at each moment when all was on the disk.
    struct Slot {
        content: Cursor<Vec<u8>>,
        synced: Vec<Vec<u8>>,
    }

    impl Slot {
        fn new() -> Self {
            Self { content: Cursor::new([MAGIC, &[7; 20_000]].concat()), synced: Vec::new() }
        }
    }

    impl Write for Slot {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.content.write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Seek for Slot {
        fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
            self.content.seek(to)
        }
    }

    impl Flush for Slot {
        fn sync(&mut self) -> std::io::Result<()> {
            self.synced.push(self.content.get_ref().clone());
            Ok(())
        }
    }

    fn install(update: &[u8], room: u64) -> (Result<Release, UpdateFault>, Slot) {
        let mut slot = Slot::new();
        let begun = Update::begin(update, KEY, 2);
        (begun.and_then(|update| update.write(&mut slot, room)), slot)
    }

    #[test]
    fn a_signed_image_is_installed_its_first_block_last() {
        let image = image();
        let (installed, slot) = install(&update(&image), 20_000);
        let architecture = "x86_64".to_owned();
        assert_eq!(installed.unwrap(), Release { version: "0.2.0".to_owned(), schema: 2, architecture });
        let [before, without, whole] = &slot.synced[..] else { panic!("{}", slot.synced.len()) };
        assert!(before[..FIRST_BLOCK].iter().chain(&without[..FIRST_BLOCK]).all(|byte| *byte == 0));
        assert_eq!(before[FIRST_BLOCK..], Slot::new().content.get_ref()[FIRST_BLOCK..]);
        assert_eq!(without[FIRST_BLOCK..image.len()], image[FIRST_BLOCK..]);
        assert_eq!(whole[..image.len()], image);
    }

    #[test]
    fn what_was_not_signed_leaves_a_slot_that_cannot_be_started() {
        let good = update(&image());
        for at in [SIGNATURE.len() + 4, SIGNATURE.len() + FIRST_BLOCK, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            let (result, slot) = install(&bad, 20_000);
            assert_eq!(result.unwrap_err().code(), "damaged");
            assert!(slot.content.get_ref()[..FIRST_BLOCK].iter().all(|byte| *byte == 0));
        }
        for end in [SIGNATURE.len(), SIGNATURE.len() + 100, SIGNATURE.len() + FIRST_BLOCK, good.len() - 1] {
            let (result, slot) = install(&good[..end], 20_000);
            assert!(matches!(result, Err(UpdateFault::Io { .. } | UpdateFault::Damaged)), "{end}: {result:?}");
            assert!(slot.synced.is_empty() || slot.content.get_ref()[..FIRST_BLOCK].iter().all(|byte| *byte == 0));
        }
        assert_eq!(install(&good, 12_000).0.unwrap_err().code(), "too_long");
        assert_eq!(install(&[&good[..], b"x"].concat(), 20_000).0.unwrap_err().code(), "damaged");
    }

    #[track_caller]
    fn check_refused(bytes: &[u8], key: &str, present: u32, code: &str) {
        let refused = Update::begin(bytes, key, present).map(|update| update.release);
        assert_eq!(refused.unwrap_err().code(), code);
    }

    #[test]
    fn what_must_not_be_installed_is_refused_before_anything_is_written() {
        let good = update(&image());
        for no_signature in [&b""[..], b"hsqs", &image(), &[b'x'; 100_000], &SIGNATURE.as_bytes()[..150]] {
            check_refused(no_signature, KEY, 2, "not_signed");
        }
        check_refused(LEGACY.as_bytes(), KEY, 2, "not_signed");
        check_refused(&good, "", 2, "no_key");
        let other = KEY.replacen("RWRG", "RWRH", 1);
        check_refused(&good, &other, 2, "other_key");
        check_refused(&good, KEY, 3, "older_than_settings");
        let for_arm = SIGNATURE.replace("x86_64", "aarch64");
        check_refused(for_arm.as_bytes(), KEY, 2, "other_machine");
        let of_another = SIGNATURE.replace("tapcopy version", "toaster version");
        check_refused(of_another.as_bytes(), KEY, 2, "not_an_image");
    }

    #[test]
    fn a_comment_that_was_changed_is_found() {
        let newer = SIGNATURE.replace("schema=2", "schema=9");
        let (result, slot) = install(&[newer.as_bytes(), &image()].concat(), 20_000);
        assert_eq!(result.unwrap_err().code(), "damaged");
        assert!(slot.content.get_ref()[..FIRST_BLOCK].iter().all(|byte| *byte == 0));
    }
}
