//! Calls to the object store, counted.

use larder::storage::{Operation, metrics_layer::Counts};

/// Number of calls of each operation of the object store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Calls {
    pub(crate) put: usize,
    pub(crate) get: usize,
    pub(crate) head: usize,
    pub(crate) delete: usize,
    pub(crate) delete_many: usize,
    pub(crate) list: usize,
    pub(crate) copy: usize,
}

impl Calls {
    /// No call at all.
    pub(crate) const NONE: Self = Self { put: 0, get: 0, head: 0, delete: 0, delete_many: 0, list: 0, copy: 0 };

    /// Returns all calls together.
    pub(crate) fn total(self) -> usize {
        self.put + self.get + self.head + self.delete + self.delete_many + self.list + self.copy
    }
}

impl From<Counts> for Calls {
    fn from(counts: Counts) -> Self {
        let begun = |operation| usize::try_from(counts.for_operation(operation).begun).expect("a test makes few calls");
        Self {
            put: begun(Operation::Put),
            get: begun(Operation::Get),
            head: begun(Operation::Head),
            delete: begun(Operation::Delete),
            delete_many: begun(Operation::DeleteMany),
            list: begun(Operation::List),
            copy: begun(Operation::Copy),
        }
    }
}
