//! What the decoder makes of every kind of frame.

mod build;
mod fragments;
mod hostile;
mod recent;

use build::*;
use core::net::SocketAddr;
use tapcopy_engine::frame::{Decoder, Endpoint, Flags, Segment, TcpOptions, Wrapping};
use tapcopy_engine::ledger::Ignored;
use tapcopy_engine::message::LinkType;
use tapcopy_engine::{Limits, MirrorFrame, Time};

const PAYLOAD: &[u8] = b"GET /a HTTP/1.1\r\n\r\n";

/// A frame captured whole.
fn frame(link: LinkType, bytes: &[u8]) -> MirrorFrame<'_> {
    MirrorFrame { captured_at: Time::ZERO, link, wire_len: bytes.len() as u32, bytes }
}

/// What a frame is expected to be: the segment that the builder makes, between these ends, or a reason.
struct Expected {
    v6: bool,
    vlan: Option<u16>,
    mac: bool,
}

fn check_segment(name: &str, segment: &Segment<'_>, expected: &Expected) {
    let (source, destination) =
        if expected.v6 { ("[fd00::1]:40000", "[fd00::2]:80") } else { ("10.1.2.3:40000", "10.1.2.4:80") };
    assert_eq!(segment.source.to_string(), source, "{name}");
    assert_eq!(segment.destination.to_string(), destination, "{name}");
    assert_eq!((segment.seq, segment.ack, segment.window), (SEQ, ACK, WINDOW), "{name}");
    assert_eq!(segment.flags, Flags::PSH | Flags::ACK, "{name}");
    assert_eq!(segment.vlan, expected.vlan, "{name}");
    assert_eq!(segment.source_mac, expected.mac.then_some(CLIENT_MAC), "{name}");
    assert!(PAYLOAD.starts_with(segment.payload), "{name}");
    assert_eq!(segment.payload.len() + segment.missing as usize, PAYLOAD.len(), "{name}");
    assert_eq!(segment.checksum_ok(), (segment.missing == 0).then_some(true), "{name}");
}

/// Decodes one frame with a fresh decoder.
fn check(name: &str, link: LinkType, bytes: &[u8], expected: Result<Expected, Ignored>) {
    let mut decoder = Decoder::new(&Limits::default());
    match (decoder.decode(&frame(link, bytes)), expected) {
        (Ok(segment), Ok(expected)) => {
            assert_eq!(segment.payload, PAYLOAD, "{name}");
            check_segment(name, &segment, &expected);
        }
        (Err(reason), Err(expected)) => assert_eq!(reason, expected, "{name}"),
        (Ok(segment), Err(expected)) => panic!("{name}: expected {expected:?}, got {segment:?}"),
        (Err(reason), Ok(_)) => panic!("{name}: {reason:?}"),
    }
}

/// A frame with the builder's segment in it.
struct Sample {
    name: &'static str,
    link: LinkType,
    bytes: Vec<u8>,
    expected: Expected,
}

fn sample(name: &'static str, link: LinkType, bytes: Vec<u8>) -> Sample {
    let mac = matches!(link, LinkType::Ethernet | LinkType::LinuxSll | LinkType::LinuxSll2);
    Sample { name, link, bytes, expected: Expected { v6: false, vlan: None, mac } }
}

fn ethernet(name: &'static str, packet: Layers) -> Sample {
    sample(name, LinkType::Ethernet, packet.ethernet().bytes)
}

impl Sample {
    fn v6(mut self) -> Self {
        self.expected.v6 = true;
        self
    }

    fn vlan(mut self, id: u16) -> Self {
        self.expected.vlan = Some(id);
        self
    }
}

fn v4() -> Layers {
    tcp(PAYLOAD).v4()
}

fn v6() -> Layers {
    tcp(PAYLOAD).v6()
}

fn loopback(family: [u8; 4], packet: Layers) -> Vec<u8> {
    packet.behind(&family, 0, 0).bytes
}

