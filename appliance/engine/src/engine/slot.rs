//! A slot: one production session and its replay, and what passes between them.

use super::backlog::Share;
use crate::books::Books;
use crate::compare::compare;
use crate::exchange::{Exchanges, Moment};
use crate::flow::{FlowKey, Side};
use crate::frame::{Recent, Segment};
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
    /// Its part of the backlog, as it was counted last.
    pub share: Share,
    /// The rehearsal's view of its connection.
    pub stage: Stage,
    session: Session,
    /// `None` once the session has ended and every exchange has its outcome.
    work: Option<Box<Work>>,
    recent: Recent,
    last_captured_at: Time,
    forgotten_at: Time,
}

/// What is left to do for a session.
pub struct Work {
    /// Requests and answers.
    pub exchanges: Exchanges,
    /// The replay.
    pub replay: Replay,
}

impl Slot {
    /// The slot of a session that has just begun.
    pub fn new(key: FlowKey, session: Session, work: Work, captured_at: Time) -> Self {
        Self {
            key,
            alarm: Alarm::default(),
            share: Share::default(),
            stage: Stage::default(),
            session,
            work: Some(Box::new(work)),
            recent: Recent::default(),
            last_captured_at: captured_at,
            forgotten_at: Time::MAX,
        }
    }

    /// Takes a segment of the session.
    pub fn handle(
        &mut self,
        now: Time,
        frame: &MirrorFrame<'_>,
        sender: Side,
        segment: &Segment<'_>,
        books: &mut Books,
        ahead: &mut Budget,
    ) {
        if !self.session.is_stray(sender, segment) {
            self.last_captured_at = frame.captured_at;
        }
        books.ledger.frames.duplicates += u64::from(self.recent.note(segment, frame.captured_at));
        let limits = books.limits;
        let (work, captured_at) = (&mut self.work, frame.captured_at);
        let mut shared = Shared { limits: &limits, ahead };
        let arrival = self.session.handle(now, captured_at, sender, segment, &mut shared, &mut |happening| {
            if let Some(work) = work {
                work.note(happening, now, captured_at, books);
            }
        });
        match arrival {
            Arrival::InOrder => {}
            Arrival::Early => books.ledger.sessions.segments_early += 1,
            Arrival::Duplicate => books.ledger.sessions.segments_duplicate += 1,
        }
        self.note_end(now, books);
    }

    /// Gives up what was waited for too long.
    pub fn handle_timeout(&mut self, now: Time, books: &mut Books, ahead: &mut Budget) {
        let limits = books.limits;
        let (work, captured_at) = (&mut self.work, self.last_captured_at);
        let mut shared = Shared { limits: &limits, ahead };
        self.session.handle_timeout(now, &mut shared, &mut |happening| {
            if let Some(work) = work {
                work.note(happening, now, captured_at, books);
            }
        });
        self.note_end(now, books);
    }

    /// Ends the session for a cause of the box's own.
    pub fn end(&mut self, now: Time, cause: Ended, books: &mut Books, ahead: &mut Budget) {
        let limits = books.limits;
        let (work, captured_at) = (&mut self.work, self.last_captured_at);
        let mut shared = Shared { limits: &limits, ahead };
        self.session.end(now, cause, &mut shared, &mut |happening| {
            if let Some(work) = work {
                work.note(happening, now, captured_at, books);
            }
        });
        self.note_end(now, books);
    }

    fn note_end(&mut self, now: Time, books: &mut Books) {
        if self.session.ended().is_some() {
            let moment = Moment { captured_at: self.last_captured_at, now };
            if let Some(work) = &mut self.work {
                work.exchanges.end(moment, books);
            }
        }
    }

    /// Stops the replay, for `cause`.
    pub fn bar<O: Copy>(&mut self, cause: NotReplayed, means: &mut Means<'_, O>) {
        if let Some(work) = &mut self.work {
            work.exchanges.bar(cause, means.books);
            work.replay.stop(means);
        }
    }

    /// Lets the replay do what it can. Whether the session has just come to its end.
    pub fn advance<O: Copy>(&mut self, owner: O, means: &mut Means<'_, O>) -> bool {
        let Some(work) = &mut self.work else { return false };
        work.exchanges.decide_in_time(means.now, means.books);
        work.replay.advance(owner, &mut work.exchanges, means);
        work.exchanges.judge(means.books, compare);
        let Some(cause) = self.session.ended() else { return false };
        if !work.replay.is_done() || !work.exchanges.is_settled() {
            return false;
        }
        means.books.ledger.sessions.live -= 1;
        means.books.ledger.sessions.ended.count(cause);
        work.exchanges.give_back(means.books);
        self.work = None;
        self.forgotten_at = means.now + AFTERLIFE;
        true
    }

    /// Its connection, if it has one.
    pub fn connection(&self) -> Option<ConnectionId> {
        self.work.as_ref()?.replay.connection()
    }

    /// Accounts for a session in whose state nothing can be trusted after a fault. Its connection, if it has one.
    pub fn write_off(&mut self, books: &mut Books, ahead: &mut Budget) -> Option<ConnectionId> {
        ahead.exchange(self.session.held_bytes(), 0);
        let work = self.work.take()?;
        work.exchanges.write_off(books);
        books.ledger.sessions.live -= 1;
        books.ledger.sessions.ended.count(Ended::Fault);
        work.replay.connection()
    }

    /// When the slot has something to do though nothing arrived.
    pub fn deadline(&self, now: Time, books: &Books) -> Time {
        let replay = self.work.as_ref().and_then(|work| work.replay.wake_at());
        let session = self.session.deadline(&books.limits);
        let opening = self.work.as_ref().and_then(|work| work.exchanges.undecided_until(books));
        let next = [replay, session, opening].into_iter().flatten().min().unwrap_or(Time::MAX);
        next.min(self.forgotten_at).min(now + NAP_MAX)
    }

    /// Its part of the backlog.
    pub fn owed(&self, limits: &Limits) -> Share {
        self.work.as_ref().map_or(Share::default(), |work| Share::of(&work.exchanges, limits))
    }

    /// Its requests and answers, as long as there is work left.
    pub fn exchanges(&self) -> Option<&Exchanges> {
        self.work.as_ref().map(|work| &work.exchanges)
    }

    /// Whether it can be forgotten.
    pub fn is_over(&self, now: Time) -> bool {
        self.work.is_none() && self.forgotten_at <= now
    }

    /// Whether nothing is left to do for it.
    pub fn is_ended(&self) -> bool {
        self.work.is_none()
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
        if let Some(work) = &mut self.work {
            work.exchanges.doubt();
        }
    }

    /// The client's first sequence number, if it is known.
    pub fn client_isn(&self) -> Option<u32> {
        self.session.client_isn()
    }

    /// What a rehearsal's target plays by.
    pub fn performance(&mut self) -> Option<(&mut Stage, &mut Exchanges)> {
        let work = self.work.as_mut()?;
        Some((&mut self.stage, &mut work.exchanges))
    }
}

impl Work {
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
        if let Piece::Gap(len) = delivery.piece {
            books.ledger.sessions.gaps += 1;
            books.ledger.sessions.gap_bytes += len;
        }
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
