//! The program. All its functions are in the library.

use std::process::ExitCode;

/// Blocks come and go by the dozen for each request, and often end on another thread than they began on.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    larder::cli::run()
}
