//! A link's dialogue as text: a script is run and must come out as it went in.
//!
//! A script begins when the box has its addresses; one of the claims themselves begins with the first of them.
//!
//! A line is a time in milliseconds and one of
//! - `< FRAME = OUTCOME`: a frame arrives at the target NIC, and what the link says of it
//! - `send SOURCE>DESTINATION TAG`: the stack sends an IP packet whose content is the byte `TAG`
//! - `> FRAME`: a frame leaves
//! - `unresolved N`: packets dropped so far
//!
//! A frame is `SOURCE>DESTINATION`, the number of its VLAN if it is tagged, and one of
//! - `arp OPERATION SENDER/MAC TARGET/MAC`
//! - `ns SOURCE>DESTINATION TARGET MAC`, `na SOURCE>DESTINATION TARGET MAC FLAGS`: neighbor discovery; `-` for none
//! - `ip SOURCE>DESTINATION TAG`
//!
//! A MAC address `0e` is 02:00:00:00:00:0e; `all` is broadcast, `none` is zero, `33:1` is 33:33:00:00:00:01.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;
use tapcopy_engine::config::{Addressing, Config, FarEnd, MirrorTo, Pacing, PoolRange, Protocol, Service, Speed};
use tapcopy_engine::link::{Inbound, Link, TransmitQueue};
use tapcopy_engine::local::Locals;
use tapcopy_engine::{Limits, Time};

pub const BOX: [u8; 6] = [2, 0, 0, 0, 0, 0x0b];
pub const MTU: u16 = 1_500;

/// A pool of both families, one target on the link, and the given ones besides.
pub fn config(gateway: Option<&str>, targets: &[&str]) -> Config {
    let range = |first: &str, last: &str, prefix_len| PoolRange {
        first: first.parse().unwrap(),
        last: last.parse().unwrap(),
        prefix_len,
    };
    Config {
        services: vec![Service {
            name: "web".into(),
            origins: Vec::new(),
            targets: targets.iter().map(|target| (target.parse::<IpAddr>().unwrap(), 80).into()).collect(),
            protocol: Protocol::Auto,
            pacing: Pacing::Turns,
            sample: 10_000,
            copies: 1,
            mirror_to: MirrorTo::One,
            selection: Default::default(),
            sessions_per_second: None,
            rules: Default::default(),
        }],
        addressing: Addressing {
            pool: vec![range("10.0.0.100", "10.0.0.109", 24), range("fd00::100", "fd00::10f", 64)],
            gateway: gateway.map(|gateway| gateway.parse().unwrap()),
            ..Addressing::default()
        },
        far_end: FarEnd::Wire { mac: BOX, mtu: MTU, vlan: None },
        share: Default::default(),
        speed: Speed::Times(1.0),
        replay: true,
        contents: None,
        limits: Limits::default(),
    }
}

/// A time of a script.
pub fn millis(millis: u64) -> Time {
    Time::from_millis(2_000) + Duration::from_millis(millis)
}

/// The addresses of `config`, all of them the box's, at time 0 of the scripts.
pub fn settled(config: &Config) -> Locals {
    let mut locals = Locals::new(config, 1, Time::ZERO);
    while let Some(due) = locals.poll_timeout().filter(|due| *due < millis(0)) {
        locals.poll_announcement(due);
    }
    locals
}

/// Runs the script with addresses that the box has.
#[track_caller]
pub fn check(config: &Config, script: &str) {
    run(config, settled(config), script);
}

/// Runs the script with addresses that the box does not have yet.
#[track_caller]
pub fn check_claims(config: &Config, script: &str) {
    run(config, Locals::new(config, 1, millis(0)), script);
}

#[track_caller]
fn run(config: &Config, locals: Locals, script: &str) {
    let mut run = Run {
        link: Link::new(config, &locals, millis(0)),
        locals,
        out: TransmitQueue::new(64, MTU),
        seen: Vec::new(),
        now: millis(0),
    };
    let lines: Vec<String> = script
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|l| !l.is_empty())
        .collect();
    for line in &lines {
        let (at, what) = line.split_once(' ').unwrap();
        run.line(at.parse().unwrap(), what);
    }
    assert_eq!(run.seen.join("\n"), lines.join("\n"));
}

struct Run {
    link: Link,
    locals: Locals,
    out: TransmitQueue,
    seen: Vec<String>,
    now: Time,
}

