//! History of the records of a store, and its check for contradictions.

use std::{collections::BTreeSet, time::Duration};

/// The end of a call without a response: it may take effect at any time.
const NEVER: Duration = Duration::MAX;

/// A change of a record: `None` for its deletion.
pub type Value = Option<u64>;

#[derive(Debug, Clone, Copy)]
struct Change {
    key: &'static str,
    value: Value,
    asked: Duration,
    answered: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Read {
    key: &'static str,
    value: Value,
    asked: Duration,
    answered: Duration,
}

/// All that clients did and saw.
#[derive(Debug, Default)]
pub struct History {
    changes: Vec<Change>,
    reads: Vec<Read>,
    /// Until when the store has to live; `None` for ever.
    lives_until: Option<Duration>,
    wrong: BTreeSet<&'static str>,
}

/// A change that is not answered yet.
#[derive(Debug, Clone, Copy)]
pub struct Asked(usize);

impl History {
    /// Records the start of a change.
    pub fn ask(&mut self, key: &'static str, value: Value, now: Duration) -> Asked {
        self.changes.push(Change { key, value, asked: now, answered: NEVER });
        Asked(self.changes.len() - 1)
    }

    /// It was acknowledged, so that the store lives its retention from now on.
    pub fn acknowledge(&mut self, asked: Asked, now: Duration, retention: Duration) {
        self.changes[asked.0].answered = now;
        self.live_until(now + retention);
    }

    /// The store was changed: it lives at least until then.
    pub fn live_until(&mut self, end: Duration) {
        self.lives_until = self.lives_until.map(|until| until.max(end));
    }

    /// From now on the store is kept for ever, or expires then.
    pub fn set_end(&mut self, end: Option<Duration>) {
        self.lives_until = end;
    }

    /// From now on the store need live no longer than that.
    pub fn shorten(&mut self, end: Duration) {
        self.lives_until = Some(self.lives_until.map_or(end, |until| until.min(end)));
    }

    /// The store was gone for a request that was answered now.
    pub fn gone(&mut self, now: Duration) {
        if self.lives_until.is_none_or(|until| now < until) {
            self.wrong.insert("gone before its end");
        }
    }

    /// A record was read.
    pub fn read(&mut self, key: &'static str, value: Value, asked: Duration, answered: Duration) {
        self.reads.push(Read { key, value, asked, answered });
    }

    /// Returns the contradictions in the history, and in the final state.
    pub fn check(mut self, last: &[(&'static str, Value)], now: Duration) -> BTreeSet<&'static str> {
        for read in &self.reads {
            if !self.can_see(read) {
                self.wrong.insert("stale read");
            }
        }
        for (key, value) in last {
            if !self.can_see(&Read { key, value: *value, asked: now, answered: now }) {
                self.wrong.insert("acknowledged change lost");
            }
        }
        self.wrong
    }

    /// Returns `true` if some change gave the record the value that was read, and no other change was requested after
    /// its acknowledgement and acknowledged before the read.
    fn can_see(&self, read: &Read) -> bool {
        let beginning = Change { key: read.key, value: None, asked: Duration::ZERO, answered: Duration::ZERO };
        let changes = || self.changes.iter().filter(|change| change.key == read.key);
        let gave = |change: &&Change| change.value == read.value && change.asked <= read.answered;
        changes()
            .chain([&beginning])
            .filter(gave)
            .any(|source| !changes().any(|other| other.asked > source.answered && other.answered < read.asked))
    }
}
