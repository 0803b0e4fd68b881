//! From a document to settings: each value is parsed into a type that cannot be wrong, then the values are held against
//! each other. A value that does not parse is left out of the second step, so that one mistake is one fault.

use super::document::{Document, SCHEMA_VERSION};
use super::{
    Faults, Purpose, Settings, SettingsFaults, addressing, comparison, document, management, pool, record, records,
    remote, selection, shards,
};
use crate::nic::choice::Choice;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use tapcopy_engine::config::{MirrorTo, Origin, Pacing, Protocol, Service};
use tapcopy_engine::limits::REPLAYS_MAX;

/// Names of pacings in the settings.
const PACINGS: [(&str, Pacing); 2] = [("turns", Pacing::Turns), ("immediate", Pacing::Immediate)];
/// Names of the ways from a session to its targets.
const MIRROR_TO: [(&str, MirrorTo); 2] = [("one", MirrorTo::One), ("all", MirrorTo::All)];
/// Numbers that a VLAN can have (IEEE 802.1Q).
const VLANS: std::ops::RangeInclusive<u16> = 1..=4_094;
/// The kernel takes ring sizes as a signed 32-bit number of bytes.
const BUFFER_MIB: std::ops::RangeInclusive<u32> = 1..=2_047;

pub(super) fn validate(document: Document, purpose: Purpose) -> Result<Settings, SettingsFaults> {
    debug_assert_eq!(document.schema_version, SCHEMA_VERSION);
    let mut faults = Faults::default();
    let of_boxes = shards::of_boxes(document.shard.as_deref(), &mut faults);
    let shards = shards::count(&document.shards, &mut faults);
    nics(&document, purpose, &mut faults);
    let addressing = addressing::parse(&document.addressing, purpose, &mut faults);
    let services = services(&document, &mut faults);
    let recorded = document.record.as_ref().map(|written| record::validate(written, &services, &mut faults));
    let kept = records::validate(&document.records, &mut faults);
    let time_servers = remote::time(document.time.as_ref(), &mut faults);
    let syslog = remote::syslog(document.syslog.as_ref(), &mut faults);
    origins_once(&document, &services, &mut faults);
    targets_apart(&services, &mut faults);
    addressing::hold_against(&addressing, &services, &mut faults);
    management::validate(&document, &addressing, &services, &mut faults);
    if purpose != Purpose::Rehearse {
        addressing::reach(&addressing, &services, &mut faults);
    }
    let settings = Settings {
        shards,
        of_boxes,
        mirror: document.nics.mirror.clone(),
        target: document.nics.target.clone(),
        filter: document.nics.filter.clone().filter(|filter| !filter.trim().is_empty()),
        buffer_bytes: document.nics.buffer_mib.saturating_mul(1 << 20),
        services,
        addressing,
        target_vlan: document.nics.target_vlan,
        record: recorded,
        records: kept,
        time_servers,
        syslog,
        document,
    };
    faults.none_or(settings)
}

fn nics(document: &Document, purpose: Purpose, faults: &mut Faults) {
    let nics = &document.nics;
    if purpose == Purpose::Run && nics.mirror.is_empty() {
        faults.add("nics.mirror", "is missing; name the interface that the mirror port feeds");
    }
    if purpose != Purpose::Rehearse && nics.target.is_none() {
        faults.add("nics.target", "is missing; name the interface towards the servers under test");
    }
    let mirror = nics.mirror.iter().enumerate().map(|(index, name)| (format!("nics.mirror[{index}]"), name));
    let target = nics.target.iter().map(|name| ("nics.target".to_owned(), name));
    if let Some(name) = nics.target.as_ref().filter(|name| nics.mirror.contains(name)) {
        let why = "the box never sends on a mirror NIC, and would take its own replay for production there";
        faults.add("nics.target", format!("{name} is also a mirror NIC; {why}: give the targets another one"));
    }
    let mut seen = BTreeSet::new();
    for (field, name) in mirror.chain(target.filter(|(_, name)| !nics.mirror.contains(name))) {
        match name.parse::<Choice>() {
            Err(message) => faults.add(&field, message),
            Ok(choice) if seen.contains(&choice) => {
                faults.add(&field, format!("{name} is named twice; name each mirror NIC once"));
            }
            Ok(choice) => drop(seen.insert(choice)),
        }
    }
    if let Some(vlan) = nics.target_vlan.filter(|vlan| !VLANS.contains(vlan)) {
        faults.add("nics.target_vlan", format!("{vlan} is outside 1 to 4094; leave it out where frames carry no tag"));
    }
    if !BUFFER_MIB.contains(&nics.buffer_mib) {
        faults
            .add("nics.buffer_mib", format!("{} is outside 1 to {}; 64 suits most", nics.buffer_mib, BUFFER_MIB.end()));
    }
}

