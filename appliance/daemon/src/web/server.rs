//! tiny_http, and no other file names it: it takes requests, bounded workers answer them.
//!
//! One thread takes requests from tiny_http and hands them to a bounded number of workers; when all are busy, a request
//! is answered with 503 at once. tiny_http's accept loop ends at any accept error (EMFILE once, and the page would be
//! gone until a restart), so the listening socket is kept here and a new server is made on it.

use super::State;
use super::call::{Answer, Call, Method, error, parse_url};
use super::router::{self, Found};
use crate::fault::Fault;
use std::io::Read;
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tiny_http::{Header, Request, Response, Server};

/// Threads that answer requests; an answer takes a fraction of a millisecond, but for looks at the mirror.
const WORKERS: usize = 6;
/// Requests that wait for a worker.
const BACKLOG: usize = 64;
/// Longest body of a request: settings of thousands of services fit, and a backup of a hundred versions.
const BODY_BYTES: u64 = 16 << 20;
/// Pause before a new server is made on the listening socket.
const RESTART: Duration = Duration::from_millis(200);

/// Answers requests from now on, until the process ends.
pub(super) fn start(listener: TcpListener, state: Arc<State>) -> Result<(), Fault> {
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
            respond(request, error(503, "busy", "too many requests at once; try again"));
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

fn answer(state: &State, request: &mut Request) -> Answer {
    let Some(method) = Method::named(request.method().as_str()) else {
        return error(501, "not_implemented", "this method is not known here");
    };
    let mut call = call(request, method);
    match router::find(state, &mut call) {
        Found::Answer(answer) => answer,
        Found::Route(route) => match read_body(request) {
            Ok(body) => {
                call.body = body;
                route.answer(state, &call)
            }
            Err(answer) => answer,
        },
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
        peer: request.remote_addr().map(|address| address.ip()),
        is_tls: false,
        identity: None,
        variables: Vec::new(),
    }
}

fn read_body(request: &mut Request) -> Result<Vec<u8>, Answer> {
    let mut body = Vec::new();
    // One byte beyond the limit tells a body that is too long.
    match request.as_reader().take(BODY_BYTES + 1).read_to_end(&mut body) {
        Ok(length) if length as u64 > BODY_BYTES => Err(error(413, "too_long", "a body is 16 MiB at most")),
        Ok(_) => Ok(body),
        Err(_) => Err(error(400, "bad_body", "the body did not arrive whole; send it again")),
    }
}

fn respond(request: Request, answer: Answer) {
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
    let length = answer.body.len();
    let response = Response::new(answer.status.into(), headers, std::io::Cursor::new(answer.body), Some(length), None);
    // A client that has gone away is no fault. Every length is known, so that nothing is sent in chunks.
    let _ = request.respond(response.with_chunked_threshold(usize::MAX));
}
