//! The body of a request before anything is read of it.

use crate::{auth::Admitted, storage::ByteStream};

/// The most bytes of a JSON body of the platform's calls, once it is decoded: the platform's limit.
const PLATFORM_JSON_BYTES: u64 = 9_437_184;

/// The most bytes of a JSON body of Larder's own calls, once it is decoded: more than any of them needs.
const OWN_JSON_BYTES: u64 = 64 * 1024;

/// What the paths of Larder's own calls begin with.
const OWN_PATHS: &str = "/larder/";

/// The body of a request, of which nothing has been read. It is opened for an admitted caller only, so that a caller without
/// any right costs neither time nor memory.
#[derive(Debug)]
pub struct UnopenedBody {
    bytes: ByteStream,
    max_json_bytes: u64,
}

impl UnopenedBody {
    /// The body of a request for `path`.
    pub fn new(bytes: ByteStream, path: &str) -> Self {
        let max_json_bytes = if path.starts_with(OWN_PATHS) { OWN_JSON_BYTES } else { PLATFORM_JSON_BYTES };
        Self { bytes, max_json_bytes }
    }

    /// The length in bytes that the client announced; `None` if it did not.
    pub fn announced_length(&self) -> Option<u64> {
        self.bytes.length()
    }

    /// The most bytes that it may have as JSON, once it is decoded.
    pub fn max_json_bytes(&self) -> u64 {
        self.max_json_bytes
    }

    /// Opens it for the caller to whom `_admitted` was given.
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
