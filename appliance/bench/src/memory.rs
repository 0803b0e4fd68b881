//! The memory that the program asks for, and how much of it there is.

use core::alloc::{GlobalAlloc, Layout};
use core::sync::atomic::{AtomicUsize, Ordering};
use tapcopy_machine::memory::Allocator;

/// Bytes of a page of the machines that the box runs on.
const PAGE: usize = 4_096;

static ASKED: AtomicUsize = AtomicUsize::new(0);

/// The box's own allocator with a counter, for a program of one thread.
pub struct Counting;

/// How often memory was asked for so far.
pub fn asked() -> usize {
    ASKED.load(Ordering::Relaxed)
}

/// Bytes of this process that are in memory.
pub fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux tells the size of a process");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.expect("the second number is of the pages in memory") * PAGE
}

/// Not one atomic step, which would cost as much as what is measured: nobody else writes.
fn count() {
    ASKED.store(asked() + 1, Ordering::Relaxed);
}

// SAFETY: every call goes to the box's allocator with the same arguments; counting touches no memory that it manages.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { Allocator.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { Allocator.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { Allocator.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { Allocator.realloc(pointer, layout, size) }
    }
}
