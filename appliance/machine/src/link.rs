//! The machine's Ethernet interfaces: which there are, in the order of their places on the bus, and raising them.

use crate::ioctl::Control;
use std::fs::read_link;
use std::io::Result;
use std::net::Ipv4Addr;
use std::path::Path;

const ROOT: &str = "/sys/class/net";

/// A physical interface.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Nic {
    /// Its place: the devices from the root of the bus down to it, as sysfs names them.
    pub place: String,
    /// The kernel's present name for it.
    pub name: String,
}

/// All physical interfaces, in the order of their places: the same at each start, whichever driver comes up first.
pub fn physical() -> Result<Vec<Nic>> {
    physical_under(Path::new(ROOT))
}

fn physical_under(root: &Path) -> Result<Vec<Nic>> {
    let mut nics = Vec::new();
    for entry in std::fs::read_dir(root)? {
        let entry = entry?;
        let Ok(device) = read_link(entry.path().join("device")).map(|_| entry.path().join("device")) else { continue };
        let Ok(place) = device.canonicalize() else { continue };
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
        nics.push(Nic { place: place.to_string_lossy().into_owned(), name });
    }
    nics.sort();
    Ok(nics)
}

/// A name from a place, at most 15 characters: `enp0s3`, `enp1s0f1`; `None` for one that is not on a PCI bus.
pub fn name_of_place(place: &str) -> Option<String> {
    let address = place.split('/').rev().find_map(pci_address)?;
    let (domain, bus, slot, function) = address;
    let domain = if domain == 0 { String::new() } else { format!("P{domain}") };
    let function = if function == 0 { String::new() } else { format!("f{function}") };
    Some(format!("en{domain}p{bus}s{slot}{function}")).filter(|name| name.len() <= 15)
}

/// Domain, bus, slot and function of `0000:01:00.1`.
fn pci_address(word: &str) -> Option<(u32, u32, u32, u32)> {
    let mut parts = word.split([':', '.']);
    let mut next = || u32::from_str_radix(parts.next()?, 16).ok();
    let found = (next()?, next()?, next()?, next()?);
    (parts.next().is_none() && word.contains(':')).then_some(found)
}

/// Gives every physical interface the name of its place, so that cables keep their roles.
pub fn name_by_place() -> Result<Vec<Nic>> {
    let control = Control::open()?;
    for nic in physical()? {
        let Some(name) = name_of_place(&nic.place).filter(|name| *name != nic.name) else { continue };
        if let Err(fault) = control.rename(&nic.name, &name) {
            log::warn!("{} keeps its name, and is not called {name}: {fault}", nic.name);
        }
    }
    physical()
}

/// Raises an interface.
pub fn raise(name: &str) -> Result<()> {
    change_flags(name, libc::IFF_UP, 0)
}

/// Adds and takes flags of an interface.
pub(crate) fn change_flags(name: &str, add: i32, take: i32) -> Result<()> {
    let control = Control::open()?;
    let flags = control.flags(name)?;
    let wanted = (i32::from(flags) | add) & !take;
    // The flags are sixteen bits wide; which of them is the sign is no matter.
    control.set_flags(name, wanted as i16)
}

/// Gives an interface its one IPv4 address and, where there is one, the gateway to everywhere.
pub fn set_address(name: &str, address: Ipv4Addr, prefix: u8, gateway: Option<Ipv4Addr>) -> Result<()> {
    let control = Control::open()?;
    let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
    control.set_address(name, address, Ipv4Addr::from(mask))?;
    gateway.map_or(Ok(()), |gateway| control.set_default_route(name, gateway))
}

/// Takes the interface's IPv4 address away.
pub fn clear_address(name: &str) -> Result<()> {
    Control::open()?.set_address(name, Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED)
}

/// Whether there is a cable with somebody at its other end.
pub fn has_carrier(name: &str) -> bool {
    std::fs::read_to_string(format!("{ROOT}/{name}/carrier")).is_ok_and(|text| text.trim() == "1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_places() {
        let bus = "/sys/devices/pci0000:00/0000:00:1c.0/0000:01:00";
        assert_eq!(name_of_place(&format!("{bus}.0")).unwrap(), "enp1s0");
        assert_eq!(name_of_place(&format!("{bus}.1/virtio3")).unwrap(), "enp1s0f1");
        assert_eq!(name_of_place("/sys/devices/pci10000:e0/10000:e1:1f.0").unwrap(), "enP65536p225s31");
        assert_eq!(name_of_place("/sys/devices/platform/soc/eth"), None);
    }

    #[test]
    fn places_decide_the_order() {
        let root = tempfile::tempdir().unwrap();
        for (name, place) in [("eth0", "0000:00:04.0"), ("eth1", "0000:00:03.0")] {
            let device = root.path().join("devices").join(place);
            std::fs::create_dir_all(&device).unwrap();
            let class = root.path().join("net").join(name);
            std::fs::create_dir_all(&class).unwrap();
            std::os::unix::fs::symlink(device, class.join("device")).unwrap();
        }
        std::fs::create_dir(root.path().join("net/lo")).unwrap();
        let names: Vec<String> =
            physical_under(&root.path().join("net")).unwrap().into_iter().map(|nic| nic.name).collect();
        assert_eq!(names, ["eth1", "eth0"]);
    }
}
