//! Stores: list, create, get, change, delete; and the dispatch of all calls on one store.
//!
//! # Access of others
//!
//! Rights of users, and links that open a record or the content of a store for some minutes, are additions to the
//! platform's API.
//!
//! A browser that opens a resource by itself (an image, a film, a download) sends no token. A caller who may read gets
//! a signature instead, valid for one resource and a short time, also without the right to sign permanent links.

use std::{borrow::Cow, sync::Arc, time::Duration};

use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    api::{
        audit,
        context::Context,
        message::{
            error::ApiError,
            request::Request,
            response::{self, ResponseBody},
        },
        routing::routes::StoreCall,
    },
    auth::{
        AccountAction, AccountGrant, Action, Addressed, Caller, Denied, Grant, User, authorize, authorize_account,
        signature,
    },
    clock::Timestamp,
    kv::{
        GeneralAccess, NewStore, Patch, RecordKey, Retention, Right, Schema, StoreId, StoreLocator, StoreName,
        StoreQuery, StoreSnapshot, StoreUpdate, UserId,
    },
};

use super::{
    accounts, archive, json_body, records,
    responses::{Data, StoreList, StoreObject},
    usage,
};

/// Maximum number of stores on a page.
const MAX_STORES: usize = 1000;

/// Maximum number of characters of a title.
const MAX_TITLE_LENGTH: usize = 1000;

/// Returns a page of the stores that the caller may list.
pub async fn list(
    context: &Context,
    account: &AccountGrant,
    caller: &Caller,
    request: &Request<'_>,
) -> Result<Response<ResponseBody>, ApiError> {
    let query = &request.query;
    let wanted = StoreQuery {
        unnamed: query.flag("unnamed"),
        descending: query.flag("desc"),
        offset: query.offset()?,
        limit: query.limit(MAX_STORES)?,
        search: query.text("search").map(Cow::into_owned),
    };
    let (total, stores) = match query.text("ownership").as_deref() {
        None => everything(context, account.user().id, &wanted).await?,
        Some("ownedByMe") => {
            let page = context.catalog.list(account.user().id, &wanted).await?;
            (page.total, page.stores)
        }
        Some("sharedWithMe") => page_of(context.shared.list(&account.user().id).await?, &wanted),
        Some(_) => {
            let message = "Invalid value of parameter ownership: it must be one of ownedByMe, sharedWithMe";
            return Err(ApiError::bad_request("param-not-one-of", message));
        }
    };
    let mut grants = Vec::with_capacity(stores.len());
    for store in stores {
        grants.push(listed(context, account, caller, store).await?);
    }
    let items: Vec<_> = grants.iter().map(|grant| StoreObject::new(context, grant)).collect();
    let StoreQuery { unnamed, descending: desc, offset, limit, search: _ } = wanted;
    let list = StoreList { total, offset, limit, count: items.len(), desc, unnamed, items };
    Ok(response::json(StatusCode::OK, &Data { data: list }))
}

/// Returns a page of a user's own stores and of those shared with the user, merged in the order of creation.
async fn everything(
    context: &Context,
    user: UserId,
    wanted: &StoreQuery,
) -> Result<(usize, Vec<Arc<StoreSnapshot>>), ApiError> {
    let mut shared = context.shared.list(&user).await?;
    shared.retain(|store| wanted.matches(store));
    // At most all shared stores come before an own one: the page consists of these, and of the own ones from this
    // offset on.
    let offset = wanted.offset.saturating_sub(shared.len());
    let before = wanted.offset - offset;
    let own = StoreQuery { offset, limit: wanted.limit + before, ..wanted.clone() };
    let own = context.catalog.list(user, &own).await?;
    let total = own.total + shared.len();
    let mut stores = own.stores;
    stores.append(&mut shared);
    stores.sort_by_key(|store| (store.document.created_at, store.document.id));
    if wanted.descending {
        stores.reverse();
    }
    Ok((total, stores.into_iter().skip(before).take(wanted.limit).collect()))
}

/// Returns the requested page of `stores`, which are in the order of creation, and the number of matching stores.
fn page_of(mut stores: Vec<Arc<StoreSnapshot>>, wanted: &StoreQuery) -> (usize, Vec<Arc<StoreSnapshot>>) {
    stores.retain(|store| wanted.matches(store));
    if wanted.descending {
        stores.reverse();
    }
    (stores.len(), stores.into_iter().skip(wanted.offset).take(wanted.limit).collect())
}

