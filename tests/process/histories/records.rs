//! Clients that write, read, delete and list records, and the checks of the responses that they got.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use super::{
    clients::{Caller, Cluster},
    linear::Span,
    recorder::{Recorder, hold},
    register::{Operation, Register, Value},
};

/// Records at a time.
const KEYS: u64 = 6;

/// Support for conditional record writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conditions {
    /// With conditions and without, as it comes.
    Mixed,
    /// Each record either always with conditions or never: all that gateways beside a leader promise, where a write without a condition
    /// may fall between the leader's look and its write.
    Apart,
}

/// Operation on a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Read,
    Write,
    Delete,
    Replace,
}

/// Time for which the same records are used, in nanoseconds: histories should end before they are too long to check.
const ERA: u64 = 1_500_000_000;

/// Bytes of bodies beside their number: as rows, and as files or streams.
const SIZES: [usize; 4] = [0, 100, 5_000, 90_000];

/// A list of the keys that begin with a prefix.
#[derive(Debug)]
pub struct Listed {
    prefix: String,
    keys: BTreeSet<String>,
}

/// State shared by all workers on records.
pub struct Records {
    pub path: String,
    pub history: Recorder<Operation>,
    pub lists: Recorder<Listed>,
    numbers: AtomicU64,
    conditions: Conditions,
}

/// The validators that a worker has seen.
type Seen = BTreeMap<String, (String, Value)>;

impl Records {
    pub fn of(site: &Cluster, path: String, began: std::time::Instant, conditions: Conditions) -> Self {
        assert!(site.len() > 0);
        let (history, lists) = (Recorder::since(began), Recorder::since(began));
        Self { path, history, lists, numbers: AtomicU64::new(1), conditions }
    }

    /// Works until it is over.
    pub fn work(&self, mut caller: Caller<'_>, is_over: &AtomicBool) {
        let mut seen = Seen::new();
        while !is_over.load(Relaxed) {
            let era = self.history.now() / ERA;
            let number = caller.choices.below(KEYS);
            let key = format!("era-{era:05}-key-{number}");
            let act = match caller.choices.below(20) {
                0..=7 => Act::Read,
                8..=13 => Act::Write,
                14..=15 => Act::Delete,
                16..=18 => Act::Replace,
                _ => {
                    let era = era.saturating_sub(caller.choices.below(2));
                    self.list(&mut caller, era);
                    continue;
                }
            };
            match self.permitted(number, act) {
                Act::Read => self.read(&mut caller, &key, &mut seen),
                Act::Write => self.write(&mut caller, &key, None),
                Act::Delete => self.delete(&mut caller, &key),
                Act::Replace => self.replace(&mut caller, &key, &seen),
            }
        }
    }

    /// Returns the operation on the record of this number, or its replacement where the record does not permit it.
    fn permitted(&self, number: u64, act: Act) -> Act {
        match (self.conditions, number % 2, act) {
            (Conditions::Apart, 0, Act::Replace) => Act::Write,
            (Conditions::Apart, 1, Act::Write | Act::Delete) => Act::Replace,
            _ => act,
        }
    }

    fn read(&self, caller: &mut Caller<'_>, key: &str, seen: &mut Seen) {
        let began = self.history.now();
        let Some(answer) = caller.ask("GET", &format!("{}/{key}", self.path), "", "") else { return };
        let value = match answer.status {
            404 => None,
            200 => Some(number_of(&answer.text)),
            // An error response proves nothing.
            500.. | 429 => return,
            status => panic!("GET {key}: {status} {}", answer.text),
        };
        self.history.note(key, Operation::Read(value), began, true);
        let condition = match &answer.etag {
            Some(etag) => format!("if-match: {etag}\r\n"),
            None => "if-none-match: *\r\n".to_owned(),
        };
        seen.insert(key.to_owned(), (condition, value));
    }

