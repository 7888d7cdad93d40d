//! Routing from method, path and query to a call. Pure: no look-ups.
//!
//! Segments are split before they are decoded: `a%2Fb` is one segment, and no record key.
//!
//! The administration API, an addition to the platform's API, is below `/larder/v1`.

use http::{Method, Uri};

use crate::{
    api::message::{error::ApiError, request::Query},
    auth::{AccountAction, UpstreamKind},
};

use super::routes::{
    RunAddress, RunCall, RunsCall, StoreAddress, StoreCall, decode, parse_address, parse_proxied, parse_runs_call,
    parse_sharing_call, parse_store_call,
};

/// Routed call with its parameters.
#[derive(Debug)]
pub struct Call<'a> {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// The parameters.
    pub query: Query<'a>,
}

/// Endpoint of the API.
#[derive(Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// List the caller's stores.
    ListStores,
    /// Create a store, or get the one of that name.
    CreateStore,
    /// A call on one store.
    Store(StoreAddress, StoreCall),
    /// Get the caller's own account.
    CurrentUser,
    /// Get the caller's limits and current usage, in the platform's format.
    Limits,
    /// Get the caller's usage of a month, in the platform's format.
    MonthlyUsage,
    /// Get the caller, with the rights of the token.
    Session,
    /// Get an account, by id or name.
    User(String),
    /// Add usage counters of another gateway.
    MergeUsage,
    /// Extend the expiry of a store that was changed through another gateway.
    ExtendExpiry,
    /// A call on accounts or tokens.
    Account(AccountCall),
    /// A call on runs.
    Runs(RunsCall),
    /// A call on datasets or request queues, which are not served here.
    Proxied(ProxiedCall),
    /// Get the object calls of all callers.
    Usage,
    /// Get the metrics.
    Metrics,
    /// Get the description of the API.
    Description,
}

/// Address of datasets or request queues.
#[derive(Debug, PartialEq, Eq)]
pub enum ProxiedCall {
    /// The same path at the upstream: one resource by its id there, or all.
    ByUpstreamId(UpstreamKind, Option<String>),
    /// The resource of a run, with the rest of the path, not decoded.
    OfRun(RunAddress, UpstreamKind, String),
}

/// Collections of the platform that are not served.
const UNSERVED: [&str; 8] =
    ["actor-builds", "browser-info", "logs", "schedules", "store", "tools", "webhook-dispatches", "webhooks"];

/// Number of segments of most paths, to allocate only once.
const TYPICAL_SEGMENTS: usize = 8;

impl Endpoint {
    /// Returns whether the body of such a request is streamed, as a record or to the upstream, at the speed of its
    /// client.
    pub fn streams_body(&self) -> bool {
        match self {
            Self::Store(_, call) | Self::Runs(RunsCall::Store(_, call)) => matches!(call, StoreCall::PutRecord(_)),
            Self::Runs(RunsCall::StartRun(_) | RunsCall::Run(_, RunCall::Metamorph)) | Self::Proxied(_) => true,
            Self::Runs(RunsCall::ListRuns(_) | RunsCall::Run(..))
            | Self::ListStores
            | Self::CreateStore
            | Self::CurrentUser
            | Self::Limits
            | Self::MonthlyUsage
            | Self::Session
            | Self::Metrics
            | Self::Description
            | Self::Usage
            | Self::User(_)
            | Self::Account(_)
            | Self::MergeUsage
            | Self::ExtendExpiry => false,
        }
    }
}

/// Returns whether a path is that of a record, which has a higher rate limit.
pub fn is_record_path(path: &str) -> bool {
    let mut segments = path.split('/').skip(2);
    // Position of the store's own segments; the store of a run has a different prefix.
    let (before, store) = match segments.next() {
        Some("key-value-stores") => (0, None),
        Some("actor-runs") => (1, Some("key-value-store")),
        Some("actors" | "acts" | "actor-tasks") => (3, Some("key-value-store")),
        Some(_) | None => return false,
    };
    let found = segments.nth(before);
    let is_store = found.is_some() && (store.is_none() || found == store);
    is_store && segments.next() == Some("records") && segments.next().is_some()
}

