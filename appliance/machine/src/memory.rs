//! Memory for the buffers of TCP connections: as much as a busy connection wants, and none for an idle one.
//!
//! A buffer cannot be exchanged while a connection needs it, so each has its full size in addresses, which cost nothing: they
//! lie in one mapping, of which a page takes memory only once it is written to, and until the buffer is given back.
//!
//! The program's [`Allocator`] takes buffers, known by their size, from there, and everything else from the system's.
#![allow(unsafe_code)]

use core::ffi::c_void;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicUsize, Ordering};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::{Mutex, PoisonError};

/// Bytes of a buffer: a whole number of pages, be they of 4, 8 or 16 KiB.
pub const BUFFER_BYTES: usize = 16 << 10;

/// Most buffers: of two million connections. They take 64 GiB of addresses; a process has 128 TiB.
const BUFFERS_MAX: usize = 4 << 20;

/// Bytes of the mapping.
const ARENA_BYTES: usize = BUFFERS_MAX * BUFFER_BYTES;

/// Where the mapping begins; 0 before there is one.
static BASE: AtomicUsize = AtomicUsize::new(0);

static ARENA: Mutex<Arena> = Mutex::new(Arena { state: State::Unmapped, fresh: 0, free: 0 });

/// The buffers of the mapping that are not in use.
struct Arena {
    state: State,
    /// From this one on, none was ever used.
    fresh: usize,
    /// Buffers on the stack of those that were used before.
    free: usize,
}

#[derive(Clone, Copy)]
enum State {
    Unmapped,
    /// With the stack's address: a mapping of its own, because a buffer that is not in use shall take no page.
    Mapped(usize),
    /// The machine does not give away so many addresses.
    Refused,
}

impl Arena {
    /// A buffer of zeros.
    fn take(&mut self) -> Option<NonNull<u8>> {
        if let State::Unmapped = self.state {
            self.state = map();
        }
        let State::Mapped(stack) = self.state else { return None };
        let index = match self.free.checked_sub(1) {
            Some(last) => {
                self.free = last;
                // SAFETY: the stack has a place for each buffer, and those below `free` were written.
                unsafe { (stack as *const u32).add(last).read() as usize }
            }
            None if self.fresh < BUFFERS_MAX => {
                self.fresh += 1;
                self.fresh - 1
            }
            None => return None,
        };
        NonNull::new((BASE.load(Ordering::Relaxed) + index * BUFFER_BYTES) as *mut u8)
    }

    fn give(&mut self, index: usize) {
        let State::Mapped(stack) = self.state else { return };
        // SAFETY: a buffer is on the stack at most once, so that there is a place for it.
        unsafe { (stack as *mut u32).add(self.free).write(index as u32) };
        self.free += 1;
    }
}

/// Reserves the addresses.
fn map() -> State {
    let (Some(arena), Some(stack)) = (reserve(ARENA_BYTES), reserve(BUFFERS_MAX * size_of::<u32>())) else {
        return State::Refused;
    };
    // Huge pages would join the buffers of many connections, so that none could give back its own.
    // SAFETY: the range is the mapping that was just made; the advice changes no content.
    unsafe { libc::madvise(arena as *mut c_void, ARENA_BYTES, libc::MADV_NOHUGEPAGE) };
    BASE.store(arena, Ordering::Relaxed);
    State::Mapped(stack)
}

fn reserve(len: usize) -> Option<usize> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new anonymous mapping at an address of the kernel's choice touches nothing that exists.
    let address = unsafe { libc::mmap(null_mut(), len, protection, flags, -1, 0) };
    (address != libc::MAP_FAILED).then_some(address as usize)
}

/// The buffer that begins at this address.
fn index_of(address: usize) -> Option<usize> {
    let base = BASE.load(Ordering::Relaxed);
    let offset = address.checked_sub(base).filter(|offset| base != 0 && *offset < ARENA_BYTES)?;
    offset.is_multiple_of(BUFFER_BYTES).then_some(offset / BUFFER_BYTES)
}

/// Gives back the pages of the buffer that begins at `address`.
fn forget(address: usize) {
    // SAFETY: the pages are a buffer's that its owner has given back; they stay mapped, and read as zeros.
    unsafe { libc::madvise(address as *mut c_void, BUFFER_BYTES, libc::MADV_DONTNEED) };
}

