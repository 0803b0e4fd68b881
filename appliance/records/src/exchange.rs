//! What a record says of an exchange: as it is stored, and as JSON.

use crate::wire::{Taker, push_bytes, push_number};
use serde_json::{Map, Value, json};
use std::net::{IpAddr, SocketAddr};

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The answers agree.
    Match,
    /// The answers differ.
    Differ,
    /// They cannot be held against each other.
    Incomparable,
    /// The request was sent, but no whole answer came.
    NotAnswered,
    /// It was never sent.
    NotReplayed,
}

impl Outcome {
    /// Every outcome, at the place of its class in the log.
    pub const ALL: [Self; 5] = [Self::Match, Self::Differ, Self::Incomparable, Self::NotAnswered, Self::NotReplayed];

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Match => "match",
            Self::Differ => "differ",
            Self::Incomparable => "incomparable",
            Self::NotAnswered => "not_answered",
            Self::NotReplayed => "not_replayed",
        }
    }

    /// The outcome of this word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.word() == word)
    }

    /// Its class in the log.
    pub fn class(self) -> u8 {
        self as u8
    }
}

/// What became of one exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// Name of the service.
    pub service: String,
    /// The one outcome.
    pub outcome: Outcome,
    /// The word of the reason, or the first part that differs; empty for a match.
    pub reason: String,
    /// Number of the session in its run of the box.
    pub session: u64,
    /// Number of the exchange in its session.
    pub exchange: u64,
    /// Number of the copy among those of the session for the same target.
    pub copy: u64,
    /// The real client.
    pub client: SocketAddr,
    /// The production server.
    pub origin: SocketAddr,
    /// The server under test.
    pub target: Option<SocketAddr>,
    /// When the request's first byte was captured, in nanoseconds since the Unix epoch.
    pub captured_at: u64,
    /// Length of the request.
    pub request_bytes: u64,
    /// Of production.
    pub origin_latency: Option<Latency>,
    /// Of the server under test.
    pub target_latency: Option<Latency>,
    /// What was asked, without what changes from request to request; empty where it is not known.
    pub endpoint: String,
    /// Where the answers differ.
    pub differences: Vec<Difference>,
}

/// Nanoseconds from the request's last byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// To the answer's first byte.
    pub first_byte: u64,
    /// To its last.
    pub last_byte: u64,
}

/// One part in which two answers differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// The part, as `status`, `header:NAME`, `body`.
    pub field: String,
    /// Where in the part, in bytes.
    pub offset: Option<u64>,
    /// What production said.
    pub origin: Option<String>,
    /// What the server under test said.
    pub target: Option<String>,
}

/// What was said, already masked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// The request.
    pub request: Said,
    /// Production's answer.
    pub origin: Said,
    /// The answer of the server under test.
    pub target: Said,
    /// When the request's last byte was captured, in nanoseconds since the Unix epoch.
    pub request_last_at: u64,
    /// When the target had been sent all of it, likewise.
    pub sent_at: Option<u64>,
    /// The box's own end of the connection to the target.
    pub local: Option<SocketAddr>,
}

/// One message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Its head, with line ends; empty where the protocol has none.
    pub head: Vec<u8>,
    /// The first bytes of its content, without framing.
    pub body: Vec<u8>,
    /// Length of the whole content.
    pub body_bytes: u64,
    /// What was done to it or left out, for the reader; mostly empty.
    pub note: String,
}

