//! The tables that `runner fit` prints.

use std::fmt::Write as _;

use crate::commands::shared::sheet::{Room, Sheet, Worth};
use crate::fit::Estimate;
use crate::fit::approaches::approach2::sure::{Share, Sure};
use crate::fit::approaches::forecast::Forecast;
use crate::fit::approaches::headline::{self, Headline};
use crate::fit::approaches::summary::{BudgetOptimum, Summary};
use crate::report::words;
use crate::units::{Flops, Loss, Params, Ratio, Tokens};

/// Budgets of one table; a table of training curves has thousands.
const MOST_ROWS: usize = 40;

/// Optima by budget, constants of surfaces, the approaches side by side, what each forecasts and concludes.
pub fn text(fits: &[Summary], room: Room) -> String {
    let all: Vec<&Summary> = fits.iter().flat_map(|fit| std::iter::once(fit).chain(&fit.other_countings)).collect();
    let mut out = String::new();
    for fit in &all {
        if let Some(found) = &fit.optima {
            out += &titled(&format!("{}: the optimum of each budget", name(fit)), &optima(found), room);
        }
    }
    let surfaces: Vec<&Summary> = all.iter().copied().filter(|fit| fit.surface().is_some()).collect();
    if !surfaces.is_empty() {
        out += &titled("Surfaces L = E + A/N^alpha + B/D^beta", &constants(&surfaces), room);
    }
    out += &titled(&format!("Side by side ({})", resampled(&all)), &side_by_side(&all), room);
    if let Some(checks) = forecasts(&all) {
        out += &titled("The largest budget held out and predicted from the smaller ones", &checks, room);
        out.extend(best_forecasts(&all));
    }
    out.extend(all.iter().map(|fit| format!("{}: {}{}{}\n", name(fit), fit.conclusion, spline(fit), bias(fit))));
    // The answer last, where whoever has scrolled looks first.
    match Headline::of(all.iter().copied()) {
        Some(headline) => {
            let _ = writeln!(out, "\nHeadline: {headline}");
            out.extend(beyond_interval(&headline, &all).map(|words| format!("\n{words}\n")));
        }
        // Who looks for the line finds it in any case.
        None => {
            let _ = writeln!(out, "\nHeadline: none: {}", Headline::missing(all.iter().copied()));
        }
    }
    let sure = all.iter().filter(|fit| fit.counting == headline::COUNTED).find_map(|fit| fit.sure.as_ref());
    out.extend(sure.map(|sure| format!("\nHow sure: {}\n", how_sure(sure))));
    room.fold(&out)
}

/// The line above what belongs to one group.
pub(super) fn heading(group: &str) -> String {
    format!("== {group} ==\n")
}

fn name(fit: &Summary) -> String {
    format!("{}, {}", fit.approach.name().replace("approach", "Approach"), fit.counting.name())
}

/// What the intervals of each approach resample.
fn resampled(all: &[&Summary]) -> String {
    let mut told: Vec<String> =
        all.iter().map(|fit| format!("{} resamples {}", fit.approach.name(), fit.resampled)).collect();
    told.dedup();
    format!("95% percentile intervals: {}", told.join(", "))
}

fn titled(title: &str, table: &Sheet, room: Room) -> String {
    format!("{title}\n{}\n", table.text(room))
}

