//! `runner coord-check`: whether activations keep their size as models grow.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;

use super::shared::sheet::{Room, Sheet, Worth};
use super::shared::{claim, device, planning, remarks, stdout};
use crate::cli::CoordCheckArgs;
use crate::fit::Estimate;
use crate::fit::transfer::coordinates;
use crate::fit::transfer::coordinates::{Coordinate, First, Measurement, TOLERANCE, Verdict};
use crate::model::Shape;
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
    for line in remarks::beside_the_rules(&plan) {
        tell!("{line}");
    }
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
    for remark in how_to_read(&checks, axis) {
        tell!("{remark}");
    }
    for check in &checks {
        tell!("{}", sentence(check, axis, *steps));
    }
    tell!("figures and their tables in {}", dir.join("figures").display());
    let passed = checks.iter().flat_map(|check| &check.coordinates).all(Coordinate::passes);
    Ok(ExitCode::from(u8::from(!passed)))
}

/// What the check says of a parameterization, and what to do where it cannot tell.
fn sentence(check: &Check, axis: Axis, steps: u32) -> String {
    let Check { parameterization, coordinates, measurements } = check;
    let count = |is: fn(Verdict) -> bool| coordinates.iter().filter(|coordinate| is(coordinate.verdict)).count();
    if count(|verdict| verdict == Verdict::Diverged) > 0 {
        return format!(
            "{parameterization} is not decided: the models diverged, the smallest too, which says nothing of the \
             parameterization: lower optimizer.learning_rate"
        );
    }
    let failed = count(Verdict::fails);
    let undecided = count(|verdict| verdict == Verdict::Undecided);
    let waiting = count(|verdict| verdict == Verdict::NotTrained);
    let verdict = match (failed, undecided + waiting) {
        (0, 0) => "passes",
        (0, _) => "is not decided",
        _ => "FAILS",
    };
    let mut said = format!(
        "{parameterization} {verdict}: {failed} of {} activations change with {}",
        coordinates.len(),
        axis.name()
    );
    if undecided > 0 {
        let one = measurements.iter().all(|m| m.seed == measurements[0].seed);
        let why = if one { "one seed has no interval" } else { "seeds differ too much" };
        said.extend(["; of ", &undecided.to_string(), " it is not told, because ", why]);
        said.push_str(": write more of them in sweep.seeds");
    }
    if waiting > 0 {
        said.extend([
            "; ",
            &waiting.to_string(),
            " still fade as in the drawn model, for training has hardly changed them",
        ]);
        said.extend([": give more --steps than ", &steps.to_string(), ", or raise optimizer.learning_rate"]);
    }
    said
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

/// Fails where runs differ in more than size, seed and parameterization: they would be taken for repeats, or what else
/// changes with size would be taken for a fault of the parameterization.
fn require_nothing_else(plan: &Plan, axis: Axis) -> anyhow::Result<()> {
    let mut seen = BTreeSet::new();
    let name = axis.name();
    for planned in &plan.runs {
        let run = &planned.run;
        let same_corpus = run.corpus == plan.runs[0].run.corpus;
        let varied: Vec<&String> = planned.axes.keys().collect();
        anyhow::ensure!(
            seen.insert((run.parameterization, axis.of(run), run.seed)) && same_corpus,
            "the spec varies {varied:?}: a coordinate check needs one training recipe; keep in [sweep.axes] only \
             \"model.{name}\" and \"model.parameterization\""
        );
        let alike = |other: &&Run| other.parameterization == run.parameterization;
        let Some(like) = plan.runs.iter().map(|other| &other.run).find(alike) else { continue };
        anyhow::ensure!(
            like.optimizer == run.optimizer && like.precision == run.precision,
            "{name} {} has another learning rate, batch or decay than {name} {}: a coordinate check needs one recipe; write numbers \
             instead of rules, and keep them out of [sweep]",
            axis.of(run),
            axis.of(like)
        );
        if let Some(what) = differs(like, run) {
            anyhow::bail!(
                "{name} {} has {what} than {name} {}, and the spec varies {varied:?}: what changes with {name} beside it would be \
                 taken for a fault of the parameterization; keep in [sweep] only \"model.{name}\" and \"model.parameterization\"",
                axis.of(run),
                axis.of(like)
            );
        }
    }
    one_kind_of_heads(plan)
}

/// In what the model of a run is another than that of `like`, beside width, depth and heads.
fn differs(like: &Run, run: &Run) -> Option<&'static str> {
    let bases = |run: &Run| {
        let reads = run.parameterization;
        (
            reads.reads_base_width().then_some((run.base_width, run.base_head_dim)),
            reads.reads_base_depth().then_some(run.base_depth),
        )
    };
    let starts = |run: &Run| (run.zero_init_unembedding, run.zero_init_query, run.embedding_std);
    let shape = |run: &Run| (run.shape.parts, run.shape.context, run.shape.vocab);
    match () {
        () if shape(like) != shape(run) => Some("other parts, another context or another vocabulary"),
        () if bases(like) != bases(run) => Some("another base shape"),
        () if starts(like) != starts(run) => Some("another initialization"),
        () => None,
    }
}

