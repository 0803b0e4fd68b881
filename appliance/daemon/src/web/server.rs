//! tiny_http, and no other file names it: it takes whole requests from the front, bounded workers answer them.
//!
//! One thread takes requests from tiny_http and hands them to a bounded number of workers; when all are busy, a request
//! is answered with 503 at once. tiny_http's accept loop ends at any accept error (EMFILE once, and the page would be
//! gone until a restart), so the listening socket is kept here and a new server is made on it.

use super::State;
use super::call::{Answer, Body, Call, Method, error, parse_url};
use super::front::{Behind, PEER_HEADER, SECRET_HEADER, TLS_HEADER};
use super::router::{self, Found};
use crate::fault::Fault;
use std::io::Read;
use std::os::unix::net::UnixListener;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tiny_http::{HTTPVersion, Header, Request, Response, Server};

/// Threads that answer requests; an answer takes a fraction of a millisecond, but for looks at the mirror.
const WORKERS: usize = 6;
/// Requests that wait for a worker.
const BACKLOG: usize = 64;
/// Pause before a new server is made on the listening socket.
const RESTART: Duration = Duration::from_millis(200);

/// Answers requests from now on, until the process ends.
pub(super) fn start(listener: UnixListener, behind: Behind, state: Arc<State>) -> Result<(), Fault> {
    let (requests, inbox) = sync_channel(BACKLOG);
    let inbox = Arc::new(Mutex::new(inbox));
    let no_thread = |source| Fault::system("start a thread", source);
    for number in 0..WORKERS {
        let (state, inbox, behind) = (state.clone(), inbox.clone(), behind.clone());
        let worker = std::thread::Builder::new().name(format!("web-{number}"));
        worker.spawn(move || work(&state, &behind, &inbox)).map_err(no_thread)?;
    }
    let accept = std::thread::Builder::new().name("web".to_owned());
    accept.spawn(move || accept_for_ever(&listener, &requests)).map_err(no_thread)?;
    Ok(())
}

fn accept_for_ever(listener: &UnixListener, requests: &SyncSender<Request>) {
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
            respond(request, error(503, "busy", "too many requests at once; try again"));
        }
    }
}

fn work(state: &State, behind: &Behind, inbox: &Mutex<Receiver<Request>>) {
    loop {
        let request = inbox.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(mut request) = request else { return };
        let answer = answer(state, behind, &mut request);
        respond(request, answer);
    }
}

fn answer(state: &State, behind: &Behind, request: &mut Request) -> Answer {
    let mut call = call(request, Method::named(request.method().as_str()));
    // The socket's address is no secret on this machine.
    if !call.header(SECRET_HEADER).is_some_and(|secret| behind.admits(secret)) {
        return error(403, "forbidden", "the page is served by its own address alone");
    }
    call.peer = call.header(PEER_HEADER).and_then(|peer| peer.parse().ok());
    call.is_tls = call.header(TLS_HEADER) == Some("1");
    match router::find(state, &mut call) {
        Found::Answer(answer) => answer,
        Found::Route(route) => route.answer(state, &mut call, request.as_reader()),
    }
}

fn call(request: &Request, method: Method) -> Call {
    let (path, query) = parse_url(request.url());
    let header =
        |header: &Header| (header.field.as_str().as_str().to_ascii_lowercase(), header.value.as_str().to_owned());
    Call {
        method,
        path,
        query,
        headers: request.headers().iter().map(header).collect(),
        body: Vec::new(),
        peer: None,
        is_tls: false,
        identity: None,
        variables: Vec::new(),
    }
}

fn respond(request: Request, answer: Answer) {
    let is_readable = !matches!(answer.body, Body::Stream(..)) || *request.http_version() >= HTTPVersion(1, 1);
    let answer =
        if is_readable { answer } else { error(505, "http_version", "this is sent in chunks; ask by HTTP/1.1") };
    let mut headers = vec![
        // Nothing but our own files, and nobody may frame them: what is shown comes from strangers' traffic.
        (
            "Content-Security-Policy",
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
                .to_owned(),
        ),
        ("X-Content-Type-Options", "nosniff".to_owned()),
        ("Referrer-Policy", "no-referrer".to_owned()),
        ("Cross-Origin-Opener-Policy", "same-origin".to_owned()),
        ("Cross-Origin-Resource-Policy", "same-origin".to_owned()),
    ];
    if answer.status != 204 {
        headers.push(("Content-Type", answer.content_type.to_owned()));
    }
    if !answer.headers.iter().any(|(name, _)| *name == "Cache-Control") {
        headers.push(("Cache-Control", "no-store".to_owned()));
    }
    headers.extend(answer.headers);
    let headers: Vec<Header> =
        headers.into_iter().filter_map(|(name, value)| Header::from_bytes(name, value).ok()).collect();
    let status = answer.status.into();
    // A client that has gone away is no fault. Only where no length is known something is sent in chunks.
    let _ = match answer.body {
        Body::Bytes(body) => {
            let length = Some(body.len());
            let response = Response::new(status, headers, std::io::Cursor::new(body), length, None);
            request.respond(response.with_chunked_threshold(usize::MAX))
        }
        Body::File(file, length, _turn) => {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            // What has been written since the length was taken is left for the next time.
            let response = Response::new(status, headers, file.take(length as u64), Some(length), None);
            request.respond(response.with_chunked_threshold(usize::MAX))
        }
        Body::Stream(stream, _turn) => request.respond(Response::new(status, headers, stream, None, None)),
    };
}
