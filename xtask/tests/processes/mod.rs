//! Processes that a test starts: whether they run, waits for what becomes of them, and folders for what they write.

use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Time after which a wait has failed.
const PATIENCE: Duration = Duration::from_mins(1);

/// Returns whether a process of this id runs. One that has ended and is not waited for yet does not.
pub fn runs(process: &str) -> bool {
    let state = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    state.rsplit(") ").next().is_some_and(|state| !state.is_empty() && !state.starts_with('Z'))
}

/// Waits until a condition holds.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        sleep(Duration::from_millis(5));
    }
}

/// Makes a folder of this test process.
pub fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("larder-xtask-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a temporary folder");
    folder
}
