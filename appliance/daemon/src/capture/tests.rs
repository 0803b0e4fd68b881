use super::*;
use std::io::Write;
use tempfile::NamedTempFile;

/// Writes numbers in one byte order.
struct Writer {
    big_endian: bool,
    bytes: Vec<u8>,
}

impl Writer {
    fn new(big_endian: bool) -> Self {
        Self { big_endian, bytes: Vec::new() }
    }

    fn u16(mut self, number: u16) -> Self {
        self.bytes.extend(if self.big_endian { number.to_be_bytes() } else { number.to_le_bytes() });
        self
    }

    fn u32(mut self, number: u32) -> Self {
        self.bytes.extend(if self.big_endian { number.to_be_bytes() } else { number.to_le_bytes() });
        self
    }

    fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend(bytes);
        self
    }

    fn pcap(self, magic: u32, linktype: u32) -> Self {
        self.u32(magic).u16(2).u16(4).u32(0).u32(0).u32(65_535).u32(linktype)
    }

    fn record(self, seconds: u32, fraction: u32, wire_len: u32, bytes: &[u8]) -> Self {
        self.u32(seconds).u32(fraction).u32(bytes.len() as u32).u32(wire_len).raw(bytes)
    }

    /// A pcapng block around a body that is padded to a multiple of four.
    fn block(self, kind: u32, body: Self) -> Self {
        let mut body = body.bytes;
        body.resize(body.len().next_multiple_of(4), 0);
        let length = body.len() as u32 + 12;
        self.u32(kind).u32(length).raw(&body).u32(length)
    }

    fn section(self) -> Self {
        let body = Self::new(self.big_endian).u32(0x1a2b_3c4d).u16(1).u16(0).raw(&[0xff; 8]);
        self.block(0x0a0d_0d0a, body)
    }

    /// `resolution` is if_tsresol as it is written, `offset` if_tsoffset.
    fn interface(self, linktype: u16, snaplen: u32, resolution: u8, offset: u32) -> Self {
        let body = Self::new(self.big_endian).u16(linktype).u16(0).u32(snaplen);
        let body = body.u16(9).u16(1).raw(&[resolution, 0, 0, 0]).u16(14).u16(8);
        let body = if self.big_endian { body.u32(0).u32(offset) } else { body.u32(offset).u32(0) };
        let body = body.u16(0).u16(0);
        self.block(1, body)
    }

    fn enhanced(self, interface: u32, stamp: u64, wire_len: u32, bytes: &[u8]) -> Self {
        let body = Self::new(self.big_endian).u32(interface).u32((stamp >> 32) as u32).u32(stamp as u32);
        let body = body.u32(bytes.len() as u32).u32(wire_len).raw(bytes);
        self.block(6, body)
    }

    fn simple(self, wire_len: u32, bytes: &[u8]) -> Self {
        let body = Self::new(self.big_endian).u32(wire_len).raw(bytes);
        self.block(3, body)
    }

    fn file(self) -> NamedTempFile {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(&self.bytes).unwrap();
        file
    }
}

const MICROS: u32 = 0xa1b2_c3d4;
const NANOS: u32 = 0xa1b2_3c4d;

/// Frames as `nanoseconds link wire_len bytes`.
fn read(files: &[&NamedTempFile]) -> Result<(Vec<String>, Vec<String>), CaptureFault> {
    let paths: Vec<PathBuf> = files.iter().map(|file| file.path().to_owned()).collect();
    let mut captures = Captures::open(&paths)?;
    let mut frames = Vec::new();
    while let Some(frame) = captures.frame() {
        let text = String::from_utf8_lossy(&frame.bytes).into_owned();
        frames.push(format!("{} {:?} {} {text}", frame.captured_at.as_nanos(), frame.link, frame.wire_len));
        captures.advance();
    }
    Ok((frames, captures.take_warnings()))
}

#[track_caller]
fn check(file: Writer, expected: &[&str]) {
    let (frames, warnings) = read(&[&file.file()]).unwrap();
    assert_eq!(frames, expected);
    assert_eq!(warnings, [""; 0]);
}

#[track_caller]
fn check_fault(bytes: &[u8], expected: &str) {
    let fault = read(&[&Writer::new(false).raw(bytes).file()]).unwrap_err().to_string();
    assert!(fault.contains(expected), "expected {expected}, found {fault}");
}

