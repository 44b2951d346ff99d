//! The initial weights of a model, as numbers: the same on every device.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};

use crate::parameterization::{Role, Rule, Rules};
use crate::plan::Run;

/// A weight as it is drawn.
#[cfg_attr(not(feature = "burn"), allow(dead_code))] // one flat buffer has no use for names and shapes
pub struct Drawn {
    /// Name, as in `blocks.2.qkv`.
    pub name: String,
    /// What it does.
    pub role: Role,
    /// Its row of the table.
    pub rule: Rule,
    /// Inputs and outputs.
    pub shape: [usize; 2],
    /// Values, a row of outputs for each input.
    pub values: Vec<f32>,
}

/// All weights of the model of `run` under `rules`, in the order of [`crate::plan::Shape::weights`]. Each is drawn from a
/// stream of its own of the run's seed, so that none depends on the sizes of those before it.
pub fn weights<'a>(run: &'a Run, rules: &'a dyn Rules) -> impl Iterator<Item = Drawn> + 'a {
    let draw = move |(stream, (name, role, shape)): (usize, (String, Role, [usize; 2]))| {
        let rule = rules.rule(role, shape[0]);
        let mean = if matches!(role, Role::BlockGain | Role::FinalGain) { 1.0 } else { 0.0 };
        let zeros = zero_columns(run, role, &name);
        let mut generator = ChaCha8Rng::seed_from_u64(run.seed);
        generator.set_stream(stream as u64);
        let drawn = StandardNormal.sample_iter(&mut generator).map(|x: f64| (mean + x * rule.init_std) as f32);
        let begin = |(i, x)| if i % shape[1] < zeros { 0.0 } else { x };
        let values = drawn.take(shape[0] * shape[1]).enumerate().map(begin).collect();
        Drawn { name, role, rule, shape, values }
    };
    run.shape.weights().into_iter().enumerate().map(draw)
}

/// How many of a weight's first columns begin at zero.
fn zero_columns(run: &Run, role: Role, name: &str) -> usize {
    match role {
        Role::Unembedding if run.zero_init_unembedding => run.shape.vocab,
        // Queries are the first third of the columns.
        Role::Hidden if run.zero_init_query && name.rsplit('.').next() == Some("qkv") => run.shape.width,
        _ => 0,
    }
}
