//! The conventions, as tests: the permitted imports, the maximum length of a file, the forbidden names.
//!
//! Each check is a function from text to complaints, tried on small pieces in its own file so that it is known to
//! complain; the tests here run the checks over every file of the repository. A complaint names the file and what to do.

mod functions;
mod imports;
mod lexer;
mod modules;
mod paths;
mod prose;
mod repository;
mod rooms;
mod tangles;

use std::collections::BTreeMap;

use repository::Repository;

/// Fails with all complaints at once.
fn assert_tidy(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

/// Modules of the library, with their files' text.
fn modules(repository: &Repository) -> Vec<modules::Module> {
    repository.rust().filter_map(|(path, text)| modules::Module::read(path, text)).collect()
}

#[test]
fn a_room_imports_only_rooms_of_lower_rank() {
    let modules = modules(&Repository::read());
    assert!(modules.len() > 10, "the sources were not found");
    let complaints: Vec<_> = modules.iter().flat_map(|module| rooms::complaints(module, &modules)).collect();
    assert_tidy(&complaints);
}

#[test]
fn files_of_a_folder_import_each_other_and_not_their_parent() {
    let modules = modules(&Repository::read());
    let complaints: Vec<_> = modules.iter().flat_map(|module| tangles::through_parent(module, &modules)).collect();
    assert_tidy(&complaints);
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    assert_tidy(&tangles::circles(&modules(&Repository::read())));
}

#[test]
fn a_mod_rs_declares_and_re_exports_only() {
    let modules = modules(&Repository::read());
    assert_tidy(&modules.iter().filter_map(modules::Module::logic_in_mod_rs).collect::<Vec<_>>());
}

#[test]
fn files_and_functions_fit_on_a_few_screens() {
    let repository = Repository::read();
    let mut complaints: Vec<_> =
        repository.rust().filter_map(|(path, text)| functions::long_file(path, text)).collect();
    let sources = repository.rust().filter(|(path, _)| path.starts_with("src/"));
    complaints.extend(sources.flat_map(|(path, text)| functions::long_functions(path, text)));
    assert_tidy(&complaints);
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
fn decisions_are_numbered_once() {
    let repository = Repository::read();
    assert_tidy(&prose::decisions(repository.paths()));
}
