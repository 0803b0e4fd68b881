//! The origin's own earlier answers, by request, as many as the bounds allow: those that came in first are forgotten first.

use crate::compare::Message;
use crate::limits::findings::{ANSWER_BYTES_MAX, ANSWERS_BYTES_MAX, ANSWERS_MAX};
use std::collections::{BTreeMap, VecDeque};

/// What the target said in one field where the origin said something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deviation {
    /// Index of the field in its endpoint.
    pub field: usize,
    /// Hash of the target's value.
    pub value: u64,
}

/// One answer of the origin.
#[derive(Debug)]
pub struct Remembered {
    head: Box<[u8]>,
    body: Box<[u8]>,
    body_len: u64,
    rest: Option<u128>,
    /// Where the target's answer to the same request differed.
    pub deviations: Vec<Deviation>,
    number: u64,
}

impl Remembered {
    /// For the comparison.
    pub fn message(&self) -> Message<'_> {
        Message { head: &self.head, body: &self.body, body_len: self.body_len, rest: self.rest }
    }

    fn bytes(&self) -> usize {
        self.head.len() + self.body.len()
    }
}

/// All of them.
#[derive(Debug, Default)]
pub struct Memory {
    answers: BTreeMap<u64, Remembered>,
    order: VecDeque<(u64, u64)>,
    bytes: usize,
    number: u64,
}

impl Memory {
    /// The last answer to a request.
    pub fn get(&self, request: u64) -> Option<&Remembered> {
        self.answers.get(&request)
    }

    /// Remembers an answer, in place of an earlier one to the same request. Long ones are not remembered.
    pub fn put(&mut self, request: u64, answer: &Message<'_>, deviations: Vec<Deviation>) {
        self.forget(request);
        if answer.head.len() + answer.body.len() > ANSWER_BYTES_MAX {
            return;
        }
        self.number += 1;
        let remembered = Remembered {
            head: answer.head.into(),
            body: answer.body.into(),
            body_len: answer.body_len,
            rest: answer.rest,
            deviations,
            number: self.number,
        };
        self.bytes += remembered.bytes();
        self.answers.insert(request, remembered);
        self.order.push_back((request, self.number));
        while self.answers.len() > ANSWERS_MAX || self.bytes > ANSWERS_BYTES_MAX {
            self.forget_oldest();
        }
        if self.order.len() > 2 * ANSWERS_MAX {
            let answers = &self.answers;
            self.order.retain(|(request, number)| answers.get(request).is_some_and(|answer| answer.number == *number));
        }
    }

    fn forget(&mut self, request: u64) {
        if let Some(answer) = self.answers.remove(&request) {
            self.bytes -= answer.bytes();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((request, number)) = self.order.pop_front()
            && self.answers.get(&request).is_some_and(|answer| answer.number == number)
        {
            self.forget(request);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(body: &[u8]) -> Message<'_> {
        Message { head: b"", body, body_len: body.len() as u64, rest: None }
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let mut memory = Memory::default();
        for request in 0..3 * ANSWERS_MAX as u64 {
            memory.put(request, &message(b"x"), Vec::new());
            memory.put(7, &message(b"hot"), Vec::new());
        }
        assert_eq!(memory.answers.len(), ANSWERS_MAX);
        assert!(memory.order.len() <= 2 * ANSWERS_MAX + 1);
        assert!(memory.get(3).is_none() && memory.get(3 * ANSWERS_MAX as u64 - 1).is_some());
        assert_eq!(memory.get(7).map(|answer| answer.message().body), Some(&b"hot"[..]));
        let large = vec![0; ANSWER_BYTES_MAX];
        for request in 0..1_000 {
            memory.put(request, &message(&large), Vec::new());
        }
        assert!(memory.bytes <= ANSWERS_BYTES_MAX);
        memory.put(999, &message(&vec![0; ANSWER_BYTES_MAX + 1]), Vec::new());
        assert!(memory.get(999).is_none());
    }
}
