//! Masking: secrets become asterisks, byte for byte, before anything is written.
//!
//! What is masked may be of any protocol, cut anywhere, or garbled, so nothing is parsed but rows of SQL results, whose names stand
//! far from their values: each rule looks for the name of a secret beside a separator and covers what stands behind it. The length stays, so that lengths which a message gives of
//! itself stay true; the price is that it shows how long a secret is. A rule that covers too much is a lesser evil than one
//! that covers too little.

mod cards;
mod fields;
mod lines;
mod names;
mod patterns;
mod protocols;
mod rows;
#[cfg(test)]
mod tests;

use names::Names;
use patterns::Patterns;

/// The rules: those that are always there, and those that were added.
#[derive(Clone, Debug, Default)]
pub struct Masks {
    names: Names,
    patterns: Patterns,
}

impl Masks {
    /// The rules with further headers and fields (of JSON, forms, queries, XML), whose names are compared without case and
    /// punctuation, and with regular expressions for what has no name. One that is none says nothing.
    pub fn new(headers: &[String], fields: &[String], patterns: &[String]) -> Self {
        Self { names: Names::new(headers, fields), patterns: Patterns::new(patterns) }
    }

    /// Whether a text is a pattern.
    ///
    /// # Errors
    /// What is wrong with it, and the mend.
    pub fn check_pattern(text: &str) -> Result<(), String> {
        patterns::parse(text).map(drop)
    }

    /// Covers every secret that the rules find.
    pub fn apply(&self, bytes: &mut [u8]) {
        lines::mask(bytes, &self.names);
        rows::mask(bytes, &self.names);
        fields::mask(bytes, &self.names);
        protocols::mask(bytes);
        cards::mask(bytes);
        self.patterns.mask(bytes);
    }

    /// What a field of this path says, without secrets.
    pub fn masked(&self, path: &str, value: &str) -> String {
        let mut bytes = value.as_bytes().to_vec();
        self.apply_to_value(path, &mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Covers what a field of this path says: all of it where the path names a secret.
    fn apply_to_value(&self, path: &str, value: &mut [u8]) {
        let mut names = path.split(|byte: char| !(byte.is_alphanumeric() || "-_".contains(byte)));
        if names.any(|name| self.names.is_secret_header(name.as_bytes()) || self.names.is_secret_field(name.as_bytes()))
        {
            return cover(value);
        }
        self.apply(value);
    }
}

/// Covers bytes.
fn cover(bytes: &mut [u8]) {
    bytes.fill(b'*');
}

/// Where a byte for which `is_end` holds comes, or the end.
fn find(bytes: &[u8], from: usize, is_end: impl Fn(u8) -> bool) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    rest.iter().position(|byte| is_end(*byte)).map_or(bytes.len(), |offset| from + offset)
}

/// Where this text begins, from there on, without regard to case.
fn find_text(bytes: &[u8], from: usize, text: &[u8]) -> Option<usize> {
    let (first, rest) = text.split_first()?;
    let bytes = bytes.get(from..)?;
    let starts = memchr::memchr2_iter(first.to_ascii_lowercase(), first.to_ascii_uppercase(), bytes);
    let is_text =
        |start: &usize| bytes[start + 1..].get(..rest.len()).is_some_and(|behind| behind.eq_ignore_ascii_case(rest));
    starts.into_iter().find(is_text).map(|start| from + start)
}
