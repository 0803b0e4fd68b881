//! A slot: one production session and its replays, and what passes between them.

use super::backlog::Share;
use crate::books::Books;
use crate::exchange::{Exchanges, Moment, Rooms};
use crate::flow::{FlowKey, Side};
use crate::frame::{Endpoint, Recent, Segment};
use crate::ledger::{Ended, NotReplayed};
use crate::limits::{Budget, Limits};
use crate::message::MirrorFrame;
use crate::reassembly::{Arrival, Delivery, Piece};
use crate::rehearsal::Stage;
use crate::replay::{Means, Replay};
use crate::session::{Happening, STRAY_SILENCE, Session, Shared};
use crate::stack::ConnectionId;
use crate::time::Time;
use crate::timers::Alarm;
use core::time::Duration;

/// How long an ended session stays known, so that late segments (shown late by the mirror, or sent again by a peer that
/// missed the end) are not taken for a new one.
const AFTERLIFE: Duration = Duration::from_secs(15);

/// Longest sleep: an ended session leaves at most so long a trace in the timers.
const NAP_MAX: Duration = Duration::from_secs(60);

/// One session.
pub struct Slot {
    /// Its flow.
    pub key: FlowKey,
    /// Its pending wake-up.
    pub alarm: Alarm,
    /// When it was first seen, in the replay's clock.
    pub begun_at: Time,
    /// Whether it was already open then.
    pub is_midstream: bool,
    session: Session,
    /// Its replays; none once the session has ended and every exchange has its outcome.
    works: Vec<Work>,
    recent: Recent,
    last_captured_at: Time,
    forgotten_at: Time,
}

/// What is left to do for one replay of a session.
pub struct Work {
    /// Its part of the backlog, as it was counted last.
    pub share: Share,
    /// The rehearsal's view of its connection.
    pub stage: Stage,
    /// Requests and answers.
    pub exchanges: Exchanges,
    replay: Replay,
}

impl Slot {
    /// The slot of a session that has just begun.
    pub fn new(key: FlowKey, session: Session, works: Vec<Work>, captured_at: Time, is_midstream: bool) -> Self {
        Self {
            key,
            alarm: Alarm::default(),
            begun_at: session.seen_at(),
            is_midstream,
            session,
            works,
            recent: Recent::default(),
            last_captured_at: captured_at,
            forgotten_at: Time::MAX,
        }
    }

    /// Has room for a request from now on.
    pub fn take_room(&mut self, rooms: &mut Rooms) {
        self.works.iter_mut().for_each(|work| work.exchanges.take_room(rooms));
    }

