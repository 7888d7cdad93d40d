//! OpenAPI description of the API, served at `/v2/openapi.json`.
//!
//! JSON files beside this one describe each operation, the schemas of bodies, and errors. Paths that address a store, a
//! run or an upstream resource in several ways are generated from one file for all of them. Tests compare the
//! description with the routes, the errors and the constants of the code; the contract tests compare it with every
//! response that they see.
//!
//! An operation in a file has members of OpenAPI (`operationId`, `summary`, `description`), and these: `parameters` by
//! their names in `parameters.json`; `body`, the schema of a JSON body, and `bodyRequired`; `bytes`, if the body is
//! bytes of any media type; `open`, if callers without a token may be allowed; `signed`, if a signed link may;
//! `anonymous`, if every caller is; `plain`, if the response does not come from the API; `proxied`, if an upstream
//! responds; `responses` of success, with `data` (a schema within the envelope), `json` (a schema), `media` and
//! `headers`; and `errors`, in addition to those that follow from all this.

use std::{fmt::Write as _, sync::LazyLock};

use bytes::Bytes;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

#[cfg(test)]
mod tests;

const ERRORS: &str = include_str!("errors.json");

/// Error statuses possible for every call of the API.
const COMMON_ERRORS: [u64; 5] = [401, 403, 429, 500, 503];

/// Error statuses of calls that change something, perhaps through the leader.
const ERRORS_OF_CHANGES: [u64; 3] = [400, 507, 508];

/// Error statuses of calls with a body.
const ERRORS_OF_BODIES: [u64; 4] = [400, 408, 413, 415];

/// Error statuses of calls that an upstream serves, if there is one.
const ERRORS_OF_UPSTREAMS: [u64; 4] = [400, 404, 502, 508];

/// Location of a group of operations, and its differences from the same operations elsewhere.
#[derive(Debug)]
struct MountPoint {
    /// Prefix of their paths.
    base: String,
    /// Names of their common parameters.
    parameters: &'static [&'static str],
    /// Suffix of their ids.
    suffix: String,
    /// Their tag.
    tag: &'static str,
}

/// Parses JSON that is part of this program.
fn parse_json(text: &str) -> Value {
    serde_json::from_str(text).expect("the files of the description are JSON")
}

/// Returns the path items of a file, at a location.
fn mount_paths(file: &str, mount_point: &MountPoint) -> Vec<(String, Value)> {
    let Value::Object(items) = parse_json(file) else { return Vec::new() };
    items
        .into_iter()
        .map(|(path, item)| (format!("{}{path}", mount_point.base), path_item(&item, mount_point)))
        .collect()
}

fn path_item(item: &Value, mount_point: &MountPoint) -> Value {
    let own = texts(&item["parameters"]);
    let parameters: Vec<Value> =
        mount_point.parameters.iter().copied().chain(own).map(|name| reference("parameters", name)).collect();
    let mut expanded = Map::new();
    if !parameters.is_empty() {
        expanded.insert("parameters".to_owned(), parameters.into());
    }
    let methods = item.as_object().into_iter().flatten().filter(|(name, _)| *name != "parameters");
    expanded.extend(methods.map(|(method, spec)| (method.clone(), operation(method, spec, mount_point))));
    expanded.into()
}

fn operation(method: &str, spec: &Value, mount_point: &MountPoint) -> Value {
    let mut expanded = Map::new();
    let mut set = |name: &str, value: Value| expanded.insert(name.to_owned(), value);
    set("operationId", format!("{}{}", spec["operationId"].as_str().unwrap_or_default(), mount_point.suffix).into());
    set("tags", json!([mount_point.tag]));
    set("summary", spec["summary"].clone());
    if let Some(description) = spec.get("description") {
        set("description", description.clone());
    }
    let parameters: Vec<Value> = texts(&spec["parameters"]).map(|name| reference("parameters", name)).collect();
    if !parameters.is_empty() {
        set("parameters", parameters.into());
    }
    if let Some(body) = request_body(spec) {
        set("requestBody", body);
    }
    if let Some(security) = security(spec) {
        set("security", security);
    }
    set("responses", responses(method, spec));
    if is(spec, "proxied") {
        set(
            "x-larder-proxied",
            "Requests for any path below this one, by any method, are forwarded to the upstream, too.".into(),
        );
    }
    expanded.into()
}

fn request_body(spec: &Value) -> Option<Value> {
    if let Some(schema) = spec["body"].as_str() {
        let content = json!({ "application/json": { "schema": reference("schemas", schema) } });
        return Some(json!({ "required": is(spec, "bodyRequired"), "content": content }));
    }
    is(spec, "bytes").then(|| json!({ "description": "Bytes of any media type.", "content": { "*/*": {} } }))
}

