//! The judgement: from figures to findings, with every threshold and every mend.
//!
//! A share decides where a little of something is normal or does little harm; what a sound mirror never shows is told
//! from the first frame on. Severity says what it means for a replay: see [`Severity`].

use super::report::{Direction, Figure, Figures, Finding, Kind, Nic, Severity, share};
use Figure::{Count, Measure};
use Severity::{Critical, Notice, Warning};

/// Flows of which one direction is missing. Below the first, routing that takes another way back explains it.
const ONE_WAY: Levels = Levels { notice: 0.01, warning: 0.1, critical: 0.5 };
/// Segments seen twice. A few are retransmissions that look like copies; replay takes any number, but the mirror has room
/// for only so much.
const DUPLICATED: Levels = Levels { notice: 0.05, warning: 0.2, critical: f64::INFINITY };
/// Flows whose directions carry different tags. Harmless for replay.
const TAGS_DIFFER: Levels = Levels { notice: 0.01, warning: f64::INFINITY, critical: f64::INFINITY };
/// Frames cut off: what is cut off of a request or an answer is lost.
const TRUNCATED: Levels = Levels { notice: 0.0, warning: 0.0, critical: 0.01 };
/// Segments joined by an offload.
const SUPER: Levels = Levels { notice: 0.0, warning: f64::INFINITY, critical: f64::INFINITY };
/// Checksums that are wrong in earnest. A link that damages more than the first wants a look.
const BAD_CHECKSUMS: Levels = Levels { notice: 0.0, warning: 0.001, critical: 0.05 };
/// Acknowledged bytes that were never shown. At the first level about one in a hundred answers of 100 segments has a
/// gap, at the second most have.
const LOST: Levels = Levels { notice: 0.0, warning: 0.000_1, critical: 0.01 };
/// Frames dropped by this machine.
const DROPPED: Levels = Levels { notice: 0.0, warning: 0.000_01, critical: 0.01 };
/// Frames in an encapsulation that the box reads.
const ENCAPSULATED: Levels = Levels { notice: 0.0, warning: f64::INFINITY, critical: f64::INFINITY };
/// Frames in an encapsulation that the box does not read.
const UNREADABLE: Levels = Levels { notice: 0.0, warning: 0.01, critical: 0.5 };
/// Of wrong checksums, the share left to the senders' NICs from which on these explain them.
const UNFINISHED: f64 = 0.9;

/// Shares above which a finding has a severity.
struct Levels {
    notice: f64,
    warning: f64,
    critical: f64,
}

impl Levels {
    fn of(&self, share: f64) -> Option<Severity> {
        let levels = [(self.critical, Critical), (self.warning, Warning), (self.notice, Notice)];
        levels.into_iter().find(|(level, _)| share > *level).map(|(_, severity)| severity)
    }
}

/// Everything that is wrong, the gravest first.
pub(super) fn judge(figures: &Figures) -> Vec<Finding> {
    let rules: [fn(&Figures) -> Option<Finding>; 13] = [
        no_traffic,
        one_way,
        kernel_drops,
        oversubscribed,
        truncated,
        encapsulated,
        unreadable,
        own_frames,
        clock_step,
        bad_checksums,
        duplicated,
        super_frames,
        vlan_on_one_side,
    ];
    let mut findings: Vec<_> = rules.iter().filter_map(|rule| rule(figures)).collect();
    findings.sort_by_key(|finding| finding.severity);
    findings
}

/// Whether the mirror is fit for a replay, as a sentence.
pub(super) fn verdict(findings: &[Finding]) -> String {
    let named = |severity| {
        let words = findings.iter().filter(move |finding| finding.severity == severity);
        words.map(|finding| finding.finding.word()).collect::<Vec<_>>().join(", ")
    };
    match findings.first().map(|finding| finding.severity) {
        Some(Critical) => format!("The mirror is not fit for a replay: {}.", named(Critical)),
        Some(Warning) => format!("The mirror can be used, but a replay will lack something: {}.", named(Warning)),
        Some(Notice) => format!("The mirror is good; the box copes with: {}.", named(Notice)),
        None => "The mirror is good.".to_owned(),
    }
}

