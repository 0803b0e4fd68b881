//! Where messages begin and end.

use crate::conversation::{LIMIT, check, check_answers, check_requests, requests};
use tapcopy_engine::protocol::http1::Http1;
use tapcopy_engine::protocol::{Expect, Framer, Part};

#[test]
fn request_and_answer() {
    check(
        b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "GET /a HTTP/1.1 End, Clean",
        "HTTP/1.1 200 OK {hello} End, Clean",
    );
}

#[test]
fn pipelined_requests() {
    check(
        b"GET /a HTTP/1.1\r\n\r\nPOST /b HTTP/1.1\r\nContent-Length: 3\r\n\r\nxyzHEAD /c HTTP/1.1\r\n\r\nGET /d HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n\
          HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\n44",
        "GET /a HTTP/1.1 End, POST /b HTTP/1.1 {xyz} End, HEAD /c HTTP/1.1 End, GET /d HTTP/1.1 End, Clean",
        "HTTP/1.1 200 OK {1} End, HTTP/1.1 201 Created End, HTTP/1.1 200 OK End, HTTP/1.1 404 No {44} End, Clean",
    );
}

#[test]
fn empty_lines_before_a_request_and_bare_line_feeds() {
    check_requests(
        b"\r\n\r\nGET /a HTTP/1.1\nHost: x\n\n\nPOST /b HTTP/1.0\nContent-Length: 2\n\r\nok\r\n",
        "GET /a HTTP/1.1 End, POST /b HTTP/1.0 {ok} End, Clean",
    );
}

#[test]
fn spaces_in_a_request_line() {
    check_requests(
        b"GET   /a  HTTP/1.1\r\n\r\nGET /b c HTTP/1.1\r\n\r\nGET /d HTTP/1.1\r\n\r\n",
        "GET   /a  HTTP/1.1 End, GET /b c HTTP/1.1 End, GET /d HTTP/1.1 End, Clean",
    );
}

#[test]
fn lengths() {
    let with = |fields: &str| format!("POST / HTTP/1.1\r\n{fields}\r\n\r\nabc");
    for good in
        ["Content-Length: 3", "content-length:3", "Content-Length: 3\r\nContent-Length: 3", "Content-Length: 3, 3"]
    {
        check_requests(with(good).as_bytes(), "POST / HTTP/1.1 {abc} End, Clean");
    }
    for bad in [
        "Content-Length: 3\r\nContent-Length: 4",
        "Content-Length: 3, 4",
        "Content-Length: -3",
        "Content-Length: +3",
        "Content-Length: 3 3",
        "Content-Length: 0x3",
        "Content-Length:",
        "Content-Length: 3,",
        "Content-Length: 18446744073709551616",
        "Content-Length : 3",
        "Content-Length: 3\0",
    ] {
        check_requests(with(bad).as_bytes(), "Garbled");
    }
    check_requests(with("Content-Length: 18446744073709551615").as_bytes(), "POST / HTTP/1.1 {abc} Cut");
}

#[test]
fn chunks() {
    check_requests(
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\
          5\r\nhello\r\n00A;name=\"v;\"\r\n 0123456\r\n\r\n1  \r\n!\r\n0;last\r\nTrailer: x\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1 {hello 0123456\\r\\n!} End, GET / HTTP/1.1 End, Clean",
    );
    check_answers(
        "GET",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n2\nhi\n0\n\nHTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK {hi} End, Cut",
    );
    check_answers(
        "GET",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
        "HTTP/1.1 200 OK {hi} Cut",
    );
}

