//! What `runner fit` was asked for.

use anyhow::ensure;

use crate::cli::FitArgs;
use crate::commands::shared::sheet::Room;
use crate::fit::Bootstrap;
use crate::fit::approaches::approach3::StartGrid;
use crate::fit::formula::Residual;
use crate::fit::named::Law;
use crate::fit::table::budgets;
use crate::fit::table::resample::Resample;
use crate::fit::table::{self, Columns};

/// What was asked for, checked.
pub(super) struct Request<'a> {
    pub(super) args: &'a FitArgs,
    pub(super) columns: Columns,
    pub(super) table: table::Options,
    pub(super) bootstrap: Bootstrap,
    pub(super) starts: StartGrid,
    /// Where tables are printed.
    pub(super) room: Room,
}

impl Request<'_> {
    /// Whether residuals are differences of losses: as asked for, and where the zero of what the law predicts is a convention.
    pub(super) fn is_plain(&self) -> bool {
        let asked = self.args.formula.residuals == Residual::Plain;
        asked || self.args.law.is_some_and(Law::is_without_zero)
    }
}

/// Whole budgets drawn from one or two are nearly always the same, which would look like certainty.
pub(super) fn require_budgets(request: &Request, budgets: impl Iterator<Item = f64>) -> anyhow::Result<()> {
    if request.args.resample == Resample::Budgets {
        let count = budgets::count(&budgets.collect::<Vec<_>>());
        let path = request.args.runs.display();
        ensure!(count >= 3, "--resample budgets needs at least 3 budgets to draw from; {path} has {count}");
    }
    Ok(())
}
