//! The derived tables `runs.csv` and `curves.csv`: a pure function of plan and results, in the order of the plan, so
//! that the same results give the same bytes whenever and however often they are rebuilt.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use super::{CurvePoint, Ledger, LedgerError, RunResult, State, Stopped, files};
use crate::columns::{self, ERROR, PART_LOSS, TOLD};
use crate::plan::{FurtherColumns, Plan, PlannedRun, optional};
use crate::trainer::{DeviceInfo, Measured, Outcome, Told};

impl Ledger {
    /// Writes `runs.csv` (a row for every planned run) and `curves.csv` (a row for every point of every curve). Where they
    /// are all that was kept they stay as they are.
    pub fn rebuild_tables(&self) -> Result<(), LedgerError> {
        if self.kept.is_some() {
            return Ok(());
        }
        let [runs, curves] = self.tables()?;
        files::write(&self.dir.join("runs.csv"), &runs)?;
        files::write(&self.dir.join("curves.csv"), &curves)
    }

    /// What `runs.csv` and `curves.csv` hold by the results as they are now.
    pub fn tables(&self) -> Result<[Vec<u8>; 2], LedgerError> {
        let states: Vec<State> = self.plan.runs.iter().map(|run| self.state(&run.id)).collect::<Result<_, _>>()?;
        tables(&self.plan, states, |state| Ok(self.curve_of(state)?.unwrap_or_default()))
    }

    /// Runs that ended by the `runs.csv` in the folder and have no folder there, as when `runs/` was copied in part: a result
    /// that was taken away on purpose leaves one. A table that cannot be read says nothing: it is derived anyway.
    pub fn ended_without_result(&self) -> usize {
        if self.kept.is_some() {
            return 0;
        }
        let Ok(mut table) = csv::Reader::from_path(self.dir.join("runs.csv")) else { return 0 };
        let rows = table.deserialize::<BTreeMap<String, String>>().filter_map(Result::ok);
        let is = |row: &BTreeMap<String, String>, name: &str, value: &str| row.get(name).is_some_and(|is| is == value);
        let ends = ["finished", "diverged", "stopped"];
        let ended = rows.filter(|row| ends.iter().any(|end| is(row, "status", end)));
        let ended: BTreeSet<String> = ended.filter_map(|mut row| row.remove("id")).collect();
        let lost = |run: &&PlannedRun| ended.contains(run.id.as_str()) && !self.run_dir(&run.id).exists();
        self.plan.runs.iter().filter(lost).count()
    }

    /// Writes a file derived from the results, such as `fits.json`, into the folder.
    pub fn write_derived(&self, name: &str, content: &[u8]) -> Result<(), LedgerError> {
        files::write(&self.dir.join(name), content)
    }

    /// Results that differ from an earlier one of the same run, which stands. There should be none: the same run
    /// gives the same losses.
    pub fn conflicts(&self) -> Result<Vec<PathBuf>, LedgerError> {
        let mut conflicts = Vec::new();
        for run in &self.plan.runs {
            let dir = self.run_dir(&run.id);
            let Ok(entries) = fs::read_dir(&dir) else { continue };
            for entry in entries {
                let path = entry.map_err(LedgerError::io("read", &dir))?.path();
                if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("conflict-")) {
                    conflicts.push(path);
                }
            }
        }
        conflicts.sort();
        Ok(conflicts)
    }
}

/// What `runs.csv` of a plan would hold if each run had this end. Its columns are known before anything is trained.
pub fn foreseen(plan: &Plan, end: impl Fn(&PlannedRun) -> Outcome, device: &DeviceInfo) -> Vec<u8> {
    let ended = |run: &PlannedRun| {
        State::Ended(RunResult {
            id: run.id.clone(),
            attempt: 1,
            outcome: end(run),
            device: device.clone(),
            slot: None,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            build: None,
            micro_batches: 1,
            curve: Vec::new(),
        })
    };
    let states = plan.runs.iter().map(ended).collect();
    let [runs, _] = tables(plan, states, |_| Ok(Vec::new())).expect("no file is read");
    runs
}

