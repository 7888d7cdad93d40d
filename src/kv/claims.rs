//! Claims of names: which store has a name.
//!
//! A store says in its own document that it is about to have a name, then writes a claim, then says that it has it. A
//! claim is always written, never assumed, and never removed by a request: one whose store does not want the name any
//! more is stale. A store that wants the name takes it over, on condition that the claim is still the one it read. Else it is
//! released an hour later, when no request can still be writing it.
//!
//! ```text
//! A  renames s1: a -> b, and back: b -> a            B  creates "a"
//!    document: pendingName a                            reads claim a -> s1, and s1's document: named b. Stale.
//!    reads claim a -> s1: "mine already"                takes it over, If-Match: a -> s2
//!    document: name a                                   two stores are named a
//! ```
//!
//! This is why A, too, writes the claim, If-Match what he read: one of the two writes fails.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    clock::Random,
    storage::{self, ETag, GetOptions, ObjectStore, Precondition},
};

use super::{
    control::put_control,
    document::nonce,
    documents::leaves_doubt,
    error::{Error, Result},
    id::{StoreId, UserId},
    layout,
};

/// The most bytes of a claim.
const MAX_CLAIM_BYTES: u64 = 4 * 1024;

/// A claim as it stands.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The store that claims the name.
    pub store_id: StoreId,
    /// What a take-over must match.
    pub etag: ETag,
}

/// The claim as it is stored.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredClaim {
    store_id: StoreId,
    /// Fresh with every write, so that no two claims have one validator.
    nonce: String,
}

/// The claims of all names.
#[derive(Debug)]
pub struct Claims {
    objects: Arc<dyn ObjectStore>,
    random: Arc<dyn Random>,
}

impl Claims {
    /// The claims in `objects`.
    pub fn new(objects: Arc<dyn ObjectStore>, random: Arc<dyn Random>) -> Self {
        Self { objects, random }
    }

    /// The claim of a name as it is now. One read.
    pub async fn read(&self, owner: &UserId, folded: &str) -> Result<Option<Claim>> {
        let object = match self.objects.get(&layout::name(owner, folded), GetOptions::default()).await {
            Ok(object) => object,
            Err(storage::Error::NotFound) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let damaged = |what: &dyn std::fmt::Display| Error::Corrupt(format!("the claim of name {folded:?}: {what}"));
        let bytes = object.body.into_bytes(MAX_CLAIM_BYTES).await.map_err(|error| damaged(&error))?;
        let StoredClaim { store_id, .. } = serde_json::from_slice(&bytes).map_err(|error| damaged(&error))?;
        Ok(Some(Claim { store_id, etag: object.meta.etag }))
    }

    /// Claims a name for a store that has said in its document that it is about to have it, in place of `seen`; whether
    /// that succeeded. It fails when somebody else's claim came first.
    pub async fn claim(&self, owner: &UserId, folded: &str, id: StoreId, seen: Option<&Claim>) -> Result<bool> {
        let precondition = seen.map_or(Precondition::IfAbsent, |claim| Precondition::IfMatch(claim.etag.clone()));
        let claim = StoredClaim { store_id: id, nonce: nonce(self.random.as_ref()) };
        let bytes = serde_json::to_vec(&claim).map_err(|error| Error::Corrupt(error.to_string()))?;
        match put_control(self.objects.as_ref(), &layout::name(owner, folded), bytes, precondition).await {
            Ok(_) => Ok(true),
            Err(error) if leaves_doubt(&error) => {
                let lost = matches!(error, storage::Error::Precondition);
                match self.read(owner, folded).await? {
                    // A claim for this store that is not the one seen before: ours, or that of a gateway that helped.
                    Some(now) if now.store_id == id && seen.is_none_or(|seen| seen.etag != now.etag) => Ok(true),
                    _ if lost => Ok(false),
                    _ => Err(error.into()),
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Removes the claim of a store that is gone for good, if it is still the store's.
    pub async fn forget(&self, owner: &UserId, folded: &str, id: StoreId) -> Result<()> {
        match self.read(owner, folded).await?.filter(|claim| claim.store_id == id) {
            Some(claim) => self.release(owner, folded, claim).await,
            None => Ok(()),
        }
    }

    /// Removes a claim, if it is still the one that was read.
    pub async fn release(&self, owner: &UserId, folded: &str, claim: Claim) -> Result<()> {
        match self.objects.delete(&layout::name(owner, folded), Precondition::IfMatch(claim.etag)).await {
            // A claim that cannot be removed safely stays: whoever wants the name takes it over.
            Ok(()) | Err(storage::Error::Precondition | storage::Error::Unsupported(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
