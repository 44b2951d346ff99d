//! `runner allocate`.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::ensure;

use super::positive;
use super::shared::json;
use super::shared::rehearsed;
use super::shared::sheet::{Room, Sheet, Worth};
use super::shared::stdout;
use super::shared::surface::{self, Asked, Fitted};
use super::shared::written;
use crate::cli::AllocateArgs;
use crate::fit::Estimate;
use crate::fit::approaches::allocate;
use crate::fit::approaches::allocate::{Allocation, InferenceAware, LANDMARKS, Landmark, OffOptimum};
use crate::fit::approaches::surface::Priced;
use crate::report::words::estimate;
use crate::units::{Flops, Loss, Params, Ratio, Tokens};

/// Runs the command.
pub fn run(args: &AllocateArgs) -> anyhow::Result<ExitCode> {
    let flops = positive("flops", args.flops)?;
    let max_tokens = args.max_tokens.map(|tokens| positive("max-tokens", tokens)).transpose()?;
    let served = args.inference_tokens.map(|tokens| positive("inference-tokens", tokens)).transpose()?;
    let rehearsed = rehearsed::say_of_fits(&args.surface.fit)?;
    if let Some(law) = written::read(&args.surface.fit)? {
        return written::allocate(&law, args, (flops, rehearsed));
    }
    ensure!(args.cost.is_none() && args.at.is_empty(), "--cost and --at belong to a law that is a formula");
    let fitted = surface::read(&args.surface)?;
    let best = allocate::for_training(&fitted.priced, flops, max_tokens);
    let place = |priced: &Priced| {
        let Allocation { params, tokens, .. } = allocate::for_training(priced, flops, max_tokens);
        [params, tokens]
    };
    let [params, tokens] = [0, 1].map(|k| fitted.estimate(|priced| place(priced)[k]));
    let ratio = fitted.estimate(|priced| {
        let [params, tokens] = place(priced);
        tokens / params
    });
    let loss = fitted.loss(flops, place);
    let above = of_asymptote(&fitted, flops, max_tokens);
    let stopped = stopped(&fitted, flops);
    let off = [0.5, 2.0].map(|factor| allocate::off_optimum(&fitted.priced, flops, factor));
    let quality = allocate::for_training(&fitted.priced, flops, None);
    let serving = served.and_then(|served| Serving::of(&fitted, flops, served));
    warn(&fitted, flops, (best.tokens < quality.tokens).then_some(&best), serving.as_ref());
    if args.surface.json {
        let object = serde_json::json!({
            "approach": fitted.summary.approach, "counting": fitted.summary.counting,
            "status": fitted.summary.status, "trained": fitted.summary.trained, "flops": flops, "params": params, "tokens": tokens,
            "loss": loss, "tokens_per_param": ratio, "cost": fitted.priced.cost, "off_optimum": off,
            "above_asymptote": above, "stopped_at_a_tenth": stopped, "inference_aware": serving, "landmarks": landmarks(&fitted), "rehearsed": rehearsed,
        });
        json::print(object)?;
        return Ok(ExitCode::SUCCESS);
    }
    let (mut out, room) = (String::new(), Room::of(args.tables.wide));
    writeln!(out, "{} at {} FLOPs", fitted.name(), Flops(flops))?;
    out += &numbers([params, tokens, ratio, loss, above]);
    if best.tokens < quality.tokens {
        writeln!(out, "{}", limited(&quality))?;
    }
    for off in &off {
        writeln!(out, "{}", flatness(off))?;
    }
    if let Some(factor) = stopped {
        writeln!(out, "{}", stopping(factor))?;
    }
    if let Some(serving) = &serving {
        writeln!(out, "{}", serving.words(flops))?;
        if max_tokens.is_some_and(|most| serving.found.allocation.tokens > most) {
            writeln!(out, "which is more training tokens than available")?;
        }
    }
    let seen = landmarks(&fitted);
    if !seen.is_empty() {
        write!(out, "\nOther models on this surface\n{}", landmark_table(&seen).text(room))?;
    }
    stdout::print(&room.fold(&out))?;
    Ok(ExitCode::SUCCESS)
}

fn limited(unlimited: &Allocation) -> String {
    let Allocation { tokens, loss, .. } = unlimited;
    format!(
        "limited by the number of tokens: with unlimited tokens the optimum is {} tokens, loss {:.4}",
        Tokens(*tokens),
        Loss(*loss)
    )
}

fn stopping(factor: Estimate) -> String {
    let factor = estimate(factor, |x| format!("{x:.2}"));
    format!(
        "a model that reaches this loss a tenth above its asymptote (Kaplan et al. 2020) takes {factor} x the FLOPs"
    )
}

fn percent(x: f64) -> String {
    format!("{:.1}%", 100.0 * x)
}

/// Share by which the best model lies above its asymptote.
fn of_asymptote(fitted: &Fitted, flops: f64, max_tokens: Option<f64>) -> Estimate {
    fitted.estimate(|priced| {
        let best = allocate::for_training(priced, flops, max_tokens);
        allocate::above_asymptote(&priced.surface, best.params, best.tokens)
    })
}

/// FLOPs over the optimal ones for the same loss, where training stops a tenth above the asymptote; nothing where the surface
/// has no such model, or one resample in forty has none.
fn stopped(fitted: &Fitted, flops: f64) -> Option<Estimate> {
    let factor = |priced: &Priced| {
        let best = allocate::for_training(priced, flops, None);
        allocate::flops_stopped(priced, best.loss, 0.1).map_or(f64::INFINITY, |needed| needed / flops)
    };
    Some(fitted.estimate(factor)).filter(|found| found.value.is_finite() && found.high.is_finite())
}

