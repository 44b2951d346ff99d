//! A fitted law that is a formula, as `runner predict` and `runner allocate` read it from `runner fit --formula --json`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

use super::sheet::Room;
use super::stdout;
use super::surface;
use crate::cli::{AllocateArgs, PredictArgs};
use crate::fit::formula::{Data, Formula, Grouping};
use crate::fit::laws::written::outside::{self, Distance, Rival};
use crate::fit::laws::written::{Span, Written};
use crate::fit::numerics::minimize::root;
use crate::fit::{Estimate, Status};
use crate::report::words::{self, estimate};
use crate::units::{Flops, Loss, amount};

/// A law with those that fit as well.
#[derive(Debug, Deserialize)]
pub struct Kept {
    #[serde(flatten)]
    fit: Written,
    #[serde(default)]
    rivals: Vec<Rival>,
}

/// The first fit of a formula in a file; nothing where it has none.
pub fn read(path: &Path) -> anyhow::Result<Option<Kept>> {
    let file = surface::file(path)?;
    let path = file.as_path();
    let text = std::fs::read_to_string(path).with_context(|| format!("{}: cannot be read", path.display()))?;
    let objects = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
    // A sweep keeps the laws that its spec asks for in a list.
    let listed = |value: Value| match value {
        Value::Object(mut sweep) => match sweep.remove("laws") {
            Some(Value::Array(laws)) if !sweep.contains_key("law") => laws,
            laws => {
                sweep.extend(laws.map(|laws| ("laws".to_owned(), laws)));
                vec![Value::Object(sweep)]
            }
        },
        other => vec![other],
    };
    let is_formula = |value: &Value| value.get("formula").is_some() && value.get("draws").is_some();
    let mut laws = objects.map_while(Result::ok).flat_map(listed).filter(is_formula);
    let Some(first) = laws.next() else { return Ok(None) };
    if laws.next().is_some() {
        tell!("warning: {} has several laws; the first is used", path.display());
    }
    let kept: Kept = serde_json::from_value(first)
        .with_context(|| format!("{}: is not what `runner fit --formula --json` prints", path.display()))?;
    if kept.fit.law.status != Status::Converged {
        tell!("warning: the status of this fit is '{}': {}", kept.fit.law.status.name(), kept.fit.law.conclusion);
    }
    Ok(Some(kept))
}

/// Values by name, as `--at` gives them: numbers of columns and names of groups.
#[derive(Clone, Debug, Default)]
struct Place {
    numbers: BTreeMap<String, f64>,
    groups: BTreeMap<String, String>,
}

impl Kept {
    /// Reads `--at`, and the flags that stand for N and D.
    fn place(&self, at: &[String], flags: &[(&str, Option<f64>)]) -> anyhow::Result<Place> {
        let mut place = Place::default();
        for pair in at {
            let (name, value) = pair.split_once('=').with_context(|| format!("--at {pair}: write NAME=VALUE"))?;
            let (name, value) = (name.trim().to_owned(), value.trim());
            let twice = place.numbers.contains_key(&name) || place.groups.contains_key(&name);
            ensure!(!twice, "--at {pair}: {name} is given twice: leave one of the two out");
            if let Some(labels) = self.fit.labels.iter().find(|labels| labels.index == name) {
                let known = labels.labels.join(", ");
                ensure!(labels.labels.iter().any(|label| label == value), "--at {pair}: the groups are {known}");
                place.groups.insert(name, value.to_owned());
                continue;
            }
            ensure!(
                self.fit.spans.iter().any(|span| span.name == name),
                "--at {pair}: the law has no column '{name}'; it has {}",
                self.fit.columns.join(", ")
            );
            let number = amount(value).map_err(|what| anyhow::anyhow!("--at {pair}: {what}"))?;
            ensure!(number.is_finite(), "--at {pair}: {number} is not a finite number");
            place.numbers.insert(name, number);
        }
        for (flag, value) in flags.iter().filter_map(|(flag, value)| Some((*flag, (*value)?))) {
            ensure!(value.is_finite() && value > 0.0, "--{flag} {value}: write a number above zero");
            let name = self.column(flag).with_context(|| {
                format!("--{flag}: the law has no such column; it has {}", self.fit.columns.join(", "))
            })?;
            ensure!(
                !place.numbers.contains_key(&name),
                "--{flag} and --at {name}=VALUE say the same: leave one of the two out"
            );
            place.numbers.insert(name, value);
        }
        Ok(place)
    }

    /// What the law calls parameters or tokens.
    fn column(&self, flag: &str) -> Option<String> {
        let names: &[&str] = if flag == "params" { &["N", "params"] } else { &["D", "tokens"] };
        let has = |name: &&&str| self.fit.columns.iter().any(|column| column == **name);
        names.iter().find(has).map(|name| (*name).to_owned())
    }