    /// Takes a segment of the session. Whether that changes anything for its replays: a bare acknowledgement does not.
    pub fn handle(
        &mut self,
        now: Time,
        frame: &MirrorFrame<'_>,
        sender: Side,
        segment: &Segment<'_>,
        books: &mut Books,
        ahead: &mut Budget,
    ) -> bool {
        let silence = frame.captured_at.since(self.last_captured_at);
        let is_stray = self.session.is_stray(sender, segment, silence);
        if !is_stray {
            self.last_captured_at = frame.captured_at;
        }
        books.ledger.frames.duplicates += u64::from(self.recent.note(segment, frame.captured_at));
        let limits = books.limits;
        let (works, captured_at) = (&mut self.works, frame.captured_at);
        let mut shared = Shared { limits: &limits, ahead, silence };
        let mut has_told = false;
        let mut tell = |happening: Happening<'_>| {
            has_told = true;
            note(works, happening, now, captured_at, books);
        };
        let arrival = match is_stray {
            true => self.session.pass_over(segment),
            false => self.session.handle(now, captured_at, sender, segment, &mut shared, &mut tell),
        };
        match arrival {
            Arrival::InOrder => {}
            Arrival::Early => books.ledger.sessions.segments_early += 1,
            Arrival::Duplicate => books.ledger.sessions.segments_duplicate += 1,
        }
        self.note_end(now, books);
        has_told || self.session.is_stalled() || self.session.ended().is_some()
    }

    /// Gives up what was waited for too long.
    pub fn handle_timeout(&mut self, now: Time, books: &mut Books, ahead: &mut Budget) {
        let limits = books.limits;
        let (works, captured_at) = (&mut self.works, self.last_captured_at);
        let mut shared = Shared { limits: &limits, ahead, silence: Duration::ZERO };
        self.session.handle_timeout(now, &mut shared, &mut |happening| {
            note(works, happening, now, captured_at, books);
        });
        self.note_end(now, books);
    }

    /// Ends the session for a cause of the box's own.
    pub fn end(&mut self, now: Time, cause: Ended, books: &mut Books, ahead: &mut Budget) {
        let limits = books.limits;
        let (works, captured_at) = (&mut self.works, self.last_captured_at);
        let mut shared = Shared { limits: &limits, ahead, silence: Duration::ZERO };
        self.session.end(now, cause, &mut shared, &mut |happening| {
            note(works, happening, now, captured_at, books);
        });
        self.note_end(now, books);
    }

    fn note_end(&mut self, now: Time, books: &mut Books) {
        if self.session.ended().is_some() {
            let moment = Moment { captured_at: self.last_captured_at, now };
            self.works.iter_mut().for_each(|work| work.exchanges.end(moment, books));
        }
    }

    /// Stops the replays, for `cause`.
    pub fn bar<O: Copy>(&mut self, cause: NotReplayed, means: &mut Means<'_, O>) {
        for work in &mut self.works {
            work.exchanges.bar(cause, means.books);
            work.replay.stop(means);
        }
    }

    /// The session's replays, where it has come to its end with the last of them.
    pub fn conclude(&mut self, now: Time, books: &mut Books) -> Vec<Work> {
        let cause = self.session.ended().filter(|_| !self.works.is_empty() && self.works.iter().all(Work::is_over));
        let Some(cause) = cause else { return Vec::new() };
        books.ledger.sessions.live -= 1;
        books.ledger.sessions.ended.count(cause);
        self.forgotten_at = now + AFTERLIFE;
        self.works.iter_mut().for_each(|work| work.exchanges.give_back(books));
        core::mem::take(&mut self.works)
    }

    /// The connections of its replays.
    pub fn connections(&self) -> impl Iterator<Item = ConnectionId> + '_ {
        self.works.iter().filter_map(Work::connection)
    }

    /// Accounts for a session in whose state nothing can be trusted after a fault. Its replays.
    pub fn write_off(mut self, books: &mut Books, ahead: &mut Budget) -> Vec<Work> {
        ahead.exchange(self.session.held_bytes(), 0);
        if !self.works.is_empty() {
            books.ledger.sessions.live -= 1;
            books.ledger.sessions.ended.count(Ended::Fault);
        }
        core::mem::take(&mut self.works)
    }

    /// When the slot has something to do though nothing arrived.
    pub fn deadline(&self, now: Time, books: &Books) -> Time {
        let of_session = self.session.deadline(&books.limits).unwrap_or(Time::MAX);
        let next = self.works.iter().fold(of_session, |next, work| next.min(work.deadline(now, books)));
        next.min(self.forgotten_at).min(now + NAP_MAX)
    }

    /// Its replays that are not forgotten.
    pub fn replays(&self) -> usize {
        self.works.len()
    }

    /// One of its replays.
    pub fn work_mut(&mut self, index: usize) -> Option<&mut Work> {
        self.works.get_mut(index)
    }

    /// Its replays, as long as there is work left.
    pub fn works(&self) -> &[Work] {
        &self.works
    }

    /// When something was last seen of it, in the replay's clock.
    pub fn seen_at(&self) -> Time {
        self.session.seen_at()
    }

    /// The requests and answers of its replays, as long as there is work left.
    pub fn exchanges(&self) -> impl Iterator<Item = &Exchanges> {
        self.works.iter().map(|work| &work.exchanges)
    }

    /// Whether it can be forgotten.
    pub fn is_over(&self, now: Time) -> bool {
        self.works.is_empty() && self.forgotten_at <= now
    }

    /// Whether nothing is left to do for it.
    pub fn is_ended(&self) -> bool {
        self.works.is_empty()
    }

    /// Whether `segment` begins another session on the same flow.
    pub fn is_replaced_by(&self, frame: &MirrorFrame<'_>, sender: Side, segment: &Segment<'_>) -> bool {
        let silence = frame.captured_at.since(self.last_captured_at);
        self.session.is_replaced_by(sender, segment, silence)
    }

    /// Whether neither side has ended the session and it was not yet silent for long, so that the mirror may still show some
    /// of it late.
    pub fn is_open_at(&self, captured_at: Time) -> bool {
        self.session.is_open() && captured_at.since(self.last_captured_at) < STRAY_SILENCE
    }

    /// What a session before this one on the same flow left unsaid may be taken for this one's.
    pub fn doubt(&mut self) {
        for work in &mut self.works {
            work.exchanges.doubt();
        }
    }

    /// The client's first sequence number, if it is known.
    pub fn client_isn(&self) -> Option<u32> {
        self.session.client_isn()
    }
}

