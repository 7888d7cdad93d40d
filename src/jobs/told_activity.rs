//! Tells the keeper how stores have been used.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::Full;
use serde::Serialize;

use crate::{
    auth::Token,
    kv::{self, Catalog, StoreUse},
    peer::Peer,
};

use super::job::{Job, Report};

/// What a crash may cost of counters.
const INTERVAL: Duration = Duration::from_mins(1);

/// The most stores that are told of at once.
const MAX_STORES: usize = 1000;

/// Where the keeper is told.
const PATH: &str = "/larder/v1/activity";

/// Tells the keeper, which alone writes documents, how stores have been used through this gateway since the last run. A
/// batch whose answer is lost is told again, and may count twice.
#[derive(Debug)]
pub struct ToldActivity {
    catalog: Arc<Catalog>,
    keeper: Arc<Peer>,
    token: Token,
}

#[derive(Serialize)]
struct Batch<'a> {
    stores: &'a [StoreUse],
}

impl ToldActivity {
    /// A job that tells `keeper`, which knows `token` as the admin's.
    pub fn new(catalog: Arc<Catalog>, keeper: Arc<Peer>, token: Token) -> Self {
        Self { catalog, keeper, token }
    }

    async fn tell(&self, stores: &[StoreUse]) -> kv::Result<()> {
        let body = serde_json::to_vec(&Batch { stores }).map_err(|error| kv::Error::Corrupt(error.to_string()))?;
        let mut token = HeaderValue::try_from(format!("Bearer {}", self.token.reveal()))
            .map_err(|_| kv::Error::Unsupported("an admin token that a header cannot carry"))?;
        token.set_sensitive(true);
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from_static(PATH);
        request.headers_mut().insert(header::AUTHORIZATION, token);
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let mut answer = self.keeper.send(request).await.map_err(kv::Error::unavailable)?;
        match answer.head.status {
            StatusCode::NO_CONTENT => {
                // Read to its end, the connection serves the next batch.
                while answer.body.chunk().await.map_err(kv::Error::unavailable)?.is_some() {}
                Ok(())
            }
            status => Err(kv::Error::unavailable(format!("the keeper answers {status} to counters of stores' use"))),
        }
    }
}

#[async_trait]
impl Job for ToldActivity {
    fn name(&self) -> &'static str {
        "activity report"
    }

    fn interval(&self) -> Duration {
        INTERVAL
    }

    async fn run_once(&self) -> kv::Result<Report> {
        let used = self.catalog.pending_use();
        for batch in used.chunks(MAX_STORES) {
            self.tell(batch).await?;
            self.catalog.use_was_told(batch);
        }
        Ok(Report { worked_on: used.len() })
    }
}
