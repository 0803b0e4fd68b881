//! The machine: interfaces and what they receive, processor, memory, disk, clock.

use super::State;
use super::call::{Answer, Call, error, invalid, put};
use crate::clock::{self, Clock};
use crate::host::{self, Received};
use crate::nic::choice;
use crate::nic::interface::{self, Interface};
use crate::settings::document::Nics;
use crate::store::Changes;
use crate::syslog::SENDER;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;
use tapcopy_machine::clock::discipline;
use tapcopy_machine::harden::{Hardening, hardening};
use tapcopy_machine::link::pci_address_of;
use tapcopy_machine::ntp::{Origin, Report};

/// How often the threads' processor time is looked at: that costs as much as all else that is done each second, and the kernel tells
/// it in hundredths of a second.
const THREADS_EVERY: Duration = Duration::from_secs(5);

/// What was measured last, and the rates since the time before.
#[derive(Default)]
pub(super) struct Meter {
    since: Option<Clock>,
    threads_since: Option<Clock>,
    received: BTreeMap<String, Received>,
    threads: BTreeMap<String, f64>,
    /// Frames and bits each second.
    rates: BTreeMap<String, (f64, f64)>,
    /// Percent of one core.
    percents: BTreeMap<String, f64>,
}

impl Meter {
    /// Measures, and takes the rates since the last time.
    pub fn measure(&mut self) {
        let received = host::received();
        let seconds = self.since.map_or(0.0, |since| since.uptime().as_secs_f64());
        if seconds > 0.0 {
            let rate = |name: &String, now: &Received| {
                let before = self.received.get(name).copied().unwrap_or(*now);
                let each = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
                (name.clone(), (each(now.frames, before.frames), 8.0 * each(now.bytes, before.bytes)))
            };
            self.rates = received.iter().map(|(name, now)| rate(name, now)).collect();
        }
        (self.since, self.received) = (Some(Clock::start()), received);
        self.measure_threads();
    }

    /// The first rates are there after a second.
    fn measure_threads(&mut self) {
        let passed = self.threads_since.map_or(Duration::ZERO, |since| since.uptime());
        if passed < THREADS_EVERY && !self.percents.is_empty() {
            return;
        }
        let (seconds, threads) = (passed.as_secs_f64(), host::thread_seconds());
        if seconds > 0.0 {
            let percent = |(name, now): (&String, &f64)| {
                let before = self.threads.get(name).unwrap_or(now);
                (name.clone(), ((now - before).max(0.0) / seconds * 1_000.0).round() / 10.0)
            };
            self.percents = threads.iter().map(percent).collect();
        }
        (self.threads_since, self.threads) = (Some(Clock::start()), threads);
    }
}

/// `GET /nics`
pub(super) fn nics(state: &State, call: &Call) -> Answer {
    let listen = match call.query("listen") {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return invalid(400, "listen", "listen is true or false"),
    };
    let all = match interface::all() {
        Ok(all) => all,
        Err(fault) => return error(500, "nic", &fault.to_string()),
    };
    let own = state.firmware.as_ref().and_then(|firmware| firmware.manager.present().nic);
    let is_page = |nic: &Interface| own.as_ref() == Some(&nic.name) || nic.addresses.contains(&state.address.ip());
    let roles = choice::by_name(state.desk.document().unwrap_or_default().nics);
    let mut listeners = state.listeners.lock().unwrap_or_else(PoisonError::into_inner);
    if listen {
        let free =
            all.values().filter(|nic| nic.is_up && !nic.is_loopback && role(nic, &roles, is_page(nic)) == "none");
        listeners.listen(free.map(|nic| nic.name.as_str()));
    }
    let meter = state.meter.lock().unwrap_or_else(PoisonError::into_inner);
    let mut shown: Vec<(String, Value)> = Vec::new();
    for nic in all.values().filter(|nic| !nic.is_loopback) {
        let bus = pci_address_of(&nic.name).map(|address| address.to_string());
        let (frames, bits) = meter.rates.get(&nic.name).copied().unwrap_or_default();
        let mut value = json!({
            "name": nic.name, "up": nic.is_up, "link": host::has_link(&nic.name), "role": role(nic, &roles, is_page(nic)),
            "addresses": nic.addresses, "frames_per_second": frames.round(), "bits_per_second": bits.round(),
            "frames_received": meter.received.get(&nic.name).map_or(0, |received| received.frames),
            "listening": listeners.has(&nic.name) || roles.mirror.contains(&nic.name),
        });
        put(&mut value, "mac", nic.mac.map(interface::mac_text));
        put(&mut value, "line_bits_per_second", interface::bits_per_second(&nic.name));
        put(&mut value, "driver", host::driver(&nic.name));
        put(&mut value, "bus", bus.clone());
        shown.push((bus.unwrap_or_else(|| format!("~{}", nic.name)), value));
    }
    shown.sort_by(|a, b| a.0.cmp(&b.0));
    let shown: Vec<Value> = shown.into_iter().map(|(_, nic)| nic).collect();
    Answer::json(200, &json!({ "nics": shown }))
}

