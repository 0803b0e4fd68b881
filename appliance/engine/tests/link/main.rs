//! The link layer of the target NIC, as dialogues. The box is `0b`, the target `0e`, the gateway `01`, strangers others.

mod claims;
mod dialogue;

use dialogue::{MTU, check, config, encode, ip_packet, millis, outcome, settled};
use tapcopy_engine::config::{Config, FarEnd};
use tapcopy_engine::link::{Inbound, Link, TransmitQueue};
use tapcopy_engine::local::Locals;

fn link(config: &Config) -> (Link, Locals) {
    let locals = settled(config);
    (Link::new(config, &locals, millis(0)), locals)
}

#[test]
fn a_target_on_the_link() {
    check(
        &config(None, &["10.0.0.9"]),
        "0    > 0b>all arp request 10.0.0.100/0b 10.0.0.9/none
         1    < 0e>0b arp reply 10.0.0.9/0e 10.0.0.100/0b = handled
         2    send 10.0.0.105>10.0.0.9 1
         2    > 0b>0e ip 10.0.0.105>10.0.0.9 1
         3    < 0e>0b ip 10.0.0.9>10.0.0.105 2 = packet of 21",
    );
    check(
        &config(None, &["fd00::9"]),
        "0    > 0b>33:ff000009 ns fd00::100>ff02::1:ff00:9 fd00::9 0b
         1    < 0e>0b na fd00::9>fd00::100 fd00::9 0e SO = handled
         2    send fd00::105>fd00::9 1
         2    > 0b>0e ip fd00::105>fd00::9 1
         3    < 0e>0b ip fd00::9>fd00::105 2 = packet of 41",
    );
}

#[test]
fn a_target_behind_the_gateway() {
    check(
        &config(Some("10.0.0.1"), &["192.0.2.9", "10.0.0.9"]),
        "0    > 0b>all arp request 10.0.0.100/0b 10.0.0.1/none
         0    > 0b>all arp request 10.0.0.100/0b 10.0.0.9/none
         1    < 01>0b arp reply 10.0.0.1/01 10.0.0.100/0b = handled
         2    send 10.0.0.100>192.0.2.9 1
         2    > 0b>01 ip 10.0.0.100>192.0.2.9 1
         3    < 01>0b ip 192.0.2.9>10.0.0.100 2 = packet of 21",
    );
    check(
        &config(Some("fe80::1"), &["2001:db8::9"]),
        "0    > 0b>33:ff000001 ns fd00::100>ff02::1:ff00:1 fe80::1 0b
         1    < 01>0b na fe80::1>fd00::100 fe80::1 01 SO = handled
         2    send fd00::100>2001:db8::9 1
         2    > 0b>01 ip fd00::100>2001:db8::9 1",
    );
}

#[test]
fn a_packet_without_a_next_hop_is_dropped() {
    check(
        &config(Some("fe80::1"), &[]),
        "0    > 0b>33:ff000001 ns fd00::100>ff02::1:ff00:1 fe80::1 0b
         1    send 10.0.0.100>192.0.2.9 1
         1    send 10.0.0.100>10.0.0.7 2
         1    send 10.0.0.7>10.0.0.9 3
         1    send fd00::100>fd00::9 4
         1    unresolved 4",
    );
}

#[test]
fn packets_wait_for_the_answer_and_are_asked_for_from_their_source() {
    check(
        &config(None, &["10.0.0.9"]),
        "0    > 0b>all arp request 10.0.0.100/0b 10.0.0.9/none
         400  send 10.0.0.103>10.0.0.9 1
         600  send 10.0.0.104>10.0.0.9 2
         1000 > 0b>all arp request 10.0.0.104/0b 10.0.0.9/none
         1001 < 0e>0b arp reply 10.0.0.9/0e 10.0.0.104/0b = handled
         1001 > 0b>0e ip 10.0.0.103>10.0.0.9 1
         1001 > 0b>0e ip 10.0.0.104>10.0.0.9 2
         1002 unresolved 0",
    );
}

