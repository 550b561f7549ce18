//! A global allocator that counts the allocations of each thread and uses the system allocator.
//!
//! Only tests that count include this module, because it replaces their global allocator.

#![expect(unsafe_code, reason = "`GlobalAlloc` is an unsafe trait; only this file needs it")]
#![allow(dead_code)] // each test file uses only a part

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

/// The allocations of a thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allocated {
    pub(crate) count: usize,
    /// The size of the largest allocation, in bytes.
    pub(crate) largest: usize,
    /// The largest number of bytes allocated at the same time.
    pub(crate) peak: usize,
    held: usize,
}

thread_local! {
    static ALLOCATED: Cell<Allocated> = const {
        Cell::new(Allocated { count: 0, largest: 0, peak: 0, held: 0 })
    };
}

fn change(change: impl FnOnce(&mut Allocated)) {
    // A thread that is ending has no counter any more, and nothing reads it then.
    let _ = ALLOCATED.try_with(|cell| {
        let mut allocated = cell.get();
        change(&mut allocated);
        cell.set(allocated);
    });
}

fn take(size: usize) {
    change(|allocated| {
        allocated.count += 1;
        allocated.largest = allocated.largest.max(size);
        allocated.held += size;
        allocated.peak = allocated.peak.max(allocated.held);
    });
}

fn give_back(size: usize) {
    // Saturates, because another thread may have allocated the memory.
    change(|allocated| allocated.held = allocated.held.saturating_sub(size));
}

struct Counting;

// SAFETY: each call is passed unchanged to the system allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, memory: Layout) -> *mut u8 {
        take(memory.size());
        unsafe { System.alloc(memory) }
    }

    unsafe fn alloc_zeroed(&self, memory: Layout) -> *mut u8 {
        take(memory.size());
        unsafe { System.alloc_zeroed(memory) }
    }

    unsafe fn realloc(&self, old: *mut u8, memory: Layout, size: usize) -> *mut u8 {
        // Old and new memory both exist during the copy, which counts for the peak.
        take(size);
        give_back(memory.size());
        unsafe { System.realloc(old, memory, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, memory: Layout) {
        give_back(memory.size());
        unsafe { System.dealloc(old, memory) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs `something` and returns the allocations that this thread made.
pub(crate) fn allocated<T>(something: impl FnOnce() -> T) -> (Allocated, T) {
    ALLOCATED.set(Allocated { count: 0, largest: 0, peak: 0, held: 0 });
    let result = something();
    (ALLOCATED.get(), result)
}
