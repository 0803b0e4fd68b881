//! The mirror's pcap filter, derived from the services: what no service wants is dropped in the kernel.
//!
//! It passes TCP of both directions of every origin, and of every target: the box's own replay must not appear on the
//! mirror, and the engine can raise its loop alarm only for frames that it sees. In the pcap language the word `vlan`
//! moves the offsets of everything to its right, up to the end of the expression. So every term comes once for untagged
//! frames, then for one tag, then for two, and the user's own filter stands inside of each.
//!
//! The language does not look inside tunnels, nor behind a fragment's start or IPv6 extension headers. What is wrapped in such
//! a way passes whatever it holds, and the engine sorts it out; the user's filter sees its outermost addresses. Where shards or
//! boxes share the mirror, what is plainly another's does not pass (`steer`).

use super::steer;
use std::collections::BTreeSet;
use tapcopy_engine::config::{Origin, Service};
use tapcopy_engine::message::LinkType;
use tapcopy_engine::share::Share;

/// Servers matched one by one; the kernel takes 4,096 instructions, and a server costs some 20 for each depth of tags.
/// Beyond it the filter matches ports only, and the engine sorts out the rest.
const SERVERS_MAX: usize = 40;

/// IP packets in which the engine may find a segment that the filter cannot see: fragments but the first, extension headers (hop by hop,
/// routing, fragment, authentication, destination options), IP in IP, GRE with ERSPAN and in UDP, VXLAN at its three ports,
/// GENEVE.
const WRAPPED_IP: &str = "ip[6:2] & 0x1fff != 0 or ip proto 4 or ip proto 41 or ip proto 47 \
    or ip6[6] = 0 or ip6[6] = 43 or ip6[6] = 44 or ip6[6] = 51 or ip6[6] = 60 or ip6[6] = 4 or ip6[6] = 41 or ip6[6] = 47 \
    or udp dst port 4754 or udp dst port 4789 or udp dst port 4790 or udp dst port 8472 or udp dst port 6081";

/// The first of several fragments. The filter sees its ports, but not those of the others, which must reach the same shard.
const FIRST_FRAGMENT: &str = "ip[6:2] & 0x3fff = 0x2000";

/// The same of Ethernet frames: MPLS and PPPoE.
const WRAPPED_ETHERNET: &str = "ether proto 0x8847 or ether proto 0x8848 or ether proto 0x8864";

/// The filter of a mirror NIC, for the sessions of this share. Without a service, all frames are wanted: there are no settings
/// yet.
pub fn derive(services: &[Service], extra: Option<&str>, link: LinkType, share: Share) -> String {
    if services.is_empty() {
        return extra.unwrap_or_default().to_owned();
    }
    let servers = servers(services).join(" or ");
    let wrapped = match link {
        LinkType::Ethernet => format!("{WRAPPED_IP} or {WRAPPED_ETHERNET}"),
        _ => WRAPPED_IP.to_owned(),
    };
    let wanted = match steer::may_have_client(share, services) {
        Some(ours) => format!("(tcp and ({servers}) and ({ours} or {FIRST_FRAGMENT})) or {wrapped}"),
        None => format!("(tcp and ({servers})) or {wrapped}"),
    };
    let wanted = match extra {
        Some(extra) => format!("({wanted}) and ({extra})"),
        None => wanted,
    };
    match link {
        LinkType::Ethernet => format!("({wanted}) or (vlan and (({wanted}) or (vlan and ({wanted}))))"),
        _ => wanted,
    }
}

