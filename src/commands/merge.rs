//! `runner merge`: the sweeps of several machines as one.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Context as _;

use super::results::{self, MissingCorpus};
use super::shared::{folder, rehearsed};
use crate::cli::MergeArgs;
use crate::execute::Tally;
use crate::ledger::{Ledger, RunResult, State, conflict_warning, joined};
use crate::observation::Counting;
use crate::plan::PlannedRun;
use crate::spec;
use crate::trainer::Outcome;
use crate::units;

/// Says which name was taken, where the folders have several: it depends on their order.
fn tell_name(first: &str, sweeps: &[Ledger]) {
    let name = |sweep: &Ledger| Some(folder::spec_of(sweep).ok()?.get("name")?.as_str()?.to_owned());
    let mut others: Vec<String> = sweeps[1..].iter().filter_map(name).filter(|name| name != first).collect();
    others.sort();
    others.dedup();
    if !others.is_empty() {
        tell!("named \"{first}\", as the first of its folders is; the others are named {:?}", others);
    }
}

/// Runs the command.
pub fn run(args: &MergeArgs) -> anyhow::Result<ExitCode> {
    let MergeArgs { out, dirs, cache } = args;
    for dir in dirs {
        anyhow::ensure!(
            !folder::same(dir, out),
            "{} cannot be merged into itself; give another folder for OUT",
            dir.display()
        );
    }
    let sweeps = dirs.iter().map(|dir| Ledger::open(dir)).collect::<Result<Vec<_>, _>>()?;
    let plan = joined(&sweeps)?;
    rehearsed::say_if(sweeps[0].losses());
    // The page and the words of a report are those of the first.
    let path = dirs[0].join("spec.toml");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let spec = spec::parse(&text, &path.display().to_string())?;
    tell_name(&spec.name, &sweeps);
    let ledger = Ledger::create(out, &text, plan, sweeps[0].losses())?;
    ledger.tell_renamed();
    for sweep in &sweeps {
        let taken = ledger.take_over(sweep)?;
        tell!(
            "{}: {} results added, {} there already, {} different from the first",
            sweep.dir().display(),
            taken.new,
            taken.equal,
            taken.different
        );
    }
    for path in ledger.conflicts()? {
        tell!("{}", conflict_warning(&path));
    }
    let tally = Tally::of(&ledger)?;
    if let Some(warning) = twice(&ledger)? {
        tell!("{warning}");
    }
    results::write(&ledger, &spec, &tally, (cache, MissingCorpus::LeaveOut))?;
    let (runs, report) = (ledger.plan().runs.len(), out.join("report.html"));
    tell!("{} of {runs} runs have a result. Report: {}", runs - tally.pending, report.display());
    Ok(ExitCode::SUCCESS)
}

/// A warning where two runs of other identities have the size, length, seed and loss of each other, to the last bit: one of them is
/// most likely the other, which was exported and imported on its way here.
fn twice(ledger: &Ledger) -> anyhow::Result<Option<String>> {
    let mut first: BTreeMap<[u64; 4], &PlannedRun> = BTreeMap::new();
    let mut pairs = Vec::new();
    for run in &ledger.plan().runs {
        let State::Ended(RunResult { outcome: Outcome::Finished { val_loss, .. }, .. }) = ledger.state(&run.id)? else {
            continue;
        };
        let key = [run.params.by(Counting::All), run.tokens, run.run.seed, val_loss.to_bits()];
        match first.get(&key) {
            Some(other) => pairs.push((other.id.clone(), run.id.clone())),
            None => {
                first.insert(key, run);
            }
        }
    }
    let Some((one, other)) = pairs.first() else { return Ok(None) };
    let count = units::count(pairs.len(), "pair");
    Ok(Some(format!(
        "warning: {count} of runs have one size, length, seed and loss, such as {one} and {other}: where they are the same runs, which came \
         here on two ways, each counts twice. Merge one of the two folders alone"
    )))
}