/// Parameters, tokens, their ratio, loss, and how far it lies above its asymptote.
fn numbers([params, tokens, ratio, loss, above]: [Estimate; 5]) -> String {
    format!(
        "parameters       {}\ntokens           {}\ntokens per param {}\nloss             {} nats per token\nabove asymptote  {} of \
         what this size reaches with unlimited tokens\n",
        estimate(params, |x| Params(x).to_string()),
        estimate(tokens, |x| Tokens(x).to_string()),
        estimate(ratio, |x| Ratio(x).to_string()),
        estimate(loss, |x| format!("{:.4}", Loss(x))),
        estimate(above, percent)
    )
}

fn flatness(off: &OffOptimum) -> String {
    let lost = 100.0 * (1.0 - off.equivalent_flops);
    format!(
        "{} x the parameters of the unlimited optimum costs {:.4} nats, the same as losing {lost:.1}% of the budget",
        off.factor,
        Loss(off.excess)
    )
}

/// The model that is cheapest in training and serving together, with intervals.
#[derive(serde::Serialize)]
struct Serving {
    #[serde(flatten)]
    found: InferenceAware,
    /// Tokens that are served.
    served: f64,
    /// FLOPs of its training alone.
    training_flops: f64,
    params: Estimate,
    tokens: Estimate,
    saved: Estimate,
}

impl Serving {
    /// At the loss of the best model of a training budget.
    fn of(fitted: &Fitted, flops: f64, served: f64) -> Option<Self> {
        let cheapest = |priced: &Priced| {
            let quality = allocate::for_training(priced, flops, None);
            allocate::with_inference(priced, &quality, served)
        };
        let found = cheapest(&fitted.priced)?;
        let of = |read: fn(&InferenceAware) -> f64| {
            fitted.estimate(|priced| cheapest(priced).map_or(f64::NAN, |found| read(&found)))
        };
        Some(Self {
            found,
            served,
            training_flops: fitted.priced.flops(found.allocation.params, found.allocation.tokens),
            params: of(|found| found.allocation.params),
            tokens: of(|found| found.allocation.tokens),
            saved: of(|found| found.saving),
        })
    }

    fn words(&self, budget: f64) -> String {
        let Self { found, served, training_flops, params, tokens, saved } = self;
        format!(
            "serving {} tokens at a loss of {:.4}: {} parameters, {} tokens, {} FLOPs in all, {} less than the training optimum. \
             Its training alone takes {} FLOPs, {} times the budget: it is this loss that is kept, and not the budget",
            Tokens(*served),
            Loss(found.allocation.loss),
            estimate(*params, |x| Params(x).to_string()),
            estimate(*tokens, |x| Tokens(x).to_string()),
            Flops(found.flops),
            estimate(*saved, percent),
            Flops(*training_flops),
            Ratio(training_flops / budget),
        )
    }
}

/// Warns of what lies beyond the runs behind the surface: the budget, what data that run out leave to parameters, and the
/// model that is to serve.
fn warn(fitted: &Fitted, flops: f64, limited: Option<&Allocation>, serving: Option<&Serving>) {
    let mut asked = vec![Asked::flops(flops)];
    asked.extend(limited.map(|best| Asked::params(best.params)));
    if let Some(Serving { found, .. }) = serving {
        asked.extend([Asked::params(found.allocation.params), Asked::tokens(found.allocation.tokens)]);
    }
    fitted.warn_beyond(&asked, flops);
    let largest = limited.into_iter().chain(serving.map(|serving| &serving.found.allocation));
    fitted.note_cost(largest.map(|best| best.params).fold(fitted.priced.n_opt(flops), f64::max));
}

/// A landmark as this surface sees it.
#[derive(serde::Serialize)]
struct Seen {
    name: &'static str,
    params: f64,
    tokens: f64,
    loss: Estimate,
    optimal_params: f64,
    optimal_loss: f64,
}

/// Those whose budgets the surface has something to say about.
fn landmarks(fitted: &Fitted) -> Vec<Seen> {
    let flops = |model: &Landmark| fitted.priced.flops(model.params, model.tokens);
    let seen = LANDMARKS.iter().filter(|model| !fitted.is_far(flops(model))).map(|model| {
        let flops = flops(model);
        let best = allocate::for_training(&fitted.priced, flops, None);
        Seen {
            name: model.name,
            params: model.params,
            tokens: model.tokens,
            loss: fitted.loss(flops, |_| [model.params, model.tokens]),
            optimal_params: best.params,
            optimal_loss: best.loss,
        }
    });
    seen.collect()
}

fn landmark_table(landmarks: &[Seen]) -> Sheet {
    let mut table = Sheet::new([
        ("model", Worth::Must),
        ("tokens/param", Worth::More(1)),
        ("loss", Worth::Must),
        ("N_opt for its FLOPs", Worth::More(2)),
        ("loss there", Worth::More(2)),
    ]);
    for seen in landmarks {
        table.add_row([
            seen.name.to_owned(),
            Ratio(seen.tokens / seen.params).to_string(),
            estimate(seen.loss, |x| format!("{:.4}", Loss(x))),
            Params(seen.optimal_params).to_string(),
            format!("{:.4}", Loss(seen.optimal_loss)),
        ]);
    }
    table
}