impl Run {
    fn line(&mut self, at: u64, what: &str) {
        self.pass_time(millis(at));
        if let Some(text) = what.strip_prefix("< ") {
            let text = text.split(" = ").next().unwrap();
            let frame = encode(text);
            let outcome = outcome(self.link.handle_frame(millis(at), &frame, &mut self.locals, &mut self.out));
            self.seen.push(format!("{at} < {text} = {outcome}"));
        } else if let Some(text) = what.strip_prefix("send ") {
            self.link.send(millis(at), &ip_packet(text), &self.locals, &mut self.out);
            self.seen.push(format!("{at} send {text}"));
        } else if what.starts_with("unresolved") {
            self.seen.push(format!("{at} unresolved {}", self.link.packets_unresolved()));
        } else {
            assert!(what.starts_with("> "), "not a line: {what}");
        }
        self.note_sent(millis(at));
    }

    fn pass_time(&mut self, until: Time) {
        while let Some(due) = self.link.poll_timeout(&self.locals).filter(|&due| due <= until) {
            self.now = self.now.max(due);
            self.link.handle_timeout(self.now, &mut self.locals, &mut self.out);
            assert!(self.link.poll_timeout(&self.locals).is_none_or(|next| next > due), "a timeout that does not pass");
            self.note_sent(self.now);
        }
        self.now = until;
    }

    fn note_sent(&mut self, now: Time) {
        while let Some(frame) = self.out.pop() {
            self.seen.push(format!("{} > {}", now.since(millis(0)).as_millis(), decode(frame)));
        }
    }
}

pub fn outcome(inbound: Inbound<'_>) -> String {
    match inbound {
        Inbound::Packet(packet) => format!("packet of {}", packet.len()),
        Inbound::Handled => "handled".into(),
        Inbound::Ignored => "ignored".into(),
    }
}

/// A frame's bytes from its text.
pub fn encode(text: &str) -> Vec<u8> {
    let mut words: Vec<&str> = text.split(' ').collect();
    let (source, destination) = words[0].split_once('>').unwrap();
    let mut tag = Vec::new();
    if let Ok(vlan) = words[1].parse::<u16>() {
        tag = [[0x81, 0x00], vlan.to_be_bytes()].concat();
        words.remove(1);
    }
    let (kind, payload) = match words[1] {
        "arp" => (0x0806_u16, arp_packet(&words[2..])),
        "ns" | "na" => (0x86dd, ndp_packet(words[1], &words[2..])),
        "ip" if words[2].contains(':') => (0x86dd, ip_packet(&words[2..].join(" "))),
        "ip" => (0x0800, ip_packet(&words[2..].join(" "))),
        other => panic!("no frame: {other}"),
    };
    [&mac(destination)[..], &mac(source), &tag, &kind.to_be_bytes(), &payload].concat()
}

fn arp_packet(words: &[&str]) -> Vec<u8> {
    let operation = if words[0] == "request" { 1 } else { 2 };
    let mut packet = vec![0, 1, 8, 0, 6, 4, 0, operation];
    for party in &words[1..] {
        let (address, station) = party.split_once('/').unwrap();
        packet.extend(mac(station));
        packet.extend(address.parse::<Ipv4Addr>().unwrap().octets());
    }
    packet
}

fn ndp_packet(kind: &str, words: &[&str]) -> Vec<u8> {
    let target: Ipv6Addr = words[1].parse().unwrap();
    let flags = words.get(3).unwrap_or(&"-");
    let bits = 0x80 * u8::from(flags.contains('R'))
        + 0x40 * u8::from(flags.contains('S'))
        + 0x20 * u8::from(flags.contains('O'));
    let (message, option) = if kind == "ns" { (135, 1) } else { (136, 2) };
    let mut icmp = vec![message, 0, 0, 0, bits, 0, 0, 0];
    icmp.extend(target.octets());
    if words[2] != "-" {
        icmp.extend([option, 1]);
        icmp.extend(mac(words[2]));
    }
    ipv6_packet(words[0], 58, 255, icmp)
}

/// An IP packet from `SOURCE>DESTINATION TAG`.
pub fn ip_packet(text: &str) -> Vec<u8> {
    let (addresses, tag) = text.split_once(' ').unwrap();
    let tag = tag.parse().unwrap();
    if addresses.contains(':') {
        return ipv6_packet(addresses, 6, 64, vec![tag]);
    }
    let (source, destination) = addresses.split_once('>').unwrap();
    let mut packet = vec![0x45, 0, 0, 21, 0, 0, 0, 0, 64, 6, 0, 0];
    packet.extend(source.parse::<Ipv4Addr>().unwrap().octets());
    packet.extend(destination.parse::<Ipv4Addr>().unwrap().octets());
    packet.push(tag);
    packet
}

