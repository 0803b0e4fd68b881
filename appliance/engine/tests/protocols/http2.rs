//! HTTP/2 and gRPC on the wire.

use super::dialogue::Said::{Client, Server};
use super::dialogue::{Said, check};
use tapcopy_engine::protocol::{Boundary, Framer, Opening, Part, Recognition, find};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 0x01;
const END_HEADERS: u8 = 0x04;
const PADDED: u8 = 0x08;
const PRIORITY: u8 = 0x20;

fn http2(said: &[Said<'_>], expected: &str) {
    check("http2", said, expected);
}

fn frame(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
    let len = (content.len() as u32).to_be_bytes();
    [&len[1..], &[kind, flags], &stream.to_be_bytes(), content].concat()
}

/// A request without content: GET / by entries of the static table.
fn get(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &[0x82, 0x84, 0x86])
}

/// A head with status 200, without an end.
fn ok(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &[0x88])
}

fn data(flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
    frame(DATA, flags, stream, content)
}

fn opened() -> Vec<u8> {
    [PREFACE.to_vec(), frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0]), frame(WINDOW_UPDATE, 0, 0, &[0, 1, 0, 0])].concat()
}

#[test]
fn answers_go_to_their_streams_in_any_order() {
    let said = [
        Client(&[opened(), get(1), get(3), get(5)].concat()),
        Server(&frame(SETTINGS, 0, 0, b"")),
        Server(&[ok(3), ok(1), data(0, 3, b"three "), data(0, 1, b"one"), data(END_STREAM, 3, b"more")].concat()),
        Client(&[frame(SETTINGS, 1, 0, b""), get(7)].concat()),
        Server(&[data(END_STREAM, 1, b""), frame(PING, 0, 0, &[0; 8]), frame(HEADERS, 5, 7, &[0x8D])].concat()),
        Server(&[ok(5), data(END_STREAM, 5, b"five")].concat()),
        Client(&frame(GOAWAY, 0, 0, &[0; 8])),
    ];
    let head = "HTTP/1.1 200 \\r\\n\\r\\n";
    http2(&said, &format!("? ? ? 3={head}three more ? 1={head}one 7=HTTP/1.1 404 \\r\\n\\r\\n 5={head}five"));
}

#[test]
fn requests_between_each_other() {
    let said = [
        Client(
            &[
                opened(),
                frame(HEADERS, END_HEADERS | PRIORITY, 1, &[0, 0, 0, 0, 9, 0x83]),
                data(0, 1, b"up"),
                get(3),
                data(END_STREAM, 1, b"load"),
                frame(HEADERS, END_STREAM, 5, &[0x82]),
                frame(CONTINUATION, 0, 5, &[0x84]),
                frame(CONTINUATION, END_HEADERS, 5, &[0x86]),
            ]
            .concat(),
        ),
        Server(&[frame(HEADERS, 5, 1, &[0x89]), frame(HEADERS, 5, 5, &[0x89]), frame(HEADERS, 5, 3, &[0x89])].concat()),
    ];
    let head = "HTTP/1.1 204 \\r\\n\\r\\n";
    http2(&said, &format!("? ? ? 1={head} 5={head} 3={head}"));
}

/// A call of gRPC with messages both ways, a field of its own and trailers, and one that fails at once.
#[test]
fn calls_with_trailers() {
    let (call, message) = (frame(HEADERS, END_HEADERS, 1, &[0x83]), b"\0\0\0\0\x01m");
    let trailers = frame(HEADERS, 5, 1, b"\x40\x0bgrpc-status\x010");
    let said = [
        Client(&[opened(), call, data(0, 1, message), frame(PING, 0, 0, &[0; 8])].concat()),
        Server(&[frame(HEADERS, END_HEADERS, 1, b"\x88\x5f\x10application/grpc"), data(0, 1, message)].concat()),
        Client(&data(0, 1, message)),
        Server(&data(0, 1, message)),
        Client(&data(END_STREAM, 1, b"")),
        Server(&trailers),
        Client(&frame(HEADERS, 5, 3, &[0x83])),
        Server(&frame(HEADERS, 5, 3, b"\x88\x0f\x10\x03a/b\xbe")),
    ];
    let (told, head) = ("\\x00\\x00\\x00\\x00\\x01m", "HTTP/1.1 200 \\r\\n");
    http2(
        &said,
        &format!(
            "? 1={head}content-type: application/grpc\\r\\n\\r\\n{told}{told}grpc-status: 0\\r\\n\\r\\n \
             ? 3={head}content-type: a/b\\r\\ngrpc-status: 0\\r\\n\\r\\n"
        ),
    );
}

