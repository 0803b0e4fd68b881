//! Selection: which requests of a service are replayed, and in which words.
//!
//! Both are decided once a request's head is whole and before its first byte goes out. They are of HTTP/1: in a session of
//! another protocol there is nothing to hold the rules against, and it is not replayed, because a rule that leaves requests
//! out must not fail by letting them through.

pub mod cap;
pub mod filter;
mod head;
pub mod rewrite;

use filter::{Action, Rule};
use head::Head;
use rewrite::Rewrite;

/// What a service does with the requests of its sessions.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// The first that matches a request decides; one that none matches is replayed.
    pub rules: Vec<Rule>,
    /// What is said otherwise than in production.
    pub rewrite: Option<Rewrite>,
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is sent as it is.
    Keep,
    /// It is not sent.
    Drop,
    /// It is sent with this head in place of its own.
    Rewrite(Vec<u8>),
}

impl Selection {
    /// Whether every request is replayed as it is.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.rewrite.is_none()
    }

    /// Decides on a whole request head, from the request line to the empty line.
    pub fn decide(&self, head: &[u8]) -> Decision {
        let Some(head) = Head::parse(head) else { return Decision::Drop };
        let first = self.rules.iter().find(|rule| rule.matches(&head));
        match (first.map(|rule| rule.action), &self.rewrite) {
            (Some(Action::Deny), _) => Decision::Drop,
            (_, Some(rewrite)) => Decision::Rewrite(rewrite.apply(&head)),
            (_, None) => Decision::Keep,
        }
    }
}

#[cfg(test)]
mod tests;
