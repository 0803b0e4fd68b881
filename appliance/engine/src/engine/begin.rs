//! The beginning of a session: how many replays it gets, and of which targets.

use super::slot::{Slot, Work};
use super::{Engine, SlotId};
use crate::config::{MirrorTo, Service};
use crate::exchange::{Exchanges, Identity};
use crate::flow::{FlowKey, Place};
use crate::frame::{Endpoint, Segment};
use crate::ledger::{Ignored, NotReplayed};
use crate::message::MirrorFrame;
use crate::replay::{Manner, Replay};
use crate::selection::cap::Cap;
use crate::session::Session;
use crate::share::Part;
use core::ops::Range;

/// What the replays of one session share.
struct Beginning<'a> {
    frame: &'a MirrorFrame<'a>,
    place: &'a Place,
    is_midstream: bool,
    /// Why none of them is performed.
    barred: Option<NotReplayed>,
}

impl Engine {
    /// Begins the session to which `segment` belongs; `earlier_isn`: the client's first sequence number of the session before
    /// it on the same flow.
    ///
    /// # Errors
    /// It begins none, or is beyond the bound.
    pub(super) fn begin(
        &mut self,
        frame: &MirrorFrame<'_>,
        segment: &Segment<'_>,
        place: &Place,
        earlier_isn: Option<u32>,
    ) -> Result<SlotId, Ignored> {
        let session = Session::begin(self.now, place.sender, segment, earlier_isn).ok_or(Ignored::NoSession)?;
        let service = &self.services[place.service];
        let hash = client_hash(place.key.client);
        let targets = targets(service, hash);
        let copies = service.copies;
        let replays = targets.len() * usize::from(copies);
        self.make_room(replays)?;
        let barred = self.barred(frame, place.service, hash);
        let is_midstream = !segment.flags.syn();
        self.sessions_begun += 1;
        let sessions = &mut self.books.ledger.sessions;
        sessions.opened += 1;
        sessions.live += 1;
        sessions.midstream += u64::from(is_midstream);
        let beginning = Beginning { frame, place, is_midstream, barred };
        // A session has one replay as a rule, and what it is given room for, it keeps as long as it lasts.
        let mut works = Vec::with_capacity(replays);
        for copy in 0..copies {
            works.extend(targets.clone().map(|target| self.work_for(&beginning, target, copy)));
        }
        self.replays_beyond += works.len() - 1;
        let id = self.slots.insert(Slot::new(place.key, session, works, frame.captured_at, is_midstream));
        self.flows.insert(id, |id| self.slots[id].key);
        Ok(id)
    }

    /// Why a session that begins now is not replayed.
    fn barred(&mut self, frame: &MirrorFrame<'_>, service: usize, hash: u64) -> Option<NotReplayed> {
        let cap = self.caps.get_mut(service).and_then(Option::as_mut);
        if !self.is_replaying {
            Some(NotReplayed::Stopped)
        } else if hash % 10_000 >= u64::from(self.services[service].sample) {
            Some(NotReplayed::NotSampled)
        } else if self.is_overloaded {
            Some(NotReplayed::Overloaded)
        } else {
            cap.is_some_and(|cap| !cap.admit(frame.captured_at)).then_some(NotReplayed::RateCapped)
        }
    }

    /// Sees to it that so many replays fit into the bound.
    fn make_room(&mut self, replays: usize) -> Result<(), Ignored> {
        while self.slots.len() + self.replays_beyond + replays > self.books.limits.sessions {
            if !self.forget_oldest() {
                return Err(Ignored::SessionLimit);
            }
        }
        Ok(())
    }

