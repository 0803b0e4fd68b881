//! The mirror's pcap filter, derived from the services: what no service wants is dropped in the kernel.
//!
//! It passes TCP of both directions of every origin, and of every target: the box's own replay must not appear on the
//! mirror, and the engine can raise its loop alarm only for frames that it sees. In the pcap language the word `vlan`
//! moves the offsets of everything to its right, up to the end of the expression. So every term comes once for untagged
//! frames, then for one tag, then for two, and the user's own filter stands inside of each. Tunnels, fragments without a
//! TCP header and IPv6 extension headers cannot be matched by it.

use std::collections::BTreeSet;
use tapcopy_engine::config::{Origin, Service};
use tapcopy_engine::message::LinkType;

/// Servers matched one by one; the kernel takes 4,096 instructions, and a server costs some 20 for each depth of tags.
/// Beyond it the filter matches ports only, and the engine sorts out the rest.
const SERVERS_MAX: usize = 40;

/// The filter of a mirror NIC. Without a service, all frames are wanted: there are no settings yet.
pub fn derive(services: &[Service], extra: Option<&str>, link: LinkType) -> String {
    if services.is_empty() {
        return extra.unwrap_or_default().to_owned();
    }
    let servers = servers(services).join(" or ");
    let wanted = match extra {
        Some(extra) => format!("tcp and ({servers}) and ({extra})"),
        None => format!("tcp and ({servers})"),
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
    use tapcopy_engine::config::{Pacing, Protocol};

    fn service(origins: Vec<Origin>) -> Service {
        let targets = vec!["10.0.0.9:81".parse().unwrap()];
        Service { name: String::new(), origins, targets, protocol: Protocol::Auto, pacing: Pacing::Turns, sample: 0 }
    }

    /// Compiles the filter, then tells which of the frames it passes.
    #[track_caller]
    fn check(services: &[Service], extra: Option<&str>, frames: &[(&[u8], bool)]) {
        let text = derive(services, extra, LinkType::Ethernet);
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
