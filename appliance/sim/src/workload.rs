//! Drawing what the clients do.

use crate::alteration;
use crate::fault::TargetFaults;
use crate::message::{self, Framing};
use crate::plan::{AnswerPlan, BEGIN, INTERIM, Kind, Plan, RequestPlan, SessionPlan, Start, Step, mark};
use crate::rare::Rare;
use crate::seed::Rng;
use crate::topology;
use core::net::SocketAddr;
use core::time::Duration;
use tapcopy_engine::Time;
use tapcopy_engine::config::Protocol;

/// Draws the plan of a run. Answers are altered in the share that `target` says.
pub fn draw(target: &TargetFaults, rng: &mut Rng) -> Plan {
    let mut plan = Plan { topology: topology::draw(&mut rng.fork()), ..Plan::default() };
    for _ in 0..rng.size(1, 14) {
        add_session(&mut plan, target, &mut rng.fork());
    }
    plan
}

/// Adds the sessions that belong to a rare kind of run.
pub fn draw_rare(plan: &mut Plan, rare: Rare, target: &TargetFaults, rng: &mut Rng) {
    let is_http = |origin: &usize| plan.topology.services[plan.topology.origins[*origin].service].kind == Kind::Http;
    let origins: Vec<usize> = (0..plan.topology.origins.len()).filter(is_http).collect();
    if origins.is_empty() || matches!(rare, Rare::DeadTargets | Rare::LossyOneWay | Rare::LongBodies) {
        return;
    }
    if rare == Rare::ReturningClients {
        topology::preserve(&mut plan.topology, rng);
    }
    let returns = matches!(rare, Rare::ReturningClients | Rare::LateCopies);
    for number in 0..rng.size(if returns { 2 } else { 1 }, 3) {
        let machine = rng.size(0, plan.topology.clients.len() - 1);
        let mut session = session(plan, machine, rng.pick(&origins), rng);
        if returns && number > 0 {
            let pauses = if rare == Rare::LateCopies { (1_000, 900_000) } else { (31_000_000, 59_000_000) };
            return_to(plan, &mut session, rng.micros(pauses.0, pauses.1));
        }
        let script = Script::new(plan, session, target, rng);
        match rare {
            Rare::Tunnels => script.draw_tunnel(),
            Rare::LongIdle => script.draw_long_idle(),
            Rare::LossySeries | Rare::PickedUp | Rare::Switched => script.draw_series(),
            Rare::HastyClients => script.draw_hasty(),
            Rare::Laggards => script.draw_late(),
            Rare::CutOrigins => script.draw_cut(),
            Rare::LateCopies | Rare::ReturningClients | Rare::FastOpen => script.draw_short(),
            Rare::PausedPipelines => script.draw_pipelines((2_000, 20_000)),
            _ => script.draw_pipelines((100, 3_000)),
        }
    }
}

fn add_session(plan: &mut Plan, target: &TargetFaults, rng: &mut Rng) {
    let machine = rng.size(0, plan.topology.clients.len() - 1);
    let origin = rng.size(0, plan.topology.origins.len() - 1);
    let mut session = session(plan, machine, origin, rng);
    session.receive_buffer = rng.pick(&[16 << 10, 16 << 10, 64 << 10, 2_048]);
    session.reads = rng.maybe(8, |rng| (rng.size(200, 3_000), rng.micros(100, 20_000)));
    reuse_address(plan, &mut session, rng);
    let later = rng.maybe(50, |rng| rng.micros(100, 60_000)).unwrap_or_default();
    Script { later, ..Script::new(plan, session, target, rng) }.draw();
}

/// A session without a step, which begins soon.
fn session(plan: &Plan, machine: usize, origin: usize, rng: &mut Rng) -> SessionPlan {
    SessionPlan {
        client: SocketAddr::new(plan.topology.clients[machine], 30_000 + plan.sessions.len() as u16),
        machine,
        origin,
        service: plan.topology.origins[origin].service,
        start: Start::At(Time::from_micros(rng.below(2_000_000)) + BEGIN),
        steps: Vec::new(),
        requests: plan.requests.len()..plan.requests.len(),
        receive_buffer: 16 << 10,
        reads: None,
        overlapping: false,
    }
}

