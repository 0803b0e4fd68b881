//! Reassembly at its bounds. What it makes of whole dialogues is proved in `tapcopy-properties`.

use tapcopy_engine::flow::Side;
use tapcopy_engine::limits::Budget;
use tapcopy_engine::reassembly::{Content, Piece, Streams};
use tapcopy_engine::{Limits, Time};

#[test]
fn held_bytes_are_bounded() {
    let limits = Limits { stream_ahead_bytes: 10_000, ..Limits::default() };
    let mut budget = Budget::new(limits.ahead_bytes);
    let mut streams = Streams::default();
    streams.begin(Side::Client, 0);
    let payload = [7; 1_000];
    let mut gaps = 0;
    for number in 1..1_000u32 {
        let seq = number * 1_100;
        let content = Content {
            side: Side::Client,
            seq,
            ack: None,
            payload: &payload,
            may_probe: false,
            missing: 0,
            fin: false,
            captured_at: Time::ZERO,
        };
        streams.handle(Time::ZERO, &content, &limits, &mut budget, &mut |delivery| {
            gaps += u32::from(matches!(delivery.piece, Piece::Gap(_)));
        });
        assert!(streams.held_bytes() <= limits.stream_ahead_bytes + 2 * payload.len());
    }
    assert!(gaps > 900, "holes are given up at the bound: {gaps}");
}

#[test]
fn two_sides_that_acknowledge_what_neither_sent_do_not_stay_held() {
    let limits = Limits::default();
    let mut budget = Budget::new(limits.ahead_bytes);
    let mut streams = Streams::default();
    streams.begin(Side::Client, 0);
    streams.begin(Side::Origin, 0);
    let mut handed_on = 0;
    for (side, ack) in [(Side::Client, 5), (Side::Origin, 5)] {
        let content = Content {
            side,
            seq: 0,
            ack: Some(ack),
            payload: b"12345",
            may_probe: false,
            missing: 0,
            fin: false,
            captured_at: Time::ZERO,
        };
        streams.handle(Time::ZERO, &content, &limits, &mut budget, &mut |_| ());
    }
    while let Some(at) = streams.deadline(&limits) {
        streams.expire(at, &limits, &mut budget, &mut |delivery| {
            handed_on += u32::from(matches!(delivery.piece, Piece::Bytes(_)));
        });
    }
    assert_eq!((handed_on, budget.used()), (2, 0));
}

/// What an origin has said of which the mirror shows `shown` in this order, as ranges of its bytes, behind a client's SYN alone.
fn shown_without_a_beginning(first: u32, said: &[u8], shown: &[core::ops::Range<usize>]) -> Vec<u8> {
    let limits = Limits::default();
    let mut budget = Budget::new(limits.ahead_bytes);
    let mut streams = Streams::default();
    streams.begin(Side::Client, 0);
    let mut heard = Vec::new();
    for range in shown {
        let content = Content {
            side: Side::Origin,
            seq: first.wrapping_add(range.start as u32),
            ack: None,
            payload: &said[range.clone()],
            may_probe: false,
            missing: 0,
            fin: false,
            captured_at: Time::ZERO,
        };
        streams.handle(Time::ZERO, &content, &limits, &mut budget, &mut |delivery| match delivery.piece {
            Piece::Bytes(bytes) => heard.extend_from_slice(bytes),
            other => panic!("{other:?}"),
        });
    }
    streams.finish(Time::ZERO, &mut budget, &mut |delivery| match delivery.piece {
        Piece::Bytes(bytes) => heard.extend_from_slice(bytes),
        Piece::Gap(lost) => heard.extend(core::iter::repeat_n(b'?', lost as usize)),
        Piece::Fin => {}
    });
    heard
}

#[test]
fn a_beginning_that_comes_later_is_the_beginning() {
    for first in [5_001, 3] {
        let heard = |shown: &[core::ops::Range<usize>]| shown_without_a_beginning(first, b"abcdefghij", shown);
        assert_eq!(heard(&[4..5, 5..6]), b"?ef", "at least a byte is lost");
        assert_eq!(heard(&[4..6, 8..10, 0..6]), b"?abcdef??ij", "{first}");
        assert_eq!(heard(&[8..10, 4..6, 2..4]), b"?cdef??ij", "{first}");
    }
}