    /// Writes; if the worker has seen a validator, on the condition that it still matches.
    fn write(&self, caller: &mut Caller<'_>, key: &str, seen: Option<&(String, Value)>) {
        let number = self.numbers.fetch_add(1, Relaxed);
        let size = SIZES[usize::try_from(caller.choices.below(SIZES.len() as u64)).expect("a small number")];
        let body = format!("{number} {}", "x".repeat(size));
        let condition = seen.map_or("", |(condition, _)| condition);
        let operation = seen.map_or(Operation::Write(number), |(_, value)| Operation::Replace(*value, number));
        let headers = format!("content-type: text/plain\r\n{condition}");
        let began = self.history.now();
        let answer = caller.ask("PUT", &format!("{}/{key}", self.path), &headers, &body);
        match answer.map(|answer| (answer.status, answer.text)) {
            Some((200 | 201, _)) => self.history.note(key, operation, began, true),
            Some((412 | 429, _)) => {}
            None | Some((500.., _)) => self.history.note(key, operation, began, false),
            Some((status, text)) => panic!("PUT {key}: {status} {text}"),
        }
    }

    fn replace(&self, caller: &mut Caller<'_>, key: &str, seen: &Seen) {
        if let Some(known) = seen.get(key) {
            self.write(caller, key, Some(known));
        }
    }

    fn delete(&self, caller: &mut Caller<'_>, key: &str) {
        let began = self.history.now();
        let answer = caller.ask("DELETE", &format!("{}/{key}", self.path), "", "");
        match answer.map(|answer| (answer.status, answer.text)) {
            Some((204, _)) => self.history.note(key, Operation::Delete, began, true),
            Some((429, _)) => {}
            None | Some((500.., _)) => self.history.note(key, Operation::Delete, began, false),
            Some((status, text)) => panic!("DELETE {key}: {status} {text}"),
        }
    }

    fn list(&self, caller: &mut Caller<'_>, era: u64) {
        let prefix = format!("era-{era:05}-");
        let path = self.path.trim_end_matches("/records");
        let began = self.lists.now();
        let Some(answer) = caller.ask("GET", &format!("{path}/keys?prefix={prefix}"), "", "") else { return };
        match answer.status {
            200 => {
                let page: serde_json::Value = serde_json::from_str(&answer.text).expect("JSON");
                let items = page["data"]["items"].as_array().expect("items");
                let keys = items.iter().map(|item| item["key"].as_str().expect("a key").to_owned()).collect();
                self.lists.note(&prefix.clone(), Listed { prefix, keys }, began, true);
            }
            500.. | 429 => {}
            status => panic!("the list of {prefix}: {status} {}", answer.text),
        }
    }

    /// Compares all histories with the guarantees. Returns the numbers of operations, of those in doubt, and of lists.
    pub fn verify(self) -> Result<(usize, usize, usize), String> {
        let mut histories = self.history.into_histories();
        let mut lists = 0;
        for listed in self.lists.into_histories().into_values().flatten() {
            lists += 1;
            held(&listed, &histories)?;
        }
        histories.values_mut().for_each(forget_unobserved_operations);
        let (all, open) = hold(histories, |_| Register, &None)?;
        Ok((all, open, lists))
    }
}

fn number_of(text: &str) -> u64 {
    let (number, rest) = text.split_once(' ').unwrap_or_else(|| panic!("a record that no client wrote: {text:?}"));
    assert!(SIZES.contains(&rest.len()), "a record was cut or mixed: {number}, and {} bytes", rest.len());
    number.parse().expect("a number")
}

/// Removes writes in doubt that no read shows: they cannot contradict anything.
fn forget_unobserved_operations(history: &mut Vec<Span<Operation>>) {
    let seen: HashSet<u64> = history
        .iter()
        .filter_map(|span| match span.operation {
            Operation::Read(value) | Operation::Replace(value, _) => value,
            Operation::Write(_) | Operation::Delete => None,
        })
        .collect();
    history.retain(|span| match span.operation {
        Operation::Write(number) | Operation::Replace(_, number) => span.ended.is_some() || seen.contains(&number),
        Operation::Read(_) | Operation::Delete => true,
    });
}

