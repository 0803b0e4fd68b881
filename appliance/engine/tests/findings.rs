//! What the findings make of the answers of two servers: nothing of noise, and everything that only the target does.

use core::time::Duration;
use tapcopy_engine::Time;
use tapcopy_engine::compare::{Comparison, Field, Message, Rule, Rules, Scope, Terms, compare};
use tapcopy_engine::findings::{Findings, Hash, Observation, Place};
use tapcopy_engine::protocol::Subject;
use tapcopy_engine::selection::filter::Glob;

/// Numbers that look random, the same on every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn token(&mut self) -> String {
        format!("{:08x}{:08x}", self.next(), self.next())
    }
}

struct Answer {
    head: String,
    body: String,
}

/// A server's answer with what no two answers have in common, to a request for `item` at `millis`.
fn answer(random: &mut Random, item: u64, millis: u64) -> Answer {
    let seconds = 1_700_000_000 + millis / 1_000;
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: {millis}\r\nX-Version: 7\r\nX-Trace: {}\r\n\r\n",
        random.token()
    );
    let body = format!(
        r#"{{"id":{item},"price":{},"token":"{}","at":{seconds},"tags":["a","{}"],"took":{},"flag":{}}}"#,
        item * 37 % 1_000,
        random.token(),
        random.token(),
        random.below(50),
        random.below(2) == 1,
    );
    Answer { head, body }
}

struct World {
    findings: Findings,
    random: Random,
    number: u64,
    /// How late the target answers.
    apart: Duration,
}

impl World {
    fn new() -> Self {
        let mut findings = Findings::default();
        findings.open(0, "shop");
        Self { findings, random: Random(42), number: 0, apart: Duration::ZERO }
    }

    /// An exchange, in which the target's answer is changed.
    fn exchange(&mut self, path: &str, item: u64, change: impl FnOnce(&mut Answer)) {
        self.number += 1;
        let millis = self.number * 3;
        let origin = answer(&mut self.random, item, millis);
        let late = 1 + self.random.below(20);
        let mut target = answer(&mut self.random, item, millis + late);
        change(&mut target);
        self.observe(path, &origin, &target);
    }

    fn observe(&mut self, path: &str, origin: &Answer, target: &Answer) {
        let message = |answer: &'static str, head: &'static str| Message {
            head: head.as_bytes(),
            body: answer.as_bytes(),
            body_len: answer.len() as u64,
            rest: None,
        };
        let leak = |text: &str| &*text.to_owned().leak();
        let (origin, target) =
            (message(leak(&origin.body), leak(&origin.head)), message(leak(&target.body), leak(&target.head)));
        let rules = Rules::default();
        let differences = match compare(&origin, &target, &Terms::plain(&rules, Scope::default())) {
            Comparison::Unequal(differences) => differences,
            _ => Vec::new(),
        };
        let endpoint =
            self.findings.endpoint(0, &Subject { verb: b"GET", path: path.as_bytes(), is_key: false, query: b"" });
        self.findings.observe(&Observation {
            endpoint,
            request: Hash::new(0).with(path.as_bytes()).value(),
            differences: &differences,
            origin,
            terms: Terms::plain(&rules, Scope::default()),
            apart: self.apart,
            place: Place { session: 1, exchange: self.number, captured_at: Time::from_micros(self.number) },
        });
    }

    fn found(&self) -> Vec<String> {
        let line = |finding: &tapcopy_engine::findings::Finding| {
            format!("{} {} {}", finding.endpoint, finding.field, finding.fault)
        };
        self.findings.findings(Time::MAX).iter().map(line).collect()
    }
}

fn repeated(world: &mut World) -> (String, u64) {
    let item = world.random.below(50);
    (format!("/items/{item}"), item)
}

fn unique(world: &mut World) -> (String, u64) {
    let item = world.number;
    (format!("/items/{item}"), item)
}

#[test]
fn identical_servers_have_no_findings() {
    for request in [repeated, unique] {
        let mut world = World::new();
        for _ in 0..5_000 {
            let (path, item) = request(&mut world);
            world.exchange(&path, item, |_| {});
        }
        assert_eq!(world.found(), [""; 0]);
    }
}

#[test]
fn what_only_the_target_does_is_found_and_nothing_else() {
    for request in [repeated, unique] {
        let mut world = World::new();
        for number in 0..6_000 {
            let (path, item) = request(&mut world);
            let fault = world.random.below(200);
            world.exchange(&path, item, |target| match (number % 4, fault) {
                (0 | 2, 0 | 1) => target.body = target.body.replacen("\"price\":", "\"price\":1", 1),
                (1, 2 | 3) => target.head = target.head.replacen("200 OK", "500 Oops", 1),
                (1, 4 | 5) => target.body.truncate(target.body.len() / 2),
                _ => {}
            });
            let path = format!("/other{path}");
            world.exchange(&path, item, |target| target.head = target.head.replacen("X-Version: 7\r\n", "", 1));
        }
        let mut found = world.found();
        found.sort();
        assert_eq!(
            found,
            [
                "GET /items/{number} body length",
                "GET /items/{number} body:$.price value",
                "GET /items/{number} status value",
                "GET /other/items/{number} header:x-version missing",
            ]
        );
    }
}

