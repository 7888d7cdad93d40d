//! Lists of stores.

use std::sync::Arc;

use super::view::StoreView;

/// A question for stores of one owner.
#[derive(Debug, Clone, Default)]
pub struct StoreQuery {
    /// Whether unnamed stores are wanted, too.
    pub unnamed: bool,
    /// Newest first.
    pub descending: bool,
    /// Stores to skip.
    pub offset: usize,
    /// The most stores wanted, from 1 to 1,000.
    pub limit: usize,
    /// Only stores with this in their name or title, in any letter case, or whose id begins with it.
    pub search: Option<String>,
}

/// A page of stores, in the order of their making.
#[derive(Debug, Clone, Default)]
pub struct StorePage {
    /// All stores that match.
    pub total: usize,
    /// Those of this page.
    pub stores: Vec<Arc<StoreView>>,
}
