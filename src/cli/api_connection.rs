//! Server for commands: a given one, the one that runs with this configuration, or, if there is none, a local one for
//! the duration of the command. Requests to it are in memory, records are streamed.

use std::{
    fmt::Display,
    io::{self, Read, Write},
    net::IpAddr,
    path::Path,
    process::ExitCode,
    thread,
    time::Duration,
};

use http::Uri;
use serde_json::Value;
use tokio::{runtime, sync::oneshot};
use ureq::{Agent, Body, SendBody};

use crate::{
    clock::Timestamp,
    config::{Config, ConfigSources, LeaderSetting, load},
    gateway::{AdminToken, Gateway},
    import_export::{self, Api, TlsTrust, store_addresses, store_not_found},
    server::{TlsFiles, reachable_address},
    storage::embedded::FolderStatus,
    telemetry::AccessLogSetting,
};

use super::{
    exit::{self, CommandError},
    output,
};

/// Maximum number of retries of a rate-limited request.
const MAX_RETRIES: usize = 8;

/// Interval between two attempts of such a request.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Store found on the server.
#[derive(Debug)]
pub(super) struct FoundStore {
    /// Path of the store below the origin, with the address that found it.
    pub(super) path: String,
    /// Address that found it: an id, `~name` or `user~name`.
    pub(super) address: String,
    /// The store object of the API.
    pub(super) object: Value,
}

impl FoundStore {
    /// Returns the path of a record.
    pub(super) fn record(&self, key: &str) -> String {
        format!("{}/records/{}", self.path, path_segment(key))
    }

    /// Returns the error for a record that does not exist.
    pub(super) fn absent_record(&self, key: &str) -> CommandError {
        CommandError::NotFound(format!("store {} has no record {key:?}", self.address))
    }
}

/// Server with a valid token.
pub(super) struct ServerSession {
    api: ApiConnection,
    /// Handle that ends the local server.
    local: Option<LocalServer>,
}

/// Address of a server, with a valid token.
#[derive(Clone)]
pub(super) struct ApiConnection {
    server: Server,
    token: String,
}

/// Local server of this command.
struct LocalServer {
    stop: oneshot::Sender<()>,
    ended: thread::JoinHandle<Result<(), String>>,
}

/// Treatment of a missing data folder when no server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MissingFolder {
    /// Create it: the command writes something.
    Create,
    /// Fail: reads, and changes of what cannot exist, create nothing.
    Refuse,
}

