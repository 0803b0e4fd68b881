//! The settings document as it is written: TOML in files, JSON over REST and in the store.
//!
//! serde ends at the first fault of a document; a person wants all of them. So the text becomes a tree first, and each
//! key is taken out of it on its own: what cannot be taken is a fault, and what is left at the end is an unknown key.

use super::{Faults, FieldFault};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
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

impl Document {
    /// Reads a document, as far as it can be read, and tells the place of a syntax fault, or all keys that are unknown,
    /// missing or of a wrong type.
    pub fn read(text: &str, format: Format) -> (Self, Vec<FieldFault>) {
        let mut faults = Faults::default();
        let tree = match parse_tree(text, format) {
            Ok(Value::Object(tree)) => tree,
            Ok(_) => {
                faults.add("", "the document is no object; write the settings as one, as in {\"schema_version\": 1}");
                return (Self::default(), faults.0);
            }
            Err(message) => {
                faults.add("", message);
                return (Self::default(), faults.0);
            }
        };
        let mut section = Section { path: String::new(), tree, faults: &mut faults };
        let document = Self::take(&mut section);
        section.end();
        (document, faults.0)
    }

    /// The document as JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a document has only string keys")
    }

    fn take(section: &mut Section<'_>) -> Self {
        let version: Option<u32> = section.optional("schema_version");
        match version {
            Some(SCHEMA_VERSION) => {}
            Some(other) => {
                section.fault("schema_version", format!("is {other}, but this program reads version 1; write that"))
            }
            None if section.has_failed("schema_version") => {}
            None => section.fault("schema_version", "is missing; write `schema_version = 1`"),
        }
        Self {
            schema_version: SCHEMA_VERSION,
            shard: section.optional("shard"),
            shards: section.optional("shards").unwrap_or_default(),
            nics: section.section("nics", Nics::take),
            addressing: section.section("addressing", Addressing::take),
            management: section.section_if_there("management", Management::take),
            record: section.section_if_there("record", Record::take),
            records: section.section("records", Records::take),
            time: section.section_if_there("time", Time::take),
            syslog: section.section_if_there("syslog", Syslog::take),
            comparison: section.section_if_there("comparison", Comparison::take),
            service: section.sections("service", Service::take),
        }
    }
}

impl Time {
    fn take(section: &mut Section<'_>) -> Self {
        Self { servers: section.list("servers") }
    }
}

impl Syslog {
    fn take(section: &mut Section<'_>) -> Self {
        Self {
            server: section.optional("server").unwrap_or_default(),
            transport: section.optional("transport").unwrap_or_else(|| "udp".to_owned()),
        }
    }
}

impl Comparison {
    fn take(section: &mut Section<'_>) -> Self {
        Self { volatile_headers: section.list("volatile_headers") }
    }
}

impl Rule {
    fn take(section: &mut Section<'_>) -> Self {
        Self {
            path: section.optional("path").unwrap_or_else(|| "*".to_owned()),
            ignore: section.list("ignore"),
            ignore_pattern: section.optional("ignore_pattern"),
            tolerance: section.optional("tolerance"),
            unordered: section.list("unordered"),
        }
    }
}

impl Nics {
    fn take(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        Self {
            mirror: section.list("mirror"),
            target: section.optional("target"),
            target_vlan: section.optional("target_vlan"),
            filter: section.optional("filter"),
            buffer_mib: section.optional("buffer_mib").unwrap_or(default.buffer_mib),
        }
    }
}

impl Addressing {
    fn take(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        Self {
            mode: section.optional("mode").unwrap_or(default.mode),
            pool: section.list("pool"),
            link: section.list("link"),
            emulate_gateway: section.list("emulate_gateway"),
            gateway: section.optional("gateway"),
        }
    }
}

impl Management {
    fn take(section: &mut Section<'_>) -> Self {
        Self {
            nic: section.optional("nic"),
            mode: section.optional("mode").unwrap_or_else(|| Self::default().mode),
            address: section.optional("address"),
            gateway: section.optional("gateway"),
        }
    }
}

impl Record {
    fn take(section: &mut Section<'_>) -> Self {
        Self {
            directory: section.optional("directory").unwrap_or_default(),
            services: section.list("services"),
            file_mib: section.optional("file_mib").unwrap_or(100),
            file_seconds: section.optional("file_seconds").unwrap_or(3_600),
            total_mib: section.optional("total_mib").unwrap_or(10_240),
            total_hours: section.optional("total_hours").unwrap_or(168),
        }
    }
}

impl Records {
    fn take(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        Self {
            enabled: section.optional("enabled").unwrap_or(default.enabled),
            max_bytes: section.optional("max_bytes").unwrap_or(default.max_bytes),
            max_age_hours: section.optional("max_age_hours").unwrap_or(default.max_age_hours),
            sample_percent_bodies: section.optional("sample_percent_bodies").unwrap_or(default.sample_percent_bodies),
            mask_headers: section.list("mask_headers"),
            mask_fields: section.list("mask_fields"),
            mask_patterns: section.list("mask_patterns"),
        }
    }
}

