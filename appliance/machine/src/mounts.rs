//! The file systems that the kernel itself provides.

use nix::mount::{MsFlags, mount};
use std::io::Result;
use std::path::Path;

/// Mounts what a process expects to find.
pub fn mount_all() -> Result<()> {
    let (plain, device) = (MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC, MsFlags::MS_NOSUID);
    for (kind, at, flags, options) in [
        ("proc", "/proc", plain, ""),
        ("sysfs", "/sys", plain, ""),
        ("devtmpfs", "/dev", device, "mode=0755"),
        ("tmpfs", "/run", plain, "mode=0755,size=16m"),
        ("tmpfs", "/tmp", plain, "mode=1777,size=64m"),
    ] {
        std::fs::create_dir_all(at)?;
        attach(kind, Path::new(at), kind, flags, options)?;
    }
    Ok(())
}

/// From now on nothing is written to the root, which is in memory and holds the image as it was made.
pub fn seal_root() -> Result<()> {
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    Ok(mount(None::<&str>, "/", None::<&str>, flags, None::<&str>)?)
}

/// Mounts a file system.
pub fn attach(source: &str, at: &Path, kind: &str, flags: MsFlags, options: &str) -> Result<()> {
    Ok(mount(Some(source), at, Some(kind), flags, Some(options))?)
}
