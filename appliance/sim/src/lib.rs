//! The deterministic world in which the engine is proved.
//!
//! A [`seed::Rng`] draws a [`plan::Plan`] (topology and workload) and the [`fault::Faults`] that exist; [`world::World`]
//! performs it on one simulated [`clock::Clock`]: client and origin hosts talk through a switch, the [`span::Span`] shows
//! the engine a copy with the mirror's faults, and the engine's frames go to target hosts over a link of their own.
//! [`truth::Truth`] is what the applications know; [`checker`] holds the engine against it.
//!
//! [`scenario`] is the other half: dialogues written by hand, one per behaviour.
#![forbid(unsafe_code)]

mod account;
mod aftermath;
pub mod alteration;
pub mod batch;
pub mod cause;
pub mod census;
pub mod checker;
pub mod client;
pub mod clock;
mod connection;
mod fast_open;
pub mod fault;
pub mod host;
mod latency;
pub mod link;
pub mod message;
pub mod neighbor;
pub mod packet;
mod patience;
pub mod pcap;
pub mod plan;
mod proof;
pub mod rare;
mod refusal;
pub mod report;
pub mod sabotage;
pub mod scenario;
pub mod seed;
pub mod selection;
pub mod server;
pub mod shape;
pub mod shares;
pub mod span;
pub mod topology;
pub mod truth;
pub mod turn;
pub mod verdict;
pub mod workload;
pub mod world;
pub mod wrap;
