//! The section `[addressing]`: which addresses sessions come from, and how the targets' answers find the box.

use super::document;
use super::{Faults, Purpose, pool};
use std::net::IpAddr;
use tapcopy_engine::config::{Addressing, Mode, Origin, PoolRange, Service, Subnet};

/// Parses the section.
pub(super) fn parse(written: &document::Addressing, purpose: Purpose, faults: &mut Faults) -> Addressing {
    let mut addressing = Addressing {
        mode: mode(&written.mode, faults),
        pool: ranges(&written.pool, faults),
        link: subnets(&written.link, faults),
        ..Addressing::default()
    };
    let is_on_wire = purpose != Purpose::Rehearse;
    if is_on_wire && addressing.mode == Mode::Pool && written.pool.is_empty() {
        let mend = "name free addresses of the target's subnet, as in 10.0.0.100-10.0.0.200/24";
        faults.add("addressing.pool", format!("is missing; {mend}"));
    }
    if is_on_wire && addressing.mode == Mode::Preserve && written.link.is_empty() {
        let mend = "name the subnets of the target NIC's network, as in 10.0.0.0/24";
        faults.add("addressing.link", format!("is missing, though `preserve` needs it; {mend}"));
    }
    addressing.gateway = written.gateway.as_deref().and_then(|text| gateway(text, &addressing, faults));
    addressing.emulated_gateways = emulated_gateways(&written.emulate_gateway, &addressing, faults);
    addressing
}

fn mode(text: &str, faults: &mut Faults) -> Mode {
    match text {
        "pool" => Mode::Pool,
        "preserve" => Mode::Preserve,
        other => {
            faults.add("addressing.mode", format!("`{other}` is no way of addressing; use `pool` or `preserve`"));
            Mode::Pool
        }
    }
}

fn ranges(texts: &[String], faults: &mut Faults) -> Vec<PoolRange> {
    let mut ranges: Vec<PoolRange> = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        let field = format!("addressing.pool[{index}]");
        match pool::parse(text) {
            Ok(range) if ranges.iter().any(|earlier| pool::overlap(earlier, &range)) => {
                faults.add(field, format!("`{text}` overlaps an earlier range; name each address once"));
            }
            Ok(range) => ranges.push(range),
            Err(message) => faults.add(field, message),
        }
    }
    ranges
}

fn subnets(texts: &[String], faults: &mut Faults) -> Vec<Subnet> {
    let mut subnets = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        match pool::parse_subnet(text) {
            Ok(subnet) => subnets.push(subnet),
            Err(message) => faults.add(format!("addressing.link[{index}]"), message),
        }
    }
    subnets
}

/// Whether a router at this address can be reached without another one. IPv6 routers most often have a link-local address.
fn can_be_router(address: IpAddr, addressing: &Addressing) -> bool {
    let is_link_local = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    let is_known = !addressing.pool.is_empty() || !addressing.link.is_empty();
    is_link_local || !is_known || addressing.is_on_link(address)
}

fn gateway(text: &str, addressing: &Addressing, faults: &mut Faults) -> Option<IpAddr> {
    let field = "addressing.gateway";
    let Ok(gateway) = text.trim().parse::<IpAddr>() else {
        faults.add(field, format!("`{text}` is no IP address; name the router in the target NIC's subnet"));
        return None;
    };
    if addressing.pool.iter().any(|range| range.contains(gateway)) {
        faults.add(field, format!("{gateway} lies in the pool; leave it out of the range, it belongs to the router"));
    } else if !can_be_router(gateway, addressing) {
        faults.add(
            field,
            format!("{gateway} is in no subnet of pool or link; name a router on the target NIC's network"),
        );
    }
    Some(gateway)
}

fn emulated_gateways(texts: &[String], addressing: &Addressing, faults: &mut Faults) -> Vec<IpAddr> {
    let mut gateways: Vec<IpAddr> = Vec::new();
    if addressing.mode == Mode::Pool && !texts.is_empty() {
        let why = "answers to the pool's addresses need none";
        faults.add("addressing.emulate_gateway", format!("has no use with mode `pool`, {why}; remove it"));
    }
    for (index, text) in texts.iter().enumerate() {
        match emulated_gateway(text, addressing) {
            Ok(gateway) if gateways.contains(&gateway) => {
                faults
                    .add(format!("addressing.emulate_gateway[{index}]"), format!("{text} is named twice; remove one"));
            }
            Ok(gateway) => gateways.push(gateway),
            Err(message) => faults.add(format!("addressing.emulate_gateway[{index}]"), message),
        }
    }
    gateways
}

fn emulated_gateway(text: &str, addressing: &Addressing) -> Result<IpAddr, String> {
    let mend = "name the address to which the targets send what is for other networks";
    let address: IpAddr = text.trim().parse().map_err(|_| format!("`{text}` is no IP address; {mend}"))?;
    if !pool::is_host_address(address) {
        return Err(format!("{address} is an address that no router can have; {mend}"));
    }
    if addressing.gateway == Some(address) {
        return Err(format!("{address} is the real gateway too; only one of them can answer, remove one of the two"));
    }
    if addressing.pool.iter().any(|range| range.contains(address)) {
        return Err(format!("{address} lies in the pool; leave it out of the range"));
    }
    if !can_be_router(address, addressing) {
        return Err(format!("{address} is in no subnet of addressing.link; {mend}"));
    }
    Ok(address)
}

/// The box may not take a server's address.
pub(super) fn hold_against(addressing: &Addressing, services: &[Service], faults: &mut Faults) {
    let taken = |address: IpAddr| {
        let in_pool = addressing.pool.iter().any(|range| range.contains(address));
        let emulated = addressing.emulated_gateways.contains(&address);
        match (in_pool, emulated) {
            (true, _) => Some("lies in the pool; leave it out of the range"),
            (_, true) => Some("is also in addressing.emulate_gateway; the box may not take a server's address"),
            _ => None,
        }
    };
    for (index, service) in services.iter().enumerate() {
        for (place, target) in service.targets.iter().enumerate() {
            if let Some(why) = taken(target.ip()) {
                faults.add(format!("service[{index}].targets[{place}]"), format!("{target} {why}"));
            }
        }
        for (place, origin) in service.origins.iter().enumerate() {
            let Origin::Address(origin) = origin else { continue };
            if let Some(why) = taken(origin.ip()) {
                faults.add(format!("service[{index}].origins[{place}]"), format!("{origin} {why}"));
            }
        }
    }
}

/// Every target has a next hop, and addresses of its family to come from.
pub(super) fn reach(addressing: &Addressing, services: &[Service], faults: &mut Faults) {
    if addressing.pool.is_empty() && addressing.link.is_empty() {
        return;
    }
    for (index, service) in services.iter().enumerate() {
        for (place, target) in service.targets.iter().enumerate() {
            let ip = target.ip();
            let has_gateway = addressing.gateway.is_some_and(|gateway| gateway.is_ipv4() == ip.is_ipv4());
            let has_pool = addressing.pool.iter().any(|range| range.first.is_ipv4() == ip.is_ipv4());
            let field = || format!("service[{index}].targets[{place}]");
            if addressing.mode == Mode::Pool && !has_pool {
                faults.add(field(), format!("{target} has no pool of its family; add a range to addressing.pool"));
            } else if !addressing.is_on_link(ip) && !has_gateway {
                let mend = "set addressing.gateway, or name the target's subnet in pool or link";
                faults
                    .add(field(), format!("{target} is in no subnet of pool or link and there is no gateway; {mend}"));
            }
        }
    }
}