impl Service {
    fn take(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        Self {
            name: section.optional("name").unwrap_or(default.name),
            origins: section.list("origins"),
            targets: section.list("targets"),
            protocol: section.optional("protocol").unwrap_or(default.protocol),
            pacing: section.optional("pacing").unwrap_or(default.pacing),
            sample_percent: section.optional("sample_percent").unwrap_or(default.sample_percent),
            copies: section.optional("copies").unwrap_or(default.copies),
            rule: section.sections("rule", Rule::take),
            mirror_to: section.optional("mirror_to").unwrap_or(default.mirror_to),
            max_sessions_per_second: section.optional("max_sessions_per_second"),
            filter: section.sections("filter", Filter::take),
            rewrite: section.section_if_there("rewrite", Rewrite::take),
        }
    }
}

impl Filter {
    fn take(section: &mut Section<'_>) -> Self {
        Self {
            action: section.optional("action").unwrap_or_default(),
            method: section.list("method"),
            path: section.optional("path"),
            header: section.optional("header"),
        }
    }
}

impl Rewrite {
    fn take(section: &mut Section<'_>) -> Self {
        Self {
            host: section.optional("host"),
            path_prefix: section.section_if_there("path_prefix", PathPrefix::take),
            set_headers: section.optional("set_headers").unwrap_or_default(),
            remove_headers: section.list("remove_headers"),
        }
    }
}

impl PathPrefix {
    fn take(section: &mut Section<'_>) -> Self {
        Self { from: section.optional("from").unwrap_or_default(), to: section.optional("to").unwrap_or_default() }
    }
}

/// The tree of a text, or the syntax fault with its place.
fn parse_tree(text: &str, format: Format) -> Result<Value, String> {
    match format {
        Format::Json => serde_json::from_str(text).map_err(|fault| format!("not JSON: {fault}; mend the syntax there")),
        Format::Toml => toml::from_str(text).map_err(|fault| {
            let before = fault.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            let what = fault.message().lines().collect::<Vec<_>>().join(", ");
            format!("not TOML at line {line}: {what}; mend the syntax there")
        }),
    }
}

/// A table of the document from which the known keys are taken one by one.
struct Section<'a> {
    /// With a dot at its end unless empty.
    path: String,
    tree: Map<String, Value>,
    faults: &'a mut Faults,
}

impl Section<'_> {
    fn fault(&mut self, key: &str, message: impl Into<String>) {
        self.faults.add(format!("{}{key}", self.path), message);
    }

    fn has_failed(&self, key: &str) -> bool {
        let field = format!("{}{key}", self.path);
        self.faults.0.iter().any(|fault| fault.field == field)
    }

    fn optional<T: DeserializeOwned>(&mut self, key: &str) -> Option<T> {
        let value = self.tree.remove(key)?;
        serde_json::from_value(value)
            .map_err(|fault| self.fault(key, format!("{fault}; write a value of that kind")))
            .ok()
    }

    fn list(&mut self, key: &str) -> Vec<String> {
        let Some(values) = self.optional::<Vec<Value>>(key) else { return Vec::new() };
        let texts = values.into_iter().enumerate().map(|(index, value)| match value {
            Value::String(text) => text,
            other => {
                self.fault(&format!("{key}[{index}]"), format!("{other} is not text; write it in quotes"));
                String::new()
            }
        });
        texts.collect()
    }

    /// A sub-table; a missing one is empty.
    fn section<T>(&mut self, key: &str, take: fn(&mut Section<'_>) -> T) -> T {
        let tree = self.optional(key).unwrap_or_default();
        self.enter(format!("{key}."), tree, take)
    }

    fn section_if_there<T>(&mut self, key: &str, take: fn(&mut Section<'_>) -> T) -> Option<T> {
        self.tree.contains_key(key).then(|| self.section(key, take))
    }

    /// An array of tables.
    fn sections<T>(&mut self, key: &str, take: fn(&mut Section<'_>) -> T) -> Vec<T> {
        let trees: Vec<Map<String, Value>> = self.optional(key).unwrap_or_default();
        let enter = |(index, tree)| self.enter(format!("{key}[{index}]."), tree, take);
        trees.into_iter().enumerate().map(enter).collect()
    }

    fn enter<T>(&mut self, name: String, tree: Map<String, Value>, take: fn(&mut Section<'_>) -> T) -> T {
        let path = format!("{}{name}", self.path);
        let mut inner = Section { path, tree, faults: self.faults };
        let value = take(&mut inner);
        inner.end();
        value
    }

    /// Every key that is left is one that nobody knows.
    fn end(&mut self) {
        for key in std::mem::take(&mut self.tree).into_iter().map(|(key, _)| key) {
            self.fault(&key, "is not a key of the settings; remove it or mend its spelling");
        }
    }
}
