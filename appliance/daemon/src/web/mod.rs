//! The page and the REST interface, over tiny_http; no other file names it.
//!
//! One thread takes requests from tiny_http and hands them to a bounded number of workers; when all are busy, a request
//! is answered with 503 at once. tiny_http's accept loop ends at any accept error (EMFILE once, and the page would be
//! gone until a restart), so the listening socket is kept here and a new server is made on it.
//!
//! There is no login yet. So only loopback addresses are listened on, and what changes anything wants the claim token.

mod api;
mod metrics;
mod page;

use crate::clock::Clock;
use crate::desk::Desk;
use crate::fault::Fault;
use crate::plant::Plant;
use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use thiserror::Error;
use tiny_http::{Header, Method, Request, Response, Server};

/// Threads that answer requests; an answer takes a fraction of a millisecond.
const WORKERS: usize = 4;
/// Requests that wait for a worker.
const BACKLOG: usize = 64;
/// Longest body of a request: settings of thousands of services fit.
const BODY_BYTES: u64 = 1 << 20;
/// Pause before a new server is made on the listening socket.
const RESTART: Duration = Duration::from_millis(200);

/// Why the page cannot be served.
#[derive(Debug, Error)]
pub enum WebFault {
    /// No login exists yet.
    #[error(
        "--listen: {0} is reachable from other machines and there is no login yet; use a loopback address, as in 127.0.0.1:8080, and reach it through `ssh -L`"
    )]
    NotLoopback(SocketAddr),
    /// Somebody else listens there.
    #[error("--listen: {0} is in use by another program; end that one or name another port")]
    InUse(SocketAddr),
    /// The address cannot be listened on.
    #[error("--listen: {address} cannot be listened on: {source}; name another address or port")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's words.
        source: std::io::Error,
    },
}

impl WebFault {
    /// Whether the command line is to blame.
    pub fn is_bad_usage(&self) -> bool {
        matches!(self, Self::NotLoopback(_))
    }
}

/// What the workers share.
struct State {
    plant: Arc<Plant>,
    desk: Arc<Desk>,
    clock: Clock,
    /// Held while somebody looks at the mirror: one at a time, for it takes a worker and a ring of its own.
    looking: Mutex<()>,
}

/// Takes the address.
///
/// # Errors
/// It may not, or cannot, be listened on.
pub fn listen(address: SocketAddr) -> Result<TcpListener, WebFault> {
    if !address.ip().is_loopback() {
        return Err(WebFault::NotLoopback(address));
    }
    TcpListener::bind(address).map_err(|source| match source.kind() {
        ErrorKind::AddrInUse => WebFault::InUse(address),
        _ => WebFault::Listen { address, source },
    })
}

/// Serves the page from now on, until the process ends.
///
/// # Errors
/// No thread is to be had.
pub fn start(listener: TcpListener, plant: Arc<Plant>, desk: Arc<Desk>, clock: Clock) -> Result<(), Fault> {
    let state = Arc::new(State { plant, desk, clock, looking: Mutex::new(()) });
    let (requests, inbox) = sync_channel(BACKLOG);
    let inbox = Arc::new(Mutex::new(inbox));
    let no_thread = |source| Fault::system("start a thread", source);
    for number in 0..WORKERS {
        let (state, inbox) = (state.clone(), inbox.clone());
        let worker = std::thread::Builder::new().name(format!("web-{number}"));
        worker.spawn(move || work(&state, &inbox)).map_err(no_thread)?;
    }
    let accept = std::thread::Builder::new().name("web".to_owned());
    accept.spawn(move || accept_for_ever(&listener, &requests)).map_err(no_thread)?;
    Ok(())
}

fn accept_for_ever(listener: &TcpListener, requests: &SyncSender<Request>) {
    loop {
        let server = listener.try_clone().map_err(Into::into).and_then(|own| Server::from_listener(own, None));
        let fault = match server {
            Ok(server) => accept(&server, requests),
            Err(fault) => fault.to_string(),
        };
        log::warn!("the page's server ended ({fault}) and is started again");
        std::thread::sleep(RESTART);
    }
}

