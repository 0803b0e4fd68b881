//! The box's claims to its addresses, as dialogues. Strangers are `0d`.

use crate::dialogue::{check, check_claims, config, millis, settled};
use std::collections::BTreeSet;
use tapcopy_engine::config::{Addressing, Config, FarEnd, Mode, PoolRange, Subnet};
use tapcopy_engine::frame::Endpoint;
use tapcopy_engine::ledger::NotReplayed;
use tapcopy_engine::local::{Announcement, Locals, Refusal};
use tapcopy_engine::share::{Part, Share};

fn pool_of(address: &str, prefix_len: u8) -> PoolRange {
    let address = address.parse().unwrap();
    PoolRange { first: address, last: address, prefix_len }
}

/// A pool of one address.
fn one_address(address: &str, prefix_len: u8, targets: &[&str]) -> Config {
    let addressing = Addressing { pool: vec![pool_of(address, prefix_len)], ..Addressing::default() };
    Config { addressing, ..config(None, targets) }
}

/// Clients keep their addresses; the link has two subnets, and two gateways that the box stands in for.
fn preserve(targets: &[&str]) -> Config {
    let subnet = |address: &str, prefix_len| Subnet { address: address.parse().unwrap(), prefix_len };
    let addressing = Addressing {
        mode: Mode::Preserve,
        link: vec![subnet("10.0.0.0", 24), subnet("fd00::", 64)],
        emulated_gateways: vec!["10.0.0.1".parse().unwrap(), "fe80::1".parse().unwrap()],
        foreign: vec!["10.0.0.77".parse().unwrap()],
        ..Addressing::default()
    };
    Config { addressing, ..config(None, targets) }
}

fn endpoint(text: &str) -> Endpoint {
    text.parse::<core::net::SocketAddr>().unwrap().into()
}

#[test]
fn an_address_is_asked_for_before_it_is_used() {
    check_claims(
        &one_address("10.0.0.100", 24, &["10.0.0.9"]),
        "0    > 0b>all arp request 0.0.0.0/0b 10.0.0.100/none
         1    < 0e>all arp request 10.0.0.9/0e 10.0.0.100/none = ignored
         250  > 0b>all arp request 0.0.0.0/0b 10.0.0.100/none
         500  > 0b>all arp request 0.0.0.0/0b 10.0.0.100/none
         600  send 10.0.0.100>10.0.0.9 1
         600  unresolved 1
         750  > 0b>all arp request 10.0.0.100/0b 10.0.0.100/none
         750  > 0b>all arp request 10.0.0.100/0b 10.0.0.9/none
         751  < 0e>all arp request 10.0.0.9/0e 10.0.0.100/none = handled
         751  > 0b>0e arp reply 10.0.0.100/0b 10.0.0.9/0e",
    );
    check_claims(
        &one_address("fd00::100", 64, &["fd00::9"]),
        "0    > 0b>33:ff000100 ns ::>ff02::1:ff00:100 fd00::100 -
         250  > 0b>33:ff000100 ns ::>ff02::1:ff00:100 fd00::100 -
         500  > 0b>33:ff000100 ns ::>ff02::1:ff00:100 fd00::100 -
         750  > 0b>33:1 na fd00::100>ff02::1 fd00::100 0b O
         750  > 0b>33:ff000009 ns fd00::100>ff02::1:ff00:9 fd00::9 0b
         751  < 0e>0b na fd00::9>fd00::100 fd00::9 0e SO = handled
         752  send fd00::100>fd00::9 1
         752  > 0b>0e ip fd00::100>fd00::9 1",
    );
}

#[test]
fn an_address_that_somebody_has_is_left_alone_for_a_minute() {
    check_claims(
        &one_address("10.0.0.100", 24, &["10.0.0.9"]),
        "0     > 0b>all arp request 0.0.0.0/0b 10.0.0.100/none
         1     < 0d>0b arp reply 10.0.0.100/0d 0.0.0.0/0b = handled
         2     < 0e>all arp request 10.0.0.9/0e 10.0.0.100/none = ignored
         3     < 0e>0b ip 10.0.0.9>10.0.0.100 1 = ignored
         60001 > 0b>all arp request 0.0.0.0/0b 10.0.0.100/none
         60251 > 0b>all arp request 0.0.0.0/0b 10.0.0.100/none
         60501 > 0b>all arp request 0.0.0.0/0b 10.0.0.100/none
         60751 > 0b>all arp request 10.0.0.100/0b 10.0.0.100/none
         60751 > 0b>all arp request 10.0.0.100/0b 10.0.0.9/none",
    );
    check_claims(
        &one_address("fd00::100", 64, &[]),
        "0     > 0b>33:ff000100 ns ::>ff02::1:ff00:100 fd00::100 -
         1     < 0d>33:1 na fd00::100>ff02::1 fd00::100 0d O = handled
         2     < 0e>33:ff000100 ns fd00::9>ff02::1:ff00:100 fd00::100 0e = ignored",
    );
}

