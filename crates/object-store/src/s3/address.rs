//! The address of a bucket, and the URLs of its objects.

use std::fmt::Write as _;

use super::wire::Target;

/// A bucket on a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The server to connect to.
    pub target: Target,
    /// The header `Host`.
    pub host: String,
    /// The part of a path before the key: `/`, or `/bucket/`.
    root: String,
}

/// The addressing style of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressStyle {
    /// In the path: every server accepts it, but AWS may end it one day.
    Path,
    /// In the host.
    VirtualHost,
}

impl Address {
    /// Returns the address of a bucket whose keys come after `root` in paths.
    pub fn new(target: Target, root: impl Into<String>) -> Self {
        Self { host: target.authority(), target, root: root.into() }
    }

    /// Returns the address of the same bucket on the server of a redirect.
    #[must_use]
    pub fn moved_to(&self, target: Target) -> Self {
        Self { host: target.authority(), target, root: self.root.clone() }
    }

    /// Returns the path of an object.
    pub fn object(&self, key: &str) -> String {
        let mut path = String::with_capacity(self.root.len() + key.len() + 16);
        path.push_str(&self.root);
        encode_into(&mut path, key, true);
        path
    }

    /// Returns the path of the bucket itself.
    pub fn bucket(&self) -> &str {
        if self.root.len() > 1 { self.root.trim_end_matches('/') } else { &self.root }
    }
}

/// Appends `text`, percent-encoded as signatures require: everything except letters, digits and `-._~`, and the slash
/// in paths.
pub fn encode_into(encoded: &mut String, text: &str, is_path: bool) {
    let is_plain = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') || (is_path && byte == b'/')
    };
    // Most keys need no encoding, and are copied as a whole.
    if text.bytes().fold(true, |all, byte| all & is_plain(byte)) {
        encoded.push_str(text);
        return;
    }
    for byte in text.bytes() {
        if is_plain(byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
}

/// Returns a query of these names and values, in the order of the names.
pub fn query(parts: &[(&str, &str)]) -> String {
    let mut sorted = parts.to_vec();
    sorted.sort_unstable();
    let mut query = String::new();
    for (name, value) in sorted {
        if !query.is_empty() {
            query.push('&');
        }
        encode_into(&mut query, name, false);
        query.push('=');
        encode_into(&mut query, value, false);
    }
    query
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_in_the_path_or_in_the_host() {
        let minio: Target = "http://minio:9000".parse().expect("an origin");
        let path = Address::new(minio.clone(), "/b/");
        assert_eq!(
            (path.host.as_str(), path.object("k/a b").as_str(), path.bucket()),
            ("minio:9000", "/b/k/a%20b", "/b")
        );
        let host = Address::new(minio.at("b.minio"), "/");
        assert_eq!((host.host.as_str(), host.object("k").as_str(), host.bucket()), ("b.minio:9000", "/k", "/"));
    }

    #[test]
    fn a_query_is_sorted_and_encoded() {
        assert_eq!(query(&[("prefix", "a/b c"), ("list-type", "2")]), "list-type=2&prefix=a%2Fb%20c");
    }
}