#[test]
fn pcap_of_every_kind() {
    for big_endian in [false, true] {
        let pcap = |magic, link| Writer::new(big_endian).pcap(magic, link);
        check(
            pcap(MICROS, 1).record(1, 2, 9, b"a").record(1, 999_999, 2, b"bc"),
            &["1000002000 Ethernet 9 a", "1999999000 Ethernet 2 bc"],
        );
        check(pcap(NANOS, 101).record(1, 2, 1, b"a"), &["1000000002 RawIp 1 a"]);
        check(pcap(MICROS, 113).record(0, 0, 0, b""), &["0 LinuxSll 0 "]);
        check(pcap(MICROS, 276).record(0, 0, 1, b"a"), &["0 LinuxSll2 1 a"]);
        check(pcap(MICROS, 0x0400_0000 | 1).record(0, 0, 1, b"a"), &["0 Ethernet 1 a"]);
    }
}

#[test]
fn pcapng_with_interfaces_that_differ() {
    for big_endian in [false, true] {
        let file = Writer::new(big_endian).section();
        let file = file.interface(1, 0, 6, 0).interface(101, 0, 9, 0).interface(0, 0, 0x80 | 10, 100);
        let file = file.enhanced(0, 1_000_000, 60, b"micro").enhanced(1, 1_000_000_001, 4, b"nano");
        let file = file.enhanced(2, 1_024, 3, b"bin");
        check(file, &["1000000000 Ethernet 60 micro", "1000000001 RawIp 4 nano", "101000000000 BsdLoopback 3 bin"]);
    }
}

#[test]
fn simple_packets_follow_the_one_before() {
    let file = Writer::new(false).section().interface(1, 3, 6, 0);
    let file = file.enhanced(0, 5, 1, b"a").simple(9, b"bcd").simple(2, b"ef");
    check(file, &["5000 Ethernet 1 a", "5000 Ethernet 9 bcd", "5000 Ethernet 2 ef"]);
}

#[test]
fn sections_number_their_interfaces_anew() {
    let file = Writer::new(false).section().interface(1, 0, 6, 0).enhanced(0, 1, 1, b"a");
    let file = file.section().interface(101, 0, 9, 0).enhanced(0, 2_000, 1, b"b");
    check(file, &["1000 Ethernet 1 a", "2000 RawIp 1 b"]);
}

#[test]
fn a_frame_longer_than_the_window() {
    let long = "x".repeat(1 << 20);
    let file = Writer::new(false).pcap(MICROS, 1).record(0, 1, 9, long.as_bytes()).record(0, 2, 1, b"b");
    check(file, &[&format!("1000 Ethernet 9 {long}"), "2000 Ethernet 1 b"]);
}

#[test]
fn a_file_longer_than_the_window() {
    let file = (0..10_000).fold(Writer::new(false).pcap(NANOS, 1), |file, at| file.record(0, at, 100, &[b'x'; 100]));
    let (frames, warnings) = read(&[&file.file()]).unwrap();
    assert_eq!((frames.len(), warnings.len()), (10_000, 0));
    assert!(frames[9_999].starts_with("9999 "));
}

#[test]
fn files_are_merged_by_time() {
    let a = Writer::new(false).pcap(MICROS, 1).record(0, 1, 1, b"a").record(0, 4, 1, b"d").file();
    let b = Writer::new(true).pcap(NANOS, 1).record(0, 2_000, 1, b"b").record(0, 3_000, 1, b"c").file();
    let (frames, _) = read(&[&a, &b]).unwrap();
    let texts: Vec<&str> = frames.iter().map(|frame| frame.rsplit(' ').next().unwrap()).collect();
    assert_eq!(texts, ["a", "b", "c", "d"]);
}

#[test]
fn what_is_whole_of_a_truncated_file_is_used() {
    let whole = Writer::new(false).pcap(MICROS, 1).record(0, 1, 1, b"a").record(0, 2, 1, b"b").bytes;
    for cut in 1..17 {
        let (frames, warnings) = read(&[&Writer::new(false).raw(&whole[..whole.len() - cut]).file()]).unwrap();
        assert_eq!(frames.len(), 1, "{cut}");
        let told = if cut == 17 { 0 } else { 1 };
        assert_eq!(warnings.len(), told, "{cut}: {warnings:?}");
        assert!(warnings[0].contains("ends inside a frame at byte 41"), "{}", warnings[0]);
    }
    let ng = Writer::new(false).section().interface(1, 0, 6, 0).enhanced(0, 1, 1, b"a").enhanced(0, 1, 1, b"b").bytes;
    let (frames, warnings) = read(&[&Writer::new(false).raw(&ng[..ng.len() - 5]).file()]).unwrap();
    assert_eq!((frames.len(), warnings.len()), (1, 1));
}

