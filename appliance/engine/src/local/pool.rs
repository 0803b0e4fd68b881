//! The pool: every address and port is used in turn before one is used again, so that a 4-tuple comes round as late as it
//! can. One in use, or at rest because the target may still hold it in TIME-WAIT, is passed over.

use super::PORT_FIRST;
use super::claims::Standing;
use crate::config::PoolRange;
use crate::frame::Endpoint;
use crate::time::Time;
use core::net::{IpAddr, Ipv6Addr};

/// Steps taken to find a free port before the pool counts as exhausted. Ports come free in the order in which they were
/// taken, so that a longer search finds nothing either, but for a few very long sessions.
const TRIES: u128 = 4_096;

/// Ports of one address.
const PORTS: u128 = 65_536 - PORT_FIRST as u128;

/// The ranges of the settings.
pub(super) struct Pool {
    ranges: Vec<Rotation>,
    /// Ports of one address, on the average of all addresses: those of other shards are not among them.
    ports: u128,
    /// First and last address of each, as [`Endpoint::ip_bits`].
    spans: Vec<(u128, u128)>,
}

/// Where in a range the next address and port are.
struct Rotation {
    range: PoolRange,
    count: u128,
    /// Addresses, from the first, that have been claimed.
    opened: u128,
    address: u128,
    port: u16,
    /// Connections in use or at rest.
    taken: u128,
}

/// What a search has come to.
pub(super) enum Search {
    Found(Endpoint),
    /// An address will be there soon.
    Pending(Time),
    /// Every address belongs to somebody else.
    Lost,
    /// Every port is in use or at rest.
    Exhausted,
}

impl Pool {
    /// `seed` makes the port to begin with: a box that is started again shortly after its end must not meet the 4-tuples
    /// that it left in TIME-WAIT.
    pub(super) fn new(ranges: &[PoolRange], shards: u16, seed: u64) -> Self {
        let hash = xxhash_rust::xxh3::xxh3_64(&seed.to_le_bytes());
        let port = PORT_FIRST + (hash % u64::from(u16::MAX - PORT_FIRST)) as u16;
        let rotation = |range: &PoolRange| Rotation {
            range: *range,
            count: bits(range.last).saturating_sub(bits(range.first)).saturating_add(1),
            opened: 0,
            address: 0,
            port,
            taken: 0,
        };
        let span = |range: &PoolRange| {
            let bits_of = |address| Endpoint::new(address, 0).ip_bits();
            (bits_of(range.first), bits_of(range.last))
        };
        Self {
            ranges: ranges.iter().map(rotation).collect(),
            spans: ranges.iter().map(span).collect(),
            ports: PORTS / u128::from(shards),
        }
    }

    /// The next address to claim, of the range that has fewest.
    pub(super) fn open(&mut self) -> Option<IpAddr> {
        let rotation = self.ranges.iter_mut().filter(|rotation| rotation.opened < rotation.count);
        let rotation = rotation.min_by_key(|rotation| rotation.opened)?;
        rotation.opened += 1;
        Some(rotation.at(rotation.opened - 1))
    }

    /// Takes all addresses as claimed.
    pub(super) fn open_all(&mut self) {
        for rotation in &mut self.ranges {
            rotation.opened = rotation.count;
        }
    }

    /// Whether there are addresses to claim.
    pub(super) fn has_unopened(&self) -> bool {
        self.ranges.iter().any(|rotation| rotation.opened < rotation.count)
    }

