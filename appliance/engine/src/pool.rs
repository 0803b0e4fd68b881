//! The pool: local addresses and ports for the replay's connections.
//!
//! Every address and port is used in turn before one is used again, so the 4-tuples come round as late as they can. One in
//! use, or at rest because the target may still hold it in TIME-WAIT, is passed over.

use crate::config::{Config, FarEnd, PoolRange};
use crate::flow::Table;
use crate::frame::Endpoint;
use crate::limits::Limits;
use crate::time::Time;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::collections::VecDeque;

/// Lowest port used; those below are left to servers.
const PORT_FIRST: u16 = 1024;

/// Ports of one address.
const PORTS: u128 = 65_536 - PORT_FIRST as u128;

/// Steps taken to find a free port before the pool counts as exhausted. Ports come free in the order in which they were
/// taken, so that a longer search finds nothing either, but for a few very long sessions.
const TRIES: u128 = 4_096;

/// Addresses of a rehearsal, where no wire has any: those set aside for benchmarks (RFC 2544, RFC 5180).
const REHEARSAL: [PoolRange; 2] = [
    PoolRange {
        first: IpAddr::V4(Ipv4Addr::new(198, 18, 0, 1)),
        last: IpAddr::V4(Ipv4Addr::new(198, 19, 255, 254)),
        prefix_len: 15,
    },
    PoolRange {
        first: IpAddr::V6(Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 1)),
        last: IpAddr::V6(Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0xffff, 0xfffe)),
        prefix_len: 48,
    },
];

struct Addresses {
    range: PoolRange,
    count: u128,
    cursor: u128,
    /// Ports in use or at rest.
    taken: u128,
}

/// The addresses and ports that the box owns.
pub struct Pool {
    ranges: Vec<Addresses>,
    taken: Table<Endpoint, ()>,
    resting: VecDeque<(Time, Endpoint)>,
}

impl Pool {
    /// The pool that `config` calls for, with no port taken.
    pub fn of(config: &Config, seed: u64) -> Self {
        match config.far_end {
            FarEnd::Wire { .. } => Self::new(&config.pool, seed),
            FarEnd::Rehearsal => Self::new(&REHEARSAL, seed),
        }
    }

    /// Takes new ranges; what is in use or at rest stays so.
    pub fn configure(&mut self, config: &Config) {
        self.ranges = Self::of(config, 0).ranges;
    }

    /// All addresses of `ranges`, with no port taken.
    pub fn new(ranges: &[PoolRange], seed: u64) -> Self {
        let addresses = |range: &PoolRange| Addresses {
            range: *range,
            count: bits(range.last).saturating_sub(bits(range.first)).saturating_add(1),
            cursor: 0,
            taken: 0,
        };
        Self { ranges: ranges.iter().map(addresses).collect(), taken: Table::new(seed), resting: VecDeque::new() }
    }

    /// Takes an address and port for a connection to `target`: of a range on the target's link if there is one, else of the
    /// same family. `None` where all are in use or at rest.
    pub fn take(&mut self, now: Time, target: IpAddr) -> Option<Endpoint> {
        self.wake(now);
        let Self { ranges, taken, .. } = self;
        let any_on_link = ranges.iter().any(|addresses| contains(&addresses.range, target));
        let fits = |range: &PoolRange| {
            if any_on_link { contains(range, target) } else { range.first.is_ipv4() == target.is_ipv4() }
        };
        let endpoint = ranges.iter_mut().filter(|addresses| fits(&addresses.range)).find_map(|addresses| {
            let tries = TRIES.min(addresses.ports());
            let endpoint = (0..tries).map(|_| addresses.step()).find(|endpoint| !taken.contains(endpoint))?;
            addresses.taken += 1;
            Some(endpoint)
        })?;
        taken.insert(endpoint, ());
        Some(endpoint)
    }

    /// Ports in use, those at rest not counted.
    pub fn in_use(&self) -> usize {
        self.taken.len() - self.resting.len()
    }

    /// Gives one back, to rest before it is taken again.
    pub fn give(&mut self, now: Time, endpoint: Endpoint, limits: &Limits) {
        self.resting.push_back((now + limits.port_rest, endpoint));
    }

    fn wake(&mut self, now: Time) {
        while let Some((_, endpoint)) = self.resting.pop_front_if(|(until, _)| *until <= now) {
            self.taken.remove(&endpoint);
            let owner = self.ranges.iter_mut().find(|addresses| addresses.owns(endpoint.ip()));
            if let Some(addresses) = owner {
                addresses.taken = addresses.taken.saturating_sub(1);
            }
        }
    }

    /// Whether the box owns `address`.
    pub fn owns(&self, address: IpAddr) -> bool {
        self.ranges.iter().any(|addresses| addresses.owns(address))
    }

    /// Whether a range has few ports left and will have more, because some are at rest.
    pub fn is_scarce(&self) -> bool {
        let is_scarce = |addresses: &Addresses| addresses.taken > addresses.ports() - addresses.ports() / 8;
        !self.resting.is_empty() && self.ranges.iter().any(is_scarce)
    }
}

impl Addresses {
    fn ports(&self) -> u128 {
        self.count.saturating_mul(PORTS)
    }

    fn owns(&self, address: IpAddr) -> bool {
        let Self { range, .. } = self;
        range.first.is_ipv4() == address.is_ipv4() && (bits(range.first)..=bits(range.last)).contains(&bits(address))
    }

    fn step(&mut self) -> Endpoint {
        let position = self.cursor;
        self.cursor = (self.cursor + 1) % self.ports();
        let address = bits(self.range.first) + position % self.count;
        let port = PORT_FIRST + (position / self.count) as u16;
        Endpoint::new(from_bits(address, self.range.first.is_ipv4()), port)
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn from_bits(bits: u128, is_ipv4: bool) -> IpAddr {
    if is_ipv4 { IpAddr::V4((bits as u32).into()) } else { IpAddr::V6(Ipv6Addr::from_bits(bits)) }
}

/// Whether `address` lies in the range's subnet.
pub fn contains(range: &PoolRange, address: IpAddr) -> bool {
    let width = if range.first.is_ipv4() { 32 } else { 128 };
    let host_bits = width - u32::from(range.prefix_len).min(width);
    let differ = bits(range.first) ^ bits(address);
    range.first.is_ipv4() == address.is_ipv4() && differ.checked_shr(host_bits).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_is_scarce_only_while_waiting_helps() {
        let address = IpAddr::from([192, 0, 2, 1]);
        let mut pool = Pool::new(&[PoolRange { first: address, last: address, prefix_len: 24 }], 0);
        let limits = Limits::default();
        let taken: Vec<Endpoint> =
            (0..PORTS).map(|_| pool.take(Time::ZERO, address).expect("every port is free")).collect();
        assert_eq!(pool.take(Time::ZERO, address), None);
        assert!(!pool.is_scarce(), "all are in use, for as long as their sessions last");
        taken.iter().take(PORTS as usize / 4).for_each(|endpoint| pool.give(Time::ZERO, *endpoint, &limits));
        assert!(pool.is_scarce());
        let rested = Time::ZERO + limits.port_rest;
        assert!(pool.take(rested, address).is_some());
        assert!(!pool.is_scarce());
    }
}
