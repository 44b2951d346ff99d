//! Pruning in the one setting where it is understood, a perceptron that learns from another one (Sorscher et al. 2022,
//! arXiv 2206.14486, section 3): simulated, and its errors fitted.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use runner::fit::Bootstrap;
use runner::fit::laws::pruning::{Run, exponential, fit};

use super::surface::normal;

const DIMENSION: usize = 40;
const SEEDS: u64 = 4;

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The direction of largest margin on examples that are labelled by sign, by coordinate ascent in its dual.
fn student(examples: &[Vec<f64>]) -> Vec<f64> {
    let (mut weights, mut pulls) = (vec![0.0; DIMENSION], vec![0.0; examples.len()]);
    for _ in 0..3000 {
        let mut moved = 0.0_f64;
        for (example, pull) in examples.iter().zip(&mut pulls) {
            let next = (*pull + (1.0 - dot(&weights, example)) / dot(example, example)).max(0.0_f64);
            weights.iter_mut().zip(example).for_each(|(w, x)| *w += (next - *pull) * x);
            moved = moved.max((next - *pull).abs());
            *pull = next;
        }
        if moved < 1e-5 {
            break;
        }
    }
    weights
}

/// Share of fresh examples on which a student errs that saw the `kept` ones nearest to the teacher's boundary, out of
/// `kept / keep`.
fn error(kept: usize, keep: f64, seed: u64) -> f64 {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut gaussian = || (0..DIMENSION).map(|_| normal(&mut rng)).collect::<Vec<f64>>();
    let teacher = gaussian();
    let mut examples: Vec<Vec<f64>> = (0..(kept as f64 / keep).round() as usize).map(|_| gaussian()).collect();
    // With its label multiplied in, an example's margin is above zero.
    for example in &mut examples {
        let sign = dot(&teacher, example).signum();
        for x in example {
            *x *= sign;
        }
    }
    examples.sort_by(|a, b| dot(&teacher, a).total_cmp(&dot(&teacher, b)));
    let found = student(&examples[..kept]);
    let overlap = dot(&teacher, &found) / (dot(&teacher, &teacher) * dot(&found, &found)).sqrt();
    overlap.clamp(-1.0, 1.0).acos() / std::f64::consts::PI
}

fn simulate() -> Vec<Run> {
    let mut runs = Vec::new();
    for keep in [1.0, 0.6, 0.35, 0.2, 0.1, 0.05] {
        // From 1 to 2.6 examples for each dimension.
        for kept in (40..=105).step_by(5) {
            let mean = (0..SEEDS).map(|seed| error(kept, keep, seed)).sum::<f64>() / SEEDS as f64;
            runs.push(Run { keep, tokens: kept as f64, loss: mean });
        }
    }
    runs
}

#[test]
fn a_perceptron_prunes_hard_where_data_abound_and_escapes_its_power_law() {
    let found = fit(&simulate(), &Bootstrap { resamples: 100, seed: 1 });
    let (first, last) = (found.envelope[0], found.envelope[found.envelope.len() - 1]);
    assert!(first.keep > 2.0 * last.keep, "few data want easy examples, many hard ones: {:?}", found.envelope);
    let slope = |selection: &runner::fit::laws::power::Selection| selection.laws[0].curve.alpha;
    assert!(slope(&found.pruned) > 2.0 * slope(&found.unpruned), "{} {}", slope(&found.pruned), slope(&found.unpruned));
    assert_eq!(exponential(&found.pruned), Some(true), "{found:?}");
    assert!(found.conclusion.contains("like an exponential rather than a power law"), "{}", found.conclusion);
}

#[test]
fn pruning_that_teaches_nothing_leaves_a_power_law() {
    let run = |i: i32| {
        let tokens = 100.0 * 1.5_f64.powi(i / 2);
        Run {
            keep: f64::from(1 + i % 2) / 2.0,
            tokens,
            loss: 0.1 + 3.0 * tokens.powf(-0.5) * (1.0 + 1e-3 * f64::from(i * 7 % 5)),
        }
    };
    let found = fit(&(0..40).map(run).collect::<Vec<_>>(), &Bootstrap { resamples: 100, seed: 1 });
    assert_eq!(exponential(&found.pruned), Some(false), "{found:?}");
    assert!(found.conclusion.contains("like a power law rather than"), "{}", found.conclusion);
}

#[test]
fn few_lengths_do_not_make_an_exponential_a_power_law() {
    let noise = [0.4, -1.1, 0.7, -0.2, 1.3, -0.9, 0.1];
    for (lengths, sd, expected) in [(5, 0.0, None), (6, 0.02, None), (7, 0.0, Some(true))] {
        let runs = [0.25, 0.5, 1.0].into_iter().flat_map(|keep| {
            (0..lengths).map(move |i| {
                let tokens = 5e5 * 1.6_f64.powi(i);
                let loss = 2.0 + 2.0 * (-tokens / 1.5e6).exp() + sd * noise[i as usize];
                Run { keep, tokens, loss }
            })
        });
        let found = fit(&runs.collect::<Vec<_>>(), &Bootstrap { resamples: 100, seed: 1 });
        assert_eq!(exponential(&found.pruned), expected, "{lengths} lengths: {found:?}");
    }
}

#[test]
fn a_share_that_costs_nothing_is_told_from_one_that_does() {
    let noise = [0.004, -0.003, 0.001, -0.004, 0.002, 0.003, -0.002, 0.001, -0.001, 0.002];
    let runs = |keep: f64, above: f64, shift: usize| {
        (0..6).map(move |i| {
            let tokens = 1000.0 * 2.0_f64.powi(i);
            Run { keep, tokens, loss: 3.0 + 20.0 * tokens.powf(-0.4) + above + noise[i as usize + shift] }
        })
    };
    let runs: Vec<Run> = runs(1.0, 0.0, 0).chain(runs(0.5, 0.0, 2)).chain(runs(0.25, 0.05, 4)).collect();
    let found = fit(&runs, &Bootstrap { resamples: 100, seed: 1 });
    let [whole, half, quarter] = &found.shares.settings[..] else { panic!("{:?}", found.shares) };
    assert_eq!((whole.name.as_str(), whole.difference), ("keeping 1", None));
    assert!(half.difference.unwrap().holds(0.0), "{half:?}");
    let quarter = quarter.difference.unwrap();
    assert!(quarter.low > 0.0 && quarter.holds(0.05), "{quarter:?}");
    assert!(
        found.conclusion.starts_with("Against keeping 1: keeping 0.5 no difference shown, "),
        "{}",
        found.conclusion
    );
}

#[test]
fn one_share_is_too_few() {
    let runs: Vec<Run> = (1..20).map(|i| Run { keep: 1.0, tokens: f64::from(i), loss: 1.0 / f64::from(i) }).collect();
    let found = fit(&runs, &Bootstrap { resamples: 100, seed: 1 });
    assert_eq!(found.status, runner::fit::Status::TooFewPoints);
    assert!(found.conclusion.contains("at least two shares"));
}
