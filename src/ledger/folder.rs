//! Making a results folder, and telling whether an existing one belongs to this sweep.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::difference::{Difference, difference, losses_difference, question, renamed, unplanned, values_difference};
use super::lease::{Lease, Taken, Watch};
use super::{Ledger, LedgerError, Losses, files, growth};
use crate::plan::{self, Plan, RunId};

/// What the folder is, beside spec and plan.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kind {
    /// Version of the layout.
    layout: u32,
    /// Where the losses come from.
    losses: Losses,
}

impl Kind {
    /// What the results of a folder tell, where its own file is lost; nothing where there are none.
    fn of_results(dir: &Path) -> Result<Option<Self>, LedgerError> {
        let Ok(runs) = fs::read_dir(dir.join("runs")) else { return Ok(None) };
        for run in runs {
            let path = run.map_err(LedgerError::io("read", &dir.join("runs")))?.path().join("result.json");
            let Some(result) = files::read_json::<Value>(&path)? else { continue };
            let Some(device) = result["device"]["kind"].as_str() else { continue };
            let layout = if result["blake3"].is_string() { LAYOUT } else { UNSEALED };
            return Ok(Some(Self { layout, losses: Losses::of_device(device) }));
        }
        Ok(None)
    }
}

impl Losses {
    /// Those of the folder that a path names, or that a file lies in; trained where it is no folder of results.
    pub fn at(path: &Path) -> Self {
        if path == Path::new("-") {
            return Self::Trained;
        }
        let dir = if path.is_dir() { path } else { path.parent().unwrap_or(path) };
        let written = files::read_json::<Kind>(&dir.join("ledger.json")).ok().flatten();
        let kind = written.or_else(|| Kind::of_results(dir).ok().flatten());
        kind.map_or(Self::Trained, |kind| kind.losses)
    }
}

/// Version of the layout described at the head of the module.
const LAYOUT: u32 = 2;

/// The layout before: no checksums, and curves beside the results. Still read, and added to.
const UNSEALED: u32 = 1;

/// A plan of the layout before, with what the first of its runs did not write yet: they had no bases other than their own
/// shape, and nothing began at zero.
fn unsealed_plan(path: &Path) -> Result<Option<Plan>, LedgerError> {
    let Some(mut plan) = files::read_json::<Value>(path)? else { return Ok(None) };
    for run in plan["runs"].as_array_mut().into_iter().flatten() {
        let Some(run) = run["run"].as_object_mut() else { continue };
        let shape = |key: &str| run["shape"][key].as_u64();
        let head_dim = shape("width").zip(shape("heads")).and_then(|(width, heads)| width.checked_div(heads));
        for (key, value) in [("base_depth", shape("depth")), ("base_head_dim", head_dim)] {
            run.entry(key).or_insert_with(|| value.into());
        }
        for key in ["zero_init_unembedding", "zero_init_query"] {
            run.entry(key).or_insert(false.into());
        }
    }
    let damaged = |error: serde_json::Error| LedgerError::Damaged { path: path.to_owned(), reason: error.to_string() };
    serde_json::from_value(plan).map(Some).map_err(damaged)
}

/// Whether a folder holds what was derived from results and not the results themselves: what git keeps. An empty table is that of
/// a sweep that chose no run, and keeps nothing.
pub fn has_tables_only(dir: &Path) -> bool {
    let any_run = fs::read_dir(dir.join("runs")).is_ok_and(|mut runs| runs.next().is_some());
    !any_run && fs::metadata(dir.join("runs.csv")).is_ok_and(|table| table.len() > 0)
}

/// What an interrupted creation may leave behind. `spec.toml` comes last: where it is, the rest is too.
const BEFORE_THE_SPEC: [&str; 5] = ["lock", "runs", "ledger.json", "plan.csv", "plan.json"];

