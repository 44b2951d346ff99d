//! `runner predict`.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::{Context, ensure};

use super::positive;
use super::shared::json;
use super::shared::rehearsed;
use super::shared::sheet::{Room, Sheet, Worth};
use super::shared::stdout;
use super::shared::surface::{self, Asked, Fitted};
use super::shared::written;
use crate::cli::PredictArgs;
use crate::fit::Estimate;
use crate::fit::approaches::allocate;
use crate::fit::approaches::allocate::Tenfold;
use crate::fit::approaches::surface::Surface;
use crate::report::words::estimate;
use crate::units::{Flops, Loss, Params, Tokens};

/// Runs the command.
pub fn run(args: &PredictArgs) -> anyhow::Result<ExitCode> {
    let rehearsed = rehearsed::say_of_fits(&args.surface.fit)?;
    if let Some(law) = written::read(&args.surface.fit)? {
        return written::predict(&law, args, rehearsed);
    }
    ensure!(args.at.is_empty(), "--at belongs to a law that is a formula; a surface takes --params and --tokens");
    let given = |flag: &str, value: Option<f64>| positive(flag, value.with_context(|| format!("--{flag} is missing"))?);
    let (params, tokens) = (given("params", args.params)?, given("tokens", args.tokens)?);
    let fitted = surface::read(&args.surface)?;
    let flops = fitted.priced.flops(params, tokens);
    fitted.warn_beyond(&[Asked::params(params), Asked::tokens(tokens)], flops);
    let loss = fitted.loss(flops, |_| [params, tokens]);
    fitted.note_cost(params);
    let best = allocate::for_training(&fitted.priced, flops, None);
    let terms = TERMS.map(|(_, term)| fitted.estimate(|priced| term(&priced.surface, params, tokens)));
    let [of_params, of_tokens] = [doubled(&fitted, params, tokens, true), doubled(&fitted, params, tokens, false)];
    let tenfold = TENFOLD.map(|(_, what)| {
        let left = fitted.estimate(|priced| what.left(priced, params, tokens));
        (what, Estimate { value: 1.0 - left.value, low: 1.0 - left.high, high: 1.0 - left.low })
    });
    if args.surface.json {
        let object = serde_json::json!({
            "approach": fitted.summary.approach, "counting": fitted.summary.counting,
            "status": fitted.summary.status, "trained": fitted.summary.trained, "params": params, "tokens": tokens,
            "flops": flops, "loss": loss, "tokens_per_param": tokens / params, "optimum": best,
            "terms": {"irreducible": terms[0], "params": terms[1], "tokens": terms[2]},
            "doubled": {"params": of_params, "tokens": of_tokens},
            "tenfold": tenfold.map(|(what, less)| serde_json::json!({"of": what, "less": less})),
            "rehearsed": rehearsed,
        });
        json::print(object)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut out = String::new();
    writeln!(out, "{}", fitted.name())?;
    writeln!(out, "{} parameters, {} tokens, {} FLOPs", Params(params), Tokens(tokens), Flops(flops))?;
    writeln!(out, "loss {} nats per token", estimate(loss, |x| format!("{:.4}", Loss(x))))?;
    let parts: Vec<String> = TERMS
        .iter()
        .zip(&terms)
        .map(|((name, _), term)| format!("{name} {}", estimate(*term, |x| format!("{:.3}", Loss(x)))))
        .collect();
    writeln!(out, "of which {}", parts.join(", "))?;
    writeln!(
        out,
        "twice the FLOPs, spent on parameters alone, buy {} nats; on tokens alone {}",
        estimate(of_params, |x| format!("{:.4}", Loss(x))),
        estimate(of_tokens, |x| format!("{:.4}", Loss(x)))
    )?;
    writeln!(
        out,
        "the optimum for these FLOPs: {} parameters, {} tokens, loss {:.4}",
        Params(best.params),
        Tokens(best.tokens),
        Loss(best.loss)
    )?;
    write!(out, "\n{}", tenfold_table(&tenfold).text(Room::of(false)))?;
    stdout::print(&Room::of(false).fold(&out))?;
    Ok(ExitCode::SUCCESS)
}

/// A term of the loss of a model of so many parameters and tokens.
type Term = fn(&Surface, f64, f64) -> f64;

/// The terms of the loss.
const TERMS: [(&str, Term); 3] = [
    ("irreducible", |surface, _, _| surface.e),
    ("for lack of parameters", |surface, params, _| surface.a / params.powf(surface.alpha)),
    ("for lack of tokens", |surface, _, tokens| surface.b / tokens.powf(surface.beta)),
];

const TENFOLD: [(&str, Tenfold); 3] =
    [("parameters", Tenfold::Params), ("tokens", Tenfold::Tokens), ("FLOPs, each at their optimum", Tenfold::Flops)];

/// Nats that twice the FLOPs buy, all of them spent on parameters or on tokens.
fn doubled(fitted: &Fitted, params: f64, tokens: f64, on_params: bool) -> Estimate {
    fitted.estimate(|priced| {
        let flops = 2.0 * priced.flops(params, tokens);
        let (n, d) = if on_params {
            (priced.cost.params(flops / tokens), tokens)
        } else {
            (params, flops / priced.cost.per_token(params))
        };
        priced.surface.loss(params, tokens) - priced.surface.loss(n, d)
    })
}

/// What ten times as much buys, beside the rule of thumb.
fn tenfold_table(tenfold: &[(Tenfold, Estimate); 3]) -> Sheet {
    let mut table = Sheet::new([
        ("ten times the", Worth::Must),
        ("lowers the loss by", Worth::Must),
        ("Kaplan et al.", Worth::More(1)),
    ]);
    let percent = |x: f64| format!("{:.1}%", 100.0 * x);
    for ((name, _), (what, less)) in TENFOLD.iter().zip(tenfold) {
        table.add_row([(*name).to_owned(), estimate(*less, percent), percent(1.0 - what.left_by_kaplan())]);
    }
    table
}
