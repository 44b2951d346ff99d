//! `runner plan`: every run of a sweep with its counts, FLOPs and hours, and the points that are left out.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::json;

use super::positive;
use super::results::{self, results_dir};
use super::shared::card_memory::CardMemory;
use super::shared::json;
use super::shared::planning::Corpora;
use super::shared::sheet::{Room, Sheet, Worth};
use super::shared::stdout::{self, STDOUT};
use super::shared::throughput::Throughput;
use super::shared::{device, out_file, planning, program, remarks, trunks};
use crate::cli::PlanArgs;
use crate::execute::choose::tuning::Tuning;
use crate::ledger::{Difference, Ledger, Losses, State, has_tables_only};
use crate::plan::{self, Costs, Estimate, LeftOut, Machine, Plan, PlannedRun, Trimmed};
use crate::shell;
use crate::spec::{self, Spec};
use crate::units::{Bytes, Flops, Params, Ratio, Seconds, Tokens, count};

/// Runs the command.
pub fn run(args: &PlanArgs) -> anyhow::Result<ExitCode> {
    let positive = |flag, value: Option<f64>| value.map(|value| positive(flag, value)).transpose();
    let rate_given = positive("flops-per-second", args.flops_per_second)?;
    let price = positive("price", args.price)?;
    let limit = positive("budget-hours", args.budget_hours)?;
    let name = device::choose(&args.place.device);
    let kind = device::kind(&name)?;
    let mut spec = program::load(&args.spec, &args.overrides.set)?;
    let machine = machine(args, &spec, kind)?;
    let corpora = corpora(&spec, args)?;
    let mut plan = corpora.plan(&spec)?;
    results::foresee(&spec, &plan, (&args.spec, &args.overrides.set))?;
    let throughput = match rate_given {
        Some(rate) => Throughput::constant(rate),
        None if args.csv && limit.is_none() => Throughput::unknown(),
        None => Throughput::measure(&name, &args.place.cache, &plan)?,
    };
    let mut set = args.overrides.set.clone();
    let bracketed = plan::bracket(&spec, &plan, &|spec| corpora.plan(spec))?;
    let hint = bracketed.as_ref().filter(|_| !args.bracket).map(hint);
    if let Some(bracketed) = bracketed.filter(|_| args.bracket) {
        (spec, plan) = take(bracketed, "so that each curve has its sizes", &mut set);
    }
    if let Some(limit) = limit
        && let Some(trimmed) = trim(&spec, &corpora, machine, &throughput, limit)?
    {
        (spec, plan) = take(trimmed, &format!("cut down to {limit} device hours"), &mut set);
    }
    remarks::say(&spec, &plan);
    for line in program::doubts(&spec, &name) {
        tell!("{line}");
    }
    let card = |plan: &Plan| CardMemory::of(plan, kind, machine.slots);
    let fittable = planning::Fittable::of(&plan);
    if args.csv {
        plan.left_out.iter().for_each(|out| tell!("left out: {}: {}", planning::describe(out), out.reason));
        plan::write_csv(&plan, io::stdout().lock()).context(STDOUT)?;
    } else if args.json {
        let first = Tuning::of(&spec).map(|tuning| tuning.first(&plan));
        let card = card(&plan);
        json::print(as_json((&plan, first.as_deref()), fittable.as_ref(), &throughput, (machine, price), card))?;
    } else {
        let room = Room::of(args.tables.wide);
        let text = text(&spec, &plan, &throughput, (machine, price), card(&plan), room)?;
        stdout::print(&room.fold(&text))?;
    }
    planning::require_runs(&plan)?;
    let fits = fittable.as_ref().map(ToString::to_string);
    let there = if args.without_corpus { None } else { there(&spec, &plan, Losses::of_device(kind)) };
    let unseen = args.without_corpus.then(|| UNSEEN.to_owned());
    let after = [fits, hint, candidates(&spec, &plan), there, unseen];
    for line in after.into_iter().flatten() {
        tell!("{line}");
    }
    if let Some(out) = &args.out {
        write(out, &spec, (&args.spec, &set))?;
    }
    Ok(end(fittable.is_some_and(|fittable| fittable.is_hopeless(&plan)) && !args.allow_unfittable))
}

