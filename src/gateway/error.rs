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
    #[error("cannot start the serving threads")]
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
    #[error("cannot detect the capabilities of the object store")]
    Probe(#[source] storage::Error),
    /// A newer version wrote the stored data, or the version is unknown.
    #[error(transparent)]
    Format(#[from] kv::FormatError),
    /// The gateway cannot join the installation.
    #[error(transparent)]
    Installation(#[from] kv::JoinError),
    /// The clock record of the installation cannot be read or written.
    #[error("cannot read or write the clock record of the installation")]
    ClockRecord(#[source] kv::Error),
    /// The embedded engine panicked while it was opened.
    #[error("cannot open the embedded engine: it failed; see the log")]
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
    #[error("cannot create user {user} of LARDER_USER with the token of LARDER_USER_TOKEN")]
    BootstrapUser {
        /// The username.
        user: Username,
        /// The cause.
        #[source]
        cause: AccountsError,
    },
    /// The object store has no conditional writes, and no leader is configured.
    #[error(
        "cannot start without a leader: this object store has no conditional writes; set LARDER_LEADER to self on exactly \
         one gateway, and to that gateway's http:// origin on all others"
    )]
    NoLeader,
    /// The record cache was enabled for a bucket that others may write to.
    #[error(
        "cannot use LARDER_RECORD_CACHE_SIZE: another gateway may write to the bucket; set LARDER_EXCLUSIVE_BUCKET to yes \
         if there is none, or unset the cache"
    )]
    CacheOfMany,
    /// The embedded engine belongs to one gateway, so there can be no other leader.
    #[error("cannot use LARDER_LEADER with a data folder: the embedded engine belongs to this gateway alone; unset it")]
    LeaderOfFolder,
    /// A secret that all gateways must share is not configured, and no gateway can create it for all.
    #[error(
        "cannot start without {0}: this object store has no conditional writes; set it to the same value on every gateway"
    )]
    NotShared(&'static str),
    /// The token is not a valid header value for calls to the leader.
    #[error("cannot send LARDER_TOKEN to the leader: it has characters that are invalid in a header")]
    UnsendableToken,
    /// The upstream is unusable.
    #[error("cannot use LARDER_UPSTREAM_URL")]
    Upstream(#[source] BoxError),
    /// The collector of traces is unusable.
    #[error("cannot use LARDER_OTLP_ENDPOINT")]
    Collector(#[source] BoxError),
    /// The token is not a valid header value for calls to the upstream.
    #[error("cannot use LARDER_UPSTREAM_TOKEN: it has characters that are invalid in a header")]
    UnsendableUpstreamToken,
    /// The leader has created no account yet.
    #[error("cannot find accounts: the leader creates them at its first start; start the leader first")]
    LeaderNotStarted,
}

/// A gateway stopped without flushing everything. No acknowledged write is lost.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// The usage counters of stores could not be written.
    #[error("cannot write the usage counters of stores")]
    Counters(#[source] kv::Error),
    /// The object store did not respond in time: counts since the last minute are lost.
    #[error("cannot write the usage counters of stores: the object store does not respond")]
    Unresponsive,
}
