use super::*;
use crate::capture::Captures;
use std::path::Path;
use tapcopy_engine::Time;
use tapcopy_engine::config::{Origin, Pacing, Protocol};
use tempfile::TempDir;

const FRAME_BYTES: usize = 1_001;

fn recording(folder: &TempDir) -> Recording {
    Recording {
        directory: folder.path().join("made").join("anew"),
        services: Some(vec!["chosen".to_owned()]),
        file_bytes: 1 << 30,
        file_age: Duration::from_secs(3_600),
        total_bytes: 1 << 40,
        total_age: Duration::from_secs(3_600),
    }
}

fn interfaces() -> Vec<Interface> {
    let interface = |name: &str| Interface { name: name.to_owned(), link: LinkType::Ethernet };
    vec![interface("mirror0"), interface("mirror1")]
}

fn service(name: &str) -> Service {
    Service {
        name: name.to_owned(),
        origins: vec![Origin::AnyAddress(80)],
        targets: Vec::new(),
        protocol: Protocol::Auto,
        pacing: Pacing::Turns,
        sample: 10_000,
        copies: 1,
        mirror_to: tapcopy_engine::config::MirrorTo::One,
        selection: Default::default(),
        sessions_per_second: None,
        rules: Default::default(),
    }
}

fn frame(bytes: &[u8], nanos: u64, link: LinkType) -> MirrorFrame<'_> {
    MirrorFrame { captured_at: Time::from_nanos(nanos), link, wire_len: 1_500, bytes }
}

/// Records so many frames of the chosen service, a nanosecond apart, and as many of another.
fn record(recording: &Recording, frames: u64) -> Recorded {
    let (mut recorder, recorders) = start(recording, interfaces()).unwrap();
    recorder.configure(&[service("other"), service("chosen")]);
    let bytes = [7; FRAME_BYTES];
    for nanos in 0..frames {
        recorder.record(nanos as usize % 2, &frame(&bytes, 1_000 + nanos, LinkType::Ethernet), 1);
        recorder.record(0, &frame(&bytes, 1_000 + nanos, LinkType::Ethernet), 0);
        // As the shard does each second; the disk of a test is never so slow that its queue fills.
        if nanos % 100 == 0 {
            recorder.flush();
            std::thread::sleep(Duration::from_micros(100));
        }
    }
    recorder.flush();
    drop(recorder);
    recorders.finish()
}

fn files(recording: &Recording) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&recording.directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// The stamps of all frames, each of which must be whole.
fn stamps(paths: &[PathBuf]) -> Vec<u64> {
    let mut captures = Captures::open(paths).unwrap();
    let mut stamps = Vec::new();
    while let Some(frame) = captures.frame() {
        assert_eq!((frame.bytes.as_slice(), frame.wire_len), (&[7; FRAME_BYTES][..], 1_500));
        stamps.push(frame.captured_at.as_nanos());
        captures.advance();
    }
    stamps
}

#[test]
fn what_is_recorded_is_read_back_to_the_nanosecond() {
    let folder = TempDir::new().unwrap();
    let recording = recording(&folder);
    let recorded = record(&recording, 1_000);
    assert_eq!((recorded.frames, recorded.files, recorded.dropped.sum()), (1_000, 1, 0));
    assert!(recorded.bytes > 1_000_000, "{}", recorded.bytes);
    assert_eq!(stamps(&files(&recording)), (1_000..2_000).collect::<Vec<u64>>());
}

#[test]
fn files_are_closed_by_size_and_the_oldest_go() {
    let folder = TempDir::new().unwrap();
    let recording = Recording { file_bytes: 100_000, total_bytes: 500_000, ..recording(&folder) };
    std::fs::create_dir_all(&recording.directory).unwrap();
    let other = recording.directory.join("tapcopy-notes.pcapng");
    std::fs::write(&other, [0; 1_000_000]).unwrap();
    let recorded = record(&recording, 2_000);
    assert_eq!(recorded.frames, 2_000);
    let mut left = files(&recording);
    assert!(left.contains(&other), "what it has not written is not its own");
    left.retain(|path| *path != other);
    let sizes: Vec<u64> = left.iter().map(|path| path.metadata().unwrap().len()).collect();
    assert!(sizes.iter().sum::<u64>() <= recording.total_bytes && left.len() > 1, "{sizes:?}");
    assert!(recorded.files > left.len() as u64);
    let stamps = stamps(&left);
    assert_eq!(stamps.last(), Some(&2_999), "the newest are kept");
}

