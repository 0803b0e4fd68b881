//! Two trees of values, by value and path: documents of JSON, and what other protocols answer. The order of keys says nothing;
//! that of lists does, unless a rule says otherwise.

use super::rules::{At, Root};
use super::{Findings, Kind};
use crate::limits::comparison::UNORDERED_PAIRS;
use std::borrow::Cow;
use std::fmt::Write as _;

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Null,
    True,
    False,
    Number,
    String,
    Array,
    Object,
    /// Bytes, which may be a number's.
    Bytes,
    /// An error's code.
    Error,
    /// Values without an order.
    Set,
}

/// A value in a tree.
pub(super) trait Node<'a>: Copy {
    fn shape(self) -> Shape;
    /// What it says, for people, and for the comparison of plain values.
    fn text(self) -> Cow<'a, [u8]>;
    /// What a string says, without escapes.
    fn string(self) -> Cow<'a, [u8]>;
    /// Its key in the object that it is in.
    fn key(self) -> Cow<'a, [u8]>;
    /// What an array, set or object contains.
    fn children(self) -> impl Iterator<Item = Self>;
    /// Whether it is the same as another without a doubt.
    fn is_same(self, other: Self) -> bool;
}

/// Compares two trees.
pub(super) fn compare<'a, N: Node<'a>>(root: Root, origin: N, target: N, findings: &mut Findings<'_>) {
    let mut walk = Walk { findings, root, place: Vec::new(), is_probe: false, found: false };
    walk.compare(origin, target);
}

/// Notes that a tree is only on one side.
pub(super) fn add<'a, N: Node<'a>>(
    root: Root,
    kind: Kind,
    origin: Option<N>,
    target: Option<N>,
    findings: &mut Findings<'_>,
) {
    let mut walk = Walk { findings, root, place: Vec::new(), is_probe: false, found: false };
    walk.add(kind, origin, target);
}

struct Walk<'f, 'r> {
    findings: &'f mut Findings<'r>,
    root: Root,
    place: Vec<Step>,
    /// Only whether there is a difference is asked.
    is_probe: bool,
    found: bool,
}

enum Step {
    Key(Vec<u8>),
    Index(usize),
}

impl Walk<'_, '_> {
    fn is_done(&self) -> bool {
        if self.is_probe { self.found } else { self.findings.is_full() }
    }

    fn compare<'a, N: Node<'a>>(&mut self, origin: N, target: N) {
        if self.is_done() || origin.is_same(target) {
            return;
        }
        match (origin.shape(), target.shape()) {
            (Shape::Object, Shape::Object) => self.objects(origin, target),
            (Shape::Set, Shape::Set) => self.sets(origin, target),
            (Shape::Array, Shape::Array) if self.is_unordered() => self.sets(origin, target),
            (Shape::Array, Shape::Array) => self.arrays(origin, target),
            (Shape::Number, Shape::Number) if self.are_close(&origin.text(), &target.text()) => {}
            (Shape::Bytes, Shape::Bytes) if self.are_tolerated(&origin.text(), &target.text()) => {}
            (Shape::String, Shape::String) if origin.string() == target.string() => {}
            (one, other) if one == other || (is_truth(one) && is_truth(other)) => {
                self.add(Kind::Value, Some(origin), Some(target))
            }
            _ => self.add(Kind::Type, Some(origin), Some(target)),
        }
    }

    fn objects<'a, N: Node<'a>>(&mut self, origin: N, target: N) {
        let (mut ours, mut theirs) = (members(origin), members(target));
        let same_order = ours.len() == theirs.len() && ours.iter().zip(&theirs).all(|(one, other)| one.0 == other.0);
        if !same_order {
            ours.sort_by(|one, other| one.0.cmp(&other.0));
            theirs.sort_by(|one, other| one.0.cmp(&other.0));
        }
        let (mut left, mut right) = (ours.into_iter().peekable(), theirs.into_iter().peekable());
        while !self.is_done() {
            let (key, pair) = match (left.peek(), right.peek()) {
                (None, None) => return,
                (Some(one), Some(other)) if same_order || one.0 == other.0 => {
                    let (key, node) = (one.0.to_vec(), one.1);
                    let pair = (Some(node), Some(other.1));
                    left.next();
                    right.next();
                    (key, pair)
                }
                (Some(one), other) if other.is_none_or(|other| one.0 < other.0) => {
                    let found = (one.0.to_vec(), (Some(one.1), None));
                    left.next();
                    found
                }
                (_, Some(other)) => {
                    let found = (other.0.to_vec(), (None, Some(other.1)));
                    right.next();
                    found
                }
                (Some(_), None) => unreachable!("what has no counterpart is taken above"),
            };
            self.below(Step::Key(key), pair);
        }
    }

    fn arrays<'a, N: Node<'a>>(&mut self, origin: N, target: N) {
        let (mut left, mut right) = (origin.children(), target.children());
        for index in 0.. {
            match (left.next(), right.next()) {
                (None, None) => return,
                pair => self.below(Step::Index(index), pair),
            }
            if self.is_done() {
                return;
            }
        }
    }