/// What is not known where no text is read.
const UNSEEN: &str = "planned without the corpus: whether it has text enough, how many epochs the runs take and the ids that they will \
                      have are not known";

/// What planning must know of the corpora, read or, where that is asked for, not.
fn corpora(spec: &Spec, args: &PlanArgs) -> anyhow::Result<Corpora> {
    if args.without_corpus {
        return Corpora::unseen(spec);
    }
    let remedy = "--without-corpus plans shapes, counts, tokens and FLOPs without it";
    Corpora::of(spec, &args.place.cache).map_err(|error| anyhow::anyhow!("{error:#}\n{remedy}"))
}

/// What is to train a spec. Where its runs take several cards there are at least as many.
fn machine(args: &PlanArgs, spec: &Spec, kind: &str) -> anyhow::Result<Machine> {
    let (devices, cards) = (usize::from(args.device_count), spec.train.cards());
    if cards == 1 {
        return Ok(Machine { devices, cards, slots: device::slots(args.slots_per_device, kind, 1) });
    }
    let devices = if devices == 1 { cards } else { devices };
    anyhow::ensure!(
        devices.is_multiple_of(cards),
        "--device-count {devices} and train.cards = {cards}: give a multiple of {cards}, since a run takes so many"
    );
    Ok(Machine { devices, cards, slots: args.slots_per_device.unwrap_or(1) })
}

/// Writes the planned spec: the file with its keys set otherwise.
fn write(out: &Path, spec: &Spec, (file, set): (&Path, &[String])) -> anyhow::Result<()> {
    let text = spec::edit(&spec::read(file)?, set)?;
    anyhow::ensure!(spec::parse(&text, "")? == *spec, "{}: its keys could not be set", file.display());
    out_file::create(out, text.as_bytes())?;
    tell!("wrote {}", out.display());
    Ok(())
}

/// A changed grid, told with its reasons and as overrides.
fn take(changed: Trimmed, why: &str, set: &mut Vec<String>) -> (Spec, Plan) {
    tell!("{why}:");
    changed.said.iter().for_each(|line| tell!("  {line}"));
    let words = changed.set.iter().flat_map(|set| ["--set", set]);
    tell!("the same by hand: {}", shell::command(words));
    // A key that was set from outside is set anew.
    let key = |set: &str| set.split('=').next().unwrap_or_default().trim().to_owned();
    set.retain(|old| !changed.set.iter().any(|new| key(new) == key(old)));
    set.extend(changed.set);
    (changed.spec, changed.plan)
}

/// That the sweep trains some of these runs only, and when it ends, where it chooses among them.
fn candidates(spec: &Spec, plan: &Plan) -> Option<String> {
    let sweep = spec.sweep.as_ref()?;
    let aim = match sweep.goal {
        Some(goal) => format!("those that tell most about {goal}"),
        None => least(&Tuning::of(spec)?.first(plan), sweep.tune.len()),
    };
    let whole: f64 = plan.runs.iter().map(|run| run.flops).sum();
    let limit = sweep.limit_flops.filter(|limit| *limit < whole).map(|limit| {
        format!(
            "; it ends within sweep.limit_flops = {}, {:.0}% of what is told above",
            Flops(limit),
            100.0 * limit / whole
        )
    });
    let narrow = sweep
        .stop_width
        .map(|width| format!("; and earlier where the interval is as narrow as sweep.stop_width = {width}"));
    let (limit, narrow) = (limit.unwrap_or_default(), narrow.unwrap_or_default());
    let runs = plan.runs.len();
    Some(format!(
        "these {runs} runs are candidates, and all hours, FLOPs and prices are those of all of them: the sweep trains {aim}{limit}{narrow}"
    ))
}

