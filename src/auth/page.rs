//! Pages of lists of accounts and tokens.

/// What part of a list is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageQuery {
    /// Items to skip.
    pub offset: usize,
    /// The most items on the page.
    pub limit: usize,
    /// The last items first.
    pub descending: bool,
}

/// A part of a list.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// Number of items in the whole list. It counts entries: one whose document is being made or deleted is in it, and not
    /// on any page.
    pub total: usize,
    /// The items of the page.
    pub items: Vec<T>,
}

impl PageQuery {
    /// Returns how many `names` there are, and those of the page.
    pub fn of(&self, mut names: Vec<String>) -> (usize, Vec<String>) {
        if self.descending {
            names.reverse();
        }
        (names.len(), names.into_iter().skip(self.offset).take(self.limit).collect())
    }
}