#[test]
fn no_answer_to_three_probes() {
    check(
        &config(None, &["10.0.0.9"]),
        "0     > 0b>all arp request 10.0.0.100/0b 10.0.0.9/none
         500   send 10.0.0.100>10.0.0.9 1
         1000  > 0b>all arp request 10.0.0.100/0b 10.0.0.9/none
         2000  > 0b>all arp request 10.0.0.100/0b 10.0.0.9/none
         2999  unresolved 0
         3000  unresolved 1
         9000  send 10.0.0.101>10.0.0.9 2
         9000  > 0b>all arp request 10.0.0.101/0b 10.0.0.9/none
         9000  send 10.0.0.101>10.0.0.9 3
         9001  < 0e>0b arp reply 10.0.0.9/0e 10.0.0.101/0b = handled
         9001  > 0b>0e ip 10.0.0.101>10.0.0.9 2
         9001  > 0b>0e ip 10.0.0.101>10.0.0.9 3
         9002  unresolved 1",
    );
}

/// What a full queue would drop is not counted as said.
#[test]
fn a_full_queue_puts_questions_off() {
    let config = config(None, &["10.0.0.8", "10.0.0.9"]);
    let (mut link, mut locals) = link(&config);
    let mut queue = TransmitQueue::new(1, MTU);
    for asked in [[10, 0, 0, 8], [10, 0, 0, 9]] {
        link.handle_timeout(millis(0), &mut locals, &mut queue);
        assert!(queue.pop().is_some_and(|frame| frame.ends_with(&asked)), "{asked:?}");
    }
    assert_eq!(queue.frames_dropped(), 0);
    assert!(link.poll_timeout(&locals) > Some(millis(0)));
}

#[test]
fn a_neighbor_that_falls_silent_is_verified() {
    check(
        &config(None, &["10.0.0.9"]),
        "0     > 0b>all arp request 10.0.0.100/0b 10.0.0.9/none
         1     < 0e>0b arp reply 10.0.0.9/0e 10.0.0.100/0b = handled
         1000  send 10.0.0.102>10.0.0.9 1
         1000  > 0b>0e ip 10.0.0.102>10.0.0.9 1
         2900  < 0e>0b ip 10.0.0.9>10.0.0.102 2 = packet of 21
         9000  send 10.0.0.102>10.0.0.9 3
         9000  > 0b>0e ip 10.0.0.102>10.0.0.9 3
         10000 send 10.0.0.103>10.0.0.9 4
         10000 > 0b>0e ip 10.0.0.103>10.0.0.9 4
         11000 > 0b>0e arp request 10.0.0.103/0b 10.0.0.9/none
         11001 < 0e>0b arp reply 10.0.0.9/0e 10.0.0.103/0b = handled
         20000 send 10.0.0.100>10.0.0.9 5
         20000 > 0b>0e ip 10.0.0.100>10.0.0.9 5
         22000 > 0b>0e arp request 10.0.0.100/0b 10.0.0.9/none
         22500 < 0e>0b ip 10.0.0.9>10.0.0.102 6 = packet of 21
         999000 unresolved 0",
    );
}

#[test]
fn a_neighbor_that_has_moved_without_a_word_is_found_within_seconds() {
    check(
        &config(None, &["fd00::9"]),
        "0     > 0b>33:ff000009 ns fd00::100>ff02::1:ff00:9 fd00::9 0b
         0     < 0e>0b na fd00::9>fd00::100 fd00::9 0e SO = handled
         1000  send fd00::100>fd00::9 1
         1000  > 0b>0e ip fd00::100>fd00::9 1
         1500  < 0f>0b ip fd00::9>fd00::100 2 = packet of 41
         3000  > 0b>0e ns fd00::100>fd00::9 fd00::9 0b
         3500  send fd00::101>fd00::9 3
         3500  > 0b>0e ip fd00::101>fd00::9 3
         4000  > 0b>33:ff000009 ns fd00::101>ff02::1:ff00:9 fd00::9 0b
         4001  < 0f>0b na fd00::9>fd00::101 fd00::9 0f SO = handled
         4002  send fd00::101>fd00::9 4
         4002  > 0b>0f ip fd00::101>fd00::9 4",
    );
}

