//! What a person or the driver tells the engine to do.

use super::{Engine, begin};
use crate::config::Config;
use crate::flow::Directory;
use crate::ledger::{Ended, NotReplayed};
use crate::message::Command;

impl Engine {
    pub(super) fn handle_command(&mut self, command: Command) {
        match command {
            Command::StopReplay => self.stop_replay(NotReplayed::Stopped),
            Command::StartReplay => {
                self.is_replaying = true;
                self.loop_alarm = false;
            }
            Command::Overload(is_overloaded) => self.is_overloaded = is_overloaded,
            Command::Configure(config) => self.configure(*config),
            Command::NewRound => self.begin_round(),
            Command::Finish { limit } => self.finish(limit),
        }
    }

    /// Takes new settings. Where they change the box's own addresses, open replays cannot go on.
    fn configure(&mut self, config: Config) {
        let same_link = (&config.addressing, config.far_end) == (&self.config.addressing, self.config.far_end);
        if !same_link {
            self.bar_all(NotReplayed::Stopped);
        }
        self.locals.configure(&config, same_link, self.seed, self.now);
        self.far.configure(self.now, &config, &self.locals);
        self.directory = Directory::new(&config.services, self.seed);
        self.services = config.services.clone().into();
        self.open_accounts();
        self.caps = begin::caps(&config.services, config.share.of_shards);
        (self.books.limits, self.books.contents) = (config.limits, config.contents);
        self.is_replaying &= config.replay;
        self.config = config;
    }

    /// Ends every session, and frees its flow: the next frame on it belongs to another session.
    fn begin_round(&mut self) {
        self.caps = begin::caps(&self.services, self.config.share.of_shards);
        for id in self.slots.keys().collect::<Vec<_>>() {
            if let Some(slot) = self.slots.get(id) {
                self.flows.remove(&slot.key, id);
            }
            self.guard(id, |engine| engine.end(id, Ended::CaptureEnd));
        }
    }

    fn finish(&mut self, limit: core::time::Duration) {
        let by = self.now + limit;
        self.finish_by = Some(self.finish_by.map_or(by, |earlier| earlier.min(by)));
        for id in self.slots.keys().collect::<Vec<_>>() {
            self.guard(id, |engine| engine.end(id, Ended::Shutdown));
        }
    }
}
