//! Whether a table has what a fit needs: it is read as the fit reads it, and nothing is fitted.

use super::request::Request;
use super::{composition, fields, formula, law, measures};
use crate::fit::named::Law;
use crate::fit::table::{self, Field};

/// Reads the table of a request for a law, or for the formula of the request.
pub(super) fn table(request: &Request, asked: Option<Law>) -> anyhow::Result<()> {
    let Some(law) = asked.filter(|law| !law.is_formula()) else { return formula::foresee(request, asked) };
    law::refuse(request, law)?;
    let args = request.args;
    match law {
        Law::Params => numbers(request, [fields::SIZE, fields::LOSS])?,
        Law::Tokens => numbers(request, [fields::LENGTH, fields::LOSS])?,
        Law::Flops => numbers(request, [fields::COMPUTE, fields::LOSS])?,
        Law::KaplanSteps => numbers(request, fields::KAPLAN_STEPS)?,
        Law::Repetition => numbers(request, [fields::SIZE, fields::LENGTH, fields::unique(request)?, fields::LOSS])?,
        Law::CriticalBatch => numbers(request, fields::CRITICAL_BATCH)?,
        Law::Tuning => numbers(request, fields::TUNING)?,
        Law::Pruning => numbers(request, fields::PRUNING)?,
        Law::Contrast => drop(table::placed(&args.runs, &request.columns, &request.table)?),
        Law::Optimum => drop(law::optimum_table(request)?),
        Law::Rank | Law::Emergence => drop(measures::measures_table(request, law)?),
        Law::Composition => drop(composition::table(request)?),
        _ => drop(table::read(&args.runs, &request.columns, &request.table)?),
    }
    Ok(())
}

fn numbers<const K: usize>(request: &Request, fields: [&[Field]; K]) -> anyhow::Result<()> {
    table::numbers(&request.args.runs, &request.columns, fields, &request.table, |_| None)?;
    Ok(())
}
