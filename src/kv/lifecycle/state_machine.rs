//! State machine of a store: its expiry, the location of its records, and each step of a relocation.
//!
//! This file does no I/O. A rule takes a document and the time, and returns a decision or changes the document. The
//! caller commits each change with a compare-and-swap of the store document.
//!
//! ```text
//! Creating -> Active -> Copying -> Frozen -> CuttingOver -> Active        any of them -> Deleted
//! ```
//!
//! # Relocation
//!
//! 1. `Copying` ([`LifecyclePolicy::begin_relocation`]). The document names a new location, whose generation is called
//!    after the attempt. The relocator copies records. Reads and writes continue in the old location.
//! 2. `Frozen` ([`freeze`]). Writers wait. The relocator waits until no gateway can have a cached snapshot from before
//!    the freeze, and then copies the last differences.
//! 3. `CuttingOver` ([`cut_over`]): the commit point. The new location is current, and reads go there. Writers wait until
//!    no gateway can have the old location cached.
//! 4. `Active` ([`finish`]). Writers continue. The old location is a stale location, which the reconciler deletes when no
//!    request can still be reading there.
//!
//! *Conflict.* A lost compare-and-swap means that another writer has changed the document. The step is applied again to
//! the new version. It fails if another attempt has replaced this one, or if the store has a tombstone. A step that
//! fails has changed nothing.
//!
//! *Crash.* The store stays in its phase. Only a write ends a freeze, never time. If an attempt has sent no heartbeat for
//! [`STALL_TIMEOUT`], the reconciler of any gateway takes over. Before the commit point it begins a new attempt with a
//! new generation. A late copy of the first attempt then lands in a location that no gateway reads; it is a stale
//! location, too. After the commit point nothing is left to copy, and the gateway only finishes the relocation.
//!
//! *Deletion.* A tombstone ([`tombstone`]) names every location that may hold records, and ends a relocation in any phase.

use std::time::Duration;

use crate::{
    clock::Timestamp,
    kv::{
        model::{
            errors::{Error, Result},
            names::StoreName,
            retention::{LifecycleClass, Retention},
        },
        persist::{
            repository::SafetyToggles,
            store_metadata::{Document, FormerName, Location, Phase, Relocation, StaleLocation},
        },
    },
};

/// Maximum duration of a request: a location that a store has left may still be read and written for this long.
pub const MAX_REQUEST_DURATION: Duration = Duration::from_hours(1);

/// Timeout for the heartbeat of a relocation, after which another gateway takes over.
pub const STALL_TIMEOUT: Duration = Duration::from_mins(1);

/// Minimum time between the end of a relocation and the time at which a lifecycle rule may delete records. A
/// relocation normally ends a day or more before.
const RELOCATION_SAFETY_MARGIN: Duration = Duration::from_hours(12);

/// Maximum time by which the start of a generation may lie in the future without doubt.
const CLOCK_TOLERANCE: Duration = Duration::from_mins(1);

/// Target of a relocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelocationTarget {
    /// The lifecycle class, or `None` for permanent records.
    class: Option<LifecycleClass>,
}

/// Lifecycle policy of a gateway.
#[derive(Debug, Clone)]
pub struct LifecyclePolicy {
    /// True if the backend deletes records by lifecycle class. If not, all records are kept outside the classes.
    pub has_classes: bool,
    /// Staleness bound of other gateways.
    pub staleness: Duration,
    /// Safety toggles.
    pub toggles: SafetyToggles,
}