/// Returns the permission to show a store in a list. A caller who may list sees the store; parts that the token does
/// not permit, such as the key that signs its links, are omitted.
async fn listed(
    context: &Context,
    account: &AccountGrant,
    caller: &Caller,
    store: Arc<StoreSnapshot>,
) -> Result<Grant, ApiError> {
    let owner = context.owner(caller, &store).await?;
    Ok(account.listing(caller, store, owner)?)
}

/// Creates a store, or gets the one of that name.
pub async fn create(
    context: &Context,
    caller: &Caller,
    request: Request<'_>,
) -> Result<Response<ResponseBody>, ApiError> {
    let name = request.query.text("name").map(Cow::into_owned);
    let session = authorize_account(caller, AccountAction::ReadUser)?;
    let mut body =
        json_body::read_object(context, request, &session, &["name", "title", "schema", "retentionDays"]).await?;
    let name = match name {
        Some(name) => Some(parse_name(&name)?),
        None => match parse_name_update(&body)? {
            Patch::Set(name) => Some(name),
            Patch::Keep | Patch::Clear => None,
        },
    };
    let title = match parse_title(&body)? {
        Patch::Set(title) => Some(title),
        Patch::Keep | Patch::Clear => None,
    };
    let schema = match body.remove("schema") {
        None | Some(Value::Null) => None,
        Some(schema) => Some(Schema::parse(schema).map_err(crate::kv::Error::from)?),
    };
    let retention = match parse_retention(&body)? {
        Patch::Set(retention) => Some(retention),
        Patch::Keep | Patch::Clear => None,
    };
    let user = session.user();
    let admitted = match authorize_account(caller, AccountAction::CreateStore) {
        Ok(account) => accounts::check_store_quota(context, user).await.map(|()| account),
        Err(denied) => Err(denied.into()),
    };
    let account = match (admitted, name.clone()) {
        (Ok(account), _) => account,
        // A caller who may read the store by its name gets it, even if the caller could not have created it. Any other
        // caller gets the same error, whether or not such a store exists.
        (Err(refusal), Some(name)) => match context.catalog.resolve(&StoreLocator::Name(user.id, name)).await {
            Ok(found) => {
                return show(context, caller, StatusCode::OK, found, Addressed::ByName).await.map_err(|_| refusal);
            }
            Err(_) => return Err(refusal),
        },
        (Err(refusal), None) => return Err(refusal),
    };
    let (owner, new) = account.creation(NewStore { name, title, schema, retention, ..NewStore::default() });
    let created = context.catalog.create(owner, new).await?;
    // An existing store was found by its name, and is authorized as addressed by name.
    let (status, addressed) =
        if created.is_new { (StatusCode::CREATED, Addressed::ById) } else { (StatusCode::OK, Addressed::ByName) };
    let location = context.links.store(&created.store.document.id);
    let mut response = show(context, caller, status, created.store, addressed).await?;
    if created.is_new {
        response.headers_mut().extend(HeaderValue::try_from(location).ok().map(|link| (header::LOCATION, link)));
    }
    Ok(response)
}

/// Returns a store's object.
pub fn get(context: &Context, grant: &Grant) -> Response<ResponseBody> {
    context.catalog.count_store_read(grant.store());
    response::json(StatusCode::OK, &Data { data: StoreObject::new(context, grant) })
}

/// Changes a store's settings.
pub async fn update(
    context: &Context,
    grant: &Grant,
    caller: &Caller,
    request: Request<'_>,
) -> Result<Response<ResponseBody>, ApiError> {
    let body =
        json_body::read_object(context, request, grant, &["name", "title", "generalAccess", "retentionDays"]).await?;
    let update = StoreUpdate {
        name: parse_name_update(&body)?,
        title: parse_title(&body)?,
        general_access: parse_access(&body)?,
        retention: parse_retention(&body)?,
        ..StoreUpdate::default()
    };
    if update.general_access.is_some() && !grant.may_manage() {
        return Err(Denied::Insufficient.into());
    }
    let (name, access) = (update.name.clone(), update.general_access);
    let store = context.catalog.update(grant.store().document.id, update).await?;
    if name != Patch::Keep || access.is_some() {
        let name = match &name {
            Patch::Keep => None,
            Patch::Clear => Some(""),
            Patch::Set(name) => Some(name.as_str()),
        };
        let (id, general_access) = (Some(&store.document.id), access.map(GeneralAccess::as_str));
        let details = audit::Details { store: id, name, general_access, ..audit::Details::default() };
        audit::log(caller, audit::Action::StoreUpdate, &details);
    }
    let grant = grant.rebind(store)?;
    Ok(response::json(StatusCode::OK, &Data { data: StoreObject::new(context, &grant) }))
}

