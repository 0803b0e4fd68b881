//! Bytes lost, streams picked up in the middle, first bytes, and what comes behind HTTP.

use crate::conversation::LIMIT;
use tapcopy_engine::protocol::http1::{Http1, looks_like_request};
use tapcopy_engine::protocol::{AtClose, Boundary, Expect, Framer, Garbled, Part, Step};

#[test]
fn behind_a_tunnel_nothing_is_http() {
    let mut framer = Http1::new(LIMIT);
    let answer = framer.answer(Expect::default(), b"HTTP/1.1 101 X\r\n\r\n").unwrap();
    assert_eq!(answer.boundary, Boundary::Tunnel);
    assert_eq!(framer.request(b"GET / HTTP/1.1\r\n\r\n"), Err(Garbled));
    assert_eq!(framer.answer(Expect::default(), b"HTTP/1.1 200 OK\r\n\r\n"), Err(Garbled));
    assert_eq!(framer.resume(b"GET / HTTP/1.1\r\n\r\n"), None);
    assert!(!framer.request_gap(1));
    assert_eq!(framer.request_at_close(), AtClose::Clean);
    assert_eq!(framer.answer_at_close(Expect::default()), AtClose::Clean);
}

#[test]
fn a_gap_within_a_length() {
    let mut framer = Http1::new(LIMIT);
    framer.request(b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nab").unwrap();
    framer.request(b"ab").unwrap();
    assert!(framer.request_gap(3));
    let step = framer.request(b"fghijGET").unwrap();
    assert_eq!(step, Step { consumed: 5, part: Part::Body(b"fghij"), boundary: Boundary::End });
}

#[test]
fn a_gap_to_the_end_of_a_length() {
    let lost = |next: &[u8]| {
        let mut framer = Http1::new(LIMIT);
        let head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 10\r\n\r\n";
        framer.answer(Expect::default(), head).unwrap();
        assert!(framer.answer_gap(Expect::default(), 10));
        assert_eq!(framer.answer_at_close(Expect::default()), AtClose::Clean);
        let step = framer.answer(Expect::default(), next).unwrap();
        assert_eq!(step, Step { consumed: 0, part: Part::Framing, boundary: Boundary::Last });
        framer.answer(Expect::default(), next).unwrap().consumed
    };
    assert_eq!(lost(b""), 0);
    assert_eq!(lost(b"HTTP/1.1 204 No\r\n\r\n"), 19);
}

#[test]
fn a_gap_in_chunks() {
    let mut framer = Http1::new(LIMIT);
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    framer.answer(Expect::default(), head).unwrap();
    framer.answer(Expect::default(), b"5\r\n").unwrap();
    assert!(framer.answer_gap(Expect::default(), 5));
    assert_eq!(framer.answer(Expect::default(), b"\r\n4\r\nab").unwrap().consumed, 5);
    assert!(!framer.answer_gap(Expect::default(), 5), "the next size is lost too");
    assert_eq!(framer.answer(Expect::default(), b"ab"), Err(Garbled));
}

#[test]
fn gaps_that_lose_the_step() {
    let after = |client: &[u8], len: u64| {
        let mut framer = Http1::new(LIMIT);
        let mut rest = client;
        while !rest.is_empty() {
            rest = &rest[framer.request(rest).unwrap().consumed..];
        }
        framer.request_gap(len)
    };
    assert!(!after(b"", 1));
    assert!(!after(b"GET / HTT", 1));
    assert!(!after(b"GET / HTTP/1.1\r\n\r\n", 18));
    assert!(!after(b"PUT / HTTP/1.1\r\nContent-Length: 2\r\n\r\n", 3));
    assert!(!after(b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n", 2));
    assert!(!after(b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n", 1));
    assert!(after(b"GET / HTT", 0));
}

#[test]
fn a_gap_before_the_close() {
    let mut framer = Http1::new(LIMIT);
    framer.answer(Expect::default(), b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    assert!(framer.answer_gap(Expect::default(), 1 << 40));
    assert_eq!(framer.answer_at_close(Expect::default()), AtClose::Ends);
}

#[test]
fn resuming() {
    let resume = |segment: &[u8]| Http1::new(LIMIT).resume(segment);
    for segment in [
        &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        b"GET / HTTP/1.1\r\n\r\n",
        b"PURGE /a?b=c HTTP/1.0\nHos",
        b"GET /a HTTP/1.1",
        b"GET /a-target-longer-than-the-segment",
        b"POST /a HTTP/1.",
        b"POST  /  HTTP/1.0\r\nHost: x\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nHos",
        b"GET http://x/",
    ] {
        assert_eq!(resume(segment), Some(0), "{}", segment.escape_ascii());
    }
    assert_eq!(resume(b"\r\nGET / HTTP/1.1\r\n\r\n"), Some(2));
    for segment in [
        &b""[..],
        b"GET",
        b"GET ",
        b"GET it while it lasts",
        b"GET /a is what the client sent\r\n",
        b"GET /a HTTP/1.1 200 -\r\n",
        b"GET /a HTTP/1.1\nGET /b HTTP/1.1\n",
        b"GET /a b",
        b"GET this into HTTP/1.1 and read on\r\n",
        b"GET /a\r\n",
        b"FETCH /a",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"x\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\n",
        b"\0\x01\x02",
    ] {
        assert_eq!(resume(segment), None, "{}", segment.escape_ascii());
    }
}

#[test]
fn resuming_resets_both_directions() {
    let mut framer = Http1::new(LIMIT);
    framer.answer(Expect::default(), b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n").unwrap();
    assert_eq!(framer.request(b"\x16\x03"), Err(Garbled));
    assert_eq!(framer.resume(b"more of this"), None);
    assert_eq!(framer.request(b"x"), Err(Garbled));
    let client = b"HEAD /b HTTP/1.1\r\n\r\n";
    assert_eq!(framer.resume(client), Some(0));
    assert_eq!(framer.request(client).unwrap().boundary, Boundary::End);
    let expect = framer.expect();
    let step = framer.answer(expect, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n").unwrap();
    assert_eq!(step.boundary, Boundary::End);
}

#[test]
fn first_bytes() {
    let cases: [(&[u8], Option<bool>); 23] = [
        (b"", None),
        (b"G", None),
        (b"GET", None),
        (b"GET ", None),
        (b"GET h", None),
        (b"GET http:", Some(true)),
        (b"GET /", Some(true)),
        (b"get key", Some(false)),
        (b"CONNECT a", Some(true)),
        (b"GET / HTTP/1.1\r\n", Some(true)),
        (b"GET key\r\n", Some(false)),
        (b"EHLO mail.example\r\n", Some(false)),
        (b"\r\n", None),
        (b"\r\nPUT /", Some(true)),
        (b" GET /", Some(false)),
        (b"\x16\x03", Some(false)),
        (b"GET\r\n", Some(false)),
        (b"VERSION-CONTROL /", Some(true)),
        (b"ABCDEFGHIJKLMNO", None),
        (b"ABCDEFGHIJKLMNOP", Some(false)),
        (b"PRI * HTT", None),
        (b"PRI * HTTP/2.0", Some(false)),
        (b"PRI * HTTP/1.1\r\n", Some(true)),
    ];
    for (bytes, expected) in cases {
        assert_eq!(looks_like_request(bytes), expected, "{}", bytes.escape_ascii());
    }
    assert_eq!(looks_like_request(&[b'\n'; 16]), Some(false));
}
