//! The origin's own earlier answers, by request, as many as the bounds allow: those that came in first are forgotten first.
//!
//! Of each request the last answer is kept, and an old one: what changes slowly is the same in two answers that follow one
//! another, and still no two servers have it alike.

use super::drift;
use super::template::Hash;
use crate::compare::{Difference, Message};
use crate::limits::findings::{ANSWERS_BYTES_MAX, ANSWERS_MAX};
use crate::time::Time;
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// How old an old answer may become before a later one takes its place: what has changed since is not held against the target
/// for ever.
const RENEWED_AFTER: Duration = Duration::from_secs(300);

/// What is kept of the content of a long answer.
const BEGINNING_BYTES: usize = 4_096;

/// What the target said in one field where the origin said something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deviation {
    /// Index of the field in its endpoint.
    pub field: usize,
    /// Hash of the target's value.
    pub value: u64,
}

impl Deviation {
    /// Of a field that has this index.
    pub fn of(field: usize, found: &Difference) -> Self {
        Self { field, value: Self::value_of(found) }
    }

    /// What tells the target's value from others.
    pub fn value_of(found: &Difference) -> u64 {
        Self::hash(&found.target)
    }

    /// The same of the origin's and the target's.
    pub fn values_of(found: &Difference) -> [u64; 2] {
        [Self::hash(&found.origin), Self::hash(&found.target)]
    }

    fn hash(value: &str) -> u64 {
        Hash::new(1).with(value.as_bytes()).value()
    }
}

/// One answer of the origin.
#[derive(Debug)]
pub struct Answer {
    head: Box<[u8]>,
    body: Box<[u8]>,
    body_len: u64,
    rest: Option<u128>,
    at: Time,
}

impl Answer {
    /// A copy of an answer to a request captured at `at`: all of it if that is no more than `bytes_max`, else its head and the
    /// beginning of its content.
    pub fn of(answer: &Message<'_>, at: Time, bytes_max: usize) -> Arc<Self> {
        let Message { head, body, body_len, rest } = *answer;
        let is_long = head.len() + body.len() > bytes_max;
        let body = if is_long { &body[..body.len().min(BEGINNING_BYTES)] } else { body };
        let head = if head.len() > bytes_max { &[][..] } else { head };
        let rest = if is_long { Some(rest.unwrap_or_default()) } else { rest };
        Arc::new(Self { head: head.into(), body: body.into(), body_len, rest, at })
    }

    /// For the comparison.
    pub fn message(&self) -> Message<'_> {
        Message { head: &self.head, body: &self.body, body_len: self.body_len, rest: self.rest }
    }

    /// When the request was captured.
    pub fn at(&self) -> Time {
        self.at
    }

    /// Whether it is of the same exchange.
    pub fn is_of(&self, other: &Self) -> bool {
        self.at == other.at
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.head.len() + self.body.len()
    }
}

/// Answers to one request, or of one endpoint: the last one, and an old one.
#[derive(Clone, Debug)]
pub struct Past {
    last: Arc<Answer>,
    /// The old one to come.
    middle: Arc<Answer>,
    old: Arc<Answer>,
    seen: u64,
}

impl Past {
    /// Of one answer.
    pub fn new(answer: Arc<Answer>) -> Self {
        Self { last: answer.clone(), middle: answer.clone(), old: answer, seen: 1 }
    }

    /// Takes the next answer. The old one is renewed whenever the answers have doubled, so that it comes from the first half of
    /// them, and when it has become very old.
    pub fn push(&mut self, answer: Arc<Answer>) {
        self.seen += 1;
        if self.seen.is_power_of_two() || answer.at.since(self.middle.at) > RENEWED_AFTER {
            self.old = core::mem::replace(&mut self.middle, answer.clone());
        }
        self.last = answer;
    }

    /// The last answer.
    pub fn last(&self) -> &Answer {
        &self.last
    }

    /// An old one, if there was more than one.
    pub fn old(&self) -> Option<&Answer> {
        (!Arc::ptr_eq(&self.old, &self.last)).then_some(&*self.old)
    }

    fn bytes(&self) -> usize {
        let middle = if Arc::ptr_eq(&self.middle, &self.last) { 0 } else { self.middle.bytes() };
        let old = if Arc::ptr_eq(&self.old, &self.middle) { 0 } else { self.old.bytes() };
        self.last.bytes() + middle + old
    }
}

