//! The list/search grammar: text to tree, tree to bound SQL.
