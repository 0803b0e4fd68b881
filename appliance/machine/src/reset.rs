//! Back to the state of a new box. It is asked for by a mark beside the data, and done at the next start, before anything uses
//! the data: whatever interrupts it, it goes on at the start after that, and a box never runs on half of its data.

use std::fs::{File, remove_dir_all, remove_file};
use std::io::{ErrorKind, Result};
use std::path::Path;

const MARK: &str = "factory-reset";

/// Asks for it.
pub(crate) fn ask(at: &Path) -> Result<()> {
    File::create(at.join(MARK))?.sync_all()?;
    File::open(at)?.sync_all()
}

/// Does it where it was asked for; whether it was.
pub(crate) fn finish(at: &Path, data: &Path) -> Result<bool> {
    if !at.join(MARK).exists() {
        return Ok(false);
    }
    match remove_dir_all(data) {
        Err(fault) if fault.kind() != ErrorKind::NotFound => return Err(fault),
        _ => {}
    }
    File::open(at)?.sync_all()?;
    remove_file(at.join(MARK))?;
    File::open(at)?.sync_all()?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_goes_when_it_was_asked_for_and_once() {
        let at = tempfile::tempdir().unwrap();
        let data = at.path().join("tapcopy");
        std::fs::create_dir_all(data.join("store")).unwrap();
        assert!(!finish(at.path(), &data).unwrap() && data.exists());
        ask(at.path()).unwrap();
        assert!(data.exists());
        assert!(finish(at.path(), &data).unwrap() && !data.exists());
        ask(at.path()).unwrap();
        // Interrupted after the data, and before the mark.
        assert!(finish(at.path(), &data).unwrap() && !finish(at.path(), &data).unwrap());
    }
}
