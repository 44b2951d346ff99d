//! `runner predict`.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::{Context, ensure};

use super::shared::json;
use super::shared::sheet::Room;
use super::shared::surface::{self, Asked};
use super::shared::written;
use super::{STDOUT, positive};
use crate::cli::PredictArgs;
use crate::fit::approaches::allocate;
use crate::report::words::estimate;
use crate::units::{Flops, Params, Tokens};

/// Runs the command.
pub fn run(args: &PredictArgs) -> anyhow::Result<ExitCode> {
    if let Some(law) = written::read(&args.surface.fit)? {
        return written::predict(&law, args);
    }
    ensure!(args.at.is_empty(), "--at belongs to a law that is a formula; a surface takes --params and --tokens");
    let given = |flag: &str, value: Option<f64>| positive(flag, value.with_context(|| format!("--{flag} is missing"))?);
    let (params, tokens) = (given("params", args.params)?, given("tokens", args.tokens)?);
    let fitted = surface::read(&args.surface)?;
    let flops = fitted.priced.flops(params, tokens);
    fitted.warn_beyond(&[Asked::params(params), Asked::tokens(tokens)]);
    let loss = fitted.estimate(|priced| priced.surface.loss(params, tokens));
    let best = allocate::for_training(&fitted.priced, flops, None);
    if args.surface.json {
        let object = serde_json::json!({
            "approach": fitted.summary.approach, "counting": fitted.summary.counting,
            "status": fitted.summary.status, "trained": fitted.summary.trained, "params": params, "tokens": tokens,
            "flops": flops, "loss": loss, "tokens_per_param": tokens / params, "optimum": best,
        });
        json::print(object)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut out = String::new();
    writeln!(out, "{}", fitted.name())?;
    writeln!(out, "{} parameters, {} tokens, {} FLOPs", Params(params), Tokens(tokens), Flops(flops))?;
    writeln!(out, "loss {} nats per token", estimate(loss, |x| format!("{x:.4}")))?;
    writeln!(
        out,
        "the optimum for these FLOPs: {} parameters, {} tokens, loss {:.4}",
        Params(best.params),
        Tokens(best.tokens),
        best.loss
    )?;
    io::stdout().write_all(Room::of(false).fold(&out).as_bytes()).context(STDOUT)?;
    Ok(ExitCode::SUCCESS)
}
