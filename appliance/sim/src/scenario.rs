//! Scenario files.
/// m
#[derive(Clone,Copy)]
pub struct Mode {/// u
pub update: bool, /// t
pub trace: bool}
/// c
/// # Errors
/// e
pub fn check(_p: &std::path::Path, _m: Mode) -> Result<(), String> { Ok(()) }
