//! Which sessions an engine deals with, where several share the traffic: boxes fed with the same mirror, and the shards of a
//! box.
//!
//! The client's address and port decide, and nothing else does: it is the same for both directions of a flow, on every box, at
//! every time. Its port takes part, because behind a proxy or a NAT there is one address only. Where a replay comes from an
//! address and port of the same part, the target's answers find the way back to its shard by the same function.
//!
//! The function is a sum of products, so that a filter in the kernel can compute it in a few instructions; it is the highest
//! bits that decide, in which every bit of the address and of the port takes part (multiplicative hashing: D. Knuth, The Art of
//! Computer Programming, volume 3, section 6.4).

use core::net::IpAddr;

/// Factors of the four words of an IPv6 address. Odd, with evenly mixed bits.
pub const ADDRESS_FACTORS: [u32; 4] = [0x9e37_79b1, 0x85eb_ca77, 0xc2b2_ae3d, 0x27d4_eb2f];

/// Factor of the port.
pub const PORT_FACTOR: u32 = 0x1656_67b1;

/// What is added for an IPv4 address, whose word is the last: the other words of an IPv4-mapped IPv6 address.
pub const IPV4_OFFSET: u32 = 0xffff_u32.wrapping_mul(ADDRESS_FACTORS[2]);

/// One of so many parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// From 0.
    pub index: u16,
    /// Not zero, and larger than `index`.
    pub of: u16,
}

impl Part {
    /// The only one.
    pub const ALL: Self = Self { index: 0, of: 1 };

    /// Whether it is the only one.
    pub fn is_all(self) -> bool {
        self.of == 1
    }

    /// Its share of a whole number: those of all parts make up the number.
    pub fn of_number(self, number: u32) -> u32 {
        let (index, of) = (u32::from(self.index), u32::from(self.of));
        number / of + u32::from(index < number % of)
    }

    /// Splits 16 bits: whether they are of this part, and 16 bits for whoever splits it again.
    fn split(self, bits: u32) -> (bool, u32) {
        let scaled = bits * u32::from(self.of);
        (scaled >> 16 == u32::from(self.index), scaled & 0xffff)
    }
}

/// The sessions of one engine: a shard's part of its box's part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Of all traffic.
    pub of_boxes: Part,
    /// Of the box's.
    pub of_shards: Part,
}

impl Default for Share {
    fn default() -> Self {
        Self { of_boxes: Part::ALL, of_shards: Part::ALL }
    }
}

impl Share {
    /// Whether the sessions of this client's address and port are in it.
    pub fn has_client(&self, ip: IpAddr, port: u16) -> bool {
        let (is_of_box, bits) = self.of_boxes.split(hash(ip, port));
        is_of_box && self.of_shards.split(bits).0
    }

    /// Whether a replay of it may come from this address and port, which are the box's own: whichever box it is.
    pub fn has_local(&self, ip: IpAddr, port: u16) -> bool {
        let (_, bits) = self.of_boxes.split(hash(ip, port));
        self.of_shards.split(bits).0
    }

    /// The number of the session that is the `nth` of its engine, from 1. No two shards of a box have the same.
    pub fn session_number(&self, nth: u64) -> u64 {
        (nth - 1) * u64::from(self.of_shards.of) + u64::from(self.of_shards.index) + 1
    }
}

