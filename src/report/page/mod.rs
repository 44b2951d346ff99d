//! The page: one HTML file that needs no network. Its script only moves what is already there: without it everything
//! is still shown.

mod headline;
mod runs;
pub(super) mod tables;

use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::figure::Figure;
use super::{ReportError, ReportInput, answer, chart, conclusions, words};
use headline::Headline;
use runs::Runs;
use tables::{Optima, SavingRow, TransferRow};

/// The style sheet of the page, apart from that of the charts.
const STYLE: &str = include_str!("../../../templates/report.css");
/// The script of the page.
const SCRIPT: &str = include_str!("../../../templates/report.js");

/// The page of a sweep.
pub fn render(input: &ReportInput<'_>, figures: &[Figure]) -> Result<String, ReportError> {
    let style = format!("{STYLE}{}", chart::STYLE);
    let page = Page {
        name: input.name,
        policy: policy(&style, input.progress.is_some()),
        style,
        script: SCRIPT,
        progress: input.progress,
        answer: answer::answer(input).paragraph(),
        headline: headline::rows(input),
        facts: headline::facts(input),
        warnings: conclusions::warnings(input),
        conclusions: conclusions::of_fits(input),
        figures: figures.iter().map(Drawing::of).collect(),
        savings: input.savings.iter().flat_map(tables::savings).collect(),
        transfers: input.transfer.iter().flat_map(tables::transfers).collect(),
        transfer_base: tables::base_of_transfers(input.transfer),
        optima: input.approach2.iter().map(Optima::of).chain(Optima::of_groups(input)).collect(),
        ratios: input.approaches.iter().flat_map(tables::ratios).collect(),
        forecasts: input.approaches.iter().filter_map(tables::forecast).collect(),
        runs: Runs::of(input.runs),
        failed: input.failed,
        left_out: input.left_out,
        provenance: input.provenance,
        spec: input.spec,
        data: embed(&Data { name: input.name, figures })?,
    };
    Ok(page.render()?)
}

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    name: &'a str,
    policy: String,
    style: String,
    script: &'static str,
    progress: Option<&'a str>,
    answer: String,
    headline: Vec<Headline>,
    facts: Vec<(&'static str, String)>,
    warnings: Vec<String>,
    conclusions: Vec<(String, String)>,
    figures: Vec<Drawing<'a>>,
    savings: Vec<SavingRow>,
    transfers: Vec<TransferRow>,
    transfer_base: String,
    optima: Vec<Optima>,
    ratios: Vec<[String; 4]>,
    forecasts: Vec<[String; 6]>,
    runs: Runs<'a>,
    failed: &'a [(String, String)],
    left_out: &'a [(String, String)],
    provenance: &'a [(String, String)],
    spec: &'a str,
    data: String,
}

/// What the browser may do: use the one style sheet and run the one script, by their hashes, and fetch nothing; a page
/// of a running sweep may ask its own server for a newer one of itself.
fn policy(style: &str, live: bool) -> String {
    // A browser hashes exactly what stands between the tags.
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text));
    let connect = if live { "; connect-src 'self'" } else { "" };
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'{connect}; base-uri 'none'; form-action 'none'",
        hash(style),
        hash(SCRIPT)
    )
}

/// A figure in the page: for a wide and a narrow screen, and both again with its axes the other way.
struct Drawing<'a> {
    id: &'a str,
    title: &'a str,
    /// What to look for in it.
    see: &'static str,
    note: &'a str,
    plain: [String; 2],
    switched: Option<[String; 2]>,
    /// What switching does.
    switch: String,
}

impl<'a> Drawing<'a> {
    fn of(figure: &'a Figure) -> Self {
        let drawn = |figure: &Figure| [chart::inline(figure), chart::inline_narrow(figure)];
        let axes = [("horizontal", &figure.x), ("vertical", &figure.y)];
        let switch = axes.iter().filter(|(_, axis)| axis.switchable).map(|(name, axis)| {
            let to = if axis.log { "linear" } else { "logarithmic" };
            format!("{to} {name} axis")
        });
        Self {
            id: &figure.id,
            title: &figure.title,
            see: words::what_to_see(&figure.id),
            note: &figure.note,
            plain: drawn(figure),
            switched: figure.is_switchable().then(|| drawn(&figure.switched())),
            switch: switch.collect::<Vec<_>>().join(", "),
        }
    }
}

/// The data of the figures, for whoever wants to draw them anew.
#[derive(Serialize)]
struct Data<'a> {
    name: &'a str,
    figures: &'a [Figure],
}

/// JSON that may stand in a script element: without `<` nothing in it can end the element or open a comment.
fn embed(data: &Data<'_>) -> Result<String, serde_json::Error> {
    Ok(serde_json::to_string(data)?.replace('<', "\\u003c"))
}