impl Ledger {
    /// As [`Ledger::attach`]; runs that an earlier call gave up become free again.
    pub fn create(dir: &Path, spec: &str, plan: Plan, losses: Losses) -> Result<Self, LedgerError> {
        let ledger = Self::attach(dir, spec, plan, losses)?;
        ledger.retry_failed();
        Ok(ledger)
    }

    /// Why a sweep would be refused that goes into this folder, if it would.
    pub fn refuses(&self, spec: &str, plan: &Plan, losses: Losses) -> Result<Option<Difference>, LedgerError> {
        let path = self.dir.join("spec.toml");
        let Some(there) = files::read(&path)? else { return Ok(None) };
        let since = fs::metadata(&path).and_then(|file| file.modified()).ok();
        let there = String::from_utf8_lossy(&there);
        let grows = self.losses == losses && growth::covers(plan, &self.plan);
        Ok(difference((&there, &self.plan, self.losses), (spec, plan, losses), since).filter(|_| !grows))
    }

    /// Makes the folder of a sweep, or takes up the one that is there if it belongs to the same sweep, with the lock
    /// that keeps a second sweep out. Waits up to [`super::EXPIRY`] where a process of another machine had the lock, to
    /// see whether it lives.
    pub fn attach(dir: &Path, spec: &str, plan: Plan, losses: Losses) -> Result<Self, LedgerError> {
        refuse_foreign(dir)?;
        if has_tables_only(dir) {
            return Err(LedgerError::TablesOnly { dir: dir.to_owned() });
        }
        let (lease, spec_path) = (hold(dir)?, dir.join("spec.toml"));
        let (mut grown_from, mut name_change) = (None, None);
        let (plan, sealed) = if let Some(there) = files::read(&spec_path)? {
            let there = String::from_utf8_lossy(&there);
            check_spec(&spec_path, &there)?;
            name_change = renamed(&there, spec);
            restore(dir, (&there, spec), &plan, losses)?;
            let stored = Self::open(dir)?;
            let since = fs::metadata(&spec_path).and_then(|file| file.modified()).ok();
            match difference((&there, &stored.plan, stored.losses), (spec, &plan, losses), since) {
                None => {
                    if question(&there) != question(spec) {
                        files::write(&spec_path, spec.as_bytes())?;
                    }
                    (stored.plan, stored.sealed)
                }
                Some(_) if stored.losses == losses && growth::covers(&plan, &stored.plan) => {
                    if there != spec {
                        growth::keep_spec(dir, there.as_bytes(), &stored.plan)?;
                    }
                    grown_from = Some(stored.plan.runs.len()).filter(|before| *before < plan.runs.len());
                    write_plan(dir, &plan, stored.sealed)?;
                    files::write(&spec_path, spec.as_bytes())?;
                    (plan, stored.sealed)
                }
                Some(difference) => return Err(difference.refusal(dir)),
            }
        } else {
            // A folder whose spec was removed keeps its results, if they are of the same kind.
            let before: Option<Kind> = files::read_json(&dir.join("ledger.json"))?;
            let before_layout = before.as_ref().map_or(LAYOUT, |kind| kind.layout);
            if let Some(difference) = before.and_then(|kind| losses_difference(kind.losses, losses)) {
                return Err(difference.refusal(dir));
            }
            refuse_orphans(dir, &plan)?;
            let (sealed, layout) = if before_layout == UNSEALED { (false, UNSEALED) } else { (true, LAYOUT) };
            files::write_json(&dir.join("ledger.json"), &Kind { layout, losses })?;
            write_plan(dir, &plan, sealed)?;
            // Last: where the spec is, the rest is too.
            files::write(&spec_path, spec.as_bytes())?;
            (plan, sealed)
        };
        let ledger = Self {
            dir: dir.to_owned(),
            plan,
            losses,
            sealed,
            lease: Some(Mutex::new(lease)),
            watch: Watch::default(),
            kept: None,
            grown_from,
            renamed: name_change,
            branches: OnceLock::new(),
            chosen: None,
        };
        ledger.make_run_dirs()?;
        ledger.prune_trunks();
        Ok(ledger)
    }