    /// Refuses a place that lacks something the law needs.
    fn refuse_gaps(&self, place: &Place, besides: &[String]) -> anyhow::Result<()> {
        let lacks = |name: &&String| !place.numbers.contains_key(*name) && !besides.contains(name);
        if let Some(name) = self.fit.columns.iter().find(lacks) {
            bail!("the law needs '{name}': add --at {name}=VALUE");
        }
        if let Some(labels) = self.fit.labels.iter().find(|labels| !place.groups.contains_key(&labels.index)) {
            bail!("the law differs by '{0}': add --at {0}=, one of {1}", labels.index, labels.labels.join(", "));
        }
        Ok(())
    }

    /// What a formula says of many places, for each list of its numbers; nothing where the places lack a column of it.
    fn losses(
        &self,
        formula: &str,
        needs: &[String],
        lists: &[&[f64]],
        places: &[Place],
    ) -> anyhow::Result<Option<Vec<Vec<f64>>>> {
        let mut data = Data { loss: vec![1.0; places.len()], ..Data::default() };
        for name in needs {
            let values: Option<Vec<f64>> = places.iter().map(|place| place.numbers.get(name).copied()).collect();
            let Some(values) = values else { return Ok(None) };
            data.columns.insert(name.clone(), values);
        }
        for labels in &self.fit.labels {
            let of =
                |place: &Place| labels.labels.iter().position(|label| Some(label) == place.groups.get(&labels.index));
            let of: Option<Vec<u32>> = places.iter().map(|place| of(place).map(|at| at as u32)).collect();
            if let Some(of) = of {
                data.groups.insert(labels.index.clone(), Grouping { labels: labels.labels.clone(), of });
            }
        }
        let law = Formula::parse(formula)?.law(&|name| needs.iter().any(|need| need == name), &[])?;
        let bound = law.bind(&data)?;
        Ok(Some(lists.iter().map(|values| bound.predict(values)).collect()))
    }

    /// Losses of the fit itself and of every resample.
    fn own(&self, places: &[Place]) -> anyhow::Result<Vec<Vec<f64>>> {
        let lists: Vec<&[f64]> = std::iter::once(&self.fit.values).chain(&self.fit.draws).map(Vec::as_slice).collect();
        let losses = self.losses(&self.fit.law.formula, &self.fit.columns, &lists, places)?;
        losses.context("the law needs columns that were not given")
    }

    /// What the laws that fit as well say of one place.
    fn beside(&self, place: &Place) -> Vec<(String, f64)> {
        let mut said = Vec::new();
        for rival in &self.rivals {
            let losses = self.losses(&rival.formula, &rival.columns, &[&rival.values], std::slice::from_ref(place));
            if let Ok(Some(losses)) = losses {
                said.push((rival.name.clone(), losses[0][0]));
            }
        }
        said
    }

    /// Spans of the columns, and of cost where it is 6ND or told.
    fn distances(&self, place: &Place, cost: Option<f64>) -> Vec<Distance> {
        let mut spans = self.fit.spans.clone();
        let mut asked: Vec<(String, f64)> = place.numbers.iter().map(|(name, value)| (name.clone(), *value)).collect();
        if let (Some([low, high]), Some(cost)) = (self.fit.cost, cost) {
            spans.retain(|span| span.name != "C");
            spans.push(Span { name: "C".to_owned(), low, high });
            asked.push(("C".to_owned(), cost));
        }
        outside::distances(&spans, &asked)
    }
}

/// How far outside, and what other laws say there, in lines.
fn beyond(distances: &[Distance], loss: f64, beside: &[(String, f64)]) -> String {
    let told = |distance: &Distance| {
        let side = if distance.decades > 0.0 { "above" } else { "below" };
        format!("{} {:.2} decades {side}", distance.name, distance.decades.abs())
    };
    let outside: Vec<String> = distances.iter().filter(|distance| distance.decades != 0.0).map(told).collect();
    let mut text = if outside.is_empty() {
        "within the rows that the law was fitted to\n".to_owned()
    } else {
        format!("outside of the rows: {}; the interval assumes that the form holds that far\n", outside.join(", "))
    };
    let answers: Vec<f64> = beside.iter().map(|(_, answer)| *answer).chain([loss]).collect();
    if let Some([low, high]) = outside::spread(&answers).filter(|_| !beside.is_empty()) {
        let named: Vec<String> = beside.iter().map(|(name, answer)| format!("{name} {:.4}", Loss(*answer))).collect();
        let _ = writeln!(text, "laws that fit as well: {:.4} to {:.4} ({})", Loss(low), Loss(high), named.join(", "));
    }
    text
}