/// Runs `work` with a server: a running one, or a local one, which is ended once everything is written.
pub(super) fn with_server(
    url: Option<String>,
    sources: &ConfigSources,
    missing_folder: MissingFolder,
    work: impl FnOnce(&ServerSession) -> Result<(), CommandError>,
) -> ExitCode {
    let session = match ServerSession::connect_or_spawn(url, sources, missing_folder) {
        Ok(session) => session,
        Err(code) => return code,
    };
    let done = work(&session);
    match done.and(session.close().map_err(CommandError::from)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

impl ServerSession {
    /// Finds the server at `url`, at `LARDER_URL`, or by the configuration. Prints the reason if it fails.
    pub(super) fn connect_or_spawn(
        url: Option<String>,
        sources: &ConfigSources,
        missing_folder: MissingFolder,
    ) -> Result<Self, ExitCode> {
        let loaded = load(sources).map_err(|problems| {
            output::print_error(&problems.to_string());
            exit::invalid_usage()
        })?;
        if let Some(api) = ApiConnection::connect(url, sources, &loaded.config)? {
            return Ok(Self { api, local: None });
        }
        if missing_folder == MissingFolder::Refuse {
            require_data_folder(&loaded.config)?;
        }
        Self::spawn_local_server(loaded.config, sources)
    }

    /// Starts a local server over the same backend, which no other process can reach.
    fn spawn_local_server(mut config: Config, sources: &ConfigSources) -> Result<Self, ExitCode> {
        if config.leader == Some(LeaderSetting::ThisGateway) {
            output::print_error(
                "no server is running here, and the leader may run elsewhere (there must not be two): name it with --url",
            );
            return Err(exit::failed());
        }
        config.server.listen = ([127, 0, 0, 1], 0).into();
        config.server.tls = TlsFiles::default();
        config.telemetry.access_log = Some(AccessLogSetting::Off);
        let (stop, stopped) = oneshot::channel();
        let (opened, opening) = std::sync::mpsc::channel();
        let ended = thread::spawn(move || run_local_server(config, &opened, stopped));
        if let Ok((authority, token)) = opening.recv() {
            let server = Server::from_url(&format!("http://{authority}"), sources).map_err(|error| {
                output::print_error(&error);
                exit::invalid_usage()
            })?;
            return Ok(Self { api: ApiConnection { server, token }, local: Some(LocalServer { stop, ended }) });
        }
        let error = ended.join().map_or_else(|_| Some("internal error".to_owned()), Result::err).unwrap_or_default();
        output::print_error(&format!("no server is running, and the command cannot open the data itself: {error}"));
        Err(exit::failed())
    }

    /// Returns a client of the server's API, for more than one request.
    pub(super) fn client(&self) -> Api {
        Api::new(self.api.server.agent.clone(), self.api.origin(), &self.api.token)
    }

    /// Returns the connection to the server.
    pub(super) fn connection(&self) -> &ApiConnection {
        &self.api
    }

    /// Ends the local server, once everything is written.
    pub(super) fn close(self) -> Result<(), String> {
        let Some(LocalServer { stop, ended }) = self.local else { return Ok(()) };
        let _ = stop.send(());
        ended.join().map_err(|_| "the local server failed".to_owned())?
    }
}

impl ApiConnection {
    /// Finds the server at `url`, at `LARDER_URL`, or the one that runs with the configuration; `None` if none runs
    /// with it. Prints the reason if it fails.
    pub(super) fn connect(
        url: Option<String>,
        sources: &ConfigSources,
        config: &Config,
    ) -> Result<Option<Self>, ExitCode> {
        let stored_token = || AdminToken::read_from_folder(&config.data);
        let report = |error: String| {
            output::print_error(&error);
            exit::invalid_usage()
        };
        let (server, token) = if let Some(url) = url.or_else(|| sources.variable("LARDER_URL").map(str::to_owned)) {
            let server = Server::from_url(&url, sources).map_err(report)?;
            // The token of a data folder is for the server of that folder, and must not be sent to any other one.
            let is_public = config.public_url.as_ref().is_some_and(|own| own.as_str() == server.origin);
            let is_own = is_public || is_loopback(&url);
            (server, config.token.clone().or_else(|| stored_token().filter(|_| is_own)))
        } else {
            let server = Server::local(config).map_err(report)?;
            let response = server.send_json(ApiRequest { method: "GET", target: "/health/live", token: None }, None);
            if !matches!(response, Ok((200, _))) {
                return Ok(None);
            }
            (server, config.token.clone().or_else(stored_token))
        };
        let Some(token) = token else {
            output::print_message(
                "no token: set LARDER_TOKEN (the admin token in the data folder is used for servers on this machine only)",
            );
            return Err(exit::invalid_usage());
        };
        Ok(Some(Self { server, token: token.reveal().to_owned() }))
    }

    /// Reads a JSON document without an envelope, whatever the status.
    pub(super) fn get_json(&self, target: &str) -> Result<Value, String> {
        let (_, text) =
            self.server.send_json(self.request("GET", target), None).map_err(|error| self.no_response(&error))?;
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }

    fn no_response(&self, error: &dyn Display) -> String {
        format!("no response from {}: {error}", self.server.origin)
    }

    /// Returns the origin of links to the server, as this machine reaches it.
    pub(super) fn origin(&self) -> &str {
        &self.server.origin
    }

    /// Sends a request; returns the `data` of the response, or the reason for a failure as a text.
    pub(super) fn call(&self, method: &str, target: &str, body: Option<&Value>) -> Result<Value, String> {
        let body = body.map(Value::to_string);
        self.response_data(self.server.send_json(self.request(method, target), body.as_deref()))
    }

    /// Requests a resource that may not exist; `None` if it does not.
    fn get_optional(&self, target: &str) -> Result<Option<Value>, String> {
        let response = self.server.send_json(self.request("GET", target), None);
        if matches!(response, Ok((404, _))) { Ok(None) } else { self.response_data(response).map(Some) }
    }

    /// Finds the store that `text` refers to: a name, `~name`, `user~name` or an id.
    pub(super) fn find_store(&self, text: &str) -> Result<FoundStore, CommandError> {
        for address in store_addresses(text) {
            let path = format!("/v2/key-value-stores/{}", path_segment(&address));
            if let Some(object) = self.get_optional(&path)? {
                return Ok(FoundStore { path, address, object });
            }
        }
        Err(CommandError::NotFound(format!("{} ({})", store_not_found(text), self.server.origin)))
    }

    /// Requests the headers of a record; `None` if it does not exist. Retries if there were too many requests.
    pub(super) fn head(&self, target: &str) -> Result<Option<Download>, String> {
        for _ in 0..MAX_RETRIES {
            match self.server.send(self.request("HEAD", target), None) {
                Ok(response) if response.status == 429 => wait_before_retry(),
                Ok(response) if response.status == 200 => return Ok(Some(response)),
                Ok(response) if response.status == 404 => return Ok(None),
                response => {
                    let status_and_body = response.map(|response| (response.status, String::new()));
                    return self.response_data(status_and_body).map(|_| None);
                }
            }
        }
        Err("the server keeps rejecting requests with 429 (too many requests); try again later".to_owned())
    }

    /// Streams a body; returns the `data` of the response, or the reason for a failure as a text.
    pub(super) fn upload(&self, method: &str, target: &str, upload: Option<Upload<'_>>) -> Result<Value, String> {
        let response = self.server.send(self.request(method, target), upload);
        self.response_data(response.and_then(|response| Ok((response.status, response.text()?))))
    }

    /// Requests a record, whose bytes are still to be read; `None` if there is none.
    pub(super) fn download(&self, target: &str) -> Result<Option<Download>, String> {
        let response = self.server.send(self.request("GET", target), None);
        match response {
            Ok(response) if response.status == 200 => Ok(Some(response)),
            Ok(response) if response.status == 404 => Ok(None),
            response => {
                let status_and_body = response.and_then(|response| Ok((response.status, response.text()?)));
                self.response_data(status_and_body).map(|_| None)
            }
        }
    }

    fn request<'a>(&'a self, method: &'a str, target: &'a str) -> ApiRequest<'a> {
        ApiRequest { method, target, token: Some(&self.token) }
    }

    fn response_data<E: Display>(&self, status_and_body: Result<(u16, String), E>) -> Result<Value, String> {
        let (status, response) = status_and_body.map_err(|error| self.no_response(&error))?;
        let mut response: Value = serde_json::from_str(&response).unwrap_or_default();
        if (200..300).contains(&status) {
            return Ok(response["data"].take());
        }
        Err(response["error"]["message"].as_str().map_or_else(|| format!("status {status}"), str::to_owned))
    }
}