/// Checks that a list has all keys that were certainly there while it was made, and none that certainly were not.
fn held(listed: &Span<Listed>, histories: &BTreeMap<String, Vec<Span<Operation>>>) -> Result<(), String> {
    let Listed { prefix, keys } = &listed.operation;
    let ended = listed.ended.unwrap_or(u64::MAX);
    for (key, history) in histories.range(prefix.clone()..).take_while(|(key, _)| key.starts_with(prefix)) {
        let changes = history.iter().filter(|span| !matches!(span.operation, Operation::Read(_)));
        let (deletes, writes): (Vec<_>, Vec<_>) = changes.partition(|span| span.operation == Operation::Delete);
        // The last change of each kind that was over when the list began.
        let last = |spans: &[&Span<Operation>]| {
            spans
                .iter()
                .filter(|span| span.ended.is_some_and(|ended| ended < listed.began))
                .map(|span| span.began)
                .max()
        };
        let may_be_after = |spans: &[&Span<Operation>], began: u64| {
            spans.iter().any(|span| span.began < ended && span.ended.is_none_or(|ended| ended >= began))
        };
        if let Some(written) = last(&writes)
            && !may_be_after(&deletes, written)
            && !keys.contains(key)
        {
            return Err(format!("{key} was written and is missing in the list {listed:?}: {history:?}"));
        }
        let was_gone = match last(&deletes) {
            Some(began) => !may_be_after(&writes, began),
            None => writes.iter().all(|span| span.began >= ended),
        };
        if was_gone && keys.contains(key) {
            return Err(format!("{key} was deleted and is in the list {listed:?}: {history:?}"));
        }
    }
    let unknown = keys.iter().find(|key| !histories.contains_key(*key));
    unknown.map_or(Ok(()), |key| Err(format!("{key} was never written and is in the list {listed:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(keys: &[&str]) -> Span<Listed> {
        let keys = keys.iter().map(|key| (*key).to_owned()).collect();
        Span { operation: Listed { prefix: "a".to_owned(), keys }, began: 10, ended: Some(20) }
    }

    fn history(operations: &[(Operation, u64, Option<u64>)]) -> BTreeMap<String, Vec<Span<Operation>>> {
        let spans = operations.iter().map(|(operation, began, ended)| Span {
            operation: operation.clone(),
            began: *began,
            ended: *ended,
        });
        BTreeMap::from([("ab".to_owned(), spans.collect())])
    }

    #[test]
    fn a_list_without_what_was_written_is_found_out() {
        let written = (Operation::Write(1), 1, Some(2));
        assert!(held(&listed(&["ab"]), &history(std::slice::from_ref(&written))).is_ok());
        assert!(held(&listed(&[]), &history(std::slice::from_ref(&written))).is_err());
        let deletes = [(Operation::Delete, 3, None), (Operation::Delete, 12, Some(30))];
        for delete in deletes {
            assert!(held(&listed(&[]), &history(&[written.clone(), delete])).is_ok(), "it may be gone by then");
        }
    }

    #[test]
    fn a_list_with_what_was_deleted_is_found_out() {
        let gone = [(Operation::Write(1), 1, Some(2)), (Operation::Delete, 3, Some(4))];
        assert!(held(&listed(&[]), &history(&gone)).is_ok());
        assert!(held(&listed(&["ab"]), &history(&gone)).is_err());
        let again = [&gone[..], &[(Operation::Write(2), 5, None)]].concat();
        assert!(held(&listed(&["ab"]), &history(&again)).is_ok(), "it may be there again");
        assert!(held(&listed(&["ac"]), &history(&gone)).is_err(), "no client wrote that");
    }
}
