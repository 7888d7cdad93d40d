//! Parallel work with ordered results.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError, mpsc},
    thread,
};

use super::error::{Error, Result};

/// Number of worker threads.
const WORKERS: usize = 8;

/// Maximum number of items that have begun before the first of them must be done.
const WINDOW: usize = 4 * WORKERS;

/// Applies `work` to the items in parallel, and calls `done` with the outcomes in the order of the items, so that the
/// reported items are always a prefix. The first failure ends it, once `done` has the outcomes of all items that began
/// before it.
pub fn in_order<T: Send, R: Send>(
    items: impl Iterator<Item = Result<T>>,
    work: impl Fn(T) -> Result<R> + Sync,
    mut done: impl FnMut(R) -> Result<()>,
) -> Result<()> {
    let (jobs, next) = mpsc::sync_channel::<(usize, T)>(WINDOW);
    let (outcomes, outcome) = mpsc::sync_channel::<(usize, Result<R>)>(WINDOW);
    let (next, work) = (&Mutex::new(next), &work);
    // The closure owns both ends, so that workers end however it ends.
    thread::scope(move |scope| {
        for outcomes in vec![outcomes; WORKERS] {
            scope.spawn(move || {
                loop {
                    let job = next.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((number, item)) = job else { return };
                    if outcomes.send((number, work(item))).is_err() {
                        return;
                    }
                }
            });
        }
        let (jobs, outcome) = (jobs, outcome);
        let mut items = items.enumerate();
        let (mut begun, mut told, mut waiting) = (0, 0, BTreeMap::new());
        let mut end = Ok(());
        loop {
            while end.is_ok()
                && begun - told < WINDOW
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
            if begun == told {
                return end;
            }
            let (number, result) = outcome.recv().map_err(|_| stopped())?;
            waiting.insert(number, result);
            while let Some(result) = waiting.remove(&told) {
                done(result?)?;
                told += 1;
            }
        }
    })
}

fn stopped() -> Error {
    Error::Unusable("a worker stopped".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_told_in_the_order_of_the_items() {
        let mut told = Vec::new();
        let slow_when_even = |number: u32| {
            for _ in 0..(number + 1) % 2 * 20 {
                thread::yield_now();
            }
            Ok(number)
        };
        let outcome = in_order((0..500).map(Ok), slow_when_even, |number| {
            told.push(number);
            Ok(())
        });
        assert!(outcome.is_ok());
        assert_eq!(told, (0..500).collect::<Vec<_>>());
    }

    #[test]
    fn nothing_behind_a_failure_is_told() {
        let mut told = Vec::new();
        let fails = |number: u32| if number == 40 { Err(Error::NoAnswer("gone".to_owned())) } else { Ok(number) };
        let outcome = in_order((0..500).map(Ok), fails, |number| {
            told.push(number);
            Ok(())
        });
        assert!(outcome.is_err());
        assert_eq!(told, (0..40).collect::<Vec<_>>());
        assert!(in_order([Err(stopped())].into_iter(), Ok::<u32, _>, |_| Ok(())).is_err());
    }

    #[test]
    fn all_before_an_item_that_cannot_be_had_is_told() {
        let mut told = Vec::new();
        let items = (0..20).map(Ok).chain([Err(stopped())]).chain((20..40).map(Ok));
        let outcome = in_order(items, Ok::<u32, _>, |number| {
            told.push(number);
            Ok(())
        });
        assert!(outcome.is_err());
        assert_eq!(told, (0..20).collect::<Vec<_>>());
    }
}