/// Now and then a session takes the addresses and ports of one that is over.
fn reuse_address(plan: &Plan, session: &mut SessionPlan, rng: &mut Rng) {
    let Some(model) = plan.sessions.last().filter(|_| rng.percent(10)) else { return };
    if matches!(model.steps.last(), Some(Step::Close | Step::Reset | Step::AwaitClose)) {
        return_to(plan, session, rng.micros(100, 500_000));
    }
}

/// A session takes those of the last one, so long after its end.
fn return_to(plan: &Plan, session: &mut SessionPlan, pause: Duration) {
    let Some((model, earlier)) = plan.sessions.last().zip(plan.sessions.len().checked_sub(1)) else { return };
    (session.client, session.machine) = (model.client, model.machine);
    (session.origin, session.service) = (model.origin, model.service);
    session.start = Start::After(earlier, pause);
}

/// How a session ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    ClientCloses,
    ServerCloses,
    HalfClose,
    ResetAfter,
    ResetWithin,
    Abandoned,
}

/// A session in the making.
struct Script<'a> {
    plan: &'a mut Plan,
    session: SessionPlan,
    target: &'a TargetFaults,
    rng: &'a mut Rng,
    /// Bytes that the server will have said so far.
    said: usize,
    /// How much slower the server under test is in this session.
    later: Duration,
    /// Methods of its requests.
    methods: &'static [&'static str],
    /// Answers without content, of a hundred.
    empties: u64,
    /// Answers that come before the end of their request, of a hundred requests with content.
    earlies: u64,
    /// The most microseconds between two parts of a request.
    tear: u64,
}

/// Methods of requests, each as often as it is drawn.
const METHODS: &[&str] = &["GET", "GET", "GET", "POST", "POST", "HEAD", "PUT", "DELETE"];

/// A silence that outlasts every time limit but that on idle sessions.
pub const HOUR: Duration = Duration::from_secs(3_600);

impl<'a> Script<'a> {
    fn new(plan: &'a mut Plan, session: SessionPlan, target: &'a TargetFaults, rng: &'a mut Rng) -> Self {
        let later = Duration::ZERO;
        Self { plan, session, target, rng, said: 0, later, methods: METHODS, empties: 8, earlies: 6, tear: 30_000 }
    }

    /// Pipelines whose requests come in a segment each, so many microseconds apart, with answers many of which are alike.
    fn draw_pipelines(mut self, pauses: (u64, u64)) {
        (self.methods, self.empties) = (&["GET"], 50);
        let count = self.rng.size(5, 12);
        for index in 0..count {
            let waits = index == 0 || self.rng.percent(15);
            if !waits {
                let pause = self.rng.micros(pauses.0, pauses.1);
                self.session.steps.push(Step::Pause(pause));
            }
            self.add_exchange(Kind::Http, waits, (index + 1 == count).then_some(Ending::ClientCloses));
        }
        self.finish(Ending::ClientCloses);
    }

    /// HTTP, then what both sides agreed on to say instead, in turns.
    fn draw_tunnel(mut self) {
        for _ in 0..self.rng.size(0, 2) {
            self.add_exchange(Kind::Http, true, None);
        }
        let think = self.await_turn(true);
        let request = if self.rng.percent(50) { self.upgrade() } else { self.connect() };
        self.add_request(request, true, think);
        let (count, ending) = (self.rng.size(1, 5), self.ending());
        for index in 1..=count {
            self.add_exchange(Kind::Raw, true, (index == count).then_some(ending));
        }
        self.finish(ending);
    }

    fn draw_series(mut self) {
        self.earlies = 50;
        let count = self.rng.size(10, 20);
        for index in 0..count {
            self.add_exchange(Kind::Http, true, (index + 1 == count).then_some(Ending::ClientCloses));
        }
        self.finish(Ending::ClientCloses);
    }

    /// The server under test falls far behind.
    fn draw_late(mut self) {
        (self.later, self.earlies, self.tear) = (self.rng.micros(300_000, 1_500_000), 40, 3_000_000);
        self.draw_short();
    }

    fn draw_short(mut self) {
        let count = self.rng.size(2, 7);
        for index in 0..count {
            self.add_exchange(Kind::Http, true, (index + 1 == count).then_some(Ending::ClientCloses));
        }
        self.finish(Ending::ClientCloses);
    }