/// `runner predict` on a formula.
pub fn predict(kept: &Kept, args: &PredictArgs, rehearsed: bool) -> anyhow::Result<ExitCode> {
    let place = kept.place(&args.at, &[("params", args.params), ("tokens", args.tokens)])?;
    kept.refuse_gaps(&place, &[])?;
    let losses = kept.own(std::slice::from_ref(&place))?;
    let loss = Estimate::from_draws(losses[0][0], losses[1..].iter().map(|loss| loss[0]));
    let number = |flag: &str| kept.column(flag).and_then(|name| place.numbers.get(&name).copied());
    let cost = number("params").zip(number("tokens")).map(|(n, d)| 6.0 * n * d);
    let (distances, beside) = (kept.distances(&place, cost), kept.beside(&place));
    let mut out = String::new();
    if args.surface.json {
        let spread = outside::spread(&beside.iter().map(|(_, answer)| *answer).chain([loss.value]).collect::<Vec<_>>());
        let object = json!({
            "formula": kept.fit.law.formula, "status": kept.fit.law.status, "at": place.numbers, "groups": place.groups,
            "loss": loss, "outside": distances, "spread": spread, "beside": beside, "rehearsed": rehearsed,
        });
        writeln!(out, "{}", super::json::versioned(object))?;
    } else {
        writeln!(out, "{}", kept.fit.law.formula)?;
        writeln!(out, "{}", said(&place))?;
        writeln!(out, "loss {}", estimate(loss, |x| format!("{:.4}", Loss(x))))?;
        out += &beyond(&distances, loss.value, &beside);
        out = Room::of(false).fold(&out);
    }
    stdout::print(&out)?;
    Ok(ExitCode::SUCCESS)
}

fn said(place: &Place) -> String {
    let numbers = place.numbers.iter().map(|(name, value)| format!("{name} {}", words::amount(*value)));
    numbers.chain(place.groups.iter().map(|(name, value)| format!("{name} {value}"))).collect::<Vec<_>>().join(", ")
}

/// Sizes at which the law is evaluated along a budget, over this many decades below and above those of the rows, and around the
/// size that has as many parameters as tokens.
const SIZES: usize = 1201;
const AROUND: [f64; 2] = [-2.0, 6.0];
const AROUND_EQUAL: [f64; 2] = [-3.0, 3.0];

/// The columns of a law that stand for parameters and tokens, and what a run of them costs.
struct Priced {
    n: String,
    d: String,
    text: String,
    cost: Formula,
}

impl Priced {
    fn of(kept: &Kept, asked: Option<&String>) -> anyhow::Result<Self> {
        let both = kept.column("params").zip(kept.column("tokens"));
        let (n, d) = both.context("to allocate, a law needs parameters and tokens: N and D")?;
        let text = asked.cloned().unwrap_or_else(|| format!("6*{n}*{d}"));
        let cost = Formula::of_cost(&text).context("--cost")?;
        Ok(Self { n, d, text, cost })
    }

    /// ln of the budget over what a place costs with so many tokens: it falls through zero where they are paid.
    fn left(&self, place: &Place, ln_d: f64, flops: f64) -> anyhow::Result<f64> {
        let one = |(name, value): (&String, &f64)| (name.clone(), vec![*value]);
        let mut columns: BTreeMap<String, Vec<f64>> = place.numbers.iter().map(one).collect();
        columns.insert(self.d.clone(), vec![ln_d.exp()]);
        Ok((flops / self.cost.values(&columns, 1).context("--cost")?[0]).ln())
    }

    /// Sizes with the tokens that a budget leaves them.
    fn along(&self, kept: &Kept, others: &Place, flops: f64, most: Option<f64>) -> anyhow::Result<Vec<Place>> {
        let span = kept.fit.spans.iter().find(|span| span.name == self.n).context("the file has no range of sizes")?;
        let equal = 0.5 * (flops / 6.0).log10();
        let low = (span.low.log10() + AROUND[0]).min(equal + AROUND_EQUAL[0]);
        let high = (span.high.log10() + AROUND[1]).max(equal + AROUND_EQUAL[1]);
        let mut places = Vec::new();
        for at in 0..SIZES {
            let size = 10_f64.powf(low + (high - low) * at as f64 / (SIZES - 1) as f64);
            let mut place = others.clone();
            place.numbers.insert(self.n.clone(), size);
            self.left(&place, 1.0, flops)?;
            let left = |ln_d: f64| self.left(&place, ln_d, flops).unwrap_or(f64::NAN);
            let ln_d = root(left, (flops / (6.0 * size)).ln());
            let tokens = most.map_or(ln_d.exp(), |most| ln_d.exp().min(most));
            if left(ln_d).abs() < 1e-6 && tokens >= 1.0 && tokens.is_finite() {
                place.numbers.insert(self.d.clone(), tokens);
                places.push(place);
            }
        }
        ensure!(
            places.len() > 2,
            "--cost {}: no size has a number of tokens that costs {}; a cost must grow with tokens",
            self.text,
            Flops(flops)
        );
        Ok(places)
    }
}

