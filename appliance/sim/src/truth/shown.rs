//! What the mirror has shown of sessions and requests.

use super::{RequestTruth, SessionTruth, Truth, are_of_one_port};
use crate::plan::Plan;
use crate::span::Tag;
use core::ops::Range;
use core::time::Duration;
use std::collections::BTreeMap;
use tapcopy_engine::{Limits, Time};

/// How long after a session's end the engine must still know it.
const AFTERLIFE: Duration = Duration::from_secs(15);

/// By so many bytes the engine knows a request of HTTP.
const OPENING_MAX: u64 = 16;

/// Behind so long a silence a lone byte may be a probe.
const PROBE_SILENCE: Duration = Duration::from_secs(1);

/// Farther ahead than any stream goes on.
const FAR: u64 = 1 << 24;

/// Places that no stream reaches, and that lie not shortly before one: numbers of another connection.
const ASTRAY: Range<u64> = 1 << 28..(1 << 32) - (1 << 16);

impl Truth {
    /// Whether every hole of every stream is proven to be the mirror's loss.
    pub fn proves_its_holes(&self) -> bool {
        self.sessions.iter().all(SessionTruth::proves_its_holes)
    }

    /// A frame of a session is shown to the engine, without its end if it `is_cut`: stamped `captured_at`, at `now` on the engine's
    /// clock.
    pub fn show(&mut self, plan: &Plan, (tag, is_cut): (Tag, bool), captured_at: Time, now: Time) {
        // What a client's reset has overtaken is not read by anyone.
        let over = self.sessions[tag.session].ends[2].is_some();
        if tag.opens && !self.sessions[tag.session].shown {
            self.opened.push((tag.session, captured_at));
        }
        if tag.opens && tag.from_client {
            let earlier = (0..tag.session).filter(|earlier| are_of_one_port(plan, *earlier, tag.session));
            earlier.for_each(|earlier| self.sessions[earlier].is_followed = true);
        }
        self.twice += u64::from(tag.again && tag.len > 0 && self.sessions[tag.session].shows_twice(tag));
        let pause = self.sessions[tag.session].pause_of_client(captured_at);
        let is_late = self.is_late(tag, now);
        let is_over = is_late || tag.is_outdated || self.is_replaced(plan, tag.session);
        let session = &mut self.sessions[tag.session];
        session.order.show(&tag, is_cut, (tag.opens || session.openings == [true; 2]) && !is_over);
        let tag = session.as_read(tag, captured_at);
        let is_unread = self.sessions[tag.session].is_unread;
        let covered = self.sessions[tag.session].show(tag, is_late, captured_at, now);
        let range = tag.offset..tag.offset + tag.len;
        let mut begins = 0;
        for request in plan.sessions[tag.session].requests.clone() {
            let ends = begins + plan.requests[request].bytes.len() as u64;
            let truth = &mut self.requests[request];
            if tag.from_client {
                if begins == range.start && tag.len > 0 && truth.first_shown.is_empty() {
                    truth.pause = pause;
                }
                truth.show_request(&range, begins, ends, captured_at, now);
                truth.shown_late += usize::from(is_late && range.contains(&begins));
                truth.begun |= begins < covered && !over && !is_unread;
                truth.whole_at = truth.whole_at.or((ends <= covered && !is_unread).then_some(now));
            } else {
                truth.show_answer(&range, captured_at);
                let begun = truth.answer.as_ref().is_some_and(|answer| answer.start < covered);
                truth.answer_begun_at = truth.answer_begun_at.or(begun.then_some(now));
            }
            begins = ends;
        }
    }

    /// Whether something was shown of a later session from the same port.
    fn is_replaced(&self, plan: &Plan, session: usize) -> bool {
        let later = session + 1..self.sessions.len();
        later
            .into_iter()
            .any(|later| self.sessions[later].first_shown_at.is_some() && are_of_one_port(plan, session, later))
    }