    /// Whether `address` is one of the pool.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        self.holds(Endpoint::new(address, 0))
    }

    /// Whether the address of `endpoint` is one of the pool: it is asked of every frame.
    pub(super) fn holds(&self, endpoint: Endpoint) -> bool {
        let bits = endpoint.ip_bits();
        self.spans.iter().any(|(first, last)| (*first..=*last).contains(&bits))
    }

    /// A connection from `address` no longer needs its port.
    pub(super) fn leave(&mut self, address: IpAddr) {
        let owner = self.ranges.iter_mut().find(|rotation| rotation.range.contains(address));
        if let Some(rotation) = owner {
            rotation.taken = rotation.taken.saturating_sub(1);
        }
    }

    /// Whether a range has few ports left.
    pub(super) fn is_scarce(&self) -> bool {
        let is_scarce = |rotation: &Rotation| {
            let ports = rotation.opened.saturating_mul(self.ports);
            ports > 0 && rotation.taken > ports - ports / 8
        };
        self.ranges.iter().any(is_scarce)
    }

    /// The first addresses of each range.
    pub(super) fn firsts(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.ranges.iter().flat_map(|rotation| (0..rotation.opened.min(16)).map(|index| rotation.at(index)))
    }

    /// The first address of each range, where it has been claimed.
    pub(super) fn heads(&self) -> impl Iterator<Item = Option<IpAddr>> + '_ {
        self.ranges.iter().map(|rotation| (rotation.opened > 0).then(|| rotation.at(0)))
    }

    /// An address and port for a connection to `target`: of a range on the target's subnet if there is one, else of the
    /// same family.
    pub(super) fn search(
        &mut self,
        target: IpAddr,
        standing: impl Fn(IpAddr) -> Standing,
        is_taken: impl Fn(Endpoint) -> bool,
    ) -> Search {
        let any_near = self.ranges.iter().any(|rotation| rotation.range.subnet().contains(target));
        let fits = |range: &PoolRange| match any_near {
            true => range.subnet().contains(target),
            false => range.first.is_ipv4() == target.is_ipv4(),
        };
        let (mut pending, mut lost, mut held): (Option<Time>, bool, bool) = (None, false, false);
        for rotation in self.ranges.iter_mut().filter(|rotation| fits(&rotation.range)) {
            if rotation.opened == 0 {
                pending = pending.or(Some(Time::ZERO));
            }
            // Once round the addresses shows whether any is the box's.
            let (round, mut steps, mut is_any_held) = (rotation.opened, 0, false);
            while steps < TRIES && (is_any_held || steps < round) {
                steps += 1;
                let endpoint = rotation.step();
                match standing(endpoint.ip()) {
                    Standing::Held if !is_taken(endpoint) => {
                        rotation.taken += 1;
                        return Search::Found(endpoint);
                    }
                    Standing::Held => is_any_held = true,
                    Standing::Lost => lost = true,
                    Standing::Pending(at) => pending = Some(pending.map_or(at, |earlier| earlier.min(at))),
                }
            }
            held |= is_any_held;
        }
        match pending {
            Some(at) => Search::Pending(at),
            None if lost && !held => Search::Lost,
            None => Search::Exhausted,
        }
    }
}

impl Rotation {
    fn at(&self, index: u128) -> IpAddr {
        let bits = bits(self.range.first) + index;
        match self.range.first {
            IpAddr::V4(_) => IpAddr::V4((bits as u32).into()),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(bits)),
        }
    }

    fn step(&mut self) -> Endpoint {
        let endpoint = Endpoint::new(self.at(self.address), self.port);
        self.address += 1;
        if self.address >= self.opened {
            self.address = 0;
            self.port = super::port_after(self.port);
        }
        endpoint
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::Cell;

    /// Every session that waits for an address searches; the search must not keep the box from claiming one.
    #[test]
    fn a_search_that_finds_no_address_of_the_box_goes_round_once() {
        let (first, last) = (IpAddr::from([10, 0, 0, 100]), IpAddr::from([10, 0, 0, 200]));
        let mut pool = Pool::new(&[PoolRange { first, last, prefix_len: 24 }], 1, 1);
        pool.open_all();
        let looks = Cell::new(0);
        let pending = |_| {
            looks.set(looks.get() + 1);
            Standing::Pending(Time::ZERO)
        };
        assert!(matches!(pool.search(last, pending, |_| false), Search::Pending(_)));
        assert_eq!(looks.get(), 101);
    }
}