impl Exchange {
    /// As it is stored, but for its service and outcome, which the log knows.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64);
        for number in [self.session, self.exchange, self.copy, self.request_bytes] {
            push_number(&mut bytes, number);
        }
        bytes.extend(self.captured_at.to_le_bytes());
        [Some(self.client), Some(self.origin), self.target]
            .iter()
            .for_each(|address| push_address(&mut bytes, *address));
        push_latency(&mut bytes, self.origin_latency);
        push_latency(&mut bytes, self.target_latency);
        push_bytes(&mut bytes, self.reason.as_bytes());
        push_bytes(&mut bytes, self.endpoint.as_bytes());
        push_number(&mut bytes, self.differences.len() as u64);
        for difference in &self.differences {
            push_bytes(&mut bytes, difference.field.as_bytes());
            push_option(&mut bytes, difference.offset, |bytes, offset| push_number(bytes, *offset));
            for side in [&difference.origin, &difference.target] {
                push_option(&mut bytes, side.as_ref(), |bytes, value| push_bytes(bytes, value.as_bytes()));
            }
        }
        bytes
    }

    /// From what [`Exchange::encode`] made; `None` where it is not that.
    pub fn decode(service: &str, class: u8, bytes: &[u8]) -> Option<Self> {
        let outcome = *Outcome::ALL.get(usize::from(class))?;
        let mut taker = Taker(bytes);
        let (session, exchange, copy, request_bytes) =
            (taker.number()?, taker.number()?, taker.number()?, taker.number()?);
        let captured_at = taker.array().map(u64::from_le_bytes)?;
        let (client, origin, target) = (address(&mut taker)??, address(&mut taker)??, address(&mut taker)?);
        let (origin_latency, target_latency) = (latency(&mut taker)?, latency(&mut taker)?);
        let (reason, endpoint) = (taker.text()?, taker.text()?);
        let differences = (0..taker.number()?).map(|_| difference(&mut taker)).collect::<Option<_>>()?;
        let service = service.to_owned();
        Some(Self {
            service,
            outcome,
            reason,
            session,
            exchange,
            copy,
            client,
            origin,
            target,
            captured_at,
            request_bytes,
            origin_latency,
            target_latency,
            endpoint,
            differences,
        })
    }

    /// As JSON, under this number, and whether what was said is there, too.
    pub fn to_json(&self, number: u64, has_contents: bool) -> Map<String, Value> {
        let mut object = Map::new();
        let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
        put("id", number.into());
        put("has_contents", has_contents.into());
        put("service", self.service.as_str().into());
        put("outcome", self.outcome.word().into());
        put("at", seconds(self.captured_at));
        put("session", self.session.into());
        put("exchange", self.exchange.into());
        put("copy", self.copy.into());
        put("client", self.client.to_string().into());
        put("origin", self.origin.to_string().into());
        put("request_bytes", self.request_bytes.into());
        let texts = [("reason", &self.reason), ("endpoint", &self.endpoint)];
        for (key, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
            put(key, text.as_str().into());
        }
        if let Some(target) = self.target {
            put("target", target.to_string().into());
        }
        for (side, latency) in [("origin", self.origin_latency), ("target", self.target_latency)] {
            if let Some(latency) = latency {
                put(&format!("{side}_first_us"), (latency.first_byte / 1_000).into());
                put(&format!("{side}_last_us"), (latency.last_byte / 1_000).into());
            }
        }
        if !self.differences.is_empty() {
            put("differences", self.differences.iter().map(Difference::to_json).collect());
        }
        object
    }
}

impl Difference {
    fn to_json(&self) -> Value {
        let mut object = json!({ "field": self.field });
        if let Some(offset) = self.offset {
            object["offset"] = offset.into();
        }
        for (key, side) in [("origin", &self.origin), ("target", &self.target)] {
            if let Some(value) = side {
                object[key] = value.as_str().into();
            }
        }
        object
    }
}

