//! Client of the key-value store API, as far as imports and exports need it, and the HTTP agent below it. Blocking, one
//! request per thread.

use std::{
    fs,
    io::{self, BufRead, BufReader, Read},
    path::Path,
    thread,
    time::Duration,
};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use ureq::{
    Agent, Body, SendBody,
    http::Response,
    tls::{PemItem, RootCerts, TlsConfig, parse_pem},
};

use crate::kv::RecordKey;

use super::{
    error::{Error, Result},
    record::{Attributes, CountingReader, ExactLengthReader, RawKey, Record, StoreManifest},
};

/// Maximum number of bytes of a response that is no record.
const MAX_RESPONSE_BYTES: u64 = 64 * 1024 * 1024;

/// Maximum number of attempts of an operation that may succeed later.
const MAX_ATTEMPTS: u32 = 8;

/// Pause before the second attempt; doubled for each further one, up to [`MAX_BACKOFF`].
const INITIAL_BACKOFF: Duration = Duration::from_millis(250);

/// Maximum pause between two attempts.
const MAX_BACKOFF: Duration = Duration::from_secs(15);

/// Minimum length in bytes of a record whose body waits for the server's consent (`Expect: 100-continue`): the server
/// may reject it by its head.
const MIN_EXPECT_CONTINUE_BYTES: u64 = 256 * 1024;

/// Number of stores on a page.
const PAGE_SIZE: usize = 1000;

/// All content codings of records: a record is requested as stored.
const ACCEPTED_ENCODINGS: &str = "gzip, deflate, br, zstd, identity";

/// Characters that need no escape in a path.
const UNESCAPED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Server with a caller's token.
#[derive(Clone)]
pub struct Api {
    agent: Agent,
    origin: String,
    authorization: String,
}

/// A store in a server's API.
#[derive(Debug, Clone, Deserialize)]
pub struct StoreObject {
    /// Its id.
    pub id: String,
    /// Name and settings to transfer.
    #[serde(flatten)]
    pub manifest: StoreManifest,
}

/// A key in a list.
#[derive(Debug, Clone, Deserialize)]
pub struct ListedKey {
    /// The key.
    pub key: RawKey,
    /// Stored bytes, if reported.
    #[serde(default)]
    pub size: u64,
}

/// A page of keys.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyPage {
    /// The keys.
    pub items: Vec<ListedKey>,
    /// Start of the next page, if there is one. An opaque value that goes back to the server unchanged.
    pub next_exclusive_start_key: Option<String>,
}

#[derive(Deserialize)]
struct Data<T> {
    data: T,
}

#[derive(Deserialize)]
struct Items<T> {
    items: Vec<T>,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").field("origin", &self.origin).finish_non_exhaustive()
    }
}

impl Api {
    /// Returns a client of the server whose URLs begin with `origin`; `token` identifies the caller.
    pub fn new(agent: Agent, origin: &str, token: &str) -> Self {
        let origin = origin.trim_end_matches('/');
        // Users also give the address that the official clients accept.
        let origin = origin.strip_suffix("/v2").unwrap_or(origin).to_owned();
        Self { agent, origin, authorization: format!("Bearer {token}") }
    }

    /// Returns the origin of the server's URLs.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Lists all stores of the caller; with `with_unnamed` also those without a name.
    pub fn stores(&self, with_unnamed: bool) -> Result<Vec<StoreObject>> {
        let mut stores = Vec::new();
        loop {
            let (unnamed, offset) = (u8::from(with_unnamed), stores.len());
            let page: Items<StoreObject> = self
                .read_json(&format!(
                    "/v2/key-value-stores?ownership=ownedByMe&unnamed={unnamed}&offset={offset}&limit={PAGE_SIZE}"
                ))?
                .ok_or_else(|| Error::NoResponse("the response has no list of stores".to_owned()))?;
            if page.items.is_empty() {
                return Ok(stores);
            }
            stores.extend(page.items);
        }
    }

