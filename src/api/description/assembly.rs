//! Expansion of the short files beside this one into OpenAPI.
//!
//! An operation in a file has members of OpenAPI (`operationId`, `summary`, `description`), and these: `parameters` by
//! their names in `parameters.json`; `body`, the schema of a JSON body, and `bodyRequired`; `bytes`, if the body is
//! bytes of any media type; `open`, if callers without a token may be allowed; `signed`, if a signed link may;
//! `anonymous`, if every caller is; `plain`, if the response does not come from the API; `passedOn`, if an upstream
//! responds; `responses` of success, with `data` (a schema within the envelope), `json` (a schema), `media` and
//! `headers`; and `refusals`, in addition to those that follow from all this.

use serde_json::{Map, Value, json};

const REFUSALS: &str = include_str!("refusals.json");

/// Error statuses possible for every call of the API.
const ALWAYS: [u64; 5] = [401, 403, 429, 500, 503];

/// Error statuses of calls that change something, perhaps through the leader.
const OF_CHANGES: [u64; 3] = [400, 507, 508];

/// Error statuses of calls with a body.
const OF_BODIES: [u64; 4] = [400, 408, 413, 415];

/// Error statuses of calls that an upstream serves, if there is one.
const OF_UPSTREAMS: [u64; 4] = [400, 404, 502, 508];

/// Location of a group of operations, and its differences from the same operations elsewhere.
#[derive(Debug)]
pub(super) struct Place {
    /// Prefix of their paths.
    pub(super) base: String,
    /// Names of their common parameters.
    pub(super) parameters: &'static [&'static str],
    /// Suffix of their ids.
    pub(super) suffix: String,
    /// Their tag.
    pub(super) tag: &'static str,
}

/// Parses JSON that is part of this program.
pub(super) fn parsed(text: &str) -> Value {
    serde_json::from_str(text).expect("the files of the description are JSON")
}

/// Returns the path items of a file, at a location.
pub(super) fn mounted(file: &str, place: &Place) -> Vec<(String, Value)> {
    let Value::Object(items) = parsed(file) else { return Vec::new() };
    items.into_iter().map(|(path, item)| (format!("{}{path}", place.base), path_item(&item, place))).collect()
}

fn path_item(item: &Value, place: &Place) -> Value {
    let own = texts(&item["parameters"]);
    let parameters: Vec<Value> =
        place.parameters.iter().copied().chain(own).map(|name| reference("parameters", name)).collect();
    let mut made = Map::new();
    if !parameters.is_empty() {
        made.insert("parameters".to_owned(), parameters.into());
    }
    let methods = item.as_object().into_iter().flatten().filter(|(name, _)| *name != "parameters");
    made.extend(methods.map(|(method, said)| (method.clone(), operation(method, said, place))));
    made.into()
}

fn operation(method: &str, said: &Value, place: &Place) -> Value {
    let mut made = Map::new();
    let mut set = |name: &str, value: Value| made.insert(name.to_owned(), value);
    set("operationId", format!("{}{}", said["operationId"].as_str().unwrap_or_default(), place.suffix).into());
    set("tags", json!([place.tag]));
    set("summary", said["summary"].clone());
    if let Some(description) = said.get("description") {
        set("description", description.clone());
    }
    let parameters: Vec<Value> = texts(&said["parameters"]).map(|name| reference("parameters", name)).collect();
    if !parameters.is_empty() {
        set("parameters", parameters.into());
    }
    if let Some(body) = request_body(said) {
        set("requestBody", body);
    }
    if let Some(security) = security(said) {
        set("security", security);
    }
    set("responses", responses(method, said));
    if is(said, "passedOn") {
        set("x-larder-passed-on", "Whatever is below this path, by any method, is passed on likewise.".into());
    }
    made.into()
}

fn request_body(said: &Value) -> Option<Value> {
    if let Some(schema) = said["body"].as_str() {
        let content = json!({ "application/json": { "schema": reference("schemas", schema) } });
        return Some(json!({ "required": is(said, "bodyRequired"), "content": content }));
    }
    is(said, "bytes").then(|| json!({ "description": "Bytes of any media type.", "content": { "*/*": {} } }))
}

