//! The same runs with their compute counted in another way, cut into IsoFLOP curves anew.
//!
//! Kaplan et al. 2020 counted 6 N D FLOPs with N the blocks alone; counting the unembedding too is the first of the steps
//! by which Porian et al. 2024 (arXiv 2406.19146) come from Kaplan's exponent to Chinchilla's. Runs that share a budget by
//! one count differ in compute by another, so a loss at equal compute has to be interpolated: between the runs of one
//! size that differ in tokens, never beyond them.
//!
//! That is exact where a shorter run is the beginning of a longer one, as under one long schedule cut short. Where each
//! run has a schedule of its own it is the loss of a run in between.

use crate::fit::numerics::interpolate::lagrange;
use crate::fit::table::budgets;
use crate::observation::{Counting, Observation};

/// Share of the sizes that have to reach a budget.
const SIZES: f64 = 0.75;

/// `runs` as they would be at as many budgets of C = 6 N D FLOPs as they have, N counted by `counting`, evenly spaced in
/// log C over the range that three quarters of the sizes reach. Empty where the runs do not tell, as where each size was
/// trained once.
pub fn recount(runs: &[Observation], counting: Counting) -> Vec<Observation> {
    let curves = curves(runs, counting);
    let budgets: Vec<f64> = runs.iter().map(Observation::budget).collect();
    let Some((low, high)) = range(&curves) else { return Vec::new() };
    let count = budgets::count(&budgets).max(2);
    let at = |i: usize| (low + (high - low) * i as f64 / (count - 1) as f64).exp();
    // Planned FLOPs of a row are its budget from now on: both by the new count.
    (0..count).flat_map(|i| curves.iter().filter_map(move |curve| curve.at(at(i)))).collect()
}

/// Runs of one size and seed differ in tokens by more than this, or they are repeats of each other.
const REPEATS: f64 = 1.01;

/// Runs of one size and seed, from the fewest tokens to the most.
struct Curve {
    params: f64,
    runs: Vec<Observation>,
}

fn curves(runs: &[Observation], counting: Counting) -> Vec<Curve> {
    let mut sorted: Vec<_> = runs.iter().filter_map(|run| Some((run.params_by(counting)?, run))).collect();
    let key = |run: &Observation| (run.params, run.seed);
    sorted.sort_by(|(_, a), (_, b)| {
        a.params.total_cmp(&b.params).then(a.seed.cmp(&b.seed)).then(a.tokens.total_cmp(&b.tokens))
    });
    sorted
        .chunk_by(|(_, a), (_, b)| key(a) == key(b))
        .map(|same| {
            let runs: Vec<&Observation> = same.iter().map(|(_, run)| *run).collect();
            let repeats = runs.chunk_by(|a, b| b.tokens <= REPEATS * a.tokens);
            Curve { params: same[0].0, runs: repeats.map(mean).collect() }
        })
        .filter(|curve| curve.runs.len() > 1)
        .collect()
}

/// One run of the mean tokens and loss of some that agree in size and tokens.
fn mean(repeats: &[&Observation]) -> Observation {
    let of = |read: fn(&Observation) -> f64| repeats.iter().map(|run| read(run)).sum::<f64>() / repeats.len() as f64;
    Observation { tokens: of(|run| run.tokens), loss: of(|run| run.loss), ..repeats[0].clone() }
}

/// Logarithms of the least and the greatest FLOPs that enough curves cover.
fn range(curves: &[Curve]) -> Option<(f64, f64)> {
    let ends: Vec<(f64, f64)> = curves.iter().map(Curve::range).collect();
    let enough = |ln_c: f64| {
        let covered = ends.iter().filter(|(low, high)| (*low..=*high).contains(&ln_c)).count();
        covered as f64 >= SIZES * curves.len() as f64
    };
    // Coverage changes at the ends of curves alone.
    let edges = || ends.iter().flat_map(|(low, high)| [*low, *high]).filter(|edge| enough(*edge));
    let (low, high) = (edges().reduce(f64::min)?, edges().reduce(f64::max)?);
    (high > low).then_some((low, high))
}

impl Curve {
    /// ln C of a run.
    fn ln_flops(&self, run: &Observation) -> f64 {
        (6.0 * self.params * run.tokens).ln()
    }

    fn range(&self) -> (f64, f64) {
        (self.ln_flops(&self.runs[0]), self.ln_flops(&self.runs[self.runs.len() - 1]))
    }

