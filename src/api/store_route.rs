//! Calls on a store: how a path addresses one, and what can be done with it. Pure: nothing is looked up here.

use percent_encoding::percent_decode_str;

use crate::{
    auth::Action,
    kv::{InvalidKey, RecordKey, StoreId},
};

use super::{error::ApiError, rate_limits::Counted};

/// How a store is addressed in a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreAddress {
    /// A bare segment: an id, never a name.
    Id(String),
    /// `~name`: a store of the caller's.
    Own(String),
    /// `owner~name`: by user name or user id.
    Of {
        /// Whose store.
        owner: String,
        /// Its name.
        name: String,
    },
    /// A name that is empty.
    Nameless,
}

/// A key as it stands in a path; whether it is one is told after whether the caller may know.
pub type PathKey = Result<RecordKey, InvalidKey>;

/// What can be done with a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreCall {
    /// Its object.
    Get,
    /// Change its settings.
    Update,
    /// Delete it.
    Delete,
    /// Its keys.
    ListKeys,
    /// All records in one ZIP file.
    DownloadRecords,
    /// A record.
    GetRecord(PathKey),
    /// What a record's GET says, without its bytes.
    HeadRecord(PathKey),
    /// Write a record.
    PutRecord(PathKey),
    /// Delete a record.
    DeleteRecord(PathKey),
    /// Where to upload a record without a detour.
    DirectUploadUrl(PathKey),
    /// A link that opens a record, or what is in the store, for some minutes.
    MakeViewLink,
    /// What object calls it caused.
    GetUsage,
    /// Who else may do what with it.
    GetAccess,
    /// Give a user a right of his own.
    Share(String),
    /// Take it from him.
    Unshare(String),
    /// Sign its links by another secret from now on.
    RotateSigningKey,
}

impl StoreCall {
    /// What a call for store `id` counts as.
    pub fn counted(&self, id: StoreId) -> Counted {
        match self {
            Self::GetRecord(_) | Self::HeadRecord(_) | Self::PutRecord(_) | Self::DeleteRecord(_) => {
                Counted::Records(id)
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
            | Self::RotateSigningKey => Counted::Store(id),
        }
    }

    /// The right that this needs.
    pub fn action(&self) -> Action {
        match self {
            // Whoever has but a link is given no other one.
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

/// What is called of a store, by the segments behind its own, which are not decoded yet.
pub fn store_call(method: &str, segments: &[&str]) -> Result<StoreCall, ApiError> {
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

/// How the segment addresses a store. Clients write `~` between owner and name; a `/` there, encoded, wins over it.
pub fn address(segment: &str) -> StoreAddress {
    match segment.split_once('/').or_else(|| segment.split_once('~')) {
        None => StoreAddress::Id(segment.to_owned()),
        Some((_, "")) => StoreAddress::Nameless,
        Some(("", name)) => StoreAddress::Own(name.to_owned()),
        Some((owner, name)) => StoreAddress::Of { owner: owner.to_owned(), name: name.to_owned() },
    }
}

/// A segment, decoded. What is not UTF-8 becomes a character that no name has.
pub fn decode(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

/// A key, decoded once. A `%` that begins no escape stays, and is no character of a key.
fn decode_key(segment: &str) -> PathKey {
    percent_decode_str(segment).decode_utf8_lossy().parse()
}

/// What is done with a store below `/larder/v1`: mostly about who else may do what with it (an addition to the platform's API).
pub fn sharing_call(method: &str, segments: &[&str]) -> Result<StoreCall, ApiError> {
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
