//! `runner fit`.

mod columns;
mod finding;
mod fit_of_rows;
mod formula;
mod laws;
mod outliers;
pub(super) mod print;
mod print_formula;
mod question;
mod request;
mod rows;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, ensure};
use serde::Serialize;

pub(super) use self::fit_of_rows::{FitOfRows, words};
pub(super) use self::formula::Unfitted;
pub(super) use self::laws::figures;
pub(super) use self::question::{Refused, ask, foresee, in_words_of_a_spec};
use self::request::{Request, require_budgets};
use self::rows::{Group, Made, groups};
use super::shared::json;
use super::shared::sheet::Room;
use super::shared::stdout;
use crate::cli::{self, FitArgs};
use crate::fit::Bootstrap;
use crate::fit::approaches::approach::Approach;
use crate::fit::approaches::approach2::akima;
use crate::fit::approaches::approach3::{self, StartGrid};
use crate::fit::approaches::outliers::{Outlier, Suspects};
use crate::fit::approaches::summary::Summary;
use crate::fit::approaches::{approach2, complete, points};
use crate::fit::named::Law;
use crate::fit::table;
use crate::fit::table::Columns;
use crate::fit::table::budgets;
use crate::fit::table::recount;
use crate::observation::{Counting, Observation};

/// Runs the command.
pub fn run(args: &FitArgs) -> anyhow::Result<ExitCode> {
    ensure!(
        args.budget_tolerance.is_none_or(|share| (budgets::EXACT..=0.5).contains(&share)),
        "--budget-tolerance: write a share from 0.01 to 0.5"
    );
    let delta = args.delta.unwrap_or(approach3::DELTA);
    ensure!(delta.is_finite() && delta > 0.0, "--delta {delta}: write a number above zero");
    let request = request(args)?;
    let is_formula = is_formula(args);
    if !is_formula {
        formula::refuse_alone(&args.formula)?;
    }
    let said = match args.law {
        law if is_formula => formula::run(&request, law)?,
        Some(law) => fit_of_rows::text(&laws::run(&request)?, law, &request)?,
        None => surfaces(&request)?,
    };
    let said = if args.json { said } else { request.room.fold(&said) };
    stdout::print(&said)?;
    Ok(ExitCode::SUCCESS)
}

fn is_formula(args: &FitArgs) -> bool {
    !args.formula.formula.is_empty() || args.law.is_some_and(Law::is_formula)
}

fn request(args: &FitArgs) -> anyhow::Result<Request<'_>> {
    Ok(Request {
        args,
        columns: if is_formula(args) { Columns::of_formula(&args.columns)? } else { Columns::parse(&args.columns)? },
        table: table::Options {
            tokens_from_flops: args.tokens_from_flops,
            by: args.by.clone(),
            skip_incomplete: args.skip_incomplete,
            tuned: args.tuned.clone(),
            // A law of compute is one of the best runs that each budget buys.
            best: if args.law == Some(Law::Flops) { table::Best::Frontier } else { table::Best::Tuned },
            rows: rows(args),
        },
        bootstrap: Bootstrap { resamples: args.bootstrap as usize, seed: args.seed },
        starts: StartGrid::parse(&args.starts).context("--starts")?,
        room: Room::of(args.tables.wide),
    })
}

/// Approach 1 takes curves, a skill comes on the way, and who writes a formula knows what its rows are.
fn rows(args: &FitArgs) -> table::Kind {
    let points = args.approach == cli::Approaches::One(Approach::Envelope)
        || args.law == Some(Law::Emergence)
        || !args.formula.formula.is_empty();
    if points { table::Kind::Points } else { table::Kind::Results }
}

/// The rows of a table with the law that `runner choose` was asked for. Those that are to be predicted cost nothing, and their
/// losses may be missing.
pub(super) fn unfitted(table: &Path, asked: &cli::ChooseArgs, is_target: bool) -> anyhow::Result<Vec<Unfitted>> {
    let mut args = question::defaults(table)?;
    args.by.clone_from(&asked.by);
    args.columns.clone_from(&asked.columns);
    args.formula.formula = asked.formula.iter().cloned().collect();
    args.formula.unknown.clone_from(&asked.unknown);
    args.formula.cost = asked.cost.clone().filter(|_| !is_target);
    args.formula.residuals = asked.residuals;
    let mut request = request(&args)?;
    request.table.rows = table::Kind::Offers;
    formula::unfitted(&request, asked.law, is_target)
}

/// Scatter of FLOPs per token at equal size, in the logarithm, that no way of counting explains.
const STRANGE: f64 = 0.2;

