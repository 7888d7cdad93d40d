//! Names of the object store in messages, so that an operator finds the wrong setting.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

/// The server and bucket of requests, and the key that signs them.
#[derive(Debug)]
pub struct Origin {
    /// The scheme, the host and the port of the server.
    pub endpoint: String,
    bucket: String,
    key_id: RwLock<Arc<str>>,
}

impl Origin {
    /// Returns the origin of a bucket at an endpoint. The key is not known yet.
    pub fn new(endpoint: String, bucket: String) -> Self {
        Self { endpoint, bucket, key_id: RwLock::new(Arc::from("")) }
    }

    /// Records the id of the key that signs requests; the id is no secret.
    pub fn set_key_id(&self, key_id: &str) {
        let mut known = self.key_id.write().unwrap_or_else(PoisonError::into_inner);
        if **known != *key_id {
            *known = Arc::from(key_id);
        }
    }
}

/// Bucket and id of the key.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key_id = self.key_id.read().unwrap_or_else(PoisonError::into_inner);
        write!(f, "bucket {}, key id {}", self.bucket, key_id)
    }
}