    /// The last answer is broken off by the origin.
    fn draw_cut(mut self) {
        self.earlies = 0;
        for _ in 0..self.rng.size(0, 3) {
            self.add_exchange(Kind::Http, true, None);
        }
        let think = self.await_turn(true);
        let (mut request, framing, has_content) = self.http(Some(Ending::ServerCloses), true);
        if has_content && framing != Framing::Close {
            request.answer.cut = Some(self.rng.size(1, request.answer.bytes.len() - 1));
        }
        self.add_request(request, true, think);
        self.finish(Ending::ServerCloses);
    }

    /// The last request is long, and the client does not wait for what becomes of it.
    fn draw_hasty(mut self) {
        for _ in 0..self.rng.size(0, 3) {
            self.add_exchange(Kind::Http, true, None);
        }
        (self.methods, self.earlies) = (&["POST"], 0);
        let linger = self.rng.micros(5_000, 30_000);
        self.add_exchange(Kind::Http, true, None);
        self.plan.requests.last_mut().expect("one was added").settled = false;
        self.session.steps.extend([Step::Pause(linger), Step::Reset]);
        self.plan.sessions.push(self.session);
    }

    fn draw_long_idle(mut self) {
        let count = self.rng.size(2, 4);
        let idle_at = self.rng.size(1, count - 1);
        for index in 0..count {
            if index == idle_at {
                self.session.steps.push(Step::Pause(HOUR));
            }
            self.add_exchange(Kind::Http, true, (index + 1 == count).then_some(Ending::ClientCloses));
        }
        self.finish(Ending::ClientCloses);
    }

    fn draw(mut self) {
        let service = &self.plan.topology.services[self.session.service];
        let (kind, greeting) = (service.kind, service.greeting.len());
        let ending = self.ending();
        self.said = greeting;
        if greeting > 0 {
            self.session.steps.push(Step::Await(greeting));
        }
        self.session.overlapping = kind == Kind::Raw && self.rng.percent(8);
        let count = if self.rng.percent(30) { 1 } else { self.rng.size(2, 8) };
        let pipelined = kind == Kind::Http && self.rng.percent(15);
        for index in 0..count {
            let waits = index == 0 || !(self.session.overlapping || pipelined && self.rng.percent(70));
            let last = index + 1 == count;
            self.add_exchange(kind, waits, last.then_some(ending));
        }
        self.finish(ending);
    }

    fn finish(mut self, ending: Ending) {
        self.end(ending);
        self.plan.sessions.push(self.session);
    }

    fn ending(&mut self) -> Ending {
        match self.rng.below(100) {
            0..50 => Ending::ClientCloses,
            50..70 => Ending::ServerCloses,
            70..78 => Ending::HalfClose,
            78..85 => Ending::ResetAfter,
            85..90 => Ending::ResetWithin,
            _ => Ending::Abandoned,
        }
    }

    /// One request and its answer; `ending` is said of the last.
    fn add_exchange(&mut self, kind: Kind, waits: bool, ending: Option<Ending>) {
        let think = self.await_turn(waits);
        let (mut request, framing, has_content) = match kind {
            Kind::Http => self.http(ending, waits),
            Kind::Raw => self.raw(ending),
        };
        if self.rng.percent(self.target.alters) {
            request.alteration = Some(match kind {
                Kind::Http => alteration::http(&request.answer, framing, has_content, self.rng),
                Kind::Raw => alteration::raw(&request.answer, self.rng),
            });
        }
        self.add_request(request, waits, think);
    }

    /// The steps before a request; how long the client thinks.
    fn await_turn(&mut self, waits: bool) -> Duration {
        let think = if waits { self.think() } else { Duration::ZERO };
        if waits {
            self.session.steps.extend([Step::Await(self.said), Step::Pause(think)]);
        } else if self.session.overlapping {
            let pause = self.rng.micros(0, 2_000);
            self.session.steps.push(Step::Pause(pause));
        }
        think
    }

    fn add_request(&mut self, mut request: RequestPlan, waits: bool, think: Duration) {
        (request.waits, request.think) = (waits, think);
        request.answer.later = self.later;
        self.write(&request, waits);
        self.said += request.answer.said().len();
        self.plan.requests.push(request);
        self.session.requests.end += 1;
    }

    fn think(&mut self) -> Duration {
        match self.rng.below(10) {
            0..5 => Duration::ZERO,
            5..8 => self.rng.micros(1, 50_000),
            8 => self.rng.micros(50_000, 400_000),
            _ => self.rng.micros(400_000, 3_000_000),
        }
    }