/// The approaches to the surface, group by group.
fn surfaces(request: &Request) -> anyhow::Result<String> {
    let args = request.args;
    ensure!(
        args.against.is_none(),
        "--against compares laws of one variable: say which with --law params|tokens|flops"
    );
    ensure!(args.target_loss.is_empty(), "--target-loss belongs to --law critical-batch");
    let table = table::read(&args.runs, &request.columns, &request.table)?;
    if args.weighted {
        let known = |run: &Observation| run.loss_se.is_some_and(|error| error > 0.0);
        ensure!(
            table.rows.iter().all(known),
            "--weighted needs a standard error above zero in every row of {}: the column val_loss_se, or \
             --columns val_loss_se=NAME",
            args.runs.display()
        );
    }
    let mut said = String::new();
    for mut group in groups(table, &args.runs, args.drop_highest, |run| run.loss)? {
        recount_as_asked(&mut group, request)?;
        group.share_budgets(request);
        require_budgets(request, group.rows.iter().map(Observation::budget))?;
        let outliers = outliers::look(&mut group, args);
        let asked = args.approach.asked();
        tell_shares(&group.rows, &asked);
        let suspects = if args.exclude_outliers {
            Suspects::of(&group.rows)
        } else {
            Suspects::known(&group.rows, outliers.clone())
        };
        let mut fits: Vec<Summary> = asked
            .iter()
            .map(|approach| {
                let fit = fit(&group, &suspects, *approach, request).context("no row tells parameters")?;
                Ok(Summary { group: group.name.clone(), ..fit })
            })
            .collect::<anyhow::Result<_>>()?;
        complete::rank(&mut fits);
        warn_of_costs(&fits);
        if args.json {
            said += &printed(&fits, &group.made, &outliers)?;
        } else {
            said.extend(group.name.as_ref().map(|name| print::heading(name)));
            said += &print::text(&fits, request.room);
        }
    }
    Ok(said)
}

/// A fit as `--json` prints it.
#[derive(Serialize)]
struct Printed<'a> {
    schema_version: u32,
    #[serde(flatten)]
    fit: &'a Summary,
    #[serde(flatten)]
    made: &'a Made,
    /// Runs that the rest contradicts, left out where that was asked for.
    #[serde(skip_serializing_if = "<[Outlier]>::is_empty")]
    outliers: &'a [Outlier],
}

/// An object for each fit.
fn printed(fits: &[Summary], made: &Made, outliers: &[Outlier]) -> anyhow::Result<String> {
    let schema_version = json::SCHEMA_VERSION;
    let one = |fit| Ok(serde_json::to_string(&Printed { schema_version, fit, made, outliers })? + "\n");
    fits.iter().map(one).collect()
}

/// Counts the compute of a group anew, where that was asked for.
fn recount_as_asked(group: &mut Group<Observation>, request: &Request) -> anyhow::Result<()> {
    let Some(counting) = request.args.recount else { return Ok(()) };
    group.rows = recount::recount(&group.rows, counting);
    ensure!(
        !group.rows.is_empty(),
        "--recount needs several runs of each size, which differ in tokens, and parameters by that convention: {} has no \
         such runs",
        request.args.runs.display()
    );
    tell!("note: compute is 6ND with N counted by {}; losses are interpolated within each size", counting.name());
    Ok(())
}

/// Warns where the FLOPs of a table are none that its parameters and tokens could have cost.
fn warn_of_costs(fits: &[Summary]) {
    let all = fits.iter().flat_map(|fit| std::iter::once(fit).chain(&fit.other_countings));
    if let Some(cost) = all.filter_map(|fit| fit.cost).find(|cost| cost.rms > STRANGE) {
        tell!(
            "warning: FLOPs per token scatter by {:.0}% about a function of size ({cost}): do the columns of FLOPs, tokens and \
             parameters belong together? Optima follow from it, and their intervals know nothing of that",
            100.0 * cost.rms
        );
    }
}

/// Says where a table is too long for every row to count.
fn tell_shares(runs: &[Observation], asked: &[Approach]) {
    let count = runs.len();
    if count > points::MOST && asked.iter().any(|approach| approach.is_surface()) {
        tell!("note: surfaces are fitted to an even share of at most {} of the {count} rows", points::MOST);
    }
    if count > approach2::MOST && asked.contains(&Approach::Parabolas) {
        tell!("note: parabolas are fitted to an even share of at most {} of the {count} rows", approach2::MOST);
    }
    if count > akima::MOST_RUNS && asked.contains(&Approach::Parabolas) {
        tell!("note: no splines beside the parabolas, for {count} rows are more than {}", akima::MOST_RUNS);
    }
}

/// One approach under every convention of counting that the table tells.
fn fit(group: &Group<Observation>, suspects: &Suspects<'_>, approach: Approach, request: &Request) -> Option<Summary> {
    let one = |counting| fit_one(&group.rows, suspects, (approach, counting), request);
    Summary::nested(group.countings().map(one).collect())
}

fn fit_one(
    runs: &[Observation],
    suspects: &Suspects<'_>,
    (approach, counting): (Approach, Counting),
    request: &Request,
) -> Summary {
    let options = complete::Options {
        bootstrap: request.bootstrap,
        resample: request.args.resample,
        weighted: request.args.weighted,
        delta: request.args.delta.unwrap_or(approach3::DELTA),
        starts: request.starts.clone(),
        ..complete::Options::default()
    };
    match approach {
        Approach::Envelope => complete::envelope(runs, counting, &options),
        Approach::Parabolas => {
            complete::with_parabolas(&complete::parabolas(suspects, counting, &options), runs, &options)
        }
        Approach::Huber => complete::huber(runs, counting, &options).0,
        Approach::Vpnls => complete::least_squares(runs, counting, &options).0,
    }
}
