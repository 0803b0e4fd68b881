//! Two texts, line by line.

use super::{Findings, Kind};
use crate::limits::comparison::LINE_PAIRS;
use core::cmp::Ordering;
use core::ops::Range;

/// Bytes by which a line without its end is shorter at least: a number has fewer.
const CUT_BYTES_MIN: usize = 16;

/// Compares two texts that are not equal. Lines are counted from 1, as in the origin's.
pub(super) fn compare(origin: &[u8], target: &[u8], findings: &mut Findings<'_>) {
    let (ours, theirs) = (lines(origin), lines(target));
    let same = ours.iter().zip(&theirs).take_while(|(one, other)| one == other).count();
    let (ours, theirs) = (&ours[same..], &theirs[same..]);
    let tail = ours.iter().rev().zip(theirs.iter().rev()).take_while(|(one, other)| one == other).count();
    let (ours, theirs) = (&ours[..ours.len() - tail], &theirs[..theirs.len() - tail]);
    let mut lines = Lines { ours, theirs, first: same + 1, is_at_end: tail == 0, findings };
    if ours.len() == theirs.len() {
        for (index, (one, other)) in ours.iter().zip(theirs).enumerate() {
            match lines.is_at_end && index + 1 == ours.len() && is_cut(one, other) {
                true => lines.cut(one, other),
                false => lines.changed(index, one, other),
            }
        }
    } else if ours.len().saturating_mul(theirs.len()) > LINE_PAIRS {
        lines.changed(0, ours.first().copied().unwrap_or_default(), theirs.first().copied().unwrap_or_default());
    } else {
        lines.align();
    }
}

/// Lines without their ends; that the last one has one says nothing.
fn lines(text: &[u8]) -> Vec<&[u8]> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)).collect()
}

struct Lines<'l, 'f, 'r> {
    ours: &'l [&'l [u8]],
    theirs: &'l [&'l [u8]],
    /// Number of the first of them.
    first: usize,
    /// Whether no equal lines follow them.
    is_at_end: bool,
    findings: &'f mut Findings<'r>,
}

impl Lines<'_, '_, '_> {
    fn changed(&mut self, index: usize, origin: &[u8], target: &[u8]) {
        if origin != target {
            self.add(index, Kind::Value, origin, target);
        }
    }

    fn add(&mut self, index: usize, kind: Kind, origin: &[u8], target: &[u8]) {
        let field = format!("body:line {}", self.first + index);
        self.findings.add(field, kind, None, origin, target);
    }

    /// The longest common subsequence decides which line is which: what lies between two common lines belongs together.
    fn align(&mut self) {
        let (rows, columns) = (self.ours.len(), self.theirs.len());
        let common = self.common();
        let at = |row: usize, column: usize| common[row * (columns + 1) + column];
        let (mut row, mut column, mut begin) = (0, 0, (0, 0));
        while row < rows && column < columns {
            if self.ours[row] == self.theirs[column] {
                self.region(begin.0..row, begin.1..column);
                (row, column) = (row + 1, column + 1);
                begin = (row, column);
            } else if at(row + 1, column) >= at(row, column + 1) {
                row += 1;
            } else {
                column += 1;
            }
        }
        self.region(begin.0..rows, begin.1..columns);
    }

    /// Length of the longest common subsequence from each pair of lines on, row by row.
    fn common(&self) -> Vec<u32> {
        let (rows, width) = (self.ours.len(), self.theirs.len() + 1);
        let mut common = vec![0; (rows + 1) * width];
        for row in (0..rows).rev() {
            for column in (0..width - 1).rev() {
                common[row * width + column] = match self.ours[row] == self.theirs[column] {
                    true => common[(row + 1) * width + column + 1] + 1,
                    false => common[(row + 1) * width + column].max(common[row * width + column + 1]),
                };
            }
        }
        common
    }

    /// Lines between common ones: as many as there are on both sides are each other's. At the end of the text what only one of them
    /// has is one difference, whether or not the other ends within a line.
    fn region(&mut self, ours: Range<usize>, theirs: Range<usize>) {
        let (ours, theirs, first) = (&self.ours[ours.clone()], &self.theirs[theirs], ours);
        let pairs = ours.len().min(theirs.len());
        let is_cut = self.is_at_end && first.end == self.ours.len() && ours.len() != theirs.len();
        let whole = if is_cut { pairs.saturating_sub(1) } else { pairs };
        for index in 0..whole {
            self.changed(first.start + index, ours[index], theirs[index]);
        }
        if is_cut {
            let line = |lines: &[&'_ [u8]]| lines.get(whole).copied().unwrap_or_default().to_vec();
            return self.cut(&line(ours), &line(theirs));
        }
        // A run of lines is one difference, which bears the same number whichever side has it.
        match ours.len().cmp(&theirs.len()) {
            Ordering::Greater => self.add(first.start + pairs, Kind::Missing, &ours[pairs..].join(&b'\n'), b""),
            Ordering::Less => self.add(first.start + pairs, Kind::Added, b"", &theirs[pairs..].join(&b'\n')),
            Ordering::Equal => {}
        }
    }

    /// One of the texts ends early, here.
    fn cut(&mut self, origin: &[u8], target: &[u8]) {
        let same = origin.iter().zip(target).take_while(|(one, other)| one == other).count();
        self.findings.add("body".to_owned(), Kind::Length, None, &origin[same..], &target[same..]);
    }
}

