use super::*;
use crate::archive::convert::{Converter, services};
use crate::archive::tests::{contents, record, service};
use crate::clock::Clock;

fn evidence(request: &str, head: &str, body: &str) -> (Exchange, Contents) {
    let keeping = crate::settings::Settings::read(
        "schema_version = 1\n[[service]]\norigins = ['*:1']\ntargets = ['1.1.1.1:1']",
        crate::settings::Format::Toml,
        crate::settings::Purpose::Rehearse,
    );
    let converter = Converter::new(&keeping.unwrap().records, Clock::start());
    let record = record(1, Some(contents(request, head, body)));
    let (exchange, contents) = converter.convert(&services(&[service("web")]), &record).unwrap();
    (exchange, contents.unwrap())
}

/// The files of an archive, read as tar does.
fn files(mut archive: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    while archive[0] != 0 {
        let text = |range: std::ops::Range<usize>| String::from_utf8(archive[range].to_vec()).unwrap();
        let sum: u32 = archive[..512]
            .iter()
            .enumerate()
            .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) })
            .sum();
        assert_eq!(u32::from_str_radix(text(148..156).trim_matches(['\0', ' ']), 8), Ok(sum));
        let size = usize::from_str_radix(text(124..136).trim_matches('\0'), 8).unwrap();
        let name = text(0..100).trim_matches('\0').to_owned();
        files.push((name, archive[512..512 + size].to_vec()));
        archive = &archive[512 + size.next_multiple_of(512)..];
    }
    assert_eq!(archive, [0; 1_024]);
    files
}

