//! `runner coord-check`: whether activations keep their size as models grow.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;

use super::shared::sheet::{Room, Sheet, Worth};
use super::shared::stdout;
use super::shared::{claim, device, planning};
use crate::cli::CoordCheckArgs;
use crate::fit::Estimate;
use crate::fit::transfer::coordinates;
use crate::fit::transfer::coordinates::{Coordinate, First, Measurement, SETTLED, TOLERANCE, Verdict};
use crate::plan::{Plan, Run};
use crate::report::coordinates::{Check, write};
use crate::spec;

/// What grows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Axis {
    Width,
    Depth,
}

impl Axis {
    fn name(self) -> &'static str {
        match self {
            Self::Width => "width",
            Self::Depth => "depth",
        }
    }

    fn of(self, run: &Run) -> usize {
        match self {
            Self::Width => run.shape.width,
            Self::Depth => run.shape.depth,
        }
    }
}

/// Runs the command.
pub fn run(args: &CoordCheckArgs) -> anyhow::Result<ExitCode> {
    device::keep_pages();
    let CoordCheckArgs { spec: path, overrides, out, place, steps, threads, tables } = args;
    let spec = spec::load_with(path, &overrides.set)?;
    anyhow::ensure!(
        spec.train.command.is_empty(),
        "the spec trains by a program ([train] command), and this command can look into our own model only: check the \
         activations of your model in your program, or leave the command out to check ours"
    );
    let dir = out.clone().unwrap_or_else(|| Path::new("results").join(&spec.name));
    // Before the minutes of measuring.
    claim::of_spec(&dir, &spec.to_toml(), |name| name == "figures")?;
    let device = device::choose(&place.device);
    let plan = planning::plan_of(&spec, &place.cache)?;
    if let Some(left_out) = plan.left_out.first() {
        anyhow::bail!("the check cannot include {}: {}", planning::describe(left_out), left_out.reason);
    }
    let axis = axis(&plan)?;
    require_nothing_else(&plan, axis)?;
    let measured = measure(&plan, axis, &device, *threads, &place.cache, *steps as usize)?;

    let checks: Vec<Check> = measured
        .into_iter()
        .map(|(parameterization, measurements)| {
            let coordinates = coordinates::check(&measurements, |name| drawn(axis, name));
            Check { parameterization, measurements, coordinates }
        })
        .collect();
    let unwritable = || format!("cannot write to {}", dir.display());
    fs::create_dir_all(&dir).with_context(unwritable)?;
    fs::write(dir.join("spec.toml"), spec.to_toml()).with_context(unwritable)?;
    write(&dir, &spec.name, axis.name(), &checks)?;

    stdout::print(&table(&checks).text(Room::of(tables.wide)))?;
    for remark in remarks(&checks, axis) {
        eprintln!("{remark}");
    }
    let mut passed = true;
    for Check { parameterization, coordinates, .. } in &checks {
        let undecided = coordinates.iter().filter(|coordinate| coordinate.verdict == Verdict::Undecided).count();
        let failed = coordinates.iter().filter(|coordinate| !coordinate.passes()).count() - undecided;
        passed &= failed + undecided == 0;
        let verdict = match (failed, undecided) {
            (0, 0) => "passes",
            (0, _) => "is not decided",
            _ => "FAILS",
        };
        let open = match undecided {
            0 => String::new(),
            _ => format!(
                "; of {undecided} it is not told, because seeds differ too much: write more of them in sweep.seeds"
            ),
        };
        eprintln!(
            "{parameterization} {verdict}: {failed} of {} activations change with {}{open}",
            coordinates.len(),
            axis.name()
        );
    }
    eprintln!("figures and their tables in {}", dir.join("figures").display());
    Ok(ExitCode::from(u8::from(!passed)))
}

/// What the spec varies, which must be one of the two.
fn axis(plan: &Plan) -> anyhow::Result<Axis> {
    let varied = |axis: Axis| plan.runs.iter().map(|run| axis.of(&run.run)).collect::<BTreeSet<_>>().len() > 1;
    match (varied(Axis::Width), varied(Axis::Depth)) {
        (true, false) => Ok(Axis::Width),
        (false, true) => Ok(Axis::Depth),
        (false, false) => anyhow::bail!(
            "all models of the spec have the same shape: write \"model.width\" = [32, 64, 128, 256] (or \
             \"model.depth\") in [sweep.axes]"
        ),
        (true, true) => {
            anyhow::bail!("the spec varies width and depth: write one of them in [sweep.axes] and keep the other")
        }
    }
}

/// Fails where runs differ in more than size, seed and parameterization: they would be taken for repeats.
fn require_nothing_else(plan: &Plan, axis: Axis) -> anyhow::Result<()> {
    let mut seen = BTreeSet::new();
    let first = &plan.runs[0].run;
    for planned in &plan.runs {
        let run = &planned.run;
        let same_corpus = run.corpus == first.corpus && run.shape.context == first.shape.context;
        if !seen.insert((run.parameterization, axis.of(run), run.seed)) || !same_corpus {
            let varied: Vec<&String> = planned.axes.keys().collect();
            anyhow::bail!(
                "the spec varies {varied:?}: a coordinate check needs one training recipe; keep in [sweep.axes] only \
                 \"model.{}\" and \"model.parameterization\"",
                axis.name()
            );
        }
        let like =
            plan.runs.iter().map(|other| &other.run).find(|other| other.parameterization == run.parameterization);
        anyhow::ensure!(
            like.is_none_or(|other| other.optimizer == run.optimizer),
            "{name} {} has another learning rate, batch or decay than {name} {}: a coordinate check needs one recipe; write numbers \
             instead of rules, and keep them out of [sweep]",
            axis.of(run),
            like.map_or(0, |other| axis.of(other)),
            name = axis.name()
        );
    }
    Ok(())
}