#[test]
fn a_neighbor_that_has_gone_is_asked_for_at_its_place_and_then_everywhere() {
    check(
        &config(None, &["fd00::9"]),
        "0     > 0b>33:ff000009 ns fd00::100>ff02::1:ff00:9 fd00::9 0b
         0     < 0e>0b na fd00::9>fd00::100 fd00::9 0e SO = handled
         1000  send fd00::100>fd00::9 1
         1000  > 0b>0e ip fd00::100>fd00::9 1
         3000  > 0b>0e ns fd00::100>fd00::9 fd00::9 0b
         4000  > 0b>33:ff000009 ns fd00::100>ff02::1:ff00:9 fd00::9 0b
         4500  send fd00::101>fd00::9 2
         4500  > 0b>0e ip fd00::101>fd00::9 2
         5000  > 0b>33:ff000009 ns fd00::101>ff02::1:ff00:9 fd00::9 0b
         6000  > 0b>33:ff000009 ns fd00::101>ff02::1:ff00:9 fd00::9 0b
         7500  send fd00::100>fd00::9 3
         7500  > 0b>33:ff000009 ns fd00::100>ff02::1:ff00:9 fd00::9 0b
         7600  < 0f>0b na fd00::9>fd00::100 fd00::9 0f SO = handled
         7600  > 0b>0f ip fd00::100>fd00::9 3
         7601  unresolved 0",
    );
}

#[test]
fn a_target_that_moves() {
    check(
        &config(None, &["10.0.0.9", "fd00::9"]),
        "0    > 0b>all arp request 10.0.0.100/0b 10.0.0.9/none
         0    > 0b>33:ff000009 ns fd00::100>ff02::1:ff00:9 fd00::9 0b
         1    < 0e>0b arp reply 10.0.0.9/0e 10.0.0.100/0b = handled
         2    < 0f>all arp request 10.0.0.9/0f 10.0.0.9/none = handled
         3    send 10.0.0.100>10.0.0.9 1
         3    > 0b>0f ip 10.0.0.100>10.0.0.9 1
         4    < 0a>all arp reply 10.0.0.9/0a 10.0.0.9/0a = handled
         5    send 10.0.0.100>10.0.0.9 2
         5    > 0b>0a ip 10.0.0.100>10.0.0.9 2
         6    < 0e>0b na fd00::9>fd00::100 fd00::9 0e S = handled
         7    < 0f>33:1 na fd00::9>ff02::1 fd00::9 0f = ignored
         8    send fd00::100>fd00::9 3
         8    > 0b>0e ip fd00::100>fd00::9 3
         9    < 0f>33:1 na fd00::9>ff02::1 fd00::9 0f O = handled
         10   send fd00::100>fd00::9 4
         10   > 0b>0f ip fd00::100>fd00::9 4
         11   < 0f>0b na fd00::9>fd00::100 fd00::9 - S = handled",
    );
}

#[test]
fn who_claims_to_be_a_stranger_is_not_remembered() {
    check(
        &config(None, &["10.0.0.9"]),
        "0    > 0b>all arp request 10.0.0.100/0b 10.0.0.9/none
         1    < 0f>0b arp reply 10.0.0.8/0f 10.0.0.100/0b = ignored
         1000 > 0b>all arp request 10.0.0.100/0b 10.0.0.9/none
         2000 > 0b>all arp request 10.0.0.100/0b 10.0.0.9/none
         4000 < 0f>all arp reply 10.0.0.9/0f 10.0.0.9/0f = ignored
         4001 send 10.0.0.100>10.0.0.9 1
         4001 > 0b>all arp request 10.0.0.100/0b 10.0.0.9/none
         4002 send 10.0.0.100>10.0.0.8 2
         4003 < 0f>0b arp reply 10.0.0.9/all 10.0.0.100/0b = ignored
         4003 < 0f>0b arp reply 10.0.0.9/none 10.0.0.100/0b = ignored
         4003 < 0f>0b arp reply 10.0.0.9/0b 10.0.0.100/0b = ignored
         4004 unresolved 1",
    );
}

#[test]
fn who_asks_for_a_pool_address_is_answered() {
    check(
        &config(None, &[]),
        "0 < 0e>all arp request 10.0.0.9/0e 10.0.0.100/none = handled
         0 > 0b>0e arp reply 10.0.0.100/0b 10.0.0.9/0e
         1 < 0e>0b arp request 10.0.0.9/0e 10.0.0.109/0b = handled
         1 > 0b>0e arp reply 10.0.0.109/0b 10.0.0.9/0e
         2 < 0e>all arp request 0.0.0.0/0e 10.0.0.105/none = handled
         2 > 0b>0e arp reply 10.0.0.105/0b 0.0.0.0/0e
         3 < 0e>33:ff000101 ns fd00::9>ff02::1:ff00:101 fd00::101 0e = handled
         3 > 0b>0e na fd00::101>fd00::9 fd00::101 0b SO
         4 < 0e>0b ns fd00::9>fd00::101 fd00::101 - = handled
         4 > 0b>0e na fd00::101>fd00::9 fd00::101 0b SO
         5 < 0e>33:ff000101 ns ::>ff02::1:ff00:101 fd00::101 - = handled
         5 > 0b>33:1 na fd00::101>ff02::1 fd00::101 0b O",
    );
}