/// Parses the call of a request.
pub fn parse<'a>(method: &Method, uri: &'a Uri) -> Result<Call<'a>, ApiError> {
    let query = Query::new(uri.query());
    // Forms and links in browsers know GET alone: the platform accepts a parameter for another method. Not HEAD:
    // browsers wait for a body, and its response has a length without one.
    let overriding = query.text("method").filter(|name| *method == Method::GET && !name.eq_ignore_ascii_case("HEAD"));
    let overriding = overriding.map(|name| name.to_ascii_uppercase());
    let endpoint = match endpoint(overriding.as_deref().unwrap_or(method.as_str()), uri.path())? {
        Endpoint::Usage => usage(&query)?,
        endpoint => endpoint,
    };
    Ok(Call { endpoint, query })
}

/// Returns the subject of a usage request: a store, a run, or everything.
fn usage(query: &Query<'_>) -> Result<Endpoint, ApiError> {
    match (query.text("store"), query.text("run")) {
        (None, None) => Ok(Endpoint::Usage),
        (Some(store), None) => Ok(Endpoint::Store(parse_address(&store), StoreCall::GetUsage)),
        (None, Some(run)) => Ok(Endpoint::Runs(RunsCall::Run(RunAddress::Id(run.into_owned()), RunCall::GetUsage))),
        (Some(_), Some(_)) => {
            let message = "Usage is that of a store or that of a run: give one of the two parameters";
            Err(ApiError::bad_request("invalid-parameter", message))
        }
    }
}

/// Finds the endpoint. HEAD is available for every GET (RFC 9110, 9.1); except for records, the difference is made in
/// the response.
fn endpoint(method: &str, path: &str) -> Result<Endpoint, ApiError> {
    let mut segments = Vec::with_capacity(TYPICAL_SEGMENTS);
    segments.extend(path.split('/').skip(1));
    match segments.as_slice() {
        ["v2", "key-value-stores"] => match method {
            "GET" | "HEAD" => Ok(Endpoint::ListStores),
            "POST" => Ok(Endpoint::CreateStore),
            _ => Err(ApiError::method_not_allowed("OPTIONS,GET,HEAD,POST")),
        },
        ["v2", "key-value-stores", store, rest @ ..] if !store.is_empty() => {
            Ok(Endpoint::Store(parse_address(&decode(store)), parse_store_call(method, rest)?))
        }
        ["v2", "users", "me"] => require_read(method, Endpoint::CurrentUser),
        ["v2", "users", "me", "limits"] if method == "PUT" => {
            Err(ApiError::not_served("what a user may have is set by `larder user update`"))
        }
        ["v2", "users", "me", "limits"] => require_read(method, Endpoint::Limits),
        ["v2", "users", "me", "usage", "monthly"] => require_read(method, Endpoint::MonthlyUsage),
        ["v2", "users", user] if !user.is_empty() => require_read(method, Endpoint::User(decode(user))),
        ["metrics"] => require_read(method, Endpoint::Metrics),
        ["v2", "openapi.json"] => require_read(method, Endpoint::Description),
        ["larder", "v1", "usage"] => require_read(method, Endpoint::Usage),
        ["larder", "v1", "session"] => require_read(method, Endpoint::Session),
        ["larder", "v1", "activity"] => match method {
            "POST" => Ok(Endpoint::MergeUsage),
            _ => Err(ApiError::method_not_allowed("OPTIONS,POST")),
        },
        ["larder", "v1", "expiry-extensions"] => match method {
            "POST" => Ok(Endpoint::ExtendExpiry),
            _ => Err(ApiError::method_not_allowed("OPTIONS,POST")),
        },
        ["v2", collection @ ("datasets" | "request-queues"), rest @ ..] => {
            require_proxied_method(method)?;
            let kind = if *collection == "datasets" { UpstreamKind::Dataset } else { UpstreamKind::RequestQueue };
            let id = rest.first().filter(|id| !id.is_empty()).map(|id| decode(id));
            Ok(Endpoint::Proxied(ProxiedCall::ByUpstreamId(kind, id)))
        }
        ["v2", "actor-runs" | "actors" | "acts" | "actor-tasks", ..] | ["larder", "v1", "runs", ..] => {
            match parse_proxied(&segments) {
                Some((run, kind, rest)) => {
                    require_proxied_method(method)?;
                    Ok(Endpoint::Proxied(ProxiedCall::OfRun(run, kind, rest)))
                }
                None => parse_runs_call(method, &segments).map(Endpoint::Runs),
            }
        }
        ["v2", collection, ..] if UNSERVED.contains(collection) => {
            Err(ApiError::not_served("it has key-value stores and the runs of Actors only"))
        }
        ["larder", "v1", "stores", store, rest @ ..] if !store.is_empty() => {
            Ok(Endpoint::Store(parse_address(&decode(store)), parse_sharing_call(method, rest)?))
        }
        ["larder", "v1", rest @ ..] if rest.iter().all(|segment| !segment.is_empty()) => {
            let rest: Vec<String> = rest.iter().map(|segment| decode(segment)).collect();
            let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
            let routed = parse_account_call(method, &rest).ok_or_else(ApiError::page_not_found)?;
            routed.map(Endpoint::Account)
        }
        _ => Err(ApiError::page_not_found()),
    }
}

