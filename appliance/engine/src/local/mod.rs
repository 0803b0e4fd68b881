//! The replay's own end: which local address and port a connection comes from, and which addresses are the box's on the
//! target NIC's link. This is the one place where that is decided; [`crate::link`] does what follows from it on the wire.
//!
//! - *Pool*: the addresses of the settings, each port in turn.
//! - *Preserve*: the client's own address and, where it is free, its port. A client whose address lies on the link is
//!   claimed as the pool's addresses are, for as long as it is replayed. The targets' answers to all others come by a gateway
//!   which the box stands in for.
//!
//! A 4-tuple rests after use: the target may hold it in TIME-WAIT.

mod claims;
mod pool;

pub use claims::Announcement;

use crate::config::{Addressing, Config, FarEnd, Mode, PoolRange};
use crate::flow::Table;
use crate::frame::Endpoint;
use crate::ledger::NotReplayed;
use crate::share::Share;
use crate::time::Time;
use claims::{Claims, Standing, Term};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;
use pool::{Pool, Search};
use std::collections::VecDeque;

/// Lowest port used; those below are left to servers.
const PORT_FIRST: u16 = 1024;

/// Ports tried in place of the client's own.
const TRIES: usize = 4_096;

/// How soon to look again for an address that is not even claimed yet.
const SOON: Duration = Duration::from_millis(100);

/// Addresses of a rehearsal, where no wire has any: those set aside for benchmarks (RFC 2544, RFC 5180).
const REHEARSAL: [PoolRange; 2] = [
    PoolRange {
        first: IpAddr::V4(Ipv4Addr::new(198, 18, 0, 1)),
        last: IpAddr::V4(Ipv4Addr::new(198, 19, 255, 254)),
        prefix_len: 15,
    },
    PoolRange {
        first: IpAddr::V6(Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 1)),
        last: IpAddr::V6(Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0xffff, 0xfffe)),
        prefix_len: 48,
    },
];

/// The local and the remote end of a connection.
pub type Pair = (Endpoint, Endpoint);

/// Why there is no local endpoint for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not before this time: it is still being found out whether somebody else has the address.
    Wait(Time),
    /// There is none.
    For(NotReplayed),
}

/// The local addresses and ports.
pub struct Locals {
    addressing: Addressing,
    /// Which addresses and ports are not another shard's.
    share: Share,
    /// Servers under test.
    targets: Vec<IpAddr>,
    pool: Pool,
    /// `None` in a rehearsal, where nobody else is on the link.
    claims: Option<Claims>,
    claims_max: usize,
    rest: Duration,
    taken: Table<Pair, ()>,
    resting: VecDeque<(Time, Pair)>,
    /// Clients' own addresses, with the connections from each that are in use or at rest.
    preserved: Table<IpAddr, usize>,
    /// When to see whether a client's address that was claimed is in use.
    unused: VecDeque<(Time, IpAddr)>,
    port: u16,
    ports_exchanged: u64,
    /// Conflicts found among earlier settings' addresses.
    conflicts_before: u64,
    /// When something is due: it is asked for with every frame, and hardly ever changes.
    next_at: Option<Time>,
}

impl Locals {
    /// What `config` calls for, with no port taken.
    pub fn new(config: &Config, seed: u64, now: Time) -> Self {
        let is_rehearsal = config.far_end == FarEnd::Rehearsal;
        let mut addressing = config.addressing.clone();
        if is_rehearsal {
            addressing = Addressing { pool: REHEARSAL.to_vec(), ..Addressing::default() };
        }
        let mut pool = Pool::new(&addressing.pool, config.share.of_shards.of, seed);
        let mut claims = (!is_rehearsal).then(|| Claims::new(seed, now, config.share.of_shards.index == 0));
        match &mut claims {
            Some(claims) => {
                addressing.emulated_gateways.iter().for_each(|gateway| claims.claim(now, *gateway, Term::Standing));
            }
            None => pool.open_all(),
        }
        let mut locals = Self {
            share: config.share,
            targets: targets(config),
            addressing,
            pool,
            claims,
            claims_max: config.limits.addresses,
            rest: config.limits.port_rest,
            taken: Table::new(seed),
            resting: VecDeque::new(),
            preserved: Table::new(seed),
            unused: VecDeque::new(),
            port: PORT_FIRST,
            ports_exchanged: 0,
            conflicts_before: 0,
            next_at: None,
        };
        locals.next_at = locals.due();
        locals
    }

