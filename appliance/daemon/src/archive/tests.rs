use super::*;
use std::net::SocketAddr;
use tapcopy_engine::Time;
use tapcopy_engine::message::{Contents, Difference, Kind, Latency, Outcome, Said, Verdict};
use tapcopy_records::{Exchange, Order, Query};

fn keeping() -> Keeping {
    Keeping {
        enabled: true,
        bounds: Bounds { total_bytes: 64 << 20, age: Duration::from_secs(3_600) },
        sample: Sample { per_million: 0 },
        mask_headers: Vec::new(),
        mask_fields: vec!["iban".to_owned()],
        mask_patterns: Vec::new(),
    }
}

pub(super) fn service(name: &str) -> tapcopy_engine::config::Service {
    let toml = format!("[[service]]\nname = '{name}'\norigins = ['10.0.0.2:80']\ntargets = ['10.1.0.2:8080']\n");
    let (document, _) =
        crate::settings::Document::read(&format!("schema_version = 1\n{toml}"), crate::settings::Format::Toml);
    let settings = crate::settings::Settings::parse(document, crate::settings::Purpose::Rehearse).unwrap();
    settings.services.into_iter().next().unwrap()
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub(super) fn record(session: u64, contents: Option<Contents>) -> Record {
    let difference = |field: &str, [origin, target]: [&str; 2]| Difference {
        field: field.to_owned(),
        kind: Kind::Value,
        offset: None,
        origin: origin.to_owned(),
        target: target.to_owned(),
    };
    let differences = vec![
        difference("status", ["200", "500"]),
        difference("header:set-cookie", ["s=hush6", "s=hush7"]),
        difference("body:$.user.password", ["\"hush8\"", "\"hush9\""]),
    ];
    Record {
        session,
        exchange: 0,
        service: 0,
        target: 0,
        copy: 0,
        endpoint: Some("GET /a".into()),
        stalled: false,
        client: address("10.0.0.1:40000"),
        origin: address("10.0.0.2:80"),
        captured_at: Time::from_nanos(1_700_000_000_000_000_000),
        request_bytes: contents.as_ref().map_or(20, |contents| contents.request.len() as u64),
        outcome: Outcome::Answered(if contents.is_some() { Verdict::Differ(differences) } else { Verdict::Match }),
        origin_latency: Some(Latency { first_byte: Duration::from_millis(1), last_byte: Duration::from_millis(2) }),
        target_latency: Some(Latency { first_byte: Duration::from_millis(3), last_byte: Duration::from_millis(4) }),
        contents: contents.map(Box::new),
    }
}

pub(super) fn contents(request: &str, head: &str, body: &str) -> Contents {
    let said = Said { head: head.into(), body: body.into(), body_len: body.len() as u64 };
    Contents {
        request: request.into(),
        origin: said.clone(),
        target: said,
        request_last_at: Time::from_nanos(1_700_000_000_000_500_000),
        sent_at: Some(Time::ZERO),
        local: Some(address("10.1.0.100:1024")),
    }
}

/// `{"password":"hush6","a":"seen"}` as gzip writes it.
const GZIP: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\x56\x2a\x48\x2c\x2e\x2e\xcf\x2f\x4a\x51\xb2\x52\xca\x28\x2d\xce\x30\x53\xd2\x51\x4a\x04\xb2\
    \x8b\x53\x53\xf3\x94\x6a\x01\x73\x10\xe8\xac\x1f\x00\x00\x00";

fn all(archive: &Archive) -> Vec<Exchange> {
    let mut found = Vec::new();
    let query = Query { service: None, classes: u32::MAX, beyond: None, order: Order::Oldest, limit: 100_000 };
    let decode =
        |stored: tapcopy_records::Stored| Exchange::decode(&stored.service, stored.class, &stored.record).unwrap();
    archive.reader().query(&query, |stored| found.push(decode(stored))).unwrap();
    found
}

#[test]
fn records_reach_the_disk_and_outlive_the_archive() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::open(folder.path(), keeping(), Clock::start()).unwrap();
    let mut archiver = archive.archiver(&[service("web")]);
    (1..=300).for_each(|session| archiver.push(record(session, None)));
    archiver.configure(&[service("shop")], 301);
    archiver.push(record(7, None));
    archiver.push(record(301, None));
    archiver.flush();
    archive.finish();
    let names: Vec<String> = all(&archive).into_iter().map(|exchange| exchange.service).collect();
    assert_eq!(names, [vec!["web"; 301], vec!["shop"]].concat(), "a session keeps the service that it was opened with");
    let figures = archive.figures();
    assert_eq!((figures.written, figures.next, figures.dropped(), figures.fault), (302, 303, 0, None));
    drop((archive, archiver));
    let archive = Archive::open(folder.path(), keeping(), Clock::start()).unwrap();
    assert_eq!((all(&archive).len(), archive.figures().next), (302, 303));
}

