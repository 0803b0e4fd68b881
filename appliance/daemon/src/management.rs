//! The management address of the firmware: the one address that the kernel has, on the interface that the settings say, by DHCP
//! or as they say. On an ordinary host it is that system's own, and nothing here runs.
//!
//! One thread has the address. New settings give it another plan, which it follows a moment later, so that the answer to who
//! has changed them still goes out by the old address; unless the interface becomes a mirror, which must be silent before
//! anything is received there. Every interface but the one with the address is silent. Settings that are taken back bring back
//! the plan before, without anybody who would have to reach the box.

use crate::nic::interface;
use crate::nic::{NicFault, choice};
use crate::settings::document::{Document, Management};
use crate::settings::management::{Fixed, fixed};
use crate::settings::{Faults, FieldFault};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tapcopy_machine::dhcp::{self, Lease};
use tapcopy_machine::link;
use tapcopy_machine::ntp::Keeper;
use tapcopy_machine::quiet::Quiet;

/// How long an answer has to leave by the old address.
const ANSWER_TIME: Duration = Duration::from_millis(700);
/// How often it is looked whether the plan is another one.
const LOOK: Duration = Duration::from_millis(100);
/// How long it may take until an interface that becomes a mirror has no address any more.
const LEAVE_PATIENCE: Duration = Duration::from_secs(5);

/// What the management address is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Plan {
    /// The interface that carries it, if there is one.
    nic: Option<String>,
    /// By DHCP without it.
    fixed: Option<Fixed>,
}

/// What is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Present {
    /// The interface, if there is one.
    pub nic: Option<String>,
    /// Whether the settings say the address; else it comes by DHCP.
    pub is_fixed: bool,
    /// The address, once there is one.
    pub fixed: Option<Fixed>,
}

/// Who has the management address.
pub struct Manager {
    /// All interfaces, in the order of their places.
    names: Vec<String>,
    /// Who keeps the clock, by servers that DHCP names.
    time: Arc<Keeper>,
    state: Mutex<State>,
    /// The number of the plan that is wanted, from 1.
    wanted: AtomicU64,
    /// The number of the plan that is followed.
    followed: AtomicU64,
}

#[derive(Default)]
struct State {
    plan: Plan,
    is_urgent: bool,
    /// What the interface has.
    present: Option<Fixed>,
    silent: BTreeMap<String, Quiet>,
}

impl Manager {
    /// Silences and raises these interfaces, which are in the order of their places. They stay silent until there is no machine:
    /// restored, they would greet the mirror.
    pub fn new(names: Vec<String>, time: Arc<Keeper>) -> Self {
        if let Err(fault) = link::raise("lo") {
            log::error!("lo cannot be raised: {fault}");
        }
        let manager =
            Self { names, time, state: Mutex::default(), wanted: AtomicU64::new(0), followed: AtomicU64::new(0) };
        for name in &manager.names {
            if manager.silence(name)
                && let Err(fault) = link::raise(name)
            {
                log::error!("{name} cannot be raised: {fault}");
            }
        }
        manager
    }

    /// Follows the plans from now on, on a thread of its own.
    ///
    /// # Errors
    /// No thread is to be had.
    pub fn start(self: &Arc<Self>) -> std::io::Result<()> {
        let manager = self.clone();
        std::thread::Builder::new().name("management".to_owned()).spawn(move || manager.follow()).map(drop)
    }

    /// The plan for these settings and for what is said of the address beside them.
    pub fn enter(&self, document: &Document, said: Option<&Management>) {
        let plan = plan(document, said, &self.names);
        let number = {
            let mut state = self.state();
            let number = self.wanted.load(Ordering::Acquire);
            if number > 0 && state.plan == plan {
                return;
            }
            let becomes_mirror = |name: &String| mirror_of(document).contains(name);
            state.is_urgent = number == 0 || state.plan.nic.as_ref().is_some_and(becomes_mirror);
            if plan.nic.is_none() {
                log::error!("there is no interface for the page; the machine needs two");
            }
            state.plan = plan;
            self.wanted.store(number + 1, Ordering::Release);
            if !state.is_urgent || number == 0 { None } else { Some(number + 1) }
        };
        let mut left = LEAVE_PATIENCE;
        while number.is_some_and(|number| self.followed.load(Ordering::Acquire) < number) && !left.is_zero() {
            std::thread::sleep(LOOK);
            left = left.saturating_sub(LOOK);
        }
    }

