//! One field of an endpoint in which the target differed: how often, and what the origin's earlier answers had there.

use super::drift::{self, Apart, Watch};
use super::noise::Earlier;
use super::swaps::Swaps;
use super::template;
use super::turns::Turns;
use super::{Evidence, Place};
use crate::compare::{Difference, Kind};

/// A field, and one way to differ in it.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Answers in which the target differs.
    pub(super) differing: u64,
    /// Those that no change of what both servers share explains: answers that are not whole, or without a header.
    pub(super) lost: u64,
    /// Changes of what both servers share that would explain the others.
    pub(super) explained_by: drift::Changes,
    /// The same, if each request changes by itself.
    pub(super) apart: Apart,
    /// How long it was watched for changes of its own, in answers to the same requests and to others.
    pub(super) watches: [Watch; 2],
    /// How long the target was late with answers to requests that were not remembered, in seconds.
    pub(super) late_unwatched: f64,
    pub(super) repeats: Earlier,
    pub(super) neighbours: Earlier,
    /// Which of both servers changed when it came to differ.
    pub(super) turns: Turns,
    /// Whether they go both ways.
    pub(super) swaps: Swaps,
    pub(super) first: Place,
    pub(super) last: Place,
    /// What origin and target had in the last of them.
    pub(super) example: [String; 2],
}

impl Field {
    pub(super) fn new(name: &str, kind: Kind, first: Place) -> Self {
        let (repeats, neighbours) = (Earlier::default(), Earlier::default());
        let (name, example) = (name.to_owned(), Default::default());
        Self {
            name,
            kind,
            differing: 0,
            lost: 0,
            explained_by: drift::Changes::default(),
            apart: Apart::default(),
            watches: [Watch::default(); 2],
            late_unwatched: 0.0,
            repeats,
            neighbours,
            turns: Turns::default(),
            swaps: Swaps::default(),
            first,
            last: first,
            example,
        }
    }

    /// Its name without what only tells it from others of the same name.
    pub(super) fn shown(&self) -> &str {
        if is_status(&self.name) { "status" } else { &self.name }
    }

    /// Whether what both servers share may change it. Values do; whether a header is there is the server's own.
    pub(super) fn may_drift(&self) -> bool {
        !(self.name.starts_with("header:") && matches!(self.kind, Kind::Missing | Kind::Added))
    }

    /// What it stands in: the object, the head, the text.
    pub(super) fn parent(&self) -> &str {
        self.name.rfind(['.', '[', ' ', ':']).map_or(&*self.name, |end| &self.name[..end])
    }

    pub(super) fn earlier_mut(&mut self, evidence: Evidence) -> &mut Earlier {
        match evidence {
            Evidence::Repeats => &mut self.repeats,
            Evidence::Neighbours => &mut self.neighbours,
        }
    }

    /// Whether the origin's own answers differ here, where they differ in `name`: there, or above. That a value is another
    /// says nothing of whether there is one.
    pub(super) fn is_unsteady_by(&self, name: &str, kind: Kind) -> bool {
        if let (Some(there), Some(here)) = (line(name), line(&self.name)) {
            let shifts = matches!(kind, Kind::Missing | Kind::Added);
            return there == here || (shifts && there < here);
        }
        match (name == self.name, self.kind) {
            (true, Kind::Value | Kind::Length) => true,
            (true, Kind::Missing | Kind::Added | Kind::Type) => kind != Kind::Value,
            (false, _) => lies_above(name, &self.name),
        }
    }

    /// Whether both are of one noise: where a field is there now and then, it is sometimes missing and sometimes added, and
    /// each of the two alone looks as if only one side did it.
    pub(super) fn is_of_one_noise(&self, other: &Self) -> bool {
        let is_presence =
            |field: &Self| field.kind != Kind::Value || field.name == "body" || line(&field.name).is_some();
        self.name == other.name && (self.kind == other.kind || (is_presence(self) && is_presence(other)))
    }