/// Deletes a store.
pub async fn delete(context: &Context, grant: &Grant, caller: &Caller) -> Result<Response<ResponseBody>, ApiError> {
    context.catalog.delete(grant.store().document.id).await?;
    let details = audit::Details { store: Some(&grant.store().document.id), ..audit::Details::default() };
    audit::log(caller, audit::Action::StoreDelete, &details);
    Ok(response::empty(StatusCode::NO_CONTENT))
}

async fn show(
    context: &Context,
    caller: &Caller,
    status: StatusCode,
    store: Arc<StoreSnapshot>,
    addressed: Addressed,
) -> Result<Response<ResponseBody>, ApiError> {
    let owner = context.owner(caller, &store).await?;
    let grant = authorize(caller, Action::ReadStore, store, owner, addressed, false)?;
    Ok(response::json(status, &Data { data: StoreObject::new(context, &grant) }))
}

fn parse_name(name: &str) -> Result<StoreName, ApiError> {
    name.parse().map_err(|invalid| crate::kv::Error::InvalidName(invalid).into())
}

/// Returns the change of the name in a body.
fn parse_name_update(body: &Map<String, Value>) -> Result<Patch<StoreName>, ApiError> {
    Ok(match parse_text(body, "name")? {
        Patch::Keep => Patch::Keep,
        Patch::Clear => Patch::Clear,
        Patch::Set(name) => Patch::Set(parse_name(name)?),
    })
}

/// Returns the change of the title in a body.
fn parse_title(body: &Map<String, Value>) -> Result<Patch<String>, ApiError> {
    Ok(match parse_text(body, "title")? {
        Patch::Keep => Patch::Keep,
        Patch::Clear => Patch::Clear,
        Patch::Set(title) if title.chars().count() <= MAX_TITLE_LENGTH => Patch::Set(title.to_owned()),
        Patch::Set(_) => {
            let message = format!("Invalid value provided: title can have at most {MAX_TITLE_LENGTH} characters");
            return Err(ApiError::bad_request("invalid-value", message));
        }
    })
}

/// Returns the `generalAccess` of a body; null is the default.
pub fn parse_access(body: &Map<String, Value>) -> Result<Option<GeneralAccess>, ApiError> {
    match body.get("generalAccess") {
        None => Ok(None),
        Some(Value::Null) => Ok(Some(GeneralAccess::default())),
        Some(value) => serde_json::from_value(value.clone()).map(Some).map_err(|_| {
            let names = GeneralAccess::NAMES.join(", ");
            let message = format!("Invalid value provided: generalAccess must be one of {names}");
            ApiError::bad_request("invalid-value", message)
        }),
    }
}

/// Returns the `retentionDays` of a body (an addition to the platform's API): a number of days, fractions allowed.
fn parse_retention(body: &Map<String, Value>) -> Result<Patch<Retention>, ApiError> {
    match body.get("retentionDays") {
        None => Ok(Patch::Keep),
        Some(Value::Null) => Ok(Patch::Clear),
        Some(value) => value.as_f64().and_then(Retention::from_days).map(Patch::Set).ok_or_else(|| {
            let longest = Retention::MAX.as_days();
            let message = format!(
                "Invalid value provided: retentionDays must be a number of days, from a second to {longest} days"
            );
            ApiError::bad_request("invalid-value", message)
        }),
    }
}

/// Returns a member of a body that is a text or null.
fn parse_text<'a>(body: &'a Map<String, Value>, member: &str) -> Result<Patch<&'a str>, ApiError> {
    match body.get(member) {
        None => Ok(Patch::Keep),
        Some(Value::Null) => Ok(Patch::Clear),
        Some(Value::String(text)) => Ok(Patch::Set(text)),
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            let message = format!("Invalid value provided: {member} must be a string or null");
            Err(ApiError::bad_request("invalid-value", message))
        }
    }
}

