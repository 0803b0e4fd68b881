//! What a static libpcap asks for and this program does not use.
//!
//! Debian's libpcap.a has a D-Bus capture module whose library cannot be linked statically. These two functions stand in
//! for that module: there is no D-Bus here.
#![allow(unsafe_code)]

use std::os::raw::{c_char, c_int, c_void};
use std::ptr::null_mut;

/// libpcap asks each module whether a device name is its own.
///
/// # Safety
/// `is_ours` is null or points to a writable integer; libpcap always passes one of its own.
// SAFETY: the symbol exists only here, as no D-Bus module is linked.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dbus_create(_device: *const c_char, _fault: *mut c_char, is_ours: *mut c_int) -> *mut c_void {
    // SAFETY: by this function's contract.
    if let Some(is_ours) = unsafe { is_ours.as_mut() } {
        *is_ours = 0;
    }
    null_mut()
}

/// libpcap asks each module for its devices; zero is success.
// SAFETY: the symbol exists only here, as no D-Bus module is linked.
#[unsafe(no_mangle)]
pub extern "C" fn dbus_findalldevs(_devices: *mut c_void, _fault: *mut c_char) -> c_int {
    0
}
