//! PostgreSQL on the wire.

use super::dialogue::Said::{Client, Server};
use super::dialogue::{Said, check, check_recorded};
use tapcopy_engine::protocol::{Opening, Recognition, find};

const READY: &[u8] = b"Z\0\0\0\x05I";

/// A message: its type, its length, its content.
fn message(kind: u8, content: &[u8]) -> Vec<u8> {
    let len = (content.len() as u32 + 4).to_be_bytes();
    [&[kind], &len[..], content].concat()
}

/// A dialogue on a connection whose login is over.
fn logged_in(said: &[Said<'_>], expected: &str) {
    let (startup, done) = (b"\0\0\0\x10\0\x03\0\0user\0a\0\0", [message(b'R', &[0; 4]), READY.to_vec()].concat());
    let said = [&[Client(startup), Server(&done)], said].concat();
    check("postgresql", &said, &format!("?hb ={} {expected}", READY.escape_ascii()));
}

#[test]
fn a_session_of_psycopg() {
    let words = include_str!("recorded/postgresql_psycopg.words").trim_end();
    check_recorded("postgresql", include_str!("recorded/postgresql_psycopg.talk"), words);
}

#[test]
fn a_session_with_a_password() {
    let words = include_str!("recorded/postgresql_password.words").trim_end();
    check_recorded("postgresql", include_str!("recorded/postgresql_password.talk"), words);
}

#[test]
fn after_an_error_flush_is_not_answered() {
    let (parse, flush, sync) = (message(b'P', b"\0bad\0\0\0"), message(b'H', b""), message(b'S', b""));
    let error = message(b'E', b"C42601\0Fscan.l\0\0");
    let (twice, both) = ([&parse[..], &flush, &parse, &flush, &sync].concat(), [&error[..], READY].concat());
    let ready = READY.escape_ascii();
    logged_in(&[Client(&twice), Server(&both)], &format!("?nb ?nb ?nb =EC42601\\x00\\x00 = ={ready}"));
}

#[test]
fn flush_is_answered_by_what_completes() {
    let asked = [message(b'P', b"\0select 1\0\0\0"), message(b'D', b"S\0"), message(b'H', b"")].concat();
    let said = [message(b'1', b""), message(b't', b"\0\0"), message(b'T', b"\0\0")].concat();
    logged_in(&[Client(&asked), Server(&said)], "?nb =1\\x00\\x00\\x00\\x04T\\x00\\x00");
}

#[test]
fn refused_rows_are_not_answered() {
    let (copy, query) = (message(b'Q', b"copy t from stdin\0"), message(b'Q', b"select\0"));
    let (rows, refusal) = (message(b'd', b"1\n"), message(b'E', b"C42P01\0\0"));
    let (asked, said) = ([&copy[..], &rows, &query].concat(), [&refusal[..], READY, READY].concat());
    let ready = READY.escape_ascii();
    logged_in(&[Client(&asked), Server(&said)], &format!("?nb ?anb ?nb =EC42P01\\x00\\x00{ready} = ={ready}"));
}

#[test]
fn a_cancellation_is_silent_and_encryption_ends_all() {
    check("postgresql", &[Client(b"\0\0\0\x10\x04\xD2\x16\x2E\0\0\0\x01\0\0\0\x02")], "?s");
    check("postgresql", &[Client(b"\0\0\0\x08\x04\xD2\x16\x2F"), Server(b"S")], "?h =!");
}

#[test]
fn what_cannot_be_told_is_garbled() {
    logged_in(&[Client(b"?\0\0\0\x04")], "garbled? cut");
    logged_in(&[Client(b"Q\0\0\0\x03")], "garbled? cut");
    logged_in(&[Server(b"Z")], "garbled=");
    logged_in(&[Client(&message(b'Q', b"\0")), Server(b"W\0\0\0"), Server(b"\x04")], "?nb garbled=");
}

#[test]
fn its_opening_is_recognised() {
    let check = |client: &[u8], midstream: bool, expected: Recognition| {
        let found = (find("postgresql").expect("it is known").recognise)(&Opening { client, server: b"", midstream });
        assert_eq!(found, expected, "{}", client.escape_ascii());
    };
    for opening in [&b"\0\0\0\x08\x04\xD2\x16\x2F"[..], b"\0\0\0\x08\x04\xD2\x16\x30", b"\0\0\x01\x08\0\x03\0\0user"] {
        for len in 1..8 {
            check(&opening[..len], false, Recognition::More);
        }
        check(opening, false, Recognition::Yes);
        check(opening, true, Recognition::No);
    }
    for other in
        [&b"GET / HTTP/1.1\r\n"[..], b"\0\0\0\x08\x04\xD2\x16\x2D", b"\0\0\0\x08\0\x02\0\0", b"\0\0\x40\0\0\x03\0\0"]
    {
        check(other, false, Recognition::No);
    }
}