fn is_buffer(layout: Layout) -> bool {
    layout.size() == BUFFER_BYTES && layout.align() == 1
}

fn arena<T>(work: impl FnOnce(&mut Arena) -> T) -> T {
    work(&mut ARENA.lock().unwrap_or_else(PoisonError::into_inner))
}

/// The system's allocator, but for buffers.
#[derive(Debug)]
pub struct Allocator;

// SAFETY: a block comes from the arena or from the system, and goes back to where its address says that it came from. Blocks of
// the arena are whole buffers, which is what a layout has that got one; it gives none twice, and all of them are zeros.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match is_buffer(layout).then(|| arena(Arena::take)).flatten() {
            Some(buffer) => buffer.as_ptr(),
            // SAFETY: the caller's promises are passed on.
            None => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        match is_buffer(layout).then(|| arena(Arena::take)).flatten() {
            Some(buffer) => buffer.as_ptr(),
            // SAFETY: the caller's promises are passed on.
            None => unsafe { System.alloc_zeroed(layout) },
        }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        match index_of(pointer as usize) {
            Some(index) => {
                forget(pointer as usize);
                arena(|arena| arena.give(index));
            }
            // SAFETY: the caller's promises are passed on.
            None => unsafe { System.dealloc(pointer, layout) },
        }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises that `size` makes a layout.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        if index_of(pointer as usize).is_none() && !is_buffer(wanted) {
            // SAFETY: the caller's promises are passed on.
            return unsafe { System.realloc(pointer, layout, size) };
        }
        // SAFETY: the new block is another than the old one, and both have as many bytes as are copied; the old one is given back
        // only when there is a new one.
        unsafe {
            let block = self.alloc(wanted);
            if !block.is_null() {
                core::ptr::copy_nonoverlapping(pointer, block, size.min(layout.size()));
                self.dealloc(pointer, layout);
            }
            block
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[global_allocator]
    static ALLOCATOR: Allocator = Allocator;

    /// Whether the page at `address`, in which a buffer begins, is in memory; of all that the process has, others have most.
    fn is_resident(address: &usize) -> bool {
        let mut state = 0;
        // SAFETY: buffers begin at pages, which stay mapped, and one page has one byte of state.
        let result = unsafe { libc::mincore(*address as *mut c_void, 1, &mut state) };
        assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
        state & 1 == 1
    }

    #[test]
    fn a_buffer_takes_no_page_before_it_is_used_and_none_behind() {
        let take = || arena(Arena::take).expect("the machine gives addresses away").as_ptr() as usize;
        let addresses: Vec<usize> = (0..100).map(|_| take()).collect();
        assert!(!addresses.iter().any(is_resident));
        // SAFETY: each is a whole buffer, and nobody else's.
        addresses.iter().for_each(|address| unsafe { (*address as *mut u8).write(1) });
        assert!(addresses.iter().all(is_resident));
        addresses.iter().copied().for_each(forget);
        assert!(!addresses.iter().any(is_resident));
        addresses.iter().filter_map(|address| index_of(*address)).for_each(|index| arena(|arena| arena.give(index)));
    }

    #[test]
    fn a_buffer_that_was_used_is_zeros_when_it_is_taken_again() {
        for _ in 0..4 {
            let mut buffers: Vec<Vec<u8>> = (0..64).map(|_| vec![0; BUFFER_BYTES]).collect();
            assert!(buffers.iter().flatten().all(|byte| *byte == 0));
            buffers.iter_mut().for_each(|buffer| buffer.fill(7));
        }
    }

    #[test]
    fn a_block_that_grows_through_the_size_of_a_buffer_keeps_its_content() {
        let mut bytes: Vec<u8> = Vec::with_capacity(BUFFER_BYTES / 2);
        bytes.extend((0..BUFFER_BYTES / 2).map(|at| at as u8));
        for len in [BUFFER_BYTES, BUFFER_BYTES * 2, BUFFER_BYTES, 10] {
            bytes.resize(len, 9);
            bytes.shrink_to_fit();
            let kept = len.min(BUFFER_BYTES / 2);
            assert!(bytes[..kept].iter().enumerate().all(|(at, byte)| *byte == at as u8), "{len}");
        }
    }
}
