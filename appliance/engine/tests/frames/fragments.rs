//! IP packets in pieces.

use super::build::*;
use super::{PAYLOAD, frame};
use core::time::Duration;
use tapcopy_engine::frame::Decoder;
use tapcopy_engine::ledger::Ignored::{self, BadIp, BadTcp, Fragment, NotTcp, Truncated};
use tapcopy_engine::message::LinkType;
use tapcopy_engine::{Limits, MirrorFrame, Time};

/// What each frame gives: the payload of the segment, or the reason.
fn outcomes(decoder: &mut Decoder, frames: &[&[u8]]) -> Vec<Result<Vec<u8>, Ignored>> {
    let outcome = |bytes: &&[u8]| {
        let segment = decoder.decode(&frame(LinkType::Ethernet, bytes))?;
        assert_eq!(segment.checksum_ok(), Some(true));
        Ok(segment.payload.to_vec())
    };
    frames.iter().map(outcome).collect()
}

/// All frames but the last are pieces that wait; the last gives the payload, and nothing stays behind.
fn check(name: &str, frames: &[&[u8]], payload: &[u8]) {
    let mut decoder = Decoder::new(&Limits::default());
    let mut expected = vec![Err(Fragment); frames.len() - 1];
    expected.push(Ok(payload.to_vec()));
    let outcomes = outcomes(&mut decoder, frames);
    let short = |outcomes: &[Result<Vec<u8>, Ignored>]| {
        format!("{:?}", outcomes.iter().map(|outcome| outcome.as_ref().map(Vec::len)).collect::<Vec<_>>())
    };
    assert_eq!(short(&outcomes), short(&expected), "{name}");
    assert!(outcomes == expected, "{name}: other bytes");
    assert_eq!(decoder.fragment_bytes(), 0, "{name}");
}

fn long_payload() -> Vec<u8> {
    (0..4_000u32).map(|index| (index * 7 + index / 256) as u8).collect()
}

fn slices(frames: &[Vec<u8>]) -> Vec<&[u8]> {
    frames.iter().map(Vec::as_slice).collect()
}

#[test]
fn order_does_not_matter() {
    let payload = long_payload();
    for len in [8, 16, 24, 1_000, 1_480, 4_016] {
        // More pieces than any link makes are not held, see below.
        let payload = &payload[..payload.len().min(len * 100)];
        for frames in [tcp(payload).v4_pieces(1, len), tcp(payload).v6_pieces(1, len)] {
            let mut order = slices(&frames);
            check("in order", &order, payload);
            order.reverse();
            check("reversed", &order, payload);
            let mut odd_first: Vec<&[u8]> = order.iter().skip(1).step_by(2).copied().collect();
            odd_first.extend(order.iter().step_by(2));
            check("every other", &odd_first, payload);
        }
    }
}

#[test]
fn packets_may_interleave() {
    let payloads: Vec<Vec<u8>> = (0..3u8).map(|index| vec![index; 3_000]).collect();
    let packets: Vec<Vec<Vec<u8>>> =
        payloads.iter().zip(1..).map(|(payload, id)| tcp(payload).v4_pieces(id, 1_480)).collect();
    let frames: Vec<&[u8]> = (0..3).flat_map(|piece| packets.iter().map(move |packet| &packet[piece][..])).collect();
    let mut expected = vec![Err(Fragment); 6];
    expected.extend(payloads.iter().cloned().map(Ok));
    assert!(outcomes(&mut Decoder::new(&Limits::default()), &frames) == expected);
}

#[test]
fn the_protocol_tells_v4_packets_apart() {
    let frames = tcp(&long_payload()).v4_pieces(1, 2_016);
    let other = raw(4, &[0; 800]).v4_piece(1, 0x2000, &[]).ethernet().bytes;
    check("same id", &[&frames[0], &frames[1]], &long_payload());
    let mut decoder = Decoder::new(&Limits::default());
    let expected = [Err(Fragment), Err(Fragment), Ok(long_payload())];
    assert!(outcomes(&mut decoder, &[&other, &frames[0], &frames[1]]) == expected);
}

