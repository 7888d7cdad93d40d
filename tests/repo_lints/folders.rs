//! Imports between folders: never in a circle.
//!
//! Files of one folder may use each other. Between folders data flows one way. Between crates, rustc sees to it.

use std::collections::{BTreeMap, BTreeSet};

/// Imports between the folders of one folder, and between those and its own files.
type Imports = BTreeMap<String, BTreeSet<String>>;

/// Complains about every circle between folders below a source root such as `src`.
pub fn circles(files: &[(&str, &str)], root: &str) -> Vec<String> {
    let below: Vec<_> = files.iter().filter_map(|(path, text)| Some((path.strip_prefix(root)?, *text))).collect();
    let modules: BTreeSet<Vec<&str>> = below.iter().map(|(path, _)| module(path)).collect();
    let mut folders: BTreeMap<Vec<&str>, Imports> = BTreeMap::new();
    for (path, text) in below.iter().filter(|(path, _)| !path.ends_with("/mod.rs") && !path.ends_with("lib.rs")) {
        let from = module(path);
        for target in paths(text).iter().filter_map(|path| resolve(path, &from, &modules)) {
            let shared = from.iter().zip(&target).take_while(|(a, b)| a == b).count();
            if shared == target.len() {
                continue;
            }
            let is_file = |module: &[&str]| module.len() == shared + 1 && !is_folder(module, &modules);
            if !(is_file(&from) && is_file(&target)) {
                let imports = folders.entry(target[..shared].to_vec()).or_default();
                imports.entry(from[shared].to_owned()).or_default().insert(target[shared].to_owned());
            }
        }
    }
    folders
        .iter()
        .filter_map(|(folder, imports)| {
            let circle = imports.keys().find_map(|node| circle_through(node, imports))?;
            Some(format!("{root}{}: folders import each other: {}", folder.join("/"), circle.join(" -> ")))
        })
        .collect()
}

/// Returns the module path of a file below the source root.
fn module(path: &str) -> Vec<&str> {
    let path = path.strip_suffix(".rs").unwrap_or(path);
    path.split('/').filter(|part| !part.is_empty() && !["mod", "lib"].contains(part)).collect()
}

fn is_folder(module: &[&str], modules: &BTreeSet<Vec<&str>>) -> bool {
    modules.iter().any(|other| other.len() > module.len() && other.starts_with(module))
}

/// Returns every path that begins with `crate` or `super`, with the groups of imports spelled out.
fn paths(text: &str) -> Vec<Vec<&str>> {
    let code = text.lines().map(str::trim_start).filter(|line| !line.starts_with("//"));
    let words = code.flat_map(|line| {
        line.split_inclusive(|c: char| !c.is_alphanumeric() && c != '_').flat_map(|piece| {
            let (word, end) = piece.split_at(piece.trim_end_matches(|c: char| !c.is_alphanumeric() && c != '_').len());
            [word, end].into_iter().filter(|part| !part.trim().is_empty())
        })
    });
    let mut found = Vec::new();
    let mut path: Vec<&str> = Vec::new();
    let mut groups: Vec<Vec<&str>> = Vec::new();
    let mut joined = false;
    for word in words {
        match word {
            ":" => joined = true,
            "{" if joined && !path.is_empty() => groups.push(path.clone()),
            "," | "}" if !groups.is_empty() => {
                found.push(std::mem::take(&mut path));
                if word == "}" {
                    groups.pop();
                }
                path = groups.last().cloned().unwrap_or_default();
                joined = true;
            }
            _ if joined && !path.is_empty() => {
                path.push(word);
                joined = false;
            }
            _ => {
                found.push(std::mem::take(&mut path));
                groups.clear();
                joined = false;
                if ["crate", "super"].contains(&word) {
                    path.push(word);
                }
            }
        }
    }
    found.push(path);
    found.retain(|path| path.len() > 1);
    found
}

/// Returns the longest beginning of a path that is a module; `None` for names that a `mod.rs` re-exports.
fn resolve<'t>(path: &[&'t str], from: &[&'t str], modules: &BTreeSet<Vec<&'t str>>) -> Option<Vec<&'t str>> {
    let ups = path.iter().take_while(|part| **part == "super").count();
    let start = if ups == 0 { Vec::new() } else { from[..from.len().checked_sub(ups)?].to_vec() };
    let rest = &path[ups.max(1)..];
    (1..=rest.len()).rev().find_map(|length| {
        let module = [start.as_slice(), &rest[..length]].concat();
        modules.contains(&module).then_some(module)
    })
}

/// Returns a way from a node back to itself.
fn circle_through(node: &str, imports: &Imports) -> Option<Vec<String>> {
    let mut ways = vec![vec![node.to_owned()]];
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop() {
        for next in way.last().and_then(|last| imports.get(last)).into_iter().flatten() {
            if next == node {
                return Some([way, vec![next.clone()]].concat());
            }
            if seen.insert(next.clone()) {
                ways.push([way.as_slice(), std::slice::from_ref(next)].concat());
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_that_import_each_other_are_found() {
        let one_way = ("src/a/x.rs", "use crate::b::{y::Z, W};");
        let back = ("src/b/y.rs", "fn f() { crate::a::x::g() }");
        let roots = [("src/a/mod.rs", ""), ("src/b/mod.rs", "")];
        assert_eq!(circles(&[roots[0], roots[1], one_way], "src/"), Vec::<String>::new());
        assert_eq!(circles(&[roots[0], roots[1], one_way, back], "src/").len(), 1);
    }

    #[test]
    fn a_folder_and_the_files_above_it_do_not_import_each_other() {
        let above = ("src/a/x.rs", "use super::c::y::Z;");
        let below = ("src/a/c/y.rs", "use super::super::x::W;");
        let beside = ("src/a/c/y.rs", "use super::super::z::W;");
        assert_eq!(circles(&[above, ("src/a/c/y.rs", ""), ("src/a/c/mod.rs", "")], "src/"), Vec::<String>::new());
        assert_eq!(circles(&[above, beside, ("src/a/z.rs", "")], "src/"), Vec::<String>::new());
        assert_eq!(circles(&[above, below, ("src/a/c/mod.rs", "")], "src/").len(), 1);
    }

    #[test]
    fn files_of_one_folder_and_re_exports_make_no_circle() {
        let files = [("src/a/x.rs", "use super::y::Z;"), ("src/a/y.rs", "use super::x::Z; use crate::a::Name;")];
        assert_eq!(circles(&files, "src/"), Vec::<String>::new());
    }
}