/// Hands over requests until the server ends; the reason.
fn accept(server: &Server, requests: &SyncSender<Request>) -> String {
    loop {
        let request = match server.recv() {
            Ok(request) => request,
            Err(fault) => return fault.to_string(),
        };
        if let Err(TrySendError::Full(request) | TrySendError::Disconnected(request)) = requests.try_send(request) {
            respond(request, api::error(503, "busy", "too many requests at once; try again"));
        }
    }
}

fn work(state: &State, inbox: &Mutex<Receiver<Request>>) {
    loop {
        let request = inbox.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(mut request) = request else { return };
        let answer = answer(state, &mut request);
        respond(request, answer);
    }
}

/// An answer, before it becomes one of tiny_http's.
pub(crate) struct Answer {
    status: u16,
    content_type: &'static str,
    body: String,
    /// Methods that the path knows, for an answer 405.
    allow: Option<&'static str>,
}

impl Answer {
    fn new(status: u16, content_type: &'static str, body: impl Into<String>) -> Self {
        Self { status, content_type, body: body.into(), allow: None }
    }
}

fn answer(state: &State, request: &mut Request) -> Answer {
    let path = request.url().split(['?', '#']).next().unwrap_or_default().to_owned();
    let method = request.method().clone();
    if path == "/api/v1/settings" {
        return settings(state, request, &method);
    }
    if path == "/api/v1/doctor" {
        return if matches!(method, Method::Get) { api::doctor(state, request.url()) } else { not_allowed("GET") };
    }
    let found = page::file(&path).or_else(|| api::resource(state, &path)).or_else(|| metrics::resource(state, &path));
    match found {
        None => api::error(404, "not_found", &format!("there is nothing at {path}; the page is at /")),
        Some(_) if !matches!(method, Method::Get | Method::Head) => not_allowed("GET, HEAD"),
        Some(answer) => answer,
    }
}

/// Nothing is read of a body before its sender is known, so that strangers cannot hold a worker.
fn settings(state: &State, request: &mut Request, method: &Method) -> Answer {
    if !matches!(method, Method::Get | Method::Head | Method::Put) {
        return not_allowed("GET, HEAD, PUT");
    }
    let token = header(request, "Authorization").and_then(|value| value.strip_prefix("Bearer ").map(str::to_owned));
    if !token.is_some_and(|token| state.desk.admits(token.trim())) {
        let message = "the settings want the header `Authorization: Bearer TOKEN`; TOKEN is in DATA/claim-token";
        return api::error(401, "unauthorized", message);
    }
    if !matches!(method, Method::Put) {
        return api::settings(state);
    }
    let format = header(request, "Content-Type").and_then(|value| api::format_of(&value));
    let Some(format) = format else {
        return api::error(415, "unsupported_media_type", "send settings as application/json or application/toml");
    };
    let mut body = String::new();
    // One byte beyond the limit tells a body that is too long.
    let read = request.as_reader().take(BODY_BYTES + 1).read_to_string(&mut body);
    match read {
        Ok(length) if length as u64 > BODY_BYTES => api::error(413, "too_long", "settings are 1 MiB at most"),
        Ok(_) => api::change(state, &body, format),
        Err(_) => api::error(400, "bad_body", "the body did not arrive whole, or is no UTF-8; send it again"),
    }
}

fn not_allowed(allow: &'static str) -> Answer {
    let message = format!("this path takes {allow}; use one of these methods");
    Answer { allow: Some(allow), ..api::error(405, "method_not_allowed", &message) }
}

fn header(request: &Request, name: &'static str) -> Option<String> {
    let found = request.headers().iter().find(|header| header.field.equiv(name));
    found.map(|header| header.value.as_str().to_owned())
}

fn respond(request: Request, answer: Answer) {
    let mut headers = vec![
        ("Content-Type", answer.content_type),
        // Nothing but our own files, and nobody may frame them: what is shown comes from strangers' traffic.
        (
            "Content-Security-Policy",
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("Cache-Control", "no-store"),
    ];
    headers.extend(answer.allow.map(|allow| ("Allow", allow)));
    let headers = headers.into_iter().filter_map(|(name, value)| Header::from_bytes(name, value).ok());
    let response = headers.fold(Response::from_string(answer.body), Response::with_header);
    // A client that has gone away is no fault.
    let _ = request.respond(response.with_status_code(answer.status));
}

#[cfg(test)]
mod tests;
