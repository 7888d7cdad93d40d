//! Secrets in the memory and the environment of this process.

use std::ffi::OsStr;

/// Prefixes of variables that hold settings and secrets of Larder and of the libraries that it uses.
const OWN_PREFIXES: [&str; 2] = ["LARDER_", "AWS_"];

/// Prevents other processes of the same user from reading the memory and the environment of this one, where the system
/// supports that. There are then no core dumps, and only root can attach a debugger.
pub(super) fn hide_from_others() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        // A kernel that knows the call never fails it. After a failure the process is as readable as before.
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}

/// Sets the umask, so that new files of this process are readable by its user alone unless their creation says
/// otherwise.
pub(super) fn keep_files_private() {
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
}

/// Returns whether a variable of the environment is for this process alone, and not for programs that it starts.
pub(super) fn is_own_variable(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    OWN_PREFIXES.iter().any(|prefix| name.starts_with(prefix.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_not_for_programs() {
        for own in ["LARDER_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"] {
            assert!(is_own_variable(OsStr::new(own)), "{own}");
        }
        for other in ["PATH", "APIFY_TOKEN", "HTTPS_PROXY", "OTEL_EXPORTER_OTLP_HEADERS", "AWSOME", "larder_token"] {
            assert!(!is_own_variable(OsStr::new(other)), "{other}");
        }
    }
}
