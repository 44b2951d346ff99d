//! `runner plan`: every run of a sweep with its counts, FLOPs and hours, and the points that are left out.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context as _;
use comfy_table::{CellAlignment, Table, presets};

use super::throughput::Throughput;
use super::{STDOUT, device, planning};
use crate::cli::PlanArgs;
use crate::plan::{self, Plan, PlannedRun};
use crate::spec;
use crate::units::{Flops, Params, Seconds, Tokens};

/// Runs the command.
pub fn run(args: &PlanArgs) -> anyhow::Result<ExitCode> {
    let rate_given = args.flops_per_second;
    if let Some(rate) = rate_given.filter(|rate| !(rate.is_finite() && *rate > 0.0)) {
        anyhow::bail!("--flops-per-second {rate} is no speed; give FLOP/s above 0, such as 2e10");
    }
    let name = device::choose(&args.place.device);
    let slots = device::slots(args.slots, device::kind(&name)?, 1)?;
    let spec = spec::load(&args.spec)?;
    let plan = planning::plan_of(&spec, &args.place.cache)?;
    if args.csv {
        for left_out in &plan.left_out {
            eprintln!("left out: {}: {}", planning::describe(left_out), left_out.reason);
        }
        plan::write_csv(&plan, io::stdout().lock()).context(STDOUT)?;
    } else {
        let throughput = match rate_given {
            Some(rate) => Throughput::constant(rate),
            None => Throughput::measure(&name, &args.place.cache, &plan)?,
        };
        print(&plan, &throughput, slots, io::stdout().lock()).context(STDOUT)?;
    }
    planning::require_runs(&plan)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the whole plan: a table for each budget, what is left out, totals.
fn print(plan: &Plan, throughput: &Throughput, slots: usize, mut out: impl Write) -> io::Result<()> {
    let mut budgets: Vec<Option<f64>> = Vec::new();
    for planned in &plan.runs {
        if !budgets.contains(&planned.run.flop_budget) {
            budgets.push(planned.run.flop_budget);
        }
    }
    for budget in budgets {
        let runs: Vec<&PlannedRun> = plan.runs.iter().filter(|planned| planned.run.flop_budget == budget).collect();
        if let Some(budget) = budget {
            writeln!(out, "Budget {} FLOPs", Flops(budget))?;
        }
        writeln!(out, "{}\n", table(&runs, throughput))?;
    }
    if !plan.left_out.is_empty() {
        writeln!(out, "Left out")?;
        for left_out in &plan.left_out {
            writeln!(out, "  {}: {}", planning::describe(left_out), left_out.reason)?;
        }
        writeln!(out)?;
    }
    if plan.runs.is_empty() {
        return Ok(());
    }
    let flops: f64 = plan.runs.iter().map(|planned| planned.flops).sum();
    let seconds = || plan.runs.iter().map(|planned| throughput.seconds(planned));
    // A run is not split, so that one run on many slots takes as long as on one.
    let longest = seconds().fold(0.0, f64::max);
    let time = Seconds(longest.max(seconds().sum::<f64>() / slots as f64));
    let count = |n: usize, noun: &str| if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") };
    let (runs, slots) = (count(plan.runs.len(), "run"), count(slots, "slot"));
    writeln!(out, "{runs}, {} FLOPs, {time} of training on {slots}", Flops(flops))
}

fn table(runs: &[&PlannedRun], throughput: &Throughput) -> Table {
    let axes: BTreeSet<&String> = runs.iter().flat_map(|planned| planned.axes.keys()).collect();
    let fixed = [
        "run",
        "width",
        "depth",
        "heads",
        "embedding",
        "blocks",
        "unembed",
        "params",
        "tokens",
        "D/N",
        "batch",
        "steps",
        "warm-up",
        "lr",
        "seed",
        "FLOPs",
        "off",
        "epochs",
        "time",
    ];
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(axes.iter().map(|field| field.as_str()).chain(fixed));
    for planned in runs {
        let PlannedRun { id, run, params, tokens, flops, epochs, .. } = planned;
        let shape = run.shape;
        let cells = [
            id.as_str()[..8].to_owned(),
            shape.width.to_string(),
            shape.depth.to_string(),
            shape.heads.to_string(),
            Params((params.embedding + params.position) as f64).to_string(),
            Params(params.blocks as f64).to_string(),
            Params(params.unembedding as f64).to_string(),
            Params(params.total() as f64).to_string(),
            Tokens(*tokens as f64).to_string(),
            format!("{:.1}", planned.tokens_per_param()),
            run.tokens_per_step().to_string(),
            run.schedule.steps.to_string(),
            run.schedule.warmup_steps.to_string(),
            format!("{:.2e}", run.optimizer.learning_rate),
            run.seed.to_string(),
            Flops(*flops).to_string(),
            planned.budget_deviation().map_or_else(|| "-".to_owned(), |off| format!("{:+.2}%", 100.0 * off)),
            epochs.map_or_else(|| "-".to_owned(), |epochs| format!("{epochs:.2}")),
            Seconds(throughput.seconds(planned)).to_string(),
        ];
        let values = axes.iter().map(|field| planned.axes.get(*field).cloned().unwrap_or_default());
        table.add_row(values.chain(cells));
    }
    for column in table.column_iter_mut().skip(axes.len() + 1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
