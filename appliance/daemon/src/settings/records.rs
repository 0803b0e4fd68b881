//! The section `[records]`, from its document to what the archive takes.

use super::{Faults, document};
use crate::archive::Keeping;
use std::ops::RangeInclusive;
use std::time::Duration;
use tapcopy_engine::config::Sample;
use tapcopy_records::{Bounds, Masks};

/// Less holds next to nothing, more is a slip.
const BYTES: RangeInclusive<u64> = 1 << 20..=1 << 50;
/// A hundred years.
const HOURS: RangeInclusive<u64> = 1..=876_000;
/// Names of each kind.
const NAMES_MAX: usize = 256;
/// Each goes through all that is kept.
const PATTERNS_MAX: usize = 32;

pub(super) fn validate(written: &document::Records, faults: &mut Faults) -> Keeping {
    for (key, number, range) in
        [("max_bytes", written.max_bytes, BYTES), ("max_age_hours", written.max_age_hours, HOURS)]
    {
        if !range.contains(&number) {
            let message =
                format!("{number} is outside {} to {}; leave it out for its default", range.start(), range.end());
            faults.add(format!("records.{key}"), message);
        }
    }
    let percent = written.sample_percent_bodies;
    if !(0.0..=100.0).contains(&percent) {
        let message = format!("{percent} is outside 0 to 100; it is the percentage of exchanges that are kept whole");
        faults.add("records.sample_percent_bodies", message);
    }
    for (key, names) in [("mask_headers", &written.mask_headers), ("mask_fields", &written.mask_fields)] {
        let is_name = |name: &String| name.bytes().any(|byte| byte.is_ascii_alphanumeric());
        if let Some(index) = names.iter().position(|name| !is_name(name)) {
            faults.add(format!("records.{key}[{index}]"), "has no letter and no digit; write a name as in `X-Api-Key`");
        }
        if names.len() > NAMES_MAX {
            faults
                .add(format!("records.{key}"), format!("has more than {NAMES_MAX} names; leave out what others cover"));
        }
    }
    for (index, pattern) in written.mask_patterns.iter().enumerate() {
        if let Err(message) = Masks::check_pattern(pattern) {
            faults.add(format!("records.mask_patterns[{index}]"), message);
        }
    }
    if written.mask_patterns.len() > PATTERNS_MAX {
        let message = format!("has more than {PATTERNS_MAX} patterns; join some of them with `|`");
        faults.add("records.mask_patterns", message);
    }
    Keeping {
        enabled: written.enabled,
        bounds: Bounds {
            total_bytes: written.max_bytes,
            age: Duration::from_secs(written.max_age_hours.saturating_mul(3_600)),
        },
        sample: Sample { per_million: (percent * 10_000.0).round() as u32 },
        mask_headers: written.mask_headers.clone(),
        mask_fields: written.mask_fields.clone(),
        mask_patterns: written.mask_patterns.clone(),
    }
}