fn ipv6_packet(addresses: &str, next_header: u8, hop_limit: u8, mut payload: Vec<u8>) -> Vec<u8> {
    let (source, destination) = addresses.split_once('>').unwrap();
    let source = source.parse::<Ipv6Addr>().unwrap().octets();
    let destination = destination.parse::<Ipv6Addr>().unwrap().octets();
    if next_header == 58 {
        let pseudo = [&source[..], &destination, &[0, 0, 0, payload.len() as u8, 0, 0, 0, 58], &payload].concat();
        payload[2..4].copy_from_slice(&checksum(&pseudo).to_be_bytes());
    }
    let header = [0x60, 0, 0, 0, 0, payload.len() as u8, next_header, hop_limit];
    [&header[..], &source, &destination, &payload].concat()
}

/// RFC 1071, by the book.
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 =
        bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |&b| u32::from(b))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// A frame's text from its bytes, which are the only ones that this text stands for.
pub fn decode(frame: &[u8]) -> String {
    let mut stations = format!("{}>{}", station(&frame[6..12]), station(&frame[..6]));
    let mut at = 12;
    if frame[12..14] == [0x81, 0x00] {
        stations += &format!(" {}", u16::from_be_bytes([frame[14], frame[15]]));
        at = 16;
    }
    let payload = &frame[at + 2..];
    let text = match (&frame[at..at + 2], payload) {
        ([8, 6], _) => format!(
            "arp {} {}/{} {}/{}",
            if payload[7] == 1 { "request" } else { "reply" },
            ipv4(&payload[14..18]),
            station(&payload[8..14]),
            ipv4(&payload[24..28]),
            station(&payload[18..24]),
        ),
        ([8, 0], _) => format!("ip {}>{} {}", ipv4(&payload[12..16]), ipv4(&payload[16..20]), payload[20]),
        ([0x86, 0xdd], [_, _, _, _, _, _, next_header, ..]) => {
            let addresses = format!("{}>{}", ipv6(&payload[8..24]), ipv6(&payload[24..40]));
            match next_header {
                58 => ndp(&payload[40..], &addresses),
                _ => format!("ip {addresses} {}", payload[40]),
            }
        }
        other => panic!("what is {other:?}?"),
    };
    let text = format!("{stations} {text}");
    assert_eq!(encode(&text), frame, "{text}");
    text
}

fn ndp(icmp: &[u8], addresses: &str) -> String {
    let target = ipv6(&icmp[8..24]);
    let from = icmp.get(26..32).map_or("-".into(), station);
    match (icmp[0], icmp[4]) {
        (135, _) => format!("ns {addresses} {target} {from}"),
        (_, 0xe0) => format!("na {addresses} {target} {from} RSO"),
        (_, 0xa0) => format!("na {addresses} {target} {from} RO"),
        (_, 0x60) => format!("na {addresses} {target} {from} SO"),
        (_, 0x20) => format!("na {addresses} {target} {from} O"),
        (_, flags) => panic!("flags {flags:#x}"),
    }
}

fn ipv4(octets: &[u8]) -> Ipv4Addr {
    <[u8; 4]>::try_from(octets).unwrap().into()
}

fn ipv6(octets: &[u8]) -> Ipv6Addr {
    <[u8; 16]>::try_from(octets).unwrap().into()
}

fn mac(text: &str) -> [u8; 6] {
    match text.split_once(':') {
        Some((_, group)) => {
            let [a, b, c, d] = u32::from_str_radix(group, 16).unwrap().to_be_bytes();
            [0x33, 0x33, a, b, c, d]
        }
        None if text == "all" => [0xff; 6],
        None if text == "none" => [0; 6],
        None => [2, 0, 0, 0, 0, u8::from_str_radix(text, 16).unwrap()],
    }
}

fn station(mac: &[u8]) -> String {
    match *mac {
        [0xff, ..] => "all".into(),
        [0x33, 0x33, a, b, c, d] => format!("33:{:x}", u32::from_be_bytes([a, b, c, d])),
        [0, ..] => "none".into(),
        [.., last] => format!("{last:02x}"),
        [] => unreachable!(),
    }
}
