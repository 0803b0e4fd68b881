//! The page's files, embedded with their compressed forms, so that the binary is all there is.

use super::State;
use super::call::{Answer, Call};

/// A file of the page.
struct File {
    path: &'static str,
    /// Of its content.
    etag: &'static str,
    plain: &'static [u8],
    gzip: &'static [u8],
    brotli: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/page.rs"));

/// What stands at `/` of a program that was built without the page.
const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><title>TapCopy</title><h1>TapCopy</h1><p>This program was built \
    without its page. <code>make build</code> builds both. The REST interface is at /api/v1, and /api/v1/openapi.yaml \
    describes it.</p></html>";

/// The file at this path.
pub(super) fn file(call: &Call) -> Option<Answer> {
    let path = if call.path == "/" { "/index.html" } else { call.path.as_str() };
    match FILES.iter().find(|file| file.path == path) {
        Some(file) => Some(file.answer(call)),
        None if path == "/index.html" => Some(Answer::new(200, "text/html; charset=utf-8", NOT_BUILT)),
        None => None,
    }
}

impl File {
    fn answer(&self, call: &Call) -> Answer {
        let known = call.header("if-none-match").is_some_and(|tags| tags.split(',').any(|tag| tag.trim() == self.etag));
        let (encoding, body) = self.encoded(call.header("accept-encoding").unwrap_or_default());
        let answer = if known { Answer::new(304, self.kind(), "") } else { Answer::new(200, self.kind(), body) };
        let answer = if known || encoding.is_empty() { answer } else { answer.with("Content-Encoding", encoding) };
        answer.with("ETag", self.etag).with("Vary", "Accept-Encoding").with("Cache-Control", self.caching())
    }

    /// The smallest form that the browser takes.
    fn encoded(&self, accepted: &str) -> (&'static str, &'static [u8]) {
        let takes = |name: &str| accepted.split(',').any(|word| word.trim() == name);
        match () {
            () if takes("br") => ("br", self.brotli),
            () if takes("gzip") => ("gzip", self.gzip),
            () => ("", self.plain),
        }
    }

    /// Names below `assets` hold a hash of the content, so that what has such a name never changes.
    fn caching(&self) -> &'static str {
        if self.path.starts_with("/assets/") { "max-age=31536000, immutable" } else { "no-cache" }
    }

    fn kind(&self) -> &'static str {
        match self.path.rsplit('.').next().unwrap_or_default() {
            "html" => "text/html; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            "svg" => "image/svg+xml",
            _ => "application/octet-stream",
        }
    }
}

/// `GET /api/v1/docs`
pub(super) fn docs(_: &State, call: &Call) -> Answer {
    let file = FILES.iter().find(|file| file.path == "/api.html");
    file.map_or_else(|| Answer::new(200, "text/html; charset=utf-8", NOT_BUILT), |file| file.answer(call))
}

/// `GET /api/v1/openapi.yaml`
pub(super) fn openapi(_: &State, _: &Call) -> Answer {
    Answer::new(200, "application/yaml", include_str!("../../../../webui/openapi.yaml"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::call::Method;

    /// What a browser loads, in the form that it takes over plain HTTP.
    const PAGE_BYTES: usize = 150 << 10;

    fn ask(path: &str, headers: &[(&str, &str)]) -> Option<Answer> {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        file(&Call {
            method: Method::Get,
            path: path.to_owned(),
            query: Vec::new(),
            headers,
            body: Vec::new(),
            peer: None,
            is_tls: false,
            identity: None,
            variables: Vec::new(),
        })
    }

    #[test]
    fn there_is_always_something_at_the_root() {
        let answer = ask("/", &[]).unwrap();
        assert_eq!(answer.status, 200);
        assert!(String::from_utf8_lossy(answer.bytes()).contains("<title>TapCopy</title>"));
        assert!(ask("/../Cargo.toml", &[]).is_none());
    }

    #[test]
    fn what_is_known_is_not_sent_again() {
        for file in FILES {
            let answer = ask(file.path, &[("if-none-match", &format!("\"x\", {}", file.etag))]).unwrap();
            assert_eq!((answer.status, answer.bytes().len()), (304, 0));
        }
    }

    #[test]
    fn the_smallest_form_is_sent() {
        for file in FILES {
            assert_eq!(file.encoded("gzip, deflate, br"), ("br", file.brotli));
            assert_eq!(file.encoded("gzip"), ("gzip", file.gzip));
            assert_eq!(file.encoded("identity;q=1, *;q=0"), ("", file.plain));
        }
    }

    #[test]
    fn the_page_is_small() {
        let bytes: usize = FILES.iter().map(|file| file.gzip.len()).sum();
        assert!(bytes <= PAGE_BYTES, "the page has {bytes} bytes compressed");
    }
}
