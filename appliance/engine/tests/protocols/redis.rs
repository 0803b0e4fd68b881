//! Redis on the wire.

use super::dialogue::Said::{Client, Server};
use super::dialogue::{Said, check};
use tapcopy_engine::protocol::{Opening, Recognition, find};

fn redis(said: &[Said<'_>], expected: &str) {
    check("redis", said, expected);
}

/// A command as an array.
fn command(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    bytes
}

fn commands(lines: &[&str]) -> Vec<u8> {
    lines.iter().flat_map(|line| command(&line.split(' ').collect::<Vec<_>>())).collect()
}

#[test]
fn every_shape_of_value_ends_where_it_should() {
    let answers = [
        "+OK\r\n",
        "-ERR no\r\n",
        ":-12\r\n",
        "$-1\r\n",
        "$0\r\n\r\n",
        "$5\r\n*3\r\n+\r\n",
        "*-1\r\n",
        "*0\r\n",
        "*2\r\n$1\r\na\r\n*2\r\n:1\r\n*0\r\n",
        "_\r\n",
        "#t\r\n",
        ",1.5\r\n",
        "(12345678901234567890\r\n",
        "!5\r\nSYN x\r\n",
        "=7\r\ntxt:abc\r\n",
        "%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n:2\r\n",
        "~2\r\n:1\r\n:2\r\n",
        "|1\r\n+ttl\r\n:3\r\n$1\r\nx\r\n",
    ];
    for answer in answers {
        let said = [Client(&commands(&["GET k", "GET l"])), Server(&[answer.as_bytes(), b"+last\r\n"].concat())];
        redis(&said, &format!("?r ?r ={} =+last\\r\\n", answer.as_bytes().escape_ascii()));
    }
}

#[test]
fn commands_come_as_arrays_or_lines() {
    redis(
        &[Client(b"PING\r\nset a b\r\n\r\n*0\r\nget  a\n"), Server(b"+PONG\r\n+OK\r\n$1\r\nb\r\n")],
        "?r ? ?r =+PONG\\r\\n =+OK\\r\\n =$1\\r\\nb\\r\\n",
    );
    redis(&[Client(b"*3\r\n$3\r\nSET\r\n$0\r\n\r\n$4\r\n\r\n\r\n\r\n"), Server(b"+OK\r\n")], "? =+OK\\r\\n");
    redis(&[Client(b"*1\r\n$3\r\nGE")], "cut");
}

#[test]
fn what_is_no_command_is_garbled() {
    for bytes in
        [&b"*x\r\n"[..], b"*2\r\n+GET\r\n", b"*1\r\n$3\r\nGETx\r\n", b"*1048577\r\n", b"\0\0", b"*1\r\n$-1\r\n"]
    {
        check_garbled(bytes);
    }
}

fn check_garbled(bytes: &[u8]) {
    let mut framer = find("redis").and_then(|definition| definition.framer).expect("it has a framer")(1 << 16);
    let mut rest = bytes;
    while !rest.is_empty() {
        match framer.request(rest) {
            Ok(step) => rest = &rest[step.consumed..],
            Err(_) => return,
        }
    }
    panic!("{} was taken for a command", bytes.escape_ascii());
}

#[test]
fn a_subscription_is_answered_for_each_channel_and_messages_for_none() {
    let confirm = |kind: &str, channel: &str, count: usize| {
        format!("*3\r\n${}\r\n{kind}\r\n${}\r\n{channel}\r\n:{count}\r\n", kind.len(), channel.len())
    };
    let message = "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n";
    let (one, two) = (confirm("subscribe", "a", 1), confirm("subscribe", "bc", 2));
    let (left, gone) = (confirm("unsubscribe", "a", 1), confirm("unsubscribe", "bc", 0));
    let said = [
        Client(&commands(&["SUBSCRIBE a bc"])),
        Server(&[&one, message, &two, message].concat().into_bytes()),
        Client(&commands(&["PING"])),
        Server(&[message, "*2\r\n$4\r\npong\r\n$0\r\n\r\n"].concat().into_bytes()),
        Client(&commands(&["UNSUBSCRIBE"])),
        Server(&[&left, message, &gone].concat().into_bytes()),
        Client(&commands(&["GET a"])),
        Server(b"*0\r\n"),
    ];
    let content = |text: String| text.as_bytes().escape_ascii().to_string();
    let (opened, closed) = (content(one + &two), content(left + &gone));
    redis(
        &said,
        &format!("?b ~ ={opened} ~ ?rn ~ =*2\\r\\n$4\\r\\npong\\r\\n$0\\r\\n\\r\\n ?nb ~ ={closed} ?r =*0\\r\\n"),
    );
}

#[test]
fn pushes_of_resp3_stand_between_answers() {
    let push = ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n";
    let confirm = ">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n";
    let said = [
        Client(&commands(&["HELLO 3"])),
        Server(b"%1\r\n+proto\r\n:3\r\n"),
        Server(push.as_bytes()),
        Client(&commands(&["GET k", "SUBSCRIBE a"])),
        Server(&[push, "_\r\n", push, confirm].concat().into_bytes()),
    ];
    let confirmed = confirm.as_bytes().escape_ascii();
    redis(&said, &format!("?hb =%1\\r\\n+proto\\r\\n:3\\r\\n ~ ?rn ?nb ~ =_\\r\\n ~ ={confirmed}"));
}

#[test]
fn queued_commands_stand_and_fall_together() {
    let said = [
        Client(&commands(&["MULTI", "SET k v", "TIME", "EXEC", "GET k"])),
        Server(b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n*2\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\nv\r\n"),
    ];
    redis(
        &said,
        "?b ?nb ?nb ?vnb ?r =+OK\\r\\n =+QUEUED\\r\\n =+QUEUED\\r\\n \
        =*2\\r\\n+OK\\r\\n*2\\r\\n$1\\r\\n1\\r\\n$1\\r\\n2\\r\\n =$1\\r\\nv\\r\\n",
    );
}

#[test]
fn replies_can_be_switched_off() {
    let said = [
        Client(&commands(&["CLIENT REPLY SKIP", "SET a b", "CLIENT REPLY OFF", "SET a c", "CLIENT REPLY ON", "GET a"])),
        Server(b"+OK\r\n$1\r\nc\r\n"),
    ];
    redis(&said, "?sb ?sn ?sb ?sn ?vnb ?r =+OK\\r\\n =$1\\r\\nc\\r\\n");
}

#[test]
fn a_monitor_sees_what_others_do() {
    let line = b"+1700000000.123456 [0 10.0.0.1:4000] \"set\" \"a\" \"b\"\r\n";
    let said = [
        Client(&commands(&["MONITOR"])),
        Server(&[&b"+OK\r\n"[..], line, line].concat()),
        Client(&commands(&["PING", "QUIT"])),
        Server(&[&line[..], b"+PONG\r\n+OK\r\n"].concat()),
    ];
    redis(&said, "?b =+OK\\r\\n ~ ?rn ?n ~ =+PONG\\r\\n =+OK\\r\\n!");
}

#[test]
fn an_error_ends_a_subscription() {
    let said = [Client(&commands(&["SUBSCRIBE a b", "PING"])), Server(b"-NOPERM no\r\n+PONG\r\n")];
    redis(&said, "?b ?rn =-NOPERM no\\r\\n =+PONG\\r\\n");
}

#[test]
fn its_opening_is_recognised() {
    let check = |client: &[u8], server: &[u8], midstream: bool, expected: Recognition| {
        let found = (find("redis").expect("it is known").recognise)(&Opening { client, server, midstream });
        assert_eq!(found, expected, "{} {}", client.escape_ascii(), server.escape_ascii());
    };
    let ping = command(&["PING"]);
    for len in 1..ping.len() - 2 {
        check(&ping[..len], b"", false, Recognition::More);
        check(&ping[..len], b"", true, Recognition::No);
        check(&ping[..len], b"+", false, Recognition::No);
    }
    check(&ping, b"", false, Recognition::Yes);
    check(&ping, b"", true, Recognition::Yes);
    check(b"PING\r\n", b"", false, Recognition::More);
    check(b"PING\r\n", b"+PONG\r\n", false, Recognition::Yes);
    check(b"get a\r\n", b"END\r\n", false, Recognition::No);
    check(b"PING\r\n", b"+PONG\r\n", true, Recognition::No);
    check(b"POST / HTTP/1.1\r\n", b"", false, Recognition::No);
    check(b"*1\r\n:1\r\n", b"", false, Recognition::No);
    check(b"", b"220 ready\r\n", false, Recognition::No);
}