#[test]
fn files_are_closed_and_go_by_age() {
    let folder = TempDir::new().unwrap();
    let by_age = Recording { file_age: Duration::ZERO, ..recording(&folder) };
    let recorded = record(&by_age, 300);
    assert_eq!((recorded.frames, recorded.files), (300, files(&by_age).len() as u64));
    assert!(recorded.files > 1);
    let of_no_age = Recording { total_age: Duration::ZERO, ..recording(&folder) };
    assert_eq!(record(&of_no_age, 0).frames, 0);
    assert!(files(&of_no_age).is_empty());
}

#[test]
fn a_killed_box_s_file_is_closed_by_the_next_and_a_living_one_s_is_not() {
    let folder = TempDir::new().unwrap();
    let recording = recording(&folder);
    std::fs::create_dir_all(&recording.directory).unwrap();
    let mut bytes = blocks::head(&interfaces());
    blocks::push_packet(&mut bytes, 1, &frame(&[7; FRAME_BYTES], 5, LinkType::Ethernet));
    blocks::push_packet(&mut bytes, 1, &frame(&[7; FRAME_BYTES], 6, LinkType::Ethernet));
    bytes.truncate(bytes.len() - 3);
    let place = |number: u32| recording.directory.join(format!("tapcopy-20260101T000000Z-000{number}.pcapng"));
    let part = |number: u32| place(number).with_extension("pcapng.part");
    std::fs::write(part(1), &bytes).unwrap();
    std::fs::write(part(2), &bytes).unwrap();
    let lock = std::fs::File::open(part(2)).unwrap();
    lock.try_lock().unwrap();
    record(&recording, 0);
    assert_eq!(files(&recording), [place(1), part(2)]);
    assert_eq!(stamps(&[place(1)]), [5], "up to the last whole block");
}

#[test]
fn frames_of_an_interface_that_has_changed_are_counted() {
    let folder = TempDir::new().unwrap();
    let (mut recorder, recorders) = start(&recording(&folder), interfaces()).unwrap();
    recorder.configure(&[service("chosen")]);
    recorder.record(0, &frame(b"x", 1, LinkType::RawIp), 0);
    recorder.record(2, &frame(b"x", 1, LinkType::Ethernet), 0);
    drop(recorder);
    let recorded = recorders.finish();
    assert_eq!((recorded.frames, recorded.dropped.of(Unrecorded::LinkType)), (0, 2));
}

/// Nobody takes from the queue: as when the disk stands still.
#[test]
fn a_disk_that_stands_still_costs_frames_and_no_time() {
    let (full, _filled) = sync_channel(2);
    let mut recorder = Recorder::new(None, interfaces(), full, Arc::default(), Arc::default());
    recorder.configure(&[service("chosen")]);
    for nanos in 0..10_000 {
        recorder.record(0, &frame(&[7; FRAME_BYTES], nanos, LinkType::Ethernet), 0);
    }
    recorder.flush();
    let dropped = recorder.recorded().dropped.of(Unrecorded::QueueFull);
    assert!((9_000..10_000).contains(&dropped), "{dropped}");
}

#[test]
fn a_folder_that_cannot_be_written_is_told() {
    let recording = Recording { directory: "/proc/none".into(), ..recording(&TempDir::new().unwrap()) };
    let fault = start(&recording, interfaces()).err().unwrap().to_string();
    assert!(fault.contains("record.directory: /proc/none: ") && !Path::new("/proc/none").exists(), "{fault}");
}
