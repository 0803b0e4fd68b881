//! What reaches which shard, said to the kernel.
//!
//! Each shard reads each NIC through a socket of its own, whose filter leaves it the frames of its [`Share`] and those of which
//! the kernel cannot tell whose they are: fragments, tunnels, labels. Those reach every shard, and the engine that they belong
//! to takes them once it has looked inside. So no frame crosses a thread, and a shard depends on no other: where the kernel
//! itself deals frames out to a group of sockets (PACKET_FANOUT), one that goes moves the flows of all others. What it costs is
//! one more look at each frame for each further shard.
//!
//! The mirror's filter is libpcap's, so its part is text, and computes from a segment's client, the side whose port is no
//! origin's. The target's is a program of its own, and computes from the destination.

use super::packet_socket::Instruction;
use std::collections::BTreeSet;
use tapcopy_engine::config::{Origin, Service};
use tapcopy_engine::share::{ADDRESS_FACTORS, IPV4_OFFSET, PORT_FACTOR, Share};

/// Ports of origins that are told apart; of more, the engine alone finds out which side the client is.
const PORTS_MAX: usize = 64;

/// In the pcap language, whether a TCP segment may belong to a client of the share; `None` where it always may.
pub(super) fn may_have_client(share: Share, services: &[Service]) -> Option<String> {
    let port_of = |origin: &Origin| match origin {
        Origin::Address(address) => address.port(),
        Origin::AnyAddress(port) => *port,
    };
    let ports: BTreeSet<u16> = services.iter().flat_map(|service| &service.origins).map(port_of).collect();
    if share == Share::default() || ports.is_empty() || ports.len() > PORTS_MAX {
        return None;
    }
    let any_of = |side: &str| ports.iter().map(|port| format!("{side} port {port}")).collect::<Vec<_>>().join(" or ");
    let (from, to) = (any_of("src"), any_of("dst"));
    let client = |v4: String, v6: String| {
        format!("(ip and {}) or (ip6 and {})", is_in_share(share, &v4), is_in_share(share, &v6))
    };
    let sender = client(ipv4_sum(12, 0), ipv6_sum(8, 40));
    let receiver = client(ipv4_sum(16, 2), ipv6_sum(24, 42));
    Some(format!(
        "(({to}) and ({from})) or (not ({to}) and not ({from})) or (not ({from}) and ({sender})) or (not ({to}) and ({receiver}))"
    ))
}

/// The sum over the IPv4 address and the port that begin at these offsets of their headers.
fn ipv4_sum(address: usize, port: usize) -> String {
    format!("ip[{address}:4] * {} + tcp[{port}:2] * {PORT_FACTOR} + {IPV4_OFFSET}", ADDRESS_FACTORS[3])
}

/// The same for IPv6; libpcap's `tcp[...]` knows IPv4 only, so that the port's offset is one into the IPv6 packet.
fn ipv6_sum(address: usize, port: usize) -> String {
    let product = |(index, factor)| format!("ip6[{}:4] * {factor}", address + 4 * index);
    let products: Vec<String> = ADDRESS_FACTORS.iter().enumerate().map(product).collect();
    format!("{} + ip6[{port}:2] * {PORT_FACTOR}", products.join(" + "))
}

fn is_in_share(share: Share, sum: &str) -> String {
    let Share { of_boxes, of_shards } = share;
    let of_box = format!("((({sum}) >> 16) * {})", of_boxes.of);
    let is_of_box = format!("{of_box} >> 16 = {}", of_boxes.index);
    let is_of_shard = format!("(({of_box} & 65535) * {}) >> 16 = {}", of_shards.of, of_shards.index);
    match (of_boxes.is_all(), of_shards.is_all()) {
        (true, _) => format!("({is_of_shard})"),
        (false, true) => format!("({is_of_box})"),
        (false, false) => format!("({is_of_box} and {is_of_shard})"),
    }
}

/// Where a test leads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum To {
    Next,
    Ipv6,
    Split,
    Pass,
    Drop,
}

#[derive(Clone, Copy)]
enum Line {
    At(To),
    Do(u32, u32),
    Test { how: u32, value: u32, yes: To, no: To },
}

