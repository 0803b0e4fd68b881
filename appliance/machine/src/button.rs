//! The power button, which the kernel tells as a key of an input device (ACPI's own, or a keyboard's).

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// `KEY_POWER`, `EV_KEY` and a key that goes down (linux/input-event-codes.h).
const POWER: u16 = 116;
const KEY: u16 = 1;
const DOWN: i32 = 1;
/// Bytes of a `struct input_event` on a machine of 64 bits: a time of 16, then type, code and value.
const EVENT: usize = 24;
const DEVICES: &str = "/sys/class/input";

/// Calls `pressed` each time when the button is pressed, on a thread of its own. A machine without one does without.
///
/// # Errors
/// No thread is to be had.
pub fn start(pressed: impl Fn() + Send + 'static) -> std::io::Result<()> {
    let mut devices: Vec<File> =
        with_button(Path::new(DEVICES)).iter().filter_map(|device| File::open(device).ok()).collect();
    if devices.is_empty() {
        log::info!("the machine has no power button that it tells of");
        return Ok(());
    }
    let watch = move || {
        while !devices.is_empty() {
            if wait(&mut devices) {
                pressed();
            }
        }
    };
    std::thread::Builder::new().name("button".to_owned()).spawn(watch).map(drop)
}

/// Waits for keys; whether the button was among them. A device that is taken away is forgotten.
fn wait(devices: &mut Vec<File>) -> bool {
    let mut descriptors: Vec<PollFd<'_>> =
        devices.iter().map(|device| PollFd::new(device.as_fd(), PollFlags::POLLIN)).collect();
    let _ = poll(&mut descriptors, PollTimeout::NONE);
    let ready: Vec<bool> = descriptors.iter().map(|descriptor| descriptor.any().unwrap_or(true)).collect();
    let (mut ready, mut is_pressed) = (ready.into_iter(), false);
    devices.retain_mut(|device| {
        if ready.next() != Some(true) {
            return true;
        }
        let mut events = [0; 64 * EVENT];
        let read = device.read(&mut events);
        is_pressed |= read.as_ref().is_ok_and(|count| has_press(&events[..*count]));
        read.is_ok()
    });
    is_pressed
}

fn has_press(events: &[u8]) -> bool {
    let half = |bytes: &[u8]| u16::from_ne_bytes([bytes[0], bytes[1]]);
    events.chunks_exact(EVENT).any(|event| {
        let value = i32::from_ne_bytes([event[20], event[21], event[22], event[23]]);
        (half(&event[16..]), half(&event[18..]), value) == (KEY, POWER, DOWN)
    })
}

/// The devices that have the button.
fn with_button(root: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root).into_iter().flatten().filter_map(Result::ok);
    let has = entries.filter(|entry| {
        let keys = std::fs::read_to_string(entry.path().join("device/capabilities/key")).unwrap_or_default();
        entry.file_name().to_string_lossy().starts_with("event") && has_key(&keys, POWER)
    });
    has.map(|entry| Path::new("/dev/input").join(entry.file_name())).collect()
}

/// Whether a key is in the kernel's list, which is words of 64 bits in hexadecimal digits, the highest first.
fn has_key(words: &str, key: u16) -> bool {
    let (word, bit) = (usize::from(key / 64), key % 64);
    let word = words.split_whitespace().rev().nth(word).and_then(|word| u64::from_str_radix(word, 16).ok());
    word.is_some_and(|word| word >> bit & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_button_is_a_key_of_some_devices() {
        // As ACPI's button has it, and an ordinary keyboard.
        assert!(has_key("10000000000000 0\n", POWER));
        assert!(has_key("402000000 3803078f800d001 feffffdfffefffff fffffffffffffffe\n", 30));
        assert!(!has_key("402000000 3803078f800d001 feefffdfffefffff fffffffffffffffe\n", POWER));
        assert!(!has_key("", POWER) && !has_key("0", POWER));
        let root = tempfile::tempdir().unwrap();
        for (name, keys) in [("event0", "10000000000000 0"), ("event1", "0"), ("mouse0", "10000000000000 0")] {
            let folder = root.path().join(name).join("device/capabilities");
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("key"), keys).unwrap();
        }
        assert_eq!(with_button(root.path()), [PathBuf::from("/dev/input/event0")]);
    }

    #[test]
    fn only_its_press_counts() {
        let event = |kind: u16, code: u16, value: i32| {
            [&[9; 16][..], &kind.to_ne_bytes(), &code.to_ne_bytes(), &value.to_ne_bytes()].concat()
        };
        assert!(has_press(&[event(KEY, 30, DOWN), event(KEY, POWER, DOWN)].concat()));
        for other in [event(KEY, POWER, 0), event(KEY, 30, DOWN), event(4, POWER, DOWN), vec![0; 10]] {
            assert!(!has_press(&other));
        }
    }
}