#[test]
fn the_bytes_that_came_first_stay() {
    let payload = long_payload();
    let frames = tcp(&payload).v4_pieces(1, 800);
    let garbled = |from: usize, len: usize, more: u16| {
        raw(6, &vec![0xbb; len]).v4_piece(1, (from / 8) as u16 | more, &[]).ethernet().bytes
    };
    let wide = garbled(0, 2_400, 0x2000);
    let tail = garbled(1_600, 2_420, 0);
    let [first, second, third, fourth, fifth, sixth] = &slices(&frames)[..] else { panic!("six pieces") };
    check("inside", &[first, second, &garbled(160, 320, 0x2000), third, fourth, fifth, sixth], &payload);
    check("around all there is", &[third, second, first, &wide, sixth, fifth, fourth], &payload);
    check("twice", &[first, first, second, third, fourth, fifth, fifth, sixth], &payload);
    check("last one over what is held", &[third, fourth, fifth, sixth, first, &tail, second], &payload);

    // Where the other bytes came first, they stay, and the checksum gives the mixture away.
    let mut decoder = Decoder::new(&Limits::default());
    let mixed = outcomes(&mut decoder, &[&wide, third, fourth, fifth, sixth]);
    assert_eq!(mixed, [Err(Fragment), Err(Fragment), Err(Fragment), Err(Fragment), Err(BadTcp)]);
}

#[test]
fn an_overlap_fills_only_the_holes() {
    // The middle piece spans the two that are held, with other bytes than theirs at the seams.
    let payload = long_payload();
    let whole = tcp(&payload).v4().bytes[20..].to_vec();
    let piece = |from: usize, to: usize, seam: usize| {
        let mut bytes = whole[from..to].to_vec();
        let len = bytes.len();
        bytes[..seam].fill(0xcc);
        bytes[len - seam..].fill(0xcc);
        let more = if to < whole.len() { 0x2000 } else { 0 };
        raw(6, &bytes).v4_piece(1, (from / 8) as u16 | more, &[]).ethernet().bytes
    };
    let frames = [piece(0, 800, 0), piece(1_600, 2_400, 0), piece(3_200, 4_020, 0), piece(720, 3_280, 80)];
    check("holes", &slices(&frames), &payload);
}

#[test]
fn pieces_of_two_packets_do_not_make_one() {
    let one = tcp(&[1; 2_000]).v4_pieces(1, 1_000);
    let other = tcp(&[2; 2_000]).v4_pieces(1, 1_000);
    let outcome = |millis: u64| {
        let mut decoder = Decoder::new(&Limits::default());
        assert_eq!(outcomes(&mut decoder, &[&one[0], &other[1]]), [Err(Fragment), Err(Fragment)]);
        let captured_at = Time::ZERO + Duration::from_millis(millis);
        let last = MirrorFrame { captured_at, ..frame(LinkType::Ethernet, &one[2]) };
        decoder.decode(&last).map(|segment| segment.checksum_ok())
    };
    assert_eq!(outcome(10), Err(BadTcp));
    // No sender has so many packets in so short a time: its NIC was to fill in the checksum.
    assert_eq!(outcome(9), Ok(Some(false)));
}

#[test]
fn contradictions_are_refused() {
    let piece = |len: usize, fragment: u16| raw(6, &vec![0; len]).v4_piece(1, fragment, &[]).ethernet().bytes;
    let middle = piece(80, 0x2000 | 10);
    let cases: [(&str, &[Vec<u8>]); 7] = [
        ("no multiple of 8", &[piece(81, 0x2000)]),
        ("nothing in it", &[piece(0, 0x2000)]),
        ("past the greatest packet", &[piece(80, 0x1fff)]),
        ("ends before what is held", &[middle.clone(), piece(80, 5)]),
        ("beyond the end", &[piece(80, 5), middle.clone()]),
        ("two ends", &[piece(80, 5), piece(80, 6)]),
        ("two ends, the second before the first", &[piece(80, 25), piece(80, 5)]),
    ];
    for (name, frames) in cases {
        let mut decoder = Decoder::new(&Limits::default());
        assert_eq!(outcomes(&mut decoder, &slices(frames)).last(), Some(&Err(BadIp)), "{name}");
    }
}

