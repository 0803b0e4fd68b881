//! What the settings leave out of the comparison: rules for paths, and the header fields that are never compared.

use crate::protocol::reply::Name;
use crate::selection::filter::Glob;
use core::fmt;
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
    /// By how much of the larger one two numbers may differ.
    pub tolerance: f64,
    /// Arrays, lists and rows whose order says nothing.
    pub unordered: Vec<Field>,
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

    /// The rules for a request for any of these paths (for protocols without paths: its command, and that with its key or table).
    pub fn scope(&self, paths: &[&[u8]]) -> Scope {
        let is_for = |rule: &Rule| paths.iter().any(|path| rule.path.matches(path));
        let bits = self.rules.iter().enumerate().filter(|(_, rule)| is_for(rule));
        Scope(bits.fold(0, |scope, (bit, _)| scope | 1 << bit))
    }

    /// Whether a field of a difference, whose indexes may be folded to `[*]`, is ignored as a whole.
    pub fn ignores(&self, scope: Scope, field: &str) -> bool {
        self.within(scope).flat_map(|rule| &rule.ignore).any(|ignored| ignored.is_of(field))
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
    /// `reply...`, `row *.price`: a place in the answer of another protocol, and all below it.
    Reply(Name, JsonPath),
}

/// What a place lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Root {
    /// A JSON body.
    Json,
    /// An entry of the answer of another protocol, of the result of this number.
    Reply(usize, Name),
}

