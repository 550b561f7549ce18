//! The system's allocator, which counts what each thread asks of it.
//!
//! A module of its own in the tests that count, since it takes the place of the allocator there.

#![expect(unsafe_code, reason = "an allocator is unsafe by nature; there is no other place")]
#![allow(dead_code)] // each test file uses its part

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

/// What a thread has asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allocated {
    pub(crate) count: usize,
    /// The size of the largest allocation, in bytes.
    pub(crate) largest: usize,
    /// The most bytes that were held at a time.
    pub(crate) peak: usize,
    held: usize,
}

thread_local! {
    static ALLOCATED: Cell<Allocated> = const {
        Cell::new(Allocated { count: 0, largest: 0, peak: 0, held: 0 })
    };
}

fn change(change: impl FnOnce(&mut Allocated)) {
    // A thread on its way out has no counter any more, and nobody asks for it.
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
    // Memory can come from another thread.
    change(|allocated| allocated.held = allocated.held.saturating_sub(size));
}

struct Counting;

// SAFETY: each call is handed on to the system's allocator as it is.
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
        // Both are held while one is copied to the other.
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

/// What this thread asks for to do something.
pub(crate) fn allocated<T>(something: impl FnOnce() -> T) -> (Allocated, T) {
    ALLOCATED.set(Allocated { count: 0, largest: 0, peak: 0, held: 0 });
    let result = something();
    (ALLOCATED.get(), result)
}