#[test]
fn who_asks_for_another_address_is_not_answered() {
    check(
        &config(Some("10.0.0.1"), &["10.0.0.9"]),
        "0 > 0b>all arp request 10.0.0.100/0b 10.0.0.1/none
         0 > 0b>all arp request 10.0.0.100/0b 10.0.0.9/none
         1 < 0d>all arp request 10.0.0.7/0d 10.0.0.99/none = ignored
         2 < 0d>all arp request 10.0.0.7/0d 10.0.0.110/none = ignored
         3 < 0d>all arp request 10.0.0.7/0d 10.0.0.9/none = ignored
         4 < 0d>all arp request 0.0.0.0/0d 10.0.0.50/none = ignored
         5 < 0d>all arp reply 10.0.0.7/0d 10.0.0.100/none = ignored
         7 < 0d>33:ff000110 ns fd00::9>ff02::1:ff00:110 fd00::110 0d = ignored
         8 < 0d>33:ff000101 ns fd00::9>ff02::1:ff00:102 fd00::101 0d = ignored
         9 < 0d>33:ff000101 ns ::>ff02::1:ff00:101 fd00::101 0d = ignored
         9 < 0d>0b ns ::>fd00::101 fd00::101 - = ignored",
    );
}

#[test]
fn a_question_of_a_neighbor_also_says_where_it_is() {
    check(
        &config(None, &["10.0.0.9", "fd00::9"]),
        "0 > 0b>all arp request 10.0.0.100/0b 10.0.0.9/none
         0 > 0b>33:ff000009 ns fd00::100>ff02::1:ff00:9 fd00::9 0b
         1 send 10.0.0.100>10.0.0.9 1
         2 < 0e>all arp request 10.0.0.9/0e 10.0.0.100/none = handled
         2 > 0b>0e ip 10.0.0.100>10.0.0.9 1
         2 > 0b>0e arp reply 10.0.0.100/0b 10.0.0.9/0e
         3 < 0e>33:ff000101 ns fd00::9>ff02::1:ff00:101 fd00::101 0e = handled
         3 > 0b>0e na fd00::101>fd00::9 fd00::101 0b SO
         4 send fd00::100>fd00::9 2
         4 > 0b>0e ip fd00::100>fd00::9 2",
    );
}

#[test]
fn frames_for_others() {
    check(
        &config(None, &[]),
        "0 < 0e>0d ip 10.0.0.9>10.0.0.100 1 = ignored
         0 < 0b>all ip 10.0.0.9>10.0.0.100 1 = ignored
         0 < 0b>all arp request 10.0.0.9/0e 10.0.0.100/none = ignored
         0 < 0e>0b ip 10.0.0.9>10.0.0.99 1 = ignored
         0 < 0e>all ip 10.0.0.9>10.0.0.255 1 = ignored
         0 < 0e>33:1 ip fd00::9>ff02::1 1 = ignored
         0 < all>0b ip 10.0.0.9>10.0.0.100 1 = ignored",
    );
}

