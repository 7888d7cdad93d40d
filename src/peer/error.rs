//! What can go wrong between gateways.

/// A request got no answer, or not the whole of it. Unless it says otherwise, nobody knows what the other gateway did.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// There was no connection; nothing was sent.
    #[error("the other gateway cannot be reached")]
    Unreachable(#[source] std::io::Error),
    /// There was no connection in time; nothing was sent.
    #[error("the other gateway does not take connections")]
    NoConnection,
    /// No answer came in time, or it stood still.
    #[error("the other gateway does not answer")]
    Silent,
    /// The request's own body broke off: the other gateway never had the whole of it.
    #[error("the request broke off")]
    Request,
    /// The connection broke, or what came was no HTTP.
    #[error("the exchange with the other gateway broke off")]
    Broken(#[source] hyper::Error),
}