    /// Adds what another has counted.
    pub(super) fn take(&mut self, other: Self) {
        self.differing += other.differing;
        self.lost += other.lost;
        self.explained_by.needed += other.explained_by.needed;
        self.apart.confirmed += other.apart.confirmed;
        self.apart.seen += other.apart.seen;
        for (mine, theirs) in self.watches.iter_mut().zip(&other.watches) {
            *mine = mine.plus(theirs);
        }
        self.late_unwatched += other.late_unwatched;
        self.repeats = self.repeats.plus(&other.repeats);
        self.neighbours = self.neighbours.plus(&other.neighbours);
        self.turns.add(&other.turns);
        self.swaps.add(&other.swaps);
        if other.first.captured_at < self.first.captured_at {
            self.first = other.first;
        }
        if other.last.captured_at > self.last.captured_at {
            (self.last, self.example) = (other.last, other.example);
        }
    }
}

/// The number of a line, which is all that it is known by: another line may be one that is missing, and lines that are there now
/// and then shift those below.
fn line(name: &str) -> Option<u32> {
    name.strip_prefix("body:line ")?.parse().ok()
}

/// The field that a difference is counted for. Two statuses, whoever said which, are a field of their own: that both servers are
/// now and then overloaded (503) does not hide that one of them fails (500).
pub(super) fn name(found: &Difference) -> String {
    if found.field != "status" {
        return template::field(&found.field);
    }
    let (less, more) = (found.origin.as_str().min(&found.target), found.origin.as_str().max(&found.target));
    format!("status {less} {more}")
}

fn is_status(name: &str) -> bool {
    name == "status" || name.starts_with("status ")
}

/// Whether a difference there makes it another answer altogether.
pub(super) fn is_other_answer(name: &str) -> bool {
    is_status(name) || matches!(name, "error" | "header:grpc-status")
}

/// Whether a difference in `name` leaves nothing to compare in `field`.
fn lies_above(name: &str, field: &str) -> bool {
    let is_of_rows = matches!(name, "rows" | "columns") && field.starts_with("row ");
    let is_above = || field.strip_prefix(name).is_some_and(|rest| rest.starts_with(['.', '[', ':', ' ']));
    is_of_rows || is_above()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_field_lies_above_another() {
        let above = lies_above;
        assert!(above("body:$.a", "body:$.a.b") && above("body:$.a", "body:$.a[*]") && above("body", "body:$.a"));
        assert!(!above("body:$.a", "body:$.ab") && !above("body:$.a.b", "body:$.a"));
    }

    #[test]
    fn fields_stand_in_one_another() {
        let parents = [
            ("body:$.a.b", "body:$.a"),
            ("body:$.a", "body:$"),
            ("header:x-a", "header"),
            ("body:line 7", "body:line"),
            ("body", "body"),
        ];
        for (name, parent) in parents {
            assert_eq!(Field::new(name, Kind::Value, Place::default()).parent(), parent);
        }
    }

    #[test]
    fn missing_and_added_are_of_one_noise() {
        let field = |name, kind| Field::new(name, kind, Place::default());
        let missing = field("header:x", Kind::Missing);
        assert!(missing.is_of_one_noise(&field("header:x", Kind::Added)));
        assert!(!missing.is_of_one_noise(&field("header:x", Kind::Value)));
        assert!(!missing.is_of_one_noise(&field("header:y", Kind::Added)));
        assert!(field("body", Kind::Length).is_of_one_noise(&field("body", Kind::Value)));
    }

    #[test]
    fn lines_that_come_and_go_shift_those_below() {
        let field = |name| Field::new(name, Kind::Value, Place::default());
        let is_unsteady = |name, kind| field("body:line 12").is_unsteady_by(name, kind);
        assert!(is_unsteady("body:line 12", Kind::Added) && is_unsteady("body:line 9", Kind::Missing));
        assert!(!is_unsteady("body:line 9", Kind::Value) && !is_unsteady("body:line 13", Kind::Missing));
        assert!(is_unsteady("body", Kind::Length) && !is_unsteady("header:x", Kind::Value));
    }
}