/// Returns the security requirements, where they are not just a token.
fn security(said: &Value) -> Option<Value> {
    let token = [json!({ "bearer": [] }), json!({ "token": [] })].into_iter();
    let signature = is(said, "signed").then(|| json!({ "signature": [] }));
    if is(said, "plain") {
        Some(json!([]))
    } else if is(said, "anonymous") || is(said, "open") || is(said, "passedOn") {
        Some(token.chain(signature).chain([json!({})]).collect())
    } else {
        None
    }
}

fn responses(method: &str, said: &Value) -> Value {
    let is_plain = is(said, "plain");
    let mut all: Vec<(String, Value)> = Vec::new();
    for (status, answer) in said["responses"].as_object().into_iter().flatten() {
        let mut made = json!({ "description": answer["description"] });
        if let Some(content) = content(answer) {
            made["content"] = content;
        }
        if !is_plain {
            made["headers"] = usual_headers(&answer["headers"]);
        }
        all.push((status.clone(), made));
    }
    if !is_plain {
        let refusals = parsed(REFUSALS);
        let name = |status: &u64| refusals[status.to_string()]["name"].as_str().unwrap_or_default().to_owned();
        let statuses = refusals_of(method, said);
        all.extend(statuses.iter().map(|status| (status.to_string(), reference("responses", &name(status)))));
    }
    all.sort_by(|one, other| one.0.cmp(&other.0));
    if is(said, "passedOn") {
        all.push(("default".to_owned(), json!({ "description": "The upstream's answer." })));
    }
    all.into_iter().collect::<Map<_, _>>().into()
}

/// Returns the error statuses that an operation may have.
fn refusals_of(method: &str, said: &Value) -> Vec<u64> {
    let mut statuses: Vec<u64> = said["refusals"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
    statuses.extend(ALWAYS);
    if !matches!(method, "get" | "head") {
        statuses.extend(OF_CHANGES);
    }
    if said.get("body").is_some() || is(said, "bytes") {
        statuses.extend(OF_BODIES);
    }
    if is(said, "passedOn") {
        statuses.extend(OF_UPSTREAMS);
    }
    statuses.sort_unstable();
    statuses.dedup();
    statuses
}

fn content(answer: &Value) -> Option<Value> {
    if let Some(schema) = answer["data"].as_str() {
        let data = json!({ "data": reference("schemas", schema) });
        let envelope = json!({ "type": "object", "required": ["data"], "properties": data });
        return Some(json!({ "application/json": { "schema": envelope } }));
    }
    if let Some(schema) = answer.get("json") {
        return Some(json!({ "application/json": { "schema": schema } }));
    }
    let media: Map<String, Value> = texts(&answer["media"]).map(|media| (media.to_owned(), json!({}))).collect();
    (!media.is_empty()).then(|| media.into())
}

/// Returns the error responses of OpenAPI, by name.
pub(super) fn refusals_by_name() -> Value {
    let refusals = parsed(REFUSALS);
    let named = refusals.as_object().into_iter().flatten().map(|(_, refusal)| {
        let kind = json!({ "properties": { "error": { "properties": { "type": { "enum": refusal["types"] } } } } });
        let schema = json!({ "allOf": [reference("schemas", "Error"), kind] });
        let made = json!({
            "description": refusal["description"],
            "headers": usual_headers(&refusal["headers"]),
            "content": { "application/json": { "schema": schema } },
        });
        (refusal["name"].as_str().unwrap_or_default().to_owned(), made)
    });
    named.collect::<Map<_, _>>().into()
}

/// Returns the common header fields of every API response, together with these.
fn usual_headers(names: &Value) -> Value {
    let all = ["X-Request-Id", "X-RateLimit-Limit"].into_iter().chain(texts(names));
    all.map(|name| (name.to_owned(), reference("headers", name))).collect::<Map<_, _>>().into()
}

fn reference(kind: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/components/{kind}/{name}") })
}

fn is(said: &Value, what: &str) -> bool {
    said[what].as_bool().unwrap_or(false)
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}
