//! Packages that are installed below the target folder: once, and again only when the wanted ones change.

use std::fs;
use std::path::Path;

/// The file whose content says what a folder holds, put there last.
const STAMP: &str = "installed-from";

/// Installs what `wanted` describes (a lock file's bytes, a version) unless `folder` already holds exactly that.
///
/// # Errors
/// Returns a message when a file or folder cannot be made, and whatever `install` says.
pub fn once(wanted: &[u8], folder: &Path, install: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    let stamp = folder.join(STAMP);
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    fs::create_dir_all(folder).map_err(|error| format!("{} cannot be made: {error}", folder.display()))?;
    install()?;
    fs::write(&stamp, wanted).map_err(|error| format!("{} cannot be written: {error}", stamp.display()))
}

/// The same for what the file `lock` names.
///
/// # Errors
/// Those of [`once`], and when `lock` cannot be read.
pub fn once_from(lock: &Path, folder: &Path, install: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    let wanted = fs::read(lock).map_err(|error| format!("{} cannot be read: {error}", lock.display()))?;
    once(&wanted, folder, install)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_lock_file_names_is_installed_once_and_again_when_it_changes() {
        let folder = std::env::temp_dir().join(format!("larder-xtask-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a temporary folder");
        let (lock, installed) = (folder.join("lock"), folder.join("installed"));
        let mut times = 0;
        for (content, expected) in [("one", 1), ("one", 1), ("two", 2)] {
            fs::write(&lock, content).expect("a file in it");
            once_from(&lock, &installed, || {
                times += 1;
                Ok(())
            })
            .expect("nothing stands in the way");
            assert_eq!(times, expected, "{content}");
        }
        fs::write(&lock, "three").expect("a file in it");
        assert!(once_from(&lock, &installed, || Err("no network".to_owned())).is_err());
        let mut tried_again = false;
        once_from(&lock, &installed, || {
            tried_again = true;
            Ok(())
        })
        .expect("nothing stands in the way");
        assert!(tried_again, "a failed installation counts as none");
        fs::remove_dir_all(folder).expect("it can go");
    }
}
