//! Which interface the settings mean: by its name, by its Ethernet address, or by its place on the PCI bus. The latter two keep
//! a cable's role where the kernel calls the card otherwise after an update, or after another card was put in.

use super::NicFault;
use super::interface::{self, Interface};
use crate::settings::document::Nics;
use std::collections::BTreeMap;
use std::str::FromStr;
use tapcopy_machine::link::{PciAddress, pci_address_of};

/// Length of an interface's name in Linux (IFNAMSIZ less the ending zero).
const NAME_BYTES: usize = 15;

/// How an interface is named.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Choice {
    /// As the kernel calls it.
    Name(String),
    /// By its Ethernet address.
    Mac([u8; 6]),
    /// By its place on the bus.
    Place(PciAddress),
}

impl FromStr for Choice {
    type Err = String;

    /// # Errors
    /// What is wrong with it, with the mend.
    fn from_str(text: &str) -> Result<Self, String> {
        // No name has a colon in it.
        if let Some(mac) = mac(text) {
            Ok(Self::Mac(mac))
        } else if let Some(place) = PciAddress::parse(text) {
            Ok(Self::Place(place))
        } else if text.is_empty() || text.len() > NAME_BYTES || text.contains(['/', ':', ' ']) {
            Err(format!(
                "`{text}` is no name of an interface, Ethernet address (52:54:00:12:34:56) or PCI address \
                 (0000:01:00.0); list them with `ip link`"
            ))
        } else {
            Ok(Self::Name(text.to_owned()))
        }
    }
}

fn mac(text: &str) -> Option<[u8; 6]> {
    let bytes = text.split(':').map(|byte| u8::from_str_radix(byte, 16).ok().filter(|_| byte.len() == 2));
    bytes.collect::<Option<Vec<u8>>>()?.try_into().ok()
}

/// The interface that is meant.
///
/// # Errors
/// There is none, or there are several.
pub fn find(wanted: &str) -> Result<Interface, NicFault> {
    let mut all = interface::all()?;
    let name = among(&all, wanted, pci_address_of)?;
    Ok(all.remove(&name).unwrap_or_default())
}

/// The present name of what is meant; where there is no such interface, as it was written.
pub fn name_of(wanted: &str) -> String {
    match wanted.parse() {
        Ok(Choice::Mac(_) | Choice::Place(_)) => find(wanted).map_or_else(|_| wanted.to_owned(), |found| found.name),
        _ => wanted.to_owned(),
    }
}

/// The same settings with the present names.
pub fn by_name(nics: Nics) -> Nics {
    let mirror = nics.mirror.iter().map(|wanted| name_of(wanted)).collect();
    Nics { mirror, target: nics.target.as_deref().map(name_of), ..nics }
}

fn among(
    all: &BTreeMap<String, Interface>,
    wanted: &str,
    place_of: impl Fn(&str) -> Option<PciAddress>,
) -> Result<String, NicFault> {
    let known = || all.keys().cloned().collect();
    let unknown = || NicFault::Unknown { name: wanted.to_owned(), known: known() };
    let is_meant = |interface: &&Interface, choice: &Choice| match choice {
        Choice::Name(name) => interface.name == *name,
        Choice::Mac(mac) => interface.mac == Some(*mac) && !interface.is_loopback,
        Choice::Place(place) => place_of(&interface.name) == Some(*place),
    };
    let choice = wanted.parse().map_err(|_| unknown())?;
    let mut found: Vec<&Interface> = all.values().filter(|interface| is_meant(interface, &choice)).collect();
    // Bridges, bonds and VLANs have the Ethernet address of the card below them, which is the one that is meant.
    if found.iter().any(|interface| place_of(&interface.name).is_some()) {
        found.retain(|interface| place_of(&interface.name).is_some());
    }
    match found[..] {
        [] => Err(unknown()),
        [one] => Ok(one.name.clone()),
        _ => {
            let found = found.iter().map(|interface| interface.name.clone()).collect();
            Err(NicFault::Ambiguous { wanted: wanted.to_owned(), found })
        }
    }
}

/// What keeps these interfaces from being used on this machine, each with its field: one is not there, or two are the same.
pub fn faults(nics: &Nics) -> Vec<(String, NicFault)> {
    faults_of(nics, |wanted| find(wanted).map(|found| found.name))
}

