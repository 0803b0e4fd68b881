//! What holds of TapCopy whatever it is given.
//!
//! Each property takes any bytes, makes inputs of them, and panics where something does not hold. `appliance/fuzz` looks for
//! such bytes; the tests here replay those that it found worth keeping.
#![forbid(unsafe_code)]

pub mod capture;
pub mod compare;
pub mod engine;
pub mod frame;
pub mod framer;
mod http;
pub mod reassembly;
pub mod settings;
mod shown;

/// A property, by the name of its fuzz target and its corpus.
pub type Property = (&'static str, fn(&[u8]));

/// All of them.
pub const ALL: [Property; 7] = [
    ("capture", capture::check),
    ("compare", compare::check),
    ("engine", engine::check),
    ("frame", frame::check),
    ("framer", framer::check),
    ("reassembly", reassembly::check),
    ("settings", settings::check),
];
