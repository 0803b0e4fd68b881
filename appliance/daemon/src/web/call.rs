//! A request and its answer, whoever brought the one and takes the other.

use crate::accounts::Identity;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How a body of JSON is named.
pub(crate) const JSON: &str = "application/json";

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    /// One that no path takes.
    Other,
}

impl Method {
    /// The method of this name.
    pub fn named(name: &str) -> Self {
        let all = [Self::Get, Self::Head, Self::Post, Self::Put, Self::Patch, Self::Delete];
        all.into_iter().find(|method| method.name() == name).unwrap_or(Self::Other)
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Other => "another method",
        }
    }

    /// Whether it changes nothing (RFC 9110, section 9.2.1).
    pub const fn is_safe(self) -> bool {
        matches!(self, Self::Get | Self::Head)
    }
}

/// A request.
pub(crate) struct Call {
    /// What is asked for.
    pub method: Method,
    /// Of what; decoded.
    pub path: String,
    /// The rest of the URL; decoded.
    pub query: Vec<(String, String)>,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// All of it, once the sender may send it.
    pub body: Vec<u8>,
    /// Who sends it.
    pub peer: Option<IpAddr>,
    /// Whether it came through TLS.
    pub is_tls: bool,
    /// Whom the sender is known as.
    pub identity: Option<Identity>,
    /// What stands in the place of the path's variables.
    pub variables: Vec<String>,
}

impl Call {
    /// The value of a header that is there once.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(known, _)| known == name);
        let first = found.next()?;
        if found.next().is_some() { None } else { Some(&first.1) }
    }

    /// The value of a word of the query.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A word of the query as a number within bounds.
    pub fn number(
        &self,
        name: &'static str,
        default: u64,
        bounds: std::ops::RangeInclusive<u64>,
    ) -> Result<u64, Answer> {
        let Some(text) = self.query(name) else { return Ok(default) };
        let number = text.parse().ok().filter(|number| bounds.contains(number));
        let message = format!("{name} is a number from {} to {}", bounds.start(), bounds.end());
        number.ok_or_else(|| invalid(400, name, &message))
    }

    /// The first variable of the path.
    pub fn variable(&self) -> &str {
        self.variables.first().map_or("", String::as_str)
    }

    /// The body as an object of JSON of this form. serde would take an array for one, too, field by field.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Answer> {
        let object = serde_json::from_slice::<Map<String, Value>>(&self.body);
        object.and_then(|object| serde_json::from_value(Value::Object(object))).map_err(|fault| {
            let message = format!("the body is not as wanted: {fault}; openapi.yaml describes it");
            error(422, "invalid", &message)
        })
    }

    /// Whom the log names.
    pub fn who(&self) -> &str {
        self.identity.as_ref().map_or("", |identity| &identity.name)
    }
}

/// What is sent back after the head.
pub(crate) enum Body {
    Bytes(Vec<u8>),
    /// A file, how much of it, and the right to be one of few.
    File(File, u64, Turn),
    /// What is made while it is sent, likewise; a fault cuts it, and the reader sees that it is not whole.
    Stream(Box<dyn Read + Send>, Turn),
}

/// How many may do something at once.
#[derive(Clone)]
pub(crate) struct Turns(Arc<AtomicUsize>);

/// The right to be one of them, until it is dropped.
pub(crate) struct Turn(Arc<AtomicUsize>);

impl Turns {
    /// So many.
    pub fn new(most: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(most)))
    }

    /// A turn, if one is left.
    pub fn take(&self) -> Option<Turn> {
        let taken = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1));
        taken.ok().map(|_| Turn(self.0.clone()))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

/// An answer.
pub(crate) struct Answer {
    pub status: u16,
    pub content_type: &'static str,
    pub body: Body,
    /// Beyond those that every answer has.
    pub headers: Vec<(&'static str, String)>,
}

impl Answer {
    /// An answer with a body.
    pub fn new(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self::of(status, content_type, Body::Bytes(body.into()))
    }

    /// An answer with a body of any kind.
    pub fn of(status: u16, content_type: &'static str, body: Body) -> Self {
        Self { status, content_type, body, headers: Vec::new() }
    }

    /// An answer of JSON.
    pub fn json(status: u16, value: &impl Serialize) -> Self {
        Self::new(status, JSON, serde_json::to_vec(value).expect("answers have only string keys"))
    }

    /// The body, where it is in memory.
    pub fn bytes(&self) -> &[u8] {
        if let Body::Bytes(bytes) = &self.body { bytes } else { &[] }
    }

    /// The body as JSON, where it is that.
    pub fn value(&self) -> Value {
        serde_json::from_slice(self.bytes()).unwrap_or_default()
    }

    /// Nothing more to say.
    pub fn done() -> Self {
        Self::new(204, JSON, "")
    }

    /// The same with a further header.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The same as a file that is saved under a name.
    pub fn saved_as(self, name: &str) -> Self {
        self.with("Content-Disposition", format!("attachment; filename=\"{name}\""))
    }
}

/// An answer that is a fault.
pub(crate) fn error(status: u16, code: &str, message: &str) -> Answer {
    Answer::json(status, &json!({ "error": { "code": code, "message": message } }))
}

/// A fault of one field.
pub(crate) fn invalid(status: u16, field: &str, message: &str) -> Answer {
    Answer::json(status, &json!({ "error": { "code": "invalid", "field": field, "message": message } }))
}

/// There is nothing there.
pub(crate) fn not_found(what: &str) -> Answer {
    error(404, "not_found", &format!("there is no {what}"))
}

/// Captures and exports take a worker each, for as long as their readers want.
pub(crate) fn too_many_downloads() -> Answer {
    error(503, "busy", "two downloads are under way already; try again when one is done")
}

/// An optional value as a key that is left out without it.
pub(crate) fn put(object: &mut Value, key: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        object[key] = value.into();
    }
}

/// A URL's path and query, decoded (RFC 3986, section 2.1; `+` in a query is a space).
pub(crate) fn parse_url(url: &str) -> (String, Vec<(String, String)>) {
    let url = url.split('#').next().unwrap_or_default();
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let words = query.split('&').filter(|word| !word.is_empty()).map(|word| {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        (decode(&name.replace('+', " ")), decode(&value.replace('+', " ")))
    });
    (path.to_owned(), words.collect())
}

/// Percent-decoding; what is no UTF-8 or no code stays as it can be shown.
pub(crate) fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let code = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        match code.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|_| first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let (path, query) = parse_url("/a%2Fb?x=1&y=a+b%20c&z&=&%zz=%e4#f");
        assert_eq!((path.as_str(), decode(&path).as_str()), ("/a%2Fb", "/a/b"));
        let expected = [("x", "1"), ("y", "a b c"), ("z", ""), ("", ""), ("%zz", "\u{fffd}")];
        assert_eq!(query, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