/// Tells every replay of a session what happened to it.
fn note(works: &mut [Work], happening: Happening<'_>, now: Time, captured_at: Time, books: &mut Books) {
    if let Happening::Stream(Delivery { piece: Piece::Gap(len), .. }) = happening
        && !works.is_empty()
    {
        books.ledger.sessions.gaps += 1;
        books.ledger.sessions.gap_bytes += len;
    }
    for work in works {
        work.note(happening, now, captured_at, books);
    }
}

impl Work {
    /// A replay that has not begun.
    pub fn new(exchanges: Exchanges, replay: Replay) -> Self {
        Self { share: Share::default(), stage: Stage::default(), exchanges, replay }
    }

    /// Does everything that can be done now.
    pub fn advance<O: Copy>(&mut self, owner: O, means: &mut Means<'_, O>) {
        self.exchanges.decide_in_time(means.now, means.books);
        self.exchanges.stream_in_time(means.now, means.books);
        self.replay.advance(owner, &mut self.exchanges, means);
        self.exchanges.judge(means.books);
        self.exchanges.rest(means.rooms, means.books);
    }

    /// Whether nothing more will come of it, once the session has ended.
    fn is_over(&self) -> bool {
        self.replay.is_done() && self.exchanges.is_settled()
    }

    fn deadline(&self, now: Time, books: &Books) -> Time {
        let (undecided, held) = (self.exchanges.undecided_until(books), self.exchanges.held_until(books));
        let behind = Share::behind_from(&self.exchanges, &books.limits).filter(|from| *from > now);
        let all = [self.replay.wake_at(), undecided, held, behind];
        all.into_iter().fold(Time::MAX, |next, at| next.min(at.unwrap_or(Time::MAX)))
    }

    /// Its part of the backlog.
    pub fn owed(&self, now: Time, limits: &Limits) -> Share {
        Share::of(&self.exchanges, now, limits)
    }

    /// The connection in use.
    pub fn connection(&self) -> Option<ConnectionId> {
        self.replay.connection()
    }

    /// Whether there is one and it is established.
    pub fn is_connected(&self) -> bool {
        self.replay.is_connected()
    }

    /// The server that it is sent to.
    pub fn target(&self) -> Endpoint {
        self.replay.target()
    }

    fn note(&mut self, happening: Happening<'_>, now: Time, captured_at: Time, books: &mut Books) {
        match happening {
            Happening::Open => {
                self.exchanges.opened(Moment { captured_at, now });
                if !self.exchanges.is_barred() {
                    self.replay.want();
                }
            }
            Happening::OneWay => self.exchanges.one_way = true,
            Happening::Stream(delivery) => self.note_piece(delivery, now, books),
            Happening::Reset(side, captured_at) => self.exchanges.reset(side, Moment { captured_at, now }, books),
        }
    }

    fn note_piece(&mut self, delivery: Delivery<'_>, now: Time, books: &mut Books) {
        let moment = Moment { captured_at: delivery.captured_at, now };
        match (delivery.side, delivery.piece) {
            (Side::Client, Piece::Bytes(bytes)) => self.exchanges.client_bytes(bytes, moment, books),
            (Side::Client, Piece::Gap(len)) => self.exchanges.client_gap(len, moment, books),
            (Side::Client, Piece::Fin) => self.exchanges.client_fin(moment, books),
            (Side::Origin, Piece::Bytes(bytes)) => self.exchanges.origin_bytes(bytes, moment, books),
            (Side::Origin, Piece::Gap(len)) => self.exchanges.origin_gap(len, delivery.one_way, moment, books),
            (Side::Origin, Piece::Fin) => self.exchanges.origin_fin(now, books),
        }
    }
}
