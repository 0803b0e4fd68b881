//! Kernel modules: those that the image lists, in its order, each after what it needs.

use nix::errno::Errno;
use nix::kmod::{ModuleInitFlags, finit_module};
use std::fs::File;
use std::path::Path;

/// The list: one path for each line.
pub const LIST: &str = "/etc/modules.load";

/// Loads the modules of the list. One that this machine cannot use is no fault: the list is for all machines.
pub fn load_all() {
    let Ok(list) = std::fs::read_to_string(LIST) else { return };
    let loaded = list.lines().filter(|path| load(Path::new(path))).count();
    log::info!("{loaded} kernel modules are loaded");
}

fn load(path: &Path) -> bool {
    let Ok(file) = File::open(path) else {
        log::warn!("{} is listed in {LIST} and not there", path.display());
        return false;
    };
    match finit_module(file, c"", ModuleInitFlags::empty()) {
        Ok(()) | Err(Errno::EEXIST) => true,
        Err(errno) => {
            log::debug!("{}: {}", path.display(), errno.desc());
            false
        }
    }
}
