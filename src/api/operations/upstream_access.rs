//! Access to datasets and request queues: authorization of the caller, and translation to the upstream's paths.

use bytes::Bytes;
use http::{Response, request::Parts};
use http_body::Body;

use crate::{
    api::{
        context::Context,
        message::{error::ApiError, request::Query, response::ResponseBody},
        routing::route::ProxiedCall,
        upstream::is_read,
    },
    auth::{Caller, Denied, RunAction, UpstreamKind, authorize_upstream},
    storage::BoxError,
};

use super::runs;

/// Returns the upstream's response.
pub async fn forward<B>(
    context: &Context,
    caller: &Caller,
    call: &ProxiedCall,
    query: &Query<'_>,
    head: &Parts,
    body: B,
) -> Result<Response<ResponseBody>, ApiError>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let upstream = context.upstream.as_ref().ok_or_else(ApiError::upstream_not_configured)?;
    let path = match call {
        ProxiedCall::ByUpstreamId(kind, id) => {
            authorize_upstream(caller, *kind, id.as_deref()).map_err(ApiError::upstream_denied)?;
            head.uri.path().to_owned()
        }
        ProxiedCall::OfRun(choice, kind, rest) => {
            // A publicly readable run is read here; anonymous callers do not reach the upstream.
            if caller.session().is_none() {
                return Err(Denied::TokenRequired.into());
            }
            let action = if is_read(head) { RunAction::Read } else { RunAction::Report };
            let (run, _) = runs::authorize_call(context, caller, choice, action, query).await?;
            let id = match kind {
                UpstreamKind::Dataset => &run.dataset,
                UpstreamKind::RequestQueue => &run.request_queue,
            };
            format!("/v2/{}/{id}{rest}", kind.collection())
        }
    };
    upstream.forward(&path, head, body).await
}
