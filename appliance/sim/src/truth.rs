//! What the applications know, and the rules that are checked the moment an application reads.

mod again;
pub mod order;
mod pace;
mod shown;

use crate::plan::{Plan, RequestPlan};
use crate::report::Violation;
use crate::span::Tag;
use core::net::IpAddr;
use core::ops::Range;
use core::time::Duration;
use order::Order;
use shown::Coverage;
use std::collections::BTreeMap;
use tapcopy_engine::Time;
use tapcopy_engine::config::{Pacing, Protocol};

/// How sharp the checks of this run are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    /// The mirror shows every byte in order, no bound is reached and no order disturbs: the engine can know all.
    pub exact: bool,
    /// Servers under test answer every request in good time.
    pub healthy: bool,
    /// And their link loses and delays nothing.
    pub clean_path: bool,
    /// Every frame that the mirror shows can be read, as far as to know where its bytes lie, and none is forged.
    pub legible: bool,
    /// And it shows all of them, in their order, to a box that has room for every session.
    pub unbroken: bool,
    /// The box has room for every session, and forgets none before its time.
    pub roomy: bool,
    /// Bytes may pass the switch out of their order, so that times of first and last bytes are not certain.
    pub disordered: bool,
    /// How far a session may fall behind before think times are shortened.
    pub lag: Duration,
    /// By how much a think time may be shortened before that, unless a quarter of it is more.
    pub haste: Duration,
    /// How much later than possible a request may reach a healthy target.
    pub prompt: Duration,
    /// The same on a connection that is open.
    pub prompt_connected: Duration,
}

/// The log of all applications.
#[derive(Debug, Default)]
pub struct Truth {
    /// How sharp the checks are.
    pub rules: Rules,
    /// Rules found broken, in the order of finding.
    pub violations: Vec<Violation>,
    /// Requests whose outcome was held against all that is known of them, at the end.
    pub judged: usize,
    /// Sessions in the order in which their first SYNs were shown, with the stamps.
    pub opened: Vec<(usize, Time)>,
    /// Of each session of the plan.
    pub sessions: Vec<SessionTruth>,
    /// Of each request of the plan.
    pub requests: Vec<RequestTruth>,
    /// Connections that targets accepted.
    pub connections: Vec<ConnectionTruth>,
    /// The target of each client of each service, where it has one.
    chosen: BTreeMap<(IpAddr, usize), usize>,
    /// Frames shown that the engine must ignore, by cause.
    pub ignored: BTreeMap<&'static str, u64>,
    /// Data segments shown twice in a row.
    pub twice: u64,
    /// Segments shown of no session of the plan, which the engine takes for one's.
    pub unknown: u64,
}

/// What became of a session in production.
#[derive(Clone, Debug, Default)]
pub struct SessionTruth {
    /// Bytes that the client has read.
    pub read: usize,
    /// Whether the connection broke by itself.
    pub broken: bool,
    /// Whether the client is done.
    pub done: bool,
    /// Whether a SYN of it was shown to the engine.
    pub shown: bool,
    /// When the first segment of it was, on the engine's clock.
    pub first_shown_at: Option<Time>,
    /// When the last segment was that can begin a session.
    heard_at: Option<Time>,
    /// Whether the SYNs of the client and of the origin were.
    pub openings: [bool; 2],
    /// Whether a SYN of a later session from the same port was: what comes behind it is nobody's.
    pub is_followed: bool,
    /// The highest request that a target has begun to read.
    pub begun: Option<usize>,
    /// The client's bytes as the mirror showed them: stamps, and places in its stream.
    pub client_frames: Vec<(Time, Range<u64>)>,
    /// The origin's bytes as the mirror showed them.
    pub origin_frames: Vec<Range<u64>>,
    /// Whether the client's first bytes were too few to tell the protocol for longer than the engine waits.
    pub opens_slowly: bool,
    /// When the first of them were shown.
    opened_at: Option<Time>,
    /// How far each side's bytes were shown without a hole: the client's, the origin's.
    coverage: [Coverage; 2],
    /// How far the other side was shown to have acknowledged them.
    acked: [u64; 2],
    /// Stamps of the last bytes of the client and of the origin.
    spoke_at: [Option<Time>; 2],
    /// What was shown last.
    last_tag: Option<Tag>,
    /// Whether a lone byte was shown, as probes are.
    probed: bool,
    /// Whether such a byte was all that was shown of its place for long, so that the engine cannot know whether it is of the stream.
    pub is_unread: bool,
    /// Where the first of them lies in the origin's stream.
    pub answers_unread_from: Option<u64>,
    /// Up to where each side was seen to have sent, by its own numbers.
    used: [u64; 2],
    /// Stamp of the last segment.
    last_at: Option<Time>,
    /// In which order its segments were shown.
    pub order: Order,
    /// Segments shown whose bytes had all been shown.
    pub shown_again: u64,
    /// SYNs and segments with bytes, shown so long after the end that the engine may have forgotten the session: a peer that missed
    /// the end sends again, or probes, and the engine must take that for a session whose beginning it did not see.
    pub late: u64,
    /// Whether the mirror showed a reset of the client's, and of the origin's.
    pub reset_by: [bool; 2],
    /// When the mirror showed the client's FIN, the origin's, and the first reset.
    ends: [Option<Time>; 3],
}

