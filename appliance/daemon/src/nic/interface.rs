//! The machine's interfaces, as the kernel lists them.

use super::{NicFault, choice};
use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use std::collections::BTreeMap;
use std::net::IpAddr;
use tapcopy_engine::config::Addressing;

/// One interface.
#[derive(Clone, Debug, Default)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its number.
    pub index: usize,
    /// Its Ethernet address, when it has one.
    pub mac: Option<[u8; 6]>,
    /// Whether it is administratively up.
    pub is_up: bool,
    /// Whether it is the loopback interface, whose Ethernet address is all zeros.
    pub is_loopback: bool,
    /// Its IP addresses.
    pub addresses: Vec<IpAddr>,
}

impl Interface {
    /// Whether somebody has given it an address; a link-local one of IPv6 the kernel makes by itself.
    pub fn has_given_address(&self) -> bool {
        self.addresses.iter().any(|address| !matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local()))
    }
}

/// All interfaces, by name.
///
/// # Errors
/// The kernel does not tell.
pub fn all() -> Result<BTreeMap<String, Interface>, NicFault> {
    let mut found: BTreeMap<String, Interface> = BTreeMap::new();
    for entry in getifaddrs().map_err(|errno| NicFault::List(errno.into()))? {
        let interface = found.entry(entry.interface_name.clone()).or_default();
        interface.name = entry.interface_name;
        interface.is_up = entry.flags.contains(InterfaceFlags::IFF_UP);
        interface.is_loopback = entry.flags.contains(InterfaceFlags::IFF_LOOPBACK);
        let Some(address) = entry.address else { continue };
        if let Some(link) = address.as_link_addr() {
            interface.index = link.ifindex();
            interface.mac = link.addr().filter(|_| link.halen() == 6);
        } else if let Some(v4) = address.as_sockaddr_in() {
            interface.addresses.push(v4.ip().into());
        } else if let Some(v6) = address.as_sockaddr_in6() {
            interface.addresses.push(v6.ip().into());
        }
    }
    Ok(found)
}

/// The interface of this name, or with this Ethernet address or place ([`choice`]), which must be up.
///
/// # Errors
/// There is none, or several, or it is down.
pub fn named(wanted: &str) -> Result<Interface, NicFault> {
    let interface = choice::find(wanted)?;
    if interface.is_up { Ok(interface) } else { Err(NicFault::Down(interface.name)) }
}

/// An Ethernet address as people write it.
pub fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// Frames that the kernel has sent on an interface since that was made; none where it does not tell.
pub fn frames_sent(name: &str) -> u64 {
    let table = std::fs::read_to_string("/proc/self/net/dev").unwrap_or_default();
    sent_in(&table, name).unwrap_or_default()
}

/// The transmit column of packets: the tenth number behind the name.
fn sent_in(table: &str, name: &str) -> Option<u64> {
    let mut rows = table.lines().filter_map(|line| line.split_once(':'));
    let (_, numbers) = rows.find(|(row, _)| row.trim() == name)?;
    numbers.split_whitespace().nth(9)?.parse().ok()
}

/// The line rate of an interface, where it has one and the link is up.
pub fn bits_per_second(name: &str) -> Option<u64> {
    let megabits = std::fs::read_to_string(format!("/sys/class/net/{name}/speed")).ok()?;
    megabits.trim().parse::<u64>().ok().map(|megabits| megabits * 1_000_000)
}

/// Every IP address of the machine's own kernel.
///
/// # Errors
/// The kernel does not tell.
pub fn kernel_addresses() -> Result<Vec<IpAddr>, NicFault> {
    Ok(all()?.into_values().flat_map(|interface| interface.addresses).collect())
}

/// Holds the box's addresses against the kernel's own: for an address that both have, the kernel would answer the target's
/// segments with resets.
///
/// # Errors
/// The first address that both have.
pub fn refuse_kernel_addresses(addressing: &Addressing) -> Result<(), NicFault> {
    let field_of = |address: &IpAddr| {
        let in_pool = addressing.pool.iter().any(|range| range.contains(*address));
        let emulated = addressing.emulated_gateways.contains(address);
        in_pool.then_some("addressing.pool").or(emulated.then_some("addressing.emulate_gateway"))
    };
    for (name, interface) in all()? {
        let found = interface.addresses.iter().find_map(|address| Some((*address, field_of(address)?)));
        if let Some((address, field)) = found {
            return Err(NicFault::AddressOfKernel { field, address, interface: name });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_own_address_is_none_that_was_given() {
        let with = |addresses: &[&str]| Interface {
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
            ..Interface::default()
        };
        assert!(!with(&[]).has_given_address() && !with(&["fe80::1"]).has_given_address());
        assert!(with(&["fe80::1", "fd00::1"]).has_given_address() && with(&["10.0.0.1"]).has_given_address());
    }

    #[test]
    fn sent_frames_are_found_in_the_table_of_the_kernel() {
        let table = "Inter-|   Receive |  Transmit\n face |bytes packets errs drop fifo frame compressed multicast|bytes packets\n\
                     eth10:   1 2 0 0 0 0 0 0 3 4 0 0 0 0 0 0\n  eth1: 5 6 0 0 0 0 0 0 7 8 0 0 0 0 0 0\n";
        assert_eq!((sent_in(table, "eth1"), sent_in(table, "eth10"), sent_in(table, "eth2")), (Some(8), Some(4), None));
        assert_eq!(frames_sent("no such interface"), 0);
    }
}
