//! Why a gateway does not start, or does not stop as it should.

use crate::{
    auth::{SecretsError, UsersError},
    kv,
    server::BindError,
    storage::embedded::OpenError,
};

use super::admin_token::AdminTokenError;

/// A gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("{0}; choose another one with --listen or LARDER_LISTEN")]
    Bind(#[source] BindError),
    /// The data folder cannot be used.
    #[error(transparent)]
    Data(#[from] OpenError),
    /// The engine panicked while it was opened.
    #[error("the engine failed while it was opened; the log tells why")]
    EngineFailed,
    /// The admin token cannot be had.
    #[error(transparent)]
    AdminToken(#[from] AdminTokenError),
    /// The master secret cannot be had.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// The accounts cannot be had.
    #[error(transparent)]
    Users(#[from] UsersError),
    /// There are accounts, but not the one that the admin token belongs to.
    #[error("the account of the admin token is missing")]
    NoAdmin,
}

/// A gateway stopped, but not everything that it knew is written down. No acknowledged write is lost.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// What was counted of stores' use could not be written.
    #[error("counters of stores' use could not be written down")]
    Counters(#[source] kv::Error),
}
