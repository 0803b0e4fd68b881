//! The proof of order: behind a gap, or where a session is picked up, a hidden request may have shifted the answers against the
//! requests.
//!
//! Two answers in a row that match their counterparts, and differ from one another, prove that they have not been. Where no answer is
//! quite like its counterpart, as with tokens, three in a row do so that are of their counterparts' kinds, each of another: shifted by
//! one or two, some of them would be of another kind than their counterparts. A kind is a status, a type and the names of the fields.

use super::answer::Answer;
use super::{Exchange, Exchanges};
use crate::ledger::Incomparable;
use crate::message::Verdict;
use xxhash_rust::xxh3::xxh3_64;

/// An order that is not proven.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Doubt {
    /// From this exchange on it is not proven which answer belongs to which request.
    from: u64,
    /// Only exchanges from this one on can prove it: those before lie ahead of the last gap.
    proof_from: u64,
    /// What the last of them matched with.
    last_match: Option<u64>,
    /// Of which kinds the last two of them were, the last one first.
    last_kinds: [Option<u64>; 2],
}

impl Doubt {
    /// Whether an exchange proves the order together with those before it.
    fn is_ended_by(&mut self, exchange: &Exchange, is_match: bool) -> bool {
        let print = is_match.then(|| fingerprint(&exchange.target));
        let is_other = |one: Option<u64>, another: Option<u64>| one.is_some() && another.is_some() && one != another;
        let matched = is_other(print, self.last_match);
        let [last, before] = self.last_kinds;
        let kind =
            kind(&exchange.target.head).filter(|kind_of_target| kind(&exchange.origin.head) == Some(*kind_of_target));
        let alike = is_other(kind, last) && is_other(kind, before) && is_other(last, before);
        (self.last_match, self.last_kinds) = (print, [kind, last]);
        matched || alike
    }
}

impl Exchanges {
    /// Bytes of another session may come in between: the order of the exchanges must be proven first.
    pub fn doubt(&mut self) {
        self.doubt.get_or_insert_default();
    }

    /// What has been said up to the next request cannot be told apart.
    pub(super) fn doubt_from_next(&mut self) {
        let proof_from = self.next_id();
        let from = self.doubt.as_ref().map_or(proof_from, |doubt| doubt.from);
        self.doubt = Some(Box::new(Doubt { from, proof_from, ..Doubt::default() }));
    }

    /// Lets only a match count as long as the order of the exchanges is not proven, and finds the proof.
    pub(super) fn prove(&mut self, id: u64, verdict: Verdict) -> Verdict {
        let Some(mut doubt) = self.doubt.take() else { return verdict };
        let Some(exchange) = self.get(id).filter(|exchange| id >= doubt.from && !exchange.expect.silent) else {
            self.doubt = Some(doubt);
            return verdict;
        };
        let is_proven = match &verdict {
            Verdict::Match | Verdict::Differ(_) if id >= doubt.proof_from => {
                doubt.is_ended_by(exchange, verdict == Verdict::Match)
            }
            _ => {
                (doubt.last_match, doubt.last_kinds) = Default::default();
                false
            }
        };
        self.doubt = Some(doubt).filter(|_| !is_proven);
        match verdict {
            Verdict::Differ(_) => Verdict::Incomparable(Incomparable::Unproven),
            other => other,
        }
    }
}

/// What tells two answers apart.
fn fingerprint(answer: &Answer) -> u64 {
    let kept = xxh3_64(&answer.body);
    kept ^ answer.body_len.rotate_left(32) ^ answer.rest_hash().unwrap_or(0) as u64
}

/// Of which kind an answer with this head is, if it has one: the order of its fields says nothing, nor do those of the framing.
fn kind(head: &[u8]) -> Option<u64> {
    const FRAMING: [&[u8]; 5] = [b"connection", b"content-length", b"keep-alive", b"trailer", b"transfer-encoding"];
    let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    let status = lines.next()?.split(|byte| *byte == b' ').nth(1)?;
    let fields = lines.map(|line| {
        let (name, value) = line.split_at(line.iter().position(|byte| *byte == b':').unwrap_or(line.len()));
        let name = name.to_ascii_lowercase();
        match name.as_slice() {
            b"content-type" => xxh3_64(value).rotate_left(1),
            name if FRAMING.contains(&name) => 0,
            name => xxh3_64(name),
        }
    });
    Some(fields.fold(xxh3_64(status), u64::wrapping_add))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_s_kind_is_what_its_values_do_not_change() {
        let item =
            kind(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Trace: 1\r\nContent-Length: 3\r\n\r\n");
        assert_eq!(item, kind(b"HTTP/1.1 200 OK\r\nx-trace: 2\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n"));
        for other in [
            "HTTP/1.1 404 OK\r\nContent-Type: application/json\r\nX-Trace: 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nX-Trace: 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n",
        ] {
            assert!(item.is_some() && kind(other.as_bytes()) != item, "{other}");
        }
        assert_eq!((kind(b""), kind(b"+OK\r\n")), (None, None));
    }
}