    /// Takes new settings; what is in use or at rest stays so. Where the addresses change, all are claimed anew.
    pub fn configure(&mut self, config: &Config, is_same_link: bool, seed: u64, now: Time) {
        if is_same_link {
            self.targets = targets(config);
            return;
        }
        let (none, nobody) = (Table::new(seed), Table::new(seed));
        *self = Self {
            taken: core::mem::replace(&mut self.taken, none),
            resting: core::mem::take(&mut self.resting),
            preserved: core::mem::replace(&mut self.preserved, nobody),
            ports_exchanged: self.ports_exchanged,
            conflicts_before: self.conflicts_found(),
            ..Self::new(config, seed, now)
        };
        self.next_at = self.due();
    }

    /// Takes the address and port from which `client`'s session with `target` is replayed.
    ///
    /// # Errors
    /// There is none, or not yet.
    pub fn take(&mut self, now: Time, client: Endpoint, target: Endpoint) -> Result<Endpoint, Refusal> {
        let taken = self.choose(now, client, target);
        self.next_at = self.due();
        taken
    }

    fn choose(&mut self, now: Time, client: Endpoint, target: Endpoint) -> Result<Endpoint, Refusal> {
        self.wake(now);
        let same_family = client.ip().is_ipv4() == target.ip().is_ipv4();
        let local = match self.addressing.mode {
            Mode::Preserve if same_family => self.preserve(now, client, target)?,
            Mode::Preserve if self.addressing.pool.is_empty() => return Err(Refusal::For(NotReplayed::NoWayBack)),
            Mode::Preserve | Mode::Pool => self.next_of_pool(now, target)?,
        };
        self.taken.insert((local, target), ());
        Ok(local)
    }

    /// Connections with a local port, those at rest not counted.
    pub fn in_use(&self) -> usize {
        self.taken.len() - self.resting.len()
    }

    /// Gives one back, to rest before it is taken again.
    pub fn give(&mut self, now: Time, pair: Pair) {
        self.resting.push_back((now + self.rest, pair));
        self.next_at = self.due();
    }

    fn next_of_pool(&mut self, now: Time, target: Endpoint) -> Result<Endpoint, Refusal> {
        let Self { pool, claims, taken, share, .. } = self;
        let unclaimed = Standing::Pending(now + SOON);
        let standing =
            |address| claims.as_ref().map_or(Standing::Held, |claims| claims.standing(address).unwrap_or(unclaimed));
        let is_taken = |local: Endpoint| !share.has_local(local.ip(), local.port()) || taken.contains(&(local, target));
        match pool.search(target.ip(), standing, is_taken) {
            Search::Found(local) => Ok(local),
            Search::Pending(at) => Err(Refusal::Wait(at.max(now + SOON))),
            Search::Lost => Err(Refusal::For(NotReplayed::AddressConflict)),
            Search::Exhausted => Err(Refusal::For(NotReplayed::PoolExhausted)),
        }
    }

    fn preserve(&mut self, now: Time, client: Endpoint, target: Endpoint) -> Result<Endpoint, Refusal> {
        match self.claim_client(now, client.ip(), target.ip())? {
            Standing::Held => {}
            Standing::Pending(at) => return Err(Refusal::Wait(at.max(now + SOON))),
            Standing::Lost => return Err(Refusal::For(NotReplayed::AddressConflict)),
        }
        let local = self.free_port(client, target).ok_or(Refusal::For(NotReplayed::PoolExhausted))?;
        let before = self.preserved.get(&local.ip()).copied().unwrap_or(0);
        self.preserved.insert(local.ip(), before + 1);
        Ok(local)
    }

    /// How it stands with a client's own address, which is claimed where it lies on the link.
    fn claim_client(&mut self, now: Time, client: IpAddr, target: IpAddr) -> Result<Standing, Refusal> {
        if self.is_foreign(client) {
            return Ok(Standing::Lost);
        }
        if !self.addressing.is_on_link(client) {
            return self.standing_off_link(client, target).ok_or(Refusal::For(NotReplayed::NoWayBack));
        }
        let Some(claims) = &mut self.claims else { return Ok(Standing::Held) };
        if claims.len() >= self.claims_max && claims.standing(client).is_none() {
            return Err(Refusal::For(NotReplayed::Limit));
        }
        claims.claim(now, client, Term::Passing);
        Ok(claims.standing(client).unwrap_or(Standing::Lost))
    }