    /// Whether the engine may have forgotten a session that has ended: its time is over, or there was no room for it beside one
    /// that has begun since.
    fn is_late(&self, tag: Tag, now: Time) -> bool {
        let session = &self.sessions[tag.session];
        let is_heard_since = |other: &SessionTruth| other.heard_at > session.heard_at;
        let is_full = !self.rules.roomy && self.sessions.iter().any(is_heard_since);
        session.ended_at().is_some_and(|at| is_full || at + AFTERLIFE <= now)
    }
}

/// How far a stream was shown without a hole, and what was shown beyond.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    end: u64,
    beyond: BTreeMap<u64, u64>,
}

impl Coverage {
    /// Where the last part behind a hole begins.
    fn last_begins(&self) -> Option<u64> {
        self.beyond.last_key_value().map(|(begins, _)| *begins)
    }

    /// Adds what a frame shows; returns up to where there is no hole now.
    fn add(&mut self, Range { start, end }: Range<u64>) -> u64 {
        if start < end {
            let known = self.beyond.entry(start).or_default();
            *known = end.max(*known);
        }
        while let Some(next) = self.beyond.first_entry().filter(|next| *next.key() <= self.end) {
            self.end = next.remove().max(self.end);
        }
        self.end
    }
}

impl SessionTruth {
    /// Whether what was shown proves that nothing will fill the holes of either side: the other has acknowledged what lies there.
    /// Two hosts that probe each other with their last bytes acknowledge in them what neither has been seen to send before.
    fn proves_its_holes(&self) -> bool {
        let is_proven =
            |(coverage, acked): (&Coverage, &u64)| coverage.last_begins().is_none_or(|begins| begins <= *acked);
        // Where one SYN was lost, the first bytes behind it may be, too.
        let is_placed = self.openings[0] == self.openings[1];
        is_placed && !self.probed && self.coverage.iter().zip(&self.acked).all(is_proven)
    }

    /// Whether a frame of the client with this stamp was shown behind a hole that nothing has filled: what it begins is unknown.
    pub fn is_beyond_hole(&self, stamp: Time) -> bool {
        let covered = self.coverage[0].end;
        self.client_frames.iter().any(|(shown, range)| *shown == stamp && range.start > covered)
    }

    /// Whether the frame before this one was its first copy.
    fn shows_twice(&self, tag: Tag) -> bool {
        self.last_tag == Some(Tag { again: false, ..tag })
    }

    /// How long the client has been silent, where the other side has said nothing since.
    fn pause_of_client(&self, captured_at: Time) -> Option<Duration> {
        let [client, origin] = self.spoke_at;
        let since = client.filter(|client| origin.is_none_or(|origin| origin < *client))?;
        Some(captured_at.since(since))
    }

    /// Whether the mirror showed both sides' FIN: a lost one is a gap, too.
    pub fn shows_both_ends(&self) -> bool {
        self.ends[0].is_some() && self.ends[1].is_some()
    }

    /// Whether a lone byte was shown, as probes are.
    pub fn has_probes(&self) -> bool {
        self.probed
    }

    /// Whether the mirror showed a reset.
    pub fn is_reset(&self) -> bool {
        self.reset_at().is_some()
    }

    /// When the mirror showed the first reset.
    pub fn reset_at(&self) -> Option<Time> {
        self.ends[2]
    }

    /// When the mirror had shown its end.
    fn ended_at(&self) -> Option<Time> {
        let [client, origin, reset] = self.ends;
        reset.or(client.zip(origin).map(|(one, other)| one.max(other)))
    }

    /// When the mirror showed the client's FIN.
    pub fn client_closed_at(&self) -> Option<Time> {
        self.ends[0]
    }

