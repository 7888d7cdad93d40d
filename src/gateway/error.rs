//! Why a gateway does not start, or does not stop as it should.

use std::io;

#[cfg(feature = "s3")]
use crate::storage::{self, s3};
use crate::{
    auth::{AccountsError, SecretsError, Username},
    kv,
    server::{BindError, TlsError},
    storage::{BoxError, embedded::OpenError},
};

use super::admin_token::AdminTokenError;

/// A gateway did not start, or cannot go on with another configuration.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("{0}; choose another one with --listen or LARDER_LISTEN")]
    Bind(#[source] BindError),
    /// The system gives no threads to serve with.
    #[error("the threads that serve cannot be started")]
    Threads(#[source] io::Error),
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The data folder cannot be used.
    #[error(transparent)]
    Data(#[from] OpenError),
    /// The object store cannot be used.
    #[cfg(feature = "s3")]
    #[error(transparent)]
    ObjectStore(#[from] s3::OpenError),
    /// What the object store can do could not be found out.
    #[cfg(feature = "s3")]
    #[error("what the object store can do cannot be found out")]
    Probe(#[source] storage::Error),
    /// A newer version wrote what is stored, or which one did cannot be found out.
    #[error(transparent)]
    Format(#[from] kv::FormatError),
    /// The gateway cannot join the installation.
    #[error(transparent)]
    Installation(#[from] kv::JoinError),
    /// The record of the installation's time cannot be read or written.
    #[error("the record of the installation's time cannot be read or written")]
    ClockRecord(#[source] kv::Error),
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
    Users(#[from] AccountsError),
    /// The user of the configuration cannot be had, or not with that token.
    #[error("the user {user} of LARDER_USER cannot be had with the token of LARDER_USER_TOKEN")]
    FirstUser {
        /// His name.
        user: Username,
        /// Why not.
        #[source]
        cause: AccountsError,
    },
    /// The object store has no conditional writes, and nobody was made the keeper.
    #[error(
        "this object store has no conditional writes, so that one gateway alone must make the writes that need them: set \
         LARDER_KEEPER to self on exactly one gateway, and to that one's http:// origin on all others"
    )]
    NoKeeper,
    /// Records of a bucket that others may write to should be kept in memory.
    #[error(
        "LARDER_RECORD_CACHE_SIZE is set, but another gateway may write to the bucket, so that what is in memory may be \
         outdated: set LARDER_SOLE_GATEWAY to yes if there is none, or leave the cache out"
    )]
    CacheOfMany,
    /// The embedded engine is one gateway's own, and there can be no other keeper.
    #[error("LARDER_KEEPER names another gateway, but the embedded engine belongs to this one alone: leave it out")]
    KeeperOfFolder,
    /// What all gateways must share is not configured, and cannot be made by one of them for all.
    #[error(
        "{0} must be set, to the same value on every gateway: this object store has no conditional writes, with which one \
         of them could make it for all"
    )]
    NotShared(&'static str),
    /// The token cannot be sent to the keeper.
    #[error("LARDER_TOKEN has characters that no header can carry, so that the keeper cannot be told by it")]
    UnsendableToken,
    /// The upstream cannot be spoken to.
    #[error("LARDER_UPSTREAM_URL cannot be used")]
    Upstream(#[source] BoxError),
    /// The collector of traces cannot be spoken to.
    #[error("LARDER_OTLP_ENDPOINT cannot be used")]
    Collector(#[source] BoxError),
    /// The token cannot be sent to the upstream.
    #[error("LARDER_UPSTREAM_TOKEN has characters that no header can carry")]
    UnsendableUpstreamToken,
    /// The keeper has made no account yet.
    #[error("there are no accounts yet: the keeper makes them when it starts for the first time, and must be up first")]
    KeeperNotStarted,
}

/// A gateway stopped, but not everything that it knew is written down. No acknowledged write is lost.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// What was counted of stores' use could not be written.
    #[error("counters of stores' use could not be written down")]
    Counters(#[source] kv::Error),
    /// The object store did not answer in time: what was counted since the last minute is lost.
    #[error("the object store did not answer: counters of stores' use could not be written down")]
    Silent,
}
