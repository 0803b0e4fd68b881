//! The section `[management]`: the address of the firmware's page.

use super::document::{Document, Management};
use super::{Faults, pool};
use crate::nic::choice::Choice;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use tapcopy_engine::config::{Addressing, Origin, Service};

/// An address with its network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fixed {
    /// The address.
    pub address: Ipv4Addr,
    /// Length of its network's prefix, 1 to 30.
    pub prefix: u8,
    /// The router to everywhere else.
    pub gateway: Option<Ipv4Addr>,
}

impl fmt::Display for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl Fixed {
    fn mask(&self) -> u32 {
        u32::MAX << (32 - u32::from(self.prefix))
    }

    fn has_in_network(&self, other: Ipv4Addr) -> bool {
        (u32::from(self.address) ^ u32::from(other)) & self.mask() == 0
    }

    fn is_host(&self, address: Ipv4Addr) -> bool {
        let host = u32::from(address) & !self.mask();
        host != 0 && host != !self.mask() && pool::is_host_address(address.into())
    }
}

/// Parses the section: the address where it is fixed, none where it comes by DHCP.
pub(crate) fn fixed(written: &Management, faults: &mut Faults) -> Option<Fixed> {
    match written.mode.as_str() {
        "dhcp" => {
            for (key, value) in [("address", &written.address), ("gateway", &written.gateway)] {
                if value.is_some() {
                    let mend = "remove it, or set the mode `static`";
                    faults.add(format!("management.{key}"), format!("has no use with mode `dhcp`; {mend}"));
                }
            }
            None
        }
        "static" => fixed_address(written, faults),
        other => {
            let message = format!("`{other}` is no way to an address; use `dhcp` or `static`");
            faults.add("management.mode", message);
            None
        }
    }
}

fn fixed_address(written: &Management, faults: &mut Faults) -> Option<Fixed> {
    let shape = "write an IPv4 address of the box with the prefix length of its network, as in 192.0.2.10/24";
    let Some(text) = &written.address else {
        faults.add("management.address", format!("is missing, though `static` needs it; {shape}"));
        return None;
    };
    let parts = text.split_once('/').and_then(|(address, prefix)| {
        let prefix = prefix.trim().parse().ok().filter(|prefix| (1..=30).contains(prefix))?;
        Some((address.trim().parse().ok()?, prefix))
    });
    let fixed = parts.map(|(address, prefix)| Fixed { address, prefix, gateway: None });
    let Some(fixed) = fixed.filter(|fixed| fixed.is_host(fixed.address)) else {
        faults.add("management.address", format!("`{text}` is no address that a host can have; {shape}"));
        return None;
    };
    let gateway = written.gateway.as_deref().and_then(|text| gateway(text, &fixed, faults));
    Some(Fixed { gateway, ..fixed })
}

fn gateway(text: &str, fixed: &Fixed, faults: &mut Faults) -> Option<Ipv4Addr> {
    let mend = "name the router in the network of management.address, or leave it out";
    let parsed = text.trim().parse::<Ipv4Addr>().ok();
    let why = match parsed {
        None => "is no IPv4 address",
        Some(gateway) if gateway == fixed.address => "is the box's own address",
        Some(gateway) if !fixed.has_in_network(gateway) || !fixed.is_host(gateway) => "is no host of its network",
        Some(_) => return parsed,
    };
    faults.add("management.gateway", format!("`{text}` {why}; {mend}"));
    None
}

/// Checks the section, also against what else has an address.
pub(super) fn validate(document: &Document, addressing: &Addressing, services: &[Service], faults: &mut Faults) {
    let Some(written) = &document.management else { return };
    if let Some(nic) = &written.nic {
        match nic.parse::<Choice>() {
            Err(message) => faults.add("management.nic", message),
            Ok(_) if document.nics.mirror.contains(nic) => {
                let mend = "the box never sends on a mirror NIC: name the target NIC or a third one";
                faults.add("management.nic", format!("{nic} is a mirror NIC; {mend}"));
            }
            Ok(_) => {}
        }
    }
    if let Some(fixed) = fixed(written, faults)
        && let Some(whose) = taken(fixed.address.into(), addressing, services)
    {
        faults.add("management.address", format!("{} {whose}; give the page one of its own", fixed.address));
    }
}

fn taken(address: IpAddr, addressing: &Addressing, services: &[Service]) -> Option<&'static str> {
    let is_target = |service: &Service| service.targets.iter().any(|target| target.ip() == address);
    let is_origin = |origin: &Origin| matches!(origin, Origin::Address(origin) if origin.ip() == address);
    match () {
        () if addressing.pool.iter().any(|range| range.contains(address)) => Some("lies in the pool"),
        () if addressing.emulated_gateways.contains(&address) => Some("is also in addressing.emulate_gateway"),
        () if addressing.gateway == Some(address) => Some("is also addressing.gateway"),
        () if services.iter().any(is_target) => Some("is also a target"),
        () if services.iter().any(|service| service.origins.iter().any(is_origin)) => Some("is also an origin"),
        () => None,
    }
}