fn services(document: &Document, faults: &mut Faults) -> Vec<Service> {
    if document.service.is_empty() {
        faults.add("service", "is missing; describe at least one service with its origins and targets");
    }
    let volatile = comparison::volatile(document.comparison.as_ref(), faults);
    let mut names = BTreeSet::new();
    let mut services = Vec::new();
    for (index, written) in document.service.iter().enumerate() {
        let service = service(index, written, &volatile, faults);
        if !names.insert(service.name.clone()) {
            faults.add(format!("service[{index}].name"), format!("`{}` is taken; give each its own", service.name));
        }
        services.push(service);
    }
    services
}

fn service(index: usize, written: &document::Service, volatile: &[String], faults: &mut Faults) -> Service {
    let path = format!("service[{index}]");
    let name = if written.name.is_empty() { format!("service-{}", index + 1) } else { written.name.clone() };
    Service {
        name,
        origins: addresses(&format!("{path}.origins"), &written.origins, origin, faults),
        targets: addresses(&format!("{path}.targets"), &written.targets, target, faults),
        protocol: protocol(&format!("{path}.protocol"), &written.protocol, faults).unwrap_or(Protocol::Auto),
        pacing: choice(&format!("{path}.pacing"), &written.pacing, &PACINGS, faults).unwrap_or(Pacing::Turns),
        copies: copies(&format!("{path}.copies"), written, faults),
        mirror_to: choice(&format!("{path}.mirror_to"), &written.mirror_to, &MIRROR_TO, faults).unwrap_or_default(),
        selection: selection::parse(&path, written, faults).into(),
        sessions_per_second: sessions_per_second(&path, written, faults),
        sample: sample(&format!("{path}.sample_percent"), written.sample_percent, faults),
        rules: comparison::rules(&path, volatile, &written.rule, faults),
    }
}

fn protocol(field: &str, name: &str, faults: &mut Faults) -> Option<Protocol> {
    let found = Protocol::named(name);
    if found.is_none() {
        faults.add(field, unknown(name, Protocol::names()));
    }
    found
}

pub(super) fn choice<T: Copy>(field: &str, name: &str, choices: &[(&str, T)], faults: &mut Faults) -> Option<T> {
    let found = choices.iter().find(|(word, _)| *word == name);
    if found.is_none() {
        faults.add(field, unknown(name, choices.iter().map(|(word, _)| *word)));
    }
    found.map(|(_, choice)| *choice)
}

/// Each replay cuts every frame of its session anew, so that their number is bounded.
fn copies(field: &str, written: &document::Service, faults: &mut Faults) -> u16 {
    let targets = if written.mirror_to == "all" { written.targets.len().max(1) } else { 1 };
    let most = REPLAYS_MAX / targets;
    match usize::try_from(written.copies).ok().filter(|copies| (1..=most).contains(copies)) {
        Some(copies) => copies as u16,
        None => {
            let why = format!("a session is replayed {REPLAYS_MAX} times at most, all targets counted");
            faults.add(field, format!("{} is outside 1 to {most}, since {why}; use fewer copies", written.copies));
            1
        }
    }
}

fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.collect();
    format!("`{name}` is not known in this version; use one of {}", known.join(", "))
}