/// Wider models may have more heads, or larger ones: the tables have a rule for both. They may not have now one and now
/// the other, since attention logits change with the size of a head alone.
fn one_kind_of_heads(plan: &Plan) -> anyhow::Result<()> {
    let shapes = || plan.runs.iter().map(|planned| &planned.run.shape);
    let several = |values: BTreeSet<usize>| values.len() > 1;
    anyhow::ensure!(
        !(several(shapes().map(|shape| shape.heads).collect()) && several(shapes().map(Shape::head_dim).collect())),
        "the models differ in the number of heads and in model.head_dim: write one head_dim for all of them, or let it grow in \
         proportion to the width, so that the number of heads stays"
    );
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
        tell!("{name}, {} {}, seed {}", axis.name(), axis.of(run), run.seed);
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
        ("slope at start", Worth::More(2)),
        ("expected", Worth::More(3)),
        ("slope at end", Worth::More(1)),
        ("expected", Worth::More(3)),
    ]);
    for Check { parameterization, coordinates, .. } in checks {
        for Coordinate { activation, first, slopes: _, drawn, trained, verdict } in coordinates {
            let [drawn, trained] = [slope(*drawn), slope(*trained)];
            table.add_row([
                parameterization.as_str(),
                activation,
                verdict.name(),
                &drawn,
                first.expected(),
                &trained,
                "0",
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
fn how_to_read(checks: &[Check], axis: Axis) -> Vec<String> {
    let seeds = checks.iter().flat_map(|check| &check.measurements).map(|m| m.seed).collect::<BTreeSet<_>>().len();
    let axis = axis.name();
    let mut remarks = vec![format!(
        "Slopes are of log mean |x| in log {axis}: with 0 the activation keeps its size, with 1 it grows in \
         proportion. At the end is the mean of the last quarter of the steps. Within {TOLERANCE} of the expected one it passes, \
         if the interval is narrow enough; beyond, it fails where chance is no explanation in the whole table."
    )];
    if seeds == 1 {
        remarks.push("One seed gives no interval, and no verdict: set [sweep] seeds = [1, 2, 3, 4, 5].".to_owned());
    }
    remarks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(seeds: u64, mean_abs: impl Fn(f64, usize) -> f64, first: First) -> [Check; 1] {
        let mut measurements = Vec::new();
        for (seed, size, step) in
            (1..=seeds).flat_map(|seed| [32.0, 64.0].map(|size| [1, 2].map(|step| (seed, size, step)))).flatten()
        {
            // Seeds are never quite alike.
            let mean_abs = mean_abs(size, step) * f64::powf(size, 1e-3 * seed as f64);
            measurements.push(Measurement { size, seed, step, activation: "x".to_owned(), mean_abs });
        }
        let coordinates = coordinates::check(&measurements, |_| first);
        [Check { parameterization: "mup".to_owned(), measurements, coordinates }]
    }

    #[test]
    fn one_seed_has_no_interval_and_says_so() {
        let one = Estimate { value: 0.1, low: f64::NAN, high: f64::NAN };
        assert_eq!(slope(Some(one)), "+0.10");
        assert_eq!(slope(Some(Estimate { low: 0.0, high: 0.25, ..one })), "+0.10 (+0.00 to +0.25)");
        let checks = checked(1, |size, _| size, First::Flat);
        let said = how_to_read(&checks, Axis::Width).join("\n");
        assert!(said.contains("One seed gives no interval"), "{said}");
        let said = sentence(&checks[0], Axis::Width, 10);
        assert!(said.contains("mup is not decided: 0 of 1") && said.contains("one seed has no interval"), "{said}");
        let table = table(&checks).text(Room::of(true));
        assert!(!table.contains("NaN") && table.contains("expected") && table.contains("not decided"), "{table}");
    }

    #[test]
    fn the_last_line_says_what_to_do_where_nothing_is_told() {
        let say =
            |mean_abs: &dyn Fn(f64, usize) -> f64, first| sentence(&checked(3, mean_abs, first)[0], Axis::Width, 10);
        assert!(say(&|_, _| 1.0, First::Flat).starts_with("mup passes: 0 of 1"));
        assert!(say(&|size, _| size, First::Flat).starts_with("mup FAILS: 1 of 1"));
        let said = say(&|size, _| 1.0 / size.sqrt(), First::Fades);
        assert!(said.contains("not decided: 0 of 1") && said.contains("give more --steps than 10"), "{said}");
        let said = say(&|_, step| if step == 1 { 1.0 } else { 1e30 }, First::Flat);
        assert!(said.contains("not decided: the models diverged") && said.contains("lower"), "{said}");
    }

    /// The committed check of a folder of `results/`, judged again from its table of activations; with `UPDATE_COORDS` in the
    /// environment its slopes and figures are written anew.
    fn committed(axis: Axis, folder: &str, parameterization: &str) -> Vec<(String, &'static str)> {
        let figures = Path::new(env!("CARGO_MANIFEST_DIR")).join("results").join(folder).join("figures");
        let read = |name: &str| csv::Reader::from_path(figures.join(format!("{name}_{parameterization}.csv"))).unwrap();
        let measured = |row: csv::StringRecord| Measurement {
            size: row[0].parse().unwrap(),
            seed: row[1].parse().unwrap(),
            step: row[2].parse().unwrap(),
            activation: row[3].to_owned(),
            mean_abs: row[4].parse().unwrap(),
        };
        let measurements: Vec<Measurement> = read("coordinates").records().map(|row| measured(row.unwrap())).collect();
        let coordinates = coordinates::check(&measurements, |name| drawn(axis, name));
        let told: Vec<(String, String)> = read("slopes")
            .records()
            .map(|row| row.unwrap())
            .filter(|row| &row[1] == "1")
            .map(|row| (row[0].to_owned(), row[6].to_owned()))
            .collect();
        let found: Vec<(String, &str)> = coordinates.iter().map(|c| (c.activation.clone(), c.verdict.name())).collect();
        let same = found.iter().zip(&told).all(|(a, b)| a.0 == b.0 && a.1 == b.1);
        if std::env::var_os("UPDATE_COORDS").is_some() {
            let check = Check { parameterization: parameterization.to_owned(), measurements, coordinates };
            println!("{}", table(std::slice::from_ref(&check)).text(Room::of(true)));
            println!("{}", sentence(&check, axis, 10));
            write(figures.parent().unwrap(), folder, axis.name(), &[check]).unwrap();
        } else {
            assert!(same, "{folder}, {parameterization}: {found:?} and not {told:?}");
        }
        found
    }

    #[test]
    fn the_committed_checks_are_judged_as_they_say() {
        let fails = |axis, folder, parameterization| {
            let failed = |(_, verdict): &(String, &str)| ["grows", "fades", "not finite"].contains(verdict);
            committed(axis, folder, parameterization).iter().filter(|found| failed(found)).count()
        };
        assert!(fails(Axis::Width, "coord-check", "standard") > 0);
        assert_eq!(fails(Axis::Width, "coord-check", "mup"), 0);
        assert!(fails(Axis::Depth, "coord-check-depth", "standard") > 0);
        assert!(fails(Axis::Depth, "coord-check-depth", "mup") > 0);
        assert_eq!(fails(Axis::Depth, "coord-check-depth", "completep"), 0);
    }
}
