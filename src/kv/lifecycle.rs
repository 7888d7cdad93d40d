//! Which lifecycle rules the records of unnamed stores ask for: one for each class, all from the start, so that making a
//! store never writes one.

use std::sync::Arc;

use crate::storage::{LifecycleError, ObjectStore, Reconciled, WantedRule, WantedRules};

use super::{layout, retention::LifecycleClass};

/// Days until an upload that nobody completes is given up: longer than any upload takes.
const UPLOAD_DAYS: u16 = 7;

/// The lifecycle rules of a backend.
///
/// A rule deletes whatever stands below its prefix. So a living store never has its only records there for as long as the rule
/// waits: before, they move to another generation, or out of the prefix (`LifeRules::needed_move`). Backends without rules keep
/// all records outside these prefixes, so that the rules may be written as soon as an installation has been migrated.
///
/// Only a gateway that may write documents reconciles them.
#[derive(Debug)]
pub struct LifecycleRules {
    objects: Arc<dyn ObjectStore>,
}

impl LifecycleRules {
    /// The rules of what `objects` keeps.
    pub fn new(objects: Arc<dyn ObjectStore>) -> Self {
        Self { objects }
    }

    /// Makes the rules what they should be. A backend without rules has the sweep alone.
    pub async fn reconcile(&self) -> Result<Reconciled, LifecycleError> {
        match self.objects.lifecycle() {
            Some(lifecycle) => lifecycle.reconcile(&wanted_rules()).await,
            None => Ok(Reconciled::Unsupported),
        }
    }
}

/// The rules that all stores together ask for.
fn wanted_rules() -> WantedRules {
    let rule = |class: LifecycleClass| WantedRule { prefix: layout::class(class), days: class.days() };
    WantedRules {
        root: layout::root().to_owned(),
        expirations: LifecycleClass::ALL.map(rule).into(),
        upload_days: Some(UPLOAD_DAYS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::{SeededRandom, Timestamp},
        kv::{document::Place, due_keys, id::StoreId},
    };

    #[test]
    fn each_class_has_a_rule_over_its_records_and_no_kept_record_is_under_one() {
        let wanted = wanted_rules();
        let id = StoreId::generate(&SeededRandom::new(1));
        let place = |class| Place { class, generation: "1".to_owned(), born_at: Timestamp::from_millis(0) };
        for class in LifecycleClass::ALL {
            let records = layout::records(&id, &place(Some(class)));
            let over: Vec<_> = wanted.expirations.iter().filter(|rule| records.starts_with(&rule.prefix)).collect();
            assert!(matches!(over[..], [rule] if rule.days == class.days() && rule.prefix.ends_with('/')), "{over:?}");
        }
        let kept = [layout::records(&id, &place(None)), layout::document(&id), due_keys::appointments()];
        for key in kept {
            assert!(
                key.starts_with(&wanted.root) && wanted.expirations.iter().all(|rule| !key.starts_with(&rule.prefix))
            );
        }
    }
}