fn faults_of(nics: &Nics, find: impl Fn(&str) -> Result<String, NicFault>) -> Vec<(String, NicFault)> {
    let mirror = nics.mirror.iter().enumerate().map(|(index, wanted)| (format!("nics.mirror[{index}]"), wanted));
    let target = nics.target.iter().map(|wanted| ("nics.target".to_owned(), wanted));
    let mut taken: Vec<String> = Vec::new();
    let mut faults = Vec::new();
    for (field, wanted) in mirror.chain(target) {
        match find(wanted) {
            Ok(name) if taken.contains(&name) => {
                faults.push((field, NicFault::Taken { wanted: wanted.clone(), name }));
            }
            Ok(name) => taken.push(name),
            Err(fault) => faults.push((field, fault)),
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD: [u8; 6] = [0x52, 0x54, 0, 0, 0, 1];
    const PAIR: [u8; 6] = [0x52, 0x54, 0, 0, 0, 2];

    /// A card with a VLAN on it, a card with two ports in one place, and an interface without a place.
    fn machine() -> BTreeMap<String, Interface> {
        let interfaces = [("eth0", CARD), ("eth0.7", CARD), ("eth1", PAIR), ("eth2", PAIR), ("veth0", [2; 6])];
        let interface = |(name, mac): (&str, [u8; 6])| {
            (name.to_owned(), Interface { name: name.to_owned(), mac: Some(mac), ..Interface::default() })
        };
        interfaces.map(interface).into()
    }

    fn place_of(name: &str) -> Option<PciAddress> {
        match name {
            "eth0" => PciAddress::parse("0000:01:00.0"),
            "eth1" | "eth2" => PciAddress::parse("0000:02:00.0"),
            _ => None,
        }
    }

    fn found(wanted: &str) -> Result<String, NicFault> {
        among(&machine(), wanted, place_of)
    }

    #[test]
    fn an_interface_is_chosen_by_name_address_or_place() {
        for (wanted, name) in [
            ("eth0.7", "eth0.7"),
            ("52:54:00:00:00:01", "eth0"),
            ("02:02:02:02:02:02", "veth0"),
            ("0000:01:00.0", "eth0"),
            ("01:00.0", "eth0"),
        ] {
            assert_eq!(found(wanted).unwrap(), name, "{wanted}");
        }
        for absent in ["eth9", "52:54:00:00:00:09", "0000:01:00.1", "1:2:3"] {
            assert!(matches!(found(absent), Err(NicFault::Unknown { .. })), "{absent}");
        }
        for several in ["52:54:00:00:00:02", "02:00.0"] {
            let fault = found(several).unwrap_err().to_string();
            assert!(fault.contains("is each of eth1, eth2"), "{fault}");
        }
    }

    #[test]
    fn what_is_written_is_one_of_the_three() {
        assert_eq!("52:54:00:AB:00:01".parse(), Ok(Choice::Mac([0x52, 0x54, 0, 0xab, 0, 1])));
        assert_eq!("enp1s0".parse(), Ok(Choice::Name("enp1s0".to_owned())));
        for wrong in ["", "a/b", "a b", "0123456789abcdef", "52:54:00:12:34", "52:54:0:12:34:56", "00:01:00"] {
            assert!(wrong.parse::<Choice>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn one_interface_has_one_role() {
        let nics = |mirror: &[&str], target: &str| Nics {
            mirror: mirror.iter().map(ToString::to_string).collect(),
            target: Some(target.to_owned()),
            ..Nics::default()
        };
        let told = |nics: &Nics| {
            let faults = faults_of(nics, found);
            faults.iter().map(|(field, fault)| format!("{field}: {fault}")).collect::<Vec<_>>()
        };
        assert_eq!(told(&nics(&["52:54:00:00:00:01"], "veth0")), [""; 0]);
        let faults = told(&nics(&["01:00.0", "eth0", "eth9"], "52:54:00:00:00:01"));
        assert!(faults[0].starts_with("nics.mirror[1]: eth0 has a role already"), "{faults:?}");
        assert!(faults[1].starts_with("nics.mirror[2]: eth9 is no interface"), "{faults:?}");
        assert!(faults[2].starts_with("nics.target: 52:54:00:00:00:01 is eth0, which has a role"), "{faults:?}");
    }
}
