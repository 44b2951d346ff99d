//! General axes: any field of a spec varied, in every combination (`[sweep.axes]`) or side by side (`[[sweep.zip]]`).
//!
//! Works on the TOML values of the spec and reads each combination strictly again, so that a field needs no code of
//! its own to be varied, and a value of an axis is checked like a value that is written in place.

use std::collections::{BTreeMap, BTreeSet};

use toml::{Table, Value};

use super::error::{Fault, explain};
use super::locate::Key;
use super::tune::{First, Tuned};
use super::{Spec, Sweep, kinds, validate};

/// More points than this are a slip of the pen, not a sweep.
const MAX_POINTS: usize = 10_000;

/// Keys of a program that are no part of a run's identity.
const IDLE: [&str; 4] = ["train.local", "train.cards", "train.patience_seconds", "train.step_patience_seconds"];

/// Whether a dotted key decides nothing of a run.
pub fn is_idle(key: &str) -> bool {
    IDLE.contains(&key) || key.starts_with("train.local.")
}

/// One combination of the values of a sweep's axes.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// The spec with these values in place and no axes left.
    pub spec: Spec,
    /// The values by field, as text.
    pub axes: BTreeMap<String, String>,
}

/// One field with one value, and where that stands.
#[derive(Clone)]
struct Setting<'a> {
    field: &'a str,
    value: &'a Value,
    key: Key,
}

/// All points of a spec in the order of its axes, the last varying fastest, each one validated.
pub(super) fn points(spec: &Spec) -> Result<Vec<Point>, Fault> {
    validate::question(spec)?;
    validate::tuning(spec)?;
    validate::stopping(spec)?;
    let Some(sweep) = &spec.sweep else {
        validate::spec(spec)?;
        return Ok(vec![Point { spec: spec.clone(), axes: BTreeMap::new() }]);
    };
    let axes = with_tuned(spec, sweep);
    let dimensions = dimensions(&axes, &sweep.zip)?;
    let count = dimensions.iter().try_fold(1_usize, |count, dimension| count.checked_mul(dimension.len()));
    if count.is_none_or(|count| count > MAX_POINTS) {
        let problem = format!("the axes make more than {MAX_POINTS} points");
        let remedy = "write fewer values, or put fields that change together in [[sweep.zip]]";
        return Err(Fault::new("sweep.axes", problem, remedy));
    }
    let mut base = spec.clone();
    base.sweep = Some(super::Sweep { axes: BTreeMap::new(), zip: Vec::new(), ..sweep.clone() });
    forget_tuning(&mut base);
    // TOML's whole numbers end where those of a spec do not.
    validate::seeds(&base)?;
    let document =
        Table::try_from(&base).map_err(|error| Fault::new("", error.to_string(), "write smaller numbers"))?;

    let mut combinations: Vec<Vec<Setting>> = vec![Vec::new()];
    for dimension in &dimensions {
        // Each value by itself first, so that an error names the axis and not the combination.
        for setting in dimension.iter().flatten() {
            read(&document, std::slice::from_ref(setting))?;
        }
        let mut longer = Vec::with_capacity(combinations.len() * dimension.len());
        for head in &combinations {
            longer.extend(dimension.iter().map(|settings| [head.as_slice(), settings.as_slice()].concat()));
        }
        combinations = longer;
    }
    let specs = combinations.iter().map(|settings| read(&document, settings));
    let mut specs: Vec<Spec> = specs.collect::<Result<_, _>>()?;
    kinds::forget_foreign(&mut specs, |field| dimensions.iter().flatten().flatten().any(|set| set.field == field));
    validate::some_trunk(&specs)?;
    let points = specs.into_iter().zip(&combinations).map(|(spec, settings)| point(spec, settings, &base));
    let points: Vec<Point> = points.collect::<Result<_, _>>()?;
    validate::some_group(spec, points.iter().map(|point| &point.axes))?;
    Ok(points)
}

/// The axes of a sweep with the lattices of what is tuned.
fn with_tuned(spec: &Spec, sweep: &Sweep) -> BTreeMap<String, Vec<Value>> {
    let tuned = lattices(spec, sweep).map(|(tuned, values)| (tuned.field().to_owned(), values));
    sweep.axes.clone().into_iter().chain(tuned).collect()
}

/// The values that each tuned setting may have, ascending, around what the spec writes.
fn lattices(spec: &Spec, sweep: &Sweep) -> impl Iterator<Item = (Tuned, Vec<Value>)> {
    let optimizer = &spec.optimizer;
    let first = |tuned: Tuned| match tuned {
        Tuned::LearningRate => Some(First::Rule(optimizer.learning_rate)),
        Tuned::BatchTokens => Some(First::Rule(optimizer.batch_tokens)),
        Tuned::WeightDecay => optimizer.weight_decay.map(First::Number),
    };
    sweep.tune.iter().filter_map(move |tuned| Some((*tuned, tuned.lattice(first(*tuned)?))))
}

impl Spec {
    /// What a sweep tunes, each with its values as axes have them, ascending; the middle one is what the spec writes.
    pub fn lattices(&self) -> Vec<(Tuned, Vec<String>)> {
        let texts = |(tuned, values): (Tuned, Vec<Value>)| (tuned, values.iter().map(text).collect());
        self.sweep.iter().flat_map(|sweep| lattices(self, sweep)).map(texts).collect()
    }
}

/// A point is tuned no further, and what concerns several points belongs to the whole.
fn forget_tuning(base: &mut Spec) {
    if let Some(sweep) = &mut base.sweep {
        sweep.stop_early = None;
    }
    if let Some(sweep) = base.sweep.as_mut().filter(|sweep| !sweep.tune.is_empty()) {
        sweep.tune.clear();
        sweep.limit_flops = None;
    }
}

