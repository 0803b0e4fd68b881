//! What the settings leave out of the comparison: rules for paths, and the header fields that are never compared.

use crate::selection::filter::Glob;
use regex_lite::Regex;

/// Fields that say when, by whom or how an answer was made, not what it is: not compared unless the settings say otherwise.
pub const VOLATILE_HEADERS: [&str; 9] =
    ["age", "date", "etag", "expires", "last-modified", "server", "via", "x-request-id", "x-runtime"];

/// Rules that one service can have: a scope has a bit for each.
pub const RULES_MAX: usize = 64;

/// The rules of one service.
#[derive(Clone, Debug)]
pub struct Rules {
    volatile: Vec<String>,
    rules: Vec<Rule>,
}

/// What is not compared, or compared otherwise, in the answers to requests for certain paths.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Whose answers it is for.
    pub path: Glob,
    /// What is not compared.
    pub ignore: Vec<Field>,
    /// What is left out of header values, JSON strings and lines before they are compared.
    pub ignore_pattern: Option<Pattern>,
    /// By how much of the larger one two JSON numbers may differ.
    pub tolerance: f64,
    /// JSON arrays whose order says nothing.
    pub unordered: Vec<JsonPath>,
}

/// Which rules of a service are for a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scope(u64);

impl Default for Rules {
    fn default() -> Self {
        Self::new(VOLATILE_HEADERS.map(str::to_owned).into(), Vec::new())
    }
}

impl Rules {
    /// Rules beyond [`RULES_MAX`] are left out. `volatile`: names of header fields that are not compared.
    pub fn new(volatile: Vec<String>, mut rules: Vec<Rule>) -> Self {
        rules.truncate(RULES_MAX);
        Self { volatile, rules }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The rules for a request for `path` (for protocols without paths: its command).
    pub fn scope(&self, path: &[u8]) -> Scope {
        let bits = self.rules.iter().enumerate().filter(|(_, rule)| rule.path.matches(path));
        Scope(bits.fold(0, |scope, (bit, _)| scope | 1 << bit))
    }

    pub(super) fn within(&self, scope: Scope) -> impl Iterator<Item = &Rule> {
        self.rules.iter().enumerate().filter(move |(bit, _)| scope.0 >> bit & 1 == 1).map(|(_, rule)| rule)
    }

    pub(super) fn is_volatile(&self, header: &str) -> bool {
        self.volatile.iter().any(|name| name.eq_ignore_ascii_case(header))
    }
}

/// A part of an answer that can be left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// `status`.
    Status,
    /// `header:NAME`, in lower case.
    Header(String),
    /// `body`: all of it.
    Body,
    /// `$...`: a place in a JSON body, and all below it.
    Json(JsonPath),
}

impl Field {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it, and the mend.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "status" => Ok(Self::Status),
            "body" => Ok(Self::Body),
            text => match text.strip_prefix("header:") {
                Some(name) if is_header_name(name) => Ok(Self::Header(name.to_ascii_lowercase())),
                Some(name) => Err(format!("`{name}` is no name of a header; write one such as header:x-trace")),
                None => JsonPath::parse(text).map(Self::Json),
            },
        }
    }
}

/// Whether a text is a token, as names of header fields are (RFC 9110, section 5.1).
pub fn is_header_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// A place in a JSON document: `$`, then `.key`, `["key"]`, `[3]`, `[*]`, `.*`, or `..key` for a key at any depth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPath(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
    Any,
    AnyDepth,
}

/// One step of a place that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At<'a> {
    Key(&'a [u8]),
    Index(usize),
}

