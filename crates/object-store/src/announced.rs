//! Checks a body against its announced length: a body that ends early is half an object, and must not be stored.

use super::body::BodyError;

/// Received bytes of a body against its announced length.
#[derive(Debug)]
pub struct AnnouncedLength {
    announced: Option<u64>,
    received: u64,
}

impl AnnouncedLength {
    /// Starts at zero bytes of a body with this announced length, if any.
    pub fn new(announced: Option<u64>) -> Self {
        Self { announced, received: 0 }
    }

    /// Counts the next `length` bytes; rejects bytes behind the announced end.
    pub fn add(&mut self, length: usize) -> Result<(), BodyError> {
        self.received += length as u64;
        match self.announced {
            Some(announced) if self.received > announced => {
                Err(BodyError::Malformed(format!("it is longer than the {announced} bytes it announced")))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Returns the number of bytes still to come, if a length was announced.
    #[cfg(feature = "s3")]
    pub fn left(&self) -> Option<u64> {
        self.announced.map(|announced| announced.saturating_sub(self.received))
    }

    /// Returns whether all announced bytes have come; more would be too many.
    #[cfg(feature = "s3")]
    pub fn is_reached(&self) -> bool {
        self.left() == Some(0)
    }

    /// Checks that the body ends at its announced length.
    pub fn finish(&self) -> Result<(), BodyError> {
        match self.announced {
            Some(announced) if self.received < announced => Err(BodyError::Aborted),
            Some(_) | None => Ok(()),
        }
    }
}
