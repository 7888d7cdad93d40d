//! An object store as tests see it: where it is, and with which keys.

/// The bucket that tests share; each works under a prefix of its own, and whichever comes first makes it.
pub const BUCKET: &str = "larder-tests";

/// The region of servers that have none of their own.
pub const REGION: &str = "us-east-1";

/// An object store that listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Server {
    /// Scheme, host and port.
    pub endpoint: String,
    /// Region that signatures name.
    pub region: String,
    /// A bucket of it.
    pub bucket: String,
    /// The name of its key.
    pub access_key: String,
    /// The key.
    pub secret_key: String,
}

impl S3Server {
    /// Returns the variables by which tests find it.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![
            ("LARDER_TEST_S3_ENDPOINT", self.endpoint.clone()),
            ("LARDER_TEST_S3_REGION", self.region.clone()),
            ("LARDER_TEST_S3_BUCKET", self.bucket.clone()),
        ];
        variables.extend(self.keys());
        variables
    }

    /// Returns the variables by which a Larder serves over it, its keys beginning with `prefix` if there is one.
    pub fn settings(&self, prefix: &str) -> Vec<(&'static str, String)> {
        let mut settings = vec![
            ("LARDER_S3_ENDPOINT", self.endpoint.clone()),
            ("LARDER_S3_BUCKET", self.bucket.clone()),
            ("AWS_REGION", self.region.clone()),
        ];
        if !prefix.is_empty() {
            settings.push(("LARDER_S3_PREFIX", prefix.to_owned()));
        }
        settings.extend(self.keys());
        settings
    }

    fn keys(&self) -> [(&'static str, String); 2] {
        [("AWS_ACCESS_KEY_ID", self.access_key.clone()), ("AWS_SECRET_ACCESS_KEY", self.secret_key.clone())]
    }
}