/// Performs the call on the store of `grant`.
///
/// Rare and large branches are boxed: the future of every request is as large as its largest unboxed branch, and is
/// moved several times before it is first polled.
pub async fn dispatch(
    context: &Context,
    grant: &Grant,
    caller: &Caller,
    call: StoreCall,
    request: Request<'_>,
) -> Result<Response<ResponseBody>, ApiError> {
    match call {
        StoreCall::Get => Ok(get(context, grant)),
        StoreCall::Update => Box::pin(update(context, grant, caller, request)).await,
        StoreCall::Delete => Box::pin(delete(context, grant, caller)).await,
        StoreCall::ListKeys => records::list_keys(context, grant, &request).await,
        StoreCall::DownloadRecords => Box::pin(archive::download(context, grant, &request)).await,
        StoreCall::GetRecord(key) => records::get(context, grant, &key?, &request).await,
        StoreCall::HeadRecord(key) => records::head(context, grant, &key?, &request).await,
        StoreCall::PutRecord(key) => Box::pin(records::put(context, grant, &key?, request)).await,
        StoreCall::DeleteRecord(key) => Box::pin(records::delete(context, grant, &key?, &request)).await,
        StoreCall::MakeViewLink => make_view_link(context, grant, request).await,
        StoreCall::GetUsage => Ok(usage::store(context, grant)),
        StoreCall::GetAccess => get_access(context, grant).await,
        StoreCall::Share(user) => Box::pin(share(context, grant, caller, &user, request)).await,
        StoreCall::Unshare(user) => Box::pin(unshare(context, grant, caller, &user, &request)).await,
        StoreCall::RotateSigningKey => Box::pin(rotate_signing_key(context, grant, caller)).await,
        StoreCall::DirectUploadUrl(key) => {
            key?;
            Err(ApiError::not_served("a record is uploaded by PUT to its own path, and not to an object store"))
        }
    }
}

/// Access rights on a store.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AccessObject {
    general_access: GeneralAccess,
    users: Vec<SharedWith>,
    /// True if this change has revoked all links to the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    links_revoked: Option<bool>,
}

/// Right of one user.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SharedWith {
    user_id: UserId,
    /// `None` if the user no longer exists.
    username: Option<String>,
    right: Right,
}

/// Returns the access rights.
async fn get_access(context: &Context, grant: &Grant) -> Result<Response<ResponseBody>, ApiError> {
    access_response(context, grant.store(), None).await
}

/// Gives a user a right. Revokes all links to the store if the user thereby loses the right to write, unless
/// `?keepLinks=1` is set.
async fn share(
    context: &Context,
    grant: &Grant,
    caller: &Caller,
    user: &str,
    request: Request<'_>,
) -> Result<Response<ResponseBody>, ApiError> {
    let keep_links = request.query.flag("keepLinks");
    let body = json_body::read_object(context, request, grant, &["right"]).await?;
    let right: Option<Right> = body.get("right").and_then(|right| serde_json::from_value(right.clone()).ok());
    let right = right.ok_or_else(|| {
        let names = Right::NAMES.join(", ");
        ApiError::bad_request("invalid-value", format!("Invalid value provided: right must be one of {names}"))
    })?;
    let user = context.user(user).await?;
    if user.id == grant.owner().id {
        return Err(ApiError::bad_request("invalid-value", "Invalid value provided: the store is this user's own"));
    }
    let store = grant.store().document.id;
    context.shared.insert(&user.id, &store).await?;
    let response = change(context, grant, caller, (&user, Some(right)), keep_links).await?;
    // Again: a concurrent call that revoked the right may have deleted the entry meanwhile.
    context.shared.insert(&user.id, &store).await?;
    Ok(response)
}

/// Revokes a user's right. Revokes all links to the store if the user could write, unless `?keepLinks=1` is set.
async fn unshare(
    context: &Context,
    grant: &Grant,
    caller: &Caller,
    user: &str,
    request: &Request<'_>,
) -> Result<Response<ResponseBody>, ApiError> {
    let user = context.user(user).await?;
    let response = change(context, grant, caller, (&user, None), request.query.flag("keepLinks")).await?;
    context.shared.remove(&user.id, &grant.store().document.id).await?;
    Ok(response)
}

/// Revokes all signed links of a store.
async fn rotate_signing_key(
    context: &Context,
    grant: &Grant,
    caller: &Caller,
) -> Result<Response<ResponseBody>, ApiError> {
    let update = StoreUpdate { rotate_signing_key: true, ..StoreUpdate::default() };
    let store = context.catalog.update(grant.store().document.id, update).await?;
    log_revoked_links(caller, &store.document.id);
    let grant = grant.rebind(store)?;
    Ok(response::json(StatusCode::OK, &Data { data: StoreObject::new(context, &grant) }))
}

