//! Repeated data: the surface with effective tokens and effective parameters (Muennighoff et al. 2023, arXiv
//! 2305.16264, equations 5 to 11).
//!
//! Tokens seen again are worth less each time, with a half-life of `r_d` epochs; parameters beyond what the unique
//! tokens call for likewise, with `r_n`.

use serde::{Deserialize, Serialize};

use super::minimize::search;
use super::surface::Surface;

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

/// Fits the two half-lives to runs on limited data, the surface being known from runs that repeat nothing: least
/// squares in log loss over a grid and golden sections in ln `r_d`, with ln `r_n` searched inside. Nothing where no run
/// repeats data.
pub fn fit(surface: &Surface, runs: &[Run]) -> Option<Repetition> {
    if !runs.iter().any(|run| run.tokens > 1.01 * run.unique_tokens) {
        return None;
    }
    let error = |r_d: f64, r_n: f64| -> f64 {
        let law = Repetition { surface: *surface, r_d, r_n };
        runs.iter().map(|run| (law.loss(run.params, run.tokens, run.unique_tokens) / run.loss).ln().powi(2)).sum()
    };
    let range = (0.1_f64.ln(), 1e3_f64.ln());
    let inner = |r_d: f64| search(|ln_n| error(r_d, ln_n.exp()), range.0, range.1, 21).exp();
    let r_d = search(|ln_d| error(ln_d.exp(), inner(ln_d.exp())), range.0, range.1, 21).exp();
    Some(Repetition { surface: *surface, r_d, r_n: inner(r_d) })
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn both_half_lives_come_back_from_noiseless_runs() {
        let law = published();
        let run = |i: i32| {
            let (params, unique_tokens) = (1e8 * 3_f64.powi(i % 5), 1e9 * 2_f64.powi(i / 5 % 2));
            let tokens = unique_tokens * 2_f64.powi(i / 10);
            Run { params, tokens, unique_tokens, loss: law.loss(params, tokens, unique_tokens) }
        };
        let runs: Vec<Run> = (0..60).map(run).collect();
        let found = fit(&law.surface, &runs).unwrap();
        assert!((found.r_d / law.r_d - 1.0).abs() < 1e-3 && (found.r_n / law.r_n - 1.0).abs() < 1e-3, "{found:?}");
        assert!(fit(&law.surface, &runs[..10]).is_none(), "one epoch tells nothing");
    }
}
