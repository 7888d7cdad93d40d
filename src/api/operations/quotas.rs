//! Checks of quotas.
//!
//! Usage is counted in the background, so a quota may be exceeded by what is written until the next count. Operations
//! that free space are always allowed; so are overwrites of existing records where the number of records is limited.

use crate::{
    api::{context::Context, message::error::ApiError},
    auth::{Grant, User},
    kv::{self, RecordKey},
};

/// Checks whether a user may have one more store.
pub async fn check_store_quota(context: &Context, user: &User) -> Result<(), ApiError> {
    let Some(limit) = user.quota.or(context.config.quota).stores else { return Ok(()) };
    let stores = context.catalog.count(user.id).await? as u64;
    if stores < limit {
        return Ok(());
    }
    Err(ApiError::quota_exceeded(format!("User {} has {stores} stores, of at most {limit}", user.username)))
}

/// Checks whether a record of `length` bytes, if known, may be written into the store of `grant`.
pub async fn check_record_quota(
    context: &Context,
    grant: &Grant,
    key: &RecordKey,
    length: Option<u64>,
) -> Result<(), ApiError> {
    let quota = grant.owner().quota.or(context.config.quota);
    if quota.is_empty() {
        return Ok(());
    }
    let (id, owner) = (grant.store().document.id, grant.owner());
    let contents = grant.store().document.contents;
    let (records, bytes) = contents.map_or((0, 0), |contents| (contents.records, contents.bytes));
    let of_store = format!("Key-value Store {id}");
    check_limit(&of_store, "bytes", bytes, length, quota.store_bytes)?;
    let mut is_full = check_limit(&of_store, "records", records, None, quota.store_records);
    if quota.bytes.is_some() || quota.records.is_some() {
        let usage = context.catalog.usage(owner.id).await?;
        let of_user = format!("User {}", owner.username);
        check_limit(&of_user, "bytes", usage.bytes, length, quota.bytes)?;
        is_full = is_full.and(check_limit(&of_user, "records", usage.records, None, quota.records));
    }
    let Err(full) = is_full else { return Ok(()) };
    // Overwriting adds no record.
    match context.records.head(grant.store(), key).await {
        Ok(_) => Ok(()),
        Err(kv::Error::RecordNotFound) => Err(full),
        Err(error) => Err(error.into()),
    }
}

/// Checks that `whose` usage is below the limit, if there is one, and that `added` alone does not exceed it.
fn check_limit(whose: &str, things: &str, has: u64, added: Option<u64>, limit: Option<u64>) -> Result<(), ApiError> {
    match limit {
        Some(limit) if has >= limit => {
            Err(ApiError::quota_exceeded(format!("{whose} has {has} {things}, of at most {limit}")))
        }
        Some(limit) if added.is_some_and(|added| added > limit) => {
            Err(ApiError::quota_exceeded(format!("{whose} may have at most {limit} {things}")))
        }
        Some(_) | None => Ok(()),
    }
}
