//! Attempts to transfer a record: which failures concern the record only, and which end the transfer.

use super::{
    api::persist,
    error::{Error, Result},
};

/// Maximum number of reads of a file that changes meanwhile.
const MAX_READS: u32 = 3;

/// Note about a file that changed while it was read.
pub const CHANGED: &str = "changed while it was read: carried over as it was afterwards";

/// Note about a record that was deleted after it was listed.
pub const GONE: &str = "was deleted before it was read";

/// Outcome for a record.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome<T> {
    /// The record is transferred.
    Done(T),
    /// The record is transferred in a version from after a concurrent change.
    DoneAfterChange(T),
    /// It was deleted since it was listed.
    Gone,
    /// The record is not transferred, for a reason that other records do not share.
    LeftOut(String),
}

/// Repeats `attempt`, which returns `None` for a deleted record, until it succeeds or cannot succeed. Fails only if
/// other records would fail as well: `reach` checks whether the servers and the stores are reachable when the record
/// alone may be at fault.
pub fn attempt<T>(
    mut attempt: impl FnMut() -> Result<Option<T>>,
    reach: impl Fn() -> Result<()>,
) -> Result<Outcome<T>> {
    for reads in 1.. {
        let error = match persist(&mut attempt) {
            Ok(None) => return Ok(Outcome::Gone),
            Ok(Some(done)) if reads == 1 => return Ok(Outcome::Done(done)),
            Ok(Some(done)) => return Ok(Outcome::DoneAfterChange(done)),
            Err(Error::Changed(_)) if reads < MAX_READS => continue,
            Err(error) => error,
        };
        return match error {
            Error::Refused { status: 401, .. } => Err(error),
            Error::Refused { .. } | Error::NoAnswer(_) => reach().map(|()| Outcome::LeftOut(error.reason())),
            Error::File { .. } | Error::Changed(_) | Error::Unusable(_) => Ok(Outcome::LeftOut(error.reason())),
        };
    }
    Ok(Outcome::Gone)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16) -> Error {
        Error::Refused { status, message: "no".to_owned() }
    }

    #[test]
    fn a_file_that_changes_is_read_again_and_given_up_in_the_end() {
        let changing = |times: u32| {
            let mut reads = 0;
            let read = || {
                reads += 1;
                if reads <= times { Err(Error::Changed("page.html".into())) } else { Ok(Some(reads)) }
            };
            attempt(read, || Ok(())).expect("nothing else fails")
        };
        assert_eq!(changing(0), Outcome::Done(1));
        assert_eq!(changing(2), Outcome::DoneAfterChange(3));
        assert_eq!(changing(3), Outcome::LeftOut("changed while it was read".to_owned()));
    }

    #[test]
    fn what_one_record_is_refused_for_does_not_end_the_others() {
        let outcome = attempt::<()>(|| Err(refused(413)), || Ok(()));
        assert_eq!(outcome.expect("it is left out"), Outcome::LeftOut("the server refused it (413): no".to_owned()));
        assert!(attempt::<()>(|| Err(refused(404)), || Err(refused(404))).is_err(), "the store is gone");
        assert!(attempt::<()>(|| Err(refused(401)), || Ok(())).is_err(), "the token is not known");
    }
}