    /// The run of so many FLOPs: ln loss against ln tokens is the parabola through the three nearest runs, or a line
    /// where there are two.
    fn at(&self, flops: f64) -> Option<Observation> {
        let (low, high) = self.range();
        let ln_c = flops.ln();
        // The ends of the range are ends of curves, to the last bit or two.
        if !(low - 1e-9..=high + 1e-9).contains(&ln_c) {
            return None;
        }
        let mut nearest: Vec<&Observation> = self.runs.iter().collect();
        nearest.sort_by(|a, b| (self.ln_flops(a) - ln_c).abs().total_cmp(&(self.ln_flops(b) - ln_c).abs()));
        nearest.truncate(3);
        let around: Vec<[f64; 2]> = nearest.iter().map(|run| [self.ln_flops(run), run.loss.ln()]).collect();
        let loss = lagrange(&around, ln_c);
        let tokens = flops / (6.0 * self.params);
        Some(Observation {
            tokens,
            flops,
            flop_budget: Some(flops),
            shared_budget: None,
            loss: loss.exp(),
            // The nearest one's: an interpolation between several is no more certain than that.
            loss_se: nearest[0].loss_se,
            ..nearest[0].clone()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs of a known surface at three budgets counted with an unembedding of 2^10 vocabulary: all else in blocks.
    fn runs(loss: impl Fn(f64, f64) -> f64) -> Vec<Observation> {
        let mut runs = Vec::new();
        for budget in [1e12, 3e12, 9e12] {
            for width in [16.0_f64, 24.0, 32.0, 48.0, 64.0, 96.0] {
                let blocks = 4.0 * 12.0 * width * width;
                let counted = blocks + 1024.0 * width;
                let tokens = budget / (6.0 * counted);
                runs.push(Observation {
                    params_non_embedding: Some(blocks),
                    params_blocks_and_unembedding: Some(counted),
                    flops: budget,
                    flop_budget: Some(budget),
                    loss_se: Some(0.004),
                    seed: Some(1),
                    ..Observation::of(counted + 1024.0 * width, tokens, loss(blocks, tokens))
                });
            }
        }
        runs
    }

    fn surface(params: f64, tokens: f64) -> f64 {
        1.7 + 400.0 / params.powf(0.5) + 900.0 / tokens.powf(0.45)
    }

    #[test]
    fn losses_at_the_new_budgets_are_those_of_the_surface() {
        let recounted = recount(&runs(surface), Counting::NonEmbedding);
        let mut budgets: Vec<f64> = recounted.iter().filter_map(|run| run.flop_budget).collect();
        budgets.dedup();
        assert_eq!(budgets.len(), 3);
        for budget in budgets {
            assert!(recounted.iter().filter(|run| run.flop_budget == Some(budget)).count() >= 5, "{budget}");
        }
        for run in &recounted {
            let blocks = run.params_non_embedding.unwrap();
            assert!((6.0 * blocks * run.tokens / run.flops - 1.0).abs() < 1e-12);
            let error = (run.loss - surface(blocks, run.tokens)).abs();
            assert!(error < 5e-3, "{error} at {blocks} parameters and {} tokens", run.tokens);
        }
    }

    #[test]
    fn repeats_of_a_run_count_as_their_mean() {
        let unseeded = |run: Observation| Observation { seed: None, ..run };
        let off = |by: f64| move |run: &Observation| Observation { loss: run.loss + by, ..run.clone() };
        let once: Vec<Observation> = runs(surface).into_iter().map(unseeded).collect();
        let twice: Vec<Observation> = once.iter().map(off(0.01)).chain(once.iter().map(off(-0.01))).collect();
        let [once, twice] = [once, twice].map(|runs| recount(&runs, Counting::NonEmbedding));
        assert_eq!(once.len(), twice.len());
        for (once, twice) in once.iter().zip(&twice) {
            assert!((once.loss - twice.loss).abs() < 1e-9, "{} and {}", once.loss, twice.loss);
        }
    }

    #[test]
    fn counting_as_before_gives_back_the_runs() {
        let runs = runs(surface);
        let recounted = recount(&runs, Counting::BlocksAndUnembedding);
        assert_eq!(recounted.len(), runs.len());
        for run in &recounted {
            let same = runs.iter().any(|old| {
                (old.params - run.params).abs() < 1e-9
                    && (old.tokens / run.tokens - 1.0).abs() < 1e-9
                    && (old.loss - run.loss).abs() < 1e-9
            });
            assert!(same, "{run:?}");
        }
    }

    #[test]
    fn sizes_trained_once_cannot_be_recounted() {
        let once: Vec<_> = runs(surface).into_iter().filter(|run| run.flop_budget == Some(3e12)).collect();
        assert!(recount(&once, Counting::NonEmbedding).is_empty());
        let mut untold = runs(surface);
        for run in &mut untold {
            run.params_non_embedding = None;
        }
        assert!(recount(&untold, Counting::NonEmbedding).is_empty());
    }
}