    /// Arrays in any order: what has no equal on the other side is held against what is left there.
    fn sets<'a, N: Node<'a>>(&mut self, origin: N, target: N) {
        let mut left: Vec<(usize, N)> = origin.children().enumerate().collect();
        let mut right: Vec<N> = target.children().collect();
        if left.len() * right.len() > UNORDERED_PAIRS {
            return self.arrays(origin, target);
        }
        left.retain(|(index, node)| {
            let equal = right.iter().position(|other| self.are_equal(*index, *node, *other));
            if let Some(equal) = equal {
                right.remove(equal);
            }
            equal.is_none()
        });
        let mut right = right.into_iter();
        let first_new = origin.children().count();
        for (index, node) in left {
            self.below(Step::Index(index), (Some(node), right.next()));
        }
        for (index, node) in (first_new..).zip(right) {
            self.below(Step::Index(index), (None, Some(node)));
        }
    }

    fn are_equal<'a, N: Node<'a>>(&mut self, index: usize, origin: N, target: N) -> bool {
        let place = core::mem::take(&mut self.place);
        let mut probe = Walk { findings: &mut *self.findings, root: self.root, place, is_probe: true, found: false };
        probe.place.push(Step::Index(index));
        probe.compare(origin, target);
        let found = probe.found;
        probe.place.pop();
        self.place = probe.place;
        !found
    }

    fn below<'a, N: Node<'a>>(&mut self, step: Step, pair: (Option<N>, Option<N>)) {
        self.place.push(step);
        match pair {
            (Some(origin), Some(target)) => self.compare(origin, target),
            (origin, None) => self.add(Kind::Missing, origin, None),
            (None, target) => self.add(Kind::Added, None, target),
        }
        self.place.pop();
    }

    fn at(&self) -> Vec<At<'_>> {
        let at = |step| match step {
            &Step::Index(index) => At::Index(index),
            Step::Key(key) => At::Key(key),
        };
        self.place.iter().map(at).collect()
    }

    fn is_unordered(&self) -> bool {
        let rules = self.findings.rules.within(self.findings.scope);
        let mut unordered = rules.flat_map(|rule| &rule.unordered).peekable();
        unordered.peek().is_some() && {
            let at = self.at();
            unordered.any(|field| field.is(self.root, &at))
        }
    }

    fn is_ignored(&self) -> bool {
        let at = self.at();
        let rules = self.findings.rules.within(self.findings.scope);
        rules.flat_map(|rule| &rule.ignore).any(|field| field.covers(self.root, &at))
    }

    fn are_close(&self, origin: &[u8], target: &[u8]) -> bool {
        let Some((one, other)) = numbers(origin, target) else { return false };
        let is_whole = |text: &[u8]| text.iter().all(|byte| byte.is_ascii_digit() || *byte == b'-');
        // Whole numbers can be longer than a float holds; then their digits decide.
        let exact = is_whole(origin) && is_whole(target) && origin != target;
        (!exact && one == other) || self.are_tolerated(origin, target)
    }

    /// Whether a rule allows two numbers to differ by as much as these do.
    fn are_tolerated(&self, origin: &[u8], target: &[u8]) -> bool {
        let tolerance = self.findings.rules.within(self.findings.scope).map(|rule| rule.tolerance).fold(0.0, f64::max);
        tolerance > 0.0
            && numbers(origin, target)
                .is_some_and(|(one, other)| (one - other).abs() <= tolerance * one.abs().max(other.abs()))
    }

    fn add<'a, N: Node<'a>>(&mut self, kind: Kind, origin: Option<N>, target: Option<N>) {
        if self.is_ignored() {
            return;
        }
        if self.is_probe {
            let may_agree = kind == Kind::Value;
            self.found |= !(may_agree && self.findings.agrees_without_patterns(&text(origin), &text(target)));
            return;
        }
        self.findings.add(self.path(), kind, None, &text(origin), &text(target));
    }

    fn path(&self) -> String {
        let mut path = self.root.to_string();
        for (depth, step) in self.place.iter().enumerate() {
            let _ = match step {
                Step::Index(index) if depth == 0 && self.root.is_counted() => write!(path, " {}", index + 1),
                Step::Index(index) => write!(path, "[{index}]"),
                Step::Key(key) if is_plain(key) => write!(path, ".{}", String::from_utf8_lossy(key)),
                Step::Key(key) => write!(path, "[\"{}\"]", String::from_utf8_lossy(key)),
            };
        }
        path
    }
}

fn numbers(origin: &[u8], target: &[u8]) -> Option<(f64, f64)> {
    let read = |text: &[u8]| core::str::from_utf8(text).ok()?.parse::<f64>().ok();
    Some((read(origin)?, read(target)?))
}

fn is_truth(shape: Shape) -> bool {
    matches!(shape, Shape::True | Shape::False)
}

/// Whether a key needs no quotes in a path.
fn is_plain(key: &[u8]) -> bool {
    !key.is_empty()
        && key.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-') || *byte >= 0x80)
}

fn text<'a>(node: Option<impl Node<'a>>) -> Cow<'a, [u8]> {
    node.map_or(Cow::Borrowed(b""), Node::text)
}

fn members<'a, N: Node<'a>>(object: N) -> Vec<(Cow<'a, [u8]>, N)> {
    object.children().map(|node| (node.key(), node)).collect()
}
