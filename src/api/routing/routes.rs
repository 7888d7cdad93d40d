//! Routes of stores and of runs: addresses and calls. Pure: no look-ups.

use percent_encoding::percent_decode_str;

use crate::{
    api::{limits::RateLimitKey, message::error::ApiError},
    auth::{Action, RunAction, UpstreamKind},
    kv::{InvalidKey, RecordKey, StoreId},
    runs::ActorKind,
};

/// Address of a store in a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreAddress {
    /// A bare segment: an id, never a name.
    Id(String),
    /// `~name`: the caller's store of that name.
    OwnName(String),
    /// `owner~name`: with the owner's name or id.
    OwnerAndName {
        /// Its owner.
        owner: String,
        /// Its name.
        name: String,
    },
    /// An empty name.
    EmptyName,
}

/// A key in a path. An invalid key is reported only after authorization.
pub type PathKey = Result<RecordKey, InvalidKey>;

/// Call on a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreCall {
    /// Get its object.
    Get,
    /// Change its settings.
    Update,
    /// Delete it.
    Delete,
    /// List its keys.
    ListKeys,
    /// Download all records in one ZIP file.
    DownloadRecords,
    /// Get a record.
    GetRecord(PathKey),
    /// Get the headers of a record.
    HeadRecord(PathKey),
    /// Write a record.
    PutRecord(PathKey),
    /// Delete a record.
    DeleteRecord(PathKey),
    /// Get a direct upload URL for a record.
    DirectUploadUrl(PathKey),
    /// Create a link that opens a record, or the content of the store, for some minutes.
    MakeViewLink,
    /// Get its object calls.
    GetUsage,
    /// Get the access rights of other users.
    GetAccess,
    /// Give a user a right.
    Share(String),
    /// Revoke a user's right.
    Unshare(String),
    /// Rotate the key that signs its links.
    RotateSigningKey,
}

impl StoreCall {
    /// Returns the rate limit under which a call for store `id` is counted.
    pub fn rate_limit_key(&self, id: StoreId) -> RateLimitKey {
        match self {
            Self::GetRecord(_) | Self::HeadRecord(_) | Self::PutRecord(_) | Self::DeleteRecord(_) => {
                RateLimitKey::Records(id)
            }
            Self::Get
            | Self::Update
            | Self::Delete
            | Self::ListKeys
            | Self::DownloadRecords
            | Self::DirectUploadUrl(_)
            | Self::MakeViewLink
            | Self::GetUsage
            | Self::GetAccess
            | Self::Share(_)
            | Self::Unshare(_)
            | Self::RotateSigningKey => RateLimitKey::Store(id),
        }
    }

    /// Returns the action to authorize.
    pub fn action(&self) -> Action {
        match self {
            // A caller with only a link gets no further link.
            Self::Get | Self::MakeViewLink => Action::ReadStore,
            Self::Update => Action::UpdateStore,
            Self::Delete => Action::DeleteStore,
            Self::ListKeys => Action::ListKeys,
            Self::DownloadRecords => Action::DownloadRecords,
            Self::GetRecord(_) | Self::HeadRecord(_) => Action::ReadRecord,
            Self::PutRecord(_) | Self::DeleteRecord(_) | Self::DirectUploadUrl(_) => Action::WriteRecord,
            Self::GetUsage | Self::GetAccess | Self::Share(_) | Self::Unshare(_) | Self::RotateSigningKey => {
                Action::ManageAccess
            }
        }
    }
}

