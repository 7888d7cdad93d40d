//! Tests of the description against the code: routes, errors, values of enumerations. The contract tests compare
//! responses with it.

use std::{collections::BTreeSet, fs, path::Path};

use http::{Method, Uri};
use serde_json::{Value, json};

use crate::{
    api::routing::route,
    auth::AccountAccess,
    kv::{GeneralAccess, Right},
    runs::{RunOrigin, RunStatus},
};

use super::document;

const METHODS: [&str; 6] = ["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH"];

/// Returns path, method and operation of everything described.
fn operations(document: &Value) -> Vec<(&String, String, &Value)> {
    let items = document["paths"].as_object().expect("there are paths").iter();
    let methods = |item: &'_ Value| -> Vec<String> { item.as_object().expect("an item").keys().cloned().collect() };
    let all = items.flat_map(|(path, item)| methods(item).into_iter().map(move |method| (path, method, item)));
    all.filter(|(_, method, _)| method != "parameters")
        .map(|(path, method, item)| {
            let operation = &item[method.as_str()];
            (path, method.to_uppercase(), operation)
        })
        .collect()
}

/// Returns the status of a response that comes from routing alone, if there is one.
fn routed(method: &str, path: &str) -> Result<(), u16> {
    let named: String =
        path.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect::<Vec<_>>().join("/");
    let uri: Uri = named.parse().expect("a path");
    let method: Method = method.parse().expect("a method");
    route::parse(&method, &uri).map(drop).map_err(|error| error.status().as_u16())
}

fn is_health(path: &str) -> bool {
    path.starts_with("/health/")
}

#[test]
fn every_described_operation_is_routed() {
    let document = document();
    let operations = operations(&document);
    assert!(operations.len() > 100, "only {} operations were found", operations.len());
    for (path, method, operation) in operations.iter().filter(|(path, ..)| !is_health(path)) {
        match routed(method, path) {
            Ok(()) => {}
            // Some are described only to say that they are unsupported.
            Err(status) => {
                assert!(operation["responses"].get(status.to_string()).is_some(), "{method} {path} is {status}");
                assert_ne!(status, 405, "{method} {path}");
                assert!(
                    !operation["responses"].as_object().expect("some").keys().any(|status| status.starts_with('2')),
                    "{path}"
                );
            }
        }
    }
}

#[test]
fn no_path_has_a_method_that_is_not_described() {
    let document = document();
    let operations = operations(&document);
    let described: BTreeSet<(&str, &str)> =
        operations.iter().map(|(path, method, _)| (path.as_str(), method.as_str())).collect();
    let paths: BTreeSet<&str> = described.iter().map(|(path, _)| *path).filter(|path| !is_health(path)).collect();
    for (path, method) in paths.iter().flat_map(|path| METHODS.map(|method| (*path, method))) {
        let is_read = method == "HEAD" && described.contains(&(path, "GET"));
        let is_proxied = document["paths"][path]["get"].get("x-larder-proxied").is_some();
        if described.contains(&(path, method)) || is_read || is_proxied {
            continue;
        }
        if method == "HEAD" && routed("GET", path) == Err(403) {
            continue;
        }
        assert_eq!(routed(method, path), Err(405), "{method} {path}");
    }
}

#[test]
fn every_error_type_is_described_under_its_status() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/api");
    let mut in_code = BTreeSet::new();
    for path in rust_files(&folder) {
        let source = fs::read_to_string(&path).expect("it can be read");
        in_code.extend(kinds(&source, "bad_request(").map(|kind| ("BAD_REQUEST".to_owned(), kind)));
        for (at, _) in source.match_indices("StatusCode::") {
            let rest = &source[at + "StatusCode::".len()..];
            let name: String = rest.chars().take_while(|sign| sign.is_ascii_uppercase() || *sign == '_').collect();
            let behind = rest[name.len()..].trim_start_matches([',', ' ', '\n']);
            in_code.extend(text(behind).filter(|kind| !kind.is_empty()).map(|kind| (name.clone(), kind)));
        }
    }
    let errors: Value = serde_json::from_str(include_str!("errors.json")).expect("JSON");
    let described: BTreeSet<(String, String)> = errors
        .as_object()
        .expect("an object")
        .iter()
        .flat_map(|(status, error)| {
            let status = http::StatusCode::from_bytes(status.as_bytes()).expect("a status");
            let name = status.canonical_reason().expect("a usual one").to_uppercase().replace([' ', '-'], "_");
            let types = error["types"].as_array().expect("a list").iter();
            types.map(move |kind| (name.clone(), kind.as_str().expect("a text").to_owned()))
        })
        .collect();
    let only_code: Vec<_> = in_code.difference(&described).collect();
    let only_described: Vec<_> = described.difference(&in_code).collect();
    assert!(
        only_code.is_empty() && only_described.is_empty(),
        "not described: {only_code:?}; not there: {only_described:?}"
    );
}

fn rust_files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut found = Vec::new();
    for path in entries {
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") && !path.ends_with("tests.rs") {
            found.push(path);
        }
    }
    found
}

/// Returns the texts that follow `name` in a source.
fn kinds<'a>(source: &'a str, name: &'a str) -> impl Iterator<Item = String> + 'a {
    source.match_indices(name).filter_map(move |(at, _)| text(source[at + name.len()..].trim_start()))
}

/// Returns the quoted text at the beginning of a source.
fn text(source: &str) -> Option<String> {
    let kind = source.strip_prefix('"')?.split('"').next()?;
    Some(kind.to_owned())
}

#[test]
fn enumerations_have_the_values_of_the_code() {
    let document = document();
    let words = |name: &str| document["components"]["schemas"][name]["enum"].clone();
    assert_eq!(words("GeneralAccess"), json!(GeneralAccess::NAMES));
    assert_eq!(words("AccountAccess"), json!(AccountAccess::NAMES));
    assert_eq!(words("Right"), json!(Right::NAMES));
    assert_eq!(words("RunOrigin"), json!(RunOrigin::NAMES.map(|(name, _)| name)));
    for status in words("RunStatus").as_array().expect("a list") {
        assert!(RunStatus::parse(status.as_str().expect("a text")).is_some(), "{status}");
    }
}

#[test]
fn ids_are_unique_and_references_resolve() {
    let document = document();
    let mut ids = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        let id = operation["operationId"].as_str().expect("an id");
        assert!(!id.is_empty() && ids.insert(id.to_owned()), "{method} {path}: {id:?} is there already");
        let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let known: Vec<Value> = [&document["paths"][path.as_str()]["parameters"], &operation["parameters"]]
            .into_iter()
            .flat_map(|list| list.as_array().into_iter().flatten())
            .map(|parameter| resolved(&document, parameter).clone())
            .collect();
        for name in names {
            assert!(known.iter().any(|known| known["in"] == "path" && known["name"] == name), "{path}: {name}");
        }
    }
    let text = document.to_string();
    let mut used = BTreeSet::new();
    for reference in text.split("\"$ref\":\"").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
        used.insert(reference.to_owned());
    }
    for kind in ["schemas", "parameters", "responses", "headers"] {
        let named = document["components"][kind].as_object().expect("an object").keys();
        let unused: Vec<_> = named.filter(|name| !used.contains(&format!("#/components/{kind}/{name}"))).collect();
        assert!(
            unused.is_empty() || unused == ["MethodNotAllowed"] || kind == "headers",
            "{kind}: {unused:?} are used nowhere"
        );
    }
}

fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let pointer = value["$ref"].as_str().map(|reference| reference.trim_start_matches('#'));
    pointer.map_or(value, |pointer| document.pointer(pointer).expect("it leads somewhere"))
}
