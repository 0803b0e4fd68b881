//! The section `[record]`, from its document to what recording takes.

use super::{Faults, document};
use crate::record::Recording;
use std::time::Duration;
use tapcopy_engine::config::Service;

/// What its numbers may be, in whatever unit: one beyond it is a slip.
const NUMBERS: std::ops::RangeInclusive<u64> = 1..=1_000_000_000;

pub(super) fn validate(written: &document::Record, services: &[Service], faults: &mut Faults) -> Recording {
    if written.directory.is_empty() {
        faults.add("record.directory", "is missing; name the folder that the recorded files go to");
    }
    for (index, name) in written.services.iter().enumerate() {
        if !services.iter().any(|service| service.name == *name) {
            let known: Vec<&str> = services.iter().map(|service| service.name.as_str()).collect();
            let message = format!("`{name}` is the name of no service; there are {}", known.join(", "));
            faults.add(format!("record.services[{index}]"), message);
        }
    }
    numbers(written, faults);
    Recording {
        directory: (&written.directory).into(),
        services: (!written.services.is_empty()).then(|| written.services.clone()),
        file_bytes: written.file_mib.saturating_mul(1 << 20),
        file_age: Duration::from_secs(written.file_seconds),
        total_bytes: written.total_mib.saturating_mul(1 << 20),
        total_age: Duration::from_secs(written.total_hours.saturating_mul(3_600)),
    }
}

fn numbers(written: &document::Record, faults: &mut Faults) {
    let document::Record { file_mib, file_seconds, total_mib, total_hours, .. } = *written;
    let all = [
        ("file_mib", file_mib),
        ("file_seconds", file_seconds),
        ("total_mib", total_mib),
        ("total_hours", total_hours),
    ];
    for (key, number) in all {
        if !NUMBERS.contains(&number) {
            let message = format!("{number} is outside 1 to {}; leave it out for its default", NUMBERS.end());
            faults.add(format!("record.{key}"), message);
        }
    }
    if total_mib < file_mib.saturating_mul(2) {
        let message = format!("{total_mib} is less than two files; raise it, or lower record.file_mib");
        faults.add("record.total_mib", message);
    }
}