fn optima(found: &[BudgetOptimum]) -> Sheet {
    let mut table = Sheet::new([
        ("budget", Worth::Must),
        ("runs", Worth::More(5)),
        ("N_opt", Worth::More(2)),
        ("D_opt", Worth::More(4)),
        ("tokens/param", Worth::Must),
        ("loss", Worth::More(3)),
        ("status", Worth::More(1)),
    ]);
    for optimum in &found[..found.len().min(MOST_ROWS)] {
        let interval = |value: Option<f64>, interval: Option<[f64; 2]>| {
            interval.zip(value).map(|([low, high], value)| Estimate { value, low, high })
        };
        let params = interval(optimum.params, optimum.low.zip(optimum.high).map(|(low, high)| [low, high]));
        table.add_row([
            Flops(optimum.budget).to_string(),
            optimum.points.to_string(),
            cell(params, |x| Params(x).to_string()),
            cell(interval(optimum.tokens, optimum.tokens_interval), |x| Tokens(x).to_string()),
            cell(optimum.tokens_per_param, |x| Ratio(x).to_string()),
            optimum.loss.map_or_else(|| "-".to_owned(), |loss| format!("{:.4}", Loss(loss))),
            optimum.status.name().to_owned(),
        ]);
    }
    if found.len() > MOST_ROWS {
        table.add_row([format!("{} more", found.len() - MOST_ROWS)]);
    }
    table
}

fn constants(surfaces: &[&Summary]) -> Sheet {
    let mut table = Sheet::new([
        ("fit", Worth::Must),
        ("FLOPs", Worth::More(5)),
        ("E", Worth::Must),
        ("A", Worth::More(3)),
        ("B", Worth::More(3)),
        ("alpha", Worth::More(1)),
        ("beta", Worth::More(1)),
        ("objective", Worth::More(6)),
        ("rms of log residuals", Worth::More(4)),
        ("largest", Worth::More(5)),
    ]);
    for fit in surfaces {
        let number = |name: &str, value: Option<f64>, digits: usize| {
            let print = |x: f64| format!("{x:.digits$}");
            let at_bound =
                value.filter(|_| fit.at_bound.iter().any(|at| at == name) && !fit.intervals.contains_key(name));
            at_bound.map_or_else(
                || cell(fit.estimate(name, value), print),
                |value| format!("{} (at its bound, no interval)", print(value)),
            )
        };
        let coefficient = |name: &str, value| cell(fit.estimate(name, value), |x| Params(x).to_string());
        let residual = |x: Option<f64>| x.map_or_else(|| "-".to_owned(), |x| format!("{x:.5}"));
        let cost = fit.cost.unwrap_or_default();
        let scatter = if cost.rms > 0.02 { format!(" +- {:.0}%", 100.0 * cost.rms) } else { String::new() };
        table.add_row([
            name(fit),
            format!("{cost}{scatter}"),
            number("E", fit.e, 4),
            coefficient("A", fit.a),
            coefficient("B", fit.b),
            number("alpha", fit.alpha, 4),
            number("beta", fit.beta, 4),
            fit.objective.map_or_else(|| "-".to_owned(), |objective| format!("{objective:.6e}")),
            residual(fit.residuals.map(|residuals| residuals.rms)),
            residual(fit.residuals.map(|residuals| residuals.largest)),
        ]);
    }
    table
}

/// One row a fit; tokens per parameter at the ends of the data and beyond.
fn side_by_side(all: &[&Summary]) -> Sheet {
    let rows = |fit: &Summary| fit.tokens_per_param.iter().map(|row| row.flops).collect::<Vec<_>>();
    let longest = all.iter().map(|fit| rows(fit)).max_by_key(Vec::len).unwrap_or_default();
    // Every list ends in three budgets beyond its data, of which the middle one is shown.
    let shown: Vec<f64> = match longest.len() {
        0 => Vec::new(),
        n if n <= 4 => longest.clone(),
        n => vec![longest[0], longest[n - 4], longest[n - 2]],
    };
    let last = longest.len().checked_sub(2).map_or(f64::NAN, |k| longest[k] / 100.0);
    let mut columns = [
        ("fit", Worth::Must),
        ("status", Worth::Must),
        ("points", Worth::More(5)),
        ("exponent of N_opt", Worth::More(2)),
        ("exponent of D_opt", Worth::More(3)),
    ]
    .map(|(name, worth)| (name.to_owned(), worth))
    .to_vec();
    columns.extend(shown.iter().map(|flops| {
        let beyond = *flops > last * 1.01;
        let how_far = if beyond { format!(", {:.0}x beyond", flops / last) } else { String::new() };
        // The ratio at the largest budget that was trained is what the fits are for.
        let worth = if (flops / last - 1.0).abs() < 0.01 { Worth::More(1) } else { Worth::More(4) };
        (format!("tokens/param at {}{how_far}", Flops(*flops)), worth)
    }));
    let mut table = Sheet::new(columns);
    for fit in all {
        let exponent = |x: f64| format!("{x:.3}");
        let mut row = vec![
            name(fit),
            fit.status.name().to_owned(),
            fit.points.to_string(),
            cell(fit.estimate("n_exponent", fit.n_exponent), exponent),
            cell(fit.estimate("d_exponent", fit.d_exponent), exponent),
        ];
        row.extend(shown.iter().map(|flops| cell(at(fit, *flops), |x| Ratio(x).to_string())));
        table.add_row(row);
    }
    table
}