/// Parses a call on a store from the segments after its own, which are not decoded yet.
pub fn parse_store_call(method: &str, segments: &[&str]) -> Result<StoreCall, ApiError> {
    let is_read = matches!(method, "GET" | "HEAD");
    match segments {
        [] => match method {
            "GET" | "HEAD" => Ok(StoreCall::Get),
            "PUT" => Ok(StoreCall::Update),
            "DELETE" => Ok(StoreCall::Delete),
            _ => Err(ApiError::method_not_allowed("OPTIONS,GET,HEAD,PUT,DELETE")),
        },
        ["keys"] if is_read => Ok(StoreCall::ListKeys),
        ["records"] if is_read => Ok(StoreCall::DownloadRecords),
        ["keys" | "records"] => Err(ApiError::method_not_allowed("OPTIONS,GET,HEAD")),
        ["records", key] if !key.is_empty() => match method {
            "GET" => Ok(StoreCall::GetRecord(decode_key(key))),
            "HEAD" => Ok(StoreCall::HeadRecord(decode_key(key))),
            "PUT" | "POST" => Ok(StoreCall::PutRecord(decode_key(key))),
            "DELETE" => Ok(StoreCall::DeleteRecord(decode_key(key))),
            _ => Err(ApiError::method_not_allowed("OPTIONS,GET,HEAD,PUT,POST,DELETE")),
        },
        ["records", key, "direct-upload-url"] if !key.is_empty() => match method {
            "GET" | "HEAD" => Ok(StoreCall::DirectUploadUrl(decode_key(key))),
            _ => Err(ApiError::method_not_allowed("OPTIONS,GET,HEAD")),
        },
        _ => Err(ApiError::page_not_found()),
    }
}

/// Parses a call on a store below `/larder/v1`: mostly about access of other users (an addition to the platform's API).
pub fn parse_sharing_call(method: &str, segments: &[&str]) -> Result<StoreCall, ApiError> {
    match (segments, method) {
        (["access"], "GET" | "HEAD") => Ok(StoreCall::GetAccess),
        (["access"], _) => Err(ApiError::method_not_allowed("OPTIONS,GET,HEAD")),
        (["access", user], "PUT") if !user.is_empty() => Ok(StoreCall::Share(decode(user))),
        (["access", user], "DELETE") if !user.is_empty() => Ok(StoreCall::Unshare(decode(user))),
        (["access", user], _) if !user.is_empty() => Err(ApiError::method_not_allowed("OPTIONS,PUT,DELETE")),
        (["view-link"], "POST") => Ok(StoreCall::MakeViewLink),
        (["signing-key", "rotate"], "POST") => Ok(StoreCall::RotateSigningKey),
        (["view-link"] | ["signing-key", "rotate"], _) => Err(ApiError::method_not_allowed("OPTIONS,POST")),
        _ => Err(ApiError::page_not_found()),
    }
}

/// Parses a segment as an address. Clients write `~` between owner and name; an encoded `/` takes precedence.
pub fn parse_address(segment: &str) -> StoreAddress {
    match segment.split_once('/').or_else(|| segment.split_once('~')) {
        None => StoreAddress::Id(segment.to_owned()),
        Some((_, "")) => StoreAddress::EmptyName,
        Some(("", name)) => StoreAddress::OwnName(name.to_owned()),
        Some((owner, name)) => StoreAddress::OwnerAndName { owner: owner.to_owned(), name: name.to_owned() },
    }
}

/// Decodes a segment. Invalid UTF-8 becomes a character that no name has.
pub fn decode(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

/// Decodes a key once. A `%` that begins no escape stays, and is invalid in a key.
fn decode_key(segment: &str) -> PathKey {
    percent_decode_str(segment).decode_utf8_lossy().parse()
}

/// Call on runs.
#[derive(Debug, PartialEq, Eq)]
pub enum RunsCall {
    /// List the runs of the caller, or those of one actor or task.
    ListRuns(Option<RunSource>),
    /// Start a run.
    StartRun(RunSource),
    /// A call on one run.
    Run(RunAddress, RunCall),
    /// A call on the store of one run.
    Store(RunAddress, StoreCall),
}

/// Actor or task of runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunSource {
    /// Actor or task.
    pub kind: ActorKind,
    /// Its address, as for stores, except that a bare segment may also be a name.
    pub address: StoreAddress,
}

/// Address of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunAddress {
    /// By its id.
    Id(String),
    /// The caller's last run.
    Last(RunSource),
}

