//! Which requests a record of a service without a framer may be about, and what in their answers was changed.

use crate::alteration::Alteration;
use crate::plan::Plan;
use crate::truth::Truth;
use crate::verdict::Extent;
use tapcopy_engine::message::Difference;
use tapcopy_engine::{Limits, Record};

/// What a target was told to change, and did.
pub fn alteration<'p>(plan: &'p Plan, truth: &Truth, request: usize) -> Option<&'p Alteration> {
    let answered = truth.requests[request].reads.iter().any(|read| read.answer_bytes > 0);
    plan.requests[request].alteration.as_ref().filter(|_| answered)
}

/// Whether, on a connection to a target, the answer in a request's place was another's: a target that has swallowed a request
/// and goes on to answer the next has, by the order of HTTP/1.1 (RFC 9112, section 9.3.2), answered the swallowed one with it.
pub fn is_answered_by_another(plan: &Plan, truth: &Truth, request: usize) -> bool {
    let session = &plan.sessions[plan.requests[request].session];
    let on_connection = |connection: usize| {
        let read_on = |id: &usize| truth.requests[*id].reads.iter().find(|read| read.connection == connection);
        let read = session.requests.clone().filter(|id| read_on(id).is_some());
        let answered = read.clone().filter(|id| read_on(id).is_some_and(|read| read.answer_bytes > 0));
        read.zip(answered).any(|(asked, answering)| asked == request && answering != request)
    };
    plan.requests[request].framed && truth.requests[request].reads.iter().any(|read| on_connection(read.connection))
}

/// Without a framer one exchange is a turn: it may hold several requests, or parts of them, and answers to earlier ones.
pub struct Turn {
    session: usize,
    /// The requests of which bytes lie in it, and those before that were not answered yet when it began.
    pub requests: Vec<usize>,
}

impl Turn {
    /// The turn that a record is about: it begins behind the session's earlier ones, in a frame of the record's stamp.
    pub fn of(plan: &Plan, truth: &Truth, records: &[Record], record: &Record, extent: Extent) -> Option<Self> {
        let replay = |record: &Record| (record.session, record.target, record.copy);
        let earlier = |other: &&Record| replay(other) == replay(record) && other.exchange < record.exchange;
        let begins: u64 = records.iter().filter(earlier).map(|other| other.request_bytes).sum();
        let ends = begins + record.request_bytes;
        let session = plan.sessions.iter().enumerate().position(|(number, session)| {
            let in_turns = plan.has_turns(number) || truth.opens_slowly(plan, number);
            let origin = plan.topology.origins[session.origin].address;
            let mut frames = truth.sessions[number].client_frames.iter();
            in_turns
                && (session.client, origin) == (record.client, record.origin)
                && frames.any(|(stamp, range)| *stamp == record.captured_at && range.contains(&begins))
        })?;
        let is_within = |request: &usize| {
            let from = plan.request_offset(*request);
            let to = from + plan.requests[*request].bytes.len() as u64;
            // A direction that is shown late says nothing of what came first.
            let answered_before = extent.ordered
                && truth.requests[*request].answer_shown.1.is_some_and(|answered_at| answered_at < record.captured_at);
            from < ends && (begins < to || !answered_before)
        };
        let requests = plan.sessions[session].requests.clone().filter(is_within).collect();
        Some(Self { session, requests })
    }

    /// Whether what was changed in a request's answer is what was found: at this place in the origin's stream, where the
    /// turn's answer begins with a frame of the origin.
    pub fn tells(&self, plan: &Plan, truth: &Truth, request: usize, found: &Difference, extent: Extent) -> bool {
        if plan.requests[request].framed {
            return self.tells_of_http(plan, truth, request, found);
        }
        let Some(alteration) = alteration(plan, truth, request) else { return false };
        let (Some(answer), Some(offset)) = (&truth.requests[request].answer, found.offset) else {
            // Of a turn's answer that is longer than what is kept of it, the rest is known by its hash only.
            let frames = &truth.sessions[self.session].origin_frames;
            let is_long = frames.iter().any(|frame| frame.end > Limits::default().body_bytes as u64);
            return (is_long || extent.kept < Limits::default().body_bytes as u64) && alteration.accepts_hash(found, 0);
        };
        // What follows a missing byte may be equal to it by chance.
        let slack = if alteration.may_be_unaligned { 2 } else { 0 };
        let mut places = alteration.accepted.iter().filter_map(|difference| difference.offset);
        places.any(|place| {
            let place = answer.start + place;
            (place..=place + slack).any(|place| self.begins(truth, place, offset))
        })
    }

    /// Whether the turn's answer may begin so far before this place in the origin's stream.
    fn begins(&self, truth: &Truth, place: u64, offset: u64) -> bool {
        let frames = &truth.sessions[self.session].origin_frames;
        let begins = |place| frames.iter().any(|frame| frame.start == place || frame.end == place);
        place.checked_sub(offset).is_some_and(begins)
    }

    /// The same of HTTP that is replayed in turns: the answer's framing is compared, too, and an interim answer may be left
    /// out by the target.
    fn tells_of_http(&self, plan: &Plan, truth: &Truth, request: usize, found: &Difference) -> bool {
        let planned = &plan.requests[request];
        let (told, said) = (planned.told(), &planned.answer.bytes);
        let equal = told.iter().zip(said).take_while(|(one, other)| one == other).count();
        let differs = told != said || planned.interim_after.is_some();
        let (Some(answer), Some(offset)) = (&truth.requests[request].answer, found.offset) else { return differs };
        differs && (planned.interim_after.is_some() || self.begins(truth, answer.start + equal as u64, offset))
    }
}
