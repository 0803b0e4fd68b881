//! memcached on the wire.

use super::dialogue::Said::{Client, Server};
use super::dialogue::{Said, check};
use tapcopy_engine::protocol::{Opening, Recognition, find};

fn memcached(said: &[Said<'_>], expected: &str) {
    check("memcached", said, expected);
}

/// A message of the binary protocol: extras, key and value behind its header.
fn binary(magic: u8, opcode: u8, [extras, key, value]: [&[u8]; 3], unique: u64) -> Vec<u8> {
    let mut bytes = vec![magic, opcode, 0, key.len() as u8, extras.len() as u8, 0, 0, 0];
    bytes.extend_from_slice(&((extras.len() + key.len() + value.len()) as u32).to_be_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&unique.to_be_bytes());
    [&bytes, extras, key, value].concat()
}

fn request(opcode: u8, parts: [&[u8]; 3]) -> Vec<u8> {
    binary(0x80, opcode, parts, 0)
}

fn answer(opcode: u8, parts: [&[u8]; 3]) -> Vec<u8> {
    binary(0x81, opcode, parts, 7)
}

/// What is compared of an answer: all but the unique number.
fn compared(messages: &[Vec<u8>]) -> String {
    let parts: Vec<u8> = messages.iter().flat_map(|bytes| [&bytes[..16], &bytes[24..]].concat()).collect();
    parts.escape_ascii().to_string()
}

#[test]
fn classic_commands() {
    let said = [
        Client(b"set a 1 0 5\r\nx\r\nyz\r\nget a b\r\ndelete b\r\nincr n 1\r\nflush_all\r\n"),
        Server(b"STORED\r\nVALUE a 1 5\r\nEND\r\n\r\nEND\r\nNOT_FOUND\r\n8\r\nOK\r\n"),
    ];
    memcached(&said[..1], "? ?r ? ? ?");
    let content =
        "? ?r ? ? ? =STORED\\r\\n =VALUE a 1 5\\r\\nEND\\r\\n\\r\\nEND\\r\\n =NOT_FOUND\\r\\n =8\\r\\n =OK\\r\\n";
    memcached(&said, content);
}

#[test]
fn nothing_answers_noreply_but_errors() {
    let said = [
        Client(b"set a 0 0 1 noreply\r\nx\r\ndelete a noreply\r\n"),
        Server(b"SERVER_ERROR out of memory\r\n"),
        Client(b"get a\r\n"),
        Server(b"END\r\n"),
        Client(b"version noreply\r\n"),
        Server(b"VERSION 1\r\n"),
        Client(b"quit\r\n"),
    ];
    memcached(&said, "?s ?s ~ ?r =END\\r\\n ?rv =VERSION 1\\r\\n ?s");
}

#[test]
fn lists_end_with_a_word() {
    let said = [
        Client(b"stats\r\nversion\r\nstats reset\r\n"),
        Server(b"STAT pid 1\r\nSTAT uptime 2\r\nEND\r\nVERSION 1.6\r\nRESET\r\n"),
    ];
    memcached(&said, "?v ?rv ?v =STAT pid 1\\r\\nSTAT uptime 2\\r\\nEND\\r\\n =VERSION 1.6\\r\\n =RESET\\r\\n");
}

#[test]
fn meta_commands() {
    let said = [
        Client(b"ms a 2 T0\r\nhi\r\nmg a v\r\nmg b v\r\nmd a\r\nmn\r\nmg a t v\r\n"),
        Server(b"HD\r\nVA 2\r\nhi\r\nEN\r\nHD\r\nMN\r\nVA 2 t-1\r\nhi\r\n"),
    ];
    let answers = "=HD\\r\\n =VA 2\\r\\nhi\\r\\n =EN\\r\\n =HD\\r\\n =MN\\r\\n =VA 2 t-1\\r\\nhi\\r\\n";
    memcached(&said, &format!("? ?r ?r ? ?r ?rv {answers}"));
}

#[test]
fn quiet_reads_are_one_request_with_what_ends_them() {
    let said = [
        Client(b"mg a v q\r\nmg b v q\r\nmg c v q\r\nmn\r\nget a\r\n"),
        Server(b"VA 1\r\nx\r\nVA 2\r\nMN\r\nMN\r\nEND\r\n"),
    ];
    memcached(&said, "? ?r =VA 1\\r\\nx\\r\\nVA 2\\r\\nMN\\r\\nMN\\r\\n =END\\r\\n");
    let said = [Client(b"mg a q\r\nset b 0 0 1\r\nx\r\n"), Server(b"HD\r\nSTORED\r\n")];
    memcached(&said, "? =HD\\r\\nSTORED\\r\\n");
}

#[test]
fn quiet_writes_are_answered_only_where_they_fail() {
    let said = [
        Client(b"ms a 1 q\r\nx\r\nmd b q\r\n"),
        Server(b"NF\r\n"),
        Client(b"md c q\r\nmn\r\n"),
        Server(b"NF\r\nMN\r\n"),
    ];
    memcached(&said, "?s ?s ~ ?s ?r ~ =MN\\r\\n");
}

#[test]
fn binary_commands() {
    let (get, set) = (request(0x00, [b"", b"k", b""]), request(0x01, [&[0; 8], b"k", b"value"]));
    let (got, was_set) = (answer(0x00, [&[0; 4], b"", b"value"]), answer(0x01, [b""; 3]));
    let stats = [answer(0x10, [b"", b"pid", b"1"]), answer(0x10, [b""; 3])];
    let said = [
        Client(&[set, get, request(0x10, [b""; 3])].concat()),
        Server(&[was_set.clone(), got.clone(), stats.concat()].concat()),
        Client(&request(0x07, [b""; 3])),
        Server(&answer(0x07, [b""; 3])),
    ];
    let answers = [compared(&[was_set]), compared(&[got]), compared(&stats), compared(&[answer(0x07, [b""; 3])])];
    let [set, got, stats, quit] = answers;
    memcached(&said, &format!("? ?r ?v ={set} ={got} ={stats} ? ={quit}!"));
}

#[test]
fn quiet_commands_of_the_binary_protocol() {
    let quiet_get = request(0x09, [b"", b"k", b""]);
    let (noop, hit, end) = (request(0x0A, [b""; 3]), answer(0x09, [&[0; 4], b"", b"v"]), answer(0x0A, [b""; 3]));
    let failed = answer(0x11, [b"", b"", b"Out of memory"]);
    let said = [
        Client(&[&quiet_get[..], &quiet_get, &noop].concat()),
        Server(&[&hit[..], &end].concat()),
        Client(&[request(0x11, [&[0; 8], b"k", b"v"]), noop].concat()),
        Server(&[&failed[..], &end].concat()),
    ];
    let (first, second) = (compared(&[hit, end.clone()]), compared(&[end]));
    memcached(&said, &format!("? ={first} ?s ?r ~ ={second}"));
}

#[test]
fn what_cannot_be_told_is_garbled() {
    for bytes in [
        &b"set a 0 0 x\r\n"[..],
        b"mg a q\r\nmg b\r\n",
        &[0x80, 0x60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ] {
        let mut framer = find("memcached").and_then(|definition| definition.framer).expect("it has a framer")(1 << 16);
        let mut rest = bytes;
        let garbled = loop {
            match framer.request(rest) {
                Ok(step) if !rest.is_empty() => rest = &rest[step.consumed..],
                Ok(_) => break false,
                Err(_) => break true,
            }
        };
        assert!(garbled, "{} was taken for a command", bytes.escape_ascii());
    }
}

#[test]
fn its_opening_is_recognised() {
    let check = |client: &[u8], server: &[u8], midstream: bool, expected: Recognition| {
        let found = (find("memcached").expect("it is known").recognise)(&Opening { client, server, midstream });
        assert_eq!(found, expected, "{} {}", client.escape_ascii(), server.escape_ascii());
    };
    let set = b"set a 0 0 1\r\n";
    for len in 1..set.len() {
        check(&set[..len], b"", false, Recognition::More);
        check(&set[..len], b"", true, Recognition::No);
        check(&set[..len], b"+", false, Recognition::No);
    }
    check(set, b"", false, Recognition::Yes);
    check(set, b"", true, Recognition::Yes);
    check(b"get a\r\n", b"", false, Recognition::More);
    check(b"get a\r\n", b"EN", false, Recognition::More);
    check(b"get a\r\n", b"END\r\n", false, Recognition::Yes);
    check(b"get a\r\n", b"$-1\r\n", false, Recognition::No);
    check(b"get a\r\n", b"", true, Recognition::Yes);
    check(b"mn\r\n", b"MN\r\n", false, Recognition::Yes);
    check(b"GET / HTTP/1.1\r\n", b"", false, Recognition::No);
    let get = request(0x00, [b"", b"k", b""]);
    for len in 1..24 {
        check(&get[..len], b"", false, Recognition::More);
    }
    check(&get, b"", false, Recognition::Yes);
    check(&get, b"", true, Recognition::Yes);
    check(&[0x80, 0x00, 0xFF], b"x", false, Recognition::No);
    check(b"", b"220 ready\r\n", false, Recognition::No);
}
