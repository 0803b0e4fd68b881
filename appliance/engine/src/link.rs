//! The link layer of the target NIC: Ethernet, ARP (RFC 826), neighbor discovery (RFC 4861).
//!
//! Inward, it owns the pool's addresses: it answers who asks for one of them, and hands on the IP packets that are for one of
//! them. Outward, it finds the next hop of a packet: the target itself where it lies in the subnet of the pool range that the
//! packet comes from, else the gateway. The next hops are known from the settings, so that the table of neighbors is made
//! once, and what strangers claim never adds to it. All are asked for at the start, lest the first connection wait.

mod arp;
mod ethernet;
mod ndp;
mod neighbor;
mod queue;

pub use queue::TransmitQueue;

use crate::config::{Config, FarEnd, PoolRange};
use crate::time::Time;
use arp::{Arp, Operation};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use ethernet::{Ethernet, Mac};
use ndp::Message;
use neighbor::{Action, Claim, Neighbor, Use};
use smoltcp::wire::{Ipv4Packet, Ipv6Packet};
use std::collections::BTreeMap;

/// What became of a frame that arrived at the target NIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inbound<'a> {
    /// An IP packet for one of the pool's addresses, without the frame's padding.
    Packet(&'a [u8]),
    /// ARP or neighbor discovery that was for the box; dealt with.
    Handled,
    /// Not for the box, or not well formed.
    Ignored,
}

/// The box's end of the link to the targets.
#[derive(Debug)]
pub struct Link {
    mac: Mac,
    pool: Vec<PoolRange>,
    gateway: Option<IpAddr>,
    neighbors: BTreeMap<IpAddr, Neighbor>,
    packets_unresolved: u64,
}

impl Link {
    /// A link on which all next hops that `config` names are asked for at `now`. In a rehearsal there is none.
    pub fn new(config: &Config, now: Time) -> Self {
        let (mac, neighbors) = match config.far_end {
            FarEnd::Wire { mac, .. } => (mac, neighbors(config, now)),
            FarEnd::Rehearsal => ([0; 6], BTreeMap::new()),
        };
        Self { mac, pool: config.pool.clone(), gateway: config.gateway, neighbors, packets_unresolved: 0 }
    }

