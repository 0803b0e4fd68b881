//! Comparison: the target's answer held against the origin's.

pub use crate::exchange::Alignment;
pub use crate::exchange::answer::Answer;

use crate::ledger::Incomparable;
use crate::message::{Difference, Verdict};

/// As many fields as a framer lets a head have: an answer that was cut must be read here too.
const FIELDS_MAX: usize = 256;

/// Fields that say when, by whom or how a message was sent, not what: never compared. Content-Length and Transfer-Encoding
/// are among them because the content itself is compared without its framing.
const VOLATILE: [&str; 14] = [
    "age",
    "connection",
    "content-length",
    "date",
    "etag",
    "expires",
    "keep-alive",
    "last-modified",
    "server",
    "set-cookie",
    "trailer",
    "transfer-encoding",
    "via",
    "x-request-id",
];

/// The verdict on two whole answers.
pub fn compare(origin: &Answer, target: &Answer, alignment: Alignment) -> Verdict {
    let difference = head_difference(&origin.head, &target.head).or_else(|| body_difference(origin, target));
    match (difference, alignment) {
        (None, _) if origin.body.len() != target.body.len() => Verdict::Incomparable(Incomparable::Limit),
        (None, _) => Verdict::Match,
        (Some(_), Alignment::Lost) => Verdict::Incomparable(Incomparable::Unaligned),
        (Some(difference), _) => Verdict::Differ(difference),
    }
}

/// The first difference of the two contents. Where the bounds kept different amounts of them, what only one side kept is
/// not compared.
fn body_difference(origin: &Answer, target: &Answer) -> Option<Difference> {
    let unequal = origin.body.iter().zip(&target.body).position(|(left, right)| left != right);
    let offset = match unequal {
        Some(offset) => Some(offset as u64),
        None if origin.body_len != target.body_len => Some(origin.body_len.min(target.body_len)),
        None if origin.body.len() == target.body.len() && origin.rest_hash() != target.rest_hash() => None,
        None => return None,
    };
    Some(Difference { part: "body".to_owned(), offset })
}

fn head_difference(origin: &[u8], target: &[u8]) -> Option<Difference> {
    if origin == target {
        return None;
    }
    let (mut origin_fields, mut target_fields) = (no_fields(), no_fields());
    let origin = Head::parse(origin, &mut origin_fields);
    let target = Head::parse(target, &mut target_fields);
    let part = match (origin, target) {
        (Some(origin), Some(target)) if origin.status != target.status => "status".to_owned(),
        (Some(origin), Some(target)) => format!("header:{}", origin.unequal_field(&target)?),
        _ => "head".to_owned(),
    };
    Some(Difference { part, offset: None })
}

fn no_fields<'a>() -> [httparse::Header<'a>; FIELDS_MAX] {
    [httparse::EMPTY_HEADER; FIELDS_MAX]
}

struct Head<'h, 'b> {
    status: Option<u16>,
    fields: &'h [httparse::Header<'b>],
}

impl<'h, 'b> Head<'h, 'b> {
    fn parse(bytes: &'b [u8], fields: &'h mut [httparse::Header<'b>]) -> Option<Self> {
        let mut response = httparse::Response::new(fields);
        let config = lenient();
        config.parse_response(&mut response, bytes).ok()?;
        Some(Self { status: response.code, fields: response.headers })
    }

    fn values<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'b [u8]> + 's {
        self.fields.iter().filter(move |field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    }

    /// The first field, in this head's order and then the other's, whose values are not the same in both.
    fn unequal_field(&self, other: &Head<'_, '_>) -> Option<String> {
        let names = self.fields.iter().map(|field| field.name).chain(other.fields.iter().map(|field| field.name));
        names
            .filter(|name| !VOLATILE.iter().any(|volatile| volatile.eq_ignore_ascii_case(name)))
            .find(|name| !self.values(name).eq(other.values(name)))
            .map(str::to_ascii_lowercase)
    }
}

fn lenient() -> httparse::ParserConfig {
    let mut config = httparse::ParserConfig::default();
    config.allow_obsolete_multiline_headers_in_responses(true);
    config.allow_multiple_spaces_in_response_status_delimiters(true);
    config.allow_spaces_after_header_name_in_responses(true);
    config.ignore_invalid_headers_in_responses(true);
    config
}