#[test]
fn of_two_that_ask_at_once_neither_gets_it() {
    check_claims(
        &one_address("10.0.0.100", 24, &[]),
        "0 > 0b>all arp request 0.0.0.0/0b 10.0.0.100/none
         1 < 0d>all arp request 0.0.0.0/0d 10.0.0.100/none = ignored
         9000 unresolved 0",
    );
    check_claims(
        &one_address("fd00::100", 64, &[]),
        "0 > 0b>33:ff000100 ns ::>ff02::1:ff00:100 fd00::100 -
         1 < 0d>33:ff000100 ns ::>ff02::1:ff00:100 fd00::100 - = ignored
         9000 unresolved 0",
    );
}

#[test]
fn an_address_that_somebody_takes_is_given_up_at_once() {
    check(
        &one_address("10.0.0.100", 24, &["10.0.0.9"]),
        "0 > 0b>all arp request 10.0.0.100/0b 10.0.0.9/none
         1 < 0e>0b arp reply 10.0.0.9/0e 10.0.0.100/0b = handled
         2 < 0d>all arp request 10.0.0.100/0d 10.0.0.100/none = handled
         3 < 0e>all arp request 10.0.0.9/0e 10.0.0.100/none = handled
         4 send 10.0.0.100>10.0.0.9 1
         4 < 0e>0b ip 10.0.0.9>10.0.0.100 2 = ignored
         5 unresolved 1",
    );
    check(
        &one_address("fd00::100", 64, &[]),
        "0 < 0d>33:1 na fd00::100>ff02::1 fd00::100 0d O = handled
         1 < 0e>33:ff000100 ns fd00::9>ff02::1:ff00:100 fd00::100 0e = ignored",
    );
    check(
        &one_address("fd00::100", 64, &[]),
        "0 < 0d>33:ff000009 ns fd00::100>ff02::1:ff00:9 fd00::9 0d = handled
         1 < 0e>33:ff000100 ns fd00::9>ff02::1:ff00:100 fd00::100 0e = ignored",
    );
}

#[test]
fn who_would_like_to_have_an_address_of_the_box_is_told() {
    check(
        &one_address("10.0.0.100", 24, &[]),
        "0 < 0d>all arp request 0.0.0.0/0d 10.0.0.100/none = handled
         0 > 0b>0d arp reply 10.0.0.100/0b 0.0.0.0/0d",
    );
}

#[test]
fn the_box_stands_in_for_gateways_and_for_nobody_else() {
    check_claims(
        &preserve(&["10.0.0.9", "fd00::9"]),
        "0   > 0b>all arp request 0.0.0.0/0b 10.0.0.1/none
         1   > 0b>33:ff000001 ns ::>ff02::1:ff00:1 fe80::1 -
         250 > 0b>all arp request 0.0.0.0/0b 10.0.0.1/none
         251 > 0b>33:ff000001 ns ::>ff02::1:ff00:1 fe80::1 -
         500 > 0b>all arp request 0.0.0.0/0b 10.0.0.1/none
         501 > 0b>33:ff000001 ns ::>ff02::1:ff00:1 fe80::1 -
         750 > 0b>all arp request 10.0.0.1/0b 10.0.0.1/none
         750 > 0b>all arp request 10.0.0.1/0b 10.0.0.9/none
         751 > 0b>33:1 na fe80::1>ff02::1 fe80::1 0b RO
         751 > 0b>33:ff000009 ns fe80::1>ff02::1:ff00:9 fd00::9 0b
         752 < 0e>0b arp reply 10.0.0.9/0e 10.0.0.1/0b = handled
         753 < 0e>0b na fd00::9>fe80::1 fd00::9 0e SO = handled
         760 < 0e>all arp request 10.0.0.9/0e 10.0.0.1/none = handled
         760 > 0b>0e arp reply 10.0.0.1/0b 10.0.0.9/0e
         761 < 0e>33:ff000001 ns fd00::9>ff02::1:ff00:1 fe80::1 0e = handled
         761 > 0b>0e na fe80::1>fd00::9 fe80::1 0b RSO
         762 < 0d>all arp request 10.0.0.8/0d 10.0.0.50/none = ignored
         763 < 0e>33:ff000050 ns fd00::9>ff02::1:ff00:50 fd00::50 0e = ignored
         764 < 0e>0b ip 10.0.0.9>192.0.2.5 1 = ignored
         765 < 0e>0b ip 10.0.0.9>10.0.0.1 1 = ignored",
    );
}