#[test]
fn what_is_said_is_masked_before_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::open(folder.path(), keeping(), Clock::start()).unwrap();
    let mut archiver = archive.archiver(&[service("web")]);
    let request = "POST /in HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer hush1\r\nTransfer-Encoding: chunked\r\n\r\n\
                   d\r\n{\"password\":\"\r\n12\r\nhush2\",\"a\":\"seen\"}\r\n0\r\n\r\n";
    let head = "HTTP/1.1 200 OK\r\nSet-Cookie: s=hush3\r\n\r\n";
    archiver.push(record(1, Some(contents(request, head, "{\"iban\":\"hush4\",\"b\":\"seen\"}"))));
    let coded = "HTTP/1.1 200 OK\r\nContent-Encoding: compress\r\n\r\n";
    let mut coded = contents("GET / HTTP/1.1\r\n\r\n", coded, "hush5");
    coded.target.head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n".to_vec();
    coded.target.body = GZIP.to_vec();
    archiver.push(record(2, Some(coded)));
    archiver.flush();
    archive.finish();
    let bytes = std::fs::read(folder.path().join("records/0000000000000001.log")).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    assert!(!text.contains("hush"), "{text}");
    assert_eq!(text.matches("seen").count(), 4);
    assert!(text.contains("{\"password\":\"*****\",\"a\":\"seen\"}"));
    let contents = archive.reader().get(1).unwrap().unwrap().1.unwrap();
    let contents = tapcopy_records::Contents::decode(&contents).unwrap();
    assert_eq!(contents.request.body_bytes, 31);
    assert_eq!(convert::field(&contents.request.head, b"host"), Some(&b"a"[..]));
}

#[test]
fn a_queue_of_contents_has_its_bound() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::open(folder.path(), keeping(), Clock::start()).unwrap();
    let mut archiver = archive.archiver(&[service("web")]);
    archive.shared.contents_bytes.store(QUEUE_CONTENTS_BYTES, Ordering::Relaxed);
    archiver.push(record(1, Some(contents("GET / HTTP/1.1\r\n\r\n", "", "x"))));
    archiver.flush();
    archive.finish();
    let figures = archive.figures();
    assert_eq!((figures.written, figures.contents_dropped), (1, 1));
    assert_eq!(archive.shared.contents_bytes.load(Ordering::Relaxed), QUEUE_CONTENTS_BYTES);
}

#[test]
fn a_folder_that_cannot_be_used_is_said() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("records"), "").unwrap();
    assert!(Archive::open(folder.path(), keeping(), Clock::start()).is_err());
}

fn finding(field: &str, fault: tapcopy_engine::findings::Fault) -> Finding {
    Finding {
        service: "web".to_owned(),
        endpoint: "GET /a".to_owned(),
        field: field.to_owned(),
        fault,
        target_rate: 1.0,
        origin_rate: 0.0,
        exchanges: 9,
        differing: 9,
        first: Default::default(),
        last: Default::default(),
        example: Default::default(),
        after_loss: false,
    }
}

#[test]
fn findings_and_turns_know_their_records() {
    use tapcopy_engine::findings::Fault;
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::open(folder.path(), keeping(), Clock::start()).unwrap();
    let mut archiver = archive.archiver(&[service("web")]);
    let said = || Some(contents("GET / HTTP/1.1\r\n\r\n", "", "x"));
    (1..=3).for_each(|session| archiver.push(record(session, said())));
    archiver.push(record(4, None));
    archiver.flush();
    assert_eq!(archive.example(&finding("status", Fault::Content(Kind::Value))), None, "it is not safe yet");
    archive.finish();
    let example = |field, fault| archive.example(&finding(field, fault));
    assert_eq!(example("status", Fault::Content(Kind::Value)), Some(3));
    assert_eq!(example("body:$.user.password", Fault::Content(Kind::Value)), Some(3));
    assert_eq!(example("first_byte", Fault::Latency), Some(4));
    assert_eq!(example("status", Fault::Content(Kind::Missing)), None);
    let [key, none] = [record(2, None), record(9, None)].map(|record| places::turn(&record));
    assert_eq!(archive.turns(&[key, none]), BTreeMap::from([(key, 2)]));
}

/// A log of the least size is filled many times over; what shows a finding is still there, and other records are not.
#[test]
fn what_shows_a_finding_stays() {
    use tapcopy_engine::findings::Fault;
    let folder = tempfile::tempdir().unwrap();
    let bounds = Bounds { total_bytes: 1 << 20, age: Duration::from_secs(3_600) };
    let (log, _) = Log::open(Arc::new(Folder::made(folder.path()).unwrap()), bounds).unwrap();
    let (reader, shared) = (log.reader(), Arc::new(Shared::default()));
    let mut keeper = Keeper::new(String::new(), log, &keeping(), Clock::start(), shared.clone());
    let services = convert::services(&[service("web")]);
    let said = || Some(contents("GET / HTTP/1.1\r\n\r\n", "", "shown"));
    (1..=6).for_each(|session| keeper.take(&services, &record(session, said())));
    let filler = "x".repeat(50 << 10);
    for session in 7..=60 {
        let mut other = record(session, Some(contents("GET / HTTP/1.1\r\n\r\n", "", &filler)));
        other.outcome = Outcome::Answered(Verdict::Match);
        other.origin_latency = None;
        keeper.take(&services, &other);
        keeper.commit();
    }
    let number = shared.places().example(&finding("status", Fault::Content(Kind::Value))).unwrap();
    let (stored, contents) = reader.get(number).unwrap().unwrap();
    let exchange = Exchange::decode(&stored.service, stored.class, &stored.record).unwrap();
    let contents = tapcopy_records::Contents::decode(&contents.unwrap()).unwrap();
    assert_eq!((exchange.session, contents.target.body), (6, b"shown".to_vec()));
    assert!(reader.get(1).unwrap().is_none() && reader.first().unwrap() > 30);
}