    /// What leaves the address on the interface where it is, where these settings say nothing of it and would move it.
    pub fn unmoved(&self, document: &Document) -> Option<Management> {
        let nic = self.present().nic.filter(|nic| !mirror_of(document).contains(nic));
        let moved = plan(document, None, &self.names).nic;
        (nic.is_some() && nic != moved).then(|| Management { nic, ..Management::default() })
    }

    /// What of the settings this machine cannot do.
    pub fn faults(&self, document: &Document) -> Vec<FieldFault> {
        let Some(wanted) = document.management.as_ref().and_then(|said| said.nic.as_deref()) else { return Vec::new() };
        let fault = match choice::find(wanted) {
            Ok(found) if mirror_of(document).contains(&found.name) => {
                NicFault::Taken { wanted: wanted.to_owned(), name: found.name }
            }
            Ok(found) if !self.names.contains(&found.name) => NicFault::NotEthernet(found.name),
            Ok(_) => return Vec::new(),
            Err(fault) => fault,
        };
        vec![FieldFault { field: "management.nic".to_owned(), message: fault.to_string() }]
    }

    /// What is in force.
    pub fn present(&self) -> Present {
        let state = self.state();
        Present { nic: state.plan.nic.clone(), is_fixed: state.plan.fixed.is_some(), fixed: state.present.clone() }
    }