/// Says what is due, until `until`.
fn pass(locals: &mut Locals, until: u64) -> Vec<Announcement> {
    let mut said = Vec::new();
    while let Some(due) = locals.poll_timeout().filter(|due| *due <= millis(until)) {
        said.extend(locals.poll_announcement(due));
    }
    said
}

#[test]
fn clients_off_the_link_come_by_the_gateway() {
    let mut locals = Locals::new(&preserve(&["10.0.0.9"]), 1, millis(0));
    let (client, target) = (endpoint("192.0.2.5:4000"), endpoint("10.0.0.9:80"));
    assert_eq!(locals.take(millis(0), client, target), Err(Refusal::Wait(millis(750))));
    pass(&mut locals, 1_000);
    assert_eq!(locals.take(millis(1_000), client, target), Ok(client));
    assert!(locals.carries(client.ip()) && !locals.answers_for(client.ip()));
    assert!(locals.is_own(client, target) && !locals.is_own(client, endpoint("10.0.0.9:81")));
    assert!(locals.contest(millis(1_001), "10.0.0.1".parse().unwrap(), [2; 6]));
    assert!(locals.is_lost((client, target)));
    let again = locals.take(millis(1_002), endpoint("192.0.2.6:1"), target);
    assert_eq!(again, Err(Refusal::For(NotReplayed::AddressConflict)));
    assert_eq!(locals.conflicts().count(), 1);
}

#[test]
fn a_client_on_the_link_is_answered_for_while_it_is_replayed() {
    let mut locals = Locals::new(&preserve(&["10.0.0.9"]), 1, millis(0));
    let (client, target) = (endpoint("10.0.0.50:4000"), endpoint("10.0.0.9:80"));
    pass(&mut locals, 1_000);
    assert_eq!(locals.take(millis(1_000), client, target), Err(Refusal::Wait(millis(1_750))));
    let said = pass(&mut locals, 2_000);
    assert_eq!(said.last(), Some(&Announcement::Held(client.ip())));
    assert!(!locals.carries(client.ip()), "nothing is replayed yet");
    assert_eq!(locals.take(millis(2_000), client, target), Ok(client));
    assert!(locals.answers_for(client.ip()) && locals.carries(client.ip()));
    locals.give(millis(3_000), (client, target));
    pass(&mut locals, 62_999);
    assert!(locals.answers_for(client.ip()), "the target may still be in TIME-WAIT");
    pass(&mut locals, 63_000);
    assert!(!locals.answers_for(client.ip()) && !locals.carries(client.ip()));
    assert_eq!(locals.poll_timeout(), None);
}

#[test]
fn a_claim_that_no_session_used_ends() {
    let mut locals = Locals::new(&preserve(&["10.0.0.9"]), 1, millis(0));
    pass(&mut locals, 1_000);
    let client = endpoint("10.0.0.50:4000");
    assert!(locals.take(millis(1_000), client, endpoint("10.0.0.9:80")).is_err());
    pass(&mut locals, 2_000);
    assert!(locals.answers_for(client.ip()));
    pass(&mut locals, 70_000);
    assert!(!locals.answers_for(client.ip()) && locals.poll_timeout().is_none());
}