fn link_samples() -> Vec<Sample> {
    use LinkType::*;
    let padded = [v4().ethernet().bytes, vec![0xee; 9]].concat();
    let stacked = v4().tag(0x8100, 3).tag(0x8100, 2).tag(0x9100, 1).ethernet().bytes;
    let zero_mac = v4().ethernet().bytes[1..].to_vec();
    vec![
        sample("ethernet, v4", Ethernet, v4().ethernet().bytes),
        sample("ethernet, v6", Ethernet, v6().ethernet().bytes).v6(),
        sample("padding", Ethernet, padded),
        sample("802.3 with SNAP", Ethernet, v4().snap().ethernet().bytes),
        sample("raw v4", RawIp, v4().bytes),
        sample("raw v6", RawIp, v6().bytes).v6(),
        sample("sll", LinuxSll, v4().sll()),
        sample("sll, v6", LinuxSll, v6().sll()).v6(),
        sample("sll, tag", LinuxSll, v4().tag(0x8100, 5).sll()).vlan(5),
        sample("sll2", LinuxSll2, v4().sll2()),
        sample("sll2, v6", LinuxSll2, v6().sll2()).v6(),
        sample("loopback, little-endian", BsdLoopback, loopback([2, 0, 0, 0], v4())),
        sample("loopback, big-endian", BsdLoopback, loopback([0, 0, 0, 2], v4())),
        sample("loopback, NetBSD", BsdLoopback, loopback([24, 0, 0, 0], v6())).v6(),
        sample("loopback, FreeBSD", BsdLoopback, loopback([28, 0, 0, 0], v6())).v6(),
        sample("loopback, macOS", BsdLoopback, loopback([0, 0, 0, 30], v6())).v6(),
        sample("loopback, Linux", BsdLoopback, loopback([10, 0, 0, 0], v6())).v6(),
        sample("802.1Q", Ethernet, v4().tag(0x8100, 4095).ethernet().bytes).vlan(4095),
        sample("802.1Q, v6", Ethernet, v6().tag(0x8100, 7).ethernet().bytes).v6().vlan(7),
        sample("802.1ad", Ethernet, v4().tag(0x8100, 8).tag(0x88a8, 9).ethernet().bytes).vlan(9),
        sample("three tags", Ethernet, stacked).vlan(1),
        sample("mpls", Ethernet, v4().mpls().ethernet().bytes),
        sample("mpls, three labels, v6", Ethernet, v6().mpls().mpls().mpls().ethernet().bytes).v6(),
        sample("mpls behind a tag", Ethernet, v4().mpls().tag(0x8100, 6).ethernet().bytes).vlan(6),
        sample("mpls upstream", Ethernet, v4().mpls().behind(&[], 0x8848, 0).ethernet().bytes),
        sample("pseudowire", Ethernet, v4().ethernet().mpls().ethernet().bytes),
        sample("pseudowire, control word", Ethernet, v4().ethernet().behind(&[0; 4], 0, 0).mpls().ethernet().bytes),
        sample("pseudowire, other address", Ethernet, {
            let inner = [&[0xa0], &zero_mac[..]].concat();
            raw(0, &inner).mpls().ethernet().bytes
        }),
        sample("pppoe, v4", Ethernet, v4().pppoe().ethernet().bytes),
        sample("pppoe, protocol in one byte", Ethernet, {
            v4().behind(&[0x11, 0, 0, 9, 0, 0, 0x21], 0x8864, 0).ethernet().bytes
        }),
        sample("pppoe, v6, tag", Ethernet, v6().pppoe().tag(0x8100, 2).ethernet().bytes).v6().vlan(2),
    ]
}

fn ip_samples() -> Vec<Sample> {
    let route = |kind: u8, lists: &[&[u8]]| [&[kind, 1, 0, 0, 0, 0][..], &lists.concat()].concat();
    let detour = [0xfe; 16];
    let routed = |kind, lists: &[&[u8]]| {
        let header = route(kind, lists);
        tcp(PAYLOAD).extension(43, (header.len() / 8) as u8, &header).v6_plain(detour)
    };
    let all = tcp(PAYLOAD).extension(60, 0, &[]).extension(43, 2, &[0; 22]).extension(60, 1, &[]).extension(0, 0, &[]);
    let mut zero_v4 = v4().ethernet();
    zero_v4.bytes[16..18].fill(0);
    let mut zero_v6 = v6().ethernet();
    zero_v6.bytes[18..20].fill(0);
    let ah_v4 = tcp(PAYLOAD).authentication((&CLIENT_V4, &ORIGIN_V4)).v4();
    let ah_v6 = tcp(PAYLOAD).authentication((&CLIENT_V6, &ORIGIN_V6)).v6();
    vec![
        ethernet("v4 options", tcp(PAYLOAD).v4_with(&[1; 40])),
        ethernet("tcp options", tcp_with(0x18, 0, &[1; 40], PAYLOAD).v4()),
        ethernet("v4, authentication", ah_v4),
        ethernet("v6, authentication", ah_v6).v6(),
        sample("v4, no total length", LinkType::Ethernet, zero_v4.bytes),
        sample("v6, no payload length", LinkType::Ethernet, zero_v6.bytes).v6(),
        ethernet("v6, hop by hop", tcp(PAYLOAD).extension(0, 0, &[]).v6()).v6(),
        ethernet("v6, four extensions", all.v6()).v6(),
        ethernet("v6, route type 0", routed(0, &[&[0xfd; 16], &ORIGIN_V6])).v6(),
        ethernet("v6, route type 4", routed(4, &[&ORIGIN_V6, &[0xfd; 16]])).v6(),
        ethernet("v6, its own only piece", tcp(PAYLOAD).extension(60, 0, &[]).v6_piece(9, 0, false).v6()).v6(),
    ]
}

