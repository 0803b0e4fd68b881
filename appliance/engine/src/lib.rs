//! The sans-I/O core of TapCopy. See ARCHITECTURE.md for the words and the data flow.
#![forbid(unsafe_code)]

mod books;
pub mod compare;
pub mod config;
pub mod doctor;
pub mod engine;
mod exchange;
pub mod findings;
pub mod flow;
pub mod frame;
pub mod ledger;
pub mod limits;
pub mod link;
pub mod local;
pub mod message;
pub mod protocol;
pub mod reassembly;
mod rehearsal;
mod replay;
pub mod selection;
mod session;
pub mod share;
pub mod stack;
pub mod time;
mod timers;

pub use books::Books;
pub use config::Config;
pub use engine::{Backlog, Engine};
pub use exchange::answer::Answer;
pub use ledger::Ledger;
pub use limits::Limits;
pub use message::{Command, Input, MirrorFrame, Output, Record};
pub use time::Time;