/// Tokens per parameter at a budget, from the two neighbours of the list: power laws are straight in the logarithms.
fn at(fit: &Summary, flops: f64) -> Option<Estimate> {
    let rows = &fit.tokens_per_param;
    if let Some(row) = rows.iter().find(|row| words::same(row.flops, flops)) {
        return Some(row.ratio);
    }
    let after = rows.iter().position(|row| row.flops > flops)?;
    let (left, right) = (rows.get(after.checked_sub(1)?)?, rows[after]);
    let share = (flops / left.flops).ln() / (right.flops / left.flops).ln();
    let between = |low: f64, high: f64| low * (high / low).powf(share);
    Some(Estimate {
        value: between(left.ratio.value, right.ratio.value),
        low: between(left.ratio.low, right.ratio.low),
        high: between(left.ratio.high, right.ratio.high),
    })
}

fn forecasts(all: &[&Summary]) -> Option<Sheet> {
    let mut table = Sheet::new([
        ("fit", Worth::Must),
        ("budget", Worth::Must),
        ("runs", Worth::More(4)),
        ("rms error of loss", Worth::Must),
        ("mean error of loss", Worth::More(4)),
        ("error of N_opt", Worth::More(1)),
        ("error of D_opt", Worth::More(3)),
        ("loss that costs", Worth::More(2)),
        ("rank", Worth::More(1)),
    ]);
    let mut any = false;
    for (fit, forecast) in all.iter().filter_map(|fit| Some((fit, fit.forecast?))) {
        let nats = |x: Option<f64>| x.map_or_else(|| "-".to_owned(), |x| format!("{:.4}", Loss(x)));
        let percent = |x: Option<f64>| x.map_or_else(|| "-".to_owned(), |x| format!("{:+.1}%", 100.0 * (x - 1.0)));
        table.add_row([
            name(fit),
            Flops(forecast.budget).to_string(),
            forecast.points.to_string(),
            nats(forecast.loss_rms),
            nats(forecast.loss_mean),
            percent(forecast.n_opt_ratio),
            percent(forecast.d_opt_ratio),
            nats(forecast.regret),
            forecast.rank.map_or_else(|| "-".to_owned(), |rank| rank.to_string()),
        ]);
        any = true;
    }
    any.then_some(table)
}

/// Which approach predicts best, under each convention.
fn best_forecasts(all: &[&Summary]) -> Option<String> {
    let best = |fit: &&&Summary| fit.forecast.and_then(|forecast: Forecast| forecast.rank) == Some(1);
    let told: Vec<String> = all.iter().filter(best).map(|fit| name(fit)).collect();
    (!told.is_empty()).then(|| {
        format!(
            "Ranked by the error of N_opt at the budget held out, the best: {}. The optimum held out is that of a parabola, \
             which favours approach 2 by as much as parabolas err on this grid (below): differences smaller than that say \
             nothing.\n\n",
            told.join("; ")
        )
    })
}