/// What the theory says of the drawn model: over width the unembedding multiplies random numbers, and so do queries and
/// keys where heads grow; over depth what random blocks add averages out.
fn drawn(axis: Axis, activation: &str) -> First {
    match (axis, activation) {
        (Axis::Width, "logits") => First::Fades,
        (Axis::Width, name) if name.ends_with("logits") => First::MayFade,
        (Axis::Width, _) | (Axis::Depth, "embedding") => First::Flat,
        (Axis::Depth, _) => First::MayFade,
    }
}

/// Measurements by parameterization, in the order of the plan.
#[cfg(feature = "train")]
fn measure(
    plan: &Plan,
    axis: Axis,
    device: &str,
    threads: usize,
    cache: &Path,
    steps: usize,
) -> anyhow::Result<Vec<(String, Vec<Measurement>)>> {
    use crate::train::coordinates::Prober;

    let prober = Prober::open(device, threads, &plan.runs[0].run, cache)?;
    let several_depths = axis == Axis::Depth;
    let mut groups: Vec<(String, Vec<Measurement>)> = Vec::new();
    for planned in &plan.runs {
        let run = &planned.run;
        let name = run.parameterization.name();
        eprintln!("{name}, {} {}, seed {}", axis.name(), axis.of(run), run.seed);
        let measured = prober.probe(run, steps)?.into_iter().filter_map(|seen| {
            Some(Measurement {
                size: axis.of(run) as f64,
                seed: run.seed,
                step: seen.step,
                activation: seen.site.name(run.shape.depth, several_depths)?,
                mean_abs: seen.mean_abs,
            })
        });
        match groups.iter_mut().find(|(group, _)| group == name) {
            Some((_, measurements)) => measurements.extend(measured),
            None => groups.push((name.to_owned(), measured.collect())),
        }
    }
    Ok(groups)
}

#[cfg(not(feature = "train"))]
fn measure(
    _plan: &Plan,
    _axis: Axis,
    device: &str,
    threads: usize,
    cache: &Path,
    _steps: usize,
) -> anyhow::Result<Vec<(String, Vec<Measurement>)>> {
    device::trainer(device, cache, threads)?;
    anyhow::bail!("--device {device} has no activations to check")
}

fn table(checks: &[Check]) -> Sheet {
    let mut table = Sheet::new([
        ("parameterization", Worth::Must),
        ("activation", Worth::Must),
        ("verdict", Worth::Must),
        ("slope at start", Worth::More(4)),
        ("expected", Worth::More(4)),
        ("slope at end", Worth::More(3)),
        ("expected", Worth::More(3)),
        ("worst slope", Worth::More(1)),
        ("before step", Worth::More(2)),
    ]);
    for Check { parameterization, coordinates, .. } in checks {
        for Coordinate { activation, first: drawn, slopes, worst, verdict } in coordinates {
            let [first, last] = [slopes.first(), slopes.last()].map(|at| slope(at.and_then(|at| at.slope)));
            let step = worst.map_or_else(String::new, |at| at.step.to_string());
            let worst = slope(worst.and_then(|at| at.slope));
            table.add_row([
                parameterization.as_str(),
                activation,
                verdict.name(),
                &first,
                drawn.expected(),
                &last,
                "0",
                &worst,
                &step,
            ]);
        }
    }
    table
}

/// A slope with its interval; one seed has none.
fn slope(slope: Option<Estimate>) -> String {
    match slope {
        None => "zero".to_owned(),
        Some(s) if s.low.is_finite() && s.high.is_finite() => {
            format!("{:+.2} ({:+.2} to {:+.2})", s.value, s.low, s.high)
        }
        Some(s) => format!("{:+.2}", s.value),
    }
}

/// What a reader of the table must know.
fn remarks(checks: &[Check], axis: Axis) -> Vec<String> {
    let measurements = || checks.iter().flat_map(|check| &check.measurements);
    let seeds = measurements().map(|m| m.seed).collect::<BTreeSet<_>>().len();
    let last = measurements().map(|m| m.step).max().unwrap_or(0);
    let axis = axis.name();
    let mut remarks = vec![format!(
        "Slopes are of log mean |x| in log {axis}: with 0 the activation keeps its size, with 1 it grows in \
         proportion. A slope within {TOLERANCE} of the expected one passes."
    )];
    if seeds == 1 {
        remarks.push("One seed gives no interval: set [sweep] seeds = [1, 2, 3].".to_owned());
    }
    if last < SETTLED {
        remarks.push(format!(
            "{last} steps show what grows. Whether slopes that begin at -0.5 become flat shows only after {SETTLED} \
             steps: give --steps 10."
        ));
    }
    remarks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_has_no_interval_and_says_so() {
        let one = Estimate { value: 0.1, low: f64::NAN, high: f64::NAN };
        assert_eq!(slope(Some(one)), "+0.10");
        assert_eq!(slope(Some(Estimate { low: 0.0, high: 0.25, ..one })), "+0.10 (+0.00 to +0.25)");
        let measured = |size: f64| Measurement { size, seed: 1, step: 1, activation: "x".to_owned(), mean_abs: size };
        let measurements = vec![measured(1.0), measured(2.0)];
        let coordinates = coordinates::check(&measurements, |_| First::Flat);
        let checks = [Check { parameterization: "mup".to_owned(), measurements, coordinates }];
        let said = remarks(&checks, Axis::Width).join("\n");
        assert!(said.contains("One seed gives no interval") && said.contains("give --steps 10"), "{said}");
        let table = table(&checks).text(Room::of(true));
        assert!(!table.contains("NaN") && table.contains("expected") && table.contains("grows"), "{table}");
    }
}