#[test]
fn addresses_of_others_are_never_preserved() {
    let mut locals = Locals::new(&preserve(&["10.0.0.9", "fd00::9"]), 1, millis(0));
    pass(&mut locals, 1_000);
    let conflict = Err(Refusal::For(NotReplayed::AddressConflict));
    let no_way = Err(Refusal::For(NotReplayed::NoWayBack));
    for (client, expected) in [
        ("10.0.0.9:1", conflict),
        ("10.0.0.1:1", conflict),
        ("10.0.0.77:1", conflict),
        ("127.0.0.1:1", no_way),
        ("169.254.0.1:1", no_way),
        ("[fd00::50]:1", no_way),
    ] {
        assert_eq!(locals.take(millis(1_000), endpoint(client), endpoint("10.0.0.9:80")), expected, "{client}");
    }
    let v6 = endpoint("[fd00::9]:80");
    assert_eq!(locals.take(millis(1_000), endpoint("[fe80::5]:1"), v6), no_way);
    assert_eq!(locals.take(millis(1_000), endpoint("[2001:db8::5]:1"), v6), Ok(endpoint("[2001:db8::5]:1")));
    assert!(pass(&mut locals, 9_000).is_empty(), "none of them is ever asked for");
}

#[test]
fn clients_off_the_link_have_no_way_without_a_gateway() {
    let mut config = preserve(&["10.0.0.9"]);
    config.addressing.emulated_gateways.clear();
    let mut locals = Locals::new(&config, 1, millis(0));
    let taken = locals.take(millis(0), endpoint("192.0.2.5:1"), endpoint("10.0.0.9:80"));
    assert_eq!(taken, Err(Refusal::For(NotReplayed::NoWayBack)));
}

#[test]
fn two_sessions_of_one_client_port_get_two_ports() {
    let mut locals = Locals::new(&preserve(&["10.0.0.9"]), 1, millis(0));
    pass(&mut locals, 1_000);
    let (client, target) = (endpoint("192.0.2.5:4000"), endpoint("10.0.0.9:80"));
    assert_eq!(locals.take(millis(1_000), client, target), Ok(client));
    assert_eq!(locals.take(millis(1_000), client, endpoint("10.0.0.9:81")), Ok(client), "another 4-tuple");
    let other = locals.take(millis(1_000), client, target).unwrap();
    assert!(other.ip() == client.ip() && other.port() != client.port());
    assert_eq!(locals.ports_exchanged(), 1);
    locals.give(millis(2_000), (client, target));
    assert_ne!(locals.take(millis(61_999), client, target), Ok(client), "it rests");
    assert_eq!(locals.take(millis(62_000), client, target), Ok(client));
}

/// Takes from a pool until it has no more.
fn exhaust(locals: &mut Locals, at: u64, target: Endpoint) -> Vec<Endpoint> {
    let take = || locals.take(millis(at), endpoint("192.0.2.5:1"), target).ok();
    core::iter::from_fn(take).collect()
}

#[test]
fn a_4_tuple_of_the_pool_rests_before_it_returns() {
    let mut locals = Locals::new(&one_address("10.0.0.100", 24, &["10.0.0.9"]), 1, millis(0));
    let (client, target) = (endpoint("192.0.2.5:1"), endpoint("10.0.0.9:80"));
    pass(&mut locals, 1_000);
    let taken = exhaust(&mut locals, 1_000, target);
    let ports: BTreeSet<u16> = taken.iter().map(|local| local.port()).collect();
    assert_eq!((taken.len(), ports.first(), ports.last()), (64_512, Some(&1_024), Some(&65_535)));
    assert_eq!(ports.len(), taken.len(), "each once");
    assert_eq!(locals.take(millis(1_000), client, target), Err(Refusal::For(NotReplayed::PoolExhausted)));
    assert!(locals.take(millis(1_000), client, endpoint("10.0.0.9:81")).is_ok(), "another 4-tuple");
    assert!(!locals.is_scarce(), "all are in use, for as long as their sessions last");
    taken.iter().for_each(|local| locals.give(millis(2_000), (*local, target)));
    assert!(locals.is_scarce(), "they will come back");
    assert!(locals.take(millis(61_999), client, target).is_err());
    assert_eq!(exhaust(&mut locals, 62_000, target).len(), 64_512);
}

#[test]
fn a_box_that_is_started_again_begins_with_another_port() {
    let config = one_address("10.0.0.100", 24, &["10.0.0.9"]);
    let first_of = |seed| {
        let mut locals = Locals::new(&config, seed, millis(0));
        pass(&mut locals, 1_000);
        locals.take(millis(1_000), endpoint("192.0.2.5:1"), endpoint("10.0.0.9:80")).unwrap()
    };
    assert_ne!(first_of(1), first_of(2));
}

