//! Packages of npm, installed below the target folder exactly as a lock file names them.

use std::path::Path;

use crate::{installed, shell, tools};

/// Installs the packages of `lock` into `folder`, which has the `package.json` already, unless that was done before.
/// Scripts of packages do not run.
///
/// # Errors
/// Returns a message with the command that helps where there is one.
pub fn install(lock: &Path, folder: &Path) -> Result<(), String> {
    tools::need_node()?;
    installed::once_from(lock, folder, || {
        let mut npm = shell::program_at_root("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", "--prefix"]);
        shell::run(npm.arg(folder))
    })
}