impl Contents {
    /// As it is stored.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(self.request_last_at.to_le_bytes());
        push_option(&mut bytes, self.sent_at, |bytes, at| bytes.extend(at.to_le_bytes()));
        push_address(&mut bytes, self.local);
        for said in [&self.request, &self.origin, &self.target] {
            push_bytes(&mut bytes, &said.head);
            push_bytes(&mut bytes, &said.body);
            push_number(&mut bytes, said.body_bytes);
            push_bytes(&mut bytes, said.note.as_bytes());
        }
        bytes
    }

    /// From what [`Contents::encode`] made; `None` where it is not that.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut taker = Taker(bytes);
        let request_last_at = taker.array().map(u64::from_le_bytes)?;
        let sent_at = option(&mut taker, |taker| taker.array().map(u64::from_le_bytes))?;
        let local = address(&mut taker)?;
        let mut said = || {
            let (head, body) = (taker.bytes()?.to_vec(), taker.bytes()?.to_vec());
            Some(Said { head, body, body_bytes: taker.number()?, note: taker.text()? })
        };
        Some(Self { request: said()?, origin: said()?, target: said()?, request_last_at, sent_at, local })
    }

    /// As JSON.
    pub fn to_json(&self) -> Value {
        let mut object = json!({
            "request": self.request.to_json(),
            "origin": self.origin.to_json(),
            "target": self.target.to_json(),
        });
        if let Some(local) = self.local {
            object["local"] = local.to_string().into();
        }
        object
    }
}

impl Said {
    /// Head and content as text where both are, else in Base64; how is said beside them.
    fn to_json(&self) -> Value {
        let is_cut = (self.body.len() as u64) < self.body_bytes;
        let (encoding, head, body) = match (std::str::from_utf8(&self.head), text(&self.body, is_cut)) {
            (Ok(head), Some(body)) => ("utf-8", head.to_owned(), body.to_owned()),
            _ => ("base64", base64(&self.head), base64(&self.body)),
        };
        let mut object = json!({
            "encoding": encoding, "head": head, "body": body,
            "body_bytes": self.body_bytes, "body_bytes_kept": self.body.len(),
        });
        if !self.note.is_empty() {
            object["note"] = self.note.as_str().into();
        }
        object
    }
}

/// Bytes as text, but for a character that the end of what was kept cut in two.
fn text(bytes: &[u8], is_cut: bool) -> Option<&str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(fault) if is_cut && fault.error_len().is_none() => std::str::from_utf8(&bytes[..fault.valid_up_to()]).ok(),
        Err(_) => None,
    }
}

