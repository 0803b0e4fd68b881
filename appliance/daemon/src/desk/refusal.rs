//! Why settings are not changed.

use crate::settings::FieldFault;
use crate::store::StoreFault;
use std::fmt;

/// Why settings are not changed.
#[derive(Debug)]
pub enum Refusal {
    /// They came from a file, for automation.
    ReadOnly,
    /// They have faults.
    Faults(Vec<FieldFault>),
    /// It is not the time for it.
    Conflict(&'static str),
    /// They are no longer those that the change was made from.
    Changed,
    /// There is no such version.
    Unknown,
    /// They cannot be applied: the plant does not start.
    NotStarted(String),
    /// They cannot be stored.
    Store(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReadOnly => f.write_str(
                "settings given on the command line are read-only; start with the stored ones to change them",
            ),
            Self::Changed => {
                f.write_str("the settings have been changed since they were read; read them again, and send yours anew")
            }
            Self::Faults(faults) => faults.first().map_or(Ok(()), |fault| fault.fmt(f)),
            Self::Conflict(message) => f.write_str(message),
            Self::Unknown => f.write_str("there is no version of this number"),
            Self::NotStarted(message) | Self::Store(message) => f.write_str(message),
        }
    }
}

impl From<StoreFault> for Refusal {
    fn from(fault: StoreFault) -> Self {
        Self::Store(fault.to_string())
    }
}
