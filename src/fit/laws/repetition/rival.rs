//! The rival of effective data: repeats count as fresh tokens, and overfitting adds to the loss (an additive penalty, as in
//! arXiv 2605.01640; the form here is ours, as general as few unknowns allow). Repeats can then do harm, which effective data
//! cannot say. Which of the two is right is asked of the runs of most epochs, by laws fitted to those of fewer.

use super::effective::{Centre, Kind, Repetition, Run};
use crate::fit::Estimate;
use crate::fit::approaches::surface::Surface;
use crate::fit::estimate::words;
use crate::fit::laws::law::Parameter;
use crate::fit::numerics::bootstrap::Bootstrap;
use crate::fit::numerics::least_squares::{Row, best_of, least_squares};

/// L = E + A/N^alpha + B/D^beta + P (D/U - 1)^q (N/U)^r, U the unique tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Additive {
    surface: Surface,
    penalty: f64,
    of_repeats: f64,
    of_size: f64,
}

/// Unknowns: those of the surface about the mean run, ln P at one parameter for each unique token, q, r.
type Unknowns = [f64; 8];

/// Starts of the powers of repeats and of size.
const POWERS: [f64; 3] = [0.3, 0.7, 1.2];

impl Additive {
    fn loss(&self, run: &Run) -> f64 {
        let repeats = (run.tokens / run.unique_tokens - 1.0).max(0.0);
        let fresh = self.surface.loss(run.params, run.tokens);
        let over = if repeats > 0.0 { repeats.powf(self.of_repeats) } else { 0.0 };
        fresh + self.penalty * over * (run.params / run.unique_tokens).powf(self.of_size)
    }

    fn of(centre: Centre, u: &Unknowns) -> Self {
        let [e, a, b, alpha, beta, penalty, of_repeats, of_size] = *u;
        let surface = centre.law(&[e, a, b, alpha, beta, 0.0, 0.0]).surface;
        Self { surface, penalty: penalty.exp(), of_repeats, of_size }
    }

    /// Unknowns of the best of several starts from a surface.
    fn fit(centre: Centre, runs: &[Run], surface: &Surface) -> Option<Unknowns> {
        let [e, a, b, alpha, beta, ..] = centre.unknowns(&Repetition { surface: *surface, r_d: 1.0, r_n: 1.0 });
        let starts = POWERS.iter().flat_map(|q| POWERS.map(|r| [e, a, b, alpha, beta, -4.0, *q, r]));
        best_of(|u| centre.additive(runs, u), starts, ITERATIONS).map(|stop| stop.x)
    }
}

/// Iterations of a fit to the runs of fewer epochs.
const ITERATIONS: usize = 200;

impl Centre {
    /// Residuals in log loss with their derivatives.
    fn additive(self, runs: &[Run], u: &Unknowns) -> Vec<Row<8>> {
        let law = Additive::of(self, u);
        let row = |run: &Run| {
            let Surface { e, a, b, alpha, beta } = law.surface;
            let (by_params, by_tokens) = (a * run.params.powf(-alpha), b * run.tokens.powf(-beta));
            let repeats = (run.tokens / run.unique_tokens - 1.0).max(0.0);
            let ln_repeats = if repeats > 0.0 { repeats.ln() } else { 0.0 };
            let loss = law.loss(run);
            let over = loss - e - by_params - by_tokens;
            let slope = [
                e,
                by_params,
                by_tokens,
                by_params * (self.ln_n - run.params.ln()),
                by_tokens * (self.ln_d - run.tokens.ln()),
                over,
                over * ln_repeats,
                over * (run.params / run.unique_tokens).ln(),
            ];
            ((loss / run.loss).ln(), slope.map(|slope| slope / loss))
        };
        runs.iter().map(row).collect()
    }
}

/// Errors on the runs of most epochs, as roots of the mean square in log loss.
pub(super) struct Contest {
    effective: Estimate,
    additive: Estimate,
    /// Error of effective data less that of the penalty, draw by draw.
    difference: Estimate,
    held_out: usize,
}

