//! The fitted surface that `runner allocate` and `runner predict` work on.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use crate::cli::SurfaceArgs;
use crate::fit::approaches::forecast::{BENT, Forecast, Leaning};
use crate::fit::approaches::points::Trained;
use crate::fit::approaches::summary::Summary;
use crate::fit::approaches::surface::Priced;
use crate::fit::approaches::surface::Surface;
use crate::fit::{Estimate, NORMAL_95, Status};
use crate::paths;
use crate::report::words;
use crate::units::{Flops, Loss, Params, Ratio, Tokens};

/// Multiples of the largest budget behind a surface above which nothing is said of other people's models.
const FAR: f64 = 1000.0;

/// A surface with the resamples that give intervals.
pub struct Fitted {
    /// Where it comes from, for the first line that is printed.
    pub summary: Summary,
    /// The fit itself, and what training costs on it.
    pub priced: Priced,
}

impl Fitted {
    /// A quantity of the surface with its 95% interval.
    pub fn estimate(&self, of: impl Fn(&Priced) -> f64) -> Estimate {
        let drawn = |surface: &Surface| of(&Priced { surface: *surface, ..self.priced });
        Estimate::from_draws(of(&self.priced), self.summary.draws.iter().map(drawn))
    }

    /// The loss of a model that `flops` train, by its parameters and tokens. Beyond the budgets its interval counts as well how far
    /// the surface misses the largest budget when it has not seen it: resamples alone tell nothing of the form of the law. It stays
    /// above zero, and below what the best model of the largest budget reaches with no more parameters and tokens.
    pub fn loss(&self, flops: f64, place: impl Fn(&Priced) -> [f64; 2]) -> Estimate {
        let of = |priced: &Priced, [params, tokens]: [f64; 2]| priced.surface.loss(params, tokens);
        let known = self.estimate(|priced| of(priced, place(priced)));
        let Estimate { value, low, high } = known;
        let (Some((_, error)), Some(trained)) = (self.missed(flops).filter(|_| !low.is_nan()), self.summary.trained)
        else {
            return known;
        };
        let far = |end: f64| (end - value).hypot(NORMAL_95 * error);
        let [params, tokens] = place(&self.priced);
        let budget = trained.flops[1];
        let smaller = [params.min(self.priced.n_opt(budget)), tokens.min(self.priced.d_opt(budget))];
        let most = self.estimate(|priced| of(priced, smaller)).high.max(high);
        Estimate { value, low: (value - far(low.min(value))).max(0.0), high: (value + far(high.max(value))).min(most) }
    }

    /// What the surface missed of the budget held out, and the standard error that follows for losses at `flops`; nothing
    /// within the budgets.
    fn missed(&self, flops: f64) -> Option<(Forecast, f64)> {
        let forecast = self.summary.forecast?;
        Some((forecast, forecast.error_at(flops, self.largest()?)?))
    }

    /// The FLOPs above which a model lies beyond the budgets: achieved ones differ a little from planned ones.
    fn largest(&self) -> Option<f64> {
        self.summary.trained.map(|trained| 1.01 * trained.flops[1])
    }

    fn note_missed(&self, flops: f64) {
        let Some((Forecast { factor: Some(factor), loss_rms: Some(rms), loss_mean: Some(mean), .. }, error)) =
            self.missed(flops)
        else {
            if self.largest().is_some_and(|largest| flops > largest) {
                tell!(
                    "note: no budget could be held out, so the interval of the loss assumes that the form of the surface holds \
                     that far; three budgets whose smaller ones give a surface tell how far it misses the largest"
                );
            }
            return;
        };
        tell!(
            "note: fitted without its largest budget, {} times the next one, the surface misses the losses there by {:.4} nats \
             ({:+.4} on average); the interval of the loss counts an error of {:.4} for what of that is not the scatter of \
             single runs",
            Ratio(factor),
            Loss(rms),
            Loss(mean),
            Loss(error),
        );
        self.note_bent();
    }

