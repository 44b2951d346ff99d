//! Repeated data: the surface with effective tokens and effective parameters (Muennighoff et al. 2023, arXiv
//! 2305.16264, equations 5 to 11).
//!
//! Tokens seen again are worth less each time, with a half-life of `r_d` epochs; parameters beyond what the unique
//! tokens call for likewise, with `r_n`.

mod effective;
mod rival;

use self::effective::{Centre, Kind, RANGE};
pub use self::effective::{Repetition, Run, half_lives};
use crate::fit::approaches::approach3;
use crate::fit::estimate::{NO_FLOOR, too_many_lost, words};
use crate::fit::laws::law::{LawFit, Parameter};
use crate::fit::numerics::bootstrap::Bootstrap;
use crate::fit::numerics::residuals::Residuals;
use crate::fit::{Estimate, Status};
use crate::observation::{Counting, Observation};

/// What the law is called.
const LAW: &str = "L = E + A/N'^alpha + B/D'^beta, N' and D' discounted for repetition";

/// Iterations of a fit, and of each resample: along the valley in which E, alpha and `R_N`* trade, a few dozen do not arrive.
const ITERATIONS: usize = 500;

/// Fits the surface and the half-lives together, by least squares in log loss: without repeats too, parameters beyond
/// what the tokens call for are worth less. It starts from approach 3 on the runs that repeat nothing and
/// [`half_lives`] on those that do. Intervals resample both kinds of runs.
pub fn fit(runs: &[Run], options: &approach3::Options) -> LawFit {
    let (repeating, once): (Vec<Run>, Vec<Run>) = runs.iter().partition(|run| run.repeats());
    let refuse = |status, sentence: &str| LawFit::without_numbers(LAW, status, runs.len(), sentence);
    if repeating.len() < 3 {
        let sentence = "At least 3 runs must see tokens again (tokens above unique_tokens).";
        return refuse(Status::TooFewPoints, sentence);
    }
    let observations: Vec<Observation> = once.iter().map(Run::observation).collect();
    let quick = approach3::Options { bootstrap: Bootstrap { resamples: 0, ..options.bootstrap }, ..options.clone() };
    let base = approach3::fit(&observations, Counting::All, &quick);
    let Some(surface) = base.surface.filter(|_| base.status != Status::NotIdentified) else {
        let sentence = format!("The runs without repetition give no surface. {}", base.conclusion);
        return refuse(base.status, &sentence);
    };
    let Some(first) = half_lives(&surface, &repeating) else {
        return refuse(Status::NotIdentified, "Not identified: the half-lives cannot be fitted.");
    };
    let centre = Centre::of(runs);
    let kinds = [&repeating, &once].map(|runs| Kind::of(runs));
    let best = centre.refine(runs, &first, ITERATIONS);
    let draws: Vec<Repetition> = options.bootstrap.draws(|rng| {
        let drawn: Vec<Run> = kinds.iter().flat_map(|kind| kind.draw(rng)).collect();
        centre.refine(&drawn, &best, ITERATIONS)
    });
    let bound = |x: f64| x < 1.01 * RANGE.0 || x > 0.99 * RANGE.1;
    let lost = draws.iter().filter(|law| bound(law.r_d) || !law.surface.is_proper()).count();
    let status = match () {
        () if !best.surface.is_proper() || too_many_lost(lost, draws.len()) => Status::NotIdentified,
        // Parameters that lose no worth are an answer: most small models have few in excess.
        () if bound(best.r_d) || best.r_n < 1.01 * RANGE.0 => Status::BoundHit,
        () => Status::Converged,
    };
    let number = |name: &str, meaning: &str, read: fn(&Repetition) -> f64| {
        Parameter::new(name, meaning, Estimate::from_draws(read(&best), draws.iter().map(read)))
    };
    let contest = if status == Status::NotIdentified { None } else { rival::contest(runs, &best, &options.bootstrap) };
    let mut parameters = vec![
        number("R_D*", "repeats over which tokens lose their value", |law| law.r_d),
        number("R_N*", "the same for parameters in excess of the optimum for the unique tokens", |law| law.r_n),
        number("E", "irreducible loss, nats per token", |law| law.surface.e),
        number("A", "coefficient of parameters", |law| law.surface.a),
        number("B", "coefficient of tokens", |law| law.surface.b),
        number("alpha", "exponent of parameters", |law| law.surface.alpha),
        number("beta", "exponent of tokens", |law| law.surface.beta),
    ];
    let mut conclusion = conclusion(status, &best, [parameters[0].estimate, parameters[1].estimate]);
    conclusion += about_floor(status, parameters[2].estimate, runs);
    if let Some(contest) = contest {
        conclusion += &contest.sentence();
        parameters.extend(contest.parameters());
    }
    LawFit {
        formula: LAW.to_owned(),
        status,
        points: runs.len(),
        residuals: Some(Residuals::of(runs.iter().map(|run| best.residual(run)))),
        resampled: "runs".to_owned(),
        conclusion,
        parameters,
    }
}

