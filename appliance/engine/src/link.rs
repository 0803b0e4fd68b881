//! The link layer of the target NIC: Ethernet with or without a VLAN tag, ARP (RFC 826), neighbor discovery (RFC 4861).
//!
//! Inward, it answers who asks for one of the box's addresses, tells [`crate::local`] who else claims one, and hands on the
//! IP packets that are for a replay. Outward, it finds the next hop of a packet: the target itself where it lies on the link,
//! else the gateway. The next hops are known from the settings, so that the table of neighbors is made once, and what
//! strangers claim never adds to it. All are asked for as soon as the box has an address to ask from, lest the first
//! connection wait.

mod arp;
mod ethernet;
mod ndp;
mod neighbor;
mod queue;
mod send;

pub use queue::TransmitQueue;

use crate::config::{Addressing, Config, FarEnd};
use crate::local::{Announcement, Locals};
use crate::time::Time;
use arp::{Arp, Operation};
use core::net::{IpAddr, Ipv6Addr};
use ethernet::{Ethernet, Mac, Station};
use ndp::Message;
use neighbor::{Action, Claim, Neighbor, PROBE_INTERVAL, Use};
use smoltcp::wire::{Ipv4Packet, Ipv6Packet};
use std::collections::BTreeMap;

/// What became of a frame that arrived at the target NIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inbound<'a> {
    /// An IP packet for a replay, without the frame's padding.
    Packet(&'a [u8]),
    /// ARP or neighbor discovery that was for the box; dealt with.
    Handled,
    /// Not for the box, or not well formed.
    Ignored,
}

/// The box's end of the link to the targets.
#[derive(Debug)]
pub struct Link {
    station: Station,
    addressing: Addressing,
    neighbors: BTreeMap<IpAddr, Neighbor>,
    /// No neighbor has anything to be done before this.
    quiet_until: Time,
    packets_unresolved: u64,
}

impl Link {
    /// A link to all next hops that `config` names. In a rehearsal there is none.
    pub fn new(config: &Config, locals: &Locals, now: Time) -> Self {
        let (station, neighbors) = match config.far_end {
            FarEnd::Wire { mac, vlan, .. } => (Station { mac, vlan }, neighbors(config)),
            FarEnd::Rehearsal => (Station { mac: [0; 6], vlan: None }, BTreeMap::new()),
        };
        let mut link = Self {
            station,
            addressing: config.addressing.clone(),
            neighbors,
            quiet_until: Time::ZERO,
            packets_unresolved: 0,
        };
        link.ask_for_new_neighbors(now, locals);
        link
    }

    /// Takes new settings. What is known of the next hops stays known, unless the box is another station from now on.
    pub fn configure(&mut self, config: &Config, locals: &Locals, now: Time) {
        let before = core::mem::replace(self, Self::new(config, locals, now));
        let is_same_station = (before.station, &before.addressing) == (self.station, &self.addressing);
        self.packets_unresolved = before.packets_unresolved;
        for (address, mut known) in before.neighbors {
            match self.neighbors.get_mut(&address).filter(|_| is_same_station) {
                Some(neighbor) => *neighbor = known,
                None => self.packets_unresolved += known.take_waiting().len() as u64,
            }
        }
    }