    /// Says what errors on one side mean.
    fn note_bent(&self) {
        let Some(forecast) = self.summary.forecast else { return };
        let (at, surface) = (forecast.budget, self.priced.surface);
        // The losses held out are a few percent above that of their optimum, which errs towards noise.
        let loss = surface.loss(self.priced.n_opt(at), self.priced.d_opt(at));
        let rms = self.summary.residuals.map_or(f64::NAN, |residuals| residuals.rms);
        let Some(Leaning { high, chance }) = forecast.leaning(self.summary.points, rms, loss) else { return };
        let side = if high { "above" } else { "below" };
        if chance < BENT {
            tell!(
                "warning: the law bends: the surface of the smaller budgets lies {side} nearly all of these losses, by more than \
                 runs that scatter about one surface would show (Chow's F, p = {chance:.3}). More seeds do not mend that; a budget \
                 nearer to the one that you ask for does"
            );
        } else {
            tell!(
                "note: the surface of the smaller budgets lies {side} nearly all of these losses. These runs do not tell whether the law \
                 bends or the noise of the smaller budgets grows with the distance (Chow's F, p = {chance:.2})"
            );
        }
    }

    /// Says that FLOPs of a model of so many parameters are foretold, where it is larger than any that was trained and FLOPs are
    /// not 6ND.
    pub fn note_cost(&self, params: f64) {
        if let Some(beyond) = self.priced.cost.beyond.filter(|beyond| params > 1.01 * beyond.largest) {
            tell!(
                "note: FLOPs of models larger than {} parameters, the largest trained, are taken to come to 6ND as models grow; \
                 at {} parameters they are {:.2} times 6ND",
                Params(beyond.largest),
                Params(params),
                self.priced.cost.per_token(params) / (6.0 * params)
            );
        }
    }

    /// What is fitted, in words.
    pub fn name(&self) -> String {
        let counted = words::counting(self.summary.counting);
        let group = self.summary.group.as_ref().map_or_else(String::new, |group| format!(" of the group '{group}'"));
        format!("{}{group}, {counted}, FLOPs {}", self.summary.approach.name(), self.priced.cost)
    }

    /// Warns of what lies beyond the runs that the surface was fitted to: name, value, and their range; and says how the interval
    /// of a loss at `flops` has been widened, where it has.
    pub fn warn_beyond(&self, asked: &[Asked], flops: f64) {
        for Asked { what, value, range, print } in asked {
            let Some([least, greatest]) = self.summary.trained.map(range) else { continue };
            // Achieved FLOPs differ a little from planned ones.
            let (far, end, word) = if *value > 1.01 * greatest {
                (value / greatest, greatest, "largest")
            } else if *value < 0.99 * least {
                (least / value, least, "smallest")
            } else {
                continue;
            };
            tell!(
                "warning: {} {what} are a factor of {} beyond the {word} behind this surface, {}: the \
                 form of the surface may not hold that far",
                print(*value),
                Ratio(far),
                print(end),
            );
        }
        self.note_missed(flops);
    }

    /// Whether a budget is so far beyond the runs that the surface says nothing of it.
    pub fn is_far(&self, flops: f64) -> bool {
        self.summary.trained.is_some_and(|trained| flops > FAR * trained.flops[1])
    }
}

/// A quantity that somebody asks the surface about.
pub struct Asked {
    /// Its name.
    pub what: &'static str,
    /// Its value.
    pub value: f64,
    /// What of it the runs span.
    pub range: fn(Trained) -> [f64; 2],
    /// How it is printed.
    pub print: fn(f64) -> String,
}

impl Asked {
    /// A budget.
    pub fn flops(value: f64) -> Self {
        Self { what: "FLOPs", value, range: |trained| trained.flops, print: |x| Flops(x).to_string() }
    }

    /// A number of parameters.
    pub fn params(value: f64) -> Self {
        Self { what: "parameters", value, range: |trained| trained.params, print: |x| Params(x).to_string() }
    }

    /// A number of tokens.
    pub fn tokens(value: f64) -> Self {
        Self { what: "tokens", value, range: |trained| trained.tokens, print: |x| Tokens(x).to_string() }
    }
}

/// The file of fits that a path or the name of a sweep stands for.
pub fn file(asked: &Path) -> anyhow::Result<PathBuf> {
    let named = Path::new("results").join(asked);
    let dir = if asked.exists() || !named.is_dir() { asked } else { &named };
    if dir.exists() && !dir.is_dir() {
        return Ok(dir.to_owned());
    }
    let file = dir.join("fits.json");
    let shown = paths::shown(dir);
    let rebuild = || {
        format!(
            "its sweep has not ended, or was killed before its fits; `runner ledger rebuild {shown}` fits what is there"
        )
    };
    ensure!(dir.exists(), "{shown}: {}", paths::meant(dir).unwrap_or_default());
    ensure!(file.exists(), "{shown} has no fits.json: {}", paths::meant(dir).unwrap_or_else(rebuild));
    Ok(file)
}

