//! The link layer of a target host: it finds the box by ARP or NDP as any server does, and answers for its own addresses.

use crate::packet::{self, BROADCAST, Mac, ethertype};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;
use std::collections::BTreeMap;
use tapcopy_engine::Time;
use tapcopy_engine::config::Subnet;

/// How often an unanswered question is asked again.
const RETRY: Duration = Duration::from_millis(500);

/// Packets held for one unresolved address, as Linux's default queue holds a few.
const HELD: usize = 32;

#[derive(Debug)]
enum Entry {
    Known(Mac),
    Asked { at: Time, held: Vec<Vec<u8>> },
}

/// Addresses of the neighbours and the packets that wait for them.
#[derive(Debug)]
pub struct Neighbors {
    mac: Mac,
    addresses: Vec<IpAddr>,
    /// Next hop to other networks than its own.
    gateway: Option<IpAddr>,
    entries: BTreeMap<IpAddr, Entry>,
    frames: Vec<Vec<u8>>,
}

impl Neighbors {
    /// The link layer of a host with these addresses, the first being the one it asks from.
    pub fn new(mac: Mac, addresses: Vec<IpAddr>) -> Self {
        Self { mac, addresses, gateway: None, entries: BTreeMap::new(), frames: Vec::new() }
    }

    /// The same with a gateway of the host's family.
    pub fn with_gateway(mut self, gateways: &[IpAddr]) -> Self {
        let of_family = |gateway: &&IpAddr| gateway.is_ipv4() == self.addresses[0].is_ipv4();
        self.gateway = gateways.iter().find(of_family).copied();
        self
    }

    fn next_hop(&self, destination: IpAddr) -> IpAddr {
        let prefix_len = if destination.is_ipv4() { 24 } else { 64 };
        let own = Subnet { address: self.addresses[0], prefix_len };
        self.gateway.filter(|_| !own.contains(destination)).unwrap_or(destination)
    }

    /// Takes a frame from the wire; gives the IP packet in it for the host's stack, if there is one.
    pub fn receive(&mut self, frame: &[u8]) -> Option<Vec<u8>> {
        let (dst, payload) = (frame.get(..6)?, frame.get(14..)?);
        if dst != self.mac && dst[0] & 1 == 0 {
            return None;
        }
        match packet::u16_at(frame, 12) {
            ethertype::ARP if payload.len() >= 28 => self.receive_arp(payload),
            ethertype::IPV6 if is_ndp(payload) => self.receive_ndp(payload),
            ethertype::IPV4 | ethertype::IPV6 => return Some(payload.to_vec()),
            _ => {}
        }
        None
    }

    /// Sends an IP packet, now or when its receiver is known.
    pub fn send(&mut self, now: Time, packet: Vec<u8>) {
        let Some((_, dst)) = packet::ip_addresses(&packet) else { return };
        let dst = self.next_hop(dst);
        match self.entries.get_mut(&dst) {
            Some(Entry::Known(mac)) => self.frames.push(packet::ethernet_ip(*mac, self.mac, &packet)),
            Some(Entry::Asked { held, .. }) => {
                if held.len() < HELD {
                    held.push(packet);
                }
            }
            None => {
                self.entries.insert(dst, Entry::Asked { at: now, held: vec![packet] });
                self.ask(dst);
            }
        }
    }

    /// Asks again what was not answered.
    pub fn poll(&mut self, now: Time) {
        let late: Vec<IpAddr> = self.asked().filter(|(_, at)| *at + RETRY <= now).map(|(address, _)| address).collect();
        for address in late {
            if let Some(Entry::Asked { at, .. }) = self.entries.get_mut(&address) {
                *at = now;
            }
            self.ask(address);
        }
    }

    /// When the next question is due.
    pub fn poll_at(&self) -> Option<Time> {
        self.asked().map(|(_, at)| at + RETRY).min()
    }

    /// Frames for the wire.
    pub fn take_frames(&mut self) -> Vec<Vec<u8>> {
        core::mem::take(&mut self.frames)
    }

