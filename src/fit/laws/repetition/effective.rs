//! Effective data: the surface with tokens and parameters discounted for repetition, and how its unknowns are fitted.

use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::fit::approaches::surface::Surface;
use crate::fit::numerics::least_squares::{Row, least_squares};
use crate::fit::numerics::minimize::search;
use crate::fit::table::resample::Units;
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
        Observation::of(self.params, self.tokens, self.loss)
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

/// ln(effective/base) where ln(all/base) is `above`, and its derivatives.
struct Worth {
    ln: f64,
    /// Of ln(effective) in ln(base): 1 where nothing repeats.
    of_base: f64,
    /// In ln(half-life).
    of_half: f64,
}

impl Worth {
    fn of(above: f64, half: f64) -> Self {
        if above <= 0.0 {
            // All of them are within the base, which then is they themselves.
            return Self { ln: 0.0, of_base: 0.0, of_half: 0.0 };
        }
        let all = above.exp();
        let repeats = (all - 1.0) / half;
        let kept = (-repeats).exp();
        let worth = 1.0 + half * (1.0 - kept);
        Self {
            ln: worth.ln(),
            of_base: 1.0 - kept * all / worth,
            of_half: half * (1.0 - kept - repeats * kept) / worth,
        }
    }
}

/// Unknowns of the whole law: ln E, ln A and ln B at the mean run, alpha, beta, ln `r_d`, ln `r_n`.
pub(super) type Unknowns = [f64; 7];

/// Means of ln N and ln D, at which A and B are nearly independent of their exponents.
#[derive(Clone, Copy)]
pub(super) struct Centre {
    pub(super) ln_n: f64,
    pub(super) ln_d: f64,
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

    /// Residuals in log loss with their derivatives. These jump where a run is at the edge of having parameters in excess.
    fn rows(self, runs: &[Run], u: &Unknowns) -> Vec<Row<7>> {
        let law = self.law(u);
        runs.iter().map(|run| self.row(run, &law, u)).collect()
    }

    fn row(self, run: &Run, law: &Repetition, u: &Unknowns) -> Row<7> {
        let Surface { e, alpha, beta, .. } = law.surface;
        let ln_unique = run.unique_tokens.min(run.tokens).ln();
        // Optimal parameters for the unique tokens: ln g = ln(alpha A / (beta B)) / (alpha + beta), and how it moves with A, B,
        // alpha and beta.
        let (sum, ratio) = (alpha + beta, beta / alpha);
        let ln_g = ((alpha / beta).ln() + u[1] - u[2] + alpha * self.ln_n - beta * self.ln_d) / sum;
        let g = [1.0, -1.0, 1.0 / alpha + self.ln_n - ln_g, -1.0 / beta - self.ln_d - ln_g].map(|slope| slope / sum);
        let far = (ln_unique + ln_g) / alpha;
        let optimum = ratio * ln_unique + (ratio + 1.0) * ln_g;
        let of_optimum = [0.0, 0.0, -ratio * far, far];
        let params = Worth::of(run.params.ln() - optimum, law.r_n);
        let tokens = Worth::of(run.tokens.ln() - ln_unique, law.r_d);
        let ln_params = run.params.ln().min(optimum) + params.ln;
        let ln_tokens = ln_unique + tokens.ln;
        let by_params = (u[1] + alpha * (self.ln_n - ln_params)).exp();
        let by_tokens = (u[2] + beta * (self.ln_d - ln_tokens)).exp();
        let loss = e + by_params + by_tokens;
        let [floor, by_params, by_tokens] = [e, by_params, by_tokens].map(|term| term / loss);
        // What moves the worth of parameters by moving their optimum.
        let moved = |k: usize| -alpha * params.of_base * (of_optimum[k] + (ratio + 1.0) * g[k]);
        let inside = |half: f64| f64::from(half > RANGE.0 && half < RANGE.1);
        let slope = [
            floor,
            by_params * (1.0 + moved(0)),
            by_params * moved(1) + by_tokens,
            by_params * (self.ln_n - ln_params + moved(2)),
            by_params * moved(3) + by_tokens * (self.ln_d - ln_tokens),
            -by_tokens * beta * tokens.of_half * inside(law.r_d),
            -by_params * alpha * params.of_half * inside(law.r_n),
        ];
        ((loss / run.loss).ln(), slope)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derivatives_are_those_of_the_loss() {
        let surface = Surface { e: 1.8, a: 480.0, b: 2000.0, alpha: 0.35, beta: 0.37 };
        let law = Repetition { surface, r_d: 15.0, r_n: 5.0 };
        let run = |params, tokens, unique_tokens| Run { params, tokens, unique_tokens, loss: 3.0 };
        // Repeats with and without parameters in excess, and neither.
        let runs = [run(1e8, 4e9, 1e9), run(5e10, 4e9, 1e9), run(1e8, 1e9, 1e9), run(5e10, 1e9, 2e9)];
        let centre = Centre::of(&runs);
        let u = centre.unknowns(&law);
        for (run, (residual, slope)) in runs.iter().zip(centre.rows(&runs, &u)) {
            assert!((residual - law.residual(run)).abs() < 1e-12, "{run:?}");
            for (k, slope) in slope.into_iter().enumerate() {
                let at = |step: f64| centre.law(&std::array::from_fn(|j| if j == k { u[j] + step } else { u[j] }));
                let numeric = (at(1e-5).residual(run) - at(-1e-5).residual(run)) / 2e-5;
                assert!((numeric - slope).abs() < 1e-7, "{run:?}, {k}: {slope} and not {numeric}");
            }
        }
    }
}
