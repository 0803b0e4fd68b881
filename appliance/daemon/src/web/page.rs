//! The page's files, embedded, so that the binary is all there is.

use super::State;
use super::call::{Answer, Call};

/// The file at this path.
pub(super) fn file(call: &Call) -> Option<Answer> {
    let (content_type, body) = match call.path.as_str() {
        "/" | "/index.html" => ("text/html; charset=utf-8", include_str!("../../../../webui/index.html")),
        "/app.css" => ("text/css; charset=utf-8", include_str!("../../../../webui/app.css")),
        "/app.js" => ("text/javascript; charset=utf-8", include_str!("../../../../webui/app.js")),
        "/icon.svg" => ("image/svg+xml", include_str!("../../../../webui/icon.svg")),
        _ => return None,
    };
    Some(Answer::new(200, content_type, body))
}

/// `GET /openapi.yaml`
pub(super) fn openapi(_: &State, _: &Call) -> Answer {
    Answer::new(200, "application/yaml", include_str!("../../../../webui/openapi.yaml"))
}
