//! How often somebody may be wrong: after five wrong passwords in a row, whoever sent them waits, longer each time.
//!
//! Addresses and accounts are counted apart: one machine cannot try many accounts, nor many machines one account. An
//! account waits a minute at most, and not for an address from which its owner has logged in: so strangers who try without end
//! cannot lock him out. A try counts as wrong until it is known to be right, so that many at once are no more than one by one.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;
use tapcopy_engine::Time;

/// Wrong passwords in a row that cost no wait.
const FREE: u32 = 5;
/// The first wait; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(5);
const ADDRESS_WAIT_MAX: Duration = Duration::from_secs(15 * 60);
const ACCOUNT_WAIT_MAX: Duration = Duration::from_secs(60);
/// A count is forgotten when nothing was wrong for so long.
const MEMORY: Duration = Duration::from_secs(30 * 60);
/// Counts kept. Beyond it the oldest go: who has so many addresses waits for the accounts.
const COUNTS: usize = 10_000;
/// Places kept from which owners have logged in, likewise.
const PLACES: usize = 10_000;

/// Whose mistakes are counted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Whose {
    Address(IpAddr),
    Account(String),
}

#[derive(Clone, Copy, Debug)]
struct Count {
    wrong: u32,
    last: Time,
    free_at: Time,
}

/// The counts.
#[derive(Debug, Default)]
pub struct Limiter {
    counts: BTreeMap<Whose, Count>,
    /// Where the owners of accounts have logged in from, and when last.
    places: BTreeMap<(String, IpAddr), Time>,
}

impl Limiter {
    /// How long this sender has to wait before he may try this account.
    fn wait(&self, now: Time, address: Option<IpAddr>, account: &str) -> Option<Duration> {
        let is_owners = place(address, account).is_some_and(|place| self.places.contains_key(&place));
        let counted = keys(address, account).filter(|whose| !is_owners || matches!(whose, Whose::Address(_)));
        let counts = counted.filter_map(|whose| self.counts.get(&whose));
        counts.map(|count| count.free_at.since(now)).filter(|wait| !wait.is_zero()).max()
    }

    /// Counts a try as a mistake, unless its sender has to wait; how long he has to.
    pub fn attempt(&mut self, now: Time, address: Option<IpAddr>, account: &str) -> Option<Duration> {
        let wait = self.wait(now, address, account);
        if wait.is_none() {
            self.wrong(now, address, account);
        }
        wait
    }

    fn wrong(&mut self, now: Time, address: Option<IpAddr>, account: &str) {
        for whose in keys(address, account) {
            let most = if matches!(whose, Whose::Address(_)) { ADDRESS_WAIT_MAX } else { ACCOUNT_WAIT_MAX };
            let count = self.counts.entry(whose).or_insert(Count { wrong: 0, last: now, free_at: now });
            if now.since(count.last) > MEMORY {
                count.wrong = 0;
            }
            count.wrong += 1;
            count.last = now;
            if let Some(beyond) = count.wrong.checked_sub(FREE) {
                count.free_at = now + FIRST_WAIT.saturating_mul(1 << beyond.min(16)).min(most);
            }
        }
        while self.counts.len() > COUNTS {
            let oldest = self.counts.iter().min_by_key(|(_, count)| count.last).map(|(whose, _)| whose.clone());
            oldest.map(|whose| self.counts.remove(&whose));
        }
    }

    /// Forgets the mistakes of who was right, and remembers where he is.
    pub fn right(&mut self, now: Time, address: Option<IpAddr>, account: &str) {
        keys(address, account).for_each(|whose| {
            self.counts.remove(&whose);
        });
        self.places.extend(place(address, account).map(|place| (place, now)));
        while self.places.len() > PLACES {
            let oldest = self.places.iter().min_by_key(|(_, at)| **at).map(|(place, _)| place.clone());
            oldest.map(|place| self.places.remove(&place));
        }
    }
}

fn keys(address: Option<IpAddr>, account: &str) -> impl Iterator<Item = Whose> {
    address.map(|address| Whose::Address(network(address))).into_iter().chain([Whose::Account(shortened(account))])
}

fn place(address: Option<IpAddr>, account: &str) -> Option<(String, IpAddr)> {
    address.map(|address| (shortened(account), network(address)))
}

/// A name of a stranger's choosing.
fn shortened(account: &str) -> String {
    account.chars().take(64).collect()
}

/// One customer has a whole /64 of IPv6 (RFC 6177).
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn waits_grow_and_end() {
        let (mut limiter, here) = (Limiter::default(), Some("192.0.2.1".parse().unwrap()));
        for _ in 0..4 {
            limiter.wrong(at(0), here, "admin");
        }
        assert_eq!(limiter.wait(at(0), here, "admin"), None);
        limiter.wrong(at(0), here, "admin");
        assert_eq!(limiter.wait(at(0), here, "admin"), Some(FIRST_WAIT));
        assert_eq!(limiter.wait(at(5), here, "admin"), None);
        limiter.wrong(at(5), here, "admin");
        assert_eq!(limiter.wait(at(5), here, "admin"), Some(2 * FIRST_WAIT));
        limiter.right(at(5), here, "admin");
        assert_eq!(limiter.wait(at(5), here, "admin"), None);
    }

    #[test]
    fn addresses_and_accounts_wait_apart() {
        let mut limiter = Limiter::default();
        let host = |number: u32| Some(IpAddr::V4((0xc000_0200 + number).into()));
        for number in 0..20 {
            limiter.wrong(at(0), host(number), "admin");
        }
        assert_eq!(limiter.wait(at(0), host(99), "admin"), Some(ACCOUNT_WAIT_MAX));
        assert_eq!(limiter.wait(at(0), host(0), "other"), None);
        for number in 0..20 {
            limiter.wrong(at(0), host(50), &format!("user{number}"));
        }
        assert_eq!(limiter.wait(at(0), host(50), "new"), Some(ADDRESS_WAIT_MAX));
    }

    #[test]
    fn strangers_do_not_lock_an_owner_out() {
        let mut limiter = Limiter::default();
        let host = |number: u32| Some(IpAddr::V4((0xc000_0200 + number).into()));
        limiter.right(at(0), host(0), "admin");
        let tries = |number| limiter.attempt(at(u64::from(number)), host(number), "admin").is_some();
        assert!((1..200).map(tries).filter(|must_wait| *must_wait).count() > 180);
        assert_eq!(limiter.wait(at(200), host(0), "admin"), None);
        // His own mistakes count, there as elsewhere.
        let waits: Vec<bool> = (0..8).map(|_| limiter.attempt(at(200), host(0), "admin").is_some()).collect();
        assert_eq!(waits, [false, false, false, false, false, true, true, true]);
        for number in 0..PLACES as u32 + 10 {
            limiter.right(at(300), host(number), "admin");
        }
        assert_eq!(limiter.places.len(), PLACES);
    }

    #[test]
    fn a_network_of_ipv6_is_one_sender_and_counts_are_bounded() {
        let mut limiter = Limiter::default();
        for host in 0..5_u128 {
            limiter.wrong(at(0), Some(IpAddr::V6((0x2001_0db8 << 96 | host).into())), &format!("user{host}"));
        }
        assert!(limiter.wait(at(0), Some("2001:db8::ffff".parse().unwrap()), "x").is_some());
        for host in 0..COUNTS as u32 + 10 {
            limiter.wrong(at(1), Some(IpAddr::V4(host.into())), "admin");
        }
        assert_eq!(limiter.counts.len(), COUNTS);
    }
}
