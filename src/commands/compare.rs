//! `runner compare`: what differs between two sweeps, or two runs, in spec and in outcome.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use serde::Serialize;
use serde_json::Value;

use super::positive;
use super::shared::folder::{self, Folder, Found, Row};
use super::shared::json;
use super::shared::rehearsed;
use super::shared::sheet::{Room, Sheet, Worth};
use super::shared::stdout;
use crate::cli::CompareArgs;
use crate::fit::approaches::approach2::{Approach2, Optimum};
use crate::fit::approaches::headline;
use crate::fit::formula::{Asked, Data, Formula, Grouping};
use crate::fit::laws::written;
use crate::fit::laws::{compare, contrast, forms};
use crate::fit::numerics::regress::distinct;
use crate::fit::{Bootstrap, Estimate, NORMAL_95, Status};
use crate::ledger::Losses;
use crate::plan::{PlannedRun, Run, UNSEEN_CORPUS};
use crate::report::words;
use crate::units::{Flops, Ratio, Seconds, Tokens, count};

/// Runs the command.
pub fn run(args: &CompareArgs) -> anyhow::Result<ExitCode> {
    let CompareArgs { first, second, results, difference, json, tables } = args;
    let difference = positive("difference", *difference)?;
    let sweep = |text: &str| folder::named(text, results);
    let told = match (sweep(first), sweep(second)) {
        (Some(a), Some(b)) => sweeps(&Folder::open(&a)?, &Folder::open(&b)?, [first, second], difference)?,
        (None, None) => {
            let [a, b] = [folder::find(first, results)?, folder::find(second, results)?];
            tell_origin([&a.folder, &b.folder], [first, second])?;
            runs(&a, &b)
        }
        (first_is_sweep, _) => {
            let [sweep, other] = if first_is_sweep.is_some() { [first, second] } else { [second, first] };
            folder::find(other, results).with_context(|| format!("{sweep} is a sweep, but {other} is not"))?;
            anyhow::bail!("{sweep} is a sweep and {other} is a run; give two sweeps or two runs")
        }
    };
    if *json {
        json::print(serde_json::to_value(told)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let room = Room::of(tables.wide);
    stdout::print(&room.fold(&told.text(room)))?;
    Ok(ExitCode::SUCCESS)
}

/// A key or a quantity, and what it is on either side.
type Pair = [String; 3];

/// Two sweeps or two runs, side by side.
#[derive(Serialize)]
struct Compared {
    /// Names of the two.
    names: [String; 2],
    /// How the first table is called: spec or configuration.
    kind: &'static str,
    /// Keys that differ.
    differences: Vec<Pair>,
    /// Headlines, a line each.
    headlines: Vec<String>,
    /// Quantities of both.
    outcome: Vec<Pair>,
    /// How they are counted, where that must be said.
    counted: Option<String>,
    /// What follows, in sentences.
    conclusions: Vec<String>,
}

impl Compared {
    fn text(&self, room: Room) -> String {
        let [first, second] = self.names.each_ref().map(String::as_str);
        let lines = |lines: &[String]| lines.iter().fold(String::new(), |text, line| text + line + "\n");
        let outcome = table(["outcome", first, second], &self.outcome, room);
        let counted = self.counted.iter().fold(String::new(), |text, counted| format!("{text}{counted}\n"));
        let mut parts = vec![or_same(self.kind, [self.kind, first, second], &self.differences, room)];
        parts.extend(self.counted.is_some().then(|| lines(&self.headlines)));
        parts.push(outcome + &counted);
        parts.extend((!self.conclusions.is_empty()).then(|| lines(&self.conclusions)));
        parts.join("\n")
    }
}

/// Every leaf of a value under its dotted key.
fn flatten(prefix: &str, value: &Value, into: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(table) => {
            let dot = if prefix.is_empty() { "" } else { "." };
            table.iter().for_each(|(key, value)| flatten(&format!("{prefix}{dot}{key}"), value, into));
        }
        Value::String(text) => {
            into.insert(prefix.to_owned(), text.clone());
        }
        value => {
            into.insert(prefix.to_owned(), value.to_string());
        }
    }
}

/// Rows of the keys in which two values differ.
fn differences(first: &Value, second: &Value) -> Vec<[String; 3]> {
    let (mut old, mut new) = (BTreeMap::new(), BTreeMap::new());
    flatten("", first, &mut old);
    flatten("", second, &mut new);
    let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
    keys.sort();
    keys.dedup();
    let cell = |side: &BTreeMap<String, String>, key: &String| side.get(key).cloned().unwrap_or_else(|| "-".to_owned());
    keys.into_iter().map(|key| [key.clone(), cell(&old, key), cell(&new, key)]).filter(|[_, a, b]| a != b).collect()
}

fn table(header: [&str; 3], rows: &[[String; 3]], room: Room) -> String {
    let [what, first, second] = header;
    let mut table = Sheet::new([(what, Worth::Must), (first, Worth::Short), (second, Worth::Short)]);
    for [what, first, second] in rows {
        let [first, second] = short([first, second]);
        table.add_row([what, &first, &second]);
    }
    table.text(room)
}

/// Two cells without what they have in common at length, as lists of models have.
fn short(cells: [&String; 2]) -> [String; 2] {
    const MOST: usize = 80;
    let [a, b] = cells.map(|cell| cell.chars().collect::<Vec<char>>());
    if a.len().max(b.len()) <= MOST {
        return cells.map(Clone::clone);
    }
    let start = a.iter().zip(&b).take_while(|(a, b)| a == b).count().saturating_sub(MOST / 4);
    [a, b].map(|cell| {
        let end = cell.len().min(start + MOST);
        let [before, after] = [start > 0, end < cell.len()].map(|cut| if cut { "…" } else { "" });
        format!("{before}{}{after}", cell[start.min(end)..end].iter().collect::<String>())
    })
}

/// What is said where nothing differs.
fn or_same(what: &str, header: [&str; 3], rows: &[[String; 3]], room: Room) -> String {
    if rows.is_empty() { format!("{what}: no difference\n") } else { table(header, rows, room) }
}

/// Says that losses were made up; those of one side alone compare with nothing.
fn tell_origin(folders: [&Folder; 2], names: [&str; 2]) -> anyhow::Result<()> {
    let [first, second] = folders.map(|folder| folder.ledger.losses());
    ensure!(
        first == second,
        "{} was rehearsed: its losses come from a known surface and cannot be compared with trained ones",
        names[usize::from(second == Losses::Rehearsed)]
    );
    rehearsed::say_if(first);
    Ok(())
}

fn sweeps(first: &Folder, second: &Folder, names: [&str; 2], difference: f64) -> anyhow::Result<Compared> {
    tell_origin([first, second], names)?;
    let spec = |folder: &Folder| anyhow::Ok(serde_json::to_value(folder.spec()?)?);
    let spec = differences(&spec(first)?, &spec(second)?);
    let tuned = [folder::tuned(&first.ledger)?, folder::tuned(&second.ledger)?];
    let among = if tuned.iter().all(Vec::is_empty) { "" } else { ", of those tuned the best" };
    let best = [first.best(&tuned[0]), second.best(&tuned[1])];
    let pairs = pairs(&best);
    let losses = match pairs.as_slice() {
        [] => "no two runs have the same shape, length, seed and corpus, so losses are not compared".to_owned(),
        [(a, b)] => {
            format!("one run in common: loss {a:.4} and {b:.4}, a difference of {:+.4} nats per token", b - a)
        }
        pairs => {
            let lower = pairs.iter().filter(|(a, b)| b < a).count();
            let differences: Vec<f64> = pairs.iter().map(|(a, b)| b - a).collect();
            let Estimate { value, low, high } = contrast::mean(&differences).context("there are pairs")?;
            format!(
                "{} in common (shape, length, seed and corpus{among}): the second's loss minus the first's is \
                 {value:+.4} nats per token on average (95% over pairs, Student's: {low:+.4} to {high:+.4}), and below 0 in \
                 {lower}",
                count(pairs.len(), "run")
            )
        }
    };
    Ok(Compared {
        names: names.map(str::to_owned),
        kind: "spec",
        differences: spec,
        headlines: [headlines(first, names[0]), headlines(second, names[1])].concat(),
        outcome: outcomes(first, second),
        counted: Some(format!("parameters counted as {}", headline::counted(headline::COUNTED))),
        conclusions: std::iter::once(losses)
            .chain(frontiers(first, second))
            .chain(worth(&best, among)?)
            .chain(seeds(&[first, second], difference))
            .collect(),
    })
}

/// The headline of a sweep, or of each of its groups, a line each: they are too long for a cell.
fn headlines(folder: &Folder, name: &str) -> Vec<String> {
    let found = folder::fits(folder.ledger.dir()).as_ref().map(folder::headlines).unwrap_or_default();
    let told = found.into_iter().map(|(group, headline)| {
        let of = group.map_or_else(String::new, |group| format!(", {group}"));
        format!("{name}{of}: {headline}")
    });
    told.collect()
}

/// Counts, exponents, tokens per parameter and loss at each budget that both have.
fn outcomes(first: &Folder, second: &Folder) -> Vec<[String; 3]> {
    let both = [first, second];
    let mut rows = Vec::new();
    let mut row = |name: &str, cells: [Option<String>; 2]| {
        if cells.iter().any(Option::is_some) {
            let [a, b] = cells.map(|cell| cell.unwrap_or_else(|| "-".to_owned()));
            rows.push([name.to_owned(), a, b]);
        }
    };
    row("finished", both.map(|f| Some(format!("{} of {}", f.count("finished"), f.ledger.plan().runs.len()))));
    row("diverged", both.map(|f| Some(f.count("diverged")).filter(|n| *n > 0).map(|n| n.to_string())));
    row("stopped early", both.map(|f| Some(f.count("stopped")).filter(|n| *n > 0).map(|n| n.to_string())));
    let flops = |f: &Folder| Flops(f.ledger.plan().runs.iter().map(|run| run.flops).sum()).to_string();
    row("FLOPs", both.map(|f| Some(flops(f))));
    let fits = both.map(|f| folder::fits(f.ledger.dir()));
    let fits = fits.map(|fits| fits.as_ref().and_then(folder::leading));
    let exponents: [(&str, Exponent); 2] =
        [("N_opt", |fit| fit.n_opt.map(|law| law.exponent)), ("D_opt", |fit| fit.d_opt.map(|law| law.exponent))];
    let decimals = |exponent: Estimate| words::estimate(exponent, words::decimal);
    for (name, exponent) in exponents {
        row(&format!("{name} exponent"), fits.each_ref().map(|fit| fit.as_ref().and_then(exponent).map(decimals)));
    }
    let mut budgets: Vec<f64> = fits.iter().flatten().flat_map(|fit| &fit.optima).map(|o| o.budget).collect();
    budgets.sort_by(f64::total_cmp);
    budgets.dedup();
    for budget in budgets {
        let at = |of: fn(&Optimum) -> Option<Estimate>, show: &dyn Fn(f64) -> String| {
            fits.each_ref().map(|fit| {
                let optimum = fit.as_ref()?.optima.iter().find(|o| o.budget.total_cmp(&budget).is_eq())?;
                Some(words::estimate(of(optimum)?, show))
            })
        };
        let flops = Flops(budget);
        let ratios = at(|o| o.tokens_per_param, &|x| Ratio(x).to_string());
        row(&format!("tokens/param, {flops} alone"), ratios);
        row(&format!("least loss, {flops}"), at(|o| o.loss, &|x| format!("{x:.4}")));
    }
    rows
}

/// What is read off a fit.
type Exponent = fn(&Approach2) -> Option<Estimate>;

/// The runs of a sweep that count, with their losses.
type Best<'a> = Vec<(&'a PlannedRun, Option<f64>)>;