/// `runs.csv` and `curves.csv` of a plan whose runs are in these states.
fn tables(
    plan: &Plan,
    states: Vec<State>,
    curve_of: impl Fn(&State) -> Result<Vec<CurvePoint>, LedgerError>,
) -> Result<[Vec<u8>; 2], LedgerError> {
    let axes: BTreeSet<&str> = plan.runs.iter().flat_map(|run| run.axes.keys().map(String::as_str)).collect();
    let (mut runs, mut curves) = (Table::new(), Table::new());
    let said: BTreeSet<String> = states.iter().flat_map(|state| told(state).into_keys()).collect();
    let evaluated: BTreeSet<String> = states.iter().flat_map(evaluations).map(|one| one.name.clone()).collect();
    let (trunks, of_plan) = (plan.shares_trunks(), FurtherColumns::of(plan));
    let any_stopped = states.iter().any(|state| matches!(state, State::Stopped(_)));
    for (at, (run, state)) in plan.runs.iter().zip(states).enumerate() {
        let spent = if trunks { run.spent_columns(shared_steps(&state)).to_vec() } else { Vec::new() };
        let measured = evaluated_columns(&evaluated, &state);
        let further = of_plan.of_run(run).into_iter().chain(spent);
        let stopped = if any_stopped { stopped_columns(&state).to_vec() } else { Vec::new() };
        let more = further.chain(stopped).chain(measured.clone()).chain(told_columns(&said, &state));
        let row = row(run, &axes, more, &state);
        if at == 0 {
            runs.line(row.iter().map(|(name, _)| name.as_str()));
            curves.line(CURVE_COLUMNS.into_iter().chain(measured.iter().map(|(name, _)| name.as_str())));
        }
        runs.line(row.iter().map(|(_, value)| value.as_str()));
        let points = curve_of(&state)?;
        let measured: Vec<String> = measured.into_iter().map(|(_, value)| value).collect();
        add_curve(&mut curves, run, &points, &measured);
    }
    Ok([runs.bytes(), curves.bytes()])
}

/// The points of a curve. What was `measured` of the trained model stands at the last: it was asked when it had ended.
fn add_curve(curves: &mut Table, run: &PlannedRun, points: &[CurvePoint], measured: &[String]) {
    let before = vec![String::new(); measured.len()];
    for (at, point) in points.iter().enumerate() {
        let flops = point.tokens as f64 * run.flops_per_token.exact;
        let row = [
            run.id.to_string(),
            point.step.to_string(),
            point.tokens.to_string(),
            flops.to_string(),
            optional(point.train_loss),
            optional(point.learning_rate),
        ];
        let measured = if at + 1 == points.len() { measured } else { &before[..] };
        curves.line(row.iter().chain(measured).map(String::as_str));
    }
}

/// The column that only diverged runs fill in.
pub(super) const DIVERGED_AT: &str = "diverged_at_step";

/// The columns of a sweep of which runs were stopped before their ends: where, against which run, by which rule and why.
pub const STOPPED: [&str; 7] = [
    "stopped_at_step",
    "stopped_at_tokens",
    "stopped_against",
    "stopped_behind",
    "stopped_allowed",
    "stopped_margin",
    "stopped_after",
];

const CURVE_COLUMNS: [&str; 6] = ["id", "step", "tokens", "flops", "train_loss", "learning_rate"];

/// Names and values of a row. What depends on the clock comes last, so that comparisons can leave it out.
fn row(
    planned: &PlannedRun,
    axes: &BTreeSet<&str>,
    further: impl Iterator<Item = (String, String)>,
    state: &State,
) -> Vec<(String, String)> {
    let mut row = vec![("id".to_owned(), planned.id.to_string()), ("status".to_owned(), status(state).to_owned())];
    for axis in axes {
        row.push((columns::axis(axis), planned.axes.get(*axis).cloned().unwrap_or_default()));
    }
    row.extend(planned.columns().into_iter().map(|(name, value)| (name.to_owned(), value)));
    row.extend(further);
    row.extend(measured(state).map(|(name, value)| (name.to_owned(), value)));
    row
}

/// What was measured of a finished run beside its loss.
fn evaluations(state: &State) -> &[Measured] {
    match state {
        State::Ended(RunResult { outcome: Outcome::Finished { evaluations, .. }, .. }) => evaluations,
        _ => &[],
    }
}

/// What else a program told of a finished run.
fn told(state: &State) -> BTreeMap<String, Told> {
    match state {
        State::Ended(RunResult { outcome: Outcome::Finished { told, .. }, .. }) => told.clone(),
        _ => BTreeMap::new(),
    }
}

/// Columns of what a program told of any run.
fn told_columns(names: &BTreeSet<String>, state: &State) -> Vec<(String, String)> {
    let of_run = told(state);
    names.iter().map(|name| (format!("{TOLD}{name}"), optional(of_run.get(name)))).collect()
}

/// Columns of what was measured of any run, each with its error and what a model that knows nothing would reach. The losses on
/// parts of a mixture are named as the loss is.
fn evaluated_columns(names: &BTreeSet<String>, state: &State) -> Vec<(String, String)> {
    let columns = |name: &String| {
        let of_run = evaluations(state).iter().find(|one| one.name == *name);
        let [value, error] = [of_run.map(|one| one.value), of_run.map(|one| one.standard_error)];
        if name.starts_with(PART_LOSS) {
            return vec![(name.clone(), optional(value)), (format!("{name}{ERROR}"), optional(error))];
        }
        let values = [value, error, of_run.and_then(|one| one.chance)];
        columns::evaluated(name).into_iter().zip(values.map(optional)).collect()
    };
    names.iter().flat_map(columns).collect()
}

