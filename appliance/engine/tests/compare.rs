//! Pairs of answers and what the comparison says of them.

use flate2::Compression;
use flate2::read::GzEncoder;
use std::io::Read;
use tapcopy_engine::compare::{Comparison, Field, Message, Pattern, Rule, Rules, Terms, compare};
use tapcopy_engine::selection::filter::Glob;

const JSON: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n";

fn message<'a>(head: &'a str, body: &'a [u8]) -> Message<'a> {
    Message { head: head.as_bytes(), body, body_len: body.len() as u64, rest: None }
}

fn words(found: &Comparison) -> String {
    match found {
        Comparison::Equal => "equal".to_owned(),
        Comparison::Unknown => "unknown".to_owned(),
        Comparison::Unequal(differences) => {
            let word = |found: &tapcopy_engine::message::Difference| {
                let offset = found.offset.map(|offset| format!("@{offset}")).unwrap_or_default();
                format!("{} {}{offset} {}|{}", found.kind.word(), found.field, found.origin, found.target)
            };
            differences.iter().map(word).collect::<Vec<_>>().join("; ")
        }
    }
}

fn check_by(rules: &Rules, origin: (&str, &[u8]), target: (&str, &[u8]), expected: &str) {
    let scope = rules.scope(&[b"/api/x"]);
    let found = compare(&message(origin.0, origin.1), &message(target.0, target.1), &Terms::plain(rules, scope));
    assert_eq!(
        words(&found),
        expected,
        "{:?}\n{:?}",
        origin.1.escape_ascii().to_string(),
        target.1.escape_ascii().to_string()
    );
}

fn check_json(origin: &str, target: &str, expected: &str) {
    check_by(&Rules::default(), (JSON, origin.as_bytes()), (JSON, target.as_bytes()), expected);
}

fn check_heads(origin: &str, target: &str, expected: &str) {
    check_by(&Rules::default(), (origin, b"a"), (target, b"a"), expected);
}

fn rule(ignore: &[&str]) -> Rule {
    Rule {
        path: Glob::new("/api/*"),
        ignore: ignore.iter().map(|field| Field::parse(field).unwrap()).collect(),
        ignore_pattern: None,
        tolerance: 0.0,
        unordered: Vec::new(),
    }
}

fn by(rule: Rule) -> Rules {
    Rules::new(vec!["date".to_owned()], vec![rule])
}

