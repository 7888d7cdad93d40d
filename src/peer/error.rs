//! Errors between this gateway and another server.

/// A request that got no complete response. Unless a variant says otherwise, its effect on the other server is unknown.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// Connecting failed; nothing was sent.
    #[error("the other server cannot be reached")]
    Unreachable(#[source] std::io::Error),
    /// Connecting timed out; nothing was sent.
    #[error("the other server does not take connections")]
    NoConnection,
    /// No response came in time, or its body stalled.
    #[error("the other server does not answer")]
    Silent,
    /// The request's own body broke off: the other server never had all of it.
    #[error("the request broke off")]
    Request,
    /// The connection broke, or the response was no HTTP.
    #[error("the exchange with the other server broke off")]
    Broken(#[source] hyper::Error),
}
