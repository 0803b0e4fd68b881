//! The log on a disk that tears, flips, fills up and fails.

mod memory;

use memory::Memory;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tapcopy_records::{Bounds, Disk, Exchange, Folder, Latency, Log, Opened, Order, Outcome, Query, Reader, Stored};

const BOUNDS: Bounds = Bounds { total_bytes: 64 << 20, age: Duration::from_secs(3_600) };
const ALL: Query<'_> =
    Query { service: None, classes: u32::MAX, beyond: None, order: Order::Oldest, limit: usize::MAX };
const SECOND: u64 = 1_000_000_000;

fn open(disk: &Memory) -> (Log, Opened) {
    Log::open(Arc::new(disk.clone()), BOUNDS).unwrap()
}

/// The record that was appended as the `number`th.
fn say(number: u64) -> (String, u8, String, Option<String>) {
    let service = ["web", "cache", "db"][number as usize % 3].to_owned();
    let contents = (number % 4 == 1).then(|| format!("contents of {number}"));
    (service, (number % 5) as u8, format!("record {number}"), contents)
}

fn append(log: &mut Log, numbers: impl Iterator<Item = u64>) {
    for number in numbers {
        let (service, class, record, contents) = say(number);
        log.append(&service, class, record.as_bytes(), contents.as_deref().map(str::as_bytes));
    }
}

fn all(reader: &Reader, query: &Query<'_>) -> Vec<Stored> {
    let mut found = Vec::new();
    reader.query(query, |stored| found.push(stored)).unwrap();
    found
}

/// Holds each record that is found against what was appended under its number.
#[track_caller]
fn check(reader: &Reader, numbers: impl Iterator<Item = u64>) {
    let found = all(reader, &ALL);
    assert_eq!(found.iter().map(|stored| stored.number).collect::<Vec<_>>(), numbers.collect::<Vec<_>>());
    found.iter().for_each(|stored| check_one(reader, stored));
}

#[track_caller]
fn check_one(reader: &Reader, stored: &Stored) {
    let (service, class, record, contents) = say(stored.number);
    assert_eq!((stored.service.as_str(), stored.class), (service.as_str(), class));
    assert_eq!((stored.record.as_slice(), stored.has_contents), (record.as_bytes(), contents.is_some()));
    let (again, kept) = reader.get(stored.number).unwrap().unwrap();
    assert_eq!((&again, kept), (stored, contents.map(String::into_bytes)));
}

/// A small log of one segment, committed record by record, with the length of the file after each.
fn small_log() -> (Memory, Vec<usize>) {
    let disk = Memory::default();
    let (mut log, opened) = open(&disk);
    assert_eq!(opened, Opened::default());
    let mut lengths = Vec::new();
    for number in 1..=12 {
        append(&mut log, number..=number);
        assert_eq!(log.commit(SECOND).unwrap().next, number + 1);
        lengths.push(disk.file("0000000000000001.log").len());
    }
    (disk, lengths)
}

#[test]
fn records_come_back() {
    let (disk, _) = small_log();
    let (mut log, opened) = open(&disk);
    assert_eq!(opened, Opened { records: 12, ..Opened::default() });
    check(&log.reader(), 1..=12);
    append(&mut log, 13..=20);
    check(&log.reader(), 1..=12);
    log.commit(SECOND).unwrap();
    check(&log.reader(), 1..=20);
    assert!(log.reader().get(21).unwrap().is_none() && log.reader().get(0).unwrap().is_none());
    let (reader, opened) = Reader::open(Arc::new(disk)).unwrap();
    assert_eq!((opened.records, reader.records()), (20, 20));
    check(&reader, 1..=20);
}

