//! Files of one folder: they import each other, not their parent, and never in a circle.

use std::collections::{BTreeMap, BTreeSet};

use crate::modules::{Module, resolve};

/// Returns the imports of items that a `mod.rs` above the file only re-exports. Items that it defines itself may be
/// imported from it; a file of tests sees its room as others do, through the `mod.rs`.
pub fn through_parent(module: &Module, modules: &[Module]) -> Vec<String> {
    let mut found = Vec::new();
    if module.path.iter().any(|part| part == "tests") {
        return found;
    }
    for import in module.imports(modules) {
        let Some((target, rest)) = resolve(&import.target, modules) else { continue };
        let above = target.path.len() < module.path.len() && module.path.starts_with(&target.path);
        let Some(item) = rest.first() else { continue };
        if above && !target.path.is_empty() && !target.defines(item) {
            found.push(format!(
                "{}:{}: takes {item} through {}; name the file that has it",
                module.file, import.line, target.file
            ));
        }
    }
    found
}

/// Files of a room that import each other in a circle, tests left out.
pub fn circles(modules: &[Module]) -> Vec<String> {
    let mut graph: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for module in modules.iter().filter(|module| !module.path.is_empty()) {
        for import in module.imports(modules).iter().filter(|import| !import.in_tests) {
            let Some(target) = home(&import.target, modules) else { continue };
            // A `mod.rs` above the file has to declare it; the other items of that `mod.rs` may be imported below it.
            let above = module.path.starts_with(&target.path);
            if target.path.first() == module.path.first() && !above {
                graph.entry(&module.file).or_default().insert(&target.file);
            }
        }
    }
    let mut found = BTreeSet::new();
    for start in graph.keys() {
        if let Some(mut circle) = path_back(start, &graph) {
            // The same circle is found from each of its files; it is reported once, from its first.
            let first = circle.iter().enumerate().min_by_key(|(_, file)| **file).map_or(0, |(index, _)| index);
            circle.rotate_left(first);
            found.insert(format!("these files import each other in a circle: {}", circle.join(" -> ")));
        }
    }
    found.into_iter().collect()
}

/// Returns the file that defines the item of a path: the one behind a re-export, not the `mod.rs` with it.
fn home<'a>(target: &[String], modules: &'a [Module]) -> Option<&'a Module> {
    let mut target = target.to_vec();
    // Each re-export leads at least one folder down.
    for _ in 0..modules.len() {
        let (module, rest) = resolve(&target, modules)?;
        let Some(item) = rest.first().filter(|item| module.is_folder() && !module.defines(item)) else {
            return Some(module);
        };
        let mut passed_on = module.imports(modules).into_iter().filter(|import| !import.in_tests);
        match passed_on.find(|import| import.target.last() == Some(item) && import.target != target) {
            Some(import) => target = import.target,
            None => return Some(module),
        }
    }
    None
}

/// Returns a shortest way from a file back to itself.
fn path_back<'a>(start: &'a str, graph: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> Option<Vec<&'a str>> {
    let mut ways = vec![vec![start]];
    let mut seen = BTreeSet::new();
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            for next in way.last().and_then(|last| graph.get(last)).into_iter().flatten() {
                if *next == start {
                    return Some(way);
                }
                if seen.insert(*next) {
                    longer.push(way.iter().copied().chain([*next]).collect());
                }
            }
        }
        ways = longer;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modules(files: &[(&str, &str)]) -> Vec<Module> {
        files.iter().map(|(file, text)| Module::read(file, text).expect("a file of src")).collect()
    }

    #[test]
    fn what_a_mod_rs_passes_on_is_imported_from_its_file() {
        let text = "mod id; mod key; pub use id::StoreId; pub trait Clock {}";
        let with = |key: &str| modules(&[("src/kv/mod.rs", text), ("src/kv/id.rs", ""), ("src/kv/key.rs", key)]);
        let found = |key: &str| {
            let modules = with(key);
            through_parent(&modules[2], &modules)
        };
        assert!(found("use super::id::StoreId; use super::id; use super::Clock;").is_empty());
        assert_eq!(found("use super::StoreId;").len(), 1);
        assert_eq!(found("fn f(id: crate::kv::StoreId) {}").len(), 1);
        assert_eq!(found("use super::*;").len(), 1);
        assert!(found("mod tests { use super::*; }").is_empty(), "that is the file itself");
        let tests = modules(&[("src/kv/mod.rs", text), ("src/kv/tests.rs", "use super::StoreId;")]);
        assert!(through_parent(&tests[1], &tests).is_empty(), "tests see what others see");
        let all = with("");
        assert!(through_parent(&all[0], &all).is_empty(), "re-exporting is what a mod.rs is for");
    }

    #[test]
    fn a_circle_is_told_once() {
        let modules = modules(&[
            ("src/kv/a.rs", "use super::b::B;"),
            ("src/kv/b.rs", "use super::c::C;"),
            ("src/kv/c.rs", "use super::a::A;"),
            ("src/kv/d.rs", "use super::a::A;"),
        ]);
        let expected = "these files import each other in a circle: src/kv/a.rs -> src/kv/b.rs -> src/kv/c.rs";
        assert_eq!(circles(&modules), [expected]);
    }

    #[test]
    fn a_circle_through_a_folder_is_a_circle() {
        let modules = modules(&[
            ("src/kv/mod.rs", "mod a; mod schema;"),
            ("src/kv/a.rs", "use super::schema::Rule;"),
            ("src/kv/schema/mod.rs", "mod rule; pub use rule::Rule;"),
            ("src/kv/schema/rule.rs", "use crate::kv::a::A;"),
        ]);
        assert_eq!(circles(&modules).len(), 1);
    }

    #[test]
    fn a_folder_that_passes_on_two_files_does_not_tie_them_together() {
        let modules = modules(&[
            ("src/kv/mod.rs", "mod document; mod records; mod schema;"),
            ("src/kv/document.rs", "use super::schema::Schema;"),
            ("src/kv/records.rs", "use super::{document::Document, schema::Gate};"),
            ("src/kv/schema/mod.rs", "mod parse; mod gate; pub use parse::Schema; pub use gate::Gate;"),
            ("src/kv/schema/parse.rs", ""),
            ("src/kv/schema/gate.rs", "use crate::kv::document::Document;"),
        ]);
        assert!(circles(&modules).is_empty(), "{:?}", circles(&modules));
    }

    #[test]
    fn files_in_a_line_and_tests_are_no_circle() {
        let modules = modules(&[
            ("src/kv/mod.rs", "mod a; mod b; pub use a::A;"),
            ("src/kv/a.rs", "use super::b::B;"),
            ("src/kv/b.rs", "mod tests { use crate::kv::a::A; use super::*; }"),
        ]);
        assert!(circles(&modules).is_empty());
    }
}
