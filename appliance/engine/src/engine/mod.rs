//! The engine as its driver sees it: all parts, joined.

mod backlog;
mod begin;
mod commands;
mod far;
mod holdings;
mod roster;
mod slot;
#[cfg(test)]
mod tests;

use crate::books::Books;
use crate::config::{Config, Service};
use crate::exchange::Rooms;
use crate::findings::{Finding, Times};
use crate::flow::{Directory, Index, Place, Side};
use crate::frame::{Decoder, Endpoint, Segment};
use crate::ledger::{Ended, Frames, Ignored, Ledger, NotReplayed};
use crate::limits::Budget;
use crate::local::Locals;
use crate::message::{Input, MirrorFrame, Output};
use crate::replay::Means;
use crate::selection::cap::Cap;
use crate::stack::Stack;
use crate::time::Time;
use crate::timers::Timers;
use backlog::{Share, Sum};
use core::net::IpAddr;
use core::time::Duration;
use far::Far;
pub use holdings::Holdings;
pub use roster::Live;
use slot::Slot;
use slotmap::{SlotMap, new_key_type};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

pub use backlog::Backlog;

/// Frames at the start of which every checksum is verified, so that a short capture is known exactly.
const CHECKSUMS_AT_START: u64 = 10_000;

/// Afterwards one frame in so many is: to read all content would make the work on a large frame dearer by a fifth.
const CHECKSUM_EVERY: u64 = 16;

new_key_type! {
    struct SlotId;
}

/// One of a session's replays.
#[derive(Clone, Copy, Debug)]
struct ReplayId {
    slot: SlotId,
    index: usize,
}

/// Mirrored frames in, replayed frames and verdicts out. It does no I/O and reads no clock: the same inputs at the same
/// times with the same seed give the same outputs, byte for byte.
///
/// The driver's loop: `handle_input` once, then `poll_output` until it returns `None`, then wait for the next input, but
/// not beyond `poll_timeout`, at which `Input::Tick` is due.
pub struct Engine {
    services: Arc<[Service]>,
    /// Of each service that has one.
    caps: Vec<Option<Cap>>,
    config: Config,
    seed: u64,
    now: Time,
    /// Taken while a segment that may lie in it is dealt with.
    decoder: Option<Box<Decoder>>,
    directory: Directory,
    flows: Index<SlotId>,
    slots: SlotMap<SlotId, Slot>,
    /// Sessions that have ended and are still known, in the order of their ends.
    ended: VecDeque<SlotId>,
    timers: Timers<SlotId>,
    stack: Stack<ReplayId>,
    locals: Locals,
    far: Far,
    books: Books,
    rooms: Rooms,
    ahead: Budget,
    backlog: Sum,
    /// No session can begin yet, because the box does not know whether its addresses are its own.
    is_preparing: bool,
    mirrored_service: Option<usize>,
    sessions_begun: u64,
    /// Replays of live sessions beyond each one's first.
    replays_beyond: usize,
    is_replaying: bool,
    is_overloaded: bool,
    finish_by: Option<Time>,
    loop_alarm: bool,
}

impl Engine {
    /// An engine with no session.
    pub fn new(now: Time, config: Config, seed: u64) -> Self {
        let limits = config.limits;
        let locals = Locals::new(&config, seed, now);
        let far = Far::new(now, &config, &locals, seed);
        let mut engine = Self {
            services: config.services.clone().into(),
            caps: begin::caps(&config.services, config.share.of_shards),
            seed,
            now,
            decoder: Some(Box::new(Decoder::new(&limits))),
            directory: Directory::new(&config.services, seed),
            flows: Index::new(seed),
            slots: SlotMap::with_key(),
            ended: VecDeque::new(),
            timers: Timers::default(),
            stack: Stack::new(now, far.mtu(), &limits, seed),
            locals,
            far,
            books: Books { contents: config.contents, ..Books::new(limits) },
            rooms: Rooms::default(),
            ahead: Budget::new(limits.ahead_bytes),
            backlog: Sum::default(),
            is_preparing: true,
            mirrored_service: None,
            sessions_begun: 0,
            replays_beyond: 0,
            is_replaying: config.replay,
            is_overloaded: false,
            finish_by: None,
            loop_alarm: false,
            config,
        };
        engine.open_accounts();
        engine.far.handle_timeout(now, &mut engine.locals);
        engine
    }

