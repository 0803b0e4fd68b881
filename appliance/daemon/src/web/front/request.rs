//! A request as it comes in: when it is whole, how long it may be, and what the server behind is told of it.
//!
//! Only what has one meaning is passed on (RFC 9112): one length, no transfer coding, no folded line. So the server behind
//! sees the same request as the front did, whatever a client tries.
//!
//! An update of the firmware is the one request that is passed on with its head, and its body as it comes.

use super::{PEER_HEADER, SECRET_HEADER, TLS_HEADER};
use std::net::IpAddr;

/// Longest head.
const HEAD_BYTES: usize = 32 << 10;
/// Header lines.
const HEADERS: usize = 100;
/// Longest body: settings of thousands of services fit, and a backup of a hundred versions.
const BODY_BYTES: usize = 16 << 20;
/// Longest body of who does not say who he is: a name and a password.
const STRANGERS_BODY_BYTES: usize = 64 << 10;
/// What is passed on as it comes, and its longest body: a slot of the disk, and a signature.
const STREAMED: (&str, &str) = ("POST", "/api/v1/system/update");
const STREAMED_BYTES: usize = (64 << 20) + (64 << 10);

/// What the bytes so far are.
#[derive(Debug, PartialEq, Eq)]
pub enum Gathered {
    /// More are needed.
    Part {
        /// The client waits to be asked for the body (RFC 9110, section 10.1.1).
        wants_go_ahead: bool,
    },
    /// A whole request.
    Whole(Request),
    /// No request; what the client is told, after which the connection ends.
    Refused(Refusal),
}

/// A whole request, or as much as is passed on at once.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    head: String,
    body: Vec<u8>,
    /// Bytes that it took.
    pub len: usize,
    /// Bytes of its body that are still to come.
    pub left: usize,
    /// The client waits to be asked for them.
    pub wants_go_ahead: bool,
    /// Whether the connection goes on behind it.
    pub keeps_alive: bool,
    peer: IpAddr,
    is_tls: bool,
}

/// Why bytes are no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    status: &'static str,
    code: &'static str,
    message: &'static str,
}

const fn refusal(status: &'static str, code: &'static str, message: &'static str) -> Gathered {
    Gathered::Refused(Refusal { status, code, message })
}

impl Refusal {
    /// The answer.
    pub fn answer(self) -> Vec<u8> {
        let Self { status, code, message } = self;
        let body = format!("{{\"error\":{{\"code\":\"{code}\",\"message\":\"{message}\"}}}}");
        let length = body.len();
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nX-Content-Type-Options: nosniff\r\n\
             Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )
        .into_bytes()
    }
}

impl Request {
    /// The answer which sends a reader on to the HTTPS page of the host that he has asked. What would change anything is
    /// refused instead, because it has told its secrets to the network already and somebody must notice.
    pub fn sent_on(&self, port: u16) -> Vec<u8> {
        let mut lines = self.head.lines();
        let mut words = lines.next().unwrap_or_default().split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if !["GET", "HEAD"].contains(&method) {
            let message = "this port only sends readers on; use https, and change what you have just sent in the open";
            return Refusal { status: "403 Forbidden", code: "https_only", message }.answer();
        }
        let fields = lines.filter_map(|line| line.split_once(':'));
        let host = fields.filter(|(name, _)| name.eq_ignore_ascii_case("host")).map(|(_, value)| value.trim()).next();
        let Some(name) = host.and_then(host_name) else {
            let message = "the Host header names no host";
            return Refusal { status: "400 Bad Request", code: "bad_host", message }.answer();
        };
        let port = if port == 443 { String::new() } else { format!(":{port}") };
        format!(
            "HTTP/1.1 308 Permanent Redirect\r\nLocation: https://{name}{port}{path}\r\nCache-Control: no-store\r\n\
             Content-Length: 0\r\nConnection: close\r\n\r\n"
        )
        .into_bytes()
    }

    /// As the server behind gets it.
    pub fn forwarded(&self, secret: &str) -> Vec<u8> {
        let (head, peer, tls, length) = (&self.head, self.peer, u8::from(self.is_tls), self.body.len() + self.left);
        let own = format!(
            "{SECRET_HEADER}: {secret}\r\n{PEER_HEADER}: {peer}\r\n{TLS_HEADER}: {tls}\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n"
        );
        [head.as_bytes(), own.as_bytes(), &self.body].concat()
    }
}

/// The name in a Host header, without a port, where it has one that a URL can have.
fn host_name(host: &str) -> Option<&str> {
    let port = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let name = port.map_or(host, |(name, _)| name);
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    (!name.is_empty() && name.bytes().all(is_good)).then_some(name)
}