/// How far parabolas err on this grid, where that is more than the interval of the headline reaches: resamples of the same grid know
/// nothing of it.
fn beyond_interval(headline: &Headline, all: &[&Summary]) -> Option<String> {
    let of_headline = |fit: &&&Summary| fit.approach == headline.approach && fit.counting == headline.counting;
    let bias = all.iter().find(of_headline)?.bias?;
    // At a fixed budget parameters err by as much to the other side.
    let ratio = (1.0 + bias.tokens_at_largest).powi(2) - 1.0;
    let Estimate { value, low, high } = headline.tokens_per_param;
    let truth = value / (1.0 + ratio);
    (truth < low || truth > high).then(|| {
        format!(
            "Beware: if the VPNLS surface is right, parabolas on so wide a grid err by {:+.0}% in tokens per parameter, which \
             is more than the interval of the headline reaches. Believe the surfaces, or train sizes nearer to the optima.",
            100.0 * ratio
        )
    })
}

/// What limits the answer, and what would make it better.
fn how_sure(sure: &Sure) -> String {
    let Sure { budget, width, shares, one_more_seed, next_budget, one_more_budget } = sure;
    let most = shares.iter().max_by(|a, b| a.share.total_cmp(&b.share));
    let mut text =
        format!("at {} FLOPs the interval of tokens per parameter spans a factor of {width:.2}.", Flops(*budget));
    if let Some(Share { budget, share, .. }) = most {
        let _ = write!(text, " {:.0}% of its variance comes from the budget {}.", 100.0 * share, Flops(*budget));
    }
    let open = shares.iter().filter_map(|share| Some((share.budget, share.open_side()?)));
    for (budget, side) in open {
        let _ =
            write!(text, " At {} fewer than two sizes lie {side} the optimum: train one more there.", Flops(budget));
    }
    let scatter = if shares.iter().all(|share| share.seeds < 2) {
        ", if the scatter about the curves is that of seeds, which no repeat shows"
    } else {
        ""
    };
    let _ = write!(
        text,
        " One more seed of every run would make it {one_more_seed:.2}{scatter}; one more budget, {} FLOPs, {one_more_budget:.2}.",
        Flops(*next_budget)
    );
    text
}

fn spline(fit: &Summary) -> String {
    let laws = fit.spline.as_ref().and_then(|spline| Some((spline.n_opt?.exponent, spline.d_opt?.exponent)));
    laws.map_or_else(String::new, |(n, d)| {
        let exponent = |e: Estimate| cell(Some(e), |x| format!("{x:.3}"));
        // Not a 95% interval: seeds may scatter by more than what those authors measured on their text.
        format!(
            " Splines and weighted regression give C^{} and C^{}, the spread under the noise that Porian et al. assume.",
            exponent(n),
            exponent(d)
        )
    })
}

fn bias(fit: &Summary) -> String {
    fit.bias.map_or_else(String::new, |bias| {
        format!(
            " On noiseless losses of the VPNLS surface this grid would err by {:+.4} in the exponent of N_opt and by \
             {:+.1}% in D_opt at the largest budget, {:+.1}% at 1000 times that.",
            bias.n_exponent,
            100.0 * bias.tokens_at_largest,
            100.0 * bias.tokens_beyond
        )
    })
}

/// A value with its interval, or a dash where the status allows no number.
pub(super) fn cell(estimate: Option<Estimate>, print: impl Fn(f64) -> String) -> String {
    let Some(Estimate { value, low, high }) = estimate else { return "-".to_owned() };
    let number = print(value);
    if !(low.is_finite() && high.is_finite()) {
        format!("{number} (no interval)")
    } else if low == 0.0 && number == print(0.0) {
        // At its bound: nothing is open below.
        format!("{number} (at most {})", print(high))
    } else {
        format!("{number} ({} to {})", print(low), print(high))
    }
}