    /// The steps that write a request: at once, or in pieces.
    fn write(&mut self, request: &RequestPlan, waits: bool) {
        let (id, len) = (self.plan.requests.len(), request.bytes.len());
        if let Some(head) = request.interim_after {
            self.said += INTERIM.len();
            let said = self.said;
            self.session.steps.extend([Step::Write(id, 0..head), Step::Await(said), Step::Write(id, head..len)]);
            return;
        }
        // A turn without framer that is written in pieces could be answered by the bytes, not by the turn's end; here the
        // server knows the end, so only the time between the pieces is at stake.
        let early = request.answer.after < len;
        if early || (waits && len > 1 && self.rng.percent(12)) {
            let cut = if early { request.answer.after } else { self.rng.size(1, len - 1) };
            let pause = self.rng.micros(0, self.tear);
            self.session.steps.extend([Step::Write(id, 0..cut), Step::Pause(pause), Step::Write(id, cut..len)]);
        } else {
            self.session.steps.push(Step::Write(id, 0..len));
        }
    }

    fn end(&mut self, ending: Ending) {
        let said = self.said;
        let linger = self.rng.micros(0, 20_000);
        let reset_at = self.rng.size(0, 1) * said;
        match ending {
            Ending::ClientCloses => {
                self.session.steps.extend([Step::Await(said), Step::Pause(linger), Step::Close, Step::AwaitClose]);
            }
            Ending::ServerCloses => {
                self.session.steps.extend([Step::Await(said), Step::AwaitClose, Step::Pause(linger), Step::Close]);
            }
            Ending::HalfClose => self.session.steps.extend([Step::Close, Step::Await(said), Step::AwaitClose]),
            Ending::ResetAfter => self.session.steps.extend([Step::Await(said), Step::Pause(linger), Step::Reset]),
            Ending::ResetWithin => {
                // What was written since the client last waited for an answer may go unanswered.
                let own = &mut self.plan.requests[self.session.requests.clone()];
                let waited = own.iter().rposition(|request| request.waits).unwrap_or_default();
                own[waited..].iter_mut().for_each(|request| request.settled = false);
                self.session.steps.extend([Step::Await(reset_at.min(1)), Step::Pause(linger), Step::Reset]);
            }
            Ending::Abandoned => self.session.steps.push(Step::Await(said)),
        }
    }

    fn size(&mut self) -> usize {
        match self.rng.below(200) {
            0..120 => self.rng.size(0, 300),
            120..180 => self.rng.size(300, 5_000),
            180..199 => self.rng.size(5_000, 40_000),
            _ => self.rng.size(40_000, 300_000),
        }
    }

    fn delay(&mut self) -> Duration {
        if self.rng.percent(90) { self.rng.micros(0, 20_000) } else { self.rng.micros(20_000, 400_000) }
    }

    fn raw(&mut self, ending: Option<Ending>) -> (RequestPlan, Framing, bool) {
        let (id, len, answer_len) = (self.plan.requests.len(), self.size(), self.size().max(1));
        let mut bytes = [mark(id).as_bytes(), &message::body(id, len)].concat();
        // A word and a blank look like the beginning of an HTTP request line until a line ends; what the engine makes of
        // that where it has to guess the protocol is a scenario's matter.
        if self.plan.topology.services[self.session.service].protocol == Protocol::Auto {
            bytes.iter_mut().filter(|byte| **byte == b' ').for_each(|byte| *byte = b'_');
        }
        let content = message::body(id, answer_len);
        let answer = AnswerPlan {
            bytes: content.clone(),
            content,
            after: bytes.len(),
            delay: self.delay(),
            closes: ending == Some(Ending::ServerCloses),
            ..AnswerPlan::default()
        };
        let request = RequestPlan { framed: false, ..request(self.plan.sessions.len(), bytes, answer, false) };
        (request, Framing::None, true)
    }

    /// Changes the protocol (RFC 9110, section 7.8).
    fn upgrade(&mut self) -> RequestPlan {
        let fields = "Connection: Upgrade\r\nUpgrade: sim\r\n\r\n";
        let start = format!("GET /{}/item HTTP/1.1\r\nHost: origin\r\n", mark(self.plan.requests.len()));
        self.switch(start + fields, format!("HTTP/1.1 101 Switching Protocols\r\n{fields}"), true)
    }