fn tunnel_samples() -> Vec<Sample> {
    let inner = || v4().ethernet();
    let every_gre = v4().gre(0xb000).v4();
    vec![
        ethernet("4 in 4", v4().v4()),
        ethernet("4 in 6", v4().v6()),
        ethernet("6 in 4", v6().v4()).v6(),
        ethernet("6 in 6", v6().v6()).v6(),
        ethernet("gre", v4().gre(0).v4()),
        ethernet("gre with key", v6().gre(0x2000).v4()).v6(),
        ethernet("gre with everything", every_gre),
        ethernet("gre over v6", v4().gre(0x8000).v6()),
        ethernet("gre, bridged", inner().gre(0x1000).v4()),
        ethernet("gre, bridged, tag inside", v4().tag(0x8100, 77).ethernet().gre(0).v4()).vlan(77),
        ethernet("gre, mpls", v4().mpls().gre(0).v4()),
        ethernet("gre in udp", v4().gre(0x2000).udp(4754).v4()),
        ethernet("erspan I", inner().erspan_i().v4()),
        ethernet("erspan II", inner().erspan_ii(false).v4()),
        ethernet("erspan II over v6", inner().erspan_ii(false).v6()),
        ethernet("erspan III", inner().erspan_iii(false, 0).v4()),
        ethernet("erspan III, subheader", inner().erspan_iii(true, 0).v4()),
        ethernet("erspan III, ip", v6().erspan_iii(true, 2).v6()).v6(),
        ethernet("vxlan", inner().vxlan(4789).v4()),
        ethernet("vxlan, linux port, v6", v6().ethernet().vxlan(8472).v6()).v6(),
        ethernet("vxlan, tags outside and inside", v4().tag(0x8100, 6).ethernet().vxlan(4789).v4().tag(0x8100, 5))
            .vlan(5),
        ethernet("vxlan-gpe, ethernet", inner().vxlan_gpe(0x0c, 3).v4()),
        ethernet("vxlan-gpe, v4", v4().vxlan_gpe(0x0c, 1).v4()),
        ethernet("vxlan-gpe, v6", v6().vxlan_gpe(0x04, 2).v6()).v6(),
        ethernet("vxlan at the extension's port", inner().vxlan_gpe(0x08, 0).v4()),
        ethernet("geneve", inner().geneve(&[]).v4()),
        ethernet("geneve, options, ip", v6().geneve(&[9; 252]).v4()).v6(),
        ethernet("vxlan in erspan", inner().vxlan(4789).v4().ethernet().erspan_ii(false).v4()),
        ethernet("geneve in gre over v6", v6().ethernet().geneve(&[1; 8]).v6().gre(0x2000).v6()).v6(),
        sample("6 in 4 in 4, raw", LinkType::RawIp, v6().v4().v4().bytes).v6(),
    ]
}

fn samples() -> Vec<Sample> {
    [link_samples(), ip_samples(), tunnel_samples()].into_iter().flatten().collect()
}

#[test]
fn every_encapsulation_is_taken_off() {
    for Sample { name, link, bytes, expected } in samples() {
        check(name, link, &bytes, Ok(expected));
    }
}