/// Looks at the bytes that have come in.
pub fn gather(bytes: &[u8], peer: IpAddr, is_tls: bool) -> Gathered {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let head_len = match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(len)) if len <= HEAD_BYTES => len,
        Ok(httparse::Status::Partial) if bytes.len() <= HEAD_BYTES => return Gathered::Part { wants_go_ahead: false },
        Ok(_) | Err(httparse::Error::TooManyHeaders) => {
            return refusal(
                "431 Request Header Fields Too Large",
                "head_too_long",
                "a head is 32 KiB and 100 lines at most",
            );
        }
        Err(_) => return refusal("400 Bad Request", "bad_request", "this is no HTTP/1.1 request"),
    };
    let (Some(method), Some(path), Some(version)) = (parsed.method, parsed.path, parsed.version) else {
        return refusal("400 Bad Request", "bad_request", "this is no HTTP/1.1 request");
    };
    if !path.starts_with('/') || !path.is_ascii() {
        return refusal("400 Bad Request", "bad_target", "the target is a path on this host");
    }
    let has = |name: &str| parsed.headers.iter().any(|header| header.name.eq_ignore_ascii_case(name));
    if has("transfer-encoding") {
        return refusal("411 Length Required", "length_required", "send a body with its Content-Length, not in chunks");
    }
    let Some(body_len) = body_len(parsed.headers) else {
        return refusal("400 Bad Request", "bad_length", "Content-Length is one number");
    };
    let is_streamed = (method, path) == STREAMED;
    if is_streamed && body_len > STREAMED_BYTES {
        return refusal("413 Content Too Large", "too_long", "an update is 64 MiB at most");
    }
    if !is_streamed && body_len > BODY_BYTES {
        return refusal("413 Content Too Large", "too_long", "a body is 16 MiB at most");
    }
    if !is_streamed && body_len > STRANGERS_BODY_BYTES && !has("authorization") && !has("cookie") {
        return refusal("401 Unauthorized", "unauthorized", "log in first: a body is 64 KiB at most until then");
    }
    let len = bytes.len().min(head_len + body_len);
    let left = head_len + body_len - len;
    let expects = parsed
        .headers
        .iter()
        .any(|header| header.name.eq_ignore_ascii_case("expect") && header.value.eq_ignore_ascii_case(b"100-continue"));
    let wants_go_ahead = expects && left > 0 && len == head_len;
    if left > 0 && !is_streamed {
        return Gathered::Part { wants_go_ahead };
    }
    let mut head = format!("{method} {path} HTTP/1.{version}\r\n");
    for header in parsed.headers.iter().filter(|header| is_passed_on(header.name)) {
        // The server behind takes ASCII only.
        let Some(value) = std::str::from_utf8(header.value).ok().filter(|value| value.is_ascii()) else {
            return refusal("400 Bad Request", "bad_header", "header values are ASCII");
        };
        head.push_str(&format!("{}: {value}\r\n", header.name));
    }
    let closes = parsed.headers.iter().any(|header| {
        let value = header.value.to_ascii_lowercase();
        header.name.eq_ignore_ascii_case("connection")
            && value.split(|byte| *byte == b',').any(|word| word.trim_ascii() == b"close")
    });
    // The answer may come before the last of the body, which then is no next request.
    let keeps_alive = version == 1 && !closes && !is_streamed;
    let body = bytes[head_len..len].to_vec();
    Gathered::Whole(Request { head, body, len, left, wants_go_ahead, keeps_alive, peer, is_tls })
}

/// What concerns this connection alone, or what only the front may say, is not.
fn is_passed_on(name: &str) -> bool {
    let own = ["connection", "keep-alive", "content-length", "expect", "te", "trailer", "upgrade", "proxy-connection"];
    let name = name.to_ascii_lowercase();
    !own.contains(&name.as_str()) && !name.starts_with("x-front-")
}