    /// Opens a tunnel (RFC 9110, section 9.3.6).
    fn connect(&mut self) -> RequestPlan {
        let authority = format!("{}.example:443", mark(self.plan.requests.len()));
        let request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
        self.switch(request, "HTTP/1.1 200 Connection established\r\n\r\n".to_owned(), false)
    }

    fn switch(&mut self, bytes: String, answer: String, safe: bool) -> RequestPlan {
        let (after, head, delay) = (bytes.len(), answer.len(), self.delay());
        let answer = AnswerPlan { bytes: answer.into_bytes(), head, after, delay, ..AnswerPlan::default() };
        request(self.plan.sessions.len(), bytes.into_bytes(), answer, safe)
    }

    fn http(&mut self, ending: Option<Ending>, waits: bool) -> (RequestPlan, Framing, bool) {
        let id = self.plan.requests.len();
        let closes = ending == Some(Ending::ServerCloses);
        let method = self.rng.pick(self.methods);
        let has_body = matches!(method, "POST" | "PUT");
        let version = if closes && self.rng.percent(20) { "1.0" } else { "1.1" };
        let body = if has_body { message::body(id, self.size()) } else { Vec::new() };
        let chunked = has_body && version == "1.1" && self.rng.percent(25);
        let framing = if chunked {
            Framing::Chunked
        } else if has_body {
            Framing::Length
        } else {
            Framing::None
        };
        // An interim answer stands before the final answers of earlier requests only if there are none.
        let continues = waits && has_body && !body.is_empty() && version == "1.1" && self.rng.percent(10);
        let expect = if continues { "Expect: 100-continue\r\n" } else { "" };
        let connection = if closes && self.rng.percent(50) { "Connection: close\r\n" } else { "" };
        let start = format!("{method} /{}/item HTTP/{version}", mark(id));
        let fields = format!("Host: origin\r\nUser-Agent: sim\r\n{expect}{connection}");
        let (bytes, head) = message::http(&start, &fields, framing, &body, self.rng);
        let (mut answer, framing, has_content) = self.http_answer(id, method, version, closes);
        // A server may answer before it has read the whole request.
        let early = has_body && !continues && body.len() > 1 && self.rng.percent(self.earlies);
        answer.after = if early { head } else { bytes.len() };
        let mut request = request(self.plan.sessions.len(), bytes, answer, matches!(method, "GET" | "HEAD"));
        request.interim_after = continues.then_some(head);
        (request, framing, has_content)
    }

    fn http_answer(&mut self, id: usize, method: &str, version: &str, closes: bool) -> (AnswerPlan, Framing, bool) {
        let empty = method != "HEAD" && self.rng.percent(self.empties);
        let content = if empty { Vec::new() } else { message::body(id, self.size()) };
        let framing = match self.rng.below(10) {
            _ if empty || method == "HEAD" => Framing::None,
            0..2 if closes => Framing::Close,
            2..5 if version == "1.1" => Framing::Chunked,
            _ => Framing::Length,
        };
        let status = if empty { "204 No Content" } else { "200 OK" };
        let head_length =
            if method == "HEAD" { format!("Content-Length: {}\r\n", content.len()) } else { String::new() };
        let connection = if closes { "Connection: close\r\n" } else { "" };
        let fields = format!("Server: sim\r\nX-Version: 1\r\n{connection}{head_length}");
        let (bytes, head) = message::http(&format!("HTTP/1.1 {status}"), &fields, framing, &content, self.rng);
        let reframed =
            (framing == Framing::Chunked).then(|| [&bytes[..head], &message::chunks(&content, self.rng)].concat());
        let delay = self.delay();
        let has_content = framing != Framing::None;
        (AnswerPlan { bytes, head, reframed, content, delay, closes, ..AnswerPlan::default() }, framing, has_content)
    }
}

fn request(session: usize, bytes: Vec<u8>, answer: AnswerPlan, safe: bool) -> RequestPlan {
    RequestPlan {
        session,
        bytes,
        interim_after: None,
        framed: true,
        safe,
        waits: true,
        think: Duration::ZERO,
        answer,
        settled: true,
        alteration: None,
        is_denied: false,
        rewritten: None,
    }
}