/// What tuning so many settings takes at least, from the runs that the points begin with.
fn least(first: &[&PlannedRun], settings: usize) -> String {
    let runs = 1 + 2 * settings;
    let flops: f64 = first.iter().map(|run| run.flops * runs as f64).sum();
    format!(
        "each point with the settings of the spec, then neighbours while these are better: {runs} runs a point and {} FLOPs at least, \
         usually one and a half to two times as much",
        Flops(flops)
    )
}

/// What `--bracket` would do.
fn hint(bracketed: &Trimmed) -> String {
    format!("points were left out; --bracket plans only curves that are whole: {}", bracketed.said.join("; "))
}

/// The exit code, with the reason where it is not 0.
fn end(is_hopeless: bool) -> ExitCode {
    if !is_hopeless {
        return ExitCode::SUCCESS;
    }
    tell!("points were left out, and nothing can be fitted to the rest; --allow-unfittable goes on");
    ExitCode::from(1)
}

/// The plan with its costs as `--json` prints it, and which of its runs the points of a tuned sweep begin with.
fn as_json(
    (plan, first): (&Plan, Option<&[&PlannedRun]>),
    fittable: Option<&planning::Fittable>,
    throughput: &Throughput,
    (machine, price): (Machine, Option<f64>),
    card: Option<CardMemory>,
) -> serde_json::Value {
    let estimate = Estimate::of_plan(plan, machine, |run| throughput.seconds(run));
    let known = estimate.device_hours.is_finite();
    let runs = plan.runs.iter().map(|run| {
        let mut told = json!({ "planned": run, "seconds": throughput.seconds(run) });
        if let Some(first) = first {
            told["first"] = first.iter().any(|one| one.id == run.id).into();
        }
        told
    });
    json!({
        "runs": runs.collect::<Vec<_>>(), "left_out": plan.left_out, "flops": estimate.flops, "flops_alone": estimate.flops_alone,
        "seconds": estimate.seconds, "device_hours": estimate.device_hours, "result_bytes": estimate.results,
        "checkpoint_bytes": estimate.checkpoints, "price": price.filter(|_| known).map(|price| price * estimate.device_hours),
        "card_bytes": card, "fittable": fittable,
    })
}

/// How many of the runs the folder of results has already, where it has any.
fn there(spec: &Spec, plan: &Plan, losses: Losses) -> Option<String> {
    let dir = results_dir(None, spec, losses);
    let ledger = Ledger::open(&dir).ok()?;
    let count =
        |is: fn(&State) -> bool| plan.runs.iter().filter_map(|run| ledger.state(&run.id).ok()).filter(is).count();
    let ended = count(|state| matches!(state, State::Ended(_)));
    let early = match count(|state| matches!(state, State::Stopped(_))) {
        0 => String::new(),
        stopped => format!(", and {stopped} were stopped early"),
    };
    let choosing = spec.sweep.as_ref().is_some_and(spec::Sweep::trains_some);
    let refused = || ledger.refuses(&spec.to_toml(), plan, losses).ok().flatten().filter(|_| !choosing);
    let alone = if has_tables_only(&dir) {
        "; the folder has their tables alone, so train into another one with --out".to_owned()
    } else {
        refused().map_or_else(String::new, |Difference { what, remedy }| {
            format!("; `runner sweep` would refuse to go on there: {what}. {remedy}")
        })
    };
    (ended > 0).then(|| format!("{ended} of {} runs are in {} already{early}{alone}", plan.runs.len(), dir.display()))
}