/// Columns of where and why a run was stopped.
fn stopped_columns(state: &State) -> [(String, String); 7] {
    let stopped = if let State::Stopped(stopped) = state { Some(stopped) } else { None };
    let cell = |value: fn(&Stopped) -> String| stopped.map(value).unwrap_or_default();
    let cells = [
        cell(|stopped| stopped.step.to_string()),
        cell(|stopped| stopped.tokens.to_string()),
        cell(|stopped| stopped.reason.against.to_string()),
        cell(|stopped| stopped.reason.behind.to_string()),
        cell(|stopped| stopped.reason.allowed.to_string()),
        cell(|stopped| stopped.reason.rule.margin.to_string()),
        cell(|stopped| stopped.reason.rule.after.to_string()),
    ];
    let mut names = STOPPED.into_iter();
    cells.map(|cell| (names.next().unwrap_or_default().to_owned(), cell))
}

/// Steps of a finished run that another had trained.
fn shared_steps(state: &State) -> Option<usize> {
    match state {
        State::Ended(RunResult { outcome: Outcome::Finished { shared_steps, .. }, .. }) => Some(*shared_steps),
        _ => None,
    }
}

fn status(state: &State) -> &'static str {
    match state {
        State::Pending => "pending",
        State::Failed(_) => "failed",
        State::Stopped(_) => "stopped",
        State::Ended(RunResult { outcome: Outcome::Finished { .. }, .. }) => "finished",
        State::Ended(RunResult { outcome: Outcome::Diverged { .. }, .. }) => "diverged",
    }
}