/// Base64 (RFC 4648, section 4).
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let letter = ALPHABET[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= group.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

/// Seconds since the Unix epoch, to the microsecond, which is what a number of JSON can hold.
fn seconds(nanoseconds: u64) -> Value {
    json!((nanoseconds / 1_000) as f64 / 1e6)
}

fn push_option<T>(bytes: &mut Vec<u8>, value: Option<T>, push: impl FnOnce(&mut Vec<u8>, &T)) {
    bytes.push(u8::from(value.is_some()));
    if let Some(value) = &value {
        push(bytes, value);
    }
}

fn option<'a, T>(taker: &mut Taker<'a>, take: impl FnOnce(&mut Taker<'a>) -> Option<T>) -> Option<Option<T>> {
    match taker.byte()? {
        0 => Some(None),
        _ => take(taker).map(Some),
    }
}

fn push_latency(bytes: &mut Vec<u8>, latency: Option<Latency>) {
    push_option(bytes, latency, |bytes, latency| {
        push_number(bytes, latency.first_byte);
        push_number(bytes, latency.last_byte);
    });
}

fn latency(taker: &mut Taker<'_>) -> Option<Option<Latency>> {
    option(taker, |taker| Some(Latency { first_byte: taker.number()?, last_byte: taker.number()? }))
}

fn difference(taker: &mut Taker<'_>) -> Option<Difference> {
    Some(Difference {
        field: taker.text()?,
        offset: option(taker, Taker::number)?,
        origin: option(taker, Taker::text)?,
        target: option(taker, Taker::text)?,
    })
}

/// The family, 0 for none, then address and port.
fn push_address(bytes: &mut Vec<u8>, address: Option<SocketAddr>) {
    match address.map(|address| address.ip()) {
        None => return bytes.push(0),
        Some(IpAddr::V4(ip)) => {
            bytes.push(4);
            bytes.extend(ip.octets());
        }
        Some(IpAddr::V6(ip)) => {
            bytes.push(6);
            bytes.extend(ip.octets());
        }
    }
    bytes.extend(address.map_or(0, |address| address.port()).to_le_bytes());
}

fn address(taker: &mut Taker<'_>) -> Option<Option<SocketAddr>> {
    let ip: IpAddr = match taker.byte()? {
        0 => return Some(None),
        4 => taker.array::<4>()?.into(),
        6 => taker.array::<16>()?.into(),
        _ => return None,
    };
    Some(Some(SocketAddr::new(ip, taker.array().map(u16::from_le_bytes)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange() -> Exchange {
        Exchange {
            service: "web".to_owned(),
            outcome: Outcome::Differ,
            reason: "status".to_owned(),
            session: 300,
            exchange: 2,
            copy: 1,
            client: "10.0.0.1:40000".parse().unwrap(),
            origin: "[2001:db8::1]:80".parse().unwrap(),
            target: Some("10.1.0.1:8080".parse().unwrap()),
            captured_at: 1_700_000_000_123_456_789,
            request_bytes: 78,
            origin_latency: Some(Latency { first_byte: 1_000_000, last_byte: 2_500_000 }),
            target_latency: None,
            endpoint: "GET /a/{}".to_owned(),
            differences: vec![
                Difference {
                    field: "status".to_owned(),
                    offset: None,
                    origin: Some("200".to_owned()),
                    target: Some("500".to_owned()),
                },
                Difference { field: "body".to_owned(), offset: Some(7), ..Difference::default() },
            ],
        }
    }

    #[test]
    fn an_exchange_comes_back() {
        let mut other = exchange();
        (other.target, other.differences) = (None, Vec::new());
        for exchange in [exchange(), other] {
            let bytes = exchange.encode();
            assert_eq!(Exchange::decode("web", 1, &bytes), Some(exchange));
            assert!((0..bytes.len()).all(|end| Exchange::decode("web", 1, &bytes[..end]).is_none()));
        }
        assert_eq!(Exchange::decode("web", 5, &exchange().encode()), None);
    }

    #[test]
    fn contents_come_back() {
        let said = |text: &str| Said { body: text.into(), body_bytes: text.len() as u64, ..Said::default() };
        let contents = Contents {
            request: said("a"),
            origin: said("b"),
            target: Said { head: b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), note: "cut".to_owned(), ..said("c") },
            request_last_at: 5,
            sent_at: Some(6),
            local: Some("10.1.0.100:1024".parse().unwrap()),
        };
        let bytes = contents.encode();
        assert_eq!(Contents::decode(&bytes), Some(contents));
        assert!((0..bytes.len()).all(|end| Contents::decode(&bytes[..end]).is_none()));
    }

    #[test]
    fn json() {
        let json = Value::from(exchange().to_json(9, false));
        assert_eq!(
            (&json["id"], &json["outcome"], &json["origin_last_us"]),
            (&json!(9), &json!("differ"), &json!(2_500))
        );
        assert_eq!(json["at"], json!(1_700_000_000.123_456));
        assert_eq!(json["differences"][0], json!({"field": "status", "origin": "200", "target": "500"}));
        assert!(json.get("target_first_us").is_none());
    }

    #[test]
    fn text_or_base64() {
        let said = |body: &[u8], body_bytes| Said { body: body.to_vec(), body_bytes, ..Said::default() }.to_json();
        assert_eq!(
            (&said("é".as_bytes(), 2)["body"], &said("é".as_bytes(), 2)["encoding"]),
            (&json!("é"), &json!("utf-8"))
        );
        assert_eq!(said(&"aé".as_bytes()[..2], 3)["body"], json!("a"));
        assert_eq!((&said(&[0xff], 1)["body"], &said(&[0xff], 1)["encoding"]), (&json!("/w=="), &json!("base64")));
        for (plain, encoded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
    }
}