    fn asked(&self) -> impl Iterator<Item = (IpAddr, Time)> + '_ {
        self.entries.iter().filter_map(|(address, entry)| match entry {
            Entry::Asked { at, .. } => Some((*address, *at)),
            Entry::Known(_) => None,
        })
    }

    fn ask(&mut self, address: IpAddr) {
        match (address, self.addresses[0]) {
            (IpAddr::V4(about), IpAddr::V4(own)) => {
                let question = packet::arp(1, (self.mac, own.octets()), ([0; 6], about.octets()));
                self.frames.push(packet::ethernet(BROADCAST, self.mac, ethertype::ARP, &question));
            }
            (IpAddr::V6(about), IpAddr::V6(own)) => {
                let (group, mac) = packet::solicited_node(about);
                let question = packet::ndp(135, own, group, about, self.mac);
                self.frames.push(packet::ethernet(mac, self.mac, ethertype::IPV6, &question));
            }
            _ => {}
        }
    }

    fn learn(&mut self, address: IpAddr, mac: Mac) {
        if let Some(Entry::Asked { held, .. }) = self.entries.insert(address, Entry::Known(mac)) {
            self.frames.extend(held.iter().map(|packet| packet::ethernet_ip(mac, self.mac, packet)));
        }
    }

    fn receive_arp(&mut self, arp: &[u8]) {
        let mac: Mac = arp[8..14].try_into().expect("six bytes");
        let address = |at: usize| Ipv4Addr::new(arp[at], arp[at + 1], arp[at + 2], arp[at + 3]);
        let (sender, about) = (address(14), address(24));
        if self.entries.contains_key(&sender.into()) || arp[7] == 2 {
            self.learn(sender.into(), mac);
        }
        if arp[7] == 1 && self.addresses.contains(&about.into()) {
            let answer = packet::arp(2, (self.mac, about.octets()), (mac, sender.octets()));
            self.frames.push(packet::ethernet(mac, self.mac, ethertype::ARP, &answer));
        }
    }

    fn receive_ndp(&mut self, packet: &[u8]) {
        let v6 = |at: usize| Ipv6Addr::from(<[u8; 16]>::try_from(&packet[at..at + 16]).expect("sixteen bytes"));
        let (sender, about, option) = (v6(8), v6(48), packet.get(66..72));
        let Some(mac) = option.and_then(|bytes| Mac::try_from(bytes).ok()) else { return };
        if packet[40] == 136 {
            self.learn(about.into(), mac);
        } else if self.addresses.contains(&about.into()) {
            let answer = packet::ndp(136, about, sender, about, self.mac);
            self.frames.push(packet::ethernet(mac, self.mac, ethertype::IPV6, &answer));
        }
    }
}

fn is_ndp(packet: &[u8]) -> bool {
    packet.len() >= 64 && packet[6] == 58 && matches!(packet[40], 135 | 136)
}

#[cfg(test)]
mod tests {
    use super::Neighbors;
    use crate::packet::{TcpHeader, tcp};
    use core::net::SocketAddr;
    use tapcopy_engine::Time;

    #[test]
    fn two_hosts_find_each_other() {
        for (a, b) in [("10.0.0.1:1", "10.0.0.2:2"), ("[fd00::1]:1", "[fd00::2]:2")] {
            let (a, b): (SocketAddr, SocketAddr) = (a.parse().unwrap(), b.parse().unwrap());
            let mut left = Neighbors::new([2, 0, 0, 0, 0, 1], vec![a.ip()]);
            let mut right = Neighbors::new([2, 0, 0, 0, 0, 2], vec![b.ip()]);
            let packet = tcp(a, b, 64, &TcpHeader::default(), b"x");
            left.send(Time::ZERO, packet.clone());
            let mut arrived = None;
            for _ in 0..3 {
                for frame in left.take_frames() {
                    arrived = arrived.or(right.receive(&frame));
                }
                for frame in right.take_frames() {
                    assert!(left.receive(&frame).is_none());
                }
            }
            // A padded frame may be longer than its packet.
            assert_eq!(&arrived.unwrap()[..packet.len()], packet);
        }
    }
}