#[test]
fn every_refusal_has_its_reason() {
    use Ignored::*;
    let patched = |mut layers: Layers, at: usize, bytes: &[u8]| {
        layers.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        layers
    };
    let tags = |count| (0..count).fold(v4(), |layers, _| layers.tag(0x8100, 1)).ethernet();
    let extensions = |count| (0..count).fold(tcp(PAYLOAD), |layers, _| layers.extension(60, 0, &[])).v6().ethernet();
    let cases = [
        ("empty", raw(0, &[]), ShortFrame),
        ("half an Ethernet header", raw(0, &[0; 13]), ShortFrame),
        ("half a tag", raw(0, &[0; 3]).behind(&[], 0x8100, 0).ethernet(), ShortFrame),
        ("arp", raw(0, &[0; 28]).behind(&[], 0x0806, 0).ethernet(), NotIp),
        ("spanning tree", raw(0, &[0x42; 38]).behind(&[], 38, 0).ethernet(), NotIp),
        ("mpls, maintenance", patched(v4().ethernet(), 0, &[0x10]).mpls().ethernet(), NotIp),
        ("SNAP in SNAP", v4().snap().snap().ethernet(), NotIp),
        ("pppoe, control", patched(v4().pppoe().ethernet(), 20, &[0xc0, 0x21]), NotIp),
        ("pppoe, compressed data", patched(v4().pppoe().ethernet(), 20, &[0x00, 0xfd]), NotIp),
        ("pppoe, no number of PPP", patched(v4().pppoe().ethernet(), 20, &[0x20, 0x21]), NotIp),
        ("too many tags", tags(15), NestedTooDeep),
        ("no IP header", raw(0, &[0x45; 19]).behind(&[], 0x0800, 0).ethernet(), BadIp),
        ("v6 where v4 is named", patched(v4().ethernet(), 14, &[0x65]), BadIp),
        ("v4 where v6 is named", v4().behind(&[], 0x86dd, 0).ethernet(), BadIp),
        ("v4 header of 16 bytes", patched(v4().ethernet(), 14, &[0x44]), BadIp),
        ("v4 header beyond the packet", patched(v4().ethernet(), 14, &[0x4f]), BadIp),
        ("v4 longer than the frame", patched(v4().ethernet(), 16, &[0, 60]), BadIp),
        ("v4 shorter than its header", patched(v4().ethernet(), 16, &[0, 19]), BadIp),
        ("v6 longer than the frame", patched(v6().ethernet(), 18, &[0, 40]), BadIp),
        ("v6 extension beyond the packet", patched(tcp(b"").extension(60, 0, &[]).v6().ethernet(), 55, &[9]), BadIp),
        ("too many v6 extensions", extensions(12), BadIp),
        ("icmp", raw(1, &[0; 64]).v4().ethernet(), NotTcp),
        ("udp", raw(0, &[0; 64]).udp(53).v4().ethernet(), NotTcp),
        ("v6, nothing follows", raw(59, &[0; 8]).v6().ethernet(), NotTcp),
        ("v4, a v6 extension", raw(60, &[6, 0, 0, 0, 0, 0, 0, 0]).v4().ethernet(), NotTcp),
        ("vxlan without an id", patched(v4().ethernet().vxlan(4789).v4().ethernet(), 42, &[0]), NotTcp),
        ("vxlan by source port only", patched(raw(0, &[8; 90]).udp(53).v4().ethernet(), 34, &[0x12, 0xb5]), NotTcp),
        ("vxlan-gpe, a service header", v4().vxlan_gpe(0x0c, 4).v4().ethernet(), NotTcp),
        ("vxlan-gpe, version 1", v4().vxlan_gpe(0x1c, 1).v4().ethernet(), NotTcp),
        ("half a vxlan header", raw(0, &[8; 7]).udp(4789).v4().ethernet(), NotTcp),
        ("geneve, version 1", patched(v4().geneve(&[]).v4().ethernet(), 42, &[0x40]), NotTcp),
        ("geneve, options beyond", patched(raw(0, &[]).geneve(&[]).v4().ethernet(), 42, &[1]), NotTcp),
        ("gre, version 1", v4().gre(1).v4().ethernet(), NotTcp),
        ("gre, routing", v4().gre(0x4000).v4().ethernet(), NotTcp),
        ("erspan III, other frame type", v4().ethernet().erspan_iii(false, 1).v4().ethernet(), NotIp),
        ("arp in vxlan", raw(0, &[0; 28]).behind(&[], 0x0806, 0).ethernet().vxlan(4789).v4().ethernet(), NotIp),
        ("three tunnels", v4().v4().v4().v4().ethernet(), NestedTooDeep),
        ("three tunnels, mixed", v4().gre(0).v6().v4().ethernet().vxlan(4789).v6().ethernet(), NestedTooDeep),
        ("udp in two tunnels", raw(0, &[0; 64]).udp(53).v4().v4().v4().ethernet(), NotTcp),
        ("tcp header of 16 bytes", patched(v4().ethernet(), 46, &[0x40]), BadTcp),
        ("tcp header beyond the segment", patched(v4().ethernet(), 46, &[0xf0]), BadTcp),
        ("half a TCP header", raw(6, &[0x50; 19]).v4().ethernet(), BadTcp),
    ];
    for (name, layers, reason) in cases {
        check(name, LinkType::Ethernet, &layers.bytes, Err(reason));
    }
    check("raw, neither version", LinkType::RawIp, &[0x50; 60], Err(NotIp));
    check("loopback, other family", LinkType::BsdLoopback, &loopback([7, 0, 0, 0], v4()), Err(NotIp));
    check("loopback, short", LinkType::BsdLoopback, &[2, 0, 0], Err(ShortFrame));
    check("sll, short", LinkType::LinuxSll, &[0; 15], Err(ShortFrame));
    check("sll2, short", LinkType::LinuxSll2, &[0; 19], Err(ShortFrame));
}