    /// Finds a store, by its id or as `user~name` or `~name`.
    pub fn store(&self, store: &str) -> Result<Option<StoreObject>> {
        self.read_json(&format!("/v2/key-value-stores/{}", escaped(store)))
    }

    /// Creates a store, or gets the one of that name.
    pub fn get_or_create_store(&self, manifest: &StoreManifest) -> Result<StoreObject> {
        let body = match &manifest.schema {
            Some(schema) => json!({ "schema": schema }),
            None => json!({}),
        };
        let name = manifest.name.as_deref().map(|name| format!("?name={}", escaped(name))).unwrap_or_default();
        let make = || self.send_json("POST", &format!("/v2/key-value-stores{name}"), &body);
        // An unnamed store is created anew each time, so this is not idempotent: it must not be retried after a lost
        // response.
        if manifest.name.is_some() { with_retries(make) } else { make() }
    }

    /// Applies the settings of a manifest to a store, except its name.
    pub fn apply_settings(&self, store: &str, manifest: &StoreManifest) -> Result<()> {
        let mut settings = json!({});
        let given = [
            ("title", manifest.title.clone().map(Value::from)),
            ("generalAccess", manifest.general_access.clone().map(Value::from)),
            ("retentionDays", manifest.retention_days.map(Value::from)),
        ];
        for (name, value) in given {
            if let Some(value) = value {
                settings[name] = value;
            }
        }
        let path = format!("/v2/key-value-stores/{}", escaped(store));
        with_retries(|| self.send_json::<Value>("PUT", &path, &settings)).map(drop)
    }

    /// Returns a page of a store's keys.
    pub fn keys(&self, store: &str, after: Option<&str>) -> Result<KeyPage> {
        let after = after.map(|key| format!("&exclusiveStartKey={}", escaped(key))).unwrap_or_default();
        let path = format!("/v2/key-value-stores/{}/keys?limit={PAGE_SIZE}{after}", escaped(store));
        self.read_json(&path)?.ok_or_else(|| Error::Invalid(format!("store {store} no longer exists")))
    }

    /// Returns a record as stored; `None` if it does not exist.
    pub fn record(&self, store: &str, key: &RecordKey) -> Result<Option<Record>> {
        let request = self.agent.get(self.record_url(store, key));
        let request =
            request.header("authorization", &self.authorization).header("accept-encoding", ACCEPTED_ENCODINGS);
        let Some(response) = unless_not_found(request.call().map_err(transport_error)?)? else { return Ok(None) };
        let field = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let attributes = Attributes {
            content_type: field("content-type").unwrap_or_else(|| "application/octet-stream".to_owned()),
            content_encoding: field("content-encoding").filter(|coding| coding != "identity"),
        };
        let length = field("content-length").and_then(|length| length.parse().ok());
        let bytes = ResponseBody { body: response.into_body().into_with_config().limit(u64::MAX).reader() };
        Ok(Some(Record { attributes, length, bytes: Box::new(bytes) }))
    }