fn run_local_server(
    config: Config,
    opened: &std::sync::mpsc::Sender<(String, String)>,
    stopped: oneshot::Receiver<()>,
) -> Result<(), String> {
    let runtime =
        runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| output::error_chain(&error))?;
    runtime.block_on(async {
        let gateway = Box::pin(Gateway::open(config)).await.map_err(|error| output::error_chain(&error))?;
        let token = gateway.admin_token().token.reveal().to_owned();
        let _ = opened.send((gateway.local_addr().to_string(), token));
        let stopped = async {
            let _ = stopped.await;
        };
        gateway.run(stopped).await.map_err(|error| output::error_chain(&error))
    })
}

#[expect(clippy::disallowed_methods, reason = "this thread does nothing but wait for the server")]
fn wait_before_retry() {
    thread::sleep(RETRY_INTERVAL);
}

/// Rejects a data folder without data.
fn require_data_folder(config: &Config) -> Result<(), ExitCode> {
    if config.has_bucket() || FolderStatus::read(&config.data).is_ok_and(|standing| standing.format.is_some()) {
        return Ok(());
    }
    output::print_error(&format!(
        "no server is running at {}, and there is no data in the folder {}: start `larder serve`, or name another server \
         with --url or another folder with --data",
        local_origin(config),
        config.data.display()
    ));
    Err(exit::failed())
}

/// Maximum length of a response that is no record.
const MAX_RESPONSE_BYTES: u64 = 64 * 1024 * 1024;

/// Variable that names a file with certificate authorities for servers.
const CA_FILE: &str = "LARDER_CA_FILE";

/// Server with its HTTP client.
#[derive(Debug, Clone)]
pub(super) struct Server {
    /// Origin of its URLs.
    pub(super) origin: String,
    /// The HTTP client.
    pub(super) agent: Agent,
}

/// Request of a command.
#[derive(Debug, Clone, Copy)]
pub(super) struct ApiRequest<'a> {
    /// The method: GET, POST, PUT or DELETE.
    pub(super) method: &'a str,
    /// Path and query.
    pub(super) target: &'a str,
    /// Token of the caller, which is valid in a header.
    pub(super) token: Option<&'a str>,
}

/// Request body, read while it is sent.
pub(super) struct Upload<'a> {
    /// Its media type.
    pub(super) content_type: &'a str,
    /// Its length in bytes, if known before it is read.
    pub(super) length: Option<u64>,
    /// Its content.
    pub(super) source: &'a mut dyn Read,
}

/// Response whose body is still to be read.
pub(super) struct Download {
    /// The status.
    pub(super) status: u16,
    /// Its media type; empty if it has none.
    pub(super) content_type: String,
    /// Last modification of the resource, if reported.
    pub(super) modified_at: Option<Timestamp>,
    body: Body,
}

impl Download {
    /// Writes the whole body to `target`; fails if it is incomplete.
    pub(super) fn save(self, target: &mut dyn Write) -> io::Result<()> {
        let mut body = self.body.into_with_config().limit(u64::MAX).reader();
        io::copy(&mut body, target).map(drop)
    }

    /// Returns a small body as a text.
    pub(super) fn text(self) -> Result<String, ureq::Error> {
        self.body.into_with_config().limit(MAX_RESPONSE_BYTES).read_to_string()
    }
}

