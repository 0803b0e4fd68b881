//! The settings document as it is written: TOML in files, JSON over REST and in the store. `reading` makes one of a text.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The version that this program writes and reads.
pub const SCHEMA_VERSION: u32 = 1;

/// How a document is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// As in files.
    Toml,
    /// As over REST.
    Json,
}

/// The whole document. Its fields mean what the settings reference says; nothing is checked yet but their types.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Document {
    /// Always [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The part of the traffic that is this box's, `k/n`: one of n boxes fed with the same mirror (default: all of it).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shard: Option<String>,
    /// Threads that share the box's traffic: a number, or `auto` (default), one for each processor but one.
    pub shards: Shards,
    /// Interfaces.
    pub nics: Nics,
    /// Addresses that sessions come from.
    pub addressing: Addressing,
    /// The address of the page, where the machine is the box's own; by DHCP on the target NIC without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub management: Option<Management>,
    /// What is recorded; nothing without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<Record>,
    /// What is kept of the exchanges.
    pub records: Records,
    /// Who knows the time, where the box keeps its own clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Time>,
    /// Where the log goes besides; nowhere without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub syslog: Option<Syslog>,
    /// How answers are compared; by the defaults without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
    /// What is replayed, and where to.
    pub service: Vec<Service>,
}

/// How many threads share the box's traffic.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Shards {
    /// So many.
    Count(u32),
    /// `auto`.
    Word(String),
}

impl Default for Shards {
    fn default() -> Self {
        Self::Word("auto".to_owned())
    }
}

/// The section `[comparison]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Names of header fields that are never compared, in place of the default's.
    pub volatile_headers: Vec<String>,
}

/// One `[[service.rule]]`: what is not compared, or compared otherwise, of the answers for certain paths.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rule {
    /// A path with `*` for any run of characters, or, for protocols without paths, a command (default: `*`).
    pub path: String,
    /// `status`, `header:NAME`, `body`, or JSON paths such as `$.items[*].id`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<String>,
    /// A regular expression; what it matches is left out of header values, JSON strings and lines before they are compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignore_pattern: Option<String>,
    /// By how much two JSON numbers may differ, as a part of the larger (0.01: one percent).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<f64>,
    /// JSON paths of arrays whose order says nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unordered: Vec<String>,
}

/// The section `[nics]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Nics {
    /// One or more, receive only: each by its name, its Ethernet address or its PCI address.
    pub mirror: Vec<String>,
    /// Towards the servers under test, named as those.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// A pcap filter, ANDed with the one that the services give.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// VLAN whose tag the frames of the target NIC carry (default: none).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_vlan: Option<u16>,
    /// Ring of each mirror NIC in MiB (default 64): at 10 Gbit/s some 50 ms.
    pub buffer_mib: u32,
}

/// The section `[addressing]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Addressing {
    /// `pool` (default) or `preserve`.
    pub mode: String,
    /// Ranges, `FIRST-LAST/PREFIX`, which the box owns on the target NIC's network. With `preserve` they are for sessions
    /// whose client and target are of different families.
    pub pool: Vec<String>,
    /// Subnets of the target NIC's network, `ADDRESS/PREFIX` (default: those of the pool).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub link: Vec<String>,
    /// Addresses on that network to which targets send what is for other networks, and for which the box answers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub emulate_gateway: Vec<String>,
    /// Next hop, only where a target is off the link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
}

/// The section `[management]`, which the firmware follows: an ordinary host has addresses of its own.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Management {
    /// The interface that carries the address, named as in `[nics]`; never a mirror NIC (default: the target NIC).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nic: Option<String>,
    /// `dhcp` (default) or `static`.
    pub mode: String,
    /// `ADDRESS/PREFIX` of IPv4, for `static`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The router to other networks, for `static` (default: none).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
}

/// The section `[record]`: the mirror's frames in pcapng files, in `run`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Record {
    /// The folder of the files; it is made if there is none.
    pub directory: String,
    /// Names of the services that are recorded (default: all).
    pub services: Vec<String>,
    /// Size in MiB at which a file is closed (default 100).
    pub file_mib: u64,
    /// Age in seconds at which it is (default 3,600).
    pub file_seconds: u64,
    /// Size of all files in MiB beyond which the oldest are removed (default 10,240).
    pub total_mib: u64,
    /// Age in hours beyond which they are (default 168, a week).
    pub total_hours: u64,
}

/// The section `[records]`: one record of each exchange under the data folder, in `run`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Records {
    /// Whether exchanges are recorded (default true).
    pub enabled: bool,
    /// Size of all records in bytes beyond which the oldest are removed (default 2 GiB, some 20 million without contents).
    pub max_bytes: u64,
    /// Age in hours beyond which they are (default 168, a week).
    pub max_age_hours: u64,
    /// Exchanges that do not differ, in percent, of which what was said is kept, too (default 0.1).
    pub sample_percent_bodies: f64,
    /// Names of headers that are masked beside the usual ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mask_headers: Vec<String>,
    /// Names of fields (of JSON, forms, queries, XML) that are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mask_fields: Vec<String>,
    /// Regular expressions: what they match is masked; where they have groups, what those match.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mask_patterns: Vec<String>,
}