fn measured(state: &State) -> [(&'static str, String); 14] {
    let [mut val_loss, mut val_loss_se, mut train_loss, mut tokens_per_second, mut seconds] = [None; 5];
    let mut diverged_at = None;
    let origin = match state {
        State::Ended(result) => Some((&result.device, &result.version, &result.build, result.micro_batches)),
        State::Stopped(stopped) => {
            (train_loss, seconds) = (stopped.train_loss, Some(stopped.seconds));
            Some((&stopped.device, &stopped.version, &stopped.build, stopped.micro_batches))
        }
        State::Pending | State::Failed(_) => None,
    };
    match state {
        &State::Ended(RunResult {
            outcome:
                Outcome::Finished { val_loss: v, val_loss_se: e, train_loss: t, tokens_per_second: r, seconds: s, .. },
            ..
        }) => {
            [val_loss, val_loss_se, tokens_per_second, seconds] = [v, e, r, s].map(Some);
            train_loss = t;
        }
        &State::Ended(RunResult { outcome: Outcome::Diverged { step, train_loss: t, seconds: s }, .. }) => {
            (diverged_at, train_loss, seconds) = (Some(step), t, Some(s));
        }
        State::Stopped(_) | State::Pending | State::Failed(_) => {}
    }
    // Runs that were trained elsewhere may tell no error of their loss.
    let is_imported = origin.is_some_and(|(device, ..)| device.kind == columns::IMPORTED);
    let val_loss_se = val_loss_se.filter(|error| *error > 0.0 || !is_imported);
    let device = |field: fn(&DeviceInfo) -> String| origin.map(|(device, ..)| field(device)).unwrap_or_default();
    let build = origin.and_then(|(_, _, build, _)| build.as_ref().map(ToString::to_string));
    [
        ("val_loss", optional(val_loss)),
        ("val_loss_se", optional(val_loss_se)),
        ("train_loss", optional(train_loss)),
        (DIVERGED_AT, optional(diverged_at)),
        (columns::DEVICE, device(|device| device.kind.clone())),
        (columns::DEVICE_NAME, device(|device| device.name.clone())),
        ("driver", device(|device| device.driver.clone())),
        ("threads", device(|device| device.threads.to_string())),
        ("precision", device(|device| device.precision.clone())),
        ("micro_batches", optional(origin.map(|(_, _, _, parts)| parts))),
        ("version", optional(origin.map(|(_, version, ..)| version))),
        ("build", optional(build)),
        ("tokens_per_second", optional(tokens_per_second)),
        ("seconds", optional(seconds)),
    ]
}

/// A CSV in memory.
struct Table(csv::Writer<Vec<u8>>);

impl Table {
    fn new() -> Self {
        Self(csv::Writer::from_writer(Vec::new()))
    }

    fn line<T: AsRef<[u8]>>(&mut self, fields: impl IntoIterator<Item = T>) {
        self.0.write_record(fields).expect("rows of one length, written to memory");
    }

    fn bytes(self) -> Vec<u8> {
        self.0.into_inner().expect("written to memory")
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{device, finished, ledger};
    use super::*;
    use crate::ledger::{CurvePoint, Failure, FailureClass};

    /// Five runs: finished, diverged, failed, pending, finished.
    fn mixed() -> (tempfile::TempDir, Ledger) {
        let (dir, ledger) = ledger(5);
        let publish = |at: usize, outcome| {
            let mut claim = ledger.claim(&ledger.plan().runs[at]).unwrap().unwrap();
            claim
                .record(&CurvePoint { step: 50, tokens: 12_800, train_loss: None, learning_rate: Some(0.1 + 0.2) })
                .unwrap();
            claim.publish(outcome, device(), 1).unwrap();
        };
        publish(4, finished(0.1 + 0.2));
        publish(0, finished(3.0));
        publish(1, Outcome::Diverged { step: 70, train_loss: None, seconds: 1.5 });
        let failure =
            Failure { class: FailureClass::Configuration, message: "no such corpus".to_owned(), device: None };
        ledger.claim(&ledger.plan().runs[2]).unwrap().unwrap().fail(&failure, &|_| true).unwrap();
        (dir, ledger)
    }

    fn read(ledger: &Ledger, name: &str) -> (Vec<String>, Vec<Vec<String>>) {
        let mut reader = csv::Reader::from_path(ledger.dir().join(name)).unwrap();
        let header = reader.headers().unwrap().iter().map(str::to_owned).collect();
        let rows = reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect();
        (header, rows)
    }

    #[test]
    fn every_planned_run_has_a_row_with_its_state_and_its_numbers_read_back_exactly() {
        let (_dir, ledger) = mixed();
        ledger.rebuild_tables().unwrap();
        let (header, rows) = read(&ledger, "runs.csv");
        let column = |name: &str| header.iter().position(|h| h == name).unwrap();
        let values = |name: &str| rows.iter().map(|row| row[column(name)].clone()).collect::<Vec<_>>();
        assert_eq!(values("status"), ["finished", "diverged", "failed", "pending", "finished"]);
        assert_eq!(values("axis.model.depth"), ["1", "2", "3", "4", "5"]);
        assert_eq!(values("val_loss"), ["3", "", "", "", "0.30000000000000004"]);
        assert_eq!(values("diverged_at_step"), ["", "70", "", "", ""]);
        for (run, row) in ledger.plan().runs.iter().zip(&rows) {
            assert_eq!(row[column("flops")].parse::<f64>().unwrap().to_bits(), run.flops.to_bits());
            assert_eq!(row[column("batch_tokens")], "256", "four sequences of 64 tokens");
        }
        assert_eq!(header[header.len() - 2..], ["tokens_per_second", "seconds"]);
        let (curve_header, points) = read(&ledger, "curves.csv");
        assert_eq!(curve_header, CURVE_COLUMNS);
        assert_eq!(points.len(), 3, "one point each of the runs that ended");
    }

    #[test]
    fn tables_are_the_same_bytes_however_often_and_wherever_they_are_rebuilt() {
        let ((_one, first), (_two, second)) = (mixed(), mixed());
        let bytes = |ledger: &Ledger| {
            ledger.rebuild_tables().unwrap();
            ["runs.csv", "curves.csv"].map(|name| fs::read(ledger.dir().join(name)).unwrap())
        };
        let expected = bytes(&first);
        assert_eq!(bytes(&first), expected);
        assert_eq!(bytes(&second), expected);
    }

    #[test]
    fn runs_whose_results_were_not_copied_are_counted() {
        let (_dir, ledger) = mixed();
        assert_eq!(ledger.ended_without_result(), 0, "there is no table yet");
        ledger.rebuild_tables().unwrap();
        assert_eq!(ledger.ended_without_result(), 0);
        // Finished, diverged, and pending: the last has nothing to lose.
        for at in [0, 1, 3] {
            fs::remove_dir_all(ledger.run_dir(&ledger.plan().runs[at].id)).unwrap();
        }
        assert_eq!(ledger.ended_without_result(), 2);
    }

    #[test]
    fn a_damaged_result_is_named_and_never_silently_left_out() {
        let (_dir, ledger) = mixed();
        let path = ledger.result_path(&ledger.plan().runs[0].id);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        let error = ledger.rebuild_tables().unwrap_err().to_string();
        assert!(error.contains("result.json is damaged") && error.contains("remove "), "{error}");
        fs::copy(ledger.result_path(&ledger.plan().runs[4].id), &path).unwrap();
        let error = ledger.rebuild_tables().unwrap_err().to_string();
        assert!(error.contains("is the result of run"), "{error}");
    }
}