impl LifecyclePolicy {
    /// Extends the expiry of a store that is changed now. Returns whether there is anything to write.
    ///
    /// The invariant is `expires_at >= change + retention`; records that the lifecycle rule may delete earlier must
    /// have been relocated before. The wall time `now` decides whether the store has expired; its new expiry is
    /// computed from `base`.
    pub fn extend_expiry(&self, document: &mut Document, now: Timestamp, base: Timestamp) -> Result<bool> {
        if !document.is_visible(now) {
            return Err(Error::StoreNotFound);
        }
        let now = base;
        let needed = now.plus(document.retention.duration());
        if document.name.is_some() || document.expires_at.is_some_and(|at| at >= needed) {
            return Ok(false);
        }
        let mut end = extended_expiry(document.retention, now);
        if self.has_classes
            && let Some((class, limit)) = records_safe_until(document)
        {
            // A store whose retention has grown has a day to relocate: its records are not deleted earlier.
            let is_about_to_relocate = !class.serves(document.retention) && now < limit;
            if limit < needed && !is_about_to_relocate {
                return Err(Error::unavailable(format!(
                    "store {} has to relocate before its expiry can be extended",
                    document.id
                )));
            }
            end = end.min(limit.max(needed));
        }
        document.expires_at = Some(end);
        Ok(true)
    }

    /// Removes a store's name: it expires from now on.
    pub fn remove_name(&self, document: &mut Document, now: Timestamp) {
        if let Some(name) = document.name.take() {
            record_former_name(document, name, now);
        }
        self.restart_retention(document, now);
    }

    /// Sets a store's retention, counted from now.
    pub fn set_retention(&self, document: &mut Document, retention: Retention, now: Timestamp) {
        document.retention = retention;
        if document.name.is_none() {
            self.restart_retention(document, now);
        }
    }

    /// Restarts the retention. It also covers changes by gateways that still see the name or the earlier retention,
    /// and so do not extend the expiry.
    fn restart_retention(&self, document: &mut Document, now: Timestamp) {
        document.expires_at = Some(extended_expiry(document.retention, now.plus(self.staleness)));
    }

    /// Returns the lifecycle class of records; `None` for permanent ones.
    ///
    /// Without lifecycle rules every record is permanent. So a data folder that is migrated to a bucket holds nothing
    /// that the bucket's rules could delete, however long its stores have lived and whichever were named meanwhile.
    fn class_for(&self, is_named: bool, retention: Retention) -> Option<LifecycleClass> {
        (self.has_classes && !is_named).then(|| LifecycleClass::smallest_for(retention))
    }

    /// Returns the location of the records of a new store.
    pub fn initial_location(&self, is_named: bool, retention: Retention, now: Timestamp) -> Location {
        Location { class: self.class_for(is_named, retention), generation: "1".to_owned(), created_at: now }
    }

    /// Returns the target of the relocation that the records need, if any.
    pub fn required_relocation(&self, document: &Document, now: Timestamp) -> Option<RelocationTarget> {
        if !document.exists() {
            return None;
        }
        let wanted = RelocationTarget { class: self.class_for(document.name.is_some(), document.retention) };
        match (wanted.class, document.location.class) {
            (None, None) => None,
            (None, Some(_)) | (Some(_), None) => Some(wanted),
            (Some(_), Some(class)) if !class.serves(document.retention) => Some(wanted),
            (Some(_), Some(class)) => {
                let created_at = document.location.created_at;
                let is_due = class.relocation_due(created_at, document.retention) <= now;
                // Begun while the clock was ahead: by the object store's own timestamps the records are older.
                let is_from_future = created_at > now.plus(CLOCK_TOLERANCE);
                (is_due || is_from_future).then_some(wanted)
            }
        }
    }

    /// Returns whether a lifecycle rule is about to delete records of a live store unless they are relocated in time.
    pub fn is_relocation_overdue(&self, document: &Document, now: Timestamp) -> bool {
        let Location { class, created_at, .. } = &document.location;
        let removed_from = class.map(|class| class.safe_until(*created_at));
        let outlives = |limit| document.name.is_some() || document.expires_at.is_none_or(|end| end > limit);
        self.has_classes
            && removed_from.is_some_and(|limit| outlives(limit) && now.plus(RELOCATION_SAFETY_MARGIN) >= limit)
    }

