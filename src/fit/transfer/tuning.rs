//! Which learning rate and batch size suit which size: the rules of a sweep, from a grid of both over sizes of models
//! (power laws in parameters and in tokens, as Porian et al. 2024, arXiv 2406.19146, appendix C, and Li et al. 2025,
//! arXiv 2503.04715, fit them).
//!
//! For each size and number of tokens the best rate at every batch size (`fit/numerics/valley.rs`), and over these least losses the best batch size;
//! the best rate is that of the best batch. Where the best batch is the smallest or largest that was trained, the rate is
//! that of this batch and the size takes no part in the rule of batches. Intervals come from resamples that add the
//! scatter of the runs to each of them and look for the best anew.

use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::fit::estimate::too_many_lost;
use crate::fit::numerics::bootstrap::Bootstrap;
use crate::fit::numerics::regress::Design;
use crate::fit::transfer::valley::{self, Side, Valley};
use crate::fit::{Estimate, Status};

/// One trained point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Run {
    /// Parameters of the model; a spec's rules follow those of blocks and unembedding.
    pub params: f64,
    /// Tokens that it was trained on.
    pub tokens: f64,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Batch size, in tokens or sequences.
    pub batch: f64,
    /// Final loss in nats per token; infinite where it diverged.
    pub loss: f64,
}

/// Runs of one size are trained on as many tokens where these differ by no more than the rounding of batches and steps.
const SAME_TOKENS: f64 = 1.05;

/// The optimum of one size and number of tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SizeOptimum {
    /// Parameters.
    pub params: f64,
    /// Tokens, the geometric mean over the runs, which differ by rounding.
    pub tokens: f64,
    /// Whether a best learning rate was found inside of those trained.
    pub status: Status,
    /// The best learning rate, at the best batch size.
    pub learning_rate: Option<Estimate>,
    /// Whether the best batch size lies inside of those trained.
    pub batch_status: Status,
    /// The best batch size, in the unit of the runs.
    pub batch: Option<Estimate>,
    /// The best batch size among those trained.
    pub batch_trained: Option<f64>,
    /// Loss at the optimum, in nats per token.
    pub loss: Option<Estimate>,
}

/// A power law: `value * (x / at)^exponent`, as a spec takes it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Where the value stands: the geometric mean of what was tuned, in parameters or tokens.
    pub at: f64,
    /// The value there.
    pub value: Estimate,
    /// The exponent.
    pub exponent: Estimate,
}

/// Optima by size, and the rules through them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tuning {
    /// Whether the rule of learning rates may be used.
    pub status: Status,
    /// One for each size and number of tokens, ascending.
    pub sizes: Vec<SizeOptimum>,
    /// The learning rate by parameters.
    pub learning_rate: Option<Rule>,
    /// The batch size by tokens.
    pub batch: Option<Rule>,
    /// What may be concluded, in a sentence.
    pub conclusion: String,
}

/// The grid of one size, or a resample of it.
struct Grid {
    params: f64,
    tokens: f64,
    /// log2 of each batch size, ascending, with its curve over rates.
    batches: Vec<(f64, Valley)>,
}

/// What one (re)sample says of a size: log2 of the best rate and of the best batch, and the loss.
#[derive(Clone, Copy)]
struct Optimum {
    /// And whether it is an end of those trained; none where no batch was trained at several.
    rate: Option<(f64, bool)>,
    /// Where the best batch is an end of those trained, this end.
    batch: f64,
    loss: f64,
    /// Whether the rate of the best batch trained lies inside of those trained, and this batch of those trained.
    status: [Status; 2],
    /// log2 of the best batch trained.
    trained: f64,
}