    /// Takes a frame from the target NIC; what it calls for goes to `out`.
    pub fn handle_frame<'a>(&mut self, now: Time, frame: &'a [u8], out: &mut TransmitQueue) -> Inbound<'a> {
        let Some(frame) = Ethernet::parse(frame) else { return Inbound::Ignored };
        let is_ours = frame.destination == self.mac || ethernet::is_multicast(frame.destination);
        if !is_ours || !self.is_other(frame.source) {
            return Inbound::Ignored;
        }
        match frame.kind {
            ethernet::ARP => self.handle_arp(now, frame.payload, out),
            ethernet::IPV4 => self.handle_ipv4(frame.payload),
            ethernet::IPV6 => self.handle_ipv6(now, &frame, out),
            _ => Inbound::Ignored,
        }
    }

    /// Sends an IP packet from an address of the pool. While its next hop is not resolved it waits, within a bound.
    pub fn send(&mut self, now: Time, packet: &[u8], out: &mut TransmitQueue) {
        let mac = self.mac;
        let Some((source, neighbor)) = self.next_hop(packet) else {
            self.packets_unresolved += 1;
            return;
        };
        match neighbor.on_use(now, source) {
            Use::Send(to) => return send_ip(mac, to, packet, out),
            Use::Wait => {}
            Use::ProbeAndWait => send_probe(mac, None, neighbor, out),
        }
        let waits = neighbor.wait(packet);
        self.packets_unresolved += u64::from(!waits);
    }

    /// Asks again for the neighbors that have not answered, and whether those in use are still there.
    pub fn handle_timeout(&mut self, now: Time, out: &mut TransmitQueue) {
        for neighbor in self.neighbors.values_mut() {
            match neighbor.on_timeout(now) {
                Some(Action::Probe(known)) => send_probe(self.mac, known, neighbor, out),
                Some(Action::GiveUp) => self.packets_unresolved += neighbor.take_waiting().len() as u64,
                None => {}
            }
        }
    }

    /// When [`Link::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.neighbors.values().filter_map(Neighbor::due).min()
    }

    /// Packets dropped because they had no next hop, or it did not answer, or too many waited for it to answer.
    pub fn packets_unresolved(&self) -> u64 {
        self.packets_unresolved
    }

    fn handle_arp(&mut self, now: Time, payload: &[u8], out: &mut TransmitQueue) -> Inbound<'static> {
        let Some(arp) = Arp::parse(payload).filter(|arp| self.is_other(arp.sender_mac)) else {
            return Inbound::Ignored;
        };
        // Requests tell of their sender as replies do (RFC 826, packet reception).
        let known = self.handle_claim(now, arp.sender.into(), Claim::overriding(arp.sender_mac), out);
        let asked = arp.operation == Operation::Request && self.owns(arp.target.into());
        // Somebody who announces a pool address as his own does not ask.
        if asked && !self.owns(arp.sender.into()) {
            let (to, to_mac) = (arp.sender, arp.sender_mac);
            send_arp(Operation::Reply, (self.mac, arp.target), (to_mac, to), to_mac, out);
            return Inbound::Handled;
        }
        if known { Inbound::Handled } else { Inbound::Ignored }
    }

    fn handle_ipv4<'a>(&self, payload: &'a [u8]) -> Inbound<'a> {
        match Ipv4Packet::new_checked(payload) {
            Ok(packet) if packet.version() == 4 && self.owns(packet.dst_addr().into()) => {
                Inbound::Packet(&payload[..usize::from(packet.total_len())])
            }
            _ => Inbound::Ignored,
        }
    }

    fn handle_ipv6<'a>(&mut self, now: Time, frame: &Ethernet<'a>, out: &mut TransmitQueue) -> Inbound<'a> {
        let (source, destination, bytes) = match Ipv6Packet::new_checked(frame.payload) {
            Ok(packet) if packet.version() == 6 => {
                (packet.src_addr(), packet.dst_addr(), &frame.payload[..packet.total_len()])
            }
            _ => return Inbound::Ignored,
        };
        if ndp::is_ndp(bytes) {
            return match Message::parse(bytes) {
                Some(message) => self.handle_ndp(now, message, (source, destination), frame.source, out),
                None => Inbound::Ignored,
            };
        }
        if self.owns(destination.into()) { Inbound::Packet(bytes) } else { Inbound::Ignored }
    }

    fn handle_ndp(
        &mut self,
        now: Time,
        message: Message,
        (source, destination): (Ipv6Addr, Ipv6Addr),
        frame_source: Mac,
        out: &mut TransmitQueue,
    ) -> Inbound<'static> {
        let mac = message.mac();
        if mac.is_some_and(|mac| !self.is_other(mac)) {
            return Inbound::Ignored;
        }
        match message {
            Message::Advertisement { target, overrides, .. } => {
                let known = self.handle_claim(now, target.into(), Claim { mac, overrides }, out);
                if known { Inbound::Handled } else { Inbound::Ignored }
            }
            Message::Solicitation { target, .. } => {
                let is_asked = destination == target || destination == ndp::solicited_node(target);
                if !is_asked || !self.owns(target.into()) || self.owns(source.into()) {
                    return Inbound::Ignored;
                }
                if let Some(mac) = mac {
                    self.handle_claim(now, source.into(), Claim::overriding(mac), out);
                }
                send_advertisement((self.mac, target), (mac.unwrap_or(frame_source), source), out);
                Inbound::Handled
            }
        }
    }

    /// Whether the claim is of a neighbor, and was believed.
    fn handle_claim(&mut self, now: Time, address: IpAddr, claim: Claim, out: &mut TransmitQueue) -> bool {
        let Some(neighbor) = self.neighbors.get_mut(&address) else { return false };
        let Some(mac) = neighbor.on_claim(now, claim) else { return false };
        for packet in neighbor.take_waiting() {
            send_ip(self.mac, mac, &packet, out);
        }
        true
    }

    /// The packet's source, and whom to give it to.
    fn next_hop(&mut self, packet: &[u8]) -> Option<(IpAddr, &mut Neighbor)> {
        let (source, destination) = addresses(packet)?;
        let range = self.pool.iter().find(|range| holds(range, source))?;
        let hop = if is_in_subnet(range, destination) {
            destination
        } else {
            self.gateway.filter(|gateway| gateway.is_ipv4() == source.is_ipv4())?
        };
        Some((source, self.neighbors.get_mut(&hop)?))
    }

    fn owns(&self, address: IpAddr) -> bool {
        self.pool.iter().any(|range| holds(range, address))
    }

    /// Whether a station other than the box can have this address.
    fn is_other(&self, mac: Mac) -> bool {
        mac != self.mac && mac != [0; 6] && !ethernet::is_multicast(mac)
    }
}

