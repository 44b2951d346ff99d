//! Laws that are formulas: those of the literature by `--law`, and that of `--formula` where a spec asks it.

use serde::Serialize;

use super::asked::{Asked, Reading};
use super::draw;
use crate::commands::fit::finding::{Finding, IN_LOGARITHM, PLAIN, law};
use crate::commands::fit::fit_of_rows::FitOfRows;
use crate::commands::fit::formula::{self, Alone, Won};
use crate::commands::fit::request::Request;
use crate::commands::shared::sheet::Room;
use crate::fit::Status;
use crate::fit::laws::written::Written;
use crate::report::figure::{Axis, Figure, Unit};

pub(super) const LAW: Asked = Asked { takes: &[], read, draw: |told| vec![figure(told)] };

/// Reads the columns of the formula, or of all laws, of which the best follows their ranking.
fn read<'a>(request: &'a Request<'a>) -> anyhow::Result<Reading<'a>> {
    let prepared = formula::prepare(request)?;
    Ok(Box::new(move || {
        let alone = prepared.alone(request)?;
        Ok(alone.into_iter().flat_map(|one| told(request, one)).collect())
    }))
}

/// The fit of one group, after the ranking that it won where every law was asked for.
fn told(request: &Request, Alone { group, fit, made, points, columns, won }: Alone) -> Vec<FitOfRows> {
    let plain = request.is_plain();
    let fit = Formula { law: fit, plain, columns };
    let mut told = FitOfRows::new(group.clone(), Box::new(fit), &made, points);
    let Some(Won { ranking, name, rivals }) = won else { return vec![told] };
    told.called = Some("formula");
    told.further = vec![("name", name.into()), ("rivals", rivals)];
    vec![FitOfRows { called: Some("ranking"), ..FitOfRows::new(group, Box::new(ranking), &made, Vec::new()) }, told]
}

/// A fitted formula.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Formula {
    law: Written,
    /// Whether residuals are differences of losses.
    #[serde(skip)]
    plain: bool,
    /// The columns that tell series apart and their places along the axis.
    #[serde(skip)]
    columns: [String; 2],
}

impl Finding for Formula {
    fn status(&self) -> Status {
        self.law.law.status
    }

    fn conclusion(&self) -> &str {
        &self.law.law.conclusion
    }

    fn text(&self, room: Room) -> String {
        let text = law(&self.law.law, room);
        if self.plain { text.replace(IN_LOGARITHM, PLAIN) } else { text }
    }
}

/// The rows along the columns of the formula.
fn figure(told: &[&FitOfRows]) -> Figure {
    let columns = told[0].finding.is::<Formula>().map(|formula| &formula.columns);
    let [series, x] = columns.map_or(["parameters", "x"], |columns| columns.each_ref().map(|column| noun(column)));
    draw::runs(&Axis::new(x, Unit::Count), series, told)
}

/// A column in words.
fn noun(column: &str) -> &str {
    match column {
        "N" | "params" => "parameters",
        "D" | "tokens" => "training tokens",
        "C" | "flops" => "training compute (FLOPs)",
        other => other,
    }
}
