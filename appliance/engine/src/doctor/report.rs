//! What an examination has to say. It serialises as the document of `tapcopy doctor --json`.

use super::guess::Guess;
use crate::ledger::{Ignored, Tally};
use core::net::IpAddr;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// All of it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// One sentence: whether the mirror is fit for a replay.
    pub verdict: String,
    /// What is wrong, the gravest first.
    pub findings: Vec<Finding>,
    /// The servers seen, those with the most bytes first.
    pub services: Vec<Service>,
    /// The hosts with the most bytes, sent and received.
    pub talkers: Vec<Talker>,
    /// The figures that all of it was judged by.
    #[serde(flatten)]
    pub figures: Figures,
}

/// The measured figures.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// Frames, whatever is in them.
    pub traffic: Traffic,
    /// TCP flows.
    pub flows: Flows,
    /// Segments from clients to servers.
    pub to_servers: Direction,
    /// Segments from servers to clients.
    pub from_servers: Direction,
    /// Steps in the frames' stamps.
    pub clock: ClockSteps,
    /// What the driver knows of the interfaces; nothing of captures.
    pub intake: Intake,
}

/// Frames, whatever is in them.
#[derive(Clone, Debug, Serialize)]
pub struct Traffic {
    /// From the first frame's stamp to the last one's, or as long as the driver looked.
    pub seconds: f64,
    /// Frames.
    pub frames: u64,
    /// Their bytes on the wire.
    pub bytes: u64,
    /// Frames each second, in the mean.
    pub frames_per_second: f64,
    /// Bits each second, in the mean.
    pub bits_per_second: f64,
    /// Bits each second in the busiest tenth of a second.
    pub peak_bits_per_second: u64,
    /// Frames to broadcast and multicast addresses.
    pub group_frames: u64,
    /// Frames sent by an interface of this machine.
    pub own_frames: u64,
    /// Frames that the capture cut off.
    pub cut_frames: u64,
    /// Segments that were cut off before the capture.
    pub cut_segments: u64,
    /// Frames with a TCP segment.
    pub tcp_frames: u64,
    /// Frames without one, by cause.
    pub other_frames: Tally<Ignored>,
    /// Frames by length.
    pub sizes: Vec<SizeClass>,
    /// Frames by link type.
    pub link_types: Counts,
    /// Segments by what they were wrapped in.
    pub wrappings: Counts,
    /// Frames by a header that is not looked behind.
    pub unreadable: Counts,
}

/// Counts by name.
pub type Counts = BTreeMap<&'static str, u64>;

/// Frames of a range of lengths, above the class before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SizeClass {
    /// The longest of the class.
    pub up_to_bytes: u32,
    /// How many.
    pub frames: u64,
}

/// TCP flows.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Flows {
    /// Flows looked at.
    pub seen: u64,
    /// Segments of flows beyond the bound, not looked at.
    pub untracked_segments: u64,
    /// Flows of which both directions must be seen.
    pub judged: u64,
    /// Those of them without what servers send.
    pub without_server: u64,
    /// Those of them without what clients send.
    pub without_client: u64,
    /// Flows whose directions do not carry the same VLAN tag.
    pub tags_differ: u64,
    /// Segments with content, SYN or FIN.
    pub taking: u64,
    /// Those of them that were seen before.
    pub copies: u64,
    /// Those of them whose second copy had another VLAN tag.
    pub copies_other_tag: u64,
    /// Those of them whose second copy had another Ethernet sender.
    pub copies_other_mac: u64,
    /// From the first copy to the second, in the mean, in us.
    pub copies_after_us: f64,
}

/// One direction of all flows together.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Direction {
    /// Segments, copies left out.
    pub segments: u64,
    /// Their frames' bytes on the wire.
    pub bytes: u64,
    /// Segments with content.
    pub data_segments: u64,
    /// Those of them longer than the receiver takes: joined by an offload.
    pub super_segments: u64,
    /// Bytes that the receivers have acknowledged.
    pub acknowledged_bytes: u64,
    /// Those of them that the mirror never showed.
    pub lost_bytes: u64,
    /// Segments whose checksum can be told.
    pub checked: u64,
    /// Those of them where it is wrong.
    pub bad_checksums: u64,
    /// Those of these where it was left for the sender's NIC to write.
    pub unfinished_checksums: u64,
}

impl Direction {
    /// Lost of acknowledged bytes.
    pub fn lost_share(&self) -> f64 {
        share(self.lost_bytes, self.acknowledged_bytes)
    }
}

