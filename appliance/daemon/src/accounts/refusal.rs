//! Why an account is not changed or entered.

use crate::store::StoreFault;
use std::fmt;
use std::time::Duration;

/// Why an account is not changed or entered.
#[derive(Debug)]
pub enum Refusal {
    /// There is no claim token, or the box is claimed already.
    NotClaimable(&'static str),
    /// Token, name or password are wrong.
    Wrong,
    /// Too many were.
    Wait(Duration),
    /// A value cannot be used.
    Invalid {
        /// Which.
        field: &'static str,
        /// Why, and the mend.
        message: String,
    },
    /// There is one already.
    Taken(String),
    /// There is none.
    Unknown,
    /// It cannot be done.
    Conflict(&'static str),
    /// It cannot be stored.
    Store(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotClaimable(message) | Self::Conflict(message) => f.write_str(message),
            Self::Wrong => f.write_str("name, password or token are wrong"),
            Self::Wait(wait) => write!(f, "too many wrong attempts; try again in {} s", wait.as_secs() + 1),
            Self::Invalid { message, .. } | Self::Taken(message) | Self::Store(message) => f.write_str(message),
            Self::Unknown => f.write_str("there is none of this name"),
        }
    }
}

impl From<StoreFault> for Refusal {
    fn from(fault: StoreFault) -> Self {
        Self::Store(fault.to_string())
    }
}

impl From<std::io::Error> for Refusal {
    fn from(fault: std::io::Error) -> Self {
        Self::Store(fault.to_string())
    }
}
