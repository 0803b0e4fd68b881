//! A mirror NIC on which the kernel keeps silent and changes nothing: no address resolution, no multicast, no IPv6 (whose
//! neighbour discovery begins when an interface comes up), no frames joined to larger ones, no VLAN tag taken out, and the
//! largest ring that the card has. It is undone when it is dropped.
//!
//! An interface to which somebody has given an address is left as it is, apart from the offloads: it carries other traffic,
//! perhaps the very connection of the person at work.

use crate::ioctl::Control;
use crate::link::change_flags;
use std::fs::{read_to_string, write};
use std::io::Result;

/// What joins frames, or takes out their tags.
const OFFLOADS: [&str; 7] = [
    "rx-gro",
    "rx-gro-hw",
    "rx-gro-list",
    "rx-lro",
    "rx-udp-gro-forwarding",
    "rx-vlan-hw-parse",
    "rx-vlan-stag-hw-parse",
];

/// A silent interface.
#[derive(Debug, Default)]
pub struct Quiet {
    name: String,
    /// Offloads that were on.
    offloads: Vec<String>,
    /// Slots that the ring had.
    ring: Option<u32>,
    /// Flags that were added, and flags that were taken.
    flags: (i32, i32),
    /// What the switch for IPv6 said.
    ipv6: Option<String>,
}

impl Quiet {
    /// Silences an interface, up or down; what the card cannot do is left out.
    ///
    /// # Errors
    /// There is no such interface, or no permission.
    pub fn make(name: &str, has_address: bool) -> Result<Self> {
        let control = Control::open()?;
        let mut quiet = Self::default();
        name.clone_into(&mut quiet.name);
        let flags = i32::from(control.flags(name)?);
        if !has_address {
            // Before it comes up: the kernel would greet the link.
            quiet.ipv6 = exchange(&format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "1");
            quiet.flags = (libc::IFF_NOARP & !flags, libc::IFF_MULTICAST & flags);
            change_flags(name, quiet.flags.0, quiet.flags.1)?;
        }
        quiet.turn_off(&control)?;
        if !has_address {
            // Another ring interrupts the link for a moment.
            quiet.enlarge(&control);
        }
        Ok(quiet)
    }

    fn turn_off(&mut self, control: &Control) -> Result<()> {
        let Ok(features) = control.features(&self.name) else { return Ok(()) };
        let on = features.into_iter().filter(|feature| feature.is_on && feature.is_free);
        self.offloads = on.map(|feature| feature.name).filter(|name| OFFLOADS.contains(&name.as_str())).collect();
        log::debug!("{}: turning off {:?}", self.name, self.offloads);
        self.turn(control, false)
    }

    fn turn(&self, control: &Control, is_on: bool) -> Result<()> {
        let wanted: Vec<(&str, bool)> = self.offloads.iter().map(|name| (name.as_str(), is_on)).collect();
        if wanted.is_empty() { Ok(()) } else { control.set_features(&self.name, &wanted) }
    }

    fn enlarge(&mut self, control: &Control) {
        let Ok((slots, most)) = control.ring(&self.name) else { return };
        log::debug!("{}: a ring of {slots} slots, of {most} at most", self.name);
        if slots < most && control.set_ring(&self.name, most).is_ok() {
            self.ring = Some(slots);
        }
    }

    fn undo(&self) -> Result<()> {
        let control = Control::open()?;
        self.turn(&control, true)?;
        if let Some(slots) = self.ring {
            control.set_ring(&self.name, slots)?;
        }
        change_flags(&self.name, self.flags.1, self.flags.0)?;
        if let Some(before) = &self.ipv6 {
            write(format!("/proc/sys/net/ipv6/conf/{}/disable_ipv6", self.name), before)?;
        }
        Ok(())
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if let Err(fault) = self.undo() {
            log::debug!("{}: what was changed for the mirror stays changed: {fault}", self.name);
        }
    }
}

/// Writes a switch of the kernel; what it said, if that was something else.
fn exchange(path: &str, value: &str) -> Option<String> {
    let before = read_to_string(path).ok()?;
    (before.trim() != value && write(path, value).is_ok()).then_some(before)
}
