//! What cannot be seen from outside: that one session's fault stays in that session.

use super::*;
use crate::config::{Addressing, FarEnd, MirrorTo, Origin, Pacing, Protocol, Sample, Speed};
use crate::limits::Limits;
use crate::message::{Command, LinkType, Outcome, Record};
use crate::share::{Part, Share};
use core::time::Duration;
use std::collections::BTreeSet;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn engine() -> Engine {
    engine_with(Share::default())
}

fn engine_with(share: Share) -> Engine {
    let service = Service {
        name: "web".to_owned(),
        origins: vec![Origin::AnyAddress(80)],
        targets: vec!["192.0.2.1:80".parse().expect("an address")],
        protocol: Protocol::Auto,
        pacing: Pacing::Turns,
        sample: 10_000,
        copies: 1,
        mirror_to: MirrorTo::One,
        selection: Default::default(),
        sessions_per_second: None,
        rules: Default::default(),
    };
    let config = Config {
        services: vec![service],
        addressing: Addressing::default(),
        far_end: FarEnd::Rehearsal,
        share,
        speed: Speed::Times(1.0),
        replay: true,
        contents: None,
        limits: Limits::default(),
    };
    Engine::new(Time::ZERO, config, 1)
}

/// A raw IPv4 packet from client port `port` to the origin.
fn packet(port: u16, seq: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    bytes.extend(port.to_be_bytes());
    bytes.extend(80u16.to_be_bytes());
    bytes.extend(seq.to_be_bytes());
    bytes.extend([0, 0, 0, 1, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    bytes.extend(payload);
    let len = bytes.len() as u16;
    bytes[2..4].copy_from_slice(&len.to_be_bytes());
    bytes
}

/// A raw IPv4 packet of the origin's to client port `port`, after the first request.
fn answer(port: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1, 0, 80];
    bytes.extend(port.to_be_bytes());
    bytes.extend([0, 0, 0, 1]);
    bytes.extend((101 + REQUEST.len() as u32).to_be_bytes());
    bytes.extend([0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0]);
    bytes.extend(payload);
    let len = bytes.len() as u16;
    bytes[2..4].copy_from_slice(&len.to_be_bytes());
    bytes
}

fn show(engine: &mut Engine, now: Time, bytes: &[u8]) {
    let frame = MirrorFrame { captured_at: now, link: LinkType::RawIp, wire_len: bytes.len() as u32, bytes };
    engine.handle_input(now, Input::Mirror(frame));
}

fn begin_session(engine: &mut Engine, now: Time, port: u16) {
    show(engine, now, &packet(port, 100, 0x02, b""));
    show(engine, now, &packet(port, 101, 0x10, b""));
    show(engine, now, &packet(port, 101, 0x18, REQUEST));
}

fn outcomes(engine: &mut Engine) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    while let Some(output) = engine.poll_output() {
        if let Output::Record(record) = output {
            outcomes.push(record.outcome);
        }
    }
    outcomes
}

#[test]
fn a_fault_stays_in_its_session() {
    let mut engine = engine();
    let now = Time::from_millis(1);
    begin_session(&mut engine, now, 1000);
    begin_session(&mut engine, now, 1001);
    let first = engine.slots.keys().next().expect("a session");
    engine.guard(first, |_| panic!("a fault made on purpose"));
    assert_eq!(engine.ledger().broken_law(), None);
    assert_eq!(engine.ledger().sessions.ended.of(Ended::Fault), 1);
    assert_eq!(engine.ledger().requests.not_replayed.of(NotReplayed::Fault), 1);
    assert_eq!(engine.ledger().sessions.live, 1, "the other session lives");

    assert_eq!(outcomes(&mut engine), [Outcome::NotReplayed(NotReplayed::Fault)]);
    assert_eq!(engine.ledger().requests.replayed, 1, "the other request is replayed");
    begin_session(&mut engine, now, 1000);
    assert_eq!(engine.ledger().sessions.opened, 3, "the same flow can begin again");
}

/// Each of two boxes has two shards, and every engine is shown all frames.
#[test]
fn a_session_belongs_to_one_engine() {
    const CLIENTS: u16 = 200;
    let now = Time::from_millis(1);
    let (mut opened, mut numbers) = (0, BTreeSet::new());
    for (number, shard) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let part = |index| Part { index, of: 2 };
        let mut engine = engine_with(Share { of_boxes: part(number), of_shards: part(shard) });
        for port in 0..CLIENTS {
            begin_session(&mut engine, now, 1_000 + port);
            show(&mut engine, now, &answer(1_000 + port, b"HTTP/1.1 204 No Content\r\n\r\n"));
        }
        let ledger = engine.ledger();
        assert_eq!(ledger.broken_law(), None);
        assert_eq!(ledger.sessions.midstream, 0, "an answer is no reason to pick up a session of another engine");
        let others = u64::from(CLIENTS) - ledger.sessions.opened;
        assert_eq!(ledger.frames.ignored.of(Ignored::OtherShare), 4 * others);
        opened += ledger.sessions.opened;
        let next = engine.next_session();
        let own: Vec<u64> = engine.roster().map(|live| live.number).collect();
        assert!(own.iter().all(|session| *session < next && numbers.insert((number, *session))));
    }
    assert_eq!((opened, numbers.len()), (u64::from(CLIENTS), usize::from(CLIENTS)));
}