/// Losses of runs of the same shape, length, seed and corpus, where there is one such run on either side. Runs that were trained
/// elsewhere may each have a name and settings of their own, and are then paired by their parameters.
fn pairs(both: &[Best; 2]) -> Vec<(f64, f64)> {
    let config = |run: &Run| run.program.as_ref().map(|program| format!("{:?}", program.config));
    let size = |run: &Run| run.own_size().map(|size| format!("{:?}", size.params));
    let found = pairs_by(both, &config);
    let elsewhere = || both.iter().flatten().all(|(planned, _)| planned.run.corpus == UNSEEN_CORPUS);
    if found.is_empty() && elsewhere() { pairs_by(both, &size) } else { found }
}

/// The same, where `own` tells the model of a program.
fn pairs_by([first, second]: &[Best; 2], own: &dyn Fn(&Run) -> Option<String>) -> Vec<(f64, f64)> {
    let by_key = |best: &Best| {
        let mut by_key: BTreeMap<String, Option<f64>> = BTreeMap::new();
        for (PlannedRun { run, tokens, .. }, loss) in best {
            let length = run.flop_budget.map_or_else(|| tokens.to_string(), |budget| format!("{budget:e}"));
            let key = format!("{:?} {:?} {length} {} {}", run.shape, own(run), run.seed, run.corpus);
            // Two runs under one key differ in something else: neither can stand for it.
            by_key.entry(key).and_modify(|known| *known = None).or_insert(*loss);
        }
        by_key
    };
    let second = by_key(second);
    by_key(first).into_iter().filter_map(|(key, loss)| Some((loss?, (*second.get(&key)?)?))).collect()
}