    fn work_for(&mut self, beginning: &Beginning<'_>, target: u16, copy: u16) -> Work {
        let Beginning { frame, place, is_midstream, barred } = *beginning;
        let service = &self.services[place.service];
        let FlowKey { client, origin } = place.key;
        let account = self.books.account(&service.name);
        let session = self.config.share.session_number(self.sessions_begun);
        let identity = Identity { session, service: place.service, account, target, copy, client, origin };
        let mut exchanges = Exchanges::new(identity, service, is_midstream, self.now, frame.captured_at, &self.books);
        if self.far.is_rehearsal() {
            exchanges.rehearse();
        }
        if !service.selection.is_empty() {
            exchanges.select(service.selection.clone(), &mut self.books);
        }
        if let Some(cause) = barred {
            exchanges.bar(cause, &mut self.books);
        }
        let target = service.targets[usize::from(target)].into();
        let manner = Manner { client, target, pacing: service.pacing, speed: self.config.speed };
        Work::new(exchanges, Replay::new(manner, self.now))
    }
}

/// The services' caps, with all that they may hold.
pub(super) fn caps(services: &[Service], of_shards: Part) -> Vec<Option<Cap>> {
    let cap = |service: &Service| service.sessions_per_second.map(|rate| Cap::new(of_shards.of_number(rate)));
    services.iter().map(cap).collect()
}

/// Indexes of the targets that a client's sessions go to. The part of the hash that samples clients has no say in it.
fn targets(service: &Service, hash: u64) -> Range<u16> {
    let count = u16::try_from(service.targets.len()).unwrap_or(u16::MAX);
    let chosen = (hash / 10_000 % u64::from(count)) as u16;
    match service.mirror_to {
        MirrorTo::One => chosen..chosen + 1,
        MirrorTo::All => 0..count,
    }
}

/// The same for every session of a client, on every box, at every time.
fn client_hash(client: Endpoint) -> u64 {
    match client.ip() {
        core::net::IpAddr::V4(ip) => xxhash_rust::xxh3::xxh3_64(&ip.octets()),
        core::net::IpAddr::V6(ip) => xxhash_rust::xxh3::xxh3_64(&ip.octets()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Pacing, Protocol};

    fn client(number: u32) -> Endpoint {
        Endpoint::new(core::net::Ipv4Addr::from_bits(0x0A00_0000 + number).into(), 40_000)
    }

    fn service(targets: usize, mirror_to: MirrorTo) -> Service {
        let target = |number: usize| ([10, 9, 9, number as u8], 80).into();
        Service {
            name: String::new(),
            origins: Vec::new(),
            targets: (0..targets).map(target).collect(),
            protocol: Protocol::Auto,
            pacing: Pacing::Turns,
            sample: 10_000,
            copies: 1,
            mirror_to,
            selection: Default::default(),
            sessions_per_second: None,
            rules: Default::default(),
        }
    }

    #[test]
    fn a_client_is_the_same_on_every_box_at_every_time() {
        let v6 = Endpoint::new("fd00::1".parse().expect("an address"), 1);
        assert_eq!(client_hash(client(1)), 9_498_076_768_530_308_502);
        assert_eq!(client_hash(v6), 5_934_203_491_928_126_376);
        let other_port = Endpoint::new(client(1).ip(), 2);
        assert_eq!(client_hash(other_port), client_hash(client(1)));
    }

    #[test]
    fn clients_are_spread_evenly_and_apart_from_sampling() {
        let service = service(3, MirrorTo::One);
        let mut of_target = [0; 3];
        let mut sampled = [0; 3];
        for number in 0..30_000 {
            let hash = client_hash(client(number));
            let targets = targets(&service, hash);
            assert_eq!(targets.len(), 1);
            of_target[usize::from(targets.start)] += 1;
            sampled[usize::from(targets.start)] += usize::from(hash % 10_000 < 1_000);
        }
        assert!(of_target.iter().all(|count| (9_700..10_300).contains(count)), "{of_target:?}");
        assert!(sampled.iter().all(|count| (850..1_150).contains(count)), "{sampled:?}");
    }

    #[test]
    fn mirrored_to_all_means_every_target() {
        assert_eq!(targets(&service(3, MirrorTo::All), 12_345), 0..3);
    }
}
