use super::*;
use crate::settings::{Format, Purpose, Settings};
use crate::store::Store;
use std::io::Write;
use std::net::TcpStream;

const TOKEN: &str = "00112233445566778899aabbccddeeff";
const SETTINGS: &str = "schema_version = 1\n[nics]\nmirror = ['m']\ntarget = 't'\n[addressing]\n\
    pool = ['192.0.2.100-192.0.2.200/24']\n[[service]]\norigins = ['*:80']\ntargets = ['192.0.2.1:80']\n";

/// A page without shards; with a store, settings can be changed.
fn serve(store: Option<Store>) -> SocketAddr {
    let settings = Settings::read(SETTINGS, Format::Toml, Purpose::Run).unwrap();
    let plant = Arc::new(Plant::played(&settings));
    let desk = Arc::new(Desk::new(Some(TOKEN.to_owned()), store, settings.document, plant.clone()));
    let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    start(listener, plant, desk, Clock::start()).unwrap();
    address
}

/// The whole answer to a request of one line, header lines and a body.
fn ask(address: SocketAddr, line: &str, headers: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    let request =
        format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[track_caller]
fn check(answer: &str, status: u16, part: &str) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    assert!(answer.contains(part), "{answer}");
}

#[test]
fn resources() {
    let address = serve(None);
    check(&ask(address, "GET /", "", ""), 200, "Content-Security-Policy: default-src 'none'");
    check(&ask(address, "GET /?x=1", "", ""), 200, "<title>TapCopy</title>");
    check(&ask(address, "GET /app.js", "", ""), 200, "text/javascript");
    check(&ask(address, "GET /api/v1/health", "", ""), 200, "\"shards\":0");
    check(&ask(address, "GET /api/v1/ledger", "", ""), 200, "\"received\":0");
    check(&ask(address, "GET /api/v1/reasons", "", ""), 200, "\"mirror_gap\":\"The mirror lost");
    check(&ask(address, "GET /metrics", "", ""), 200, "tapcopy_frames_received_total 0");
    check(&ask(address, "GET /../Cargo.toml", "", ""), 404, "\"code\":\"not_found\"");
    check(&ask(address, "POST /api/v1/ledger", "", "x"), 405, "Allow: GET, HEAD\r\n");
    check(&ask(address, "POST /api/v1/doctor", "", ""), 405, "Allow: GET\r\n");
    check(&ask(address, "GET /api/v1/doctor", "", ""), 500, "m is no interface of this machine");
    check(&ask(address, "GET /api/v1/doctor?seconds=0", "", ""), 400, "from 1 to 30");
    check(&ask(address, "GET /api/v1/doctor?seconds=x", "", ""), 400, "from 1 to 30");
    check(&ask(address, "DELETE /api/v1/settings", "", ""), 405, "Allow: GET, HEAD, PUT\r\n");
}

#[test]
fn settings_want_the_claim_token() {
    let address = serve(None);
    for wrong in
        ["", "Authorization: Bearer \r\n", "Authorization: Bearer 0011\r\n", &format!("Authorization: {TOKEN}\r\n")]
    {
        check(&ask(address, "GET /api/v1/settings", wrong, ""), 401, "\"code\":\"unauthorized\"");
        check(&ask(address, "PUT /api/v1/settings", wrong, SETTINGS), 401, "\"code\":\"unauthorized\"");
    }
    let right = format!("Authorization: Bearer {TOKEN}\r\n");
    check(&ask(address, "GET /api/v1/settings", &right, ""), 200, "192.0.2.100-192.0.2.200/24");
    let toml = format!("{right}Content-Type: application/toml\r\n");
    check(&ask(address, "PUT /api/v1/settings", &toml, SETTINGS), 409, "\"code\":\"read_only\"");
}

#[test]
fn settings_are_checked_stored_and_applied() {
    let folder = tempfile::tempdir().unwrap();
    let address = serve(Some(Store::open(folder.path()).unwrap()));
    let put = |kind: &str, body: &str| {
        let headers = format!("Authorization: Bearer {TOKEN}\r\nContent-Type: {kind}\r\n");
        ask(address, "PUT /api/v1/settings", &headers, body)
    };
    let toml = "application/toml; charset=utf-8";
    check(&put(toml, SETTINGS), 200, "\"applied\":true");
    check(&put(toml, &SETTINGS.replace("*:80", "*:81")), 200, "\"applied\":true");
    check(&put(toml, &SETTINGS.replace("'m'", "'other'")), 422, "t is no interface");
    check(&put(toml, &SETTINGS.replace("*:80", "*:0")), 422, "\"field\":\"service[0].origins[0]\"");
    check(&put(toml, &SETTINGS.replace("[addressing]", "filter = 'tcp prot 80'\n[addressing]")), 422, "nics.filter");
    check(&put("application/json", "{"), 422, "not JSON");
    check(&put("text/plain", SETTINGS), 415, "unsupported_media_type");
    check(&put(toml, &"#".repeat(2 << 20)), 413, "too_long");
    let stored = std::fs::read_to_string(folder.path().join("settings.toml")).unwrap();
    assert!(stored.contains("*:81") && stored.contains("mirror = [\"m\"]"), "{stored}");
}

#[test]
fn only_loopback_addresses_are_listened_on() {
    let address = serve(None);
    assert!(matches!(listen(address), Err(WebFault::InUse(_))));
    assert!(matches!(listen("0.0.0.0:0".parse().unwrap()), Err(WebFault::NotLoopback(_))));
    assert!(matches!(listen("192.0.2.1:0".parse().unwrap()), Err(WebFault::NotLoopback(_))));
    assert!(listen("127.0.0.2:0".parse().unwrap()).is_ok());
}
