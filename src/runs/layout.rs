//! The keys of objects that are about runs: the only place that builds or reads them.
//!
//! ```text
//! larder/runs/{run}                                            the document of a run
//! larder/runs-of/{owner}/all/{time left}-{run}                 an owner's runs, the newest first
//! larder/runs-of/{owner}/{actor or task}-{id}/{time left}-{run}  those of an actor, or of a task
//! larder/runs-due/{time}-{run}                                 runs that are to be looked at then
//! ```
//!
//! Times are milliseconds in 13 digits. What is listed by newness has the time that is left until all digits are nines, so
//! that the order of bytes begins with the newest.

use crate::{
    clock::Timestamp,
    kv::{ActorId, RunId, UserId},
};

use super::actor::ActorKind;

/// The latest time that 13 digits hold, in the year 2286.
const LAST: i64 = 9_999_999_999_999;

/// What all appointments with runs begin with.
pub const DUE: &str = "larder/runs-due/";

/// The document of a run.
pub fn document(id: &RunId) -> String {
    format!("larder/runs/{id}")
}

/// What the entries of all of an owner's runs begin with.
pub fn all_of(owner: &UserId) -> String {
    format!("larder/runs-of/{owner}/all/")
}

/// What the entries of an owner's runs of one actor, or of one task, begin with.
pub fn of_actor(owner: &UserId, kind: ActorKind, id: &ActorId) -> String {
    format!("larder/runs-of/{owner}/{}-{id}/", kind.as_str())
}

/// The end of a run's entries.
pub fn entry(started_at: Timestamp, id: &RunId) -> String {
    format!("{:013}-{id}", LAST - started_at.as_millis().clamp(0, LAST))
}

/// The run that an entry stands for, by its end; `None` if it is none.
pub fn parse_entry(end: &str) -> Option<RunId> {
    end.split_once('-')?.1.parse().ok()
}

/// An appointment with a run.
pub fn due(at: Timestamp, id: &RunId) -> String {
    format!("{DUE}{:013}-{id}", at.as_millis().clamp(0, LAST))
}

/// The time and the run of an appointment; `None` if the object is none.
pub fn parse_due(key: &str) -> Option<(Timestamp, RunId)> {
    let (digits, id) = key.strip_prefix(DUE)?.split_once('-')?;
    let is_time = digits.len() == 13 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let at = digits.parse().ok().filter(|_| is_time)?;
    Some((Timestamp::from_millis(at), id.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SeededRandom;

    #[test]
    fn entries_are_in_the_order_of_newness_and_appointments_in_that_of_time() {
        let id = RunId::generate(&SeededRandom::new(1));
        let (early, late) = (Timestamp::from_millis(999), Timestamp::from_millis(1_767_225_600_000));
        assert!(entry(late, &id) < entry(early, &id));
        assert!(due(early, &id) < due(late, &id));
        assert_eq!(parse_entry(&entry(late, &id)), Some(id));
        assert_eq!(parse_due(&due(late, &id)), Some((late, id)));
        for none in ["larder/runs-due/1-x", "larder/due/1767225600000-WkzbQMuFYuamGv3YF", "larder/runs-due/"] {
            assert_eq!(parse_due(none), None, "{none}");
        }
    }
}