    /// Every service has its account, also without a session.
    fn open_accounts(&mut self) {
        for service in self.services.iter() {
            self.books.account(&service.name);
        }
    }

    /// Takes one input. Never fails: what cannot be used is counted.
    pub fn handle_input(&mut self, now: Time, input: Input<'_>) {
        self.now = self.now.max(now);
        self.books.waited = Duration::ZERO;
        match input {
            Input::Mirror(frame) => self.handle_mirror(&frame),
            Input::Target { arrived_at, bytes } => {
                self.books.waited = self.now.since(arrived_at);
                self.handle_target(bytes);
            }
            Input::Command(command) => self.handle_command(command),
            Input::Tick => {}
        }
        self.handle_timers();
        self.handle_events();
    }

    fn handle_mirror(&mut self, frame: &MirrorFrame<'_>) {
        self.books.ledger.frames.received += 1;
        self.mirrored_service = None;
        if self.finish_by.is_some() {
            return self.books.ledger.frames.ignored.count(Ignored::Finishing);
        }
        let Some(mut decoder) = self.decoder.take() else { return };
        match decoder.decode(frame) {
            Ok(segment) => self.handle_segment(frame, &segment),
            Err(cause) => self.books.ledger.frames.ignored.count(cause),
        }
        self.decoder = Some(decoder);
    }

    fn handle_segment(&mut self, frame: &MirrorFrame<'_>, segment: &Segment<'_>) {
        let outcome = match self.find(segment) {
            Ok(place) => self.handle_placed(frame, segment, &place),
            Err(cause) => Err(cause),
        };
        let frames = &mut self.books.ledger.frames;
        match outcome {
            Err(cause) => frames.ignored.count(cause),
            Ok(()) => count_decoded(frames, segment),
        }
    }

    /// The segment's place; an error where the box has no use for it.
    fn find(&mut self, segment: &Segment<'_>) -> Result<Place, Ignored> {
        if self.is_own(segment) {
            self.raise_loop_alarm();
            return Err(Ignored::OwnFrame);
        }
        let from_server = segment.flags.syn() && segment.flags.ack();
        let place = self.directory.place(segment.source, segment.destination, from_server).ok_or(Ignored::NoService)?;
        let is_target =
            |service: &Service| service.targets.iter().any(|target| Endpoint::from(*target) == place.key.origin);
        if self.directory.has_wildcards() && self.services.iter().any(is_target) {
            return Err(Ignored::TargetAsOrigin);
        }
        self.mirrored_service = Some(place.service);
        Ok(place)
    }

    /// Whether the segment is of a replay: by an address of the pool or, where clients keep their addresses, by the ends of
    /// a connection that is in use or was just now.
    fn is_own(&self, segment: &Segment<'_>) -> bool {
        let (source, destination) = (segment.source, segment.destination);
        self.locals.is_own(source, destination) || self.locals.is_own(destination, source)
    }

    /// What the replay sends has come back as if it were production: to go on would multiply it without end.
    fn raise_loop_alarm(&mut self) {
        if !self.loop_alarm {
            self.loop_alarm = true;
            self.stop_replay(NotReplayed::Stopped);
        }
    }

    fn handle_placed(&mut self, frame: &MirrorFrame<'_>, segment: &Segment<'_>, place: &Place) -> Result<(), Ignored> {
        let before = self.flows.get(&place.key, |id| self.slots[id].key);
        let was_open = before.and_then(|id| self.slots.get(id)).is_some_and(|slot| slot.is_open_at(frame.captured_at));
        let known = before.filter(|id| !self.is_replaced(*id, frame, place.sender, segment));
        let id = match known {
            Some(id) => id,
            None if !self.config.share.has_client(place.key.client.ip(), place.key.client.port()) => {
                self.mirrored_service = None;
                return Err(Ignored::OtherShare);
            }
            None => {
                let earlier_isn = before.and_then(|id| self.slots.get(id)?.client_isn());
                let id = self.begin(frame, segment, place, earlier_isn)?;
                if let Some(slot) = self.slots.get_mut(id).filter(|_| was_open) {
                    slot.doubt();
                }
                id
            }
        };
        let is_new = known.is_none();
        self.guard(id, |engine| {
            let Some(slot) = engine.slots.get_mut(id) else { return };
            let (books, ahead) = (&mut engine.books, &mut engine.ahead);
            let may_ask = place.sender == Side::Client && !segment.payload.is_empty();
            if may_ask {
                slot.take_room(&mut engine.rooms);
            }
            if slot.handle(engine.now, frame, place.sender, segment, books, ahead) || is_new || may_ask {
                engine.advance(id);
            }
        });
        Ok(())
    }