#[test]
fn answers_without_content() {
    let with = |status: &str| {
        format!("HTTP/1.1 {status}\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
    };
    for status in ["204 No Content", "304 Not Modified"] {
        let expected = format!("HTTP/1.1 {status} End, HTTP/1.1 200 OK {{x}} End, Clean");
        check_answers("GET", with(status).as_bytes(), &expected);
    }
    check_answers("HEAD", with("200 OK").as_bytes(), "HTTP/1.1 200 OK End, HTTP/1.1 200 OK {x} End, Clean");
    check_answers("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 200 OK End, Clean");
}

#[test]
fn interim_answers() {
    check_answers(
        "POST",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 200 OK {x} End, Clean",
    );
    check_answers("POST", b"HTTP/1.1 100 Continue\r\n\r\n", "Cut");
}

#[test]
fn tunnels() {
    check_answers(
        "GET",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n\x81\x02hi",
        "HTTP/1.1 101 Switching Protocols Tunnel, ",
    );
    check_answers(
        "CONNECT",
        b"HTTP/1.1 200 Established\r\nContent-Length: 9\r\n\r\n\x16\x03",
        "HTTP/1.1 200 Established Tunnel, ",
    );
    check_answers("CONNECT", b"HTTP/1.1 407 No\r\nContent-Length: 2\r\n\r\nno", "HTTP/1.1 407 No {no} End, Clean");
    check_answers("GET", b"HTTP/1.1 200 Ok\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 200 Ok {ok} End, Clean");
}

#[test]
fn the_last_answer() {
    let cases: [(&[u8], &str); 8] = [
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", "HTTP/1.1 200 OK {x} Last, Clean"),
        (b"HTTP/1.1 204 No\r\nConnection: foo, CLOSE\r\n\r\n", "HTTP/1.1 204 No Last, Clean"),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", "HTTP/1.0 200 OK {x} Last, Clean"),
        (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\nx", "HTTP/1.0 200 OK {x} End, Clean"),
        (
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK {x} Last, Clean",
        ),
        (
            b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
            "HTTP/1.0 200 OK {x} Last, Clean",
        ),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the close\r\n\r\n", "HTTP/1.1 200 OK {until the close\\r\\n\\r\\n} Ends"),
        (b"HTTP/1.1 200\r\nContent-Length: 3\r\n\r\nx", "HTTP/1.1 200 {x} Cut"),
    ];
    for (server, expected) in cases {
        check_answers("GET", server, expected);
    }
}

#[test]
fn a_close_within_a_message_cuts_it() {
    check_requests(b"GET / HTTP/1.1\r\nHost:", "Cut");
    check_requests(b"G", "Cut");
    check_requests(b"PUT / HTTP/1.1\r\nContent-Length: 3\r\n\r\n", "PUT / HTTP/1.1 Cut");
    check_answers("GET", b"HTTP/1.1 200 OK\r\n", "Cut");
}

#[test]
fn folded_lines() {
    check_requests(
        b"POST / HTTP/1.1\r\nX: a\r\n\tb\r\nContent-Length:\r\n 2\r\n\r\nok",
        "POST / HTTP/1.1 {ok} End, Clean",
    );
    check_requests(b"POST / HTTP/1.1\r\n Content-Length: 2\r\n\r\n", "Garbled");
    check_answers(
        "GET",
        b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nTransfer-Encoding: gzip,\r\n\tchunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK {x} End, Clean",
    );
}

#[test]
fn answers_are_read_leniently() {
    let answer = b"\r\nHTTP/1.1  200  OK\r\nbad name: 1\r\nContent-Length : 2\r\nX: \xe9\r\n\r\nok";
    check_answers("GET", answer, "HTTP/1.1  200  OK {ok} End, Clean");
}

#[test]
fn what_is_known_of_the_answer() {
    let expect = |client: &str| requests(&mut Http1::new(LIMIT), &[client.as_bytes()]).1[0];
    let retryable = |method: &str| expect(&format!("{method} / HTTP/1.1\r\n\r\n")).retryable;
    assert!(["GET", "HEAD", "OPTIONS", "TRACE"].into_iter().all(retryable));
    assert!(!["POST", "PATCH", "CONNECT", "get", "PROPFIND"].into_iter().any(retryable));

    let mut framer = Http1::new(LIMIT);
    framer.request(b"HEAD / HTTP/1.1\r\n\r\n").unwrap();
    let of_head = framer.expect();
    framer.request(b"").unwrap();
    assert_eq!(framer.expect(), of_head);
    framer.request(b"POST / HT").unwrap();
    assert_eq!(framer.expect(), Expect::default());
}

#[test]
fn a_whole_head_is_not_copied() {
    let client = b"GET / HTTP/1.1\r\n\r\nrest";
    let mut framer = Http1::new(LIMIT);
    let step = framer.request(client).unwrap();
    let Part::Head(head) = step.part else { panic!("{step:?}") };
    assert!(std::ptr::eq(head.as_ptr(), client.as_ptr()));
    assert_eq!((step.consumed, head.len()), (18, 18));
}
