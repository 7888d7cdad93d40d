//! Folders of sources, copied beside their installed packages: programs search for packages from their own folder
//! upwards.

use std::fs;
use std::path::Path;

/// Folders among the sources that are no source: packages that were installed there by hand.
const INSTALLED_BY_HAND: [&str; 3] = ["node_modules", ".venv", "__pycache__"];

/// Maximum depth of the sources.
const MAX_DEPTH: usize = 5;

/// Copies a folder's own files and folders over those of `to`.
///
/// # Errors
/// Returns a message when something cannot be read or written, or the folder is deeper than sources are.
pub fn copy(from: &Path, to: &Path) -> Result<(), String> {
    copy_to_depth(from, to, MAX_DEPTH)
}

fn copy_to_depth(from: &Path, to: &Path, depth: usize) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{} cannot be copied to {}: {error}", from.display(), to.display());
    if depth == 0 {
        return Err(format!("{} is deeper than expected", from.display()));
    }
    fs::create_dir_all(to).map_err(failed)?;
    for entry in fs::read_dir(from).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        if INSTALLED_BY_HAND.iter().any(|by_hand| name == *by_hand) {
            continue;
        }
        if entry.file_type().map_err(failed)?.is_dir() {
            copy_to_depth(&entry.path(), &to.join(name), depth - 1)?;
        } else {
            copy_file(&entry.path(), &to.join(name))?;
        }
    }
    Ok(())
}

/// Copies one file over another.
///
/// # Errors
/// Returns a message when it cannot be read or written.
pub fn copy_file(from: &Path, to: &Path) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{} cannot be copied to {}: {error}", from.display(), to.display());
    fs::copy(from, to).map(|_| ()).map_err(failed)
}