/// `part` of `whole`, or nothing of nothing.
pub(super) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Steps in the stamps of the frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct ClockSteps {
    /// Steps back.
    pub backward: u64,
    /// The longest of them.
    pub backward_largest_seconds: f64,
    /// Steps forward.
    pub forward: u64,
    /// The longest of them.
    pub forward_largest_seconds: f64,
}

/// What the driver knows beside the frames.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Intake {
    /// The interfaces looked at; none where captures were.
    pub nics: Vec<Nic>,
    /// Frames that the kernel had no room for.
    pub dropped_kernel: u64,
    /// Frames that the NIC or its driver dropped.
    pub dropped_nic: u64,
    /// How long the driver looked; `None` where the stamps alone tell.
    pub seconds: Option<f64>,
}

/// One mirror NIC, as this machine's kernel sees it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Nic {
    /// Its name.
    pub name: String,
    /// Frames that the kernel has sent there during the examination.
    pub frames_sent: u64,
    /// Addresses that the kernel has there.
    pub addresses: Vec<IpAddr>,
    /// Its line rate, where it has one.
    pub bits_per_second: Option<u64>,
}

/// A server that was seen.
#[derive(Clone, Debug, Serialize)]
pub struct Service {
    /// Its address and port.
    pub address: String,
    /// What most of its sessions spoke.
    pub protocol: Guess,
    /// Flows to it.
    pub flows: u64,
    /// Sessions whose opening was seen.
    pub opened: u64,
    /// Addresses of clients.
    pub clients: u64,
    /// Turns of clients: about the requests, where none are pipelined.
    pub turns: u64,
    /// The same each second.
    pub turns_per_second: f64,
    /// Bits each second on the wire, of both directions.
    pub bits_per_second: f64,
    /// Bytes on the wire from clients.
    pub bytes_to: u64,
    /// Bytes on the wire to clients.
    pub bytes_from: u64,
    /// Flows of which the mirror shows one direction only.
    pub one_way: u64,
    /// Bytes acknowledged and never shown, of both directions.
    pub lost_bytes: u64,
}

/// A host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Talker {
    /// Its address.
    pub address: IpAddr,
    /// Bytes on the wire, sent and received.
    pub bytes: u64,
}

/// How much a finding matters; the gravest is the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// No useful replay is possible, or much is missing in it.
    Critical,
    /// Something is missing or wrong in a replay.
    Warning,
    /// The box copes; good to know.
    Notice,
}

/// What can be wrong with a mirror.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// No frame, or no TCP.
    NoTraffic,
    /// Only one direction of flows is shown.
    OneWay,
    /// Frames are shown twice.
    Duplicated,
    /// The directions of a flow carry different tags.
    VlanOnOneSide,
    /// Frames are cut off.
    Truncated,
    /// An offload joins segments.
    SuperFrames,
    /// Checksums are wrong.
    BadChecksums,
    /// Servers or clients acknowledge bytes that the mirror never showed.
    Oversubscribed,
    /// Frames are wrapped in others.
    Encapsulated,
    /// This machine dropped frames.
    KernelDrops,
    /// The clock of the stamps was set.
    ClockStep,
    /// This machine's own frames.
    OwnFrames,
}

impl Kind {
    /// Its name as one snake_case word, as it stands in the JSON.
    pub const fn word(self) -> &'static str {
        match self {
            Self::NoTraffic => "no_traffic",
            Self::OneWay => "one_way",
            Self::Duplicated => "duplicated",
            Self::VlanOnOneSide => "vlan_on_one_side",
            Self::Truncated => "truncated",
            Self::SuperFrames => "super_frames",
            Self::BadChecksums => "bad_checksums",
            Self::Oversubscribed => "oversubscribed",
            Self::Encapsulated => "encapsulated",
            Self::KernelDrops => "kernel_drops",
            Self::ClockStep => "clock_step",
            Self::OwnFrames => "own_frames",
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// What.
    pub finding: Kind,
    /// How much it matters.
    pub severity: Severity,
    /// What was seen, as a sentence.
    pub summary: String,
    /// The figures behind the sentence.
    pub evidence: BTreeMap<&'static str, Figure>,
    /// What to do.
    pub mend: String,
}

/// A figure of the evidence.
#[derive(Clone, Debug, PartialEq)]
pub enum Figure {
    /// How many.
    Count(u64),
    /// A share from 0 to 1, or a time.
    Measure(f64),
    /// A name.
    Word(String),
}

impl Serialize for Figure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Count(count) => serializer.serialize_u64(*count),
            Self::Measure(measure) => serializer.serialize_f64(*measure),
            Self::Word(word) => serializer.serialize_str(word),
        }
    }
}