#[test]
fn pieces_within_pieces_end() {
    // A fragment header in the payload of each packet made whole, four deep.
    let mut decoder = Decoder::new(&Limits::default());
    let mut nested = raw(6, &[0x50; 64]);
    for id in 0..4 {
        let [(_, first, _), (at, second, _)] = &nested.cut(nested.bytes.len().div_ceil(16) * 8)[..] else { panic!() };
        let waiting = second.clone().v6_piece(id, *at, false).v6_plain(ORIGIN_V6).ethernet().bytes;
        assert_eq!(outcomes(&mut decoder, &[&waiting]), [Err(Fragment)]);
        nested = first.clone().v6_piece(id, 0, true);
    }
    let outer = nested.v6_plain(ORIGIN_V6).ethernet().bytes;
    let outcome = decoder.decode(&frame(LinkType::Ethernet, &outer));
    assert!(matches!(outcome, Err(BadIp)), "{outcome:?}");
}

#[test]
fn tunnels_in_pieces_are_made_whole() {
    let payload = long_payload();
    let vxlan = tcp(&payload).v4().ethernet().vxlan(4789);
    let gre = tcp(&payload).v6().gre(0x2000);
    check("vxlan, v4", &slices(&vxlan.clone().v4_pieces(1, 1_480)), &payload);
    check("vxlan, v6", &slices(&vxlan.v6_pieces(1, 1_480)), &payload);
    check("gre", &slices(&gre.v4_pieces(1, 1_480)), &payload);

    // Pieces in a tunnel whose own packets are in pieces.
    let inner = tcp(&payload).v4_pieces(1, 1_480);
    let outer = inner.iter().zip(10..).flat_map(|(frame, id)| {
        let bridged = Layers { bytes: frame.clone(), ethertype: 0x6558, protocol: 0 };
        bridged.gre(0).v6_pieces(id, 800)
    });
    check("both", &slices(&outer.collect::<Vec<_>>()), &payload);
}

#[test]
fn extension_headers_may_lie_in_the_pieces() {
    let payload = long_payload();
    for len in [24, 1_000] {
        let frames = tcp(&payload[..2_000]).extension(60, 3, &[]).v6_pieces(1, len);
        check("options", &slices(&frames), &payload[..2_000]);
    }
}

fn at(millis: u64, bytes: &[u8]) -> MirrorFrame<'_> {
    MirrorFrame { captured_at: Time::from_millis(millis), ..frame(LinkType::Ethernet, bytes) }
}

#[test]
fn an_incomplete_packet_is_dropped_in_time() {
    let limits = Limits { fragment_timeout: Duration::from_secs(15), ..Limits::default() };
    let frames = tcp(&[9; 2_000]).v4_pieces(1, 1_200);
    for (second_at, in_time) in [(15_000, true), (15_001, false)] {
        let mut decoder = Decoder::new(&limits);
        assert_eq!(decoder.decode(&at(0, &frames[0])).err(), Some(Fragment));
        assert_eq!(decoder.decode(&at(second_at, &frames[1])).err(), (!in_time).then_some(Fragment));
    }
    let mut decoder = Decoder::new(&limits);
    for id in 0..100 {
        let frames = tcp(&[9; 2_000]).v4_pieces(id, 1_200);
        assert_eq!(decoder.decode(&at(u64::from(id), &frames[0])).err(), Some(Fragment));
    }
    assert!(decoder.fragment_bytes() > 100 * 1_200);
    assert_eq!(decoder.decode(&at(100_000, &frames[0])).err(), Some(Fragment));
    assert!(decoder.fragment_bytes() < 2 * 1_200, "{}", decoder.fragment_bytes());
}