    /// Takes a frame from the target NIC; what it calls for goes to `out`.
    pub fn handle_frame<'a>(
        &mut self,
        now: Time,
        frame: &'a [u8],
        locals: &mut Locals,
        out: &mut TransmitQueue,
    ) -> Inbound<'a> {
        let Some(frame) = Ethernet::parse(frame) else { return Inbound::Ignored };
        let is_ours = frame.destination == self.station.mac || ethernet::is_multicast(frame.destination);
        if !is_ours || frame.vlan != self.station.vlan || !self.is_other(frame.source) {
            return Inbound::Ignored;
        }
        let inbound = match frame.kind {
            ethernet::ARP => self.handle_arp(now, frame.payload, locals, out),
            ethernet::IPV4 => handle_ipv4(frame.payload, locals),
            ethernet::IPV6 => self.handle_ipv6(now, &frame, locals, out),
            _ => Inbound::Ignored,
        };
        if let Inbound::Packet(packet) = inbound
            && let Some((source, _)) = addresses(packet)
            && let Some(neighbor) = self.hop_to(source).and_then(|hop| self.neighbors.get_mut(&hop))
        {
            neighbor.on_heard(frame.source);
        }
        inbound
    }

    /// Sends an IP packet from an address of the box. While its next hop is not resolved it waits, within a bound.
    pub fn send(&mut self, now: Time, packet: &[u8], locals: &Locals, out: &mut TransmitQueue) {
        let station = self.station;
        let Some((asker, neighbor)) = self.next_hop(packet, locals) else {
            self.packets_unresolved += 1;
            return;
        };
        match neighbor.on_use(now, asker) {
            Use::Send(to) => return send::packet(station, to, packet, out),
            Use::Wait => {}
            Use::ProbeAndWait => send::question(station, None, (asker, neighbor.address()), out),
        }
        let waits = neighbor.wait(packet);
        self.packets_unresolved += u64::from(!waits);
    }

    /// Asks again for the neighbors that have not answered, and whether those in use are still there; says what is to be
    /// said of the box's own addresses.
    pub fn handle_timeout(&mut self, now: Time, locals: &mut Locals, out: &mut TransmitQueue) {
        while !out.is_full()
            && let Some(announcement) = locals.poll_announcement(now)
        {
            match announcement {
                Announcement::Probe(address) => send::probe(self.station, address, out),
                Announcement::Held(address) => {
                    send::announcement(self.station, address, locals.is_gateway(address), out);
                    self.ask_for_new_neighbors(now, locals);
                }
            }
        }
        self.quiet_until = Time::ZERO;
        for neighbor in self.neighbors.values_mut() {
            // Were it dropped, the same neighbor would be asked for in vain each time: the others come first.
            if out.is_full() {
                return;
            }
            match neighbor.on_timeout(now) {
                Some(Action::Ask { known, source }) => {
                    send::question(self.station, known, (source, neighbor.address()), out);
                }
                Some(Action::GiveUp) => self.packets_unresolved += neighbor.take_waiting().len() as u64,
                None => {}
            }
        }
    }

    /// Whether [`Link::handle_timeout`] is due. It is asked with every frame: what a neighbor may have to be asked because of the
    /// next frames is due a probe's interval later at the earliest.
    pub fn is_due(&mut self, now: Time, locals: &Locals) -> bool {
        if now >= self.quiet_until {
            let next = self.neighbors.values().filter_map(Neighbor::due).min();
            self.quiet_until = next.unwrap_or(Time::MAX).min(now + PROBE_INTERVAL);
        }
        now >= self.quiet_until || locals.poll_timeout().is_some_and(|at| at <= now)
    }

    /// When [`Link::handle_timeout`] is due.
    pub fn poll_timeout(&self, locals: &Locals) -> Option<Time> {
        self.neighbors.values().filter_map(Neighbor::due).chain(locals.poll_timeout()).min()
    }

    /// Packets dropped because they had no next hop, or it did not answer, or too many waited for it to answer.
    pub fn packets_unresolved(&self) -> u64 {
        self.packets_unresolved
    }

    fn ask_for_new_neighbors(&mut self, now: Time, locals: &Locals) {
        for neighbor in self.neighbors.values_mut().filter(|neighbor| neighbor.is_new()) {
            if let Some(source) = locals.asker(neighbor.address()) {
                neighbor.ask_at(now, source);
            }
        }
    }

    fn handle_arp(
        &mut self,
        now: Time,
        payload: &[u8],
        locals: &mut Locals,
        out: &mut TransmitQueue,
    ) -> Inbound<'static> {
        let Some(arp) = Arp::parse(payload).filter(|arp| self.is_other(arp.sender_mac)) else {
            return Inbound::Ignored;
        };
        if locals.contest(now, arp.sender.into(), arp.sender_mac) {
            return Inbound::Handled;
        }
        // Requests tell of their sender as replies do (RFC 826, packet reception).
        let known = self.handle_claim(arp.sender.into(), Claim::overriding(arp.sender_mac), out);
        let is_request = arp.operation == Operation::Request;
        if is_request && arp.sender.is_unspecified() {
            locals.rival(now, arp.target.into(), arp.sender_mac);
        }
        if is_request && locals.answers_for(arp.target.into()) {
            let asker = (arp.sender_mac, arp.sender);
            send::arp(self.station, Operation::Reply, arp.target, asker, arp.sender_mac, out);
            return Inbound::Handled;
        }
        if known { Inbound::Handled } else { Inbound::Ignored }
    }

    fn handle_ipv6<'a>(
        &mut self,
        now: Time,
        frame: &Ethernet<'a>,
        locals: &mut Locals,
        out: &mut TransmitQueue,
    ) -> Inbound<'a> {
        let (source, destination, bytes) = match Ipv6Packet::new_checked(frame.payload) {
            Ok(packet) if packet.version() == 6 => {
                (packet.src_addr(), packet.dst_addr(), &frame.payload[..packet.total_len()])
            }
            _ => return Inbound::Ignored,
        };
        if ndp::is_ndp(bytes) {
            return match Message::parse(bytes).filter(|message| message.mac().is_none_or(|mac| self.is_other(mac))) {
                Some(message) => self.handle_ndp(now, message, (source, destination), frame.source, locals, out),
                None => Inbound::Ignored,
            };
        }
        if locals.carries(destination.into()) { Inbound::Packet(bytes) } else { Inbound::Ignored }
    }

    fn handle_ndp(
        &mut self,
        now: Time,
        message: Message,
        (source, destination): (Ipv6Addr, Ipv6Addr),
        frame_source: Mac,
        locals: &mut Locals,
        out: &mut TransmitQueue,
    ) -> Inbound<'static> {
        let mac = message.mac();
        let (target, known) = match message {
            Message::Advertisement { target, flags, .. } => {
                if locals.contest(now, target.into(), mac.unwrap_or(frame_source)) {
                    return Inbound::Handled;
                }
                let claim = Claim { mac, overrides: flags.overrides };
                let known = self.handle_claim(target.into(), claim, out);
                return if known { Inbound::Handled } else { Inbound::Ignored };
            }
            Message::Solicitation { target, .. } => (target, mac),
        };
        if locals.contest(now, source.into(), known.unwrap_or(frame_source)) {
            return Inbound::Handled;
        }
        let is_asked = destination == target || destination == ndp::solicited_node(target);
        if is_asked && source.is_unspecified() {
            locals.rival(now, target.into(), frame_source);
        }
        if !is_asked || !locals.answers_for(target.into()) {
            return Inbound::Ignored;
        }
        if let Some(mac) = known {
            self.handle_claim(source.into(), Claim::overriding(mac), out);
        }
        let asker = (!source.is_unspecified()).then_some((known.unwrap_or(frame_source), source));
        send::advertisement(self.station, target, locals.is_gateway(target.into()), asker, out);
        Inbound::Handled
    }

    /// Whether the claim is of a neighbor, and was believed.
    fn handle_claim(&mut self, address: IpAddr, claim: Claim, out: &mut TransmitQueue) -> bool {
        let Some(neighbor) = self.neighbors.get_mut(&address) else { return false };
        let Some(mac) = neighbor.on_claim(claim) else { return false };
        for packet in neighbor.take_waiting() {
            send::packet(self.station, mac, &packet, out);
        }
        true
    }

    /// Whom to give a packet to, and the address from which to ask for him.
    fn next_hop(&mut self, packet: &[u8], locals: &Locals) -> Option<(IpAddr, &mut Neighbor)> {
        let (source, destination) = addresses(packet)?;
        let is_answered_for = locals.carriage(source)?;
        let hop = self.hop_to(destination).filter(|hop| hop.is_ipv4() == source.is_ipv4())?;
        let asker = if is_answered_for { source } else { locals.asker(hop)? };
        Some((asker, self.neighbors.get_mut(&hop)?))
    }

    fn hop_to(&self, destination: IpAddr) -> Option<IpAddr> {
        if self.addressing.is_on_link(destination) { Some(destination) } else { self.addressing.gateway }
    }

    /// Whether a station other than the box can have this address.
    fn is_other(&self, mac: Mac) -> bool {
        mac != self.station.mac && mac != [0; 6] && !ethernet::is_multicast(mac)
    }
}

/// The next hops that the settings name.
fn neighbors(config: &Config) -> BTreeMap<IpAddr, Neighbor> {
    let targets = config.services.iter().flat_map(|service| &service.targets).map(|target| target.ip());
    let on_link = targets.filter(|target| config.addressing.is_on_link(*target));
    on_link.chain(config.addressing.gateway).map(|hop| (hop, Neighbor::new(hop))).collect()
}

fn handle_ipv4<'a>(payload: &'a [u8], locals: &Locals) -> Inbound<'a> {
    match Ipv4Packet::new_checked(payload) {
        Ok(packet) if packet.version() == 4 && locals.carries(packet.dst_addr().into()) => {
            Inbound::Packet(&payload[..usize::from(packet.total_len())])
        }
        _ => Inbound::Ignored,
    }
}

/// Source and destination of an IP packet.
fn addresses(packet: &[u8]) -> Option<(IpAddr, IpAddr)> {
    match packet.first()? >> 4 {
        4 => Ipv4Packet::new_checked(packet).ok().map(|ip| (ip.src_addr().into(), ip.dst_addr().into())),
        6 => Ipv6Packet::new_checked(packet).ok().map(|ip| (ip.src_addr().into(), ip.dst_addr().into())),
        _ => None,
    }
}
