//! Expansion of the short files beside this one into OpenAPI.
//!
//! An operation in a file has members of OpenAPI (`operationId`, `summary`, `description`), and these: `parameters` by
//! their names in `parameters.json`; `body`, the schema of a JSON body, and `bodyRequired`; `bytes`, if the body is
//! bytes of any media type; `open`, if callers without a token may be allowed; `signed`, if a signed link may;
//! `anonymous`, if every caller is; `plain`, if the response does not come from the API; `passedOn`, if an upstream
//! responds; `responses` of success, with `data` (a schema within the envelope), `json` (a schema), `media` and
//! `headers`; and `refusals`, in addition to those that follow from all this.

use std::{fmt::Write as _, sync::LazyLock};

use bytes::Bytes;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

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

/// Operations on one store.
const STORE: &str = include_str!("store.json");

/// Operations on the runs of an actor or a task.
const RUN_SOURCE: &str = include_str!("run_source.json");

/// Proxied operations on upstream resources by their id there.
const UPSTREAM_ALL: &str = include_str!("upstream_all.json");
const UPSTREAM_ONE: &str = include_str!("upstream_one.json");

/// Files of paths that occur once.
const ONCE: [(&str, &str); 5] = [
    (include_str!("stores.json"), "Stores"),
    (include_str!("sharing.json"), "Sharing"),
    (include_str!("accounts.json"), "Users and tokens"),
    (include_str!("runs.json"), "Runs"),
    (include_str!("service.json"), "Service"),
];

/// Sources of runs, with the parts of operation ids that name them.
const SOURCES: [(&str, &[&str], &str); 3] = [
    ("/v2/acts/{actorId}", &["actorId"], "Act"),
    ("/v2/actors/{actorId}", &["actorId"], "Actor"),
    ("/v2/actor-tasks/{taskId}", &["taskId"], "Task"),
];

/// Paths of a run's store, dataset and request queue.
const RUNS: [(&str, &[&str], &str); 4] = [
    ("/v2/actor-runs/{runId}", &["runId"], "OfRun"),
    ("/v2/acts/{actorId}/runs/last", &["actorId", "status", "origin"], "OfLastRunOfAct"),
    ("/v2/actors/{actorId}/runs/last", &["actorId", "status", "origin"], "OfLastRunOfActor"),
    ("/v2/actor-tasks/{taskId}/runs/last", &["taskId", "status", "origin"], "OfLastRunOfTask"),
];

/// Upstream resources of a run: the segment in the run's paths, and that of the upstream's collection.
const ELSEWHERE: [(&str, &str, &str); 2] =
    [("dataset", "datasets", "Dataset"), ("request-queue", "request-queues", "RequestQueue")];

/// Tag of all proxied operations.
const PASSED_ON: &str = "Datasets and request queues";

/// Returns every path with its operations.
pub(super) fn paths() -> Value {
    let mut paths = Map::new();
    let mut mount = |file: &str, base: String, parameters, suffix: String, tag| {
        paths.extend(mounted(file, &Place { base, parameters, suffix, tag }));
    };
    for (file, tag) in ONCE {
        mount(file, String::new(), &[], String::new(), tag);
    }
    mount(STORE, "/v2/key-value-stores/{storeId}".to_owned(), &["storeId"], String::new(), "Stores");
    for (base, parameters, of) in SOURCES {
        mount(RUN_SOURCE, base.to_owned(), parameters, of.to_owned(), "Runs");
    }
    for (base, parameters, of) in RUNS {
        mount(STORE, format!("{base}/key-value-store"), parameters, of.to_owned(), "Stores of runs");
        for (path, _, what) in ELSEWHERE {
            mount(UPSTREAM_ONE, format!("{base}/{path}"), parameters, format!("{what}{of}"), PASSED_ON);
        }
    }
    for (_, collection, what) in ELSEWHERE {
        mount(UPSTREAM_ALL, format!("/v2/{collection}"), &[], what.to_owned(), PASSED_ON);
        mount(UPSTREAM_ONE, format!("/v2/{collection}/{{upstreamId}}"), &["upstreamId"], what.to_owned(), PASSED_ON);
    }
    paths.into()
}