/// The section `[time]`, which the firmware follows: an ordinary host keeps its own clock.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Time {
    /// Servers of NTP, `IP` or `IP:PORT`, in place of those that DHCP names.
    pub servers: Vec<String>,
}

/// The section `[syslog]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Syslog {
    /// Who collects the log, `IP` or `IP:PORT` (default: port 514).
    pub server: String,
    /// `udp` (default) or `tcp`.
    pub transport: String,
}

/// One `[[service]]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Service {
    /// Its name on the page and in metrics (default: `service-` and its number from 1).
    pub name: String,
    /// Production servers, `IP:PORT` or `*:PORT`.
    pub origins: Vec<String>,
    /// Servers under test, `IP:PORT`.
    pub targets: Vec<String>,
    /// `auto` (default), `http` or `raw`.
    pub protocol: String,
    /// `turns` (default) or `immediate`.
    pub pacing: String,
    /// Clients replayed, in percent (default 100).
    pub sample_percent: f64,
    /// How often each session is replayed against a target, from distinct addresses or ports (default 1).
    pub copies: u32,
    /// `one` (default): each session goes to one of the targets, by hash of the client's address; `all`: to every target.
    pub mirror_to: String,
    /// Sessions that begin to be replayed in a second; the others are left out whole (default: no cap).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_sessions_per_second: Option<u32>,
    /// Rules for HTTP requests; the first that matches decides.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filter: Vec<Filter>,
    /// What HTTP requests say otherwise than in production.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rewrite: Option<Rewrite>,
    /// What is not compared, or compared otherwise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rule: Vec<Rule>,
}

/// One `[[service.filter]]`. It matches a request of which all that it names is true.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Filter {
    /// `allow` or `deny`.
    pub action: String,
    /// Any of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub method: Vec<String>,
    /// A pattern, in which `*` stands for anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// A name and a pattern, `NAME: PATTERN`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
}

/// The section `[service.rewrite]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Rewrite {
    /// In place of the name and port that the client asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Another beginning of the path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_prefix: Option<PathPrefix>,
    /// Fields with one value each, in place of all of that name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub set_headers: BTreeMap<String, String>,
    /// Names of fields that are left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remove_headers: Vec<String>,
}

/// The table `path_prefix`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PathPrefix {
    /// Before.
    pub from: String,
    /// After.
    pub to: String,
}

impl Default for Document {
    fn default() -> Self {
        let (nics, addressing) = (Nics::default(), Addressing::default());
        let records = Records::default();
        Self {
            schema_version: SCHEMA_VERSION,
            shard: None,
            shards: Shards::default(),
            nics,
            addressing,
            management: None,
            record: None,
            records,
            time: None,
            syslog: None,
            comparison: None,
            service: Vec::new(),
        }
    }
}

impl Default for Records {
    fn default() -> Self {
        Self {
            enabled: true,
            max_bytes: 2 << 30,
            max_age_hours: 168,
            sample_percent_bodies: 0.1,
            mask_headers: Vec::new(),
            mask_fields: Vec::new(),
            mask_patterns: Vec::new(),
        }
    }
}

impl Default for Nics {
    fn default() -> Self {
        Self { mirror: Vec::new(), target: None, target_vlan: None, filter: None, buffer_mib: 64 }
    }
}

impl Default for Addressing {
    fn default() -> Self {
        let (pool, link, emulate_gateway) = (Vec::new(), Vec::new(), Vec::new());
        Self { mode: "pool".to_owned(), pool, link, emulate_gateway, gateway: None }
    }
}

impl Default for Management {
    fn default() -> Self {
        Self { nic: None, mode: "dhcp".to_owned(), address: None, gateway: None }
    }
}

impl fmt::Display for Management {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.mode)?;
        let parts = [("", &self.address), ("gateway ", &self.gateway), ("on ", &self.nic)];
        parts.iter().try_for_each(|(word, part)| part.iter().try_for_each(|part| write!(f, " {word}{part}")))
    }
}

impl Default for Service {
    fn default() -> Self {
        Self {
            name: String::new(),
            origins: Vec::new(),
            targets: Vec::new(),
            protocol: "auto".to_owned(),
            pacing: "turns".to_owned(),
            sample_percent: 100.0,
            copies: 1,
            rule: Vec::new(),
            mirror_to: "one".to_owned(),
            max_sessions_per_second: None,
            filter: Vec::new(),
            rewrite: None,
        }
    }
}
