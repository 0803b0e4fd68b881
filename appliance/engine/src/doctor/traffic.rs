//! What the frames show without a look at their flows.

use super::report::{self, Counts, SizeClass};
use crate::frame::{Segment, Wrapping};
use crate::ledger::{Ignored, Tally};
use crate::message::{LinkType, MirrorFrame};
use crate::time::Time;
use core::time::Duration;

/// Upper bounds of the classes of frame length: those of RMON (RFC 2819), full frames with tags, jumbo frames.
const SIZES: [u32; 9] = [64, 127, 255, 511, 1_023, 1_514, 1_526, 9_216, u32::MAX];
/// The time over which a peak is measured: that of a switch's or ring's buffer, not of an eye.
const PEAK_OVER: Duration = Duration::from_millis(100);
/// Headers that the box does not look behind, by EtherType, and their names.
const UNREADABLE: [(u16, &str); 7] = [
    (0x88e5, "macsec"),
    (0x88e7, "provider_backbone_802.1ah"),
    (0x893f, "e_tag_802.1br"),
    (0x8926, "vn_tag"),
    (0x8903, "fabricpath"),
    (0x8909, "cisco_metadata"),
    (0x22f3, "trill"),
];

/// How the bytes of frames may begin.
const LINKS: [(LinkType, &str); 5] = [
    (LinkType::Ethernet, "ethernet"),
    (LinkType::RawIp, "raw_ip"),
    (LinkType::BsdLoopback, "bsd_loopback"),
    (LinkType::LinuxSll, "linux_sll"),
    (LinkType::LinuxSll2, "linux_sll2"),
];

/// Counters of frames.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    frames: u64,
    bytes: u64,
    /// Frames to a broadcast or multicast address.
    group_frames: u64,
    /// Frames that one of the machine's own interfaces has sent.
    own_frames: u64,
    /// Frames with a TCP segment, and those without, by cause.
    tcp_frames: u64,
    ignored: Tally<Ignored>,
    /// Frames that the capture cut off, and segments that a switch cut off before it sent them.
    cut_frames: u64,
    cut_segments: u64,
    sizes: [u64; SIZES.len()],
    links: [u64; LINKS.len()],
    wrappings: [u64; Wrapping::ALL.len()],
    unreadable: [u64; UNREADABLE.len()],
    peak: Peak,
}

#[derive(Debug, Default)]
struct Peak {
    begin: Time,
    bytes: u64,
    most: u64,
}

impl Peak {
    fn take(&mut self, now: Time, bytes: u64) {
        if now.since(self.begin) >= PEAK_OVER {
            (self.begin, self.bytes) = (now, 0);
        }
        self.bytes += bytes;
        self.most = self.most.max(self.bytes);
    }
}

impl Traffic {
    /// Counts a frame.
    pub fn take(&mut self, now: Time, frame: &MirrorFrame<'_>, own: &[[u8; 6]]) {
        self.frames += 1;
        self.bytes += u64::from(frame.wire_len);
        self.cut_frames += u64::from((frame.bytes.len() as u64) < u64::from(frame.wire_len));
        self.peak.take(now, u64::from(frame.wire_len));
        self.sizes[SIZES.iter().position(|most| frame.wire_len <= *most).unwrap_or(SIZES.len() - 1)] += 1;
        self.links[LINKS.iter().position(|(link, _)| *link == frame.link).unwrap_or(0)] += 1;
        if let (LinkType::Ethernet, [destination, ..]) = (frame.link, frame.bytes) {
            self.group_frames += u64::from(destination & 1);
            self.own_frames += u64::from(frame.bytes.get(6..12).is_some_and(|mac| own.iter().any(|own| own == mac)));
        }
    }

    /// Counts what was found in a frame.
    pub fn take_segment(&mut self, segment: &Segment<'_>, frame: &MirrorFrame<'_>) {
        self.tcp_frames += 1;
        let was_whole = frame.bytes.len() as u64 >= u64::from(frame.wire_len);
        self.cut_segments += u64::from(segment.missing > 0 && was_whole);
        for (count, wrapping) in self.wrappings.iter_mut().zip(Wrapping::ALL) {
            *count += u64::from(segment.wrappings.contains(wrapping));
        }
    }

    /// Counts a frame without a segment.
    pub fn take_other(&mut self, reason: Ignored, frame: &MirrorFrame<'_>) {
        self.ignored.count(reason);
        if frame.link != LinkType::Ethernet || reason != Ignored::NotIp {
            return;
        }
        let ethertype = frame.bytes.get(12..).and_then(<[u8]>::first_chunk).map(|bytes| u16::from_be_bytes(*bytes));
        if let Some(index) = UNREADABLE.iter().position(|(known, _)| Some(*known) == ethertype) {
            self.unreadable[index] += 1;
        }
    }

    /// The counters as a report tells them, for so long a time.
    pub fn told(&self, seconds: f64) -> report::Traffic {
        let each_second = |sum: u64| if seconds > 0.0 { sum as f64 / seconds } else { 0.0 };
        let class = |(most, frames): (&u32, &u64)| SizeClass { up_to_bytes: *most, frames: *frames };
        report::Traffic {
            seconds,
            frames: self.frames,
            bytes: self.bytes,
            frames_per_second: each_second(self.frames),
            bits_per_second: each_second(self.bytes * 8),
            peak_bits_per_second: self.peak.most * 8 * (1_000 / PEAK_OVER.as_millis() as u64),
            group_frames: self.group_frames,
            own_frames: self.own_frames,
            cut_frames: self.cut_frames,
            cut_segments: self.cut_segments,
            tcp_frames: self.tcp_frames,
            other_frames: self.ignored.clone(),
            sizes: SIZES.iter().zip(&self.sizes).map(class).collect(),
            link_types: occurred(LINKS.iter().map(|(_, name)| *name).zip(self.links)),
            wrappings: occurred(Wrapping::ALL.iter().map(|wrapping| wrapping.word()).zip(self.wrappings)),
            unreadable: occurred(UNREADABLE.iter().map(|(_, name)| *name).zip(self.unreadable)),
        }
    }
}

fn occurred(counts: impl Iterator<Item = (&'static str, u64)>) -> Counts {
    counts.filter(|(_, count)| *count > 0).collect()
}
