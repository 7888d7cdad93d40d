//! Where a bucket is, and how its objects are written in URLs.

use std::fmt::Write as _;

use super::wire::Target;

/// The parts of AWS whose hosts end otherwise than in `amazonaws.com`, by the beginning of their regions.
/// (<https://docs.aws.amazon.com/general/latest/gr/s3.html>)
const OTHER_PARTITIONS: [(&str, &str); 1] = [("cn-", "amazonaws.com.cn")];

/// A bucket at a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The server to connect to.
    pub target: Target,
    /// What the header `Host` says.
    pub host: String,
    /// What comes before an object's key in a path: `/`, or `/bucket/`.
    root: String,
}

/// How a bucket is named to its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressStyle {
    /// In the path: every server takes it, but AWS may end it one day.
    Path,
    /// In the host.
    VirtualHost,
}

impl Address {
    /// The bucket at `endpoint`, or at AWS in `region`. Unless a style is asked for, the bucket is in the host at AWS, if
    /// certificates can have such a name, and in the path elsewhere.
    pub fn new(bucket: &str, endpoint: Option<&Target>, region: &str, style: Option<AddressStyle>) -> Self {
        let usual = match endpoint {
            Some(_) => AddressStyle::Path,
            None if bucket.contains('.') => AddressStyle::Path,
            None => AddressStyle::VirtualHost,
        };
        let server = endpoint.cloned().unwrap_or_else(|| aws(region));
        match style.unwrap_or(usual) {
            AddressStyle::Path => Self { host: server.authority(), target: server, root: format!("/{bucket}/") },
            AddressStyle::VirtualHost => {
                let target = server.at(&format!("{bucket}.{}", server.host));
                Self { host: target.authority(), target, root: "/".to_owned() }
            }
        }
    }

    /// The same bucket at the server of a redirection.
    #[must_use]
    pub fn moved_to(&self, target: Target) -> Self {
        Self { host: target.authority(), target, root: self.root.clone() }
    }

    /// The path of an object.
    pub fn object(&self, key: &str) -> String {
        let mut path = String::with_capacity(self.root.len() + key.len() + 16);
        path.push_str(&self.root);
        encode_into(&mut path, key, true);
        path
    }

    /// The path of the bucket itself.
    pub fn bucket(&self) -> &str {
        if self.root.len() > 1 { self.root.trim_end_matches('/') } else { &self.root }
    }
}

fn aws(region: &str) -> Target {
    let partition = OTHER_PARTITIONS.iter().find(|(beginning, _)| region.starts_with(beginning));
    let domain = partition.map_or("amazonaws.com", |(_, domain)| domain);
    Target { is_tls: true, host: format!("s3.{region}.{domain}").into(), port: 443 }
}

/// Appends `text`, percent-encoded as signatures demand it: everything but letters, digits and `-._~`, and the slash in
/// paths.
pub fn encode_into(encoded: &mut String, text: &str, is_path: bool) {
    let is_plain = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') || (is_path && byte == b'/')
    };
    // Most keys stay as they are, and are taken over whole.
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

/// A query of these names and values, in the order of the names.
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
        let path = Address::new("b", Some(&minio), "us-east-1", None);
        assert_eq!(
            (path.host.as_str(), path.object("k/a b").as_str(), path.bucket()),
            ("minio:9000", "/b/k/a%20b", "/b")
        );
        let host = Address::new("b", Some(&minio), "us-east-1", Some(AddressStyle::VirtualHost));
        assert_eq!((host.host.as_str(), host.object("k").as_str(), host.bucket()), ("b.minio:9000", "/k", "/"));
    }

    #[test]
    fn aws_is_found_by_the_region() {
        assert_eq!(Address::new("b", None, "eu-north-1", None).host, "b.s3.eu-north-1.amazonaws.com");
        assert_eq!(Address::new("a.b", None, "cn-north-1", None).host, "s3.cn-north-1.amazonaws.com.cn");
    }

    #[test]
    fn a_query_is_sorted_and_encoded() {
        assert_eq!(query(&[("prefix", "a/b c"), ("list-type", "2")]), "list-type=2&prefix=a%2Fb%20c");
    }
}
