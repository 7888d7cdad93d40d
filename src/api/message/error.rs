//! Errors of the API: status, type and message of the platform, and never a cause. Lower-level errors are mapped by
//! exhaustive conversions.

use std::{borrow::Cow, time::Duration};

use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::json;

use crate::{
    auth::{AccountsError, Denied, Unrecognised},
    kv::{self, JsonError},
    runs::RunsError,
    storage::{BodyError, BoxError, RejectedFor},
};

use super::response::{ResponseBody, json_bytes};

/// `Retry-After` when the leader did not respond: about the time of its restart.
const LEADER_RETRY_AFTER: Duration = Duration::from_secs(5);

/// `Retry-After` when the upstream could not be reached.
const UPSTREAM_RETRY_AFTER: Duration = Duration::from_secs(5);

/// Advice for a server without datasets and request queues.
const NO_UPSTREAM: &str = "This server has key-value stores, but no datasets and no request queues. Let Crawlee keep \
                               them in its local storage (see examples/README.md), or have the operator of this server \
                               set LARDER_UPSTREAM_URL and LARDER_UPSTREAM_TOKEN, so that such calls are passed on to an \
                               Apify-compatible server.";

/// Error response.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    kind: &'static str,
    message: Cow<'static, str>,
    /// Cause that the client does not see; logged once, when the response is created.
    cause: Option<BoxError>,
    header: Option<Box<(HeaderName, HeaderValue)>>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, kind: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, kind, message: message.into(), cause: None, header: None }
    }

    pub(super) fn with_cause(mut self, cause: impl Into<BoxError>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    fn with_header(mut self, name: HeaderName, value: impl TryInto<HeaderValue>) -> Self {
        self.header = value.try_into().ok().map(|value| Box::new((name, value)));
        self
    }

    /// Returns the error for an invalid request.
    pub fn bad_request(kind: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, kind, message)
    }

    /// Returns the error for a path that does not exist for any caller.
    pub fn page_not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "page-not-found", "We have bad news: there is no API endpoint at this URL.")
    }

    /// Returns the error for a store, user or record that does not exist.
    pub fn not_found(message: &'static str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "record-not-found", message)
    }

    /// Returns the error for a path that has other methods only.
    pub fn method_not_allowed(methods: &'static str) -> Self {
        let message = format!("This API end-point can only be accessed using the following HTTP methods: {methods}");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", message)
            .with_header(header::ALLOW, methods.replace(',', ", "))
    }

    /// Returns the error for a body in an unknown content coding.
    pub fn unsupported_coding(coding: &str) -> Self {
        let message = format!("Content-Encoding \"{coding}\" is not supported.");
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-content-encoding", message)
    }

    /// Returns the error for a JSON body that is too large; `actual` is its length as far as known.
    pub fn request_too_large(limit: u64, actual: Option<u64>) -> Self {
        let actual = actual.map_or_else(|| "unknown".to_owned(), |actual| format!("{actual} bytes"));
        let message = format!("The POST payload is too large (limit: {limit} bytes, actual length: {actual}).");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "request-too-large", message)
    }

    /// Returns the error for a record that is too large.
    pub fn record_too_large(limit: u64) -> Self {
        let message = format!("The record is too large (limit: {limit} bytes).");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "record-too-large", message)
    }

    /// Returns the error for a failed precondition.
    pub fn precondition_failed() -> Self {
        let message = "Precondition failed: the record has changed.";
        Self::new(StatusCode::PRECONDITION_FAILED, "precondition-failed", message)
    }

    /// Returns the error for a range outside the record.
    pub fn range_not_satisfiable(size: u64) -> Self {
        let message = format!("The range lies behind the end of the record, which has {size} bytes.");
        Self::new(StatusCode::RANGE_NOT_SATISFIABLE, "range-not-satisfiable", message)
            .with_header(header::CONTENT_RANGE, format!("bytes */{size}"))
    }

    /// Returns the error for a denied operation on a run.
    pub fn run_denied(denied: Denied) -> Self {
        match denied {
            Denied::TokenRequired => denied.into(),
            Denied::Hidden => RunsError::NotFound.into(),
            Denied::Insufficient => {
                let message = "Insufficient permissions for the Actor run. Make sure you're passing a correct API token and \
                               that it has the required permissions.";
                Self::new(StatusCode::FORBIDDEN, "insufficient-permissions", message)
            }
        }
    }

    /// Returns the error for an operation that the backend does not support. It is no 5xx status: clients retry those,
    /// and a retry would fail as well.
    pub fn unsupported_by_backend(what: &'static str) -> Self {
        Self::bad_request(
            "unsupported-by-backend",
            format!("The storage backend of this server cannot do this: {what}."),
        )
    }

    /// Returns the error for a request that the object store rejects permanently: a retry would be of no use.
    pub fn rejected_by_backend(reason: RejectedFor, cause: BoxError) -> Self {
        let message =
            |what: &str, why: &str| format!("{what}: the object store of this server, or a proxy before it, {why}.");
        let refused = |what, why| Self::bad_request("unsupported-by-backend", message(what, why));
        let error = match reason {
            RejectedFor::Size => {
                let message = message("The record is too large", "takes no body of this size");
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "record-too-large", message)
            }
            RejectedFor::Coding => {
                let message = message("The Content-Encoding cannot be kept", "decodes what is stored in it");
                Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-content-encoding", message)
            }
            RejectedFor::Key => refused("The key is too long", "takes no address of this length"),
            RejectedFor::Attributes => refused("The Content-Type is too long", "takes no headers of this size"),
            RejectedFor::Request => refused("This cannot be done here", "refuses the request"),
        };
        error.with_cause(cause)
    }

    /// Returns the error for a call that the platform serves and this server does not.
    pub fn not_served(why: &'static str) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "platform-feature-disabled",
            format!("This server does not serve this call: {why}."),
        )
    }

    /// Returns the error for a response that a page of this server would execute.
    pub fn code_request() -> Self {
        let message = "Stored records cannot be loaded as scripts, styles or workers by pages of this origin.";
        Self::new(StatusCode::FORBIDDEN, "not-code", message)
    }

    /// Returns the error for a forwarded request that this gateway would have to forward again.
    pub fn forwarding_loop() -> Self {
        let message = "This gateway was taken for the leader, but has another one as its leader (LARDER_LEADER). Exactly one \
                       gateway must be its own leader.";
        Self::new(StatusCode::LOOP_DETECTED, "forwarding-loop", message).with_cause(message)
    }

    /// Returns the error for an unresponsive leader: the outcome is in doubt.
    pub fn leader_unavailable(cause: impl Into<BoxError>) -> Self {
        Self::unavailable(LEADER_RETRY_AFTER, cause)
    }

    /// Returns the error for a call on datasets or request queues without an upstream.
    pub fn upstream_not_configured() -> Self {
        Self::new(StatusCode::FORBIDDEN, "platform-feature-disabled", NO_UPSTREAM)
    }

    /// Returns the error for a caller who may not use the upstream.
    pub fn upstream_denied(denied: Denied) -> Self {
        match denied {
            Denied::TokenRequired => denied.into(),
            Denied::Insufficient | Denied::Hidden => {
                let message = "Insufficient permissions for datasets and request queues: they take a token that is not \
                               limited to key-value stores.";
                Self::new(StatusCode::FORBIDDEN, "insufficient-permissions", message)
            }
        }
    }

    /// Returns the error for a proxied request that this server would have to proxy again.
    pub fn proxy_loop() -> Self {
        let message = "The upstream of this server (LARDER_UPSTREAM_URL) has an upstream itself. It must be a server that has \
                       datasets and request queues of its own.";
        Self::new(StatusCode::LOOP_DETECTED, "relay-loop", message).with_cause(message)
    }

    /// Returns the error for an unreachable upstream; it has not seen the request.
    pub fn upstream_unavailable(cause: impl Into<BoxError>) -> Self {
        let message = "The server that has the datasets and request queues cannot be reached. Please try again.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "upstream-unavailable", message)
            .with_cause(cause)
            .with_header(header::RETRY_AFTER, UPSTREAM_RETRY_AFTER.as_secs())
    }

    /// Returns the error for an unresponsive upstream: the outcome is in doubt.
    pub fn upstream_failed(cause: impl Into<BoxError>) -> Self {
        let message = "The server that has the datasets and request queues did not answer.";
        Self::new(StatusCode::BAD_GATEWAY, "upstream-failed", message).with_cause(cause)
    }

    /// Returns the error for a caller, or all callers together, over the rate limit.
    pub fn rate_limited(limit: u32) -> Self {
        let message = format!("You have exceeded the rate limit of {limit} requests per second");
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate-limit-exceeded", message).with_header(header::RETRY_AFTER, 1)
    }

    /// Returns the error for a caller with too many requests that wait for the end of a run.
    pub fn too_many_waits(limit: usize) -> Self {
        let message = format!("You have exceeded the limit of {limit} requests that wait for runs at once");
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate-limit-exceeded", message).with_header(header::RETRY_AFTER, 1)
    }

    /// Returns the error for requests over the concurrency limit. One log entry reports many of these, instead of one
    /// each.
    pub fn overloaded() -> Self {
        let message = "The server has too much to do at the moment. Please try again.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "service-unavailable", message).with_header(header::RETRY_AFTER, 1)
    }

    /// Returns the error for an exceeded quota; an addition to the platform's errors.
    pub fn quota_exceeded(message: String) -> Self {
        Self::new(StatusCode::FORBIDDEN, "quota-exceeded", message)
    }

    /// Returns the error for an internal failure.
    pub fn internal(cause: impl Into<BoxError>) -> Self {
        let message = "Something went wrong on the server. Its log tells more, under the id of this request.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal-server-error", message).with_cause(cause)
    }

    pub(super) fn unavailable(retry_after: Duration, cause: impl Into<BoxError>) -> Self {
        let message = "The server cannot do this at the moment. Please try again.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "service-unavailable", message)
            .with_cause(cause)
            .with_header(header::RETRY_AFTER, retry_after.as_secs().max(1))
    }

    /// Returns the status.
    #[cfg(any(test, feature = "internals"))]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the response to request `id`. Failures of the server are logged here, and nowhere else.
    pub fn into_response(self, id: &HeaderValue) -> Response<ResponseBody> {
        let Self { status, kind, message, cause, header } = self;
        let mut error = json!({ "type": kind, "message": message });
        if status.is_server_error() {
            let id = id.to_str().unwrap_or_default();
            if let Some(cause) = cause.as_deref() {
                let cause = cause as &(dyn std::error::Error + 'static);
                tracing::error!(request = id, status = status.as_u16(), cause, "a request failed");
            }
            error["requestId"] = id.into();
        } else if let Some(cause) = cause.as_deref() {
            let (id, cause) = (id.to_str().unwrap_or_default(), cause as &(dyn std::error::Error + 'static));
            tracing::warn!(
                request = id,
                status = status.as_u16(),
                cause,
                "the object store refused a request for good"
            );
        }
        let mut response = Response::new(ResponseBody::from(json_bytes(&json!({ "error": error }))));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        headers.extend(header.map(|header| (Some(header.0), header.1)));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// The platform's message, which the Python client's own tests match exactly.
const INSUFFICIENT_PERMISSIONS: &str = "Insufficient permissions for the key-value store. Make sure you're passing a \
                                        correct API token and that it has the required permissions.";

impl From<Unrecognised> for ApiError {
    fn from(unrecognised: Unrecognised) -> Self {
        match unrecognised {
            Unrecognised::InvalidToken => {
                let message = "User was not found or authentication token is not valid";
                Self::new(StatusCode::UNAUTHORIZED, "user-or-token-not-found", message)
            }
            Unrecognised::Failed(error) => error.into(),
        }
    }
}

impl From<AccountsError> for ApiError {
    fn from(error: AccountsError) -> Self {
        let message = error.to_string();
        match error {
            AccountsError::Storage(error) => kv::Error::from(error).into(),
            error @ AccountsError::Damaged { .. } => Self::internal(error),
            error @ AccountsError::Contended => kv::Error::unavailable(error).into(),
            AccountsError::InvalidUsername | AccountsError::AdminStays => {
                Self::bad_request("invalid-value", format!("Invalid value provided: {message}"))
            }
            AccountsError::UsernameTaken => {
                Self::new(StatusCode::CONFLICT, "username-not-unique", "User with this name already exists")
            }
            AccountsError::UserNotFound => Self::not_found("User was not found"),
            // No request causes this.
            AccountsError::TokenTaken => Self::internal(error),
            AccountsError::TokenNotFound => Self::not_found("Token was not found"),
        }
    }
}

impl From<RunsError> for ApiError {
    fn from(error: RunsError) -> Self {
        let message = error.to_string();
        match error {
            RunsError::Document(JsonError::Storage(error)) => kv::Error::from(error).into(),
            RunsError::Document(error @ JsonError::Damaged { .. }) => Self::internal(error),
            RunsError::Store(error) => error.into(),
            error @ RunsError::Contended => kv::Error::unavailable(error).into(),
            RunsError::NotFound => Self::not_found("Actor run was not found"),
            RunsError::Over => {
                Self::bad_request("job-finished", "Actor run is already finished, and cannot be changed like this")
            }
            RunsError::TooManyMetamorphs { .. } => Self::bad_request("max-metamorphs-exceeded", message),
            RunsError::TooManyTokens { .. } => Self::bad_request("invalid-request", message),
        }
    }
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::TokenRequired => {
                let message = "Authentication token was not provided";
                Self::new(StatusCode::UNAUTHORIZED, "token-not-provided", message)
            }
            Denied::Hidden => kv::Error::StoreNotFound.into(),
            Denied::Insufficient => {
                Self::new(StatusCode::FORBIDDEN, "insufficient-permissions", INSUFFICIENT_PERMISSIONS)
            }
        }
    }
}

impl From<kv::Error> for ApiError {
    fn from(error: kv::Error) -> Self {
        match error {
            kv::Error::StoreNotFound => Self::not_found("Key-value Store was not found"),
            kv::Error::RecordNotFound => Self::not_found("Record was not found"),
            kv::Error::NameTaken => {
                Self::new(StatusCode::CONFLICT, "name-not-unique", "Store with this name already exists")
            }
            kv::Error::InvalidName(invalid) => Self::bad_request("invalid-value", invalid.to_string()),
            kv::Error::InvalidKey(invalid) => Self::from(invalid),
            kv::Error::ReservedKey => {
                let message = "Record keys of the form 0.{number}.{id of the store} are reserved: a link to such a record would \
                               open the whole store";
                Self::bad_request("reserved-record-key", message)
            }
            kv::Error::InvalidSchema(invalid) => Self::bad_request("invalid-input", invalid.to_string()),
            kv::Error::UnknownCollection(id) => {
                let message = format!("The schema of the key-value store has no collection {id:?}");
                Self::bad_request("invalid-collection", message)
            }
            kv::Error::SchemaViolation(message) => {
                Self::bad_request("schema-validation-error", format!("Schema validation failed: {message}"))
            }
            kv::Error::TooManyShares { limit } => {
                let message = format!("A key-value store can be shared with at most {limit} users");
                Self::bad_request("invalid-value", message)
            }
            kv::Error::Precondition => Self::precondition_failed(),
            kv::Error::RangeNotSatisfiable { size } => Self::range_not_satisfiable(size),
            kv::Error::Body(cause) => Self::from(cause),
            kv::Error::Unavailable { retry_after, cause } => Self::unavailable(retry_after, cause),
            kv::Error::Full(cause) => {
                let message = "The server has no room left for this. Nothing was changed.";
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "insufficient-storage", message).with_cause(cause)
            }
            kv::Error::Rejected { reason, cause } => Self::rejected_by_backend(reason, cause),
            kv::Error::Unsupported(what) => Self::unsupported_by_backend(what),
            kv::Error::Corrupt(what) => Self::internal(what),
        }
    }
}

impl From<kv::InvalidKey> for ApiError {
    fn from(invalid: kv::InvalidKey) -> Self {
        Self::bad_request("invalid-record-key", invalid.to_string())
    }
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Aborted | BodyError::Stalled => {
                Self::bad_request("request-aborted-prematurely", "The request ended before its body did")
            }
            BodyError::TooSlow => {
                let message =
                    "The request body came too slowly while others waited for the memory that it was held in.";
                Self::new(StatusCode::REQUEST_TIMEOUT, "request-timeout", message)
            }
            BodyError::NoMemory => Self::overloaded(),
            BodyError::TooLarge { limit } => Self::record_too_large(limit),
            BodyError::Malformed(what) => {
                Self::bad_request("invalid-input", format!("Invalid input: the request body is malformed: {what}"))
            }
            BodyError::Storage(cause) => Self::internal(cause),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::kv;

    use super::*;

    #[test]
    fn unsupported_operations_get_an_error_that_no_client_retries() {
        let unsupported = ApiError::from(kv::Error::Unsupported("conditional deletes"));
        assert_eq!((unsupported.status(), unsupported.kind), (StatusCode::BAD_REQUEST, "unsupported-by-backend"));
        for error in [ApiError::upstream_not_configured(), ApiError::not_served("it charges no fees")] {
            assert_eq!((error.status(), error.kind), (StatusCode::FORBIDDEN, "platform-feature-disabled"));
        }
    }
}
