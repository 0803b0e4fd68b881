//! The memory that the program holds, as it asked for it: what the allocator adds for itself is not counted.

use core::alloc::{GlobalAlloc, Layout};
use core::sync::atomic::{AtomicUsize, Ordering};
use std::alloc::System;

static HELD: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator with a counter, for a program of one thread.
pub struct Counting;

/// Bytes held now.
pub fn held() -> usize {
    HELD.load(Ordering::Relaxed)
}

/// Not one atomic step, which would cost as much as what is measured: nobody else writes.
fn exchange(before: usize, after: usize) {
    HELD.store(held().wrapping_sub(before).wrapping_add(after), Ordering::Relaxed);
}

// SAFETY: every call goes to the system's allocator with the same arguments; counting touches no memory that it manages.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        exchange(0, layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        exchange(0, layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        exchange(layout.size(), 0);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        exchange(layout.size(), size);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