/// What became of a request.
#[derive(Clone, Debug, Default)]
pub struct RequestTruth {
    /// Where the answer lies in the origin's stream.
    pub answer: Option<Range<u64>>,
    /// Stamps of the frames shown with the request's first byte.
    pub first_shown: Vec<Time>,
    /// How many of them came so late that they may begin a session of their own.
    pub shown_late: usize,
    /// When the mirror showed the first byte first, on the engine's clock.
    pub shown_at: Option<Time>,
    /// How long the client was silent before it, where the origin said nothing meanwhile.
    pub pause: Option<Duration>,
    /// Stamp of the first frame with the last byte.
    pub last_shown: Option<Time>,
    /// Stamps of the first frames with the answer's first and last byte, as shown.
    pub answer_shown: (Option<Time>, Option<Time>),
    /// Whether the mirror showed every byte up to its first.
    pub begun: bool,
    /// When the mirror had shown every byte up to its end, on the engine's clock.
    pub whole_at: Option<Time>,
    /// When the mirror had shown every byte up to the answer's first, on the engine's clock.
    pub answer_begun_at: Option<Time>,
    /// When targets' applications read it.
    pub reads: Vec<Read>,
}

/// A request read by a target's application.
#[derive(Clone, Debug)]
pub struct Read {
    /// On which connection.
    pub connection: usize,
    /// When its first byte was read.
    pub began_at: Time,
    /// When its last byte was read.
    pub whole_at: Option<Time>,
    /// Bytes of its answer written.
    pub answer_bytes: usize,
    /// When the last byte of its answer was written.
    pub answered_at: Option<Time>,
}

/// A connection that a target accepted.
#[derive(Clone, Debug)]
pub struct ConnectionTruth {
    /// Index of the target.
    pub target: usize,
    /// The session that is replayed on it, once a request was read.
    pub session: Option<usize>,
    /// Whether the target ended it before the box.
    pub closed_by_target: bool,
    /// Whether it did so by a reset, with which bytes written before may be lost.
    pub reset_by_target: bool,
    /// How the box left it, if it did so before the target.
    pub left: Option<Left>,
    /// When its application first learned of that.
    pub left_at: Option<Time>,
}

/// How the box leaves a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// By a FIN behind its last byte.
    Closed,
    /// By a reset.
    Reset,
}

/// Whether two sessions are of the same client, port and origin.
fn are_of_one_port(plan: &Plan, one: usize, other: usize) -> bool {
    let ends = |session: usize| (plan.sessions[session].client, plan.sessions[session].origin);
    ends(one) == ends(other)
}

impl Truth {
    /// Of a plan of which nothing has happened.
    pub fn new(plan: &Plan, rules: Rules) -> Self {
        Self {
            rules,
            sessions: vec![SessionTruth::default(); plan.sessions.len()],
            requests: vec![RequestTruth::default(); plan.requests.len()],
            ..Self::default()
        }
    }

    /// Notes that a rule is broken.
    pub fn violate(&mut self, rule: &'static str, details: String) {
        self.violations.push(Violation { rule, details });
    }

