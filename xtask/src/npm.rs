//! Packages of npm, installed below the target folder exactly as a lock file names them.

use std::path::Path;

use crate::{installed, shell, tools};

/// Installs into `folder`, where the `package.json` stands already, what `lock` names, unless that was done before. Nothing that
/// comes with a package is run.
///
/// # Errors
/// In words, with the command that helps where there is one.
pub fn install(lock: &Path, folder: &Path) -> Result<(), String> {
    tools::need_node()?;
    installed::once_from(lock, folder, || {
        let mut npm = shell::program_at_root("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", "--prefix"]);
        shell::run(npm.arg(folder))
    })
}