/// 16 bits that tell clients apart.
fn hash(ip: IpAddr, port: u16) -> u32 {
    let words = match ip {
        IpAddr::V4(ip) => [0, 0, 0xffff, ip.to_bits()],
        IpAddr::V6(ip) => {
            let bits = ip.to_bits();
            [96, 64, 32, 0].map(|shift| (bits >> shift) as u32)
        }
    };
    let products = words.iter().zip(ADDRESS_FACTORS).map(|(word, factor)| word.wrapping_mul(factor));
    let sum = products.fold(u32::from(port).wrapping_mul(PORT_FACTOR), u32::wrapping_add);
    sum >> 16
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::{Ipv4Addr, Ipv6Addr};

    fn share(box_index: u16, boxes: u16, shard: u16, shards: u16) -> Share {
        Share { of_boxes: Part { index: box_index, of: boxes }, of_shards: Part { index: shard, of: shards } }
    }

    fn all(boxes: u16, shards: u16) -> Vec<Share> {
        (0..boxes).flat_map(|number| (0..shards).map(move |shard| share(number, boxes, shard, shards))).collect()
    }

    fn clients() -> impl Iterator<Item = (IpAddr, u16)> {
        let v4 = |n: u32| (IpAddr::from(Ipv4Addr::from_bits(0x0a00_0000 + n * 7)), (n * 31) as u16);
        let v6 = |n: u32| (IpAddr::from(Ipv6Addr::from_bits(u128::from(n) << 60 | 0xfd << 120)), 40_000 + n as u16);
        (0..5_000).map(v4).chain((0..5_000).map(v6))
    }

    #[test]
    fn each_client_is_in_one_share() {
        for (boxes, shards) in [(1, 1), (1, 2), (2, 1), (3, 5), (64, 16)] {
            let all = all(boxes, shards);
            for (ip, port) in clients() {
                assert_eq!(all.iter().filter(|share| share.has_client(ip, port)).count(), 1, "{ip} {port}");
                let of_box = &all[..usize::from(shards)];
                assert_eq!(of_box.iter().filter(|share| share.has_local(ip, port)).count(), 1, "{ip} {port}");
            }
        }
    }

    /// What one client's ports do (they go up by 2 in Linux), what a network's addresses do, and what a subnet in each of many
    /// networks does.
    #[test]
    fn shares_are_even() {
        type Client = fn(u32) -> (u32, u32);
        let kinds: [Client; 4] = [
            |n| (0x0a64_0a0b, 32_768 + 2 * (n % 14_000)),
            |n| (0x0a00_0000 + n, 40_000),
            |n| (0x0a00_0001 + (n << 16), 40_000 + n % 7),
            |n| (0xc0a8_0000 + n % 3, 1_024 + n),
        ];
        for (kind, client) in kinds.iter().enumerate() {
            for (boxes, shards) in [(1, 2), (2, 1), (2, 2), (1, 8), (3, 4)] {
                let all = all(boxes, shards);
                let expected = 12_000 / all.len();
                for share in all {
                    let has = |n: &u32| {
                        let (ip, port) = client(*n);
                        share.has_client(Ipv4Addr::from_bits(ip).into(), port as u16)
                    };
                    let count = (0..12_000).filter(has).count();
                    assert!(count.abs_diff(expected) < expected / 5, "{kind}, {share:?}: {count} of {expected}");
                }
            }
        }
    }

    /// Boxes of different versions share one mirror.
    #[test]
    fn the_function_stays_as_it_is() {
        let v6: IpAddr = "fd00::1:2".parse().expect("an address");
        let found = [("10.100.10.11", 40_001), ("192.0.2.1", 1_024)]
            .map(|(ip, port)| hash(ip.parse().expect("an address"), port));
        assert_eq!((found, hash(v6, 443)), ([64_092, 22_228], 53_086));
        let mapped = Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped().into();
        assert_eq!(hash(mapped, 1_024), found[1]);
    }

    #[test]
    fn a_number_is_shared_out_whole() {
        for (number, of, expected) in [(10, 3, vec![4, 3, 3]), (1, 2, vec![1, 0]), (7, 1, vec![7])] {
            let parts: Vec<u32> = (0..of).map(|index| Part { index, of }.of_number(number)).collect();
            assert_eq!(parts, expected);
        }
    }

    #[test]
    fn sessions_of_a_box_have_their_own_numbers() {
        let numbers = [0, 1].map(|shard| [1, 2].map(|nth| share(0, 1, shard, 2).session_number(nth)));
        assert_eq!(numbers, [[1, 3], [2, 4]]);
    }
}