/// Call on one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunCall {
    /// Get its object.
    GetRun,
    /// Get the log of its program, which is not served.
    GetLog,
    /// Change its status message, and who may see it.
    UpdateRun,
    /// Abort it.
    Abort,
    /// Metamorph it into another actor.
    Metamorph,
    /// Resurrect or reboot it, which is not served: this server starts no programs.
    Restart,
    /// Charge for events, which is not served: there are no fees.
    Charge,
    /// Report its end.
    Finish,
    /// Send a heartbeat.
    Heartbeat,
    /// Get its object calls.
    GetUsage,
    /// Get the environment of its program, with the run's own token.
    CreateEnvironment,
}

impl RunCall {
    /// Returns the action to authorize.
    pub fn action(&self) -> RunAction {
        match self {
            Self::GetRun | Self::GetLog => RunAction::Read,
            Self::UpdateRun
            | Self::Abort
            | Self::Metamorph
            | Self::Restart
            | Self::Charge
            | Self::Finish
            | Self::Heartbeat => RunAction::Report,
            Self::GetUsage | Self::CreateEnvironment => RunAction::Control,
        }
    }
}

/// Reason for which actors and tasks themselves are not served.
const NO_REGISTER: &str = "there is no register of Actors and tasks here, so that none is made, changed or built";

/// Parses a call on runs from the segments of a path, which are not decoded yet.
pub fn parse_runs_call(method: &str, segments: &[&str]) -> Result<RunsCall, ApiError> {
    let is_read = matches!(method, "GET" | "HEAD");
    match segments {
        ["v2", "actor-runs"] if is_read => Ok(RunsCall::ListRuns(None)),
        ["v2", "actor-runs"] => Err(ApiError::method_not_allowed("OPTIONS,GET,HEAD")),
        ["v2", "actor-runs", run, "key-value-store", rest @ ..] if !run.is_empty() => {
            Ok(RunsCall::Store(RunAddress::Id(decode(run)), parse_store_call(method, rest)?))
        }
        ["v2", "actor-runs", run, rest @ ..] if !run.is_empty() => {
            Ok(RunsCall::Run(RunAddress::Id(decode(run)), parse_run_call(method, rest)?))
        }
        ["larder", "v1", "runs", run, rest @ ..] if !run.is_empty() => {
            Ok(RunsCall::Run(RunAddress::Id(decode(run)), parse_own_call(method, rest)?))
        }
        ["v2", _] if is_read || method == "POST" => Err(ApiError::not_served(NO_REGISTER)),
        ["v2", _] => Err(ApiError::method_not_allowed("OPTIONS,GET,HEAD,POST")),
        ["v2", kind, actor, rest @ ..] if !actor.is_empty() => parse_source_call(
            method,
            RunSource { kind: actor_kind(kind), address: parse_address(&decode(actor)) },
            rest,
        ),
        _ => Err(ApiError::page_not_found()),
    }
}

/// Parses the path of a run's dataset or request queue: the run, the kind, and the rest of the path, which begins with
/// a slash unless it is empty.
pub fn parse_proxied(segments: &[&str]) -> Option<(RunAddress, UpstreamKind, String)> {
    let (run, what, rest) = match segments {
        ["v2", "actor-runs", run, what, rest @ ..] => (RunAddress::Id(decode(run)), what, rest),
        ["v2", kind, actor, "runs", "last", what, rest @ ..] => {
            (RunAddress::Last(RunSource { kind: actor_kind(kind), address: parse_address(&decode(actor)) }), what, rest)
        }
        _ => return None,
    };
    let kind = match *what {
        "dataset" => UpstreamKind::Dataset,
        "request-queue" => UpstreamKind::RequestQueue,
        _ => return None,
    };
    Some((run, kind, rest.iter().flat_map(|segment| ["/", segment]).collect()))
}

fn actor_kind(collection: &str) -> ActorKind {
    if collection == "actor-tasks" { ActorKind::Task } else { ActorKind::Actor }
}