#[test]
fn whatever_byte_a_write_is_torn_at_the_whole_records_are_read_and_the_log_goes_on() {
    let (disk, lengths) = small_log();
    let bytes = disk.file("0000000000000001.log");
    for end in 0..=bytes.len() {
        let torn = Memory::default();
        torn.put("0000000000000001.log", bytes[..end].to_vec());
        let whole = lengths.iter().filter(|length| **length <= end).count() as u64;
        let (reader, _) = Reader::open(Arc::new(torn.clone())).unwrap();
        check(&reader, 1..=whole);
        assert_eq!(torn.file("0000000000000001.log").len(), end, "a reader changes nothing");

        let (mut log, opened) = open(&torn);
        assert_eq!(opened.records, whole);
        let kept = if whole == 0 { 32.min(end) } else { lengths[whole as usize - 1] };
        match end {
            32.. => assert_eq!(opened.torn_bytes, (end - kept) as u64),
            _ => assert_eq!(opened.ignored, ["0000000000000001.log"]),
        }
        append(&mut log, whole + 1..=15);
        log.commit(SECOND).unwrap();
        check(&log.reader(), 1..=15);
        check(&open(&torn).0.reader(), 1..=15);
    }
}

#[test]
fn a_flipped_byte_never_becomes_a_record() {
    let (disk, lengths) = small_log();
    let bytes = disk.file("0000000000000001.log");
    for at in 0..bytes.len() {
        let flipped = Memory::default();
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x10;
        flipped.put("0000000000000001.log", bytes);
        let whole = lengths.iter().filter(|length| **length <= at).count() as u64;
        let (log, _) = open(&flipped);
        check(&log.reader(), 1..=if at < 32 { 0 } else { whole });
    }
}

/// A log of several segments.
fn large_log() -> (Memory, Bounds) {
    let disk = Memory::default();
    let bounds = Bounds { total_bytes: 512 << 10, ..BOUNDS };
    let (mut log, _) = Log::open(Arc::new(disk.clone()), bounds).unwrap();
    for start in (1..=9_000).step_by(100) {
        append(&mut log, start..start + 100);
        log.commit(SECOND).unwrap();
    }
    (disk, bounds)
}

#[test]
fn an_index_that_is_missing_or_wrong_is_made_anew() {
    let (disk, bounds) = large_log();
    let names: Vec<String> = disk.names().unwrap().into_iter().filter(|name| name.ends_with(".idx")).collect();
    assert!(names.len() >= 3, "{names:?}");
    let index = disk.file(&names[1]);
    let damages: [&dyn Fn(&Memory); 4] = [
        &|disk| disk.remove(&names[1]).unwrap(),
        &|disk| disk.put(&names[1], index[..index.len() - 1].to_vec()),
        &|disk| disk.put(&names[1], Vec::new()),
        &|disk| {
            let mut index = index.clone();
            index[20] ^= 1;
            disk.put(&names[1], index);
        },
    ];
    for damage in damages {
        damage(&disk);
        let (log, opened) = Log::open(Arc::new(disk.clone()), bounds).unwrap();
        assert_eq!((opened.records, opened.rebuilt), (9_000, 1));
        check(&log.reader(), 1..=9_000);
        assert_eq!(disk.file(&names[1]), index);
        let (_, opened) = Log::open(Arc::new(disk.clone()), bounds).unwrap();
        assert_eq!((opened.records, opened.rebuilt), (9_000, 0));
    }
    // A damaged entry is found when the entries are wanted.
    let mut damaged = index.clone();
    *damaged.last_mut().unwrap() ^= 1;
    disk.put(&names[1], damaged);
    check(&Reader::open(Arc::new(disk)).unwrap().0, 1..=9_000);
}

#[test]
fn one_damaged_record_of_an_indexed_segment_is_the_only_one_lost() {
    let (disk, bounds) = large_log();
    let mut bytes = disk.file("0000000000000001.log");
    bytes[500] ^= 1;
    disk.put("0000000000000001.log", bytes);
    let (log, _) = Log::open(Arc::new(disk), bounds).unwrap();
    let mut found = Vec::new();
    let page = log.reader().query(&ALL, |stored| found.push(stored.number)).unwrap();
    assert_eq!((page.damaged, found.len()), (1, 8_999));
}

