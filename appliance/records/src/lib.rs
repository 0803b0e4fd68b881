//! Records: what became of each exchange, kept on disk.
//!
//! [`log`] is an append-only log of numbered records in segments, which survives a crash at any byte; it knows of a record
//! only its service and class, by which it is found. [`exchange`] is what a record says, [`mask`] what it must not say.
//! The files are behind [`disk`], so that a disk which tears, fills up or fails is a test.

#![forbid(unsafe_code)]

pub mod disk;
pub mod exchange;
mod index;
pub mod log;
pub mod mask;
pub mod query;
mod segment;
mod wire;

pub use disk::{Disk, DiskFile, Folder};
pub use exchange::{Contents, Difference, Exchange, Latency, Outcome, Said};
pub use log::{Bounds, Committed, Log, Opened};
pub use mask::Masks;
pub use query::{Order, Page, Query, Reader, Stored};
