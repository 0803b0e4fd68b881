//! The machine's Ethernet interfaces: which there are, in the order of their places on the bus, and raising them.

use crate::ioctl::Control;
use std::fmt;
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

/// Whether an interface, or the kernel in its place, cuts a large TCP segment into those that fit the wire.
pub fn cuts_segments(name: &str) -> bool {
    let features = Control::open().and_then(|control| control.features(name)).unwrap_or_default();
    let is_on = |wanted| features.iter().any(|feature| feature.name == wanted && feature.is_on);
    is_on("tx-tcp-segmentation") && is_on("tx-tcp6-segmentation")
}

/// A name from a place, at most 15 characters: `enp0s3`, `enp1s0f1`; `None` for one that is not on a PCI bus.
pub fn name_of_place(place: &str) -> Option<String> {
    let PciAddress { domain, bus, slot, function } = place.split('/').rev().find_map(PciAddress::parse)?;
    let domain = if domain == 0 { String::new() } else { format!("P{domain}") };
    let function = if function == 0 { String::new() } else { format!("f{function}") };
    Some(format!("en{domain}p{bus}s{slot}{function}")).filter(|name| name.len() <= 15)
}

/// A place on the PCI bus, as `lspci -D` writes it: `0000:01:00.1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PciAddress {
    domain: u32,
    bus: u8,
    slot: u8,
    function: u8,
}

impl PciAddress {
    /// Reads one; the domain may be left out where it is 0.
    pub fn parse(word: &str) -> Option<Self> {
        let (rest, function) = word.rsplit_once('.')?;
        let (rest, slot) = rest.rsplit_once(':')?;
        let (domain, bus) = rest.rsplit_once(':').unwrap_or(("0", rest));
        let byte = |digits| u8::from_str_radix(digits, 16).ok();
        let domain = u32::from_str_radix(domain, 16).ok()?;
        Some(Self { domain, bus: byte(bus)?, slot: byte(slot)?, function: byte(function)? })
    }
}

impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}:{:02x}:{:02x}.{:x}", self.domain, self.bus, self.slot, self.function)
    }
}

/// Where an interface's card is on the PCI bus, also where another bus lies between (virtio, USB).
pub fn pci_address_of(name: &str) -> Option<PciAddress> {
    let place = Path::new(ROOT).join(name).join("device").canonicalize().ok()?;
    place.to_string_lossy().split('/').rev().find_map(PciAddress::parse)
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
    fn places_are_written_as_lspci_does() {
        let shown = |text: &str| PciAddress::parse(text).map(|address| address.to_string());
        assert_eq!(shown("0000:01:1f.7").as_deref(), Some("0000:01:1f.7"));
        assert_eq!(shown("e1:00.0").as_deref(), Some("0000:e1:00.0"));
        assert_eq!(shown("10000:E1:1F.0").as_deref(), Some("10000:e1:1f.0"));
        for wrong in ["", "eth0.7", "0000:01:00", "0000:100:00.0", "00:00:00:00.0.", "x:00.0", "52:54:00:12:34:56"] {
            assert_eq!(shown(wrong), None, "{wrong}");
        }
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
