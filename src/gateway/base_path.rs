//! The path below which a proxy serves Larder: the path of the public URL.
//!
//! Proxies either keep or strip this path, and both work. A request path that begins with it and continues with a
//! route of Larder is taken as relative to it; any other is taken as it is.

use http::Uri;

use crate::config::Config;

/// Prefixes of the paths that Larder serves, each a whole segment or more.
const ROUTES: [&str; 4] = ["/v2", "/larder/v1", "/console", "/health"];

/// The path below which a proxy serves Larder; usually empty.
#[derive(Debug, Default)]
pub(super) struct BasePath(String);

impl BasePath {
    /// Returns the path of the public URL.
    pub(super) fn of(config: &Config) -> Self {
        Self(config.public_url.as_ref().map(|url| url.path().to_owned()).unwrap_or_default())
    }

    /// Returns the path without a trailing slash.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the request URI relative to the path, if the proxy has kept the path.
    pub(super) fn inside(&self, uri: &Uri) -> Option<Uri> {
        if self.0.is_empty() {
            return None;
        }
        let rest = uri.path_and_query()?.as_str().strip_prefix(&self.0)?;
        let (path, _) = rest.split_once('?').unwrap_or((rest, ""));
        let is_of =
            |route: &&str| path.strip_prefix(*route).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        match path {
            "" => format!("/{rest}").parse().ok(),
            "/" | "/metrics" => rest.parse().ok(),
            _ => ROUTES.iter().any(is_of).then(|| rest.parse().ok())?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inside(base: &str, path: &str) -> Option<String> {
        BasePath(base.to_owned()).inside(&path.parse().expect("a path")).map(|uri| uri.to_string())
    }

    #[test]
    fn what_goes_on_as_a_path_of_ours_is_inside_and_all_else_stays() {
        for (path, expected) in [
            ("/larder", Some("/")),
            ("/larder?a=b", Some("/?a=b")),
            ("/larder/", Some("/")),
            ("/larder/v2/key-value-stores?name=a", Some("/v2/key-value-stores?name=a")),
            ("/larder/console/", Some("/console/")),
            ("/larder/health/ready", Some("/health/ready")),
            ("/larder/metrics", Some("/metrics")),
            ("/larder/larder/v1/users", Some("/larder/v1/users")),
            // The admin API's own path begins with the same word.
            ("/larder/v1/users", None),
            ("/v2/key-value-stores", None),
            ("/larders/v2", None),
            ("/larder/v2x", None),
        ] {
            assert_eq!(inside("/larder", path).as_deref(), expected, "{path}");
        }
        assert_eq!(inside("/a/b", "/a/b/v2/users/me").as_deref(), Some("/v2/users/me"));
        assert_eq!(inside("", "/v2/users/me"), None);
    }
}
