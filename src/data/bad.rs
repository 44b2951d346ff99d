//! Rows that cannot be read: the end of it all, or counted and skipped where `data.skip_bad` says so.

use std::fmt::Display;

/// What becomes of rows that cannot be read.
pub struct Bad {
    skip: bool,
    /// Rows that were skipped.
    pub count: u64,
    /// What was wrong with the first of them.
    pub first: Option<String>,
}

impl Bad {
    /// Passes them over, or takes none.
    pub fn new(skip: bool) -> Self {
        Self { skip, count: 0, first: None }
    }

    /// A row that cannot be read: counted, or the error that it is.
    pub fn take<E: Display>(&mut self, error: E) -> Result<(), E> {
        if !self.skip {
            return Err(error);
        }
        self.count += 1;
        self.first.get_or_insert_with(|| error.to_string());
        Ok(())
    }
}