/// Fits optima and rules. It never fails: what the data do not decide is a status.
pub fn fit(runs: &[Run], bootstrap: &Bootstrap) -> Tuning {
    let grids = grids(runs);
    let all: Vec<Optimum> = grids.iter().map(|grid| grid.optimum(Side::Lower)).collect();
    let is_usable = |optimum: &Optimum| optimum.status[0] == Status::Converged && optimum.rate.is_some();
    let usable: Vec<usize> = (0..grids.len()).filter(|k| is_usable(&all[*k])).collect();
    let over_batches: Vec<Valley> = usable.iter().map(|k| grids[*k].over_batches(Side::Lower)).collect();
    let over_rates = usable.iter().flat_map(|k| grids[*k].batches.iter().map(|(_, valley)| valley));
    let pool = valley::scatter(over_rates.chain(&over_batches));
    if pool.is_empty() && !usable.is_empty() {
        return without_scatter(&grids, &all);
    }
    let draws: Vec<Vec<Optimum>> = bootstrap.draws(|rng| {
        let mut draw = |k: &usize| {
            let side = if rng.random_range(0..2) == 0 { Side::Left } else { Side::Right };
            let noise = |loss: f64| loss + pool[rng.random_range(0..pool.len())];
            grids[*k].drawn(noise).optimum(side)
        };
        usable.iter().map(&mut draw).collect()
    });
    let original: Vec<Optimum> = usable.iter().map(|k| all[*k]).collect();
    let estimate =
        |of: &dyn Fn(&[Optimum]) -> f64| Estimate::from_draws(of(&original), draws.iter().map(|draw| of(draw)));
    let mut next = 0..usable.len();
    let size = |(at, grid): (usize, &Grid)| {
        let place = usable.contains(&at).then(|| next.next().expect("one for each usable size"));
        let own: Option<Vec<Optimum>> = place.map(|k| draws.iter().map(|draw| draw[k]).collect());
        size(grid, &all[at], own.as_deref())
    };
    let sizes: Vec<SizeOptimum> = grids.iter().enumerate().map(size).collect();
    let rule = |x: fn(&Grid) -> f64, y: fn(&Optimum) -> f64, takes: fn(&Optimum) -> bool| {
        let places: Vec<usize> = (0..usable.len()).filter(|k| takes(&original[*k])).collect();
        let logs: Vec<f64> = places.iter().map(|k| x(&grids[usable[*k]]).log2()).collect();
        if logs.iter().all(|log| (log - logs[0]).abs() < 1e-9) {
            return None;
        }
        let design = Design::new(&logs);
        let at = logs.iter().sum::<f64>() / logs.len() as f64;
        let line = |o: &[Optimum]| design.line(&places.iter().map(|k| y(&o[*k])).collect::<Vec<_>>());
        let value = |o: &[Optimum]| line(o).intercept + line(o).slope * at;
        Some(Rule { at: at.exp2(), value: estimate(&value).map(f64::exp2), exponent: estimate(&|o| line(o).slope) })
    };
    let learning_rate = rule(|grid| grid.params, Optimum::rate, |_| true);
    let batch = rule(|grid| grid.tokens, |o| o.batch, |o| o.status[1] == Status::Converged);
    // A rule leans on sizes whose best rate stays inside of the grid where noise is drawn anew.
    let sure = sizes.iter().filter(|size| size.status == Status::Converged).count();
    let status = match usable.len() {
        3.. if sure >= 2 => Status::Converged,
        3.. => Status::NotIdentified,
        1 | 2 => Status::TooFewPoints,
        _ => all.first().map_or(Status::TooFewPoints, |optimum| optimum.status[0]),
    };
    let conclusion = conclusion(status, &sizes, learning_rate, batch);
    let [learning_rate, batch] = [learning_rate, batch].map(|rule| rule.filter(|_| status != Status::NotIdentified));
    Tuning { status, sizes, learning_rate, batch, conclusion }
}