#[test]
fn what_lies_behind_a_damaged_segment_is_still_found() {
    let (disk, bounds) = large_log();
    let name = disk.names().unwrap().into_iter().rfind(|name| name.ends_with(".idx")).unwrap();
    let segment = name.replace(".idx", ".log");
    disk.remove(&name).unwrap();
    let mut bytes = disk.file(&segment);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    disk.put(&segment, bytes);
    let (mut log, opened) = Log::open(Arc::new(disk), bounds).unwrap();
    append(&mut log, 9_001..=9_010);
    log.commit(SECOND).unwrap();
    for order in [Order::Oldest, Order::Newest] {
        let found: Vec<u64> = all(&log.reader(), &Query { order, ..ALL }).iter().map(|stored| stored.number).collect();
        assert_eq!(found.len() as u64, opened.records + 10);
        assert!(found.contains(&1) && found.contains(&9_000) && found.contains(&9_010));
    }
}

#[test]
fn queries_page_through_from_both_ends() {
    let (disk, bounds) = large_log();
    let (mut log, _) = Log::open(Arc::new(disk), bounds).unwrap();
    append(&mut log, 9_001..=9_050);
    log.commit(SECOND).unwrap();
    let reader = log.reader();
    for order in [Order::Newest, Order::Oldest] {
        for (service, classes) in
            [(None, u32::MAX), (Some("cache"), u32::MAX), (None, 1 << 3), (Some("db"), 1 << 1 | 1)]
        {
            let mut expected: Vec<u64> = (1..=9_050)
                .filter(|number| {
                    let (name, class, ..) = say(*number);
                    service.is_none_or(|service| service == name) && classes >> class & 1 == 1
                })
                .collect();
            if order == Order::Newest {
                expected.reverse();
            }
            let (mut found, mut beyond) = (Vec::new(), None);
            loop {
                let query = Query { service, classes, beyond, order, limit: 271 };
                let page = reader.query(&query, |stored| found.push(stored.number)).unwrap();
                let Some(next) = page.next else { break };
                beyond = Some(next);
            }
            assert_eq!(found, expected);
        }
    }
    let none = Query { service: Some("nobody"), ..ALL };
    assert!(all(&reader, &none).is_empty());
}

#[test]
fn the_oldest_go_by_size_and_age_and_the_numbers_stay() {
    let disk = Memory::default();
    let bounds = Bounds { total_bytes: 256 << 10, age: Duration::from_secs(3_600) };
    let (mut log, _) = Log::open(Arc::new(disk.clone()), bounds).unwrap();
    for start in (1..=20_000).step_by(100) {
        append(&mut log, start..start + 100);
        assert!(log.commit(SECOND).unwrap().bytes <= bounds.total_bytes);
    }
    assert!(disk.total() <= bounds.total_bytes as usize);
    let oldest = all(&log.reader(), &Query { limit: 1, ..ALL })[0].number;
    assert!(oldest > 1);
    check(&log.reader(), oldest..=20_000);

    // The last segment has no successor that could be too old, and stays.
    append(&mut log, 20_001..=20_001);
    log.commit(4_000 * SECOND).unwrap();
    append(&mut log, 20_002..=20_002);
    log.commit(8_000 * SECOND).unwrap();
    append(&mut log, 20_003..=20_003);
    log.commit(8_001 * SECOND).unwrap();
    let left = all(&log.reader(), &ALL);
    assert!(left[0].number > oldest && left.last().unwrap().number == 20_003, "{}", left[0].number);
    drop(log);
    let (log, opened) = Log::open(Arc::new(disk), bounds).unwrap();
    assert_eq!(opened.records, left.len() as u64);
    check(&log.reader(), left[0].number..=20_003);
}