fn parse_source_call(method: &str, source: RunSource, segments: &[&str]) -> Result<RunsCall, ApiError> {
    match (segments, method) {
        ([], "GET" | "HEAD") => Err(ApiError::not_found("Actor was not found: there is no register of them here")),
        (["runs"], "GET" | "HEAD") => Ok(RunsCall::ListRuns(Some(source))),
        (["runs"], "POST") => Ok(RunsCall::StartRun(source)),
        (["runs", "last"], "GET" | "HEAD") => Ok(RunsCall::Run(RunAddress::Last(source), RunCall::GetRun)),
        (["runs", "last", "key-value-store", rest @ ..], _) => {
            Ok(RunsCall::Store(RunAddress::Last(source), parse_store_call(method, rest)?))
        }
        (["runs", "last", rest @ ..], _) if !rest.is_empty() => {
            Ok(RunsCall::Run(RunAddress::Last(source), parse_run_call(method, rest)?))
        }
        // Older clients put the actor before the run.
        (["runs", run, rest @ ..], _) if !run.is_empty() && !rest.is_empty() => {
            Ok(RunsCall::Run(RunAddress::Id(decode(run)), parse_run_call(method, rest)?))
        }
        (["runs", run], "GET" | "HEAD") if !run.is_empty() => {
            Ok(RunsCall::Run(RunAddress::Id(decode(run)), RunCall::GetRun))
        }
        (["run-sync" | "run-sync-get-dataset-items"], "GET" | "HEAD" | "POST") => Err(ApiError::not_served(
            "it starts no programs: make a run by POST .../runs and run the program yourself, or use `larder run`",
        )),
        (["runs" | "run-sync" | "run-sync-get-dataset-items"], _) => {
            Err(ApiError::method_not_allowed("OPTIONS,GET,HEAD,POST"))
        }
        ([], "PUT" | "DELETE") | (["builds" | "input" | "validate-input" | "versions" | "webhooks", ..], _) => {
            Err(ApiError::not_served(NO_REGISTER))
        }
        ([], _) => Err(ApiError::method_not_allowed("OPTIONS,GET,HEAD,PUT,DELETE")),
        (["runs", run], _) if !run.is_empty() => Err(ApiError::method_not_allowed("OPTIONS,GET,HEAD")),
        _ => Err(ApiError::page_not_found()),
    }
}

fn parse_run_call(method: &str, segments: &[&str]) -> Result<RunCall, ApiError> {
    let posted = |call| if method == "POST" { Ok(call) } else { Err(ApiError::method_not_allowed("OPTIONS,POST")) };
    match segments {
        [] => match method {
            "GET" | "HEAD" => Ok(RunCall::GetRun),
            "PUT" => Ok(RunCall::UpdateRun),
            "DELETE" => Err(ApiError::not_served("a run is deleted some time after its end, and not on request")),
            _ => Err(ApiError::method_not_allowed("OPTIONS,GET,HEAD,PUT,DELETE")),
        },
        ["log"] if matches!(method, "GET" | "HEAD") => Ok(RunCall::GetLog),
        ["log"] => Err(ApiError::method_not_allowed("OPTIONS,GET,HEAD")),
        ["abort"] => posted(RunCall::Abort),
        ["metamorph"] => posted(RunCall::Metamorph),
        ["reboot" | "resurrect"] => posted(RunCall::Restart),
        ["charge"] => posted(RunCall::Charge),
        _ => Err(ApiError::page_not_found()),
    }
}

