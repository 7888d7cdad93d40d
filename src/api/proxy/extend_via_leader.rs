//! Extension of expiry through the leader, for stores changed through this gateway, which writes no documents.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;

use crate::{
    kv::{self, Catalog, ExtendExpiry, StoreId},
    outbound::{LeaderClient, RpcOutcome},
};

/// Path of the leader's endpoint.
const PATH: &str = "/larder/v1/expiry-extensions";

/// Client that requests extensions of expiry from the leader.
#[derive(Debug)]
pub struct LeaderExtension {
    catalog: Arc<Catalog>,
    leader_client: Arc<LeaderClient>,
}

impl LeaderExtension {
    /// Returns a client that uses `leader_client`, and invalidates the stores that the leader wrote.
    pub fn new(catalog: Arc<Catalog>, leader_client: Arc<LeaderClient>) -> Self {
        Self { catalog, leader_client }
    }
}

#[async_trait]
impl ExtendExpiry for LeaderExtension {
    async fn extend(&self, id: StoreId) -> kv::Result<()> {
        let document = json!({ "store": id }).to_string().into_bytes();
        match self.leader_client.post(PATH, document).await.map_err(kv::Error::unavailable)? {
            RpcOutcome::Success => self.catalog.refresh(id).await,
            RpcOutcome::NotFound => Err(kv::Error::StoreNotFound),
            RpcOutcome::Failed(status) => Err(kv::Error::unavailable(format!(
                "cannot extend the expiry of a store: the leader responded with {status}"
            ))),
        }
    }
}
