//! The rules of a store's life: until when it lives, when its records must stand elsewhere, and each step of a move. Nothing
//! here asks or waits: a rule is given a document and the time, and says what is to be, or changes the document.
//!
//! A move is a row of documents, each written on condition that it follows the one before:
//!
//! ```text
//! copying    a new generation, named after the attempt; records are copied, reads and writes go on in the old place
//! frozen     writes wait; the last differences are copied
//! arriving   the new place counts; writes still wait, until nobody can believe in the old one
//! live       the old place is a leftover, removed when nobody can be reading there any more
//! ```
//!
//! A freeze ends only by such a write, never by time. Who carries a move on after somebody else's stall begins a new attempt,
//! into another generation, so that a late copy of the first lands where nobody reads; from `arriving` on there is nothing
//! left to copy, and he only finishes.

use std::time::Duration;

use crate::clock::Timestamp;

use super::{
    document::{Document, FormerName, Leftover, Move, Phase, Place},
    error::{Error, Result},
    name::StoreName,
    retention::{LifecycleClass, Retention},
    safeguards::Safeguards,
};

/// The longest a request takes: so long a place that a store has left may still be read and written.
pub const LONGEST_REQUEST: Duration = Duration::from_hours(1);

/// How long whoever carries a move may be silent before another takes it over.
pub const STALL: Duration = Duration::from_mins(1);

/// Moves end a day or more before a lifecycle rule could do harm; one that has so little time left is late.
const LATE: Duration = Duration::from_hours(12);

/// How far the birth of a generation may lie in the future without doubt.
const CLOCK_TOLERANCE: Duration = Duration::from_mins(1);

/// Where records are to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Destination {
    /// The lifecycle class, or `None` to be kept for ever.
    class: Option<LifecycleClass>,
}

/// The rules as they are where this gateway serves.
#[derive(Debug, Clone)]
pub struct LifeRules {
    /// Whether the backend deletes records by lifecycle class. Where it does not, all records are kept outside the classes.
    pub has_classes: bool,
    /// How long another gateway may believe in what was before.
    pub staleness: Duration,
    /// What keeps moves safe.
    pub safeguards: Safeguards,
}

impl LifeRules {
    /// Puts off the end of a store's life that was changed now; whether anything is to be written.
    ///
    /// The promise is `expires_at >= change + retention`, and what the lifecycle rule may take earlier than that must have
    /// moved before. Whether the store has expired goes by the wall time `now`, its new end is computed from `base`.
    pub fn renew(&self, document: &mut Document, now: Timestamp, base: Timestamp) -> Result<bool> {
        if !document.is_visible(now) {
            return Err(Error::StoreNotFound);
        }
        let now = base;
        let needed = now.plus(document.retention.duration());
        if document.name.is_some() || document.expires_at.is_some_and(|at| at >= needed) {
            return Ok(false);
        }
        let mut end = end_of_life(document.retention, now);
        if self.has_classes
            && let Some((class, limit)) = kept_until(document)
        {
            // A store whose retention has grown is about to move, and has a day for that: its records die no sooner.
            let is_about_to_move = !class.serves(document.retention) && now < limit;
            if limit < needed && !is_about_to_move {
                return Err(Error::unavailable(format!("store {} has to move before it lives on", document.id)));
            }
            end = end.min(limit.max(needed));
        }
        document.expires_at = Some(end);
        Ok(true)
    }

    /// Takes a store's name away: from now on it expires.
    pub fn take_name(&self, document: &mut Document, now: Timestamp) {
        if let Some(name) = document.name.take() {
            leave_name(document, name, now);
        }
        self.restart_life(document, now);
    }

    /// Gives a store another retention, that begins now.
    pub fn retain(&self, document: &mut Document, retention: Retention, now: Timestamp) {
        document.retention = retention;
        if document.name.is_none() {
            self.restart_life(document, now);
        }
    }

    /// Who still believes that the store has a name, or another retention, puts off nothing: his changes are covered, too.
    fn restart_life(&self, document: &mut Document, now: Timestamp) {
        document.expires_at = Some(end_of_life(document.retention, now.plus(self.staleness)));
    }

