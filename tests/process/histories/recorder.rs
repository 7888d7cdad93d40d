//! Requests and responses of all clients, with their times.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use crate::program::now;

use super::linear::{Model, Span, check};

/// Operations by what they were about.
pub struct Recorder<O> {
    began: Instant,
    histories: Mutex<BTreeMap<String, Vec<Span<O>>>>,
}

impl<O> Recorder<O> {
    /// Nothing yet; all recorders of a test count from the same moment.
    pub fn since(began: Instant) -> Self {
        Self { began, histories: Mutex::default() }
    }

    /// Returns the time, in nanoseconds.
    pub fn now(&self) -> u64 {
        u64::try_from((now() - self.began).as_nanos()).expect("centuries")
    }

    /// Records an operation that began then and has just ended, or that is in doubt.
    pub fn note(&self, about: &str, operation: O, began: u64, is_known: bool) {
        let ended = is_known.then(|| self.now());
        let mut histories = self.histories.lock().unwrap_or_else(PoisonError::into_inner);
        histories.entry(about.to_owned()).or_default().push(Span { operation, began, ended });
    }

    /// Returns all recorded histories.
    pub fn into_histories(self) -> BTreeMap<String, Vec<Span<O>>> {
        self.histories.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Holds every history against a model. Returns the number of operations, and of those in doubt.
pub fn hold<M: Model>(
    histories: BTreeMap<String, Vec<Span<M::Operation>>>,
    model: impl Fn(&[Span<M::Operation>]) -> M,
    initial: &M::State,
) -> Result<(usize, usize), String> {
    let (mut all, mut open) = (0, 0);
    for (about, spans) in histories {
        all += spans.len();
        open += spans.iter().filter(|span| span.ended.is_none()).count();
        check(&model(&spans), initial, &spans).map_err(|report| format!("{about}: {report}"))?;
    }
    Ok((all, open))
}