#[test]
fn a_bundle_has_all_that_is_needed() {
    let request = "GET /a?b='c HTTP/1.1\r\nHost: shop\r\nCookie: s=hush\r\n@/etc/passwd\r\nAccept: */*\r\n\r\n";
    let (exchange, contents) = evidence(request, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "ok");
    let files = files(&bundle(7, &exchange, &contents));
    let names: Vec<&str> = files.iter().map(|(name, _)| name.strip_prefix("exchange-7/").unwrap()).collect();
    let expected = "README.txt record.json difference.json request.bin origin-answer.bin target-answer.bin \
                    client-leg.pcapng target-leg.pcapng curl.sh";
    assert_eq!(names, expected.split(' ').collect::<Vec<_>>());
    assert!(names.iter().all(|name| README.contains(name) || *name == "README.txt"));
    assert_eq!(files[5].1, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let curl = String::from_utf8(files[8].1.clone()).unwrap();
    assert!(curl.contains("# masked, and left out: Cookie\n") && !curl.contains("hush"), "{curl}");
    assert!(curl.contains("# no header, and left out: @/etc/passwd\n") && curl.matches('@').count() == 1, "{curl}");
    assert!(
        curl.ends_with("--header 'Host: shop' \\\n  --header 'Accept: */*' \\\n  'http://10.1.0.2:8080/a?b='\\''c'\n"),
        "{curl}"
    );
}

/// The packets of a leg, read by the box's own reader of captures.
fn packets(pcapng: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("leg.pcapng");
    std::fs::write(&path, pcapng).unwrap();
    let mut capture = crate::capture::Captures::open(&[path]).unwrap();
    let mut packets = Vec::new();
    while let Some(frame) = capture.frame() {
        packets.push((frame.captured_at.as_nanos(), frame.bytes.clone()));
        capture.advance();
    }
    packets
}

#[test]
fn legs_are_conversations_with_the_real_ends_and_times() {
    let body = "x".repeat(3_000);
    let (exchange, contents) =
        evidence("GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &body);
    let packets = packets(&frames::client_leg(&exchange, &contents));
    assert_eq!(packets.len(), 3 + 1 + 3 + 1 + 3);
    assert!(packets.is_sorted_by_key(|(at, _)| *at));
    let second = 1_700_000_000_000_000_000;
    assert_eq!((packets[3].0, packets[4].0, packets[6].0), (second, second + 1_500_000, second + 2_500_000));
    let said: Vec<u8> = packets[4..7].iter().flat_map(|(_, frame)| frame[54..].to_vec()).collect();
    assert!(said.ends_with(b"x\r\n0\r\n\r\n") && String::from_utf8_lossy(&said).contains("\r\n\r\nbb8\r\nxxx"));
    for (_, frame) in &packets {
        let mut again = frame.clone();
        crate::nic::checksum::complete(&mut again);
        assert_eq!((&again, crate::nic::checksum::of(&frame[14..34])), (frame, 0));
    }
    assert_eq!(&packets[0].1[26..34], [10, 0, 0, 1, 10, 0, 0, 2]);
}

#[test]
fn what_is_masked_is_told() {
    let request = "POST /in?token=hush&n=1 HTTP/1.1\r\nX-Api-Key: hush\r\nIf-Match: *\r\nAccept: text/*, */*;q=0.1\r\n\r\npin=1&note=a*b";
    let (exchange, contents) = evidence(request, "", "");
    let (_, script) = again::script(&exchange, &contents.request);
    assert!(script.contains("# Parts of it are masked") && script.contains("left out: X-Api-Key\n"), "{script}");
    assert!(script.contains("'If-Match: *'") && script.contains("'Accept: text/*, */*;q=0.1'"), "{script}");
    let (_, script) = again::script(&exchange, &evidence("GET /a*b?c=d HTTP/1.1\r\n\r\n", "", "").1.request);
    assert!(!script.contains("masked"), "{script}");
}

fn line(body: &[u8]) -> (&'static str, String) {
    let (exchange, _) = evidence("GET / HTTP/1.1\r\n\r\n", "", "");
    again::script(&exchange, &Said { body: body.to_vec(), body_bytes: body.len() as u64, ..Said::default() })
}

#[test]
fn other_protocols_have_their_own_clients() {
    let end = |(name, script): (&'static str, String)| format!("{name}: {}", script.lines().last().unwrap_or_default());
    for (request, expected) in [
        (
            &b"*3\r\n$3\r\nSET\r\n$3\r\na b\r\n$2\r\n'c\r\n"[..],
            "redis-cli.sh: redis-cli -h 10.1.0.2 -p 8080 'SET' 'a b' ''\\''c'",
        ),
        (b"*2\r\n$4\r\nAUTH\r\n$3\r\n***\r\n", "nc.sh: nc -w 2 10.1.0.2 8080 < request.bin"),
        (b"get a\r\n", "nc.sh: nc -w 2 10.1.0.2 8080 < request.bin"),
        (b"Q\0\0\0\x0dselect 1\0", "psql.sh: psql -h 10.1.0.2 -p 8080 -U \"${PGUSER:-postgres}\" -c 'select 1'"),
    ] {
        assert_eq!(end(line(request)), expected);
    }
    for request in [&b"Q\0\0\0\x0a\\! id\0"[..], b"Q\0\0\0\x18select 1; system id\0", b"\x0a\0\0\0\x03system id"] {
        assert!(end(line(request)).contains("would not send this"), "{}", request.escape_ascii());
    }
    assert!(line(b"*1\r\n$6\r\n--pipe\r\n").0 == "nc.sh");
    let (name, script) = line(b"\x09\0\0\0\x03select 1");
    assert!(name == "mysql.sh" && script.ends_with("-e 'select 1'\n"), "{script}");
}

#[test]
fn a_call_of_grpc_is_http2_again() {
    let request = "POST /lab.Lab/Unary HTTP/2\r\nhost: lab\r\ncontent-type: application/grpc\r\n\r\nbody";
    let head = "HTTP/1.1 200 \r\ncontent-type: application/grpc\r\ngrpc-status: 0\r\n\r\n";
    let (_, contents) = evidence(request, head, "answer");
    assert_eq!((contents.request.body.as_slice(), contents.request.body_bytes), (&b"body"[..], 4));
    assert!(contents.origin.head.starts_with(b"HTTP/2 200 \r\n"));
    let sent = http2::frames(&contents.request);
    assert!(sent.starts_with(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"));
    assert!(sent.ends_with(b"\0\0\x04\0\x01\0\0\0\x01body"));
    let answered = http2::frames(&contents.origin);
    assert!(answered.ends_with(b"\0\0\x0f\x01\x05\0\0\0\x01\0\x0bgrpc-status\x010"), "{}", answered.escape_ascii());
}
