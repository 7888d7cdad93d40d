//! Errors of starting and stopping a gateway.

use std::io;

#[cfg(feature = "s3")]
use crate::storage::{self, s3};
use crate::{
    auth::{AccountsError, SecretsError, Username},
    kv,
    server::{BindError, TlsError},
    storage::{BoxError, embedded::OpenError},
};

use super::bootstrap::AdminTokenError;

/// A gateway did not start, or cannot apply another configuration.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Listening on the address failed.
    #[error("{0}; choose another one with --listen or LARDER_LISTEN")]
    Bind(#[source] BindError),
    /// The system cannot start the serving threads.
    #[error("the threads that serve cannot be started")]
    Threads(#[source] io::Error),
    /// The certificate or its key is unusable.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The data folder is unusable.
    #[error(transparent)]
    Data(#[from] OpenError),
    /// The object store is unusable.
    #[cfg(feature = "s3")]
    #[error(transparent)]
    ObjectStore(#[from] s3::OpenError),
    /// The capabilities of the object store could not be detected.
    #[cfg(feature = "s3")]
    #[error("what the object store can do cannot be found out")]
    Probe(#[source] storage::Error),
    /// A newer version wrote the stored data, or the version is unknown.
    #[error(transparent)]
    Format(#[from] kv::FormatError),
    /// The gateway cannot join the installation.
    #[error(transparent)]
    Installation(#[from] kv::JoinError),
    /// The clock record of the installation cannot be read or written.
    #[error("the record of the installation's time cannot be read or written")]
    ClockRecord(#[source] kv::Error),
    /// The embedded engine panicked while it was opened.
    #[error("the engine failed while it was opened; the log tells why")]
    EngineFailed,
    /// The admin token is unavailable.
    #[error(transparent)]
    AdminToken(#[from] AdminTokenError),
    /// The master secret is unavailable.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// The accounts are unavailable.
    #[error(transparent)]
    Users(#[from] AccountsError),
    /// The user of the configuration cannot be created, or not with that token.
    #[error("the user {user} of LARDER_USER cannot be had with the token of LARDER_USER_TOKEN")]
    BootstrapUser {
        /// The username.
        user: Username,
        /// The cause.
        #[source]
        cause: AccountsError,
    },
    /// The object store has no conditional writes, and no leader is configured.
    #[error(
        "this object store has no conditional writes, so that one gateway alone must make the writes that need them: set \
         LARDER_LEADER to self on exactly one gateway, and to that one's http:// origin on all others"
    )]
    NoLeader,
    /// The record cache was enabled for a bucket that others may write to.
    #[error(
        "LARDER_RECORD_CACHE_SIZE is set, but another gateway may write to the bucket, so that what is in memory may be \
         outdated: set LARDER_EXCLUSIVE_BUCKET to yes if there is none, or leave the cache out"
    )]
    CacheOfMany,
    /// The embedded engine belongs to one gateway, so there can be no other leader.
    #[error("LARDER_LEADER names another gateway, but the embedded engine belongs to this one alone: leave it out")]
    LeaderOfFolder,
    /// A secret that all gateways must share is not configured, and no gateway can create it for all.
    #[error(
        "{0} must be set, to the same value on every gateway: this object store has no conditional writes, with which one \
         of them could make it for all"
    )]
    NotShared(&'static str),
    /// The token is not a valid header value for calls to the leader.
    #[error("LARDER_TOKEN has characters that no header can carry, so that the leader cannot be told by it")]
    UnsendableToken,
    /// The upstream is unusable.
    #[error("LARDER_UPSTREAM_URL cannot be used")]
    Upstream(#[source] BoxError),
    /// The collector of traces is unusable.
    #[error("LARDER_OTLP_ENDPOINT cannot be used")]
    Collector(#[source] BoxError),
    /// The token is not a valid header value for calls to the upstream.
    #[error("LARDER_UPSTREAM_TOKEN has characters that no header can carry")]
    UnsendableUpstreamToken,
    /// The leader has created no account yet.
    #[error("there are no accounts yet: the leader makes them when it starts for the first time, and must be up first")]
    LeaderNotStarted,
}

/// A gateway stopped without flushing everything. No acknowledged write is lost.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// The usage counters of stores could not be written.
    #[error("counters of stores' use could not be written down")]
    Counters(#[source] kv::Error),
    /// The object store did not respond in time: counts since the last minute are lost.
    #[error("the object store did not answer: counters of stores' use could not be written down")]
    Unresponsive,
}