/// How many seeds of each side a difference needs to be seen, by how repeats scatter.
///
/// A difference of means of n seeds each has the standard error s sqrt(2/n); it shows where that is at most the difference over 1.96.
fn seeds(folders: &[&Folder], difference: f64) -> Option<String> {
    let (mut square, mut freedom) = (0.0, 0);
    for folder in folders {
        let mut repeats: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for planned in &folder.ledger.plan().runs {
            let Some(loss) = folder.row(&planned.id).val_loss else { continue };
            let mut one = planned.run.clone();
            one.seed = 0;
            repeats.entry(one.id().to_string()).or_default().push(loss);
        }
        for losses in repeats.values().filter(|losses| losses.len() > 1) {
            let mean = losses.iter().sum::<f64>() / losses.len() as f64;
            square += losses.iter().map(|loss| (loss - mean).powi(2)).sum::<f64>();
            freedom += losses.len() - 1;
        }
    }
    let scatter = (square / f64::from(u32::try_from(freedom).ok().filter(|count| *count > 0)?)).sqrt();
    let needed = (2.0 * (NORMAL_95 * scatter / difference).powi(2)).ceil().max(1.0);
    Some(format!(
        "seeds of one point scatter by {scatter:.4} nats ({freedom} degrees of freedom): a difference of {difference} nats \
         at one point shows with {needed} seeds on either side"
    ))
}

