//! The coding of an object, as stored beside `Content-Encoding`.

/// The header with the stored coding of an object. Unlike `Content-Encoding` it reaches the client: proxies that decode
/// a coding that the client does not accept (nginx with `gunzip on`, several CDNs) drop that one with the coding.
pub const STORED_CODING: &str = "x-amz-meta-larder-coding";

/// All codings of records, as a request accepts them.
pub const ALL_CODINGS: &str = "gzip, br, deflate, identity";

/// The header with the coding as the SDK names it.
pub const STORED_CODING_NAME: &str = "larder-coding";