impl JsonPath {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it, and the mend.
    pub fn parse(text: &str) -> Result<Self, String> {
        let fault =
            || format!("`{text}` is no field; write status, body, header:NAME, or a JSON path such as $.items[*].id");
        let mut rest = text.strip_prefix('$').ok_or_else(fault)?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            rest = Self::step(rest, &mut steps).ok_or_else(fault)?;
        }
        Ok(Self(steps))
    }

    /// Reads one step; the text behind it.
    fn step<'t>(text: &'t str, steps: &mut Vec<Step>) -> Option<&'t str> {
        if let Some(rest) = text.strip_prefix("[\"") {
            let (key, rest) = rest.split_once("\"]")?;
            steps.push(Step::Key(key.to_owned()));
            return Some(rest);
        }
        if let Some(rest) = text.strip_prefix('[') {
            let (index, rest) = rest.split_once(']')?;
            steps.push(if index == "*" { Step::Any } else { Step::Index(index.parse().ok()?) });
            return Some(rest);
        }
        let mut rest = text.strip_prefix('.')?;
        if let Some(deeper) = rest.strip_prefix('.') {
            steps.push(Step::AnyDepth);
            rest = deeper;
        }
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let (key, rest) = rest.split_at(end);
        steps.push(match key {
            "" => return None,
            "*" => Step::Any,
            key => Step::Key(key.to_owned()),
        });
        Some(rest)
    }

    /// Whether it names the place, or one above it.
    pub(super) fn covers(&self, place: &[At<'_>]) -> bool {
        matches(&self.0, place, true)
    }

    /// Whether it names the place itself.
    pub(super) fn is(&self, place: &[At<'_>]) -> bool {
        matches(&self.0, place, false)
    }
}

fn matches(steps: &[Step], place: &[At<'_>], or_above: bool) -> bool {
    let Some((step, rest)) = steps.split_first() else { return or_above || place.is_empty() };
    if *step == Step::AnyDepth {
        return (0..place.len()).any(|depth| matches(rest, &place[depth..], or_above));
    }
    let Some((at, below)) = place.split_first() else { return false };
    let fits = match (step, at) {
        (Step::Any, _) => true,
        (Step::Key(key), At::Key(found)) => key.as_bytes() == *found,
        (Step::Index(index), At::Index(found)) => index == found,
        _ => false,
    };
    fits && matches(rest, below, or_above)
}

/// A regular expression for what is left out of texts.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

impl Pattern {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it, and the mend.
    pub fn parse(text: &str) -> Result<Self, String> {
        match Regex::new(text) {
            _ if text.is_empty() => Err("is empty; leave it out, or write a regular expression".to_owned()),
            Ok(regex) => Ok(Self(regex)),
            Err(fault) => Err(format!("`{text}` is no regular expression: {fault}; mend it there")),
        }
    }

    pub(super) fn without(&self, text: &str) -> String {
        self.0.replace_all(text, "").into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place<'a>(text: &'a str) -> Vec<At<'a>> {
        text.split_whitespace().map(|word| word.parse().map_or(At::Key(word.as_bytes()), At::Index)).collect()
    }

    #[test]
    fn fields_are_read_and_found() {
        for (path, at, covers, is) in [
            ("$", "a b", true, false),
            ("$.a", "a", true, true),
            ("$.a", "a 3 b", true, false),
            ("$.a.b", "a", false, false),
            ("$.items[*].id", "items 7 id", true, true),
            ("$.items[2].id", "items 7 id", false, false),
            ("$[\"a b\"].c", "x c", false, false),
            ("$..id", "id", true, true),
            ("$..id", "a 0 b id", true, true),
            ("$..id", "a 0 b idx", false, false),
            ("$.a.*", "a 4", true, true),
        ] {
            let path = JsonPath::parse(path).expect("a path");
            assert_eq!((path.covers(&place(at)), path.is(&place(at))), (covers, is), "{path:?} of {at}");
        }
        assert_eq!(Field::parse("header:X-Trace"), Ok(Field::Header("x-trace".to_owned())));
        assert_eq!(Field::parse("status"), Ok(Field::Status));
        for wrong in ["", "header:", "header:a b", "a", "$a", "$.", "$[", "$[x]", "$..", "$.a..b.", "$[\"a]"] {
            assert!(Field::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_scope_has_the_rules_for_a_path() {
        let rule = |path: &str| Rule {
            path: Glob::new(path),
            ignore: Vec::new(),
            ignore_pattern: None,
            tolerance: 0.0,
            unordered: Vec::new(),
        };
        let rules = Rules::new(Vec::new(), vec![rule("/a*"), rule("/b"), rule("*")]);
        let found = |path: &str| rules.within(rules.scope(path.as_bytes())).count();
        assert_eq!(["/a/b", "/b", "/c"].map(found), [2, 2, 1]);
        assert!(!rules.is_volatile("date") && Rules::default().is_volatile("DATE"));
    }
}