    /// Frees the runs that were given up.
    pub fn retry_failed(&self) {
        for run in &self.plan.runs {
            self.forgive(&run.id);
        }
    }

    /// Opens the folder of a sweep that [`Ledger::create`] made, as its workers do.
    pub fn open(dir: &Path) -> Result<Self, LedgerError> {
        let missing = |missing| LedgerError::NoLedger { dir: dir.to_owned(), missing };
        let kind_path = dir.join("ledger.json");
        // Of a file the system would say that it is no directory.
        if dir.is_file() {
            return Err(missing("ledger.json"));
        }
        let kind = match files::read_json(&kind_path)? {
            Some(kind) => kind,
            None => Kind::of_results(dir)?.ok_or_else(|| missing("ledger.json"))?,
        };
        let sealed = kind.layout == LAYOUT;
        if !sealed && kind.layout != UNSEALED {
            let reason = format!("layout {} is not layout {LAYOUT}, the one that this version reads", kind.layout);
            return Err(LedgerError::Damaged { path: kind_path, reason });
        }
        let path = dir.join("plan.json");
        let plan = if sealed { files::read_sealed(&path)? } else { unsealed_plan(&path)? };
        let plan = plan.ok_or_else(|| missing("plan.json"))?;
        let kept = has_tables_only(dir).then(|| super::kept::read(dir, &plan)).transpose()?;
        let watch = Watch::default();
        Ok(Self {
            dir: dir.to_owned(),
            plan,
            losses: kind.losses,
            sealed,
            lease: None,
            watch,
            kept,
            grown_from: None,
            renamed: None,
            branches: OnceLock::new(),
            chosen: None,
        })
    }

    /// Makes the folders of all runs at once, so that their names are made durable by one call and not by one a run.
    fn make_run_dirs(&self) -> Result<(), LedgerError> {
        let mut made_any = false;
        for run in &self.plan.runs {
            made_any |= self.make_run_dir(&run.id)?;
        }
        if made_any { files::sync_dir(&self.dir.join("runs")) } else { Ok(()) }
    }

    /// Makes the folder of a run, and tells whether it was not there.
    pub(super) fn make_run_dir(&self, id: &RunId) -> Result<bool, LedgerError> {
        let dir = self.run_dir(id);
        match fs::create_dir(&dir) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(cause) => Err(LedgerError::io("create", &dir)(cause)),
        }
    }
}

/// Writes a plan.
pub(super) fn write_plan(dir: &Path, plan: &Plan, sealed: bool) -> Result<(), LedgerError> {
    let text = if sealed { files::sealed_json(plan) } else { files::json(plan) };
    files::write(&dir.join("plan.json"), &text)?;
    files::write(&dir.join("plan.csv"), &plan_csv(plan))
}

fn plan_csv(plan: &Plan) -> Vec<u8> {
    let mut table = Vec::new();
    plan::write_csv(plan, &mut table).expect("rows of one length, written to memory");
    table
}

/// Writes anew what is lost of a folder whose spec is there: what its results tell, and the plan that the spec gives. Only
/// the same spec tells the plan that was there.
fn restore(dir: &Path, (there, here): (&str, &str), plan: &Plan, losses: Losses) -> Result<(), LedgerError> {
    let (kind_path, plan_path) = (dir.join("ledger.json"), dir.join("plan.json"));
    let written: Option<Kind> = files::read_json(&kind_path)?;
    let lost = written.is_none();
    let told = if lost { Kind::of_results(dir)? } else { written };
    let kind = told.unwrap_or(Kind { layout: LAYOUT, losses });
    if lost {
        files::write_json(&kind_path, &kind)?;
    }
    // Without checksums it is of an earlier version, which may have planned otherwise.
    if !plan_path.exists() && kind.layout == LAYOUT {
        if let Some(difference) = values_difference(there, here) {
            return Err(difference.refusal(dir));
        }
        refuse_orphans(dir, plan)?;
        write_plan(dir, plan, true)?;
    }
    Ok(())
}

