//! The last lines of the log, for who looks for a fault from afar.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Lines kept.
const LINES: usize = 500;
/// Bytes kept of a line.
const LINE_BYTES: usize = 1_000;

static LAST: Mutex<VecDeque<String>> = Mutex::new(VecDeque::new());

/// Keeps a line.
pub fn keep(line: &[u8]) {
    let line = String::from_utf8_lossy(&line[..line.len().min(LINE_BYTES)]).trim_end().to_owned();
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if last.len() >= LINES {
        last.pop_front();
    }
    last.push_back(line);
}

/// The last lines, oldest first.
pub fn tail() -> Vec<String> {
    LAST.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept() {
        (0..LINES + 5).for_each(|number| keep(format!("{number}\n").as_bytes()));
        keep(&[b'x'; LINE_BYTES + 5]);
        let tail = tail();
        assert_eq!((tail.len(), tail[LINES - 2].as_str(), tail[LINES - 1].len()), (LINES, "504", LINE_BYTES));
    }
}
