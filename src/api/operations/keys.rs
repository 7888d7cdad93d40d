//! Lists of keys.

use std::borrow::Cow;

use http::{Response, StatusCode};

use crate::{
    api::{
        context::Context,
        envelope::{Data, KeyItem, KeyList},
        error::ApiError,
        query::Query,
        reply,
        reply_body::ReplyBody,
        request::Request,
    },
    auth::{Grant, signature},
    kv::{KeyQuery, RecordKey},
    storage::MAX_LIST_KEYS,
};

/// Returns a page of a store's keys.
pub async fn list(context: &Context, grant: &Grant, request: &Request<'_>) -> Result<Response<ReplyBody>, ApiError> {
    let start = request.query.text("exclusiveStartKey").map(Cow::into_owned);
    let limit = request.query.limit(MAX_LIST_KEYS)?;
    let query = KeyQuery { exclusive_start_key: start.clone(), limit, ..filters(&request.query) };
    let page = context.records.list_keys(grant.store(), &query).await?;

    let id = &grant.store().document.id;
    let signing_key = context.record_signing_key(grant);
    let items: Vec<KeyItem> = page
        .keys
        .into_iter()
        .map(|listed| {
            let key: Option<RecordKey> = listed.key.parse().ok();
            let signature =
                signing_key.as_deref().zip(key).and_then(|(secret, key)| signature::record(secret, id, &key));
            let record_public_url = context.links.record(id, &listed.key, signature.as_deref());
            KeyItem { key: listed.key, size: listed.size, record_public_url }
        })
        .collect();
    let last_key = items.last().map(|item| item.key.clone());
    let list = KeyList {
        count: items.len(),
        limit,
        exclusive_start_key: start,
        is_truncated: page.is_truncated,
        next_exclusive_start_key: last_key.filter(|_| page.is_truncated),
        items,
    };
    Ok(reply::json(StatusCode::OK, &Data { data: list }))
}

/// Returns the requested filters of keys, without start and limit.
pub fn filters(query: &Query<'_>) -> KeyQuery {
    KeyQuery {
        prefix: query.text("prefix").map(Cow::into_owned),
        collection: query.text("collection").map(Cow::into_owned),
        exclusive_start_key: None,
        limit: MAX_LIST_KEYS,
    }
}
