//! From a text to a document.
//!
//! serde ends at the first fault of a document; a person wants all of them. So the text becomes a tree first, and each
//! key is taken out of it on its own: what cannot be taken is a fault, and what is left at the end is an unknown key.

use super::document::*;
use super::{Faults, FieldFault};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

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
            self.fault(&quoted(key), "is not a key of the settings; remove it or mend its spelling");
        }
    }
}

/// A key as it must be written: what is more than letters, digits, `-` and `_` stands in quotes.
fn quoted(key: String) -> String {
    let is_bare = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_');
    if !key.is_empty() && key.chars().all(is_bare) { key } else { format!("{key:?}") }
}
