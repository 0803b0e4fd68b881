//! The machine that the box runs on, as its kernel tells it: processor, memory, disk, clock, interfaces.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::path::Path;

/// Processor time is counted in hundredths of a second (USER_HZ, the same on every Linux).
const TICKS_PER_SECOND: f64 = 100.0;

/// Frames and bytes that an interface has received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Frames.
    pub frames: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Received by each interface since it was made.
pub fn received() -> BTreeMap<String, Received> {
    received_in(&std::fs::read_to_string("/proc/self/net/dev").unwrap_or_default())
}

fn received_in(table: &str) -> BTreeMap<String, Received> {
    let rows = table.lines().filter_map(|line| line.split_once(':'));
    let parsed = rows.filter_map(|(name, numbers)| {
        let mut numbers = numbers.split_whitespace().map_while(|number| number.parse().ok());
        let (bytes, frames) = (numbers.next()?, numbers.next()?);
        Some((name.trim().to_owned(), Received { frames, bytes }))
    });
    parsed.collect()
}

/// Keeps this thread to one of the processors that it may use, in turn by its number; which one that is.
pub fn pin(number: usize) -> Option<usize> {
    let this = Pid::from_raw(0);
    let allowed = sched_getaffinity(this).ok()?;
    let allowed: Vec<usize> = (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap_or(false)).collect();
    let processor = *allowed.get(number.checked_rem(allowed.len())?)?;
    let mut only = CpuSet::new();
    only.set(processor).and_then(|()| sched_setaffinity(this, &only)).ok()?;
    Some(processor)
}

/// Seconds of processor time that each thread of this process has taken, by name; those of one name together.
pub fn thread_seconds() -> BTreeMap<String, f64> {
    let mut threads = BTreeMap::new();
    let Ok(entries) = std::fs::read_dir("/proc/self/task") else { return threads };
    for entry in entries.filter_map(Result::ok) {
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        if let Some((name, seconds)) = thread_in(&stat) {
            *threads.entry(name).or_default() += seconds;
        }
    }
    threads
}

/// Name and processor time in proc(5)'s `stat`: the name is in the outermost parentheses, and may hold some itself.
fn thread_in(stat: &str) -> Option<(String, f64)> {
    let (begin, end) = (stat.find('(')?, stat.rfind(')')?);
    let numbers: Vec<&str> = stat.get(end + 1..)?.split_whitespace().collect();
    // The fields 14 and 15, of which the first two are before the closing parenthesis.
    let ticks = numbers.get(11)?.parse::<f64>().ok()? + numbers.get(12)?.parse::<f64>().ok()?;
    Some((stat.get(begin + 1..end)?.to_owned(), ticks / TICKS_PER_SECOND))
}

/// Memory in bytes: all of the machine, what is free for programs, what this process holds.
pub fn memory() -> (u64, u64, u64) {
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    (kilobytes(&meminfo, "MemTotal:"), kilobytes(&meminfo, "MemAvailable:"), kilobytes(&status, "VmRSS:"))
}

fn kilobytes(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next()).and_then(|number| number.parse::<u64>().ok());
    number.unwrap_or_default() * 1_024
}

/// Size of the file system of a folder and what is free of it, in bytes.
pub fn disk(folder: &Path) -> Option<(u64, u64)> {
    let stat = nix::sys::statvfs::statvfs(folder).ok()?;
    let block = stat.fragment_size();
    Some((stat.blocks() * block, stat.blocks_available() * block))
}

/// What a file of the kernel says, as one line.
pub fn line_of(path: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

/// What the machine calls itself, where somebody has given it a name.
pub fn name() -> Option<String> {
    line_of("/proc/sys/kernel/hostname").filter(|name| name != "(none)")
}

/// Driver of an interface.
pub fn driver(interface: &str) -> Option<String> {
    let driver = std::fs::read_link(format!("/sys/class/net/{interface}/device/driver")).ok()?;
    Some(driver.file_name()?.to_string_lossy().into_owned())
}

/// Whether an interface has a carrier.
pub fn has_link(interface: &str) -> bool {
    line_of(&format!("/sys/class/net/{interface}/carrier")).is_some_and(|carrier| carrier == "1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_the_kernel() {
        let table = "Inter-|   Receive\n face |bytes packets\n  eth1: 500 6 0 0 0 0 0 0 7 8\nlo:1 2 0\n";
        let expected = [("eth1", Received { frames: 6, bytes: 500 }), ("lo", Received { frames: 2, bytes: 1 })];
        assert_eq!(received_in(table), expected.map(|(name, received)| (name.to_owned(), received)).into());
        let stat = "7 (a) (b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0";
        assert_eq!(thread_in(stat), Some(("a) (b".to_owned(), 2.0)));
        assert_eq!(kilobytes("MemTotal:  3 kB\nMemAvailable: 2 kB\n", "MemAvailable:"), 2_048);
        assert!(memory().0 > memory().2 && !thread_seconds().is_empty() && disk(Path::new("/")).is_some());
    }
}
