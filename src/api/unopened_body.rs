//! Body of a request before any of it is read.

use crate::{auth::Admitted, storage::ByteStream};

/// Maximum decoded length of a JSON body for the platform's calls: the platform's limit.
const PLATFORM_JSON_BYTES: u64 = 9_437_184;

/// Maximum decoded length of a JSON body for Larder's own calls: more than any of them needs.
const OWN_JSON_BYTES: u64 = 64 * 1024;

/// Prefix of the paths of Larder's own calls.
const OWN_PATHS: &str = "/larder/";

/// Unread body of a request. Only an admitted caller can open it, so that a caller without any right costs neither time
/// nor memory.
#[derive(Debug)]
pub struct UnopenedBody {
    bytes: ByteStream,
    max_json_bytes: u64,
}

impl UnopenedBody {
    /// Returns the body of a request for `path`.
    pub fn new(bytes: ByteStream, path: &str) -> Self {
        let max_json_bytes = if path.starts_with(OWN_PATHS) { OWN_JSON_BYTES } else { PLATFORM_JSON_BYTES };
        Self { bytes, max_json_bytes }
    }

    /// Returns the announced length in bytes; `None` if there is none.
    pub fn announced_length(&self) -> Option<u64> {
        self.bytes.length()
    }

    /// Returns its maximum length as JSON, once decoded.
    pub fn max_json_bytes(&self) -> u64 {
        self.max_json_bytes
    }

    /// Opens it for the caller who holds `_admitted`.
    pub fn open(self, _admitted: &impl Admitted) -> ByteStream {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn larders_own_calls_take_less_json_than_the_platforms() {
        let limit = |path| UnopenedBody::new(ByteStream::empty(), path).max_json_bytes();
        assert_eq!(limit("/v2/key-value-stores"), PLATFORM_JSON_BYTES);
        assert_eq!(limit("/larder/v1/tokens"), OWN_JSON_BYTES);
    }
}
