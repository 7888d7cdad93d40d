//! The coding of an object, as it is told beside `Content-Encoding`.

/// The header that says in which coding an object is stored. Unlike `Content-Encoding` it is left alone on the way: proxies that
/// decode what a client does not say it takes (nginx with `gunzip on`, several CDNs) drop that one with the coding.
pub const STORED_CODING: &str = "x-amz-meta-larder-coding";

/// All codings that records are stored in, as a request takes them.
pub const ALL_CODINGS: &str = "gzip, br, deflate, identity";

/// The header with the coding as the SDK names it.
pub const STORED_CODING_NAME: &str = "larder-coding";
