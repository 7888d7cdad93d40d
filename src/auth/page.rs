//! Pages of lists of accounts and tokens.

/// Requested part of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageQuery {
    /// Number of items to skip.
    pub offset: usize,
    /// Maximum number of items on the page.
    pub limit: usize,
    /// True if the order is descending.
    pub descending: bool,
}

/// A part of a list.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// Number of items in the whole list. It counts entries: one whose document is being created or deleted counts, and
    /// is on no page.
    pub total: usize,
    /// The items of the page.
    pub items: Vec<T>,
}

impl PageQuery {
    /// Returns the number of `names`, and those on the page.
    pub fn of(&self, mut names: Vec<String>) -> (usize, Vec<String>) {
        if self.descending {
            names.reverse();
        }
        (names.len(), names.into_iter().skip(self.offset).take(self.limit).collect())
    }
}
