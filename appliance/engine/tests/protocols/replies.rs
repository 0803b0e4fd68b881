//! Answers read as replies: recorded ones, and pairs of which the comparison tells by field where they differ.

use super::dialogue::recorded_answers;
use tapcopy_engine::compare::{Comparison, Field, Message, Pattern, Rule, Rules, Terms, compare};
use tapcopy_engine::protocol::find;
use tapcopy_engine::protocol::reply::Value;
use tapcopy_engine::selection::filter::Glob;

fn told(value: &Value<'_>) -> String {
    let list = |values: &[Value<'_>]| values.iter().map(told).collect::<Vec<_>>().join(", ");
    match value {
        Value::Null => "null".to_owned(),
        Value::Number(number) => String::from_utf8_lossy(number).into_owned(),
        Value::Text(text) => format!("{:?}", text.escape_ascii().to_string()),
        Value::Error(code) => code.escape_ascii().to_string(),
        Value::List(values) => format!("[{}]", list(values)),
        Value::Set(values) => format!("~[{}]", list(values)),
        Value::Map(members) => {
            let member = |(key, value): &(_, Value<'_>)| {
                let key: &std::borrow::Cow<'_, [u8]> = key;
                format!("{}: {}", key.escape_ascii(), told(value))
            };
            format!("{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(", "))
        }
    }
}

/// What a protocol's reader makes of an answer.
fn read(protocol: &str, kind: u64, answer: &[u8]) -> String {
    let reader = find(protocol).and_then(|protocol| protocol.reader).expect("a reader");
    let Some(reply) = reader(kind, answer) else { return format!("? {}", answer.escape_ascii()) };
    let entry = |entry: &tapcopy_engine::protocol::reply::Entry<'_>| {
        let result = if entry.result > 1 { format!("{} ", entry.result) } else { String::new() };
        format!("{result}{} {}", entry.name.word(), told(&entry.value))
    };
    reply.entries.iter().map(entry).collect::<Vec<_>>().join("; ")
}

/// Answers of real servers, one a line. `UPDATE=1` writes what is read.
fn check_recorded(protocol: &str, name: &str) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/protocols/recorded");
    let recorded = std::fs::read_to_string(format!("{folder}/{name}.talk")).expect("a dialogue");
    let answers = recorded_answers(protocol, &recorded);
    let lines: String = answers.iter().map(|(kind, answer)| read(protocol, *kind, answer) + "\n").collect();
    let path = format!("{folder}/{name}.replies");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &lines).expect("it is written");
    }
    assert_eq!(lines, std::fs::read_to_string(&path).unwrap_or_default(), "{name}");
}

#[test]
fn recorded_answers_are_read() {
    for name in ["mysql_client", "mysql_connector", "mysql_deprecate", "mysql_file", "mysql_pymysql"] {
        check_recorded("mysql", name);
    }
    for name in ["postgresql_password", "postgresql_psycopg"] {
        check_recorded("postgresql", name);
    }
    check_recorded("redis", "redis_cli");
    check_recorded("memcached", "memcached_text");
}

/// Whatever bytes an answer has, reading it ends, and a reading is never longer than what was read allows.
#[test]
fn every_prefix_of_a_recorded_answer_is_read_or_is_not() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/protocols/recorded");
    for (protocol, name) in [("mysql", "mysql_connector"), ("postgresql", "postgresql_psycopg"), ("redis", "redis_cli")]
    {
        let recorded = std::fs::read_to_string(format!("{folder}/{name}.talk")).expect("a dialogue");
        for (kind, answer) in recorded_answers(protocol, &recorded) {
            (0..answer.len()).for_each(|end| drop(read(protocol, kind, &answer[..end])));
        }
    }
}

fn differences(protocol: &str, kind: u64, rules: &Rules, origin: &[u8], target: &[u8]) -> String {
    let message = |body| Message { head: b"", body, body_len: <[u8]>::len(body) as u64, rest: None };
    let reader = find(protocol).and_then(|protocol| protocol.reader).map(|reader| (reader, kind));
    let terms = Terms { rules, scope: rules.scope(&[b"GET"]), reader };
    match compare(&message(origin), &message(target), &terms) {
        Comparison::Unequal(found) => {
            let word = |found: &tapcopy_engine::message::Difference| {
                format!("{} {} {}|{}", found.kind.word(), found.field, found.origin, found.target)
            };
            found.iter().map(word).collect::<Vec<_>>().join("; ")
        }
        other => format!("{other:?}").to_lowercase(),
    }
}