/// Whether the curves of least loss against FLOPs differ, where both are long enough to tell.
fn frontiers(first: &Folder, second: &Folder) -> Option<String> {
    let frontier = |folder: &Folder| {
        let mut least: BTreeMap<u64, (f64, f64)> = BTreeMap::new();
        for run in &folder.ledger.plan().runs {
            if let (Some(budget), Some(loss)) = (run.run.flop_budget, folder.row(&run.id).val_loss) {
                let entry = least.entry(budget.to_bits()).or_insert((run.flops, loss));
                if loss < entry.1 {
                    *entry = (run.flops, loss);
                }
            }
        }
        least.into_values().collect::<Vec<_>>()
    };
    let [a, b] = [first, second].map(frontier);
    match compare::compare(&a, &b, "FLOPs", &Bootstrap::default()) {
        Some(comparison) => Some(format!("least loss against FLOPs: {}", comparison.conclusion)),
        None if a.is_empty() || b.is_empty() => None,
        None => Some(format!(
            "least loss against FLOPs: {} and {} budgets are too few to compare laws (5 are needed)",
            a.len(),
            b.len()
        )),
    }
}

/// Fewest runs of each side, and settings of the fit, by which efficiencies are told.
const RUNS: usize = 8;
const RESAMPLES: usize = 300;
const STARTS: usize = 24;

