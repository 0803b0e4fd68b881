//! Which servers the flows lead to, and what both directions of all of them add up to.
//!
//! A flow's server is the end that accepted it. Where the opening was not seen, it is the end that is a server in other
//! flows, else the end with more flows, else the one with the lower port.

use super::flows::{self, Flow, Shown};
use super::guess::Guess;
use super::report::{Direction, Flows, Service, Talker};
use crate::frame::Endpoint;
use crate::limits::examination::{SERVICES_TOLD, TALKERS_TOLD};
use crate::time::Time;
use core::cmp::Reverse;
use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};

/// What is known of an end over all flows.
#[derive(Default)]
struct End {
    flows: u64,
    accepted: u64,
}

/// Which end of each flow is the server.
pub(super) struct Servers(Vec<usize>);

impl Servers {
    pub fn of(flows: &[Flow]) -> Self {
        let mut ends: BTreeMap<Endpoint, End> = BTreeMap::new();
        for flow in flows {
            for (side, end) in flow.ends.iter().enumerate() {
                let end = ends.entry(*end).or_default();
                end.flows += 1;
                end.accepted += u64::from(flow.server == Some(side));
            }
        }
        let rank = |end: &Endpoint| (ends[end].accepted > 0, ends[end].flows, Reverse(end.port()));
        let server =
            |flow: &Flow| flow.server.unwrap_or_else(|| usize::from(rank(&flow.ends[1]) > rank(&flow.ends[0])));
        Self(flows.iter().map(server).collect())
    }

    fn with<'a>(&'a self, flows: &'a [Flow]) -> impl Iterator<Item = (&'a Flow, usize)> {
        flows.iter().zip(self.0.iter().copied())
    }

    /// The direction that servers send, or receive.
    pub fn direction(&self, flows: &[Flow], from_servers: bool, now: Time) -> Direction {
        let mut sum = Direction::default();
        for (flow, server) in self.with(flows) {
            add(&mut sum, &flow.directions[if from_servers { server } else { 1 - server }], now);
        }
        sum
    }

    /// The counts of flows.
    pub fn count(&self, flows: &flows::Flows) -> Flows {
        let mean = |sum: f64, count: u64| if count == 0 { 0.0 } else { sum / count as f64 };
        let mut counts = Flows {
            seen: flows.all().len() as u64,
            untracked_segments: flows.untracked,
            taking: flows.taking,
            copies: flows.copies,
            copies_other_tag: flows.copies_other_tag,
            copies_other_mac: flows.copies_other_mac,
            copies_after_us: mean(flows.copies_after.as_secs_f64() * 1e6, flows.copies),
            ..Flows::default()
        };
        for (flow, server) in self.with(flows.all()) {
            counts.judged += u64::from(flow.shown() != Shown::Unclear);
            counts.without_server += u64::from(flow.shown() == Shown::Without(server));
            counts.without_client += u64::from(flow.shown() == Shown::Without(1 - server));
            counts.tags_differ += u64::from(flow.tags_differ());
        }
        counts
    }

    /// The servers with the most bytes.
    pub fn services(&self, flows: &[Flow], now: Time, seconds: f64) -> Vec<Service> {
        let mut found: BTreeMap<Endpoint, Sum> = BTreeMap::new();
        for (flow, server) in self.with(flows) {
            found.entry(flow.ends[server]).or_default().add(flow, server, now);
        }
        let mut services: Vec<_> = found.into_iter().map(|(end, sum)| sum.told(end, seconds)).collect();
        services.sort_by_key(|service| Reverse(service.bytes_to + service.bytes_from));
        services.truncate(SERVICES_TOLD);
        services
    }
}

/// The hosts with the most bytes.
pub(super) fn talkers(flows: &[Flow]) -> Vec<Talker> {
    let mut bytes: BTreeMap<IpAddr, u64> = BTreeMap::new();
    for flow in flows {
        let both = flow.directions[0].wire_bytes + flow.directions[1].wire_bytes;
        flow.ends.iter().for_each(|end| *bytes.entry(end.ip()).or_default() += both);
    }
    let mut talkers: Vec<_> = bytes.into_iter().map(|(address, bytes)| Talker { address, bytes }).collect();
    talkers.sort_by_key(|talker| Reverse(talker.bytes));
    talkers.truncate(TALKERS_TOLD);
    talkers
}

/// A direction that is not shown at all has lost nothing: that is another finding.
fn add(sum: &mut Direction, one: &flows::Direction, now: Time) {
    sum.segments += one.segments;
    sum.bytes += one.wire_bytes;
    sum.data_segments += one.data_segments;
    sum.super_segments += one.super_segments;
    sum.checked += one.checked;
    sum.bad_checksums += one.bad_checksums;
    sum.unfinished_checksums += one.unfinished_checksums;
    if one.segments > 0 {
        sum.acknowledged_bytes += one.coverage.acknowledged_bytes();
        sum.lost_bytes += one.coverage.lost_bytes(now);
    }
}

/// The flows of one server.
#[derive(Default)]
struct Sum {
    to: Direction,
    from: Direction,
    flows: u64,
    opened: u64,
    one_way: u64,
    turns: u64,
    clients: BTreeSet<IpAddr>,
    guesses: [u64; Guess::KNOWN.len()],
}

impl Sum {
    fn add(&mut self, flow: &Flow, server: usize, now: Time) {
        add(&mut self.from, &flow.directions[server], now);
        add(&mut self.to, &flow.directions[1 - server], now);
        self.flows += 1;
        self.opened += flow.opened;
        self.one_way += u64::from(matches!(flow.shown(), Shown::Without(_)));
        self.turns += flow.directions[1 - server].turns;
        self.clients.insert(flow.ends[1 - server].ip());
        if let Some(known) = Guess::KNOWN.iter().position(|known| *known == flow.guess) {
            self.guesses[known] += 1;
        }
    }

    fn told(&self, end: Endpoint, seconds: f64) -> Service {
        let most = (0..self.guesses.len()).rev().max_by_key(|index| self.guesses[*index]);
        let protocol =
            most.filter(|index| self.guesses[*index] > 0).map_or(Guess::Unknown, |index| Guess::KNOWN[index]);
        let each_second = |sum: u64| if seconds > 0.0 { sum as f64 / seconds } else { 0.0 };
        Service {
            address: end.to_string(),
            protocol,
            flows: self.flows,
            opened: self.opened,
            clients: self.clients.len() as u64,
            turns: self.turns,
            turns_per_second: each_second(self.turns),
            bits_per_second: each_second((self.to.bytes + self.from.bytes) * 8),
            bytes_to: self.to.bytes,
            bytes_from: self.from.bytes,
            one_way: self.one_way,
            lost_bytes: self.to.lost_bytes + self.from.lost_bytes,
        }
    }
}