    /// Returns the number of bytes of a record if the server has the same bytes with the same attributes under the key. A record
    /// that the server cannot read is another one, so that an import replaces it.
    ///
    /// # Errors
    /// Fails if the server cannot be reached, or if `record` cannot be read.
    pub fn identical_bytes(&self, store: &str, key: &RecordKey, record: Record) -> Result<Option<u64>> {
        let there = match self.record(store, key) {
            Ok(Some(there)) => there,
            Ok(None) | Err(Error::Rejected { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let differ = matches!((there.length, record.length), (Some(there), Some(here)) if there != here);
        if differ || there.attributes != record.attributes {
            return Ok(None);
        }
        count_identical(there.bytes, record.bytes)
            .map_err(|cause| Error::from_io(cause).unwrap_or_else(|cause| Error::NoResponse(cause.to_string())))
    }

    /// Fails if the server cannot be reached, or the store is no longer there.
    pub fn check_reachable(&self, store: &str) -> Result<()> {
        match self.store(store) {
            Ok(None) => Err(Error::Invalid(format!("the store {store} was deleted meanwhile"))),
            Err(error) if error.is_fatal() => Err(error),
            Ok(Some(_)) | Err(_) => Ok(()),
        }
    }

    /// Writes a record; returns the number of its bytes.
    pub fn write(&self, store: &str, key: &RecordKey, record: Record) -> Result<u64> {
        let Record { attributes, length, mut bytes } = record;
        let request = self.agent.put(self.record_url(store, key)).header("authorization", &self.authorization);
        let mut request = request.header("content-type", &attributes.content_type);
        if let Some(coding) = &attributes.content_encoding {
            request = request.header("content-encoding", coding);
        }
        if let Some(length) = length {
            request = request.header("content-length", length.to_string());
            bytes = Box::new(ExactLengthReader::new(bytes, length));
        }
        if length.is_none_or(|length| length >= MIN_EXPECT_CONTINUE_BYTES) {
            request = request.header("expect", "100-continue");
        }
        let mut bytes = CountingReader { inner: bytes, length: 0 };
        let mut response = request.send(SendBody::from_reader(&mut bytes)).map_err(transport_error)?;
        response_error(&mut response).map_or(Ok(bytes.length), Err)
    }

    fn record_url(&self, store: &str, key: &RecordKey) -> String {
        format!("{}/v2/key-value-stores/{}/records/{}", self.origin, escaped(store), escaped(key.as_str()))
    }

    /// Returns the resource at a path; `None` if there is none.
    fn read_json<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>> {
        let url = format!("{}{path}", self.origin);
        with_retries(|| {
            let response = self.agent.get(&url).header("authorization", &self.authorization).call();
            unless_not_found(response.map_err(transport_error)?)?.map(data).transpose()
        })
    }

    fn send_json<T: DeserializeOwned>(&self, method: &str, path: &str, body: &Value) -> Result<T> {
        let url = format!("{}{path}", self.origin);
        let request = if method == "POST" { self.agent.post(url) } else { self.agent.put(url) };
        let request = request.header("authorization", &self.authorization).header("content-type", "application/json");
        let mut response = request.send(body.to_string()).map_err(transport_error)?;
        response_error(&mut response).map_or_else(|| data(response), Err)
    }
}

/// Retries an operation, after a pause, while it may succeed later.
pub fn with_retries<T>(mut work: impl FnMut() -> Result<T>) -> Result<T> {
    let mut pause = INITIAL_BACKOFF;
    for _ in 1..MAX_ATTEMPTS {
        match work() {
            Err(error) if error.is_retryable() => {}
            outcome => return outcome,
        }
        #[expect(clippy::disallowed_methods, reason = "these threads do nothing but wait for servers")]
        thread::sleep(pause);
        pause = (2 * pause).min(MAX_BACKOFF);
    }
    work()
}

/// Returns the response, or `None` for a 404.
fn unless_not_found(mut response: Response<Body>) -> Result<Option<Response<Body>>> {
    if response.status() == 404 {
        return Ok(None);
    }
    response_error(&mut response).map_or(Ok(Some(response)), Err)
}

/// Returns the error that a response reports, if any.
fn response_error(response: &mut Response<Body>) -> Option<Error> {
    let status = response.status().as_u16();
    if (200..300).contains(&status) {
        return None;
    }
    let text = response.body_mut().with_config().limit(MAX_RESPONSE_BYTES).read_to_string().unwrap_or_default();
    let body = serde_json::from_str::<Value>(&text).unwrap_or_default();
    let message = body["error"]["message"].as_str().unwrap_or("no reason given").to_owned();
    Some(Error::Rejected { status, message })
}

fn data<T: DeserializeOwned>(response: Response<Body>) -> Result<T> {
    let mut text = String::new();
    let mut body = response.into_body().into_with_config().limit(MAX_RESPONSE_BYTES).reader();
    body.read_to_string(&mut text).map_err(|error| Error::NoResponse(error.to_string()))?;
    let parsed: Data<T> = serde_json::from_str(&text)
        .map_err(|error| Error::Invalid(format!("invalid response from the server: {error}")))?;
    Ok(parsed.data)
}

/// Converts a transport error. A failure to read the source is not blamed on the server that receives it.
fn transport_error(error: ureq::Error) -> Error {
    match error {
        ureq::Error::Io(cause) => Error::from_io(cause).unwrap_or_else(|cause| Error::NoResponse(cause.to_string())),
        // A type or a coding that is invalid in a header will not succeed later.
        ureq::Error::Http(_) | ureq::Error::BadUri(_) => Error::Invalid(error.to_string()),
        _ => Error::NoResponse(error.to_string()),
    }
}

/// Body of a server's response. Its interruption is the fault of this server, not of the one that receives it.
struct ResponseBody<R> {
    body: R,
}

impl<R: Read> Read for ResponseBody<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.body
            .read(buffer)
            .map_err(|error| Error::NoResponse(format!("the response was interrupted: {error}")).into_io())
    }
}

/// Returns the number of bytes if both have the same. A stored record whose bytes break off has others.
fn count_identical(stored: impl Read, given: impl Read) -> io::Result<Option<u64>> {
    let (mut stored, mut given) = (BufReader::new(stored), BufReader::new(given));
    let mut count = 0;
    loop {
        let here = given.fill_buf()?;
        let Ok(there) = stored.fill_buf() else { return Ok(None) };
        let length = here.len().min(there.len());
        if here[..length] != there[..length] || length == 0 && here.len() != there.len() {
            return Ok(None);
        }
        if length == 0 {
            return Ok(Some(count));
        }
        stored.consume(length);
        given.consume(length);
        count += length as u64;
    }
}

/// Escapes a text as a segment of a path; no HTTP layer may resolve it as a dot segment.
fn escaped(text: &str) -> String {
    match text {
        "." | ".." => "%2E".repeat(text.len()),
        text => utf8_percent_encode(text, &UNESCAPED).to_string(),
    }
}

/// Timeout for establishing a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// Timeout for a peer that makes no progress.
const STALL_TIMEOUT: Duration = Duration::from_mins(2);

/// Maximum number of idle connections to one server; as many as there are concurrent requests.
const MAX_IDLE_CONNECTIONS: usize = 8;

/// Authentication of an `https` server.
#[derive(Debug, Clone, Copy)]
pub enum TlsTrust<'a> {
    /// By a certificate authority that browsers trust.
    PublicAuthorities,
    /// By one of the certificate authorities in this file.
    AuthoritiesIn(&'a Path),
    /// By its address: it listens on an address of this machine that its own configuration names, where no other server
    /// can take its place. Its certificate has its public name.
    LocalAddress,
}

/// Returns an HTTP client. With `is_direct` it ignores any proxy of the environment.
pub fn http_agent(trust: TlsTrust<'_>, is_direct: bool) -> Result<Agent> {
    let mut tls = TlsConfig::builder().disable_verification(matches!(trust, TlsTrust::LocalAddress));
    if let TlsTrust::AuthoritiesIn(path) = trust {
        let pem = fs::read(path).map_err(Error::at_path(path))?;
        let certificates: Vec<_> = parse_pem(&pem)
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                Ok(_) | Err(_) => None,
            })
            .collect();
        if certificates.is_empty() {
            return Err(Error::Invalid(format!("{} contains no certificate", path.display())));
        }
        tls = tls.root_certs(RootCerts::new_with_certs(&certificates));
    }
    let config = Agent::config_builder();
    let config = if is_direct { config.proxy(None) } else { config };
    let config = config
        .max_idle_connections_per_host(MAX_IDLE_CONNECTIONS)
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_per_read(Some(STALL_TIMEOUT))
        .timeout_per_write(Some(STALL_TIMEOUT))
        .http_status_as_error(false)
        .user_agent(concat!("larder/", env!("CARGO_PKG_VERSION")))
        .tls_config(tls.build())
        .build();
    Ok(config.into())
}