    /// Whether the address is known to be somebody else's.
    fn is_foreign(&self, address: IpAddr) -> bool {
        let Addressing { foreign, gateway, emulated_gateways, .. } = &self.addressing;
        let routers = gateway.iter().chain(emulated_gateways);
        routers.chain(foreign).chain(&self.targets).any(|other| *other == address) || self.pool.contains(address)
    }

    /// How it stands with the way from `target` to clients off the link; `None` where there is none.
    fn standing_off_link(&self, client: IpAddr, target: IpAddr) -> Option<Standing> {
        let is_routable = match client {
            IpAddr::V4(client) => !(client.is_loopback() || client.is_link_local()),
            IpAddr::V6(client) => !(client.is_loopback() || client.is_unicast_link_local()),
        };
        let claims = self.claims.as_ref().filter(|_| is_routable)?;
        let of_family = || self.gateways_like(target);
        let near = of_family().any(|gateway| self.addressing.share_subnet(gateway, target));
        let standings = of_family()
            .filter(|gateway| !near || self.addressing.share_subnet(*gateway, target))
            .filter_map(|gateway| claims.standing(gateway));
        standings.min_by_key(|standing| match standing {
            Standing::Held => 0,
            Standing::Pending(_) => 1,
            Standing::Lost => 2,
        })
    }