#[test]
fn a_disk_that_fills_up_at_any_byte_costs_only_what_was_not_committed() {
    let probe = Memory::default();
    let (mut log, _) = open(&probe);
    append(&mut log, 1..=20);
    log.commit(SECOND).unwrap();
    let size = probe.total();
    for room in 0..size {
        for is_cut_off in [true, false] {
            let disk = Memory::default();
            let (mut log, _) = open(&disk);
            append(&mut log, 1..=3);
            log.commit(SECOND).unwrap();
            disk.limit(disk.total() + room, is_cut_off);
            append(&mut log, 4..=20);
            let lost = log.commit(SECOND).err().map_or(0, |lost| lost.records);
            assert!(lost == 0 || lost == 17);
            let last = 20 - lost;
            check(&log.reader(), 1..=last);
            // Behind the committed ones a crash may leave whole ones that nobody was shown yet.
            let (reader, opened) = Reader::open(Arc::new(disk.clone())).unwrap();
            assert!(opened.records >= last && (!is_cut_off || opened.records == last));
            check(&reader, 1..=opened.records);
            disk.limit(usize::MAX, true);
            append(&mut log, last + 1..=25);
            log.commit(SECOND).unwrap();
            check(&log.reader(), 1..=25);
            drop(log);
            check(&open(&disk).0.reader(), 1..=25);
        }
    }
}

#[test]
fn a_folder_keeps_a_log() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("records");
    let disk = Arc::new(Folder::made(&path).unwrap());
    let (mut log, _) = Log::open(disk, BOUNDS).unwrap();
    append(&mut log, 1..=100);
    log.commit(SECOND).unwrap();
    check(&log.reader(), 1..=100);
    drop(log);
    let (log, opened) = Log::open(Arc::new(Folder::existing(&path)), BOUNDS).unwrap();
    assert_eq!(opened.records, 100);
    check(&log.reader(), 1..=100);
    use std::os::unix::fs::PermissionsExt;
    let file = path.join("0000000000000001.log");
    assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
}

/// Ten million records as a box writes them; run by hand, with `--release --ignored --nocapture`.
#[test]
#[ignore = "writes a gigabyte"]
fn ten_million_records_open_in_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let exchange = Exchange {
        service: "web".to_owned(),
        outcome: Outcome::Match,
        reason: String::new(),
        session: 1_000_000,
        exchange: 3,
        copy: 0,
        client: "10.0.0.1:40000".parse().unwrap(),
        origin: "10.100.10.1:80".parse().unwrap(),
        target: Some("10.1.0.1:8080".parse().unwrap()),
        captured_at: 1_700_000_000_123_456_789,
        request_bytes: 78,
        origin_latency: Some(Latency { first_byte: 1_000_000, last_byte: 2_500_000 }),
        target_latency: Some(Latency { first_byte: 1_100_000, last_byte: 2_600_000 }),
        endpoint: "GET /api/items/{}".to_owned(),
        differences: Vec::new(),
    };
    let record = exchange.encode();
    let bounds = Bounds { total_bytes: 4 << 30, ..BOUNDS };
    let disk = Arc::new(Folder::existing(folder.path()));
    let (mut log, _) = Log::open(disk.clone(), bounds).unwrap();
    let began = Instant::now();
    let mut bytes = 0;
    for _ in 0..1_000 {
        (0..10_000).for_each(|number| {
            log.append("web", u8::from(number == 77), &record, None);
        });
        bytes = log.commit(SECOND).unwrap().bytes;
    }
    println!("written in {:?}, {} bytes a record", began.elapsed(), bytes / 10_000_000);
    drop(log);
    let began = Instant::now();
    let (log, opened) = Log::open(disk, bounds).unwrap();
    let took = began.elapsed();
    println!("opened in {took:?}");
    assert_eq!(opened.records, 10_000_000);
    assert!(took < Duration::from_secs(1), "{took:?}");
    for (classes, what) in [(u32::MAX, "all"), (2, "one in ten thousand"), (4, "none")] {
        let began = Instant::now();
        let found = all(&log.reader(), &Query { classes, order: Order::Newest, limit: 100, ..ALL });
        println!("{} of {what} in {:?}", found.len(), began.elapsed());
    }
}