#[test]
fn as_many_headers_as_allowed_are_followed() {
    let tags = (0..14).fold(v4(), |layers, _| layers.tag(0x8100, 1)).ethernet();
    check("14 tags", LinkType::Ethernet, &tags.bytes, Ok(ethernet("", v4()).vlan(1).expected));
    let extensions = (0..11).fold(tcp(PAYLOAD), |layers, _| layers.extension(60, 0, &[])).v6();
    check("11 extensions", LinkType::RawIp, &extensions.bytes, Ok(sample("", LinkType::RawIp, vec![]).v6().expected));
}

#[test]
fn a_syn_brings_its_options() {
    let options = |bytes: &[u8], flags: u8| {
        let bytes = tcp_with(flags, 0, bytes, b"").v4().ethernet().bytes;
        Decoder::new(&Limits::default()).decode(&frame(LinkType::Ethernet, &bytes)).expect("a SYN").options
    };
    let linux = [2, 4, 5, 180, 4, 2, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 3, 3, 7];
    let all = TcpOptions { mss: Some(1460), window_scale: Some(7), sack_permitted: true };
    assert_eq!(options(&linux, 0x02), all);
    assert_eq!(options(&linux, 0x12), all);
    assert_eq!(options(&linux, 0x10), TcpOptions::default(), "not a SYN");
    assert_eq!(options(&[3, 3, 15, 0], 0x02).window_scale, Some(14), "RFC 7323, 2.3");
    assert_eq!(options(&[0, 2, 4, 5, 180, 0, 0, 0], 0x02).mss, None, "after the end of the list");
    assert_eq!(options(&[2, 3, 5, 1], 0x02).mss, None, "a length that is not the kind's");
    assert_eq!(options(&[8, 0, 4, 2], 0x02), TcpOptions::default(), "a length of zero");
    assert_eq!(options(&[4, 2, 2, 4], 0x02), TcpOptions { sack_permitted: true, ..TcpOptions::default() }, "cut off");
}

#[test]
fn the_urgent_pointer_needs_its_flag() {
    for (flags, urgent) in [(0x18, 0), (0x38, 5)] {
        let bytes = tcp_with(flags, 5, &[], b"hello").v4().ethernet().bytes;
        let mut decoder = Decoder::new(&Limits::default());
        let segment = decoder.decode(&frame(LinkType::Ethernet, &bytes)).expect("a segment");
        assert_eq!((segment.urgent, segment.flags.bits(), segment.payload), (urgent, flags, &b"hello"[..]));
    }
}

#[test]
fn a_super_frame_is_one_segment() {
    let payload = vec![b'x'; 100_000];
    for (layers, length_at) in [(tcp(&payload).v4(), 2), (tcp(&payload).v6(), 4)] {
        let mut bytes = layers.ethernet().bytes;
        bytes[14 + length_at..16 + length_at].fill(0);
        let mut decoder = Decoder::new(&Limits::default());
        let segment = decoder.decode(&frame(LinkType::Ethernet, &bytes)).expect("a segment");
        assert_eq!((segment.payload.len(), segment.checksum_ok()), (100_000, Some(true)));

        let cut = MirrorFrame { bytes: &bytes[..1_000], ..frame(LinkType::Ethernet, &bytes) };
        let segment = decoder.decode(&cut).expect("a segment");
        assert_eq!(segment.payload.len() + segment.missing as usize, 100_000);
    }
}

