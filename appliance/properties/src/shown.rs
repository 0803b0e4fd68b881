//! Frames as a mirror may show them, out of any bytes.

use arbitrary::{Result, Unstructured};
use core::time::Duration;
use tapcopy_engine::message::LinkType;
use tapcopy_engine::{MirrorFrame, Time};

const LINKS: [LinkType; 5] =
    [LinkType::Ethernet, LinkType::RawIp, LinkType::BsdLoopback, LinkType::LinuxSll, LinkType::LinuxSll2];

/// A frame with everything that the engine is told of it but when. In the input it is its link type, the bytes that the
/// capture cut off, the milliseconds since the frame before it (a byte each), its length (two) and its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// How the bytes begin.
    pub link: LinkType,
    /// Bytes that the capture cut off.
    pub missing: u8,
    /// Since the frame before it.
    pub pause: Duration,
    /// What was captured.
    pub bytes: &'a [u8],
}

impl<'a> Shown<'a> {
    /// The next frame of an input.
    ///
    /// # Errors
    /// The input has none.
    pub fn take(input: &mut Unstructured<'a>) -> Result<Self> {
        let link = *input.choose(&LINKS)?;
        let (missing, millis): (u8, u8) = (input.arbitrary()?, input.arbitrary()?);
        let len: u16 = input.arbitrary()?;
        let bytes = input.bytes(usize::from(len).min(input.len()))?;
        Ok(Self { link, missing, pause: Duration::from_millis(millis.into()), bytes })
    }

    /// As the engine takes it.
    pub fn at(&self, captured_at: Time) -> MirrorFrame<'a> {
        let wire_len = self.bytes.len() as u32 + u32::from(self.missing);
        MirrorFrame { captured_at, link: self.link, wire_len, bytes: self.bytes }
    }
}
