//! What the settings describe by its look: regular expressions, for texts in UTF-8 and for what is between other bytes.

use super::cover;
use regex_lite::Regex;

/// Longest pattern.
const PATTERN_BYTES: usize = 1_000;

/// The patterns.
#[derive(Clone, Debug, Default)]
pub struct Patterns(Vec<Regex>);

/// Reads one.
pub fn parse(text: &str) -> Result<Regex, String> {
    match Regex::new(text) {
        _ if text.is_empty() => Err("is empty; leave it out, or write a regular expression".to_owned()),
        _ if text.len() > PATTERN_BYTES => Err(format!("is longer than {PATTERN_BYTES} bytes; make two of it")),
        Ok(regex) => Ok(regex),
        Err(fault) => Err(format!("`{text}` is no regular expression: {fault}; mend it there")),
    }
}

impl Patterns {
    pub fn new(texts: &[String]) -> Self {
        Self(texts.iter().filter_map(|text| parse(text).ok()).collect())
    }

    /// Covers what they match; of a pattern with groups, what its groups match.
    pub fn mask(&self, bytes: &mut [u8]) {
        for pattern in &self.0 {
            let (mut at, mut found) = (0, Vec::new());
            for chunk in bytes.utf8_chunks() {
                for captures in pattern.captures_iter(chunk.valid()) {
                    let mut groups: Vec<_> = captures.iter().skip(1).flatten().collect();
                    if groups.is_empty() {
                        groups.extend(captures.get(0));
                    }
                    found.extend(groups.iter().map(|group| at + group.start()..at + group.end()));
                }
                at += chunk.valid().len() + chunk.invalid().len();
            }
            found.into_iter().for_each(|range| cover(&mut bytes[range]));
        }
    }
}
