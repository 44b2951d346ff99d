//! How a table is to be read.

/// How a table is to be read.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Take missing tokens as C/(6N).
    pub tokens_from_flops: bool,
    /// The column by whose values rows are grouped.
    pub by: Option<String>,
    /// Leave out rows without a number that a fit needs, and count them.
    pub skip_incomplete: bool,
    /// Columns that were tuned.
    pub tuned: Vec<String>,
    /// Of which rows the best alone count.
    pub best: Best,
    /// What its rows are.
    pub rows: Kind,
}

/// Of which rows the best alone count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Best {
    /// Of those that differ in nothing but what was tuned.
    #[default]
    Tuned,
    /// Likewise, and where nothing was tuned, of those of a budget and seed, where the table tells budgets.
    Frontier,
    /// All count, because the law itself takes the best of what was tuned.
    ByLaw,
}

/// What the rows of a table are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Results: of two that are alike in all columns, one stands twice.
    #[default]
    Results,
    /// Results, and what became of runs that have none: those that diverged or failed.
    Outcomes,
    /// Results, or what runs had come to on their way: every row counts.
    Points,
    /// Runs that may be bought, of which two may be alike.
    Offers,
}

/// Columns beside `axis.*` in which a run may have a partner in another group.
pub(super) const PLACES: [&str; 2] = ["seed", "flop_budget"];
