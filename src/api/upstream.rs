//! Datasets and request queues: not Larder's own, and passed on to an upstream where there is one.
//!
//! An upstream is any server that speaks the platform's API. Whoever is known here, by a token without limits, may do there what
//! the upstream's token may do: his own token stays here. Bodies stream both ways; nothing is sent twice.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, Uri, header, request::Parts};
use http_body::Body;
use percent_encoding::percent_decode_str;

use crate::{
    auth::{AccountAction, Caller, Token, authorize_account},
    peer::{Peer, PeerError, RELAYED},
    storage::{BodyError, BoxError},
};

use super::{
    error::ApiError,
    forwarding::{end_to_end, handed_back, without_hop_by_hop},
    reply_body::ReplyBody,
};

/// What of a request is between the caller and Larder: who he is here.
const OWN_FIELDS: [HeaderName; 2] = [header::AUTHORIZATION, header::COOKIE];

/// What of an answer is between the upstream and whoever asks it in his own name.
const UPSTREAMS_FIELDS: [HeaderName; 2] = [header::SET_COOKIE, header::WWW_AUTHENTICATE];

/// The parameter that says who calls, as a header field does.
const TOKEN_PARAMETER: &str = "token";

/// A server that has datasets and request queues.
#[derive(Debug)]
pub struct Upstream {
    peer: Arc<Peer>,
    /// The header `Authorization`; marked as sensitive, so that it is never shown.
    authorization: HeaderValue,
}

impl Upstream {
    /// The upstream `peer`, which knows this token; `None` if no header can carry that.
    pub fn new(peer: Arc<Peer>, token: &Token) -> Option<Self> {
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", token.reveal())).ok()?;
        authorization.set_sensitive(true);
        Some(Self { peer, authorization })
    }

    /// The upstream's answer to a request of `caller`'s.
    pub async fn answer<B>(&self, caller: &Caller, head: &Parts, body: B) -> Result<Response<ReplyBody>, ApiError>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        authorize_account(caller, AccountAction::UseUpstream).map_err(ApiError::no_upstream_for)?;
        if head.headers.contains_key(RELAYED) {
            return Err(ApiError::relay_loop());
        }
        let mut request = Request::new(body);
        *request.method_mut() = head.method.clone();
        *request.uri_mut() = target(&head.uri)?;
        let mut headers = end_to_end(&head.headers)?;
        for name in OWN_FIELDS {
            headers.remove(name);
        }
        headers.insert(header::AUTHORIZATION, self.authorization.clone());
        *request.headers_mut() = headers;
        let answer = self.peer.send(request).await.map_err(|error| match error {
            PeerError::Request => BodyError::Aborted.into(),
            error @ (PeerError::Unreachable(_) | PeerError::NoConnection) => ApiError::upstream_unavailable(error),
            error @ (PeerError::Silent | PeerError::Broken(_)) => ApiError::upstream_failed(error),
        })?;
        let mut response = Response::new(ReplyBody::empty());
        *response.status_mut() = answer.head.status;
        let mut headers = without_hop_by_hop(answer.head.headers);
        headers.remove(header::CONTENT_LENGTH);
        for name in UPSTREAMS_FIELDS {
            headers.remove(name);
        }
        *response.headers_mut() = headers;
        *response.body_mut() = handed_back(answer.body).into();
        Ok(response)
    }
}

/// What is asked of the upstream: the path as it came, and the query without the caller's token.
fn target(uri: &Uri) -> Result<Uri, ApiError> {
    // The upstream's token may do more than what is asked for here. No server may take the path for another one.
    if uri.path().split('/').any(leads_elsewhere) {
        return Err(ApiError::bad_request("invalid-request", "The path of the request is ambiguous"));
    }
    let is_kept = |pair: &&str| {
        let name = form_urlencoded::parse(pair.as_bytes()).next().map(|(name, _)| name);
        !name.is_some_and(|name| name.eq_ignore_ascii_case(TOKEN_PARAMETER))
    };
    let kept: Vec<&str> = uri.query().unwrap_or_default().split('&').filter(is_kept).collect();
    let query = kept.join("&");
    let target = if query.is_empty() { uri.path().to_owned() } else { format!("{}?{query}", uri.path()) };
    target.parse().map_err(|_| ApiError::bad_request("invalid-request", "The path of the request is malformed"))
}

/// Whether some server might take a segment for one that leads upwards, or for another once it is decoded twice.
fn leads_elsewhere(segment: &str) -> bool {
    let decoded = percent_decode_str(segment).decode_utf8_lossy();
    decoded.contains(['%', ';']) || decoded.split(['/', '\\']).any(|piece| piece == "." || piece == "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_callers_token_is_taken_out_of_the_query_however_it_is_written() {
        for (given, passed) in [
            ("/v2/datasets", "/v2/datasets"),
            ("/v2/datasets?token=secret", "/v2/datasets"),
            ("/v2/datasets?a=1&token=secret&b=%20+", "/v2/datasets?a=1&b=%20+"),
            ("/v2/datasets?%74oken=secret&TOKEN=secret&token", "/v2/datasets"),
            ("/v2/datasets?tokens=1&atoken=2", "/v2/datasets?tokens=1&atoken=2"),
        ] {
            let uri: Uri = given.parse().expect("a URI");
            assert_eq!(target(&uri).expect(given).to_string(), passed, "{given}");
        }
    }

    #[test]
    fn no_path_can_be_taken_for_another() {
        for path in ["/v2/datasets/../acts", "/v2/datasets/%2e%2E/acts", "/v2/datasets/a%2f..%2f..", "/v2/datasets/."]
            .into_iter()
            .chain(["/v2/datasets/%252e%252e/acts", "/v2/datasets/..%5cacts", "/v2/datasets/..;/acts"])
        {
            assert!(target(&path.parse().expect("a URI")).is_err(), "{path}");
        }
        for path in ["/v2/datasets/jane~a..b/items", "/v2/datasets/jane%2Fshop", "/v2/request-queues/a/requests/..."] {
            assert!(target(&path.parse().expect("a URI")).is_ok(), "{path}");
        }
    }
}