fn finding<const N: usize>(
    finding: Kind,
    severity: Severity,
    summary: String,
    evidence: [(&'static str, Figure); N],
    mend: impl Into<String>,
) -> Finding {
    Finding { finding, severity, summary, evidence: evidence.into(), mend: mend.into() }
}

fn no_traffic(figures: &Figures) -> Option<Finding> {
    let traffic = &figures.traffic;
    if traffic.tcp_frames > 0 {
        return None;
    }
    let is_live = !figures.intake.nics.is_empty();
    let (summary, mend) = if traffic.frames == 0 {
        (
            "Not one frame came.".to_owned(),
            "check the cable and the SPAN session (its source ports, its destination port)",
        )
    } else if traffic.group_frames == traffic.frames {
        (
            format!(
                "All {} frames went to broadcast or multicast addresses: this is an ordinary port.",
                traffic.frames
            ),
            "make the port that this NIC is on the destination of a SPAN session, or put the NIC on a TAP",
        )
    } else {
        (
            format!("None of {} frames holds a TCP segment that can be read.", traffic.frames),
            "mirror the ports of the servers whose sessions are to be replayed; see below what the frames are",
        )
    };
    let mend = if is_live || traffic.frames > 0 { mend } else { "record again, with `tcpdump -s 0 -w`" };
    let evidence = [("frames", Count(traffic.frames)), ("group_frames", Count(traffic.group_frames))];
    Some(finding(Kind::NoTraffic, Critical, summary, evidence, mend))
}

fn one_way(figures: &Figures) -> Option<Finding> {
    let flows = &figures.flows;
    let missing = flows.without_server + flows.without_client;
    let severity = ONE_WAY.of(share(missing, flows.judged))?;
    let which = match (flows.without_server, flows.without_client) {
        (_, 0) => "what the servers send",
        (0, _) => "what the clients send",
        _ => "one of the two directions",
    };
    let summary = format!("{missing} of {} flows are shown without {which}.", flows.judged);
    let evidence = [
        ("flows", Count(flows.judged)),
        ("without_server", Count(flows.without_server)),
        ("without_client", Count(flows.without_client)),
        ("share", Measure(share(missing, flows.judged))),
    ];
    let mend = "mirror both directions (`both`, not `rx` or `tx`) of the servers' ports; with a TAP, give both of its \
                outputs a NIC and name both";
    Some(finding(Kind::OneWay, severity, summary, evidence, mend))
}

fn duplicated(figures: &Figures) -> Option<Finding> {
    let flows = &figures.flows;
    let severity = DUPLICATED.of(share(flows.copies, flows.taking))?;
    let routed = flows.copies_other_tag + flows.copies_other_mac > flows.copies / 2;
    let summary = format!(
        "{} of the segments with content are copies, shown {:.0} us after the first{}.",
        percent(share(flows.copies, flows.taking)),
        flows.copies_after_us,
        if routed { ", with another tag or Ethernet sender" } else { "" }
    );
    let mend = if routed {
        "the mirror takes frames before and behind a router: take one of the two VLANs out of it"
    } else {
        "the mirror takes frames on their way in and on their way out: mirror both directions of the servers' ports \
         only, or one direction of all ports"
    };
    let evidence = [
        ("copies", Count(flows.copies)),
        ("share", Measure(share(flows.copies, flows.taking))),
        ("after_us", Measure(flows.copies_after_us)),
        ("with_other_tag", Count(flows.copies_other_tag)),
        ("with_other_mac", Count(flows.copies_other_mac)),
    ];
    Some(finding(Kind::Duplicated, severity, summary, evidence, mend))
}

fn vlan_on_one_side(figures: &Figures) -> Option<Finding> {
    let flows = &figures.flows;
    let severity = TAGS_DIFFER.of(share(flows.tags_differ, flows.seen))?;
    let summary = format!(
        "{} of {} flows carry a VLAN tag in one direction only, or different ones in the two.",
        flows.tags_differ, flows.seen
    );
    let evidence = [("flows", Count(flows.seen)), ("tags_differ", Count(flows.tags_differ))];
    let mend = "nothing need be done: flows are joined by address and port, and the filter passes tagged frames; a \
                filter of your own (-F) must not name a vlan";
    Some(finding(Kind::VlanOnOneSide, severity, summary, evidence, mend))
}

fn truncated(figures: &Figures) -> Option<Finding> {
    let traffic = &figures.traffic;
    let cut = traffic.cut_frames + traffic.cut_segments;
    let severity = TRUNCATED.of(share(cut, traffic.frames))?;
    let by_switch = traffic.cut_segments > traffic.cut_frames;
    let summary = format!(
        "{cut} of {} frames are cut off{}.",
        traffic.frames,
        if by_switch { " before they reach this machine" } else { "" }
    );
    let mend = if by_switch {
        "let the switch mirror whole frames (no truncation), and raise the MTU on the way to this machine"
    } else if figures.intake.nics.is_empty() {
        "record whole frames, with `tcpdump -s 0`"
    } else {
        "turn the joining of segments off: `ethtool -K IF gro off lro off`"
    };
    let evidence = [("cut_frames", Count(traffic.cut_frames)), ("cut_segments", Count(traffic.cut_segments))];
    Some(finding(Kind::Truncated, severity, summary, evidence, mend))
}

fn super_frames(figures: &Figures) -> Option<Finding> {
    let (to, from) = (&figures.to_servers, &figures.from_servers);
    let joined = to.super_segments + from.super_segments;
    let severity = SUPER.of(share(joined, to.data_segments + from.data_segments))?;
    let summary = format!("{joined} segments are longer than their receivers take: an offload has joined them.");
    let mend = match figures.intake.nics.first() {
        Some(nic) => format!(
            "nothing need be done for the replay; for the latencies of single segments, `ethtool -K {} gro off lro off`",
            nic.name
        ),
        None => "nothing need be done for the replay; the capture was made where an offload is on".to_owned(),
    };
    let evidence = [("to_servers", Count(to.super_segments)), ("from_servers", Count(from.super_segments))];
    Some(finding(Kind::SuperFrames, severity, summary, evidence, mend))
}

fn bad_checksums(figures: &Figures) -> Option<Finding> {
    let (to, from) = (&figures.to_servers, &figures.from_servers);
    let (bad, checked) = (to.bad_checksums + from.bad_checksums, to.checked + from.checked);
    let unfinished = to.unfinished_checksums + from.unfinished_checksums;
    let severity = BAD_CHECKSUMS.of(share(bad, checked))?;
    let offload = share(unfinished, bad) >= UNFINISHED;
    let which = match (to.bad_checksums, from.bad_checksums) {
        (_, 0) => " (all to servers)",
        (0, _) => " (all from servers)",
        _ => "",
    };
    let summary = format!("{} of the checksums are wrong{which}.", percent(share(bad, checked)));
    let (severity, mend) = if offload {
        (
            Notice,
            "nothing need be done: the senders leave checksums to their NICs, and the mirror takes the frames before that; \
             where it troubles other tools, `ethtool -K IF tx off` on the senders",
        )
    } else {
        (severity, "look for a bad cable, transceiver or port on the mirror's way (its error counters)")
    };
    let evidence = [
        ("to_servers", Measure(share(to.bad_checksums, to.checked))),
        ("from_servers", Measure(share(from.bad_checksums, from.checked))),
        ("left_to_the_nic", Measure(share(unfinished, bad))),
    ];
    Some(finding(Kind::BadChecksums, severity, summary, evidence, mend))
}

fn oversubscribed(figures: &Figures) -> Option<Finding> {
    let (to, from, traffic) = (&figures.to_servers, &figures.from_servers, &figures.traffic);
    let acknowledged = |direction: &Direction| direction.acknowledged_bytes;
    let lost = share(to.lost_bytes + from.lost_bytes, acknowledged(to) + acknowledged(from));
    let severity = LOST.of(lost)?;
    let own = figures.intake.dropped_kernel + figures.intake.dropped_nic > 0;
    let summary = format!(
        "The mirror never showed {} of the bytes that clients sent and {} of those that servers sent, though the other side \
         has acknowledged them.",
        percent(to.lost_share()),
        percent(from.lost_share())
    );
    let mend = if own {
        "mend kernel_drops first: this machine has dropped frames itself"
    } else {
        "give the mirror less or a faster port: only the servers' ports or VLANs; a full-duplex link needs twice its rate; \
         look at the drop counter of the switch's destination port"
    };
    let evidence = [
        ("to_servers_lost_bytes", Count(to.lost_bytes)),
        ("to_servers_share", Measure(to.lost_share())),
        ("from_servers_lost_bytes", Count(from.lost_bytes)),
        ("from_servers_share", Measure(from.lost_share())),
        ("peak_bits_per_second", Count(traffic.peak_bits_per_second)),
    ];
    let mut finding = finding(Kind::Oversubscribed, severity, summary, evidence, mend);
    if let Some(rate) = figures.intake.nics.iter().filter_map(|nic| nic.bits_per_second).max() {
        finding.evidence.insert("nic_bits_per_second", Count(rate));
    }
    Some(finding)
}

fn encapsulated(figures: &Figures) -> Option<Finding> {
    let traffic = &figures.traffic;
    let tunnels = traffic.wrappings.iter().filter(|(word, _)| **word != "stacked_vlan_tags");
    let (word, frames) = tunnels.max_by_key(|(_, frames)| **frames)?;
    let severity = ENCAPSULATED.of(share(*frames, traffic.tcp_frames))?;
    let summary = format!("{} of the segments are wrapped in {word}.", percent(share(*frames, traffic.tcp_frames)));
    let mend = "nothing need be done: tunnels are looked into; a user's own filter (-F) sees their outermost addresses";
    let evidence = [("which", Figure::Word((*word).to_owned())), ("frames", Count(*frames))];
    Some(finding(Kind::Encapsulated, severity, summary, evidence, mend))
}

fn unreadable(figures: &Figures) -> Option<Finding> {
    let traffic = &figures.traffic;
    let (word, frames) = traffic.unreadable.iter().max_by_key(|(_, frames)| **frames)?;
    let severity = UNREADABLE.of(share(*frames, traffic.frames))?;
    let summary = format!(
        "{} of the frames are wrapped in {word}, which is not looked into.",
        percent(share(*frames, traffic.frames))
    );
    let mend = "mirror where frames travel without it: at the servers' own ports, not on a link between switches";
    let evidence = [("which", Figure::Word((*word).to_owned())), ("frames", Count(*frames))];
    Some(finding(Kind::Encapsulated, severity, summary, evidence, mend))
}

fn kernel_drops(figures: &Figures) -> Option<Finding> {
    let intake = &figures.intake;
    let dropped = intake.dropped_kernel + intake.dropped_nic;
    let severity = DROPPED.of(share(dropped, figures.traffic.frames + dropped))?;
    let summary = format!("This machine dropped {dropped} frames itself.");
    let mend = "raise `nics.buffer_mib`, leave more of a core to tapcopy, or mirror less; a run filters in the kernel and \
                drops less than this look at all frames";
    let evidence = [
        ("dropped_kernel", Count(intake.dropped_kernel)),
        ("dropped_nic", Count(intake.dropped_nic)),
        ("frames", Count(figures.traffic.frames)),
    ];
    Some(finding(Kind::KernelDrops, severity, summary, evidence, mend))
}

fn clock_step(figures: &Figures) -> Option<Finding> {
    let clock = &figures.clock;
    if clock.backward + clock.forward == 0 {
        return None;
    }
    let summary = format!(
        "The stamps' clock was set back {} times (by {:.3} s at most) and forward {} times (by {:.3} s).",
        clock.backward, clock.backward_largest_seconds, clock.forward, clock.forward_largest_seconds
    );
    let evidence = [
        ("backward", Count(clock.backward)),
        ("backward_largest_seconds", Measure(clock.backward_largest_seconds)),
        ("forward", Count(clock.forward)),
        ("forward_largest_seconds", Measure(clock.forward_largest_seconds)),
    ];
    let mend = "let NTP or PTP slew the clock of the capturing machine, not step it (chrony: no `makestep` while capturing); \
                name captures of different machines in one call only if their clocks agree";
    Some(finding(Kind::ClockStep, Warning, summary, evidence, mend))
}

fn own_frames(figures: &Figures) -> Option<Finding> {
    let seen = figures.traffic.own_frames;
    let sent: u64 = figures.intake.nics.iter().map(|nic| nic.frames_sent).sum();
    let held: Vec<_> = figures.intake.nics.iter().filter(|nic| !nic.addresses.is_empty()).collect();
    let evidence = [
        ("seen", Count(seen)),
        ("sent_on_mirror_nic", Count(sent)),
        ("addresses_on_mirror_nic", Count(held.iter().map(|nic| nic.addresses.len() as u64).sum())),
    ];
    let names = |nics: &[&Nic]| nics.iter().map(|nic| nic.name.as_str()).collect::<Vec<_>>().join(", ");
    let silence = |nics: &[&Nic]| {
        let name = nics.first().map_or("IF", |nic| &nic.name);
        format!("`sysctl -w net.ipv6.conf.{name}.disable_ipv6=1`, `ip address flush dev {name}`")
    };
    let (severity, summary, mend) = if seen > 0 {
        let mend =
            "take the port of this machine's target NIC out of the mirror, and the test network's VLAN".to_owned();
        (Critical, format!("The mirror shows {seen} frames that this machine has sent."), mend)
    } else if sent > 0 {
        let sending: Vec<_> = figures.intake.nics.iter().filter(|nic| nic.frames_sent > 0).collect();
        (Warning, format!("The kernel sent {sent} frames out of {}.", names(&sending)), silence(&sending))
    } else if held.is_empty() {
        return None;
    } else {
        (Notice, format!("The kernel holds addresses on {} and may send there.", names(&held)), silence(&held))
    };
    Some(finding(Kind::OwnFrames, severity, summary, evidence, mend))
}

/// A share for a person: as many digits as it takes to see something.
fn percent(share: f64) -> String {
    match share * 100.0 {
        0.0 => "none".to_owned(),
        percent if percent < 0.01 => "under 0.01 %".to_owned(),
        percent if percent < 1.0 => format!("{percent:.2} %"),
        percent if percent < 10.0 => format!("{percent:.1} %"),
        percent => format!("{percent:.0} %"),
    }
}
