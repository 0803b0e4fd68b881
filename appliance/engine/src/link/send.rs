//! Frames that the box sends: each is written straight into the queue.

use super::arp::{self, Arp, Operation};
use super::ethernet::{self, Mac, Station};
use super::ndp::{self, Flags, Message};
use super::queue::TransmitQueue;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Sends an IP packet.
pub(super) fn packet(station: Station, to: Mac, packet: &[u8], out: &mut TransmitQueue) {
    let kind = if packet.first().is_some_and(|byte| byte >> 4 == 6) { ethernet::IPV6 } else { ethernet::IPV4 };
    out.push(station.header_len() + packet.len(), |frame| {
        station.write_header(frame, to, kind).copy_from_slice(packet);
    });
}

/// Asks from `source` for a neighbor: the station where it was `known` to be, or all.
pub(super) fn question(station: Station, known: Option<Mac>, (source, hop): (IpAddr, IpAddr), out: &mut TransmitQueue) {
    match (source, hop) {
        (IpAddr::V4(source), IpAddr::V4(hop)) => {
            let to = known.unwrap_or(ethernet::BROADCAST);
            arp(station, Operation::Request, source, ([0; 6], hop), to, out);
        }
        (IpAddr::V6(source), IpAddr::V6(hop)) => {
            let to = known.map(|known| (known, hop));
            solicitation(station, source, Some(station.mac), hop, to, out);
        }
        _ => {}
    }
}

/// Asks all stations whether somebody has `address`, from no address, so that nobody takes the question for a claim
/// (RFC 5227, section 1.1; RFC 4862, section 5.4.2).
pub(super) fn probe(station: Station, address: IpAddr, out: &mut TransmitQueue) {
    match address {
        IpAddr::V4(address) => {
            let nobody = Ipv4Addr::UNSPECIFIED;
            arp(station, Operation::Request, nobody, ([0; 6], address), ethernet::BROADCAST, out);
        }
        IpAddr::V6(address) => solicitation(station, Ipv6Addr::UNSPECIFIED, None, address, None, out),
    }
}

/// Tells all stations that `address` is the box's (RFC 5227, section 2.3; RFC 4861, section 7.2.6).
pub(super) fn announcement(station: Station, address: IpAddr, router: bool, out: &mut TransmitQueue) {
    match address {
        IpAddr::V4(address) => {
            arp(station, Operation::Request, address, ([0; 6], address), ethernet::BROADCAST, out);
        }
        IpAddr::V6(address) => advertisement(station, address, router, None, out),
    }
}

/// Sends an ARP packet.
pub(super) fn arp(
    station: Station,
    operation: Operation,
    sender: Ipv4Addr,
    (target_mac, target): (Mac, Ipv4Addr),
    to: Mac,
    out: &mut TransmitQueue,
) {
    let arp = Arp { operation, sender_mac: station.mac, sender, target_mac, target };
    out.push(station.header_len() + arp::LEN, |frame| {
        arp.write(station.write_header(frame, to, ethernet::ARP));
    });
}

/// Advertises `target`: to who asked, or to all, as to one who has no address yet (RFC 4861, section 7.2.4).
pub(super) fn advertisement(
    station: Station,
    target: Ipv6Addr,
    router: bool,
    asker: Option<(Mac, Ipv6Addr)>,
    out: &mut TransmitQueue,
) {
    let flags = Flags { router, solicited: asker.is_some(), overrides: true };
    let message = Message::Advertisement { target, flags, mac: Some(station.mac) };
    let to = asker.unwrap_or((ethernet::multicast(ndp::ALL_NODES), ndp::ALL_NODES));
    ndp(station, &message, target, to, out);
}

fn solicitation(
    station: Station,
    source: Ipv6Addr,
    mac: Option<Mac>,
    target: Ipv6Addr,
    to: Option<(Mac, Ipv6Addr)>,
    out: &mut TransmitQueue,
) {
    let group = ndp::solicited_node(target);
    let to = to.unwrap_or((ethernet::multicast(group), group));
    ndp(station, &Message::Solicitation { target, mac }, source, to, out);
}

fn ndp(
    station: Station,
    message: &Message,
    source: Ipv6Addr,
    (to, destination): (Mac, Ipv6Addr),
    out: &mut TransmitQueue,
) {
    out.push(station.header_len() + message.len(), |frame| {
        message.write(station.write_header(frame, to, ethernet::IPV6), source, destination);
    });
}