    /// Returns the lifecycle class that records belong to; `None` for those that no lifecycle rule may delete.
    ///
    /// Without lifecycle rules that is every record. So a data folder holds nothing that the rules of a bucket could delete once it has
    /// been migrated there, however long the stores have lived and whichever have been named meanwhile.
    fn class(&self, is_named: bool, retention: Retention) -> Option<LifecycleClass> {
        (self.has_classes && !is_named).then(|| LifecycleClass::serving(retention))
    }

    /// Returns the place of the records of a new store.
    pub fn first_place(&self, is_named: bool, retention: Retention, now: Timestamp) -> Place {
        Place { class: self.class(is_named, retention), generation: "1".to_owned(), born_at: now }
    }

    /// Returns where the records are to go, if not where they are.
    pub fn needed_move(&self, document: &Document, now: Timestamp) -> Option<Destination> {
        if !document.is_there() {
            return None;
        }
        let wanted = Destination { class: self.class(document.name.is_some(), document.retention) };
        match (wanted.class, document.place.class) {
            (None, None) => None,
            (None, Some(_)) | (Some(_), None) => Some(wanted),
            (Some(_), Some(class)) if !class.serves(document.retention) => Some(wanted),
            (Some(_), Some(class)) => {
                let born_at = document.place.born_at;
                let is_due = class.renewal_due(born_at, document.retention) <= now;
                // Begun while the clock was ahead: by the object store's own stamps the records are older than that.
                let is_from_future = born_at > now.plus(CLOCK_TOLERANCE);
                (is_due || is_from_future).then_some(wanted)
            }
        }
    }

    /// Whether a lifecycle rule is about to remove records of a living store, unless they move in time.
    pub fn is_late(&self, document: &Document, now: Timestamp) -> bool {
        let Place { class, born_at, .. } = &document.place;
        let removed_from = class.map(|class| class.keeps_until(*born_at));
        let outlives = |limit| document.name.is_some() || document.expires_at.is_none_or(|end| end > limit);
        self.has_classes && removed_from.is_some_and(|limit| outlives(limit) && now.plus(LATE) >= limit)
    }

    /// Begins a move, or takes over one that stands still; the attempt, or `None` when there is nothing to copy.
    pub fn begin_move(&self, document: &mut Document, now: Timestamp) -> Option<u64> {
        let class = match &document.phase {
            Phase::Live => self.needed_move(document, now)?.class,
            Phase::Copying(movement) | Phase::Frozen(movement) => movement.to.class,
            Phase::Creating | Phase::Arriving(_) | Phase::Deleted { .. } => return None,
        };
        Some(self.begin_attempt(document, class, now))
    }

    fn begin_attempt(&self, document: &mut Document, class: Option<LifecycleClass>, now: Timestamp) -> u64 {
        // The version that this write will have.
        let attempt = document.version + 1;
        if let Phase::Copying(given_up) | Phase::Frozen(given_up) = &document.phase {
            document.leftovers.push(Leftover { place: given_up.to.clone(), since: now });
        }
        let generation = if self.safeguards.fresh_generations { attempt.to_string() } else { "moved".to_owned() };
        let to = Place { class, generation, born_at: now };
        document.phase = Phase::Copying(Move { attempt, from: document.place.clone(), to, beat: now, copied: 0 });
        attempt
    }

    /// How long a place that was left may still be used.
    pub fn leftover_lifetime(&self) -> Duration {
        if self.safeguards.delays_removal { LONGEST_REQUEST } else { Duration::ZERO }
    }

    /// When somebody should look at the store, as far as can be known now; `None` when nothing will be due by itself.
    pub fn next_look(&self, document: &Document, now: Timestamp) -> Option<Timestamp> {
        match &document.phase {
            Phase::Creating => Some(document.created_at.plus(LONGEST_REQUEST)),
            Phase::Deleted { .. } => Some(now),
            Phase::Copying(movement) | Phase::Frozen(movement) | Phase::Arriving(movement) => {
                Some(movement.beat.plus(STALL))
            }
            Phase::Live if self.needed_move(document, now).is_some() => Some(now),
            Phase::Live => {
                let renewal = document.place.class.filter(|_| self.has_classes && document.name.is_none());
                let renewal = renewal.map(|class| class.renewal_due(document.place.born_at, document.retention));
                let leftovers = document.leftovers.iter().map(|left| left.since.plus(self.leftover_lifetime()));
                let releases = document.former_names.iter().map(|former| former.since.plus(LONGEST_REQUEST));
                leftovers.chain(releases).chain(renewal).chain(sweep_time(document)).min()
            }
        }
    }
}

