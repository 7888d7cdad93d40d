//! Paths that documents name.

use std::collections::BTreeSet;

/// Documents for contributors: the paths that they name must exist.
pub const DOCUMENTS: [&str; 3] = ["ARCHITECTURE.md", "CONTRIBUTING.md", "docs/HOWTO.md"];

/// The folders at the root that paths begin with, where a document does not say less.
const ROOTS: [&str; 9] = ["src", "tests", "docs", "xtask", "benches", "console", "deploy", "examples", ".ci"];

/// Endings of files that documents name from the folder that they are speaking of (`kv/layout.rs`).
const ENDINGS: [&str; 5] = [".rs", ".js", ".mjs", ".css", ".md"];

/// Complains about paths in backticks, and targets of links, that do not exist. `files` are the paths of all files.
pub fn missing<'a>(document: &str, text: &str, files: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut known = BTreeSet::new();
    for file in files {
        known.extend(file.match_indices('/').map(|(at, _)| &file[..at]));
        known.insert(file);
    }
    let folder = document.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut found = Vec::new();
    for (line, words) in (1..).zip(text.lines()) {
        let quoted = words.split('`').skip(1).step_by(2).flat_map(str::split_whitespace);
        let is_somewhere = |word: &str| known.iter().any(|path| path.ends_with(&format!("/{word}")));
        let quoted = quoted.filter(|word| is_path(word) || (is_part(word) && !is_somewhere(word)));
        let linked = words.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        let linked = linked.filter(|target| !target.is_empty() && !target.contains("://"));
        let linked = linked.map(|target| within(folder, target));
        let missing = quoted.map(str::to_owned).chain(linked).filter(|path| {
            let path = path.trim_end_matches('/');
            // Decisions are named by their numbers.
            !known.contains(path) && !known.iter().any(|known| known.starts_with(&format!("{path}-")))
        });
        found.extend(missing.map(|path| format!("{document}:{line}: there is no {path}")));
    }
    found
}

/// Returns `true` if a word is meant to be a path from the root: it begins with one of the folders there, and stands
/// for one path alone.
fn is_path(word: &str) -> bool {
    let first = word.split('/').next().unwrap_or_default();
    word.contains('/') && ROOTS.contains(&first) && !word.contains(['*', '{', '<', ':']) && !word.contains("NNNN")
}

/// Returns `true` if a word is meant to be the end of a path.
fn is_part(word: &str) -> bool {
    // Files that are made below the target folder are in no repository.
    let is_kept = word.contains('/') && !word.starts_with("target/");
    is_kept && ENDINGS.iter().any(|ending| word.ends_with(ending)) && !word.contains(['*', '{', '<', ':', '$'])
}

/// Returns a path as it is from the root that is `target` from a folder.
fn within(folder: &str, target: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." | "" => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_not_there_is_found_wherever_it_is_named() {
        let files = || ["README.md", "docs/A.md", "src/kv/key.rs"].into_iter();
        let fine = "`src/kv/key.rs`, `src/kv/`, `kv/key`, `cargo test --lib src`, [a](A.md#there), [b](../README.md), [c](https://x)";
        assert!(missing("docs/B.md", fine, files()).is_empty());
        let wrong = "`src/kv/lock.rs`\n[a](B.md) `docs/NNNN/x` `cargo fmt src/gone` `kv/key.rs` `kv/gone.rs`";
        let found = missing("docs/A.md", wrong, files());
        assert_eq!(
            found,
            [
                "docs/A.md:1: there is no src/kv/lock.rs",
                "docs/A.md:2: there is no src/gone",
                "docs/A.md:2: there is no kv/gone.rs",
                "docs/A.md:2: there is no docs/B.md",
            ]
        );
    }
}