    /// Begins a relocation, or takes over a stalled one. Returns the attempt, or `None` if there is nothing to copy.
    pub fn begin_relocation(&self, document: &mut Document, now: Timestamp) -> Option<u64> {
        let class = match &document.phase {
            Phase::Active => self.required_relocation(document, now)?.class,
            Phase::Copying(relocation) | Phase::Frozen(relocation) => relocation.to.class,
            Phase::Creating | Phase::CuttingOver(_) | Phase::Deleted { .. } => return None,
        };
        Some(self.begin_attempt(document, class, now))
    }

    fn begin_attempt(&self, document: &mut Document, class: Option<LifecycleClass>, now: Timestamp) -> u64 {
        // The version of the document that this write creates.
        let attempt = document.version + 1;
        if let Phase::Copying(given_up) | Phase::Frozen(given_up) = &document.phase {
            document.stale_locations.push(StaleLocation { location: given_up.to.clone(), since: now });
        }
        let generation = if self.toggles.fresh_generations { attempt.to_string() } else { "relocated".to_owned() };
        let to = Location { class, generation, created_at: now };
        document.phase = Phase::Copying(Relocation {
            attempt,
            from: document.location.clone(),
            to,
            heartbeat_at: now,
            copied_records: 0,
        });
        attempt
    }

    /// Returns how long a location may be used after the store has left it.
    pub fn stale_location_lifetime(&self) -> Duration {
        if self.toggles.delays_removal { MAX_REQUEST_DURATION } else { Duration::ZERO }
    }

    /// Returns the next time at which the store needs a visit, as far as known; `None` if nothing will become due by
    /// itself.
    pub fn next_visit(&self, document: &Document, now: Timestamp) -> Option<Timestamp> {
        match &document.phase {
            Phase::Creating => Some(document.created_at.plus(MAX_REQUEST_DURATION)),
            Phase::Deleted { .. } => Some(now),
            Phase::Copying(relocation) | Phase::Frozen(relocation) | Phase::CuttingOver(relocation) => {
                Some(relocation.heartbeat_at.plus(STALL_TIMEOUT))
            }
            Phase::Active if self.required_relocation(document, now).is_some() => Some(now),
            Phase::Active => {
                let relocation_due = document.location.class.filter(|_| self.has_classes && document.name.is_none());
                let relocation_due =
                    relocation_due.map(|class| class.relocation_due(document.location.created_at, document.retention));
                let stale_locations =
                    document.stale_locations.iter().map(|left| left.since.plus(self.stale_location_lifetime()));
                let releases = document.former_names.iter().map(|former| former.since.plus(MAX_REQUEST_DURATION));
                stale_locations.chain(releases).chain(relocation_due).chain(sweep_time(document)).min()
            }
        }
    }
}

/// Returns the expiry of an unnamed store that is changed now, one step ahead of need.
pub fn extended_expiry(retention: Retention, now: Timestamp) -> Timestamp {
    now.plus(retention.duration() + retention.coalescing_window())
}

/// Gives a store its pending name: it is permanent from now on.
pub fn commit_name(document: &mut Document, now: Timestamp) {
    let Some(name) = document.pending_name.take() else { return };
    document.former_names.retain(|former| former.name != name);
    if let Some(former) = document.name.replace(name)
        && document.name.as_ref() != Some(&former)
    {
        record_former_name(document, former, now);
    }
    document.expires_at = None;
}

/// Abandons the attempt to name a store. Returns whether there was one.
pub fn abandon_pending_name(document: &mut Document, now: Timestamp) -> bool {
    let Some(name) = document.pending_name.take() else { return false };
    if document.name.as_ref() != Some(&name) {
        record_former_name(document, name, now);
    }
    true
}

/// Records that the claim of a name is to be released, if the store has written one.
fn record_former_name(document: &mut Document, name: StoreName, now: Timestamp) {
    document.former_names.retain(|former| former.name != name);
    document.former_names.push(FormerName { name, since: now });
}

