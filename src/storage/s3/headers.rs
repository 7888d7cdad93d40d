//! The header fields that make an object what it is: its type, how it is kept, and under which condition it is written.

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

/// The media type as it is sent: never none, since vendors make one up then.
pub fn content_type(attributes: &Attributes) -> &str {
    if attributes.content_type.is_empty() { UNTYPED } else { &attributes.content_type }
}

/// Stands for no media type.
pub const UNTYPED: &str = "application/vnd.larder.untyped";

/// Adds the coding of an object, and the header that shows whether it was decoded on the way back.
pub fn add_coding<'a>(request: &mut Request<'a>, attributes: &'a Attributes) {
    if let Some(coding) = &attributes.content_encoding {
        request.header("content-encoding", coding.as_str());
        request.header(STORED_CODING, coding.as_str());
    }
}

/// The headers that say how an object is kept.
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

/// The condition under which a write takes effect, in the words of the headers.
pub fn condition(precondition: &Precondition, is_quoted: bool) -> Result<Condition> {
    Ok(match precondition {
        Precondition::None => Condition::default(),
        Precondition::IfAbsent => Condition { if_none_match: Some("*".to_owned()), if_match: None },
        Precondition::IfMatch(etag) => {
            // A validator that is none of ours was never given to anybody.
            let vendor = unmarked(etag).ok_or(Error::Precondition)?;
            let if_match = if is_quoted { format!("\"{vendor}\"") } else { vendor.to_owned() };
            Condition { if_match: Some(if_match), if_none_match: None }
        }
    })
}
