//! Mapping of lower-level errors to status, type and message. Each conversion is exhaustive.

use http::StatusCode;

use crate::{
    auth::{AccountsError, Denied, Unrecognised},
    kv::{self, JsonError},
    runs::RunsError,
    storage::BodyError,
};

use super::error::ApiError;

/// The platform's message, which the Python client's own tests match exactly.
const INSUFFICIENT_PERMISSIONS: &str = "Insufficient permissions for the key-value store. Make sure you're passing a \
                                        correct API token and that it has the required permissions.";

impl From<Unrecognised> for ApiError {
    fn from(unrecognised: Unrecognised) -> Self {
        match unrecognised {
            Unrecognised::UnknownToken => {
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
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "insufficient-storage", message).because(cause)
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
