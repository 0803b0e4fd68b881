//! Which frames count as shown twice.

use super::*;
use core::time::Duration;
use tapcopy_engine::frame::Recent;

/// Shows frames at their milliseconds; which of them had been shown before.
fn check(frames: &[(u64, Vec<u8>)], expected: &[bool]) {
    let mut decoder = Decoder::new(&Limits::default());
    let mut recent = Recent::default();
    let mut note = |(millis, bytes): &(u64, Vec<u8>)| {
        let segment = decoder.decode(&frame(LinkType::Ethernet, bytes)).unwrap();
        recent.note(&segment, Time::ZERO + Duration::from_millis(*millis))
    };
    let found: Vec<bool> = frames.iter().map(&mut note).collect();
    assert_eq!(found, expected);
}

/// A frame whose IPv4 header has this identification.
fn numbered(id: u16, segment: Layers) -> Vec<u8> {
    let mut bytes = segment.v4().ethernet().bytes;
    bytes[18..20].copy_from_slice(&id.to_be_bytes());
    bytes
}

fn ack_with(options: &[u8]) -> Layers {
    tcp_with(0x10, 0, options, b"")
}

#[test]
fn the_other_copy_may_have_another_tag_and_time_to_live() {
    let mut hop = v4().tag(0x8100, 7).ethernet().bytes;
    hop[26] -= 1;
    check(&[(5_000, v4().ethernet().bytes), (5_000, hop)], &[false, true]);
}

#[test]
fn copies_may_be_some_frames_apart() {
    let frames = [1, 2, 3, 1, 2, 3].map(|id| (40, numbered(id, tcp(PAYLOAD))));
    check(&frames, &[false, false, false, true, true, true]);
}

#[test]
fn a_retransmission_is_another_packet() {
    check(&[(0, numbered(1, tcp(PAYLOAD))), (3, numbered(2, tcp(PAYLOAD)))], &[false, false]);
    check(&[(0, v6().ethernet().bytes), (100, v6().ethernet().bytes)], &[false, true]);
    check(&[(0, v6().ethernet().bytes), (200, v6().ethernet().bytes)], &[false, false]);
}

#[test]
fn acknowledgements_repeat_themselves() {
    let stamped = |stamp: u8| ack_with(&[1, 1, 8, 10, 0, 0, 0, stamp, 0, 0, 0, 0]);
    check(&[(0, numbered(0, ack_with(&[]))), (0, numbered(0, ack_with(&[])))], &[false, false]);
    check(&[(0, numbered(7, ack_with(&[]))), (0, numbered(7, ack_with(&[])))], &[false, true]);
    check(&[(0, numbered(0, stamped(1))), (0, numbered(0, stamped(2)))], &[false, false]);
    check(&[(0, numbered(0, stamped(1))), (0, numbered(0, stamped(1)))], &[false, true]);
}
