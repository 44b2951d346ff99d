//! `runner allocate`.

use std::process::ExitCode;

use comfy_table::{ContentArrangement, Table, presets};

use super::surface::{self, Fitted, positive, show};
use crate::cli::AllocateArgs;
use crate::fit::Estimate;
use crate::fit::allocate::{self, Allocation, InferenceAware, LANDMARKS, OffOptimum};
use crate::units::{Flops, Params, Tokens};

/// Runs the command.
pub fn run(args: &AllocateArgs) -> anyhow::Result<ExitCode> {
    let flops = positive("flops", args.flops)?;
    let max_tokens = args.max_tokens.map(|tokens| positive("max-tokens", tokens)).transpose()?;
    let served = args.inference_tokens.map(|tokens| positive("inference-tokens", tokens)).transpose()?;
    let fitted = surface::read(&args.surface)?;
    let best = allocate::for_training(&fitted.surface, flops, max_tokens);
    let of = |read: fn(&Allocation) -> f64| {
        fitted.estimate(|surface| read(&allocate::for_training(surface, flops, max_tokens)))
    };
    let [params, tokens, loss] = [of(|best| best.params), of(|best| best.tokens), of(|best| best.loss)];
    let off = [0.5, 2.0].map(|factor| allocate::off_optimum(&fitted.surface, flops, factor));
    let quality = allocate::for_training(&fitted.surface, flops, None);
    let inference = served.and_then(|served| allocate::with_inference(&fitted.surface, &quality, served));
    if args.surface.json {
        let object = serde_json::json!({
            "approach": fitted.summary.approach, "status": fitted.summary.status, "flops": flops, "params": params,
            "tokens": tokens, "loss": loss, "tokens_per_param": best.tokens / best.params, "off_optimum": off,
            "inference_aware": inference, "landmarks": landmarks(&fitted),
        });
        println!("{object}");
        return Ok(ExitCode::SUCCESS);
    }
    println!("Approach {}, {} FLOPs (6ND)", fitted.summary.approach, Flops(flops));
    println!("parameters       {}", show(params, |x| Params(x).to_string()));
    println!("tokens           {}", show(tokens, |x| Tokens(x).to_string()));
    println!("tokens per param {}", Params(best.tokens / best.params));
    println!("loss             {} nats per token", show(loss, |x| format!("{x:.4}")));
    if best.tokens < quality.tokens {
        println!(
            "the tokens there are bind: unlimited, {} tokens would give loss {:.4}",
            Tokens(quality.tokens),
            quality.loss
        );
    }
    for off in &off {
        println!("{}", flatness(off));
    }
    if let (Some(served), Some(found)) = (served, inference) {
        println!("{}", serving(served, &found));
        if max_tokens.is_some_and(|most| found.allocation.tokens > most) {
            println!("which is more training tokens than there are");
        }
    }
    println!("\nOther models on this surface\n{}", landmark_table(&fitted));
    Ok(ExitCode::SUCCESS)
}

fn flatness(off: &OffOptimum) -> String {
    let lost = 100.0 * (1.0 - off.equivalent_flops);
    format!(
        "{} x the parameters of the unlimited optimum costs {:.4} nats, as if {lost:.1}% of the budget were lost",
        off.factor, off.excess
    )
}

fn serving(served: f64, found: &InferenceAware) -> String {
    format!(
        "serving {} tokens at this loss: {} parameters, {} tokens, {} FLOPs in all, {:.1}% less than the training optimum",
        Tokens(served),
        Params(found.allocation.params),
        Tokens(found.allocation.tokens),
        Flops(found.flops),
        100.0 * found.saving
    )
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

fn landmarks(fitted: &Fitted) -> Vec<Seen> {
    let seen = LANDMARKS.iter().map(|model| {
        let best = allocate::for_training(&fitted.surface, 6.0 * model.params * model.tokens, None);
        Seen {
            name: model.name,
            params: model.params,
            tokens: model.tokens,
            loss: fitted.estimate(|surface| surface.loss(model.params, model.tokens)),
            optimal_params: best.params,
            optimal_loss: best.loss,
        }
    });
    seen.collect()
}

fn landmark_table(fitted: &Fitted) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["model", "tokens/param", "loss", "N_opt for its FLOPs", "loss there"]);
    for seen in landmarks(fitted) {
        table.add_row([
            seen.name.to_owned(),
            Params(seen.tokens / seen.params).to_string(),
            show(seen.loss, |x| format!("{x:.4}")),
            Params(seen.optimal_params).to_string(),
            format!("{:.4}", seen.optimal_loss),
        ]);
    }
    table
}
