//! The daemon of TapCopy: everything around the engine that touches the world.
//!
//! Threads: one for each [`shard`], which owns an engine, its [`source`] of mirrored frames and its [`nic::target`]; the
//! [`web`] workers, which read the shards' snapshots through the [`plant`]; the [`archive`], which
//! writes a record of each exchange; the main thread, which waits for [`signals`]. Frames never cross a
//! thread; orders and snapshots do. [`rehearse`] and [`doctor`]
//! need none of them.
#![deny(unsafe_code)]

pub mod accounts;
pub mod archive;
pub mod calendar;
pub mod capture;
pub mod cli;
pub mod clock;
pub mod confine;
pub mod console;
pub mod desk;
pub mod doctor;
pub mod fault;
pub mod firmware;
pub mod generate;
pub mod history;
pub mod host;
pub mod learned;
pub mod logbook;
pub mod management;
pub mod map;
pub mod nic;
pub mod observed;
pub mod overload;
pub mod plant;
pub mod playback;
pub mod progress;
pub mod pulse;
pub mod reach;
pub mod record;
pub mod rehearse;
pub mod run;
pub mod settings;
pub mod shard;
pub mod signals;
pub mod source;
#[cfg(target_feature = "crt-static")]
mod static_link;
pub mod store;
pub mod summary;
pub mod syslog;
pub mod web;
