//! `runner choose`.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use serde::Serialize;

use super::fit::{self, Unfitted};
use super::shared::json;
use super::shared::sheet::{Room, Sheet, Worth};
use super::shared::stdout;
use crate::cli::ChooseArgs;
use crate::fit::design::pool::{Options, Pool, explained};
use crate::fit::formula::{Data, Grouping, Measure};
use crate::fit::laws::written;
use crate::fit::named::Law;
use crate::fit::numerics::chance::at_most;
use crate::fit::table::TableError;
use crate::fit::{Bootstrap, Estimate};

/// What may be spent.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Budget {
    /// A share of what the pool costs.
    Share(f64),
    /// In the unit of the cost.
    Amount(f64),
}

/// How well a region is predicted for a budget.
#[derive(Debug, Serialize)]
struct Played {
    schema_version: u32,
    law: String,
    repeat: u32,
    /// As it was asked for.
    budget: String,
    /// Share of the cost of the whole pool that was spent, and rows that were bought, of all.
    spent: f64,
    rows: usize,
    of: usize,
    /// R2 of the predicted losses, from -1 to 1, where there are two or more that differ.
    r2: Option<f64>,
    /// Root of the mean squared error, in the unit of the loss.
    rms: Option<f64>,
    /// Share of the region's losses within the 95% intervals.
    covered: Option<f64>,
    /// The rows of each part of the pool in the order in which they were bought, counted from 1.
    bought: Vec<Bought>,
    /// Why what was bought cannot tell the law, and whether it misses the region by more than its intervals, in sentences.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    doubts: Vec<String>,
}

/// What was bought of a part.
#[derive(Debug, Serialize)]
struct Bought {
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    rows: Vec<usize>,
}

/// A part of the pool with the region that it must predict.
struct Part {
    pool: Unfitted,
    target: Data,
}

