use super::*;
use crate::settings::{Format, Purpose, Settings};
use crate::store::Store;
use std::io::{Read, Write};
use std::net::TcpStream;

const TOKEN: &str = "00112233445566778899aabbccddeeff";
const PASSWORD: &str = "several plain words";
const SETTINGS: &str = "schema_version = 1\n[nics]\nmirror = ['m']\ntarget = 't'\n[addressing]\n\
    pool = ['192.0.2.100-192.0.2.200/24']\n[[service]]\norigins = ['*:80']\ntargets = ['192.0.2.1:80']\n";

/// A page of a box that takes other services; with a data folder it can be claimed.
fn serve(folder: Option<&Path>) -> SocketAddr {
    let (clock, confirm) = (Clock::start(), Duration::from_secs(90));
    let store = folder.map(|folder| Arc::new(Store::open(folder).unwrap()));
    let accounts = Accounts::new(store.clone(), folder.map(|_| TOKEN.to_owned()), clock);
    let settings = Settings::read(SETTINGS, Format::Toml, Purpose::Run).unwrap();
    let plant = Arc::new(Plant::played(&settings));
    let desk = Desk::new(store, plant.clone(), Some(settings.document), clock, confirm);
    let sockets = listen("127.0.0.1:0".parse().unwrap(), None).unwrap();
    let address = sockets.page.local_addr().unwrap();
    start(sockets, plant, Arc::new(desk), Arc::new(accounts), None, clock, Confinement::default()).unwrap();
    address
}

/// The whole answer to a request of one line, header lines and a body.
fn ask(address: SocketAddr, line: &str, headers: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    let request = format!(
        "{line} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    );
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
    // No shards, as while others take their place, and yet settings.
    check(&ask(address, "GET /api/v1/health", "", ""), 200, "\"status\":\"ok\"");
    check(&ask(address, "GET /api/v1/snapshot", "", ""), 200, "\"state\":\"running\"");
    check(&ask(address, "GET /api/v1/openapi.yaml", "", ""), 200, "openapi: 3.1");
    check(&ask(address, "GET /api/v1/docs", "", ""), 200, "<title>TapCopy");
    check(&ask(address, "GET /api/v1/ledger", "", ""), 200, "\"received\":0");
    check(&ask(address, "GET /api/v1/reasons", "", ""), 200, "\"mirror_gap\":\"The mirror lost");
    check(&ask(address, "GET /metrics", "", ""), 200, "tapcopy_frames_received_total 0");
    check(&ask(address, "GET /../Cargo.toml", "", ""), 404, "\"code\":\"not_found\"");
    check(&ask(address, "POST /api/v1/ledger", "", "x"), 405, "Allow: GET, HEAD\r\n");
    check(&ask(address, "DELETE /api/v1/settings", "", ""), 405, "Allow: GET, PUT, HEAD\r\n");
    check(&ask(address, "GET /api/v1/doctor", "", ""), 401, "unauthorized");
    check(&ask(address, "BREW /", "", ""), 405, "Allow: GET, HEAD\r\n");
    check(&ask(address, "POST /api/v1/login", "", "[\"admin\", \"x\"]"), 422, "the body is not as wanted");
    check(&ask(address, "OPTIONS /api/v1/login", "", ""), 405, "Allow: POST\r\n");
}

/// What a header of an answer holds.
fn header<'a>(answer: &'a str, name: &str) -> &'a str {
    answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap_or_default()
}

/// The headers of somebody who has claimed the box: with and without what a forger cannot know.
fn claim(address: SocketAddr) -> (String, String) {
    let body = format!("{{\"claim_token\": \"{TOKEN}\", \"password\": \"{PASSWORD}\"}}");
    let answer = ask(address, "POST /api/v1/setup", "", &body);
    check(&answer, 200, "\"role\":\"admin\"");
    let cookie = header(&answer, "Set-Cookie");
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict"), "{cookie}");
    let cookie = format!("Cookie: {}\r\n", cookie.split(';').next().unwrap());
    let csrf = answer.split("\"csrf_token\":\"").nth(1).unwrap().split('"').next().unwrap();
    (format!("{cookie}X-CSRF-Token: {csrf}\r\n"), cookie)
}