/// Answers to one request.
#[derive(Debug)]
pub struct Remembered {
    /// The answers.
    pub past: Past,
    /// Where the target's answer differed from the last one.
    pub deviations: Vec<Deviation>,
    /// The times between both servers' answers.
    pub spans: drift::Changes,
    number: u64,
}

impl Remembered {
    /// Whether the target's answer differed from the last one in a field.
    pub fn deviates_in(&self, field: usize) -> bool {
        self.deviations.iter().any(|deviation| deviation.field == field)
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
    /// The answers to a request.
    pub fn get(&self, request: u64) -> Option<&Remembered> {
        self.answers.get(&request)
    }

    /// Remembers an answer.
    pub fn put(&mut self, request: u64, answer: Arc<Answer>, deviations: Vec<Deviation>, spans: drift::Changes) {
        self.number += 1;
        let number = self.number;
        let past = match self.forget(request) {
            Some(Remembered { mut past, .. }) => {
                past.push(answer);
                past
            }
            None => Past::new(answer),
        };
        self.bytes += past.bytes();
        self.answers.insert(request, Remembered { past, deviations, spans, number });
        self.order.push_back((request, number));
        while self.answers.len() > ANSWERS_MAX || self.bytes > ANSWERS_BYTES_MAX {
            self.forget_first();
        }
        if self.order.len() > 2 * ANSWERS_MAX {
            let answers = &self.answers;
            self.order.retain(|(request, number)| answers.get(request).is_some_and(|answer| answer.number == *number));
        }
    }

    fn forget(&mut self, request: u64) -> Option<Remembered> {
        let remembered = self.answers.remove(&request)?;
        self.bytes -= remembered.past.bytes();
        Some(remembered)
    }

    fn forget_first(&mut self) {
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

    fn answer(body: &[u8], at: Time) -> Arc<Answer> {
        Answer::of(&Message { head: b"", body, body_len: body.len() as u64, rest: None }, at, 1 << 20)
    }

    #[test]
    fn what_came_in_first_is_forgotten_first() {
        let mut memory = Memory::default();
        let mut put =
            |request, body: &[u8]| memory.put(request, answer(body, Time::ZERO), Vec::new(), drift::Changes::default());
        for request in 0..3 * ANSWERS_MAX as u64 {
            put(request, b"x");
            put(7, b"hot");
        }
        assert_eq!(memory.answers.len(), ANSWERS_MAX);
        assert!(memory.order.len() <= 2 * ANSWERS_MAX + 1);
        assert!(memory.get(3).is_none() && memory.get(3 * ANSWERS_MAX as u64 - 1).is_some());
        assert_eq!(memory.get(7).map(|remembered| remembered.past.last().message().body), Some(&b"hot"[..]));
        let large = answer(&vec![0; 1 << 16], Time::ZERO);
        for request in 0..1_000 {
            memory.put(request, large.clone(), Vec::new(), drift::Changes::default());
        }
        assert!(memory.bytes <= ANSWERS_BYTES_MAX);
    }

    #[test]
    fn the_old_answer_is_of_the_first_half() {
        let body = |answer: &Answer| answer.message().body[0];
        let at = |number: u8, millis| answer(&[number], Time::from_millis(millis));
        let mut past = Past::new(at(1, 0));
        assert!(past.old().is_none(), "there is only one");
        for number in 2..=100 {
            past.push(at(number, 10 * u64::from(number)));
            let old = past.old().map(body).expect("there are several");
            assert!(u64::from(old) * 2 <= u64::from(number), "{old} of {number}");
            assert!(u64::from(old) * 4 >= u64::from(number) / 2, "{old} of {number}");
        }
        for number in 101..103 {
            past.push(at(number, 1_000_000 * u64::from(number)));
        }
        assert_eq!(past.old().map(body), Some(101), "what is very old is renewed");
    }

    #[test]
    fn of_a_long_answer_the_beginning_is_kept() {
        let long = Message { head: b"head", body: &[7; 10_000], body_len: 10_000, rest: None };
        let kept = Answer::of(&long, Time::ZERO, 8_000);
        assert_eq!((kept.message().body.len(), kept.message().body_len), (BEGINNING_BYTES, 10_000));
        assert!(kept.message().rest.is_some(), "it is not taken for whole");
        assert_eq!(Answer::of(&long, Time::ZERO, 11_000).message(), long);
    }
}