    fn is_replaced(&mut self, id: SlotId, frame: &MirrorFrame<'_>, sender: Side, segment: &Segment<'_>) -> bool {
        let Some(slot) = self.slots.get_mut(id) else { return true };
        let replaced = slot.is_replaced_by(frame, sender, segment);
        if replaced {
            self.guard(id, |engine| engine.end(id, Ended::Reused));
        }
        replaced
    }

    fn handle_target(&mut self, frame: &[u8]) {
        let counts = &mut self.books.ledger.target;
        let share = self.config.share;
        // Another shard's connection is unknown here, and would be reset.
        let is_ours = |local: Endpoint| share.has_local(local.ip(), local.port());
        let take = |packet: &[u8]| {
            (share.of_shards.is_all() || Stack::<ReplayId>::destination(packet).is_some_and(is_ours))
                && self.stack.handle_packet(self.now, packet)
        };
        match self.far.handle_frame(self.now, frame, &mut self.locals, take) {
            true => counts.frames_received += 1,
            false => counts.frames_ignored += 1,
        }
        while self.locals.poll_ceded().is_some() {
            self.stop_lost_replays();
        }
    }

    fn stop_replay(&mut self, cause: NotReplayed) {
        self.is_replaying = false;
        self.bar_all(cause);
        self.stack.silence_released();
    }

    fn bar_all(&mut self, cause: NotReplayed) {
        for id in self.slots.keys().collect::<Vec<_>>() {
            self.bar(id, cause);
        }
    }

    fn bar(&mut self, id: SlotId, cause: NotReplayed) {
        self.guard(id, |engine| {
            let mut means =
                means(engine.now, &mut engine.stack, &mut engine.locals, &mut engine.books, &mut engine.rooms);
            if let Some(slot) = engine.slots.get_mut(id) {
                slot.bar(cause, &mut means);
            }
            engine.advance(id);
        });
    }

    /// Stops the replays that use an address which somebody else has claimed: his must be the last word.
    fn stop_lost_replays(&mut self) {
        let (stack, locals) = (&self.stack, &self.locals);
        let is_lost = |slot: &Slot| slot.connections().any(|id| locals.is_lost(stack.ends(id)));
        let lost: Vec<SlotId> = self.slots.iter().filter(|(_, slot)| is_lost(slot)).map(|(id, _)| id).collect();
        for id in lost {
            self.bar(id, NotReplayed::AddressConflict);
        }
    }

    fn handle_timers(&mut self) {
        self.far.handle_timeout(self.now, &mut self.locals);
        self.is_preparing = self.is_preparing && self.locals.is_preparing();
        self.stack.handle_timeout(self.now);
        while let Some((at, id)) = self.timers.pop_due(self.now) {
            if let Some(slot) = self.slots.get_mut(id)
                && slot.alarm.fired(at)
            {
                self.guard(id, |engine| engine.wake(id));
            }
        }
        if self.finish_by.is_some_and(|by| by <= self.now) && self.books.ledger.sessions.live > 0 {
            self.bar_all(NotReplayed::Shutdown);
        }
    }

    fn end(&mut self, id: SlotId, cause: Ended) {
        if let Some(slot) = self.slots.get_mut(id) {
            slot.end(self.now, cause, &mut self.books, &mut self.ahead);
        }
        self.advance(id);
    }

    fn wake(&mut self, id: SlotId) {
        if let Some(slot) = self.slots.get_mut(id) {
            slot.handle_timeout(self.now, &mut self.books, &mut self.ahead);
        }
        self.advance(id);
    }

    /// Keeps a fault of one session in that session: a panic ends it, and only it.
    fn guard(&mut self, id: SlotId, work: impl FnOnce(&mut Self)) {
        if catch_unwind(AssertUnwindSafe(|| work(self))).is_err() {
            log::error!("a session ended by a fault of the box, with cause `fault` in the ledger; please report it");
            self.write_off(id);
        }
    }