/// Each frame byte by byte, checksums worked out by another program.
#[test]
fn bytes_on_the_wire() {
    let (mut link, mut locals) = link(&config(None, &["10.0.0.9", "fd00::9"]));
    let mut out = TransmitQueue::new(8, MTU);
    link.handle_timeout(millis(0), &mut locals, &mut out);
    check_bytes(&mut out, "ffffffffffff02000000000b0806 0001080006040001 02000000000b0a000064 0000000000000a000009");
    check_bytes(
        &mut out,
        "3333ff00000902000000000b86dd 60000000 0020 3a ff fd000000000000000000000000000100 \
         ff0200000000000000000001ff000009 8700 7c80 00000000 fd000000000000000000000000000009 0101 02000000000b",
    );
    let asks = "ffffffffffff02000000000e0806 0001080006040001 02000000000e0a000009 0000000000000a000066";
    assert_eq!(link.handle_frame(millis(0), &bytes(asks), &mut locals, &mut out), Inbound::Handled);
    check_bytes(&mut out, "02000000000e02000000000b0806 0001080006040002 02000000000b0a000066 02000000000e0a000009");
    let asks = "3333ff00010102000000000e86dd 60000000 0020 3a ff fd000000000000000000000000000009 \
                ff0200000000000000000001ff000101 8700 7b84 00000000 fd000000000000000000000000000101 0101 02000000000e";
    assert_eq!(link.handle_frame(millis(0), &bytes(asks), &mut locals, &mut out), Inbound::Handled);
    check_bytes(
        &mut out,
        "02000000000e02000000000b86dd 60000000 0020 3a ff fd000000000000000000000000000101 \
         fd000000000000000000000000000009 8800 1a8b 60000000 fd000000000000000000000000000101 0201 02000000000b",
    );
    assert!(out.is_empty());
}