/// The axes and zips, each a list of what is set together.
fn dimensions<'a>(
    axes: &'a BTreeMap<String, Vec<Value>>,
    zip: &'a [BTreeMap<String, Vec<Value>>],
) -> Result<Vec<Vec<Vec<Setting<'a>>>>, Fault> {
    let groups = axes.iter().map(|axis| (Key::from("sweep.axes"), vec![axis]));
    let zips =
        zip.iter().enumerate().map(|(i, group)| (Key::from("sweep.zip").child(&i.to_string()), group.iter().collect()));
    let mut seen: Vec<&str> = Vec::new();
    let mut dimensions = Vec::new();
    for (parent, group) in groups.chain(zips) {
        let Some((first, length)) = group.first().map(|(field, values)| (*field, values.len())) else {
            return Err(Fault::new(parent, "no fields", "write fields with lists of values, or delete the table"));
        };
        for (field, values) in &group {
            let key = parent.child(field);
            check_field(field, &key, &seen)?;
            seen.push(field);
            if values.is_empty() {
                return Err(Fault::new(key, "no values", "write a list of at least one value"));
            }
            if values.len() != length {
                let problem = format!("{} values, but {first:?} has {length}", values.len());
                return Err(Fault::new(key, problem, "write lists of equal length"));
            }
        }
        let rows: Vec<Vec<Setting>> = (0..length)
            .map(|i| {
                let setting = |(field, values): &(&'a String, &'a Vec<Value>)| Setting {
                    field,
                    value: &values[i],
                    key: parent.child(field),
                };
                group.iter().map(setting).collect()
            })
            .collect();
        let texts: BTreeSet<Vec<String>> =
            rows.iter().map(|row| row.iter().map(|setting| setting.value.to_string()).collect()).collect();
        if texts.len() < rows.len() {
            let problem = "a value is listed twice, which would train the same runs twice";
            return Err(Fault::new(parent.child(first), problem, "write each once; use sweep.seeds for repeats"));
        }
        dimensions.push(rows);
    }
    Ok(dimensions)
}

fn check_field(field: &str, key: &Key, seen: &[&str]) -> Result<(), Fault> {
    const REMEDY: &str = "write the dotted path of a field outside name, fit, launcher, sweep.axes, sweep.zip, sweep.stop_early and sweep.seeds";
    let fixed = ["name", "fit", "sweep", "sweep.axes", "sweep.zip", "sweep.stop_early"].contains(&field)
        || ["sweep.axes.", "sweep.zip.", "sweep.stop_early.", "fit.", "launcher."]
            .iter()
            .any(|start| field.starts_with(start));
    if field == "sweep.seeds" {
        return Err(Fault::new(
            key.clone(),
            "seeds cannot be an axis",
            "write them in sweep.seeds: every point is trained once per seed",
        ));
    }
    if is_idle(field) {
        let problem = "it decides nothing of a run, so that its values would train the same runs several times";
        return Err(Fault::new(key.clone(), problem, "vary a key of train.config, or write this one in [train]"));
    }
    if fixed || !field.contains('.') {
        return Err(Fault::new(key.clone(), "not a field that can be varied", REMEDY));
    }
    let within = |inner: &str, outer: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'));
    if let Some(other) = seen.iter().find(|other| **other == field || within(other, field) || within(field, other)) {
        return Err(Fault::new(key.clone(), format!("already varied by {other:?}"), "vary each field in one place"));
    }
    Ok(())
}

fn point(mut spec: Spec, settings: &[Setting], base: &Spec) -> Result<Point, Fault> {
    if settings.iter().any(|setting| ["model.mixer", "model.embedding"].contains(&setting.field)) {
        spec.model.forget_unread();
    }
    // A fault that the spec has without its axes is none of their values'.
    validate::spec(&spec).map_err(|fault| match validate::spec(base) {
        Err(own) if own == fault => fault,
        _ => blame(fault, settings),
    })?;
    let axes = settings.iter().map(|setting| (setting.field.to_owned(), text(setting.value))).collect();
    Ok(Point { spec, axes })
}

/// The document with some fields set, read strictly.
fn read(document: &Table, settings: &[Setting]) -> Result<Spec, Fault> {
    let mut document = document.clone();
    for Setting { field, value, key } in settings {
        let (parents, last) = field.rsplit_once('.').expect("checked to have a dot");
        let mut table = &mut document;
        for parent in parents.split('.') {
            let inner = table.entry(parent).or_insert_with(|| Value::Table(Table::new()));
            table = inner.as_table_mut().ok_or_else(|| {
                Fault::new(key.clone(), format!("{parent:?} is a single value here"), "vary it as a whole")
            })?;
        }
        table.insert(last.to_owned(), (*value).clone());
    }
    document.try_into().map_err(|error: toml::de::Error| {
        let fallback = Key::default();
        let setting = settings.last();
        let fault = explain(error.message(), &setting.map_or(fallback, |setting| Key::from(setting.field)));
        let key = setting.map_or(fault.key, |setting| setting.key.clone());
        Fault { key, ..fault }
    })
}

/// Puts an error on the axis that set the faulty field, and tells at which values it shows.
fn blame(fault: Fault, settings: &[Setting]) -> Fault {
    if settings.is_empty() {
        return fault;
    }
    let values: Vec<String> = settings.iter().map(|setting| format!("{} = {}", setting.field, setting.value)).collect();
    let axis = settings.iter().find(|setting| setting.field == fault.key.dotted());
    let key = axis.map_or(fault.key, |setting| setting.key.clone());
    Fault { key, problem: format!("{} (where {})", fault.problem, values.join(", ")), ..fault }
}

/// A value as it stands in a table: text without quotes.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
