//! Dispatch of calls on a store to their operations.

use http::Response;

use crate::{
    api::{context::Context, error::ApiError, reply_body::ReplyBody, request::Request, store_route::StoreCall},
    auth::{Caller, Grant},
};

use super::{archive, keys, record_read, record_write, sharing, stores, usage, view_link};

/// Performs the call on the store of `grant`.
///
/// Rare and large branches are boxed: the future of every request is as large as its largest unboxed branch, and is
/// moved several times before it is first polled.
pub async fn run(
    context: &Context,
    grant: &Grant,
    caller: &Caller,
    call: StoreCall,
    request: Request<'_>,
) -> Result<Response<ReplyBody>, ApiError> {
    match call {
        StoreCall::Get => Ok(stores::get(context, grant)),
        StoreCall::Update => Box::pin(stores::update(context, grant, caller, request)).await,
        StoreCall::Delete => Box::pin(stores::delete(context, grant, caller)).await,
        StoreCall::ListKeys => keys::list(context, grant, &request).await,
        StoreCall::DownloadRecords => Box::pin(archive::download(context, grant, &request)).await,
        StoreCall::GetRecord(key) => record_read::get(context, grant, &key?, &request).await,
        StoreCall::HeadRecord(key) => record_read::head(context, grant, &key?, &request).await,
        StoreCall::PutRecord(key) => Box::pin(record_write::put(context, grant, &key?, request)).await,
        StoreCall::DeleteRecord(key) => Box::pin(record_write::delete(context, grant, &key?, &request)).await,
        StoreCall::MakeViewLink => view_link::make(context, grant, request).await,
        StoreCall::GetUsage => Ok(usage::of_store(context, grant)),
        StoreCall::GetAccess => sharing::get(context, grant).await,
        StoreCall::Share(user) => Box::pin(sharing::share(context, grant, caller, &user, request)).await,
        StoreCall::Unshare(user) => Box::pin(sharing::unshare(context, grant, caller, &user, &request)).await,
        StoreCall::RotateSigningKey => Box::pin(sharing::rotate_signing_key(context, grant, caller)).await,
        StoreCall::DirectUploadUrl(key) => {
            key?;
            Err(ApiError::unserved("a record is uploaded by PUT to its own path, and not to an object store"))
        }
    }
}
