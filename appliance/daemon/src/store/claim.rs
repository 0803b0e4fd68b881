//! The claim token: who can read it on the console or in the data folder may make the first password.

use super::{StoreFault, io};
use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The claim token of a data folder, 32 hexadecimal digits, and whether it was made just now.
///
/// # Errors
/// The folder cannot be used.
pub fn claim_token(folder: &Path) -> Result<(String, bool), StoreFault> {
    super::make_folder(folder)?;
    let path = folder.join("claim-token");
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
        Ok(mut file) => {
            let token = crate::accounts::secret::random_hex().map_err(io(&path))?;
            writeln!(file, "{token}").and_then(|()| file.sync_all()).map_err(io(&path))?;
            Ok((token, true))
        }
        Err(fault) if fault.kind() == ErrorKind::AlreadyExists => read_token(&path).map(|token| (token, false)),
        Err(source) => Err(io(&path)(source)),
    }
}

fn read_token(path: &Path) -> Result<String, StoreFault> {
    let mut text = String::new();
    File::open(path).and_then(|file| file.take(64).read_to_string(&mut text)).map_err(io(path))?;
    let token = text.trim();
    if token.len() == 32 && token.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(token.to_owned());
    }
    // An empty token must never be one that an empty header matches.
    Err(io(path)(Error::new(ErrorKind::InvalidData, "not 32 hexadecimal digits, remove the file to have a new one")))
}
