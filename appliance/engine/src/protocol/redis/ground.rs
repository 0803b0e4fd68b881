//! What a connection was told so far, and so what the next command's answer will be.

use super::command::{CHANNELS_MAX, Command};
use crate::protocol::Expect;
use std::collections::BTreeSet;

/// The lower half of [`Expect::kind`]: values in the answer.
pub(super) const VALUES: u64 = 0xFFFF_FFFF;
/// The values are confirmations of channels, which RESP3 pushes.
pub(super) const CONFIRMS: u64 = 1 << 32;
/// Messages of channels may stand in front of the answer, or follow it.
pub(super) const SUBSCRIBED: u64 = 1 << 33;
/// Lines of a monitor may.
pub(super) const MONITORS: u64 = 1 << 34;
/// The server closes behind the answer.
pub(super) const LAST: u64 = 1 << 35;

/// Commands that change nothing, so that one which a closing connection swallowed may be sent again.
const READS: [&str; 24] = [
    "PING",
    "ECHO",
    "GET",
    "MGET",
    "STRLEN",
    "GETRANGE",
    "EXISTS",
    "TTL",
    "PTTL",
    "TYPE",
    "LLEN",
    "LRANGE",
    "LINDEX",
    "HGET",
    "HMGET",
    "HLEN",
    "HEXISTS",
    "SCARD",
    "SISMEMBER",
    "ZCARD",
    "ZSCORE",
    "ZRANGE",
    "ZRANK",
    "DBSIZE",
];

/// Commands that two servers with the same data answer otherwise: by their own state, by chance, or in an order of their own.
const VOLATILE: [&str; 39] = [
    "ACL",
    "CLIENT",
    "CLUSTER",
    "COMMAND",
    "CONFIG",
    "DEBUG",
    "DUMP",
    "EXPIRETIME",
    "HGETALL",
    "HKEYS",
    "HRANDFIELD",
    "HSCAN",
    "HVALS",
    "INFO",
    "KEYS",
    "LASTSAVE",
    "LATENCY",
    "MEMORY",
    "MODULE",
    "OBJECT",
    "PEXPIRETIME",
    "PTTL",
    "PUBSUB",
    "RANDOMKEY",
    "ROLE",
    "SCAN",
    "SDIFF",
    "SINTER",
    "SLOWLOG",
    "SMEMBERS",
    "SPOP",
    "SRANDMEMBER",
    "SSCAN",
    "SUNION",
    "TIME",
    "TTL",
    "XADD",
    "ZRANDMEMBER",
    "ZSCAN",
];

/// The state of a connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Ground {
    /// A login, a protocol's version, a database, tracking: for good, until RESET.
    is_set_up: bool,
    is_queueing: bool,
    /// One of the commands queued is volatile.
    queues_volatile: bool,
    is_watching: bool,
    monitors: bool,
    /// `CLIENT REPLY OFF`.
    is_mute: bool,
    /// `CLIENT REPLY SKIP`: of the next command.
    skips: bool,
    /// Channels, patterns and shard channels, by hash.
    channels: BTreeSet<(u8, u64)>,
}

impl Ground {
    /// What is to be expected of the answer to `command`, after which the connection has changed so.
    pub(super) fn take(&mut self, command: &Command) -> Expect {
        let name = command.word(0);
        let (was_bound, was_queueing, was_subscribed) = (self.is_bound(), self.is_queueing, !self.channels.is_empty());
        let silent = self.mute(command);
        let volatile = self.is_volatile(name) && !silent;
        let confirms = command.names_channels() && !was_queueing;
        let values = if confirms { self.subscribe(command) } else { 1 };
        let binds = self.change(name, command.word(1)) || confirms || was_queueing;
        let flags = [
            (CONFIRMS, confirms),
            (SUBSCRIBED, was_subscribed || !self.channels.is_empty()),
            (MONITORS, self.monitors),
            (LAST, name == b"QUIT"),
        ];
        Expect {
            kind: flags.iter().filter(|(_, on)| *on).fold(values, |kind, (flag, _)| kind | flag),
            retryable: is_in(&READS, name),
            silent,
            handshake: matches!(name, b"AUTH" | b"HELLO"),
            asked: false,
            volatile,
            bound: was_bound,
            binds,
        }
    }

    /// What is known of a command before its name is.
    pub(super) fn expect_any(&self) -> Expect {
        Expect { kind: 1, bound: self.is_bound(), binds: self.is_queueing, ..Expect::default() }
    }

    fn is_bound(&self) -> bool {
        let talks = self.is_queueing || self.is_watching || self.monitors || self.is_mute || self.skips;
        self.is_set_up || talks || !self.channels.is_empty()
    }

    /// Follows `CLIENT REPLY`; whether nothing answers the command.
    fn mute(&mut self, command: &Command) -> bool {
        let skipped = core::mem::take(&mut self.skips);
        if (command.word(0), command.word(1)) == (b"CLIENT", b"REPLY") {
            match command.word(2) {
                b"ON" => self.is_mute = false,
                b"OFF" => self.is_mute = true,
                b"SKIP" => self.skips = true,
                _ => {}
            }
            return self.is_mute || self.skips;
        }
        self.is_mute || skipped
    }

    /// Whether the answer is volatile; of queued commands, the one to EXEC is.
    fn is_volatile(&mut self, name: &[u8]) -> bool {
        match (self.is_queueing, name) {
            (true, b"EXEC" | b"DISCARD") => core::mem::take(&mut self.queues_volatile) && name == b"EXEC",
            (true, _) => {
                self.queues_volatile |= is_in(&VOLATILE, name);
                false
            }
            (false, _) => is_in(&VOLATILE, name),
        }
    }

    /// Follows subscriptions; how many confirmations come.
    fn subscribe(&mut self, command: &Command) -> u64 {
        let (family, is_leaving) = match command.word(0) {
            b"UNSUBSCRIBE" => (b'C', true),
            b"PSUBSCRIBE" => (b'P', false),
            b"PUNSUBSCRIBE" => (b'P', true),
            b"SSUBSCRIBE" => (b'S', false),
            b"SUNSUBSCRIBE" => (b'S', true),
            _ => (b'C', false),
        };
        let before = self.channels.len();
        if is_leaving && command.channels.is_empty() {
            self.channels.retain(|(of, _)| *of != family);
            return (before - self.channels.len()).max(1) as u64;
        }
        for channel in command.channels.iter().map(|channel| (family, *channel)) {
            match is_leaving {
                true => self.channels.remove(&channel),
                false => self.channels.len() < CHANNELS_MAX && self.channels.insert(channel),
            };
        }
        command.channels.len().max(1) as u64
    }

    /// What the command changes, and whether what follows may need that.
    fn change(&mut self, name: &[u8], word: &[u8]) -> bool {
        match (name, word) {
            (b"AUTH" | b"HELLO" | b"SELECT" | b"READONLY" | b"READWRITE" | b"ASKING", _)
            | (b"CLIENT", b"TRACKING" | b"CACHING") => self.is_set_up = true,
            (b"MULTI", _) => self.is_queueing = true,
            (b"EXEC" | b"DISCARD", _) => (self.is_queueing, self.is_watching) = (false, false),
            (b"WATCH", _) => self.is_watching = true,
            (b"UNWATCH", _) => self.is_watching = false,
            (b"MONITOR", _) => self.monitors = true,
            (b"RESET", _) => *self = Self::default(),
            (b"CLIENT", b"REPLY") => {}
            _ => return false,
        }
        true
    }
}

fn is_in(names: &[&str], name: &[u8]) -> bool {
    names.iter().any(|known| known.as_bytes() == name)
}