#[test]
fn a_clock_that_steps_back_does_no_harm() {
    let frames = tcp(&[9; 2_000]).v4_pieces(1, 1_200);
    let mut decoder = Decoder::new(&Limits::default());
    assert_eq!(decoder.decode(&at(90_000, &frames[0])).err(), Some(Fragment));
    assert!(decoder.decode(&at(10, &frames[1])).is_ok());
}

#[test]
fn the_memory_is_bounded_and_the_oldest_goes_first() {
    let bound = 100_000;
    let mut decoder = Decoder::new(&Limits { fragment_bytes: bound, ..Limits::default() });
    let mut highest = 0;
    for id in 0..1_000 {
        let frames = tcp(&[9; 2_000]).v4_pieces(id, 1_200);
        assert_eq!(decoder.decode(&frame(LinkType::Ethernet, &frames[0])).err(), Some(Fragment));
        highest = highest.max(decoder.fragment_bytes());
    }
    assert!((bound - 2_000..=bound).contains(&highest), "{highest}");
    for (id, held) in [(0, false), (900, false), (950, true), (999, true)] {
        let frames = tcp(&[9; 2_000]).v4_pieces(id, 1_200);
        let outcome = decoder.decode(&frame(LinkType::Ethernet, &frames[1])).err();
        assert_eq!(outcome, (!held).then_some(Fragment), "{id}");
    }
}

#[test]
fn small_pieces_do_not_outgrow_the_bound() {
    // 8 bytes held cost far more than that: the book-keeping counts. Past a number of pieces only the key is left.
    let one = |decoder: &mut Decoder, id: u16| {
        let mut highest = 0;
        for piece in (1..1_000).step_by(2) {
            let bytes = raw(6, &[0; 8]).v4_piece(id, 0x2000 | piece, &[]).ethernet().bytes;
            assert_eq!(decoder.decode(&frame(LinkType::Ethernet, &bytes)).err(), Some(Fragment));
            highest = highest.max(decoder.fragment_bytes());
        }
        (highest, decoder.fragment_bytes())
    };
    let (highest, left) = one(&mut Decoder::new(&Limits::default()), 1);
    assert!((10_000..20_000).contains(&highest) && (1..500).contains(&left), "{highest} {left}");
    let mut decoder = Decoder::new(&Limits { fragment_bytes: 50_000, ..Limits::default() });
    let highest = (0..200).map(|id| one(&mut decoder, id).0).max();
    assert!(highest.is_some_and(|highest| (49_000..=50_000).contains(&highest)), "{highest:?}");
}

#[test]
fn without_memory_nothing_is_held() {
    let mut decoder = Decoder::new(&Limits { fragment_bytes: 0, ..Limits::default() });
    let frames = tcp(PAYLOAD).v4_pieces(1, 16);
    assert_eq!(outcomes(&mut decoder, &slices(&frames)), vec![Err(Fragment); 3]);
    assert_eq!(decoder.fragment_bytes(), 0);
}

#[test]
fn a_packet_without_tcp_is_not_held() {
    for layers in [raw(0, &[0; 4_000]).udp(53), raw(1, &[0; 4_000]), raw(50, &[0; 4_000])] {
        for frames in [layers.clone().v4_pieces(1, 1_480), layers.v6_pieces(1, 1_480)] {
            let mut decoder = Decoder::new(&Limits::default());
            assert!(outcomes(&mut decoder, &slices(&frames)).iter().all(|outcome| *outcome == Err(NotTcp)));
            assert!(decoder.fragment_bytes() < 500);
        }
    }
}

#[test]
fn a_piece_that_was_cut_off_is_not_held() {
    let frames = tcp(&long_payload()).v4_pieces(1, 1_480);
    let mut decoder = Decoder::new(&Limits::default());
    let cut = MirrorFrame { bytes: &frames[0][..100], ..frame(LinkType::Ethernet, &frames[0]) };
    assert_eq!(decoder.decode(&cut).err(), Some(Truncated));
    assert_eq!(decoder.fragment_bytes(), 0);
}
