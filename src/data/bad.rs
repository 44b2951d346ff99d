//! Rows that cannot be read: the end of it all, or counted and skipped where `data.skip_bad` says so.

use std::fmt::Display;

/// What to do with text in another encoding.
pub const NOT_UTF8: &str = "convert it, for instance with `iconv -f LATIN1 -t UTF-8`";

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

    /// What to do with a single row that cannot be read, where nothing is done yet.
    pub fn remedy(&self) -> &'static str {
        if self.skip { "" } else { "; data.skip_bad = true skips and counts such rows" }
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
