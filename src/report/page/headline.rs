//! The table of all approaches to the headline.

use crate::fit::approaches::approach::Approach;
use crate::fit::approaches::headline;
use crate::fit::approaches::summary::Summary;
use crate::fit::{Estimate, Status};
use crate::observation::Counting;
use crate::report::{ReportInput, conclusions, words};
use crate::units::Flops;

/// One approach under one convention. Numbers are text already; a dash stands where none may be shown.
pub struct Headline {
    pub approach: String,
    pub counting: &'static str,
    /// Whether it is of the convention of the headline.
    pub leads: bool,
    pub status: &'static str,
    pub good: bool,
    /// Tokens per parameter, exponents of `N_opt` and `D_opt`, irreducible loss.
    pub cells: [String; 4],
    pub points: usize,
    pub resampled: String,
}

/// All approaches, those of the headline's convention first.
pub fn rows(input: &ReportInput<'_>) -> Vec<Headline> {
    let leading = headline::COUNTED;
    let others = Counting::ALL.into_iter().filter(|counting| *counting != leading);
    let budget = input.headline().map_or_else(|| largest(input), |headline| headline.budget);
    let of = |counting: Counting| input.approaches_by(counting).map(move |fit| row(fit, budget, counting == leading));
    let approaches = std::iter::once(leading).chain(others.clone()).flat_map(of);
    let of_groups = |counting: Counting| {
        let fits = input.isoflop_groups.iter().filter_map(move |group| Some((group, group.fit_by(counting)?)));
        fits.map(move |(group, fit)| Headline {
            approach: format!("{}: {}", group.name, Approach::Parabolas.title()),
            ..row(&Summary::from(fit), budget, counting == leading)
        })
    };
    approaches.chain(std::iter::once(leading).chain(others).flat_map(of_groups)).collect()
}

/// The largest budget trained.
fn largest(input: &ReportInput<'_>) -> f64 {
    input.observations.iter().map(crate::observation::Observation::budget).filter(|b| b.is_finite()).fold(0.0, f64::max)
}

fn row(fit: &Summary, budget: f64, leads: bool) -> Headline {
    let shown = |e: Option<Estimate>, print: fn(f64) -> String| {
        words::shown(fit.status, e).map_or_else(|| "–".to_owned(), |e| words::estimate(e, print))
    };
    Headline {
        approach: fit.approach.title().to_owned(),
        counting: words::counting(fit.counting),
        leads,
        status: fit.status.words(),
        good: fit.status == Status::Converged,
        cells: [
            shown(words::ratio_at(&fit.tokens_per_param, budget), words::amount),
            shown(fit.estimate("n_exponent", fit.n_exponent), words::decimal),
            shown(fit.estimate("d_exponent", fit.d_exponent), words::decimal),
            shown(fit.estimate("E", fit.e), words::decimal),
        ],
        points: fit.points,
        resampled: fit.resampled.clone(),
    }
}

/// Single numbers about the sweep.
pub fn facts(input: &ReportInput<'_>) -> Vec<(&'static str, String)> {
    let total: f64 = input.observations.iter().map(|o| o.flops).filter(|f| f.is_finite()).fold(0.0, |sum, f| sum + f);
    let mut facts = vec![
        ("finished runs", input.observations.len().to_string()),
        ("failed runs", input.failed.len().to_string()),
        ("points left out", input.left_out.len().to_string()),
        ("training compute in all", format!("{} FLOPs", Flops(total))),
    ];
    facts.extend(input.shared.map(|shared| ("spent", shared.to_owned())));
    facts.extend(input.stopped.map(|stopped| ("stopped early", stopped.to_owned())));
    let lowest = conclusions::lowest_loss(input);
    if let Some((loss, error)) = lowest {
        let error = error.map_or_else(String::new, |se| format!(" ± {se:.4}"));
        facts.push(("lowest loss", format!("{loss:.4}{error} nats per token")));
    }
    if let Some((entropy, error)) = input.entropy.filter(|(entropy, _)| entropy.is_finite()) {
        facts.push(("true entropy of the language", format!("{entropy:.4} ± {error:.4} nats per token")));
        if let Some((loss, _)) = lowest {
            facts.push(("lowest loss above the entropy", format!("{:.4} nats per token", loss - entropy)));
        }
    }
    facts
}