/// What a parameter and a token of the second sweep are worth in those of the first, on one surface with shared exponents
/// (arXiv 2602.07712); nothing where a side has too few runs of different sizes and lengths.
fn worth(best: &[Best; 2], among: &str) -> anyhow::Result<Option<String>> {
    let corpora = |best: &Best| best.iter().map(|(planned, _)| planned.run.corpus.clone()).collect();
    let [of_first, of_second]: [BTreeSet<String>; 2] = best.each_ref().map(corpora);
    // Losses on different texts have no common scale.
    if of_first != of_second {
        return Ok(None);
    }
    let (mut data, mut sides) = (Data::default(), Vec::new());
    let mut columns: [Vec<f64>; 2] = [Vec::new(), Vec::new()];
    for (side, best) in ["first", "second"].into_iter().zip(best) {
        for (planned, loss) in best {
            let Some(loss) = loss else { continue };
            columns[0].push(planned.params.by(headline::COUNTED) as f64);
            columns[1].push(planned.tokens as f64);
            data.loss.push(*loss);
            sides.push(side);
        }
    }
    let kinds = |column: &[f64], side: &str| {
        distinct(column.iter().zip(&sides).filter(|(_, of)| **of == side).map(|(x, _)| x.ln()))
    };
    let tells = |side: &&str| {
        sides.iter().filter(|of| *of == side).count() >= RUNS && columns.iter().all(|column| kinds(column, side) >= 3)
    };
    if !["first", "second"].iter().all(tells) {
        return Ok(None);
    }
    let [params, tokens] = columns;
    data.columns = [("N".to_owned(), params), ("D".to_owned(), tokens)].into();
    data.groups = [("sweep".to_owned(), Grouping::of(sides.into_iter()))].into();
    let form = &forms::efficiencies::FORM;
    let asked = form.unknowns.iter().map(|text| Asked::parse(text).map_err(anyhow::Error::msg));
    let law = Formula::parse(&form.written("loss", "sweep"))?
        .law(&|name| ["N", "D"].contains(&name), &asked.collect::<anyhow::Result<Vec<_>>>()?)?;
    let bootstrap = Bootstrap { resamples: RESAMPLES, ..Bootstrap::default() };
    let fit =
        written::fit(&law, &data, &written::Options { starts: STARTS, bootstrap, ..written::Options::default() })?;
    let surface =
        format!("on one surface with shared exponents and one irreducible loss, fitted to all runs of both{among}");
    if fit.law.status != Status::Converged {
        let why = &fit.law.conclusion;
        return Ok(Some(format!(
            "{surface}, it is not told what a parameter and a token of the second are worth: {why}"
        )));
    }
    let of = |name: &str| fit.law.get(name).map(|estimate| words::estimate(estimate, words::decimal));
    let [Some(params), Some(tokens)] = ["rho_N[second]", "rho_D[second]"].map(of) else { return Ok(None) };
    Ok(Some(format!("{surface}, a parameter of the second is worth {params} of the first's, and a token {tokens}")))
}

fn runs(first: &Found, second: &Found) -> Compared {
    let names = [first, second].map(|found| found.run.id.to_string());
    let config = |found: &Found| serde_json::to_value(&found.run.run).expect("a run has only string keys");
    let config = differences(&config(first), &config(second));
    let [a, b] = [first, second].map(|found| found.folder.row(&found.run.id));
    let cells =
        |show: fn(&Row) -> Option<String>| [show(&a), show(&b)].map(|cell| cell.unwrap_or_else(|| "-".to_owned()));
    let rows: Vec<[String; 3]> = [
        ("status", cells(|row| Some(row.status.clone()))),
        ("validation loss", cells(Row::loss)),
        ("training loss", cells(|row| Some(format!("{:.4}", row.train_loss?)))),
        ("tokens/s", cells(|row| Some(Tokens(row.told_speed()?).to_string()))),
        ("time", cells(|row| Some(Seconds(row.told_seconds()?).to_string()))),
    ]
    .into_iter()
    .map(|(name, [a, b])| [name.to_owned(), a, b])
    .collect();
    let difference = match (a.val_loss, b.val_loss, a.val_loss_se, b.val_loss_se) {
        _ if first.run.run.corpus != second.run.run.corpus => {
            Some("the corpora differ, so losses per token cannot be compared".to_owned())
        }
        (Some(a), Some(b), Some(a_error), Some(b_error)) if a_error > 0.0 && b_error > 0.0 => {
            let (difference, half) = (b - a, NORMAL_95 * a_error.hypot(b_error));
            Some(format!(
                "the second's loss minus the first's is {difference:+.4} nats per token (95%: {:+.4} to {:+.4}, computed \
                 as if the runs had different validation tokens; they have the same)",
                difference - half,
                difference + half
            ))
        }
        (Some(a), Some(b), ..) => Some(format!(
            "the second's loss minus the first's is {:+.4} nats per token; how certain that is cannot be told without \
                 standard errors of both",
            b - a
        )),
        _ => None,
    };
    Compared {
        names,
        kind: "configuration",
        differences: config,
        headlines: Vec::new(),
        outcome: rows,
        counted: None,
        conclusions: difference.into_iter().collect(),
    }
}