/// Also where a client's own port is taken, and another takes its place.
#[test]
fn shards_never_use_the_same_address_and_port() {
    let (client, target) = (endpoint("192.0.2.7:40000"), endpoint("10.0.0.9:80"));
    let of_gateway = Config { services: config(None, &["10.0.0.9"]).services, ..preserve(&["10.0.0.9"]) };
    for config in [one_address("10.0.0.100", 24, &["10.0.0.9"]), of_gateway] {
        let mut taken = BTreeSet::new();
        for index in 0..3 {
            let share = Share { of_shards: Part { index, of: 3 }, ..Share::default() };
            let mut locals = settled(&Config { share, ..config.clone() });
            let mut taken_here = 0;
            // The first is the client's own, which its shard alone is given.
            let own = endpoint("192.0.2.7:40000");
            for _ in 0..200 {
                let local = locals.take(millis(1_000), client, target).unwrap();
                let is_own = local == own;
                assert!(is_own || share.has_local(local.ip(), local.port()), "{local}");
                taken_here += usize::from(taken.insert(local) || is_own);
            }
            assert_eq!(taken_here, 200);
        }
    }
}

#[test]
fn a_large_pool_is_claimed_at_a_bounded_rate_and_used_from_the_first_address_on() {
    let range =
        PoolRange { first: "fd00::1".parse().unwrap(), last: "fd00::ffff:ffff".parse().unwrap(), prefix_len: 64 };
    let mut config = one_address("10.0.0.100", 24, &["fd00:0:0:1::9"]);
    config.addressing.pool.push(range);
    config.limits.addresses = 300;
    let mut locals = Locals::new(&config, 1, millis(0));
    let target = endpoint("[fd00:0:0:1::9]:80");
    assert!(matches!(locals.take(millis(0), target, target), Err(Refusal::Wait(_))));
    let said = pass(&mut locals, 999);
    assert!((900..=1_000).contains(&said.len()), "{} frames in a second", said.len());
    let taken: BTreeSet<_> = (0..20).map(|_| locals.take(millis(1_000), target, target).unwrap().ip()).collect();
    assert_eq!(taken.len(), 20, "addresses in turn");
    pass(&mut locals, 60_000);
    assert!(locals.answers_for("fd00::12b".parse().unwrap()));
    assert!(!locals.answers_for("fd00::12c".parse().unwrap()));
    assert_eq!(locals.poll_timeout(), None);
}

#[test]
fn a_pool_whose_addresses_all_belong_to_others() {
    let mut locals = Locals::new(&one_address("10.0.0.100", 24, &["10.0.0.9"]), 1, millis(0));
    pass(&mut locals, 10);
    locals.contest(millis(10), "10.0.0.100".parse().unwrap(), [2; 6]);
    let taken = locals.take(millis(11), endpoint("192.0.2.5:1"), endpoint("10.0.0.9:80"));
    assert_eq!(taken, Err(Refusal::For(NotReplayed::AddressConflict)));
    assert_eq!((locals.conflicts_found(), locals.poll_ceded()), (1, None));
}

#[test]
fn tagged_frames() {
    let far_end = |vlan| FarEnd::Wire { mac: crate::dialogue::BOX, mtu: crate::dialogue::MTU, vlan };
    let config = Config { far_end: far_end(Some(100)), ..one_address("10.0.0.100", 24, &["10.0.0.9"]) };
    check(
        &config,
        "0 > 0b>all 100 arp request 10.0.0.100/0b 10.0.0.9/none
         1 < 0e>0b arp reply 10.0.0.9/0e 10.0.0.100/0b = ignored
         1 < 0e>0b 101 arp reply 10.0.0.9/0e 10.0.0.100/0b = ignored
         1 < 0e>0b 0 arp reply 10.0.0.9/0e 10.0.0.100/0b = ignored
         2 < 0e>0b 100 arp reply 10.0.0.9/0e 10.0.0.100/0b = handled
         3 send 10.0.0.100>10.0.0.9 1
         3 > 0b>0e 100 ip 10.0.0.100>10.0.0.9 1
         4 < 0e>0b 100 ip 10.0.0.9>10.0.0.100 2 = packet of 21",
    );
    let untagged = Config { far_end: far_end(None), ..config };
    check(
        &untagged,
        "0 > 0b>all arp request 10.0.0.100/0b 10.0.0.9/none
         1 < 0e>0b 100 arp reply 10.0.0.9/0e 10.0.0.100/0b = ignored
         2 < 0e>0b 0 arp reply 10.0.0.9/0e 10.0.0.100/0b = handled",
    );
}