/// What is told of one size; `draws` are its resamples, where it is usable.
fn size(grid: &Grid, optimum: &Optimum, draws: Option<&[Optimum]>) -> SizeOptimum {
    // Where resamples end at what was trained the best may lie beyond it.
    let is_sure = |draws: &[Optimum], ends: fn(&Optimum) -> bool| {
        !too_many_lost(draws.iter().filter(|draw| ends(draw)).count(), draws.len())
    };
    let of = |draws: &[Optimum], of: fn(&Optimum) -> f64| Estimate::from_draws(of(optimum), draws.iter().map(of));
    let rate = draws.filter(|draws| is_sure(draws, |o| o.rate.is_none_or(|(_, ends)| ends)));
    let inside = draws.filter(|_| optimum.status[1] == Status::Converged);
    let batch = inside.filter(|draws| is_sure(draws, |o| o.status[1] != Status::Converged));
    let or_open = |known: bool, status: Status| if known { status } else { Status::NotIdentified };
    SizeOptimum {
        params: grid.params,
        tokens: grid.tokens,
        status: or_open(draws.is_none() || rate.is_some(), optimum.status[0]),
        learning_rate: rate.map(|draws| of(draws, Optimum::rate).map(f64::exp2)),
        batch_status: or_open(inside.is_none() || batch.is_some(), optimum.status[1]),
        batch: batch.map(|draws| of(draws, |o| o.batch).map(f64::exp2)),
        batch_trained: draws.map(|_| optimum.trained.exp2()),
        loss: draws.map(|draws| of(draws, |o| o.loss)),
    }
}

impl Optimum {
    /// log2 of the best rate; NaN where there is none.
    fn rate(&self) -> f64 {
        self.rate.map_or(f64::NAN, |(rate, _)| rate)
    }
}

/// Grids whose noise is not known: their lowest points could be anywhere.
fn without_scatter(grids: &[Grid], all: &[Optimum]) -> Tuning {
    let open = |status: Status| if status == Status::Converged { Status::NotIdentified } else { status };
    let size = |(grid, optimum): (&Grid, &Optimum)| SizeOptimum {
        params: grid.params,
        tokens: grid.tokens,
        status: open(optimum.status[0]),
        learning_rate: None,
        batch_status: open(optimum.status[1]),
        batch: None,
        batch_trained: Some(optimum.trained.exp2()),
        loss: None,
    };
    let conclusion = format!("No rule was found: {}.", valley::NO_SCATTER);
    let sizes = grids.iter().zip(all).map(size).collect();
    Tuning { status: Status::NotIdentified, sizes, learning_rate: None, batch: None, conclusion }
}

impl Grid {
    fn new(runs: &[&Run]) -> Self {
        let mut sorted = runs.to_vec();
        sorted.sort_by(|a, b| a.batch.total_cmp(&b.batch));
        let batches = sorted
            .chunk_by(|a, b| a.batch.total_cmp(&b.batch).is_eq())
            .map(|same| {
                let rows = same.iter().map(|run| [run.learning_rate.log2(), run.loss]).collect();
                (same[0].batch.log2(), Valley::new(rows))
            })
            .collect();
        let logs: f64 = runs.iter().map(|run| run.tokens.ln()).sum();
        Self { params: runs[0].params, tokens: (logs / runs.len() as f64).exp(), batches }
    }

    fn drawn(&self, mut noise: impl FnMut(f64) -> f64) -> Self {
        let batches = self.batches.iter().map(|(batch, valley)| (*batch, valley.drawn(&mut noise))).collect();
        Self { batches, ..*self }
    }

    /// The least loss of each batch. One whose best rate is not bracketed still tells where the least loss is not.
    fn over_batches(&self, side: Side) -> Valley {
        Valley::new(self.batches.iter().map(|(batch, valley)| [*batch, valley.bottom_or_end(side)[1]]).collect())
    }

    fn optimum(&self, side: Side) -> Optimum {
        let losses = self.over_batches(side);
        let trained = losses.lowest_point()[0];
        let own = self.batches.iter().find(|(batch, _)| batch.total_cmp(&trained).is_eq());
        let status = [own.map_or(Status::TooFewPoints, |(_, valley)| valley.status()), losses.status()];
        let [batch, loss] = losses.bottom_or_end(Side::Lower);
        Optimum { rate: self.rate_at(batch, side), batch, loss, status, trained }
    }

    /// The best rate at a batch, and whether it is an end of those trained: between the two batches around it that were trained
    /// at several rates, or else that of the nearest.
    fn rate_at(&self, batch: f64, side: Side) -> Option<(f64, bool)> {
        let several = self.batches.iter().filter(|(_, valley)| valley.status() != Status::TooFewPoints);
        let rates: Vec<(f64, f64, bool)> = several
            .map(|(at, valley)| (*at, valley.bottom_or_end(side)[0], valley.status() != Status::Converged))
            .collect();
        let above = rates.iter().find(|(at, ..)| *at >= batch);
        let below = rates.iter().rfind(|(at, ..)| *at <= batch);
        match (below, above) {
            (Some((a, low, low_ends)), Some((b, high, high_ends))) if b > a => {
                Some((low + (high - low) * (batch - a) / (b - a), *low_ends || *high_ends))
            }
            (below, above) => below.or(above).map(|(_, rate, ends)| (*rate, *ends)),
        }
    }
}