/// Fits both to the runs of fewer epochs, and asks them for the others: those of more than half of the most epochs. Nothing
/// where too few are left. `start` is the law of all runs.
pub(super) fn contest(runs: &[Run], start: &Repetition, bootstrap: &Bootstrap) -> Option<Contest> {
    let epochs = |run: &Run| run.tokens / run.unique_tokens;
    let most = runs.iter().map(epochs).fold(1.0, f64::max);
    let (held_out, fewer): (Vec<Run>, Vec<Run>) =
        runs.iter().partition(|run| run.repeats() && epochs(run) > 0.45 * most);
    let (repeating, once): (Vec<Run>, Vec<Run>) = fewer.iter().partition(|run| run.repeats());
    if held_out.len() < 2 || repeating.len() < 3 || once.len() < 6 {
        return None;
    }
    let centre = Centre::of(&fewer);
    let penalty = Additive::fit(centre, &fewer, &start.surface)?;
    // Each resample starts from the law of the runs themselves.
    let errors = |fewer: &[Run], held_out: &[Run]| -> [f64; 2] {
        let rms = |loss: &dyn Fn(&Run) -> f64| {
            let squares = held_out.iter().map(|run| (loss(run) / run.loss).ln().powi(2));
            (squares.sum::<f64>() / held_out.len() as f64).sqrt()
        };
        let effective = centre.refine(fewer, start, ITERATIONS);
        let additive = least_squares(|u| centre.additive(fewer, u), penalty, ITERATIONS).x;
        let additive = Additive::of(centre, &additive);
        [rms(&|run| effective.loss(run.params, run.tokens, run.unique_tokens)), rms(&|run| additive.loss(run))]
    };
    let value = errors(&fewer, &held_out);
    let kinds = [&repeating, &once, &held_out].map(|runs| Kind::of(runs));
    let draws = bootstrap.draws(|rng| {
        let [repeating, once, held_out] = [0, 1, 2].map(|kind| kinds[kind].draw(rng));
        errors(&[repeating, once].concat(), &held_out)
    });
    let of = |read: fn(&[f64; 2]) -> f64| Estimate::from_draws(read(&value), draws.iter().map(read));
    Some(Contest {
        effective: of(|errors| errors[0]),
        additive: of(|errors| errors[1]),
        difference: of(|errors| errors[0] - errors[1]),
        held_out: held_out.len(),
    })
}

impl Contest {
    pub(super) fn parameters(&self) -> [Parameter; 2] {
        let meaning = "root mean square error in log loss on the runs of most epochs, fitted to those of fewer";
        [
            Parameter::new("error", meaning, self.effective),
            Parameter::new(
                "error_additive",
                "the same of an additive penalty, P (D/U - 1)^q (N/U)^r, with repeats worth as much as fresh tokens",
                self.additive,
            ),
        ]
    }

    pub(super) fn sentence(&self) -> String {
        let verdict = match () {
            () if self.difference.high < 0.0 => "effective data predict better",
            () if self.difference.low > 0.0 => "an additive penalty predicts better",
            () => "neither is shown to predict better",
        };
        format!(
            " Of the {} runs of most epochs {verdict}: errors in log loss {} and {} (additive penalty).",
            self.held_out,
            words(self.effective),
            words(self.additive)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOTSTRAP: Bootstrap = Bootstrap { resamples: 60, seed: 1 };

    /// Four sizes, six lengths, with data enough and with little.
    fn runs(loss: impl Fn(&Run) -> f64) -> Vec<Run> {
        let run = |i: i32| {
            let params = 1e8 * 3_f64.powi(i % 4);
            let tokens = 1e9 * 2_f64.powi(i / 4 % 7);
            let unique_tokens = if i < 28 { tokens } else { 1e9 };
            let run = Run { params, tokens, unique_tokens, loss: 0.0 };
            // Seeds scatter by a thousandth.
            Run { loss: loss(&run) * (1.0 + 1e-3 * f64::from(i * 7 % 5 - 2)), ..run }
        };
        (0..56).map(run).collect()
    }

    fn surface() -> Surface {
        Surface { e: 1.8, a: 480.0, b: 2000.0, alpha: 0.35, beta: 0.36 }
    }

    #[test]
    fn derivatives_are_those_of_the_loss() {
        let runs = runs(|_| 3.0);
        let centre = Centre::of(&runs);
        let start = Repetition { surface: surface(), r_d: 1.0, r_n: 1.0 };
        let [e, a, b, alpha, beta, ..] = centre.unknowns(&start);
        let u = [e, a, b, alpha, beta, -3.0, 0.7, 0.4];
        for (run, (residual, slope)) in runs.iter().zip(centre.additive(&runs, &u)) {
            assert!((residual - (Additive::of(centre, &u).loss(run) / run.loss).ln()).abs() < 1e-12);
            for (k, slope) in slope.into_iter().enumerate() {
                let at =
                    |step: f64| Additive::of(centre, &std::array::from_fn(|j| if j == k { u[j] + step } else { u[j] }));
                let numeric = (at(1e-5).loss(run) / at(-1e-5).loss(run)).ln() / 2e-5;
                assert!((numeric - slope).abs() < 1e-7, "{run:?}, {k}: {slope} and not {numeric}");
            }
        }
    }

    #[test]
    fn each_law_wins_where_it_is_the_truth() {
        let effective = Repetition { surface: surface(), r_d: 3.0, r_n: 1e3 };
        let by_effective = runs(|run| effective.loss(run.params, run.tokens, run.unique_tokens));
        let found = contest(&by_effective, &effective, &BOOTSTRAP).unwrap();
        assert_eq!(found.held_out, 8, "32 and 64 epochs of four sizes");
        assert!(found.sentence().contains("effective data predict better"), "{}", found.sentence());
        let additive = Additive { surface: surface(), penalty: 0.02, of_repeats: 0.8, of_size: 0.5 };
        let by_penalty = runs(|run| additive.loss(run));
        let found = contest(&by_penalty, &effective, &BOOTSTRAP).unwrap();
        assert!(found.sentence().contains("an additive penalty predicts better"), "{}", found.sentence());
        assert!(found.additive.value < 0.01, "{:?}", found.additive);
        assert!(contest(&by_penalty[..30], &effective, &BOOTSTRAP).is_none(), "two runs repeat");
    }
}