use Line::{At, Do, Test};

/// Loads from the frame into the accumulator.
const LOAD_WORD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const LOAD_HALF: u32 = libc::BPF_LD | libc::BPF_H | libc::BPF_ABS;
const LOAD_HALF_BEHIND: u32 = libc::BPF_LD | libc::BPF_H | libc::BPF_IND;
const LOAD_BYTE: u32 = libc::BPF_LD | libc::BPF_B | libc::BPF_ABS;
/// Loads the length of an IPv4 header into the index.
const LOAD_HEADER_LEN: u32 = libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH;
const MULTIPLY: u32 = libc::BPF_ALU | libc::BPF_MUL | libc::BPF_K;
const SHIFT_RIGHT: u32 = libc::BPF_ALU | libc::BPF_RSH | libc::BPF_K;
const AND: u32 = libc::BPF_ALU | libc::BPF_AND | libc::BPF_K;
const ADD: u32 = libc::BPF_ALU | libc::BPF_ADD | libc::BPF_K;
const ADD_INDEX: u32 = libc::BPF_ALU | libc::BPF_ADD | libc::BPF_X;
const TO_INDEX: u32 = libc::BPF_MISC | libc::BPF_TAX;
const IS: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const HAS_BITS: u32 = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;

/// Length of an Ethernet header, before which the kernel has taken a VLAN tag out.
const ETHERNET: u32 = 14;
const TCP: u32 = 6;

/// The filter of a shard's socket on the target NIC: it passes TCP to an address and port of the share, and all that is not
/// plainly TCP. Empty where the shard is the only one.
pub(super) fn has_local(share: Share) -> Vec<Instruction> {
    if share.of_shards.is_all() {
        return Vec::new();
    }
    assemble(&[ethertype(), ipv4(), ipv6(), split(share)].concat())
}

fn ethertype() -> Vec<Line> {
    vec![
        Do(LOAD_HALF, 12),
        Test { how: IS, value: 0x86dd, yes: To::Ipv6, no: To::Next },
        Test { how: IS, value: 0x0800, yes: To::Next, no: To::Pass },
    ]
}

fn ipv4() -> Vec<Line> {
    vec![
        Do(LOAD_BYTE, ETHERNET + 9),
        Test { how: IS, value: TCP, yes: To::Next, no: To::Pass },
        Do(LOAD_HALF, ETHERNET + 6),
        // More fragments, or a fragment's offset.
        Test { how: HAS_BITS, value: 0x3fff, yes: To::Pass, no: To::Next },
        Do(LOAD_HEADER_LEN, ETHERNET),
        Do(LOAD_HALF_BEHIND, ETHERNET + 2),
        Do(MULTIPLY, PORT_FACTOR),
        Do(TO_INDEX, 0),
        Do(LOAD_WORD, ETHERNET + 16),
        Do(MULTIPLY, ADDRESS_FACTORS[3]),
        Do(ADD_INDEX, 0),
        Do(ADD, IPV4_OFFSET),
        Test { how: IS, value: 0, yes: To::Split, no: To::Split },
    ]
}

fn ipv6() -> Vec<Line> {
    let mut lines = vec![
        At(To::Ipv6),
        Do(LOAD_BYTE, ETHERNET + 6),
        Test { how: IS, value: TCP, yes: To::Next, no: To::Pass },
        Do(LOAD_HALF, ETHERNET + 40 + 2),
        Do(MULTIPLY, PORT_FACTOR),
    ];
    for (factor, offset) in ADDRESS_FACTORS.into_iter().zip((ETHERNET + 24..).step_by(4)) {
        lines.extend([Do(TO_INDEX, 0), Do(LOAD_WORD, offset), Do(MULTIPLY, factor), Do(ADD_INDEX, 0)]);
    }
    lines
}

