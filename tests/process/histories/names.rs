//! A name, as a history sees it: which store has it.

use std::collections::BTreeSet;

use super::linear::Model;

/// An operation on a name, with its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// The request to create it succeeded, and this store was made.
    Made(String),
    /// The name was requested or looked up, and this store has it.
    Found(String),
    /// It was looked up, and no store has it.
    Missing,
    /// This store was deleted.
    Deleted(String),
    /// It was requested, and the outcome is not known.
    Asked,
}

/// A name, and the stores that were found under it without an acknowledged creation.
pub struct Name {
    pub foundlings: BTreeSet<String>,
}

impl Model for Name {
    /// The store that has it, and the stores that ever had it.
    type State = (Option<String>, BTreeSet<String>);
    type Operation = Operation;

    fn after(&self, (store, made): &Self::State, operation: &Operation) -> Vec<Self::State> {
        let with = |id: &String| (Some(id.clone()), made.iter().cloned().chain([id.clone()]).collect());
        match operation {
            Operation::Made(id) if store.is_none() && !made.contains(id) => vec![with(id)],
            Operation::Found(id) if store.as_ref() == Some(id) => vec![(store.clone(), made.clone())],
            Operation::Missing if store.is_none() => vec![(None, made.clone())],
            Operation::Deleted(id) if store.as_ref() == Some(id) => vec![(None, made.clone())],
            // It was another store's name already, or no store's.
            Operation::Deleted(_) => vec![(store.clone(), made.clone())],
            Operation::Asked if store.is_none() => self.foundlings.difference(made).map(with).collect(),
            Operation::Made(_) | Operation::Found(_) | Operation::Missing | Operation::Asked => Vec::new(),
        }
    }

    fn only_looks(operation: &Operation) -> bool {
        matches!(operation, Operation::Found(_) | Operation::Missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histories::linear::{Span, check};

    fn holds(history: &[(Operation, u64, Option<u64>)]) -> bool {
        let spans: Vec<_> = history
            .iter()
            .map(|(operation, began, ended)| Span { operation: operation.clone(), began: *began, ended: *ended })
            .collect();
        let name = Name { foundlings: BTreeSet::from(["c".to_owned()]) };
        check(&name, &(None, BTreeSet::new()), &spans).is_ok()
    }

    #[test]
    fn one_name_has_one_store_at_a_time() {
        use Operation::{Asked, Deleted, Found, Made, Missing};
        let (a, b, c) = ("a".to_owned(), "b".to_owned(), "c".to_owned());
        let made = (Made(a.clone()), 0, Some(1));
        assert!(holds(&[made.clone(), (Found(a.clone()), 2, Some(3))]));
        assert!(!holds(&[made.clone(), (Made(b.clone()), 0, Some(3))]), "two at a time");
        assert!(!holds(&[made.clone(), (Missing, 2, Some(3))]));
        assert!(holds(&[made.clone(), (Deleted(a.clone()), 2, Some(4)), (Made(b), 3, Some(5))]));
        let deleted = [made, (Deleted(a.clone()), 2, Some(3))];
        assert!(!holds(&[&deleted[..], &[(Found(a.clone()), 4, Some(5))]].concat()));
        assert!(!holds(&[&deleted[..], &[(Made(a), 4, Some(5))]].concat()), "an id comes back");
        let asked = [(Asked, 0, None), (Found(c), 2, Some(3))];
        assert!(holds(&asked) && !holds(&asked[1..]), "no client created it");
    }
}