/// Returns a read-only endpoint.
fn require_read(method: &str, endpoint: Endpoint) -> Result<Endpoint, ApiError> {
    match method {
        "GET" | "HEAD" => Ok(endpoint),
        _ => Err(ApiError::method_not_allowed("OPTIONS,GET,HEAD")),
    }
}

/// Checks that an upstream has the method: other methods concern connections, and would show what a proxy adds.
fn require_proxied_method(method: &str) -> Result<(), ApiError> {
    match method {
        "GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "PATCH" => Ok(()),
        _ => Err(ApiError::method_not_allowed("OPTIONS,GET,HEAD,POST,PUT,DELETE,PATCH")),
    }
}

/// Operation on accounts, tokens or the clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountCall {
    /// List all accounts.
    ListUsers,
    /// Create an account.
    CreateUser,
    /// Get an account, by id or name.
    GetUser(String),
    /// Change the settings of an account.
    UpdateUser(String),
    /// List the tokens of an account.
    ListTokens,
    /// Create a token.
    CreateToken,
    /// Revoke a token.
    RevokeToken(String),
    /// Create a token like this one, and end this one after a while.
    ReplaceToken(String),
    /// Get the state of the clock.
    GetClock,
    /// Confirm that the time is right.
    AcceptClock,
}

impl AccountCall {
    /// Returns the required right: every user may manage their own tokens; everything else requires the admin.
    pub fn action(&self) -> AccountAction {
        match self {
            Self::ListUsers
            | Self::CreateUser
            | Self::GetUser(_)
            | Self::UpdateUser(_)
            | Self::GetClock
            | Self::AcceptClock => AccountAction::Administer,
            Self::ListTokens | Self::CreateToken | Self::RevokeToken(_) | Self::ReplaceToken(_) => {
                AccountAction::ManageTokens
            }
        }
    }

    /// Returns whether the call changes something.
    pub fn is_change(&self) -> bool {
        match self {
            Self::ListUsers | Self::GetUser(_) | Self::ListTokens | Self::GetClock => false,
            Self::CreateUser
            | Self::UpdateUser(_)
            | Self::CreateToken
            | Self::RevokeToken(_)
            | Self::ReplaceToken(_)
            | Self::AcceptClock => true,
        }
    }
}

