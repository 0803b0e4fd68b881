//! TCPCopy's transfer rule: `[origin-ip:]origin-port-target-ip:target-port`, IPv6 addresses in brackets.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::str::FromStr;
use thiserror::Error;

use crate::settings::document::Service;

/// One rule of the command line: what is sent to `origin` in production is replayed against `target`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map {
    /// `None` is the port of any address.
    origin: Origin,
    target: SocketAddr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    AnyAddress(u16),
    Address(SocketAddr),
}

/// Why a rule cannot be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MapFault {
    /// There is nothing between origin and target.
    #[error("no `-` between origin and target; write [ORIGIN-IP:]ORIGIN-PORT-TARGET-IP:TARGET-PORT")]
    NoDash,
    /// The part before the dash.
    #[error(
        "the origin (before the `-`) is neither PORT nor IP:PORT; write an IPv6 address in brackets, as in [::1]:80"
    )]
    Origin,
    /// The part after the dash.
    #[error("the target (after the `-`) is not IP:PORT; write an IPv6 address in brackets, as in [::1]:80")]
    Target,
    /// A port of zero.
    #[error("port 0 cannot be replayed; give the port that the server listens on")]
    PortZero,
}

impl FromStr for Map {
    type Err = MapFault;

    fn from_str(text: &str) -> Result<Self, MapFault> {
        // No address and no port contains a dash, so the first one is the separator.
        let (origin, target) = text.trim().split_once('-').ok_or(MapFault::NoDash)?;
        let map = Self { origin: origin.parse()?, target: target.parse().map_err(|_| MapFault::Target)? };
        if map.origin.port() == 0 || map.target.port() == 0 { Err(MapFault::PortZero) } else { Ok(map) }
    }
}

impl FromStr for Origin {
    type Err = MapFault;

    fn from_str(text: &str) -> Result<Self, MapFault> {
        let port = text.parse().map(Self::AnyAddress);
        port.or_else(|_| text.parse().map(Self::Address)).map_err(|_| MapFault::Origin)
    }
}

impl Origin {
    fn port(self) -> u16 {
        match self {
            Self::AnyAddress(port) => port,
            Self::Address(address) => address.port(),
        }
    }

    fn in_settings(self) -> String {
        match self {
            Self::AnyAddress(port) => format!("*:{port}"),
            Self::Address(address) => address.to_string(),
        }
    }
}

/// The services that the rules describe. Rules with one target are one service with several origins, as in TCPCopy, where
/// many online servers may feed one test server; its place among the services is that of its first rule, because the
/// first service that claims an address has it.
pub fn services(maps: &[Map]) -> Vec<Service> {
    let mut place = BTreeMap::new();
    let mut services: Vec<Service> = Vec::new();
    for map in maps {
        let index = *place.entry(map.target).or_insert_with(|| {
            let target = map.target.to_string();
            services.push(Service { name: target.clone(), targets: vec![target], ..Service::default() });
            services.len() - 1
        });
        services[index].origins.push(map.origin.in_settings());
    }
    services
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<(&str, &str), MapFault>) {
        let parsed = text.parse::<Map>().map(|map| (map.origin.in_settings(), map.target.to_string()));
        assert_eq!(parsed, expected.map(|(origin, target)| (origin.to_owned(), target.to_owned())), "{text}");
    }

    #[test]
    fn tcpcopy_rules() {
        check("11311-10.100.10.31:11511", Ok(("*:11311", "10.100.10.31:11511")));
        check("10.100.10.1:11311-10.100.10.31:11511", Ok(("10.100.10.1:11311", "10.100.10.31:11511")));
        check("[fd00::1]:80-[fd00::2]:8080", Ok(("[fd00::1]:80", "[fd00::2]:8080")));
        check(" 80-[::2]:8080 ", Ok(("*:80", "[::2]:8080")));
    }

    #[test]
    fn rules_that_cannot_be_understood() {
        check("", Err(MapFault::NoDash));
        check("80", Err(MapFault::NoDash));
        check("10.0.0.1:80", Err(MapFault::NoDash));
        check("x-10.0.0.1:80", Err(MapFault::Origin));
        check("-10.0.0.1:80", Err(MapFault::Origin));
        check("65536-10.0.0.1:80", Err(MapFault::Origin));
        check("fd00::1:80-10.0.0.1:80", Err(MapFault::Origin));
        check("80-8080", Err(MapFault::Target));
        check("80-10.0.0.1", Err(MapFault::Target));
        check("80-10.0.0.1-10.0.0.2:80", Err(MapFault::Target));
        check("0-10.0.0.1:80", Err(MapFault::PortZero));
        check("80-10.0.0.1:0", Err(MapFault::PortZero));
    }

    #[test]
    fn one_service_for_each_target() {
        let maps = ["10.0.0.1:80-10.0.0.9:80", "81-10.0.0.8:80", "10.0.0.2:80-10.0.0.9:80"];
        let maps: Vec<Map> = maps.iter().map(|map| map.parse().unwrap()).collect();
        let services = services(&maps);
        assert_eq!(services.len(), 2);
        assert_eq!(services[0].origins, ["10.0.0.1:80", "10.0.0.2:80"]);
        assert_eq!(services[0].targets, ["10.0.0.9:80"]);
        assert_eq!(services[1].origins, ["*:81"]);
    }
}