fn servers(services: &[Service]) -> Vec<String> {
    let any_of = |service: &Service| service.origins.clone();
    let targets = |service: &Service| service.targets.clone();
    let origins = services.iter().flat_map(any_of);
    let targets = services.iter().flat_map(targets).map(Origin::Address);
    let servers: Vec<Origin> = origins.chain(targets).collect();
    let by_port = servers.len() > SERVERS_MAX;
    let term = |server: &Origin| match server {
        Origin::Address(address) if !by_port => {
            let (ip, port) = (address.ip(), address.port());
            format!("(src host {ip} and src port {port}) or (dst host {ip} and dst port {port})")
        }
        Origin::Address(address) => format!("port {}", address.port()),
        Origin::AnyAddress(port) => format!("port {port}"),
    };
    // A set, because many servers share a port.
    servers.iter().map(term).collect::<BTreeSet<_>>().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapcopy_engine::config::{MirrorTo, Pacing, Protocol};

    fn service(origins: Vec<Origin>) -> Service {
        let targets = vec!["10.0.0.9:81".parse().unwrap()];
        Service {
            name: String::new(),
            origins,
            targets,
            mirror_to: MirrorTo::One,
            selection: Default::default(),
            sessions_per_second: None,
            rules: Default::default(),
            copies: 1,
            protocol: Protocol::Auto,
            pacing: Pacing::Turns,
            sample: 0,
        }
    }

    /// Compiles the filter, then tells which of the frames it passes.
    #[track_caller]
    fn check(services: &[Service], extra: Option<&str>, frames: &[(&[u8], bool)]) {
        let text = derive(services, extra, LinkType::Ethernet, Share::default());
        let (instructions, matches) = crate::nic::mirror::matcher(&text).unwrap();
        assert!(instructions < 4_096, "{instructions}");
        for (index, (frame, passes)) in frames.iter().enumerate() {
            assert_eq!(matches(frame), *passes, "frame {index} by {text}");
        }
    }

    fn frame(tags: usize, source: [u8; 4], source_port: u16, destination: [u8; 4], port: u16) -> Vec<u8> {
        let mut frame = vec![0; 12];
        frame.extend([0x81, 0x00, 0, 7].repeat(tags));
        frame.extend([0x08, 0x00, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0]);
        frame.extend(source);
        frame.extend(destination);
        frame.extend(source_port.to_be_bytes());
        frame.extend(port.to_be_bytes());
        frame.extend([0; 16]);
        frame
    }

    #[test]
    fn both_directions_at_every_depth_of_tags() {
        let services = [service(vec![Origin::Address("10.0.0.1:80".parse().unwrap()), Origin::AnyAddress(443)])];
        for tags in 0..3 {
            let (client, server) = ([10, 1, 1, 1], [10, 0, 0, 1]);
            check(
                &services,
                None,
                &[
                    (&frame(tags, client, 999, server, 80), true),
                    (&frame(tags, server, 80, client, 999), true),
                    (&frame(tags, client, 80, server, 999), false),
                    (&frame(tags, client, 999, [10, 0, 0, 2], 80), false),
                    (&frame(tags, client, 999, [10, 0, 0, 2], 443), true),
                    (&frame(tags, client, 999, [10, 0, 0, 9], 81), true),
                ],
            );
            check(
                &services,
                Some("not host 10.1.1.1"),
                &[(&frame(tags, client, 999, server, 80), false), (&frame(tags, [10, 1, 1, 2], 999, server, 80), true)],
            );
        }
    }

    /// An Ethernet frame of `ethertype` with `bytes`, behind `tags`.
    fn wrapped(tags: usize, ethertype: u16, bytes: &[u8]) -> Vec<u8> {
        let mut frame = vec![0; 12];
        frame.extend([0x81, 0x00, 0, 7].repeat(tags));
        frame.extend(ethertype.to_be_bytes());
        frame.extend(bytes);
        frame.resize(frame.len() + 60, 0);
        frame
    }

    /// An IPv4 header of `protocol` with the flags and fragment offset, and a UDP header to `port`.
    fn packet(protocol: u8, fragment: [u8; 2], port: u16) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 80, 0, 1, fragment[0], fragment[1], 64, protocol, 0, 0];
        packet.extend([192, 0, 2, 1, 192, 0, 2, 2, 0x80, 0x00]);
        packet.extend(port.to_be_bytes());
        packet
    }

    #[test]
    fn what_cannot_be_looked_into_passes() {
        let services = [service(vec![Origin::Address("10.0.0.1:80".parse().unwrap())])];
        let ipv6 = |next: u8| [vec![0x60, 0, 0, 0, 0, 40, next, 64], vec![0xfd; 32]].concat();
        let cases = [
            (0x8847, vec![0; 20], true),
            (0x8848, vec![0; 20], true),
            (0x8864, vec![0; 20], true),
            (0x0806, vec![0; 20], false),
            (0x0800, packet(6, [0x00, 0x10], 0), true),
            (0x0800, packet(6, [0x20, 0x00], 0), false),
            (0x0800, packet(4, [0, 0], 0), true),
            (0x0800, packet(41, [0, 0], 0), true),
            (0x0800, packet(47, [0, 0], 0), true),
            (0x0800, packet(17, [0, 0], 4754), true),
            (0x0800, packet(17, [0, 0], 4789), true),
            (0x0800, packet(17, [0, 0], 4790), true),
            (0x0800, packet(17, [0, 0], 8472), true),
            (0x0800, packet(17, [0, 0], 6081), true),
            (0x0800, packet(17, [0, 0], 53), false),
            (0x86dd, ipv6(6), false),
            (0x86dd, ipv6(44), true),
            (0x86dd, ipv6(60), true),
            (0x86dd, ipv6(47), true),
        ];
        for tags in 0..3 {
            for (ethertype, bytes, passes) in &cases {
                check(&services, None, &[(&wrapped(tags, *ethertype, bytes), *passes)]);
            }
        }
        let outer = wrapped(0, 0x0800, &packet(47, [0, 0], 0));
        check(&services, Some("not host 192.0.2.2"), &[(&outer, false)]);
    }

    #[test]
    fn without_services_every_frame_passes() {
        check(&[], None, &[(&frame(2, [10, 1, 1, 1], 999, [10, 0, 0, 1], 80), true), (&[0xff; 60], true)]);
    }

    #[test]
    fn many_servers_fit_the_kernel() {
        for count in [SERVERS_MAX - 1, SERVERS_MAX, 1_000] {
            let origin = |n: usize| Origin::Address(format!("10.0.{}.{}:80", n / 250, n % 250 + 1).parse().unwrap());
            check(
                &[service((0..count).map(origin).collect())],
                None,
                &[(&frame(0, [10, 1, 1, 1], 999, [10, 0, 0, 1], 80), true)],
            );
        }
        let v6 = |n: usize| Origin::Address(format!("[fd00::{n:x}]:80").parse().unwrap());
        check(&[service((1..SERVERS_MAX).map(v6).collect())], None, &[]);
    }
}