#[test]
fn a_box_is_claimed_and_logged_in_to() {
    let folder = tempfile::tempdir().unwrap();
    let address = serve(Some(folder.path()));
    check(&ask(address, "GET /api/v1/health", "", ""), 200, "\"claimed\":false");
    check(&ask(address, "POST /api/v1/setup", "", "{\"claim_token\":\"x\",\"password\":\"y\"}"), 403, "wrong_token");
    check(&ask(address, "POST /api/v1/setup", "", "{}"), 422, "missing field");
    let (_, cookie) = claim(address);
    check(&ask(address, "GET /api/v1/health", "", ""), 200, "\"claimed\":true");
    check(&ask(address, "GET /api/v1/me", &cookie, ""), 200, "\"username\":\"admin\"");
    check(&ask(address, "GET /api/v1/me", "", ""), 401, "WWW-Authenticate: Bearer");
    let wrong = "{\"username\":\"admin\",\"password\":\"wrong\"}";
    for _ in 0..5 {
        check(&ask(address, "POST /api/v1/login", "", wrong), 401, "wrong_credentials");
    }
    check(&ask(address, "POST /api/v1/login", "", wrong), 429, "Retry-After: ");
}

#[test]
fn figures_are_open_on_loopback_until_somebody_claims_the_box() {
    let folder = tempfile::tempdir().unwrap();
    let address = serve(Some(folder.path()));
    check(&ask(address, "GET /api/v1/ledger", "", ""), 200, "\"received\":0");
    let foreign = TcpStream::connect(address).and_then(|mut stream| {
        stream.write_all(b"GET /api/v1/ledger HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map(|_| answer)
    });
    check(&foreign.unwrap(), 401, "unauthorized");
    let (headers, cookie) = claim(address);
    for path in ["/api/v1/ledger", "/metrics", "/api/v1/reasons"] {
        check(&ask(address, &format!("GET {path}"), "", ""), 401, "unauthorized");
        check(&ask(address, &format!("GET {path}"), &cookie, ""), 200, "");
    }
    let token = ask(address, "POST /api/v1/tokens", &headers, "{\"name\":\"prometheus\",\"role\":\"viewer\"}");
    check(&token, 201, "\"secret\":\"tapcopy_");
    let secret = token.split("\"secret\":\"").nth(1).unwrap().split('"').next().unwrap();
    let bearer = format!("Authorization: Bearer {secret}\r\n");
    check(&ask(address, "GET /metrics", &bearer, ""), 200, "tapcopy_uptime_seconds");
    check(&ask(address, "POST /api/v1/replay/stop", &bearer, ""), 403, "forbidden");
}

#[test]
fn what_a_cookie_changes_wants_what_a_forger_cannot_know() {
    let folder = tempfile::tempdir().unwrap();
    let address = serve(Some(folder.path()));
    let (headers, cookie) = claim(address);
    check(&ask(address, "POST /api/v1/replay/stop", &cookie, ""), 403, "\"code\":\"csrf\"");
    check(&ask(address, "POST /api/v1/replay/stop", &headers, ""), 200, "\"replaying\":false");
    check(&ask(address, "POST /api/v1/logout", &headers, ""), 204, "Max-Age=0");
    check(&ask(address, "GET /api/v1/me", &cookie, ""), 401, "unauthorized");
}

#[test]
fn settings_are_staged_applied_and_confirmed() {
    let folder = tempfile::tempdir().unwrap();
    let address = serve(Some(folder.path()));
    let bearer = format!("Authorization: Bearer {TOKEN}\r\n");
    let put = |kind: &str, body: &str| {
        ask(address, "PUT /api/v1/settings?why=a+try", &format!("{bearer}Content-Type: {kind}\r\n"), body)
    };
    let toml = "application/toml; charset=utf-8";
    check(&ask(address, "GET /api/v1/settings", "", ""), 401, "unauthorized");
    check(&ask(address, "GET /api/v1/settings", &bearer, ""), 200, "192.0.2.100-192.0.2.200/24");
    check(&ask(address, "GET /api/v1/settings/export", &bearer, ""), 200, "targets = [\"192.0.2.1:80\"]");
    check(&put(toml, &SETTINGS.replace("*:80", "*:81")), 200, "\"state\":\"staged\"");
    check(&ask(address, "GET /api/v1/settings/pending", &bearer, ""), 200, "\"why\":\"a try\"");
    check(&ask(address, "POST /api/v1/settings/apply", &bearer, ""), 200, "\"seconds_left\":");
    check(&ask(address, "POST /api/v1/settings/confirm", &bearer, ""), 200, "\"number\":1");
    check(&ask(address, "GET /api/v1/settings/versions", &bearer, ""), 200, "\"why\":\"a try\"");
    check(&ask(address, "GET /api/v1/settings/versions/2", &bearer, ""), 404, "not_found");
    let stored = std::fs::read_to_string(folder.path().join("settings.toml")).unwrap();
    assert!(stored.contains("*:81"), "{stored}");
    check(&put(toml, &SETTINGS.replace("'m'", "'other'")), 200, "\"effect\":\"restart\"");
    check(&ask(address, "POST /api/v1/settings/apply", &bearer, ""), 422, "\"field\":\"nics.target\"");
    check(&put(toml, &SETTINGS.replace("*:80", "*:0")), 422, "\"field\":\"service[0].origins[0]\"");
    check(&put(toml, &SETTINGS.replace("[addressing]", "filter = 'tcp prot 80'\n[addressing]")), 422, "nics.filter");
    check(&put("application/json", "{"), 422, "not JSON");
    check(&put("text/plain", SETTINGS), 415, "unsupported_media_type");
    check(&put(toml, &"#".repeat(17 << 20)), 413, "too_long");
    check(&ask(address, "GET /api/v1/audit", &bearer, ""), 200, "settings_confirmed");
}

#[test]
fn the_overview_and_what_is_around_it() {
    let folder = tempfile::tempdir().unwrap();
    let address = serve(Some(folder.path()));
    let answer = ask(address, "GET /api/v1/snapshot", "", "");
    check(&answer, 200, "\"state\":\"running\"");
    let bearer = format!("Authorization: Bearer {TOKEN}\r\n");
    check(&ask(address, "GET /api/v1/sessions?state=waiting", &bearer, ""), 200, "\"sessions\":[]");
    check(&ask(address, "GET /api/v1/sessions?state=x", &bearer, ""), 400, "\"field\":\"state\"");
    check(&ask(address, "GET /api/v1/sessions/0-1", &bearer, ""), 404, "not_found");
    check(&ask(address, "GET /api/v1/nics", &bearer, ""), 200, "\"nics\":[");
    check(&ask(address, "PATCH /api/v1/system", &bearer, "{\"name\":\" north \"}"), 200, "\"name\":\"north\"");
    check(&ask(address, "PATCH /api/v1/system", &bearer, "{\"name\":\" \"}"), 422, "\"field\":\"name\"");
    check(&ask(address, "GET /api/v1/system", &bearer, ""), 200, "\"process_bytes\":");
    check(&ask(address, "GET /api/v1/diagnostics", &bearer, ""), 200, "\"versions\":[");
    std::fs::create_dir(folder.path().join("captures")).unwrap();
    let name = "tapcopy-20000101T000000Z-0000.pcapng";
    std::fs::write(folder.path().join("captures").join(name), "frames").unwrap();
    check(&ask(address, "GET /api/v1/captures", &bearer, ""), 200, name);
    check(&ask(address, &format!("GET /api/v1/captures/{name}"), &bearer, ""), 200, "\r\n\r\nframes");
    check(&ask(address, "GET /api/v1/captures/..%2Fclaim-token", &bearer, ""), 404, "not_found");
    check(&ask(address, "POST /api/v1/captures/start", &bearer, "{}"), 409, "make settings first");
    check(&ask(address, "POST /api/v1/captures/stop", &bearer, ""), 409, "not_recording");
    check(&ask(address, &format!("DELETE /api/v1/captures/{name}"), &bearer, ""), 204, "");
    check(&ask(address, "GET /api/v1/captures", &bearer, ""), 200, "\"captures\":[]");
}

#[test]
fn settings_of_the_command_line_are_read_only() {
    let folder = tempfile::tempdir().unwrap();
    let address = serve(None);
    check(&ask(address, "PUT /api/v1/settings", &format!("Authorization: Bearer {TOKEN}\r\n"), SETTINGS), 401, "");
    drop(folder);
}

#[test]
fn a_backup_brings_back_users_and_settings() {
    let folder = tempfile::tempdir().unwrap();
    let address = serve(Some(folder.path()));
    let (headers, _) = claim(address);
    let backup = ask(address, "GET /api/v1/backup", &headers, "");
    let backup = backup.split("\r\n\r\n").nth(1).unwrap();
    let other = tempfile::tempdir().unwrap();
    let address = serve(Some(other.path()));
    let bearer = format!("Authorization: Bearer {TOKEN}\r\n");
    check(
        &ask(address, "POST /api/v1/restore", &bearer, &backup.replacen("192.0.2.1", "192.0.2.2", 1)),
        422,
        "checksum",
    );
    check(&ask(address, "POST /api/v1/restore", &bearer, backup), 200, "\"state\":\"staged\"");
    let login = format!("{{\"username\":\"admin\",\"password\":\"{PASSWORD}\"}}");
    check(&ask(address, "POST /api/v1/login", "", &login), 200, "csrf_token");
}

#[test]
fn an_address_in_use_is_named() {
    let address = serve(None);
    assert!(matches!(listen(address, None), Err(WebFault::InUse(_))));
    assert!(listen("127.0.0.2:0".parse().unwrap(), None).is_ok());
}

#[test]
fn https_wants_a_data_folder() {
    let address = "192.0.2.1:443".parse().unwrap();
    assert!(matches!(certificate(address, None), Err(WebFault::NoData(_))));
    assert!(matches!(certificate("127.0.0.1:80".parse().unwrap(), None), Ok(None)));
    let folder = tempfile::tempdir().unwrap();
    assert!(certificate(address, Some(folder.path())).unwrap().is_some_and(|certificate| certificate.is_own));
}

#[test]
fn one_connection_takes_many_requests_however_they_are_cut() {
    let address = serve(None);
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let requests = "GET /api/v1/health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".repeat(3);
    for piece in requests.as_bytes().chunks(7) {
        stream.write_all(piece).unwrap();
    }
    stream.write_all(b"GET /nothing HTTP/1.1\r\nConnection: close\r\n\r\n").unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    assert_eq!(
        (answers.matches("HTTP/1.1 200 ").count(), answers.matches("HTTP/1.1 404 ").count()),
        (3, 1),
        "{answers}"
    );
}

#[test]
fn slow_clients_are_nobodys_trouble() {
    let address = serve(None);
    let slow: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(b"POST /api/v1/login HTTP/1.1\r\nContent-Length: 9\r\n\r\n{").unwrap();
            stream
        })
        .collect();
    let clock = Clock::start();
    check(&ask(address, "GET /api/v1/health", "", ""), 200, "status");
    assert!(clock.uptime() < Duration::from_secs(1), "{:?}", clock.uptime());
    drop(slow);
}

