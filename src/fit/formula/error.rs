//! What is wrong with a formula, and where.

use std::fmt;
use std::ops::Range;

use unicode_width::UnicodeWidthStr;

/// A formula that cannot be used, with the place in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormulaError {
    /// The formula as it was written.
    pub formula: String,
    /// The bytes of it that are meant.
    pub place: Range<usize>,
    /// What is wrong and what to write.
    pub what: String,
}

impl FormulaError {
    /// An error at some bytes of a formula.
    pub fn new(formula: &str, place: Range<usize>, what: impl Into<String>) -> Self {
        Self { formula: formula.to_owned(), place, what: what.into() }
    }
}

impl fmt::Display for FormulaError {
    /// The sentence, the formula, and a line of marks below the place.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { formula, place, what } = self;
        let end = place.end.min(formula.len());
        let before = formula.get(..place.start.min(end)).unwrap_or_default();
        let marked = formula.get(place.start.min(end)..end).unwrap_or_default();
        let character = before.chars().count() + 1;
        let marks = "^".repeat(marked.width().max(1));
        write!(f, "formula, character {character}: {what}\n  {formula}\n  {}{marks}", " ".repeat(before.width()))
    }
}

impl std::error::Error for FormulaError {}
