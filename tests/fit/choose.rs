//! Choosing runs: planted surfaces, and what it costs to know their optimum as well as a fixed grid does.

use rand::{Rng, RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};
use rayon::prelude::*;
use runner::fit::Bootstrap;
use runner::fit::approaches::approach2;
use runner::fit::design::next::{Options, look};
use runner::fit::design::{Candidate, Stand};
use runner::goal::Goal;
use runner::observation::{Counting, Observation};

/// Budgets of the grids, in FLOPs: those of `results/isoflop`.
const BUDGETS: [f64; 5] = [1e12, 2.4e12, 5.6e12, 1.3e13, 3.1e13];
const SIZES: usize = 7;
const SPREAD: f64 = 3.0;

/// A loss over ln N and ln D, with the scatter of its seeds in nats.
struct Planted {
    shape: usize,
    loss: Box<dyn Fn(f64, f64) -> f64 + Sync + Send>,
    noise: f64,
    /// Where the grid is centred: tokens per parameter.
    expected: f64,
}

/// One of five shapes: the surface that is fitted, Kaplan's, one whose terms interact, curves that lean with an optimum
/// of their own, and a surface on which large models are mistuned, which none of the terms can follow.
fn planted(number: u64) -> Planted {
    let mut rng = ChaCha8Rng::seed_from_u64(number);
    let mut within = |low: f64, high: f64| rng.random_range(low..high);
    let middle = BUDGETS[2];
    let ratio = within(8_f64.ln(), 50_f64.ln()).exp();
    let (n0, d0) = ((middle / 6.0 / ratio).sqrt().ln(), (middle / 6.0 * ratio).sqrt().ln());
    let (e, alpha, beta, part) = (within(1.0, 2.5), within(0.25, 0.5), within(0.25, 0.5), within(0.5, 1.2));
    // Both terms pull alike at the middle optimum.
    let (a, b) = (part, part * alpha / beta);
    let additive = move |n: f64, d: f64| e + a * (-alpha * (n - n0)).exp() + b * (-beta * (d - d0)).exp();
    let shape = (number % 5) as usize;
    let (extra, lean, turn) = (within(0.1, 0.3), within(-0.6, 0.6), within(0.4, 0.6));
    let (depth, from) = (within(0.01, 0.04), within(-0.5, 0.8));
    let loss: Box<dyn Fn(f64, f64) -> f64 + Sync + Send> = match shape {
        0 => Box::new(additive),
        1 => Box::new(move |n, d| {
            let sum = (-alpha / beta * (n - n0)).exp() + alpha / beta * (-(d - d0)).exp();
            e + 1.5 * part * (0.5 * sum).powf(beta)
        }),
        2 => Box::new(move |n, d| additive(n, d) + extra * (-0.5 * alpha * (n - n0) - 0.5 * beta * (d - d0)).exp()),
        3 => Box::new(move |n, d| {
            let c = n + d - n0 - d0;
            let t = n - n0 - turn * c;
            e + 2.0 * part * (-0.16 * c).exp() + 2.0 * depth.max(0.02) * ((lean * t).exp() - 1.0 - lean * t) / (lean * lean) * 2.0
        }),
        _ => Box::new(move |n, d| additive(n, d) + depth * (n - n0 - from).max(0.0).powi(2)),
    };
    let noise = within(0.002_f64.ln(), 0.008_f64.ln()).exp();
    let expected = ratio * within(-0.4, 0.4).exp();
    Planted { shape, loss, noise, expected }
}

impl Planted {
    /// Compute-optimal tokens per parameter at a budget.
    fn truth(&self, budget: f64) -> f64 {
        let product = (budget / 6.0).ln();
        let at = |i: u32| 0.5 * product - 6.0 + f64::from(i) * 8e-4;
        let loss = |n: f64| (self.loss)(n, product - n);
        let best = (0..10_000).map(at).min_by(|a, b| loss(*a).total_cmp(&loss(*b))).unwrap();
        (product - 2.0 * best).exp()
    }

    /// A point of the grid.
    fn point(&self, budget: f64, size: usize) -> (f64, f64) {
        let centre = (budget / 6.0 / self.expected).sqrt();
        let params = centre * SPREAD.powf(2.0 * size as f64 / (SIZES - 1) as f64 - 1.0);
        (params, budget / 6.0 / params)
    }

    fn draw(&self, (params, tokens): (f64, f64), rng: &mut impl Rng) -> f64 {
        let noise: f64 = StandardNormal.sample(rng);
        (self.loss)(params.ln(), tokens.ln()) + self.noise * noise
    }
}

