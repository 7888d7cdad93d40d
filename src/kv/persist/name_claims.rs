//! Claims of names: the objects that say which store owns a name.
//!
//! A store takes a name in three steps.
//!
//! 1. Pending name. A compare-and-swap of the store document sets `pendingName`. From now on a claim of this store for
//!    the name is valid.
//! 2. Claim. The claim object is created if absent, or replaced if it is still the stale claim that was read. Among
//!    several stores that want the name, this is the commit point: one of them wins.
//! 3. Name. A compare-and-swap of the store document turns `pendingName` into `name`: the commit point for the caller.
//!
//! A claim is valid as long as the document of its store, read afresh, has the name or wants it. Otherwise it is stale,
//! and a store that wants the name may replace it.
//!
//! *Conflict.* In steps 1 and 3 the change is applied again to the new version of the document. In step 2 another store
//! has claimed the name. A store that was being created gets a tombstone, and the request starts over. For a rename the
//! claim and its store are read again; if that claim is valid, the name is taken.
//!
//! *Crash.* After step 1 or 2 the store wants a name that it does not have. A request that creates a store of that name
//! completes the naming of a store in the phase `Creating`, and undoes a rename. Otherwise the reconciler undoes the
//! rename, and deletes a store that is still `Creating` after an hour.
//!
//! *Release.* No request deletes a claim. The reconciler deletes it an hour after the store has left the name, when no
//! request can still be writing it, with `If-Match` on the version that it read.
//!
//! A claim is always written, and never assumed, even if it names the store already:
//!
//! ```text
//! A  renames s1: a -> b, and back: b -> a            B  creates "a"
//!    document: pendingName a                            reads claim a -> s1, and s1's document: named b. Stale.
//!    reads claim a -> s1: "mine already"                replaces it, If-Match: a -> s2
//!    document: name a                                   two stores are named a
//! ```
//!
//! So A also writes the claim, with `If-Match` on the version that it read: one of the two writes fails.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    clock::Random,
    kv::model::{
        errors::{Error, Result},
        ids::{StoreId, UserId},
    },
    storage::{self, ETag, GetOptions, ObjectStore, Precondition},
};

use super::{
    object_keys,
    repository::{is_ambiguous, put_metadata},
    store_metadata::nonce,
};

/// Maximum size of a claim in bytes.
const MAX_CLAIM_BYTES: u64 = 4 * 1024;

/// The current claim of a name.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The store that claims the name.
    pub store_id: StoreId,
    /// ETag that a take-over must match.
    pub etag: ETag,
}

/// The claim as it is stored.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredClaim {
    store_id: StoreId,
    /// Fresh with every write, so no two claims share an ETag.
    nonce: String,
}

/// The claims of all names.
#[derive(Debug)]
pub struct Claims {
    objects: Arc<dyn ObjectStore>,
    random: Arc<dyn Random>,
}

impl Claims {
    /// Returns the claims in `objects`.
    pub fn new(objects: Arc<dyn ObjectStore>, random: Arc<dyn Random>) -> Self {
        Self { objects, random }
    }

    /// Reads the current claim of a name. One read.
    pub async fn read(&self, owner: &UserId, folded: &str) -> Result<Option<Claim>> {
        let object = match self.objects.get(&object_keys::name(owner, folded), GetOptions::default()).await {
            Ok(object) => object,
            Err(storage::Error::NotFound) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let damaged = |what: &dyn std::fmt::Display| Error::Corrupt(format!("the claim of name {folded:?}: {what}"));
        let bytes = object.body.into_bytes(MAX_CLAIM_BYTES).await.map_err(|error| damaged(&error))?;
        let StoredClaim { store_id, .. } = serde_json::from_slice(&bytes).map_err(|error| damaged(&error))?;
        Ok(Some(Claim { store_id, etag: object.meta.etag }))
    }

    /// Claims a name, replacing `seen`, for a store whose document already names it as pending. Returns whether
    /// that succeeded; it fails if another writer's claim came first.
    pub async fn claim(&self, owner: &UserId, folded: &str, id: StoreId, seen: Option<&Claim>) -> Result<bool> {
        let precondition = seen.map_or(Precondition::IfAbsent, |claim| Precondition::IfMatch(claim.etag.clone()));
        let claim = StoredClaim { store_id: id, nonce: nonce(self.random.as_ref()) };
        let bytes = serde_json::to_vec(&claim).map_err(|error| Error::Corrupt(error.to_string()))?;
        match put_metadata(self.objects.as_ref(), &object_keys::name(owner, folded), bytes, precondition).await {
            Ok(_) => Ok(true),
            Err(error) if is_ambiguous(&error) => {
                let lost = matches!(error, storage::Error::Precondition);
                match self.read(owner, folded).await? {
                    // A claim for this store other than the one seen before: ours, or that of a gateway that
                    // completed it.
                    Some(now) if now.store_id == id && seen.is_none_or(|seen| seen.etag != now.etag) => Ok(true),
                    _ if lost => Ok(false),
                    _ => Err(error.into()),
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Removes the claim of a store that is gone for good, if the store still holds it.
    pub async fn release_if_held(&self, owner: &UserId, folded: &str, id: StoreId) -> Result<()> {
        match self.read(owner, folded).await?.filter(|claim| claim.store_id == id) {
            Some(claim) => self.release(owner, folded, claim).await,
            None => Ok(()),
        }
    }

    /// Removes a claim if it is still the version that was read.
    pub async fn release(&self, owner: &UserId, folded: &str, claim: Claim) -> Result<()> {
        match self.objects.delete(&object_keys::name(owner, folded), Precondition::IfMatch(claim.etag)).await {
            // A claim that cannot be removed safely stays: the next store that wants the name takes it over.
            Ok(()) | Err(storage::Error::Precondition | storage::Error::Unsupported(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