#[test]
fn padding_interim_answers_and_promises_are_passed_over() {
    let said = [
        Client(&[opened(), get(1), get(3)].concat()),
        Server(
            &[
                frame(HEADERS, END_HEADERS, 1, b"\x48\x03103"),
                frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2, 0x82, 0x84]),
                frame(HEADERS, END_HEADERS | PADDED, 1, &[2, 0x88, 0, 0]),
                frame(HEADERS, END_HEADERS, 2, &[0x88]),
                data(PADDED, 1, b"\x03content\0\0\0"),
                data(PADDED, 1, b"\x01\0"),
                data(PADDED | END_STREAM, 1, b"\0."),
                data(END_STREAM, 2, b"pushed"),
                frame(RST_STREAM, 0, 3, &[0, 0, 0, 7]),
            ]
            .concat(),
        ),
    ];
    http2(&said, "? ? 1=HTTP/1.1 200 \\r\\n\\r\\ncontent. 3=\\x00\\x00\\x00\\x07");
}

#[test]
fn what_is_no_http2_is_garbled() {
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"PRI * HTTP/1.0\r\n"] {
        let mut framer = find("http2").and_then(|definition| definition.framer).expect("it has a framer")(1 << 16);
        assert!(framer.aside(bytes).is_none() && framer.request(bytes).is_err(), "{}", bytes.escape_ascii());
    }
    for bytes in [frame(HEADERS, 5, 1, &[0xC0]), frame(CONTINUATION, 4, 1, b""), frame(HEADERS, 5, 1, &[0; 90_000])] {
        let mut framer = find("http2").and_then(|definition| definition.framer).expect("it has a framer")(1 << 16);
        assert!(framer.unasked(&bytes).is_err(), "{}", bytes.escape_ascii());
    }
}

#[test]
fn only_its_beginning_is_recognised() {
    let check = |client: &[u8], midstream: bool, expected: Recognition| {
        let found = (find("http2").expect("it is known").recognise)(&Opening { client, server: b"", midstream });
        assert_eq!(found, expected, "{}", client.escape_ascii());
    };
    for len in 1..PREFACE.len() {
        check(&PREFACE[..len], false, Recognition::More);
    }
    check(&opened(), false, Recognition::Yes);
    check(&opened(), true, Recognition::No);
    check(&get(3), true, Recognition::No);
    check(b"POST / HTTP/1.1\r\n", false, Recognition::No);
}

/// What a request says, without frames: its head in the form of HTTP/1, its content, and what follows between others.
#[test]
fn requests_are_told() {
    let mut framer = find("http2").and_then(|definition| definition.framer).expect("a framer")(1 << 16);
    let mut bytes = opened();
    while !bytes.is_empty() {
        let consumed = framer.aside(&bytes).expect("no request").consumed;
        bytes.drain(..consumed);
    }
    let head = b"\x83\x44\x06/lab/a\x41\x03lab\x86\x40\x0dauthorization\x01x";
    let mut told = Vec::new();
    let mut take = |framer: &mut Box<dyn Framer>, bytes: &[u8]| {
        let step = framer.request(bytes).expect("a request");
        assert_eq!(step.consumed, bytes.len());
        match step.part {
            Part::Head(said) | Part::Body(said) => told.extend_from_slice(said),
            _ => {}
        }
    };
    take(&mut framer, &frame(HEADERS, END_HEADERS, 1, head));
    take(&mut framer, &data(PADDED, 1, b"\x02body\0\0"));
    let end = framer.request(&get(3)).expect("another").boundary;
    assert_eq!(
        (end, (find("http2").expect("it is known").subject)(&told).map(|subject| subject.path)),
        (Boundary::End, Some(&b"/lab/a"[..]))
    );
    assert_eq!(
        told.escape_ascii().to_string(),
        "POST /lab/a HTTP/2\\r\\nhost: lab\\r\\nauthorization: x\\r\\n\\r\\nbody"
    );
    assert_eq!(framer.request(&get(3)).expect("another").part, Part::Head(b"GET / HTTP/2\r\n\r\n"));
    let more = data(END_STREAM, 1, b"more");
    let step = framer.aside(&more).expect("the rest of the first");
    assert_eq!(step.part, Part::Head(b"more"));
    assert_eq!(framer.continued(), Some(1));
}
