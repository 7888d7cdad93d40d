//! The conventions, as tests: what rustc and clippy cannot hold.
//!
//! Each check is a function from text to complaints, tried on small pieces in its own file so that it is known to
//! complain; the tests here run the checks over every file of the repository. A complaint names the file and what to do.

mod folders;
mod paths;
mod prose;
mod repository;
mod templates;
mod words;

use std::collections::BTreeMap;

use repository::Repository;

/// Fails with all complaints at once.
fn assert_tidy(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

/// Maximum number of lines of a file, its tests included.
const MAX_FILE_LINES: usize = 800;

/// Roots of the product's sources.
const SOURCE_ROOTS: [&str; 3] = ["src/", "crates/object-store/src/", "crates/runtime/src/"];

/// Folders and files of our own words.
const OWN_WORDS: [&str; 10] =
    ["src/", "crates/", "xtask/", "tests/", "benches/", "examples/", "console/app/", "docs/", "deploy/", "fuzz/src/"];

#[test]
fn folders_never_import_each_other_in_a_circle() {
    let repository = Repository::read();
    let files: Vec<_> = repository.rust().collect();
    assert!(files.len() > 10, "the sources were not found");
    assert_tidy(&SOURCE_ROOTS.iter().flat_map(|root| folders::circles(&files, root)).collect::<Vec<_>>());
}

#[test]
fn a_file_fits_its_subject() {
    let repository = Repository::read();
    let long = repository.rust().map(|(path, text)| (path, text.lines().count())).filter(|(_, n)| *n > MAX_FILE_LINES);
    let complaint = |(path, n)| format!("{path}: {n} lines; a file has at most {MAX_FILE_LINES}, so split it");
    assert_tidy(&long.map(complaint).collect::<Vec<_>>());
}

#[test]
fn every_module_says_what_it_is_for() {
    let repository = Repository::read();
    assert_tidy(&repository.rust().filter_map(|(path, text)| prose::no_opening(path, text)).collect::<Vec<_>>());
}

#[test]
fn nothing_is_called_after_nothing_in_particular() {
    let repository = Repository::read();
    assert_tidy(&repository.paths().filter_map(prose::empty_name).collect::<Vec<_>>());
}

#[test]
fn nothing_is_put_off_in_a_comment() {
    let repository = Repository::read();
    assert_tidy(&repository.texts().flat_map(|(path, text)| prose::put_off(path, text)).collect::<Vec<_>>());
}

#[test]
fn nothing_stray_is_kept() {
    let repository = Repository::read();
    assert_tidy(&repository.files().filter_map(|(path, bytes)| prose::stray(path, bytes)).collect::<Vec<_>>());
}

#[test]
fn the_changelog_has_a_place_for_what_comes() {
    let repository = Repository::read();
    let texts: BTreeMap<_, _> = repository.texts().collect();
    let changelog = texts.get("CHANGELOG.md").expect("there is a CHANGELOG.md");
    assert_tidy(&prose::changelog(changelog).into_iter().collect::<Vec<_>>());
}

#[test]
fn what_documents_name_is_there() {
    let repository = Repository::read();
    let texts: BTreeMap<_, _> = repository.texts().collect();
    let complaints = paths::DOCUMENTS.iter().flat_map(|document| {
        let text = texts.get(document).unwrap_or_else(|| panic!("there is no {document}"));
        paths::missing(document, text, repository.paths())
    });
    assert_tidy(&complaints.collect::<Vec<_>>());
}

#[test]
fn texts_of_the_console_keep_their_spaces() {
    let repository = Repository::read();
    assert_tidy(&repository.texts().flat_map(|(path, text)| templates::joined(path, text)).collect::<Vec<_>>());
}

#[test]
fn decisions_are_numbered_once() {
    let repository = Repository::read();
    assert_tidy(&prose::decisions(repository.paths()));
}

/// Returns the texts that are in our own words: not the check of words itself.
fn own_texts(repository: &Repository) -> impl Iterator<Item = (&str, &str)> {
    let is_own = |path: &str| {
        let is_page = !path.contains('/') && repository::is_markdown(path);
        (is_page || OWN_WORDS.iter().any(|folder| path.starts_with(folder))) && path != "tests/repo_lints/words.rs"
    };
    repository.texts().filter(move |(path, _)| is_own(path))
}

#[test]
fn actors_are_named_by_their_role() {
    let repository = Repository::read();
    assert_tidy(&own_texts(&repository).flat_map(|(path, text)| words::persons(path, text)).collect::<Vec<_>>());
}

#[test]
fn doc_comments_begin_with_a_verb_or_a_noun() {
    let repository = Repository::read();
    assert_tidy(&repository.rust().flat_map(|(path, text)| words::questions(path, text)).collect::<Vec<_>>());
}

#[test]
fn names_are_words_of_the_field() {
    let repository = Repository::read();
    assert_tidy(&own_texts(&repository).flat_map(|(path, text)| words::private_names(path, text)).collect::<Vec<_>>());
}