/// Parses a call on `users`, `tokens` or `clock` from the decoded segments after `/larder/v1`; `None` if it is none of
/// them.
fn parse_account_call(method: &str, segments: &[&str]) -> Option<Result<AccountCall, ApiError>> {
    let is_read = matches!(method, "GET" | "HEAD");
    let routed = match (segments, method) {
        (["users"], _) if is_read => Ok(AccountCall::ListUsers),
        (["users"], "POST") => Ok(AccountCall::CreateUser),
        (["users", user], _) if is_read => Ok(AccountCall::GetUser((*user).to_owned())),
        (["users", user], "PUT") => Ok(AccountCall::UpdateUser((*user).to_owned())),
        (["users", _], _) => Err("OPTIONS,GET,HEAD,PUT"),
        (["tokens"], _) if is_read => Ok(AccountCall::ListTokens),
        (["tokens"], "POST") => Ok(AccountCall::CreateToken),
        (["users" | "tokens"], _) => Err("OPTIONS,GET,HEAD,POST"),
        (["tokens", id], "DELETE") => Ok(AccountCall::RevokeToken((*id).to_owned())),
        (["tokens", _], _) => Err("OPTIONS,DELETE"),
        (["tokens", id, "replace"], "POST") => Ok(AccountCall::ReplaceToken((*id).to_owned())),
        (["clock"], _) if is_read => Ok(AccountCall::GetClock),
        (["clock"], _) => Err("OPTIONS,GET,HEAD"),
        (["clock", "accept"], "POST") => Ok(AccountCall::AcceptClock),
        (["tokens", _, "replace"] | ["clock", "accept"], _) => Err("OPTIONS,POST"),
        _ => return None,
    };
    Some(routed.map_err(ApiError::method_not_allowed))
}

#[cfg(test)]
mod tests {
    use crate::kv::{InvalidKey, RecordKey};

    use super::*;

    fn routed(method: &str, uri: &str) -> Result<Endpoint, u16> {
        let uri: Uri = uri.parse().expect("a valid URI");
        let method = method.parse().expect("a valid method");
        parse(&method, &uri).map(|call| call.endpoint).map_err(|error| error.status().as_u16())
    }

    fn store(call: StoreCall) -> Endpoint {
        Endpoint::Store(StoreAddress::Id("S".to_owned()), call)
    }

    #[test]
    fn a_key_is_decoded_once_and_after_splitting() {
        let key = |text: &str| text.parse::<RecordKey>();
        let base = "/v2/key-value-stores/S/records";
        for (path, expected) in [
            ("a!-_.'()Z9", key("a!-_.'()Z9")),
            ("a%21-_.%27%28%29Z9", key("a!-_.'()Z9")),
            ("..", key("..")),
            ("%2E", key(".")),
            ("a%2Fb", Err(InvalidKey::Characters)),
            ("100%", Err(InvalidKey::Characters)),
            ("%252E", Err(InvalidKey::Characters)),
            ("%FF", Err(InvalidKey::Characters)),
            ("a+b", Err(InvalidKey::Characters)),
        ] {
            assert_eq!(routed("PUT", &format!("{base}/{path}")), Ok(store(StoreCall::PutRecord(expected))), "{path}");
        }
        assert_eq!(routed("PUT", &format!("{base}/a/b")), Err(404));
    }

    #[test]
    fn a_store_is_addressed_by_id_or_by_owner_and_name() {
        let of =
            |owner: &str, name: &str| StoreAddress::OwnerAndName { owner: owner.to_owned(), name: name.to_owned() };
        for (segment, expected) in [
            ("my-store", StoreAddress::Id("my-store".to_owned())),
            ("~my-store", StoreAddress::OwnName("my-store".to_owned())),
            ("jane~my-store", of("jane", "my-store")),
            ("jane%2Fmy-store", of("jane", "my-store")),
            ("jane%2Fmy~store", of("jane", "my~store")),
            ("~", StoreAddress::EmptyName),
            ("jane~", StoreAddress::EmptyName),
        ] {
            let routed = routed("GET", &format!("/v2/key-value-stores/{segment}"));
            assert_eq!(routed, Ok(Endpoint::Store(expected, StoreCall::Get)), "{segment}");
        }
    }

    #[test]
    fn usage_is_that_of_a_store_or_of_a_run_or_of_all() {
        let path = "/larder/v1/usage";
        let own = StoreAddress::OwnName("shop".to_owned());
        assert_eq!(routed("GET", path), Ok(Endpoint::Usage));
        assert_eq!(routed("GET", &format!("{path}?store=S&run=")), Ok(store(StoreCall::GetUsage)));
        assert_eq!(routed("HEAD", &format!("{path}?store=%7Eshop")), Ok(Endpoint::Store(own, StoreCall::GetUsage)));
        let run = RunsCall::Run(RunAddress::Id("R".to_owned()), RunCall::GetUsage);
        assert_eq!(routed("GET", &format!("{path}?run=R")), Ok(Endpoint::Runs(run)));
        assert_eq!(routed("GET", &format!("{path}?store=S&run=R")), Err(400));
        assert_eq!(routed("POST", path), Err(405));
    }