/// Returns the security requirements, where they are not just a token.
fn security(spec: &Value) -> Option<Value> {
    let token = [json!({ "bearer": [] }), json!({ "token": [] })].into_iter();
    let signature = is(spec, "signed").then(|| json!({ "signature": [] }));
    if is(spec, "plain") {
        Some(json!([]))
    } else if is(spec, "anonymous") || is(spec, "open") || is(spec, "proxied") {
        Some(token.chain(signature).chain([json!({})]).collect())
    } else {
        None
    }
}

fn responses(method: &str, spec: &Value) -> Value {
    let is_plain = is(spec, "plain");
    let mut all: Vec<(String, Value)> = Vec::new();
    for (status, response) in spec["responses"].as_object().into_iter().flatten() {
        let mut expanded = json!({ "description": response["description"] });
        if let Some(content) = content(response) {
            expanded["content"] = content;
        }
        if !is_plain {
            expanded["headers"] = common_headers(&response["headers"]);
        }
        all.push((status.clone(), expanded));
    }
    if !is_plain {
        let errors = parse_json(ERRORS);
        let name = |status: &u64| errors[status.to_string()]["name"].as_str().unwrap_or_default().to_owned();
        let statuses = error_statuses(method, spec);
        all.extend(statuses.iter().map(|status| (status.to_string(), reference("responses", &name(status)))));
    }
    all.sort_by(|one, other| one.0.cmp(&other.0));
    if is(spec, "proxied") {
        all.push(("default".to_owned(), json!({ "description": "The response of the upstream." })));
    }
    all.into_iter().collect::<Map<_, _>>().into()
}