/// Runs the command.
pub fn run(args: &ChooseArgs) -> anyhow::Result<ExitCode> {
    ensure!(
        args.law.is_none_or(|law| law.is_formula() && law != Law::All),
        "--law: choosing knows the laws that are formulas, such as farseer; write others with --formula"
    );
    let budgets = budgets(&args.budget)?;
    let parts = parts(args)?;
    let mut played = Vec::new();
    for repeat in 0..args.repeats {
        played.extend(play(args, &parts, &budgets, repeat)?);
    }
    let text = if args.json {
        played.iter().map(|one| Ok(serde_json::to_string(one)? + "\n")).collect::<anyhow::Result<String>>()?
    } else {
        let room = Room::of(args.tables.wide);
        room.fold(&table(&played, args.repeats, room))
    };
    stdout::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// Budgets in ascending order.
fn budgets(texts: &[String]) -> anyhow::Result<Vec<(String, Budget)>> {
    let read = |text: &String| -> anyhow::Result<(String, Budget)> {
        let (number, share) = text.trim().strip_suffix('%').map_or((text.trim(), false), |number| (number, true));
        let value = if share { number.parse().ok() } else { crate::units::amount(number).ok() };
        let value = value.filter(|value: &f64| value.is_finite() && *value > 0.0 && (!share || *value <= 100.0));
        let value =
            value.with_context(|| format!("--budget {text}: write a share such as 10%, or an amount such as 3e19"))?;
        Ok((text.trim().to_owned(), if share { Budget::Share(value / 100.0) } else { Budget::Amount(value) }))
    };
    let read = texts.iter().map(read).collect::<anyhow::Result<Vec<_>>>()?;
    let ascending = |pair: &[(String, Budget)]| match (pair[0].1, pair[1].1) {
        (Budget::Share(a), Budget::Share(b)) | (Budget::Amount(a), Budget::Amount(b)) => a < b,
        _ => false,
    };
    ensure!(read.windows(2).all(ascending), "--budget: write several in ascending order, all shares or all amounts");
    Ok(read)
}

/// The pool and the region, part by part.
fn parts(args: &ChooseArgs) -> anyhow::Result<Vec<Part>> {
    let whole = |error: anyhow::Error| match error.downcast::<TableError>() {
        Ok(TableError::Incomplete { first, .. }) => anyhow::anyhow!(
            "{first}: a row that may be bought needs all numbers of the law and its loss, which is looked at where it is bought: write \
             them, or take such rows out of the table"
        ),
        Ok(other) => other.into(),
        Err(other) => other,
    };
    let mut targets = fit::unfitted(&args.target, args, true).map_err(whole)?;
    let pools = fit::unfitted(&args.pool, args, false).map_err(whole)?;
    for pool in &pools {
        let Some(costs) = &pool.data.cost else {
            tell!("note: the table tells no cost, so each row costs as much as another; --cost says what it costs");
            continue;
        };
        if let Some(cost) = costs.iter().find(|cost| !(**cost > 0.0 && cost.is_finite())) {
            bail!(
                "--cost: each row must cost something, and one costs {cost}: write a formula that is above zero for every row"
            );
        }
    }
    let mut parts = Vec::new();
    for pool in pools {
        let at = targets.iter().position(|target| target.group == pool.group).with_context(|| {
            format!("{} has no rows of the group '{}'", args.target.display(), pool.group.as_deref().unwrap_or("-"))
        })?;
        let mut target = targets.remove(at).data;
        for (index, grouping) in &mut target.groups {
            let known =
                &pool.data.groups.get(index).with_context(|| format!("the pool has no column '{index}'"))?.labels;
            *grouping = aligned(grouping, known, index, &args.target)?;
        }
        parts.push(Part { pool, target });
    }
    if let Some(left) = targets.first() {
        let group = left.group.as_deref().unwrap_or("-");
        bail!("{} has no rows of the group '{group}' of {}", args.pool.display(), args.target.display());
    }
    Ok(parts)
}

/// Groups numbered as those of the pool.
fn aligned(grouping: &Grouping, known: &[String], index: &str, path: &Path) -> anyhow::Result<Grouping> {
    let number = |label: &String| {
        let at = known.iter().position(|other| other == label);
        at.map(|at| at as u32).with_context(|| {
            format!(
                "{}: '{label}' of the column '{index}' is in no row of the pool, so that nothing tells it",
                path.display()
            )
        })
    };
    let numbers = grouping.labels.iter().map(number).collect::<anyhow::Result<Vec<u32>>>()?;
    Ok(Grouping { labels: known.to_vec(), of: grouping.of.iter().map(|group| numbers[*group as usize]).collect() })
}

/// All budgets once.
fn play(args: &ChooseArgs, parts: &[Part], budgets: &[(String, Budget)], repeat: u32) -> anyhow::Result<Vec<Played>> {
    let measure = Measure { residual: args.residuals, ..Measure::default() };
    let options = Options { measure, copies: Options::COPIES, seed: args.seed + u64::from(repeat) };
    let pool = |part| {
        let Part { pool, target }: &Part = part;
        Pool::new(&pool.law, &pool.data, target, options)
    };
    let mut pools = parts.iter().map(pool).collect::<Result<Vec<_>, _>>()?;
    let measured: Vec<f64> = parts.iter().flat_map(|part| part.target.loss.iter().copied()).collect();
    let mut played = Vec::new();
    for (text, budget) in budgets {
        let mut estimates = Vec::new();
        for pool in &mut pools {
            let amount = match budget {
                Budget::Share(share) => share * pool.total(),
                Budget::Amount(amount) => *amount,
            };
            pool.spend(amount)?;
            estimates.extend(pool.predict()?);
        }
        // Losses that nobody knows score nothing.
        let scored: Vec<(f64, Estimate)> =
            measured.iter().copied().zip(estimates).filter(|(loss, _)| loss.is_finite()).collect();
        let (measured, predicted): (Vec<f64>, Vec<f64>) =
            scored.iter().map(|(loss, estimate)| (*loss, estimate.value)).unzip();
        let count = measured.len() as f64;
        let squares: f64 = measured.iter().zip(&predicted).map(|(x, y)| (x - y).powi(2)).sum();
        let held = scored.iter().filter(|(loss, estimate)| estimate.holds(*loss)).count();
        let known = squares.is_finite() && !measured.is_empty();
        let differ = measured.iter().any(|loss| (loss - measured[0]).abs() > 0.0);
        let mut doubts: Vec<String> = Vec::new();
        for (part, pool) in parts.iter().zip(&pools) {
            let of = part.pool.group.as_ref().map_or_else(String::new, |group| format!("'{group}': "));
            doubts.extend(doubt(part, &pool.bought, &options).map(|doubt| of + &doubt));
        }
        doubts.extend(missed(held, measured.len()).filter(|_| known));
        let bought = parts.iter().zip(&pools).map(|(part, pool)| Bought {
            group: part.pool.group.clone(),
            rows: pool.bought.iter().map(|row| row + 1).collect(),
        });
        played.push(Played {
            schema_version: json::SCHEMA_VERSION,
            law: parts[0].pool.name.clone(),
            repeat,
            budget: text.clone(),
            spent: pools.iter().map(|pool| pool.spent).sum::<f64>() / pools.iter().map(Pool::total).sum::<f64>(),
            rows: pools.iter().map(|pool| pool.bought.len()).sum(),
            of: parts.iter().map(|part| part.pool.data.len()).sum(),
            r2: differ.then(|| explained(&measured, &predicted)),
            rms: known.then(|| (squares / count).sqrt()),
            covered: known.then(|| held as f64 / count),
            bought: bought.collect(),
            doubts,
        });
    }
    Ok(played)
}

/// Starts of the fit that says whether what was bought tells the law.
const STARTS: usize = 24;

/// Why the rows of a part that were bought cannot tell the law, as `runner fit` would say it.
fn doubt(part: &Part, bought: &[usize], options: &Options) -> Option<String> {
    let bootstrap = Bootstrap { resamples: 0, seed: options.seed };
    let options =
        written::Options { measure: options.measure, starts: STARTS, bootstrap, ..written::Options::default() };
    written::doubt(&part.pool.law, &part.pool.data.select(bought), &options)
}

/// Least chance, where intervals of 95% are right, that they hold so few losses.
const CHANCE: f64 = 0.01;

/// A sentence where intervals hold far fewer of the region's losses than they should.
fn missed(held: usize, of: usize) -> Option<String> {
    (of > 0 && at_most(held, of, 0.95) < CHANCE).then(|| {
        format!(
            "the 95% intervals hold {held} of {of} losses of the target: the law misses it by more than its intervals, which know what \
             few rows leave open and not that the law may be another"
        )
    })
}

/// Means over the repeats, a row for each budget.
fn table(played: &[Played], repeats: u32, room: Room) -> String {
    let mut sheet = Sheet::new([
        ("budget", Worth::Must),
        ("spent", Worth::More(1)),
        ("rows", Worth::Must),
        ("R2", Worth::Must),
        ("rms error", Worth::Must),
        ("within 95%", Worth::More(2)),
    ]);
    let mut named: Vec<&str> = Vec::new();
    for one in played {
        if !named.contains(&one.budget.as_str()) {
            named.push(&one.budget);
        }
    }
    let mut doubts = String::new();
    for budget in named {
        let of: Vec<&Played> = played.iter().filter(|one| one.budget == budget).collect();
        let mean = |read: &dyn Fn(&Played) -> f64| of.iter().map(|one| read(one)).sum::<f64>() / of.len() as f64;
        let number = |x: f64, text: String| if x.is_finite() { text } else { "-".to_owned() };
        let [r2, rms] = [mean(&|one| one.r2.unwrap_or(f64::NAN)), mean(&|one| one.rms.unwrap_or(f64::NAN))];
        let held = 100.0 * mean(&|one| one.covered.unwrap_or(f64::NAN));
        sheet.add_row([
            budget.to_owned(),
            format!("{:.2}%", 100.0 * mean(&|one| one.spent)),
            format!("{:.0} of {}", mean(&|one| one.rows as f64), of[0].of),
            number(r2, format!("{r2:.3}")),
            number(rms, format!("{rms:.4}")),
            number(held, format!("{held:.0}%")),
        ]);
        let doubtful: Vec<&Played> = of.iter().copied().filter(|one| !one.doubts.is_empty()).collect();
        if let Some(first) = doubtful.first() {
            let times = if repeats > 1 { format!(" ({} of {repeats} repeats)", doubtful.len()) } else { String::new() };
            for doubt in &first.doubts {
                let _ = writeln!(doubts, "at {budget}{times}: {doubt}");
            }
        }
    }
    let times = if repeats > 1 { format!(", means of {repeats} repeats") } else { String::new() };
    let bought = if repeats == 1 { played.last().map(shopping_list).unwrap_or_default() } else { String::new() };
    format!("{}{times}\n{}{doubts}{bought}", played[0].law, sheet.text(room))
}

/// What was bought for the largest budget, a line for each part of the pool.
fn shopping_list(played: &Played) -> String {
    let line = |Bought { group, rows }: &Bought| {
        let of = group.as_ref().map_or_else(String::new, |group| format!(" of '{group}'"));
        let rows: Vec<String> = rows.iter().map(usize::to_string).collect();
        format!("bought{of} for {}, in this order, rows counted from 1: {}\n", played.budget, rows.join(", "))
    };
    played.bought.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::missed;

    #[test]
    fn a_law_is_doubted_for_the_losses_that_its_intervals_miss_however_many_there_are() {
        for (held, of, doubted) in
            [(20, 20, false), (15, 20, true), (300, 300, false), (285, 300, false), (270, 300, true)]
        {
            assert_eq!(missed(held, of).is_some(), doubted, "{held} of {of}");
        }
        assert!(missed(5000, 5000).is_none() && missed(4500, 5000).is_some() && missed(0, 0).is_none());
    }
}