#[test]
fn json_is_compared_by_value_and_path() {
    check_json(r#"{"a": 1, "b": [true, null]}"#, r#"{"b":[true,null],"a":1.0}"#, "equal");
    check_json(r#"{"a":{"price":100}}"#, r#"{"a":{"price":101}}"#, "value body:$.a.price 100|101");
    check_json(r#"{"items":[{"id":1},{"id":2}]}"#, r#"{"items":[{"id":1},{"id":3}]}"#, "value body:$.items[1].id 2|3");
    check_json(r#"{"a":1}"#, r#"{"a":"1"}"#, "type body:$.a 1|\"1\"");
    check_json(r#"{"a":1,"b c":2}"#, r#"{"a":1}"#, r#"missing body:$["b c"] 2|"#);
    check_json("[1,2]", "[1,2,3]", "added body:$[2] |3");
    check_json(r#"{"a":true,"b":"\u0041"}"#, r#"{"a":false,"b":"A"}"#, "value body:$.a true|false");
    check_json("9007199254740993", "9007199254740992", "value body:$ 9007199254740993|9007199254740992");
    check_json("1e2", "100", "equal");
}

#[test]
fn all_differences_are_told_up_to_a_bound() {
    let numbers = |from: usize| format!("{:?}", (from..from + 100).collect::<Vec<_>>());
    let (origin, target) = (numbers(0), numbers(1_000));
    let rules = Rules::default();
    let found = compare(
        &message(JSON, origin.as_bytes()),
        &message(JSON, target.as_bytes()),
        &Terms::plain(&rules, rules.scope(&[b""])),
    );
    let Comparison::Unequal(differences) = found else { panic!("{found:?}") };
    assert_eq!(differences.len(), 3, "elements of one array");
    let keys =
        |of: usize| format!("{{{}}}", (0..100).map(|key| format!("\"k{key}\":{of}")).collect::<Vec<_>>().join(","));
    let (origin, target) = (keys(1), keys(2));
    let found = compare(
        &message(JSON, origin.as_bytes()),
        &message(JSON, target.as_bytes()),
        &Terms::plain(&rules, rules.scope(&[b""])),
    );
    let Comparison::Unequal(differences) = found else { panic!("{found:?}") };
    assert_eq!(differences.len(), 64);
    let items = |price: usize| {
        let item = |at: usize| format!("{{\"id\":{},\"price\":{}}}", price + at, if at == 90 { price } else { 0 });
        format!("[{}]", (0..100).map(item).collect::<Vec<_>>().join(","))
    };
    check_json(
        &items(1),
        &items(5),
        "value body:$[0].id 1|5; value body:$[1].id 2|6; value body:$[2].id 3|7; value body:$[90].price 1|5",
    );
}

#[test]
fn what_is_no_json_is_compared_by_bytes() {
    check_json(r#"{"a":1,"b":2}"#, r#"{"a":1,"b"#, "length body@9 \":2}|");
    check_json("{1}", "{2}", "value body@1 1}|2}");
    let png = "HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n";
    check_by(&Rules::default(), (png, b"[1, 2]"), (png, b"[1,2]"), "length body@3  2]|2]");
    check_by(&Rules::default(), ("", b"+OK\r\n"), ("", b"-ER\r\n"), "value body@0 +OK\r\n|-ER\r\n");
}

#[test]
fn heads_are_compared_field_by_field() {
    let head = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
    check_heads(&head("A: 1\r\nDate: x\r\nETag: a\r\n"), &head("Date: y\r\nA: 1\r\nETag: b\r\n"), "equal");
    check_heads(
        &head("X-A: 1\r\nX-B: 2\r\n"),
        &head("X-B: 3\r\nX-C: 4\r\n"),
        "missing header:x-a 1|; value header:x-b 2|3; added header:x-c |4",
    );
    check_heads(&head("Set-Cookie: a=1; Path=/\r\n"), &head("Set-Cookie: a=2\r\n"), "equal");
    check_heads(&head("Set-Cookie: a=1\r\n"), &head("Set-Cookie: b=1\r\n"), "value header:set-cookie a|b");
    check_heads(&head("Set-Cookie: a=1\r\n"), &head(""), "missing header:set-cookie a|");
    check_heads(&head("Vary: a\r\nVary: b\r\n"), &head("Vary: b\r\nVary: a\r\n"), "value header:vary a, b|b, a");
}

#[test]
fn an_answer_with_another_status_is_another_answer() {
    let fault = "HTTP/1.1 500 Oops\r\nX-A: 1\r\n\r\n";
    check_by(&Rules::default(), (JSON, b"{}"), (fault, b"oops"), "value status 200|500");
}

#[test]
fn content_is_decoded_first() {
    let gzip = |text: &str, level| {
        let mut bytes = Vec::new();
        GzEncoder::new(text.as_bytes(), Compression::new(level)).read_to_end(&mut bytes).unwrap();
        bytes
    };
    let head = JSON.replace("\r\n\r\n", "\r\nContent-Encoding: gzip\r\n\r\n");
    let long = format!(r#"{{"a": [{}1], "b": 1}}"#, "1, 2, 3, ".repeat(300));
    let (fast, best) = (gzip(&long, 1), gzip(&long.replace(", ", ","), 9));
    assert_ne!(fast, best);
    check_by(&Rules::default(), (&head, &fast), (&head, &best), "equal");
    let other = gzip(&long.replace("\"b\": 1", "\"b\": 2"), 9);
    check_by(&Rules::default(), (&head, &fast), (&head, &other), "value body:$.b 1|2");
    let torn = &fast[..fast.len() - 12];
    let (rules, scope) = (Rules::default(), Rules::default().scope(&[b""]));
    let found = compare(&message(&head, &fast), &message(&head, torn), &Terms::plain(&rules, scope));
    assert!(words(&found).starts_with("length body@"), "{found:?}");
}

#[test]
fn a_bomb_is_not_unpacked() {
    let bomb = |end: u8| {
        let (mut bytes, mut content) = (Vec::new(), vec![b' '; 20 << 20]);
        content.push(end);
        GzEncoder::new(&content[..], Compression::fast()).read_to_end(&mut bytes).unwrap();
        bytes
    };
    let head = JSON.replace("\r\n\r\n", "\r\nContent-Encoding: gzip\r\n\r\n");
    check_by(&Rules::default(), (&head, &bomb(b'1')), (&head, &bomb(b'2')), "unknown");
}

#[test]
fn what_a_bound_cut_is_compared_as_far_as_it_goes() {
    let cut = |body: &'static [u8], rest| Message { head: b"", body, body_len: 100, rest: Some(rest) };
    let rules = Rules::default();
    let hold = |one: Message<'_>, other: Message<'_>| {
        words(&compare(&one, &other, &Terms::plain(&rules, rules.scope(&[b""]))))
    };
    assert_eq!(hold(cut(b"abc", 1), cut(b"abc", 1)), "equal");
    assert_eq!(hold(cut(b"abc", 1), cut(b"abc", 2)), "value body abc|abc");
    assert_eq!(hold(cut(b"abc", 1), cut(b"abx", 2)), "value body@2 c|x");
    assert_eq!(hold(cut(b"abc", 1), cut(b"ab", 2)), "unknown");
    assert_eq!(hold(cut(b"abc", 1), message("", b"abc")), "length body@3 |");
}

/// A pattern excuses what it matches, and nothing that is not at hand.
#[test]
fn a_pattern_says_nothing_of_what_was_not_kept() {
    let rules = by(Rule { ignore_pattern: Some(Pattern::parse("[0-9]").unwrap()), ..rule(&[]) });
    let cut = |body: &'static [u8], body_len| Message { head: b"", body, body_len, rest: Some(1) };
    let terms = Terms::plain(&rules, rules.scope(&[b"/api/x"]));
    let hold = |one: Message<'_>, other: Message<'_>| words(&compare(&one, &other, &terms));
    assert_eq!(hold(cut(b"", 5), message("", b"")), "length body@0 |");
    assert_eq!(hold(cut(b"abc", 100), cut(b"abc", 200)), "length body@100 |");
    assert_eq!(hold(cut(b"a1", 100), cut(b"a2", 100)), "unknown");
    assert_eq!(hold(message("", b"a1"), message("", b"a2")), "equal");
    assert_eq!(hold(message("", b"\xff"), message("", b"\xfe")), "value body@0 \u{fffd}|\u{fffd}");
}

#[test]
fn rules_leave_out_what_they_name() {
    let rules = by(rule(&["header:x-trace", "$.meta.time", "$.items[*].id"]));
    let head = |trace: u8| JSON.replace("\r\n\r\n", &format!("\r\nX-Trace: {trace}\r\n\r\n"));
    let body = |n: u8| format!(r#"{{"meta":{{"time":{n},"k":1}},"items":[{{"id":{n}}},{{"id":{n},"x":0}}]}}"#);
    check_by(&rules, (&head(1), body(1).as_bytes()), (&head(2), body(2).as_bytes()), "equal");
    let other = body(2).replace("\"k\":1", "\"k\":2");
    check_by(&rules, (&head(1), body(1).as_bytes()), (&head(2), other.as_bytes()), "value body:$.meta.k 1|2");
    check_by(&by(rule(&["status", "body"])), (JSON, b"1"), (&JSON.replace("200", "201"), b"2"), "equal");
}

#[test]
fn patterns_tolerance_and_order() {
    let pattern = Rule { ignore_pattern: Some(Pattern::parse("[0-9]{4}-[0-9]{2}-[0-9]{2}").unwrap()), ..rule(&[]) };
    let rules = by(pattern);
    let dated = |day: &str, word: &str| format!(r#"{{"a":"on 2024-01-{day} {word}"}}"#);
    check_by(&rules, (JSON, dated("01", "x").as_bytes()), (JSON, dated("02", "x").as_bytes()), "equal");
    let expected = "value body:$.a \"on 2024-01-01 x\"|\"on 2024-01-02 y\"";
    check_by(&rules, (JSON, dated("01", "x").as_bytes()), (JSON, dated("02", "y").as_bytes()), expected);
    let rules = by(Rule { tolerance: 0.01, ..rule(&[]) });
    check_by(&rules, (JSON, b"[100, 1.5]"), (JSON, b"[101, 1.51]"), "equal");
    check_by(&rules, (JSON, b"[100]"), (JSON, b"[102]"), "value body:$[0] 100|102");
    let rules = by(Rule { unordered: vec![Field::parse("$.a").unwrap()], ..rule(&["$.a[*].n"]) });
    let set = |text: &str| format!(r#"{{"a":[{text}]}}"#);
    let one = set(r#"{"k":1,"n":1},{"k":2,"n":2},{"k":3}"#);
    check_by(&rules, (JSON, one.as_bytes()), (JSON, set(r#"{"k":3},{"k":1},{"k":2,"n":9}"#).as_bytes()), "equal");
    let expected = "value body:$.a[1].k 2|4";
    check_by(&rules, (JSON, one.as_bytes()), (JSON, set(r#"{"k":3},{"k":4},{"k":1}"#).as_bytes()), expected);
    check_by(
        &rules,
        (JSON, one.as_bytes()),
        (JSON, set(r#"{"k":3},{"k":1}"#).as_bytes()),
        "missing body:$.a[1] {\"k\":2,\"n\":2}|",
    );
}
