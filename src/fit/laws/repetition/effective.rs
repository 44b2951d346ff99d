//! Effective data: the surface with tokens and parameters discounted for repetition, and how its unknowns are fitted.

use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::fit::approaches::surface::Surface;
use crate::fit::numerics::least_squares::{Row, least_squares};
use crate::fit::numerics::minimize::search;
use crate::fit::table::budgets::Units;
use crate::observation::Observation;

/// A surface that knows how data wear out.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Repetition {
    /// The surface of data seen once.
    pub surface: Surface,
    /// Epochs over which a repeated token loses its value, `R_D`*.
    pub r_d: f64,
    /// The same for parameters in excess, `R_N`*.
    pub r_n: f64,
}

/// One run on limited data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Run {
    /// Parameters.
    pub params: f64,
    /// Training tokens, repeats included.
    pub tokens: f64,
    /// Different tokens among them.
    pub unique_tokens: f64,
    /// Final loss, in nats per token.
    pub loss: f64,
}

/// `unique` units worth of `all`, where repeats lose their value over `half` repeats.
fn effective(unique: f64, all: f64, half: f64) -> f64 {
    let repeats = (all / unique - 1.0).max(0.0);
    unique + unique * half * (1.0 - (-repeats / half).exp())
}

impl Repetition {
    /// Tokens seen once that would teach as much.
    pub fn effective_tokens(&self, tokens: f64, unique_tokens: f64) -> f64 {
        effective(unique_tokens.min(tokens), tokens, self.r_d)
    }

    /// Loss in nats per token of a model trained on `tokens`, of which `unique_tokens` are different.
    pub fn loss(&self, params: f64, tokens: f64, unique_tokens: f64) -> f64 {
        let unique_tokens = unique_tokens.min(tokens);
        let surface = &self.surface;
        let g = ((surface.alpha * surface.a / (surface.beta * surface.b)).ln() / (surface.alpha + surface.beta)).exp();
        // The parameters for which the unique tokens are compute-optimal.
        let unique_params = params.min((unique_tokens * g).powf(surface.beta / surface.alpha) * g);
        let worth = effective(unique_params, params, self.r_n);
        surface.loss(worth, self.effective_tokens(tokens, unique_tokens))
    }
}

/// Range of the half-lives that is searched, in epochs.
pub(super) const RANGE: (f64, f64) = (0.1, 1e3);

/// Fits the two half-lives to runs on limited data, the surface being known from runs that repeat nothing: least
/// squares in log loss over a grid and golden sections in ln `r_d`, with ln `r_n` searched inside. Nothing where no run
/// repeats data.
pub fn half_lives(surface: &Surface, runs: &[Run]) -> Option<Repetition> {
    if !runs.iter().any(Run::repeats) {
        return None;
    }
    let error = |r_d: f64, r_n: f64| -> f64 {
        let law = Repetition { surface: *surface, r_d, r_n };
        runs.iter().map(|run| law.residual(run).powi(2)).sum()
    };
    let (low, high) = (RANGE.0.ln(), RANGE.1.ln());
    let inner = |r_d: f64| search(|ln_n| error(r_d, ln_n.exp()), low, high, 21).exp();
    let r_d = search(|ln_d| error(ln_d.exp(), inner(ln_d.exp())), low, high, 21).exp();
    Some(Repetition { surface: *surface, r_d, r_n: inner(r_d) })
}

impl Run {
    pub(super) fn observation(&self) -> Observation {
        Observation {
            params: self.params,
            params_non_embedding: None,
            params_blocks_and_unembedding: None,
            tokens: self.tokens,
            flops: 6.0 * self.params * self.tokens,
            flop_budget: None,
            shared_budget: None,
            loss: self.loss,
            loss_se: None,
            seed: None,
        }
    }

    /// Whether it sees tokens again, by more than rounding.
    pub fn repeats(&self) -> bool {
        self.tokens > 1.01 * self.unique_tokens
    }
}

/// Runs that a resample draws from by themselves, repeats of one place together.
pub(super) struct Kind<'a> {
    runs: &'a [Run],
    units: Units,
}

impl<'a> Kind<'a> {
    pub(super) fn of(runs: &'a [Run]) -> Self {
        let units = Units::of_repeats(runs.iter().map(|run| [run.params, run.tokens, run.unique_tokens]));
        Self { runs, units }
    }

    pub(super) fn draw(&self, rng: &mut impl Rng) -> Vec<Run> {
        self.units.draw(rng).map(|row| self.runs[row]).collect()
    }
}

/// Unknowns of the whole law: ln E, ln A and ln B at the mean run, alpha, beta, ln `r_d`, ln `r_n`.
pub(super) type Unknowns = [f64; 7];

/// Means of ln N and ln D, at which A and B are nearly independent of their exponents.
#[derive(Clone, Copy)]
pub(super) struct Centre {
    ln_n: f64,
    ln_d: f64,
}

impl Centre {
    pub(super) fn of(runs: &[Run]) -> Self {
        let mean = |read: fn(&Run) -> f64| runs.iter().map(|run| read(run).ln()).sum::<f64>() / runs.len() as f64;
        Self { ln_n: mean(|run| run.params), ln_d: mean(|run| run.tokens) }
    }

    pub(super) fn unknowns(self, law: &Repetition) -> Unknowns {
        let Surface { e, a, b, alpha, beta } = law.surface;
        let [a, b] = [a.ln() - alpha * self.ln_n, b.ln() - beta * self.ln_d];
        [e.max(1e-6).ln(), a, b, alpha, beta, law.r_d.ln(), law.r_n.ln()]
    }

    pub(super) fn law(self, u: &Unknowns) -> Repetition {
        let [e, a, b, alpha, beta, r_d, r_n] = *u;
        let [a, b] = [a + alpha * self.ln_n, b + beta * self.ln_d];
        let surface = Surface { e: e.exp(), a: a.exp(), b: b.exp(), alpha, beta };
        let inside = |ln: f64| ln.exp().clamp(RANGE.0, RANGE.1);
        Repetition { surface, r_d: inside(r_d), r_n: inside(r_n) }
    }

    /// Residuals in log loss. Derivatives are central differences: the residual is smooth but where a run is at the
    /// edge of having parameters in excess.
    fn rows(self, runs: &[Run], u: &Unknowns) -> Vec<Row<7>> {
        const STEP: f64 = 1e-5;
        let moved: [[Repetition; 2]; 7] = std::array::from_fn(|k| {
            [STEP, -STEP].map(|step| self.law(&std::array::from_fn(|j| if j == k { u[j] + step } else { u[j] })))
        });
        let law = self.law(u);
        let slope =
            |run: &Run| std::array::from_fn(|k| (moved[k][0].residual(run) - moved[k][1].residual(run)) / (2.0 * STEP));
        runs.iter().map(|run| (law.residual(run), slope(run))).collect()
    }

    pub(super) fn refine(self, runs: &[Run], law: &Repetition, iterations: usize) -> Repetition {
        self.law(&least_squares(|u| self.rows(runs, u), self.unknowns(law), iterations).x)
    }
}

impl Repetition {
    pub(super) fn residual(&self, run: &Run) -> f64 {
        (self.loss(run.params, run.tokens, run.unique_tokens) / run.loss).ln()
    }
}