fn check_pairs(protocol: &str, kind: u64, pairs: &[(&str, &str, &str)]) {
    for (origin, target, expected) in pairs {
        let found = differences(protocol, kind, &Rules::default(), origin.as_bytes(), target.as_bytes());
        assert_eq!(found, *expected, "{origin:?} {target:?}");
    }
}

#[test]
fn redis_is_compared_by_value() {
    check_pairs(
        "redis",
        1,
        &[
            ("$1\r\na\r\n", "$1\r\nb\r\n", "value reply a|b"),
            ("$1\r\na\r\n", "$-1\r\n", "type reply a|null"),
            (":1\r\n", "$1\r\n1\r\n", "type reply 1|1"),
            ("*2\r\n:1\r\n*1\r\n+a\r\n", "*2\r\n:1\r\n*1\r\n+b\r\n", "value reply[1][0] a|b"),
            ("*2\r\n:1\r\n:2\r\n", "*1\r\n:1\r\n", "missing reply[1] 2|"),
            ("%2\r\n+a\r\n:1\r\n+b\r\n:2\r\n", "%2\r\n+b\r\n:2\r\n+a\r\n:1\r\n", "equal"),
            ("%1\r\n+a\r\n:1\r\n", "%1\r\n+a\r\n:7\r\n", "value reply.a 1|7"),
            ("~2\r\n+a\r\n+b\r\n", "~2\r\n+b\r\n+a\r\n", "equal"),
            ("~2\r\n+a\r\n+b\r\n", "~2\r\n+c\r\n+a\r\n", "value reply[1] b|c"),
            ("-ERR unknown\r\n", "-ERR no such\r\n", "equal"),
            ("-ERR unknown\r\n", "-WRONGTYPE x\r\n", "value error ERR|WRONGTYPE"),
            ("+OK\r\n", "-OOM command not allowed\r\n", "added error |OOM"),
            ("-LOADING x\r\n", "+OK\r\n", "missing error LOADING|"),
            ("*1\r\n-ERR a\r\n", "*1\r\n:1\r\n", "type reply[0] ERR|1"),
            ("|1\r\n+ttl\r\n:3\r\n$1\r\nx\r\n", "|1\r\n+ttl\r\n:4\r\n$1\r\nx\r\n", "equal"),
            ("*1\r\n", "*2\r\n", "value body 1\r\n|2\r\n"),
        ],
    );
}

#[test]
fn memcached_is_compared_by_key() {
    let values = 2;
    check_pairs(
        "memcached",
        values,
        &[
            ("VALUE a 0 1\r\nx\r\nEND\r\n", "VALUE a 0 1\r\ny\r\nEND\r\n", "value value.a.data x|y"),
            ("VALUE a 0 1\r\nx\r\nEND\r\n", "VALUE a 4 1\r\nx\r\nEND\r\n", "value value.a.flags 0|4"),
            ("VALUE a:1 0 1 77\r\nx\r\nEND\r\n", "VALUE a:1 0 1 99\r\nx\r\nEND\r\n", "equal"),
            ("VALUE a:1 0 1\r\nx\r\nEND\r\n", "END\r\n", "missing value[\"a:1\"] {data: x, flags: 0}|"),
            ("STORED\r\n", "NOT_STORED\r\n", "value reply STORED|NOT_STORED"),
            ("STORED\r\n", "SERVER_ERROR out of memory\r\n", "added error |SERVER_ERROR"),
            ("VA 1 f0 c5\r\nx\r\n", "VA 1 f0 c9\r\nx\r\n", "equal"),
            ("VA 1 f0 t9\r\nx\r\n", "VA 1 f0 t7\r\nx\r\n", "value reply.t 9|7"),
            ("VALUE a 0 9\r\nx\r\n", "VALUE a 0 9\r\ny\r\n", "value body x\r\n|y\r\n"),
        ],
    );
}

