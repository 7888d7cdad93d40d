//! Clients that create, look up and delete named stores, and the checks of the responses that they got.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use crate::program::pause;

use super::{
    clients::{Answer, Caller},
    names::{Name, Operation},
    recorder::{Recorder, hold},
};

/// Names at a time.
const NAMES: u64 = 3;

/// Time for which the same names are used, in nanoseconds, beyond twice the staleness bound of a gateway.
const ERA: u64 = 3_000_000_000;

/// Interval between two operations: a history of names is short, since each of its states is big.
const OPERATION_INTERVAL: Duration = Duration::from_millis(15);

/// State shared by all workers on names.
pub struct Stores {
    history: Recorder<Operation>,
    /// Maximum age of a gateway's response after a change through another gateway, in nanoseconds.
    staleness: u64,
}

impl Stores {
    pub fn since(began: std::time::Instant, staleness: Duration) -> Self {
        let staleness = u64::try_from(staleness.as_nanos()).expect("a short time");
        Self { history: Recorder::since(began), staleness }
    }

    /// Works until it is over.
    pub fn work(&self, mut caller: Caller<'_>, is_over: &AtomicBool) {
        let mut known: Option<(String, String)> = None;
        while !is_over.load(Relaxed) {
            let name = format!(
                "era-{:05}-name-{}",
                self.history.now() / (ERA + 2 * self.staleness),
                caller.choices.below(NAMES)
            );
            match caller.choices.below(10) {
                0..=4 => {
                    if let Some(id) = self.ask_for(&mut caller, &name) {
                        known = Some((name, id));
                    }
                }
                5..=7 => self.look_up(&mut caller, &name),
                _ => {
                    if let Some((name, id)) = known.take() {
                        self.delete(&mut caller, &name, &id);
                    }
                }
            }
            pause(OPERATION_INTERVAL);
        }
    }

    fn ask_for(&self, caller: &mut Caller<'_>, name: &str) -> Option<String> {
        let began = self.history.now();
        let answer = caller.ask("POST", &format!("/v2/key-value-stores?name={name}"), "", "");
        match answer {
            Some(answer @ Answer { status: 200 | 201, .. }) => {
                let id = answer.data("id").expect("an id");
                let operation = if answer.status == 201 { Operation::Made } else { Operation::Found };
                self.history.note(name, operation(id.clone()), began, true);
                Some(id)
            }
            None | Some(Answer { status: 429 | 500.., .. }) => {
                self.history.note(name, Operation::Asked, began, false);
                None
            }
            Some(Answer { status, text, .. }) => panic!("POST {name}: {status} {text}"),
        }
    }

    /// Looks a name up. A gateway may respond from its cache, within the staleness bound.
    fn look_up(&self, caller: &mut Caller<'_>, name: &str) {
        let began = self.history.now().saturating_sub(self.staleness);
        let Some(answer) = caller.ask("GET", &format!("/v2/key-value-stores/~{name}"), "", "") else { return };
        match answer.status {
            200 => self.history.note(name, Operation::Found(answer.data("id").expect("an id")), began, true),
            404 => self.history.note(name, Operation::Missing, began, true),
            429 | 500.. => {}
            status => panic!("GET {name}: {status} {}", answer.text),
        }
    }

    fn delete(&self, caller: &mut Caller<'_>, name: &str, id: &str) {
        let began = self.history.now();
        let answer = caller.ask("DELETE", &format!("/v2/key-value-stores/{id}"), "", "");
        match answer.map(|answer| (answer.status, answer.text)) {
            Some((204, _)) => self.history.note(name, Operation::Deleted(id.to_owned()), began, true),
            // Another one has deleted it, or an attempt has whose answer was lost.
            Some((404, _)) => {}
            None | Some((429 | 500.., _)) => {
                self.history.note(name, Operation::Deleted(id.to_owned()), began, false);
            }
            Some((status, text)) => panic!("DELETE {name}: {status} {text}"),
        }
    }

    /// Compares all histories with the guarantees. Returns the numbers of operations, and of those in doubt.
    pub fn verify(self) -> Result<(usize, usize), String> {
        let model = |spans: &[super::linear::Span<Operation>]| {
            let of = |wanted: fn(&Operation) -> Option<&String>| -> BTreeSet<String> {
                spans.iter().filter_map(|span| wanted(&span.operation).cloned()).collect()
            };
            let found = of(|operation| match operation {
                Operation::Found(id) => Some(id),
                _ => None,
            });
            let made = of(|operation| match operation {
                Operation::Made(id) => Some(id),
                _ => None,
            });
            Name { foundlings: found.difference(&made).cloned().collect() }
        };
        hold(self.history.into_histories(), model, &(None, BTreeSet::new()))
    }
}
