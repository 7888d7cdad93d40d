//! Proof that a caller was admitted.

use super::{
    access::{AccountGrant, Grant},
    run_access::RunGrant,
};

mod sealed {
    /// Keeps other rooms from declaring proofs of their own.
    pub trait Sealed {}
}

/// Proof that the access table has let a caller in: any of its grants. A [`Caller`](super::Caller) is none, since it may be
/// anonymous.
pub trait Admitted: sealed::Sealed {}

impl sealed::Sealed for Grant {}
impl sealed::Sealed for AccountGrant {}
impl sealed::Sealed for RunGrant {}
impl Admitted for Grant {}
impl Admitted for AccountGrant {}
impl Admitted for RunGrant {}
