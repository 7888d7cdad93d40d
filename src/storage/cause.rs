//! Causes of errors, whatever they are.

/// A cause whose type is the implementation's own business.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;