fn sample(field: &str, percent: f64, faults: &mut Faults) -> u16 {
    let hundredths = (percent * 100.0).round();
    if !(0.0..=100.0).contains(&percent) {
        faults.add(field, format!("{percent} is outside 0 to 100; it is the percentage of clients that are replayed"));
    } else if percent > 0.0 && hundredths == 0.0 {
        faults.add(field, format!("{percent} is finer than a hundredth of a percent; use 0.01 or more"));
    }
    // The cast saturates, and what is out of range is a fault above.
    hundredths as u16
}

fn sessions_per_second(path: &str, written: &document::Service, faults: &mut Faults) -> Option<u32> {
    let rate = written.max_sessions_per_second?;
    if rate == 0 {
        let mend = "use 1 or more, or leave it out for no cap";
        faults.add(format!("{path}.max_sessions_per_second"), format!("is 0, which replays nothing; {mend}"));
    }
    Some(rate.max(1))
}

fn addresses<T: PartialEq>(
    field: &str,
    texts: &[String],
    parse: fn(&str) -> Result<T, String>,
    faults: &mut Faults,
) -> Vec<T> {
    if texts.is_empty() {
        faults.add(field, "is missing; name at least one server as IP:PORT");
    }
    let mut parsed = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        match parse(text) {
            Ok(address) if parsed.contains(&address) => {
                faults.add(format!("{field}[{index}]"), format!("{text} is named twice; remove one"));
            }
            Ok(address) => parsed.push(address),
            Err(message) => faults.add(format!("{field}[{index}]"), message),
        }
    }
    parsed
}

fn origin(text: &str) -> Result<Origin, String> {
    let Some(port) = text.strip_prefix("*:") else { return target(text).map(Origin::Address) };
    match port.parse() {
        Ok(0) => Err(format!("{text} has port 0; give the port that the server listens on")),
        Ok(port) => Ok(Origin::AnyAddress(port)),
        Err(_) => Err(format!("`{text}` has no port; write *:PORT with a port from 1 to 65535")),
    }
}

fn target(text: &str) -> Result<SocketAddr, String> {
    let mend = "write IP:PORT with a numeric address, IPv6 in brackets";
    let address: SocketAddr = text.parse().map_err(|_| format!("`{text}` is no address and port; {mend}"))?;
    if address.port() == 0 {
        return Err(format!("{text} has port 0; give the port that the server listens on"));
    }
    let ip = address.ip();
    // A loopback address makes sense in a capture of the interface `lo`.
    if !pool::is_host_address(ip) && !ip.is_loopback() {
        return Err(format!("{text} is an address that no server can have; name the server's own"));
    }
    Ok(address)
}

/// An origin belongs to one service: the same again, or behind an earlier `*:PORT`, is never reached.
fn origins_once(document: &Document, services: &[Service], faults: &mut Faults) {
    let mut claimed: BTreeMap<String, usize> = BTreeMap::new();
    for (index, service) in services.iter().enumerate() {
        for origin in &service.origins {
            let (own, any) = origin_keys(*origin);
            let earlier = [&own, &any].into_iter().filter_map(|key| claimed.get(key)).find(|claim| **claim != index);
            if let Some(earlier) = earlier {
                let place = document.service[index].origins.iter().position(|text| *text == own).unwrap_or(0);
                let message = format!("{own} is already claimed by service[{earlier}]; one origin feeds one service");
                faults.add(format!("service[{index}].origins[{place}]"), message);
            }
            claimed.entry(own).or_insert(index);
        }
    }
}

fn origin_keys(origin: Origin) -> (String, String) {
    match origin {
        Origin::Address(address) => (address.to_string(), format!("*:{}", address.port())),
        Origin::AnyAddress(port) => (format!("*:{port}"), format!("*:{port}")),
    }
}

/// No origin may be a target: the box would replay its own replay. `*:PORT` does not name a target's address: it is the
/// port of every other address.
fn targets_apart(services: &[Service], faults: &mut Faults) {
    let origins: Vec<Origin> = services.iter().flat_map(|service| service.origins.iter().copied()).collect();
    for (index, service) in services.iter().enumerate() {
        for (place, target) in service.targets.iter().enumerate() {
            if origins.contains(&Origin::Address(*target)) {
                let field = format!("service[{index}].targets[{place}]");
                faults.add(field, format!("{target} is also an origin; never replay against production"));
            }
        }
    }
}
