//! `runner fit`.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Context, ensure};

use super::{STDOUT, fit_table};
use crate::cli::{Approach, FitArgs, LawAxis};
use crate::fit::approach2::akima::Noise;
use crate::fit::approach3::Options;
use crate::fit::power::{self, Form};
use crate::fit::summary::Summary;
use crate::fit::table::{self, Columns};
use crate::fit::{Bootstrap, approach1, approach2, approach3, forecast, points, vpnls};
use crate::observation::{Counting, Observation};

/// Runs the command.
pub fn run(args: &FitArgs) -> anyhow::Result<ExitCode> {
    ensure!(args.delta.is_finite() && args.delta > 0.0, "--delta {}: write a number above zero", args.delta);
    let columns = Columns::parse(&args.columns)?;
    let options = table::Options { tokens_from_flops: args.tokens_from_flops };
    let read = table::read(&args.runs, &columns, options)?;
    if read.skipped > 0 {
        eprintln!("note: {} rows are not finished and were skipped", read.skipped);
    }
    for note in &read.notes {
        eprintln!("note: {note}");
    }
    let mut runs = read.observations;
    ensure!(
        args.drop_highest < runs.len(),
        "--drop-highest {} leaves none of the {} runs of {}",
        args.drop_highest,
        runs.len(),
        args.runs.display()
    );
    runs.sort_by(|a, b| a.loss.total_cmp(&b.loss));
    runs.truncate(runs.len() - args.drop_highest);
    if runs.len() > points::MOST && args.approach != Approach::Parabolas {
        eprintln!("note: surfaces are fitted to an even share of at most {} of the {} rows", points::MOST, runs.len());
    }

    if let Some(axis) = args.law {
        return law(&runs, axis, args);
    }
    let fits: Vec<Summary> = approaches(args.approach)
        .iter()
        .map(|approach| fit(&runs, *approach, args).context("no row tells parameters"))
        .collect::<anyhow::Result<_>>()?;
    if args.json {
        for fit in &fits {
            writeln!(io::stdout(), "{}", serde_json::to_string(fit)?).context(STDOUT)?;
        }
    } else {
        write!(io::stdout(), "{}", fit_table::text(&fits)).context(STDOUT)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Laws of one variable instead of the approaches.
fn law(runs: &[Observation], axis: LawAxis, args: &FitArgs) -> anyhow::Result<ExitCode> {
    let x: Vec<f64> = runs
        .iter()
        .map(|run| match axis {
            LawAxis::Params => run.params,
            LawAxis::Tokens => run.tokens,
            LawAxis::Flops => run.flops,
        })
        .collect();
    let loss: Vec<f64> = runs.iter().map(|run| run.loss).collect();
    let selection = power::select(&x, &loss).with_context(|| {
        format!("{}: a law of one variable needs at least 4 rows with different values of it", args.runs.display())
    })?;
    let bootstrap = Bootstrap { resamples: args.bootstrap as usize, seed: args.seed };
    // Breaks are too many unknowns to resample a thousand times; the two plain laws are not.
    let exponent = |law: &power::Law| match law.form {
        Form::Pure | Form::Offset => power::exponent(&x, &loss, law.form, &bootstrap),
        Form::Broken | Form::Exponential => None,
    };
    if args.json {
        let exponents: Vec<_> = selection.laws.iter().map(exponent).collect();
        let json = serde_json::json!({ "selection": selection, "exponents": exponents });
        writeln!(io::stdout(), "{json}").context(STDOUT)?;
    } else {
        write!(io::stdout(), "{}", fit_table::laws(&selection, exponent)).context(STDOUT)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn approaches(asked: Approach) -> Vec<Approach> {
    match asked {
        Approach::All => vec![Approach::Envelope, Approach::Parabolas, Approach::Huber, Approach::Vpnls],
        one => vec![one],
    }
}

/// One approach under every convention of counting that the table tells.
fn fit(runs: &[Observation], approach: Approach, args: &FitArgs) -> Option<Summary> {
    let told = |counting: &Counting| runs.iter().any(|run| run.params_by(*counting).is_some());
    let countings = Counting::ALL.into_iter().filter(told);
    Summary::nested(countings.map(|counting| fit_one(runs, approach, counting, args)).collect())
}

fn fit_one(runs: &[Observation], approach: Approach, counting: Counting, args: &FitArgs) -> Summary {
    let bootstrap = Bootstrap { resamples: args.bootstrap as usize, seed: args.seed };
    let none = Bootstrap { resamples: 0, ..bootstrap };
    let held_out = forecast::hold_out(runs);
    let huber = |runs: &[Observation], bootstrap| {
        approach3::fit(runs, counting, &Options { delta: args.delta, bootstrap, ..Options::default() })
    };
    let project = |runs: &[Observation], bootstrap| vpnls::fit(runs, counting, &bootstrap);
    let surface = |fit: &dyn Fn(&[Observation], Bootstrap) -> _| {
        let forecast = held_out.as_ref().and_then(|(smaller, largest)| {
            let fitted: crate::fit::parametric::SurfaceFit = fit(smaller, none);
            forecast::of_surface(&fitted.surface?, largest, counting)
        });
        Summary { forecast, ..Summary::from(&fit(runs, bootstrap)) }
    };
    match approach {
        Approach::Envelope => Summary::from(&approach1::fit(runs, counting, &bootstrap)),
        Approach::Parabolas | Approach::All => {
            let fitted = approach2::fit(runs, counting, &bootstrap);
            let smaller = held_out.map(|(smaller, _)| approach2::fit(&smaller, counting, &none));
            let bias = project(runs, none).surface.and_then(|truth| approach2::bias::bias(runs, counting, &truth));
            let forecast = smaller.and_then(|smaller| forecast::of_optima(&smaller, &fitted));
            let spline = approach2::akima::fit(runs, counting, Noise::default(), &bootstrap);
            let spline = Some(spline).filter(|spline| spline.n_opt.is_some());
            Summary { forecast, spline, bias: bias.filter(|_| fitted.n_opt.is_some()), ..Summary::from(&fitted) }
        }
        Approach::Huber => surface(&huber),
        Approach::Vpnls => surface(&project),
    }
}