fn split(share: Share) -> Vec<Line> {
    vec![
        At(To::Split),
        Do(SHIFT_RIGHT, 16),
        Do(MULTIPLY, share.of_boxes.of.into()),
        Do(AND, 0xffff),
        Do(MULTIPLY, share.of_shards.of.into()),
        Do(SHIFT_RIGHT, 16),
        Test { how: IS, value: share.of_shards.index.into(), yes: To::Pass, no: To::Drop },
        At(To::Pass),
        Do(RETURN, u32::MAX),
        At(To::Drop),
        Do(RETURN, 0),
    ]
}

/// All jumps lead forward, by less than 256 instructions.
fn assemble(lines: &[Line]) -> Vec<Instruction> {
    let is_code = |line: &&Line| !matches!(line, At(_));
    let place = |to: To| lines.iter().take_while(|line| !matches!(line, At(at) if *at == to)).filter(is_code).count();
    let code = lines.iter().filter(is_code).enumerate();
    let instruction = |(number, line): (usize, &Line)| {
        let distance = |to: To| if to == To::Next { 0 } else { (place(to) - number - 1) as u8 };
        match *line {
            Do(how, k) => Instruction { code: how as u16, jt: 0, jf: 0, k },
            Test { how, value: k, yes, no } => Instruction { code: how as u16, jt: distance(yes), jf: distance(no), k },
            At(_) => unreachable!("places are no code"),
        }
    };
    code.map(instruction).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;
    use tapcopy_engine::share::Part;

    /// What the kernel makes of a program (Linux, Documentation/networking/filter.rst), as far as this one goes.
    fn run(program: &[Instruction], frame: &[u8]) -> u32 {
        let (mut accumulator, mut index, mut at) = (0_u32, 0_u32, 0);
        let load = |offset: u32, len: usize| {
            let bytes = frame.get(offset as usize..offset as usize + len)?;
            Some(bytes.iter().fold(0_u32, |value, byte| value << 8 | u32::from(*byte)))
        };
        loop {
            let Instruction { code, jt, jf, k } = program[at];
            at += 1;
            let loaded = match u32::from(code) {
                LOAD_WORD => load(k, 4),
                LOAD_HALF => load(k, 2),
                LOAD_HALF_BEHIND => load(k + index, 2),
                LOAD_BYTE => load(k, 1),
                LOAD_HEADER_LEN => {
                    let Some(byte) = load(k, 1) else { return 0 };
                    index = 4 * (byte & 0xf);
                    Some(accumulator)
                }
                MULTIPLY => Some(accumulator.wrapping_mul(k)),
                SHIFT_RIGHT => Some(accumulator >> k),
                AND => Some(accumulator & k),
                ADD => Some(accumulator.wrapping_add(k)),
                ADD_INDEX => Some(accumulator.wrapping_add(index)),
                TO_INDEX => {
                    index = accumulator;
                    Some(accumulator)
                }
                IS | HAS_BITS => {
                    let is_true = if u32::from(code) == IS { accumulator == k } else { accumulator & k != 0 };
                    at += usize::from(if is_true { jt } else { jf });
                    Some(accumulator)
                }
                RETURN => return k,
                other => panic!("no code of this program: {other:#x}"),
            };
            let Some(value) = loaded else { return 0 };
            accumulator = value;
        }
    }

    fn frame(source: (IpAddr, u16), destination: (IpAddr, u16), options: usize) -> Vec<u8> {
        let mut frame = vec![0; 12];
        match (source.0, destination.0) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                frame.extend([0x08, 0x00, 0x45 + options as u8, 0, 0, 60, 0, 0, 0x40, 0, 64, 6, 0, 0]);
                frame.extend([from.octets(), to.octets()].concat());
                frame.extend(vec![1; 4 * options]);
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, 6, 64]);
                frame.extend([from.octets(), to.octets()].concat());
            }
            _ => unreachable!(),
        }
        frame.extend(source.1.to_be_bytes());
        frame.extend(destination.1.to_be_bytes());
        frame.extend([0; 16]);
        frame
    }

    fn shares() -> Vec<Share> {
        let part = |(index, of)| Part { index, of };
        let of = |boxes, shards| Share { of_boxes: part(boxes), of_shards: part(shards) };
        vec![of((0, 1), (1, 2)), of((1, 2), (0, 1)), of((2, 3), (4, 5)), of((63, 64), (0, 1)), of((0, 64), (31, 32))]
    }

    /// Some clients, of both families and all over the place, and servers beside them.
    fn pairs() -> impl Iterator<Item = ((IpAddr, u16), (IpAddr, u16), usize)> {
        (0..2_000_u32).map(|n| {
            let mixed = n.wrapping_mul(0x9e37_79b9) ^ 0x5bd1_e995;
            let port = (mixed >> 7) as u16 | 0x8000;
            if n % 2 == 0 {
                let client = IpAddr::from(mixed.to_be_bytes());
                return ((client, port), (IpAddr::from([10, 0, 0, 1]), 80), (n / 2 % 3) as usize);
            }
            let wide = u128::from(mixed) << 64 | u128::from(mixed.rotate_left(9)) << 13 | 0xfd << 120;
            ((IpAddr::from(wide.to_be_bytes()), port), ("fd00::1".parse().unwrap(), 80), 0)
        })
    }

    #[test]
    fn what_a_target_sends_reaches_the_shard_that_its_address_belongs_to() {
        for share in shares().into_iter().filter(|share| !share.of_shards.is_all()) {
            let program = has_local(share);
            for (local, target, options) in pairs() {
                let passes = run(&program, &frame(target, local, options)) != 0;
                assert_eq!(passes, share.has_local(local.0, local.1), "{local:?} {share:?}");
            }
        }
    }

    #[test]
    fn what_is_not_plainly_tcp_reaches_every_shard() {
        let mut fragment = frame(([10, 0, 0, 1].into(), 80), ([10, 0, 0, 2].into(), 999), 0);
        fragment[20] = 0x20;
        let mut behind = fragment.clone();
        (behind[20], behind[21]) = (0, 1);
        let mut udp = fragment.clone();
        udp[23] = 17;
        let mut extended = frame(("fd00::1".parse().unwrap(), 80), ("fd00::2".parse().unwrap(), 999), 0);
        extended[20] = 44;
        let arp = [vec![0; 12], vec![0x08, 0x06], vec![0; 28]].concat();
        for index in 0..4 {
            let program = has_local(Share { of_shards: Part { index, of: 4 }, ..Share::default() });
            for frame in [&fragment, &behind, &udp, &extended, &arp] {
                assert_ne!(run(&program, frame), 0, "{frame:x?}");
            }
        }
    }

    #[test]
    fn both_directions_of_a_session_reach_its_shard_and_no_other() {
        let settings =
            "schema_version = 1\nservice = [{ origins = ['*:80', '10.9.9.9:8080'], targets = ['10.0.0.9:81'] }]";
        let settings = crate::settings::Settings::read(
            settings,
            crate::settings::Format::Toml,
            crate::settings::Purpose::Rehearse,
        );
        let services = settings.unwrap().services;
        for share in shares() {
            let text =
                super::super::filter::derive(&services, None, tapcopy_engine::message::LinkType::Ethernet, share);
            let (instructions, passes) = crate::nic::mirror::matcher(&text).unwrap();
            assert!(instructions < 4_096, "{instructions}");
            for (client, origin, options) in pairs() {
                let is_ours = share.has_client(client.0, client.1);
                for frame in [frame(client, origin, options), frame(origin, client, options)] {
                    assert_eq!(passes(&frame), is_ours, "{client:?} {share:?}");
                    let tagged = [&frame[..12], &[0x81, 0, 0, 7, 0x88, 0xa8, 0, 9], &frame[12..]].concat();
                    assert_eq!(passes(&tagged), is_ours, "{client:?} {share:?}");
                }
            }
            let (client, origin) = (([10, 1, 1, 1].into(), 8_080), ([10, 0, 0, 1].into(), 80));
            assert!(passes(&frame(client, origin, 0)), "both ports are origins': the engine tells who the client is");
            let local = ([10, 0, 0, 100].into(), 9_999);
            assert!(passes(&frame(([10, 0, 0, 9].into(), 81), local, 0)), "the replay itself, for the loop alarm");
        }
    }
}
