//! Laws that are formulas: those of the literature by `--law`, and that of `--formula` where a spec asks it.

use serde::Serialize;

use super::draw;
use super::finding::{Finding, IN_LOGARITHM, PLAIN, law};
use super::{Asked, Reading};
use crate::cli::Residuals;
use crate::commands::fit::formula::{self, Alone, Won};
use crate::commands::fit::request::Request;
use crate::commands::fit::told::Told;
use crate::commands::shared::sheet::{Room, Sheet, Worth};
use crate::fit::Status;
use crate::fit::laws::written::Written;
use crate::fit::laws::written::ranking::Ranking;
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
fn told(request: &Request, Alone { group, fit, made, points, columns, won }: Alone) -> Vec<Told> {
    let plain = request.args.formula.residuals == Residuals::Plain;
    let fit = Formula { law: fit, plain, columns };
    let mut told = Told::new(group.clone(), Box::new(fit), &made, points);
    let Some(Won { ranking, name, rivals }) = won else { return vec![told] };
    told.called = Some("formula");
    told.further = vec![("name", name.into()), ("rivals", rivals)];
    vec![Told { called: Some("ranking"), ..Told::new(group, Box::new(ranking), &made, Vec::new()) }, told]
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
fn figure(told: &[&Told]) -> Figure {
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

impl Finding for Ranking {
    // That one law predicts better than others says nothing of its numbers, which have a status of their own.
    fn status(&self) -> Status {
        if self.laws.first().is_none_or(|law| law.failure.is_some()) { Status::TooFewPoints } else { Status::Converged }
    }

    fn conclusion(&self) -> &str {
        &self.conclusion
    }

    fn text(&self, room: Room) -> String {
        ranking(self, room)
    }
}

/// Several laws, the best first.
pub(in crate::commands::fit) fn ranking(ranking: &Ranking, room: Room) -> String {
    let mut table = Sheet::new([
        ("law", Worth::Must),
        ("unknowns", Worth::More(3)),
        ("rms", Worth::More(2)),
        ("AICc", Worth::More(2)),
        ("error held out", Worth::Must),
        ("mean", Worth::More(4)),
        ("one step before", Worth::More(1)),
        ("at rest", Worth::More(1)),
    ]);
    let number = |x: Option<f64>, digits: usize| x.map_or_else(|| "-".to_owned(), |x| format!("{x:.digits$}"));
    for law in &ranking.laws {
        table.add_row([
            law.name.clone(),
            law.unknowns.to_string(),
            number(law.rms, 5),
            number(law.aicc, 1),
            number(law.held_out.map(|held_out| held_out.rms), 5),
            number(law.held_out.map(|held_out| held_out.mean), 5),
            number(law.inner, 5),
            if law.at_rest { "yes" } else { "no" }.to_owned(),
        ]);
    }
    let failures: String = ranking
        .laws
        .iter()
        .filter_map(|law| Some(format!("{} could not be fitted: {}\n", law.name, law.failure.as_ref()?)))
        .collect();
    let title = "Laws by their error on the most expensive rows, fitted to the others";
    format!("{title}\n{}{failures}{}\n\n", table.text(room), ranking.conclusion)
}
