use std::process::ExitCode;

/// A write makes and drops thousands of small values; the system's allocator takes a third of the processor time for it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    ripen::cli::main()
}
