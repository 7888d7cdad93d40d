//! Calls to the object store, counted.

use std::ops::Sub;

/// How often each operation of the object store was called.
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

    /// All calls together.
    pub(crate) fn total(self) -> usize {
        self.put + self.get + self.head + self.delete + self.delete_many + self.list + self.copy
    }
}

impl Sub for Calls {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            put: self.put - before.put,
            get: self.get - before.get,
            head: self.head - before.head,
            delete: self.delete - before.delete,
            delete_many: self.delete_many - before.delete_many,
            list: self.list - before.list,
            copy: self.copy - before.copy,
        }
    }
}
