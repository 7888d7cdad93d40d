//! Proof that a caller was admitted.

use super::{
    access::{AccountGrant, Grant},
    run_access::RunGrant,
};

mod sealed {
    /// Prevents implementations outside this module.
    pub trait Sealed {}
}

/// Proof that the access table has admitted a caller: any of its grants. A [`Caller`](super::Caller) is no proof, since
/// it may be anonymous.
pub trait Admitted: sealed::Sealed {}

impl sealed::Sealed for Grant {}
impl sealed::Sealed for AccountGrant {}
impl sealed::Sealed for RunGrant {}
impl Admitted for Grant {}
impl Admitted for AccountGrant {}
impl Admitted for RunGrant {}
