//! Holds a body to the length it announced: a body that ends early is half an object, and must not be stored.

use super::body::BodyError;

/// How much of a body has come, against what it announced.
#[derive(Debug)]
pub struct AnnouncedLength {
    announced: Option<u64>,
    received: u64,
}

impl AnnouncedLength {
    /// Nothing has come yet of a body that announced this length, if any.
    pub fn new(announced: Option<u64>) -> Self {
        Self { announced, received: 0 }
    }

    /// Counts the next `length` bytes; refuses those behind the announced end.
    pub fn add(&mut self, length: usize) -> Result<(), BodyError> {
        self.received += length as u64;
        match self.announced {
            Some(announced) if self.received > announced => {
                Err(BodyError::Malformed(format!("it is longer than the {announced} bytes it announced")))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Bytes that are still to come, if a length was announced.
    #[cfg(feature = "s3")]
    pub fn left(&self) -> Option<u64> {
        self.announced.map(|announced| announced.saturating_sub(self.received))
    }

    /// Whether all that was announced has come; more would be too much.
    #[cfg(feature = "s3")]
    pub fn is_reached(&self) -> bool {
        self.left() == Some(0)
    }

    /// Whether the end has come where it was announced.
    pub fn finish(&self) -> Result<(), BodyError> {
        match self.announced {
            Some(announced) if self.received < announced => Err(BodyError::Aborted),
            Some(_) | None => Ok(()),
        }
    }
}
