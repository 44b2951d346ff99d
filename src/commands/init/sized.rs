//! What of a spec depends on the length of its text, sized by the text that is there: the validation set, and all lengths
//! where the longest run needs more than there is.

use std::path::Path;

use anyhow::bail;
use toml_edit::{DocumentMut, Item, Value};

use crate::commands::shared::planning::Fittable;
use crate::data;
use crate::plan::{self, CorpusFacts, Plan};
use crate::spec::{self, Data, Point, Source, Spec};
use crate::units::Tokens;

/// Bytes of a token, on the safe side: with 1024 tokens 1.8 to 2.9 were measured.
const BYTES: f64 = 3.0;
/// A longer text suits every kind: it is counted no further.
const MOST: u64 = 600_000_000;
/// Documents differ in length: so much more is held out than the validation needs, where the fraction stays as it is.
const SPARE: f64 = 1.22;
/// Share of the documents held out of a text that is too short for the fraction of the template.
const FRACTION: f64 = 0.1;
/// Bytes of such a text for a validation token: of a tenth of the documents, which may be a fiftieth of the tokens.
const BYTES_A_VALIDATION_TOKEN: f64 = 128.0;
/// Of fewer sequences the loss says nothing.
const SEQUENCES: u64 = 16;
/// Of the training tokens that are expected: steps are rounded, and the split is by documents.
const SAFE: f64 = 0.95;
/// Share of its runs without which a kind cannot answer its question: others become too short to be trained.
const RUNS: f64 = 0.75;
/// Kinds that are told of where a text is too short for another one: those that ask for most first.
const SMALLER: [&str; 5] = ["isoflop", "lr-grid", "mup-transfer", "quickstart", "run"];
/// By how much a text is made longer in search of one that is long enough.
const STEP: f64 = 1.1;

/// Keys that count tokens, or FLOPs of a run of one size: they grow together.
const LENGTHS: [[&str; 2]; 7] = [
    ["schedule", "tokens"],
    ["schedule", "flops"],
    ["schedule", "tokens_per_param"],
    ["schedule", "warmup_tokens"],
    ["schedule", "decay_tokens"],
    ["optimizer", "weight_decay_tokens"],
    ["data", "train_tokens"],
];

/// A spec sized to its text, or an error that says how much text this kind needs. As it is where no text is there yet.
///
/// `other` is the spec of another kind with this text.
pub fn to_text(
    adapted: &str,
    kind: &str,
    path: &Path,
    set: &[String],
    other: &dyn Fn(&str) -> Option<String>,
) -> anyhow::Result<String> {
    // With what is set otherwise: another column has other texts.
    let Ok(spec) = spec::parse(&spec::edit(adapted, set)?, kind) else { return Ok(adapted.to_owned()) };
    let Some(part) = spec.data.texts().pop() else { return Ok(adapted.to_owned()) };
    // What cannot be read, `plan` tells better.
    let Ok(bytes) = data::text_length(&part, MOST) else { return Ok(adapted.to_owned()) };
    let shown = path.display();
    if let Some(column) = part.column.filter(|_| bytes == 0 && !is_empty(&part.path, part.source)) {
        bail!("{shown} has no text in {column:?}: name the field or column of the text with --set data.column=NAME");
    }
    if bytes == 0 {
        bail!("{shown} is empty: {kind} needs {} of text", needed(adapted, 0.0));
    }
    match sized(adapted, bytes as f64, FRACTION, &format!("{} of text", megabytes(bytes as f64))) {
        Some(sized) => Ok(sized),
        // Whoever sets keys may size the spec otherwise.
        None if !set.is_empty() => Ok(adapted.to_owned()),
        None => {
            let long_enough = |other_kind: &&&str| {
                **other_kind != kind
                    && other(other_kind).is_some_and(|other| sized(&other, bytes as f64, FRACTION, "").is_some())
            };
            let smaller: Vec<&str> = SMALLER.iter().filter(long_enough).copied().collect();
            let instead = match smaller.as_slice() {
                [] => String::new(),
                kinds => format!(". It is long enough for {}", kinds.join(", ")),
            };
            let length = megabytes(bytes as f64);
            bail!("{shown} has {length} of text: {kind} needs {}{instead}", needed(adapted, bytes as f64))
        }
    }
}

/// A spec over token files sized to them, with what was set for them; as it is where they are not there yet, where the lengths
/// themselves were set, or where there are too few tokens, which is said.
pub fn to_token_files(edited: &str, set: &[String]) -> String {
    let Ok(spec) = spec::parse(edited, "") else { return edited.to_owned() };
    let own = ["sweep.", "eval.", "schedule.", "data.validation_path"];
    if spec.data.source != Source::Bin || set.iter().any(|key| own.iter().any(|own| key.starts_with(own))) {
        return edited.to_owned();
    }
    // What cannot be read, `plan` tells better.
    let Ok(tokens) = data::token_count(&spec.data) else { return edited.to_owned() };
    let tokens = tokens as f64;
    let is_own = set.iter().any(|key| key.starts_with("data.validation_fraction"));
    let fraction = spec.data.validation_fraction.filter(|_| is_own).unwrap_or(FRACTION);
    let shown = Tokens(tokens);
    sized(edited, tokens * BYTES, fraction, &format!("{shown} tokens")).unwrap_or_else(|| {
        tell!(
            "{shown} tokens of a vocabulary of {} are too few for the runs of this spec: write its lengths and eval.tokens yourself, \
             or take a smaller vocabulary",
            spec.data.vocab.unwrap_or_default()
        );
        edited.to_owned()
    })
}

