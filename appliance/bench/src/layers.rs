//! The first stages of the engine by themselves, each with those before it, on the mirrored frames of a tape.

use crate::tape::{Tape, config, wire};
use core::hint::black_box;
use tapcopy_engine::flow::{Directory, FlowKey, Place, Side, Table};
use tapcopy_engine::frame::{Decoder, Segment};
use tapcopy_engine::limits::Budget;
use tapcopy_engine::reassembly::{Content, Streams};
use tapcopy_engine::{Limits, MirrorFrame, Time};

/// Frames to segments.
pub fn decode(tape: &Tape) {
    each_segment(tape, |_, segment| {
        black_box(segment.payload.len());
    });
}

fn each_segment(tape: &Tape, mut take: impl FnMut(Time, &Segment<'_>)) {
    let mut decoder = Decoder::new(&Limits::default());
    for frame in tape.mirrored() {
        let MirrorFrame { captured_at, .. } = frame;
        let segment = decoder.decode(&frame).expect("the tape has whole frames");
        take(captured_at, &segment);
    }
}

/// Segments to their sessions.
pub fn flow(tape: &Tape) {
    each_placed(tape, |_, _, place, session: &mut u64| {
        *session += u64::from(place.sender == Side::Client);
        black_box(session);
    });
}

/// Gives each segment with its place and what is kept of its session.
fn each_placed<S: Default>(tape: &Tape, mut take: impl FnMut(Time, &Segment<'_>, &Place, &mut S)) {
    let directory = Directory::new(&config(wire()).services, 7);
    let mut table: Table<FlowKey, usize> = Table::new(7);
    let mut sessions: Vec<S> = Vec::new();
    each_segment(tape, |at, segment| {
        let from_server = segment.flags.syn() && segment.flags.ack();
        let place =
            directory.place(segment.source, segment.destination, from_server).expect("the tape has one service");
        let known = table.get(&place.key).copied();
        let index = known.unwrap_or_else(|| {
            sessions.push(S::default());
            table.insert(place.key, sessions.len() - 1);
            sessions.len() - 1
        });
        take(at, segment, &place, &mut sessions[index]);
    });
}

/// Segments to streams.
pub fn reassembly(tape: &Tape) {
    let limits = Limits::default();
    let mut ahead = Budget::new(limits.ahead_bytes);
    each_placed(tape, |at, segment, place, streams: &mut Streams| {
        let syn = segment.flags.syn();
        if syn {
            streams.begin(place.sender, segment.seq.wrapping_add(1));
        }
        let content = Content {
            side: place.sender,
            seq: segment.seq.wrapping_add(u32::from(syn)),
            ack: segment.flags.ack().then_some(segment.ack),
            payload: segment.payload,
            may_probe: false,
            missing: segment.missing,
            fin: segment.flags.fin(),
            captured_at: at,
        };
        streams.handle(at, &content, &limits, &mut ahead, &mut |delivery| {
            black_box(delivery);
        });
    });
}