    /// Takes a session out without asking anything of its state.
    fn write_off(&mut self, id: SlotId) {
        let Some(slot) = self.slots.remove(id) else { return };
        self.flows.remove(&slot.key, id);
        let works = slot.write_off(&mut self.books, &mut self.ahead);
        self.replays_beyond -= works.len().saturating_sub(1);
        for mut work in works {
            self.backlog.exchange(&mut work.share, Share::default());
            if let Some(connection) = work.connection() {
                self.stack.reset(connection);
                self.stack.release(self.now, connection);
            }
            work.exchanges.write_off(&mut self.books);
        }
    }

    fn handle_events(&mut self) {
        while let Some((_, replay)) = self.stack.poll_event() {
            self.guard(replay.slot, |engine| {
                engine.advance_replay(replay);
                engine.conclude(replay.slot);
            });
        }
        while let Some(pair) = self.stack.poll_ended() {
            self.locals.give(self.now, pair);
        }
    }

    /// Lets a session's replays do what they can, and sees to its next wake-up or its end.
    fn advance(&mut self, id: SlotId) {
        let replays = self.slots.get(id).map_or(0, Slot::replays);
        (0..replays).for_each(|index| self.advance_replay(ReplayId { slot: id, index }));
        self.conclude(id);
    }

    fn advance_replay(&mut self, replay: ReplayId) {
        let Some(work) = self.slots.get_mut(replay.slot).and_then(|slot| slot.work_mut(replay.index)) else { return };
        work.advance(replay, &mut means(self.now, &mut self.stack, &mut self.locals, &mut self.books, &mut self.rooms));
        self.far.play_on(self.now, work);
        let owed = work.owed(self.now, &self.books.limits);
        self.backlog.exchange(&mut work.share, owed);
    }

    /// Sees to a session's next wake-up or its end.
    fn conclude(&mut self, id: SlotId) {
        let Some(slot) = self.slots.get_mut(id) else { return };
        let works = slot.conclude(self.now, &mut self.books);
        if !works.is_empty() {
            self.ended.push_back(id);
            self.replays_beyond -= works.len() - 1;
        }
        for mut work in works {
            self.backlog.exchange(&mut work.share, Share::default());
            self.far.leave(self.now, &work);
        }
        if slot.is_over(self.now) || (slot.is_ended() && self.finish_by.is_some()) {
            return self.forget(id);
        }
        let deadline = slot.deadline(self.now, &self.books);
        self.timers.arm(&mut slot.alarm, id, deadline);
    }

    /// Forgets the session that ended first of those still known. Whether there was one.
    fn forget_oldest(&mut self) -> bool {
        while let Some(id) = self.ended.pop_front() {
            if self.slots.contains_key(id) {
                self.forget(id);
                return true;
            }
        }
        false
    }

    fn forget(&mut self, id: SlotId) {
        let Some(slot) = self.slots.remove(id) else { return };
        self.flows.remove(&slot.key, id);
        while self.ended.front().is_some_and(|oldest| !self.slots.contains_key(*oldest)) {
            self.ended.pop_front();
        }
        if self.slots.is_empty() {
            self.timers = Timers::default();
        }
    }

