//! The page envelope of every list.

use serde::{Deserialize, Serialize};

/// One page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct List<T> {
    /// Items of this page; empty past the end.
    pub items: Vec<T>,
    /// Number of this page, from 1.
    pub page: u32,
    /// Number of items in this page, which may be less than asked for.
    pub size: u32,
    /// Number of items in all pages.
    pub total: u64,
}

impl<T> List<T> {
    /// A page of `items`.
    pub fn new(items: Vec<T>, page: u32, total: u64) -> Self {
        let size = u32::try_from(items.len()).unwrap_or(u32::MAX);
        Self {
            items,
            page,
            size,
            total,
        }
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self::new(Vec::new(), 1, 0)
    }
}
