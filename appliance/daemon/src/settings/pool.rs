//! Ranges of addresses, `FIRST-LAST/PREFIX`, and subnets, `ADDRESS/PREFIX`.

use std::net::IpAddr;
use tapcopy_engine::config::{PoolRange, Subnet};

/// An address as a number, to compare and mask it; IPv4 and IPv6 are never mixed by the callers.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn host_mask(range: &PoolRange) -> u128 {
    match width(range.first) - range.prefix_len {
        128 => u128::MAX,
        bits => (1 << bits) - 1,
    }
}

/// Whether two ranges have an address in common.
pub fn overlap(a: &PoolRange, b: &PoolRange) -> bool {
    a.contains(b.first) || b.contains(a.first)
}

/// Whether a packet can come from, or go to, this address on a network.
pub fn is_host_address(address: IpAddr) -> bool {
    let is_broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    !(address.is_unspecified() || address.is_multicast() || address.is_loopback() || is_broadcast)
}

/// Parses a subnet.
///
/// # Errors
/// What is wrong with it, with the mend.
pub fn parse_subnet(text: &str) -> Result<Subnet, String> {
    let shape = "write ADDRESS/PREFIX, as in 10.0.0.0/24";
    let (address, prefix) = text.split_once('/').ok_or(format!("`{text}` has no prefix length; {shape}"))?;
    let address: IpAddr = address.trim().parse().map_err(|_| format!("`{address}` is no IP address; {shape}"))?;
    let prefix_len = prefix.trim().parse().ok().filter(|prefix| *prefix <= width(address));
    let prefix_len = prefix_len.ok_or(format!("/{prefix} is no prefix length; write 0 to {}", width(address)))?;
    Ok(Subnet { address, prefix_len })
}

/// Parses a range; `ADDRESS/PREFIX` is a range of one.
///
/// # Errors
/// What is wrong with it, with the mend.
pub fn parse(text: &str) -> Result<PoolRange, String> {
    let shape = "write FIRST-LAST/PREFIX, as in 10.0.0.100-10.0.0.200/24";
    let (addresses, prefix) = text.split_once('/').ok_or(format!("`{text}` has no prefix length; {shape}"))?;
    let (first, last) = addresses.split_once('-').unwrap_or((addresses, addresses));
    let address = |text: &str| text.trim().parse::<IpAddr>().map_err(|_| format!("`{text}` is no IP address; {shape}"));
    let (first, last) = (address(first)?, address(last)?);
    if first.is_ipv4() != last.is_ipv4() {
        return Err(format!("{first} and {last} are of different families; give IPv4 and IPv6 a range each"));
    }
    let prefix_len = prefix.trim().parse().ok().filter(|prefix| (1..=width(first)).contains(prefix));
    let prefix_len = prefix_len.ok_or(format!("/{prefix} is no prefix length; write 1 to {}", width(first)))?;
    check(PoolRange { first, last, prefix_len })
}

fn check(range: PoolRange) -> Result<PoolRange, String> {
    let PoolRange { first, last, prefix_len } = range;
    if first > last {
        return Err(format!("the first address {first} lies above the last, {last}; exchange them"));
    }
    if !is_host_address(first) || !is_host_address(last) {
        return Err(format!("{first}-{last} has addresses that no host can have; take them from the target's subnet"));
    }
    if !range.subnet().contains(last) {
        return Err(format!("{first} and {last} are not in one /{prefix_len}; give each subnet a range of its own"));
    }
    let host_bits = width(first) - prefix_len;
    let mask = host_mask(&range);
    if host_bits >= 2 && number(first) & mask == 0 {
        return Err(format!("{first} is the address of the subnet itself; begin the range above it"));
    }
    if first.is_ipv4() && host_bits >= 2 && number(last) & mask == mask {
        return Err(format!("{last} is the subnet's broadcast address; end the range below it"));
    }
    Ok(range)
}
