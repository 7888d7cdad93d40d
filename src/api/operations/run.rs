//! From a call on a store to the operation that answers it.

use http::Response;

use crate::{
    api::{context::Context, error::ApiError, reply_body::ReplyBody, request::Request, store_route::StoreCall},
    auth::{Caller, Grant},
};

use super::{archive, keys, record_read, record_write, sharing, stores, view_link};

/// Does what is called for with the store of `grant`.
pub async fn run(
    context: &Context,
    grant: &Grant,
    caller: &Caller,
    call: StoreCall,
    request: Request<'_>,
) -> Result<Response<ReplyBody>, ApiError> {
    match call {
        StoreCall::Get => Ok(stores::get(context, grant)),
        StoreCall::Update => stores::update(context, grant, caller, request).await,
        StoreCall::Delete => stores::delete(context, grant, caller).await,
        StoreCall::ListKeys => keys::list(context, grant, &request).await,
        StoreCall::DownloadRecords => archive::download(context, grant, &request).await,
        StoreCall::GetRecord(key) => record_read::get(context, grant, &key?, &request).await,
        StoreCall::HeadRecord(key) => record_read::head(context, grant, &key?, &request).await,
        StoreCall::PutRecord(key) => record_write::put(context, grant, &key?, request).await,
        StoreCall::DeleteRecord(key) => record_write::delete(context, grant, &key?, &request).await,
        StoreCall::MakeViewLink => view_link::make(context, grant, request).await,
        StoreCall::GetAccess => sharing::get(context, grant).await,
        StoreCall::Share(user) => sharing::share(context, grant, caller, &user, request).await,
        StoreCall::Unshare(user) => sharing::unshare(context, grant, caller, &user).await,
        StoreCall::RotateSigningKey => sharing::rotate_signing_key(context, grant, caller).await,
        StoreCall::DirectUploadUrl(key) => {
            key?;
            Err(ApiError::unsupported_by_backend("there is nowhere to upload to without a detour"))
        }
    }
}