fn is_empty(path: &Path, source: Source) -> bool {
    let empty = |file: &std::path::PathBuf| file.metadata().is_ok_and(|about| about.len() == 0);
    data::files_of(path, source).is_ok_and(|files| files.iter().all(empty))
}

/// The least text that a kind can be sized to, rounded up, in words.
fn needed(adapted: &str, bytes: f64) -> String {
    let lengths = std::iter::successors(Some(bytes.max(1e5)), |bytes| Some(bytes * STEP));
    let mut lengths = lengths.take_while(|bytes| *bytes < 2.0 * MOST as f64);
    let least = lengths.find(|bytes| sized(adapted, *bytes, FRACTION, "").is_some());
    least.map_or_else(|| "more".to_owned(), |least| format!("at least {}", megabytes((least / 1e5).ceil() * 1e5)))
}

fn megabytes(bytes: f64) -> String {
    if bytes < 1e5 { format!("{bytes} bytes") } else { format!("{:.1} MB", bytes / 1e6) }
}

/// A spec for a text of so many bytes, which is called `what`, with this share held out where that of the template is too little;
/// nothing where the text is too short.
fn sized(adapted: &str, bytes: f64, fraction: f64, what: &str) -> Option<String> {
    let template = spec::parse(adapted, "").ok()?;
    let tokens = bytes / BYTES;
    let held = Held::of(&template, bytes, fraction);
    let fraction = held.as_ref().map_or(template.data.validation_fraction?, |_| fraction);
    let available = tokens * (1.0 - fraction) * SAFE;
    let whole = planned(&template, None)?;
    let share = share(&template, &whole, available);
    let mut keys = held.map_or_else(Vec::new, |held| held.keys());
    if share < 1.0 {
        keys.extend(shorter(adapted, &template, share)?);
    }
    if keys.is_empty() {
        return Some(adapted.to_owned());
    }
    let mut edited = spec::edit(adapted, &keys).ok()?;
    let mut spec = spec::parse(&edited, "").ok()?;
    let mut plan = planned(&spec, Some(available))?;
    // Where the text is short the least budgets keep too few sizes for a curve, and would be trained for nothing.
    if let Some(curves) = whole_curves(&spec, &plan) {
        edited = spec::edit(&edited, &[format!("sweep.budgets=[{}]", curves.join(", "))]).ok()?;
        spec = spec::parse(&edited, "").ok()?;
        plan = planned(&spec, Some(available))?;
    }
    let text = told(&edited, &keys, share, what);
    // Runs of one length in FLOPs are no curve of sizes.
    let has_curves = spec.sweep.as_ref().is_some_and(|sweep| sweep.budgets.is_some());
    let answers = match Fittable::of(&plan).filter(|_| has_curves) {
        Some(fittable) => fittable.has_parabolas(),
        None => plan.runs.len() as f64 >= RUNS * whole.runs.len() as f64,
    };
    (answers && spec.eval.tokens >= SEQUENCES * spec.model.context as u64).then_some(text)
}

/// The budgets that keep the sizes of a curve, where some do not and the others are enough for a power law.
fn whole_curves(spec: &Spec, plan: &Plan) -> Option<Vec<String>> {
    let budgets = spec.sweep.as_ref()?.budgets.as_ref()?;
    let fittable = Fittable::of(plan).filter(Fittable::has_parabolas)?;
    let curves = fittable.curves();
    (curves.len() < budgets.len()).then(|| curves.iter().map(|budget| format!("{budget:e}")).collect())
}

/// A validation set that is there.
struct Held {
    fraction: f64,
    tokens: u64,
}

impl Held {
    /// Nothing where that of the template is.
    fn of(spec: &Spec, bytes: f64, fraction: f64) -> Option<Self> {
        let (wanted, context) = (spec.eval.tokens, spec.model.context as u64);
        let there = bytes / BYTES * spec.data.validation_fraction?;
        let tokens = (bytes / BYTES_A_VALIDATION_TOKEN * fraction / FRACTION) as u64 / context * context;
        (SPARE * wanted as f64 > there).then_some(Self { fraction, tokens: tokens.min(wanted) })
    }

    fn keys(&self) -> Vec<String> {
        vec![format!("data.validation_fraction={}", self.fraction), format!("eval.tokens={}", self.tokens)]
    }
}

