//! One capture file.
//!
//! The parser crate keeps a window of the file in memory; it starts small and grows to the longest block, up to a bound
//! beyond which a length can only be damage. A fault after the first frame does not lose the frames before it: it is kept
//! aside and told once, at the end.

use super::{CaptureFault, Frame, link_type};
use pcap_parser::pcapng::Block;
use pcap_parser::traits::{PcapNGPacketBlock, PcapReaderIterator};
use pcap_parser::{PcapBlockOwned, PcapError, create_reader};
use std::fs::File;
use std::io::{Cursor, ErrorKind, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use tapcopy_engine::Time;
use tapcopy_engine::message::LinkType;

/// Window into the file at first: some hundred frames.
const WINDOW_BYTES: usize = 256 << 10;
/// Window into the file at most. libpcap itself takes no frame beyond 256 KiB, a pcapng block may carry a long comment.
const WINDOW_BYTES_MAX: usize = 16 << 20;
/// Type of the block that names the process of a packet, and the bytes around each block's content.
const PROCESS_INFORMATION: u32 = 0x8000_0001;
const BLOCK_BYTES_MIN: u32 = 12;
/// Beginnings of files that are captures only once they are unpacked: gzip, zstd, xz, bzip2, lz4.
const COMPRESSED: [&[u8]; 5] = [b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ", b"BZh", b"\x04\x22\x4d\x18"];

/// A capture file, open at one of its frames.
pub struct CaptureFile {
    path: PathBuf,
    length: Option<u64>,
    blocks: Box<dyn PcapReaderIterator + Send>,
    window_bytes: usize,
    interfaces: Vec<Interface>,
    /// Its blocks are pcapng's.
    is_ng: bool,
    /// What the file is called by when nothing in it can be understood.
    link_type_unknown: Option<i32>,
    frame: Frame,
    skipped: u64,
    fault: Option<CaptureFault>,
}

/// How the frames of one interface of the file are to be read.
#[derive(Clone, Copy, Debug)]
struct Interface {
    link: Option<LinkType>,
    units_per_second: u64,
    offset_seconds: i64,
    snaplen: usize,
}

impl Interface {
    fn time(&self, units: u64) -> Time {
        let nanos = u128::from(units) * 1_000_000_000 / u128::from(self.units_per_second);
        let nanos = i128::try_from(nanos).unwrap_or(i128::MAX) + i128::from(self.offset_seconds) * 1_000_000_000;
        Time::from_nanos(u64::try_from(nanos.max(0)).unwrap_or(u64::MAX))
    }
}

/// What one block of the file was.
enum Step {
    Frame,
    Other,
    End,
}

impl CaptureFile {
    /// Opens a file and reads up to its first frame; `None` when it is a capture of nothing.
    ///
    /// # Errors
    /// The file cannot be opened, is not a capture, or has no frame that can be understood.
    pub fn open(path: &Path) -> Result<Option<Self>, CaptureFault> {
        let io = |source| CaptureFault::Io { path: path.to_owned(), source };
        let file = open_file(path).map_err(io)?;
        let metadata = file.metadata().map_err(io)?;
        if metadata.is_dir() {
            return Err(io(ErrorKind::IsADirectory.into()));
        }
        let length = metadata.is_file().then_some(metadata.len());
        Ok(Self::read(path, file)?.map(|capture| Self { length, ..capture }))
    }

    /// The same of any bytes; `path` is only what they are called in faults.
    ///
    /// # Errors
    /// As of [`CaptureFile::open`].
    pub fn read(path: &Path, mut file: impl Read + Send + 'static) -> Result<Option<Self>, CaptureFault> {
        let io = |source| CaptureFault::Io { path: path.to_owned(), source };
        // The head is read whole before the parser looks at it, so that a pipe works as well as a file.
        let mut head = Vec::new();
        file.by_ref().take(WINDOW_BYTES as u64).read_to_end(&mut head).map_err(io)?;
        if COMPRESSED.iter().any(|magic| head.starts_with(magic)) {
            return Err(CaptureFault::Compressed(path.to_owned()));
        }
        let blocks = create_reader(WINDOW_BYTES, Cursor::new(head).chain(file)).map_err(|fault| match fault {
            PcapError::Eof | PcapError::Incomplete(_) => CaptureFault::Empty(path.to_owned()),
            _ => CaptureFault::NotACapture(path.to_owned()),
        })?;
        let mut capture = Self {
            path: path.to_owned(),
            length: None,
            blocks,
            window_bytes: WINDOW_BYTES,
            interfaces: Vec::new(),
            is_ng: false,
            link_type_unknown: None,
            frame: Frame::default(),
            skipped: 0,
            fault: None,
        };
        if capture.advance() { Ok(Some(capture)) } else { capture.nothing_read().map_or(Ok(None), Err) }
    }

    /// Its length in bytes; `None` of a pipe, which cannot be read twice either.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Bytes read of it.
    pub fn consumed(&self) -> u64 {
        self.blocks.consumed() as u64
    }

    /// The frame that the file is open at.
    pub fn frame(&self) -> &Frame {
        &self.frame
    }

    /// Moves to the next frame; `false` at the end of what can be read.
    pub fn advance(&mut self) -> bool {
        loop {
            match self.step() {
                Ok(Step::Frame) => return true,
                Ok(Step::Other) => {}
                Ok(Step::End) => return false,
                Err(fault) => {
                    self.fault = Some(fault);
                    return false;
                }
            }
        }
    }

    /// Why reading ended early, once.
    pub fn take_fault(&mut self) -> Option<CaptureFault> {
        self.fault.take()
    }

    /// Frames left out because their interface's link type is not known, and that type.
    pub fn skipped(&self) -> Option<(u64, i32)> {
        self.link_type_unknown.map(|linktype| (self.skipped, linktype)).filter(|(skipped, _)| *skipped > 0)
    }

    /// The file's name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Why no frame could be read, unless there simply is none.
    fn nothing_read(mut self) -> Option<CaptureFault> {
        match (self.fault.take(), self.link_type_unknown) {
            (Some(CaptureFault::Truncated { path, .. }), _) => Some(CaptureFault::Empty(path)),
            (Some(fault), _) => Some(fault),
            (None, Some(linktype)) => Some(CaptureFault::LinkType { path: self.path, linktype }),
            (None, None) => None,
        }
    }

    fn step(&mut self) -> Result<Step, CaptureFault> {
        let offset = self.blocks.consumed();
        if self.is_ng && is_too_short(self.blocks.data()) {
            return Err(CaptureFault::Damaged { path: self.path.clone(), offset });
        }
        let fault = match self.blocks.next() {
            Ok((length, block)) => {
                self.is_ng = matches!(block, PcapBlockOwned::NG(_));
                let reading = Reading {
                    interfaces: &mut self.interfaces,
                    unknown: &mut self.link_type_unknown,
                    frame: &mut self.frame,
                    skipped: &mut self.skipped,
                };
                let step = reading.block(block);
                self.blocks.consume(length);
                return Ok(step);
            }
            // The owned fault ends the borrow of the parser's window, which the fault's own data may point into.
            Err(fault) => fault.to_owned_vec(),
        };
        self.stopped(offset, &fault)
    }

    fn stopped(&mut self, offset: usize, fault: &PcapError<&'static [u8]>) -> Result<Step, CaptureFault> {
        match fault {
            PcapError::Eof => Ok(Step::End),
            // The parser takes the end of a file that ends with its window for a frame cut off after no byte.
            PcapError::UnexpectedEof if self.blocks.data().is_empty() => Ok(Step::End),
            PcapError::UnexpectedEof => Err(CaptureFault::Truncated { path: self.path.clone(), offset }),
            PcapError::Incomplete(_) => self.refill(),
            PcapError::BufferTooSmall => self.grow(offset),
            _ => Err(CaptureFault::Damaged { path: self.path.clone(), offset }),
        }
    }

    fn refill(&mut self) -> Result<Step, CaptureFault> {
        let path = &self.path;
        let io = || CaptureFault::Io { path: path.clone(), source: std::io::Error::last_os_error() };
        self.blocks.refill().map_err(|_| io())?;
        Ok(Step::Other)
    }

    fn grow(&mut self, offset: usize) -> Result<Step, CaptureFault> {
        self.window_bytes *= 2;
        if self.window_bytes > WINDOW_BYTES_MAX || !self.blocks.grow(self.window_bytes) {
            return Err(CaptureFault::Damaged { path: self.path.clone(), offset });
        }
        self.refill()
    }
}

/// Whether a process information block begins here that is shorter than what surrounds each block: the parser crate, which looks
/// at all other lengths, counts with this one.
fn is_too_short(data: &[u8]) -> bool {
    let word = |at: usize| data.get(at..at + 4).and_then(<[u8]>::first_chunk).copied().unwrap_or([0xff; 4]);
    let has = |read: fn([u8; 4]) -> u32| read(word(0)) == PROCESS_INFORMATION && read(word(4)) < BLOCK_BYTES_MIN;
    has(u32::from_le_bytes) || has(u32::from_be_bytes)
}

/// `-` is standard input.
fn open_file(path: &Path) -> std::io::Result<File> {
    if path.as_os_str() != "-" {
        return File::open(path);
    }
    Ok(std::io::stdin().as_fd().try_clone_to_owned()?.into())
}

/// The parts of a file's state that a block changes while the parser's window is borrowed.
struct Reading<'a> {
    interfaces: &'a mut Vec<Interface>,
    unknown: &'a mut Option<i32>,
    frame: &'a mut Frame,
    skipped: &'a mut u64,
}

impl Reading<'_> {
    fn block(mut self, block: PcapBlockOwned<'_>) -> Step {
        match block {
            PcapBlockOwned::LegacyHeader(header) => {
                let units_per_second = if header.is_nanosecond_precision() { 1_000_000_000 } else { 1_000_000 };
                self.interface(header.network.0, units_per_second, 0, 0)
            }
            PcapBlockOwned::Legacy(block) => {
                let units = self.interfaces.first().map_or(1_000_000, |interface| interface.units_per_second);
                let stamp = u64::from(block.ts_sec) * units + u64::from(block.ts_usec);
                self.packet(0, Some(stamp), block.origlen, block.data)
            }
            PcapBlockOwned::NG(block) => self.ng_block(block),
        }
    }

    fn ng_block(mut self, block: Block<'_>) -> Step {
        match block {
            // Interfaces are numbered anew in each section.
            Block::SectionHeader(_) => {
                self.interfaces.clear();
                Step::Other
            }
            Block::InterfaceDescription(interface) => {
                let units_per_second = units_per_second(interface.if_tsresol);
                let snaplen = usize::try_from(interface.snaplen).unwrap_or(0);
                // The parser crate reads this option as little-endian whatever the section is, and the type as such on purpose.
                let is_swapped = interface.block_type != pcap_parser::IDB_MAGIC;
                let offset = interface.if_tsoffset;
                let offset = if is_swapped { offset.swap_bytes() } else { offset };
                self.interface(interface.linktype.0, units_per_second, offset, snaplen)
            }
            Block::EnhancedPacket(packet) => {
                let stamp = u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low);
                let index = usize::try_from(packet.if_id).unwrap_or(usize::MAX);
                self.packet(index, Some(stamp), packet.origlen, packet.packet_data())
            }
            Block::SimplePacket(packet) => {
                let snaplen = self.interfaces.first().map_or(0, |interface| interface.snaplen);
                let data = packet.packet_data();
                let end = if snaplen == 0 { data.len() } else { data.len().min(snaplen) };
                self.packet(0, None, packet.origlen, &data[..end])
            }
            _ => Step::Other,
        }
    }

    fn interface(&mut self, linktype: i32, units_per_second: u64, offset_seconds: i64, snaplen: usize) -> Step {
        let link = link_type(linktype);
        if link.is_none() {
            *self.unknown = Some(linktype & super::LINKTYPE);
        }
        self.interfaces.push(Interface { link, units_per_second, offset_seconds, snaplen });
        Step::Other
    }

    /// A packet without a stamp of its own (a simple packet block) follows the one before it at once.
    fn packet(&mut self, interface: usize, stamp: Option<u64>, wire_len: u32, bytes: &[u8]) -> Step {
        let Some(interface) = self.interfaces.get(interface) else { return self.skip() };
        let Some(link) = interface.link else { return self.skip() };
        if let Some(stamp) = stamp {
            self.frame.captured_at = interface.time(stamp);
        }
        self.frame.link = link;
        self.frame.wire_len = wire_len;
        self.frame.bytes.clear();
        self.frame.bytes.extend_from_slice(bytes);
        Step::Frame
    }

    fn skip(&mut self) -> Step {
        *self.skipped += 1;
        Step::Other
    }
}

/// The option if_tsresol (draft-ietf-opsawg-pcapng, section 4.2): a negative power of 10, or of 2 with the highest bit set.
/// The parser crate's own reading of it knows no powers of 2. What does not fit is taken for the default, microseconds.
fn units_per_second(resolution: u8) -> u64 {
    let exponent = u32::from(resolution & 0x7f);
    let base: u64 = if resolution & 0x80 == 0 { 10 } else { 2 };
    base.checked_pow(exponent).unwrap_or(1_000_000)
}