/// The end of the life of an unnamed store that was changed now, a step ahead of need.
pub fn end_of_life(retention: Retention, now: Timestamp) -> Timestamp {
    now.plus(retention.duration() + retention.step())
}

/// Gives a store the name that it is about to have: from now on it is kept for ever.
pub fn name(document: &mut Document, now: Timestamp) {
    let Some(name) = document.pending_name.take() else { return };
    document.former_names.retain(|former| former.name != name);
    if let Some(former) = document.name.replace(name)
        && document.name.as_ref() != Some(&former)
    {
        leave_name(document, former, now);
    }
    document.expires_at = None;
}

/// Ends the attempt to give a store a name. Returns whether there was one.
pub fn abandon_name(document: &mut Document, now: Timestamp) -> bool {
    let Some(name) = document.pending_name.take() else { return false };
    if document.name.as_ref() != Some(&name) {
        leave_name(document, name, now);
    }
    true
}

/// Notes that the claim of a name is to be released, if the store has written one.
fn leave_name(document: &mut Document, name: StoreName, now: Timestamp) {
    document.former_names.retain(|former| former.name != name);
    document.former_names.push(FormerName { name, since: now });
}

/// Notes that a move goes on.
pub fn beat(document: &mut Document, attempt: u64, copied: u64, now: Timestamp) -> Result<bool> {
    let movement = current(document, attempt)?;
    (movement.beat, movement.copied) = (now, copied);
    Ok(true)
}

/// Lets writes wait.
pub fn freeze(document: &mut Document, attempt: u64, now: Timestamp) -> Result<bool> {
    current(document, attempt)?.beat = now;
    let Phase::Copying(movement) = document.phase.clone() else { return Err(lost(document)) };
    document.phase = Phase::Frozen(movement);
    Ok(true)
}

/// Makes the new place count.
pub fn arrive(document: &mut Document, attempt: u64, now: Timestamp) -> Result<bool> {
    current(document, attempt)?.beat = now;
    let Phase::Frozen(movement) = document.phase.clone() else { return Err(lost(document)) };
    document.place = movement.to.clone();
    document.phase = Phase::Arriving(movement);
    Ok(true)
}

/// Lets writes go on, and leaves the old place behind.
pub fn settle(document: &mut Document, attempt: u64, now: Timestamp) -> Result<bool> {
    current(document, attempt)?;
    let Phase::Arriving(movement) = document.phase.clone() else { return Err(lost(document)) };
    document.leftovers.push(Leftover { place: movement.from, since: now });
    document.phase = Phase::Live;
    Ok(true)
}

/// Deletes a store at `now`, when the installation has run for `uptime`; its tombstone names every place that may hold records
/// of it.
pub fn bury(document: &mut Document, now: Timestamp, uptime: Duration) -> Result<bool> {
    let mut places = vec![document.place.clone()];
    match &document.phase {
        Phase::Deleted { .. } => return Err(Error::StoreNotFound),
        Phase::Creating | Phase::Live => {}
        Phase::Copying(movement) | Phase::Frozen(movement) => places.push(movement.to.clone()),
        Phase::Arriving(movement) => places.push(movement.from.clone()),
    }
    places.extend(document.leftovers.drain(..).map(|leftover| leftover.place));
    let uptime_millis = u64::try_from(uptime.as_millis()).unwrap_or(u64::MAX);
    document.phase = Phase::Deleted { at: now, uptime_millis, places };
    Ok(true)
}

/// When the sweep deletes an unnamed store that nobody changes any more.
pub fn sweep_time(document: &Document) -> Option<Timestamp> {
    document.expires_at.filter(|_| document.name.is_none()).map(|at| at.plus(document.retention.grace()))
}

/// Until when the lifecycle rules surely leave all records of an unnamed store alone, wherever it is or goes.
fn kept_until(document: &Document) -> Option<(LifecycleClass, Timestamp)> {
    let place = document.movement().map_or(&document.place, |movement| &movement.to);
    place.class.map(|class| (class, class.keeps_until(place.born_at)))
}

