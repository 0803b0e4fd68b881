//! Writing what the mirror showed as a capture file (pcap, nanoseconds, Ethernet).

use std::io::{self, Write};
use tapcopy_engine::Time;

/// One captured frame.
#[derive(Clone, Debug)]
pub struct Captured {
    /// Its stamp.
    pub at: Time,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its length on the wire.
    pub wire_len: u32,
}

/// Writes a whole file (draft-ietf-opsawg-pcap: magic 0xA1B23C4D, version 2.4, link type 1).
///
/// # Errors
/// Those of the writer.
pub fn write(mut writer: impl Write, frames: &[Captured]) -> io::Result<()> {
    for word in [0xA1B2_3C4D_u32, 0x0004_0002, 0, 0, 0x0004_0000, 1] {
        writer.write_all(&word.to_le_bytes())?;
    }
    for frame in frames {
        let nanos = frame.at.as_nanos();
        let times = [(nanos / 1_000_000_000) as u32, (nanos % 1_000_000_000) as u32];
        for word in [times[0], times[1], frame.bytes.len() as u32, frame.wire_len] {
            writer.write_all(&word.to_le_bytes())?;
        }
        writer.write_all(&frame.bytes)?;
    }
    Ok(())
}