/// Returns the error statuses that an operation may have.
fn error_statuses(method: &str, spec: &Value) -> Vec<u64> {
    let mut statuses: Vec<u64> = spec["errors"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
    statuses.extend(COMMON_ERRORS);
    if !matches!(method, "get" | "head") {
        statuses.extend(ERRORS_OF_CHANGES);
    }
    if spec.get("body").is_some() || is(spec, "bytes") {
        statuses.extend(ERRORS_OF_BODIES);
    }
    if is(spec, "proxied") {
        statuses.extend(ERRORS_OF_UPSTREAMS);
    }
    statuses.sort_unstable();
    statuses.dedup();
    statuses
}

fn content(response: &Value) -> Option<Value> {
    if let Some(schema) = response["data"].as_str() {
        let data = json!({ "data": reference("schemas", schema) });
        let envelope = json!({ "type": "object", "required": ["data"], "properties": data });
        return Some(json!({ "application/json": { "schema": envelope } }));
    }
    if let Some(schema) = response.get("json") {
        return Some(json!({ "application/json": { "schema": schema } }));
    }
    let media: Map<String, Value> = texts(&response["media"]).map(|media| (media.to_owned(), json!({}))).collect();
    (!media.is_empty()).then(|| media.into())
}

/// Returns the error responses of OpenAPI, by name.
fn error_responses() -> Value {
    let errors = parse_json(ERRORS);
    let named = errors.as_object().into_iter().flatten().map(|(_, error)| {
        let kind = json!({ "properties": { "error": { "properties": { "type": { "enum": error["types"] } } } } });
        let schema = json!({ "allOf": [reference("schemas", "Error"), kind] });
        let expanded = json!({
            "description": error["description"],
            "headers": common_headers(&error["headers"]),
            "content": { "application/json": { "schema": schema } },
        });
        (error["name"].as_str().unwrap_or_default().to_owned(), expanded)
    });
    named.collect::<Map<_, _>>().into()
}

/// Returns the common header fields of every API response, together with these.
fn common_headers(names: &Value) -> Value {
    let all = ["X-Request-Id", "X-RateLimit-Limit"].into_iter().chain(texts(names));
    all.map(|name| (name.to_owned(), reference("headers", name))).collect::<Map<_, _>>().into()
}

fn reference(kind: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/components/{kind}/{name}") })
}

fn is(spec: &Value, what: &str) -> bool {
    spec[what].as_bool().unwrap_or(false)
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
const SINGLE_PATHS: [(&str, &str); 5] = [
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
const UPSTREAM_RESOURCES: [(&str, &str, &str); 2] =
    [("dataset", "datasets", "Dataset"), ("request-queue", "request-queues", "RequestQueue")];

/// Tag of all proxied operations.
const UPSTREAM_TAG: &str = "Datasets and request queues";

/// Returns every path with its operations.
fn paths() -> Value {
    let mut paths = Map::new();
    let mut mount = |file: &str, base: String, parameters, suffix: String, tag| {
        paths.extend(mount_paths(file, &MountPoint { base, parameters, suffix, tag }));
    };
    for (file, tag) in SINGLE_PATHS {
        mount(file, String::new(), &[], String::new(), tag);
    }
    mount(STORE, "/v2/key-value-stores/{storeId}".to_owned(), &["storeId"], String::new(), "Stores");
    for (base, parameters, of) in SOURCES {
        mount(RUN_SOURCE, base.to_owned(), parameters, of.to_owned(), "Runs");
    }
    for (base, parameters, of) in RUNS {
        mount(STORE, format!("{base}/key-value-store"), parameters, of.to_owned(), "Stores of runs");
        for (path, _, what) in UPSTREAM_RESOURCES {
            mount(UPSTREAM_ONE, format!("{base}/{path}"), parameters, format!("{what}{of}"), UPSTREAM_TAG);
        }
    }
    for (_, collection, what) in UPSTREAM_RESOURCES {
        mount(UPSTREAM_ALL, format!("/v2/{collection}"), &[], what.to_owned(), UPSTREAM_TAG);
        mount(UPSTREAM_ONE, format!("/v2/{collection}/{{upstreamId}}"), &["upstreamId"], what.to_owned(), UPSTREAM_TAG);
    }
    paths.into()
}

/// Introduction to all operations.
const INFO: &str = "The key-value store API of the Apify platform, over any S3-compatible object store or a local folder. \
                    Additions to the platform's API are marked as such; everything below /larder/v1 is one.\n\n\
                    HEAD is available wherever GET is, and OPTIONS on every path, for pages of any origin. A GET may override \
                    its method by the parameter `method`. Unknown parameters are ignored. So are unknown members of bodies, \
                    except those of `scope` and `quota`. Booleans are also accepted as 1 and 0; any other value counts as \
                    absent.\n\n\
                    In addition to the responses described here, a connection may get 503 if there are too many connections, \
                    and a request 400, 408 or 431 if it is not valid HTTP, arrives too slowly, or has too large a head.";

const PARAMETERS: &str = include_str!("parameters.json");
const SCHEMAS: &str = include_str!("schemas.json");

/// Number of digits of the hash that identifies a version of the description.
const ETAG_DIGITS: usize = 32;

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
        let mut etag = String::with_capacity(2 * ETAG_DIGITS);
        for byte in Sha256::digest(&bytes).iter().take(ETAG_DIGITS / 2) {
            let _ = write!(etag, "{byte:02x}");
        }
        Self { bytes, etag }
    }
}

/// Returns the description as JSON.
fn document() -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Larder",
            "version": env!("CARGO_PKG_VERSION"),
            "description": INFO,
            "license": { "name": "Apache 2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/", "description": "This server." }],
        "security": [{ "bearer": [] }, { "token": [] }],
        "tags": [
            { "name": "Stores", "description": "Key-value stores." },
            { "name": "Records", "description": "Records of a store, and lists of its keys." },
            { "name": "Stores of runs", "description": "Operations on a store that is addressed by its run." },
            { "name": "Runs", "description": "Runs of actors and tasks. Larder starts no programs." },
            { "name": "Users and tokens", "description": "Accounts, tokens, and the session of the caller." },
            { "name": "Sharing", "description": "Access of other users to a store. Additions to the platform's API." },
            { "name": "Datasets and request queues", "description": "Not served by Larder: forwarded to an upstream, if one is configured." },
            { "name": "Service", "description": "Metrics, health, usage and this description." },
        ],
        "paths": paths(),
        "components": {
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer", "description": "A token in the Authorization header. It takes precedence over the parameter." },
                "token": { "type": "apiKey", "in": "query", "name": "token", "description": "A token as a query parameter." },
                "signature": {
                    "type": "apiKey", "in": "query", "name": "signature",
                    "description": "The signature of a link. It gives access to one record, or to a store's keys and its ZIP file.",
                },
            },
            "headers": headers(),
            "parameters": parse_json(PARAMETERS),
            "responses": error_responses(),
            "schemas": parse_json(SCHEMAS),
        },
    })
}

/// Returns the header fields of responses.
fn headers() -> Value {
    let header =
        |description: &str, schema: Value| json!({ "description": description, "required": true, "schema": schema });
    let text = || json!({ "type": "string" });
    json!({
        "X-Request-Id": header("Id of the request in the server's log.", text()),
        "X-RateLimit-Limit": header("Rate limit for this resource, in requests per second.", json!({ "type": "integer" })),
        "ETag": header("ETag of the content that was sent or written.", text()),
        "Last-Modified": header("Time of the last write.", text()),
        "Location": header("URL of the new resource.", text()),
        "Content-Range": header("Range of this part, and the size of the record.", text()),
        "Content-Disposition": header("File name for browsers.", text()),
        "WWW-Authenticate": header("Authentication scheme.", text()),
        "Allow": header("Methods that the path supports.", text()),
        "Retry-After": header("Seconds to wait before a retry.", json!({ "type": "integer", "minimum": 1 })),
    })
}