#[test]
fn a_wrong_checksum_shows() {
    for sample in [ethernet("v4", v4()), ethernet("v6", v6())] {
        for at in sample.bytes.len() - PAYLOAD.len() - 20..sample.bytes.len() {
            let mut bytes = sample.bytes.clone();
            bytes[at] ^= 0x02;
            let mut decoder = Decoder::new(&Limits::default());
            if let Ok(segment) = decoder.decode(&frame(LinkType::Ethernet, &bytes)) {
                assert_eq!(segment.checksum_ok(), Some(false), "{}, byte {at}", sample.name);
            }
        }
    }
}

#[test]
fn an_endpoint_is_its_socket_address() {
    for text in ["10.1.2.3:80", "[fd00::1]:65535", "0.0.0.0:0", "[::]:1"] {
        let address: SocketAddr = text.parse().expect("an address");
        let endpoint = Endpoint::from(address);
        assert_eq!((SocketAddr::from(endpoint), endpoint.to_string().as_str()), (address, text));
        assert_eq!(format!("{endpoint:?}"), text);
        assert_eq!(Endpoint::new(endpoint.ip(), endpoint.port()), endpoint);
    }
}

#[test]
fn flags_read_as_in_scenarios() {
    let shown = |bits| format!("{:?}", Flags::from_bits(bits));
    assert_eq!([shown(0x12), shown(0x18), shown(0x04), shown(0xc0)], ["SA", "PA", "R", "."]);
    let all = Flags::FIN | Flags::SYN | Flags::RST | Flags::PSH | Flags::ACK | Flags::URG;
    for flags in [all, Flags::NONE] {
        let each = [flags.fin(), flags.syn(), flags.rst(), flags.psh(), flags.ack(), flags.urg()];
        assert_eq!(each, [flags == all; 6]);
    }
}

#[test]
fn what_a_packet_was_wrapped_in_is_noted() {
    use Wrapping::*;
    let inner = || v4().ethernet();
    for (packet, expected) in [
        (v4(), &[][..]),
        (v4().tag(0x8100, 5), &[]),
        (v4().tag(0x8100, 5).tag(0x88a8, 6), &[StackedTags]),
        (v4().mpls(), &[Mpls]),
        (v4().pppoe(), &[Pppoe]),
        (v6().v4(), &[IpInIp]),
        (v4().gre(0).v4(), &[Gre]),
        (inner().vxlan(4789).v4(), &[Vxlan]),
        (v6().geneve(&[]).v4(), &[Geneve]),
        (inner().vxlan(4789).v4().ethernet().erspan_ii(false).v4(), &[Erspan, Vxlan]),
    ] {
        let bytes = packet.ethernet().bytes;
        let mut decoder = Decoder::new(&Limits::default());
        let segment = decoder.decode(&frame(LinkType::Ethernet, &bytes)).unwrap();
        let noted = Wrapping::ALL.into_iter().filter(|wrapping| segment.wrappings.contains(*wrapping));
        assert_eq!(noted.collect::<Vec<_>>(), expected);
    }
}

#[test]
fn a_checksum_left_to_the_nic_is_told_from_a_wrong_one() {
    let with = |checksum: [u8; 2]| {
        let mut bytes = v4().ethernet().bytes;
        bytes[50..52].copy_from_slice(&checksum);
        let mut decoder = Decoder::new(&Limits::default());
        let segment = decoder.decode(&frame(LinkType::Ethernet, &bytes)).unwrap();
        (segment.checksum_ok(), segment.checksum_unfinished())
    };
    // 10.1.2.3, 10.1.2.4, protocol 6, 39 bytes.
    let pseudo_header = (0x0a01 + 0x0203 + 0x0a01 + 0x0204 + 6 + 20 + PAYLOAD.len() as u16).to_be_bytes();
    assert_eq!(with(pseudo_header), (Some(false), true));
    assert_eq!(with([0, 0]), (Some(false), true));
    assert_eq!(with([0xab, 0xcd]), (Some(false), false));
}