#[test]
fn what_is_not_a_capture_is_told() {
    check_fault(b"", "ends before its first frame");
    check_fault(b"\xd4\xc3", "ends before its first frame");
    check_fault(b"#!/bin/sh\necho no capture at all, but longer than a header\n", "neither a pcap nor a pcapng");
    check_fault(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", "is compressed");
    check_fault(&Writer::new(false).pcap(MICROS, 1).raw(b"123").bytes, "ends before its first frame");
    for with_check_sequence in [105, 0x2400_0069] {
        let capture = Writer::new(false).pcap(MICROS, with_check_sequence).record(0, 1, 1, b"a");
        check_fault(&capture.bytes, "has link type 105");
    }
    let missing = Captures::open(&["/nonexistent.pcap".into()]).err().unwrap().to_string();
    assert!(missing.contains("/nonexistent.pcap: No such file"), "{missing}");
    assert!(Captures::open(&["/".into()]).is_err());
}

#[test]
fn a_capture_of_nothing_is_one() {
    let section = || Writer::new(true).section();
    for file in [Writer::new(false).pcap(MICROS, 1), section(), section().interface(1, 0, 6, 0)] {
        let (frames, warnings) = read(&[&file.file()]).unwrap();
        assert!(frames.is_empty() && warnings[0].ends_with("holds no frame"), "{warnings:?}");
    }
}

#[test]
fn damage_never_panics_and_loses_nothing_before_it() {
    let whole =
        Writer::new(false).section().interface(1, 0, 6, 0).enhanced(0, 1, 1, b"a").enhanced(0, 2, 1, b"b").bytes;
    for place in 0..whole.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[place] ^= flip;
            if let Ok((frames, _)) = read(&[&Writer::new(false).raw(&bytes).file()]) {
                assert!(frames.len() <= 2);
            }
        }
    }
}

#[test]
fn interfaces_that_are_not_known_are_left_out_loudly() {
    let file = Writer::new(false).section().interface(105, 0, 6, 0).interface(1, 0, 6, 0);
    let (frames, warnings) = read(&[&file.enhanced(0, 1, 1, b"a").enhanced(1, 2, 1, b"b").file()]).unwrap();
    assert_eq!(frames.len(), 1);
    assert!(warnings[0].contains("1 frames have link type 105"), "{warnings:?}");
}

/// Descriptors of this process that are open on one of the files.
fn open_descriptors(folder: &std::path::Path) -> usize {
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    descriptors.filter(|entry| std::fs::read_link(entry.path()).is_ok_and(|target| target.starts_with(folder))).count()
}

#[test]
fn of_a_ring_s_files_those_are_open_whose_time_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let name = |place: u32| folder.path().join(format!("{place}.pcap"));
    // Each ends after the next has begun, and the names are in no order.
    for place in 0..200 {
        let file =
            Writer::new(false).pcap(MICROS, 1).record(0, place * 10, 1, b"a").record(0, place * 10 + 11, 1, b"b");
        std::fs::write(name(place * 7 % 200), file.bytes).unwrap();
    }
    let paths: Vec<PathBuf> = (0..200).map(name).collect();
    let mut captures = Captures::open(&paths).unwrap();
    let (mut frames, mut last, mut most) = (0, Time::ZERO, 0);
    while let Some(frame) = captures.frame() {
        assert!(frame.captured_at >= last);
        last = frame.captured_at;
        captures.advance();
        frames += 1;
        most = most.max(open_descriptors(folder.path()));
    }
    assert_eq!((frames, most, captures.take_warnings().len()), (400, 2, 0));
    let progress = captures.progress();
    assert_eq!(Some(progress.read), progress.total);
}

#[test]
fn a_file_that_has_gone_in_the_meantime_is_told() {
    let first = Writer::new(false).pcap(MICROS, 1).record(0, 1, 1, b"a").record(0, 2, 1, b"b").file();
    let second = Writer::new(false).pcap(MICROS, 1).record(0, 3, 1, b"c").file();
    let mut captures = Captures::open(&[first.path().to_owned(), second.path().to_owned()]).unwrap();
    drop(second);
    captures.advance();
    captures.advance();
    assert!(captures.frame().is_none());
    assert!(captures.take_warnings()[0].contains("No such file"));
}