/// `runner allocate` on a formula: the size of least loss along what a budget pays for.
pub fn allocate(kept: &Kept, args: &AllocateArgs, (flops, rehearsed): (f64, bool)) -> anyhow::Result<ExitCode> {
    ensure!(
        args.inference_tokens.is_none(),
        "--inference-tokens belongs to a surface; for a formula write the cost of serving into --cost"
    );
    let priced = Priced::of(kept, args.cost.as_ref())?;
    let others = kept.place(&args.at, &[])?;
    if let Some(sought) = [&priced.n, &priced.d].into_iter().find(|name| others.numbers.contains_key(*name)) {
        bail!(
            "--at {sought}: allocate looks for {} and {} itself; for what a given model reaches ask runner predict",
            priced.n,
            priced.d
        );
    }
    kept.refuse_gaps(&others, &[priced.n.clone(), priced.d.clone()])?;
    let places = priced.along(kept, &others, flops, args.max_tokens)?;
    let bests: Vec<Option<[f64; 3]>> =
        kept.own(&places)?.iter().map(|losses| lowest(losses, &places, &priced.n, &priced.d)).collect();
    let best = bests[0].with_context(|| {
        format!("the loss has no minimum along {} FLOPs: the law knows no optimum there", Flops(flops))
    })?;
    let lost = bests.iter().filter(|best| best.is_none()).count();
    let of = |read: fn(&[f64; 3]) -> f64| Estimate::from_draws(read(&best), bests[1..].iter().flatten().map(read));
    let [params, tokens, loss] = [of(|best| best[0]), of(|best| best[1]), of(|best| best[2])];
    let ratio = of(|best| best[1] / best[0]);
    let mut place = others;
    place.numbers.extend([(priced.n, best[0]), (priced.d, best[1])]);
    let (distances, beside) = (kept.distances(&place, Some(flops)), kept.beside(&place));
    let mut out = String::new();
    if args.surface.json {
        let object = json!({
            "formula": kept.fit.law.formula, "status": kept.fit.law.status, "flops": flops, "cost": priced.text,
            "params": params, "tokens": tokens, "loss": loss, "tokens_per_param": ratio, "outside": distances,
            "beside": beside, "resamples_without_optimum": lost, "rehearsed": rehearsed,
        });
        writeln!(out, "{}", super::json::versioned(object))?;
    } else {
        writeln!(out, "{} at {} FLOPs, cost {}", kept.fit.law.formula, Flops(flops), priced.text)?;
        writeln!(out, "parameters       {}", estimate(params, words::amount))?;
        writeln!(out, "tokens           {}", estimate(tokens, words::amount))?;
        writeln!(out, "tokens per param {}", estimate(ratio, |x| format!("{x:.3}")))?;
        writeln!(out, "loss             {}", estimate(loss, |x| format!("{:.4}", Loss(x))))?;
        if lost > 0 {
            writeln!(out, "{lost} of {} resamples have no optimum there", bests.len() - 1)?;
        }
        out += &beyond(&distances, best[2], &beside);
        out = Room::of(args.tables.wide).fold(&out);
    }
    stdout::print(&out)?;
    Ok(ExitCode::SUCCESS)
}

/// Size, tokens and loss at the least loss, by the parabola through the three lowest neighbours; nothing at an end.
fn lowest(losses: &[f64], places: &[Place], n: &str, d: &str) -> Option<[f64; 3]> {
    let finite = (0..losses.len()).filter(|at| losses[*at].is_finite());
    let at = finite.min_by(|&i, &j| losses[i].total_cmp(&losses[j])).filter(|at| *at > 0 && at + 1 < losses.len())?;
    let [before, here, after] = [at - 1, at, at + 1].map(|at| losses[at]);
    let shift = 0.5 * (before - after) / (before - 2.0 * here + after);
    let shift = if shift.is_finite() { shift.clamp(-1.0, 1.0) } else { 0.0 };
    let along = |name: &str| {
        let ln = |at: usize| places[at].numbers[name].ln();
        let other = if shift >= 0.0 { at + 1 } else { at - 1 };
        (ln(at) + shift.abs() * (ln(other) - ln(at))).exp()
    };
    Some([along(n), along(d), here - 0.25 * (before - after) * shift])
}
