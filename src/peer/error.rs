//! What can go wrong between this gateway and another server.

/// A request got no answer, or not the whole of it. Unless it says otherwise, nobody knows what the other server did.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// There was no connection; nothing was sent.
    #[error("the other server cannot be reached")]
    Unreachable(#[source] std::io::Error),
    /// There was no connection in time; nothing was sent.
    #[error("the other server does not take connections")]
    NoConnection,
    /// No answer came in time, or it stood still.
    #[error("the other server does not answer")]
    Silent,
    /// The request's own body broke off: the other server never had the whole of it.
    #[error("the request broke off")]
    Request,
    /// The connection broke, or what came was no HTTP.
    #[error("the exchange with the other server broke off")]
    Broken(#[source] hyper::Error),
}
