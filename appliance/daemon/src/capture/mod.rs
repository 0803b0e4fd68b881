//! Capture files: pcap and pcapng, of every byte order and time resolution, read frame by frame in bounded memory.
//!
//! `reader` reads one file, `merge` several in time order. libpcap is not used here: it refuses pcapng files whose
//! interfaces differ in link type.

mod merge;
mod reader;

pub use merge::{Captures, Progress};
pub use reader::CaptureFile;

use std::path::PathBuf;
use tapcopy_engine::message::LinkType;
use tapcopy_engine::{MirrorFrame, Time};
use thiserror::Error;

/// A frame of a capture; its buffer is used again for the next one.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Since the Unix epoch.
    pub captured_at: Time,
    /// How the bytes begin.
    pub link: LinkType,
    /// Length on the wire.
    pub wire_len: u32,
    /// What was captured of it.
    pub bytes: Vec<u8>,
}

impl Default for Frame {
    fn default() -> Self {
        Self { captured_at: Time::ZERO, link: LinkType::Ethernet, wire_len: 0, bytes: Vec::new() }
    }
}

impl Frame {
    /// As the engine takes it, with its stamp moved to another clock.
    pub fn stamped(&self, captured_at: Time) -> MirrorFrame<'_> {
        MirrorFrame { captured_at, link: self.link, wire_len: self.wire_len, bytes: &self.bytes }
    }
}

/// Why a capture cannot be read, or not to its end.
#[derive(Debug, Error)]
pub enum CaptureFault {
    /// The file does not open or read.
    #[error("{path}: {source}; name a capture file that you may read")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// Neither pcap nor pcapng.
    #[error("{0}: is neither a pcap nor a pcapng file; record one with `tcpdump -w`")]
    NotACapture(PathBuf),
    /// Compressed.
    #[error("{0}: is compressed; unpack it first, or on the way: gunzip -c FILE | tapcopy replay -")]
    Compressed(PathBuf),
    /// A pipe is to be read again.
    #[error("{0}: is a pipe, which can be read only once; --loop needs a file")]
    Pipe(PathBuf),
    /// The file ends before its first frame is whole.
    #[error("{0}: ends before its first frame; record it again")]
    Empty(PathBuf),
    /// The file ends inside a frame.
    #[error("{path}: ends inside a frame at byte {offset}; what lies before it is used, record it again for the rest")]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Where the last whole frame ends.
        offset: usize,
    },
    /// The file contradicts itself.
    #[error("{path}: is damaged at byte {offset}; what lies before it is used, record it again for the rest")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the last whole frame ends.
        offset: usize,
    },
    /// No frame can be understood.
    #[error("{path}: has link type {linktype}, which is not known here; record with tcpdump on an Ethernet interface")]
    LinkType {
        /// The file.
        path: PathBuf,
        /// As in the registry of tcpdump.org.
        linktype: i32,
    },
}

/// Where the number of a link type is in the field of a capture: the bits above tell the length of a frame check sequence, which
/// the decoder does not need.
const LINKTYPE: i32 = 0xffff;

/// The framing of a LINKTYPE number (<https://www.tcpdump.org/linktypes.html>), if the engine knows it.
pub fn link_type(number: i32) -> Option<LinkType> {
    match number & LINKTYPE {
        1 => Some(LinkType::Ethernet),
        12 | 14 | 101 | 228 | 229 => Some(LinkType::RawIp),
        0 | 108 => Some(LinkType::BsdLoopback),
        113 => Some(LinkType::LinuxSll),
        276 => Some(LinkType::LinuxSll2),
        _ => None,
    }
}

/// The LINKTYPE number under which frames of this framing are written.
pub fn link_number(link: LinkType) -> u16 {
    match link {
        LinkType::Ethernet => 1,
        LinkType::RawIp => 101,
        LinkType::BsdLoopback => 0,
        LinkType::LinuxSll => 113,
        LinkType::LinuxSll2 => 276,
    }
}

#[cfg(test)]
mod tests;
