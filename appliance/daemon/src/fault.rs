//! Everything that can end a command, each as sentences that name the thing and the mend.

use crate::capture::CaptureFault;
use crate::nic::NicFault;
use crate::record::RecordFault;
use crate::settings::SettingsFaults;
use crate::store::StoreFault;
use crate::summary::SummaryFault;
use crate::web::WebFault;
use std::process::ExitCode;
use thiserror::Error;

/// A fault that ends a command.
#[derive(Debug, Error)]
pub enum Fault {
    /// The command line asks for something that makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The settings cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsFaults),
    /// An interface cannot be used.
    #[error(transparent)]
    Nic(#[from] NicFault),
    /// An interface that is only to be looked at cannot be used.
    #[error(transparent)]
    Look(NicFault),
    /// A capture cannot be read.
    #[error(transparent)]
    Capture(#[from] CaptureFault),
    /// Nothing can be recorded.
    #[error(transparent)]
    Record(#[from] RecordFault),
    /// The data directory cannot be used.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// What was recorded of the exchanges cannot be read.
    #[error("{path}: {source}; name the data folder of a box that has recorded exchanges with --data")]
    Records {
        /// The folder of the records.
        path: std::path::PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// The summary cannot be written.
    #[error(transparent)]
    Summary(#[from] SummaryFault),
    /// The page cannot be served.
    #[error(transparent)]
    Web(#[from] WebFault),
    /// The operating system refuses something that the box needs.
    #[error("cannot {what}: {source}; this is a fault of the machine, look at its log with `dmesg`")]
    System {
        /// What was tried, as an infinitive.
        what: &'static str,
        /// The system's own words.
        source: std::io::Error,
    },
    /// A shard died of a defect.
    #[error("shard {0} ended on a defect; please report the lines above, and start the box again")]
    Shard(usize),
    /// The user was impatient.
    #[error("ended at once by a second signal; no ledger is told, wait for the end after the first one to have it")]
    SecondSignal,
}

impl Fault {
    /// Exit status: 2 for bad usage or settings, 1 for a fault at run time.
    pub fn exit_code(&self) -> ExitCode {
        let bad_input = match self {
            Self::Usage(_) | Self::Settings(_) | Self::Capture(_) | Self::Records { .. } => true,
            Self::Nic(fault) => fault.is_bad_setting(),
            Self::Store(fault) => fault.is_bad_setting(),
            Self::Summary(fault) => fault.is_bad_usage(),
            Self::Web(fault) => fault.is_bad_usage(),
            Self::Record(fault) => fault.is_bad_setting(),
            Self::Look(_) | Self::System { .. } | Self::Shard(_) | Self::SecondSignal => false,
        };
        ExitCode::from(if bad_input { 2 } else { 1 })
    }
}

impl Fault {
    /// The fault of a failed system call.
    pub fn system(what: &'static str, source: impl Into<std::io::Error>) -> Self {
        Self::System { what, source: source.into() }
    }
}