#[test]
fn a_finding_behind_a_loss_says_so() {
    for (lost_at, after_loss) in [(None, false), (Some(5), true), (Some(10_000), false)] {
        let mut world = World::new();
        (0..500).for_each(|_| world.exchange("/items/1", 1, |_| {}));
        lost_at.into_iter().for_each(|at| world.findings.note_loss(0, Time::from_micros(at)));
        for _ in 0..500 {
            world.exchange("/items/1", 1, |target| target.head = target.head.replacen("X-Version: 7\r\n", "", 1));
        }
        let found: Vec<bool> = world.findings.findings(Time::MAX).iter().map(|finding| finding.after_loss).collect();
        assert_eq!(found, [after_loss], "lost at {lost_at:?}");
    }
}

#[test]
fn a_change_that_the_target_sees_later_is_no_fault() {
    let mut world = World::new();
    for number in 0..8_000_u64 {
        let at = |late: u64| Answer {
            head: "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n".to_owned(),
            body: format!("{{\"online\":{}}}", (number * 3 + late) / 1_000 * 7),
        };
        let late = world.random.below(30);
        world.number += 1;
        world.observe("/state", &at(0), &at(late));
    }
    assert_eq!(world.found(), [""; 0]);
}

#[test]
fn rates_are_told_with_an_example() {
    let mut world = World::new();
    for number in 0..1_000_u64 {
        let (path, item) = repeated(&mut world);
        world.exchange(&path, item, |target| {
            if number % 50 == 7 {
                target.body = target.body.replacen("\"id\":", "\"id\":9", 1);
            }
        });
    }
    let findings = world.findings.findings(Time::MAX);
    let [finding] = &findings[..] else { panic!("{findings:?}") };
    let told_at = |after| world.findings.findings(finding.first.captured_at + Duration::from_millis(after)).len();
    assert_eq!((told_at(4_999), told_at(5_000)), (0, 1), "not before what each server makes anew is known as such");
    assert_eq!(
        (finding.target_rate, finding.origin_rate, finding.exchanges, finding.differing),
        (0.02, 0.0, 1_000, 20)
    );
    assert_eq!((finding.service.as_str(), finding.first.exchange, finding.last.exchange), ("shop", 8, 958));
    assert_eq!(finding.example[1], format!("9{}", finding.example[0]));
}

#[test]
fn what_may_have_changed_before_a_late_target_answered_is_no_finding() {
    for (millis, is_found) in [(0, true), (1_000, false)] {
        let mut world = World::new();
        world.apart = Duration::from_millis(millis);
        for number in 0..60 {
            let change = |answer: &mut Answer| answer.body = answer.body.replacen("\"price\":", "\"price\":9", 1);
            world.exchange("/list", 7, |answer| {
                if number % 2 == 1 {
                    change(answer)
                }
            });
        }
        assert_eq!(world.found().is_empty(), !is_found, "{millis} ms late: {:?}", world.found());
    }
}

#[test]
fn a_finding_is_known_to_be_ignored_by_younger_rules() {
    let mut world = World::new();
    for _ in 0..500 {
        let (path, item) = repeated(&mut world);
        world.exchange(&path, item, |target| target.head = target.head.replacen("X-Version: 7\r\n", "", 1));
    }
    let findings = world.findings.findings(Time::MAX);
    let [finding] = &findings[..] else { panic!("{findings:?}") };
    let is_ignored = |path: &str, field: &str| {
        let (path, ignore) = (Glob::new(path), vec![Field::parse(field).expect("a field")]);
        let rule = Rule { path, ignore, ignore_pattern: None, tolerance: 0.0, unordered: Vec::new() };
        finding.is_ignored_by(&Rules::new(Vec::new(), vec![rule]))
    };
    assert!(is_ignored("/items/*", "header:x-version"));
    assert!(!is_ignored("/orders/*", "header:x-version") && !is_ignored("*", "header:x-other"));
}

#[test]
fn endpoints_that_turn_out_to_be_one_are_counted_as_one() {
    let mut world = World::new();
    let name = |number: u64| {
        format!("/users/{}{}", (b'a' + (number / 26) as u8) as char, (b'a' + (number % 26) as u8) as char)
    };
    for number in 0..600 {
        let path = name(number);
        world.exchange(&path, number, |target| target.head = target.head.replacen("X-Version: 7", "X-Version: 8", 1));
    }
    let findings = world.findings.findings(Time::MAX);
    let of_all: Vec<_> = findings.iter().map(|finding| (finding.endpoint.as_str(), finding.exchanges)).collect();
    assert_eq!(of_all, [("GET /users/{value}", 600)]);
}
