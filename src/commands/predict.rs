//! `runner predict`.

use std::process::ExitCode;

use super::surface::{self, positive, show};
use crate::cli::PredictArgs;
use crate::fit::allocate;
use crate::units::{Flops, Params, Tokens};

/// Runs the command.
pub fn run(args: &PredictArgs) -> anyhow::Result<ExitCode> {
    let (params, tokens) = (positive("params", args.params)?, positive("tokens", args.tokens)?);
    let fitted = surface::read(&args.surface)?;
    let flops = 6.0 * params * tokens;
    let loss = fitted.estimate(|surface| surface.loss(params, tokens));
    let best = allocate::for_training(&fitted.surface, flops, None);
    if args.surface.json {
        let object = serde_json::json!({
            "approach": fitted.summary.approach, "status": fitted.summary.status, "params": params, "tokens": tokens,
            "flops": flops, "loss": loss, "tokens_per_param": tokens / params, "optimum": best,
        });
        println!("{object}");
        return Ok(ExitCode::SUCCESS);
    }
    println!("{} parameters, {} tokens, {} FLOPs (6ND)", Params(params), Tokens(tokens), Flops(flops));
    println!("loss {} nats per token", show(loss, |x| format!("{x:.4}")));
    println!(
        "the optimum for these FLOPs: {} parameters, {} tokens, loss {:.4}",
        Params(best.params),
        Tokens(best.tokens),
        best.loss
    );
    Ok(ExitCode::SUCCESS)
}