/// A message of PostgreSQL.
fn message(kind: u8, content: &[u8]) -> Vec<u8> {
    [&[kind], &(content.len() as u32 + 4).to_be_bytes()[..], content].concat()
}

/// A result of one column in text, as the framer leaves it.
fn result(column: &str, rows: &[&str]) -> Vec<u8> {
    let columns = [&b"T\0\x01"[..], column.as_bytes(), b"\0\0\x04\xFF\xFF\xFF\xFF\0\0"].concat();
    let row = |text: &&str| {
        let len = (text.len() as u32).to_be_bytes();
        message(b'D', &[&[0, 1], &len[..], text.as_bytes()].concat())
    };
    let count = rows.len();
    let rows: Vec<u8> = rows.iter().flat_map(row).collect();
    let tag = message(b'C', format!("SELECT {count}\0").as_bytes());
    [columns, rows, tag].concat()
}

#[test]
fn sql_is_compared_by_row_and_column() {
    let check = |origin: &[u8], target: &[u8], expected: &str| {
        assert_eq!(differences("postgresql", 0, &Rules::default(), origin, target), expected);
    };
    let rows = result("price", &["1.50", "2.50"]);
    check(&rows, &result("price", &["1.50", "2.51"]), "value row 2.price 2.50|2.51");
    check(&rows, &result("cost", &["1.50", "2.50"]), "value columns price|cost");
    check(&rows, b"EC42P01\0\0", "added error |42P01");
    check(&rows, &[rows.clone(), result("a", &["1"])].concat(), "added result 2 tag |SELECT");
    check(&rows, &[rows.clone(), message(b'Z', b"I")].concat(), "added state |I");
    let done = |tag: &str| [message(b'C', tag.as_bytes()), message(b'Z', b"I")].concat();
    check(&done("UPDATE 3\0"), &done("UPDATE 2\0"), "value rows 3|2");
    check(&done("INSERT 0 1\0"), &done("INSERT 12 1\0"), "equal");
    check(&done("BEGIN\0"), &done("ROLLBACK\0"), "value tag BEGIN|ROLLBACK");
}

#[test]
fn rules_go_by_the_names_of_fields() {
    let rule = |ignore: &[&str], unordered: &[&str], tolerance: f64, pattern: Option<&str>| {
        let fields = |texts: &[&str]| texts.iter().map(|text| Field::parse(text).unwrap()).collect();
        let ignore_pattern = pattern.map(|pattern| Pattern::parse(pattern).unwrap());
        let path = Glob::new("GET");
        Rules::new(
            Vec::new(),
            vec![Rule { path, ignore: fields(ignore), ignore_pattern, tolerance, unordered: fields(unordered) }],
        )
    };
    let [two, other] = [&["1.50", "2.50"][..], &["2.50", "1.51"]].map(|rows| result("price", rows));
    let sql = |rules: &Rules| differences("postgresql", 0, rules, &two, &other);
    assert_eq!(sql(&rule(&["row *.price"], &[], 0.0, None)), "equal");
    assert_eq!(sql(&rule(&["row 1.price"], &[], 0.0, None)), "value row 2.price 2.50|1.51");
    assert_eq!(sql(&rule(&[], &["row"], 0.0, None)), "value row 1.price 1.50|1.51");
    assert_eq!(sql(&rule(&[], &["row"], 0.01, None)), "equal");
    assert_eq!(sql(&rule(&["body"], &[], 0.0, None)), "equal");
    let redis = |rules: &Rules| differences("redis", 1, rules, b"*2\r\n+a1\r\n+b\r\n", b"*2\r\n+a2\r\n+c\r\n");
    assert_eq!(redis(&rule(&["reply[0]"], &[], 0.0, None)), "value reply[1] b|c");
    assert_eq!(redis(&rule(&["reply"], &[], 0.0, None)), "equal");
    assert_eq!(redis(&rule(&[], &[], 0.0, Some("[0-9]"))), "value reply[1] b|c");
    let error = rule(&["error"], &[], 0.0, None);
    assert_eq!(differences("redis", 1, &error, b"-A x\r\n", b"-B y\r\n"), "equal");
}
