//! Rules that allow or deny requests by method, path and field.

use super::head::Head;
use memchr::memmem;

/// What becomes of a request that a rule matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is replayed.
    Allow,
    /// It is not.
    Deny,
}

/// One rule: it matches a request of which everything that it names is true.
#[derive(Clone, Debug)]
pub struct Rule {
    /// What becomes of the request.
    pub action: Action,
    /// It has one of these methods; empty: any.
    pub methods: Vec<String>,
    /// Its path, as it was sent and without the query, is like this.
    pub path: Option<Glob>,
    /// It has a field of this name, in any letter case, with a value like this.
    pub header: Option<(String, Glob)>,
}

impl Rule {
    pub(super) fn matches(&self, head: &Head<'_>) -> bool {
        let is_method = self.methods.is_empty() || self.methods.iter().any(|method| method.as_bytes() == head.method);
        let is_path = |glob: &Glob| {
            let (_, path, _) = head.target_parts();
            glob.matches(path)
        };
        let has_field = |(name, glob): &(String, Glob)| head.values(name).any(|value| glob.matches(value));
        is_method && self.path.as_ref().is_none_or(is_path) && self.header.as_ref().is_none_or(has_field)
    }
}

/// A pattern in which `*` stands for any bytes, none included, and every other byte for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    /// What stands between the stars: at least one piece.
    pieces: Vec<Vec<u8>>,
}

impl Glob {
    /// The pattern that `text` says.
    pub fn new(text: &str) -> Self {
        Self { pieces: text.split('*').map(|piece| piece.as_bytes().to_vec()).collect() }
    }

    /// Whether all of `text` is like the pattern. Each piece is taken where it is found first, so that the time is that of
    /// one pass for each piece.
    pub fn matches(&self, text: &[u8]) -> bool {
        let Some((first, rest)) = self.pieces.split_first() else { return false };
        let Some((last, inner)) = rest.split_last() else { return text == first };
        let Some(mut text) = text.strip_prefix(&first[..]).and_then(|text| text.strip_suffix(&last[..])) else {
            return false;
        };
        inner.iter().all(|piece| match memmem::find(text, piece) {
            Some(at) => {
                text = &text[at + piece.len()..];
                true
            }
            None => false,
        })
    }
}
