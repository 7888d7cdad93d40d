//! The complete description, as served.

use std::{fmt::Write as _, sync::LazyLock};

use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{
    assembly::{parsed, refusals_by_name},
    operations::paths,
};

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