/// Whether one of two last lines looks like the other without its end.
fn is_cut(origin: &[u8], target: &[u8]) -> bool {
    let end = |line: &[u8]| line.len().saturating_sub(CUT_BYTES_MIN);
    origin.len().abs_diff(target.len()) >= CUT_BYTES_MIN && origin[end(origin)..] != target[end(target)..]
}

#[cfg(test)]
mod tests {
    use crate::compare::{Comparison, Message, Rules, Scope, Terms, compare};

    fn check(origin: &str, target: &str, expected: &str) {
        let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n";
        let message = |body: &'static [u8]| Message { head, body, body_len: body.len() as u64, rest: None };
        let leak = |text: &str| &*text.as_bytes().to_vec().leak();
        let (rules, leaked) = (Rules::default(), [origin, target].map(leak));
        let found = match compare(&message(leaked[0]), &message(leaked[1]), &Terms::plain(&rules, Scope::default())) {
            Comparison::Equal => String::new(),
            Comparison::Unknown => "unknown".to_owned(),
            Comparison::Unequal(found) => {
                let words: Vec<String> =
                    found.iter().map(|found| format!("{}={}/{}", found.field, found.origin, found.target)).collect();
                words.join(" ")
            }
        };
        assert_eq!(found, expected, "{origin:?} {target:?}");
    }

    #[test]
    fn lines_are_told_by_their_numbers() {
        check("a\nb\nc\n", "a\nx\nc\n", "body:line 2=b/x");
        check("a\r\nb", "a\nb", "");
        check("a\nb\nc\nd\n", "a\nc\nd\n", "body:line 2=b/");
        check("a\nc\n", "a\nb\nc\n", "body:line 2=/b");
        check("a\nb\nb\nc\n", "a\nc\n", "body:line 2=b\nb/");
        check("a\nc\n", "a\nb\nb\nc\n", "body:line 2=/b\nb");
        check("1\na\nb\n2\nc\n", "9\na\nb\n8\nc\nd\n", "body:line 1=1/9 body:line 4=2/8 body=/d");
    }

    #[test]
    fn a_text_that_ends_early_is_one_difference() {
        check("a\nbcd\ne\nf\n", "a\nb", "body=cd/");
        check("a\nbcd\ne\nf\n", "a\n", "body=bcd/");
        check("t=1\nb\nc\nd\ne\n", "t=2\nb\nc", "body:line 1=t=1/t=2 body=d/");
        check("a\nt=12345\nc\nd\n", "a\nt=98", "body=12345/98");
        check("a\nb", "a\nb\nc\nd", "body=/c");
        check("t=1 and then the end of the line", "t=2 and then", "body=1 and then the end of the line/2 and then");
        check(
            "t=1 and then the end of the line",
            "t=2345 and then the end of the line",
            "body:line 1=t=1 and then the end of the line/t=2345 and then the end of the line",
        );
    }
}
