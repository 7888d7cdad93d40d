//! Transfer of many records: in parallel with ordered outcomes, and with the decision which failures end all of it.

use std::{collections::BTreeMap, sync::mpsc, thread};

use parking_lot::Mutex;

use super::{
    api::with_retries,
    error::{Error, Result},
};

/// Number of worker threads.
const MAX_WORKERS: usize = 8;

/// Maximum number of items that have begun before the first of them must be done.
const MAX_IN_FLIGHT: usize = 4 * MAX_WORKERS;

/// Applies `work` to the items in parallel, and calls `done` with the outcomes in the order of the items, so that the
/// reported items are always a prefix. The first failure ends it, once `done` has the outcomes of all items that began
/// before it.
pub fn ordered_parallel_map<T: Send, R: Send>(
    items: impl Iterator<Item = Result<T>>,
    work: impl Fn(T) -> Result<R> + Sync,
    mut done: impl FnMut(R) -> Result<()>,
) -> Result<()> {
    let (jobs, next) = mpsc::sync_channel::<(usize, T)>(MAX_IN_FLIGHT);
    let (outcomes, outcome) = mpsc::sync_channel::<(usize, Result<R>)>(MAX_IN_FLIGHT);
    let (next, work) = (&Mutex::new(next), &work);
    // The closure owns both ends, so that workers end however it ends.
    thread::scope(move |scope| {
        for outcomes in vec![outcomes; MAX_WORKERS] {
            scope.spawn(move || {
                loop {
                    let job = next.lock().recv();
                    let Ok((number, item)) = job else { return };
                    if outcomes.send((number, work(item))).is_err() {
                        return;
                    }
                }
            });
        }
        let (jobs, outcome) = (jobs, outcome);
        let mut items = items.enumerate();
        let (mut begun, mut reported, mut waiting) = (0, 0, BTreeMap::new());
        let mut end = Ok(());
        loop {
            while end.is_ok()
                && begun - reported < MAX_IN_FLIGHT
                && let Some((number, item)) = items.next()
            {
                match item {
                    Ok(item) => jobs.send((number, item)).map_err(|_| stopped())?,
                    Err(error) => {
                        end = Err(error);
                        break;
                    }
                }
                begun += 1;
            }
            if begun == reported {
                return end;
            }
            let (number, result) = outcome.recv().map_err(|_| stopped())?;
            waiting.insert(number, result);
            while let Some(result) = waiting.remove(&reported) {
                done(result?)?;
                reported += 1;
            }
        }
    })
}

fn stopped() -> Error {
    Error::Invalid("a worker thread stopped".to_owned())
}

/// Maximum number of reads of a file that changes meanwhile.
const MAX_ATTEMPTS_PER_FILE: u32 = 3;

/// Note about a file that changed while it was read.
pub const CHANGED_WHILE_READ: &str = "changed while it was read: transferred as it was afterwards";

/// Note about a record that was deleted after it was listed.
pub const DELETED: &str = "was deleted before it was read";

/// Outcome of the transfer of a record.
#[derive(Debug, PartialEq, Eq)]
pub enum TransferOutcome<T> {
    /// The record is transferred.
    Done(T),
    /// The record is transferred in a version from after a concurrent change.
    DoneAfterChange(T),
    /// It was deleted since it was listed.
    Deleted,
    /// The record is not transferred, for a reason that other records do not share.
    LeftOut(String),
}

/// Repeats `transfer`, which returns `None` for a deleted record, until it succeeds or cannot succeed. Fails only if
/// other records would fail as well: `check_reachable` checks whether the servers and the stores are reachable when the record
/// alone may be at fault.
pub fn transfer_record<T>(
    mut transfer: impl FnMut() -> Result<Option<T>>,
    check_reachable: impl Fn() -> Result<()>,
) -> Result<TransferOutcome<T>> {
    for reads in 1.. {
        let error = match with_retries(&mut transfer) {
            Ok(None) => return Ok(TransferOutcome::Deleted),
            Ok(Some(done)) if reads == 1 => return Ok(TransferOutcome::Done(done)),
            Ok(Some(done)) => return Ok(TransferOutcome::DoneAfterChange(done)),
            Err(Error::FileChanged(_)) if reads < MAX_ATTEMPTS_PER_FILE => continue,
            Err(error) => error,
        };
        return match error {
            Error::Rejected { status: 401, .. } => Err(error),
            Error::Rejected { .. } | Error::NoResponse(_) => {
                check_reachable().map(|()| TransferOutcome::LeftOut(error.reason()))
            }
            Error::File { .. } | Error::FileChanged(_) | Error::Invalid(_) => {
                Ok(TransferOutcome::LeftOut(error.reason()))
            }
        };
    }
    Ok(TransferOutcome::Deleted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_reported_in_the_order_of_the_items() {
        let mut reported = Vec::new();
        let slow_when_even = |number: u32| {
            for _ in 0..(number + 1) % 2 * 20 {
                thread::yield_now();
            }
            Ok(number)
        };
        let outcome = ordered_parallel_map((0..500).map(Ok), slow_when_even, |number| {
            reported.push(number);
            Ok(())
        });
        assert!(outcome.is_ok());
        assert_eq!(reported, (0..500).collect::<Vec<_>>());
    }

    #[test]
    fn nothing_behind_a_failure_is_told() {
        let mut reported = Vec::new();
        let fails = |number: u32| if number == 40 { Err(Error::NoResponse("gone".to_owned())) } else { Ok(number) };
        let outcome = ordered_parallel_map((0..500).map(Ok), fails, |number| {
            reported.push(number);
            Ok(())
        });
        assert!(outcome.is_err());
        assert_eq!(reported, (0..40).collect::<Vec<_>>());
        assert!(ordered_parallel_map([Err(stopped())].into_iter(), Ok::<u32, _>, |_| Ok(())).is_err());
    }

    #[test]
    fn all_before_an_item_that_cannot_be_had_is_told() {
        let mut reported = Vec::new();
        let items = (0..20).map(Ok).chain([Err(stopped())]).chain((20..40).map(Ok));
        let outcome = ordered_parallel_map(items, Ok::<u32, _>, |number| {
            reported.push(number);
            Ok(())
        });
        assert!(outcome.is_err());
        assert_eq!(reported, (0..20).collect::<Vec<_>>());
    }

    fn refused(status: u16) -> Error {
        Error::Rejected { status, message: "no".to_owned() }
    }

    #[test]
    fn a_file_that_changes_is_read_again_and_given_up_in_the_end() {
        let changing = |times: u32| {
            let mut reads = 0;
            let read = || {
                reads += 1;
                if reads <= times { Err(Error::FileChanged("page.html".into())) } else { Ok(Some(reads)) }
            };
            transfer_record(read, || Ok(())).expect("nothing else fails")
        };
        assert_eq!(changing(0), TransferOutcome::Done(1));
        assert_eq!(changing(2), TransferOutcome::DoneAfterChange(3));
        assert_eq!(changing(3), TransferOutcome::LeftOut("changed while it was read".to_owned()));
    }

    #[test]
    fn what_one_record_is_refused_for_does_not_end_the_others() {
        let outcome = transfer_record::<()>(|| Err(refused(413)), || Ok(()));
        assert_eq!(
            outcome.expect("it is left out"),
            TransferOutcome::LeftOut("the server rejected the request (413): no".to_owned())
        );
        assert!(transfer_record::<()>(|| Err(refused(404)), || Err(refused(404))).is_err(), "the store is gone");
        assert!(transfer_record::<()>(|| Err(refused(401)), || Ok(())).is_err(), "the token is not known");
    }
}