    #[test]
    fn a_get_may_name_another_method_and_others_may_not() {
        let list = "/v2/key-value-stores";
        assert_eq!(routed("GET", &format!("{list}?method=post")), Ok(Endpoint::CreateStore));
        assert_eq!(routed("POST", &format!("{list}?method=GET")), Ok(Endpoint::CreateStore));
        assert_eq!(routed("GET", &format!("{list}?method=DELETE")), Err(405));
        assert_eq!(routed("GET", &format!("{list}?method=HEAD")), Ok(Endpoint::ListStores));
    }

    #[test]
    fn head_is_routed_wherever_get_is() {
        for path in ["", "/S", "/S/keys", "/S/records"] {
            let path = format!("/v2/key-value-stores{path}");
            assert!(routed("HEAD", &path).is_ok());
            assert_eq!(routed("HEAD", &path), routed("GET", &path));
        }
        let record = "/v2/key-value-stores/S/records/a";
        assert_eq!(routed("HEAD", record), Ok(store(StoreCall::HeadRecord("a".parse()))));
    }

    #[test]
    fn unknown_paths_are_404_and_unknown_methods_405() {
        for path in ["/", "/nope", "/v2", "/v2/nope", "/v2/key-value-stores/", "/v2/key-value-stores/S/"] {
            assert_eq!(routed("GET", path), Err(404), "{path}");
        }
        for (method, path) in [
            ("DELETE", "/v2/key-value-stores"),
            ("PATCH", "/v2/key-value-stores/S"),
            ("PUT", "/v2/key-value-stores/S/records"),
            ("POST", "/v2/key-value-stores/S/keys"),
            ("PATCH", "/v2/key-value-stores/S/records/a"),
            ("PUT", "/v2/users/me"),
            ("TRACE", "/v2/datasets/D"),
            ("CONNECT", "/v2/actor-runs/R/request-queue/head"),
            ("POST", "/v2/openapi.json"),
            ("GET", "/larder/v1/activity"),
            ("GET", "/larder/v1/expiry-extensions"),
        ] {
            assert_eq!(routed(method, path), Err(405), "{method} {path}");
        }
    }

    #[test]
    fn what_the_platform_serves_and_larder_does_not_is_403() {
        for (method, path) in [
            ("GET", "/v2/store"),
            ("POST", "/v2/webhooks"),
            ("DELETE", "/v2/schedules/S"),
            ("GET", "/v2/logs/R"),
            ("GET", "/v2/actor-builds/B/log"),
            ("GET", "/v2/acts"),
            ("POST", "/v2/actor-tasks"),
            ("PUT", "/v2/acts/A"),
            ("DELETE", "/v2/actor-tasks/T"),
            ("GET", "/v2/acts/A/versions/0.0/env-vars"),
            ("POST", "/v2/actors/A/builds"),
            ("GET", "/v2/actor-tasks/T/input"),
            ("POST", "/v2/acts/A/run-sync"),
        ] {
            assert_eq!(routed(method, path), Err(403), "{method} {path}");
        }
    }

    #[test]
    fn only_paths_of_records_are_records() {
        let stores = [
            "key-value-stores/S",
            "actor-runs/R/key-value-store",
            "actor-runs/key-value-store/key-value-store",
            "acts/A/runs/last/key-value-store",
            "actor-tasks/key-value-store/runs/last/key-value-store",
        ];
        for path in stores {
            assert!(is_record_path(&format!("/v2/{path}/records/a")), "{path}");
            assert!(!is_record_path(&format!("/v2/{path}/records")), "{path}");
        }
        for path in [
            "/v2/key-value-stores/S/records",
            "/v2/key-value-stores/S/keys",
            "/v2/users/me",
            "/",
            "/v2/datasets/key-value-store/records/a",
        ] {
            assert!(!is_record_path(path), "{path}");
        }
    }
}