fn about_floor(status: Status, e: Estimate, runs: &[Run]) -> &'static str {
    let least = runs.iter().map(|run| run.loss).fold(f64::INFINITY, f64::min);
    let reaches_zero = status != Status::NotIdentified && e.low < NO_FLOOR * least;
    if reaches_zero { " The irreducible loss is not determined: its interval reaches zero." } else { "" }
}

fn conclusion(status: Status, best: &Repetition, [r_d, r_n]: [Estimate; 2]) -> String {
    let worth = |epochs: f64| best.effective_tokens(epochs, 1.0);
    let excess = if best.r_n > 0.99 * RANGE.1 {
        format!(
            " Parameters in excess lose no worth that these runs show: R_N* is at the end of the search, at least {:.1}.",
            r_n.low
        )
    } else {
        String::new()
    };
    match status {
        Status::NotIdentified => {
            "Not identified: in too many resamples the half-life of tokens is at a bound of the search, or there is no \
             surface."
                .to_owned()
        }
        Status::BoundHit => format!(
            "A half-life is at a bound of the search ({} to {} epochs): the runs have too little repetition, or too \
             few excess parameters, to determine it.",
            RANGE.0, RANGE.1
        ),
        _ => format!(
            "Repeated tokens lose their value over {} epochs: 4 epochs are worth {:.2} epochs of fresh data, 16 epochs \
             {:.1}, and any number less than {:.1}.{excess}",
            words(r_d),
            worth(4.0),
            worth(16.0),
            1.0 + best.r_d
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::approaches::surface::Surface;

    /// The constants of the paper's own code, with alpha and beta tied.
    fn published() -> Repetition {
        let surface = Surface {
            e: 0.625_480_4_f64.exp(),
            a: 6.255_414_f64.exp(),
            b: 7.304_997_4_f64.exp(),
            alpha: 0.352_659_6,
            beta: 0.352_659_6,
        };
        Repetition { surface, r_d: 15.387_756, r_n: 5.309_743 }
    }

    #[test]
    fn losses_are_those_of_the_papers_code() {
        let law = published();
        for (params, tokens, loss) in [(6.34e9, 242e9, 2.225_644_088_998_447_7), (8.67e9, 178e9, 2.226_963_407_507_587)]
        {
            let got = law.loss(params, tokens, 25e9);
            assert!((got - loss).abs() < 2e-7, "{got} and not {loss}");
        }
    }

    #[test]
    fn four_epochs_are_nearly_free_and_forty_nearly_worthless() {
        let law = published();
        let worth = |epochs: f64| law.effective_tokens(epochs * 1e9, 1e9) / 1e9;
        assert!(worth(4.0) > 3.6 && worth(1.0) < 1.0 + 1e-12);
        assert!(worth(60.0) - worth(44.0) < 1.0, "{} {}", worth(44.0), worth(60.0));
        assert!((law.loss(1e9, 2e9, 5e9) - law.loss(1e9, 2e9, 2e9)).abs() < 1e-15, "data left over do not help");
    }

    #[test]
    fn intervals_hold_the_irreducible_loss_and_the_worth_of_parameters_too() {
        let law = published();
        let once = (0..25).map(|i| (1e8 * 3_f64.powi(i % 5), 1e9 * 2_f64.powi(i / 5), None));
        let again =
            (0..40).map(|i| (1e8 * 3_f64.powi(i % 5), 2e9 * 2_f64.powi(i / 10), Some(1e9 * 2_f64.powi(i / 5 % 2))));
        let places: Vec<_> = once.chain(again).map(|(n, d, u)| (n, d, u.unwrap_or(d))).collect();
        let options = approach3::Options { bootstrap: Bootstrap { resamples: 60, seed: 1 }, ..Default::default() };
        let mut held = [0; 4];
        for set in 0..12_i32 {
            let run = |(i, &(params, tokens, unique_tokens)): (i32, &(f64, f64, f64))| {
                // Near to normal, of a third of a percent: the mean of three digits of a fraction.
                let digit =
                    |k: i32| ((f64::from(set * 97 + i * 13 + k) * 12.9898).sin() * 43_758.547).rem_euclid(1.0) - 0.5;
                let noise = 0.0033 * 2.0 * (digit(1) + digit(2) + digit(3));
                Run { params, tokens, unique_tokens, loss: law.loss(params, tokens, unique_tokens) * (1.0 + noise) }
            };
            let runs: Vec<Run> = (0..).zip(&places).map(run).collect();
            let found = super::fit(&runs, &options);
            let truths = [("E", law.surface.e), ("alpha", law.surface.alpha), ("R_D*", law.r_d), ("R_N*", law.r_n)];
            for (held, (name, truth)) in held.iter_mut().zip(truths) {
                *held += i32::from(found.get(name).is_some_and(|estimate| estimate.holds(truth)));
            }
        }
        // With twenty iterations a resample it was two to four.
        assert!(held.iter().all(|held| *held >= 7), "of 12: {held:?}");
    }

    #[test]
    fn both_half_lives_come_back_from_noiseless_runs() {
        let law = published();
        let run = |i: i32| {
            let (params, unique_tokens) = (1e8 * 3_f64.powi(i % 5), 1e9 * 2_f64.powi(i / 5 % 2));
            let tokens = unique_tokens * 2_f64.powi(i / 10);
            Run { params, tokens, unique_tokens, loss: law.loss(params, tokens, unique_tokens) }
        };
        let runs: Vec<Run> = (0..60).map(run).collect();
        let found = half_lives(&law.surface, &runs).unwrap();
        assert!((found.r_d / law.r_d - 1.0).abs() < 1e-3 && (found.r_n / law.r_n - 1.0).abs() < 1e-3, "{found:?}");
        assert!(half_lives(&law.surface, &runs[..10]).is_none(), "one epoch tells nothing");
        let options = approach3::Options { bootstrap: Bootstrap { resamples: 100, seed: 1 }, ..Default::default() };
        // Those that repeat nothing come from enough amounts of data for a surface of their own.
        let once = (0..30).map(|i| {
            let (params, tokens) = (1e8 * 3_f64.powi(i % 5), 1e9 * 2_f64.powi(i / 5));
            Run { params, tokens, unique_tokens: tokens, loss: law.loss(params, tokens, tokens) }
        });
        let all: Vec<Run> = once.chain(runs).collect();
        let whole = super::fit(&all, &options);
        assert_eq!(whole.status, Status::Converged, "{whole:?}");
        let r_d = whole.get("R_D*").unwrap();
        assert!((r_d.value / law.r_d - 1.0).abs() < 1e-3, "{r_d:?}");
        assert_eq!(super::fit(&all[..30], &options).status, Status::TooFewPoints, "nothing is repeated");
    }
}