/// Where the plan of a folder is lost, its runs tell what it was: one that was begun and that this plan has not is another
/// sweep's.
fn refuse_orphans(dir: &Path, plan: &Plan) -> Result<(), LedgerError> {
    let runs = dir.join("runs");
    let planned: BTreeSet<&str> = plan.runs.iter().map(|run| run.id.as_str()).collect();
    for entry in fs::read_dir(&runs).map_err(LedgerError::io("read", &runs))? {
        let entry = entry.map_err(LedgerError::io("read", &runs))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let begun = || fs::read_dir(entry.path()).is_ok_and(|mut files| files.next().is_some());
        if !planned.contains(name.as_str()) && begun() {
            return Err(unplanned(&name).refusal(dir));
        }
    }
    Ok(())
}

/// A folder with other things in it is somebody's, not ours.
fn refuse_foreign(dir: &Path) -> Result<(), LedgerError> {
    let has = |name: &str| dir.join(name).exists();
    // A spec alone is that of another command, such as a coordinate check.
    if !dir.is_dir() || has("ledger.json") || has("spec.toml") && has("runs") {
        return Ok(());
    }
    for entry in fs::read_dir(dir).map_err(LedgerError::io("read", dir))? {
        let name = entry.map_err(LedgerError::io("read", dir))?.file_name().to_string_lossy().into_owned();
        let litter = Path::new(&name).extension().is_some_and(|extension| extension == "tmp");
        if !litter && !BEFORE_THE_SPEC.contains(&name.as_str()) {
            return Err(LedgerError::NotALedger { dir: dir.to_owned(), found: name });
        }
    }
    Ok(())
}

/// The lock of a folder that is made if need be, and in which results can be published: better told before training than behind it.
fn hold(dir: &Path) -> Result<Lease, LedgerError> {
    let runs = dir.join("runs");
    files::create_dir(&runs)?;
    let lease = lock(dir)?;
    files::try_publishing(&runs)?;
    Ok(lease)
}

/// Takes the lock on a folder.
fn lock(dir: &Path) -> Result<Lease, LedgerError> {
    let path = dir.join("lock");
    let watch = Watch::default();
    let mut told = false;
    loop {
        match Lease::take(&path, &watch)? {
            Ok(lease) => return Ok(lease),
            Err(Taken::Unknown) => {
                if !std::mem::replace(&mut told, true) {
                    let holder = Ledger::sweep_holder(dir)
                        .map_or_else(|| "another process".to_owned(), |holder| holder.to_string());
                    tell!("{holder} had this sweep: this waits up to {} s for a sign of it", super::EXPIRY.as_secs());
                }
                std::thread::sleep(LOOK_AGAIN);
            }
            Err(Taken::Alive(holder)) => {
                let holder = holder.map(|holder| format!(" ({holder})")).unwrap_or_default();
                return Err(LedgerError::Locked { dir: dir.to_owned(), holder });
            }
        }
    }
}

