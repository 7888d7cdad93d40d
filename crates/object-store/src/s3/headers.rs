//! The header fields of an object: its media type and coding, its storage, and the condition of its write.

use std::borrow::Cow;

use super::{
    super::{
        error::{Error, Result},
        object::{Attributes, Precondition},
    },
    control::Condition,
    options::Encryption,
    request::Request,
    stored_coding::STORED_CODING,
    validators::unmarked,
};

/// Returns the media type to send: never none, since vendors would add their own.
pub fn content_type(attributes: &Attributes) -> &str {
    if attributes.content_type.is_empty() { UNTYPED } else { &attributes.content_type }
}

/// Marks the absence of a media type.
pub const UNTYPED: &str = "application/vnd.larder.untyped";

/// Adds the coding of an object, and the header that reveals whether it was decoded on the way back.
pub fn add_coding<'a>(request: &mut Request<'a>, attributes: &'a Attributes) {
    if let Some(coding) = &attributes.content_encoding {
        request.header("content-encoding", coding.as_str());
        request.header(STORED_CODING, coding.as_str());
    }
}

/// Returns the headers for storage class and encryption.
pub fn storage_headers(encryption: Option<&Encryption>, class: Option<&str>) -> Vec<(&'static str, Cow<'static, str>)> {
    let mut headers: Vec<(&'static str, Cow<'static, str>)> = Vec::new();
    match encryption {
        Some(Encryption::Aes256) => headers.push(("x-amz-server-side-encryption", "AES256".into())),
        Some(Encryption::Kms(key)) => {
            headers.push(("x-amz-server-side-encryption", "aws:kms".into()));
            if let Some(key) = key {
                headers.push(("x-amz-server-side-encryption-aws-kms-key-id", key.clone().into()));
            }
        }
        None => {}
    }
    if let Some(class) = class {
        headers.push(("x-amz-storage-class", class.to_owned().into()));
    }
    headers
}

/// Returns the condition of a write as header values.
pub fn condition(precondition: &Precondition, is_quoted: bool) -> Result<Condition> {
    Ok(match precondition {
        Precondition::None => Condition::default(),
        Precondition::IfAbsent => Condition { if_none_match: Some("*".to_owned()), if_match: None },
        Precondition::IfMatch(etag) => {
            // We never issued a validator that is not ours.
            let vendor = unmarked(etag).ok_or(Error::Precondition)?;
            let if_match = if is_quoted { format!("\"{vendor}\"") } else { vendor.to_owned() };
            Condition { if_match: Some(if_match), if_none_match: None }
        }
    })
}