    /// The same for the page.
    pub fn shown(&self) -> Value {
        let Present { nic, is_fixed, fixed } = self.present();
        let mut shown = json!({ "mode": if is_fixed { "static" } else { "dhcp" } });
        let mut put = |key: &str, value: Option<String>| {
            if let Some(value) = value {
                shown[key] = Value::from(value);
            }
        };
        put("nic", nic);
        put("address", fixed.as_ref().map(Fixed::to_string));
        put("gateway", fixed.and_then(|fixed| fixed.gateway).map(|gateway| gateway.to_string()));
        shown
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn follow(&self) {
        let mut before = Plan::default();
        loop {
            let number = self.wanted.load(Ordering::Acquire);
            if number == self.followed.load(Ordering::Acquire) {
                std::thread::sleep(LOOK);
                continue;
            }
            let (plan, is_urgent) = {
                let state = self.state();
                (state.plan.clone(), state.is_urgent)
            };
            if !is_urgent {
                std::thread::sleep(ANSWER_TIME);
            }
            self.leave(&before, &plan);
            self.followed.store(number, Ordering::Release);
            self.hold(&plan, || self.wanted.load(Ordering::Acquire) != number);
            before = plan;
        }
    }

    /// Gives the address before up, and the interface, where the next plan has another one.
    fn leave(&self, before: &Plan, next: &Plan) {
        self.state().present = None;
        let Some(name) = &before.nic else { return };
        if let Err(fault) = link::clear_address(name) {
            log::debug!("{name}: {fault}");
        }
        if before.nic != next.nic {
            self.silence(name);
        }
    }

    /// Has the address until it is over.
    fn hold(&self, plan: &Plan, is_over: impl Fn() -> bool) {
        let Some(name) = &plan.nic else { return };
        // It is no mirror: it speaks as any other interface does.
        drop(self.state().silent.remove(name));
        if let Err(fault) = link::raise(name) {
            log::error!("{name} cannot be raised: {fault}");
        }
        if let Some(fixed) = &plan.fixed {
            return self.have(name, fixed);
        }
        let mac = interface::all().ok().and_then(|all| all.get(name)?.mac);
        let Some(mac) = mac else {
            return log::error!("{name} has no Ethernet address, and there is no way to the page");
        };
        dhcp::keep(name, mac, is_over, |lease| {
            self.time.offer(lease.map_or(&[], |lease| &lease.time_servers));
            self.state().present = lease.map(of_lease);
        });
        self.time.offer(&[]);
    }

    fn have(&self, name: &str, fixed: &Fixed) {
        match link::set_address(name, fixed.address, fixed.prefix, fixed.gateway) {
            Ok(()) => {
                log::info!("{name} has {fixed} by the settings");
                self.state().present = Some(fixed.clone());
            }
            Err(fault) => log::error!("{name} cannot have {fixed}: {fault}"),
        }
    }

    /// Whether it is silent; else it stays down, for it must not be on a mirror.
    fn silence(&self, name: &str) -> bool {
        match Quiet::make(name, false) {
            Ok(quiet) => {
                self.state().silent.insert(name.to_owned(), quiet);
                true
            }
            Err(fault) => {
                log::error!("{name} cannot be silenced and stays down: {fault}");
                false
            }
        }
    }
}

fn of_lease(lease: &Lease) -> Fixed {
    Fixed { address: lease.address, prefix: lease.prefix, gateway: lease.gateway }
}

fn mirror_of(document: &Document) -> Vec<String> {
    document.nics.mirror.iter().map(|wanted| choice::name_of(wanted)).collect()
}

/// The interface is that of the section, else the target NIC, else the second one; a mirror NIC never is.
fn plan(document: &Document, said: Option<&Management>, names: &[String]) -> Plan {
    let mirror = mirror_of(document);
    let is_free = |name: &String| names.contains(name) && !mirror.contains(name);
    let chosen = |wanted: Option<&String>| wanted.map(|wanted| choice::name_of(wanted)).filter(is_free);
    // Without settings the first is the mirror NIC.
    let own = usize::from(mirror.is_empty());
    let nic = chosen(said.and_then(|said| said.nic.as_ref()))
        .or_else(|| chosen(document.nics.target.as_ref()))
        .or_else(|| names.get(1).filter(|name| is_free(name)).cloned())
        .or_else(|| names.iter().skip(own).find(|name| is_free(name)).cloned());
    Plan { nic, fixed: said.and_then(|said| fixed(said, &mut Faults::default())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<String> {
        ["enp0s3", "enp0s4", "enp0s5"].map(str::to_owned).to_vec()
    }

    fn carrier(document: &Document, said: Option<&str>) -> Option<String> {
        let said = Management { nic: said.map(str::to_owned), ..Management::default() };
        plan(document, Some(&said), &names()).nic
    }

    #[test]
    fn the_second_interface_carries_the_page_until_the_settings_say_otherwise() {
        let mut document = Document::default();
        assert_eq!(carrier(&document, None).as_deref(), Some("enp0s4"));
        document.nics.target = Some("enp0s5".to_owned());
        assert_eq!(carrier(&document, None).as_deref(), Some("enp0s5"));
        assert_eq!(carrier(&document, Some("enp0s4")).as_deref(), Some("enp0s4"));
        document.nics.target = Some("gone".to_owned());
        assert_eq!(carrier(&document, Some("gone, too")).as_deref(), Some("enp0s4"));
        assert_eq!(plan(&document, None, &names()[..1]).nic, None);
    }

    #[test]
    fn a_mirror_never_carries_the_page() {
        let mut document = Document::default();
        document.nics.mirror = vec!["enp0s4".to_owned()];
        assert_eq!(carrier(&document, None).as_deref(), Some("enp0s3"));
        assert_eq!(carrier(&document, Some("enp0s4")).as_deref(), Some("enp0s3"));
        document.nics.mirror = names();
        assert_eq!(carrier(&document, Some("enp0s5")), None);
    }
}