/// Parses a call that is an addition to the platform's API.
fn parse_own_call(method: &str, segments: &[&str]) -> Result<RunCall, ApiError> {
    let call = match segments {
        ["finish"] => RunCall::Finish,
        ["heartbeat"] => RunCall::Heartbeat,
        ["environment"] => RunCall::CreateEnvironment,
        _ => return Err(ApiError::page_not_found()),
    };
    if method == "POST" { Ok(call) } else { Err(ApiError::method_not_allowed("OPTIONS,POST")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routed(method: &str, path: &str) -> Result<RunsCall, u16> {
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        parse_runs_call(method, &segments).map_err(|error| error.status().as_u16())
    }

    fn last(kind: ActorKind, address: StoreAddress, call: StoreCall) -> RunsCall {
        RunsCall::Store(RunAddress::Last(RunSource { kind, address }), call)
    }

    #[test]
    fn every_base_has_every_call_of_a_store() {
        let id = |text: &str| StoreAddress::Id(text.to_owned());
        for (method, rest, call) in [
            ("GET", "", StoreCall::Get),
            ("PUT", "", StoreCall::Update),
            ("DELETE", "", StoreCall::Delete),
            ("GET", "/keys", StoreCall::ListKeys),
            ("GET", "/records", StoreCall::DownloadRecords),
            ("HEAD", "/records/a", StoreCall::HeadRecord("a".parse())),
        ] {
            let path = |base: &str| format!("/v2/{base}/key-value-store{rest}");
            for (base, kind) in [
                ("actors/A/runs/last", ActorKind::Actor),
                ("acts/A/runs/last", ActorKind::Actor),
                ("actor-tasks/A/runs/last", ActorKind::Task),
            ] {
                assert_eq!(routed(method, &path(base)), Ok(last(kind, id("A"), call.clone())), "{base}{rest}");
            }
            let of_run = RunsCall::Store(RunAddress::Id("R".to_owned()), call);
            assert_eq!(routed(method, &path("actor-runs/R")), Ok(of_run));
        }
    }

    #[test]
    fn the_last_run_has_the_calls_of_any_run() {
        let source = |kind| RunSource { kind, address: StoreAddress::Id("A".to_owned()) };
        for (rest, method, call) in [
            ("abort", "POST", RunCall::Abort),
            ("metamorph", "POST", RunCall::Metamorph),
            ("reboot", "POST", RunCall::Restart),
            ("log", "GET", RunCall::GetLog),
        ] {
            for (base, kind) in
                [("acts", ActorKind::Actor), ("actors", ActorKind::Actor), ("actor-tasks", ActorKind::Task)]
            {
                let path = |run: &str| format!("/v2/{base}/A/runs/{run}/{rest}");
                let last = RunsCall::Run(RunAddress::Last(source(kind)), call.clone());
                assert_eq!(routed(method, &path("last")), Ok(last), "{base} {rest}");
                let one = RunsCall::Run(RunAddress::Id("R".to_owned()), call.clone());
                assert_eq!(routed(method, &path("R")), Ok(one), "{base} {rest}");
            }
        }
        assert_eq!(routed("PUT", "/v2/acts/A/runs/last"), Err(405));
        assert_eq!(routed("GET", "/v2/acts/A/runs/last/nope"), Err(404));
    }

    #[test]
    fn unsupported_operations_are_distinguished_from_unknown_paths() {
        for (method, path, status) in [
            ("POST", "/v2/acts/A/run-sync", 403),
            ("DELETE", "/v2/acts/A/run-sync", 405),
            ("DELETE", "/v2/actor-runs/R", 403),
            ("POST", "/v2/actor-runs/R", 405),
            ("GET", "/v2/actor-runs/R/abort", 405),
            ("POST", "/v2/actor-runs", 405),
            ("GET", "/v2/actor-runs/", 404),
            ("GET", "/v2/acts/A", 404),
            ("POST", "/v2/acts/A", 405),
            ("PUT", "/v2/acts/A/runs/R", 405),
            ("POST", "/v2/actor-runs/R/log", 405),
            ("GET", "/larder/v1/runs/R/finish", 405),
            ("POST", "/larder/v1/runs/R/nope", 404),
            ("POST", "/larder/v1/runs", 404),
        ] {
            assert_eq!(routed(method, path), Err(status), "{method} {path}");
        }
    }
}
