//! Many seeds, each kept from harming the others.

use crate::pcap::Captured;
use crate::report::{Report, Violation};
use crate::world::{self, Options};
use core::sync::atomic::{AtomicU64, Ordering};
use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    /// What the panic of this thread's run said; `None` outside of runs.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Performs one seed; a panic is a broken rule like any other.
pub fn run(seed: u64, options: Options) -> (Report, Vec<Captured>) {
    static HOOK: Once = Once::new();
    HOOK.call_once(keep_panics);
    PANIC.set(Some(String::new()));
    let result = panic::catch_unwind(AssertUnwindSafe(|| world::run(seed, options)));
    let said = PANIC.take().unwrap_or_default();
    result.unwrap_or_else(|_| (Report::of_panic(seed, Violation { rule: "nothing panics", details: said }), Vec::new()))
}

/// Panics within runs are kept for the report, all others are printed as ever.
fn keep_panics() {
    let default = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let kept = PANIC.with_borrow_mut(|said| said.as_mut().map(|said| *said = info.to_string()).is_some());
        if !kept {
            default(info);
        }
    }));
}

/// Performs a seed twice and adds a broken rule where the outputs differ.
pub fn run_twice(seed: u64, options: Options) -> Report {
    let (mut report, _) = run(seed, options);
    let (again, _) = run(seed, options);
    if report.hash != again.hash {
        let details = format!("hash {:016x} and {:016x}", report.hash, again.hash);
        report.violations.push(Violation { rule: "two runs of a seed have the same outputs", details });
    }
    report
}

/// Performs `count` seeds from `first` on two threads or more, every eighth twice; gives every report, in order.
pub fn run_many(first: u64, count: u64, options: Options, say: impl Fn(&Report) + Sync) -> Vec<Report> {
    let next = AtomicU64::new(first);
    let work = || {
        let mut reports = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + count {
                return reports;
            }
            let report = if seed.is_multiple_of(8) { run_twice(seed, options) } else { run(seed, options).0 };
            say(&report);
            reports.push(report);
        }
    };
    let threads = std::thread::available_parallelism().map_or(2, usize::from).max(2);
    let mut reports: Vec<Report> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a worker catches panics")).collect()
    });
    reports.sort_by_key(|report| report.seed);
    reports
}