/// Introduction to all operations.
const INFO: &str = "The key-value store API of the Apify platform, over any S3-compatible object store or a local folder. What is an addition \
                    to the platform's API says so; all below /larder/v1 is one.\n\n\
                    HEAD is answered wherever GET is, and OPTIONS on every path, for pages of any origin. A GET may name another method by \
                    the parameter `method`. Parameters that are not described are ignored; so are members of bodies, but for those of \
                    `scope` and `quota`. Booleans are also taken as 1 and 0, and whatever else is given for one is as good as none.\n\n\
                    Before any answer described here, a connection may be told 503 because there are too many, and a request 400, 408 or 431 \
                    because it is no HTTP, too slow, or its head too large.";

const PARAMETERS: &str = include_str!("parameters.json");
const SCHEMAS: &str = include_str!("schemas.json");

/// Number of digits of the hash that identifies a version of the description.
const TAG_DIGITS: usize = 32;

static DESCRIPTION: LazyLock<Description> = LazyLock::new(Description::new);

/// Serialized description.
#[derive(Debug)]
pub struct Description {
    /// The document.
    pub bytes: Bytes,
    /// Its `ETag`, without quotes.
    pub etag: String,
}

impl Description {
    /// Returns the description, assembled at the first call.
    pub fn get() -> &'static Self {
        &DESCRIPTION
    }

    fn new() -> Self {
        let bytes = Bytes::from(document().to_string());
        let mut etag = String::with_capacity(2 * TAG_DIGITS);
        for byte in Sha256::digest(&bytes).iter().take(TAG_DIGITS / 2) {
            let _ = write!(etag, "{byte:02x}");
        }
        Self { bytes, etag }
    }
}

/// Returns the description as JSON.
pub(super) fn document() -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Larder",
            "version": env!("CARGO_PKG_VERSION"),
            "description": INFO,
            "license": { "name": "Apache 2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/", "description": "This one." }],
        "security": [{ "bearer": [] }, { "token": [] }],
        "tags": [
            { "name": "Stores", "description": "Key-value stores." },
            { "name": "Records", "description": "What is in a store." },
            { "name": "Stores of runs", "description": "The same, by the run that a store is the store of." },
            { "name": "Runs", "description": "Runs of actors and tasks. Nothing is started here." },
            { "name": "Users and tokens", "description": "Who calls, and who may call." },
            { "name": "Sharing", "description": "Who else may do what with a store. Additions to the platform's API." },
            { "name": "Datasets and request queues", "description": "Not served here: passed on to an upstream, where one is configured." },
            { "name": "Service", "description": "About the server itself." },
        ],
        "paths": paths(),
        "components": {
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer", "description": "A token, in the header Authorization. It wins over the parameter." },
                "token": { "type": "apiKey", "in": "query", "name": "token", "description": "The same as a parameter." },
                "signature": {
                    "type": "apiKey", "in": "query", "name": "signature",
                    "description": "What signed links have: it opens one record, or a store's keys and its ZIP file.",
                },
            },
            "headers": headers(),
            "parameters": parsed(PARAMETERS),
            "responses": refusals_by_name(),
            "schemas": parsed(SCHEMAS),
        },
    })
}

/// Returns the header fields of responses.
fn headers() -> Value {
    let header =
        |description: &str, schema: Value| json!({ "description": description, "required": true, "schema": schema });
    let text = || json!({ "type": "string" });
    json!({
        "X-Request-Id": header("What the server's log knows the request by.", text()),
        "X-RateLimit-Limit": header("Requests a second that are taken for this.", json!({ "type": "integer" })),
        "ETag": header("The validator of what was sent or written.", text()),
        "Last-Modified": header("When the record was written.", text()),
        "Location": header("Where it is from now on.", text()),
        "Content-Range": header("Which part of how many bytes this is.", text()),
        "Content-Disposition": header("What a browser calls the file.", text()),
        "WWW-Authenticate": header("How to say who calls.", text()),
        "Allow": header("The methods that the path knows.", text()),
        "Retry-After": header("After how many seconds to try again.", json!({ "type": "integer", "minimum": 1 })),
    })
}