    /// What the engine may read of a segment: a lone byte behind a silence, the first one that is shown in a place that its side was
    /// seen to be beyond, may be a retransmission, or a probe of no meaning where the mirror has lost what was there.
    fn as_read(&mut self, tag: Tag, captured_at: Time) -> Tag {
        let (side, end) = (usize::from(!tag.from_client), tag.offset + tag.len);
        let silence = self.last_at.replace(captured_at).map_or(Duration::ZERO, |last| captured_at.since(last));
        let is_probe = tag.len == 1 && silence >= PROBE_SILENCE && end + u64::from(tag.closes) <= self.used[side];
        if tag.offset < self.coverage[side].end + FAR {
            self.used[side] = self.used[side].max(end + u64::from(tag.closes));
        }
        if !is_probe || end <= self.coverage[side].end {
            return tag;
        }
        (self.is_unread, self.probed) = (true, true);
        if !tag.from_client {
            self.answers_unread_from.get_or_insert(tag.offset);
        }
        Tag { offset: end, len: 0, ..tag }
    }

    /// Up to where the sender's bytes were shown without a hole, with this frame.
    fn show(&mut self, tag: Tag, is_late: bool, captured_at: Time, now: Time) -> u64 {
        self.shown |= tag.opens && tag.from_client;
        self.first_shown_at.get_or_insert(now);
        self.heard_at = if tag.opens || tag.len > 1 { Some(now) } else { self.heard_at };
        self.openings[usize::from(!tag.from_client)] |= tag.opens;
        self.last_tag = Some(tag);
        // A client whose port was another connection's a moment ago may answer with the numbers of that one.
        let is_astray = tag.from_client && !tag.resets && tag.len == 0 && ASTRAY.contains(&tag.offset);
        self.late += u64::from((tag.len > 0 || tag.opens) && is_late || is_astray);
        if tag.closes {
            self.ends[usize::from(!tag.from_client)].get_or_insert(now);
        }
        if tag.resets {
            self.ends[2].get_or_insert(now);
            self.reset_by[usize::from(!tag.from_client)] = true;
        }
        if tag.from_client && tag.len > 0 {
            let opened_at = *self.opened_at.get_or_insert(now);
            let timeout = Limits::default().opening_timeout;
            self.opens_slowly |= self.coverage[0].end < OPENING_MAX && opened_at + timeout <= now;
        }
        let range = tag.offset..tag.offset + tag.len;
        let side = usize::from(!tag.from_client);
        self.probed |= tag.len == 1;
        if tag.len > 0 {
            self.spoke_at[side] = self.spoke_at[side].max(Some(captured_at));
        }
        self.shown_again += u64::from(tag.len > 0 && !is_late && range.end <= self.coverage[side].end);
        // Of a session whose beginning is not shown, the engine knows nothing before its first bytes.
        let is_known = self.openings != [false; 2] || self.spoke_at != [None; 2];
        // A SYN is acknowledged with the first byte that follows it.
        if let Some(acked) = tag.acked.filter(|acked| is_known && *acked <= u64::from(u32::MAX) / 2) {
            self.acked[1 - side] = self.acked[1 - side].max(acked);
        }
        match tag.from_client {
            _ if tag.len == 0 => {}
            false if self.is_followed || tag.is_outdated => {}
            true => self.client_frames.push((captured_at, range.clone())),
            false => self.origin_frames.push(range.clone()),
        }
        // A FIN takes the place behind the last byte.
        self.coverage[side].add(range.start..range.end + u64::from(tag.closes))
    }
}

impl RequestTruth {
    fn show_request(&mut self, shown: &Range<u64>, begins: u64, ends: u64, captured_at: Time, now: Time) {
        if shown.contains(&begins) {
            self.first_shown.push(captured_at);
        }
        // With a gap in front, the request's first byte known may be a later one.
        if shown.start < ends && begins < shown.end {
            self.shown_at.get_or_insert(now);
        }
        if shown.contains(&(ends - 1)) {
            self.last_shown.get_or_insert(captured_at);
        }
    }

    fn show_answer(&mut self, shown: &Range<u64>, captured_at: Time) {
        let Some(answer) = self.answer.clone().filter(|answer| !answer.is_empty()) else { return };
        if shown.contains(&answer.start) {
            self.answer_shown.0.get_or_insert(captured_at);
        }
        if shown.contains(&(answer.end - 1)) {
            self.answer_shown.1.get_or_insert(captured_at);
        }
    }
}