/// Time between two looks at the heartbeat of another machine's process.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Whether the spec of a folder can be read.
pub(super) fn check_spec(path: &Path, text: &str) -> Result<(), LedgerError> {
    let damaged = |error: toml::de::Error| LedgerError::Damaged {
        path: path.to_owned(),
        reason: format!("it is not valid TOML: {}", error.message()),
    };
    text.parse::<toml::Table>().map(drop).map_err(damaged)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{SPEC, device, finished};
    use super::*;
    use crate::ledger::{Failure, FailureClass, State};
    use crate::plan::testing::plan;

    #[test]
    fn the_same_sweep_takes_its_folder_up_and_tries_again_what_was_given_up() {
        let dir = tempfile::tempdir().unwrap();
        let id = plan(2).runs[0].id.clone();
        let failure = Failure { class: FailureClass::Crash, message: "signal 9".to_owned(), device: None };
        let first = Ledger::create(dir.path(), SPEC, plan(2), Losses::Trained).unwrap();
        first.give_up(&id, &failure).unwrap();
        assert_eq!(first.state(&id).unwrap(), State::Failed(failure));
        drop(first);
        let second = Ledger::create(dir.path(), SPEC, plan(2), Losses::Trained).unwrap();
        assert_eq!(second.state(&id).unwrap(), State::Pending);
        assert_eq!(Ledger::open(dir.path()).unwrap().plan(), &plan(2));
    }

    #[test]
    fn a_second_sweep_is_refused_while_the_first_runs_and_told_its_process() {
        let dir = tempfile::tempdir().unwrap();
        let _first = Ledger::create(dir.path(), SPEC, plan(1), Losses::Trained).unwrap();
        let error = Ledger::create(dir.path(), SPEC, plan(1), Losses::Trained).unwrap_err().to_string();
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
    }

    #[test]
    fn another_name_is_renamed_and_no_reason_to_refuse() {
        let dir = tempfile::tempdir().unwrap();
        let named = |name: &str| SPEC.replace("\"test\"", &format!("\"{name}\""));
        let sweep = |spec: &str, runs| Ledger::create(dir.path(), spec, plan(runs), Losses::Trained);
        assert_eq!(sweep(SPEC, 2).unwrap().renamed, None);
        assert_eq!(sweep(&named("other"), 2).unwrap().renamed, Some(["test", "other"].map(str::to_owned)));
        assert_eq!(fs::read_to_string(dir.path().join("spec.toml")).unwrap(), named("other"));
        let refused = sweep(&named("third").replace("64", "128"), 1).unwrap_err().to_string();
        assert!(refused.contains("model.context is 64 there and 128 here") && !refused.contains("third"), "{refused}");
        assert_eq!(sweep(&named("other"), 2).unwrap().renamed, None);
    }

    #[test]
    fn another_spec_another_plan_and_a_rehearsal_are_refused_with_the_difference() {
        let dir = tempfile::tempdir().unwrap();
        drop(Ledger::create(dir.path(), SPEC, plan(2), Losses::Trained).unwrap());
        let refusal = |spec: &str, runs, losses| {
            let error = Ledger::create(dir.path(), spec, plan(runs), losses).unwrap_err();
            assert!(matches!(error, LedgerError::AnotherSweep { .. }), "{error}");
            error.to_string()
        };
        let other = SPEC.replace("64", "128");
        assert!(refusal(&other, 1, Losses::Trained).contains("model.context is 64 there and 128 here"));
        assert!(refusal(SPEC, 1, Losses::Trained).contains("2 runs there and gives 1"));
        assert!(refusal(SPEC, 2, Losses::Rehearsed).contains("rehearsal"));
        let mut moved = plan(2);
        moved.runs.iter_mut().for_each(|run| {
            run.run.corpus = "another".to_owned();
            run.id = run.run.id();
        });
        let error = Ledger::create(dir.path(), SPEC, moved, Losses::Trained).unwrap_err().to_string();
        assert!(error.contains("corpus"), "{error}");
    }

    #[test]
    fn a_spec_with_more_runs_goes_on_in_the_same_folder_and_keeps_the_results_and_the_spec_of_before() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::create(dir.path(), SPEC, plan(2), Losses::Rehearsed).unwrap();
        let claim = ledger.claim(&ledger.plan().runs[1]).unwrap().unwrap();
        claim.publish(finished(3.0), device(), 1).unwrap();
        drop(ledger);
        let more = SPEC.replace("64", "128");
        let grown = Ledger::create(dir.path(), &more, plan(4), Losses::Rehearsed).unwrap();
        assert_eq!((grown.grown_from(), grown.plan().runs.len()), (Some(2), 4));
        assert_eq!(grown.observations().unwrap().len(), 1);
        drop(grown);
        assert_eq!(fs::read_to_string(dir.path().join("specs/1.toml")).unwrap(), SPEC);
        assert_eq!(fs::read_to_string(dir.path().join("spec.toml")).unwrap(), more);
        assert_eq!(Ledger::open(dir.path()).unwrap().plan(), &plan(4));
        // The same once more is nothing new, and the smaller one would drop runs.
        assert_eq!(Ledger::create(dir.path(), &more, plan(4), Losses::Rehearsed).unwrap().grown_from(), None);
        assert!(Ledger::create(dir.path(), SPEC, plan(2), Losses::Rehearsed).is_err());
        assert!(Ledger::create(dir.path(), &more, plan(5), Losses::Trained).is_err(), "losses of a known surface");
        // Cut short after the plan and before the spec: the larger spec goes on, and so would another that has its runs.
        fs::write(dir.path().join("spec.toml"), SPEC).unwrap();
        drop(Ledger::create(dir.path(), &more, plan(4), Losses::Rehearsed).unwrap());
        let history = fs::read_to_string(dir.path().join("specs/history.jsonl")).unwrap();
        assert_eq!(history.lines().count(), 2, "{history}");
        assert!(history.starts_with("{\"spec\":\"specs/1.toml\",\"runs\":2,\"until\":"), "{history}");
    }

    #[test]
    fn results_survive_a_move_of_the_corpus() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| format!("{SPEC}\n[data]\npath = {path:?}\n");
        drop(Ledger::create(dir.path(), &at("here/rfc.txt"), plan(2), Losses::Trained).unwrap());
        drop(Ledger::create(dir.path(), &at("there/rfc.txt"), plan(2), Losses::Trained).unwrap());
    }

    #[test]
    fn a_damaged_spec_is_not_taken_for_another_sweep() {
        let dir = tempfile::tempdir().unwrap();
        drop(Ledger::create(dir.path(), SPEC, plan(2), Losses::Trained).unwrap());
        fs::write(dir.path().join("spec.toml"), "name = \"x").unwrap();
        let error = Ledger::create(dir.path(), SPEC, plan(2), Losses::Trained).unwrap_err().to_string();
        assert!(error.contains("spec.toml is damaged"), "{error}");
        // What the error says to do.
        fs::write(dir.path().join("runs.csv"), "derived").unwrap();
        fs::remove_file(dir.path().join("spec.toml")).unwrap();
        assert!(Ledger::create(dir.path(), SPEC, plan(2), Losses::Rehearsed).is_err());
        assert!(Ledger::create(dir.path(), SPEC, plan(2), Losses::Trained).is_ok());
    }

    #[test]
    fn a_folder_with_other_files_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.tex"), "years of work").unwrap();
        let error = Ledger::create(dir.path(), SPEC, plan(1), Losses::Trained).unwrap_err();
        assert!(matches!(&error, LedgerError::NotALedger { found, .. } if found == "thesis.tex"), "{error}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing was added");
    }

    #[test]
    fn a_creation_that_was_cut_short_is_begun_again() {
        let dir = tempfile::tempdir().unwrap();
        drop(Ledger::create(dir.path(), SPEC, plan(2), Losses::Trained).unwrap());
        fs::remove_file(dir.path().join("spec.toml")).unwrap();
        fs::write(dir.path().join("plan.json"), "{\"runs\": [").unwrap();
        fs::write(dir.path().join(".plan.json.7-0.tmp"), "{").unwrap();
        let ledger = Ledger::create(dir.path(), SPEC, plan(2), Losses::Trained).unwrap();
        assert_eq!(Ledger::open(ledger.dir()).unwrap().plan(), &plan(2));
    }

    #[test]
    fn a_lost_ledger_or_plan_is_written_anew_from_the_runs_and_the_spec() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::create(dir.path(), SPEC, plan(2), Losses::Rehearsed).unwrap();
        let claim = ledger.claim(&ledger.plan().runs[0]).unwrap().unwrap();
        claim.publish(finished(3.0), device(), 1).unwrap();
        drop(ledger);
        let whole = ["ledger.json", "plan.json"].map(|name| fs::read(dir.path().join(name)).unwrap());
        fs::remove_file(dir.path().join("ledger.json")).unwrap();
        let opened = Ledger::open(dir.path()).unwrap();
        assert_eq!((opened.losses(), opened.observations().unwrap().len()), (Losses::Rehearsed, 1));
        fs::remove_file(dir.path().join("plan.json")).unwrap();
        assert!(Ledger::open(dir.path()).unwrap_err().to_string().contains("runner sweep"));
        // What results say weighs more than what is asked for now.
        assert!(Ledger::create(dir.path(), SPEC, plan(2), Losses::Trained).is_err());
        drop(Ledger::create(dir.path(), SPEC, plan(2), Losses::Rehearsed).unwrap());
        assert_eq!(["ledger.json", "plan.json"].map(|name| fs::read(dir.path().join(name)).unwrap()), whole);
    }

    #[test]
    fn a_folder_that_lost_its_plan_or_its_spec_does_not_become_another_sweeps() {
        let other = SPEC.replace("64", "128");
        // Both give runs that are not those of the folder.
        let mut moved = plan(2);
        moved.runs.iter_mut().for_each(|run| {
            run.run.seed = 77;
            run.id = run.run.id();
        });
        for (lost, spec, words) in [
            ("plan.json", other.as_str(), "model.context is 64 there and 128 here"),
            ("plan.json", SPEC, "this spec does not plan"),
            ("spec.toml", SPEC, "this spec does not plan"),
            ("spec.toml", other.as_str(), "this spec does not plan"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let ledger = Ledger::create(dir.path(), SPEC, plan(2), Losses::Trained).unwrap();
            let claim = ledger.claim(&ledger.plan().runs[0]).unwrap().unwrap();
            claim.publish(finished(3.0), device(), 1).unwrap();
            drop(ledger);
            fs::remove_file(dir.path().join(lost)).unwrap();
            let error = Ledger::create(dir.path(), spec, moved.clone(), Losses::Trained).unwrap_err();
            assert!(matches!(error, LedgerError::AnotherSweep { .. }), "{lost}: {error}");
            assert!(error.to_string().contains(words), "{lost}: {error}");
            assert!(!dir.path().join(lost).exists(), "{lost}: it was refused");
            let own = Ledger::create(dir.path(), SPEC, plan(2), Losses::Trained).unwrap();
            assert_eq!((own.plan(), own.observations().unwrap().len()), (&plan(2), 1));
        }
    }

    #[test]
    fn a_sweep_that_chose_no_run_goes_on_in_its_folder() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::create(dir.path(), SPEC, plan(0), Losses::Rehearsed).unwrap();
        ledger.rebuild_tables().unwrap();
        drop(ledger);
        assert!(dir.path().join("runs.csv").exists() && !has_tables_only(dir.path()));
        assert_eq!(Ledger::create(dir.path(), SPEC, plan(2), Losses::Rehearsed).unwrap().plan(), &plan(2));
        drop(fs::remove_dir_all(dir.path().join("runs")));
        Ledger::open(dir.path()).unwrap().rebuild_tables().unwrap();
        assert!(has_tables_only(dir.path()), "tables with rows are kept");
    }

    #[test]
    fn damage_and_absence_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(Ledger::open(dir.path()), Err(LedgerError::NoLedger { missing: "ledger.json", .. })));
        drop(Ledger::create(dir.path(), SPEC, plan(1), Losses::Trained).unwrap());
        fs::write(dir.path().join("plan.json"), "{}").unwrap();
        let error = Ledger::open(dir.path()).unwrap_err().to_string();
        assert!(error.contains("plan.json is damaged"), "{error}");
    }
}
