//! The last lines of the log, for who looks for a fault from afar, and for the collector that the settings name.

use crate::calendar::rfc3339;
use crate::clock;
use log::{Level, Log, Metadata, Record};
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Lines kept: what a busy hour tells, so that a collector may be away for as long.
const LINES: usize = 2_000;
/// Bytes kept of a line.
const LINE_BYTES: usize = 1_000;

static BOOK: Mutex<Book> = Mutex::new(Book { lines: VecDeque::new(), first: 0 });
static GREW: Condvar = Condvar::new();

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Since 1970.
    pub at: Duration,
    /// How grave it is.
    pub level: Level,
    /// What it says, without a line's end.
    pub text: String,
}

struct Book {
    lines: VecDeque<Line>,
    /// The number of the first of them.
    first: u64,
}

impl Book {
    fn keep(&mut self, line: Line) {
        if self.lines.len() >= LINES {
            self.lines.pop_front();
            self.first += 1;
        }
        self.lines.push_back(line);
    }

    /// The number of the line that comes next.
    fn end(&self) -> u64 {
        self.first + self.lines.len() as u64
    }

    fn from(&self, number: u64, count: usize) -> (u64, Vec<Line>) {
        let begin = number.max(self.first);
        let skipped = usize::try_from(begin - self.first).unwrap_or(usize::MAX);
        (begin, self.lines.iter().skip(skipped).take(count).cloned().collect())
    }
}

fn book() -> MutexGuard<'static, Book> {
    BOOK.lock().unwrap_or_else(PoisonError::into_inner)
}

fn keep(level: Level, text: &str) {
    let mut text = text.trim_end().to_owned();
    text.truncate(text.floor_char_boundary(LINE_BYTES));
    book().keep(Line { at: clock::since_1970(), level, text });
    GREW.notify_all();
}

/// At most so many lines from a number on, and the number of the first of them, which is a later one where lines are gone.
pub fn from(number: u64, count: usize) -> (u64, Vec<Line>) {
    book().from(number, count)
}

/// Waits until there is a line with this number, at most for a time; whether there is.
pub fn wait_for(number: u64, time: Duration) -> bool {
    let waited = GREW.wait_timeout_while(book(), time, |book| book.end() <= number);
    !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
}

/// The last lines, oldest first.
pub fn tail() -> Vec<String> {
    let shown = |line: Line| format!("{} {} {}", rfc3339(line.at), line.level, line.text);
    from(0, LINES).1.into_iter().map(shown).collect()
}

/// A log whose lines are also kept here.
pub struct Kept(pub env_logger::Logger);

impl Log for Kept {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if self.0.matches(record) {
            keep(record.level(), &record.args().to_string());
            self.0.log(record);
        }
    }

    fn flush(&self) {
        self.0.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept() {
        let mut book = Book { lines: VecDeque::new(), first: 0 };
        let line = |number: usize| Line { at: Duration::ZERO, level: Level::Info, text: number.to_string() };
        (0..LINES + 5).for_each(|number| book.keep(line(number)));
        assert_eq!((book.first, book.end()), (5, LINES as u64 + 5));
        assert_eq!(book.from(0, 2), (5, vec![line(5), line(6)]));
        assert_eq!(book.from(LINES as u64 + 4, 2), (LINES as u64 + 4, vec![line(LINES + 4)]));
        assert_eq!(book.from(book.end(), 2), (book.end(), vec![]));
    }

    #[test]
    fn a_line_is_bounded_and_waited_for() {
        let next = book().end();
        keep(Level::Warn, &format!("{}\n", "é".repeat(LINE_BYTES)));
        assert!(wait_for(next, Duration::from_secs(5)));
        let (_, lines) = from(next, 1);
        assert_eq!((lines[0].level, lines[0].text.len()), (Level::Warn, LINE_BYTES));
        assert!(tail().iter().any(|shown| shown.contains("Z WARN éé")));
    }
}