/// The next hops that the settings name, each with an address of the pool from which to ask for it.
fn neighbors(config: &Config, now: Time) -> BTreeMap<IpAddr, Neighbor> {
    let near = |hop: IpAddr| config.pool.iter().find(|range| is_in_subnet(range, hop));
    let targets = config.services.iter().flat_map(|service| &service.targets);
    let on_link = targets.filter_map(|target| Some((target.ip(), near(target.ip())?)));
    // The gateway may lie in no range's subnet: in IPv6 it is most often a link-local address.
    let gateway = config.gateway.and_then(|gateway| {
        let of_family = || config.pool.iter().find(|range| range.first.is_ipv4() == gateway.is_ipv4());
        Some((gateway, near(gateway).or_else(of_family)?))
    });
    on_link.chain(gateway).map(|(hop, range)| (hop, Neighbor::new(hop, range.first, now))).collect()
}

fn holds(range: &PoolRange, address: IpAddr) -> bool {
    (range.first..=range.last).contains(&address)
}

fn is_in_subnet(range: &PoolRange, address: IpAddr) -> bool {
    let same_bits = match (range.first, address) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        _ => return false,
    };
    same_bits >= u32::from(range.prefix_len)
}

/// Source and destination of an IP packet.
fn addresses(packet: &[u8]) -> Option<(IpAddr, IpAddr)> {
    match packet.first()? >> 4 {
        4 => Ipv4Packet::new_checked(packet).ok().map(|ip| (ip.src_addr().into(), ip.dst_addr().into())),
        6 => Ipv6Packet::new_checked(packet).ok().map(|ip| (ip.src_addr().into(), ip.dst_addr().into())),
        _ => None,
    }
}

fn send_ip(from: Mac, to: Mac, packet: &[u8], out: &mut TransmitQueue) {
    let kind = if packet.first().is_some_and(|byte| byte >> 4 == 6) { ethernet::IPV6 } else { ethernet::IPV4 };
    out.push(ethernet::HEADER_LEN + packet.len(), |frame| {
        ethernet::write_header(frame, to, from, kind).copy_from_slice(packet);
    });
}

/// Asks for a neighbor: the station where it was `known` to be, or all.
fn send_probe(mac: Mac, known: Option<Mac>, neighbor: &Neighbor, out: &mut TransmitQueue) {
    match (neighbor.source(), neighbor.address()) {
        (IpAddr::V4(source), IpAddr::V4(hop)) => {
            let to = known.unwrap_or(ethernet::BROADCAST);
            send_arp(Operation::Request, (mac, source), ([0; 6], hop), to, out);
        }
        (IpAddr::V6(source), IpAddr::V6(hop)) => send_solicitation((mac, source), (known, hop), out),
        _ => {}
    }
}

fn send_arp(
    operation: Operation,
    (sender_mac, sender): (Mac, Ipv4Addr),
    (target_mac, target): (Mac, Ipv4Addr),
    to: Mac,
    out: &mut TransmitQueue,
) {
    let arp = Arp { operation, sender_mac, sender, target_mac, target };
    out.push(ethernet::HEADER_LEN + arp::LEN, |frame| {
        arp.write(ethernet::write_header(frame, to, sender_mac, ethernet::ARP));
    });
}

fn send_solicitation((mac, source): (Mac, Ipv6Addr), (known, hop): (Option<Mac>, Ipv6Addr), out: &mut TransmitQueue) {
    let message = Message::Solicitation { target: hop, mac: Some(mac) };
    let group = ndp::solicited_node(hop);
    let (to, destination) = known.map_or((ethernet::multicast(group), group), |known| (known, hop));
    send_ndp(&message, (mac, source), (to, destination), out);
}

/// Answers a solicitation; one from no address is a test for duplicates and is answered to all (RFC 4861, section 7.2.4).
fn send_advertisement((mac, target): (Mac, Ipv6Addr), (to, asker): (Mac, Ipv6Addr), out: &mut TransmitQueue) {
    let solicited = !asker.is_unspecified();
    let message = Message::Advertisement { target, solicited, overrides: true, mac: Some(mac) };
    let to = if solicited { (to, asker) } else { (ethernet::multicast(ndp::ALL_NODES), ndp::ALL_NODES) };
    send_ndp(&message, (mac, target), to, out);
}

fn send_ndp(
    message: &Message,
    (mac, source): (Mac, Ipv6Addr),
    (to, destination): (Mac, Ipv6Addr),
    out: &mut TransmitQueue,
) {
    out.push(ethernet::HEADER_LEN + ndp::LEN, |frame| {
        message.write(ethernet::write_header(frame, to, mac, ethernet::IPV6), source, destination);
    });
}
