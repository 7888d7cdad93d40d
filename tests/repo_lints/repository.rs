//! The files of the repository: those git knows and those it would know if they were added.

use std::fs;
use std::path::Path;
use std::process::Command;

/// All files, by path from the root with `/` between folders.
pub struct Repository {
    files: Vec<(String, Vec<u8>)>,
}

impl Repository {
    /// Reads all files; panics when git or a file cannot be read, since then nothing would be checked.
    pub fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let listed = Command::new("git")
            // The folder may belong to another user, as it does in a container.
            .args(["-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(root)
            .output()
            .expect("git is installed");
        assert!(listed.status.success(), "git ls-files failed: {}", String::from_utf8_lossy(&listed.stderr));
        let names = String::from_utf8(listed.stdout).expect("file names are UTF-8");
        let mut names: Vec<_> = names.split('\0').filter(|name| !name.is_empty()).collect();
        names.sort_unstable();
        names.dedup();
        // Files that are deleted but not yet committed are still listed.
        let present = names.into_iter().filter(|name| !is_vendored(name) && root.join(name).is_file());
        let files = present.map(|name| {
            let bytes = fs::read(root.join(name)).unwrap_or_else(|error| panic!("{name} cannot be read: {error}"));
            (name.to_owned(), bytes)
        });
        Self { files: files.collect() }
    }

    /// Returns every file.
    pub fn files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice()))
    }

    /// Returns the path of every file.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.files().map(|(path, _)| path)
    }

    /// Returns every file that is text.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files().filter_map(|(path, bytes)| Some((path, std::str::from_utf8(bytes).ok()?)))
    }

    /// Returns every Rust file.
    pub fn rust(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts().filter(|(path, _)| is_rust(path))
    }
}

/// Returns `true` if a file is vendored, as its author ships it: a check of the console compares it with that, byte for
/// byte.
fn is_vendored(path: &str) -> bool {
    let is_ours = [".md", ".d.ts", ".d.mts"].iter().any(|ending| path.ends_with(ending));
    path.starts_with("console/vendor/") && !is_ours
}

pub fn is_rust(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension == "rs")
}

/// Returns `true` for a page in Markdown.
pub fn is_markdown(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension == "md")
}