impl Root {
    /// Whether the places in it are counted from 1.
    pub(super) fn is_counted(self) -> bool {
        matches!(self, Self::Reply(_, name) if name.is_counted())
    }
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json => f.write_str("body:$"),
            Self::Reply(1, name) => f.write_str(name.word()),
            Self::Reply(result, name) => write!(f, "result {result} {}", name.word()),
        }
    }
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
                None => Self::parse_place(text),
            },
        }
    }

    /// Reads a place within an answer.
    ///
    /// # Errors
    /// What is wrong with it, and the mend.
    pub fn parse_place(text: &str) -> Result<Self, String> {
        let place = match text.strip_prefix('$') {
            Some(path) => JsonPath::of(path).map(Self::Json),
            None => Self::in_reply(text),
        };
        place.ok_or_else(|| {
            format!(
                "`{text}` is no field; write status, body, header:NAME, a JSON path such as $.items[*].id, or a field of \
                 a reply such as reply[2], value[*].data, row *.price, rows or error"
            )
        })
    }

    /// `row 3.price`, `row *`, `reply[2]`; which of several results is meant is not told apart.
    fn in_reply(text: &str) -> Option<Self> {
        let text = match text.strip_prefix("result ") {
            Some(rest) => rest.split_once(' ')?.1,
            None => text,
        };
        let end = text.find(|letter: char| !letter.is_ascii_lowercase()).unwrap_or(text.len());
        let (word, rest) = text.split_at(end);
        let name = Name::ALL.into_iter().find(|name| name.word() == word)?;
        let Some(numbered) = rest.strip_prefix(' ').filter(|_| name.is_counted()) else {
            return Some(Self::Reply(name, JsonPath::of(rest)?));
        };
        let end = numbered.find(['.', '[']).unwrap_or(numbered.len());
        let (number, rest) = numbered.split_at(end);
        let first = match number {
            "*" => Step::Any,
            number => Step::Index(number.parse::<usize>().ok()?.checked_sub(1)?),
        };
        let mut path = JsonPath::of(rest)?;
        path.0.insert(0, first);
        Some(Self::Reply(name, path))
    }

    /// Whether it is what a difference calls its field, or what that lies in.
    fn is_of(&self, field: &str) -> bool {
        if *self == Self::Body {
            return field.starts_with("body");
        }
        match (self, Self::parse(field.strip_prefix("body:").unwrap_or(field))) {
            (Self::Json(path), Ok(Self::Json(found))) => path.covers(&found.place()),
            (Self::Reply(name, path), Ok(Self::Reply(other, found))) => *name == other && path.covers(&found.place()),
            (_, Ok(found)) => *self == found,
            (_, Err(_)) => false,
        }
    }

    fn path_in(&self, root: Root) -> Option<&JsonPath> {
        match (self, root) {
            (Self::Json(path), Root::Json) => Some(path),
            (Self::Reply(name, path), Root::Reply(_, of)) if *name == of => Some(path),
            _ => None,
        }
    }

    /// Whether it names the place, or one above it.
    pub(super) fn covers(&self, root: Root, place: &[At<'_>]) -> bool {
        self.path_in(root).is_some_and(|path| path.covers(place))
    }

    /// Whether it names the place itself.
    pub(super) fn is(&self, root: Root, place: &[At<'_>]) -> bool {
        self.path_in(root).is_some_and(|path| path.is(place))
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
    /// Reads the steps of one.
    fn of(mut text: &str) -> Option<Self> {
        let mut steps = Vec::new();
        while !text.is_empty() {
            text = Self::step(text, &mut steps)?;
        }
        Some(Self(steps))
    }

    /// The place that it names; one of any index is at none that a rule can name.
    fn place(&self) -> Vec<At<'_>> {
        let at = |step| match step {
            &Step::Index(index) => At::Index(index),
            Step::Key(key) => At::Key(key.as_bytes()),
            Step::Any | Step::AnyDepth => At::Index(usize::MAX),
        };
        self.0.iter().map(at).collect()
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
    fn covers(&self, place: &[At<'_>]) -> bool {
        matches(&self.0, place, true)
    }

    /// Whether it names the place itself.
    fn is(&self, place: &[At<'_>]) -> bool {
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
            let field = Field::parse(path).expect("a path");
            let (at, root) = (place(at), Root::Json);
            assert_eq!((field.covers(root, &at), field.is(root, &at)), (covers, is), "{path} of {at:?}");
            assert!(!field.covers(Root::Reply(1, Name::Reply), &at));
        }
        assert_eq!(Field::parse("header:X-Trace"), Ok(Field::Header("x-trace".to_owned())));
        assert_eq!(Field::parse("status"), Ok(Field::Status));
        for (field, name, at, covers) in [
            ("reply", Name::Reply, "3 a", true),
            ("reply[2]", Name::Reply, "2", true),
            ("reply[*].a", Name::Reply, "2", false),
            ("row 3.price", Name::Row, "2 price", true),
            ("row *.price", Name::Row, "7 price", true),
            ("row *.price", Name::Row, "7 name", false),
            ("row", Name::Row, "7", true),
            ("result * row *", Name::Row, "7", true),
            ("rows", Name::Row, "", false),
            ("value[*].data", Name::Value, "k data", true),
        ] {
            let found = Field::parse(field).expect("a field").covers(Root::Reply(2, name), &place(at));
            assert_eq!(found, covers, "{field} of {at}");
        }
        for wrong in ["row 0", "rows 1", "row x", "reply 2", "replies", "result 2", "row *."] {
            assert!(Field::parse(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "header:", "header:a b", "a", "$a", "$.", "$[", "$[x]", "$..", "$.a..b.", "$[\"a]"] {
            assert!(Field::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_rule_ignores_whole_fields() {
        for (ignored, field, is) in [
            ("status", "status", true),
            ("header:X-Trace", "header:x-trace", true),
            ("header:x-trace", "header:x-tracer", false),
            ("body", "body:line 3", true),
            ("body", "status", false),
            ("$.items[*].id", "body:$.items[*].id", true),
            ("$.items[2].id", "body:$.items[*].id", false),
            ("$.meta", "body:$.meta.at", true),
            ("$..id", "body:$.a[*].id", true),
            ("$.a", "body", false),
            ("reply[1]", "reply[*]", false),
            ("reply", "reply[*].name", true),
            ("row *.price", "row *.price", true),
            ("row *.price", "result 2 row *.price", true),
            ("row *.price", "row *.name", false),
        ] {
            let ignore = vec![Field::parse(ignored).expect("a field")];
            let path = Glob::new("/a*");
            let rule = Rule { path, ignore, ignore_pattern: None, tolerance: 0.0, unordered: Vec::new() };
            let rules = Rules::new(Vec::new(), vec![rule]);
            assert_eq!(rules.ignores(rules.scope(&[b"/a/{number}"]), field), is, "{ignored} of {field}");
            assert!(!rules.ignores(rules.scope(&[b"/b"]), field));
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
        let found = |path: &str| rules.within(rules.scope(&[path.as_bytes()])).count();
        assert_eq!(["/a/b", "/b", "/c"].map(found), [2, 2, 1]);
        assert!(!rules.is_volatile("date") && Rules::default().is_volatile("DATE"));
    }
}