    /// The next thing to do for the driver; `None` when the engine waits for an input.
    pub fn poll_output(&mut self) -> Option<Output<'_>> {
        if let Some(record) = self.books.records.pop_front() {
            return Some(Output::Record(record));
        }
        // What could be exchanged was when the first of the frames that wait was asked for.
        if !self.far.has_frame() {
            while self.far.has_room() && self.exchange_packet() {}
            if let Some(record) = self.books.records.pop_front() {
                return Some(Output::Record(record));
            }
            if !self.far.has_frame() {
                self.tell();
            }
        }
        let frame = self.far.pop_frame()?;
        self.books.ledger.target.frames_sent += 1;
        Some(Output::Transmit(frame))
    }

    /// Tells the ledger what the parts have counted.
    fn tell(&mut self) {
        self.backlog.tell(&mut self.books.ledger.backlog);
        let target = &mut self.books.ledger.target;
        let counts = self.stack.counts();
        (target.frames_sent_with_content, target.retransmits) = (counts.with_content, counts.retransmits);
        target.packets_unresolved = self.far.packets_unresolved();
        target.ports_exchanged = self.locals.ports_exchanged();
        target.address_conflicts = self.locals.conflicts_found();
    }

    /// Moves one packet each way between the stack and the far end, and lets the sessions see what it did. Whether there was
    /// one.
    fn exchange_packet(&mut self) -> bool {
        let mut moved = false;
        if let Some((owner, packet)) = self.stack.poll_packet(self.now) {
            self.far.send(self.now, packet, owner, &self.locals);
            moved = true;
        }
        while let Some((connection, replay)) = self.far.poll_event() {
            let work = self.slots.get_mut(replay.slot).and_then(|slot| slot.work_mut(replay.index));
            self.far.play(self.now, connection, work);
        }
        if let Some(packet) = self.far.poll_packet(self.now) {
            self.stack.handle_packet(self.now, packet);
            moved = true;
        }
        self.handle_events();
        moved
    }

    /// When the engine wants an `Input::Tick` at the latest; `None` when it waits for nothing.
    pub fn poll_timeout(&self) -> Option<Time> {
        if self.finish_by.is_some() && self.is_idle() {
            return None;
        }
        let finish = self.finish_by.filter(|by| *by > self.now);
        [self.timers.next_at(), self.stack.poll_timeout(), self.far.poll_timeout(&self.locals), finish]
            .into_iter()
            .flatten()
            .min()
    }

    /// The counters as they stand.
    pub fn ledger(&self) -> &Ledger {
        &self.books.ledger
    }

    /// Where the targets differ from the origins beyond noise, as it is told at a time of the clock that frames are stamped
    /// with; [`Time::MAX`] if nothing more comes.
    pub fn findings(&self, now: Time) -> Vec<Finding> {
        let is_of = |service: &Service, one: &Finding| service.name == one.service && one.is_ignored_by(&service.rules);
        let is_ignored = |one: &Finding| self.services.iter().any(|service| is_of(service, one));
        self.books.findings.findings(now).into_iter().filter(|one| !is_ignored(one)).collect()
    }

    /// The times of both sides, of each service and each endpoint.
    pub fn times(&self) -> impl Iterator<Item = Times<'_>> {
        self.books.findings.times()
    }

    /// The service whose traffic the last mirrored frame was, for a driver that records it.
    pub fn mirrored_service(&self) -> Option<usize> {
        self.mirrored_service
    }

    /// What the target has yet to do: a driver that can wait does so, and loses nothing.
    pub fn backlog(&self) -> Backlog {
        let requests = &self.books.ledger.requests;
        let settled = requests.captured - requests.in_progress;
        let sum = self.backlog.backlog(&self.books.limits, settled, self.locals.is_scarce());
        Backlog { is_preparing: self.is_preparing, ..sum }
    }

    /// Whether sessions of the mirror are replayed: where they are not, nobody waits for its frames.
    pub fn is_replaying(&self) -> bool {
        self.is_replaying
    }

    /// The number that the next session will have; those before have lower ones.
    pub fn next_session(&self) -> u64 {
        self.config.share.session_number(self.sessions_begun + 1)
    }

    /// Whether no session is left; after `Command::Finish` this is the end.
    pub fn is_idle(&self) -> bool {
        self.books.ledger.sessions.live == 0
    }

    /// Addresses that the box may not use because somebody else on the targets' link has them, with his Ethernet address.
    pub fn address_conflicts(&self) -> impl Iterator<Item = (IpAddr, [u8; 6])> + '_ {
        self.locals.conflicts()
    }

    /// Whether replay was stopped because the box saw its own frames on the mirror.
    pub fn loop_alarm(&self) -> bool {
        self.loop_alarm
    }
}

fn means<'a>(
    now: Time,
    stack: &'a mut Stack<ReplayId>,
    locals: &'a mut Locals,
    books: &'a mut Books,
    rooms: &'a mut Rooms,
) -> Means<'a, ReplayId> {
    Means { now, stack, locals, books, rooms }
}

fn count_decoded(frames: &mut Frames, segment: &Segment<'_>) {
    frames.decoded += 1;
    frames.truncated += u64::from(segment.missing > 0);
    frames.with_content += u64::from(!segment.payload.is_empty());
    if frames.decoded <= CHECKSUMS_AT_START || frames.decoded.is_multiple_of(CHECKSUM_EVERY) {
        let verdict = segment.checksum_ok();
        frames.checksums_verified += u64::from(verdict.is_some());
        frames.bad_checksums += u64::from(verdict == Some(false));
    }
}