#[test]
fn nothing_is_left_after_the_end() {
    let mut engine = engine();
    let mut now = Time::from_millis(1);
    begin_session(&mut engine, now, 1000);
    show(&mut engine, now, &packet(1000, 500, 0x18, b"beyond a hole"));
    outcomes(&mut engine);
    engine.handle_input(now, Input::Command(Command::Finish { limit: Duration::from_secs(1) }));
    outcomes(&mut engine);
    while let Some(at) = engine.poll_timeout() {
        now = now.max(at);
        engine.handle_input(now, Input::Tick);
        outcomes(&mut engine);
    }
    assert!(engine.is_idle());
    assert_eq!(engine.ledger().broken_law(), None);
    assert_eq!((engine.ahead.used(), engine.books.outboxes.used(), engine.books.bodies.used()), (0, 0, 0));
    assert!(engine.slots.is_empty() && engine.flows.is_empty());
}

/// Of one request and its answer, with this share of contents, the record.
fn record_with(contents: Option<Sample>) -> Record {
    let mut engine = engine();
    let config = Config { contents, ..engine.config.clone() };
    let mut now = Time::from_millis(1);
    engine.handle_input(now, Input::Command(Command::Configure(Box::new(config))));
    begin_session(&mut engine, now, 1_000);
    show(&mut engine, now, &answer(1_000, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
    loop {
        while let Some(output) = engine.poll_output() {
            if let Output::Record(record) = output {
                assert_eq!(engine.books.bodies.used(), 0);
                return record;
            }
        }
        now = now.max(engine.poll_timeout().expect("a record to come"));
        engine.handle_input(now, Input::Tick);
    }
}

#[test]
fn a_record_carries_what_was_said_where_that_is_wanted() {
    let all = record_with(Some(Sample { per_million: 1_000_000 }));
    let contents = all.contents.clone().expect("contents");
    assert_eq!(contents.request, REQUEST);
    assert_eq!((contents.origin.body.as_slice(), contents.origin.body_len), (&b"ok"[..], 2));
    assert_eq!(contents.origin, contents.target);
    assert!(contents.origin.head.starts_with(b"HTTP/1.1 200 OK\r\n") && contents.local.is_some());
    for none in [None, Some(Sample { per_million: 0 })] {
        assert_eq!(record_with(none), Record { contents: None, ..all.clone() });
    }
}

#[test]
fn a_new_round_begins_new_sessions_from_the_first_frame_on() {
    let mut engine = engine();
    for round in 0..3 {
        let now = Time::from_millis(round * 10);
        show(&mut engine, now, &packet(1_000, 101, 0x18, REQUEST));
        begin_session(&mut engine, now, 2_000);
        engine.handle_input(now, Input::Command(Command::NewRound));
    }
    let ledger = engine.ledger();
    assert_eq!((ledger.sessions.opened, ledger.sessions.midstream, ledger.requests.captured), (6, 3, 6));
    assert_eq!(ledger.sessions.segments_duplicate, 0);
}

#[test]
fn only_what_waits_for_the_target_alone_is_backlog() {
    let mut engine = engine();
    let now = Time::from_millis(1);
    show(&mut engine, now, &packet(1_000, 100, 0x02, b""));
    show(&mut engine, now, &packet(1_000, 101, 0x18, &REQUEST[..9]));
    assert_eq!(engine.backlog(), Backlog::default(), "the rest of the request is not read yet");
    show(&mut engine, now, &packet(1_000, 110, 0x18, &REQUEST[9..]));
    let backlog = Backlog { requests: 1, bytes: REQUEST.len() as u64, ..Backlog::default() };
    assert_eq!(engine.backlog(), backlog, "the connection to the target opens");
    while engine.poll_output().is_some() {}
    assert_eq!(engine.backlog(), Backlog::default(), "it is sent, and the origin's answer is not read yet");
}

#[test]
fn an_overloaded_box_leaves_new_sessions_out_and_goes_on_with_the_others() {
    let mut engine = engine();
    let mut now = Time::from_millis(1);
    let begin = |engine: &mut Engine, now, port| show(engine, now, &packet(port, 100, 0x02, b""));
    begin(&mut engine, now, 1_000);
    engine.handle_input(now, Input::Command(Command::Overload(true)));
    begin(&mut engine, now, 2_000);
    engine.handle_input(now, Input::Command(Command::Overload(false)));
    begin(&mut engine, now, 3_000);
    for port in [1_000, 2_000, 3_000] {
        now = now + Duration::from_millis(1);
        show(&mut engine, now, &packet(port, 101, 0x18, REQUEST));
        show(&mut engine, now, &answer(port, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
    }
    while engine.ledger().requests.in_progress > 0 {
        while engine.poll_output().is_some() {}
        now = now.max(engine.poll_timeout().expect("an outcome to come"));
        engine.handle_input(now, Input::Tick);
    }
    let requests = &engine.ledger().requests;
    assert_eq!((requests.answered, requests.not_replayed.of(NotReplayed::Overloaded)), (2, 1));
    assert_eq!(engine.ledger().verdicts.matched, 2);
}
