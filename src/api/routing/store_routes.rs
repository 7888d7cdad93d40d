//! Routes of a store: addresses and calls. Pure: no look-ups.

use percent_encoding::percent_decode_str;

use crate::{
    api::{limits::RateLimitKey, message::error::ApiError},
    auth::Action,
    kv::{InvalidKey, RecordKey, StoreId},
};

/// Address of a store in a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreAddress {
    /// A bare segment: an id, never a name.
    Id(String),
    /// `~name`: the caller's store of that name.
    OwnName(String),
    /// `owner~name`: with the owner's name or id.
    OwnerAndName {
        /// Its owner.
        owner: String,
        /// Its name.
        name: String,
    },
    /// An empty name.
    EmptyName,
}

/// A key in a path. An invalid key is reported only after authorization.
pub type PathKey = Result<RecordKey, InvalidKey>;

/// Call on a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreCall {
    /// Get its object.
    Get,
    /// Change its settings.
    Update,
    /// Delete it.
    Delete,
    /// List its keys.
    ListKeys,
    /// Download all records in one ZIP file.
    DownloadRecords,
    /// Get a record.
    GetRecord(PathKey),
    /// Get the headers of a record.
    HeadRecord(PathKey),
    /// Write a record.
    PutRecord(PathKey),
    /// Delete a record.
    DeleteRecord(PathKey),
    /// Get a direct upload URL for a record.
    DirectUploadUrl(PathKey),
    /// Create a link that opens a record, or the content of the store, for some minutes.
    MakeViewLink,
    /// Get its object calls.
    GetUsage,
    /// Get the access rights of other users.
    GetAccess,
    /// Give a user a right.
    Share(String),
    /// Revoke a user's right.
    Unshare(String),
    /// Rotate the key that signs its links.
    RotateSigningKey,
}

impl StoreCall {
    /// Returns the rate limit under which a call for store `id` is counted.
    pub fn rate_limit_key(&self, id: StoreId) -> RateLimitKey {
        match self {
            Self::GetRecord(_) | Self::HeadRecord(_) | Self::PutRecord(_) | Self::DeleteRecord(_) => {
                RateLimitKey::Records(id)
            }
            Self::Get
            | Self::Update
            | Self::Delete
            | Self::ListKeys
            | Self::DownloadRecords
            | Self::DirectUploadUrl(_)
            | Self::MakeViewLink
            | Self::GetUsage
            | Self::GetAccess
            | Self::Share(_)
            | Self::Unshare(_)
            | Self::RotateSigningKey => RateLimitKey::Store(id),
        }
    }

    /// Returns the action to authorize.
    pub fn action(&self) -> Action {
        match self {
            // A caller with only a link gets no further link.
            Self::Get | Self::MakeViewLink => Action::ReadStore,
            Self::Update => Action::UpdateStore,
            Self::Delete => Action::DeleteStore,
            Self::ListKeys => Action::ListKeys,
            Self::DownloadRecords => Action::DownloadRecords,
            Self::GetRecord(_) | Self::HeadRecord(_) => Action::ReadRecord,
            Self::PutRecord(_) | Self::DeleteRecord(_) | Self::DirectUploadUrl(_) => Action::WriteRecord,
            Self::GetUsage | Self::GetAccess | Self::Share(_) | Self::Unshare(_) | Self::RotateSigningKey => {
                Action::ManageAccess
            }
        }
    }
}

/// Parses a call on a store from the segments after its own, which are not decoded yet.
pub fn parse_store_call(method: &str, segments: &[&str]) -> Result<StoreCall, ApiError> {
    let is_read = matches!(method, "GET" | "HEAD");
    match segments {
        [] => match method {
            "GET" | "HEAD" => Ok(StoreCall::Get),
            "PUT" => Ok(StoreCall::Update),
            "DELETE" => Ok(StoreCall::Delete),
            _ => Err(ApiError::method_not_allowed("OPTIONS,GET,HEAD,PUT,DELETE")),
        },
        ["keys"] if is_read => Ok(StoreCall::ListKeys),
        ["records"] if is_read => Ok(StoreCall::DownloadRecords),
        ["keys" | "records"] => Err(ApiError::method_not_allowed("OPTIONS,GET,HEAD")),
        ["records", key] if !key.is_empty() => match method {
            "GET" => Ok(StoreCall::GetRecord(decode_key(key))),
            "HEAD" => Ok(StoreCall::HeadRecord(decode_key(key))),
            "PUT" | "POST" => Ok(StoreCall::PutRecord(decode_key(key))),
            "DELETE" => Ok(StoreCall::DeleteRecord(decode_key(key))),
            _ => Err(ApiError::method_not_allowed("OPTIONS,GET,HEAD,PUT,POST,DELETE")),
        },
        ["records", key, "direct-upload-url"] if !key.is_empty() => match method {
            "GET" | "HEAD" => Ok(StoreCall::DirectUploadUrl(decode_key(key))),
            _ => Err(ApiError::method_not_allowed("OPTIONS,GET,HEAD")),
        },
        _ => Err(ApiError::page_not_found()),
    }
}

/// Parses a segment as an address. Clients write `~` between owner and name; an encoded `/` takes precedence.
pub fn parse_address(segment: &str) -> StoreAddress {
    match segment.split_once('/').or_else(|| segment.split_once('~')) {
        None => StoreAddress::Id(segment.to_owned()),
        Some((_, "")) => StoreAddress::EmptyName,
        Some(("", name)) => StoreAddress::OwnName(name.to_owned()),
        Some((owner, name)) => StoreAddress::OwnerAndName { owner: owner.to_owned(), name: name.to_owned() },
    }
}

/// Decodes a segment. Invalid UTF-8 becomes a character that no name has.
pub fn decode(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

/// Decodes a key once. A `%` that begins no escape stays, and is invalid in a key.
fn decode_key(segment: &str) -> PathKey {
    percent_decode_str(segment).decode_utf8_lossy().parse()
}

/// Parses a call on a store below `/larder/v1`: mostly about access of other users (an addition to the platform's API).
pub fn parse_sharing_call(method: &str, segments: &[&str]) -> Result<StoreCall, ApiError> {
    match (segments, method) {
        (["access"], "GET" | "HEAD") => Ok(StoreCall::GetAccess),
        (["access"], _) => Err(ApiError::method_not_allowed("OPTIONS,GET,HEAD")),
        (["access", user], "PUT") if !user.is_empty() => Ok(StoreCall::Share(decode(user))),
        (["access", user], "DELETE") if !user.is_empty() => Ok(StoreCall::Unshare(decode(user))),
        (["access", user], _) if !user.is_empty() => Err(ApiError::method_not_allowed("OPTIONS,PUT,DELETE")),
        (["view-link"], "POST") => Ok(StoreCall::MakeViewLink),
        (["signing-key", "rotate"], "POST") => Ok(StoreCall::RotateSigningKey),
        (["view-link"] | ["signing-key", "rotate"], _) => Err(ApiError::method_not_allowed("OPTIONS,POST")),
        _ => Err(ApiError::page_not_found()),
    }
}