/// Records a heartbeat of a relocation.
pub fn heartbeat(document: &mut Document, attempt: u64, copied: u64, now: Timestamp) -> Result<bool> {
    let relocation = current_attempt(document, attempt)?;
    (relocation.heartbeat_at, relocation.copied_records) = (now, copied);
    Ok(true)
}

/// Blocks writes.
pub fn freeze(document: &mut Document, attempt: u64, now: Timestamp) -> Result<bool> {
    current_attempt(document, attempt)?.heartbeat_at = now;
    let Phase::Copying(relocation) = document.phase.clone() else { return Err(wrong_phase(document)) };
    document.phase = Phase::Frozen(relocation);
    Ok(true)
}

/// Switches to the new location: the commit point of a relocation.
pub fn cut_over(document: &mut Document, attempt: u64, now: Timestamp) -> Result<bool> {
    current_attempt(document, attempt)?.heartbeat_at = now;
    let Phase::Frozen(relocation) = document.phase.clone() else { return Err(wrong_phase(document)) };
    document.location = relocation.to.clone();
    document.phase = Phase::CuttingOver(relocation);
    Ok(true)
}

/// Unblocks writes, and records the old location as a stale location.
pub fn finish(document: &mut Document, attempt: u64, now: Timestamp) -> Result<bool> {
    current_attempt(document, attempt)?;
    let Phase::CuttingOver(relocation) = document.phase.clone() else { return Err(wrong_phase(document)) };
    document.stale_locations.push(StaleLocation { location: relocation.from, since: now });
    document.phase = Phase::Active;
    Ok(true)
}

/// Writes the tombstone of a store at `now`, at the installation's `uptime`. Its tombstone names every location that may hold its
/// records.
pub fn tombstone(document: &mut Document, now: Timestamp, uptime: Duration) -> Result<bool> {
    let mut locations = vec![document.location.clone()];
    match &document.phase {
        Phase::Deleted { .. } => return Err(Error::StoreNotFound),
        Phase::Creating | Phase::Active => {}
        Phase::Copying(relocation) | Phase::Frozen(relocation) => locations.push(relocation.to.clone()),
        Phase::CuttingOver(relocation) => locations.push(relocation.from.clone()),
    }
    locations.extend(document.stale_locations.drain(..).map(|stale| stale.location));
    let uptime_millis = u64::try_from(uptime.as_millis()).unwrap_or(u64::MAX);
    document.phase = Phase::Deleted { at: now, uptime_millis, locations };
    Ok(true)
}

/// Returns the time at which the sweep deletes an unnamed store that is not changed again.
pub fn sweep_time(document: &Document) -> Option<Timestamp> {
    document.expires_at.filter(|_| document.name.is_none()).map(|at| at.plus(document.retention.grace()))
}

/// Returns the time until which the lifecycle rules surely keep all records of an unnamed store, at its location and
/// at the target of a relocation.
fn records_safe_until(document: &Document) -> Option<(LifecycleClass, Timestamp)> {
    let location = document.relocation().map_or(&document.location, |relocation| &relocation.to);
    location.class.map(|class| (class, class.safe_until(location.created_at)))
}

/// Returns the relocation if it is still this attempt.
fn current_attempt(document: &mut Document, attempt: u64) -> Result<&mut Relocation> {
    let id = document.id;
    match &mut document.phase {
        Phase::Copying(relocation) | Phase::Frozen(relocation) | Phase::CuttingOver(relocation)
            if relocation.attempt == attempt =>
        {
            Ok(relocation)
        }
        Phase::Deleted { .. } => Err(Error::StoreNotFound),
        Phase::Creating | Phase::Active | Phase::Copying(_) | Phase::Frozen(_) | Phase::CuttingOver(_) => {
            Err(Error::unavailable(format!("another gateway runs the relocation of store {id}")))
        }
    }
}

