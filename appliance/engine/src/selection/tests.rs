use super::cap::Cap;
use super::filter::Glob;
use super::rewrite::PathPrefix;
use super::*;
use crate::time::Time;

#[track_caller]
fn check_glob(pattern: &str, matching: &[&str], others: &[&str]) {
    let glob = Glob::new(pattern);
    for text in matching {
        assert!(glob.matches(text.as_bytes()), "{pattern} and {text}");
    }
    for text in others {
        assert!(!glob.matches(text.as_bytes()), "{pattern} and {text}");
    }
}

#[test]
fn patterns() {
    check_glob("/admin", &["/admin"], &["/admin/", "/adm", "x/admin"]);
    check_glob("/admin/*", &["/admin/", "/admin/a/b"], &["/admin", "/x/admin/"]);
    check_glob("*.png", &[".png", "/a.png", "/a.png.png"], &["/a.png/", "/a.pngx"]);
    check_glob("/a*b*c", &["/abc", "/abbc", "/a-b-b-c", "/abcc"], &["/acb", "/ac", "/ab", "abc"]);
    check_glob("ab*ba", &["abba", "ab-ba"], &["aba", "ab", "ba"]);
    check_glob("*", &["", "/"], &[]);
    check_glob("**", &["", "/"], &[]);
    check_glob("", &[""], &["/"]);
}

fn rule(action: Action, methods: &[&str], path: Option<&str>, header: Option<(&str, &str)>) -> Rule {
    let methods = methods.iter().map(|method| (*method).to_owned()).collect();
    let header = header.map(|(name, value)| (name.to_owned(), Glob::new(value)));
    Rule { action, methods, path: path.map(Glob::new), header }
}

#[track_caller]
fn check_rules(rules: &[Rule], head: &str, expected: Decision) {
    let selection = Selection { rules: rules.to_vec(), rewrite: None };
    assert_eq!(selection.decide(head.as_bytes()), expected, "{head}");
}

#[test]
fn the_first_rule_that_matches_decides() {
    let rules = [
        rule(Action::Allow, &[], Some("/admin/health"), None),
        rule(Action::Deny, &["POST", "PUT"], None, None),
        rule(Action::Deny, &[], Some("/admin/*"), None),
        rule(Action::Deny, &[], None, Some(("X-No-Mirror", "*"))),
    ];
    let keep = |head: &str| check_rules(&rules, head, Decision::Keep);
    let drop = |head: &str| check_rules(&rules, head, Decision::Drop);
    keep("GET / HTTP/1.1\r\nHost: o\r\n\r\n");
    keep("POST /admin/health HTTP/1.1\r\n\r\n");
    drop("POST / HTTP/1.1\r\n\r\n");
    keep("post / HTTP/1.1\r\n\r\n");
    drop("GET /admin/x?y HTTP/1.1\r\n\r\n");
    drop("GET http://o:80/admin/x?y HTTP/1.1\r\n\r\n");
    drop("GET  /admin/x y  HTTP/1.1\r\n\r\n");
    keep("GET /?/admin/x HTTP/1.1\r\n\r\n");
    drop("GET / HTTP/1.1\r\nHost: o\r\nx-no-mirror:1\r\n\r\n");
    drop("GET / HTTP/1.1\nX-No-Mirror:\n\n");
    keep("GET / HTTP/1.1\r\nA: b\r\n X-No-Mirror: 1\r\n\r\n");
    keep("CONNECT o:1 HTTP/1.1\r\n\r\n");
}

#[test]
fn what_cannot_be_read_is_not_let_through() {
    for head in ["", "\r\n", "GET\r\n\r\n", "GET /\r\n\r\n", "GET / HTTP/1.1\r\nx\r\n\r\n", "GET / HTTP/1.1\r\nx: y"] {
        check_rules(&[], head, Decision::Drop);
    }
}

#[track_caller]
fn check_rewrite(rewrite: &Rewrite, head: &str, expected: &str) {
    let selection = Selection { rules: Vec::new(), rewrite: Some(rewrite.clone()) };
    let Decision::Rewrite(found) = selection.decide(head.as_bytes()) else { panic!("{head} is not rewritten") };
    assert_eq!(String::from_utf8_lossy(&found), expected);
}