/// The one length; none is 0.
fn body_len(headers: &[httparse::Header<'_>]) -> Option<usize> {
    let mut lengths = headers.iter().filter(|header| header.name.eq_ignore_ascii_case("content-length"));
    let Some(first) = lengths.next() else { return Some(0) };
    let text = std::str::from_utf8(first.value).ok()?;
    let is_number = !text.is_empty() && text.len() <= 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    if lengths.next().is_some() || !is_number { None } else { text.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(bytes: &[u8]) -> Gathered {
        gather(bytes, "192.0.2.1".parse().unwrap(), true)
    }

    #[track_caller]
    fn check_refused(bytes: &[u8], status: &str) {
        match look(bytes) {
            Gathered::Refused(refusal) => assert!(refusal.status.starts_with(status), "{refusal:?}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_request_is_passed_on_when_it_is_whole() {
        let bytes = b"POST /a?b HTTP/1.1\r\nHost: x\r\nX-Front-Peer: 1.1.1.1\r\nConnection: x, Close\r\nContent-Length: 3\r\n\r\nabcGET";
        for end in 0..bytes.len() - 3 {
            assert_eq!(look(&bytes[..end]), Gathered::Part { wants_go_ahead: false });
        }
        let Gathered::Whole(request) = look(bytes) else { panic!() };
        assert_eq!((request.len, request.keeps_alive), (bytes.len() - 3, false));
        let expected = "POST /a?b HTTP/1.1\r\nHost: x\r\nx-front-secret: s\r\nx-front-peer: 192.0.2.1\r\nx-front-tls: 1\r\n\
                        Content-Length: 3\r\nConnection: close\r\n\r\nabc";
        assert_eq!(String::from_utf8(request.forwarded("s")).unwrap(), expected);
    }

    #[test]
    fn a_client_that_asks_first_is_told_to_go_ahead() {
        let head = b"PUT / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
        assert_eq!(look(head), Gathered::Part { wants_go_ahead: true });
        assert!(matches!(look(&[&head[..], b"abc"].concat()), Gathered::Whole(request) if request.keeps_alive));
    }

    #[test]
    fn an_update_is_passed_on_with_its_head() {
        let head = "POST /api/v1/system/update HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 30000000\r\n\r\n";
        for (body, wants_go_ahead) in [("", true), ("abc", false)] {
            let bytes = format!("{head}{body}");
            let Gathered::Whole(request) = look(bytes.as_bytes()) else { panic!("{body}") };
            assert_eq!((request.len, request.left), (bytes.len(), 30_000_000 - body.len()));
            assert_eq!((request.wants_go_ahead, request.keeps_alive), (wants_go_ahead, false));
            let forwarded = String::from_utf8(request.forwarded("s")).unwrap();
            assert!(
                forwarded.contains("Content-Length: 30000000\r\n") && forwarded.ends_with(&format!("\r\n\r\n{body}"))
            );
        }
        check_refused(head.replace("30000000", "99999999").as_bytes(), "413");
    }

    #[test]
    fn readers_are_sent_on_to_https() {
        let sent_on = |head: &str, port| {
            let Gathered::Whole(request) = look(head.as_bytes()) else { panic!("{head}") };
            String::from_utf8(request.sent_on(port)).unwrap()
        };
        for (host, port, expected) in [
            ("box.example:80", 443, "https://box.example/a?b"),
            ("192.0.2.1", 8443, "https://192.0.2.1:8443/a?b"),
            ("[2001:db8::1]:80", 443, "https://[2001:db8::1]/a?b"),
        ] {
            let answer = sent_on(&format!("GET /a?b HTTP/1.1\r\nHost: {host}\r\n\r\n"), port);
            assert!(answer.starts_with("HTTP/1.1 308 ") && answer.contains(&format!("\r\nLocation: {expected}\r\n")));
        }
        for host in ["", "a b", "x/y", "\"", "x@y"] {
            assert!(sent_on(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"), 443).starts_with("HTTP/1.1 400 "));
        }
        assert!(sent_on("POST / HTTP/1.1\r\nHost: x\r\n\r\n", 443).starts_with("HTTP/1.1 403 "));
    }

    #[test]
    fn what_could_mean_two_things_is_refused() {
        check_refused(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", "411");
        check_refused(b"POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", "400");
        for length in ["+3", "3,3", "-1", "", "0x3", "99999999999999999999"] {
            check_refused(format!("POST / HTTP/1.1\r\nContent-Length: {length}\r\n\r\n").as_bytes(), "400");
        }
        check_refused(b"GET http://x/ HTTP/1.1\r\n\r\n", "400");
        check_refused(b"GET / HTTP/1.1\r\nX: \xff\r\n\r\n", "400");
        check_refused(b"\x16\x03\x01", "400");
        check_refused(b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", "413");
        check_refused(b"POST / HTTP/1.1\r\nContent-Length: 65537\r\n\r\n", "401");
        assert!(matches!(
            look(b"POST / HTTP/1.1\r\nCookie: x\r\nContent-Length: 65537\r\n\r\n"),
            Gathered::Part { .. }
        ));
        check_refused(&[b"GET /".as_slice(), &[b'a'; HEAD_BYTES]].concat(), "431");
        let many = "X: y\r\n".repeat(HEADERS + 1);
        check_refused(format!("GET / HTTP/1.1\r\n{many}\r\n").as_bytes(), "431");
    }
}
