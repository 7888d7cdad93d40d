//! Names, openings, and what has no place in the repository.

use std::collections::BTreeMap;

/// Names that say nothing of the contents.
const EMPTY_NAMES: [&str; 7] = ["util", "utils", "common", "helper", "helpers", "misc", "stuff"];

/// Marks of work put off, in two parts so that this file does not complain about itself.
const MARKS: [(&str, &str); 3] = [("TO", "DO"), ("FIX", "ME"), ("XX", "X")];

/// Files that tools write; chance puts any letters into them.
const GENERATED: [&str; 2] = ["Cargo.lock", "package-lock.json"];

/// Endings of files that may be other than text.
const PICTURES: [&str; 4] = ["png", "ico", "webp", "woff2"];

/// Folders of binary files: bytes that parsers are tested with, and data folders as a version wrote them.
const BINARY: [&str; 2] = ["fuzz/seeds/", "tests/fixtures/"];

/// Bytes of the largest file: anything larger is data, and the tests that need data make it.
const LARGEST_BYTES: usize = 512 * 1024;

/// Minimum number of words in a module's opening.
const OPENING_WORDS: usize = 2;

/// Complains about a Rust file that does not open with its purpose.
pub fn no_opening(path: &str, text: &str) -> Option<String> {
    let paragraph = text.lines().map_while(|line| line.strip_prefix("//!")).take_while(|line| !line.trim().is_empty());
    let words = paragraph.flat_map(str::split_whitespace).count();
    let included = text.starts_with("#![doc = include_str!(");
    let says_nothing = words < OPENING_WORDS && !included;
    says_nothing.then(|| format!("{path}: opens without a `//!` paragraph that says what it is for"))
}

/// Complains about a name that says nothing.
pub fn empty_name(path: &str) -> Option<String> {
    let mut parts = path.split('/').map(|part| part.split('.').next().unwrap_or(part).to_lowercase());
    let found = parts.find(|part| EMPTY_NAMES.contains(&part.as_str()))?;
    Some(format!("{path}: {found:?} says nothing; call it after what is inside"))
}

/// Complains about marks of work put off.
pub fn put_off(path: &str, text: &str) -> Vec<String> {
    if GENERATED.iter().any(|name| path.ends_with(name)) {
        return Vec::new();
    }
    let marks = MARKS.map(|(start, end)| format!("{start}{end}"));
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let mut words = line.split(|sign: char| !(sign.is_alphanumeric() || sign == '_'));
        if let Some(mark) = words.find(|word| marks.iter().any(|mark| mark == word)) {
            found.push(format!("{path}:{}: {mark} puts work off; do it, or write an issue", index + 1));
        }
    }
    found
}

/// Complains about files that are no text, or too large to be written by hand.
pub fn stray(path: &str, bytes: &[u8]) -> Option<String> {
    let picture = path.rsplit_once('.').is_some_and(|(_, ending)| PICTURES.contains(&ending));
    if bytes.len() > LARGEST_BYTES {
        Some(format!("{path}: {} bytes; a file has at most {LARGEST_BYTES}", bytes.len()))
    } else if !picture
        && !BINARY.iter().any(|folder| path.starts_with(folder))
        && (bytes.contains(&0) || std::str::from_utf8(bytes).is_err())
    {
        Some(format!("{path}: is no text, and no picture either"))
    } else {
        None
    }
}

/// Complains about a changelog without a section for the next version.
pub fn changelog(text: &str) -> Option<String> {
    let has = text
        .lines()
        .any(|line| line.strip_prefix("## ").is_some_and(|title| title.trim_matches(['[', ']']) == "Unreleased"));
    (!has).then(|| "CHANGELOG.md: has no section `## Unreleased`".to_owned())
}

/// Complains about decisions that are not called `NNNN-title.md`, or share a number.
pub fn decisions<'a>(paths: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut numbers: BTreeMap<&str, &str> = BTreeMap::new();
    let mut found = Vec::new();
    for path in paths {
        let Some(name) = path.strip_prefix("docs/decisions/") else { continue };
        let parts = name.strip_suffix(".md").and_then(|name| name.split_once('-'));
        let Some((number, _)) = parts.filter(|(number, title)| is_number(number) && is_title(title)) else {
            found.push(format!("{path}: a decision is called NNNN-title-in-small-letters.md"));
            continue;
        };
        if let Some(other) = numbers.insert(number, path) {
            found.push(format!("{path}: has the number of {other}"));
        }
    }
    found
}

fn is_number(text: &str) -> bool {
    text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_title(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_opens_with_a_sentence() {
        assert!(no_opening("a.rs", "//! Stores and their records.\nmod a;").is_none());
        assert!(no_opening("lib.rs", "#![doc = include_str!(\"../ARCHITECTURE.md\")]").is_none());
        for silent in ["", "mod a;", "//! x\nfn main() {}", "// Not documentation at all.", "\n//! Too late by a line."]
        {
            assert!(no_opening("a.rs", silent).is_some(), "{silent:?}");
        }
    }

    #[test]
    fn a_name_that_says_nothing_is_found_wherever_it_stands() {
        for path in ["src/util/a.rs", "src/utils.rs", "tests/api/helpers.rs", "Common/x.md", "misc"] {
            assert!(empty_name(path).is_some(), "{path}");
        }
        assert!(empty_name("src/kv/commonly.rs").is_none());
    }

    #[test]
    fn work_put_off_is_found() {
        let mark = MARKS.map(|(start, end)| format!("// {start}{end}: later"));
        assert_eq!(put_off("a.rs", &format!("fine\n{}", mark.join("\n"))).len(), 3);
        assert_eq!(put_off("a.rs", &format!("fine\n{}", mark[0]))[0].split(' ').next(), Some("a.rs:2:"));
        assert!(put_off("x/package-lock.json", &mark[2]).is_empty());
        assert!(put_off("a.rs", "todo = \"warn\" TODOS METHODO").is_empty());
    }

    #[test]
    fn what_is_no_text_is_stray() {
        assert!(stray("larder", b"\x7fELF\0\0").is_some());
        assert!(stray("a.txt", &[0xff, 0xfe]).is_some());
        assert!(stray("a.txt", &vec![b'x'; LARGEST_BYTES + 1]).is_some());
        assert!(stray("a.txt", "text, čitelný".as_bytes()).is_none());
        assert!(stray("fuzz/seeds/coding/gzip", &[0x1f, 0x8b, 0]).is_none());
        assert!(stray("docs/shot.png", b"\x89PNG\0").is_none());
    }

    #[test]
    fn a_changelog_needs_its_open_section() {
        assert!(changelog("# Changelog\n\n## Unreleased\n").is_none());
        assert!(changelog("# Changelog\n\n## [Unreleased]\n").is_none());
        assert!(changelog("# Changelog\n\nUnreleased things\n## 0.1.0\n").is_some());
    }

    #[test]
    fn decisions_have_a_number_of_their_own() {
        let found = |paths: &[&str]| decisions(paths.iter().copied()).len();
        assert_eq!(found(&["docs/decisions/0001-one.md", "docs/decisions/0002-two-2.md", "docs/other.md"]), 0);
        assert_eq!(found(&["docs/decisions/0001-one.md", "docs/decisions/0001-two.md"]), 1);
        for name in ["1-one.md", "0001.md", "0001-One.md", "0001-one.txt", "README.md"] {
            assert_eq!(found(&[&format!("docs/decisions/{name}")]), 1, "{name}");
        }
    }
}