fn role(nic: &Interface, roles: &Nics, is_page: bool) -> &'static str {
    match () {
        () if roles.mirror.contains(&nic.name) => "mirror",
        () if roles.target.as_ref() == Some(&nic.name) => "target",
        () if is_page => "management",
        () => "none",
    }
}

/// `GET /system`
pub(super) fn system(state: &State, _: &Call) -> Answer {
    let meter = state.meter.lock().unwrap_or_else(PoisonError::into_inner);
    let threads: Vec<Value> =
        meter.percents.iter().map(|(name, percent)| json!({ "name": name, "percent": percent })).collect();
    let (total, available, process) = host::memory();
    let (uptime, now) = (state.clock.uptime(), clock::wall());
    let disk = state.desk.folder().and_then(|folder| {
        let (total, free) = host::disk(folder)?;
        Some(json!({ "path": folder.display().to_string(), "total_bytes": total, "free_bytes": free }))
    });
    let mut shown = json!({
        "name": state.name(), "version": env!("CARGO_PKG_VERSION"), "firmware": state.firmware.is_some(),
        "uptime_seconds": uptime.as_secs(), "started_at": now - uptime.as_secs_f64(), "now": now,
        "cpu": { "cores": std::thread::available_parallelism().map_or(1, std::num::NonZero::get), "threads": threads },
        "memory": { "total_bytes": total, "available_bytes": available, "process_bytes": process },
        "disk": disk, "confinement": state.confinement.shown(),
    });
    put(&mut shown, "management", state.firmware.as_ref().map(|firmware| firmware.manager.shown()));
    put(&mut shown, "slot", state.firmware.as_ref().and_then(|firmware| firmware.slot()));
    if let Some(clock) = discipline() {
        shown["clock_synchronised"] = Value::from(clock.is_synchronised);
        shown["clock_offset_ms"] = Value::from(clock.offset_seconds * 1_000.0);
        shown["clock_error_ms_max"] = Value::from(clock.error_seconds_max * 1_000.0);
    }
    put(&mut shown, "time", state.firmware.as_ref().map(|firmware| time(&firmware.time.report())));
    put(&mut shown, "hardening", state.firmware.as_ref().map(|_| hardened()));
    put(&mut shown, "syslog", SENDER.shown());
    put(&mut shown, "kernel", host::line_of("/proc/sys/kernel/osrelease"));
    Answer::json(200, &shown)
}

/// What the kernel of a machine that is the box's own was told.
fn hardened() -> Value {
    let Hardening { in_force, missing } = hardening();
    json!({ "in_force": in_force, "missing": missing })
}

/// Who keeps the clock of a machine that is the box's own.
fn time(report: &Report) -> Value {
    let servers = report.servers.iter().map(|(server, heard)| {
        let mut shown = match heard {
            Ok(heard) => json!({
                "state": "good", "offset_ms": heard.offset * 1_000.0, "delay_ms": heard.delay * 1_000.0,
                "stratum": heard.stratum,
            }),
            Err(refusal) => json!({ "state": refusal.word() }),
        };
        shown["server"] = Value::from(server.to_string());
        shown
    });
    let origin = match report.origin {
        Origin::None => "none",
        Origin::Settings => "settings",
        Origin::Dhcp => "dhcp",
    };
    let servers: Vec<Value> = servers.collect();
    let mut shown = json!({ "origin": origin, "servers": servers, "steps": report.steps });
    put(&mut shown, "believed", report.believed.map(|server| server.to_string()));
    shown
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

/// `PATCH /system`
pub(super) fn change(state: &State, call: &Call) -> Answer {
    let wish: Named = match call.json() {
        Ok(wish) => wish,
        Err(answer) => return answer,
    };
    let name = wish.name.trim();
    if name.is_empty() || name.chars().count() > 64 || name.chars().any(char::is_control) {
        return invalid(422, "name", "1 to 64 characters, without control characters");
    }
    let mut changes = Changes::default();
    changes.put("name", &name);
    match state.desk.write(changes) {
        Ok(()) => {
            name.clone_into(&mut state.name.lock().unwrap_or_else(PoisonError::into_inner));
            state.note(call, "named", name);
            system(state, call)
        }
        Err(refusal) => super::settings::refused(refusal),
    }
}
