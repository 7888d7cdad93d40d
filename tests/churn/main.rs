//! Stores and runs that come and go over the backends themselves: what they took is given back, objects, disk and memory.
//!
//! One test runs at a time, since each counts the memory of the process.

mod runs;
mod stores;

#[allow(dead_code, reason = "shared with suites that use more of it")]
#[path = "../domain/gateways.rs"]
mod gateways;
#[allow(dead_code, reason = "shared with suites that use more of it")]
#[path = "../domain/run_host.rs"]
mod run_host;

use std::fs;

use cap::Cap;
use mimalloc::MiMalloc;
use tokio::sync::Mutex;

/// The allocator of the program, with a count of the bytes that are in use.
#[global_allocator]
static ALLOCATOR: Cap<MiMalloc> = Cap::new(MiMalloc, usize::MAX);

/// Held by the test that runs.
static TURN: Mutex<()> = Mutex::const_new(());

const MIB: u64 = 1 << 20;

/// Bytes that the process has allocated and not freed, without those of `SQLite`, whose caches have a size of their own.
fn bytes_in_use() -> u64 {
    ALLOCATOR.allocated() as u64
}

/// Returns the resident memory of the process in bytes, without mapped files: live allocations, `SQLite`'s caches,
/// stacks, and the allocator's free memory.
fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux says so");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}
