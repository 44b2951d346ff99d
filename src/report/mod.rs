//! Figures (CSV and SVG) and the page, from observations and fits.
//!
//! ```text
//! ReportInput -> figures (one value each) -> Report { page, files } -> report.html, figures/*.csv, figures/*.svg
//! ```
//!
//! | module | owns |
//! |---|---|
//! | `input`, `error` | all that a report tells, and why it could not be written |
//! | `figure` | what a figure is: axes, series of marks, and the table behind them |
//! | `isoflop`, `optima`, `surface`, `residuals`, `curves`, `forecast` | the figures of a sweep of IsoFLOP curves |
//! | `evaluated` | the figures of what else trained models were asked: the loss by position, tasks |
//! | `choices` | the figure of a sweep that chose its runs |
//! | `law` | what a sweep asks by another law, and what its fits say |
//! | `transfer`, `frontier`, [`coordinates`] | the figures of other sweeps and checks |
//! | `chart` | drawing a figure as SVG |
//! | `words` | statuses, conventions and estimates in words |
//! | `answer` | the answer in words, the same for the page and for the closing lines |
//! | `conclusions` | what may and may not be concluded |
//! | `page` | the HTML page |

mod answer;
mod chart;
mod choices;
mod conclusions;
pub mod coordinates;
mod curves;
mod error;
mod evaluated;
pub(crate) mod figure;
mod forecast;
pub mod formula;
mod frontier;
mod input;
mod isoflop;
mod law;
mod optima;
mod page;
mod residuals;
mod surface;
mod transfer;
pub(crate) mod words;

use std::fs;
use std::path::{Path, PathBuf};

use crate::whole;
pub use answer::{Answer, answer};
pub use choices::{ChoiceStep, sentence as goal};
pub use curves::{Key, LossCurve};
pub use error::ReportError;
pub use evaluated::Evaluated;
pub use figure::Figure;
pub use input::{IsoflopGroup, ReportInput, RunTable};
pub use law::{LawAnswer, Question};

/// A report that is written nowhere yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The page.
    pub page: String,
    /// Tables and drawings that it links to: path relative to the page, and contents.
    pub files: Vec<(String, String)>,
}

/// The report as text.
pub fn render(input: &ReportInput<'_>) -> Result<Report, ReportError> {
    let figures = figures(input);
    Ok(Report { page: page::render(input, &figures)?, files: files(input.name, &figures)? })
}

impl Report {
    /// Writes `figures/*.{csv,svg}` and `report.html` below `dir`, which is made where it is missing. Each file is written
    /// beside its place and renamed, so that a reader never sees half of one. Returns the paths written.
    pub fn write(&self, dir: &Path) -> Result<Vec<PathBuf>, ReportError> {
        let mut written = write_files(dir, &self.files)?;
        written.push(publish(dir.join("report.html"), &self.page)?);
        Ok(written)
    }
}

/// Writes `figures/*.{csv,svg}` below `dir` and returns the paths.
fn write_figures(dir: &Path, name: &str, figures: &[Figure]) -> Result<Vec<PathBuf>, ReportError> {
    write_files(dir, &files(name, figures)?)
}

fn write_files(dir: &Path, files: &[(String, String)]) -> Result<Vec<PathBuf>, ReportError> {
    let folder = dir.join("figures");
    fs::create_dir_all(&folder).map_err(|cause| ReportError::Write { path: folder.clone(), cause })?;
    files.iter().map(|(path, text)| publish(dir.join(path), text)).collect()
}

/// The CSV and the SVG of each figure.
fn files(name: &str, figures: &[Figure]) -> Result<Vec<(String, String)>, ReportError> {
    let mut files = Vec::new();
    for figure in figures {
        let table = figure.csv().map_err(|cause| ReportError::Table { figure: figure.id.clone(), cause })?;
        files.push((format!("figures/{}.csv", figure.id), table));
        files.push((format!("figures/{}.svg", figure.id), chart::standalone(figure, name)));
    }
    Ok(files)
}

/// All figures of a report, in the order of the page.
fn figures(input: &ReportInput<'_>) -> Vec<Figure> {
    let mut figures = if let Some(question) = input.question {
        question.figures.clone()
    } else if !input.transfer.is_empty() {
        vec![transfer::curves(input.transfer), transfer::optima(input.transfer)]
    } else if !input.savings.is_empty() || !input.isoflop_groups.is_empty() {
        let least = (!input.savings.is_empty()).then(|| frontier::frontier(input.savings));
        let by_group = (!input.isoflop_groups.is_empty()).then(|| {
            [isoflop::Variable::Params, isoflop::Variable::Tokens].map(|variable| isoflop::by_group(input, variable))
        });
        least.into_iter().chain(by_group.into_iter().flatten()).collect()
    } else {
        isoflop_figures(input)
    };
    figures.extend(input.choices.map(|(goal, steps)| choices::choices(goal, steps)));
    figures.extend(evaluated::by_position(input.evaluated));
    figures.extend(evaluated::tasks(input.evaluated));
    figures.extend(curves::curves(input.curves));
    figures
}

fn isoflop_figures(input: &ReportInput<'_>) -> Vec<Figure> {
    let mut figures = vec![
        isoflop::against(input, isoflop::Variable::Params),
        isoflop::against(input, isoflop::Variable::Tokens),
        optima::optimal(input),
        optima::tokens_per_param(input),
    ];
    // Without a fit there is no surface to speak of, not even in words.
    if !input.approaches.is_empty() {
        figures.extend([surface::surfaces(input), residuals::residuals(input)]);
    }
    figures.extend(forecast::forecast(input));
    figures
}

/// Writes a file beside its place and renames it.
fn publish(path: PathBuf, text: &str) -> Result<PathBuf, ReportError> {
    match whole::write_unsynced(&path, text.as_bytes()) {
        Ok(()) => Ok(path),
        Err(cause) => Err(ReportError::Write { path, cause }),
    }
}