/// The surface that predicts best comes first: by the losses of the largest budget when fitted to the others, where all that
/// converged under one convention tell it; says so where there was a choice.
fn choose_by_forecast(surfaces: &mut [Summary]) {
    let error = |fit: &Summary| fit.forecast.and_then(|told| told.loss_rms).filter(|error| error.is_finite());
    let Some(first) = surfaces.first().filter(|first| first.status == Status::Converged) else { return };
    let (counting, group) = (first.counting, first.group.clone());
    let rivals = |fit: &Summary| fit.status == Status::Converged && fit.counting == counting && fit.group == group;
    let mut ranked: Vec<(usize, f64)> = Vec::new();
    for (i, fit) in surfaces.iter().enumerate().filter(|(_, fit)| rivals(fit)) {
        let Some(error) = error(fit) else { return };
        ranked.push((i, error));
    }
    ranked.sort_by(|a, b| a.1.total_cmp(&b.1));
    if ranked.len() > 1 {
        let told = |(i, error): &(usize, f64)| format!("{} {:.4}", surfaces[*i].approach.name(), Loss(*error));
        let told: Vec<String> = ranked.iter().map(told).collect();
        let best = surfaces[ranked[0].0].approach.name();
        tell!("note: {best} predicts the losses of the largest budget best (rms in nats: {})", told.join(", "));
        surfaces.swap(0, ranked[0].0);
    }
}

/// Reads what `runner fit --json` printed, objects one after another or lists of them, or the `fits.json` of a sweep.
/// Objects that are no fits of `runner` are skipped.
pub fn read(args: &SurfaceArgs) -> anyhow::Result<Fitted> {
    let file = file(&args.fit)?;
    let path = file.display();
    let text = std::fs::read_to_string(&file).with_context(|| format!("{path}: cannot be read"))?;
    let (mut found, mut laws) = (Vec::new(), Vec::new());
    for value in serde_json::Deserializer::from_str(&text).into_iter::<Value>() {
        let value = value.with_context(|| format!("{path}: is not what `runner fit --json` prints"))?;
        let values = match value {
            Value::Array(values) => values,
            Value::Object(mut sweep) => match sweep.remove("approaches") {
                Some(Value::Array(values)) => values,
                _ => vec![Value::Object(sweep)],
            },
            value => vec![value],
        };
        laws.extend(values.iter().filter_map(|value| Some(value.get("law")?.as_str()?.to_owned())));
        for mut fit in values.into_iter().filter_map(|value| serde_json::from_value::<Summary>(value).ok()) {
            let others = std::mem::take(&mut fit.other_countings);
            found.push(fit);
            found.extend(others);
        }
    }
    if let Some(law) = laws.first().filter(|_| found.is_empty()) {
        bail!(
            "{path}: has the law `{law}`, which tells no loss of any parameters and tokens; `runner fit RUNS.csv --approach 3 --json` \
             writes a surface, which does"
        );
    }
    ensure!(!found.is_empty(), "{path}: has no fit; write one with `runner fit RUNS.csv --json`");
    let asked = |fit: &Summary| {
        args.approach.is_none_or(|approach| approach == fit.approach)
            && args.counting.is_none_or(|counting| counting == fit.counting)
    };
    let mut surfaces: Vec<Summary> = found.into_iter().filter(|fit| asked(fit) && fit.surface().is_some()).collect();
    surfaces.sort_by_key(|fit| fit.status != Status::Converged);
    choose_by_forecast(&mut surfaces);
    if let Some(first) = surfaces.first()
        && surfaces.iter().any(|fit| fit.group != first.group)
    {
        tell!("warning: {path} has fits of several groups; the first that converged is used");
    }
    let Some(summary) = surfaces.into_iter().next() else {
        bail!(
            "{path}: has no fitted surface of that kind; `runner fit RUNS.csv --approach 3 --json` writes one for each \
             convention of counting in the table"
        );
    };
    let priced = summary.priced().context("a surface without constants")?;
    let surface = priced.surface;
    ensure!(surface.is_proper(), "{path}: {surface:?} is not a valid surface: A, B, alpha and beta must be above zero");
    if summary.status != Status::Converged {
        tell!("warning: the status of this fit is '{}': {}", summary.status.name(), summary.conclusion);
    }
    if summary.draws.is_empty() {
        tell!("note: no intervals: this file has no resamples; `runner fit RUNS.csv --json` writes them");
    }
    Ok(Fitted { summary, priced })
}