    fn gateways_like(&self, address: IpAddr) -> impl Iterator<Item = IpAddr> + '_ {
        let gateways = self.addressing.emulated_gateways.iter().copied();
        gateways.filter(move |gateway| gateway.is_ipv4() == address.is_ipv4())
    }

    /// The client's own port, or another where the 4-tuple is in use or at rest.
    fn free_port(&mut self, client: Endpoint, target: Endpoint) -> Option<Endpoint> {
        if !self.taken.contains(&(client, target)) {
            return Some(client);
        }
        let other = (0..TRIES).find_map(|_| {
            self.port = port_after(self.port);
            let local = Endpoint::new(client.ip(), self.port);
            let is_free = self.share.has_local(local.ip(), local.port()) && !self.taken.contains(&(local, target));
            is_free.then_some(local)
        });
        self.ports_exchanged += u64::from(other.is_some());
        other
    }

    fn wake(&mut self, now: Time) {
        while let Some((_, pair)) = self.resting.pop_front_if(|(until, _)| *until <= now) {
            self.taken.remove(&pair);
            self.pool.leave(pair.0.ip());
            self.leave(pair.0.ip());
        }
        while let Some((_, address)) = self.unused.pop_front_if(|(at, _)| *at <= now) {
            if !self.preserved.contains(&address) {
                self.release(address);
            }
        }
    }

    fn leave(&mut self, address: IpAddr) {
        match self.preserved.get(&address) {
            None => {}
            Some(1) => {
                self.preserved.remove(&address);
                self.release(address);
            }
            Some(count) => {
                let less = count - 1;
                self.preserved.insert(address, less);
            }
        }
    }

    /// Whether the pool has few ports left and will have more, because some are at rest.
    pub fn is_scarce(&self) -> bool {
        !self.resting.is_empty() && self.pool.is_scarce()
    }

    /// Whether a range of the pool has no address yet of which it is known whether somebody else has it.
    pub fn is_preparing(&self) -> bool {
        let Some(claims) = &self.claims else { return false };
        let is_pending = |address| matches!(claims.standing(address), Some(Standing::Pending(_)));
        self.pool.heads().any(|head| head.is_none_or(is_pending))
    }

    fn release(&mut self, address: IpAddr) {
        if let Some(claims) = &mut self.claims {
            claims.release(address);
        }
    }

    fn standing(&self, address: IpAddr) -> Option<Standing> {
        self.claims.as_ref()?.standing(address)
    }

    /// Whether ARP and NDP for `address` are the box's to answer.
    pub fn answers_for(&self, address: IpAddr) -> bool {
        self.standing(address) == Some(Standing::Held)
    }

    /// Whether `address` is one that targets take for their gateway.
    pub fn is_gateway(&self, address: IpAddr) -> bool {
        self.addressing.emulated_gateways.contains(&address)
    }

    /// Whether IP packets from and to `address` are the box's.
    pub fn carries(&self, address: IpAddr) -> bool {
        self.carriage(address).is_some()
    }

    /// Of an address whose IP packets are the box's, whether ARP and NDP for it are the box's to answer, too.
    pub fn carriage(&self, address: IpAddr) -> Option<bool> {
        match self.standing(address) {
            Some(Standing::Held) if self.pool.contains(address) => Some(true),
            Some(Standing::Held) => self.preserved.contains(&address).then_some(true),
            Some(_) => None,
            None => self.preserved.contains(&address).then_some(false),
        }
    }

    /// Whether a segment between these belongs to a replay, wherever it is seen.
    pub fn is_own(&self, local: Endpoint, remote: Endpoint) -> bool {
        self.pool.holds(local) || (!self.preserved.is_empty() && self.taken.contains(&(local, remote)))
    }

    /// An address of the box from which to ask for `hop`: of the same subnet, else of the same family.
    pub fn asker(&self, hop: IpAddr) -> Option<IpAddr> {
        let held = || self.gateways_like(hop).chain(self.pool.firsts()).filter(|address| self.answers_for(*address));
        let near = held().find(|address| self.addressing.share_subnet(*address, hop));
        near.or_else(|| held().find(|address| address.is_ipv4() == hop.is_ipv4()))
    }

    /// The station `mac` says that `address` is its own. Whether the box has a claim to it.
    pub fn contest(&mut self, now: Time, address: IpAddr, mac: [u8; 6]) -> bool {
        let is_claimed = self.claims.as_mut().is_some_and(|claims| claims.contest(now, address, mac));
        self.next_at = self.due();
        is_claimed
    }

    /// The station `mac` would like to have `address`.
    pub fn rival(&mut self, now: Time, address: IpAddr, mac: [u8; 6]) {
        if let Some(claims) = &mut self.claims {
            claims.rival(now, address, mac);
        }
        self.next_at = self.due();
    }

    /// The next address that was lost to somebody else while it was in use.
    pub fn poll_ceded(&mut self) -> Option<IpAddr> {
        self.claims.as_mut()?.poll_ceded()
    }

    /// Whether a connection can no longer be used, because somebody else has its address or its way back.
    pub fn is_lost(&self, (local, remote): Pair) -> bool {
        let on_link = self.standing(local.ip());
        let standing = on_link.or_else(|| self.standing_off_link(local.ip(), remote.ip()));
        standing == Some(Standing::Lost)
    }

    /// Does what is due; the next thing to say to all stations.
    pub fn poll_announcement(&mut self, now: Time) -> Option<Announcement> {
        let announcement = self.announce(now);
        self.next_at = self.due();
        announcement
    }

    fn announce(&mut self, now: Time) -> Option<Announcement> {
        self.wake(now);
        let claims = self.claims.as_mut()?;
        let mut announcement = claims.poll(now);
        if announcement.is_none() && claims.free_at() <= now && claims.len() < self.claims_max {
            let address = self.pool.open()?;
            claims.claim(now, address, Term::Standing);
            announcement = claims.poll(now);
        }
        if let Some(Announcement::Held(address)) = announcement
            && !self.is_foreign(address)
        {
            self.unused.push_back((now + self.rest, address));
        }
        announcement
    }

    /// When [`Locals::poll_announcement`] has something to do.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.next_at
    }

    fn due(&self) -> Option<Time> {
        let claims = self.claims.as_ref()?;
        let opens = self.pool.has_unopened() && claims.len() < self.claims_max;
        // The pool's own rest is looked after when a port is taken.
        let rested = self.resting.front().map(|(until, _)| *until).filter(|_| !self.preserved.is_empty());
        let unused = self.unused.front().map(|(at, _)| *at);
        [claims.next_due(), opens.then(|| claims.free_at()), rested, unused].into_iter().flatten().min()
    }

    /// Addresses that the box may not use because somebody else has them, with his Ethernet address.
    pub fn conflicts(&self) -> impl Iterator<Item = (IpAddr, [u8; 6])> + '_ {
        self.claims.iter().flat_map(Claims::conflicts)
    }

    /// Conflicts found so far.
    pub fn conflicts_found(&self) -> u64 {
        self.conflicts_before + self.claims.as_ref().map_or(0, Claims::conflicts_found)
    }

    /// Connections that got another port than the client's, because the client's was in use or at rest.
    pub fn ports_exchanged(&self) -> u64 {
        self.ports_exchanged
    }
}

fn targets(config: &Config) -> Vec<IpAddr> {
    config.services.iter().flat_map(|service| &service.targets).map(|target| target.ip()).collect()
}

fn port_after(port: u16) -> u16 {
    port.checked_add(1).unwrap_or(PORT_FIRST)
}
