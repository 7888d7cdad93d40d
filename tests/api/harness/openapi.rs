//! Every reply of every contract test, compared with the description of the API: its status, its fields, its media
//! type, its JSON.
//!
//! Members that the description does not name are an error here, though clients are to pass over them: so it cannot fall behind.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use jsonschema::Validator;
use larder::api::Description;
use serde_json::{Value, json};

use super::reply::Reply;

static DOCUMENT: LazyLock<Document> = LazyLock::new(Document::read);

/// The description, for the comparison with replies.
struct Document {
    root: Value,
    /// Schemas, closed against members that they do not name.
    schemas: Value,
    /// Compiled schemas, by their text.
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

/// The part of the description that covers a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Described {
    /// This path and method.
    As(String, String),
    /// It is below a path that is passed on.
    Proxied,
    /// Nothing.
    Not,
}

/// Returns the part of the description that covers a request.
pub(crate) fn described(method: &str, target: &str) -> Described {
    DOCUMENT.find(method, target)
}

/// Demands that a reply is one that the description allows.
pub(crate) fn hold(method: &str, target: &str, reply: &Reply) {
    if method == "OPTIONS" {
        return;
    }
    match DOCUMENT.find(method, target) {
        Described::Proxied => {}
        Described::Not => assert!(reply.status >= 400, "{reply}, and there is no such operation in the description"),
        Described::As(path, of) => {
            let operation = &DOCUMENT.root["paths"][path.as_str()][of.as_str()];
            DOCUMENT.hold(operation, method == "HEAD", reply);
        }
    }
}

impl Document {
    fn read() -> Self {
        let root: Value = serde_json::from_slice(&Description::get().bytes).expect("the description is JSON");
        let mut schemas = root["components"]["schemas"].clone();
        close(&mut schemas);
        Self { root, schemas, validators: Mutex::default() }
    }

    fn find(&self, method: &str, target: &str) -> Described {
        // A target may name the server, too.
        let behind = target.strip_prefix("http://").map(|rest| rest.find('/').map_or("/", |at| &rest[at..]));
        let target = behind.unwrap_or(target);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let named = query.split('&').find_map(|pair| pair.strip_prefix("method="));
        let named = named.filter(|name| method == "GET" && !name.eq_ignore_ascii_case("head") && !name.is_empty());
        let method = named.unwrap_or(method).to_lowercase();
        let segments: Vec<&str> = path.split('/').collect();
        let paths = self.root["paths"].as_object().expect("there are paths");
        let fitting = paths.iter().filter(|(path, _)| fits(path, &segments));
        // Of two that fit, the one with fewer parameters is meant.
        let Some((path, item)) = fitting.min_by_key(|(path, _)| path.matches('{').count()) else {
            let is_proxied = |item: &Value| item["get"].get("x-larder-proxied").is_some();
            let above = |path: &str| {
                let length = path.split('/').count();
                segments.len() > length && fits(path, &segments[..length])
            };
            let is_below = paths.iter().any(|(path, item)| is_proxied(item) && above(path));
            return if is_below { Described::Proxied } else { Described::Not };
        };
        // HEAD is had wherever GET is, and told apart only where the two differ.
        let known = [method.as_str(), if method == "head" { "get" } else { &method }];
        match known.into_iter().find(|method| item.get(*method).is_some()) {
            Some(method) => Described::As(path.clone(), method.to_owned()),
            None if item["get"].get("x-larder-proxied").is_some() => Described::Proxied,
            None => Described::Not,
        }
    }

    fn hold(&self, operation: &Value, is_head: bool, reply: &Reply) {
        let responses = &operation["responses"];
        let response = responses.get(reply.status.to_string()).or_else(|| responses.get("default"));
        let response = response.unwrap_or_else(|| panic!("{reply}: the description knows no such status of this"));
        let response = self.resolved(response);
        for name in response["headers"].as_object().into_iter().flatten().map(|(name, _)| name.to_lowercase()) {
            assert!(reply.fields.iter().any(|(field, _)| *field == name), "{reply} has no field {name}");
        }
        let Some(content) = response["content"].as_object() else {
            let is_free = responses.get(reply.status.to_string()).is_none();
            return assert!(
                reply.body.is_empty() || is_free,
                "{reply} has a body, which the description does not know"
            );
        };
        if is_head {
            return;
        }
        let media = reply.field("content-type").unwrap_or_default().split(';').next().unwrap_or_default().trim();
        let described = content.get(media).or_else(|| content.get("*/*"));
        let described =
            described.unwrap_or_else(|| panic!("{reply}: the description does not know the type {media:?} here"));
        if let Some(schema) = described.get("schema") {
            let found: Vec<String> = self
                .validator(schema)
                .iter_errors(&reply.json())
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect();
            assert!(found.is_empty(), "{reply}: the description says otherwise:\n{}", found.join("\n"));
        }
    }

    fn resolved<'a>(&'a self, value: &'a Value) -> &'a Value {
        let pointer = value["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
        pointer.map_or(value, |pointer| self.root.pointer(pointer).expect("references lead somewhere"))
    }

    fn validator(&self, schema: &Value) -> Arc<Validator> {
        let mut validators = self.validators.lock().unwrap_or_else(PoisonError::into_inner);
        let made = validators.entry(schema.to_string()).or_insert_with(|| {
            let mut closed = schema.clone();
            close(&mut closed);
            let whole = json!({ "allOf": [closed], "components": { "schemas": self.schemas } });
            Arc::new(jsonschema::draft202012::new(&whole).expect("the description has JSON Schemas"))
        });
        Arc::clone(made)
    }
}

/// Returns `true` if a path has these segments, where a parameter matches any segment that is not empty.
fn fits(path: &str, segments: &[&str]) -> bool {
    let mut own = path.split('/');
    let all_fit = segments.iter().all(|segment| {
        own.next().is_some_and(|own| if own.starts_with('{') { !segment.is_empty() } else { own == *segment })
    });
    all_fit && own.next().is_none()
}

/// Rejects members of objects that the schema does not name, unless it says otherwise.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            members.values_mut().for_each(close);
            let is_object = members.get("type").is_some_and(|kind| kind == "object");
            if is_object && members.contains_key("properties") && !members.contains_key("additionalProperties") {
                members.insert("additionalProperties".to_owned(), false.into());
            }
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