fn wrong_phase(document: &Document) -> Error {
    Error::unavailable(format!("the relocation of store {} is in another phase", document.id))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        clock::SeededRandom,
        kv::{
            model::ids::{StoreId, UserId},
            persist::store_metadata::DOCUMENT_FORMAT,
        },
    };

    const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

    fn document(name: Option<&str>, expires_at: Option<Timestamp>) -> Document {
        let random = SeededRandom::new(1);
        let policy = LifecyclePolicy { has_classes: true, staleness: Duration::ZERO, toggles: SafetyToggles::ALL };
        let location = policy.initial_location(false, Retention::DEFAULT, START);
        serde_json::from_value(json!({
            "format": DOCUMENT_FORMAT, "id": StoreId::generate(&random), "version": 1, "nonce": "", "ownerId": UserId::generate(&random),
            "name": name, "createdAt": START, "modifiedAt": START, "accessedAt": START,
            "generalAccess": "RESTRICTED", "retentionMillis": Retention::DEFAULT, "expiresAt": expires_at, "signingKeyVersion": 0,
            "location": location, "phase": { "name": "active" },
            "stats": { "readCount": 0, "writeCount": 0, "deleteCount": 0, "listCount": 0 },
        }))
        .expect("it is a document")
    }

    #[test]
    fn a_relocation_is_overdue_when_a_lifecycle_rule_is_about_to_delete_what_should_live() {
        let policy = LifecyclePolicy { has_classes: true, staleness: Duration::ZERO, toggles: SafetyToggles::ALL };
        let limit = LifecycleClass::smallest_for(Retention::DEFAULT).safe_until(START);
        let (early, late) =
            (limit.minus(RELOCATION_SAFETY_MARGIN + Duration::from_secs(1)), limit.minus(RELOCATION_SAFETY_MARGIN));
        for (living, is_endangered) in [
            (document(Some("shop"), None), true),
            (document(None, Some(limit.plus(RELOCATION_SAFETY_MARGIN))), true),
            (document(None, Some(limit)), false),
        ] {
            assert_eq!(
                (policy.is_relocation_overdue(&living, early), policy.is_relocation_overdue(&living, late)),
                (false, is_endangered)
            );
        }
        let mut moved = document(Some("shop"), None);
        moved.location.class = None;
        assert!(!policy.is_relocation_overdue(&moved, late));
        let without_rules = LifecyclePolicy { has_classes: false, ..policy };
        assert!(!without_rules.is_relocation_overdue(&document(Some("shop"), None), late));
    }

    #[test]
    fn a_generation_that_was_begun_while_the_clock_was_ahead_is_relocated_at_once() {
        let policy = LifecyclePolicy { has_classes: true, staleness: Duration::ZERO, toggles: SafetyToggles::ALL };
        let living = document(None, Some(START.plus(Duration::from_hours(24 * 7))));
        let moves_at = |now| policy.required_relocation(&living, now).is_some();
        assert!(!moves_at(START) && !moves_at(START.minus(CLOCK_TOLERANCE)));
        assert!(moves_at(START.minus(CLOCK_TOLERANCE + Duration::from_secs(1))));
        assert_eq!(
            policy.next_visit(&living, START.minus(CLOCK_TOLERANCE * 2)),
            Some(START.minus(CLOCK_TOLERANCE * 2))
        );
    }
    #[test]
    fn without_lifecycle_rules_nothing_stays_where_one_could_delete_it() {
        let policy = LifecyclePolicy { has_classes: false, staleness: Duration::ZERO, toggles: SafetyToggles::ALL };
        let expires_at = Some(START.plus(Duration::from_hours(24 * 7)));
        for is_named in [false, true] {
            assert_eq!(policy.initial_location(is_named, Retention::DEFAULT, START).class, None);
        }
        // From a bucket, before a migration to a folder.
        for mut living in [document(None, expires_at), document(Some("shop"), None)] {
            assert_eq!(policy.required_relocation(&living, START), Some(RelocationTarget { class: None }));
            assert_eq!(policy.next_visit(&living, START), Some(START));
            living.location.class = None;
            assert_eq!(policy.required_relocation(&living, START), None);
        }
    }
}
