//! What `runner fit --formula` prints: the law, its rivals, and the figure of its residuals.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::ensure;
use serde::Serialize;

use super::finding;
use super::print;
use super::request::Request;
use super::rows::Made;
use crate::commands::shared::{folder, json, out_file};
use crate::fit::Estimate;
use crate::fit::formula::{Data, Law};
use crate::fit::laws::written::Written;
use crate::fit::laws::written::outside::{self, Rival};
use crate::fit::laws::written::ranking::{Candidate, Ranking};
use crate::report::formula::{self, Along};

/// One group of rows, and how to say something of it.
pub(super) struct Said<'a> {
    pub(super) request: &'a Request<'a>,
    pub(super) name: Option<&'a str>,
    pub(super) made: &'a Made,
}

/// A fit as `--json` prints it, which `runner predict` and `runner allocate` read.
#[derive(Serialize)]
struct Printed<'a> {
    schema_version: u32,
    law: &'static str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a str>,
    #[serde(flatten)]
    fit: &'a Written,
    rivals: &'a [Rival],
    #[serde(flatten)]
    made: &'a Made,
}

/// A ranking as `--json` prints it.
#[derive(Serialize)]
struct PrintedRanking<'a> {
    schema_version: u32,
    law: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a str>,
    #[serde(flatten)]
    ranking: &'a Ranking,
    #[serde(flatten)]
    made: &'a Made,
}

impl Said<'_> {
    /// A law with its numbers and what they rest on.
    pub(super) fn law(&self, one: &Candidate, fit: &Written, rivals: &[Rival]) -> anyhow::Result<String> {
        if self.request.args.json {
            let Self { name: group, made, .. } = *self;
            let printed = Printed {
                schema_version: json::SCHEMA_VERSION,
                law: "formula",
                name: &one.name,
                group,
                fit,
                rivals,
                made,
            };
            return Ok(serde_json::to_string(&printed)? + "\n");
        }
        let heading = self.name.map_or_else(String::new, print::heading);
        let (agree, found) = fit.starts;
        let mut text = heading + &finding::law(&fit.law, self.request.room);
        text.truncate(text.trim_end().len());
        if self.request.is_plain() {
            text = text.replace(finding::IN_LOGARITHM, finding::PLAIN);
        }
        let _ = writeln!(
            text,
            "\nAICc {:.1}; {agree} of {found} different minima are within a thousandth of this one",
            fit.aicc
        );
        if !rivals.is_empty() {
            let names: Vec<&str> = rivals.iter().map(|rival| rival.name.as_str()).collect();
            let names = names.join(", ");
            let _ = writeln!(text, "Fits as well: {names}. Predictions outside of the rows show the spread.");
        }
        Ok(text + "\n")
    }

    /// Several laws, the best first.
    pub(super) fn ranking(&self, ranking: &Ranking) -> anyhow::Result<String> {
        if self.request.args.json {
            let Self { name: group, made, .. } = *self;
            return Ok(serde_json::to_string(&PrintedRanking {
                schema_version: json::SCHEMA_VERSION,
                law: "ranking",
                group,
                ranking,
                made,
            })? + "\n");
        }
        Ok(finding::ranking(ranking, self.request.room))
    }
}

/// Decades of cost beyond the most expensive row that a figure shows, and places along the line.
const DECADES: f64 = 2.0;
const PLACES: usize = 81;

/// Refuses a figure that is no SVG, or whose numbers would take the place of the table.
pub(super) fn check_figure(path: &Path, table: &Path) -> anyhow::Result<()> {
    ensure!(
        path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("svg")),
        "--figure {}: figures are SVG: write a name that ends in .svg",
        path.display()
    );
    for written in [path.to_owned(), path.with_extension("csv"), beyond(path), beyond(path).with_extension("csv")] {
        ensure!(
            !folder::same(&written, table),
            "--figure {}: its numbers are written to {}, which is the table: give the figure another name",
            path.display(),
            written.display()
        );
    }
    Ok(())
}

/// Where the figure of what lies beyond the rows is drawn.
fn beyond(path: &Path) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{stem}-beyond.svg"))
}

/// Draws the residuals at `path`, and beside it the law beyond the rows, each with its numbers.
pub(super) fn write_figures(
    path: &Path,
    one: &Candidate,
    data: &Data,
    fit: &Written,
    laws: &[(&Law, &[f64])],
) -> anyhow::Result<()> {
    let grouping = data.groups.values().next();
    let predicted = one.law.bind(data)?.predict(&fit.values);
    write(path, formula::residuals(&one.name, &one.law.formula, &predicted, &data.loss, grouping)?)?;
    let Some(line) = outside::beyond(data, DECADES, PLACES) else { return Ok(()) };
    let own = one.law.bind(&line)?;
    let (values, draws) =
        (own.predict(&fit.values), fit.draws.iter().map(|draw| own.predict(draw)).collect::<Vec<_>>());
    let said: Vec<Vec<f64>> = laws
        .iter()
        .filter_map(|(law, numbers)| Some(law.bind(&line).ok()?.predict(numbers)))
        .chain([values.clone()])
        .collect();
    let spread =
        |at: usize| outside::spread(&said.iter().map(|said| said[at]).collect::<Vec<_>>()).unwrap_or([f64::NAN; 2]);
    let cost = line.cost.clone().unwrap_or_default();
    let costs = data.cost.clone().unwrap_or_default();
    let along = Along {
        law: (0..PLACES).map(|at| Estimate::from_draws(values[at], draws.iter().map(|draw| draw[at]))).collect(),
        spread: (0..PLACES).map(spread).collect(),
        last: costs.iter().copied().fold(0.0, f64::max),
        cost,
    };
    let rows: Vec<[f64; 2]> = costs.iter().zip(&data.loss).map(|(cost, loss)| [*cost, *loss]).collect();
    write(&beyond(path), formula::beyond(&one.name, &one.law.formula, &along, &rows)?)
}

/// A figure with its numbers beside it.
fn write(path: &Path, [svg, csv]: [String; 2]) -> anyhow::Result<()> {
    let numbers = path.with_extension("csv");
    // Another table of that name is somebody's data.
    let first = |text: &str| text.lines().next().map(str::to_owned);
    if let Ok(there) = std::fs::read_to_string(&numbers) {
        ensure!(
            first(&there) == first(&csv),
            "{}: there is another table, where the numbers of the figure belong: give the figure another name",
            numbers.display()
        );
    }
    for (path, text) in [(path.to_owned(), svg), (numbers, csv)] {
        out_file::replace(&path, text.as_bytes())?;
    }
    tell!("note: drawn in {}, with its numbers beside it", path.display());
    Ok(())
}