/// The move, if it is still this attempt.
fn current(document: &mut Document, attempt: u64) -> Result<&mut Move> {
    let id = document.id;
    match &mut document.phase {
        Phase::Copying(movement) | Phase::Frozen(movement) | Phase::Arriving(movement)
            if movement.attempt == attempt =>
        {
            Ok(movement)
        }
        Phase::Deleted { .. } => Err(Error::StoreNotFound),
        Phase::Creating | Phase::Live | Phase::Copying(_) | Phase::Frozen(_) | Phase::Arriving(_) => {
            Err(Error::unavailable(format!("another carries on the move of store {id}")))
        }
    }
}

fn lost(document: &Document) -> Error {
    Error::unavailable(format!("the move of store {} is in another phase", document.id))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::clock::SeededRandom;
    use crate::kv::document::DOCUMENT_FORMAT;
    use crate::kv::id::{StoreId, UserId};

    const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

    fn document(name: Option<&str>, expires_at: Option<Timestamp>) -> Document {
        let random = SeededRandom::new(1);
        let rules = LifeRules { has_classes: true, staleness: Duration::ZERO, safeguards: Safeguards::ALL };
        let place = rules.first_place(false, Retention::DEFAULT, START);
        serde_json::from_value(json!({
            "format": DOCUMENT_FORMAT, "id": StoreId::generate(&random), "version": 1, "nonce": "", "ownerId": UserId::generate(&random),
            "name": name, "createdAt": START, "modifiedAt": START, "accessedAt": START,
            "generalAccess": "RESTRICTED", "retentionMillis": Retention::DEFAULT, "expiresAt": expires_at, "signingKeyVersion": 0,
            "location": place, "phase": { "name": "active" },
            "stats": { "readCount": 0, "writeCount": 0, "deleteCount": 0, "listCount": 0 },
        }))
        .expect("it is a document")
    }

    #[test]
    fn a_move_is_late_when_a_lifecycle_rule_is_about_to_take_what_should_live() {
        let rules = LifeRules { has_classes: true, staleness: Duration::ZERO, safeguards: Safeguards::ALL };
        let limit = LifecycleClass::serving(Retention::DEFAULT).keeps_until(START);
        let (early, late) = (limit.minus(LATE + Duration::from_secs(1)), limit.minus(LATE));
        for (living, is_endangered) in [
            (document(Some("shop"), None), true),
            (document(None, Some(limit.plus(LATE))), true),
            (document(None, Some(limit)), false),
        ] {
            assert_eq!((rules.is_late(&living, early), rules.is_late(&living, late)), (false, is_endangered));
        }
        let mut moved = document(Some("shop"), None);
        moved.place.class = None;
        assert!(!rules.is_late(&moved, late));
        let ruleless = LifeRules { has_classes: false, ..rules };
        assert!(!ruleless.is_late(&document(Some("shop"), None), late));
    }

    #[test]
    fn a_generation_that_was_begun_while_the_clock_was_ahead_moves_at_once() {
        let rules = LifeRules { has_classes: true, staleness: Duration::ZERO, safeguards: Safeguards::ALL };
        let living = document(None, Some(START.plus(Duration::from_hours(24 * 7))));
        let moves_at = |now| rules.needed_move(&living, now).is_some();
        assert!(!moves_at(START) && !moves_at(START.minus(CLOCK_TOLERANCE)));
        assert!(moves_at(START.minus(CLOCK_TOLERANCE + Duration::from_secs(1))));
        assert_eq!(rules.next_look(&living, START.minus(CLOCK_TOLERANCE * 2)), Some(START.minus(CLOCK_TOLERANCE * 2)));
    }
    #[test]
    fn without_lifecycle_rules_nothing_stays_where_one_could_delete_it() {
        let rules = LifeRules { has_classes: false, staleness: Duration::ZERO, safeguards: Safeguards::ALL };
        let expires_at = Some(START.plus(Duration::from_hours(24 * 7)));
        for is_named in [false, true] {
            assert_eq!(rules.first_place(is_named, Retention::DEFAULT, START).class, None);
        }
        // Of a bucket, before a migration to a folder.
        for mut living in [document(None, expires_at), document(Some("shop"), None)] {
            assert_eq!(rules.needed_move(&living, START), Some(Destination { class: None }));
            assert_eq!(rules.next_look(&living, START), Some(START));
            living.place.class = None;
            assert_eq!(rules.needed_move(&living, START), None);
        }
    }
}