#[test]
fn hosts() {
    let rewrite = Rewrite { host: Some("test:81".to_owned()), ..Rewrite::default() };
    check_rewrite(
        &rewrite,
        "GET / HTTP/1.1\r\nA: 1\r\nhost: o\r\nB: 2\r\n\r\n",
        "GET / HTTP/1.1\r\nA: 1\r\nHost: test:81\r\nB: 2\r\n\r\n",
    );
    check_rewrite(&rewrite, "GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.0\r\nHost: test:81\r\n\r\n");
    check_rewrite(&rewrite, "GET  /a b HTTP/1.0\r\n\r\n", "GET /a b HTTP/1.0\r\nHost: test:81\r\n\r\n");
    check_rewrite(
        &rewrite,
        "GET http://o/a?b HTTP/1.1\r\nHost: o\r\nHost: p\r\n\r\n",
        "GET http://test:81/a?b HTTP/1.1\r\nHost: test:81\r\n\r\n",
    );
    check_rewrite(&rewrite, "CONNECT o:1 HTTP/1.1\r\n\r\n", "CONNECT o:1 HTTP/1.1\r\nHost: test:81\r\n\r\n");
}

#[test]
fn path_prefixes() {
    let check = |(from, to): (&str, &str), target: &str, expected: &str| {
        let path_prefix = Some(PathPrefix { from: from.to_owned(), to: to.to_owned() });
        let rewrite = Rewrite { path_prefix, ..Rewrite::default() };
        check_rewrite(&rewrite, &format!("GET {target} HTTP/1.1\r\n\r\n"), &format!("GET {expected} HTTP/1.1\r\n\r\n"));
    };
    check(("/api", "/v2"), "/api", "/v2");
    check(("/api", "/v2"), "/api/a?/api", "/v2/a?/api");
    check(("/api", "/v2"), "/api?q", "/v2?q");
    check(("/api", "/v2"), "/apis", "/apis");
    check(("/api", "/v2"), "/a/api", "/a/api");
    check(("/api", "/v2"), "http://o/api/a", "http://o/v2/a");
    check(("/api", ""), "/api", "/");
    check(("/api", ""), "/api?q", "/?q");
    check(("/api", ""), "/api/a", "/a");
    check(("", "/v2"), "/", "/v2/");
    check(("", "/v2"), "/a", "/v2/a");
    check(("", "/v2"), "*", "*");
    check(("", "/v2"), "http://o", "http://o");
}

#[test]
fn fields() {
    let rewrite = Rewrite {
        set: vec![("X-Mirrored".to_owned(), "1".to_owned()), ("Via".to_owned(), "box".to_owned())],
        remove: vec!["Authorization".to_owned()],
        ..Rewrite::default()
    };
    check_rewrite(
        &rewrite,
        "POST / HTTP/1.1\r\nvia: a\r\nauthorization: x\r\n  y\r\nFolded: a\r\n\tb\r\nVia: b\r\nContent-Length: 3\r\n\r\n",
        "POST / HTTP/1.1\r\nVia: box\r\nFolded: a\r\n\tb\r\nContent-Length: 3\r\nX-Mirrored: 1\r\n\r\n",
    );
    check_rewrite(&Rewrite::default(), "GET / HTTP/1.1\nA: 1\n\n", "GET / HTTP/1.1\nA: 1\n\r\n");
}

#[test]
fn a_cap_lets_its_rate_through() {
    let mut cap = Cap::new(10);
    let mut admitted = |millis: u64| cap.admit(Time::from_millis(millis));
    assert_eq!((0..20).filter(|_| admitted(5_000)).count(), 10, "a second's worth at once");
    assert!(!admitted(5_099));
    assert!(admitted(5_100));
    assert!(!admitted(5_100));
    assert!(!admitted(4_000), "a clock that goes back");
    assert!(!admitted(5_199));
    let steadily = (0..1_000).filter(|step| admitted(5_200 + step * 10)).count();
    assert_eq!(steadily, 100, "10 s at 10 each");
    assert_eq!((0..100).filter(|_| admitted(1_000_000)).count(), 10, "no more is saved than a second's worth");
}