/// Cuts a sweep down to device hours.
fn trim(
    spec: &Spec,
    corpora: &Corpora,
    machine: Machine,
    throughput: &Throughput,
    limit: f64,
) -> anyhow::Result<Option<Trimmed>> {
    if let Some(sweep) = spec.sweep.as_ref().filter(|sweep| sweep.trains_some()) {
        let key = if sweep.choose.is_some() { "sweep.limit_hours" } else { "sweep.limit_flops" };
        anyhow::bail!(
            "--budget-hours cuts a grid down, and this sweep trains some of its candidates only: {key} ends it"
        );
    }
    if throughput.is_unknown() {
        anyhow::bail!("--budget-hours needs a speed; give --flops-per-second, the sustained FLOP/s of one slot");
    }
    let seconds = |run: &PlannedRun| throughput.seconds(run);
    let costs = Costs {
        expand: &|spec| corpora.plan(spec),
        hours: &|runs| Estimate::of(runs.iter().copied(), machine, seconds).device_hours,
    };
    Ok(plan::trim(spec, limit, &costs)?)
}

/// The whole plan: a table for each budget, what is left out, totals.
fn text(
    spec: &Spec,
    plan: &Plan,
    throughput: &Throughput,
    cost: (Machine, Option<f64>),
    card: Option<CardMemory>,
    room: Room,
) -> Result<String, std::fmt::Error> {
    let first = Tuning::of(spec).map(|tuning| tuning.first(plan));
    let shown = if first.is_some() { Shown::First } else { Shown::All };
    let runs = first.unwrap_or_else(|| plan.runs.iter().collect());
    let card = card.map_or_else(String::new, |card| format!("{card}\n"));
    Ok(grid(&runs, throughput, shown, room)? + &left_out(plan, shown)? + &totals(plan, throughput, cost)? + &card)
}

/// Which runs a plan shows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// All of them.
    All,
    /// Those that the points of a tuned sweep begin with.
    First,
}

/// A table of runs for each budget.
fn grid(runs: &[&PlannedRun], throughput: &Throughput, shown: Shown, room: Room) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    let mut budgets: Vec<Option<f64>> = Vec::new();
    for planned in runs {
        if !budgets.contains(&planned.run.flop_budget) {
            budgets.push(planned.run.flop_budget);
        }
    }
    for budget in budgets {
        let runs: Vec<&PlannedRun> = runs.iter().copied().filter(|planned| planned.run.flop_budget == budget).collect();
        let first = if shown == Shown::First {
            ", each point with the settings of the spec or the nearest that can be trained"
        } else {
            ""
        };
        if let Some(budget) = budget {
            writeln!(out, "Budget {} FLOPs{first}", Flops(budget))?;
        }
        writeln!(out, "{}", table(&runs, throughput).text(room))?;
    }
    Ok(out)
}

/// What is left out, with reasons. Of a tuned sweep only points that have no run at all: that two batches come to the same
/// number of sequences, or that one makes a run too short, is how a lattice is.
fn left_out(plan: &Plan, shown: Shown) -> Result<String, std::fmt::Error> {
    let has_runs = |out: &&LeftOut| {
        let same_model = |planned: &PlannedRun| {
            planned.run.shape == out.shape && planned.own_size().map(|size| &size.name) == out.model.as_ref()
        };
        plan.runs.iter().any(|planned| same_model(planned) && planned.run.flop_budget == out.flop_budget)
    };
    let told: Vec<_> = plan.left_out.iter().filter(|out| shown == Shown::All || !has_runs(out)).collect();
    let mut out = String::new();
    if !told.is_empty() {
        writeln!(out, "Left out")?;
        for left_out in told {
            writeln!(out, "  {}: {}", planning::describe(left_out), left_out.reason)?;
        }
        writeln!(out)?;
    }
    Ok(out)
}

