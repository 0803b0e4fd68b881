//! Settings: from a document (TOML or JSON) to what the engine takes, in two steps.
//!
//! `reading` makes a [`Document`] of the text and says of every key what is wrong with it; `validate` turns a
//! document into [`Settings`], which cannot be wrong, and says of every field what is wrong with its value. Both collect
//! faults instead of ending at the first one, so that a person mends a file once.

mod addressing;
mod comparison;
pub mod document;
pub mod management;
mod pool;
mod reading;
mod record;
mod records;
mod remote;
mod selection;
mod shards;
mod validate;

pub use document::{Document, Format};

use crate::archive::Keeping;
use crate::record::Recording;
use crate::syslog::Collector;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use tapcopy_engine::config::{Addressing, FarEnd, Service, Speed};
use tapcopy_engine::share::{Part, Share};
use tapcopy_engine::{Config, Limits};
use thiserror::Error;

/// What the settings are for; it decides what they must contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A mirror NIC, a target NIC, a pool and services.
    Run,
    /// The same without a mirror NIC.
    Replay,
    /// Services only.
    Rehearse,
}

/// Settings that cannot be wrong, as far as the text alone can tell: interfaces are looked up when they are opened.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many threads share the box's traffic; not zero. Captures are read by one.
    pub shards: u16,
    /// The box's part of all traffic.
    pub of_boxes: Part,
    /// Names of the mirror NICs; not empty for [`Purpose::Run`].
    pub mirror: Vec<String>,
    /// Name of the target NIC; there for [`Purpose::Run`] and [`Purpose::Replay`].
    pub target: Option<String>,
    /// A pcap filter which the derived one is ANDed with.
    pub filter: Option<String>,
    /// Size of a mirror NIC's ring in bytes.
    pub buffer_bytes: u32,
    /// Not empty.
    pub services: Vec<Service>,
    /// Without the addresses of the machine's own kernel, which a text does not tell.
    pub addressing: Addressing,
    /// VLAN on the target NIC.
    pub target_vlan: Option<u16>,
    /// What [`Purpose::Run`] records.
    pub record: Option<Recording>,
    /// What it keeps of the exchanges.
    pub records: Keeping,
    /// Who knows the time, where the box keeps its own clock.
    pub time_servers: Vec<SocketAddr>,
    /// Who collects its log.
    pub syslog: Option<Collector>,
    /// Where all this was parsed from.
    pub document: Document,
}

impl Settings {
    /// Parses a text for a purpose.
    ///
    /// # Errors
    /// All faults of the text: of its syntax or, where it has none, of its keys and values.
    pub fn read(text: &str, format: Format, purpose: Purpose) -> Result<Self, SettingsFaults> {
        let (document, mut faults) = Document::read(text, format);
        let of_values = match Self::parse(document, purpose) {
            Ok(settings) if faults.is_empty() => return Ok(settings),
            Ok(_) => Vec::new(),
            Err(SettingsFaults(of_values)) => of_values,
        };
        // What could not be taken from the text is not missing.
        let is_new = |fault: &FieldFault| !faults.iter().any(|earlier| earlier.covers(&fault.field));
        let of_values: Vec<FieldFault> = of_values.into_iter().filter(is_new).collect();
        faults.extend(of_values);
        Err(SettingsFaults(faults))
    }

    /// Parses a document for a purpose.
    ///
    /// # Errors
    /// All faults of its values.
    pub fn parse(document: Document, purpose: Purpose) -> Result<Self, SettingsFaults> {
        validate::validate(document, purpose)
    }

    /// The sessions of the shard that is so much of the box.
    pub fn share(&self, of_shards: Part) -> Share {
        Share { of_boxes: self.of_boxes, of_shards }
    }

    /// What the engine of a share is told; `kernel`: the addresses of the machine's own kernel.
    pub fn config(&self, far_end: FarEnd, share: Share, kernel: &[IpAddr], speed: Speed, replay: bool) -> Config {
        Config {
            services: self.services.clone(),
            addressing: Addressing { foreign: kernel.to_vec(), ..self.addressing.clone() },
            far_end,
            share,
            speed,
            replay,
            contents: None,
            limits: Limits::default().of_one(share.of_shards.of),
        }
    }
}

/// One fault of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldFault {
    /// The field's path, such as `service[0].origins[1]`; empty when the whole document is meant.
    pub field: String,
    /// What is wrong, and the mend.
    pub message: String,
}

impl FieldFault {
    /// Whether `field` is this fault's field or lies within it; a syntax fault's field is the whole document.
    fn covers(&self, field: &str) -> bool {
        let inside = field.strip_prefix(&self.field);
        inside.is_some_and(|rest| self.field.is_empty() || rest.is_empty() || rest.starts_with(['.', '[']))
    }
}

impl fmt::Display for FieldFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() { f.write_str(&self.message) } else { write!(f, "{}: {}", self.field, self.message) }
    }
}

/// Every fault of a document; never empty. It is displayed as one line for each.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct SettingsFaults(pub Vec<FieldFault>);

impl SettingsFaults {
    /// The faults of a document that was made from the short flags, named by the flags that the user wrote.
    pub fn by_flag(self) -> Self {
        Self(self.0.into_iter().map(|fault| FieldFault { field: flag_of(&fault.field), ..fault }).collect())
    }
}

impl fmt::Display for SettingsFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

fn flag_of(field: &str) -> String {
    let flags = [
        ("nics.mirror", "--mirror-nic"),
        ("nics.target", "--target-nic"),
        ("nics.filter", "-F"),
        ("addressing.pool", "--pool"),
        ("addressing.gateway", "--gateway"),
        ("service", "-x"),
    ];
    let flag = flags.iter().find(|(prefix, _)| field.starts_with(prefix));
    flag.map_or(field, |(_, flag)| flag).to_owned()
}

/// Collects faults while a document is gone through.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<FieldFault>);

impl Faults {
    /// Adds one, of one line whatever the values that it names.
    pub(crate) fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(FieldFault { field: in_one_line(field.into()), message: in_one_line(message.into()) });
    }

    /// The first.
    pub(crate) fn first(&self) -> Option<&FieldFault> {
        self.0.first()
    }

    /// `value`, when no fault was found.
    pub(crate) fn none_or<T>(self, value: T) -> Result<T, SettingsFaults> {
        if self.0.is_empty() { Ok(value) } else { Err(SettingsFaults(self.0)) }
    }
}

fn in_one_line(text: String) -> String {
    if !text.contains(char::is_control) {
        return text;
    }
    text.chars().map(|one| if one.is_control() { one.escape_default().to_string() } else { one.to_string() }).collect()
}

#[cfg(test)]
mod tests;
