//! MySQL and MariaDB on the wire.

use super::dialogue::Said::{Client, Server};
use super::dialogue::{Said, check, check_recorded};
use tapcopy_engine::protocol::{Boundary, Opening, Recognition, Wish, find};

const OK: &[u8] = b"\x07\0\0\x01\0\0\0\x02\0\0\0";

/// Flags of a client: of version 4.1, and MySQL's own.
const CLIENT_41: u32 = 1 << 9 | 1;

/// A packet of content that fits one.
fn packet(number: u8, content: &[u8]) -> Vec<u8> {
    let [low, middle, high, _] = (content.len() as u32).to_le_bytes();
    [&[low, middle, high, number], content].concat()
}

/// A greeting of a server that can do everything.
fn greeting() -> Vec<u8> {
    packet(0, &[b"\x0A8.0.1\0", &[1; 4][..], &[2; 8], &[0], &[0xFF; 2], &[45], &[2, 0], &[0xFF; 2], &[0; 24]].concat())
}

/// A login of a client with these flags.
fn login(flags: u32) -> Vec<u8> {
    packet(1, &[&flags.to_le_bytes()[..], &[0; 28], b"a\0\0"].concat())
}

/// A dialogue on a connection whose login is over.
fn logged_in(said: &[Said<'_>], expected: &str) {
    let (greeting, login) = (greeting(), login(CLIENT_41));
    let said = [&[Server(&greeting), Client(&login), Server(OK)], said].concat();
    check("mysql", &said, &format!("~ ?hab = {expected}"));
}

#[test]
fn a_session_of_pymysql() {
    let words = include_str!("recorded/mysql_pymysql.words").trim_end();
    check_recorded("mysql", include_str!("recorded/mysql_pymysql.talk"), words);
}

#[test]
fn a_session_of_the_client_that_leaves_out_known_columns() {
    let words = include_str!("recorded/mysql_client.words").trim_end();
    check_recorded("mysql", include_str!("recorded/mysql_client.talk"), words);
}

#[test]
fn a_session_with_prepared_statements() {
    let words = include_str!("recorded/mysql_connector.words").trim_end();
    check_recorded("mysql", include_str!("recorded/mysql_connector.talk"), words);
}

#[test]
fn a_session_without_eof_packets() {
    let words = include_str!("recorded/mysql_deprecate.words").trim_end();
    check_recorded("mysql", include_str!("recorded/mysql_deprecate.talk"), words);
}

#[test]
fn a_file_with_reports_of_progress() {
    let words = include_str!("recorded/mysql_file.words").trim_end();
    check_recorded("mysql", include_str!("recorded/mysql_file.talk"), words);
}

#[test]
fn a_login_in_several_messages() {
    let (greeting, login, reply) = (greeting(), login(CLIENT_41), packet(3, b"secret\0"));
    let (wants_all, let_in) = (packet(2, b"\x01\x04"), [packet(4, b"\x01\x03"), OK.to_vec()].concat());
    let said = [Server(&greeting), Client(&login), Server(&wants_all), Client(&reply), Server(&let_in)];
    check("mysql", &said, "~ ?hab = ?hanb =");
}

#[test]
fn a_login_that_is_refused_is_the_last() {
    let (greeting, login, refusal) = (greeting(), login(CLIENT_41), packet(2, b"\xFF\x15\x04#28000Access denied"));
    check("mysql", &[Server(&greeting), Client(&login), Server(&refusal)], "~ ?hab =!");
}

#[test]
fn encryption_and_compression_end_all() {
    let request = |content: &[u8]| {
        let mut framer = find("mysql").and_then(|definition| definition.framer).expect("it has a framer")(1 << 16);
        framer.unasked(&greeting()).expect("a header");
        framer.unasked(&greeting()[4..]).expect("a greeting");
        framer.request(&content[..4]).expect("a header");
        framer.request(&content[4..]).expect("a login").boundary
    };
    let encrypts = packet(1, &[&(CLIENT_41 | 1 << 11).to_le_bytes()[..], &[0; 28]].concat());
    assert_eq!(request(&encrypts), Boundary::Encrypted);
    assert_eq!(request(&login(CLIENT_41 | 1 << 5)), Boundary::Compressed);
    assert_eq!(request(&login(CLIENT_41 | 1 << 11)), Boundary::End, "encryption is asked for by a shorter message");
}

#[test]
fn silent_commands() {
    let close = packet(0, b"\x19\x01\0\0\0");
    let data = packet(0, b"\x18\x01\0\0\0\0\0content");
    logged_in(&[Client(&[close, data, packet(0, b"\x01")].concat())], "?san ?sanb ?sn");
}

/// How the target wants a statement to be run to which the origin gave the number 9, and the target what `answer` makes of that.
fn wish_for_prepared(text: &str, answer: impl Fn(&[u8]) -> Vec<u8>) -> Wish {
    let statement = packet(0, format!("\x16{text}").as_bytes());
    let prepared = packet(1, b"\0\x09\0\0\0\0\0\0\0\0\0\0");
    let execute = packet(0, b"\x17\x09\0\0\0\0\x01\0\0\0");
    let (mut origin, mut target) = (framer(), framer());
    take(origin.as_mut(), &[Client(&statement), Server(&prepared), Client(&execute)]);
    take(target.as_mut(), &[Client(&statement), Server(&answer(&prepared))]);
    target.wants(origin.expect())
}

#[test]
fn a_statement_bears_the_targets_number() {
    let numbered = |number: u8| {
        move |prepared: &[u8]| {
            let mut answer = prepared.to_vec();
            answer[5] = number;
            answer
        }
    };
    let named = |number: u8| Wish::Renamed { at: 5, name: [number, 0, 0, 0] };
    assert_eq!(wish_for_prepared("select 1", numbered(9)), named(9));
    assert_eq!(wish_for_prepared("select 1", numbered(8)), named(8));
    let refusal = packet(1, b"\xFF\x15\x04#42000no");
    assert_eq!(wish_for_prepared("select 1", |_| refusal.clone()), Wish::Nothing, "the target has no such statement");
}

#[test]
fn a_statement_that_nobody_prepared_is_not_sent() {
    let mut origin = framer();
    take(origin.as_mut(), &[Client(&packet(0, b"\x17\x09\0\0\0\0\x01\0\0\0"))]);
    assert_eq!(framer().wants(origin.expect()), Wish::Nothing);
}

#[test]
fn what_names_the_origins_own_is_of_no_use_to_another() {
    let mut origin = framer();
    take(origin.as_mut(), &[Client(&packet(0, b"\x03kill 7"))]);
    assert_eq!(framer().wants(origin.expect()), Wish::Nothing, "a connection's number is the origin's");
    assert_eq!(wish_for_prepared("kill ?", <[u8]>::to_vec), Wish::Nothing, "nor may it be given to a statement");
}

#[test]
fn a_statement_that_names_the_origins_own_is_prepared_nevertheless() {
    let mut origin = framer();
    take(origin.as_mut(), &[Client(&packet(0, b"\x16kill ?"))]);
    assert_eq!(framer().wants(origin.expect()), Wish::AsItCame, "the target counts as the origin does");
}

/// A framer of a connection whose login is over.
fn framer() -> Box<dyn tapcopy_engine::protocol::Framer> {
    let mut framer = find("mysql").and_then(|definition| definition.framer).expect("it has a framer")(1 << 16);
    let (greeting, login) = (greeting(), login(CLIENT_41));
    take(framer.as_mut(), &[Server(&greeting), Client(&login), Server(OK)]);
    framer
}

/// Takes a dialogue in which every request is answered before the next.
fn take(framer: &mut dyn tapcopy_engine::protocol::Framer, said: &[Said<'_>]) {
    for words in said {
        let (Client(mut bytes) | Server(mut bytes)) = *words;
        while !bytes.is_empty() {
            let expect = framer.expect();
            let step = match words {
                Client(_) => framer.request(bytes),
                Server(_) if framer.awaits_greeting() => framer.unasked(bytes),
                Server(_) => framer.answer(expect, bytes),
            };
            bytes = &bytes[step.expect("of the protocol").consumed..];
        }
    }
}

#[test]
fn a_message_of_several_packets() {
    let mut framer = framer();
    let long = vec![b' '; (1 << 24) - 1];
    let query = [&b"\xFF\xFF\xFF\0\x03"[..], &long[1..], &packet(1, b"select 1")].concat();
    let mut rest = &query[..];
    let mut ends = Vec::new();
    while !rest.is_empty() {
        let step = framer.request(rest).expect("of the protocol");
        rest = &rest[step.consumed..];
        ends.push(step.boundary);
    }
    assert_eq!(ends.iter().filter(|boundary| **boundary == Boundary::End).count(), 1);
    assert_eq!(ends.last(), Some(&Boundary::End));
}

#[test]
fn a_cursor_has_no_rows_behind_its_columns() {
    let (execute, fetch) = (packet(0, b"\x17\x01\0\0\0\x01\x01\0\0\0"), packet(0, b"\x1C\x01\0\0\0\x02\0\0\0"));
    let columns = [packet(1, b"\x01"), packet(2, b"column"), packet(3, b"\xFE\0\0\x42\0")].concat();
    let rows = [packet(1, b"\0\0\x01"), packet(2, b"\xFE\0\0\x82\0")].concat();
    let expected = "?anb =\\x01column\\xfeB\\x00\\x00\\x00 ?anb =\\x00\\x00\\x01\\xfe\\x82\\x00\\x00\\x00";
    logged_in(&[Client(&execute), Server(&columns), Client(&fetch), Server(&rows)], expected);
}

#[test]
fn reports_of_progress_answer_nothing() {
    let (greeting, login) = (greeting(), login(CLIENT_41 | 1 << 29));
    let (query, report) = (packet(0, b"\x03alter table t"), packet(1, b"\xFF\xFF\xFF\x01\x01\x01\0\0\0\x05stage"));
    let said = [Server(&greeting), Client(&login), Server(OK), Client(&query), Server(&report), Server(OK)];
    check("mysql", &said, "~ ?hab = ?nb ~ =\\x00\\x00\\x02\\x00\\x00\\x00");
}

#[test]
fn what_cannot_be_told_is_garbled() {
    logged_in(&[Server(b"\x02\0\0\0"), Server(b"a")], "~ garbled=");
    logged_in(&[Client(&packet(0, b"\x16select 1")), Server(b"\x02\0\0\x01a")], "?nb garbled=");
}

#[test]
fn its_greeting_is_recognised() {
    let check = |client: &[u8], server: &[u8], midstream: bool, expected: Recognition| {
        let found = (find("mysql").expect("it is known").recognise)(&Opening { client, server, midstream });
        assert_eq!(found, expected, "{}", server.escape_ascii());
    };
    let greeting = greeting();
    for len in 1..6 {
        check(b"", &greeting[..len], false, Recognition::More);
    }
    check(b"", &greeting, false, Recognition::Yes);
    check(b"x", &greeting, false, Recognition::No);
    check(b"", &greeting, true, Recognition::No);
    check(b"", b"220 ready\r\n", false, Recognition::No);
    check(b"GET / HTTP/1.1\r\n", b"", false, Recognition::No);
}