async fn change(
    context: &Context,
    grant: &Grant,
    caller: &Caller,
    (user, right): (&User, Option<Right>),
    keep_links: bool,
) -> Result<Response<ResponseBody>, ApiError> {
    let update = StoreUpdate { share: Some((user.id, right)), keep_links, ..StoreUpdate::default() };
    let store = context.catalog.update(grant.store().document.id, update).await?;
    let (user, id, right) = (Some(&user.username), Some(&store.document.id), Some(right.map_or("none", Right::as_str)));
    let details = audit::Details { user, store: id, right, ..audit::Details::default() };
    audit::log(caller, audit::Action::StoreShare, &details);
    let links_revoked = store.document.signing_key_version != grant.store().document.signing_key_version;
    if links_revoked {
        log_revoked_links(caller, &store.document.id);
    }
    access_response(context, &store, Some(links_revoked)).await
}

fn log_revoked_links(caller: &Caller, store: &StoreId) {
    let details = audit::Details { store: Some(store), ..audit::Details::default() };
    audit::log(caller, audit::Action::StoreRevokeLinks, &details);
}

async fn access_response(
    context: &Context,
    store: &Arc<StoreSnapshot>,
    links_revoked: Option<bool>,
) -> Result<Response<ResponseBody>, ApiError> {
    let mut users = Vec::with_capacity(store.document.shares.len());
    for (user_id, right) in store.document.shares.iter() {
        let username = context.users.by_id(user_id).await?.map(|user| user.username.to_string());
        users.push(SharedWith { user_id: *user_id, username, right });
    }
    let access = AccessObject { general_access: store.document.general_access, users, links_revoked };
    Ok(response::json(StatusCode::OK, &Data { data: access }))
}

/// Default lifetime of such a link, and its maximum for callers who may not sign links.
const DEFAULT_VIEW_LINK_LIFETIME: Duration = Duration::from_mins(15);

/// Maximum lifetime of a link: that of an unchanged store.
const MAX_VIEW_LINK_LIFETIME: Duration = Duration::from_hours(366 * 24);

/// A link that expires.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ViewLink {
    /// The link, at the public address.
    url: String,
    /// Its signature, for clients that reach this server at another address.
    signature: String,
    /// Time of expiry.
    expires_at: Timestamp,
}

/// Creates a link to the record that `key` of the body names, or else to the list of keys and the ZIP file.
async fn make_view_link(
    context: &Context,
    grant: &Grant,
    request: Request<'_>,
) -> Result<Response<ResponseBody>, ApiError> {
    let body = json_body::read_object(context, request, grant, &["key", "lifetimeSecs"]).await?;
    let key: Option<RecordKey> = match body.get("key") {
        None | Some(Value::Null) => None,
        Some(Value::String(key)) => Some(key.parse()?),
        Some(_) => {
            return Err(ApiError::bad_request("invalid-value", "Invalid value provided: key must be a string"));
        }
    };
    let document = &grant.store().document;
    let signing_key = context.secrets.signing_key(&document.id, document.signing_key_version);
    let longest = if grant.may_write() { MAX_VIEW_LINK_LIFETIME } else { DEFAULT_VIEW_LINK_LIFETIME };
    let expires_at = context.clock.now().plus(lifetime(body.get("lifetimeSecs"), longest)?);
    let (signature, url) = if let Some(key) = &key {
        let signature = signature::sign_view(&signing_key, &document.id, key, expires_at);
        let url = context.links.record(&document.id, key.as_str(), Some(&signature));
        (signature, url)
    } else {
        let signature = signature::sign_keys(&signing_key, &document.id, Some(expires_at));
        let url = context.links.keys(&document.id, Some(&signature));
        (signature, url)
    };
    Ok(response::json(StatusCode::CREATED, &Data { data: ViewLink { url, signature, expires_at } }))
}

fn lifetime(requested: Option<&Value>, longest: Duration) -> Result<Duration, ApiError> {
    match requested {
        None | Some(Value::Null) => Ok(DEFAULT_VIEW_LINK_LIFETIME),
        Some(value) => json_body::parse_integer("lifetimeSecs", value, 1..=longest.as_secs()).map(Duration::from_secs),
    }
}
