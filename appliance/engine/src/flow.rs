//! Flows: which service a segment belongs to, in which direction, and the table that finds its session.
//!
//! Flow keys are chosen by strangers, so the tables hash with a seed of their own; and because a randomly ordered map must
//! never decide an order of outputs, [`Table`] cannot be iterated.

use crate::config::{Origin, Service};
use crate::frame::Endpoint;
use core::hash::{BuildHasher, Hash};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use hashbrown::hash_table::{Entry, HashTable};

/// A hash map without iteration.
#[derive(Debug)]
pub struct Table<K, V>(HashMap<K, V, FixedState>);

impl<K: Eq + Hash, V> Table<K, V> {
    /// An empty table; `seed` makes its collisions unpredictable.
    pub fn new(seed: u64) -> Self {
        Self(HashMap::with_hasher(FixedState::with_seed(seed)))
    }

    /// The value of `key`.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.0.get(key)
    }

    /// The value of `key`, to change it.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.0.get_mut(key)
    }

    /// Sets the value of `key`; returns the one it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.0.insert(key, value)
    }

    /// Removes `key` and returns its value.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        self.0.remove(key)
    }

    /// Whether `key` has a value.
    pub fn contains(&self, key: &K) -> bool {
        self.0.contains_key(key)
    }

    /// Keys with a value.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no key has a value.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Finds a value by the key that it leads to, so that no key is held twice. Like [`Table`], it cannot be iterated.
#[derive(Debug)]
pub struct Index<V> {
    values: HashTable<V>,
    hasher: FixedState,
}

impl<V: Copy + Eq> Index<V> {
    /// An empty index; `seed` makes its collisions unpredictable.
    pub fn new(seed: u64) -> Self {
        Self { values: HashTable::new(), hasher: FixedState::with_seed(seed) }
    }

    /// The value that leads to `key` by `key_of`.
    pub fn get<K: Eq + Hash>(&self, key: &K, key_of: impl Fn(V) -> K) -> Option<V> {
        self.values.find(self.hasher.hash_one(key), |value| key_of(*value) == *key).copied()
    }

    /// Adds a value, which takes the place of another that leads to the same key.
    pub fn insert<K: Eq + Hash>(&mut self, value: V, key_of: impl Fn(V) -> K) {
        let key = key_of(value);
        let hash = self.hasher.hash_one(&key);
        let is_same = |other: &V| key_of(*other) == key;
        match self.values.entry(hash, is_same, |other| self.hasher.hash_one(key_of(*other))) {
            Entry::Occupied(mut entry) => *entry.get_mut() = value,
            Entry::Vacant(entry) => drop(entry.insert(value)),
        }
    }

    /// Removes `value`, if it is still the one that leads to `key`.
    pub fn remove<K: Hash>(&mut self, key: &K, value: V) {
        if let Ok(entry) = self.values.find_entry(self.hasher.hash_one(key), |other| *other == value) {
            entry.remove();
        }
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

/// One side of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The real client.
    Client,
    /// The production server.
    Origin,
}

impl Side {
    /// The opposite side.
    pub fn other(self) -> Self {
        match self {
            Self::Client => Self::Origin,
            Self::Origin => Self::Client,
        }
    }
}

/// Both directions of a flow under one key. VLAN tags are not part of it: a mirror may show a tag on one direction only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowKey {
    /// The real client.
    pub client: Endpoint,
    /// The production server.
    pub origin: Endpoint,
}

/// A segment's place: its flow, its sender, its service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The flow.
    pub key: FlowKey,
    /// Who sent it.
    pub sender: Side,
    /// Index into the settings' services.
    pub service: usize,
}

/// Finds the service that claims an address.
#[derive(Debug)]
pub struct Directory {
    exact: Table<Endpoint, usize>,
    /// The ports in it, modulo their number: most ports are clients', and need not be looked up.
    ports: [u64; 16],
    any_address: Vec<(u16, usize)>,
}

impl Directory {
    /// The directory of `services`; of two that claim the same address the first has it.
    pub fn new(services: &[Service], seed: u64) -> Self {
        let mut directory = Self { exact: Table::new(seed), ports: [0; 16], any_address: Vec::new() };
        for (index, service) in services.iter().enumerate() {
            for origin in &service.origins {
                directory.claim(*origin, index);
            }
        }
        directory
    }

    fn claim(&mut self, origin: Origin, service: usize) {
        match origin {
            Origin::Address(address) => {
                let endpoint = Endpoint::from(address);
                let (word, bit) = port_bit(endpoint.port());
                self.ports[word] |= bit;
                if !self.exact.contains(&endpoint) {
                    self.exact.insert(endpoint, service);
                }
            }
            Origin::AnyAddress(port) => self.any_address.push((port, service)),
        }
    }

    /// Whether a service claims a port of every address.
    pub fn has_wildcards(&self) -> bool {
        !self.any_address.is_empty()
    }

    /// The service whose origin `endpoint` is.
    pub fn service_of(&self, endpoint: Endpoint) -> Option<usize> {
        let wildcard =
            || self.any_address.iter().find(|(port, _)| *port == endpoint.port()).map(|(_, service)| *service);
        let (word, bit) = port_bit(endpoint.port());
        let exact = if self.ports[word] & bit != 0 { self.exact.get(&endpoint).copied() } else { None };
        exact.or_else(wildcard)
    }

    /// The place of a segment from `source` to `destination`; `None` where no service has either. Where both are origins
    /// (an origin that is itself a client of another) the answer of a server, `from_server`, decides.
    pub fn place(&self, source: Endpoint, destination: Endpoint, from_server: bool) -> Option<Place> {
        let to = self.service_of(destination);
        let from = self.service_of(source);
        match (to, from) {
            (Some(service), None) => Some(Self::of_client(source, destination, service)),
            (None, Some(service)) => Some(Self::of_origin(source, destination, service)),
            (Some(_), Some(service)) if from_server => Some(Self::of_origin(source, destination, service)),
            (Some(service), Some(_)) => Some(Self::of_client(source, destination, service)),
            (None, None) => None,
        }
    }

    fn of_client(client: Endpoint, origin: Endpoint, service: usize) -> Place {
        Place { key: FlowKey { client, origin }, sender: Side::Client, service }
    }

    fn of_origin(origin: Endpoint, client: Endpoint, service: usize) -> Place {
        Place { key: FlowKey { client, origin }, sender: Side::Origin, service }
    }
}

fn port_bit(port: u16) -> (usize, u64) {
    (usize::from(port / 64) % 16, 1 << (port % 64))
}
