//! Two JSON documents, by value and path. The order of keys says nothing; that of arrays does, unless a rule says otherwise.

use super::json::{Node, Shape, Tree};
use super::rules::At;
use super::{Findings, Kind};
use crate::limits::comparison::UNORDERED_PAIRS;
use std::borrow::Cow;
use std::fmt::Write as _;

/// Compares two documents.
pub(super) fn compare(origin: &Tree<'_>, target: &Tree<'_>, findings: &mut Findings<'_>) {
    let mut walk = Walk { findings, place: Vec::new(), is_probe: false, found: false };
    walk.compare(origin.root(), target.root());
}

struct Walk<'f, 'r> {
    findings: &'f mut Findings<'r>,
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

    fn compare(&mut self, origin: Node<'_, '_>, target: Node<'_, '_>) {
        if self.is_done() || origin.text() == target.text() {
            return;
        }
        match (origin.shape(), target.shape()) {
            (Shape::Object, Shape::Object) => self.objects(origin, target),
            (Shape::Array, Shape::Array) if self.is_unordered() => self.sets(origin, target),
            (Shape::Array, Shape::Array) => self.arrays(origin, target),
            (Shape::Number, Shape::Number) if self.are_close(origin.text(), target.text()) => {}
            (Shape::String, Shape::String) if origin.string() == target.string() => {}
            (one, other) if one == other || (is_truth(one) && is_truth(other)) => {
                self.add(Kind::Value, Some(origin), Some(target))
            }
            _ => self.add(Kind::Type, Some(origin), Some(target)),
        }
    }

    fn objects(&mut self, origin: Node<'_, '_>, target: Node<'_, '_>) {
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

    fn arrays(&mut self, origin: Node<'_, '_>, target: Node<'_, '_>) {
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
    fn sets(&mut self, origin: Node<'_, '_>, target: Node<'_, '_>) {
        let mut left: Vec<(usize, Node<'_, '_>)> = origin.children().enumerate().collect();
        let mut right: Vec<Node<'_, '_>> = target.children().collect();
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

    fn are_equal(&mut self, index: usize, origin: Node<'_, '_>, target: Node<'_, '_>) -> bool {
        let place = core::mem::take(&mut self.place);
        let mut probe = Walk { findings: &mut *self.findings, place, is_probe: true, found: false };
        probe.place.push(Step::Index(index));
        probe.compare(origin, target);
        let found = probe.found;
        probe.place.pop();
        self.place = probe.place;
        !found
    }

    fn below(&mut self, step: Step, pair: (Option<Node<'_, '_>>, Option<Node<'_, '_>>)) {
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
            unordered.any(|path| path.is(&at))
        }
    }

    fn is_ignored(&self) -> bool {
        let at = self.at();
        let rules = self.findings.rules.within(self.findings.scope);
        rules.flat_map(|rule| &rule.ignore).any(|field| matches!(field, super::Field::Json(path) if path.covers(&at)))
    }

    fn are_close(&self, origin: &[u8], target: &[u8]) -> bool {
        let read = |text: &[u8]| core::str::from_utf8(text).ok()?.parse::<f64>().ok();
        let (Some(one), Some(other)) = (read(origin), read(target)) else { return false };
        let is_whole = |text: &[u8]| text.iter().all(|byte| byte.is_ascii_digit() || *byte == b'-');
        // Whole numbers can be longer than a float holds; then their digits decide.
        let exact = is_whole(origin) && is_whole(target) && origin != target;
        let tolerance = self.findings.rules.within(self.findings.scope).map(|rule| rule.tolerance).fold(0.0, f64::max);
        (!exact && one == other) || (tolerance > 0.0 && (one - other).abs() <= tolerance * one.abs().max(other.abs()))
    }

    fn add(&mut self, kind: Kind, origin: Option<Node<'_, '_>>, target: Option<Node<'_, '_>>) {
        if self.is_ignored() {
            return;
        }
        if self.is_probe {
            let may_agree = kind == Kind::Value;
            self.found |= !(may_agree && self.findings.agrees_without_patterns(text(origin), text(target)));
            return;
        }
        let field = format!("body:{}", self.path());
        self.findings.add(field, kind, None, text(origin), text(target));
    }

    fn path(&self) -> String {
        let mut path = String::from("$");
        for step in &self.place {
            let _ = match step {
                Step::Index(index) => write!(path, "[{index}]"),
                Step::Key(key) if is_plain(key) => write!(path, ".{}", String::from_utf8_lossy(key)),
                Step::Key(key) => write!(path, "[\"{}\"]", String::from_utf8_lossy(key)),
            };
        }
        path
    }
}

fn is_truth(shape: Shape) -> bool {
    matches!(shape, Shape::True | Shape::False)
}

/// Whether a key needs no quotes in a path.
fn is_plain(key: &[u8]) -> bool {
    !key.is_empty()
        && key.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-') || *byte >= 0x80)
}

fn text<'a>(node: Option<Node<'_, 'a>>) -> &'a [u8] {
    node.map_or(b"", |node| node.text())
}

fn members<'t, 'a>(object: Node<'t, 'a>) -> Vec<(Cow<'a, [u8]>, Node<'t, 'a>)> {
    object.children().map(|node| (node.key(), node)).collect()
}
