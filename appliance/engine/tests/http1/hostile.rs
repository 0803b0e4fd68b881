//! What is not HTTP, or means to be misunderstood.

use crate::conversation::{LIMIT, Random, answers, check_answers, check_requests, requests};
use tapcopy_engine::protocol::http1::{Http1, looks_like_request};
use tapcopy_engine::protocol::{Expect, Framer, Garbled};

#[test]
fn broken_chunks() {
    for body in ["x\r\n", "\r\n", ";a\r\n", "-1\r\n", "0x2\r\nab\r\n", "5\rX", "10000000000000000\r\n", " 2\r\nab\r\n"]
    {
        let answer = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        check_answers("GET", answer.as_bytes(), "HTTP/1.1 200 OK Garbled");
    }
    let answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n";
    check_answers("GET", answer, "HTTP/1.1 200 OK {ab} Garbled");
    let answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nabc";
    check_answers("GET", answer, "HTTP/1.1 200 OK {abc} Cut");
}

#[test]
fn smuggling() {
    let with = |fields: &str| format!("POST / HTTP/1.1\r\n{fields}\r\n\r\n1\r\nZ\r\n0\r\n\r\nGET /x HTTP/1.1\r\n\r\n");
    for chunked in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 4",
        "Transfer-Encoding: chunked\r\nContent-Length: nonsense",
        "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding:\r\n chunked",
        "Transfer-Encoding: identity, chunked",
    ] {
        check_requests(with(chunked).as_bytes(), "POST / HTTP/1.1 {Z} End, GET /x HTTP/1.1 End, Clean");
    }
    for garbled in [
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: chunked;q=1\r\nContent-Length: 4",
        "Transfer-Encoding : chunked\r\nContent-Length: 4",
        "Transfer-Encoding: \x0bchunked\r\nContent-Length: 4",
        "Transfer-Encoding\r\n: chunked",
        "X: a\rTransfer-Encoding: chunked",
    ] {
        check_requests(with(garbled).as_bytes(), "Garbled");
    }
    let answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nContent-Length: 1\r\n\r\nabc";
    check_answers("GET", answer, "HTTP/1.1 200 OK {abc} Ends");
}

#[test]
fn not_http() {
    for client in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"PRI * HTTP/2.0HEAD /a HTTP/1.1\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/2.0\r\n\r\n",
        b"GET\t/ HTTP/1.1\r\n\r\n",
        b"GET /a b HTTP/2.0\r\n\r\n",
        b"GET /a HTTP/1.1 b\r\n\r\n",
        b"GET  HTTP/1.1\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nX\0: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nnonsense\r\n\r\n",
        b"\0\0\0\0",
        b" GET / HTTP/1.1\r\n\r\n",
    ] {
        check_requests(client, "Garbled");
    }
    for server in
        [&b"220 ftp ready\r\n"[..], b"HTTP/2 200\r\n\r\n", b"HTTP/1.1 2x0 OK\r\n\r\n", b"HTTP/1.1 200 O\0K\r\n\r\n"]
    {
        check_answers("GET", server, "Garbled");
    }
}

#[test]
fn a_head_up_to_the_limit() {
    let with = |len: usize| {
        let start = "GET / HTTP/1.1\r\nX: ";
        format!("{start}{}\r\n\r\n", "x".repeat(len - start.len() - 4))
    };
    check_requests(with(LIMIT).as_bytes(), "GET / HTTP/1.1 End, Clean");
    check_requests(with(LIMIT + 1).as_bytes(), "Garbled");

    let fields = |count: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "a:\r\n".repeat(count));
    let seen = |count: usize| requests(&mut Http1::new(1 << 16), &[fields(count).as_bytes()]).0.text;
    assert_eq!(seen(256), "GET / HTTP/1.1 End, Clean");
    assert_eq!(seen(257), "Garbled");
}

#[test]
fn an_endless_field_is_given_up_at_the_limit() {
    let mut framer = Http1::new(64 << 10);
    framer.request(b"GET / HTTP/1.1\r\nX: ").unwrap();
    let line = vec![b'x'; 1_000];
    let taken = (0..10_000).take_while(|_| framer.request(&line).is_ok()).count();
    assert_eq!(taken, 65);
    assert_eq!(Http1::new(64 << 10).request(&vec![b'x'; 10 << 20]), Err(Garbled));
}

/// Bytes at random and fragments of messages in random order: no panic, no stand-still, the same however cut.
#[test]
fn nonsense() {
    const WORDS: [&[u8]; 20] = [
        b"GET / HTTP/1.1\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.0 100 C\r\n",
        b"\r\n",
        b"\n",
        b"\r",
        b"Content-Length: ",
        b"3",
        b"Transfer-Encoding: chunked\r\n",
        b"5\r\nhello\r\n",
        b"0\r\n\r\n",
        b"a",
        b";",
        b" ",
        b"Connection: close\r\n",
        b"HEAD / HTTP/1.0\r\n\r\n",
        b"\0",
        b"\xff",
        b"CONNECT a:1 HTTP/1.1\r\n\r\n",
        b"X: y\r\n",
    ];
    let mut random = Random(7);
    for round in 0..20_000 {
        let mut bytes = Vec::new();
        for _ in 0..random.below(12) {
            match round % 3 {
                0 => bytes.push(random.next() as u8),
                _ => bytes.extend_from_slice(WORDS[random.below(WORDS.len())]),
            }
        }
        let expects = [Expect { kind: random.below(4) as u64, ..Expect::default() }; 4];
        let at = random.below(bytes.len() + 1);
        let pieces = [&bytes[..at], &bytes[at..]];
        let whole = requests(&mut Http1::new(60), &[&bytes]);
        assert_eq!(requests(&mut Http1::new(60), &pieces), whole, "{}", bytes.escape_ascii());
        let whole = answers(&mut Http1::new(60), &expects, &[&bytes]);
        assert_eq!(answers(&mut Http1::new(60), &expects, &pieces), whole, "{}", bytes.escape_ascii());
        survive(&mut random, &bytes, expects[0]);
    }
}

/// The calls in any order, gaps among them.
fn survive(random: &mut Random, bytes: &[u8], expect: Expect) {
    let mut framer = Http1::new(60);
    for piece in bytes.chunks(5) {
        match random.below(6) {
            0 => _ = framer.request_gap(random.next() % 8),
            1 => _ = framer.answer_gap(expect, random.next() % 8),
            2 => _ = framer.resume(piece),
            3 | 4 => _ = framer.request(piece),
            _ => _ = framer.answer(expect, piece),
        }
        _ = (framer.request_at_close(), framer.answer_at_close(expect), looks_like_request(piece));
    }
}