    /// A target's application reads the first bytes of a request.
    pub fn begin(&mut self, plan: &Plan, connection: usize, request: usize, now: Time) {
        let session = plan.requests[request].session;
        self.check_connection(plan, connection, request, session);
        self.check_service(plan, connection, request);
        if plan.replays(session) > 1 {
            self.check_copies(plan, connection, request);
        } else {
            self.check_way(plan, connection, request);
            // What a target reads after it has closed was on its way before the box knew; what follows goes elsewhere.
            if !self.connections[connection].closed_by_target {
                self.check_order(plan, request, session);
            }
            self.check_retry(plan, connection, request);
        }
        let turns = plan.pacing(request) == Pacing::Turns && plan.requests[request].waits;
        if turns && self.rules.exact && self.is_turn_certain(plan, request) {
            self.check_turn(plan, connection, request, now);
        }
        if self.rules.exact && self.rules.healthy && self.rules.clean_path {
            self.check_prompt(plan, connection, request, now);
            self.check_pause(plan, connection, request, now);
        }
        self.connections[connection].session = Some(session);
        self.sessions[session].begun = self.sessions[session].begun.max(Some(request));
        self.requests[request].reads.push(Read {
            connection,
            began_at: now,
            whole_at: None,
            answer_bytes: 0,
            answered_at: None,
        });
    }

    /// The entry of a request that is being read on a connection.
    pub fn read(&mut self, connection: usize, request: usize) -> Option<&mut Read> {
        self.requests[request].reads.iter_mut().rev().find(|read| read.connection == connection)
    }

    fn check_connection(&mut self, plan: &Plan, connection: usize, request: usize, session: usize) {
        let other = self.connections[connection].session.filter(|other| *other != session);
        if let Some(other) = other.filter(|other| !self.looks_like(plan, session, *other)) {
            let details =
                format!("connection {connection} carries request {request} of session {session} after session {other}");
            self.violate("a connection to a target carries one session", details);
        }
        if self.requests[request].shown_at.is_none() {
            let details = format!("request {request} reached a target before the mirror showed it");
            self.violate("what is replayed was seen", details);
        }
    }

    /// Whether nothing tells a session from an earlier one of the same client, port and origin: the mirror has shown no SYN of it.
    fn looks_like(&self, plan: &Plan, session: usize, earlier: usize) -> bool {
        are_of_one_port(plan, session, earlier) && self.sessions[session].openings == [false; 2]
    }

    fn check_order(&mut self, plan: &Plan, request: usize, session: usize) {
        let begun = self.sessions[session].begun;
        // A request that is sent again may belong to a pipeline; whether it may be sent again is another rule.
        let again = !self.requests[request].reads.is_empty();
        if !again && begun.is_some_and(|begun| begun > request) {
            let details = format!("request {request} of session {session} after request {}", begun.unwrap_or_default());
            self.violate("requests of a session arrive in order", details);
        }
        let next = begun.map_or(plan.sessions[session].requests.start, |begun| begun + 1);
        // What a client has taken back with a reset, before all of it had passed the switch, cannot arrive.
        let is_due = |other: &usize| !plan.requests[*other].is_denied && self.requests[*other].whole_at.is_some();
        let missing = (next..request).find(is_due);
        if let Some(missing) = missing.filter(|_| self.rules.exact && self.rules.healthy) {
            let details = format!("request {request} of session {session} although {missing} has not arrived");
            self.violate("with a perfect mirror and a healthy target no request is left out", details);
        }
    }

    /// Without a framer, silence within an answer, or an answer of another length, may be taken for its end.
    fn is_turn_certain(&self, plan: &Plan, request: usize) -> bool {
        let session = &plan.sessions[plan.requests[request].session];
        let mut earlier = plan.requests[session.requests.start..request].iter();
        let aligned = earlier.all(RequestPlan::is_answered_in_step);
        self.is_framed(plan, request) || self.rules.healthy && self.rules.clean_path && aligned
    }

    /// Whether the engine can know where a request and its answer end.
    pub fn is_framed(&self, plan: &Plan, request: usize) -> bool {
        plan.requests[request].framed && !self.opens_slowly(plan, plan.requests[request].session)
    }

    /// Whether the engine has to find a session's protocol from bytes that come too slowly: it is replayed in turns, whatever
    /// it is.
    pub fn opens_slowly(&self, plan: &Plan, session: usize) -> bool {
        let protocol = plan.topology.services[plan.sessions[session].service].protocol;
        self.sessions[session].opens_slowly && protocol == Protocol::Auto
    }
}