#[track_caller]
fn check_bytes(out: &mut TransmitQueue, expected: &str) {
    assert_eq!(out.pop(), Some(&bytes(expected)[..]));
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter_map(|c| c.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

#[test]
fn malformed_frames_are_ignored() {
    let mut out = TransmitQueue::new(8, MTU);
    let mut see = |frame: &[u8]| {
        let (mut link, mut locals) = link(&config(None, &[]));
        outcome(link.handle_frame(millis(0), frame, &mut locals, &mut out))
    };
    for text in [
        "0e>33:ff000101 ns fd00::9>ff02::1:ff00:101 fd00::101 0e",
        "0e>all arp request 10.0.0.9/0e 10.0.0.100/none",
        "0e>0b ip 10.0.0.9>10.0.0.100 1",
        "0e>0b ip fd00::9>fd00::100 1",
    ] {
        let frame = encode(text);
        assert_ne!(see(&frame), "ignored", "{text}");
        for len in 0..frame.len() {
            assert_eq!(see(&frame[..len]), "ignored", "{text} up to {len}");
        }
    }
    let mut damage_all = |text: &str, bytes: &[(usize, u8)]| {
        let mut frame = encode(text);
        bytes.iter().for_each(|&(at, byte)| frame[at] = byte);
        assert_eq!(see(&frame), "ignored", "{text} with {bytes:x?}");
    };
    let solicitation = "0e>33:ff000101 ns fd00::9>ff02::1:ff00:101 fd00::101 0e";
    damage_all(solicitation, &[(21, 64)]); // Hop limit: it came from afar.
    damage_all(solicitation, &[(56, 0x55)]); // Checksum.
    damage_all(solicitation, &[(79, 0), (57, 0x85)]); // Length of the option, the checksum right.
    damage_all(solicitation, &[(79, 2), (57, 0x83)]);
    let mut damage = |text: &str, at: usize, byte: u8| damage_all(text, &[(at, byte)]);
    let request = "0e>all arp request 10.0.0.9/0e 10.0.0.100/none";
    for (at, byte) in [(15, 6), (16, 0x86), (18, 8), (19, 16), (21, 3), (13, 0)] {
        damage(request, at, byte);
    }
    let packet = "0e>0b ip 10.0.0.9>10.0.0.100 1";
    for (at, byte) in [(12, 0x81), (14, 0x65), (14, 0x44), (14, 0x46), (17, 22), (17, 19)] {
        damage(packet, at, byte);
    }
}

#[test]
fn padding_is_cut_off() {
    let (mut link, mut locals) = link(&config(None, &[]));
    let mut out = TransmitQueue::new(8, MTU);
    for text in ["10.0.0.9>10.0.0.100 1", "fd00::9>fd00::100 1"] {
        let mut frame = encode(&format!("0e>0b ip {text}"));
        frame.resize(64, 0);
        let inbound = link.handle_frame(millis(0), &frame, &mut locals, &mut out);
        assert_eq!(inbound, Inbound::Packet(&ip_packet(text)));
    }
    let mut frame = encode("0e>all arp request 10.0.0.9/0e 10.0.0.100/none");
    frame.resize(60, 0x55);
    assert_eq!(link.handle_frame(millis(0), &frame, &mut locals, &mut out), Inbound::Handled);
}

#[test]
fn few_packets_wait() {
    let (mut link, mut locals) = link(&config(None, &["10.0.0.9"]));
    let mut out = TransmitQueue::new(64, MTU);
    for tag in 0..20 {
        link.send(millis(0), &ip_packet(&format!("10.0.0.100>10.0.0.9 {tag}")), &locals, &mut out);
    }
    assert_eq!((out.len(), link.packets_unresolved()), (1, 4));
    let reply = encode("0e>0b arp reply 10.0.0.9/0e 10.0.0.100/0b");
    link.handle_frame(millis(1), &reply, &mut locals, &mut out);
    assert_eq!(out.len(), 17);
    assert_eq!(link.poll_timeout(&locals), None);
}

#[test]
fn the_transmit_queue() {
    let mut queue = TransmitQueue::new(3, 20);
    let push = |queue: &mut TransmitQueue, byte: u8, len| queue.push(len, |frame| frame.fill(byte));
    for round in 0..5 {
        assert!(push(&mut queue, round, 38) && push(&mut queue, 100, 0) && push(&mut queue, 101, 1));
        assert!(queue.is_full() && !push(&mut queue, 9, 1));
        assert_eq!(queue.pop(), Some(&[round; 38][..]));
        assert!(push(&mut queue, 102, 2));
        assert_eq!(queue.pop(), Some(&[][..]));
        assert_eq!(queue.pop(), Some(&[101][..]));
        assert_eq!(queue.pop(), Some(&[102; 2][..]));
        assert_eq!(queue.pop(), None);
    }
    assert!(queue.is_empty() && !push(&mut queue, 0, 39));
    assert_eq!(queue.frames_dropped(), 6);
    assert!(!push(&mut TransmitQueue::new(0, 20), 0, 1));
}

#[test]
fn a_full_queue_drops_and_counts() {
    let (mut link, mut locals) = link(&config(None, &["10.0.0.9"]));
    let mut out = TransmitQueue::new(1, MTU);
    let reply = encode("0e>0b arp reply 10.0.0.9/0e 10.0.0.100/0b");
    link.handle_frame(millis(0), &reply, &mut locals, &mut out);
    link.send(millis(0), &ip_packet("10.0.0.100>10.0.0.9 1"), &locals, &mut out);
    link.send(millis(0), &ip_packet("10.0.0.100>10.0.0.9 2"), &locals, &mut out);
    assert_eq!((out.len(), out.frames_dropped(), link.packets_unresolved()), (1, 1, 0));
}

#[test]
fn a_rehearsal_has_no_link() {
    let config = Config { far_end: FarEnd::Rehearsal, ..config(None, &["10.0.0.9"]) };
    let (mut link, mut locals) = link(&config);
    assert_eq!(link.poll_timeout(&locals), None);
    link.handle_timeout(millis(0), &mut locals, &mut TransmitQueue::new(1, MTU));
}

/// Frames of nonsense, and sound ones with some bytes damaged: no panic.
#[test]
fn nonsense() {
    let sound = [
        "0e>33:ff000101 ns fd00::9>ff02::1:ff00:101 fd00::101 0e",
        "0e>0b na fd00::9>fd00::100 fd00::9 0e SO",
        "0e>all arp request 10.0.0.9/0e 10.0.0.100/none",
        "0e>0b ip 10.0.0.9>10.0.0.100 1",
        "0e>0b ip fd00::9>fd00::100 1",
    ]
    .map(encode);
    let mut state = 1_u64;
    let mut random = |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % bound
    };
    let (mut link, mut locals) = link(&config(Some("10.0.0.1"), &["10.0.0.9", "fd00::9"]));
    let mut out = TransmitQueue::new(4, MTU);
    for round in 0..200_000 {
        let mut frame = sound[random(sound.len())].clone();
        for _ in 0..random(4) {
            let at = random(frame.len());
            frame[at] = random(256) as u8;
        }
        frame.truncate(frame.len() - random(frame.len()) * random(2));
        let now = millis(round / 10);
        link.handle_frame(now, &frame, &mut locals, &mut out);
        link.send(now, frame.get(14..).unwrap_or_default(), &locals, &mut out);
        if random(20) == 0 {
            link.handle_timeout(now, &mut locals, &mut out);
        }
        while random(2) == 0 && out.pop().is_some() {}
    }
    assert!(out.len() <= 4);
}
