//! The initial weights of a model, as numbers: the same on every device.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};

use crate::model::{Group, Weight};
use crate::parameterization::{Rule, Rules};
use crate::plan::Run;

/// A weight as it is drawn.
#[cfg_attr(not(feature = "burn"), allow(dead_code))] // one flat buffer has no use for names and shapes
pub struct Drawn {
    /// Name, as in `blocks.2.qkv`.
    pub name: String,
    /// Its row of the table.
    pub rule: Rule,
    /// Inputs and outputs.
    pub shape: [usize; 2],
    /// Values, a row of outputs for each input.
    pub values: Vec<f32>,
}

/// All weights of the model of `run` under `rules`, in the order of [`crate::model::Shape::weights`]. Each is drawn from a
/// stream of its own of the run's seed, so that none depends on the sizes of those before it.
pub fn weights<'a>(run: &'a Run, rules: &'a dyn Rules) -> impl Iterator<Item = Drawn> + 'a {
    let draw = move |(stream, weight): (usize, Weight)| {
        let zeros = zero_columns(run, &weight);
        let Weight { name, role, shape, mean, .. } = weight;
        let rule = rules.rule(role, shape[0]);
        let mut generator = ChaCha8Rng::seed_from_u64(run.seed);
        generator.set_stream(stream as u64);
        let drawn = StandardNormal.sample_iter(&mut generator).map(|x: f64| (mean + x * rule.init_std) as f32);
        let begin = |(i, x)| if i % shape[1] < zeros { 0.0 } else { x };
        let values = drawn.take(shape[0] * shape[1]).enumerate().map(begin).collect();
        Drawn { name, rule, shape, values }
    };
    run.shape.weights().into_iter().enumerate().map(draw)
}

/// How many of a weight's first columns begin at zero.
fn zero_columns(run: &Run, weight: &Weight) -> usize {
    match weight.group {
        Group::Unembedding if run.zero_init_unembedding => weight.shape[1],
        _ if run.zero_init_query => weight.queries,
        _ => 0,
    }
}
