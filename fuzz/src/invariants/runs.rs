//! Invariants of run documents, and of the keys of queues and lists of runs.

use larder::runs::{ActorName, Queue, Run, RunStatus, internals::Entry};

use super::round_trip::{json, verbatim};

/// Checks that a run document survives a round trip, and that its methods accept it; likewise that a parsed queue
/// item or list entry is the key that would be written for it.
pub fn run(bytes: &[u8]) {
    json::<Run>(bytes);
    if let Ok(run) = serde_json::from_slice::<Run>(bytes) {
        assert!(run.deadline().is_none_or(|deadline| deadline >= run.started_at));
        assert!(!run.input_key().is_empty() || !run.metamorphs.is_empty());
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    verbatim::<ActorName>(text);
    for queue in [Queue::Due, Queue::Finished, Queue::Removal] {
        if let Some(item) = queue.parse(text) {
            assert_eq!(queue.key(item.at, &item.id), text);
        }
    }
    if let Some(entry) = Entry::parse(text) {
        assert_eq!(entry.end(), text);
    }
    if let Some(status) = RunStatus::parse(text) {
        assert_eq!(status.as_str(), text);
    }
}
