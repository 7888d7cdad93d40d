//! Causes of errors, of any type.

/// A cause whose type is private to the implementation.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;
