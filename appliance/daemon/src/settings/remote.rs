//! The sections `[time]` and `[syslog]`: servers of the box itself, on the management network.

use super::{Faults, document, pool};
use crate::syslog::{Collector, Transport};
use std::net::{IpAddr, SocketAddr};
use tapcopy_machine::ntp;

const TRANSPORTS: [(&str, Transport); 2] = [("udp", Transport::Udp), ("tcp", Transport::Tcp)];
/// Of syslog, over UDP by RFC 5426 and over TCP by custom.
const SYSLOG_PORT: u16 = 514;

/// Who knows the time.
pub(super) fn time(written: Option<&document::Time>, faults: &mut Faults) -> Vec<SocketAddr> {
    let Some(written) = written else { return Vec::new() };
    if written.servers.len() > ntp::SERVERS_MAX {
        let message = format!("has more than {} servers; the nearest of them are enough", ntp::SERVERS_MAX);
        faults.add("time.servers", message);
    }
    let servers = written.servers.iter().enumerate();
    servers.filter_map(|(index, text)| server(&format!("time.servers[{index}]"), text, ntp::PORT, faults)).collect()
}

/// Who collects the log.
pub(super) fn syslog(written: Option<&document::Syslog>, faults: &mut Faults) -> Option<Collector> {
    let written = written?;
    let transport = super::validate::choice("syslog.transport", &written.transport, &TRANSPORTS, faults);
    if written.server.is_empty() {
        faults.add("syslog.server", "is missing; name the server that collects the log");
        return None;
    }
    let server = server("syslog.server", &written.server, SYSLOG_PORT, faults)?;
    Some(Collector { server, transport: transport? })
}

/// An address with a port or without one. Names are not looked up: the box asks nobody for them.
fn server(field: &str, text: &str, port: u16, faults: &mut Faults) -> Option<SocketAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = text.parse().ok().or_else(|| Some(SocketAddr::new(bare.parse::<IpAddr>().ok()?, port)));
    let is_usable = |address: &SocketAddr| {
        address.port() != 0 && (pool::is_host_address(address.ip()) || address.ip().is_loopback())
    };
    let usable = address.filter(is_usable);
    if usable.is_none() {
        let mend = format!("write IP or IP:PORT, IPv6 in brackets where a port follows; without one it is {port}");
        faults.add(field, format!("`{text}` is no server's address; {mend}"));
    }
    usable
}