/// Every run, of an endless text or of one with so many training tokens.
fn planned(spec: &Spec, available: Option<f64>) -> Option<Plan> {
    let facts = |data: &Data| CorpusFacts {
        vocab: data.vocab.unwrap_or_default() as usize,
        train_tokens: available.map(|all| {
            let kept = all * data.keep.unwrap_or(1.0);
            data.train_tokens.map_or(kept, |wanted| kept.min(wanted)) as u64
        }),
        validation_tokens: None,
        // Parts of a text are texts of their own.
        fingerprint: format!("{data:?}"),
        inputs: None,
    };
    let of = |point: Point| (point.clone(), facts(&point.spec.data));
    plan::expand(&spec.points().ok()?.into_iter().map(of).collect::<Vec<_>>()).ok()
}

/// The share of its length that the longest run may have; 1 where all is there.
fn share(spec: &Spec, whole: &Plan, available: f64) -> f64 {
    let needs = whole.runs.iter().map(|run| match run.run.data.train_tokens {
        Some(unique) => unique,
        None => run.tokens as f64 / spec.data.max_epochs / run.run.data.keep.unwrap_or(1.0),
    });
    (available / needs.fold(1.0, f64::max)).min(1.0)
}

/// Keys of a spec whose runs are so much shorter; nothing where the spec has no such keys.
fn shorter(adapted: &str, spec: &Spec, share: f64) -> Option<Vec<String>> {
    if let Some((sweep, budgets)) = spec.sweep.as_ref().and_then(|sweep| Some((sweep, sweep.budgets.as_ref()?))) {
        let mut keys = budgets_within(budgets, share);
        keys.extend(sweep.one_seed_from.is_some().then(|| "sweep.one_seed_from=".to_owned()));
        return Some(keys);
    }
    let document: DocumentMut = adapted.parse().ok()?;
    let mut keys = Vec::new();
    for [table, key] in LENGTHS {
        let own = document.get(table).and_then(|table| table.get(key));
        if let Some(number) = own.and_then(Item::as_value).and_then(number) {
            keys.push(format!("{table}.{key}={}", rounded(number * share)));
        }
        let axis = format!("{table}.{key}");
        let axes = document.get("sweep").and_then(|sweep| sweep.get("axes"));
        let values = axes.and_then(|axes| axes.get(&axis)).and_then(Item::as_array);
        let values: Vec<String> =
            values.into_iter().flatten().filter_map(number).map(|number| rounded(number * share)).collect();
        if !values.is_empty() {
            keys.push(format!("sweep.axes.{axis}=[{}]", values.join(", ")));
        }
    }
    (!keys.is_empty()).then_some(keys)
}

fn number(value: &Value) -> Option<f64> {
    value.as_float().or_else(|| value.as_integer().map(|number| number as f64))
}

/// A number of two digits, never above the one that it stands for.
fn rounded(number: f64) -> String {
    let unit = 10_f64.powf(number.log10().floor() - 1.0);
    let number = (number / unit).floor() * unit;
    if number < 1e4 { format!("{:.1}", (number * 10.0).round() / 10.0) } else { format!("{number:.1e}") }
}

/// Four budgets whose longest runs are so much shorter: at a given size ladder tokens grow as the root of a budget.
fn budgets_within(budgets: &[f64], share: f64) -> Vec<String> {
    let [least, most] =
        [budgets.iter().copied().fold(f64::INFINITY, f64::min), budgets.iter().copied().fold(0.0, f64::max)];
    let largest = most * share.powi(2);
    let budgets = [8.0, 4.0, 2.0, 1.0].map(|part| format!("{:.1e}", largest / part));
    let mut keys = vec![format!("sweep.budgets=[{}]", budgets.join(", "))];
    // Smaller models than the template's heads allow.
    keys.extend((largest < least).then(|| "model.head_dim=4".to_owned()));
    keys
}

/// The spec with a word on what was sized, and without comments that tell numbers of the template.
fn told(text: &str, keys: &[String], share: f64, what: &str) -> String {
    let lengths = match share < 1.0 {
        true if keys.iter().any(|key| key.starts_with("sweep.budgets=")) => "budgets, ",
        true => "lengths, ",
        false => "",
    };
    let note = format!("# Sized for {what}: {lengths}validation. Other numbers in comments are of the whole sweep.\n");
    let set: Vec<&str> = keys.iter().filter_map(|key| key.split('=').next()).collect();
    let (mut table, mut out) = (String::new(), String::new());
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            name.clone_into(&mut table);
        }
        let key = line.split('=').next().unwrap_or_default().trim();
        let line = match line.split_once('#') {
            Some((before, comment))
                if set.contains(&format!("{table}.{key}").as_str())
                    && comment.contains(|c: char| c.is_ascii_digit()) =>
            {
                before.trim_end()
            }
            _ => line,
        };
        if table.is_empty() && key == "name" {
            out += &note;
        }
        out += line;
        out.push('\n');
    }
    out
}