/// Runs, FLOPs, hours, room on the disk and price.
fn totals(
    plan: &Plan,
    throughput: &Throughput,
    (machine, price): (Machine, Option<f64>),
) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    if plan.runs.is_empty() {
        return Ok(out);
    }
    let estimate = Estimate::of_plan(plan, machine, |run| throughput.seconds(run));
    let Estimate { flops, flops_alone, seconds, device_hours, busy, results, checkpoints } = estimate;
    let (runs, slots) = (count(plan.runs.len(), "run"), count(machine.all_slots(), "slot"));
    writeln!(out, "{runs}, {} FLOPs, {} of training on {slots}", Flops(flops), Seconds(seconds))?;
    if plan.shares_trunks() {
        writeln!(out, "{}", trunks::saved(flops, flops_alone))?;
    }
    if device_hours.is_finite() {
        let devices = count(machine.devices, "device");
        writeln!(out, "{} device hours on {devices}, {:.0}% of them busy", Ratio(device_hours), 100.0 * busy)?;
    }
    write!(out, "disk: {} for results", Bytes(results))?;
    if checkpoints > 0.0 {
        write!(out, ", up to {} for checkpoints while training", Bytes(checkpoints))?;
    }
    writeln!(out)?;
    match price {
        Some(price) if device_hours.is_finite() => {
            writeln!(out, "price: {:.2} at {price} per device hour", price * device_hours)?;
        }
        Some(_) => writeln!(out, "price: needs a speed; give --flops-per-second")?,
        None => {}
    }
    Ok(out)
}

fn table(runs: &[&PlannedRun], throughput: &Throughput) -> Sheet {
    let axes: BTreeSet<&String> = runs.iter().flat_map(|planned| planned.axes.keys()).collect();
    let fixed = [
        ("run", Worth::Must),
        ("width", Worth::More(1)),
        ("depth", Worth::More(1)),
        ("heads", Worth::More(4)),
        ("embedding", Worth::More(5)),
        ("blocks", Worth::More(5)),
        ("unembed", Worth::More(5)),
        ("params", Worth::Must),
        ("tokens", Worth::Must),
        ("D/N", Worth::More(1)),
        ("batch", Worth::More(2)),
        ("steps", Worth::More(2)),
        ("warm-up", Worth::More(4)),
        ("lr", Worth::More(2)),
        ("seed", Worth::More(3)),
        ("FLOPs", Worth::More(3)),
        ("off", Worth::More(5)),
        ("epochs", Worth::More(4)),
        ("time", Worth::Must),
    ];
    let own = runs.iter().any(|run| run.own_size().is_some());
    let varied = axes.iter().map(|field| (field.as_str(), Worth::More(1)));
    let named = own.then_some(("model", Worth::Must));
    let mut table = Sheet::new(varied.chain(named).chain(fixed)).numbers_from(axes.len() + 1 + usize::from(own));
    for planned in runs {
        let PlannedRun { id, run, params, tokens, flops, epochs, .. } = planned;
        let shape = run.shape;
        let size = |number: usize| if own { "-".to_owned() } else { number.to_string() };
        let group = |count: u64| if own { "-".to_owned() } else { Params(count as f64).to_string() };
        let cells = [
            id.as_str()[..8].to_owned(),
            size(shape.width),
            size(shape.depth),
            size(shape.heads),
            group(params.embedding + params.position),
            group(params.blocks),
            group(params.unembedding),
            Params(params.total() as f64).to_string(),
            Tokens(*tokens as f64).to_string(),
            format!("{:.1}", planned.tokens_per_param()),
            run.tokens_per_step().to_string(),
            run.schedule.steps.to_string(),
            size(run.schedule.warmup_steps),
            planned.learning_rate().map_or_else(|| "-".to_owned(), |rate| format!("{rate:.2e}")),
            run.seed.to_string(),
            Flops(*flops).to_string(),
            planned.budget_deviation().map_or_else(|| "-".to_owned(), |off| format!("{:+.2}%", 100.0 * off)),
            epochs.map_or_else(|| "-".to_owned(), |epochs| format!("{epochs:.2}")),
            Seconds(throughput.seconds(planned)).to_string(),
        ];
        let values = axes.iter().map(|field| planned.axes.get(*field).cloned().unwrap_or_default());
        let name = own.then(|| planned.model());
        table.add_row(values.chain(name).chain(cells));
    }
    table
}
