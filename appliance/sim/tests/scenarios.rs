//! Every scenario file holds. `UPDATE=1 cargo test -p tapcopy-sim --test scenarios` rewrites their expectations.

use std::path::{Path, PathBuf};
use tapcopy_sim::scenario::{Mode, check};

#[test]
fn scenarios() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut files: Vec<PathBuf> =
        folder.read_dir().expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "scn"));
    files.sort();
    let mode = Mode { update: std::env::var_os("UPDATE").is_some(), trace: false };
    let faults: String = files.iter().filter_map(|path| check(path, mode).err()).collect();
    assert!(faults.is_empty(), "\n{faults}");
    assert!(!files.is_empty(), "no scenario in {}", folder.display());
}
