//! `runner fit`.

use std::process::ExitCode;

use anyhow::Context;
use comfy_table::{ContentArrangement, Table, presets};

use crate::cli::FitArgs;
use crate::fit::approach2::{self, Approach2};
use crate::fit::summary::Summary;
use crate::fit::table::{self, Columns, Options};
use crate::fit::{Bootstrap, Estimate};
use crate::observation::Counting;
use crate::units::{Flops, Params, Tokens};

/// Runs the command.
pub fn run(args: &FitArgs) -> anyhow::Result<ExitCode> {
    let columns = Columns::parse(&args.columns)?;
    let read = table::read(&args.runs, &columns, Options { tokens_from_flops: args.tokens_from_flops })?;
    if read.skipped > 0 {
        eprintln!("note: {} rows are not finished and were skipped", read.skipped);
    }
    for note in &read.notes {
        eprintln!("note: {note}");
    }
    let options = Bootstrap { resamples: args.bootstrap as usize, seed: args.seed };
    let fits: Vec<Approach2> = Counting::ALL
        .into_iter()
        .filter(|counting| read.observations.iter().any(|run| run.params_by(*counting).is_some()))
        .map(|counting| approach2::fit(&read.observations, counting, &options))
        .collect();
    if args.json {
        let summary = Summary::nested(fits.iter().map(Summary::from).collect()).context("no parameters to count")?;
        println!("{}", serde_json::to_string(&summary)?);
    } else {
        print!("{}", text(&fits));
    }
    Ok(ExitCode::SUCCESS)
}

/// The optima of each convention, then the laws side by side.
pub(super) fn text(fits: &[Approach2]) -> String {
    let optima =
        fits.iter().map(|fit| format!("Approach 2, parameters counted: {}\n{}\n", fit.counting.name(), optima(fit)));
    let laws = format!("Side by side\n{}\n", side_by_side(fits));
    let conclusions = fits.iter().map(|fit| format!("{}: {}\n", fit.counting.name(), fit.conclusion));
    optima.chain([laws]).chain(conclusions).collect()
}

fn optima(fit: &Approach2) -> Table {
    let mut table = new_table(["budget", "runs", "N_opt", "D_opt", "tokens/param", "loss", "status"]);
    for optimum in &fit.optima {
        table.add_row([
            Flops(optimum.budget).to_string(),
            optimum.points.to_string(),
            cell(optimum.params, |x| Params(x).to_string()),
            cell(optimum.tokens, |x| Tokens(x).to_string()),
            cell(optimum.tokens_per_param, |x| Params(x).to_string()),
            cell(optimum.loss, |x| format!("{x:.4}")),
            optimum.status.name().to_owned(),
        ]);
    }
    table
}

fn side_by_side(fits: &[Approach2]) -> Table {
    let mut table = new_table(std::iter::once("").chain(fits.iter().map(|fit| fit.counting.name())));
    let mut row = |name: String, of: &dyn Fn(&Approach2) -> String| {
        table.add_row(std::iter::once(name).chain(fits.iter().map(of)));
    };
    let exponent = |x: f64| format!("{x:.3}");
    row("status".to_owned(), &|fit| fit.status.name().to_owned());
    row("exponent of N_opt".to_owned(), &|fit| cell(fit.n_opt.map(|law| law.exponent), exponent));
    row("exponent of D_opt".to_owned(), &|fit| cell(fit.d_opt.map(|law| law.exponent), exponent));
    let Some(longest) = fits.iter().max_by_key(|fit| fit.tokens_per_param.len()) else { return table };
    let largest = longest.optima.last().map_or(f64::NAN, |optimum| optimum.budget);
    for (k, known) in longest.tokens_per_param.iter().enumerate() {
        let distance = if known.flops > largest {
            format!(", {:.0}x beyond the data", known.flops / largest)
        } else {
            String::new()
        };
        row(format!("tokens/param at {}{distance}", Flops(known.flops)), &|fit| {
            cell(fit.tokens_per_param.get(k).map(|row| row.ratio), |x| Params(x).to_string())
        });
    }
    table
}

fn new_table<'a>(header: impl IntoIterator<Item = &'a str>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header);
    table
}

/// A value with its interval, or a dash where the status allows no number.
fn cell(estimate: Option<Estimate>, print: impl Fn(f64) -> String) -> String {
    estimate.map_or_else(
        || "-".to_owned(),
        |estimate| format!("{} ({} to {})", print(estimate.value), print(estimate.low), print(estimate.high)),
    )
}
