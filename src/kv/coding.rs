//! Content codings.

use crate::storage::ByteStream;

/// A coding that a record's bytes can be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentCoding {
    /// RFC 1952.
    Gzip,
    /// RFC 7932.
    Brotli,
    /// RFC 1950 (zlib).
    Deflate,
}

impl ContentCoding {
    /// Every coding there is.
    pub const ALL: [Self; 3] = [Self::Gzip, Self::Brotli, Self::Deflate];

    /// The coding's registered name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Brotli => "br",
            Self::Deflate => "deflate",
        }
    }

    /// The coding of that name, in any letter case; `x-gzip` is `gzip` (RFC 9110, 8.4.1.3).
    pub fn parse(name: &str) -> Option<Self> {
        let name = if name.eq_ignore_ascii_case("x-gzip") { "gzip" } else { name };
        Self::ALL.into_iter().find(|coding| coding.as_str().eq_ignore_ascii_case(name))
    }

    /// The bytes that `body` encodes; ends with [`BodyError::Malformed`](crate::storage::BodyError::Malformed) where
    /// it is not in this coding.
    pub fn decode(self, body: ByteStream) -> ByteStream {
        unimplemented!("{body:?}")
    }
}