/// What a box answers to the head of a request and a part of its body.
fn ask_with_part(address: SocketAddr, line: &str, headers: &str, length: usize, part: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(format!("{line} HTTP/1.1\r\nContent-Length: {length}\r\n{headers}\r\n").as_bytes()).unwrap();
    stream.write_all(part).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn an_update_is_read_while_it_comes_and_from_those_who_may_send_it() {
    let folder = tempfile::tempdir().unwrap();
    let address = serve(Some(folder.path()));
    let (mine, forged) = claim(address);
    let (line, whole) = ("POST /api/v1/system/update", vec![b'x'; 300_000]);
    // The rest is not waited for where the answer does not depend on it.
    check(&ask_with_part(address, line, "", 50_000_000, &whole), 401, "unauthorized");
    check(&ask_with_part(address, line, &forged, 50_000_000, b""), 403, "csrf");
    check(&ask_with_part(address, line, &mine, whole.len(), &whole), 409, "not_firmware");
    let asked = ask_with_part(address, line, &format!("Expect: 100-continue\r\n{mine}"), 9, b"and a few");
    check(asked.trim_start_matches("HTTP/1.1 100 Continue\r\n\r\n"), 409, "not_firmware");
    check(&ask_with_part(address, line, &mine, 99_000_000, b""), 413, "64 MiB");
}

#[test]
fn an_ordinary_host_is_not_the_boxs_to_end() {
    let folder = tempfile::tempdir().unwrap();
    let address = serve(Some(folder.path()));
    let (mine, _) = claim(address);
    for order in ["reboot", "power-off", "factory-reset"] {
        check(&ask(address, &format!("POST /api/v1/system/{order}"), &mine, ""), 409, "not_firmware");
        check(&ask(address, &format!("POST /api/v1/system/{order}"), "", ""), 401, "unauthorized");
    }
}

#[test]
fn who_comes_past_the_front_is_not_served() {
    let (behind, listener) = Behind::listen().unwrap();
    assert!(!behind.admits("") && !behind.admits("x"));
    drop(listener);
}
