//! Run folders, first-wins results, derived tables.