impl Server {
    /// Returns the server at `url`, an origin; else the reason why the URL is invalid.
    pub(super) fn from_url(url: &str, sources: &ConfigSources) -> Result<Self, String> {
        let origin = origin(url).ok_or_else(|| {
            format!("invalid server URL {url:?}; write it like http://127.0.0.1:8011 or https://larder.example")
        })?;
        Ok(Self { agent: agent(&origin, sources)?, origin })
    }

    /// Returns the server that runs with `config` on this machine.
    pub(super) fn local(config: &Config) -> Result<Self, String> {
        let origin = local_origin(config);
        let agent = import_export::http_agent(TlsTrust::LocalAddress, true).map_err(|error| error.to_string())?;
        Ok(Self { origin, agent })
    }

    /// Sends a request with a body of any length, or none; leaves the response's body to be read.
    pub(super) fn send(&self, request: ApiRequest<'_>, upload: Option<Upload<'_>>) -> Result<Download, ureq::Error> {
        let ApiRequest { method, target, token } = request;
        let mut request = http::Request::builder().method(method).uri(format!("{}{target}", self.origin));
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let response = match upload {
            None => self.agent.run(request.body(())?)?,
            Some(Upload { content_type, length, source }) => {
                let mut request = request.header("content-type", content_type);
                if let Some(length) = length {
                    request = request.header("content-length", length.to_string());
                }
                self.agent.run(request.body(SendBody::from_reader(source))?)?
            }
        };
        let status = response.status().as_u16();
        let field = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let content_type = field("content-type").unwrap_or_default().to_owned();
        let modified_at = field("last-modified").and_then(|date| httpdate::parse_http_date(date).ok());
        let modified_at = modified_at.map(Timestamp::from);
        Ok(Download { status, content_type, modified_at, body: response.into_body() })
    }

    /// Sends a request with a JSON document, or none; returns the status and the body of the response.
    pub(super) fn send_json(&self, request: ApiRequest<'_>, body: Option<&str>) -> Result<(u16, String), ureq::Error> {
        let mut bytes = body.unwrap_or_default().as_bytes();
        let length = Some(bytes.len() as u64);
        let upload = body.map(|_| Upload { content_type: "application/json", length, source: &mut bytes });
        let response = self.send(request, upload)?;
        Ok((response.status, response.text()?))
    }
}

/// Returns the origin of the server that runs with `config` on this machine.
pub(super) fn local_origin(config: &Config) -> String {
    let scheme = if config.server.tls.is_any() { "https" } else { "http" };
    format!("{scheme}://{}", reachable_address(config.server.listen))
}

/// Returns the HTTP client for the server at `url`.
pub(super) fn agent(url: &str, sources: &ConfigSources) -> Result<Agent, String> {
    let trust =
        sources.variable(CA_FILE).map_or(TlsTrust::PublicAuthorities, |file| TlsTrust::AuthoritiesIn(Path::new(file)));
    import_export::http_agent(trust, is_loopback(url)).map_err(|error| error.to_string())
}

/// Returns whether a URL leads to this machine.
pub(super) fn is_loopback(url: &str) -> bool {
    let host = url.parse::<Uri>().ok().and_then(|uri| Some(uri.host()?.trim_matches(['[', ']']).to_owned()));
    host.is_some_and(|host| host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()))
}

/// Returns the base of a server's URLs: an origin, and perhaps the path below which a proxy serves it.
fn origin(url: &str) -> Option<String> {
    let uri = url.parse::<Uri>().ok()?;
    let scheme = uri.scheme_str().filter(|scheme| ["http", "https"].contains(scheme))?;
    let path = uri.path().trim_end_matches('/');
    uri.query().is_none().then_some(format!("{scheme}://{}{path}", uri.authority()?))
}

/// Escapes a text as one segment of a path, or as a parameter's value; no HTTP layer may resolve it as a dot segment.
pub(super) fn path_segment(text: &str) -> String {
    /// Characters that need no escape.
    const UNESCAPED: percent_encoding::AsciiSet =
        percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    if matches!(text, "." | "..") {
        return "%2E".repeat(text.len());
    }
    percent_encoding::utf8_percent_encode(text, &UNESCAPED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_where_an_origin_is() {
        assert_eq!(origin("http://a").as_deref(), Some("http://a"));
        assert_eq!(origin("http://[::1]:8011/").as_deref(), Some("http://[::1]:8011"));
        assert_eq!(origin("https://a").as_deref(), Some("https://a"));
        assert_eq!(origin("https://a/larder/").as_deref(), Some("https://a/larder"));
        for none in ["a:80", "ftp://a", "http://a?b"] {
            assert_eq!(origin(none), None, "{none}");
        }
    }
}
