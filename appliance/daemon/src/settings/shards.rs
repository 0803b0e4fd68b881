//! The keys `shard` and `shards`: who shares the traffic.

use super::Faults;
use super::document::Shards;
use tapcopy_engine::share::Part;

/// Boxes that may share one mirror. Their parts are of 16 bits, as are those of the shards within.
const BOXES_MAX: u16 = 64;
/// Shards of a box: each looks at every frame in the kernel, and has a ring and an engine.
const SHARDS_MAX: u16 = 32;

/// The box's part, `k/n`. Boxes are numbered from 1; who begins with 0 means the same, for 0 and n are one box.
pub(super) fn of_boxes(text: Option<&str>, faults: &mut Faults) -> Part {
    let Some(text) = text else { return Part::ALL };
    let number = |text: &str| text.trim().parse::<u16>().ok();
    match text.split_once('/').and_then(|(k, n)| number(k).zip(number(n))) {
        Some((k, of)) if (1..=BOXES_MAX).contains(&of) && (0..=of).contains(&k) => Part { index: k % of, of },
        _ => {
            let mend =
                format!("write k/n, as in 1/2, for box k of n, {BOXES_MAX} at most, and the same n on all of them");
            faults.add("shard", format!("`{text}` is no part of the boxes; {mend}"));
            Part::ALL
        }
    }
}

/// How many threads.
pub(super) fn count(written: &Shards, faults: &mut Faults) -> u16 {
    let number = match written {
        Shards::Word(word) if word == "auto" => return spare_processors().min(SHARDS_MAX),
        Shards::Word(word) => word.trim().parse().ok(),
        Shards::Count(count) => Some(*count),
    };
    let fault = match (number.map(u16::try_from), written) {
        (Some(Ok(count @ 1..=SHARDS_MAX)), _) => return count,
        (None, Shards::Word(word)) => format!("`{word}` is no number"),
        (_, Shards::Word(word)) => format!("{word} is outside 1 to {SHARDS_MAX}"),
        (_, Shards::Count(count)) => format!("{count} is outside 1 to {SHARDS_MAX}"),
    };
    faults.add("shards", format!("{fault}; write how many threads share the traffic, or \"auto\""));
    1
}

/// Processors that this process may use, less one: the kernel's receiving, the archive and the page need one, too. Where there are
/// two, a second shard would rather wake up in vain than take work off the first.
fn spare_processors() -> u16 {
    let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u16::try_from(count.saturating_sub(1).max(1)).unwrap_or(u16::MAX)
}
