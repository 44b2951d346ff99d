//! A results folder as people look at it: its runs with how each ended, by the table of runs as it follows from the
//! results, or as it was kept where tables are all that was, as in git.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Serialize, Serializer};

use crate::columns::{DEVICE, DEVICE_NAME};
use crate::execute::Stopping;
use crate::fit::approaches::approach2::Approach2;
use crate::fit::approaches::headline;
use crate::fit::approaches::headline::Headline;
use crate::fit::approaches::summary::Summary;
use crate::ledger::{Ledger, has_tables_only};
use crate::plan::{PlannedRun, RunId};
use crate::spec::{self, Tuned};
use crate::trainer::DeviceInfo;

/// Whether two paths name one place.
pub fn same(one: &Path, other: &Path) -> bool {
    one == other || one.canonicalize().is_ok_and(|one| other.canonicalize().is_ok_and(|other| one == other))
}

/// How a run stands.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Row {
    /// finished, diverged, stopped, failed or pending; running is asked of the ledger.
    pub status: String,
    /// Training FLOPs.
    pub flops: Option<f64>,
    /// Loss on the validation tokens, in nats per token.
    pub val_loss: Option<f64>,
    /// Its standard error.
    pub val_loss_se: Option<f64>,
    /// Mean training loss over the last point of the curve.
    pub train_loss: Option<f64>,
    /// Training tokens per second.
    pub tokens_per_second: Option<f64>,
    /// Wall-clock seconds.
    pub seconds: Option<f64>,
    /// Device, version and build of its result.
    #[serde(serialize_with = "as_map")]
    pub about: Vec<(&'static str, String)>,
}

/// Values for people. Zero stands in tables where nobody told a standard error, a speed or a time, as of imported runs.
impl Row {
    /// The loss with its standard error.
    pub fn loss(&self) -> Option<String> {
        let error = self.val_loss_se.filter(|error| *error > 0.0).map(|error| format!(" ± {error:.4}"));
        Some(format!("{:.4}{}", self.val_loss?, error.unwrap_or_default()))
    }

    /// Training tokens per second.
    pub fn told_speed(&self) -> Option<f64> {
        self.tokens_per_second.filter(|rate| *rate > 0.0)
    }

    /// Wall-clock seconds.
    pub fn told_seconds(&self) -> Option<f64> {
        self.seconds.filter(|seconds| *seconds > 0.0)
    }
}

