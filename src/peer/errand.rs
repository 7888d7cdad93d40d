//! What a gateway asks of another on its own behalf, and not for a client.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::Full;

use super::{error::PeerError, gateway::Peer};

/// Asks another gateway, with credentials that it knows.
#[derive(Debug)]
pub struct Errands {
    peer: Arc<Peer>,
    /// The header `Authorization`; marked as sensitive, so that it is never shown.
    authorization: HeaderValue,
}

/// What became of an errand that was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// It is done.
    Done,
    /// What it is about is not there.
    Absent,
    /// It was refused, or failed.
    Failed(StatusCode),
}

impl Errands {
    /// Errands to `peer`, with this token; `None` if no header can carry that.
    pub fn new(peer: Arc<Peer>, token: &str) -> Option<Self> {
        let mut authorization = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
        authorization.set_sensitive(true);
        Some(Self { peer, authorization })
    }

    /// Posts a JSON document. What was sent is never sent again.
    pub async fn post(&self, path: &'static str, document: Vec<u8>) -> Result<Answered, PeerError> {
        let mut request = Request::new(Full::new(Bytes::from(document)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from_static(path);
        request.headers_mut().insert(header::AUTHORIZATION, self.authorization.clone());
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let mut answer = self.peer.send(request).await?;
        let answered = match answer.head.status {
            status if status.is_success() => Answered::Done,
            StatusCode::NOT_FOUND => Answered::Absent,
            status => Answered::Failed(status),
        };
        if answered == Answered::Done {
            // Read to its end, the connection serves the next errand.
            while answer.body.chunk().await?.is_some() {}
        }
        Ok(answered)
    }
}