/// What the fixed grid gives: FLOPs, low, high.
fn fixed(planted: &Planted, seed: u64) -> Option<[f64; 3]> {
    let mut rng = ChaCha8Rng::seed_from_u64(1_000_000 + seed);
    let mut runs = Vec::new();
    for budget in BUDGETS {
        for size in 0..SIZES {
            for seed in 1..=if budget < 1e13 { 2 } else { 1 } {
                let (params, tokens) = planted.point(budget, size);
                runs.push(Observation {
                    params,
                    params_non_embedding: None,
                    params_blocks_and_unembedding: None,
                    tokens,
                    flops: budget,
                    flop_budget: Some(budget),
                    shared_budget: None,
                    loss: planted.draw((params, tokens), &mut rng),
                    loss_se: None,
                    seed: Some(seed),
                });
            }
        }
    }
    if std::env::var("OWN").is_ok() {
        let candidates: Vec<Candidate> = runs.iter().map(|run| Candidate { params: run.params, tokens: run.tokens, flops: run.flops, tuned: Vec::new(), stand: Stand::Finished(run.loss) }).collect();
        let goal = look(&candidates, Options::new(Goal::TokensPerParam(BUDGETS[4])), 0).goal?;
        return Some([runs.iter().map(|run| run.flops).sum(), goal.low, goal.high]);
    }
    let fit = approach2::fit(&runs, Counting::All, &Bootstrap { resamples: 400, seed });
    let last = BUDGETS[4];
    let by_law = fit.tokens_per_param.iter().find(|row| (row.flops / last - 1.0).abs() < 1e-6).map(|row| row.ratio);
    let ratio = by_law.or_else(|| fit.optima.last().and_then(|optimum| optimum.tokens_per_param))?;
    Some([runs.iter().map(|run| run.flops).sum(), ratio.low, ratio.high])
}

/// What a sweep that chooses gives until its interval is as narrow, or as much is spent.
fn adaptive(planted: &Planted, seed: u64, width: f64, limit: f64) -> ([f64; 3], usize) {
    let mut rng = ChaCha8Rng::seed_from_u64(2_000_000 + seed);
    let mut candidates = Vec::new();
    for budget in BUDGETS {
        let sizes = runner::fit::design::tune("NS", 7.0) as usize;
        for size in 0..sizes {
            let centre = (budget / 6.0 / planted.expected).sqrt();
            let params = centre * runner::fit::design::tune("SPREAD", 3.0).powf(2.0 * size as f64 / (sizes - 1) as f64 - 1.0);
            let tokens = budget / 6.0 / params;
            for _ in 0..3 {
                candidates.push(Candidate { params, tokens, flops: budget, tuned: Vec::new(), stand: Stand::Free });
            }
        }
    }
    let options = Options { enough: Some(width), ..Options::new(Goal::TokensPerParam(BUDGETS[4])) };
    let (mut spent, mut runs) = (0.0, 0);
    loop {
        let look = look(&candidates, options, runner::fit::design::tune("BATCH", 3.0) as usize);
        if std::env::var("SHOW").is_ok() { if let Some(g) = look.goal { eprintln!("{runs} {:.3} {:.2} {:.2} {:.2} misfit {:.2} next {:?}", spent/limit, g.value, g.low, g.high, look.misfit, look.chosen.iter().map(|c| { let k=&candidates[c.candidate]; format!("{:.0e}/{:.2}/{:.3}", k.flops, (k.params/planted.point(k.flops,3).0), c.gain.unwrap_or(0.0))}).collect::<Vec<_>>()); } }
        if let Some(goal) = look.goal
            && (goal.high / goal.low <= width || spent >= limit || look.chosen.is_empty())
        {
            return ([spent, goal.low, goal.high], runs);
        }
        for chosen in look.chosen {
            let candidate = &mut candidates[chosen.candidate];
            let loss = planted.draw((candidate.params, candidate.tokens), &mut rng);
            candidate.stand = Stand::Finished(loss);
            spent += candidate.flops;
            runs += 1;
        }
    }
}

pub fn bench(count: u64) {
    let rows: Vec<_> = (0..count)
        .into_par_iter()
        .filter_map(|number| {
            let planted = planted(number);
            let truth = planted.truth(BUDGETS[4]);
            let [cost, low, high] = fixed(&planted, number)?;
            let ([spent, from, to], runs) = adaptive(&planted, number, high / low, cost);
            let holds = |low: f64, high: f64| low <= truth && truth <= high;
            Some((planted.shape, spent / cost, holds(low, high), holds(from, to), high / low, to / from, runs, truth, number))
        })
        .collect();
    let tell = |name: &str, rows: &[&(usize, f64, bool, bool, f64, f64, usize, f64, u64)]| {
        let median = |mut values: Vec<f64>| { values.sort_by(f64::total_cmp); values[values.len() / 2] };
        let share = |of: &dyn Fn(&&&(usize, f64, bool, bool, f64, f64, usize, f64, u64)) -> bool| rows.iter().filter(of).count() as f64 / rows.len() as f64;
        println!("{name}: {} surfaces, FLOPs {:.3} (reached {:.2}), coverage fixed {:.3} adaptive {:.3}, width {:.2} runs {}", rows.len(),
            median(rows.iter().map(|r| r.1).collect()), share(&|r| r.5 <= r.4), share(&|r| r.2), share(&|r| r.3), median(rows.iter().map(|r| r.4).collect()), median(rows.iter().map(|r| r.6 as f64).collect()));
    };
    for shape in 0..5 {
        let of: Vec<_> = rows.iter().filter(|row| row.0 == shape).collect();
        if !of.is_empty() { tell(&format!("shape {shape}"), &of); }
    }
    tell("all", &rows.iter().collect::<Vec<_>>());
    if std::env::var("MISS").is_ok() { for r in rows.iter().filter(|r| !r.3) { println!("{r:?}"); } }
}