fn as_map<S: Serializer>(pairs: &[(&'static str, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(name, value)| (name, value)))
}

/// A results folder.
pub struct Folder {
    /// The folder with its plan.
    pub ledger: Ledger,
    rows: BTreeMap<String, Row>,
}

impl Folder {
    /// Opens a folder and reads how every run stands.
    pub fn open(dir: &Path) -> anyhow::Result<Self> {
        let ledger = Ledger::open(dir)?;
        let [runs, _] = ledger.tables()?;
        let rows = rows(&runs)?;
        Ok(Self { ledger, rows })
    }

    /// Every results folder directly inside a folder, by name.
    pub fn inside(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
        let entries = fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
        let mut found = Vec::new();
        for entry in entries {
            let path = entry.with_context(|| format!("cannot read {}", dir.display()))?.path();
            if is_folder(&path) {
                found.push(path);
            }
        }
        found.sort();
        Ok(found)
    }

    /// How a run stands.
    pub fn row(&self, id: &RunId) -> Row {
        self.rows.get(id.as_str()).cloned().unwrap_or_else(|| Row { status: "pending".to_owned(), ..Row::default() })
    }

    /// How many runs stand so.
    pub fn count(&self, status: &str) -> usize {
        count(&self.rows, status)
    }

    /// Whether fits and report are of the runs as they are, or are none of this folder: one run alone has none, nor is anything
    /// derived anew of tables that are all that was kept.
    pub fn is_reported(&self) -> bool {
        let dir = self.ledger.dir();
        if has_tables_only(dir) || self.spec().is_ok_and(|spec| !spec.contains_key("sweep")) {
            return true;
        }
        let written = REPORT.iter().all(|name| dir.join(name).exists());
        written && table(dir).is_ok_and(|table| agree(&table, &self.rows))
    }

    /// Runs that have not ended.
    pub fn left(&self) -> usize {
        let ended: usize = ENDS.iter().map(|status| self.count(status)).sum();
        self.ledger.plan().runs.len() - ended
    }

    /// The spec, as it was resolved.
    pub fn spec(&self) -> anyhow::Result<toml::Table> {
        spec_of(&self.ledger)
    }

    /// All runs with their losses; of those that differ in what was tuned alone, the best.
    pub fn best<'a>(&'a self, tuned: &[String]) -> Vec<(&'a PlannedRun, Option<f64>)> {
        let loss = |run: &'a PlannedRun| (run, self.row(&run.id).val_loss);
        let plan = self.ledger.plan();
        if tuned.is_empty() {
            return plan.runs.iter().map(loss).collect();
        }
        let least = |(_, loss): &(_, Option<f64>)| loss.unwrap_or(f64::INFINITY);
        let best = |runs: Vec<_>| runs.into_iter().map(loss).min_by(|a, b| least(a).total_cmp(&least(b)));
        plan.groups(tuned).into_iter().filter_map(best).collect()
    }

    /// Tokens and training loss along the curve of a run, as far as it is known.
    pub fn curve(&self, id: &RunId) -> anyhow::Result<Vec<(f64, f64)>> {
        if let Some(points) = self.ledger.curve_of(&self.ledger.state(id)?)? {
            return Ok(points.iter().filter_map(|point| Some((point.tokens as f64, point.train_loss?))).collect());
        }
        let table = self.ledger.dir().join("curves.csv");
        let Ok(mut reader) = csv::Reader::from_path(&table) else { return Ok(Vec::new()) };
        let mut points = Vec::new();
        for record in reader.deserialize::<BTreeMap<String, String>>() {
            let record = record.with_context(|| format!("cannot read {}", table.display()))?;
            let number = |name: &str| record.get(name).and_then(|text| text.parse::<f64>().ok());
            if record.get("id").is_some_and(|of| of == id.as_str()) {
                points.extend(number("tokens").zip(number("train_loss")));
            }
        }
        Ok(points)
    }
}

/// How the runs of a folder stand by its `runs.csv`, by identity.
pub fn table(dir: &Path) -> anyhow::Result<BTreeMap<String, Row>> {
    let path = dir.join("runs.csv");
    let cannot = || format!("cannot read {}", path.display());
    rows(&fs::read(&path).with_context(cannot)?).with_context(cannot)
}

/// How runs end.
pub const ENDS: [&str; 4] = ["finished", "diverged", "stopped", "failed"];

/// What is written when the runs of a sweep are over, in this order.
const REPORT: [&str; 2] = ["fits.json", "report.html"];

/// What is said of a sweep whose runs are all over and whose fits and report are those of fewer, or absent: it was killed in between.
pub const NOT_REPORTED: &str = "trained, not reported: run the same command again";

/// Whether two tables tell the same ends: whatever else they say may follow from another version of this program.
fn agree(one: &BTreeMap<String, Row>, other: &BTreeMap<String, Row>) -> bool {
    let ends = |rows: &BTreeMap<String, Row>| -> Vec<(String, String, Option<u64>)> {
        rows.iter().map(|(id, row)| (id.clone(), row.status.clone(), row.val_loss.map(f64::to_bits))).collect()
    };
    ends(one) == ends(other)
}

/// Removes fits and report of fewer runs than have ended now, where tables of all of them are about to be written: a kill before the
/// new fits would leave the old ones beside these tables, as if they were theirs.
pub fn remove_earlier_report(ledger: &Ledger) -> anyhow::Result<()> {
    let dir = ledger.dir();
    if has_tables_only(dir) || !REPORT.iter().any(|name| dir.join(name).exists()) {
        return Ok(());
    }
    let [now, _] = ledger.tables()?;
    if table(dir).is_ok_and(|before| rows(&now).is_ok_and(|now| agree(&before, &now))) {
        return Ok(());
    }
    for path in REPORT.map(|name| dir.join(name)).iter().filter(|path| path.exists()) {
        fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(())
}

/// How many rows stand so.
pub fn count(rows: &BTreeMap<String, Row>, status: &str) -> usize {
    rows.values().filter(|row| row.status == status).count()
}

/// What `fits.json` in a results folder holds, where there is one.
pub fn fits(dir: &Path) -> Option<serde_json::Value> {
    serde_json::from_slice(&fs::read(dir.join("fits.json")).ok()?).ok()
}

/// Approach 2 under every convention, of what `fits.json` holds, with the name of the group where it is of one.
fn approach2(fits: &serde_json::Value) -> Vec<(Option<String>, Vec<Approach2>)> {
    // One that cannot be read, such as one of an older version, is no reason to lose the others.
    let list = |value: &serde_json::Value| {
        let fits = value.as_array().into_iter().flatten();
        fits.filter_map(|fit| serde_json::from_value(fit.clone()).ok()).collect::<Vec<Approach2>>()
    };
    let groups = fits["isoflop_groups"].as_object().into_iter().flatten();
    let groups = groups.map(|(name, fits)| (Some(name.clone()), list(fits)));
    std::iter::once((None, list(&fits["approach2"]))).chain(groups).filter(|(_, fits)| !fits.is_empty()).collect()
}

/// The headline of a sweep, or of each of its groups, of what `fits.json` holds.
pub fn headlines(fits: &serde_json::Value) -> Vec<(Option<String>, Headline)> {
    let of = |(name, fits): (Option<String>, Vec<Approach2>)| {
        let summaries: Vec<Summary> = fits.iter().map(Summary::from).collect();
        Some((name, Headline::of(&summaries)?))
    };
    approach2(fits).into_iter().filter_map(of).collect()
}

/// Approach 2 under the headline's convention, of what `fits.json` holds: of all runs, or of the only group.
pub fn leading(fits: &serde_json::Value) -> Option<Approach2> {
    let groups = approach2(fits);
    let alone = groups.len() == 1;
    let (_, fits) = groups.into_iter().find(|(group, _)| group.is_none() || alone)?;
    fits.into_iter().find(|fit| fit.counting == headline::COUNTED)
}

/// Whether a folder holds a sweep or a run.
pub fn is_folder(dir: &Path) -> bool {
    let has = |name: &str| dir.join(name).exists();
    has("plan.json") && (has("ledger.json") || has("runs"))
}

/// The results folder that a path, or the name of a sweep inside `results`, stands for.
pub fn named(text: &str, results: &Path) -> Option<PathBuf> {
    [PathBuf::from(text), results.join(text)].into_iter().find(|dir| is_folder(dir))
}

/// The spec of a folder, as it was resolved.
pub fn spec_of(ledger: &Ledger) -> anyhow::Result<toml::Table> {
    let (path, text) = spec_text(ledger)?;
    text.parse().with_context(|| format!("{} is damaged", path.display()))
}

fn spec_text(ledger: &Ledger) -> anyhow::Result<(PathBuf, String)> {
    let path = ledger.dir().join("spec.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok((path, text))
}

/// The axes of a sweep of which only the best value counts, as its spec says: those of `sweep.tune` and `fit.tuned`.
pub fn tuned(ledger: &Ledger) -> anyhow::Result<Vec<String>> {
    let known: BTreeSet<&String> = ledger.plan().runs.iter().flat_map(|run| run.axes.keys()).collect();
    let spec = spec_of(ledger)?;
    let listed = |table: &str, key: &str| {
        let list = spec.get(table).and_then(|table| table.get(key)).and_then(toml::Value::as_array);
        list.into_iter().flatten().cloned().collect::<Vec<_>>()
    };
    let sought = listed("sweep", "tune").into_iter().filter_map(|name| name.try_into().ok());
    let sought = sought.map(|tuned: Tuned| tuned.field().to_owned());
    let fitted = listed("fit", "tuned").into_iter().filter_map(|axis| axis.as_str().map(str::to_owned));
    Ok(sought.chain(fitted).filter(|axis| known.contains(axis)).collect())
}

/// What runs of a folder are stopped by before their ends, as its spec asks.
pub fn stopping(ledger: &Ledger) -> anyhow::Result<Option<Stopping>> {
    let (path, text) = spec_text(ledger)?;
    // A spec of an earlier version, which this one may not read, asks for nothing.
    if !text.contains("stop_early") {
        return Ok(None);
    }
    Ok(Stopping::of(&spec::parse(&text, &path.display().to_string())?))
}

/// What is missing where `runs/` was copied in part.
pub fn missing_results(ledger: &Ledger) -> Option<String> {
    let lost = ledger.ended_without_result();
    let dir = ledger.dir().display();
    let listed = if lost == 1 { "1 run that".to_owned() } else { format!("{lost} runs that") };
    let have = if lost == 1 { "has" } else { "have" };
    (lost > 0).then(|| format!("{listed} {dir}/runs.csv lists as ended {have} no result in {dir}/runs"))
}

/// Says so to a command that takes these runs for pending.
pub fn warn_of_missing_results(ledger: &Ledger) {
    if let Some(missing) = missing_results(ledger) {
        tell!("warning: {missing}: they count as pending here; copy the rest of runs/");
    }
}

/// A run and the folder that it is in.
pub struct Found {
    /// The folder.
    pub folder: Folder,
    /// The run.
    pub run: PlannedRun,
}

/// Finds a run by the beginning of its identity: `DIR/PREFIX` in a folder or `NAME/PREFIX` in that of a sweep, `PREFIX` in any folder inside `results`.
pub fn find(text: &str, results: &Path) -> anyhow::Result<Found> {
    let path = Path::new(text);
    // The name of a sweep stands for its folder in `results`.
    let within =
        path.parent().and_then(|dir| [dir.to_owned(), results.join(dir)].into_iter().find(|dir| is_folder(dir)));
    let (dirs, prefix) = match (within, path.file_name()) {
        (Some(dir), Some(name)) => (vec![dir], name.to_string_lossy().into_owned()),
        _ if is_folder(results) => (vec![results.to_owned()], text.to_owned()),
        _ if !results.is_dir() => anyhow::bail!(
            "{text:?} is no folder of results, and runs are looked for in {}, which is not there; give the path of a folder, or --in",
            results.display()
        ),
        _ => (Folder::inside(results)?, text.to_owned()),
    };
    let mut found: Vec<Found> = Vec::new();
    for dir in &dirs {
        let folder = match Folder::open(dir) {
            Ok(folder) => folder,
            // Of several, one that cannot be read does not hide the others.
            Err(error) if dirs.len() > 1 => {
                tell!("skipped: {error:#}");
                continue;
            }
            Err(error) => return Err(error),
        };
        let runs: Vec<PlannedRun> =
            folder.ledger.plan().runs.iter().filter(|run| run.id.as_str().starts_with(&prefix)).cloned().collect();
        match <[PlannedRun; 1]>::try_from(runs) {
            Ok([run]) => found.push(Found { folder, run }),
            Err(runs) if runs.is_empty() => {}
            Err(runs) => {
                let ids: Vec<&str> = runs.iter().take(5).map(|run| run.id.as_str()).collect();
                let (count, dir) = (runs.len(), dir.display());
                anyhow::bail!(
                    "{count} runs of {dir} begin with {prefix:?}, such as {}; give more digits",
                    ids.join(", ")
                )
            }
        }
    }
    let place = |found: &Found| format!("{}/{}", found.folder.ledger.dir().display(), found.run.id);
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => {
            let dirs: Vec<String> = dirs.iter().map(|dir| dir.display().to_string()).collect();
            let searched = if dirs.is_empty() { format!("no sweep in {}", results.display()) } else { dirs.join(", ") };
            anyhow::bail!("no run begins with {prefix:?} (looked at: {searched}); `runner ls` lists the sweeps")
        }
        _ => anyhow::bail!(
            "several sweeps have that run: give one of {}",
            found.iter().map(place).collect::<Vec<_>>().join(", ")
        ),
    }
}

/// The rows of a table of runs, by identity.
fn rows(table: &[u8]) -> csv::Result<BTreeMap<String, Row>> {
    let mut rows = BTreeMap::new();
    for record in csv::Reader::from_reader(table).deserialize::<BTreeMap<String, String>>() {
        let record = record?;
        let text = |name: &str| record.get(name).cloned().unwrap_or_default();
        let number = |name: &str| text(name).parse::<f64>().ok();
        let device = DeviceInfo {
            kind: text(DEVICE),
            name: text(DEVICE_NAME),
            driver: text("driver"),
            threads: text("threads").parse().unwrap_or(1),
            precision: text("precision"),
        };
        let about = [("device", device.to_string()), ("version", text("version")), ("build", text("build"))];
        let row = Row {
            status: text("status"),
            flops: number("flops"),
            val_loss: number("val_loss"),
            val_loss_se: number("val_loss_se"),
            train_loss: number("train_loss"),
            tokens_per_second: number("tokens_per_second"),
            seconds: number("seconds"),
            // A run without a result has no device.
            about: about.into_iter().filter(|(_, value)| !value.is_empty() && !device.kind.is_empty()).collect(),
        };
        rows.insert(text("id"), row);
    }
    Ok(rows)
}
