use std::{ffi::c_long, process::ExitCode};

use libmimalloc_sys::{mi_option_get, mi_option_set, mi_option_t};

/// A write makes and drops thousands of small values; the system's allocator takes a third of the processor time for it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    give_back(10);
    ripen::cli::main()
}

/// Has the allocator give what became free back to the system after so many milliseconds instead of its usual second, after
/// which it looks only when more is asked for: an idle server would keep what its last burst of work took.
#[expect(unsafe_code, reason = "the allocator is a C library")]
fn give_back(milliseconds: c_long) {
    const PURGE_DELAY: mi_option_t = 15;
    const USUAL: c_long = 1000;
    // SAFETY: nothing but this thread runs yet. The number of an option may change with the library's version: the value
    // tells whether it is the one that is meant, and has not been set from outside.
    unsafe {
        if mi_option_get(PURGE_DELAY) == USUAL {
            mi_option_set(PURGE_DELAY, milliseconds);
        }
    }
}
