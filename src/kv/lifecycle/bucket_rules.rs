//! Lifecycle rules for the records of unnamed stores: one per class, all present from the start, so creating a store
//! never writes one.

use std::sync::Arc;

use crate::{
    kv::{model::retention::LifecycleClass, persist::object_keys},
    storage::{LifecycleError, ObjectStore, Reconciled, WantedRule, WantedRules},
};

/// Days after which an incomplete upload is aborted: longer than any upload takes.
const UPLOAD_DAYS: u16 = 7;

/// The lifecycle rules of a backend.
///
/// A rule deletes everything below its prefix after its number of days. So a live store's only records never stay
/// there that long: before, they are relocated to another generation, or out of the prefix
/// (`LifecyclePolicy::required_relocation`).
/// Backends without rules keep all records outside these prefixes, so the rules may be written as soon as an
/// installation has been migrated.
///
/// Only a gateway that may write documents reconciles them.
#[derive(Debug)]
pub struct LifecycleRules {
    objects: Arc<dyn ObjectStore>,
}

impl LifecycleRules {
    /// Returns the rules of the bucket behind `objects`.
    pub fn new(objects: Arc<dyn ObjectStore>) -> Self {
        Self { objects }
    }

    /// Reconciles the rules. A backend without rules relies on the sweep alone.
    pub async fn reconcile(&self) -> Result<Reconciled, LifecycleError> {
        match self.objects.lifecycle() {
            Some(lifecycle) => lifecycle.reconcile(&wanted_rules()).await,
            None => Ok(Reconciled::Unsupported),
        }
    }
}

/// Returns the rules that all stores together need.
fn wanted_rules() -> WantedRules {
    let rule = |class: LifecycleClass| WantedRule { prefix: object_keys::class(class), days: class.days() };
    WantedRules {
        root: object_keys::root().to_owned(),
        expirations: LifecycleClass::ALL.map(rule).into(),
        upload_days: Some(UPLOAD_DAYS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::{SeededRandom, Timestamp},
        kv::{
            model::ids::StoreId,
            persist::{object_keys, store_metadata::Location},
        },
    };

    #[test]
    fn each_class_has_a_rule_over_its_records_and_no_permanent_record_is_under_one() {
        let wanted = wanted_rules();
        let id = StoreId::generate(&SeededRandom::new(1));
        let location = |class| Location { class, generation: "1".to_owned(), created_at: Timestamp::from_millis(0) };
        for class in LifecycleClass::ALL {
            let records = object_keys::records(&id, &location(Some(class)));
            let over: Vec<_> = wanted.expirations.iter().filter(|rule| records.starts_with(&rule.prefix)).collect();
            assert!(matches!(over[..], [rule] if rule.days == class.days() && rule.prefix.ends_with('/')), "{over:?}");
        }
        let kept = [object_keys::records(&id, &location(None)), object_keys::document(&id), object_keys::due_items()];
        for key in kept {
            assert!(
                key.starts_with(&wanted.root) && wanted.expirations.iter().all(|rule| !key.starts_with(&rule.prefix))
            );
        }
    }
}
