//! What a program needs where there is no operating system: memory, a way to say something, and an end.

#![expect(
    unsafe_code,
    reason = "memory and the outside world are unsafe; only this file needs them"
)]

use core::{
    alloc::{GlobalAlloc, Layout},
    cell::{Cell, UnsafeCell},
    panic::PanicInfo,
    ptr,
};
use std::{format, string::String};

use crate::run;

// ---------------------------------------------------------------- memory

/// More than the checks take.
const SIZE: usize = 32 << 20;

/// Memory is handed out from the beginning to the end, and used again when all of it has been given back.
#[repr(C, align(16))]
struct Memory {
    bytes: UnsafeCell<[u8; SIZE]>,
    taken: Cell<usize>,
    in_use: Cell<usize>,
}

// SAFETY: there is only one thread.
unsafe impl Sync for Memory {}

// SAFETY: a part of `bytes` is handed out at most once until everything has been given back.
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let bytes: *mut u8 = self.bytes.get().cast();
        let address = (bytes.addr() + self.taken.get()).next_multiple_of(layout.align());
        let start = address - bytes.addr();
        if layout.size() > SIZE.saturating_sub(start) {
            return ptr::null_mut();
        }
        self.taken.set(start + layout.size());
        self.in_use.set(self.in_use.get() + 1);
        bytes.wrapping_add(start)
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {
        self.in_use.set(self.in_use.get() - 1);
        if self.in_use.get() == 0 {
            self.taken.set(0);
        }
    }
}

#[global_allocator]
static MEMORY: Memory =
    Memory { bytes: UnsafeCell::new([0; SIZE]), taken: Cell::new(0), in_use: Cell::new(0) };

// ---------------------------------------------------------------- the program

#[panic_handler]
fn fail(panic: &PanicInfo) -> ! {
    outside::say(format!("{panic}"));
    outside::end(false)
}

/// `run.mjs` provides the function that shows a text.
#[cfg(target_family = "wasm")]
mod outside {
    use super::{String, run};

    #[link(wasm_import_module = "outside")]
    unsafe extern "C" {
        fn show(text: *const u8, length: usize);
    }

    pub(super) fn say(text: String) {
        // SAFETY: the text is read before the call returns.
        unsafe { show(text.as_ptr(), text.len()) }
    }

    pub(super) fn end(_: bool) -> ! {
        core::arch::wasm32::unreachable()
    }

    #[unsafe(no_mangle)]
    extern "C" fn check() {
        say(run());
    }
}

/// ARM's semihosting: the emulator does what an operating system would do. QEMU runs the code as that of a
/// larger processor of ARM, whose semihosting is called by `svc`; that of a Cortex-M is called by `bkpt`.
#[cfg(target_arch = "arm")]
mod outside {
    use super::{String, ptr, run};
    use core::arch::asm;

    const WRITE0: usize = 0x04;
    const EXIT_EXTENDED: usize = 0x20;
    const APPLICATION_EXIT: usize = 0x2_0026;

    fn call<T: ?Sized>(operation: usize, argument: &T) {
        // SAFETY: both operations only read their argument.
        unsafe {
            asm!("svc 0xab", inout("r0") operation => _, in("r1") ptr::from_ref(argument).cast::<u8>());
        }
    }

    pub(super) fn say(mut text: String) {
        text.push_str("\n\0");
        call(WRITE0, text.as_str());
    }

    pub(super) fn end(success: bool) -> ! {
        call(EXIT_EXTENDED, &[APPLICATION_EXIT, usize::from(!success)]);
        loop {}
    }

    #[unsafe(no_mangle)]
    extern "C" fn _start() -> ! {
        say(run());
        end(true)
    }
}