/// One grid a size and number of tokens, ascending.
fn grids(runs: &[Run]) -> Vec<Grid> {
    let mut finite: Vec<&Run> = runs.iter().filter(|run| run.loss.is_finite()).collect();
    finite.sort_by(|a, b| a.params.total_cmp(&b.params).then(a.tokens.total_cmp(&b.tokens)));
    let one = |a: &&Run, b: &&Run| a.params.total_cmp(&b.params).is_eq() && b.tokens <= SAME_TOKENS * a.tokens;
    finite.chunk_by(one).map(Grid::new).collect()
}

fn conclusion(status: Status, sizes: &[SizeOptimum], rate: Option<Rule>, batch: Option<Rule>) -> String {
    let sure = sizes.iter().filter(|size| size.status == Status::Converged).count();
    if status == Status::NotIdentified && rate.is_some() {
        return format!(
            "No rule was found: runs scatter too much to tell the best learning rate at {} of {} sizes and numbers of tokens; train \
             more seeds, or rates further out.",
            sizes.len() - sure,
            sizes.len()
        );
    }
    let Some(rate) = rate else {
        return format!(
            "No rule was found ({}): at least two sizes or numbers of tokens need their best learning rate inside the \
             grid.",
            status.name()
        );
    };
    let words = |name: &str, of: &str, rule: Rule| {
        let Rule { at, value, exponent } = rule;
        format!(
            "{name} = {:.3e} ({:.3e} to {:.3e}) at {at:.3e} {of}, with exponent {:.2} ({:.2} to {:.2})",
            value.value, value.low, value.high, exponent.value, exponent.low, exponent.high
        )
    };
    let edges = sizes.iter().filter(|size| size.batch_status == Status::EdgeMinimum).count();
    let parts = [
        Some(words("learning rate", "parameters", rate)),
        Some(batch.map_or_else(|| "no rule of batch sizes".to_owned(), |rule| words("batch size", "tokens", rule))),
        (edges > 0)
            .then(|| format!("at {edges} of {} sizes the best batch is the smallest or largest trained", sizes.len())),
        (status == Status::TooFewPoints).then(|| "from two optima only".to_owned()),
        sizes.windows(2).any(|pair| pair[0].params.total_cmp(&pair[1].params).is_eq()).then(|| {
            "the rule for the learning rate uses only the size; for each size all numbers of tokens are combined"
                .to_owned()
        }),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ") + "."
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    const BOOTSTRAP: Bootstrap = Bootstrap { resamples: 200, seed: 1 };

    /// Four sizes at one budget; the best rate falls as N^-0.4, the best batch grows as D^0.5 from 2^10 at 2^20 tokens.
    fn runs(noise: f64) -> Vec<Run> {
        let mut runs = Vec::new();
        for size in 0..4 {
            let params = (16.0 + f64::from(size)).exp2();
            let tokens = (36.0_f64).exp2() / params;
            let best_rate = -6.5 - 0.4 * (params.log2() - 16.0);
            let best_batch = 10.0 + 0.5 * (tokens.log2() - 20.0);
            for rate in -11..=-3 {
                for batch in 6..=13 {
                    let off = [f64::from(rate) - best_rate, f64::from(batch) - best_batch];
                    let wobble = noise * (f64::from((rate * 7 + batch * 13 + size) % 11) / 5.0 - 1.0);
                    let loss = 3.0 + 0.03 * off[0].powi(2) + 0.01 * off[1].powi(2) + wobble;
                    let [learning_rate, batch] = [rate, batch].map(|log| f64::from(log).exp2());
                    runs.push(Run { params, tokens, learning_rate, batch, loss });
                }
            }
        }
        runs
    }

    #[test]
    fn planted_rules_are_found() {
        let tuning = fit(&runs(0.0), &BOOTSTRAP);
        assert_eq!(tuning.status, Status::Converged);
        let [rate, batch] = [tuning.learning_rate.unwrap(), tuning.batch.unwrap()];
        assert!((rate.exponent.value + 0.4).abs() < 1e-6, "{rate:?}");
        assert!((rate.value.value.log2() + 6.5 + 0.4 * (rate.at.log2() - 16.0)).abs() < 1e-6, "{rate:?}");
        assert!((batch.exponent.value - 0.5).abs() < 1e-6, "{batch:?}");
        assert!((batch.value.value.log2() - 10.0 - 0.5 * (batch.at.log2() - 20.0)).abs() < 1e-6, "{batch:?}");
    }

    #[test]
    fn one_size_at_several_numbers_of_tokens_has_an_optimum_at_each() {
        let longer = |run: Run| {
            let factor = 16.0;
            // Sixteen times the tokens want four times the batch.
            Run { tokens: factor * run.tokens, batch: factor.sqrt() * run.batch, ..run }
        };
        let both: Vec<Run> = runs(0.0).into_iter().flat_map(|run| [run, longer(run)]).collect();
        let tuning = fit(&both, &BOOTSTRAP);
        assert_eq!(tuning.sizes.len(), 8, "{:?}", tuning.sizes);
        for optimum in &tuning.sizes {
            let best = 10.0 + 0.5 * (optimum.tokens.log2() - 20.0);
            assert!((optimum.batch.unwrap().value.log2() - best).abs() < 1e-6, "{optimum:?}");
        }
        assert!((tuning.batch.unwrap().exponent.value - 0.5).abs() < 1e-6);
        assert!(tuning.conclusion.contains("only the size"), "{}", tuning.conclusion);
    }

    #[test]
    fn with_noise_the_intervals_hold_what_was_planted() {
        let tuning = fit(&runs(0.004), &BOOTSTRAP);
        let [rate, batch] = [tuning.learning_rate.unwrap().exponent, tuning.batch.unwrap().exponent];
        assert!(rate.holds(-0.4) && rate.high - rate.low < 1.0, "{rate:?}");
        assert!(batch.holds(0.5) && batch.high - batch.low < 2.0, "{batch:?}");
    }

    #[test]
    fn runs_that_only_scatter_give_no_rule() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(7);
        let found = (0..10).filter(|_| {
            let noise: Vec<Run> =
                runs(0.0).into_iter().map(|run| Run { loss: 3.0 + 0.04 * rng.random::<f64>(), ..run }).collect();
            let tuning = fit(&noise, &BOOTSTRAP);
            assert_eq!(tuning.status == Status::Converged, tuning.learning_rate.is_some(), "{tuning:?}");
            tuning.status == Status::Converged
        });
        assert!(found.count() <= 1);
    }

    #[test]
    fn a_best_batch_at_the_edge_is_said_and_the_rate_is_still_told() {
        let small: Vec<Run> = runs(0.0).into_iter().filter(|run| run.batch <= 256.0).collect();
        let tuning = fit(&small, &BOOTSTRAP);
        assert!(tuning.sizes.iter().any(|size| size.batch_status == Status::EdgeMinimum && size.batch.is_none()));
        assert!((tuning.learning_rate.unwrap().exponent.value + 0.4).abs() < 1e-6);
        assert!(tuning.conclusion.contains("smallest or largest trained"), "{}", tuning.conclusion);
    }

    #[test]
    fn one_size_no_runs_and_rates_at_the_edge_give_no_rule() {
        let one: Vec<Run> = runs(0.0).into_iter().filter(|run| run.params < 1e5).collect();
        let high: Vec<Run> = runs(0.0).into_iter().filter(|run| run.learning_rate > 0.02).collect();
        for (runs, status) in
            [(one, Status::TooFewPoints), (Vec::new(), Status::TooFewPoints), (high, Status::EdgeMinimum)]
        {
            let tuning = fit(&runs, &BOOTSTRAP);
            assert_eq!((tuning.status, tuning.learning_rate), (status, None));
            assert!(tuning.conclusion.contains("No rule"), "{}", tuning.conclusion);
        }
    }
}
